//! Leaving in good order.

use std::io::{ErrorKind, Read as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Client, Server};

/// Reads the announcement, then the close.
fn drained(client: &mut Client) -> u16 {
    let frame = client.next();
    assert_eq!(frame["type"], "draining", "{frame}");
    let within = frame["reconnect_ms"].as_array().unwrap();
    assert!(within.len() == 2 && within[0].as_u64() < within[1].as_u64(), "{frame}");
    client.closed()
}

#[test]
fn a_thousand_are_told_then_closed_within_the_deadline() {
    let server = Server::with(&["limits.connect_rate=0", "drain.deadline=3s"]);
    let mut clients: Vec<_> =
        (0..1_000).map(|user| server.connect(&format!("user={user}"))).collect();
    let start = Instant::now();
    server.signal("TERM");
    // They answer at their own pace, as browsers do.
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut share = clients.split_off(clients.len().saturating_sub(250));
            std::thread::spawn(move || {
                for client in &mut share {
                    assert_eq!(drained(client), 1012);
                    while client.socket.read().is_ok() {}
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(log.contains("draining connections=1000"), "{log}");
}

#[test]
fn while_it_drains_newcomers_are_told_to_come_back() {
    let server = Server::with(&["drain.grace=2s", "drain.deadline=4s"]);
    let mut client = server.connect("user=a");
    assert_eq!(server.get("/readyz").status, 200);
    server.signal("TERM");
    assert_eq!(client.next()["type"], "draining");
    let (status, body) = server.refused("user=b");
    assert_eq!((status, &body["error"]["code"]), (503, &json!("draining")));
    let ready = server.get("/readyz");
    assert_eq!((ready.status, ready.code().as_str()), (503, "draining"));
    assert_eq!(server.get("/livez").status, 200);
    assert_eq!(server.stats()["draining"], true);
    // Who was there before goes on working.
    server.publish(r#"{"user":"a"}"#, "1");
    assert_eq!(client.data(), [json!(1)]);
    server.signal("TERM");
    let start = Instant::now();
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(1), "the second signal does not wait");
}

#[test]
fn nobody_who_does_not_read_holds_up_the_end() {
    let server = Server::with(&["drain.deadline=800ms"]);
    let _deaf = server.connect("user=a");
    let _half = std::net::TcpStream::connect(server.websocket).unwrap();
    server.until(|stats| stats["connections"]["pending"] == 1);
    server.signal("INT");
    let start = Instant::now();
    assert_eq!(server.wait().0.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn the_back_end_drains_and_the_process_stays() {
    let server = Server::start();
    let mut clients = [server.connect("user=a"), server.connect("user=b")];
    for wrong in [r#"{"deadline_ms":0}"#, r#"{"deadline_ms":null}"#, r#"{"deadline":1}"#, "[]"] {
        assert_eq!(server.post("/v1/drain", wrong).status, 400, "{wrong}");
    }
    assert_eq!(server.get("/readyz").status, 200);
    let answer = server.post("/v1/drain", r#"{"deadline_ms":1500}"#).json();
    assert_eq!(answer, json!({"draining": true, "connections": 2, "deadline_ms": 1500}));
    assert_eq!(server.get("/readyz").status, 503);
    for client in &mut clients {
        assert_eq!(drained(client), 1012);
        while client.socket.read().is_ok() {}
    }
    let stats = server.until(|stats| stats["connections"]["live"] == 0);
    assert_eq!(stats["connections"]["closed"]["restart"], 2);
    let body: Value = server.refused("user=c").1;
    assert_eq!(body["error"]["code"], "draining");
    assert_eq!(server.get("/readyz").status, 503, "until somebody ends it");
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

/// Reads what arrives to the end of the socket and answers nothing, not even the close.
fn ignores_everything(client: &mut Client) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        // A close that finds unread input on the other side arrives as a reset.
        match client.socket.get_mut().read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return received,
            Ok(length) => received.extend_from_slice(&buffer[..length]),
        }
    }
}

#[test]
fn who_ignores_a_drain_is_cut_off_at_its_deadline() {
    // Each could take a minute for its close, if it were not for the drain.
    let server = Server::with(&[
        "session.close_handshake=60s",
        "drain.grace=200ms",
        "drain.deadline=1500ms",
    ]);
    let clients: Vec<_> = (0..20).map(|user| server.connect(&format!("user={user}"))).collect();
    let start = Instant::now();
    server.signal("TERM");
    let ignoring: Vec<_> = clients
        .into_iter()
        .map(|mut client| std::thread::spawn(move || ignores_everything(&mut client)))
        .collect();
    for client in ignoring {
        let received = client.join().unwrap();
        let text = String::from_utf8_lossy(&received);
        assert!(text.contains("\"type\":\"draining\""), "{text}");
        // Its last frame: a close with 1012 and its name.
        assert!(received.ends_with(b"\x88\x09\x03\xf4restart"), "{text}");
    }
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let lasted = start.elapsed();
    let (least, most) = (Duration::from_millis(1_500), Duration::from_millis(4_000));
    assert!((least..most).contains(&lasted), "{lasted:?}");
    assert_eq!(log.matches("reason=\"restart\"").count(), 20, "{log}");
}

#[test]
fn a_drain_on_request_can_be_undone() {
    let server = Server::with(&["drain.grace=60s", "drain.deadline=120s"]);
    let mut client = server.connect("user=a");
    let undo = || crate::common::request(server.admin, "DELETE", "/v1/drain", &[], "");
    let expected = json!({"draining": false, "cancelled": false, "connections": 1});
    assert_eq!(undo().json(), expected, "there is none");
    assert_eq!(server.post("/v1/drain", "").status, 200);
    assert_eq!(client.next()["type"], "draining");
    assert_eq!((server.get("/readyz").status, server.refused("user=b").0), (503, 503));
    let expected = json!({"draining": false, "cancelled": true, "connections": 1});
    assert_eq!(undo().json(), expected);
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.stats()["draining"], json!(false));
    assert_eq!(client.ask(r#"{"type":"ping"}"#)["type"], "ok", "it stays");
    server.connect("user=b");
    // A body that was meant for another call is refused.
    let headers = [("content-type", "application/json")];
    let body = r#"{"deadline_ms":5}"#;
    let refused = crate::common::request(server.admin, "DELETE", "/v1/drain", &headers, body);
    assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"));
}

#[test]
fn the_end_of_the_process_can_not_be_undone() {
    let server = Server::with(&["drain.grace=200ms", "drain.deadline=1s"]);
    let mut client = server.connect("user=a");
    server.signal("TERM");
    assert_eq!(client.next()["type"], "draining");
    let answer = crate::common::request(server.admin, "DELETE", "/v1/drain", &[], "");
    assert_eq!((answer.status, answer.code().as_str()), (409, "stopping"));
    assert_eq!(client.closed(), 1012);
    assert_eq!(server.wait().0.code(), Some(0));
}
