//! Coming back: what a client that was away gets, and what it is told that it lost.

use serde_json::{Value, json};

use crate::common::{Client, Server};

/// The query of a client that comes back after the last offset that it has seen.
fn back(client: &Client, user: &str, offset: u64) -> String {
    let epoch = client.welcome["session"]["epoch"].as_str().unwrap();
    format!("user={user}&epoch={epoch}&offset={offset}&previous={}", client.connection())
}

fn numbers(server: &Server, user: &str, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        server.publish(&json!({"user": user}).to_string(), &number.to_string());
    }
}

#[test]
fn who_comes_back_gets_the_rest_before_anything_newer() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    numbers(&server, "a", 1..=3);
    assert_eq!(client.data().len(), 3);
    let query = back(&client, "a", 1);
    drop(client);
    numbers(&server, "a", 4..=5);

    let mut resumed = server.connect(&query);
    assert_eq!(resumed.welcome["recovered"], "all");
    assert_eq!(resumed.welcome["session"]["offset"], 1, "its events begin after that");
    numbers(&server, "a", 6..=6);
    let events = resumed.drain();
    let offsets: Vec<_> = events.iter().map(|event| event["offset"].clone()).collect();
    assert_eq!(offsets, [2, 3, 4, 5, 6], "{events:?}");
    assert!(events.iter().all(|event| event["data"] == event["offset"]), "{events:?}");

    // With nothing missed there is nothing to say.
    let mut again = server.connect(&back(&resumed, "a", 6));
    assert_eq!(again.welcome["recovered"], "all");
    assert!(again.drain().is_empty());
}

#[test]
fn a_previous_of_an_earlier_process_closes_nobody() {
    let server = Server::start();
    let tabs = [server.connect("user=a"), server.connect("user=a")];
    let queries = tabs.each_ref().map(|tab| back(tab, "a", 0));
    drop(server);
    // The same tabs after a restart, in any order: what the first of them names as its predecessor
    // may be what the other one is now.
    for order in [[0, 1], [1, 0]] {
        let server = Server::start();
        let mut back = order.map(|tab: usize| server.connect(&queries[tab]));
        assert!(back.iter_mut().all(|tab| tab.drain().is_empty()));
        assert_eq!(server.stats()["connections"]["live"], 2);
        // Everywhere else it is unknown, and nobody.
        let old = tabs[0].connection();
        let explained = server.get(&format!("/v1/connections/{old}"));
        assert_eq!((explained.status, explained.code().as_str()), (404, "unknown_connection"));
        let sent = server.publish(&json!({"connection": old}).to_string(), "1");
        assert_eq!((&sent["sent"], &sent["stored"]), (&json!(0), &json!(0)));
    }
}

#[test]
fn what_the_log_has_given_up_is_a_gap_and_the_rest_follows() {
    let server = Server::with(&["stream.messages=2"]);
    let client = server.connect("user=a");
    let query = back(&client, "a", 1);
    drop(client);
    server.until(|stats| stats["connections"]["live"] == 0);
    numbers(&server, "a", 1..=5);
    let mut resumed = server.connect(&query);
    assert_eq!(resumed.welcome["recovered"], "gap");
    let frames = resumed.drain();
    let gap = json!({"type": "gap", "stream": "session", "from": 2, "to": 3});
    assert_eq!((frames.len(), &frames[0]), (3, &gap), "{frames:?}");
    assert_eq!((&frames[1]["offset"], &frames[2]["offset"]), (&json!(4), &json!(5)));
}

