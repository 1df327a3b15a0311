//! What happens in a run: what an application reports, and how it stands in a log.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::ends::RunEnd;
use crate::log::EventTag;
use crate::run::Part;
use crate::snapshot::encoded;

/// What happened in a run. [`UserScope::run_event`](crate::UserScope::run_event) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunEventKind {
    /// The run was opened: its first event, but for one that a client has requested.
    Started,
    /// The agent thinks.
    Thinking,
    /// A tool call began.
    ToolExecuting,
    /// A tool call that had begun ended.
    ToolCompleted,
    /// The run gets on.
    Progress,
    /// Terminal: it has a result.
    Completed,
    /// Terminal: it has none.
    Failed,
    /// Terminal: it was ended before it was complete.
    Cancelled,
    /// Terminal: it waits for a person, whose answer is another run.
    Interrupted,
    /// A client has requested the run: then it is the first event, and [`Started`](Self::Started) follows
    /// when the run is opened.
    Requested,
    /// A client wishes that the run is cancelled. It goes on until it is reported as ended.
    CancelRequested,
}

encoded! { all RunEventKind }

impl RunEventKind {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 11] = [
        Self::Started,
        Self::Thinking,
        Self::ToolExecuting,
        Self::ToolCompleted,
        Self::Progress,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
        Self::Requested,
        Self::CancelRequested,
    ];

    /// A stable name in `snake_case`, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Thinking => "thinking",
            Self::ToolExecuting => "tool_executing",
            Self::ToolCompleted => "tool_completed",
            Self::Progress => "progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Requested => "requested",
            Self::CancelRequested => "cancel_requested",
        }
    }

    /// Whether nothing follows it in its run.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        self.end().is_some()
    }

    /// Whether a client has asked for it: then it is by no agent.
    pub(crate) const fn is_of_client(self) -> bool {
        matches!(self, Self::Requested | Self::CancelRequested)
    }

    /// How it ends its run; `None`: it does not.
    pub(crate) const fn end(self) -> Option<RunEnd> {
        match self {
            Self::Completed => Some(RunEnd::Completed),
            Self::Failed => Some(RunEnd::Failed),
            Self::Cancelled => Some(RunEnd::Cancelled),
            Self::Interrupted => Some(RunEnd::Interrupted),
            _ => None,
        }
    }
}

/// The stable name.
impl fmt::Display for RunEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the registry itself has failed a run. [`RunView::fails`](crate::RunView::fails) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunFailure {
    /// No event for `run.silence`.
    Silence,
    /// Open for `run.max_length`.
    Length,
}

encoded! { enum RunFailure { 0 = Silence, 1 = Length } }

impl RunFailure {
    /// A stable name in `snake_case`, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Length => "length",
        }
    }
}

/// The stable name.
impl fmt::Display for RunFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an application reports of a run. Payloads are opaque.
/// [`UserScope::run_event`](crate::UserScope::run_event) has an example.
#[derive(Clone, Debug)]
pub enum RunEvent<'a> {
    /// The agent thinks.
    Thinking(Bytes),
    /// A tool call begins.
    ToolExecuting {
        /// What its end will name: at most [`MAX_ID_BYTES`](crate::MAX_ID_BYTES) bytes, and none
        /// that is under way. Of a run `run.calls` may be.
        call: &'a str,
        /// How long it may take, in attended time: until then, and for `run.silence` after it, the
        /// run need not have an event. It does not go beyond `run.max_length`. `None`: the call says
        /// no more than any other event, and the run fails `run.silence` after the last of them.
        expect: Option<Duration>,
        /// What clients see.
        payload: Bytes,
    },
    /// A tool call ends.
    ToolCompleted {
        /// What its beginning named.
        call: &'a str,
        /// What clients see.
        payload: Bytes,
    },
    /// The run gets on.
    Progress(Bytes),
    /// A part of the run goes on: what the agent says, thinks, or passes to a tool. The boundaries of
    /// deltas are not kept: neighbours of one part are joined where they are handed out, and a client
    /// that resumes within one gets the rest. An empty text is no event, and a sign of life.
    Delta {
        /// Which part; the first delta of a part begins it. Of a run, the log keeps something of
        /// `run.parts` at most.
        part: Part<'a>,
        /// What is appended to it.
        text: &'a str,
    },
    /// It has a result. All tool calls must have ended.
    Completed(Bytes),
    /// It has none.
    Failed(Bytes),
    /// It was ended before it was complete.
    Cancelled(Bytes),
    /// It waits for a person: for an approval, or an answer. What follows that is another run.
    Interrupted(Bytes),
}

impl<'a> RunEvent<'a> {
    /// What the agent says goes on, in the part [`Part::TEXT`].
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self::Delta { part: Part::TEXT, text }
    }

    /// The kind of event; `None`: a delta.
    #[must_use]
    pub fn kind(&self) -> Option<RunEventKind> {
        self.fact().map(|(kind, _)| kind)
    }

    /// The payload, or the text of a delta.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match (self, self.fact()) {
            (Self::Delta { text, .. }, _) => text.as_bytes(),
            (_, fact) => fact.map_or(&[], |(_, payload)| payload),
        }
    }

    /// What stands in a log of it as one event; `None`: a delta.
    pub(crate) const fn fact(&self) -> Option<(RunEventKind, &Bytes)> {
        Some(match self {
            Self::Thinking(payload) => (RunEventKind::Thinking, payload),
            Self::ToolExecuting { payload, .. } => (RunEventKind::ToolExecuting, payload),
            Self::ToolCompleted { payload, .. } => (RunEventKind::ToolCompleted, payload),
            Self::Progress(payload) => (RunEventKind::Progress, payload),
            Self::Completed(payload) => (RunEventKind::Completed, payload),
            Self::Failed(payload) => (RunEventKind::Failed, payload),
            Self::Cancelled(payload) => (RunEventKind::Cancelled, payload),
            Self::Interrupted(payload) => (RunEventKind::Interrupted, payload),
            Self::Delta { .. } => return None,
        })
    }
}

impl EventTag {
    /// What an event of a run is in a log.
    pub(crate) const fn new(kind: RunEventKind, failure: Option<RunFailure>) -> Self {
        let failure = match failure {
            None => 0,
            Some(RunFailure::Silence) => 1,
            Some(RunFailure::Length) => 2,
        };
        Self(kind as u8 | failure << 4)
    }

    pub(crate) const fn kind(self) -> RunEventKind {
        RunEventKind::ALL[(self.0 & 15) as usize]
    }

    pub(crate) const fn failure(self) -> Option<RunFailure> {
        match self.0 >> 4 {
            0 => None,
            1 => Some(RunFailure::Silence),
            _ => Some(RunFailure::Length),
        }
    }
}
