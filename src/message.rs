//! A message of the application: its payload and its class.

use alloc::string::String;
use core::fmt;
use core::str::Utf8Error;

use bytes::Bytes;

use crate::id::Key;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};

/// What every message is charged beside its length, in bytes: about what its log entry occupies,
/// so that empty messages are not free. [`Action::cost`](crate::Action::cost) and all byte bounds include
/// it. [`Message`](crate::Message) has an example.
pub const MESSAGE_OVERHEAD: u64 = 64;

/// What becomes of a message when there is no room or no time for all of them. It decides what is
/// let go, never the order. [`Message`](crate::Message) has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// Handed out, or told as lost, to each connection that follows the stream when it is sent and
    /// stays, and to each that resumes from before it. One that joins later as a newcomer is
    /// neither handed it nor told, even if events of an open run around it are.
    #[default]
    Critical,
    /// Takes the place of the last message with this key that is in the log: connections
    /// that are behind get the newest only. Nothing is told as lost by that.
    Latest(Key),
    /// Connections that are behind pass over it, and it is never kept for a resume.
    /// What is passed over is told as lost, neighbours as one gap.
    Droppable,
}

encoded! { enum Class { 0 = Critical, 1 = Latest(key), 2 = Droppable } }

/// A message of the application: a payload and its class. Its `except_` methods say whom a
/// [`send`](crate::Registry::send) leaves out.
///
/// Clones share the payload. A payload that is a slice of a larger buffer keeps all of that buffer
/// alive while the bounds count the slice only: hand in buffers of their own.
///
/// ```
/// use headcount::{Class, MESSAGE_OVERHEAD, Message};
///
/// let hello = Message::text("hello");
/// assert_eq!((hello.cost(), hello.class()), (5 + MESSAGE_OVERHEAD, &Class::Critical));
/// let typing = Message::binary(vec![1]).droppable();
/// assert_eq!((typing.is_text(), typing.class()), (false, &Class::Droppable));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Message {
    payload: Bytes,
    text: bool,
    class: Class,
}

impl Encoded for Message {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Self { payload, text, class } = self;
        payload.encode(to);
        text.encode(to);
        class.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (payload, (text, class)): (Bytes, _) = Encoded::decode(from)?;
        // What is text is valid UTF-8, always.
        if text && str::from_utf8(&payload).is_err() {
            return Err(Malformed);
        }
        Ok(Self { payload, text, class })
    }
}

impl Message {
    /// A text message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        // Boxed: spare capacity would be memory that no bound counts.
        let payload = Bytes::from(text.into().into_bytes().into_boxed_slice());
        Self { payload, text: true, class: Class::Critical }
    }

    /// A text message whose payload is not copied.
    ///
    /// # Errors
    /// The payload is not UTF-8.
    pub fn from_utf8(payload: Bytes) -> Result<Self, Utf8Error> {
        str::from_utf8(&payload)?;
        Ok(Self { payload, text: true, class: Class::Critical })
    }

    /// A binary message.
    #[must_use]
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), text: false, class: Class::Critical }
    }

    /// Makes it [`Class::Droppable`]. Of the classes that it is given the last one counts.
    #[must_use]
    pub fn droppable(mut self) -> Self {
        self.class = Class::Droppable;
        self
    }

    /// Makes it the [`Class::Latest`] of this key. Of the classes that it is given the last one counts.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let temperature = Key::new("temperature")?;
    /// for degrees in ["20", "21"] {
    ///     let message = Message::text(degrees).latest(temperature.clone());
    ///     registry.send(now, Target::SessionOf(conn), message);
    /// }
    /// let mut sent = Vec::new();
    /// while let Some(action) = registry.poll_action() {
    ///     if let Action::Send { body, .. } = action {
    ///         sent.push(body.as_bytes().to_vec());
    ///     }
    /// }
    /// assert_eq!(sent, [b"21"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn latest(mut self, key: Key) -> Self {
        self.class = Class::Latest(key);
        self
    }

    pub(crate) const fn is_droppable(&self) -> bool {
        matches!(self.class, Class::Droppable)
    }

    pub(crate) const fn key(&self) -> Option<&Key> {
        match &self.class {
            Class::Latest(key) => Some(key),
            Class::Critical | Class::Droppable => None,
        }
    }

    /// The payload.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Whether the payload is text, and then valid UTF-8.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        self.text
    }

    /// Its class.
    #[must_use]
    pub const fn class(&self) -> &Class {
        &self.class
    }

    /// What it is charged wherever bytes are bounded: its length plus [`MESSAGE_OVERHEAD`].
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.payload.len() as u64 + MESSAGE_OVERHEAD
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.payload.len())
            .field("text", &self.text)
            .field("class", &self.class)
            .finish()
    }
}

/// A text message.
impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// A text message.
impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

/// A binary message.
impl From<Bytes> for Message {
    fn from(payload: Bytes) -> Self {
        Self::binary(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_print_the_payload() {
        let shown = alloc::format!("{:?}", Message::text("secret"));
        assert!(!shown.contains("secret") && shown.contains('6'), "{shown}");
    }
}
