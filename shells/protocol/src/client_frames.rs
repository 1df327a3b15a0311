//! The frames that clients send, understood and written.

use headcount::{ConnId, Position, RoomId, RunId, ThreadId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::admin::surrogates::mend;
use crate::epoch::{parse_epoch, show_epoch};
use crate::handles::{Named, parse_connection, show_connection};
use crate::json::Object;
use crate::problem::why;
use crate::secret::Secret;
use crate::server_frames::{SESSION, room_stream};

/// The longest `id` that is sent back, in bytes of JSON.
const MAX_REQUEST_BYTES: usize = 256;

/// One frame, understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The client's `id` as the JSON it wrote: it comes back as `request`.
    pub request: Option<&'a str>,
    /// What it wants.
    pub ask: Ask,
}

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// To be in a room.
    Join {
        /// The room.
        room: RoomId,
        /// What it has seen of the room's stream.
        since: Option<Position>,
    },
    /// Not to be in a room.
    Leave {
        /// The room.
        room: RoomId,
    },
    /// To have it known what it has processed.
    Ack {
        /// The room whose stream it is about; `None` is the session.
        room: Option<RoomId>,
        /// The last offset that is processed.
        offset: u64,
    },
    /// An answer.
    Ping,
    /// Who it is: the first frame of a client whose request had no token.
    Auth(Auth),
    /// New credentials.
    Refresh {
        /// The token.
        token: Secret,
    },
    /// A run of an agent.
    RunRequest {
        /// In which thread; `None`: in that of the connection.
        thread: Option<ThreadId>,
        /// The name that the run is to have.
        run: RunId,
        /// What is asked of the agent: JSON in which no string holds half of a surrogate pair.
        input: String,
    },
    /// The end of a run.
    RunCancel {
        /// Which run.
        run: RunId,
        /// Why; `None`: the client does not say.
        reason: Option<String>,
    },
}

/// What the frame `auth` says.
#[derive(Debug, PartialEq, Eq)]
pub struct Auth {
    /// The token.
    pub token: Secret,
    /// `None`: the client names no thread.
    pub thread: Option<ThreadId>,
    /// What it has seen of its session.
    pub since: Option<Position>,
    /// The connection that it had.
    pub previous: Option<Named<ConnId>>,
}

/// Why a frame was not understood: becomes an `error` frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Misunderstood<'a> {
    /// One of the documented codes.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// The client's `id`, if that was understood.
    pub request: Option<&'a str>,
}

/// The fields of all frames; others are ignored. Kept as JSON until the type says what they are.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    epoch: Option<&'a RawValue>,
    #[serde(borrow)]
    offset: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    thread: Option<&'a RawValue>,
    #[serde(borrow)]
    previous: Option<&'a RawValue>,
    #[serde(borrow)]
    run: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
}

/// Understands one text message.
///
/// # Errors
/// Why it was not understood.
pub fn parse(text: &str) -> Result<Frame<'_>, Misunderstood<'_>> {
    let not_a_frame = |why: String| Misunderstood {
        code: "bad_json",
        message: format!("a frame is one JSON object with a `type`: {why}"),
        request: None,
    };
    // Arrays would be taken for the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(not_a_frame("this is something else".to_owned()));
    }
    let fields: Fields<'_> =
        serde_json::from_str(text).map_err(|error| not_a_frame(why(&error)))?;
    let request = fields.request()?;
    match fields.ask() {
        Ok(ask) => Ok(Frame { request, ask }),
        Err((code, message)) => Err(Misunderstood { code, message, request }),
    }
}

