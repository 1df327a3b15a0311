//! What operators see: one connection, one session, those that have gone, and the recount.

use serde_json::{Value, json};
use tungstenite::Message;

use crate::common::Server;

fn list(server: &Server, path: &str, name: &str) -> Vec<Value> {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()[name].as_array().unwrap().clone()
}

#[test]
fn a_connection_is_explained() {
    let server = Server::with(&["session.idle=1h", "session.max_lifetime=10s"]);
    let mut client = server.connect("user=alice&thread=work");
    client.ask(r#"{"type":"join","room":"r"}"#);
    server.publish(r#"{"room":"r"}"#, "1");
    client.data();
    let path = format!("/v1/connections/{}", client.connection());
    let shown = server.get(&path).json();
    assert_eq!((&shown["user"], &shown["thread"]), (&json!("alice"), &json!("work")));
    assert_eq!((&shown["state"], &shown["backlog"]), (&json!("open"), &json!(0)));
    let next = &shown["next"];
    assert_eq!((&next["what"], &next["reason"]), (&json!("close"), &json!("lifetime_ended")));
    assert_eq!((&next["code"], &next["reconnect"]), (&json!(1012), &json!(true)));
    assert!(next["in_ms"].as_u64().unwrap() <= 10_000, "{shown}");
    let cursors = shown["cursors"].as_array().unwrap();
    assert_eq!((&cursors[0]["stream"], &cursors[0]["offset"]), (&json!("session"), &json!(0)));
    assert_eq!((&cursors[1]["stream"], &cursors[1]["offset"]), (&json!("room/r"), &json!(1)));

    let session = shown["session"].as_str().unwrap();
    let session = server.get(&format!("/v1/sessions/{session}")).json();
    assert_eq!((&session["user"], &session["state"]), (&json!("alice"), &json!("open")));
    assert_eq!(session["connections"], json!([client.connection()]));
    assert_eq!(session["epoch"], client.welcome["session"]["epoch"]);

    drop(client);
    server.until(|stats| stats["connections"]["live"] == 0);
    let gone = server.get(&path);
    assert_eq!((gone.status, gone.code().as_str()), (404, "unknown_connection"));
    let session = &list(&server, "/v1/sessions?user=alice", "sessions")[0];
    assert_eq!((&session["state"], &session["connections"]), (&json!("lingering"), &json!(0)));
    assert_eq!(session["next"]["what"], "end");
    for (path, status) in [
        ("/v1/connections/nonsense", 400),
        ("/v1/sessions/7", 400),
        ("/v1/sessions/0000000000000001.00000077000000ff", 404),
        ("/v1/connections/%ff", 400),
        ("/v1/sessions/%ff", 400),
        ("/v1/connections?limit=0", 400),
        ("/v1/connections?user=alice&user=bob", 400),
        ("/v1/closed?user=%ff", 400),
        ("/v1/sessions?usr=a", 400),
        ("/v1/closed?cursor=x", 400),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.code().is_empty(), "{path}: every error has the same form");
    }
}

#[test]
fn lists_come_in_pages() {
    let server = Server::start();
    let mut clients: Vec<_> =
        (0..5).map(|n| server.connect(&format!("user=a&thread={n}"))).collect();
    clients.push(server.connect("user=b"));
    let pages = |path: &str, name: &str, key: &str| {
        let (mut all, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let answer = server.get(&format!("{path}limit=2{cursor}")).json();
            let page = answer[name].as_array().unwrap();
            assert!(page.len() <= 2);
            all.extend(page.iter().map(|entry| entry[key].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(next) = answer.get("cursor") else { return (all, pages) };
            cursor = format!("&cursor={}", next.as_str().unwrap());
        }
    };
    let expected: Vec<_> = clients.iter().map(|client| client.connection().to_owned()).collect();
    assert_eq!(pages("/v1/connections?", "connections", "connection"), (expected.clone(), 3));
    let (of_a, count) = pages("/v1/connections?user=a&", "connections", "connection");
    assert_eq!((&of_a[..], count), (&expected[..5], 3));
    assert_eq!(pages("/v1/sessions?", "sessions", "session").0.len(), 6);
    assert_eq!(pages("/v1/sessions?user=b&", "sessions", "thread").0, ["main"]);
    assert!(list(&server, "/v1/connections?user=nobody", "connections").is_empty());

    let stats = server.stats();
    let top = &stats["users_by_sessions"];
    assert_eq!(*top, json!([{"user": "a", "sessions": 5}, {"user": "b", "sessions": 1}]));
    assert!(stats["oldest_session_ms"].is_u64() && stats["draining"] == false);

    for client in clients {
        drop(client);
    }
    server.until(|stats| stats["connections"]["live"] == 0);
    let (mut closed, _) = pages("/v1/closed?", "closed", "connection");
    closed.sort();
    let mut sorted = expected;
    sorted.sort();
    assert_eq!(closed, sorted);
}

#[test]
fn a_long_page_and_a_join_of_many_are_whole() {
    let server = Server::with(&[
        "limits.connect_rate=0",
        "limits.connect_rate_per_user=0",
        "limits.connections_per_user=1000",
        "limits.sessions_per_user=1000",
    ]);
    // More than the loop shows in one call.
    let clients: Vec<_> = (0..230).map(|_| server.connect("user=a")).collect();
    let expected: Vec<_> = clients.iter().map(|client| client.connection().to_owned()).collect();
    for path in ["/v1/connections?limit=1000", "/v1/connections?user=a&limit=1000"] {
        let shown = list(&server, path, "connections");
        let shown: Vec<_> = shown.iter().map(|it| it["connection"].as_str().unwrap()).collect();
        assert_eq!(shown, expected, "{path}");
    }
    let first = server.get("/v1/connections?limit=229").json();
    assert_eq!(first["connections"].as_array().unwrap().len(), 229);
    let cursor = first["cursor"].as_str().unwrap();
    let rest = list(&server, &format!("/v1/connections?cursor={cursor}"), "connections");
    assert_eq!((rest.len(), &rest[0]["connection"]), (1, &json!(expected[229])));
    let whom = r#"{"user":"a","room":"r"}"#;
    for (path, answer) in [
        ("/v1/join", json!({"joined": 230, "already": 0, "refused": 0})),
        ("/v1/join", json!({"joined": 0, "already": 230, "refused": 0})),
        ("/v1/leave", json!({"left": 230, "absent": 0})),
        ("/v1/leave", json!({"left": 0, "absent": 230})),
    ] {
        assert_eq!(server.post(path, whom).json(), answer);
    }
}

#[test]
fn clients_see_the_words_of_a_close() {
    let server = Server::start();
    let mut client = server.connect("user=alice");
    let answer = server.post(
        "/v1/close",
        r#"{"to":{"user":"alice"},"reason":"ticket 7","code":4200,"text":"account deleted"}"#,
    );
    assert_eq!(answer.json(), json!({"closing": 1}));
    assert_eq!(client.farewell(), (4200, "account deleted".to_owned()));
    let closed = &list(&server, "/v1/closed", "closed")[0];
    assert_eq!((&closed["reason"], &closed["code"]), (&json!("application"), &json!(4503)));
}

#[test]
fn those_that_have_gone_say_why() {
    let server = Server::start();
    let mut client = server.connect("user=alice&thread=t");
    server.post("/v1/close", r#"{"to":{"user":"alice"},"reason":"x"}"#);
    assert_eq!(client.closed(), 4503);
    drop(server.connect("user=bob"));
    server.until(|stats| stats["connections"]["closed"]["peer_gone"] == 1);
    let closed = list(&server, "/v1/closed", "closed");
    assert_eq!((&closed[0]["user"], &closed[0]["reason"]), (&json!("bob"), &json!("peer_gone")));
    let alice = &closed[1];
    assert_eq!((&alice["user"], &alice["thread"]), (&json!("alice"), &json!("t")));
    assert_eq!((&alice["reason"], &alice["code"]), (&json!("application"), &json!(4503)));
    assert!(alice["age_ms"].is_u64() && alice["bytes"].is_u64() && alice["closed_ms_ago"].is_u64());
    assert_eq!(list(&server, "/v1/closed?user=alice", "closed").len(), 1);
}

#[test]
fn revoked_is_gone_with_everything() {
    let server = Server::start();
    let mut tabs = [server.connect("user=a"), server.connect("user=a&thread=t")];
    let mut other = server.connect("user=b");
    let answer = server.post("/v1/revoke", r#"{"user":"a"}"#).json();
    assert_eq!(answer, json!({"closing": 2, "sessions": 2}));
    for tab in &mut tabs {
        assert_eq!(tab.closed(), 4503);
    }
    assert!(other.drain().is_empty());
    assert_eq!(server.publish(r#"{"user":"a"}"#, "1")["stored"], 0);
    let nobody = server.post("/v1/revoke", r#"{"user":"a"}"#).json();
    assert_eq!(nobody, json!({"closing": 0, "sessions": 0}));
    for wrong in ["", "{}", r#"{"user":""}"#, r#"{"user":"a","thread":"t"}"#] {
        assert_eq!(server.post("/v1/revoke", wrong).status, 400, "{wrong}");
    }
}

#[test]
fn the_recount_agrees() {
    let server = Server::start();
    let _one = server.connect("user=a");
    let answer = server.post("/v1/check", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let counted = json!({"ok": true, "connections": 1, "sessions": 1, "users": 1, "rooms": 0});
    assert_eq!(answer.json(), counted);
    // Many at once share what is under way.
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(server.post("/v1/check", "").json(), counted));
        }
    });
    assert_eq!(server.post("/v1/check", "{}").json(), counted);
    assert_eq!(server.get("/v1/check").status, 405);
}

#[test]
fn round_trips_are_measured_and_lives_logged() {
    let server = Server::with(&["heartbeat.interval=200ms", "heartbeat.pong_timeout=20s"]);
    let mut client = server.connect("user=abcdefghij&thread=klmnopqrst");
    // Reading a ping queues the answer.
    while !matches!(client.read(), Message::Ping(_)) {}
    client.socket.flush().unwrap();
    let stats = server.until(|stats| stats["heartbeat"]["rtt_ms"].is_number());
    assert!(stats["heartbeat"]["recovered"].is_u64());
    let path = format!("/v1/connections/{}", client.connection());
    assert!(server.get(&path).json()["rtt_ms"].as_f64() > Some(0.0));

    client.socket.close(None).unwrap();
    client.closed();
    drop(client);
    server.until(|stats| stats["connections"]["live"] == 0);
    for (line, parts) in
        [("admitted", &[][..]), ("closed", &["reason=\"peer_closed\"", "code=1000"])]
    {
        let line = server.logged(&[&[" INFO ", line], parts].concat());
        for field in ["connection=", "session=", "user=", "thread="] {
            assert!(line.contains(field), "{field} is not in: {line}");
        }
    }
    let log = server.log();
    assert!(!log.contains("abcdefghij") && !log.contains("klmnopqrst"), "{log}");
}
