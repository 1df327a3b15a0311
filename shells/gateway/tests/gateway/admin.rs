//! What back ends see: every answer of the admin port.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;

use crate::common::{Server, raw, request};

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn every_mistake_has_its_status() {
    let server = Server::start();
    for (path, body, status, code) in [
        ("/v1/publish", "", 400, "bad_json"),
        ("/v1/publish", "{", 400, "bad_json"),
        ("/v1/publish", "[]", 400, "bad_json"),
        ("/v1/publish", r#"{"to":{"user":"a"},"data":{"x":}}"#, 400, "bad_json"),
        ("/v1/publish", r#"{"to":{"user":"a"}}"#, 400, "bad_request"),
        ("/v1/publish", r#"{"data":1}"#, 400, "bad_request"),
        ("/v1/publish", r#"{"to":"a","data":1}"#, 400, "bad_request"),
        ("/v1/publish", r#"{"to":{"user":"a","tread":"t"},"data":1}"#, 400, "bad_request"),
        ("/v1/publish", r#"{"to":{"user":"a","thread":null},"data":1}"#, 400, "bad_request"),
        ("/v1/publish", r#"{"to":{},"data":1}"#, 400, "bad_to"),
        ("/v1/publish", r#"{"to":{"everyone":false},"data":1}"#, 400, "bad_to"),
        ("/v1/publish", r#"{"to":{"user":"a","room":"r"},"data":1}"#, 400, "bad_to"),
        ("/v1/publish", r#"{"to":{"run":"r"},"data":1}"#, 400, "bad_to"),
        ("/v1/publish", r#"{"to":{"user":"a","run":"null"},"data":1}"#, 400, "bad_id"),
        ("/v1/publish", r#"{"to":{"user":""},"data":1}"#, 400, "bad_id"),
        ("/v1/publish", r#"{"to":{"connection":"xyz"},"data":1}"#, 400, "bad_id"),
        ("/v1/publish", r#"{"to":{"user":"a"},"data":1,"class":"latest"}"#, 400, "bad_class"),
        ("/v1/publish", r#"{"to":{"user":"a"},"data":1,"key":"k"}"#, 400, "bad_class"),
        ("/v1/publish", r#"{"to":{"user":"a"},"data":1,"class":"best"}"#, 400, "bad_class"),
        ("/v1/runs", r#"{"user":"a","thread":"t","run":"r"}"#, 400, "bad_request"),
        ("/v1/runs/null/events", r#"{"user":"a","event":"agent_cancelled"}"#, 400, "bad_id"),
        ("/v1/runs/r/events", r#"{"user":"a","event":"dance"}"#, 400, "bad_event"),
        ("/v1/runs/r/events", r#"{"user":"a","event":"text"}"#, 400, "bad_request"),
        ("/v1/join", r#"{"user":"a"}"#, 400, "bad_request"),
        ("/v1/join", r#"{"room":"r"}"#, 400, "bad_request"),
        ("/v1/join", r#"{"user":"a","connection":"1","room":"r"}"#, 400, "bad_request"),
        ("/v1/join", r#"{"user":"a","thread":"t","room":"r"}"#, 400, "bad_request"),
        ("/v1/join", r#"{"user":"a","room":"Undefined"}"#, 400, "bad_id"),
        ("/v1/leave", r#"{"connection":"nope","room":"r"}"#, 400, "bad_id"),
        ("/v1/close", r#"{"reason":"x"}"#, 400, "bad_request"),
        ("/v1/close", r#"{"to":{"user":"none"},"reason":"x"}"#, 400, "bad_id"),
        ("/v1/nothing", "{}", 404, "unknown_route"),
        ("/v1/stats", "{}", 405, "wrong_method"),
    ] {
        let answer = server.post(path, body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {body}");
    }
    let admin = server.admin;
    let get = server.get("/v1/publish");
    assert_eq!((get.status, get.code().as_str()), (405, "wrong_method"));
    assert!(get.head.contains("allow: post"), "{}", get.head);
    assert_eq!(server.get("/nowhere").status, 404);
    for kind in [None, Some("text/plain"), Some("application/jsonx")] {
        let headers: Vec<_> = kind.map(|kind| ("content-type", kind)).into_iter().collect();
        let answer = request(admin, "POST", "/v1/publish", &headers, "{}");
        assert_eq!((answer.status, answer.code().as_str()), (415, "not_json"), "{kind:?}");
    }
    let spelled = [("content-type", "Application/JSON; charset=utf-8")];
    let body = r#"{"to":{"user":"a"},"data":1}"#;
    assert_eq!(request(admin, "POST", "/v1/publish", &spelled, body).status, 200);
    let mut bytes = b"POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: application/json\r\nContent-Length: 4\r\n\r\n"
        .to_vec();
    bytes.extend_from_slice(b"{\"\xff\"");
    assert_eq!(raw(admin, &bytes).code(), "bad_json");
}

#[test]
fn only_this_machine_is_answered() {
    let server = Server::start();
    for path in ["/", "/livez", "/v1/stats", "/nowhere"] {
        for headers in [[("host", "example.com")], [("host", "rebound.example.com:7401")]] {
            let answer = request(server.admin, "GET", path, &headers, "");
            assert_eq!((answer.status, answer.code().as_str()), (403, "host"), "{path}");
        }
    }
    let stranger = [JSON, ("origin", "https://example.com")];
    let body = r#"{"to":{"everyone":true},"data":1}"#;
    assert_eq!(request(server.admin, "POST", "/v1/publish", &stranger, body).status, 403);
    let own = [JSON, ("origin", "http://localhost:7401")];
    assert_eq!(request(server.admin, "POST", "/v1/publish", &own, body).status, 200);
}

#[test]
fn bodies_and_messages_have_a_limit() {
    let server = Server::with(&["stream.bytes=4KiB", "stream.room_bytes=2KiB"]);
    let data = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let publish = |to: &str, bytes: usize| {
        server.post("/v1/publish", &format!("{{\"to\":{to},\"data\":{}}}", data(bytes)))
    };
    let (user, room) = (r#"{"user":"a"}"#, r#"{"room":"r"}"#);
    assert_eq!(publish(user, 4_000).status, 200);
    assert_eq!(publish(room, 1_900).status, 200);
    let too_large = publish(user, 4_050);
    assert_eq!((too_large.status, too_large.code().as_str()), (413, "too_large"));
    assert!(too_large.body.contains("stream.bytes"), "{}", too_large.body);
    assert!(publish(room, 2_050).body.contains("stream.room_bytes"));
    // More than the body may have: read to its end, so that the answer arrives; or cut off.
    assert_eq!(publish(user, 100_000).status, 413);
    let chunked = "POST /v1/close HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{chunked}4000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x4000));
    assert_eq!(raw(server.admin, chunk.as_bytes()).status, 413);
}

#[test]
fn a_publish_that_reaches_nobody_says_so() {
    let server = Server::start();
    let nobody = json!({"sent": 0, "deferred": 0, "stored": 0, "positions": []});
    let everyone = json!({"addressed": 0, "stored": 0, "positions": []});
    assert_eq!(server.publish(r#"{"everyone":true}"#, "1"), everyone);
    for to in [
        r#"{"user":"a"}"#,
        r#"{"user":"a","thread":"t"}"#,
        r#"{"room":"r"}"#,
        r#"{"connection":"0000000000000001.00000001000000ff"}"#,
    ] {
        assert_eq!(server.publish(to, "1"), nobody, "{to}");
    }
    // A connection that has ended is nobody too, and a session that lingers keeps the message.
    let client = server.connect("user=a");
    let to = format!("{{\"connection\":{:?}}}", client.connection());
    drop(client);
    server.until(|stats| stats["connections"]["live"] == 0);
    assert_eq!(server.publish(&to, "1"), nobody);
    let lingering = server.publish(r#"{"user":"a"}"#, "1");
    assert_eq!((&lingering["sent"], &lingering["stored"]), (&json!(0), &json!(1)));
}

#[test]
fn a_reader_who_is_behind_is_counted_and_told_what_it_missed() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let data = format!("\"{}\"", "x".repeat(200_000));
    // More than the sockets of both sides and the session's log hold together.
    let mut deferred = 0;
    for _ in 0..100 {
        let answer = server.publish(r#"{"user":"a"}"#, &data);
        assert_eq!(answer["sent"].as_u64().unwrap() + answer["deferred"].as_u64().unwrap(), 1);
        deferred += answer["deferred"].as_u64().unwrap();
    }
    assert!(deferred > 0);
    let to = format!("{{\"connection\":{:?}}}", client.connection());
    // What is in no stream is not kept: the reply reserve takes a few, then no more.
    let refused = (0..100).map(|_| server.publish(&to, &data)).find(|answer| answer["sent"] == 0);
    assert_eq!(
        refused,
        Some(json!({"sent": 0, "deferred": 0, "stored": 0, "positions": [], "full": true}))
    );

    let (mut next, mut lost) = (1, 0);
    while next <= 100 {
        let frame = client.next();
        match frame["type"].as_str().unwrap() {
            "event" if frame.get("stream").is_none() => continue,
            "event" => assert_eq!(frame["offset"], next),
            "gap" => {
                assert_eq!((&frame["stream"], &frame["from"]), (&json!("session"), &json!(next)));
                lost += frame["to"].as_u64().unwrap() - next + 1;
                next = frame["to"].as_u64().unwrap();
            }
            other => panic!("{other}"),
        }
        next += 1;
    }
    assert!(lost > 0);
    assert_eq!(server.publish(&to, "1")["sent"], 1);
    assert_eq!(client.data(), [json!(1)]);
    server.logged(&["behind"]);
    server.logged(&["gap", "from="]);
    assert!(server.stats()["delivery"]["gaps"].as_u64() > Some(0));
}

#[test]
fn an_announcement_says_whom_it_addresses_and_not_that_it_was_sent() {
    let server = Server::with(&["outbound.window=4KiB"]);
    let mut clients: Vec<_> = (0..10).map(|user| server.connect(&format!("user={user}"))).collect();
    // More than the sockets of both sides hold: the window stays full.
    let data = format!("\"{}\"", "x".repeat(200_000));
    for user in 0..10 {
        for _ in 0..50 {
            server.publish(&format!("{{\"user\":\"{user}\"}}"), &data);
        }
    }
    let answer = server.publish(r#"{"everyone":true}"#, "1");
    assert_eq!(answer, json!({"addressed": 10, "stored": 0, "positions": []}));
    let stats = server.until(|stats| stats["delivery"]["skipped"] == 10);
    assert_eq!(stats["connections"]["open"], 10);
    // Those that have room get it.
    clients.push(server.connect("user=new"));
    assert_eq!(server.publish(r#"{"everyone":true}"#, "2")["addressed"], 11);
    assert_eq!(clients[10].data(), [json!(2)]);
}

#[test]
fn a_body_is_exactly_one_of_the_documented_ones() {
    let server = Server::start();
    let mut client = server.connect("user=alice&thread=bob");
    for (path, body, part) in [
        ("publish", r#"{"to":["alice","bob"],"data":1}"#, "to must be an object"),
        ("publish", r#"{"to":["alice"],"data":1}"#, "to must be an object"),
        ("publish", r#"{"to":"alice","data":1}"#, "to must be an object"),
        ("publish", r#"{"to":7,"data":1}"#, "to must be an object"),
        ("publish", r#"{"to":{"user":"alice"},"thread":"bob","data":1}"#, "\"thread\""),
        ("publish", r#"{"to":{"user":"alice","Thread":"bob"},"data":1}"#, "\"to.Thread\""),
        ("publish", r#"{"to":{"user":"alice"},"data":1,"ttl":5}"#, "\"ttl\""),
        ("publish", r#"[{"user":"alice"},1]"#, "object"),
        ("close", r#"{"to":["alice","bob"]}"#, "to must be an object"),
        ("close", r#"{"to":{"user":"alice"},"thread":"other"}"#, "\"thread\""),
        ("close", r#"{"to":{"user":"alice"},"reasn":"x"}"#, "\"reasn\""),
        ("close", r#"{"to":{"user":"alice"},"reason":["x"]}"#, "reason must be a string"),
        ("join", r#"{"user":"alice","room":"r","thread":"bob"}"#, "\"thread\""),
        ("join", r#"{"user":["alice"],"room":"r"}"#, "user must be a string"),
        (
            "leave",
            r#"{"user":"alice","rooms":["r"]}"#,
            "\"rooms\" is not a field here; there are user, connection, room",
        ),
        ("leave", r#"{"user":"alice","room":"r","all":true}"#, "\"all\""),
        ("revoke", r#"{"user":"alice","thread":"bob"}"#, "\"thread\""),
        ("revoke", r#"["alice"]"#, "object"),
        ("drain", r#"{"deadline":5}"#, "\"deadline\""),
        ("drain", r#"{"deadline_ms":"5"}"#, "deadline_ms must be a whole number"),
        ("check", r#"{"user":"alice"}"#, "\"user\""),
        ("runs", r#"["alice","bob","r","a"]"#, "object"),
        ("runs", r#"{"user":["alice"],"thread":"bob","run":"r","agent":"a"}"#, "user must be"),
    ] {
        let answer = server.post(&format!("/v1/{path}"), body);
        assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{path} {body}: {message}");
    }
    // Nor does a query mean something that a call does not take.
    let body = r#"{"to":{"everyone":true}}"#;
    for path in ["/v1/close?user=bob", "/v1/publish?thread=t", "/v1/drain?dry_run=1"] {
        let answer = server.post(path, body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_query"), "{path}");
    }
    for path in ["/v1/stats?user=a", "/v1/connections?usr=a", "/v1/closed?limit=1&limit=2"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_query"), "{path}");
    }
    assert_eq!(server.get("/livez?probe=1").status, 200);
    assert_eq!(client.data(), [json!(null); 0], "nothing of it had an effect");
}

#[test]
fn an_idempotency_key_sends_once() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let post = |key: &str, body: &str| {
        let headers = [JSON, ("Idempotency-Key", key)];
        request(server.admin, "POST", "/v1/publish", &headers, body)
    };
    let body = r#"{"to":{"user":"a"},"data":1}"#;
    let first = post("k", body);
    assert_eq!(first.status, 200);
    assert_eq!(first.json()["positions"][0]["offset"], 1);
    assert_eq!(post("k", body).body, first.body);
    let other = post("k", r#"{"to":{"user":"a"},"data":2}"#);
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(post("l", body).json()["positions"][0]["offset"], 2);
    assert_eq!(client.data(), [json!(1), json!(1)]);
    for wrong in ["", "\u{e9}", &"x".repeat(256)] {
        assert_eq!(post(wrong, body).code(), "bad_idempotency_key");
    }
}

#[test]
fn the_statistics_add_up() {
    let server = Server::start();
    let mut a = server.connect("user=a");
    let mut b = server.connect("user=b");
    let gone = server.connect("user=c");
    a.ask(r#"{"type":"join","room":"r"}"#);
    b.ask(r#"{"type":"join","room":"r"}"#);
    server.publish(r#"{"room":"r"}"#, "1");
    drop(gone);
    let stats = server.until(|stats| stats["connections"]["live"] == 2);
    let connections = &stats["connections"];
    let closed: u64 =
        connections["closed"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(connections["opened"], 3);
    assert_eq!(closed, 1);
    assert_eq!(connections["closed"]["peer_gone"], 1);
    assert_eq!((&connections["open"], &connections["pending"]), (&json!(2), &json!(0)));
    let sessions = ["opened", "live", "ended", "refused"].map(|key| &stats["sessions"][key]);
    assert_eq!(sessions, [&json!(3), &json!(3), &json!(0), &json!(0)]);
    let ended = stats["sessions"]["ended_by"].as_object().unwrap();
    assert!(ended.len() == 6 && ended.values().all(|count| *count == 0), "{ended:?}");
    assert_eq!((&stats["users"], &stats["rooms"]), (&json!(3), &json!(1)));
    assert_eq!(
        (&stats["delivery"]["stored"], &stats["delivery"]["deferred"]),
        (&json!(1), &json!(0))
    );
    for key in ["pings_sent", "pongs_received", "timeouts"] {
        assert!(stats["heartbeat"][key].is_u64(), "{key}");
    }
    assert!(stats["delivery"]["gaps"].is_u64() && stats["delivery"]["shed"].is_u64());
}

#[test]
fn health_and_the_page() {
    let server = Server::start();
    assert_eq!(server.get("/livez").status, 200);
    assert_eq!(server.get("/readyz").json()["status"], "ready");
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"));
    assert!(page.head.contains("content-security-policy: default-src 'none'"));
    assert!(page.head.contains("x-content-type-options: nosniff"));
    assert!(page.body.contains(&format!("ws://{}/ws", server.websocket)));
}

#[test]
fn health_is_answered_beside_three_hundred_kept_connections_and_deaf_pipeliners() {
    let server = Server::with(&["limits.connect_rate=0"]);
    // Long names: pages of them are large.
    let name = "n".repeat(110);
    let clients: Vec<_> =
        (0..700).map(|n| server.connect(&format!("user={name}{n}&thread={name}"))).collect();
    let before = server.stats()["memory_bytes"].as_u64();
    let deaf = "GET /v1/connections?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50);
    let mut kept = Vec::new();
    for text in [deaf.as_str(), "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        for _ in 0..300 {
            let mut stream = TcpStream::connect(server.admin).unwrap();
            // One that has given way by now is no mistake.
            let _ = stream.write_all(text.as_bytes());
            kept.push(stream);
        }
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
    }
    let after = server.stats()["memory_bytes"].as_u64();
    if let (Some(before), Some(after)) = (before, after) {
        // 256 KiB for each of those that can be there.
        assert!(after.saturating_sub(before) < 320 * 256 * 1024, "from {before} to {after} bytes");
    }
    drop((clients, kept));
}
