//! The frames that clients receive, and the JSON they are made of.
//!
//! Frames are put together as text: the application's data is JSON already when it arrives, and is
//! copied into the event that carries it without being read again.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use headcount::{
    Admitted, JoinError, Joined, Position, Recovered, RoomId, StreamRef, Who, quote_json, shown,
};

use crate::wire::identity::show_epoch;

/// The delays between which a client picks its first reconnect, unless a drain says otherwise.
const RECONNECT: Range<Duration> = Duration::from_millis(250)..Duration::from_millis(5_000);

/// What every welcome says about the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) ping_interval: Duration,
    pub(crate) max_message_bytes: u64,
}

/// A JSON object under construction. Names must need no escapes.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    /// The start of a frame of this type.
    fn frame(kind: &str) -> Self {
        Self::new().text("type", kind)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote_json(value, &mut self.0);
        self
    }

    pub(crate) fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    /// A value that is JSON already.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.0.push_str(json);
        self
    }

    /// The start of the frame of an entry of a stream.
    pub(crate) fn event(stream: &str, position: Position) -> Self {
        Self::frame("event").text("stream", stream).number("offset", position.offset)
    }

    /// Ends it with its data, which is JSON and is not read again.
    pub(crate) fn end_with_data(self, data: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.0.len() + data.len() + 16);
        out.extend_from_slice(self.0.as_bytes());
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
        out.push(b'}');
    }

    /// The client's own `id`, where it gave one.
    fn request(self, request: Option<&str>) -> Self {
        match request {
            Some(json) => self.raw("request", json),
            None => self,
        }
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// The first frame of every connection; `runs` is JSON: the open ones.
pub(crate) fn welcome(
    connection: &str,
    who: &Who<'_>,
    admitted: &Admitted,
    runs: &str,
    terms: Terms,
) -> String {
    let session = Object::new()
        .text("epoch", &show_epoch(admitted.position.epoch))
        .number("offset", admitted.position.offset)
        .end();
    Object::frame("welcome")
        .text("connection", connection)
        .text("user", who.user.as_str())
        .text("thread", who.thread.as_str())
        .raw("session", &session)
        .text("recovered", recovered(admitted.recovered))
        .raw("runs", runs)
        .number("ping_interval_ms", millis(terms.ping_interval))
        .number("max_message_bytes", terms.max_message_bytes)
        .raw("reconnect_ms", &range(&RECONNECT))
        .end()
}

/// The connection is in the room now; its events begin after the offset.
pub(crate) fn joined(room: &RoomId, joined: &Joined, request: Option<&str>) -> String {
    Object::frame("joined")
        .text("room", room.as_str())
        .text("epoch", &show_epoch(joined.position.epoch))
        .number("offset", joined.position.offset)
        .text("recovered", recovered(joined.recovered))
        .request(request)
        .end()
}

/// The connection is not in the room any more.
pub(crate) fn left(room: &RoomId, request: Option<&str>) -> String {
    Object::frame("left").text("room", room.as_str()).request(request).end()
}

/// What a client asked for is done.
pub(crate) fn ok(request: Option<&str>) -> String {
    Object::frame("ok").request(request).end()
}

/// The code of a join that was refused: the limit that it would exceed.
pub(crate) const fn join_code(error: JoinError) -> &'static str {
    match error {
        JoinError::RoomsPerConnection => "rooms_per_connection",
        JoinError::RoomsPerUser => "rooms_per_user",
        JoinError::Rooms => "rooms",
        _ => "join_refused",
    }
}

/// What a client asked for can't be done.
pub(crate) fn error(code: &str, message: &str, request: Option<&str>) -> String {
    let message = shown(message).to_string();
    Object::frame("error").text("code", code).text("message", &message).request(request).end()
}

/// A message outside any stream, as a whole frame: for one connection, or for everyone.
pub(crate) fn direct_event(data: &str) -> String {
    Object::frame("event").raw("data", data).end()
}

/// A message of a stream; `data` is JSON.
pub(crate) fn event(stream: &str, position: Position, data: &[u8], out: &mut Vec<u8>) {
    Object::event(stream, position).end_with_data(data, out);
}

/// Offsets that are lost for good.
pub(crate) fn gap(stream: &str, from: u64, to: u64) -> String {
    Object::frame("gap").text("stream", stream).number("from", from).number("to", to).end()
}

/// Reconnect, after a delay of your choice from this range.
pub(crate) fn draining(within: &Range<Duration>) -> String {
    Object::frame("draining").raw("reconnect_ms", &range(within)).end()
}

/// The name of a stream; `None` for what belongs to none.
pub(crate) fn stream_name(stream: StreamRef<'_>) -> Option<String> {
    match stream {
        StreamRef::Session(_) => Some("session".to_owned()),
        StreamRef::Room(room) => Some(room_stream(room)),
        StreamRef::Direct | StreamRef::Everyone => None,
    }
}

/// The name of a room's stream.
pub(crate) fn room_stream(room: &RoomId) -> String {
    format!("room/{}", room.as_str())
}

fn recovered(recovered: Recovered) -> &'static str {
    match recovered {
        Recovered::Fresh => "fresh",
        Recovered::All => "all",
        // Whatever else there will be: a client that does not know it must not trust its copy.
        _ => "gap",
    }
}

fn range(within: &Range<Duration>) -> String {
    format!("[{},{}]", millis(within.start), millis(within.end))
}

/// A JSON array of values that are JSON already.
pub(crate) fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::new();
    quote_json(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use headcount::is_hidden;

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

    #[test]
    fn any_text_survives_quoting() {
        for text in [
            "",
            "plain",
            "\"",
            "\\",
            "a\u{0}b\u{1f}\u{7f}",
            "\r\n\t",
            "ü\u{2028}🦀\"",
            "\\\"",
            "a\u{e0041}\u{202e}",
        ] {
            let quoted = quoted(text);
            assert!(!quoted.contains(is_hidden), "{quoted}");
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text, "{quoted}");
        }
    }
}
