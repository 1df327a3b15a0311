//! Several sessions of one user over one connection.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::common::follower::{Follower, Runtime};
use crate::common::proxy::Proxy;
use crate::common::site::Site;
use crate::common::tokens::{connect, introduce, server as asking_for_tokens, token};
use crate::common::{Client, Server};
use crate::runs::{names, tell};

fn follow(client: &mut Client, thread: &str) -> Value {
    client.ask(&json!({"type": "follow", "thread": thread, "id": thread}).to_string())
}

fn unfollow(client: &mut Client, thread: &str) -> Value {
    client.ask(&json!({"type": "unfollow", "thread": thread, "id": 1}).to_string())
}

/// The same after the last offset that the client has seen.
fn follow_after(client: &mut Client, followed: &Value, offset: u64) -> Value {
    let (thread, epoch) = (&followed["thread"], &followed["epoch"]);
    let frame = json!({"type": "follow", "thread": thread, "epoch": epoch, "offset": offset});
    client.ask(&frame.to_string())
}

fn publish(server: &Server, thread: &str, data: &str) -> Value {
    server.publish(&json!({"user": "a", "thread": thread}).to_string(), data)
}

/// In which streams what has come came, and its data: one stream after the other, for nothing is said of the
/// order between them.
fn seen(client: &mut Client) -> Vec<(String, Value)> {
    let frames = client.drain().into_iter();
    let seen = frames.map(|it| (it["stream"].as_str().unwrap().to_owned(), it["data"].clone()));
    let mut seen: Vec<_> = seen.collect();
    seen.sort_by(|(one, _), (other, _)| one.cmp(other));
    seen
}

fn at(stream: &str, data: u32) -> (String, Value) {
    (stream.to_owned(), data.into())
}

