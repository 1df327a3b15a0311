//! What the model knows about one connection: where it is in its life, its window, its deadlines.

use headcount::{
    CloseReason, ConnKind, ConnState, MESSAGE_OVERHEAD, RoomId, SessionId, Timestamp, Upcoming,
};

use super::limits::Rate;
use super::names::Name;
use crate::seen::Source;

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum State {
    #[default]
    Pending,
    Open,
    Closing,
    Gone,
}

/// An unanswered ping.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Ping {
    /// What had been handed out, the ping included, when it was; `None` while it is queued.
    pub(crate) mark: Option<u64>,
    /// When the pong deadline last began to run, and how much was flushed then; `None` before the
    /// ping itself was flushed.
    pub(crate) running: Option<(Timestamp, u64)>,
    /// Unanswered for half of its time.
    pub(crate) late: bool,
    /// It has the emergency deadline.
    pub(crate) hurried: bool,
}

/// A connection from `reserve` until its `Cleanup` is polled.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Conn {
    pub(crate) state: State,
    pub(crate) upgraded: bool,
    /// Where it comes from, and when it last gave a sign of life: a number that grows.
    pub(crate) source: Option<headcount::Source>,
    pub(crate) life: u64,
    /// When the wait for the head, or for credentials, began. Each pause since makes it later.
    pub(crate) pending_since: Timestamp,
    /// The user it was admitted for, and when.
    pub(crate) admitted: Option<(Name, Timestamp)>,
    /// Which cap of its user counts it.
    pub(crate) kind: ConnKind,
    /// The sessions that it follows, or followed when it closed, in the order in which it came to them.
    pub(crate) sessions: Vec<SessionId>,
    /// The streams of these and of its rooms, in that order, while it is open.
    pub(crate) streams: Vec<Source>,
    /// These once it closes.
    pub(crate) streams_left: Vec<Source>,
    /// Which of its streams has the next turn, if it lags there.
    pub(crate) next_stream: usize,
    /// Why it closes; `None` while it does not.
    pub(crate) reason: Option<CloseReason>,
    /// When its `Close` was polled. Each pause since makes it later.
    pub(crate) close_polled: Option<Timestamp>,
    pub(crate) handed: u64,
    pub(crate) flushed: u64,
    /// The last flush progress, or the moment at which something came to be in flight.
    pub(crate) progress_at: Timestamp,
    pub(crate) paused: bool,
    /// The last data message.
    pub(crate) data_at: Timestamp,
    /// Which label its principal has.
    pub(crate) label: Option<String>,
    /// When its principal expires.
    pub(crate) expires: Option<Timestamp>,
    /// The bytes of its request head.
    pub(crate) head: u64,
    /// When the message in progress began, and whether frames of it have come whole.
    pub(crate) began: Option<Timestamp>,
    pub(crate) fragmented: bool,
    /// How fast it may talk, in eighths of a message, and in bytes.
    pub(crate) frames: Rate,
    pub(crate) bytes: Rate,
    /// A ping was handed out, and no pong has come since.
    pub(crate) pong_owed: bool,
    /// Of the drain under way.
    pub(crate) told_of_drain: bool,
    /// It was there when the drain began.
    pub(crate) met_drain: bool,
    /// The last sign of life; the admission before the first.
    pub(crate) heard_at: Timestamp,
    /// Whether a ping was handed out: until then the silence allowed is jittered.
    pub(crate) pinged: bool,
    pub(crate) ping: Option<Ping>,
    /// Whether the ping in the outbox is to be handed out.
    pub(crate) ping_due: bool,
    /// The millisecond of its next deadline, and what is due then; `None`: there is none, or what the
    /// registry said of it no longer holds.
    pub(crate) next: Option<(u64, Upcoming)>,
}

impl Conn {
    pub(crate) fn new(now: Timestamp) -> Self {
        let (pending_since, progress_at, data_at, heard_at) = (now, now, now, now);
        Self { pending_since, progress_at, data_at, heard_at, ..Self::default() }
    }

    pub(crate) fn public_state(&self) -> ConnState {
        match self.state {
            State::Pending => ConnState::Pending,
            State::Open if self.ping.is_some_and(|ping| ping.late) => ConnState::Suspect,
            State::Open => ConnState::Open,
            State::Closing => ConnState::Closing,
            State::Gone => ConnState::Gone,
        }
    }

    /// Waiting to be admitted, or open.
    pub(crate) const fn is_there(&self) -> bool {
        matches!(self.state, State::Pending | State::Open)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn user(&self) -> Option<Name> {
        self.admitted.map(|(user, _)| user)
    }

    /// The session that it follows longest.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.sessions.first().copied()
    }

    /// The rooms that it is in, or was in when it began to close.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &RoomId> {
        let streams = self.streams.iter().chain(&self.streams_left);
        streams.filter_map(|source| match source {
            Source::Room(room) => Some(room),
            _ => None,
        })
    }

    pub(crate) const fn in_flight(&self) -> u64 {
        self.handed - self.flushed
    }

    /// The instants that each pause makes later.
    pub(crate) fn attended_mut(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        let always =
            [&mut self.pending_since, &mut self.heard_at, &mut self.progress_at, &mut self.data_at];
        let running = self.ping.as_mut().and_then(|ping| ping.running.as_mut());
        let running = running.map(|(since, _)| since);
        let sometimes = [self.close_polled.as_mut(), self.began.as_mut(), running];
        always.into_iter().chain(sometimes.into_iter().flatten())
    }

    /// It is asked for a sign of life.
    pub(crate) const fn ask(&mut self) {
        self.ping_due = true;
        self.ping = Some(Ping { mark: None, running: None, late: false, hurried: false });
    }

    /// Its ping is handed out.
    pub(crate) const fn pinged(&mut self) {
        self.pinged = true;
        self.pong_owed = true;
        if let Some(ping) = &mut self.ping {
            ping.mark = Some(self.handed + MESSAGE_OVERHEAD);
        }
    }

    /// A sign of life. It answers the ping, and makes one that waits to be polled pointless.
    pub(crate) const fn hear(&mut self, now: Timestamp) {
        self.heard_at = now;
        self.ping = None;
        self.ping_due = false;
    }
}
