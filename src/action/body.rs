//! What a `Send` carries: a message, an event of a run, or a stretch of text.

use core::fmt;

use bytes::Bytes;

use crate::id::RunId;
use crate::message::{MESSAGE_OVERHEAD, Message};
use crate::run::{Part, RunEventKind, RunFailure};
use crate::time::Timestamp;

/// What a `Send` carries. [`UserScope::run_event`](crate::UserScope::run_event) has an example.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A message of the application.
    Message(&'a Message),
    /// An event of a run.
    Run(RunFact<'a>),
    /// What was appended to a part of a run, as far as the recipients lack it. The pieces in which it
    /// was reported are not kept: neighbouring ones are joined, and a client that resumes within
    /// one gets the rest of it.
    Text(RunText<'a>),
}

impl Body<'_> {
    /// The payload alone: all that there is to it for an application without runs.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Message(message) => message.payload(),
            Self::Run(fact) => fact.payload,
            Self::Text(text) => text.text.as_bytes(),
        }
    }

    /// Whether a text frame can carry its payload as it is: a text message, the text of a run, and an event
    /// of a run whose payload is UTF-8. O(1), but for such an event, whose payload is looked through.
    #[must_use]
    pub fn is_text(&self) -> bool {
        match self {
            Self::Message(message) => message.is_text(),
            Self::Run(fact) => core::str::from_utf8(fact.payload).is_ok(),
            Self::Text(_) => true,
        }
    }

    /// What it is charged: the length of the payload plus [`MESSAGE_OVERHEAD`].
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Message(message) => message.cost(),
            Self::Run(_) | Self::Text(_) => self.as_bytes().len() as u64 + MESSAGE_OVERHEAD,
        }
    }
}

/// An event of a run, as it was reported or a client has asked for it, or as the registry itself has
/// found it. [`UserScope::run_event`](crate::UserScope::run_event) has an example.
#[derive(Clone, Copy, Debug)]
pub struct RunFact<'a> {
    /// Which run of the recipients' user.
    pub run: &'a RunId,
    /// The name of the agent; empty for what a client has asked for.
    pub agent: &'a str,
    /// What happened.
    pub kind: RunEventKind,
    /// Why the registry has failed the run; `None` for everything else.
    pub failure: Option<RunFailure>,
    /// When.
    pub at: Timestamp,
    /// What the application or the client said of it; empty for what the registry found.
    pub payload: &'a Bytes,
}

/// A stretch of the text of a part of a run. [`UserScope::run_event`](crate::UserScope::run_event) has an
/// example.
#[derive(Clone, Copy)]
pub struct RunText<'a> {
    /// Which run of the recipients' user.
    pub run: &'a RunId,
    /// The name of the agent.
    pub agent: &'a str,
    /// When the last of it was said, or what follows it in the same piece.
    pub at: Timestamp,
    /// The part of the run that it is of.
    pub part: Part<'a>,
    /// The text.
    pub text: &'a str,
}

/// Shows the length only: payloads are personal data.
impl fmt::Debug for RunText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, part, text, .. } = self;
        write!(f, "RunText({run:?}, {part:?}, {} bytes)", text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_frame_can_carry_is_text() {
        assert!(Body::Message(&Message::text("é")).is_text());
        assert!(!Body::Message(&Message::binary(&b"binary, though it is UTF-8"[..])).is_text());
        let run = RunId::new("harvest").unwrap();
        let is_text = |payload: &'static [u8]| {
            Body::Run(RunFact {
                run: &run,
                agent: "gardener",
                kind: RunEventKind::Progress,
                failure: None,
                at: Timestamp::ZERO,
                payload: &Bytes::from_static(payload),
            })
            .is_text()
        };
        assert_eq!([is_text("é".as_bytes()), is_text(b"\xFF"), is_text(b"")], [true, false, true]);
        let (agent, at, part) = ("gardener", Timestamp::ZERO, Part::TEXT);
        assert!(Body::Text(RunText { run: &run, agent, at, part, text: "é" }).is_text());
    }
}
