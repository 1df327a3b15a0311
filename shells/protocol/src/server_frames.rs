//! The frames that clients receive, written and understood.
//!
//! Frames are put together as text: the application's data is JSON already when it arrives, and is
//! copied into the event that carries it without being read again.

mod received;
mod stream;

use std::ops::Range;
use std::time::Duration;

use bytes::BufMut;
use headcount::{
    Body, CloseReason, Config, FollowError, JoinError, Position, Recovered, RequestCancelError,
    RequestRunError, RoomId, StreamRef, ThreadId, UserId, shown,
};

use crate::anchor::Anchor;
use crate::epoch::show_epoch;
use crate::json::{Object, millis};
use crate::run_events;

pub use received::{Event, EventOfRun, Followed, Frame, Unreadable, Welcome, parse};
pub use stream::{NoStream, Stream, room_stream, thread_stream};

/// The name of the stream of the session of a connection's own thread.
pub const SESSION: &str = "session";

/// The delays between which a client picks its first reconnect, unless a drain says otherwise.
const RECONNECT: Range<Duration> = Duration::from_millis(250)..Duration::from_millis(5_000);

/// What every welcome says about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How often it sends a ping.
    pub ping_interval: Duration,
    /// The largest message that it takes.
    pub max_message_bytes: u64,
}

impl From<&Config> for Terms {
    fn from(config: &Config) -> Self {
        Self { ping_interval: config.ping_interval(), max_message_bytes: config.message_bytes() }
    }
}

/// The first frame of every connection, whose events of the session begin after that position.
/// `runs` is JSON: the open ones, as [`run_events::open`] writes them.
#[must_use]
pub fn welcome(
    connection: &str,
    (user, thread): (&UserId, &ThreadId),
    session: Position,
    recovered: Recovered,
    runs: &str,
    terms: Terms,
) -> String {
    let session = Object::new()
        .text("epoch", &show_epoch(session.epoch))
        .number("offset", session.offset)
        .end();
    Object::frame("welcome")
        .text("connection", connection)
        .text("user", user.as_str())
        .text("thread", thread.as_str())
        .raw("session", &session)
        .text("recovered", recovery(recovered))
        .raw("runs", runs)
        .number("ping_interval_ms", millis(terms.ping_interval))
        .number("max_message_bytes", terms.max_message_bytes)
        .raw("reconnect_ms", &range(&RECONNECT))
        .end()
}

/// The connection follows the session of a thread now; its events begin after the offset. `runs` is JSON, as
/// in a [`welcome`].
#[must_use]
pub fn followed(
    (thread, session): (&ThreadId, &str),
    position: Position,
    recovered: Recovered,
    runs: &str,
    request: Option<&str>,
) -> String {
    Object::frame("followed")
        .text("thread", thread.as_str())
        .text("session", session)
        .text("epoch", &show_epoch(position.epoch))
        .number("offset", position.offset)
        .text("recovered", recovery(recovered))
        .raw("runs", runs)
        .request(request)
        .end()
}

/// The connection does not follow the session of a thread any more, as its client wished.
#[must_use]
pub fn unfollowed(thread: &ThreadId, request: Option<&str>) -> String {
    Object::frame("unfollowed").text("thread", thread.as_str()).request(request).end()
}

/// The connection does not follow this session any more, by no wish of its client.
#[must_use]
pub fn sent_away(thread: &ThreadId, session: &str, reason: CloseReason) -> String {
    Object::frame("unfollowed")
        .text("thread", thread.as_str())
        .text("session", session)
        .text("reason", reason.name())
        .end()
}

/// The connection is in the room now; its events begin after the offset.
#[must_use]
pub fn joined(
    room: &RoomId,
    position: Position,
    recovered: Recovered,
    request: Option<&str>,
) -> String {
    Object::frame("joined")
        .text("room", room.as_str())
        .text("epoch", &show_epoch(position.epoch))
        .number("offset", position.offset)
        .text("recovered", recovery(recovered))
        .request(request)
        .end()
}

/// The connection is not in the room any more.
#[must_use]
pub fn left(room: &RoomId, request: Option<&str>) -> String {
    Object::frame("left").text("room", room.as_str()).request(request).end()
}

/// What a client asked for is done.
#[must_use]
pub fn ok(request: Option<&str>) -> String {
    Object::frame("ok").request(request).end()
}

/// The code of a join that was refused: the limit that it would exceed.
#[must_use]
pub const fn join_code(error: JoinError) -> &'static str {
    match error {
        JoinError::RoomsPerConnection => "rooms_per_connection",
        JoinError::RoomsPerUser => "rooms_per_user",
        JoinError::Rooms => "rooms",
        _ => "join_refused",
    }
}

