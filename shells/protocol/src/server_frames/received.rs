//! A frame of the server, understood.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use headcount::{ConnId, Position, Recovered, RoomId, RunId, SessionId, ThreadId, UserId};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Stream, Terms};
use crate::epoch::hex;
use crate::handles::{Named, parse_connection, parse_session};

/// A frame, as a client reads it. `request` is the JSON of the client's own `id`, in the answer to its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// The first frame of every connection.
    Welcome(Box<Welcome>),
    /// A message, or an event of an agent run.
    Event(Event<'a>),
    /// Offsets that are lost for this client, for good.
    Gap {
        /// The stream that has lost them.
        stream: Stream,
        /// The first offset.
        from: u64,
        /// The last offset.
        to: u64,
    },
    /// The connection is in the room.
    Joined {
        /// The room.
        room: RoomId,
        /// The events of the room begin after it.
        position: Position,
        /// What became of the position that the client has named.
        recovered: Recovered,
        /// `None`: a back end has put it there.
        request: Option<&'a str>,
    },
    /// The connection is not in the room any more.
    Left {
        /// The room.
        room: RoomId,
        /// `None`: a back end has taken it out.
        request: Option<&'a str>,
    },
    /// The connection follows the session of a thread.
    Followed(Box<Followed<'a>>),
    /// The connection does not follow the session of a thread any more.
    Unfollowed {
        /// The thread.
        thread: ThreadId,
        /// Which session, and the name of the reason. `None`: the client wished it.
        sent_away: Option<(Named<SessionId>, String)>,
        /// `None`: the client did not wish it.
        request: Option<&'a str>,
    },
    /// What was asked for is done.
    Ok {
        /// What was asked for.
        request: Option<&'a str>,
    },
    /// What was asked for can't be done.
    Error {
        /// Why, for programs: see `docs/protocol.md`.
        code: String,
        /// Why, for people.
        message: String,
        /// What was asked for.
        request: Option<&'a str>,
    },
    /// The server will close the connection soon.
    Draining {
        /// The client reconnects after a random delay of this range.
        reconnect: Range<Duration>,
    },
    /// One of a later version, to be ignored: its type.
    Other(String),
}

/// Who the client is, and where its session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The connection.
    pub connection: Named<ConnId>,
    /// Its user.
    pub user: UserId,
    /// Its thread.
    pub thread: ThreadId,
    /// The events of the session begin after it.
    pub session: Position,
    /// What became of the position that the client has named.
    pub recovered: Recovered,
    /// The open runs of the session, and the agent of each.
    pub runs: Vec<(RunId, String)>,
    /// What holds for the connection.
    pub terms: Terms,
    /// If the connection is lost, the client reconnects after a random delay of this range.
    pub reconnect: Range<Duration>,
}

/// Where the session of a thread that the connection follows goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed<'a> {
    /// The thread.
    pub thread: ThreadId,
    /// The session.
    pub session: Named<SessionId>,
    /// The events of the session begin after it.
    pub position: Position,
    /// What became of the position that the client has named.
    pub recovered: Recovered,
    /// The open runs of the session, and the agent of each.
    pub runs: Vec<(RunId, String)>,
    /// What was asked for.
    pub request: Option<&'a str>,
}

/// A message, or an event of an agent run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its stream and its offset in that. `None`: it is in no stream, and was sent to one connection or to
    /// everyone.
    pub place: Option<(Stream, u64)>,
    /// `None`: it is a message.
    pub run: Option<EventOfRun>,
    /// The data, as JSON.
    pub data: &'a str,
}

/// What an event of an agent run has beside its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventOfRun {
    /// What happened: see [`run_events::name`](crate::run_events::name).
    pub event: String,
    /// The run.
    pub run: RunId,
    /// Its agent.
    pub agent: String,
    /// When, in time since the beginning of 1970.
    pub at: Duration,
    /// Of a text: the name of its part and its kind (`text`, `reasoning`, `tool_arguments`). `None`: it is
    /// the text of a run that has one text, or no text.
    pub part: Option<(String, String)>,
}

/// Why a text is no frame of a server: its first field that is missing, or is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    field: &'static str,
}