#[test]
fn two_chats_come_over_one_connection_each_in_a_stream_of_its_own() {
    let server = Server::start();
    let mut client = server.connect("user=a&thread=one");
    publish(&server, "two", "1");
    let mut followed = follow(&mut client, "two");
    assert!(followed["session"].take().is_string() && followed["epoch"].take().is_string());
    let expected = json!({
        "type": "followed", "thread": "two", "session": null, "epoch": null, "offset": 0,
        "recovered": "fresh", "runs": [], "request": "two",
    });
    assert_eq!(followed, expected);
    publish(&server, "one", "2");
    publish(&server, "two", "3");
    server.publish(r#"{"user":"a"}"#, "4");
    let all = [at("session", 2), at("session", 4), at("session/two", 3), at("session/two", 4)];
    assert_eq!(seen(&mut client), all);
    let ack = |stream| json!({"type": "ack", "stream": stream, "offset": 1, "id": 1}).to_string();
    for stream in ["session", "session/two", "session/one"] {
        assert_eq!(client.ask(&ack(stream))["type"], "ok", "{stream}");
    }
    assert_eq!(client.ask(&ack("session/three"))["code"], "ack_refused");

    let shown = server.get(&format!("/v1/connections/{}", client.connection())).json();
    let sessions = shown["sessions"].as_array().unwrap();
    let threads: Vec<_> = sessions.iter().map(|it| it["thread"].clone()).collect();
    assert_eq!(threads, ["one", "two"]);
    assert_eq!((&shown["session"], &shown["thread"]), (&sessions[0]["session"], &json!("one")));
    let cursors = shown["cursors"].as_array().unwrap();
    let streams: Vec<_> = cursors.iter().map(|it| it["stream"].clone()).collect();
    assert_eq!(streams, ["session", "session/two"]);
    assert_eq!(cursors[1]["acknowledged"], 1);

    assert_eq!(
        unfollow(&mut client, "two"),
        json!({"type": "unfollowed", "thread": "two", "request": 1})
    );
    publish(&server, "two", "5");
    publish(&server, "one", "6");
    assert_eq!(seen(&mut client), [at("session", 6)]);
    // What was asked for is the case already.
    assert_eq!(unfollow(&mut client, "two")["type"], "unfollowed");
    assert_eq!(unfollow(&mut client, "never")["type"], "unfollowed");
    assert_eq!(unfollow(&mut client, "")["code"], "bad_id");
}

#[test]
fn what_one_tab_has_as_its_own_another_follows_under_the_other_name() {
    let server = Server::start();
    let mut one = server.connect("user=a&thread=one");
    let mut two = server.connect("user=a&thread=two");
    let mut stranger = server.connect("user=b&thread=two");
    assert_eq!(follow(&mut one, "two")["type"], "followed");
    publish(&server, "two", "1");
    assert_eq!(seen(&mut one), [at("session/two", 1)]);
    assert_eq!(seen(&mut two), [at("session", 1)]);
    assert_eq!(follow(&mut two, "one")["type"], "followed");
    publish(&server, "one", "2");
    assert_eq!(seen(&mut one), [at("session", 2)]);
    assert_eq!(seen(&mut two), [at("session/one", 2)]);
    // Its own thread has its name again when it is followed again.
    assert_eq!(unfollow(&mut one, "one")["type"], "unfollowed");
    publish(&server, "one", "3");
    assert!(seen(&mut one).is_empty());
    let again = follow(&mut one, "one");
    assert_eq!((&again["thread"], &again["recovered"]), (&json!("one"), &json!("fresh")));
    publish(&server, "one", "4");
    assert_eq!(seen(&mut one), [at("session", 4)]);
    assert_eq!(seen(&mut two), [at("session/one", 3), at("session/one", 4)]);
    // To follow what is followed changes nothing.
    assert_eq!(follow(&mut one, "two")["offset"], 1);
    publish(&server, "two", "5");
    assert_eq!(seen(&mut one), [at("session/two", 5)]);
    assert!(seen(&mut stranger).is_empty());
}

#[test]
fn its_own_thread_keeps_its_name_in_another_session_and_behind_others() {
    let server = Server::with(&["session.linger=0s"]);
    let mut client = server.connect("user=a&thread=one");
    let two = follow(&mut client, "two");
    unfollow(&mut client, "one");
    publish(&server, "two", "1");
    assert_eq!(seen(&mut client), [at("session/two", 1)]);
    let ack = |stream, offset| json!({"type": "ack", "stream": stream, "offset": offset, "id": 1});
    assert_eq!(client.ask(&ack("session", 0).to_string())["code"], "ack_refused");
    // The session has ended with its last follower, and this is another one.
    let one = follow(&mut client, "one");
    assert_ne!(one["epoch"], client.welcome["session"]["epoch"]);
    assert_ne!(one["session"], two["session"]);
    for data in ["2", "3"] {
        publish(&server, "one", data);
    }
    assert_eq!(seen(&mut client), [at("session", 2), at("session", 3)]);
    assert_eq!(client.ask(&ack("session", 2).to_string())["type"], "ok");
    let shown = server.get(&format!("/v1/connections/{}", client.connection())).json();
    let acknowledged = [0, 1].map(|cursor| shown["cursors"][cursor]["acknowledged"].clone());
    assert_eq!(
        (shown["sessions"][0]["thread"].clone(), acknowledged),
        (json!("two"), [json!(0), json!(2)])
    );
    let close = json!({"to": {"user": "a", "thread": "one"}, "reason": "application"});
    assert_eq!(server.post("/v1/close", &close.to_string()).status, 200);
    assert_eq!(client.next()["session"], one["session"]);
}

#[test]
fn each_session_is_resumed_by_itself_after_a_cut() {
    let server = Server::with(&["stream.messages=2"]);
    let mut client = server.connect("user=a&thread=one");
    let two = follow(&mut client, "two");
    publish(&server, "one", "1");
    publish(&server, "two", "2");
    assert_eq!(seen(&mut client), [at("session", 1), at("session/two", 2)]);
    let welcome = client.welcome.clone();
    drop(client);
    server.until(|stats| stats["connections"]["live"] == 0);
    publish(&server, "one", "3");
    for number in 4..=6 {
        publish(&server, "two", &number.to_string());
    }
    let epoch = welcome["session"]["epoch"].as_str().unwrap();
    let mut back = server.connect(&format!("user=a&thread=one&epoch={epoch}&offset=1"));
    assert_eq!(back.welcome["recovered"], "all");
    assert_eq!(seen(&mut back), [at("session", 3)]);
    let again = follow_after(&mut back, &two, 1);
    assert_eq!((&again["recovered"], &again["epoch"]), (&json!("gap"), &two["epoch"]));
    let frames = back.drain();
    let gap = json!({"type": "gap", "stream": "session/two", "from": 2, "to": 2});
    assert_eq!((frames.len(), &frames[0]), (3, &gap), "{frames:?}");
    assert_eq!((&frames[1]["offset"], &frames[2]["offset"]), (&json!(3), &json!(4)));
    assert_eq!(unfollow(&mut back, "two")["type"], "unfollowed");
    assert_eq!(follow_after(&mut back, &two, 4)["recovered"], "all");
    assert!(back.drain().is_empty());
}

#[test]
fn runs_of_a_followed_thread_come_from_where_the_client_begins() {
    let server = Server::start();
    let mut client = server.connect("user=a&thread=one");
    for run in ["ended", "open"] {
        let body = json!({"user": "a", "thread": "two", "run": run, "agent": "x"}).to_string();
        assert_eq!(server.post("/v1/runs", &body).status, 201);
    }
    assert_eq!(
        tell(&server, "a", "ended", json!({"event": "agent_completed", "result": 1})).status,
        200
    );
    let followed = follow(&mut client, "two");
    assert_eq!(followed["runs"], json!([{"run": "open", "agent": "x"}]));
    let frames = client.drain();
    assert_eq!((names(&frames), &frames[0]["run"]), (vec!["agent_started"], &json!("open")));
    assert_eq!(frames[0]["stream"], "session/two");
    unfollow(&mut client, "two");
    client.ask(r#"{"type":"follow","thread":"two","run":"ended"}"#);
    assert_eq!(names(&client.drain()), ["agent_started", "agent_completed"]);
    unfollow(&mut client, "two");
    client.ask(r#"{"type":"follow","thread":"two","recent":true}"#);
    assert_eq!(names(&client.drain()), ["agent_started", "agent_started", "agent_completed"]);

    // A request is for the thread that it names, and for the own one without a name.
    for (thread, stream) in [(json!("two"), "session/two"), (Value::Null, "session")] {
        let run = format!("asked in {stream}");
        let frame = json!({"type": "run_request", "run": run, "input": 1, "thread": thread});
        client.send(&frame.to_string());
        let frames = client.drain();
        let event = frames.iter().find(|frame| frame["event"] == "run_requested").unwrap();
        assert_eq!((&event["stream"], &event["run"]), (&json!(stream), &json!(run)));
        let cancel = json!({"type": "run_cancel", "run": run, "id": 1}).to_string();
        client.send(&cancel);
        assert!(client.drain().iter().any(|frame| frame["type"] == "ok"));
    }
    unfollow(&mut client, "two");
    let late = client.ask(r#"{"type":"run_cancel","run":"open"}"#);
    assert_eq!(late["code"], "unknown_run");
}

#[test]
fn a_token_for_one_thread_follows_no_other() {
    let server = asking_for_tokens(&[]);
    let pinned = token(json!({"thread": "one"}));
    let mut client = connect(&server, "", &pinned).ok().unwrap();
    assert_eq!(follow(&mut client, "two")["code"], "other_thread");
    assert_eq!(follow(&mut client, "one")["type"], "followed");
    let refresh = |claims| json!({"type": "refresh", "token": token(claims), "id": 1}).to_string();
    assert_eq!(client.ask(&refresh(json!({})))["type"], "ok");
    assert_eq!(follow(&mut client, "two")["type"], "followed");
    assert_eq!(client.ask(&refresh(json!({"thread": "one"})))["code"], "other_thread");
    unfollow(&mut client, "two");
    assert_eq!(client.ask(&refresh(json!({"thread": "one"})))["type"], "ok");
    assert_eq!(follow(&mut client, "two")["code"], "other_thread");
}

#[test]
fn a_first_frame_says_where_to_begin_as_a_query_does() {
    let server = asking_for_tokens(&[]);
    let mut first =
        introduce(&server, &json!({"type": "auth", "token": token(json!({}))}).to_string());
    assert_eq!(first.next()["type"], "welcome");
    first.ask(r#"{"type":"run_request","run":"r","input":1}"#);
    first.ask(r#"{"type":"run_request","run":"s","input":1}"#);
    for (fields, runs) in [
        (json!({"run": "s"}), vec!["s"]),
        (json!({"recent": true}), vec!["r", "s"]),
        (json!({"recent": false}), vec!["r", "s"]),
    ] {
        let mut frame = json!({"type": "auth", "token": token(json!({}))});
        frame.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut client = introduce(&server, &frame.to_string());
        assert_eq!(client.next()["type"], "welcome");
        let frames = client.drain();
        let seen: Vec<_> = frames.iter().map(|frame| frame["run"].as_str().unwrap()).collect();
        assert_eq!(seen, runs, "{frame}");
    }
    let both = json!({"type": "auth", "token": token(json!({})), "run": "r", "recent": true});
    let mut client = introduce(&server, &both.to_string());
    assert_eq!(client.next()["code"], "bad_position");
    assert_eq!(client.closed(), 4501);
}

#[test]
fn over_a_cap_a_follow_is_refused_and_no_connection_is_closed_for_it() {
    let caps = ["limits.sessions_per_connection=3", "limits.streams_per_user=3"];
    let server = Server::with(&[&caps[..], &["limits.sessions_per_user=5"]].concat());
    let (mut one, mut two) = (server.connect("user=a&thread=1"), server.connect("user=a&thread=1"));
    assert_eq!(follow(&mut one, "2")["type"], "followed");
    assert_eq!(follow(&mut one, "3")["type"], "followed");
    assert_eq!(follow(&mut one, "4")["code"], "sessions_per_connection");
    assert_eq!(follow(&mut two, "4")["type"], "followed");
    assert_eq!(follow(&mut two, "5")["code"], "streams_per_user");
    assert_eq!(server.stats()["connections"]["live"], 2);
    unfollow(&mut one, "3");
    assert_eq!(follow(&mut two, "5")["type"], "followed");
    assert_eq!(server.stats()["connections"]["live"], 2);
    let drain = server.post("/v1/drain", r#"{"deadline_ms":60000}"#);
    assert_eq!(drain.status, 200);
    two.drain();
    unfollow(&mut two, "5");
    let late = follow(&mut two, "new");
    assert_eq!((&late["type"], &late["code"]), (&json!("error"), &json!("draining")));
}

#[test]
fn a_session_that_is_closed_ends_for_its_followers_and_a_connection_with_another_goes_on() {
    let server = Server::start();
    let mut client = server.connect("user=a&thread=one");
    let mut only = server.connect("user=a&thread=two");
    let followed = follow(&mut client, "two");
    publish(&server, "two", "1");
    let close = json!({"to": {"user": "a", "thread": "two"}, "reason": "application"});
    assert_eq!(server.post("/v1/close", &close.to_string()).status, 200);
    let frames = client.drain();
    let last = json!({
        "type": "unfollowed", "thread": "two", "session": followed["session"],
        "reason": "application",
    });
    assert_eq!((&frames[0]["data"], &frames[1]), (&json!(1), &last), "{frames:?}");
    assert_eq!((only.closed(), frames.len()), (4503, 2));
    publish(&server, "two", "2");
    publish(&server, "one", "3");
    assert_eq!(seen(&mut client), [at("session", 3)]);
    // Of its own session it is told so as well, as long as it follows another one.
    assert_eq!(follow(&mut client, "two")["type"], "followed");
    let close = json!({"to": {"user": "a", "thread": "one"}, "reason": "application"});
    assert_eq!(server.post("/v1/close", &close.to_string()).status, 200);
    let frames = client.drain();
    assert_eq!((frames.len(), &frames[0]["thread"]), (1, &json!("one")), "{frames:?}");
    publish(&server, "two", "4");
    assert_eq!(seen(&mut client), [at("session/two", 4)]);
    let close = json!({"to": {"user": "a", "thread": "two"}, "reason": "application"});
    assert_eq!(server.post("/v1/close", &close.to_string()).status, 200);
    assert_eq!(client.closed(), 4503);
}

#[test]
fn a_slow_client_gets_the_gap_of_each_session_under_its_name() {
    let settings = ["stream.messages=4", "stream.bytes=1MiB", "outbound.window=64KiB"];
    let server = Server::with(&settings);
    let mut client = server.connect("user=a&thread=one");
    follow(&mut client, "two");
    let long = json!("x".repeat(60_000)).to_string();
    let is_behind = || {
        let shown = server.get(&format!("/v1/connections/{}", client.connection())).json();
        let cursors = shown["cursors"].as_array().unwrap();
        let number = |it: &Value, name: &str| it[name].as_u64().unwrap();
        cursors.iter().all(|it| number(it, "head") - number(it, "offset") > 4)
    };
    // More than the buffers of the kernel take.
    let mut last = 0;
    while !is_behind() {
        assert!(last < 5_000, "the kernel takes everything");
        for _ in 0..20 {
            publish(&server, "one", &long);
            publish(&server, "two", &long);
        }
        last += 20;
    }
    for thread in ["one", "two"].repeat(10) {
        publish(&server, thread, &long);
    }
    let ends = last + 10;
    let (mut seen, mut gaps) = (HashMap::new(), HashMap::new());
    while seen.len() < 2 || seen.values().any(|offset| *offset < ends) {
        let frame = client.next();
        let stream = frame["stream"].as_str().unwrap().to_owned();
        let seen = seen.entry(stream.clone()).or_insert(0);
        let is_gap = frame["type"] == "gap";
        let (from, to) = if is_gap { ("from", "to") } else { ("offset", "offset") };
        assert_eq!(frame[from], *seen + 1, "{stream}: {frame}");
        *seen = frame[to].as_u64().unwrap();
        *gaps.entry(stream).or_insert(0) += u32::from(is_gap);
    }
    assert!(gaps["session"] > 0 && gaps["session/two"] > 0, "{gaps:?}");
}

/// A client of alice, which has asked to follow `work` beside its own thread, over a network that fails: it
/// hears all of both, and is told when the session is closed.
pub(crate) fn follows_two_threads(server: &Server, proxy: &Proxy, follower: &mut Follower) {
    follower.until("it follows it", |it| it.named("followed").count() == 1);
    let heard = |it: &Follower| {
        ["session", "session/work"].map(|stream| {
            let of_stream = it.named("event").filter(|it| it["stream"] == stream);
            of_stream.map(|it| it["data"].clone()).collect::<Vec<_>>()
        })
    };
    let mut said = 0;
    let mut say = |times| {
        for _ in 0..times {
            said += 1;
            for thread in ["main", "work"] {
                let to = json!({"user": "alice", "thread": thread});
                server.publish(&to.to_string(), &said.to_string());
            }
        }
        said
    };
    let faults: [fn(&Proxy); 3] = [Proxy::cut, Proxy::half_close, Proxy::go_silent];
    for fault in faults {
        say(2);
        fault(proxy);
        let all: Vec<_> = (1..=say(3)).map(Value::from).collect();
        follower.until("it hears all", |it| heard(it).iter().all(|it| it.len() >= all.len()));
        assert_eq!(heard(follower), [all.clone(), all]);
    }
    for name in ["gap", "reset", "error", "unfollowed"] {
        assert_eq!(follower.named(name).count(), 0, "{name}");
    }
    let close = r#"{"to":{"user":"alice","thread":"work"},"reason":"application"}"#;
    assert_eq!(server.post("/v1/close", close).status, 200);
    follower.until("it is told", |it| it.named("unfollowed").count() == 1);
    assert_eq!(follower.named("unfollowed").next().unwrap()["reason"], "application");
    server.post("/v1/close", r#"{"to":{"user":"alice"}}"#);
    follower.until("it is over", |it| it.named("close").count() == 1);
}

#[test]
fn the_javascript_client_follows_another_thread_over_a_network_that_fails() {
    let Some(node) = Runtime::node() else { return };
    let server = Server::with(&["heartbeat.interval=1s", "heartbeat.pong_timeout=30s"]);
    let proxy = Proxy::to(server.websocket);
    let url = format!("ws://{}/ws", proxy.address);
    let options = json!({"url": url, "user": "alice", "threads": ["work"], "probe": 1000});
    let Some(mut follower) = Follower::start(&node, &Site::start(), &options) else { return };
    follows_two_threads(&server, &proxy, &mut follower);
}
