//! Agent runs: what back ends may say of them in which order, and what clients see.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::common::{Answer, Server, request};

pub(crate) fn open(server: &Server, user: &str, run: &str) -> Answer {
    let body = json!({"user": user, "thread": "main", "run": run, "agent": "Planner"});
    server.post("/v1/runs", &body.to_string())
}

/// Reports an event; `rest` is the body beside the user.
pub(crate) fn tell(server: &Server, user: &str, run: &str, mut rest: Value) -> Answer {
    rest["user"] = json!(user);
    server.post(&format!("/v1/runs/{run}/events"), &rest.to_string())
}

/// The same, which goes well.
pub(crate) fn told(server: &Server, run: &str, rest: Value) -> Value {
    let answer = tell(server, "a", run, rest);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

pub(crate) fn opened(server: &Server, run: &str) {
    let answer = open(server, "a", run);
    assert_eq!(answer.status, 201, "{answer:?}");
}

pub(crate) fn names(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["event"].as_str().unwrap_or("none")).collect()
}

#[test]
fn the_five_events_arrive_in_order_with_run_agent_time_and_payload() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let mut work = server.connect("user=a&thread=work");
    let mut stranger = server.connect("user=b");
    let started = open(&server, "a", "r 1");
    assert_eq!(started.status, 201, "{started:?}");
    let epoch = &client.welcome["session"]["epoch"];
    let position = json!([{"stream": "session", "epoch": epoch, "offset": 1}]);
    let all = json!({"sent": 1, "deferred": 0, "stored": 1, "positions": position});
    assert_eq!(started.json(), all);
    let run = "r%201";
    told(&server, run, json!({"event": "agent_thinking", "text": "hm"}));
    let parameters = json!({"a": [1, null]});
    let tool =
        json!({"event": "tool_executing", "tool": "t", "call": "c", "parameters": parameters});
    told(&server, run, tool);
    told(&server, run, json!({"event": "tool_completed", "call": "c", "result": "ok"}));
    let last = told(&server, run, json!({"event": "agent_completed", "result": {"answer": 42}}));
    assert_eq!((&last["sent"], &last["positions"][0]["offset"]), (&json!(1), &json!(5)));

    let frames = client.drain();
    let expected = [
        ("agent_started", json!({})),
        ("agent_thinking", json!({"text": "hm"})),
        ("tool_executing", json!({"tool": "t", "call": "c", "parameters": parameters})),
        ("tool_completed", json!({"call": "c", "result": "ok"})),
        ("agent_completed", json!({"result": {"answer": 42}})),
    ];
    assert_eq!(frames.len(), expected.len(), "{frames:?}");
    let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let mut before = 0;
    for (index, (mut frame, (event, data))) in frames.into_iter().zip(expected).enumerate() {
        let at = frame["at"].take().as_u64().unwrap();
        assert!(before <= at && wall.abs_diff(at) < 60_000, "{at} at {wall}");
        before = at;
        let whole = json!({
            "type": "event", "stream": "session", "offset": index + 1, "event": event,
            "run": "r 1", "agent": "Planner", "at": null, "data": data,
        });
        assert_eq!(frame, whole);
    }
    assert!(work.drain().is_empty() && stranger.drain().is_empty());
    let runs = &server.stats()["runs"];
    assert_eq!((&runs["opened"], &runs["open"]), (&json!(1), &json!(0)));
    assert_eq!(runs["ended"]["completed"], 1);
    for line in ["run opened", "run ended"] {
        let line = server.logged(&[" INFO ", line]);
        assert!(line.contains("session=") && line.contains("user="), "{line}");
    }
}

#[test]
fn what_is_out_of_order_is_refused_with_the_rule() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    opened(&server, "r");
    let executing = json!({"event": "tool_executing", "tool": "t", "call": "c", "parameters": {}});
    let completed = json!({"event": "tool_completed", "call": "c", "result": 1});
    let done = json!({"event": "agent_completed", "result": 1});
    let refused = |rest: &Value, code: &str, rule: &str| {
        let answer = tell(&server, "a", "r", rest.clone());
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{rest}");
        assert!(answer.body.contains(rule), "{}", answer.body);
    };
    refused(&completed, "unknown_call", "it has to begin first");
    told(&server, "r", executing.clone());
    refused(&executing, "call_under_way", "under way already");
    refused(&done, "calls_under_way", "have to end before the run does");
    let mut long = executing.clone();
    long["call"] = json!("x".repeat(200));
    assert_eq!(tell(&server, "a", "r", long).status, 400);
    told(&server, "r", completed.clone());
    told(&server, "r", done.clone());
    refused(&done, "run_ended", "an earlier agent_completed ended it at 20");
    refused(&json!({"event": "text", "delta": "x"}), "run_ended", "nothing follows the end");
    let again = open(&server, "a", "r");
    assert_eq!((again.status, again.code().as_str()), (409, "run_exists"));
    assert!(again.body.contains("an earlier agent_completed ended it at 20"), "{}", again.body);
    let frames = client.drain();
    let expected = ["agent_started", "tool_executing", "tool_completed", "agent_completed"];
    assert_eq!(names(&frames), expected, "what was refused has left nothing");
}

