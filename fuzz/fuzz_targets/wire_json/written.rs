//! What clients receive: JSON with the same values in it, whatever they are.

use std::time::Duration;

use bytes::Bytes;
use headcount::{
    CloseReason, Config, Part, Position, Principal, Recovered, Registry, RoomId, RunEventKind,
    RunFact, RunFailure, RunId, RunText, Start, StreamRef, ThreadId, Timestamp, UserId,
};
use headcount_protocol::anchor::Anchor;
use headcount_protocol::epoch::show_epoch;
use headcount_protocol::handles::{show_connection, show_session};
use headcount_protocol::json::quoted;
use headcount_protocol::run_events;
use headcount_protocol::server_frames::{self, Terms};
use serde_json::{Value, json};

/// What separates the names in the text.
const SEPARATOR: char = '\u{1e}';

/// JSON that the gateway writes. If it is a frame, a client understands it.
fn value(frame: impl AsRef<[u8]>) -> Value {
    let frame = frame.as_ref();
    let text = std::str::from_utf8(frame).expect("a text");
    if text.starts_with("{\"type\"") {
        assert_eq!(server_frames::parse(text).err(), None, "{text}");
    }
    match serde_json::from_slice(frame) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(frame)),
    }
}

pub(crate) fn check(text: &str, data: Option<&Value>, [a, b, c]: [u64; 3]) {
    // What a general parser does not take, a number of 400 digits for instance, may stand in a field that a
    // client ignores.
    if let (Ok(_), Some(data)) = (server_frames::parse(text), data) {
        assert!(data["type"].is_string(), "{text}");
    }
    assert_eq!(value(quoted(text)), text);
    // Characters that are not seen, or that move others, are written as escapes in sentences.
    let message = headcount::shown(text).to_string();
    let error = json!({"type": "error", "code": "x", "message": message, "request": a});
    assert_eq!(value(server_frames::error("x", text, Some(&a.to_string()))), error);
    let within = Duration::from_millis(a)..Duration::from_millis(b);
    assert_eq!(
        value(server_frames::draining(&within)),
        json!({"type": "draining", "reconnect_ms": [a, b]})
    );
    let mut names = text.split(SEPARATOR);
    let mut name = || names.next().unwrap_or("x");
    let position = Position { epoch: c, offset: a };
    if let Ok(room) = RoomId::new(name()) {
        of_room(&room, position, data.unwrap_or(&Value::Null), b);
    }
    if let Ok(run) = RunId::new(name()) {
        of_run(&run, name(), position, data.unwrap_or(&Value::Null), Timestamp::from_nanos(b));
    }
    if let (Ok(user), Ok(thread)) = (UserId::new(name()), ThreadId::new(name())) {
        of_connection(&user, &thread, position);
    }
}

fn of_room(room: &RoomId, position: Position, data: &Value, to: u64) {
    let stream = server_frames::stream_name(StreamRef::Room(room)).expect("a room has a stream");
    let named = format!("room/{}", room.as_str());
    assert_eq!(stream, named);
    let mut out = Vec::new();
    server_frames::event(&stream, position, data.to_string().as_bytes(), &mut out);
    let offset = position.offset;
    let event = json!({"type": "event", "stream": named, "offset": offset, "data": data});
    assert_eq!(value(out), event);
    let gap = json!({"type": "gap", "stream": named, "from": offset, "to": to});
    assert_eq!(value(server_frames::gap(&stream, offset, to)), gap);
    assert_eq!(
        value(server_frames::direct_event(&data.to_string())),
        json!({"type": "event", "data": data})
    );
    let request = json!([room.as_str()])[0].to_string();
    let left = json!({"type": "left", "room": room.as_str(), "request": room.as_str()});
    assert_eq!(value(server_frames::left(room, Some(&request))), left);
}