impl Frame<'_> {
    /// The text message that says it.
    #[must_use]
    pub fn json(&self) -> String {
        let frame = match &self.ask {
            Ask::Join { room, since } => {
                place(Object::frame("join").text("room", room.as_str()), *since)
            }
            Ask::Leave { room } => Object::frame("leave").text("room", room.as_str()),
            Ask::Ack { room, offset } => {
                let stream = room.as_ref().map_or_else(|| SESSION.to_owned(), room_stream);
                Object::frame("ack").text("stream", &stream).number("offset", *offset)
            }
            Ask::Ping => Object::frame("ping"),
            Ask::Auth(Auth { token, thread, since, previous }) => {
                let mut frame = Object::frame("auth").text("token", token.reveal());
                if let Some(thread) = thread {
                    frame = frame.text("thread", thread.as_str());
                }
                frame = place(frame, *since);
                match previous {
                    Some(Named { instance, handle }) => {
                        frame.text("previous", &show_connection(*instance, *handle))
                    }
                    None => frame,
                }
            }
            Ask::Refresh { token } => Object::frame("refresh").text("token", token.reveal()),
            Ask::RunRequest { thread, run, input } => {
                let frame = Object::frame("run_request");
                let frame = match thread {
                    Some(thread) => frame.text("thread", thread.as_str()),
                    None => frame,
                };
                frame.text("run", run.as_str()).raw("input", input)
            }
            Ask::RunCancel { run, reason } => {
                let frame = Object::frame("run_cancel").text("run", run.as_str());
                match reason {
                    Some(reason) => frame.text("reason", reason),
                    None => frame,
                }
            }
        };
        match self.request {
            Some(id) => frame.raw("id", id).end(),
            None => frame.end(),
        }
    }
}

fn place(frame: Object, since: Option<Position>) -> Object {
    match since {
        Some(Position { epoch, offset }) => {
            frame.text("epoch", &show_epoch(epoch)).number("offset", offset)
        }
        None => frame,
    }
}

impl<'a> Fields<'a> {
    fn request(&self) -> Result<Option<&'a str>, Misunderstood<'a>> {
        let Some(id) = self.id.map(RawValue::get) else { return Ok(None) };
        let scalar = id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
        // It comes back as it is, and no frame holds half of a surrogate pair.
        let is_whole = !id.starts_with('"') || string(self.id).is_some();
        if scalar && is_whole && id.len() <= MAX_REQUEST_BYTES {
            return Ok(Some(id));
        }
        Err(Misunderstood {
            code: "bad_frame",
            message: format!(
                "id must be a string of whole characters or a number, of at most {MAX_REQUEST_BYTES} bytes"
            ),
            request: None,
        })
    }

    fn ask(&self) -> Result<Ask, (&'static str, String)> {
        let Some(kind) = string(self.kind) else {
            return Err(("bad_frame", "type is missing or not a string".to_owned()));
        };
        match &*kind {
            "ping" => Ok(Ask::Ping),
            "join" => Ok(Ask::Join { room: self.room()?, since: self.since()? }),
            "leave" => Ok(Ask::Leave { room: self.room()? }),
            "ack" => self.ack(),
            "auth" => self.auth().map(Ask::Auth),
            "refresh" => Ok(Ask::Refresh { token: self.token()? }),
            "run_request" => Ok(Ask::RunRequest {
                thread: self.thread()?,
                run: self.run()?,
                input: self.input()?,
            }),
            "run_cancel" => {
                Ok(Ask::RunCancel { run: self.run()?, reason: text("reason", self.reason)? })
            }
            "message" => Err((
                "not_available",
                format!("{kind} is part of the protocol but not available in this version"),
            )),
            // The text is the client's own: no more of it goes back than helps.
            _ => Err((
                "unknown_type",
                format!(
                    "there is no frame of type {:?}",
                    kind.chars().take(32).collect::<String>()
                ),
            )),
        }
    }

    fn auth(&self) -> Result<Auth, (&'static str, String)> {
        let token = self.token()?;
        let thread = self.thread()?;
        let since = self.since()?;
        // One whose name has another form is of another server, and gone.
        let previous = text("previous", self.previous)?.as_deref().and_then(parse_connection);
        Ok(Auth { token, thread, since, previous })
    }

    fn token(&self) -> Result<Secret, (&'static str, String)> {
        let token = string(self.token).map(Secret::new);
        token.ok_or_else(|| ("bad_frame", "token is missing or not a string".to_owned()))
    }

    fn thread(&self) -> Result<Option<ThreadId>, (&'static str, String)> {
        let thread = text("thread", self.thread)?.map(ThreadId::new).transpose();
        thread.map_err(|error| ("bad_id", format!("thread: {error}")))
    }

    fn run(&self) -> Result<RunId, (&'static str, String)> {
        let Some(run) = string(self.run) else {
            return Err(("bad_frame", "run is missing or not a string".to_owned()));
        };
        RunId::new(run).map_err(|error| ("bad_id", format!("run: {error}")))
    }

    fn input(&self) -> Result<String, (&'static str, String)> {
        let Some(input) = self.input else {
            return Err(("bad_frame", "input is missing or null".to_owned()));
        };
        Ok(mend(input.get()).into_owned())
    }

