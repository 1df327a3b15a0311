//! The frames that clients send, understood and written.

#[cfg(test)]
mod tests;

use headcount::{ConnId, Position, RoomId, RunId, Start, ThreadId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::admin::surrogates::mend;
use crate::epoch::{parse_epoch, show_epoch};
use crate::handles::{Named, parse_connection, show_connection};
use crate::identity::start;
use crate::json::Object;
use crate::problem::why;
use crate::secret::Secret;
use crate::server_frames::{NoStream, Stream};

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
    /// To follow the session of a thread of its user.
    Follow {
        /// The thread.
        thread: ThreadId,
        /// Where it begins: one of those that an upgrade can begin with.
        start: Start,
    },
    /// Not to follow the session of a thread.
    Unfollow {
        /// The thread.
        thread: ThreadId,
    },
    /// To have it known what it has processed.
    Ack {
        /// The stream that it is about.
        stream: Stream,
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
        /// In which thread; `None`: in the one that the connection follows longest.
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
    /// Where it begins in its session: one of those that an upgrade can begin with.
    pub start: Start,
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
    recent: Option<&'a RawValue>,
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
    /// The text message that says it. No frame begins with [`Start::Now`] or [`Start::Kept`]: the default
    /// takes the place of these.
    #[must_use]
    pub fn json(&self) -> String {
        let frame = match &self.ask {
            Ask::Join { room, since } => {
                place(Object::frame("join").text("room", room.as_str()), *since)
            }
            Ask::Leave { room } => Object::frame("leave").text("room", room.as_str()),
            Ask::Follow { thread, start } => {
                begin(Object::frame("follow").text("thread", thread.as_str()), start)
            }
            Ask::Unfollow { thread } => Object::frame("unfollow").text("thread", thread.as_str()),
            Ask::Ack { stream, offset } => {
                Object::frame("ack").text("stream", &stream.name()).number("offset", *offset)
            }
            Ask::Ping => Object::frame("ping"),
            Ask::Auth(Auth { token, thread, start, previous }) => {
                let mut frame = Object::frame("auth").text("token", token.reveal());
                if let Some(thread) = thread {
                    frame = frame.text("thread", thread.as_str());
                }
                frame = begin(frame, start);
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

fn begin(frame: Object, start: &Start) -> Object {
    match start {
        Start::After(position) => place(frame, Some(*position)),
        Start::Run(run) => frame.text("run", run.as_str()),
        Start::Recent => frame.raw("recent", "true"),
        _ => frame,
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
            "follow" => Ok(Ask::Follow { thread: self.named_thread()?, start: self.start()? }),
            "unfollow" => Ok(Ask::Unfollow { thread: self.named_thread()? }),
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
        let start = self.start()?;
        // One whose name has another form is of another server, and gone.
        let previous = text("previous", self.previous)?.as_deref().and_then(parse_connection);
        Ok(Auth { token, thread, start, previous })
    }

    fn token(&self) -> Result<Secret, (&'static str, String)> {
        let token = string(self.token).map(Secret::new);
        token.ok_or_else(|| ("bad_frame", "token is missing or not a string".to_owned()))
    }

    fn thread(&self) -> Result<Option<ThreadId>, (&'static str, String)> {
        let thread = text("thread", self.thread)?.map(ThreadId::new).transpose();
        thread.map_err(|error| ("bad_id", format!("thread: {error}")))
    }

    fn named_thread(&self) -> Result<ThreadId, (&'static str, String)> {
        self.thread()?.ok_or_else(|| ("bad_frame", "thread is missing".to_owned()))
    }

    fn start(&self) -> Result<Start, (&'static str, String)> {
        let run = match self.run {
            None => None,
            Some(_) => Some(self.run()?),
        };
        let recent = self.recent.map(|recent| serde_json::from_str(recent.get()));
        let Ok(recent) = recent.unwrap_or(Ok(false)) else {
            return Err(("bad_frame", "recent is neither true nor false".to_owned()));
        };
        start(self.since()?, run, recent)
            .map_err(|problem| (problem.code(), problem.message().to_owned()))
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
        let Some(stream) = stream else {
            return Err(("bad_frame", "stream is missing or not a string".to_owned()));
        };
        let stream = Stream::parse(&stream).map_err(|error| match error {
            NoStream::Kind => ("bad_frame", error.to_string()),
            NoStream::Name(_) => ("bad_id", error.to_string()),
        })?;
        let offset = self.offset.and_then(|offset| serde_json::from_str(offset.get()).ok());
        let Some(offset) = offset else {
            return Err(("bad_position", "offset is missing or not a whole number".to_owned()));
        };
        Ok(Ask::Ack { stream, offset })
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
