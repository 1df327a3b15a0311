//! The connection record: a hot part that fan-out and activity touch, and the cold rest.

mod deadline;
mod heartbeat;
mod late_joins;
mod table_walk;
mod window;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use smallvec::SmallVec;

use crate::action::CloseReason;
use crate::id::{ConnId, RoomId};
use crate::principal::ConnKind;
use crate::session::{SessionKey, UserKey};
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::store::{Linked, Links, Rare, Seldom, SlotKey, Steps, Table, TokenBucket, key};
use crate::stream::StreamKey;
use crate::time::{Deadline, PackedDeadline, Timestamp};
use crate::waiting::SourceKey;

pub(crate) use self::deadline::{Due, Rules, deadline, deadline_at, is_overdue, jitter_bits};
pub(crate) use self::heartbeat::{Ask, Heard, Probe, Pulse};
pub(crate) use self::late_joins::LateJoins;
pub(crate) use self::table_walk::TableWalk;
pub(crate) use self::window::Window;

key! {
    /// The key of a connection. Its slot is part of the connection's handle, whose serial says whether
    /// the connection that has the slot is the one that is meant.
    ConnKey
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum State {
    /// A socket that is nobody yet.
    Pending,
    Open,
    /// Left everything; its `Close` is queued or handed out.
    Closing,
    /// Its `Cleanup` is queued. The slot stays taken until that is polled, or a shell that works
    /// in batches would act on the next tenant.
    Gone,
}

encoded! { enum State { 0 = Pending, 1 = Open, 2 = Closing, 3 = Gone } }

/// All that a hand-out and a flush touch: one cache line, and no other.
#[derive(Clone, Copy, Hash)]
#[repr(align(64))]
pub(crate) struct Conn {
    pub(crate) window: Window,
    pub(crate) pulse: Pulse,
    pub(crate) serial: NonZeroU32,
    /// `None`: it was not admitted.
    pub(crate) user: Option<UserKey>,
    /// How many of its memberships lag: of its rooms, and of its sessions. While any does, everything
    /// reaches it through its own turns.
    pub(crate) lagging: u32,
    pub(crate) state: State,
    /// A message was answered `Paused`: its silence is our own doing.
    pub(crate) paused: bool,
    /// When its timer is due, as the wheel has it: whether a deadline is covered is seen without a look
    /// into the wheel.
    pub(crate) armed: PackedDeadline,
}

encoded! { struct Conn { window, pulse, serial, user, lagging, state, paused, armed } }

const _: () = assert!(size_of::<Conn>() == 64);

impl Conn {
    /// Whether it was admitted at some time, and is counted as such.
    pub(crate) const fn is_admitted(&self) -> bool {
        self.user.is_some()
    }

    /// Whether its timer is due at `at` or before, or `at` never comes.
    pub(crate) fn covers(&self, at: Deadline) -> bool {
        self.armed.get() <= at || at.instant().is_none()
    }
}

/// The rest of a connection.
#[derive(Clone, Hash)]
pub(crate) struct Cold {
    /// When the running phase began: reserved, upgraded, admitted, or `Close` polled. What is
    /// measured from it is an age, or a limit that no pause moves.
    pub(crate) phase: Timestamp,
    /// When the wait for the peer began, in attended time. Pending: for its request head, or for its
    /// credentials. Open: for data, since the last data message. Closing: for the end of its socket, once
    /// the `Close` was polled.
    pub(crate) waits_since: Timestamp,
    /// When its principal expires; `Timestamp::MAX` for never.
    pub(crate) expires_at: Timestamp,
    /// The token bucket of its frames.
    pub(crate) frames: TokenBucket,
    pub(crate) probe: Probe,
    /// One per stream that it follows, of sessions and of rooms, in the order in which it came to them.
    pub(crate) memberships: SmallVec<[Membership; 1]>,
    /// The session that it follows longest. See [`sessions`](Self::sessions).
    session: Option<SessionKey>,
    pub(crate) extras: Rare<Extras>,
    /// Pending: the queue of its source, if that is known.
    pub(crate) source: Option<SourceKey>,
    /// Its place in the queue of its state. See [`OfState`].
    links: Links,
    /// The membership that its next turn begins with, so that no room of many starves another.
    pub(crate) next_membership: u32,
    /// The drain that it was told of: that drain's plan holds for it.
    pub(crate) told_of_drain: u32,
    /// The bytes of its request head that have come, or more than may.
    pub(crate) head_bytes: u32,
    /// Why it closes or has gone.
    pub(crate) reason: CloseReason,
    /// Which cap of its user counts it.
    pub(crate) kind: ConnKind,
    /// Pending: upgraded, so that frames can be written. Open: still so.
    pub(crate) upgraded: bool,
    /// Closing: the `Close` was polled, and the handshake's deadline runs.
    pub(crate) close_polled: bool,
}

encoded! {
    struct Cold {
        phase, waits_since, expires_at, frames, probe, memberships, session, extras, source, links,
        next_membership, told_of_drain, head_bytes, reason, kind, upgraded, close_polled,
    }
}

/// What few connections have.
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct Extras {
    /// When the message in progress began, in attended time; `Timestamp::MAX` if there is none.
    pub(crate) message_began: Timestamp,
    pub(crate) label: Option<Box<str>>,
    pub(crate) late_joins: LateJoins,
    /// The rooms that it was in when it began to close. A room may end before its cleanup.
    rooms_left: Option<Box<[RoomId]>>,
    /// All sessions that it follows, if these are several.
    sessions: Vec<SessionKey>,
    /// Its turn in the ready queue.
    pub(crate) ready: Links,
    /// The token bucket of its bytes, if there is a rate.
    pub(crate) bytes: TokenBucket,
    /// Bytes that came in beyond their rate since their bucket was full.
    pub(crate) excess_bytes: u64,
    /// Eighths of tokens that were refused since the bucket of frames was full.
    pub(crate) excess: u32,
    /// How many of its sessions it has left without a wish of its own, and was not told of yet.
    pub(crate) lefts: u32,
    /// The message in progress has frames that have come whole: a control frame between them does not
    /// end it.
    pub(crate) fragmented: bool,
}

encoded! {
    struct Extras {
        message_began, label, late_joins, rooms_left, sessions, ready, bytes, excess_bytes, excess, lefts,
        fragmented,
    }
}

impl Seldom for Extras {
    const SHARED: &'static Self = &Self::USUAL;
    const USUAL: Self = Self {
        message_began: Timestamp::MAX,
        label: None,
        late_joins: LateJoins::NONE,
        rooms_left: None,
        sessions: Vec::new(),
        ready: Links::OUT,
        bytes: TokenBucket::FULL,
        excess_bytes: 0,
        excess: 0,
        lefts: 0,
        fragmented: false,
    };
}

impl Cold {
    /// The sessions that it follows, in the order in which it came to. When it closes it leaves their
    /// streams, and stays attached to them until its cleanup.
    pub(crate) fn sessions(&self) -> &[SessionKey] {
        if self.extras.sessions.is_empty() {
            self.session.as_slice()
        } else {
            &self.extras.sessions
        }
    }

    /// It follows one more.
    pub(crate) fn follow(&mut self, session: SessionKey) {
        let Some(first) = self.session else {
            self.session = Some(session);
            return;
        };
        self.extras.edit(|it| {
            if it.sessions.is_empty() {
                it.sessions.push(first);
            }
            it.sessions.push(session);
        });
    }

    /// It follows one less.
    pub(crate) fn unfollow(&mut self, session: SessionKey) {
        let left = self.sessions().iter().copied().filter(|followed| *followed != session);
        let mut left: Vec<_> = left.collect();
        self.session = left.first().copied();
        if left.len() < 2 {
            left = Vec::new();
        }
        if self.extras.sessions != left {
            self.extras.edit(|it| it.sessions = left);
        }
    }

    /// The rooms that it was in when it began to close.
    pub(crate) fn rooms_left(&self) -> &[RoomId] {
        self.extras.rooms_left.as_deref().unwrap_or_default()
    }

    /// It begins to close, and was in rooms.
    pub(crate) fn leave_rooms(&mut self, rooms: Box<[RoomId]>) {
        self.extras.rooms_left = Some(rooms);
    }

    /// The deadline of the message in progress begins anew, if there is one.
    pub(crate) fn restart_message(&mut self, attended: Timestamp) {
        if self.extras.message_began < Timestamp::MAX {
            self.extras.message_began = attended;
        }
    }
}

/// That a connection follows a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Membership {
    pub(crate) stream: StreamKey,
    /// The index among the stream's members.
    pub(crate) index: u32,
    /// The last offset that its client said it has dealt with.
    pub(crate) acknowledged: u64,
}

