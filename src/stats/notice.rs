//! Facts for logs and metrics: [`Notice`].

use core::time::Duration;

use crate::action::CloseReason;
use crate::ends::{RoomEnd, RunEnd, SessionEnd};
use crate::id::{ConnId, SessionId};
use crate::snapshot::encoded;
use crate::stats::Impact;

/// How near a user is to a cap: `limits.connections_per_user` or `limits.sessions_per_user`, whichever is
/// nearer. A level refuses no newcomer and closes no connection: a ping that stays unanswered does.
///
/// The levels are percentages of the caps. With the defaults, a cap of 16 sockets and one of 20 sessions:
///
/// | level | from | what happens |
/// |---|---|---|
/// | `Proactive` | 60 %: the 10th socket, the 12th session | sockets that have been silent for half of `heartbeat.interval` are pinged ahead of time |
/// | `Emergency` | 80 %: the 13th socket, the 16th session | an unanswered ping has `pressure.emergency_deadline`, and lingering sessions that keep nothing to resume end |
/// | beyond the cap | the 17th socket, the 21st session | [`OverCap`](crate::OverCap) says what makes room, or that the newcomer is refused |
///
/// ```
/// # use headcount::*;
/// # let now = Timestamp::from_secs(1);
/// let mut registry = Registry::new(Config::builder(1).connections_per_user(10).build()?);
/// for _ in 0..10 {
///     registry.admit(now, Principal::new("alice".parse()?), Start::Now, None)?;
/// }
/// let mut reached = Pressure::None;
/// while let Some(notice) = registry.poll_notice() {
///     if let Notice::Pressure { level, .. } = notice {
///         reached = reached.max(level);
///     }
/// }
/// assert_eq!(reached, Pressure::Emergency);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
/// [`Stats::notices_lost`](crate::Stats::notices_lost).
/// [`Registry::poll_notice`](crate::Registry::poll_notice) has an example.
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
        /// Which: the epoch of its stream, as [`Joined::position`](crate::Joined::position) told it.
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
