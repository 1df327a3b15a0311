//! Who is let in, who makes room, and who is too fast.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Client, Server, request};

#[test]
fn the_one_that_was_silent_longest_makes_room() {
    let server = Server::with(&["limits.connections_per_user=2"]);
    let mut first = server.connect("user=a");
    let mut second = server.connect("user=a");
    first.ask(r#"{"type":"ping"}"#);
    let mut third = server.connect("user=a");
    assert_eq!(second.closed(), 4504);
    assert!(first.drain().is_empty() && third.drain().is_empty(), "both stay");

    let server = Server::with(&[
        "limits.connections_per_user=2",
        "limits.over_cap=evict-oldest",
        "session.close_handshake=100ms",
    ]);
    let mut first = server.connect("user=a");
    let mut second = server.connect("user=a");
    first.ask(r#"{"type":"ping"}"#);
    let mut third = server.connect("user=a");
    assert_eq!(first.closed(), 4504);
    assert!(second.drain().is_empty() && third.drain().is_empty(), "both stay");
    let stats = server.until(|stats| stats["connections"]["closed"]["evicted"] == 1);
    assert_eq!(stats["sessions"]["refused"], 0);
}

#[test]
fn who_came_and_went_keeps_nobody_out() {
    let server = Server::with(&["limits.users=2", "limits.rooms=1", "session.linger=10m"]);
    for user in ["a", "b", "c", "d"] {
        let mut client = server.connect(&format!("user={user}"));
        let joined = client.ask(&format!(r#"{{"type":"join","room":"{user}"}}"#));
        assert_eq!(joined["type"], "joined", "{joined}");
        server.publish(&format!(r#"{{"room":"{user}"}}"#), "1");
        drop(client);
        server.until(|stats| stats["connections"]["live"] == 0);
    }
    let stats = server.stats();
    assert_eq!((&stats["users"], &stats["rooms"]), (&json!(2), &json!(1)));
    assert_eq!(stats["sessions"]["ended_by"]["made_room"], 2);
    assert_eq!(stats["rooms_ended"]["made_room"], 3);
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("headcount_sessions_ended_total{why=\"made_room\"} 2\n"), "{metrics}");
    assert!(metrics.contains("headcount_rooms_ended_total{why=\"made_room\"} 3\n"), "{metrics}");

    // Two users who stay are another matter.
    let (_first, _second) = (server.connect("user=e"), server.connect("user=f"));
    let (status, head, body) = refusal(&server, "user=g", &[]);
    assert_eq!((status, &body["error"]["code"]), (503, &json!("users")));
    assert!(head.contains("retry-after: 5"), "{head}");
}

#[test]
fn the_rooms_of_one_user_are_limited_over_all_connections_and_through_both_doors() {
    let server = Server::with(&["limits.rooms_per_user=3"]);
    let (mut one, mut two) = (server.connect("user=a"), server.connect("user=a"));
    for room in ["x", "y"] {
        let joined = one.ask(&format!(r#"{{"type":"join","room":"{room}"}}"#));
        assert_eq!(joined["type"], "joined", "{joined}");
    }
    assert_eq!(two.ask(r#"{"type":"join","room":"x"}"#)["type"], "joined");
    let refused = two.ask(r#"{"type":"join","room":"z","id":1}"#);
    assert_eq!((&refused["code"], &refused["request"]), (&json!("rooms_per_user"), &json!(1)));
    let answer = server.post("/v1/join", r#"{"user":"a","room":"x"}"#).json();
    assert_eq!((&answer["already"], &answer["refused"]), (&json!(2), &json!(0)), "{answer}");
    let answer = server.post("/v1/join", r#"{"user":"a","room":"z"}"#).json();
    assert_eq!((&answer["refused"], &answer["code"]), (&json!(2), &json!("rooms_per_user")));
    let mut other = server.connect("user=b");
    assert_eq!(other.ask(r#"{"type":"join","room":"z"}"#)["type"], "joined");
    two.ask(r#"{"type":"leave","room":"x"}"#);
    assert_eq!(two.ask(r#"{"type":"join","room":"z"}"#)["type"], "joined");
}

/// A refusal with everything in its head.
fn refusal(server: &Server, query: &str, headers: &[(&str, &str)]) -> (u16, String, Value) {
    let mut all = vec![
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    all.extend(headers);
    let answer = request(server.websocket, "GET", &format!("/ws?{query}"), &all, "");
    (answer.status, answer.head.clone(), answer.json())
}

#[test]
fn under_refuse_the_newcomer_is_told_when_to_come_back() {
    let server = Server::with(&[
        "limits.connections_per_user=2",
        "limits.sessions_per_user=1",
        "limits.over_cap=refuse",
    ]);
    let mut first = server.connect("user=a");
    let mut second = server.connect("user=a");
    let (status, head, body) = refusal(&server, "user=a", &[]);
    assert_eq!((status, &body["error"]["code"]), (429, &json!("connections_per_user")));
    assert!(head.contains("retry-after: "), "{head}");
    assert!(first.drain().is_empty() && second.drain().is_empty(), "both stay");

    let other = server.connect("user=b");
    let (status, head, body) = refusal(&server, "user=b&thread=t", &[]);
    assert_eq!((status, &body["error"]["code"]), (429, &json!("sessions_per_user")));
    assert!(head.contains("retry-after: "), "{head}");
    drop(other);
}

#[test]
fn a_client_takes_its_own_connection_over() {
    let server = Server::with(&["limits.connections_per_user=1", "limits.over_cap=refuse"]);
    let mut old = server.connect("user=a");
    let previous = old.connection().to_owned();
    assert_eq!(server.refused(&format!("user=a&thread=other&previous={previous}")).0, 429);
    let mut new = server.connect(&format!("user=a&previous={previous}"));
    assert_eq!(old.closed(), 4505);
    assert_eq!(new.welcome["recovered"], "fresh");
    // With the position too, and it works as often as it is needed.
    let previous = new.connection().to_owned();
    let epoch = new.welcome["session"]["epoch"].as_str().unwrap().to_owned();
    let mut newest = server.connect(&format!("user=a&previous={previous}&epoch={epoch}&offset=0"));
    assert_eq!(new.closed(), 4505);
    assert!(newest.drain().is_empty());

    // A stranger's connection, or one that has ended, is ignored.
    let mut stranger = server.connect(&format!("user=b&previous={}", newest.connection()));
    assert!(stranger.drain().is_empty() && newest.drain().is_empty());
    assert!(server.connect(&format!("user=c&previous={previous}")).drain().is_empty());
    // So is a name of another form, which another server gave; but one connection has one predecessor.
    for foreign in ["previous=", "previous=xyz", "previous=1"] {
        assert_eq!(server.connect(&format!("user=d&{foreign}")).welcome["recovered"], "fresh");
    }
    assert!(newest.drain().is_empty());
    assert_eq!(server.refused("user=d&previous=1&previous=2").0, 400);
}

#[test]
fn who_sends_too_fast_is_told_and_then_closed() {
    let server = Server::with(&[
        "limits.message_rate=1",
        "limits.message_burst=3",
        "session.close_handshake=100ms",
    ]);
    let mut client = server.connect("user=a");
    for _ in 0..3 {
        assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok");
    }
    let error = client.ask(r#"{"type":"ping","id":1}"#);
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("rate_limited")));
    for _ in 0..2 {
        client.send(r#"{"type":"ping"}"#);
    }
    assert_eq!(client.closed(), 4413);
    server.until(|stats| stats["connections"]["closed"]["rate_limited"] == 1);
}

#[test]
fn an_idle_client_and_an_old_one_are_let_go() {
    let server = Server::with(&["session.idle=150ms", "session.close_handshake=100ms"]);
    let mut idle = server.connect("user=a");
    assert_eq!(idle.closed(), 1000);
    server.until(|stats| stats["connections"]["closed"]["idle"] == 1);
    let server = Server::with(&["session.max_lifetime=150ms", "session.close_handshake=100ms"]);
    let mut old = server.connect("user=a");
    assert_eq!(old.closed(), 1012);
    server.until(|stats| stats["connections"]["closed"]["lifetime_ended"] == 1);
}

#[test]
fn an_address_has_a_rate_of_its_own_if_that_is_asked_for() {
    let server = Server::with(&["limits.connect_rate_per_ip=1", "trusted_proxies=127.0.0.0/8"]);
    let from = |address: &str, user: &str| {
        Client::with_header(server.websocket, &format!("user={user}"), "x-forwarded-for", address)
            .map(|client| client.connection().to_owned())
            .map_err(|(status, _)| status)
    };
    assert!(from("192.0.2.1", "a").is_ok());
    assert_eq!(from("192.0.2.1", "b"), Err(429));
    // What stands before the last one can be made up.
    assert_eq!(from("198.51.100.7, 192.0.2.1", "b"), Err(429));
    assert!(from("192.0.2.2", "c").is_ok());
    let (status, head, body) = refusal(&server, "user=d", &[("X-Forwarded-For", "192.0.2.2")]);
    assert_eq!((status, &body["error"]["code"]), (429, &json!("connect_rate_per_ip")));
    assert!(head.ends_with("retry-after: 1"), "{head}");
    std::thread::sleep(Duration::from_millis(1_050));
    assert!(from("192.0.2.1", "b").is_ok());

    let untrusting = Server::with(&["limits.connect_rate_per_ip=1"]);
    let _first = untrusting.connect("user=a");
    let header = [("X-Forwarded-For", "192.0.2.9")];
    assert_eq!(refusal(&untrusting, "user=b", &header).0, 429, "the header is anyone's");
}

#[test]
fn the_crowded_are_probed_and_the_unanswering_given_up_early() {
    let server = Server::with(&[
        "limits.connections_per_user=4",
        "pressure.proactive=50%",
        "pressure.emergency=75",
        "pressure.emergency_deadline=300ms",
        "heartbeat.interval=100ms",
        "heartbeat.pong_timeout=60s",
        "session.close_handshake=100ms",
    ]);
    // It is there, but nobody reads: no pong will come.
    let mut ghost = server.connect("user=a");
    server.until(|stats| stats["heartbeat"]["pings_sent"].as_u64() > Some(0));
    let tabs = [server.connect("user=a"), server.connect("user=a")];
    let stats = server.until(|stats| stats["connections"]["closed"]["pong_timeout"] != 0);
    assert!(stats["pressure"]["level_changes"].as_u64() >= Some(2), "{}", stats["pressure"]);
    assert_eq!(ghost.closed(), 4412);
    drop(tabs);
    server.logged(&["pressure", "level=\"emergency\""]);
}