impl Unreadable {
    /// The field; empty where the text is no JSON object.
    #[must_use]
    pub const fn field(self) -> &'static str {
        self.field
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            "" => f.write_str("the text is no JSON object that has each field once"),
            field => write!(f, "{field} is missing, or is not what it has to be"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The fields of all frames; others are ignored. Kept as JSON until the type says what they are.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    part: Option<&'a RawValue>,
    #[serde(borrow, rename = "kind")]
    part_kind: Option<&'a RawValue>,
    #[serde(borrow)]
    agent: Option<&'a RawValue>,
    #[serde(borrow)]
    at: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    connection: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    epoch: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    max_message_bytes: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    offset: Option<&'a RawValue>,
    #[serde(borrow)]
    ping_interval_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    reconnect_ms: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    recovered: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    run: Option<&'a RawValue>,
    #[serde(borrow)]
    runs: Option<&'a RawValue>,
    #[serde(borrow)]
    session: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    thread: Option<&'a RawValue>,
    #[serde(borrow)]
    to: Option<&'a RawValue>,
    #[serde(borrow)]
    user: Option<&'a RawValue>,
}

/// Data that is `null` is data.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Place {
    epoch: String,
    offset: u64,
}

#[derive(Deserialize)]
struct Run {
    run: String,
    agent: String,
}

/// Understands one text message.
///
/// Fields and frames that it does not know are ignored: later versions may add both.
///
/// # Errors
/// The first field that is not understood. A client can't go on with such a connection.
pub fn parse(text: &str) -> Result<Frame<'_>, Unreadable> {
    let unreadable = Unreadable { field: "" };
    // Arrays would be taken for the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(unreadable);
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|_| unreadable)?;
    fields.frame()
}

impl<'a> Fields<'a> {
    fn frame(&self) -> Result<Frame<'a>, Unreadable> {
        let kind: String = read("type", self.kind)?;
        let request = self.request.map(RawValue::get);
        Ok(match &*kind {
            "welcome" => Frame::Welcome(Box::new(self.welcome()?)),
            "event" => Frame::Event(self.event()?),
            "gap" => Frame::Gap {
                stream: stream(&read::<String>("stream", self.stream)?)?,
                from: read("from", self.from)?,
                to: read("to", self.to)?,
            },
            "joined" => Frame::Joined {
                position: self.position()?,
                room: self.room()?,
                recovered: self.recovered()?,
                request,
            },
            "followed" => Frame::Followed(Box::new(Followed {
                thread: self.thread()?,
                session: self.named_session()?,
                position: self.position()?,
                recovered: self.recovered()?,
                runs: self.runs()?,
                request,
            })),
            "unfollowed" => Frame::Unfollowed {
                thread: self.thread()?,
                sent_away: match self.reason {
                    None => None,
                    given => Some((self.named_session()?, read("reason", given)?)),
                },
                request,
            },
            "left" => Frame::Left { room: self.room()?, request },
            "ok" => Frame::Ok { request },
            "error" => Frame::Error {
                code: read("code", self.code)?,
                message: read("message", self.message)?,
                request,
            },
            "draining" => Frame::Draining { reconnect: self.reconnect()? },
            _ => Frame::Other(kind),
        })
    }

    fn welcome(&self) -> Result<Welcome, Unreadable> {
        let connection: String = read("connection", self.connection)?;
        Ok(Welcome {
            connection: name("connection", parse_connection(&connection).ok_or(()))?,
            user: name("user", UserId::new(read::<String>("user", self.user)?))?,
            thread: self.thread()?,
            session: position(&read("session", self.session)?)?,
            recovered: self.recovered()?,
            runs: self.runs()?,
            terms: Terms {
                ping_interval: millis("ping_interval_ms", self.ping_interval_ms)?,
                max_message_bytes: read("max_message_bytes", self.max_message_bytes)?,
            },
            reconnect: self.reconnect()?,
        })
    }

    fn event(&self) -> Result<Event<'a>, Unreadable> {
        let place = match self.stream {
            None => None,
            given => {
                let stream = stream(&read::<String>("stream", given)?)?;
                Some((stream, read("offset", self.offset)?))
            }
        };
        let run = match self.event {
            None => None,
            given => Some(EventOfRun {
                event: read("event", given)?,
                run: name("run", RunId::new(read::<String>("run", self.run)?))?,
                agent: read("agent", self.agent)?,
                at: millis("at", self.at)?,
                part: match self.part {
                    None => None,
                    given => Some((read("part", given)?, read("kind", self.part_kind)?)),
                },
            }),
        };
        let data = self.data.map(RawValue::get).ok_or(Unreadable { field: "data" })?;
        Ok(Event { place, run, data })
    }

    fn runs(&self) -> Result<Vec<(RunId, String)>, Unreadable> {
        let runs = read::<Vec<Run>>("runs", self.runs)?.into_iter();
        runs.map(|Run { run, agent }| Ok((name("runs", RunId::new(run))?, agent))).collect()
    }

    fn thread(&self) -> Result<ThreadId, Unreadable> {
        name("thread", ThreadId::new(read::<String>("thread", self.thread)?))
    }

    fn named_session(&self) -> Result<Named<SessionId>, Unreadable> {
        let session: String = read("session", self.session)?;
        name("session", parse_session(&session).ok_or(()))
    }

    fn position(&self) -> Result<Position, Unreadable> {
        position(&Place { epoch: read("epoch", self.epoch)?, offset: read("offset", self.offset)? })
    }

    fn room(&self) -> Result<RoomId, Unreadable> {
        name("room", RoomId::new(read::<String>("room", self.room)?))
    }

    fn recovered(&self) -> Result<Recovered, Unreadable> {
        Ok(match &*read::<String>("recovered", self.recovered)? {
            "fresh" => Recovered::Fresh,
            "all" => Recovered::All,
            // A word of a later version: the client must not trust its copy.
            _ => Recovered::Gap,
        })
    }

    fn reconnect(&self) -> Result<Range<Duration>, Unreadable> {
        let [least, most] = read::<[u64; 2]>("reconnect_ms", self.reconnect_ms)?;
        Ok(Duration::from_millis(least)..Duration::from_millis(most))
    }
}