/// The code of a session that could not be followed: the limit that it would exceed, or why there is none.
#[must_use]
pub const fn follow_code(error: FollowError) -> &'static str {
    match error {
        FollowError::UnknownConn => "closing",
        FollowError::SessionsPerConnection => "sessions_per_connection",
        FollowError::StreamsPerUser => "streams_per_user",
        FollowError::Session(refused) => refused.name(),
        _ => "follow_refused",
    }
}

/// The code of a run that could not be requested.
#[must_use]
pub const fn request_code(error: RequestRunError) -> &'static str {
    match error {
        RequestRunError::UnknownConn => "closing",
        RequestRunError::NotInThread => "not_in_thread",
        RequestRunError::Exists { .. } => "run_exists",
        RequestRunError::Runs => "runs_per_session",
        RequestRunError::Full => "run_full",
        _ => "run_refused",
    }
}

/// The code of a wish to cancel that could not be told.
#[must_use]
pub const fn cancel_code(error: RequestCancelError) -> &'static str {
    match error {
        RequestCancelError::UnknownConn => "closing",
        RequestCancelError::UnknownRun => "unknown_run",
        RequestCancelError::Ended(_) => "run_ended",
        RequestCancelError::Full => "run_full",
        _ => "run_refused",
    }
}

/// What a client asked for can't be done.
#[must_use]
pub fn error(code: &str, message: &str, request: Option<&str>) -> String {
    let message = shown(message).to_string();
    Object::frame("error").text("code", code).text("message", &message).request(request).end()
}

/// A message outside any stream, as a whole frame: for one connection, or for everyone.
#[must_use]
pub fn direct_event(data: &str) -> String {
    Object::frame("event").raw("data", data).end()
}

/// An entry of a stream: a message, or an event or text of a run. `anchor` tells the time of day of what
/// runs do.
pub fn entry(
    stream: &str,
    position: Position,
    body: &Body<'_>,
    anchor: Anchor,
    out: &mut impl BufMut,
) {
    match body {
        Body::Message(message) => event(stream, position, message.payload(), out),
        Body::Run(fact) => run_events::fact(stream, position, fact, anchor, out),
        Body::Text(text) => run_events::text(stream, position, text, anchor, out),
    }
}

/// A message of a stream; `data` is JSON.
pub fn event(stream: &str, position: Position, data: &[u8], out: &mut impl BufMut) {
    Object::event(stream, position).end_with_data(data, out);
}

/// Offsets that are lost for good.
#[must_use]
pub fn gap(stream: &str, from: u64, to: u64) -> String {
    Object::frame("gap").text("stream", stream).number("from", from).number("to", to).end()
}

/// Reconnect, after a delay of your choice from this range.
#[must_use]
pub fn draining(within: &Range<Duration>) -> String {
    Object::frame("draining").raw("reconnect_ms", &range(within)).end()
}

/// The name of a stream for those of whose own thread a session is; `None` for what belongs to none.
#[must_use]
pub fn stream_name(stream: StreamRef<'_>) -> Option<String> {
    match stream {
        StreamRef::Session(_) => Some(SESSION.to_owned()),
        StreamRef::Room(room) => Some(room_stream(room)),
        StreamRef::Direct | StreamRef::Everyone => None,
    }
}

const fn recovery(recovered: Recovered) -> &'static str {
    match recovered {
        Recovered::Fresh => "fresh",
        Recovered::All => "all",
        // A word that a client does not know says that it must not trust its copy.
        _ => "gap",
    }
}

fn range(within: &Range<Duration>) -> String {
    format!("[{},{}]", millis(within.start), millis(within.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomId {
        RoomId::new(name).unwrap()
    }

    #[test]
    fn golden_frames() {
        assert_eq!(ok(None), r#"{"type":"ok"}"#);
        assert_eq!(ok(Some("\"a\\u0000\"")), r#"{"type":"ok","request":"a\u0000"}"#);
        assert_eq!(
            error("unknown_type", "no \"such\" type", Some("7")),
            r#"{"type":"error","code":"unknown_type","message":"no \"such\" type","request":7}"#
        );
        assert_eq!(left(&room("a"), None), r#"{"type":"left","room":"a"}"#);
        assert_eq!(gap("session", 3, 9), r#"{"type":"gap","stream":"session","from":3,"to":9}"#);
        assert_eq!(
            draining(&(Duration::ZERO..Duration::from_secs(2))),
            r#"{"type":"draining","reconnect_ms":[0,2000]}"#
        );
        assert_eq!(direct_event("[1, 2]"), r#"{"type":"event","data":[1, 2]}"#);
    }

    #[test]
    fn events_carry_the_data_as_it_came() {
        let mut out = Vec::new();
        let position = Position { epoch: 1, offset: u64::MAX };
        event(&room_stream(&room("a\"b\\c/ü")), position, b"{ \"x\" : 1e2 }", &mut out);
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            r#"{"type":"event","stream":"room/a\"b\\c/ü","offset":18446744073709551615,"data":{ "x" : 1e2 }}"#
        );
    }
}