#[test]
fn a_run_exists_once_and_is_its_users_alone() {
    let server = Server::with(&["limits.runs_per_session=2"]);
    let mut other = server.connect("user=b");
    opened(&server, "r");
    let again = open(&server, "a", "r");
    assert_eq!((again.status, again.code().as_str()), (409, "run_exists"));
    let thinking = json!({"event": "agent_thinking"});
    for (user, run) in [("b", "r"), ("a", "unknown"), ("nobody", "r")] {
        let answer = tell(&server, user, run, thinking.clone());
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_run"), "{user} {run}");
    }
    assert_eq!(server.publish(r#"{"user":"b","run":"r"}"#, "1")["stored"], 0);
    opened(&server, "s");
    let third = open(&server, "a", "t");
    assert_eq!((third.status, third.code().as_str()), (429, "runs_per_session"));
    assert_eq!(open(&server, "b", "r").status, 201, "names are unique within a user only");
    assert_eq!(names(&other.drain()), ["agent_started"]);
    server.post("/v1/drain", r#"{"deadline_ms":600000}"#);
    let refused = open(&server, "newcomer", "r");
    assert_eq!((refused.status, refused.code().as_str()), (503, "draining"));
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
}

#[test]
fn text_is_joined_for_who_was_away() {
    let server = Server::start();
    let client = server.connect("user=a");
    let epoch = client.welcome["session"]["epoch"].as_str().unwrap().to_owned();
    drop(client);
    server.until(|stats| stats["connections"]["live"] == 0);
    opened(&server, "r");
    for delta in ["one ", "\"two\"\n", "drü"] {
        told(&server, "r", json!({"event": "text", "delta": delta}));
    }
    told(&server, "r", json!({"event": "progress", "percent": 50}));
    told(&server, "r", json!({"event": "text", "delta": "end"}));
    let mut client = server.connect(&format!("user=a&epoch={epoch}&offset=0"));
    assert_eq!(client.welcome["recovered"], "all");
    let frames = client.drain();
    assert_eq!(names(&frames), ["agent_started", "text", "progress", "text"]);
    assert_eq!(frames[1]["data"], json!({"delta": "one \"two\"\ndrü"}));
    assert_eq!((&frames[1]["run"], &frames[1]["agent"]), (&json!("r"), &json!("Planner")));
    assert_eq!(frames[2]["data"], json!({"percent": 50}));
    assert_eq!(frames[3]["data"]["delta"], "end");
    // The offset of a text is its end: after it comes what follows.
    let middle = frames[1]["offset"].as_u64().unwrap();
    let mut again = server.connect(&format!("user=a&epoch={epoch}&offset={middle}"));
    assert_eq!(again.drain(), frames[2..]);
}

#[test]
fn a_second_tab_gets_the_open_run_from_its_start() {
    let server = Server::start();
    let mut first = server.connect("user=a");
    server.publish(r#"{"user":"a"}"#, "\"before\"");
    opened(&server, "done");
    told(&server, "done", json!({"event": "agent_cancelled"}));
    opened(&server, "r");
    told(&server, "r", json!({"event": "agent_thinking", "text": "hm"}));
    server.publish(r#"{"user":"a","run":"r"}"#, "\"about it\"");
    assert_eq!(first.drain().len(), 6);

    let mut second = server.connect("user=a");
    assert_eq!(second.welcome["recovered"], "fresh");
    assert_eq!(second.welcome["runs"], json!([{"run": "r", "agent": "Planner"}]));
    let start = second.welcome["session"]["offset"].as_u64().unwrap();
    let frames = second.drain();
    assert_eq!(names(&frames), ["agent_started", "agent_thinking"], "{frames:?}");
    assert_eq!(frames[0]["offset"], start + 1, "its events begin after that offset");
    told(&server, "r", json!({"event": "agent_failed", "error": "it broke"}));
    for client in [&mut first, &mut second] {
        let frames = client.drain();
        assert_eq!(names(&frames), ["agent_failed"]);
        assert_eq!(frames[0]["data"], json!({"error": "it broke"}));
    }
    assert_eq!(server.connect("user=a").welcome["runs"], json!([]));
}

#[test]
fn who_leaves_in_the_middle_of_a_run_gets_exactly_the_rest() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    opened(&server, "r");
    told(&server, "r", json!({"event": "agent_thinking", "text": "1"}));
    let seen = client.drain().last().unwrap()["offset"].as_u64().unwrap();
    let epoch = client.welcome["session"]["epoch"].as_str().unwrap().to_owned();
    drop(client);
    told(&server, "r", json!({"event": "agent_thinking", "text": "2"}));
    server.until(|stats| stats["connections"]["live"] == 0);
    told(&server, "r", json!({"event": "text", "delta": "3"}));
    let mut back = server.connect(&format!("user=a&epoch={epoch}&offset={seen}"));
    assert_eq!(
        (&back.welcome["recovered"], &back.welcome["session"]["offset"]),
        (&json!("all"), &json!(seen))
    );
    assert_eq!(back.welcome["runs"][0]["run"], "r");
    told(&server, "r", json!({"event": "agent_completed", "result": 4}));
    let data: Vec<Value> = back.data();
    assert_eq!(data, [json!({"text": "2"}), json!({"delta": "3"}), json!({"result": 4})]);
}

#[test]
fn a_silent_run_is_failed_and_says_why() {
    let server = Server::with(&["run.silence=300ms"]);
    let mut client = server.connect("user=a");
    opened(&server, "r");
    let frames = [client.next(), client.next()];
    assert_eq!(names(&frames), ["agent_started", "agent_failed"]);
    assert!(frames[1]["data"]["error"].as_str().unwrap().contains("silence"), "{frames:?}");
    let answer = tell(&server, "a", "r", json!({"event": "agent_thinking"}));
    assert_eq!((answer.status, answer.code().as_str()), (422, "run_ended"));
    assert_eq!(server.stats()["runs"]["ended"]["silence"], 1);
    server.logged(&["run ended", "end=\"silence\"", "lasted_ms="]);

    let server = Server::with(&["run.max_length=300ms"]);
    let mut client = server.connect("user=a");
    opened(&server, "r");
    let error = [client.next(), client.next()][1]["data"]["error"].clone();
    assert!(error.as_str().unwrap().contains("length"), "{error}");
}

#[test]
fn a_run_needs_nobody_there_and_its_session_shows_it() {
    let server = Server::with(&["session.linger=100ms"]);
    opened(&server, "r");
    std::thread::sleep(Duration::from_millis(300));
    let session = server.get("/v1/sessions?user=a").json()["sessions"][0].clone();
    assert_eq!((&session["state"], &session["runs"]), (&json!("lingering"), &json!(1)));
    let path = format!("/v1/sessions/{}", session["session"].as_str().unwrap());
    let explained = server.get(&path).json();
    let run = &explained["runs"][0];
    assert_eq!((&run["run"], &run["agent"]), (&json!("r"), &json!("Planner")), "{run}");
    assert_eq!((&run["events"], &run["calls"]), (&json!(1), &json!([])), "{run}");
    assert_eq!((&run["next"]["what"], &run["next"]["why"]), (&json!("fail"), &json!("silence")));
    told(&server, "r", json!({"event": "agent_cancelled"}));
    server.until(|stats| stats["sessions"]["live"] == 0);
}

#[test]
fn a_repeated_report_has_one_effect() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let post = |path: &str, key: &str, body: &Value| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        request(server.admin, "POST", path, &headers, &body.to_string())
    };
    let opening = |run: &str| json!({"user": "a", "thread": "main", "run": run, "agent": "x"});
    let first = post("/v1/runs", "1", &opening("r"));
    let again = post("/v1/runs", "1", &opening("r"));
    assert_eq!((first.status, again.status, &first.body), (201, 201, &again.body));
    assert_eq!(post("/v1/runs", "2", &opening("r")).status, 409);
    opened(&server, "s");
    let delta = json!({"user": "a", "event": "text", "delta": "x"});
    let first = post("/v1/runs/r/events", "3", &delta);
    let again = post("/v1/runs/r/events", "3", &delta);
    assert_eq!((first.status, again.status, &first.body), (200, 200, &again.body));
    // The same words of another run are something else.
    assert_eq!(post("/v1/runs/s/events", "3", &delta).status, 422);
    assert_eq!(names(&client.drain()), ["agent_started", "agent_started", "text"]);
}

#[test]
fn a_run_has_room_for_so_much() {
    let server = Server::with(&["run.bytes=2KiB", "run.events=4"]);
    let mut big = json!({"user": "a", "thread": "main", "run": "big", "agent": "x"});
    big["plan"] = json!("x".repeat(3_000));
    assert_eq!(server.post("/v1/runs", &big.to_string()).status, 413);
    opened(&server, "r");
    let thinking =
        |text: &str| tell(&server, "a", "r", json!({"event": "agent_thinking", "text": text}));
    let full = thinking(&"x".repeat(2_000));
    assert_eq!((full.status, full.code().as_str()), (422, "run_full"));
    assert_eq!((thinking("1").status, thinking("2").status, thinking("3").status), (200, 200, 422));
    told(&server, "r", json!({"event": "agent_cancelled"}));
}

#[test]
fn so_many_calls_of_a_run_are_under_way() {
    let server = Server::with(&["run.calls=2"]);
    opened(&server, "r");
    let begin = |call: &str| {
        let event = json!({"event": "tool_executing", "tool": "t", "call": call, "parameters": {}});
        tell(&server, "a", "r", event)
    };
    assert_eq!((begin("1").status, begin("2").status), (200, 200));
    let third = begin("3");
    assert_eq!((third.status, third.code().as_str()), (422, "run_calls"));
    assert!(third.body.contains("(run.calls)"), "{}", third.body);
    told(&server, "r", json!({"event": "tool_completed", "call": "1", "result": 1}));
    assert_eq!(begin("3").status, 200);
}

#[test]
fn calls_that_fill_a_budget_are_refused_with_its_name() {
    for (setting, status, code) in [
        ("outbound.user_bytes=500", 429, "user_bytes"),
        ("outbound.process_bytes=500", 503, "process_bytes"),
    ] {
        let server = Server::with(&[setting]);
        let begin = |user: &str| {
            let body = json!({"user": user, "thread": "main", "run": "r", "agent": "x"});
            assert_eq!(server.post("/v1/runs", &body.to_string()).status, 201);
            let event =
                json!({"event": "tool_executing", "tool": "t", "call": "1", "parameters": {}});
            let first = tell(&server, user, "r", event.clone());
            let second =
                json!({"event": "tool_executing", "tool": "t", "call": "2", "parameters": {}});
            (first, tell(&server, user, "r", second))
        };
        let (first, second) = begin("a");
        assert_eq!((first.status, second.status), (200, 200));
        // The user's budget is each user's own, and that of the process is for all.
        let (of_another, _) = begin("b");
        let refused = match status {
            429 => {
                assert_eq!(of_another.status, 200);
                let third =
                    json!({"event": "tool_executing", "tool": "t", "call": "3", "parameters": {}});
                tell(&server, "a", "r", third)
            }
            _ => of_another,
        };
        assert_eq!((refused.status, refused.code().as_str()), (status, code));
    }
}

#[test]
fn a_call_under_way_is_no_silence_and_who_comes_too_late_is_told_who_ended_the_run() {
    let server = Server::with(&["run.silence=1s", "run.max_length=20s"]);
    let mut client = server.connect("user=a");
    for run in ["patient", "hasty"] {
        opened(&server, run);
    }
    let executing = |expect: Value| {
        json!({"event": "tool_executing", "tool": "t", "call": "c", "parameters": {},
               "expect_ms": expect})
    };
    told(&server, "patient", executing(json!(60_000)));
    for wrong in [json!(0), json!(-5), json!("10s"), json!(0.5)] {
        let answer = tell(&server, "a", "patient", executing(wrong.clone()));
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
        assert!(answer.body.contains("expect_ms"), "{answer:?}");
    }
    // Silence is the other one's, and it is told to the page and to the back end.
    let failed = loop {
        let frame = client.next();
        if frame["event"] == "agent_failed" {
            break frame;
        }
    };
    assert_eq!(failed["run"], "hasty");
    let late = tell(&server, "a", "hasty", json!({"event": "progress"}));
    assert_eq!((late.status, late.code().as_str()), (422, "run_ended"), "{late:?}");
    for part in ["the gateway failed the run at 20", "Z: no event for run.silence (1s)"] {
        assert!(late.body.contains(part), "{}", late.body);
    }
    // What is under way, and what would become of it: the length cuts a long expectation.
    let sessions = server.get("/v1/sessions?user=a").json();
    let id = sessions["sessions"][0]["session"].as_str().unwrap().to_owned();
    let shown = server.get(&format!("/v1/sessions/{id}")).json();
    let run = &shown["runs"][0];
    assert_eq!((&run["run"], &run["next"]["what"]), (&json!("patient"), &json!("fail")), "{run}");
    assert_eq!(run["next"]["why"], "length", "{run}");
    assert_eq!(run["calls"][0]["call"], "c");
    let expected = run["calls"][0]["expected_in_ms"].as_u64().unwrap();
    assert!(expected > 30_000 && expected <= 60_000, "{run}");
    told(&server, "patient", json!({"event": "tool_completed", "call": "c", "result": 1}));
    told(&server, "patient", json!({"event": "agent_completed", "result": 1}));
}

/// Reports an event whose body is written by hand: its fields beside the user.
fn told_as_written(server: &Server, run: &str, rest: &str) -> u16 {
    server.post(&format!("/v1/runs/{run}/events"), &format!("{{\"user\":\"a\",{rest}}}")).status
}

/// What the agent says in these frames.
fn said(frames: &[Value]) -> String {
    let texts = frames.iter().filter(|frame| frame["event"] == "text");
    texts.map(|frame| frame["data"]["delta"].as_str().unwrap()).collect()
}

#[test]
fn halves_of_a_character_meet_in_text_and_in_thoughts() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    opened(&server, "r");
    for (field, event) in [("delta", "text"), ("text", "agent_thinking")] {
        for part in [r"a\ud83d", r"\ude00b", r"\ud83d", "c"] {
            let rest = format!(r#""event":"{event}","{field}":"{part}""#);
            assert_eq!(told_as_written(&server, "r", &rest), 200, "{rest}");
        }
    }
    let frames = client.drain();
    assert_eq!(said(&frames), "a😀b\u{fffd}c");
    let thoughts = frames.iter().filter(|frame| frame["event"] == "agent_thinking");
    let thoughts: Vec<_> = thoughts.map(|frame| frame["data"]["text"].as_str().unwrap()).collect();
    assert_eq!(thoughts, ["a", "😀b", "", "\u{fffd}c"]);

    // One that waits at the end stays alone, and is none of the next run's.
    assert_eq!(told_as_written(&server, "r", r#""event":"text","delta":"d\ud83d""#), 200);
    opened(&server, "other");
    assert_eq!(told_as_written(&server, "other", r#""event":"text","delta":"e""#), 200);
    told(&server, "r", json!({"event": "agent_cancelled"}));
    let frames = client.drain();
    let of = |run: &str| {
        said(&frames.iter().filter(|frame| frame["run"] == run).cloned().collect::<Vec<_>>())
    };
    assert_eq!((of("r"), of("other")), ("d\u{fffd}".to_owned(), "e".to_owned()));
    assert_eq!(frames.last().unwrap()["event"], "agent_cancelled");
}

#[test]
fn half_of_a_character_is_a_name_nowhere_and_reaches_nobody() {
    let server = Server::start();
    let mut client = server.connect("user=a");
    let half = r"\ud83d";
    for (path, body) in [
        ("/v1/publish", format!(r#"{{"to":{{"user":"{half}"}},"data":1}}"#)),
        ("/v1/publish", format!(r#"{{"to":{{"room":"{half}"}},"data":1}}"#)),
        (
            "/v1/publish",
            format!(r#"{{"to":{{"user":"a"}},"data":1,"class":"latest","key":"{half}"}}"#),
        ),
        ("/v1/runs", format!(r#"{{"user":"a","thread":"{half}","run":"r","agent":"x"}}"#)),
        ("/v1/runs", format!(r#"{{"user":"a","thread":"t","run":"{half}","agent":"x"}}"#)),
        ("/v1/runs", format!(r#"{{"user":"a","thread":"t","run":"r","agent":"{half}"}}"#)),
        ("/v1/close", format!(r#"{{"to":{{"user":"a"}},"reason":"{half}"}}"#)),
        ("/v1/revoke", format!(r#"{{"user":"{half}"}}"#)),
        ("/v1/join", format!(r#"{{"user":"a","room":"{half}"}}"#)),
    ] {
        let answer = server.post(path, &body);
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(!answer.code().is_empty());
    }
    let data = format!(r#"{{"{half}":["x{half}","\ud83d\ude00",1E2]}}"#);
    server.publish(r#"{"user":"a"}"#, &data);
    server.publish(r#"{"everyone":true}"#, &data);
    let mended = json!({"\u{fffd}": ["x\u{fffd}", "😀", 1E2]});
    assert_eq!(client.data(), [mended.clone(), mended]);
}