fn read<'a, T: Deserialize<'a>>(
    field: &'static str,
    json: Option<&'a RawValue>,
) -> Result<T, Unreadable> {
    let value = json.and_then(|json| serde_json::from_str(json.get()).ok());
    value.ok_or(Unreadable { field })
}

fn name<T, E>(field: &'static str, name: Result<T, E>) -> Result<T, Unreadable> {
    name.map_err(|_| Unreadable { field })
}

fn millis(field: &'static str, json: Option<&RawValue>) -> Result<Duration, Unreadable> {
    read(field, json).map(Duration::from_millis)
}

fn position(place: &Place) -> Result<Position, Unreadable> {
    let epoch = hex(&place.epoch).ok_or(Unreadable { field: "epoch" })?;
    Ok(Position { epoch, offset: place.offset })
}

fn stream(text: &str) -> Result<Stream, Unreadable> {
    name("stream", Stream::parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_ignored() {
        let later = parse(r#"{"type":"weather","offset":"high","sky":[]}"#);
        assert_eq!(later, Ok(Frame::Other("weather".to_owned())));
        let ok = parse(r#" {"type":"ok","request":"a\"","reconnect_ms":7,"more":{}} "#);
        assert_eq!(ok, Ok(Frame::Ok { request: Some(r#""a\"""#) }));
        let joined = r#"{"type":"joined","room":"a","epoch":"f","offset":1,"recovered":"half"}"#;
        let Ok(Frame::Joined { recovered, .. }) = parse(joined) else { panic!("{joined}") };
        assert_eq!(recovered, Recovered::Gap);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, field) in [
            ("", ""),
            ("[]", ""),
            ("{} x", ""),
            (r#"{"type":"ok","type":"ok"}"#, ""),
            ("{}", "type"),
            (r#"{"type":7}"#, "type"),
            (r#"{"type":"event"}"#, "data"),
            (r#"{"type":"event","stream":"session","data":1}"#, "offset"),
            (r#"{"type":"event","stream":"rooms/a","offset":1,"data":1}"#, "stream"),
            (r#"{"type":"event","stream":"room/","offset":1,"data":1}"#, "stream"),
            (r#"{"type":"event","event":"text","data":{"delta":"a"}}"#, "run"),
            (r#"{"type":"gap","stream":"session","from":-1,"to":2}"#, "from"),
            (r#"{"type":"left","room":""}"#, "room"),
            (r#"{"type":"joined","room":"a","epoch":"+1","offset":1,"recovered":"all"}"#, "epoch"),
            (r#"{"type":"gap","stream":"session/","from":1,"to":2}"#, "stream"),
            (r#"{"type":"followed","thread":"t","session":"s1"}"#, "session"),
            (r#"{"type":"unfollowed","thread":"t","reason":"application"}"#, "session"),
            (r#"{"type":"error","code":"x"}"#, "message"),
            (r#"{"type":"draining","reconnect_ms":[1]}"#, "reconnect_ms"),
            (r#"{"type":"welcome","connection":"c1","runs":[]}"#, "connection"),
        ] {
            assert_eq!(parse(text).unwrap_err().field(), field, "{text}");
        }
    }
}
