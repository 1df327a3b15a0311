//! What can be read: counters, the outcome of a send, notices. Reading changes nothing.

use core::fmt;
use core::time::Duration;

use smallvec::SmallVec;

use crate::action::{CLOSE_REASONS, CloseReason, Position};
use crate::ends::{RoomEnd, RunEnd, SessionEnd};
use crate::id::{ConnId, SessionId};
use crate::snapshot::encoded;

/// What a `send` found at the instant of the call.
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

/// An admitted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admitted {
    /// Whether it is its user's only open connection.
    pub first_of_user: bool,
    /// The session of its principal's thread; `None` if that names none.
    pub followed: Option<Followed>,
}

/// A connection that follows a session.
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

/// A connection that joined a room.
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

/// What became of a resume.
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

/// Where a connection is in its life.
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

/// What became of something that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a message that is answered `Paused` was not taken: offer it again"]
pub enum Intake {
    /// It was taken.
    Taken,
    /// It was not taken. Offer it again once [`flushed`](crate::Registry::flushed) has answered `true`,
    /// and don't read that socket until then.
    Paused,
}

/// A run that was opened or requested.
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

/// What a reload does to connections and sessions.
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

/// How near a user is to a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Pressure {
    /// Below `pressure.proactive`.
    None,
    /// Silent connections were probed.
    Proactive,
    /// Unanswered probes have the emergency deadline, and empty sessions do not linger.
    Emergency,
}

encoded! { enum Pressure { 0 = None, 1 = Proactive, 2 = Emergency } }

/// A structured fact for logs and metrics. Best effort: losses are counted in
/// [`Stats::notices_lost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// A connection was admitted.
    Admitted {
        /// Which.
        conn: ConnId,
        /// The session that it follows from the start; `None`: none.
        session: Option<SessionId>,
    },
    /// An admitted connection has begun to close, or has ended without a close.
    Closed {
        /// Which.
        conn: ConnId,
        /// The session that it followed longest; `None`: it followed none.
        session: Option<SessionId>,
        /// Why.
        reason: CloseReason,
        /// How long it was open.
        age: Duration,
    },
    /// A session has ended, and what it kept for a resume is gone: see
    /// [the ways in which it can](crate#when-a-session-ends).
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why.
        why: SessionEnd,
    },
    /// A room has ended, and what it kept for a resume is gone.
    RoomEnded {
        /// Which: the epoch of its stream, as [`Joined::position`] told it.
        epoch: u64,
        /// Why.
        why: RoomEnd,
    },
    /// A client has requested a run.
    RunRequested {
        /// In which session.
        session: SessionId,
    },
    /// A client wishes that a run is cancelled.
    RunCancelRequested {
        /// In which session.
        session: SessionId,
    },
    /// A run was opened.
    RunOpened {
        /// In which session.
        session: SessionId,
    },
    /// A run has ended.
    RunEnded {
        /// In which session.
        session: SessionId,
        /// How.
        end: RunEnd,
        /// How long it was open.
        lasted: Duration,
    },
    /// A ping is unanswered for half of the time that it has.
    Suspect {
        /// Whose.
        conn: ConnId,
    },
    /// A suspect connection gave a sign of life.
    Recovered {
        /// Which.
        conn: ConnId,
    },
    /// A user has come nearer to a cap, or away from it.
    Pressure {
        /// The session that came or went, or the one that a connection followed which did; `None` if
        /// that followed none.
        session: Option<SessionId>,
        /// The level now.
        level: Pressure,
        /// Connections pinged ahead of time.
        probed: u32,
        /// Lingering sessions ended because they kept nothing to resume.
        released: u32,
        /// Connections that the admission at hand has evicted.
        evicted: u32,
    },
    /// A drain has begun.
    Draining {
        /// How many connections are open.
        connections: u32,
    },
    /// Limits and times were changed.
    Reloaded {
        /// What that does to connections and sessions.
        impact: Impact,
    },
    /// The process paused for longer than `pause_threshold`: the deadlines that count in attended
    /// time have moved.
    Paused {
        /// For how long.
        lasted: Duration,
    },
    /// A connection has fallen behind: there was no room for the entry that was due, or one before
    /// it is lost.
    Behind {
        /// Which.
        conn: ConnId,
    },
    /// A connection was told of lost entries.
    Gap {
        /// Which.
        conn: ConnId,
        /// The first offset lost.
        from: u64,
        /// The last offset lost.
        to: u64,
    },
    /// An announcement to everyone has ended.
    Announced {
        /// How many connections were handed it.
        sent: u32,
        /// How many were skipped because they were behind or full.
        skipped: u32,
    },
}

encoded! {
    enum Notice {
        0 = Admitted { conn, session },
        1 = Closed { conn, session, reason, age },
        2 = SessionEnded { session, why },
        3 = RoomEnded { epoch, why },
        4 = RunRequested { session },
        5 = RunCancelRequested { session },
        6 = RunOpened { session },
        7 = RunEnded { session, end, lasted },
        8 = Suspect { conn },
        9 = Recovered { conn },
        10 = Pressure { session, level, probed, released, evicted },
        11 = Draining { connections },
        12 = Reloaded { impact },
        13 = Paused { lasted },
        14 = Behind { conn },
        15 = Gap { conn, from, to },
        16 = Announced { sent, skipped },
    }
}

/// Counters and gauges of a registry, exact at the instant of the call.
///
/// `opened == live + Σ closed`, always.
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