    fn room(&self) -> Result<RoomId, (&'static str, String)> {
        let Some(room) = string(self.room) else {
            return Err(("bad_frame", "room is missing or not a string".to_owned()));
        };
        RoomId::new(room).map_err(|error| ("bad_id", format!("room: {error}")))
    }

    fn ack(&self) -> Result<Ask, (&'static str, String)> {
        let stream = string(self.stream);
        let room = match stream.as_deref() {
            Some(SESSION) => None,
            Some(stream) => {
                let Some(room) = stream.strip_prefix("room/") else {
                    return Err(("bad_frame", "stream is `session` or `room/` and a room".into()));
                };
                Some(RoomId::new(room).map_err(|error| ("bad_id", format!("stream: {error}")))?)
            }
            None => return Err(("bad_frame", "stream is missing or not a string".to_owned())),
        };
        let offset = self.offset.and_then(|offset| serde_json::from_str(offset.get()).ok());
        let Some(offset) = offset else {
            return Err(("bad_position", "offset is missing or not a whole number".to_owned()));
        };
        Ok(Ask::Ack { room, offset })
    }

    fn since(&self) -> Result<Option<Position>, (&'static str, String)> {
        let (epoch, offset) = match (self.epoch, self.offset) {
            (None, None) => return Ok(None),
            (Some(epoch), Some(offset)) => (epoch, offset),
            _ => return Err(("bad_position", "epoch and offset belong together".to_owned())),
        };
        let epoch = string(Some(epoch)).map(|epoch| parse_epoch(&epoch));
        let offset = serde_json::from_str(offset.get()).ok();
        match (epoch, offset) {
            (Some(epoch), Some(offset)) => Ok(Some(Position { epoch, offset })),
            _ => Err((
                "bad_position",
                "epoch must be a string as it was received, and offset a whole number".to_owned(),
            )),
        }
    }
}

/// The value of a JSON string that need not be there.
fn text(name: &str, json: Option<&RawValue>) -> Result<Option<String>, (&'static str, String)> {
    let Some(json) = json else { return Ok(None) };
    match string(Some(json)) {
        Some(text) => Ok(Some(text)),
        None => Err(("bad_frame", format!("{name} is not a string"))),
    }
}

