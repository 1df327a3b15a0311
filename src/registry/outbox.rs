//! What is directed at one connection or session, in the order of its causes.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::action::{
    Action, Body, CloseReason, Ended, MESSAGE_OVERHEAD, Message, Position, RunFact, RunText,
    StreamRef,
};
use crate::conn::{ConnKey, State};
use crate::id::{ConnId, RoomId, RunId, SessionId};
use crate::run::{RunEventKind, RunFailure};
use crate::session::SessionKey;
use crate::store::Key;
use crate::time::Timestamp;

use super::Registry;

/// One item, bounded by what it is about: direct messages, moved entries and gaps by the window and the
/// reserve of their connection and by `outbound.direct_bytes`, and one ping, one close and one cleanup
/// of each.
#[derive(Clone, Hash, Debug)]
pub(crate) enum Queued {
    Direct {
        conn: ConnId,
        message: Message,
    },
    /// An entry that still fitted the window of a connection that closes: it has left its streams.
    Entry {
        conn: ConnId,
        origin: Origin,
        position: Position,
        parcel: Parcel,
    },
    Gap {
        conn: ConnId,
        origin: Origin,
        from: u64,
        to: u64,
    },
    Ping {
        conn: ConnId,
    },
    Close {
        conn: ConnId,
        reason: CloseReason,
    },
    Cleanup {
        conn: ConnId,
        reason: CloseReason,
    },
    CleanupSession {
        session: SessionId,
        reason: CloseReason,
    },
}

/// Where an entry comes from, by name: its room may be gone when it is polled.
#[derive(Clone, Hash, Debug)]
pub(crate) enum Origin {
    Session(SessionId),
    Room(RoomId),
}

impl Origin {
    const fn stream_ref(&self) -> StreamRef<'_> {
        match self {
            Self::Session(session) => StreamRef::Session(*session),
            Self::Room(room) => StreamRef::Room(room),
        }
    }
}

/// What an entry holds, for when its log has let it go.
#[derive(Clone, Hash, Debug)]
pub(crate) enum Parcel {
    Message(Message),
    Run(Box<OwnedFact>),
    Text(Box<OwnedText>),
}

#[derive(Clone, Hash, Debug)]
pub(crate) struct OwnedFact {
    run: RunId,
    agent: Box<str>,
    kind: RunEventKind,
    failure: Option<RunFailure>,
    at: Timestamp,
    payload: Bytes,
}

#[derive(Clone, Hash, Debug)]
pub(crate) struct OwnedText {
    run: RunId,
    agent: Box<str>,
    at: Timestamp,
    text: Box<str>,
}

impl Parcel {
    pub(crate) fn of_fact(fact: &RunFact<'_>) -> Self {
        Self::Run(Box::new(OwnedFact {
            run: fact.run.clone(),
            agent: fact.agent.into(),
            kind: fact.kind,
            failure: fact.failure,
            at: fact.at,
            payload: fact.payload.clone(),
        }))
    }

    pub(crate) fn of_text(text: &RunText<'_>) -> Self {
        Self::Text(Box::new(OwnedText {
            run: text.run.clone(),
            agent: text.agent.into(),
            at: text.at,
            text: text.text.into(),
        }))
    }

    fn body(&self) -> Body<'_> {
        match self {
            Self::Message(message) => Body::Message(message),
            Self::Run(fact) => Body::Run(RunFact {
                run: &fact.run,
                agent: &fact.agent,
                kind: fact.kind,
                failure: fact.failure,
                at: fact.at,
                payload: &fact.payload,
            }),
            Self::Text(text) => Body::Text(RunText {
                run: &text.run,
                agent: &text.agent,
                at: text.at,
                text: &text.text,
            }),
        }
    }
}

impl Queued {
    /// Whose window it is charged to, and how much.
    pub(crate) fn charge(&self) -> Option<(ConnId, u64)> {
        match self {
            Self::Direct { conn, message } => Some((*conn, message.cost())),
            Self::Entry { conn, parcel, .. } => Some((*conn, parcel.body().cost())),
            Self::Gap { conn, .. } | Self::Ping { conn } | Self::Close { conn, .. } => {
                Some((*conn, MESSAGE_OVERHEAD))
            }
            Self::Cleanup { .. } | Self::CleanupSession { .. } => None,
        }
    }

    /// What of it counts towards `outbound.direct_bytes`.
    fn bounded_cost(&self) -> u64 {
        match self {
            Self::Direct { .. } | Self::Entry { .. } | Self::Gap { .. } => {
                self.charge().map_or(0, |(_, cost)| cost)
            }
            _ => 0,
        }
    }

