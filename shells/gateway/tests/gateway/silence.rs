//! Who does not answer: suspected, then found to be there after all, or given up; and never blamed
//! for a process that stood still.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Client, Server};

fn explained(server: &Server, client: &Client) -> Value {
    server.get(&format!("/v1/connections/{}", client.connection())).json()
}

#[test]
fn a_late_answer_recovers_and_none_ends_it() {
    let server = Server::with(&[
        "heartbeat.interval=100ms",
        "heartbeat.pong_timeout=3s",
        "session.close_handshake=100ms",
    ]);
    // Nobody reads its socket, so nobody answers.
    let mut client = server.connect("user=late");
    let connection = format!("connection={:?}", client.connection());
    let line = server.logged(&["suspect", &connection]);
    for field in [" WARN ", "session=", "user=", "thread="] {
        assert!(line.contains(field), "{field} is not in: {line}");
    }
    let shown = explained(&server, &client);
    assert_eq!((&shown["state"], &shown["next"]["what"]), (&json!("suspect"), &json!("close")));
    assert_eq!(shown["next"]["reason"], "pong_timeout");

    // A frame of any kind is a sign of life; reading up to its answer takes the pings, too.
    client.drain();
    assert!(server.logged(&["recovered", &connection]).contains(" INFO "));
    assert!(server.stats()["heartbeat"]["recovered"].as_u64() >= Some(1));
    assert_eq!(explained(&server, &client)["state"], "open");

    // Silent for good, this time.
    server.logged(&["closed", &connection, "reason=\"pong_timeout\"", "code=4412"]);
}

/// A client that owes an answer to a ping for longer than it has, because the process stood still
/// for most of that time.
fn kept_through_a_standstill(threshold: &str) -> bool {
    let threshold = format!("heartbeat.pause_threshold={threshold}");
    let server =
        Server::with(&["heartbeat.interval=100ms", "heartbeat.pong_timeout=3s", &threshold]);
    let mut client = server.connect("user=a");
    server.until(|stats| stats["heartbeat"]["pings_sent"] == 1);
    server.signal("STOP");
    std::thread::sleep(Duration::from_millis(3_300));
    server.signal("CONT");
    let stats = server.until(|stats| {
        stats["heartbeat"]["pauses"] != 0 || stats["connections"]["closed"]["pong_timeout"] != 0
    });
    if stats["connections"]["closed"]["pong_timeout"] != 0 {
        return false;
    }
    client.drain();
    assert_eq!(explained(&server, &client)["state"], "open");
    server.logged(&["the process paused", "lasted_ms="]);
    let stats = server.stats();
    assert_eq!(
        (&stats["heartbeat"]["timeouts"], &stats["connections"]["live"]),
        (&json!(0), &json!(1))
    );
    true
}

#[test]
fn nobody_is_blamed_for_a_standstill_of_the_process() {
    let unforgiving = std::thread::spawn(|| kept_through_a_standstill("1h"));
    assert!(kept_through_a_standstill("500ms"));
    assert!(!unforgiving.join().unwrap(), "it is the threshold that makes the difference");
}
