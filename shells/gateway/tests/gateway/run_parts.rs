//! Parts of runs, interrupted runs, and the runs of a user as the admin port shows them.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::common::Server;
use crate::runs::{names, open, opened, tell, told};

#[test]
fn parts_of_a_run_grow_beside_each_other() {
    let server = Server::with(&["run.parts=2"]);
    opened(&server, "r");
    let say = |delta: &str, part: Option<(&str, &str)>| {
        let mut event = json!({"event": "text", "delta": delta});
        if let Some((part, kind)) = part {
            event["part"] = part.into();
            event["kind"] = kind.into();
        }
        tell(&server, "a", "r", event)
    };
    let arguments = Some(("call-1", "tool_arguments"));
    for (delta, part) in [
        ("I look ", None),
        ("{\"city\":", arguments),
        ("\"Bonn\"", arguments),
        ("it up.", None),
        ("}", arguments),
    ] {
        assert_eq!(say(delta, part).status, 200);
    }
    for (part, status, code) in [
        (("thought", "reasoning"), 422, "run_parts"),
        (("call-1", "text"), 422, "part_kind"),
        (("", "reasoning"), 400, "bad_request"),
        (("call-1", "dance"), 400, "bad_request"),
    ] {
        let refused = say("x", Some(part));
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{part:?}");
    }
    let frames = server.connect("user=a").drain();
    let texts: Vec<_> = frames[1..]
        .iter()
        .map(|frame| {
            let part = frame["part"].as_str().map(|part| (part, frame["kind"].as_str().unwrap()));
            (part, frame["data"]["delta"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        texts,
        [(None, "I look "), (arguments, "{\"city\":\"Bonn\""), (None, "it up."), (arguments, "}"),]
    );
}

#[test]
fn a_run_that_waits_for_a_person_is_interrupted() {
    let server = Server::with(&["run.silence=300ms"]);
    let mut tab = server.connect("user=a");
    opened(&server, "r");
    told(&server, "r", json!({"event": "agent_interrupted", "ask": "may I?"}));
    let frames = tab.drain();
    assert_eq!(names(&frames), ["agent_started", "agent_interrupted"]);
    assert_eq!(frames[1]["data"], json!({"ask": "may I?"}));
    let late = tell(&server, "a", "r", json!({"event": "progress"}));
    assert_eq!((late.status, late.code().as_str()), (422, "run_ended"));
    assert!(late.body.contains("agent_interrupted"), "{}", late.body);
    assert!(server.get("/metrics").body.contains("interrupted"));
}

#[test]
fn the_runs_of_a_user_are_listed_and_shown_from_their_start() {
    let server = Server::start();
    opened(&server, "ended");
    told(&server, "ended", json!({"event": "text", "delta": "the answer"}));
    told(&server, "ended", json!({"event": "agent_completed", "result": 42}));
    opened(&server, "r/open");
    assert_eq!(open(&server, "b", "r/open").status, 201, "another user's");

    let list = server.get("/v1/runs?user=a").json();
    let runs = list["runs"].as_array().unwrap();
    let stands: Vec<_> = runs.iter().map(|run| (&run["run"], &run["state"], &run["end"])).collect();
    let (open_state, ended) = (json!("open"), json!("ended"));
    assert_eq!(
        stands,
        [
            (&json!("ended"), &ended, &json!("completed")),
            (&json!("r/open"), &open_state, &Value::Null)
        ]
    );
    assert_eq!(runs[0]["thread"], "main");

    let shown = server.get("/v1/runs/ended?user=a").json();
    let frames = shown["frames"].as_array().unwrap();
    assert_eq!(names(frames), ["agent_started", "text", "agent_completed"]);
    assert_eq!(frames[1]["data"], json!({"delta": "the answer"}));
    assert_eq!(frames[2]["data"], json!({"result": 42}));
    let at = frames[2]["at"].as_u64().unwrap();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!(at <= now && now - at < 60_000, "{at}");

    let other = server.get("/v1/runs/r%2Fopen?user=a").json();
    assert_eq!(names(other["frames"].as_array().unwrap()), ["agent_started"]);
    for (path, status, code) in [
        ("/v1/runs", 400, "bad_query"),
        ("/v1/runs?user=a&limit=1", 400, "bad_query"),
        ("/v1/runs/ended", 400, "bad_query"),
        ("/v1/runs/ended?user=b", 404, "unknown_run"),
        ("/v1/runs/other?user=a", 404, "unknown_run"),
    ] {
        let refused = server.get(path);
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{path}");
    }
    assert_eq!(server.get("/v1/runs?user=c").json(), json!({"runs": []}));
}
