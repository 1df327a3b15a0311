//! JSON under construction: frames and answers are put together as text.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::BufMut;
use headcount::{Position, quote_json};

/// A JSON object under construction. Names must need no escapes.
#[derive(Clone, Debug)]
pub struct Object(String);

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// One without fields.
    #[must_use]
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    /// The start of a frame of this type.
    pub(crate) fn frame(kind: &str) -> Self {
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

    /// A text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote_json(value, &mut self.0);
        self
    }

    /// A whole number.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    /// A value that is JSON already.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.0.push_str(json);
        self
    }

    /// The start of the frame of an entry of a stream.
    pub(crate) fn event(stream: &str, position: Position) -> Self {
        Self::frame("event").text("stream", stream).number("offset", position.offset)
    }

    /// Ends it with its data, which is JSON and is not read again.
    pub(crate) fn end_with_data(self, data: &[u8], out: &mut impl BufMut) {
        out.put_slice(self.0.as_bytes());
        out.put_slice(b",\"data\":");
        out.put_slice(data);
        out.put_u8(b'}');
    }

    /// The client's own `id`, where it gave one.
    pub(crate) fn request(self, request: Option<&str>) -> Self {
        match request {
            Some(json) => self.raw("request", json),
            None => self,
        }
    }

    /// The text of it.
    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A JSON array of values that are JSON already.
#[must_use]
pub fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// A duration in whole milliseconds, as all frames and answers have it.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A JSON string.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    quote_json(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use headcount::is_hidden;

    use super::*;

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