/// The value of a JSON string; `None` for anything else.
fn string(json: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(json?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> (&'static str, Option<&str>) {
        let wrong = parse(text).unwrap_err();
        (wrong.code, wrong.request)
    }

    #[test]
    fn asks() {
        let room = RoomId::new("r\"1").unwrap();
        let frame =
            parse(r#" {"id": "x\n", "room":"r\u00221", "type":"join", "more":[{}]} "#).unwrap();
        assert_eq!(frame.request, Some(r#""x\n""#));
        assert_eq!(frame.ask, Ask::Join { room: room.clone(), since: None });
        let frame = parse(r#"{"type":"leave","room":"r\"1","id":-1.5e3}"#).unwrap();
        assert_eq!((frame.request, frame.ask), (Some("-1.5e3"), Ask::Leave { room: room.clone() }));
        let frame =
            parse(r#"{"type":"join","room":"r\"1","epoch":"ff","offset":3,"id":null}"#).unwrap();
        let since = Some(Position { epoch: 255, offset: 3 });
        assert_eq!((frame.request, frame.ask), (None, Ask::Join { room, since }));
        assert_eq!(parse(r#"{"type":"ping"}"#).unwrap().ask, Ask::Ping);
        let ack = |text| parse(text).unwrap().ask;
        let session = ack(r#"{"type":"ack","stream":"session","offset":7}"#);
        assert_eq!(session, Ask::Ack { room: None, offset: 7 });
        let room = Some(RoomId::new("a/b").unwrap());
        let ack = ack(r#"{"type":"ack","stream":"room/a/b","offset":0}"#);
        assert_eq!(ack, Ask::Ack { room, offset: 0 });
        let token = || Secret::new("a.b.c");
        let refresh = parse(r#"{"type":"refresh","token":"a.b.c"}"#).unwrap().ask;
        assert_eq!(refresh, Ask::Refresh { token: token() });
        let auth = parse(r#"{"type":"auth","token":"a.b.c"}"#).unwrap().ask;
        let bare = Auth { token: token(), thread: None, since: None, previous: None };
        assert_eq!(auth, Ask::Auth(bare));
        let text = r#"{"type":"auth","token":"a.b.c","thread":"t","epoch":"ff","offset":3,
            "previous":"000000000000000b.0000000700000002"}"#;
        let whole = Auth {
            token: token(),
            thread: ThreadId::new("t").ok(),
            since,
            previous: parse_connection("000000000000000b.0000000700000002"),
        };
        let frame = parse(text).unwrap();
        assert!(!format!("{frame:?}").contains("a.b.c"));
        assert_eq!(frame.ask, Ask::Auth(whole));
    }

    #[test]
    fn what_is_wrong_names_the_request() {
        for (text, expected, request) in [
            ("", "bad_json", None),
            (" [\"ping\",null,null,null,null]", "bad_json", None),
            ("{\"type\":\"ping\"} x", "bad_json", None),
            ("{\"type\":\"ping\",\"type\":\"ping\"}", "bad_json", None),
            ("null", "bad_json", None),
            ("{}", "bad_frame", None),
            ("{\"type\":1,\"id\":2}", "bad_frame", Some("2")),
            ("{\"type\":\"ping\",\"id\":{}}", "bad_frame", None),
            ("{\"type\":\"ping\",\"id\":true}", "bad_frame", None),
            ("{\"type\":\"dance\",\"id\":2}", "unknown_type", Some("2")),
            ("{\"type\":\"message\",\"id\":\"a\",\"data\":1}", "not_available", Some("\"a\"")),
            ("null", "bad_json", None),
            (r#"{"type":"ping","id":"\ud83d"}"#, "bad_frame", None),
            ("{\"type\":\"ack\"}", "bad_frame", None),
            ("{\"type\":\"ack\",\"stream\":\"rooms/r\",\"offset\":1}", "bad_frame", None),
            ("{\"type\":\"ack\",\"stream\":\"room/\",\"offset\":1}", "bad_id", None),
            ("{\"type\":\"ack\",\"stream\":\"session\"}", "bad_position", None),
            ("{\"type\":\"ack\",\"stream\":\"session\",\"offset\":1.5}", "bad_position", None),
            ("{\"type\":\"auth\"}", "bad_frame", None),
            ("{\"type\":\"auth\",\"token\":5}", "bad_frame", None),
            ("{\"type\":\"auth\",\"token\":\"t\",\"thread\":5}", "bad_frame", None),
            ("{\"type\":\"auth\",\"token\":\"t\",\"thread\":\"\"}", "bad_id", None),
            ("{\"type\":\"auth\",\"token\":\"t\",\"offset\":1}", "bad_position", None),
            ("{\"type\":\"auth\",\"token\":\"t\",\"previous\":5}", "bad_frame", None),
            ("{\"type\":\"refresh\",\"id\":1}", "bad_frame", Some("1")),
            ("{\"type\":\"join\"}", "bad_frame", None),
            ("{\"type\":\"join\",\"room\":5}", "bad_frame", None),
            ("{\"type\":\"join\",\"room\":\"null\",\"id\":0}", "bad_id", Some("0")),
            ("{\"type\":\"join\",\"room\":\"a\",\"epoch\":\"1\"}", "bad_position", None),
            ("{\"type\":\"join\",\"room\":\"a\",\"epoch\":1,\"offset\":1}", "bad_position", None),
            (
                "{\"type\":\"join\",\"room\":\"a\",\"epoch\":\"1\",\"offset\":-1}",
                "bad_position",
                None,
            ),
        ] {
            assert_eq!(code(text), (expected, request), "{text}");
        }
        let long = format!("{{\"type\":\"ping\",\"id\":\"{}\"}}", "x".repeat(300));
        assert_eq!(code(&long), ("bad_frame", None));
        let deep = "[".repeat(10_000);
        assert_eq!(code(&deep).0, "bad_json");
    }

    #[test]
    fn a_foreign_type_is_not_echoed_at_length() {
        let text = format!("{{\"type\":\"{}\"}}", "z".repeat(60_000));
        assert!(parse(&text).unwrap_err().message.len() < 200);
    }

    #[test]
    fn a_text_that_is_no_frame_is_not_echoed_at_length() {
        let wrong = format!("\"{}\"", "ż".repeat(30_000));
        let message = parse(&wrong).unwrap_err().message;
        assert!(message.len() < 500 && message.ends_with(": this is something else"), "{message}");
    }
}