encoded! { struct Membership { stream, index, acknowledged } }

/// The one queue that a connection is in: while it is pending, that of its source; while it is open,
/// that of its user; while it is closing, that of the close handshakes.
pub(crate) enum OfState {}

impl Linked for OfState {
    type Key = ConnKey;
    type Records = Conns;

    fn links(conns: &Conns, key: ConnKey) -> Links {
        conns.cold(key).links
    }

    fn links_mut(conns: &mut Conns, key: ConnKey) -> &mut Links {
        &mut conns.cold_mut(key).links
    }

    fn known(conns: &Conns, bits: u32) -> Option<ConnKey> {
        conns.known(bits as usize)
    }
}

/// All connections. The hot and the cold part of one have the same key: both tables see the same
/// inserts and removals.
#[derive(Clone, Hash)]
pub(crate) struct Conns {
    hot: Table<ConnKey, Conn>,
    cold: Table<ConnKey, Cold>,
    /// A membership that a search passes is a step.
    steps: Steps,
}

impl Encoded for Conns {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Self { hot, cold, steps: _ } = self;
        hot.encode(to);
        cold.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (hot, cold): (Table<ConnKey, Conn>, Table<ConnKey, Cold>) = Encoded::decode(from)?;
        let both = hot.iter().map(|(key, _)| key).eq(cold.iter().map(|(key, _)| key));
        if both { Ok(Self { hot, cold, steps: Steps::new() }) } else { Err(Malformed) }
    }
}

