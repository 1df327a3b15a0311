//! What can be read: counters, the outcome of a send, notices. Reading changes nothing.

mod notice;

use core::fmt;

use smallvec::SmallVec;

use crate::action::{CLOSE_REASONS, CloseReason, Position};
use crate::ends::{RoomEnd, RunEnd, SessionEnd};
use crate::id::SessionId;
use crate::snapshot::encoded;

pub use self::notice::{Notice, Pressure};

/// What a `send` found at the instant of the call. [`Registry::send`](crate::Registry::send) has an
/// example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Connections that stand at the head of their stream: they are handed the message when actions
    /// are polled, unless their window is full by then, or they have left, closed or ended. Of a
    /// direct message 1, of an announcement all open connections.
    pub live: u32,
    /// Connections that are behind: they get it in turn, or a gap if the log moves on first.
    pub behind: u32,
    /// A direct message was not taken because window and reply reserve are full, or an announcement because
    /// too many are under way. Nothing of it is kept.
    pub full: bool,
    pub(crate) stored: SmallVec<[Stored; 1]>,
}

/// One log that a message was appended to. It may let the message go at any time, by its bounds.
/// [`Registry::send`](crate::Registry::send) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The session whose log it is; `None` for the room that was the target.
    pub session: Option<SessionId>,
    /// Where in the log.
    pub position: Position,
}

impl Delivery {
    /// The logs that the message was appended to.
    #[must_use]
    pub fn stored(&self) -> &[Stored] {
        &self.stored
    }

    /// Whether it reached no connection and no log: the target does not exist, or no connection is there
    /// and nothing is kept of it, for want of history or because it is droppable.
    #[must_use]
    pub fn reaches_none(&self) -> bool {
        self.live == 0 && self.behind == 0 && self.stored.is_empty() && !self.full
    }
}

/// An admitted connection. [`Registry::admit`](crate::Registry::admit) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admitted {
    /// Whether it is its user's only open connection.
    pub first_of_user: bool,
    /// The session of its principal's thread; `None` if that names none.
    pub followed: Option<Followed>,
}

/// A connection that follows a session. [`Registry::follow`](crate::Registry::follow) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Followed {
    /// The session.
    pub session: SessionId,
    /// Whether the session was created for it.
    pub new_session: bool,
    /// Whether it is the session's only follower.
    pub first_of_session: bool,
    /// The place in the session's stream after which this connection's events begin.
    pub position: Position,
    /// What became of the resume that was asked for.
    pub recovered: Recovered,
    /// Whether it followed the session before: nothing has changed then.
    pub already: bool,
}

/// A connection that joined a room. [`Registry::join`](crate::Registry::join) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// The place in the room's stream after which this connection's events begin.
    pub position: Position,
    /// What became of the resume that was asked for.
    pub recovered: Recovered,
    /// Whether it was a member before: nothing has changed then.
    pub already: bool,
}

/// What became of a resume. [`Start`](crate::Start) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recovered {
    /// None was asked for: [`Start`](crate::Start) says what follows. What the runs that it is about
    /// have lost is told with a `Gap`.
    Fresh,
    /// Everything after the position that was named follows, strictly before anything newer, but for what a
    /// newer message of its key has replaced. Droppable messages among it that were not kept make it a `Gap`.
    All,
    /// Something is lost for good, and a `Gap` says what; what is still there follows. If the
    /// position was none of this stream, only the open runs follow, and everything else up to the
    /// head is told with gaps between their entries, whether it is still there or not: each offset
    /// is handed out or named once. There is no `Gap` if the stream has no entry yet.
    Gap,
}

/// Where a connection is in its life. [`Registry::connection`](crate::Registry::connection) has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnState {
    /// A socket that is nobody yet.
    Pending,
    /// Admitted, and not known to be in trouble.
    Open,
    /// Admitted, and pinged without an answer yet.
    Suspect,
    /// Told to close, or about to be; no recipient any more.
    Closing,
    /// Ended; its `Cleanup` waits to be polled.
    Gone,
}

impl ConnState {
    /// A stable name in `snake_case`, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Open => "open",
            Self::Suspect => "suspect",
            Self::Closing => "closing",
            Self::Gone => "gone",
        }
    }
}

/// The stable name.
impl fmt::Display for ConnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of something that came in. [`Registry::message`](crate::Registry::message) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a message that is answered `Paused` was not taken: offer it again"]
pub enum Intake {
    /// It was taken.
    Taken,
    /// It was not taken. Offer it again once [`flushed`](crate::Registry::flushed) has answered `true`,
    /// and don't read that socket until then.
    Paused,
}

/// A run that was opened or requested. [`UserScope::open_run`](crate::UserScope::open_run) has an
/// example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenedRun {
    /// The session that it is in.
    pub session: SessionId,
    /// The place of its first event.
    pub position: Position,
    /// Whom that found.
    pub delivery: Delivery,
}

