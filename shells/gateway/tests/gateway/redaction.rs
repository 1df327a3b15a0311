//! What clients see of the events of runs, and what they don't.

use serde_json::{Value, json};
use tungstenite::Message;

use crate::common::{Client, File, Server, headcount};

/// A server, a client of `a`, and the run `r` of theirs, whose start the client has seen.
fn with_run(settings: &[&str]) -> (Server, Client) {
    let server = Server::with(settings);
    let client = run(&server);
    (server, client)
}

fn run(server: &Server) -> Client {
    let mut client = server.connect("user=a");
    let body = r#"{"user":"a","thread":"main","run":"r","agent":"Planner","input":{"token":"t"}}"#;
    assert_eq!(server.post("/v1/runs", body).status, 201);
    assert_eq!(client.next()["event"], "agent_started");
    client
}

/// Reports an event, given the rest of its body; what the client is sent, as it is sent.
fn told(server: &Server, client: &mut Client, rest: &str) -> String {
    let answer = server.post("/v1/runs/r/events", &format!("{{\"user\":\"a\",{rest}}}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    match client.read() {
        Message::Text(text) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The `data` of an event, as it is sent: it is the frame's last field.
fn data(server: &Server, client: &mut Client, rest: &str) -> String {
    let frame = told(server, client, rest);
    let (_, data) = frame.split_once(",\"data\":").unwrap();
    data.strip_suffix('}').unwrap().to_owned()
}

#[test]
fn events_of_runs_are_redacted_as_what_they_are() {
    let (server, mut client) = with_run(&[]);
    // A second tab sees the run from its start.
    let started = server.connect("user=a").next();
    assert_eq!(started["data"]["input"], json!({"token": "[redacted]"}), "{started:?}");
    for (rest, expected) in [
        (
            r#""event":"tool_executing","tool":"t","call":"c","parameters":{"items":[{"apiKey":"k","n":1E2}],"keyword":"y","system_prompt":"kept"}"#,
            r#"{"tool":"t","call":"c","parameters":{"items":[{"apiKey":"[redacted]","n":1E2}],"keyword":"y","system_prompt":"kept"}}"#,
        ),
        (
            r#""event":"tool_completed","call":"c","result":{"rows":[{"system_prompt":"s","password":"p","id":123456789012345678901234567890}],"error":"in /home/alice/x"}"#,
            r#"{"call":"c","result":{"rows":[{"password":"[redacted]","id":123456789012345678901234567890}],"error":"in [path]"}}"#,
        ),
        (
            r#""event":"agent_thinking","text":"hm","debug_info":{"a":1},"author":"x""#,
            r#"{"text":"hm","author":"x"}"#,
        ),
        (
            r#""event":"progress","percent":5,"at":{"secret":1}"#,
            r#"{"percent":5,"at":{"secret":"[redacted]"}}"#,
        ),
        (
            r#""event":"agent_failed","error":{"message":"no C:\\Users\\alice\\x","internal_reasoning":"y"}"#,
            r#"{"error":{"message":"no [path]"}}"#,
        ),
    ] {
        assert_eq!(data(&server, &mut client, rest), expected);
    }
}

#[test]
fn long_texts_and_lists_are_cut_and_say_so() {
    let (server, mut client) =
        with_run(&["redaction.max_input=256", "redaction.max_output=512", "redaction.max_items=3"]);
    let long = "y".repeat(1_000);
    let call = format!(r#""event":"tool_executing","tool":"t","call":"c","parameters":"{long}""#);
    let sent: Value = serde_json::from_str(&data(&server, &mut client, &call)).unwrap();
    let cut = sent["parameters"].as_str().unwrap();
    assert_eq!(cut, format!("{}… [764 bytes cut]", "y".repeat(236)));
    let end = format!(r#""event":"tool_completed","call":"c","result":[1,2,"{long}",4]"#);
    let sent: Value = serde_json::from_str(&data(&server, &mut client, &end)).unwrap();
    assert_eq!(sent["result"], json!([1, 2, "[2 items cut]"]));
}

#[test]
fn texts_and_publishes_are_left_alone() {
    let (server, mut client) = with_run(&["redaction.max_output=256"]);
    let long = format!("password: /home/alice/x {}", "y".repeat(1_000));
    let delta = json!({ "delta": long }).to_string();
    let rest = delta.trim_matches(['{', '}']);
    assert_eq!(data(&server, &mut client, &format!("\"event\":\"text\",{rest}")), delta);
    let secret = json!({"password": "x", "system_prompt": "y", "error": "/home/alice/x"});
    server.publish(r#"{"user":"a"}"#, &secret.to_string());
    assert_eq!(client.next()["data"], secret);
}

#[test]
fn half_of_a_character_in_thoughts_still_waits_for_its_other_half() {
    let (server, mut client) = with_run(&[]);
    let thinking = |text: &str| format!(r#""event":"agent_thinking","token":1,"text":"{text}""#);
    let first = data(&server, &mut client, &thinking(r"a\ud83d"));
    assert_eq!(first, r#"{"token":"[redacted]","text":"a"}"#);
    let second = data(&server, &mut client, &thinking(r"\ude00b"));
    let second: Value = serde_json::from_str(&second).unwrap();
    assert_eq!(second, json!({"token": "[redacted]", "text": "😀b"}));
}

#[test]
fn a_payload_overwrites_no_field_of_the_frame() {
    let (server, mut client) = with_run(&[]);
    let fields = concat!(
        r#""type":"error","stream":"room/x","offset":99,"run":"other","agent":"other","at":0,"#,
        r#""data":{"type":"gap"},"reasoning":"r""#
    );
    for event in ["progress", "agent_thinking", "agent_failed"] {
        let fields = format!("{fields},\"error\":\"e\"");
        let frame = told(&server, &mut client, &format!("\"event\":\"{event}\",{fields}"));
        let (head, data) = frame.split_once(",\"data\":").unwrap();
        assert_eq!(data, format!("{{{fields}}}}}"), "the payload, whole, in `data`");
        let head: Value = serde_json::from_str(&format!("{head}}}")).unwrap();
        let names: Vec<_> = head.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["agent", "at", "event", "offset", "run", "stream", "type"]);
        assert_eq!((&head["type"], &head["event"]), (&json!("event"), &json!(event)));
        assert_eq!((&head["stream"], &head["run"]), (&json!("session"), &json!("r")));
    }
    // A second one of its own fields is refused, whichever a parser would take.
    let twice = r#"{"user":"a","event":"progress","event":"agent_failed","error":"e"}"#;
    assert_eq!(server.post("/v1/runs/r/events", twice).status, 400);
    // A publish has its data in `data` too.
    server.publish(r#"{"user":"a"}"#, r#"{"type":"error","offset":99}"#);
    let frame = client.next();
    assert_eq!((&frame["type"], &frame["data"]["type"]), (&json!("event"), &json!("error")));
}

#[test]
fn what_is_nested_too_deep_is_refused_with_the_reason() {
    let (server, _client) = with_run(&[]);
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let body = format!(r#"{{"user":"a","event":"progress","x":{deep}}}"#);
    let refused = server.post("/v1/runs/r/events", &body);
    assert_eq!((refused.status, refused.code()), (400, "too_deep".to_owned()), "{refused:?}");
}

#[test]
fn a_reload_takes_other_rules() {
    let file = File::new("");
    let mut command = headcount();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(file.path());
    let server = Server::run(command);
    let mut client = run(&server);
    let mut seen = |settings: &str| {
        file.write(&format!("[redaction]\n{settings}"));
        assert_eq!(server.post("/v1/reload", "").status, 200);
        data(&server, &mut client, r#""event":"progress","token":1,"pin":2,"debug_info":3"#)
    };
    let usual = r#"{"token":"[redacted]","pin":2}"#;
    assert_eq!(seen(""), usual);
    assert_eq!(
        seen("keys = [\"PIN\"]\nremove = []"),
        r#"{"token":1,"pin":"[redacted]","debug_info":3}"#
    );
    assert_eq!(seen("enabled = false"), r#"{"token":1,"pin":2,"debug_info":3}"#);
    assert_eq!(seen("enabled = true"), usual);
}
