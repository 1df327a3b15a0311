//! The stories of the system that the registry replaces, from outside: the real binary with the figures
//! of that system (`profile=origin`) and with tokens. What went wrong there is in the name of each test,
//! the right way round.
//!
//! That system counted a manager for each user and thread, 20 of a user: so these are told with as many
//! connections, unless they are about the limit of 3.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::tokens::{ADMIN, connect, introduce, server, token};
use crate::common::{Answer, Client, Server};

const TWENTY: &str = "limits.connections_per_user=20";

fn origin(settings: &[&str]) -> Server {
    server(&[&["profile=origin"], settings].concat())
}

/// A token of a user, for any thread.
fn of(user: &str) -> String {
    token(json!({"sub": user}))
}

fn tab(server: &Server, user: &str, thread: &str) -> Client {
    connect(server, &format!("thread={thread}"), &of(user)).expect("a tab")
}

fn call(server: &Server, path: &str, body: Value) -> Answer {
    server.keyed(ADMIN, "POST", path, &body.to_string())
}

fn publish(server: &Server, to: Value, data: Value) -> Value {
    let answer = call(server, "/v1/publish", json!({"to": to, "data": data}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn stats(server: &Server) -> Value {
    server.keyed(ADMIN, "GET", "/v1/stats", "").json()
}

/// Waits until the statistics say so.
fn until(server: &Server, condition: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let stats = stats(server);
        if condition(&stats) {
            return stats;
        }
        assert!(start.elapsed() < crate::common::PATIENCE, "still not so: {stats}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Everything is counted again, and what has come is what is there and what has gone.
fn assert_adds_up(server: &Server) {
    assert_eq!(call(server, "/v1/check", json!({})).json()["ok"], true);
    let stats = stats(server);
    let count = |value: &Value| value.as_u64().unwrap();
    let closed: u64 = stats["connections"]["closed"].as_object().unwrap().values().map(count).sum();
    assert_eq!(
        count(&stats["connections"]["opened"]),
        count(&stats["connections"]["live"]) + closed
    );
}

/// The offsets of events, each of which has its own as its data.
fn numbered(frames: &[Value]) -> Vec<u64> {
    let offset = |frame: &Value| {
        assert_eq!(frame["data"], frame["offset"], "{frame}");
        frame["offset"].as_u64().unwrap()
    };
    frames.iter().map(offset).collect()
}

#[test]
fn eight_tabs_stay_and_closing_three_closes_no_other() {
    let server = origin(&[TWENTY]);
    let mut tabs: Vec<_> = (0..8).map(|n| tab(&server, "alice", &format!("t{}", n % 3))).collect();
    let sessions = stats(&server)["sessions"].clone();
    assert_eq!(sessions["live"], 3, "{sessions}");
    for closes in [6, 3, 0] {
        drop(tabs.remove(closes));
    }
    until(&server, |stats| stats["connections"]["live"] == 5);
    publish(&server, json!({"user": "alice"}), json!("for all"));
    for tab in &mut tabs {
        assert_eq!(tab.data(), [json!("for all")]);
    }
    assert_adds_up(&server);
}

#[test]
fn a_cold_start_burst_of_25_against_a_cap_of_20_refuses_no_tab() {
    let server = origin(&[TWENTY]);
    let (begin, mut tabs) = (Instant::now(), Vec::new());
    for number in 0..25 {
        // 15 a second are part of the story.
        let due = begin + Duration::from_secs(1) * number / 15;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        tabs.push(tab(&server, "alice", "main"));
        let open = stats(&server)["connections"]["open"].as_u64().unwrap();
        assert!(open <= 20, "{open} are open");
    }
    // Those that made room were told not to come back, and all others are there.
    let mut stayed = tabs.split_off(5);
    for evicted in &mut tabs {
        assert_eq!(evicted.closed(), 4504);
    }
    publish(&server, json!({"user": "alice"}), json!(1));
    assert!(stayed.iter_mut().all(|tab| tab.data() == [json!(1)]));
    drop(tabs);
    let stats = until(&server, |stats| stats["connections"]["live"] == 20);
    assert_eq!(stats["connections"]["closed"]["evicted"], 5);
    assert_adds_up(&server);
}

#[test]
fn fifteen_reconnects_leave_one_session_and_no_connection() {
    let server = origin(&[]);
    let mut sessions = Vec::new();
    for _ in 0..15 {
        let client = tab(&server, "alice", "main");
        sessions.push(client.welcome["session"]["epoch"].clone());
        drop(client);
        until(&server, |stats| stats["connections"]["live"] == 0);
    }
    assert!(sessions.iter().all(|session| *session == sessions[0]));
    let stats = stats(&server);
    assert_eq!((&stats["connections"]["opened"], &stats["users"]), (&json!(15), &json!(1)));
    assert_adds_up(&server);
}

#[test]
fn a_user_and_a_thread_are_one_session_whichever_way_they_are_named() {
    let server = origin(&[]);
    let pinned = token(json!({"sub": "alice", "thread": "desk", "jti": "another"}));
    let frame = json!({"type": "auth", "token": of("alice"), "thread": "desk"}).to_string();
    let mut introduced = introduce(&server, &frame);
    introduced.welcome = introduced.next();
    let tabs = [tab(&server, "alice", "desk"), connect(&server, "", &pinned).unwrap(), introduced];
    let session = |tab: &Client| tab.welcome["session"]["epoch"].clone();
    assert!(tabs.iter().all(|tab| session(tab) == session(&tabs[0])));
    assert_ne!(session(&tab(&server, "bob", "desk")), session(&tabs[0]));
    let answer = call(&server, "/v1/close", json!({"to": {"user": "alice"}, "reason": "test"}));
    assert_eq!(answer.json()["closing"], 3, "a clean-up finds all of them");
}

#[test]
fn connects_that_race_with_a_clean_up_all_succeed() {
    let server = origin(&[TWENTY]);
    std::thread::scope(|scope| {
        let coming = scope.spawn(|| {
            for number in 0..60 {
                // Each is admitted. Whether it is closed right after that is up to the race.
                drop(tab(&server, "alice", &format!("t{}", number % 4)));
            }
        });
        while !coming.is_finished() {
            let body = json!({"to": {"user": "alice"}, "reason": "clean-up"});
            assert_eq!(call(&server, "/v1/close", body).status, 200);
        }
    });
    until(&server, |stats| stats["connections"]["live"] == 0);
    assert_eq!(stats(&server)["connections"]["opened"], 60);
    assert_adds_up(&server);
}

#[test]
fn twenty_ghosts_keep_their_user_out_of_nothing() {
    let server = origin(&[TWENTY, "heartbeat.interval=100ms", "heartbeat.pong_timeout=2s"]);
    let mut healthy = tab(&server, "alice", "main");
    // Nothing reads what they are sent, so no pong comes.
    let ghosts: Vec<_> = (0..19).map(|_| tab(&server, "alice", "main")).collect();
    let reading = std::thread::spawn(move || while healthy.next()["data"] != "over" {});
    until(&server, |stats| stats["heartbeat"]["pings_sent"].as_u64() > Some(40));
    let newcomers: Vec<_> = (0..5).map(|_| tab(&server, "alice", "main")).collect();
    drop(newcomers);
    // What does not answer is given up without a newcomer's need, and only that.
    until(&server, |stats| stats["connections"]["live"] == 1);
    assert_eq!(publish(&server, json!({"user": "alice"}), json!("over"))["sent"], 1);
    reading.join().expect("the healthy tab stays");
    drop(ghosts);
    assert_adds_up(&server);
}

#[test]
fn a_thirteenth_tab_kills_none_of_twelve_quiet_ones_nor_those_that_still_introduce_themselves() {
    let server = origin(&[TWENTY]);
    let mut tabs: Vec<_> = (0..12).map(|_| tab(&server, "alice", "main")).collect();
    let upgraded: Vec<_> = (0..6)
        .map(|_| tungstenite::connect(format!("ws://{}/ws", server.websocket)).unwrap().0)
        .collect();
    tabs.push(tab(&server, "alice", "main"));
    for mut socket in upgraded {
        let auth = json!({"type": "auth", "token": of("alice")}).to_string();
        socket.send(tungstenite::Message::text(auth)).unwrap();
        assert!(socket.read().unwrap().to_text().unwrap().starts_with(r#"{"type":"welcome""#));
    }
    for tab in &mut tabs {
        assert_eq!(tab.ask(r#"{"type":"ping"}"#)["type"], "ok");
    }
}

#[test]
fn of_25_users_with_two_tabs_each_gets_its_own_and_nothing_else() {
    let server = origin(&[]);
    let user = |number: usize| format!("user-{number}");
    let mut tabs: Vec<_> = (0..50).map(|n| tab(&server, &user(n / 2), "main")).collect();
    for number in 0..25 {
        let secret = format!("the secret of {}", user(number));
        assert_eq!(publish(&server, json!({"user": user(number)}), json!(secret))["sent"], 2);
    }
    for (number, tab) in tabs.iter_mut().enumerate() {
        assert_eq!(tab.data(), [json!(format!("the secret of {}", user(number / 2)))]);
    }
    // To name another's connection or position, or to ask for another's room, opens nothing.
    let victim = &tabs[0];
    let query = format!(
        "previous={}&epoch={}&offset=0",
        victim.connection(),
        victim.welcome["session"]["epoch"].as_str().unwrap()
    );
    let mut thief = connect(&server, &query, &of("eve")).unwrap();
    assert_eq!(thief.ask(r#"{"type":"join","room":"user:user-0"}"#)["code"], "room_forbidden");
    assert!(thief.data().is_empty() && tabs[0].data().is_empty());
}

#[test]
fn what_is_for_one_thread_reaches_no_other_thread_of_its_user() {
    let server = origin(&[]);
    let sessions = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "1")];
    let mut tabs = sessions.map(|(user, thread)| tab(&server, user, thread));
    for (user, thread) in sessions {
        let to = json!({"user": user, "thread": thread});
        assert_eq!(publish(&server, to, json!([user, thread]))["sent"], 1);
    }
    for ((user, thread), tab) in sessions.iter().zip(&mut tabs) {
        assert_eq!(tab.data(), [json!([user, thread])]);
    }
    // A thread's name is no user's, and a run's neither.
    let lost = publish(&server, json!({"user": "1"}), json!("lost"));
    assert_eq!((&lost["sent"], &lost["stored"]), (&json!(0), &json!(0)), "and that is told");
}

/// Reports an event of the run `r` of alice.
fn report(server: &Server, rest: Value) {
    let mut body = rest;
    body["user"] = json!("alice");
    let answer = call(server, "/v1/runs/r/events", body);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_page_that_is_loaded_again_in_the_middle_of_a_run_sees_all_of_it_in_order() {
    let server = origin(&[]);
    let first = tab(&server, "alice", "main");
    let run = json!({"user": "alice", "thread": "main", "run": "r", "agent": "Planner"});
    assert_eq!(call(&server, "/v1/runs", run).status, 201);
    // A field of the payload never becomes the kind of the event.
    report(&server, json!({"event": "agent_thinking", "text": "hm", "type": "reasoning"}));
    let position =
        format!("epoch={}&offset=2", first.welcome["session"]["epoch"].as_str().unwrap());
    drop(first);
    report(&server, json!({"event": "tool_executing", "tool": "t", "call": "c", "parameters": {}}));
    let mut loaded = tab(&server, "alice", "main");
    let mut resumed = connect(&server, &position, &of("alice")).unwrap();
    assert_eq!(resumed.welcome["recovered"], "all");
    let mut stranger = tab(&server, "bob", "main");
    report(&server, json!({"event": "tool_completed", "call": "c", "result": 1}));
    report(&server, json!({"event": "agent_completed", "result": 2}));
    let all =
        ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
    for (client, expected) in [(&mut loaded, &all[..]), (&mut resumed, &all[2..])] {
        let frames = client.drain();
        let kinds: Vec<_> = frames.iter().map(|frame| frame["event"].clone()).collect();
        assert_eq!(kinds, expected, "{frames:?}");
        assert!(frames.iter().all(|frame| frame["type"] == "event" && frame["run"] == "r"));
    }
    assert!(stranger.drain().is_empty());
}

#[test]
fn sixty_messages_that_were_missed_all_come_and_none_that_is_new_overtakes_them() {
    let server = origin(&[]);
    let client = tab(&server, "alice", "main");
    let epoch = client.welcome["session"]["epoch"].as_str().unwrap().to_owned();
    drop(client);
    until(&server, |stats| stats["connections"]["live"] == 0);
    for number in 1..=60 {
        let answer = publish(&server, json!({"user": "alice"}), json!(number));
        assert_eq!((&answer["sent"], &answer["stored"]), (&json!(0), &json!(1)));
    }
    let mut back = connect(&server, &format!("epoch={epoch}&offset=0"), &of("alice")).unwrap();
    publish(&server, json!({"user": "alice"}), json!(61));
    assert_eq!(numbered(&back.drain()), (1..=61).collect::<Vec<_>>());
}

#[test]
fn a_tab_that_reads_nothing_holds_up_no_other_and_goes() {
    let server = origin(&["stream.bytes=16MiB", "session.close_handshake=100ms"]);
    let (slow, mut quick) = (tab(&server, "alice", "main"), tab(&server, "alice", "main"));
    let reading = std::thread::spawn(move || {
        let mut offsets = Vec::new();
        while offsets.len() < 400 {
            offsets.push(quick.next()["offset"].as_u64().unwrap());
        }
        (offsets, quick)
    });
    let text = "x".repeat(20 * 1024);
    for _ in 0..400 {
        publish(&server, json!({"user": "alice"}), json!(text));
    }
    let (offsets, mut quick) = reading.join().unwrap();
    assert_eq!(offsets, (1..=400).collect::<Vec<_>>());
    until(&server, |stats| stats["connections"]["live"] == 1);
    let closed = server.keyed(ADMIN, "GET", "/v1/closed", "").json();
    assert_eq!(closed["closed"][0]["connection"], slow.connection(), "{closed}");
    assert_eq!(closed["closed"][0]["code"], 4408, "{closed}");
    // The user is locked out of nothing by it.
    publish(&server, json!({"user": "alice"}), json!("after"));
    assert_eq!(quick.data(), [json!("after")]);
    tab(&server, "alice", "main");
}

#[test]
fn a_deploy_sends_everyone_to_the_next_process_and_their_tokens_go_on() {
    let server = origin(&["drain.grace=50ms", "drain.deadline=1s"]);
    let tokens: Vec<_> = (0..20).map(|number| of(&format!("user-{number}"))).collect();
    let mut tabs: Vec<_> = tokens.iter().map(|one| connect(&server, "", one).unwrap()).collect();
    server.signal("TERM");
    for tab in &mut tabs {
        let draining = tab.next();
        assert_eq!(draining["type"], "draining", "{draining}");
        assert_eq!(tab.closed(), 1012);
        while tab.socket.read().is_ok() {}
    }
    let (status, _) = server.wait();
    assert!(status.success());
    let next = origin(&[]);
    for (token, tab) in tokens.iter().zip(&tabs) {
        let position = &tab.welcome["session"];
        let query = format!(
            "previous={}&epoch={}&offset={}",
            tab.connection(),
            position["epoch"].as_str().unwrap(),
            position["offset"]
        );
        // Another process has another history, and says so.
        assert_eq!(connect(&next, &query, token).unwrap().welcome["recovered"], "gap");
    }
}

#[test]
fn the_limits_hold_and_a_refusal_makes_no_later_one_worse() {
    let server = origin(&[]);
    let mut everyone: Vec<_> =
        (0..100).map(|number| tab(&server, &format!("user-{number}"), "main")).collect();
    for _ in 0..30 {
        let (status, body) = connect(&server, "", &of("late")).map(drop).expect_err("it is full");
        assert!(status == 503 && body.contains("\"connections\""), "{status} {body}");
    }
    drop(everyone.pop());
    until(&server, |stats| stats["connections"]["live"] == 99);
    let _late = tab(&server, "late", "main");
    // Three connections of a user, and the fourth takes the place of the one that is silent longest.
    everyone.truncate(90);
    until(&server, |stats| stats["connections"]["live"] == 91);
    let mut own: Vec<_> = (0..4).map(|_| tab(&server, "alice", "main")).collect();
    assert_eq!(own[0].closed(), 4504);
    for other in &mut everyone {
        assert_eq!(other.ask(r#"{"type":"ping"}"#)["type"], "ok", "another user's limit");
    }
    assert_adds_up(&server);
}

#[test]
fn looking_keeps_no_connection_alive() {
    let server = origin(&["session.idle=500ms", "session.close_handshake=100ms"]);
    let mut idle = tab(&server, "alice", "main");
    let path = format!("/v1/connections/{}", idle.connection());
    until(&server, |stats| {
        server.keyed(ADMIN, "GET", &path, "");
        stats["connections"]["closed"]["idle"] == 1
    });
    assert_eq!(idle.closed(), 1000);
}
