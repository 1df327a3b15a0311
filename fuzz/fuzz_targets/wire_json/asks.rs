//! What clients ask for.

use headcount::{Position, RoomId, RunId, Start, ThreadId};
use headcount_protocol::client_frames::{self, Ask, Auth};
use headcount_protocol::handles::parse_connection;
use headcount_protocol::secret::Secret;
use headcount_protocol::server_frames::{self, Frame, Stream};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::LONGEST_SENTENCE;

/// The longest `id` that is echoed, in bytes of JSON, as the documentation has it.
const LONGEST_REQUEST: usize = 256;

pub(crate) fn check(text: &str, value: Option<&Value>, plain: Option<&str>) {
    let parsed = client_frames::parse(text);
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        assert_eq!(parsed.as_ref().err().map(|wrong| wrong.code), Some("bad_json"));
    }
    let request = match &parsed {
        Ok(frame) => {
            let written = frame.json();
            assert_eq!(client_frames::parse(&written).as_ref(), Ok(frame), "{written}");
            frame.request
        }
        Err(wrong) => {
            let length = wrong.message.len();
            assert!((1..=LONGEST_SENTENCE).contains(&length), "{length} bytes: {}", wrong.message);
            is_error_frame(wrong);
            wrong.request
        }
    };
    if let Some(request) = request {
        assert!(text.contains(request) && request.len() <= LONGEST_REQUEST);
    }
    // Fields that are there twice are one in the value; what was taken has each once.
    if let (Some(value), Ok(frame)) = (value, &parsed) {
        is_asked(&frame.ask, &expected(value).expect("what was taken"));
    }
    if let (Some(value), Some(plain)) = (value, plain) {
        is_as_expected(value, plain);
    }
}

/// A text of which the value says everything.
fn is_as_expected(value: &Value, plain: &str) {
    let parsed = client_frames::parse(plain);
    let id = value.get("id").filter(|id| !id.is_null());
    let refused = id.is_some_and(|id| {
        !(id.is_string() || id.is_number()) || id.to_string().len() > LONGEST_REQUEST
    });
    let expected = if refused { Err("bad_frame") } else { expected(value) };
    let request = match (parsed, expected) {
        (Ok(frame), Ok(ask)) => {
            is_asked(&frame.ask, &ask);
            frame.request
        }
        (Err(wrong), Err(code)) => {
            assert_eq!(wrong.code, code, "{}", wrong.message);
            wrong.request
        }
        (parsed, expected) => panic!("{parsed:?}, {expected:?} expected"),
    };
    let echoed = value.as_object().and(id).filter(|_| !refused).map(Value::to_string);
    assert_eq!(request, echoed.as_deref());
}

/// An input is what it was written as; its value is what counts.
fn is_asked(ask: &Ask, expected: &Ask) {
    let value = |json: &str| serde_json::from_str::<Value>(json).expect("an input is JSON");
    match (ask, expected) {
        (
            Ask::RunRequest { thread, run, input },
            Ask::RunRequest { thread: other_thread, run: other_run, input: other_input },
        ) => {
            assert_eq!((thread, run), (other_thread, other_run));
            assert_eq!(value(input), value(other_input));
        }
        _ => assert_eq!(ask, expected),
    }
}

fn expected(value: &Value) -> Result<Ask, &'static str> {
    let Value::Object(fields) = value else { return Err("bad_json") };
    match fields.get("type").and_then(Value::as_str).ok_or("bad_frame")? {
        "ping" => Ok(Ask::Ping),
        "join" => Ok(Ask::Join { room: room(fields)?, since: since(fields)? }),
        "leave" => Ok(Ask::Leave { room: room(fields)? }),
        "follow" => {
            Ok(Ask::Follow { thread: thread(fields)?.ok_or("bad_frame")?, start: start(fields)? })
        }
        "unfollow" => Ok(Ask::Unfollow { thread: thread(fields)?.ok_or("bad_frame")? }),
        "ack" => {
            let stream = fields.get("stream").and_then(Value::as_str).ok_or("bad_frame")?;
            let stream = match stream.split_once('/') {
                None if stream == "session" => Stream::Session,
                Some(("session", thread)) => {
                    Stream::Thread(ThreadId::new(thread).map_err(|_| "bad_id")?)
                }
                Some(("room", room)) => Stream::Room(RoomId::new(room).map_err(|_| "bad_id")?),
                _ => return Err("bad_frame"),
            };
            let offset = fields.get("offset").and_then(Value::as_u64).ok_or("bad_position")?;
            Ok(Ask::Ack { stream, offset })
        }
        "auth" => {
            let token = token(fields)?;
            let (thread, start) = (thread(fields)?, start(fields)?);
            let previous = given(fields, "previous")
                .map(|previous| previous.as_str().ok_or("bad_frame"))
                .transpose()?
                .and_then(parse_connection);
            Ok(Ask::Auth(Auth { token, thread, start, previous }))
        }
        "refresh" => Ok(Ask::Refresh { token: token(fields)? }),
        "run_request" => {
            let (thread, run) = (thread(fields)?, run(fields)?);
            let input = given(fields, "input").ok_or("bad_frame")?.to_string();
            Ok(Ask::RunRequest { thread, run, input })
        }
        "run_cancel" => {
            let run = run(fields)?;
            let reason = given(fields, "reason").map(|reason| reason.as_str().ok_or("bad_frame"));
            Ok(Ask::RunCancel { run, reason: reason.transpose()?.map(str::to_owned) })
        }
        "message" => Err("not_available"),
        _ => Err("unknown_type"),
    }
}

fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn thread(fields: &Map<String, Value>) -> Result<Option<ThreadId>, &'static str> {
    let thread = given(fields, "thread")
        .map(|thread| ThreadId::new(thread.as_str().ok_or("bad_frame")?).map_err(|_| "bad_id"));
    thread.transpose()
}

fn start(fields: &Map<String, Value>) -> Result<Start, &'static str> {
    let run = given(fields, "run").map(|_| run(fields)).transpose()?;
    let recent = match given(fields, "recent") {
        None => false,
        Some(recent) => recent.as_bool().ok_or("bad_frame")?,
    };
    match (since(fields)?, run, recent) {
        (None, None, false) => Ok(Start::OpenRuns),
        (Some(position), None, false) => Ok(Start::After(position)),
        (None, Some(run), false) => Ok(Start::Run(run)),
        (None, None, true) => Ok(Start::Recent),
        _ => Err("bad_position"),
    }
}

fn run(fields: &Map<String, Value>) -> Result<RunId, &'static str> {
    let run = fields.get("run").and_then(Value::as_str).ok_or("bad_frame")?;
    RunId::new(run).map_err(|_| "bad_id")
}

fn token(fields: &Map<String, Value>) -> Result<Secret, &'static str> {
    fields.get("token").and_then(Value::as_str).map(Secret::new).ok_or("bad_frame")
}

fn room(fields: &Map<String, Value>) -> Result<RoomId, &'static str> {
    let room = fields.get("room").and_then(Value::as_str).ok_or("bad_frame")?;
    RoomId::new(room).map_err(|_| "bad_id")
}

fn since(fields: &Map<String, Value>) -> Result<Option<Position>, &'static str> {
    let (epoch, offset) = match (given(fields, "epoch"), given(fields, "offset")) {
        (None, None) => return Ok(None),
        (Some(epoch), Some(offset)) => (epoch, offset),
        _ => return Err("bad_position"),
    };
    let epoch = epoch.as_str().map(|epoch| number_of(epoch).unwrap_or(0));
    let epoch = epoch.ok_or("bad_position")?;
    let offset = offset.as_u64().ok_or("bad_position")?;
    Ok(Some(Position { epoch, offset }))
}

/// A number out of hexadecimal digits; `None` if it is none, or more than 64 bits have.
pub(crate) fn number_of(text: &str) -> Option<u64> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    if digits.is_empty() {
        return None;
    }
    digits.into_iter().try_fold(0u64, |number, digit| {
        number.checked_mul(16).and_then(|number| number.checked_add(digit.into()))
    })
}

fn is_error_frame(wrong: &client_frames::Misunderstood<'_>) {
    // A lone surrogate in it is the client's own, and comes back as it was.
    let request = wrong.request.filter(|json| serde_json::from_str::<Value>(json).is_ok());
    let frame = server_frames::error(wrong.code, &wrong.message, request);
    let read = server_frames::parse(&frame);
    let Ok(Frame::Error { code, message, request: echoed }) = read else { panic!("{read:?}") };
    assert_eq!((&*code, &*message, echoed), (wrong.code, &*wrong.message, request));
    let frame: Value = serde_json::from_str(&frame).expect("JSON");
    assert_eq!((&frame["type"], &frame["code"]), (&"error".into(), &wrong.code.into()));
    assert_eq!(frame["message"], wrong.message);
    let request = request.map(|json| serde_json::from_str::<Value>(json).expect("JSON"));
    assert_eq!(frame.get("request"), request.as_ref());
}