fn of_run(run: &RunId, agent: &str, position: Position, data: &Value, at: Timestamp) {
    let anchor = Anchor::new(Duration::from_secs(1_700_000_000));
    let payload = Bytes::from(data.to_string());
    let kinds = [
        (RunEventKind::Started, "agent_started"),
        (RunEventKind::ToolExecuting, "tool_executing"),
        (RunEventKind::Failed, "agent_failed"),
    ];
    let expected = |event: &str, data: &Value| {
        json!({
            "type": "event", "stream": "session", "offset": position.offset, "event": event,
            "run": run.as_str(), "agent": agent, "at": anchor.millis(at), "data": data,
        })
    };
    for (kind, event) in kinds {
        let fact = RunFact { run, agent, kind, failure: None, at, payload: &payload };
        let mut out = Vec::new();
        run_events::fact("session", position, &fact, anchor, &mut out);
        assert_eq!(value(out), expected(event, data));
    }
    let failure = Some(RunFailure::Silence);
    let fact =
        RunFact { run, agent, kind: RunEventKind::Failed, failure, at, payload: &Bytes::new() };
    let mut out = Vec::new();
    run_events::fact("session", position, &fact, anchor, &mut out);
    let failed = value(out);
    assert_eq!(failed, expected("agent_failed", &failed["data"]));
    assert!(failed["data"]["error"].is_string());
    let said = RunText { run, agent, at, part: Part::TEXT, text: agent };
    let mut out = Vec::new();
    run_events::text("session", position, &said, anchor, &mut out);
    assert_eq!(value(out), expected("text", &json!({"delta": agent})));
    let list = run_events::list([(run, agent), (run, "a")].into_iter());
    let (one, two) = (json!({"run": run.as_str(), "agent": agent}), "a");
    assert_eq!(value(list), json!([one, {"run": run.as_str(), "agent": two}]));
}

/// The first frame, and what a join is answered with, as a registry makes them.
fn of_connection(user: &UserId, thread: &ThreadId, position: Position) {
    let mut registry = Registry::new(Config::new(position.epoch));
    let now = Timestamp::from_secs(1);
    let conn = registry.reserve(now, None).expect("room for one");
    let start = Start::After(position);
    let who = Principal::new(user.clone()).with_thread(thread.clone());
    let admitted = registry.connect(now, conn, who, start.clone(), None).expect("room for one");
    let followed = admitted.followed.expect("it names a thread");
    let terms = Terms { ping_interval: Duration::MAX, max_message_bytes: position.offset };
    let connection = show_connection(registry.config().instance(), conn);
    let recovered = |recovered| match recovered {
        Recovered::Fresh => "fresh",
        Recovered::All => "all",
        _ => "gap",
    };
    let place = followed.position;
    let session = json!({"epoch": show_epoch(place.epoch), "offset": place.offset});
    let welcome = json!({
        "type": "welcome", "connection": connection, "user": user.as_str(),
        "thread": thread.as_str(), "session": session, "recovered": recovered(followed.recovered),
        "runs": [], "ping_interval_ms": u64::MAX, "max_message_bytes": position.offset,
        "reconnect_ms": [250, 5000],
    });
    assert_eq!(
        value(server_frames::welcome(
            &connection,
            (user, thread),
            place,
            followed.recovered,
            "[]",
            terms
        )),
        welcome
    );
    let shown = show_session(registry.config().instance(), followed.session);
    let answer = json!({
        "type": "followed", "thread": thread.as_str(), "session": shown,
        "epoch": show_epoch(place.epoch), "offset": place.offset,
        "recovered": recovered(followed.recovered), "runs": [],
    });
    let of = (thread, &*shown);
    assert_eq!(value(server_frames::followed(of, place, followed.recovered, "[]", None)), answer);
    let told = json!({
        "type": "unfollowed", "thread": thread.as_str(), "session": shown, "reason": "revoked",
    });
    assert_eq!(value(server_frames::sent_away(thread, &shown, CloseReason::Revoked)), told);
    let gap = server_frames::gap(&server_frames::thread_stream(thread), 1, 2);
    let stream = format!("session/{}", thread.as_str());
    assert_eq!(value(gap), json!({"type": "gap", "stream": stream, "from": 1, "to": 2}));
    let room = RoomId::new(user.as_str()).expect("the rules are the same");
    let joined = registry.join(now, conn, &room, start).expect("room for one");
    let place = joined.position;
    let answer = json!({
        "type": "joined", "room": room.as_str(), "epoch": show_epoch(place.epoch),
        "offset": place.offset, "recovered": recovered(joined.recovered),
    });
    assert_eq!(value(server_frames::joined(&room, place, joined.recovered, None)), answer);
}
