//! What stands in a log, and who reads it.

use crate::action::{MESSAGE_OVERHEAD, Message};
use crate::id::ConnId;
use crate::run::{RunEntry, RunKey, Runs};
use crate::time::Timestamp;

#[derive(Clone, Hash)]
pub(crate) struct Entry {
    /// Its place; of a text, the place of its last byte.
    pub(crate) offset: u64,
    /// When it was appended; of a text, when its last byte was.
    pub(crate) at: Timestamp,
    /// Of an open run: the log's own bounds pass over it.
    pub(super) pinned: bool,
    pub(super) what: What,
}

#[derive(Clone, Hash)]
pub(super) enum What {
    Message(Message),
    Run(RunEntry),
    Text(Text),
    /// A newer message of the same key has taken its place: nobody has lost anything.
    Superseded,
    /// Lost for each cursor before it, from this offset on.
    Lost {
        from: u64,
        /// Where the last run of which something was here has ended; 0 if none was.
        run_ended: u64,
    },
}

/// A stretch of a run's text. Each byte has an offset, so that a cursor may stand anywhere in it,
/// and what follows of the same run makes it longer.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Text {
    pub(crate) run: RunKey,
    /// Where it begins in the text of the run.
    pub(crate) from: u32,
    pub(crate) bytes: u32,
}

/// What is to be handed out.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Message(&'a Message),
    Run(&'a RunEntry),
    /// As much of the text as lies behind the cursor.
    Text(Text),
}

impl Content<'_> {
    pub(crate) fn cost(&self) -> u64 {
        match self {
            Self::Message(message) => message.cost(),
            Self::Run(entry) => entry.cost(),
            Self::Text(text) => u64::from(text.bytes) + MESSAGE_OVERHEAD,
        }
    }

    pub(crate) fn excluded(&self) -> Option<ConnId> {
        match self {
            Self::Message(message) => message.excluded(),
            Self::Run(_) | Self::Text(_) => None,
        }
    }
}

impl Entry {
    /// What is to be handed out; `None` for a tombstone.
    pub(crate) const fn content(&self) -> Option<Content<'_>> {
        match &self.what {
            What::Message(message) => Some(Content::Message(message)),
            What::Run(entry) => Some(Content::Run(entry)),
            What::Text(text) => Some(Content::Text(*text)),
            What::Superseded | What::Lost { .. } => None,
        }
    }

    /// What of it lies behind a cursor.
    pub(crate) fn content_after(&self, cursor: u64) -> Option<Content<'_>> {
        match self.content() {
            Some(Content::Text(text)) => {
                let begins = self.offset - u64::from(text.bytes);
                let had = cursor.saturating_sub(begins) as u32;
                Some(Content::Text(Text {
                    run: text.run,
                    from: text.from + had,
                    bytes: text.bytes - had,
                }))
            }
            content => content,
        }
    }

    /// The last offset before its own: of a text, each byte has one.
    pub(crate) const fn begins_after(&self) -> u64 {
        match self.what {
            What::Text(text) => self.offset - text.bytes as u64,
            _ => self.offset - 1,
        }
    }

    pub(super) const fn is_tombstone(&self) -> bool {
        matches!(self.what, What::Superseded | What::Lost { .. })
    }

    pub(super) const fn message(&self) -> Option<&Message> {
        match &self.what {
            What::Message(message) => Some(message),
            _ => None,
        }
    }

    pub(crate) const fn run(&self) -> Option<RunKey> {
        match &self.what {
            What::Run(entry) => Some(entry.run),
            What::Text(text) => Some(text.run),
            _ => None,
        }
    }

    pub(super) fn cost(&self) -> u64 {
        self.content().map_or(0, |content| content.cost())
    }

    pub(super) fn is_droppable(&self) -> bool {
        self.message().is_some_and(Message::is_droppable)
    }

    /// Whether the bounds of the log are about it.
    pub(super) const fn is_bounded(&self) -> bool {
        !self.is_tombstone() && !self.pinned
    }
}

/// Who reads: a member of the stream, or one that leaves it.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) conn: ConnId,
    /// It passes droppable messages over.
    pub(crate) laggard: bool,
    pub(crate) late: Late,
    pub(crate) runs: &'a Runs,
}

/// What a reader who joined late finds before the head at its join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Late {
    /// That head. Up to it, what belongs to a run that was open then is for the reader, and nothing
    /// else. 0 for a reader who did not join late.
    pub(crate) until: u64,
    /// Everything else up to there is told as lost, whether or not it is kept: the reader has seen
    /// something before, and nobody knows how much of it. A newcomer is not told.
    pub(crate) tells_rest: bool,
}

impl Late {
    /// Of a reader who follows everything behind its cursor.
    pub(crate) const NONE: Self = Self { until: 0, tells_rest: false };
}

impl Reader<'_> {
    pub(super) fn is_for_it(&self, entry: &Entry) -> bool {
        let late = entry.offset <= self.late.until;
        match (entry.message(), entry.run()) {
            (Some(message), _) => !late && !message.excludes(self.conn),
            (_, Some(run)) => !late || self.runs.was_open_at(run, self.late.until),
            _ => false,
        }
    }

    /// Whether an entry is for it and not passed over.
    pub(super) fn is_handed(&self, entry: &Entry) -> bool {
        self.is_for_it(entry) && !(self.laggard && entry.is_droppable())
    }
}