impl Conns {
    pub(crate) const fn new() -> Self {
        Self { hot: Table::new(), cold: Table::new(), steps: Steps::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.hot.len()
    }

    pub(crate) fn insert(
        &mut self,
        serial: NonZeroU32,
        now: Timestamp,
        attended: Timestamp,
    ) -> ConnKey {
        let conn = self.hot.insert(Conn {
            pulse: Pulse::new(attended),
            window: Window::new(attended),
            serial,
            user: None,
            lagging: 0,
            state: State::Pending,
            paused: false,
            armed: PackedDeadline::NONE,
        });
        let cold = self.cold.insert(Cold {
            phase: now,
            waits_since: attended,
            expires_at: Timestamp::MAX,
            frames: TokenBucket::FULL,
            probe: Probe::new(attended),
            memberships: SmallVec::new(),
            session: None,
            extras: Rare::new(),
            source: None,
            links: Links::OUT,
            next_membership: 0,
            told_of_drain: 0,
            head_bytes: 0,
            reason: CloseReason::PeerGone,
            kind: ConnKind::Socket,
            upgraded: false,
            close_polled: false,
        });
        debug_assert_eq!(conn, cold);
        conn
    }

    pub(crate) fn remove(&mut self, slot: ConnKey) -> (Conn, Cold) {
        (self.hot.remove(slot), self.cold.remove(slot))
    }

    /// The key of a slot that is named from outside; `None`: it has no connection.
    pub(crate) fn known(&self, slot: usize) -> Option<ConnKey> {
        self.hot.known(slot)
    }

    /// The key of a handle whose cleanup was not polled.
    pub(crate) fn resolve(&self, id: ConnId) -> Option<ConnKey> {
        let key = ConnKey::try_of_slot(id.index())?;
        (self.hot.get(key)?.serial == id.serial()).then_some(key)
    }

    /// The same, with its hot record.
    pub(crate) fn resolve_mut(&mut self, id: ConnId) -> Option<(ConnKey, &mut Conn)> {
        let key = ConnKey::try_of_slot(id.index())?;
        let conn = self.hot.get_mut(key)?;
        (conn.serial == id.serial()).then_some((key, conn))
    }

    pub(crate) fn id(&self, slot: ConnKey) -> ConnId {
        ConnId::new(slot.slot() as u32, self.hot[slot].serial)
    }

    /// The user of a connection that was admitted.
    pub(crate) fn user(&self, slot: ConnKey) -> UserKey {
        self.hot(slot).user.expect("an admitted connection has a user")
    }

    /// How many rooms an open connection is in.
    pub(crate) fn rooms(&self, slot: ConnKey) -> usize {
        let cold = self.cold(slot);
        cold.memberships.len() - cold.sessions().len()
    }

    /// The sessions that it follows, the one first that it follows longest.
    pub(crate) fn sessions(&self, slot: ConnKey) -> &[SessionKey] {
        self.cold(slot).sessions()
    }

    pub(crate) fn get(&self, slot: ConnKey) -> Option<&Conn> {
        self.hot.get(slot)
    }

    pub(crate) fn hot(&self, slot: ConnKey) -> &Conn {
        &self.hot[slot]
    }

    pub(crate) fn hot_mut(&mut self, slot: ConnKey) -> &mut Conn {
        &mut self.hot[slot]
    }

    /// The hot record, with the handle of the connection.
    pub(crate) fn hot_and_id_mut(&mut self, slot: ConnKey) -> (ConnId, &mut Conn) {
        let conn = &mut self.hot[slot];
        (ConnId::new(slot.slot() as u32, conn.serial), conn)
    }

    pub(crate) fn cold(&self, slot: ConnKey) -> &Cold {
        &self.cold[slot]
    }

    pub(crate) fn cold_mut(&mut self, slot: ConnKey) -> &mut Cold {
        &mut self.cold[slot]
    }

    #[inline]
    pub(crate) fn both_mut(&mut self, slot: ConnKey) -> (&mut Conn, &mut Cold) {
        (&mut self.hot[slot], &mut self.cold[slot])
    }

    /// The place of a stream among the memberships of a connection; `None` if it does not follow it.
    /// Costs O(the connection's rooms).
    pub(crate) fn place_of(&self, slot: ConnKey, stream: StreamKey) -> Option<usize> {
        let memberships = self.steps.count(self.cold[slot].memberships.iter());
        memberships.enumerate().find(|(_, it)| it.stream == stream).map(|(place, _)| place)
    }

    /// That membership.
    pub(crate) fn membership(&self, slot: ConnKey, stream: StreamKey) -> Option<Membership> {
        self.place_of(slot, stream).map(|place| self.cold[slot].memberships[place])
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.hot.steps() + self.cold.steps() + self.steps.taken()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnKey, &Conn, &Cold)> {
        self.hot.iter().zip(self.cold.iter()).map(|((key, hot), (_, cold))| (key, hot, cold))
    }

    /// The connections from a slot on. Costs O(slots passed).
    pub(crate) fn iter_from(&self, slot: usize) -> impl Iterator<Item = (ConnKey, &Conn)> {
        self.hot.iter_from(slot)
    }

    /// Where the table ends: see [`Table::end`].
    pub(crate) fn end(&self) -> usize {
        self.hot.end()
    }
}
