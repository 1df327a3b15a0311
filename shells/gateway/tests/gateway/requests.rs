//! Runs that clients request and wish to cancel: what other tabs and back ends see of them.

use serde_json::{Value, json};

use crate::common::{Client, Server};
use crate::runs::{names, open, opened, tell, told};

fn ask(client: &mut Client, frame: &Value) -> Value {
    client.ask(&frame.to_string())
}

fn listed(server: &Server) -> Vec<Value> {
    server.get("/v1/runs?user=a").json()["runs"].as_array().unwrap().clone()
}

#[test]
fn a_request_is_seen_by_the_other_tab_and_by_the_back_end_which_opens_it() {
    let server = Server::start();
    let (mut asking, mut other) = (server.connect("user=a"), server.connect("user=a"));
    let mut stranger = server.connect("user=a&thread=work");
    let frame = json!({"type": "run_request", "run": "r", "input": {"text": "why?"}, "id": 7});
    asking.send(&frame.to_string());
    let frames = asking.drain();
    let answers: Vec<_> = frames.iter().filter(|frame| frame["type"] != "event").collect();
    assert_eq!(answers, [&json!({"type": "ok", "request": 7})]);
    let mut seen = other.drain();
    assert!(seen[0]["at"].take().is_u64());
    assert_eq!(
        seen,
        [json!({
            "type": "event", "stream": "session", "offset": 1, "event": "run_requested",
            "run": "r", "agent": "", "at": null, "data": {"input": {"text": "why?"}},
        })]
    );
    let run = &listed(&server)[0];
    assert_eq!(
        (&run["run"], &run["agent"], &run["state"]),
        (&json!("r"), &json!(""), &json!("requested"))
    );
    assert_eq!((&run["thread"], &run["cancel_requested"]), (&json!("main"), &json!(false)));
    assert_eq!(run["next"]["why"], "silence", "it ends by itself");
    let shown = server.get("/v1/runs/r?user=a").json();
    assert_eq!(shown["frames"][0]["data"]["input"]["text"], "why?");

    let early = tell(&server, "a", "r", json!({"event": "text", "delta": "x"}));
    assert_eq!((early.status, early.code().as_str()), (422, "run_not_opened"));
    let body = json!({"user": "a", "thread": "work", "run": "r", "agent": "x"});
    let elsewhere = server.post("/v1/runs", &body.to_string());
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (409, "other_thread"));
    opened(&server, "r");
    told(&server, "r", json!({"event": "agent_completed", "result": 42}));
    assert_eq!(names(&other.drain()), ["agent_started", "agent_completed"]);
    assert_eq!(listed(&server)[0]["state"], "ended");
    assert!(stranger.drain().is_empty());
    let runs = &server.stats()["runs"];
    assert_eq!((&runs["opened"], &runs["requested"]), (&json!(1), &json!(1)));
    assert!(server.get("/metrics").body.contains("headcount_runs_requested_total 1\n"));
    assert!(server.logged(&[" INFO ", "run requested"]).contains("thread="));
}

#[test]
fn a_wish_to_cancel_is_told_once_and_the_back_end_decides() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    opened(&server, "r");
    assert_eq!(names(&client.drain()), ["agent_started"]);
    let mut other = server.connect("user=a");
    assert_eq!(names(&other.drain()), ["agent_started"]);
    for id in 1..=2 {
        let frame = json!({"type": "run_cancel", "run": "r", "reason": "enough", "id": id});
        client.send(&frame.to_string());
    }
    let answers = client.drain();
    assert_eq!(answers.iter().filter(|frame| frame["type"] == "ok").count(), 2);
    let seen = other.drain();
    assert_eq!(names(&seen), ["run_cancel_requested"]);
    assert_eq!((&seen[0]["agent"], &seen[0]["data"]), (&json!(""), &json!({"reason": "enough"})));
    let run = &listed(&server)[0];
    assert_eq!((&run["state"], &run["cancel_requested"]), (&json!("open"), &json!(true)));
    told(&server, "r", json!({"event": "text", "delta": "on it"}));
    told(&server, "r", json!({"event": "agent_cancelled"}));
    assert_eq!(names(&other.drain()), ["text", "agent_cancelled"]);
}

#[test]
fn what_is_not_taken_is_an_error_with_its_code() {
    let server = Server::with(&["limits.runs_per_session=2", "run.bytes=1KiB", "run.events=3"]);
    let mut client = server.connect("user=a");
    let mut work = server.connect("user=a&thread=work");
    opened(&server, "open");
    opened(&server, "over");
    told(&server, "over", json!({"event": "agent_cancelled"}));
    client.drain();
    let request = |run: &str| json!({"type": "run_request", "run": run, "input": 1});
    let cancel = |run: &str| json!({"type": "run_cancel", "run": run});
    let mut elsewhere = request("r");
    elsewhere["thread"] = json!("work");
    let mut long = request("r");
    long["input"] = json!("x".repeat(1_000));
    let mut bare = request("r");
    bare["input"] = Value::Null;
    for (frame, code) in [
        (request("open"), "run_exists"),
        (request("over"), "run_exists"),
        (request("null"), "bad_id"),
        (elsewhere, "not_in_thread"),
        (long, "run_full"),
        (bare, "bad_frame"),
        (cancel("none"), "unknown_run"),
        (cancel("over"), "run_ended"),
    ] {
        assert_eq!(ask(&mut client, &frame)["code"], code, "{frame}");
    }
    assert_eq!(ask(&mut work, &cancel("open"))["code"], "unknown_run", "of another session");
    told(&server, "open", json!({"event": "progress"}));
    client.drain();
    assert_eq!(ask(&mut client, &cancel("open"))["code"], "run_full");
    client.send(&request("r").to_string());
    client.drain();
    assert_eq!(ask(&mut client, &request("more"))["code"], "runs_per_session");
    assert_eq!(open(&server, "a", "more").code(), "runs_per_session");
}

#[test]
fn a_tab_that_comes_later_gets_what_was_requested_from_its_start() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    server.publish(r#"{"user":"a"}"#, "1");
    client.send(r#"{"type":"run_request","run":"r","input":"a\ud83d"}"#);
    client.drain();
    let mut late = server.connect("user=a");
    assert_eq!(late.welcome["runs"], json!([{"run": "r", "agent": ""}]));
    let frames = late.drain();
    assert_eq!(names(&frames), ["run_requested"]);
    assert_eq!(frames[0]["data"]["input"], "a\u{fffd}", "no half of a pair");
}