#[test]
fn rooms_are_resumed_one_by_one() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let mut other = server.connect("user=b");
    let joined = client.ask(r#"{"type":"join","room":"r"}"#);
    other.ask(r#"{"type":"join","room":"r"}"#);
    server.publish(r#"{"room":"r"}"#, "1");
    assert_eq!(client.data(), [json!(1)]);
    client.ask(r#"{"type":"leave","room":"r"}"#);
    server.publish(r#"{"room":"r"}"#, "2");
    let join = json!({"type": "join", "room": "r", "epoch": joined["epoch"], "offset": 1});
    let again = client.ask(&join.to_string());
    assert_eq!((&again["recovered"], &again["offset"]), (&json!("all"), &json!(1)));
    let frames = client.drain();
    assert_eq!(frames, [json!({"type":"event","stream":"room/r","offset":2,"data":2})]);
}

#[test]
fn after_a_restart_everything_is_a_gap() {
    let before = Server::start();
    let mut client = before.connect("user=a");
    numbers(&before, "a", 1..=4);
    client.drain();
    let query = back(&client, "a", 4);
    let (listen, admin) = (before.websocket.to_string(), before.admin.to_string());
    drop(before);
    // Nothing is lost that this process knows of: the stream has no entry yet.
    let after = Server::at(&listen, &admin, &[]);
    let mut resumed = after.connect(&query);
    assert_eq!(resumed.welcome["recovered"], "gap");
    assert_eq!(resumed.welcome["session"]["offset"], 0);
    assert_ne!(resumed.welcome["session"]["epoch"], client.welcome["session"]["epoch"]);
    assert!(resumed.drain().is_empty());
    numbers(&after, "a", 1..=2);
    assert_eq!(resumed.data(), [json!(1), json!(2)]);
    let mut late = after.connect(&query);
    assert_eq!(late.welcome["recovered"], "gap");
    assert_eq!(late.welcome["session"]["offset"], 0);
    assert_eq!(late.drain(), [json!({"type": "gap", "stream": "session", "from": 1, "to": 2})]);
}

#[test]
fn a_foreign_epoch_gets_the_open_runs_and_the_rest_as_gaps_between_them() {
    let server = Server::start();
    let mut first = server.connect("user=a");
    numbers(&server, "a", 1..=2);
    server.post("/v1/runs", r#"{"user":"a","thread":"main","run":"r","agent":"x"}"#);
    numbers(&server, "a", 4..=4);
    server.post("/v1/runs/r/events", r#"{"user":"a","event":"text","delta":"so far"}"#);
    first.drain();
    let mut foreign = server.connect("user=a&epoch=123&offset=9");
    assert_eq!(foreign.welcome["recovered"], "gap");
    assert_eq!(foreign.welcome["session"]["offset"], 0);
    assert_eq!(foreign.welcome["runs"][0]["run"], "r");
    let told: Vec<_> = foreign.drain().iter().map(short).collect();
    assert_eq!(told, ["gap 1..2", "agent_started 3", "gap 4..4", "text 10"]);
    let mut fresh = server.connect("user=a");
    let told: Vec<_> = fresh.drain().iter().map(short).collect();
    assert_eq!(told, ["agent_started 3", "text 10"]);
}

fn short(frame: &Value) -> String {
    match frame["type"].as_str() {
        Some("gap") => format!("gap {}..{}", frame["from"], frame["to"]),
        _ => format!("{} {}", frame["event"].as_str().unwrap_or_default(), frame["offset"]),
    }
}

#[test]
fn a_foreign_epoch_gets_welcome_then_gap() {
    let server = Server::start();
    let mut first = server.connect("user=a");
    numbers(&server, "a", 1..=1);
    first.data();
    // `connect` asserts that the welcome is the first frame.
    let mut foreign = server.connect("user=a&epoch=123&offset=9");
    assert_eq!(foreign.welcome["recovered"], "gap");
    assert_eq!(foreign.drain(), [json!({"type": "gap", "stream": "session", "from": 1, "to": 1})]);

    let mut member = server.connect("user=c");
    member.ask(r#"{"type":"join","room":"r"}"#);
    server.publish(r#"{"room":"r"}"#, "1");
    member.data();
    let joined = foreign.ask(r#"{"type":"join","room":"r","epoch":"123","offset":1,"id":1}"#);
    assert_eq!((&joined["type"], &joined["recovered"]), (&json!("joined"), &json!("gap")));
    assert_eq!(foreign.drain(), [json!({"type": "gap", "stream": "room/r", "from": 1, "to": 1})]);
}

#[test]
fn an_acknowledgement_is_seen_and_trims_nothing() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    client.ask(r#"{"type":"join","room":"r"}"#);
    numbers(&server, "a", 1..=3);
    server.publish(r#"{"room":"r"}"#, "1");
    client.drain();
    let path = format!("/v1/connections/{}", client.connection());
    let cursors = || server.get(&path).json()["cursors"].as_array().unwrap().clone();
    let acknowledged =
        |cursors: &[Value]| [&cursors[0], &cursors[1]].map(|c| c["acknowledged"].clone());
    assert_eq!(acknowledged(&cursors()), [0, 0]);

    let ok = client.ask(r#"{"type":"ack","stream":"session","offset":2,"id":"a"}"#);
    assert_eq!(ok, json!({"type": "ok", "request": "a"}));
    assert_eq!(client.ask(r#"{"type":"ack","stream":"room/r","offset":1}"#), json!({"type": "ok"}));
    let now = cursors();
    assert_eq!(acknowledged(&now), [2, 1]);
    assert_eq!(
        (&now[0]["stream"], &now[0]["offset"], &now[0]["backlog"]),
        (&json!("session"), &json!(3), &json!(0))
    );
    // Backwards is nothing, and beyond what was handed out is all of that.
    client.ask(r#"{"type":"ack","stream":"session","offset":1}"#);
    assert_eq!(acknowledged(&cursors()), [2, 1]);
    client.ask(r#"{"type":"ack","stream":"session","offset":99}"#);
    assert_eq!(acknowledged(&cursors()), [3, 1]);
    assert_eq!(server.stats()["delivery"]["acknowledged"], 3);
    let stranger = client.ask(r#"{"type":"ack","stream":"room/other","offset":1,"id":9}"#);
    assert_eq!((&stranger["code"], &stranger["request"]), (&json!("ack_refused"), &json!(9)));

    let mut resumed = server.connect(&back(&client, "a", 0));
    assert_eq!(resumed.data(), [json!(1), json!(2), json!(3)]);
}

#[test]
fn of_the_latest_only_the_newest_is_kept_and_the_droppable_not_at_all() {
    let server = Server::start();
    let client = server.connect("user=a");
    let query = back(&client, "a", 0);
    drop(client);
    server.until(|stats| stats["connections"]["live"] == 0);
    let publish = |data: &str, class: &str| {
        let body = format!("{{\"to\":{{\"user\":\"a\"}},\"data\":{data},{class}}}");
        let answer = server.post("/v1/publish", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["stored"].clone()
    };
    assert_eq!(publish("10", r#""class":"latest","key":"progress""#), 1);
    assert_eq!(publish("1", r#""class":"latest","key":"other""#), 1);
    assert_eq!(publish("2", r#""class":"droppable""#), 0);
    assert_eq!(publish("20", r#""class":"latest","key":"progress""#), 1);
    assert_eq!(publish("3", r#""class":"critical""#), 1);
    let mut resumed = server.connect(&query);
    let frames = resumed.drain();
    let seen: Vec<_> = frames.iter().filter(|frame| frame["type"] == "event").collect();
    let seen: Vec<_> = seen.iter().map(|frame| frame["data"].clone()).collect();
    assert_eq!(seen, [1, 20, 3], "{frames:?}");
    // Whoever is there and reads gets them all.
    publish("4", r#""class":"droppable""#);
    publish("30", r#""class":"latest","key":"progress""#);
    assert_eq!(resumed.data(), [json!(4), json!(30)]);
}

#[test]
fn who_is_behind_goes_without_the_droppable_and_gets_the_latest_once() {
    let server = Server::with(&["stream.bytes=64MiB", "outbound.user_bytes=128MiB"]);
    let mut client = server.connect("user=a");
    let mut other = server.connect("user=a&thread=other");
    let publish = |data: &str, class: &str| {
        let to = r#"{"user":"a","thread":"main"}"#;
        let answer = server.post("/v1/publish", &format!("{{\"to\":{to},\"data\":{data}{class}}}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    // More than sockets have room for: from here on the client is behind, as it reads nothing.
    let large = format!("\"{}\"", "x".repeat(12 << 20));
    for _ in 0..3 {
        publish(&large, "");
    }
    server.until(|stats| stats["delivery"]["deferred"].as_u64() > Some(0));
    for number in ["4", "5"] {
        assert_eq!(publish(number, r#","class":"droppable""#)["deferred"], 1);
    }
    for number in ["6", "7", "8"] {
        publish(number, r#","class":"latest","key":"k""#);
    }
    publish("9", "");
    // One by one: an answer to a ping would overtake what the client is behind with.
    let frames: Vec<_> = (0..6).map(|_| client.next()).collect();
    assert!(
        frames[..3].iter().all(|frame| frame["data"].as_str().is_some_and(|x| x.len() > 1 << 20))
    );
    assert_eq!(frames[3], json!({"type": "gap", "stream": "session", "from": 4, "to": 5}));
    assert_eq!((&frames[4]["data"], &frames[4]["offset"]), (&json!(8), &json!(8)));
    assert_eq!(frames[5]["data"], 9);
    assert!(client.drain().is_empty() && other.drain().is_empty());
}

#[test]
fn a_text_is_whole_after_many_reconnects_in_the_middle_of_it() {
    const DELTAS: usize = 600;
    // The client comes back far more often than a person would.
    let server = Server::with(&["limits.connect_rate_per_user=0"]);
    let opening = json!({"user": "a", "thread": "main", "run": "r", "agent": "x"});
    assert_eq!(server.post("/v1/runs", &opening.to_string()).status, 201);
    let delta = |number: usize| format!("{number}é🦀\n");
    let whole: String = (0..DELTAS).map(delta).collect();
    let mut client = server.connect("user=a");
    let (mut read, mut ended, mut seen) = (String::new(), false, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..DELTAS {
                let body = json!({"user": "a", "event": "text", "delta": delta(number)});
                let answer = server.post("/v1/runs/r/events", &body.to_string());
                assert_eq!(answer.status, 200, "{answer:?}");
            }
            let end = json!({"user": "a", "event": "agent_completed", "result": 1});
            assert_eq!(server.post("/v1/runs/r/events", &end.to_string()).status, 200);
        });
        let mut events = 0;
        while !ended {
            let frame = client.next();
            assert_eq!(frame["type"], "event", "{frame}");
            assert!(frame["offset"].as_u64() > Some(seen), "{frame} after {seen}");
            seen = frame["offset"].as_u64().unwrap();
            match frame["event"].as_str().unwrap() {
                "text" => read.push_str(frame["data"]["delta"].as_str().unwrap()),
                "agent_completed" => ended = true,
                other => assert_eq!(other, "agent_started"),
            }
            events += 1;
            if events % 5 == 0 && !ended {
                client = server.connect(&back(&client, "a", seen));
                assert_eq!(client.welcome["recovered"], "all");
            }
        }
    });
    assert_eq!(read, whole);
    assert_eq!(server.post("/v1/check", "").status, 200);
}