    pub(crate) fn action<'a>(&'a self, to: &'a [ConnId]) -> Action<'a> {
        match self {
            Self::Direct { message, .. } => Action::Send {
                to,
                stream: StreamRef::Direct,
                position: None,
                body: Body::Message(message),
            },
            Self::Entry { origin, position, parcel, .. } => Action::Send {
                to,
                stream: origin.stream_ref(),
                position: Some(*position),
                body: parcel.body(),
            },
            Self::Gap { conn, origin, from, to } => {
                Action::Gap { conn: *conn, stream: origin.stream_ref(), from: *from, to: *to }
            }
            Self::Ping { conn } => Action::Ping { conn: *conn },
            Self::Close { conn, reason } => Action::Close { conn: *conn, reason: *reason },
            Self::Cleanup { conn, reason } => {
                Action::Cleanup { what: Ended::Conn(*conn), reason: *reason }
            }
            Self::CleanupSession { session, reason } => {
                Action::Cleanup { what: Ended::Session(*session), reason: *reason }
            }
        }
    }
}

/// A FIFO of [`Queued`]; large once, it gives its memory back when it has run empty.
#[derive(Clone, Hash)]
pub(crate) struct Outbox {
    queue: VecDeque<Queued>,
    /// The cost of the items that are bounded by it.
    bytes: u64,
}

impl Outbox {
    const KEPT_CAPACITY: usize = 4_096;

    pub(crate) const fn new() -> Self {
        Self { queue: VecDeque::new(), bytes: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether an item of this cost may be queued. One of any cost may while there is no other.
    pub(crate) const fn fits(&self, cost: u64, limit: u64) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(cost) <= limit
    }

    /// Whether its sum is that of its items.
    pub(crate) fn is_sound(&self) -> bool {
        self.queue.iter().map(Queued::bounded_cost).sum::<u64>() == self.bytes
    }

    fn push(&mut self, item: Queued) {
        self.bytes += item.bounded_cost();
        self.queue.push_back(item);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.queue.iter()
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let item = self.queue.pop_front()?;
        self.bytes -= item.bounded_cost();
        if self.queue.is_empty() && self.queue.capacity() > Self::KEPT_CAPACITY {
            self.queue = VecDeque::new();
        }
        Some(item)
    }
}

impl Registry {
    /// Queues an item and charges its connection for it.
    pub(super) fn enqueue(&mut self, item: Queued) {
        if let Some((conn, cost)) = item.charge() {
            self.conns.hot_mut(ConnKey::of_slot(conn.index())).window.queue(cost);
        }
        self.outbox.push(item);
    }

    /// Does what handing out an item means. `false`: it is void, its connection has gone.
    pub(super) fn hand_out_queued(&mut self, item: &Queued) -> bool {
        match item {
            Queued::Cleanup { conn, .. } => {
                self.release_conn(*conn);
                return true;
            }
            Queued::CleanupSession { session, .. } => {
                self.sessions.release(SessionKey::of_slot(session.index()));
                return true;
            }
            _ => {}
        }
        let Some((conn, cost)) = item.charge() else { return true };
        let Some(slot) = self.conns.resolve(conn) else { return false };
        let attended = self.attended();
        let (hot, cold) = self.conns.both_mut(slot);
        if matches!(item, Queued::Ping { .. }) && !hot.pulse.leave_outbox() {
            return false;
        }
        if hot.state == State::Gone {
            hot.window.withdraw(cost);
            return false;
        }
        let is_open = hot.state == State::Open;
        let is_first = hot.window.hand_out_queued(cost, attended);
        if !self.config.flush_reports {
            hot.window.flush_to(u64::MAX, attended);
        }
        match item {
            Queued::Direct { .. } | Queued::Entry { .. } => self.counters.sent += 1,
            Queued::Gap { from, to, .. } => self.count_gap(conn, *from, *to),
            Queued::Ping { .. } => {
                self.counters.pings_sent += 1;
                hot.pulse.handed_out(&mut cold.probe, hot.window.handed_out());
                let (flushed, window) = (hot.window.flushed(), self.config.window);
                hot.pulse.flushed(&mut cold.probe, flushed, attended, window);
            }
            Queued::Close { .. } => {
                cold.close_polled = true;
                cold.phase = self.now;
                cold.waits_since = attended;
            }
            Queued::Cleanup { .. } | Queued::CleanupSession { .. } => {}
        }
        match item {
            Queued::Ping { .. } | Queued::Close { .. } => self.arm(slot),
            _ if is_first && is_open => self.arm_stuck(slot),
            _ => {}
        }
        if !self.config.flush_reports {
            let _ = self.unpause_if_room(slot);
            self.ready_if_room(slot);
        }
        true
    }
}