/// What a reload does to connections and sessions. [`Registry::reload`](crate::Registry::reload) has an
/// example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Impact {
    /// Connections that are closed over their users' own caps, with
    /// [`CloseReason::Evicted`](crate::CloseReason::Evicted).
    pub evicted: u32,
    /// Connections that are closed over `limits.connections`, with
    /// [`CloseReason::TryLater`](crate::CloseReason::TryLater).
    pub displaced: u32,
    /// Further open connections with a deadline that has passed under the new times: closed by the
    /// next ticks, unless a sign of life, a flush or a refresh comes before.
    pub overdue: u32,
    /// Sessions that end over their users' own caps, with what they kept for a resume.
    pub sessions: u32,
}

encoded! { struct Impact { evicted, displaced, overdue, sessions } }

impl Impact {
    /// How many connections it closes.
    #[must_use]
    pub const fn closes(&self) -> u32 {
        self.evicted + self.displaced + self.overdue
    }
}

/// Counters and gauges of a registry, exact at the instant of the call.
///
/// `opened == live + Σ closed`, always. [`Registry::stats`](crate::Registry::stats) has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were ever admitted.
    pub opened: u64,
    /// Admitted connections whose `Cleanup` has not been polled: open and closing ones.
    pub live: u32,
    /// Of these, the open ones.
    pub open: u32,
    /// Sockets that were reserved and not admitted, and whose `Cleanup` has not been polled: those that
    /// wait to be admitted, and those that are closing or gone. Only the former hold a place of
    /// `limits.pending`.
    pub pending: u32,
    /// Reserved sockets that ended without having been admitted.
    pub abandoned: u64,
    /// Sessions that were ever created.
    pub sessions_opened: u64,
    /// Sessions that have not ended.
    pub sessions: u32,
    /// Sessions that have ended.
    pub sessions_ended: u64,
    /// Connects that were refused.
    pub refused: u64,
    /// Users who have a session, lingering ones included, or an open connection.
    pub users: u32,
    /// Rooms with members or history.
    pub rooms: u32,
    /// Rooms that were ever made.
    pub rooms_opened: u64,
    /// Pings handed out.
    pub pings_sent: u64,
    /// Pongs that came in.
    pub pongs_received: u64,
    /// Connections closed for want of a sign of life.
    pub pong_timeouts: u64,
    /// Suspect connections that gave a sign of life.
    pub recovered: u64,
    /// Pauses of the process that moved the deadlines that count in attended time.
    pub pauses: u64,
    /// Changes of a user's pressure level, up or down.
    pub level_changes: u64,
    /// Connections pinged ahead of time for that.
    pub probed: u64,
    /// Lingering sessions ended early for that.
    pub released: u64,
    /// Recipients of `Send` actions handed out.
    pub sent: u64,
    /// Recipients that were found without room when a message was due.
    pub deferred: u64,
    /// Appends to logs: messages, events of runs, pieces of their text.
    pub stored: u64,
    /// Acknowledgements that told something new.
    pub acknowledged: u64,
    /// Runs that were ever opened or requested.
    pub runs_opened: u64,
    /// Of these, the ones that clients have requested.
    pub runs_requested: u64,
    /// Of all, the ones that have not ended, requested ones included.
    pub runs: u32,
    /// Tool calls of these that are under way.
    pub calls: u32,
    /// Gaps handed out.
    pub gaps: u64,
    /// Entries that logs gave up because of a byte budget.
    pub shed: u64,
    /// Recipients that an announcement skipped.
    pub skipped: u64,
    /// Entries in all logs.
    pub log_messages: u64,
    /// Bytes in all logs, overhead included.
    pub log_bytes: u64,
    /// Stamps that ran backwards and were clamped.
    pub late_stamps: u64,
    /// Notices that found no room.
    pub notices_lost: u64,
    pub(crate) closed: [u64; CLOSE_REASONS],
    pub(crate) runs_ended: [u64; RunEnd::COUNT],
    pub(crate) sessions_ended_by: [u64; SessionEnd::COUNT],
    pub(crate) rooms_ended_by: [u64; RoomEnd::COUNT],
}

impl Stats {
    /// Connections that were admitted and have ended for this reason, cleanup polled.
    #[must_use]
    pub const fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// Runs that have ended in this way. `runs_opened == runs + Σ runs_ended`, always.
    #[must_use]
    pub const fn runs_ended(&self, end: RunEnd) -> u64 {
        self.runs_ended[end as usize]
    }

    /// Sessions that have ended for this reason. `sessions_ended` is the sum.
    #[must_use]
    pub const fn sessions_ended_by(&self, why: SessionEnd) -> u64 {
        self.sessions_ended_by[why as usize]
    }

    /// Rooms that have ended for this reason. `rooms_opened == rooms + Σ rooms_ended_by`, always.
    #[must_use]
    pub const fn rooms_ended_by(&self, why: RoomEnd) -> u64 {
        self.rooms_ended_by[why as usize]
    }

    /// All of them: `opened - live`.
    #[must_use]
    pub fn closed_total(&self) -> u64 {
        self.closed.iter().sum()
    }
}
