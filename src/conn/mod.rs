//! The connection record: a hot part that fan-out and activity touch, and the cold rest.

mod deadline;
mod window;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::num::NonZeroU32;

use slab::Slab;
use smallvec::SmallVec;

use crate::action::CloseReason;
use crate::bucket::TokenBucket;
use crate::id::ConnId;
use crate::log::Late;
use crate::table;
use crate::time::Timestamp;
use crate::waiting::Waiter;

pub(crate) use self::deadline::{Due, Rules, deadline, is_overdue, jitter_bits, scale};
pub(crate) use self::window::Window;

/// The session of a connection that has none.
pub(crate) const NO_SESSION: u32 = u32::MAX;

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

/// What fan-out and activity touch: at most a cache line.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Conn {
    /// Any sign of life of the peer, in attended time.
    pub(crate) last_seen: Timestamp,
    pub(crate) window: Window,
    pub(crate) serial: NonZeroU32,
    pub(crate) session: u32,
    /// How many of its memberships lag: of its rooms, and of its session. While any does, everything
    /// reaches it through its own turns.
    pub(crate) lagging: u32,
    pub(crate) state: State,
    /// Whether a turn is queued for it.
    pub(crate) ready: bool,
    /// A message was answered `Paused`: its silence is our own doing.
    pub(crate) paused: bool,
    pub(crate) ping: Ping,
}

const _: () = assert!(size_of::<Conn>() <= 64);

/// How far the ping that waits for an answer has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ping {
    None,
    /// In the outbox.
    Queued,
    /// Still in the outbox, where life overtook it: it is charged to nobody and will not be handed
    /// out, but the next silence uses it again.
    Void,
    /// Handed out: flushed when the total reaches `ping_mark`.
    Handed,
    /// On its way to the peer since `ping_at`.
    Flushed,
    /// Unanswered for half of the time that it has: the connection is suspect.
    Late,
}

/// The rest of a connection.
#[derive(Clone, Hash)]
pub(crate) struct Cold {
    /// When the running phase began: reserved, upgraded, admitted, or `Close` polled. What is
    /// measured from it is an age, or a limit that no pause moves.
    pub(crate) phase: Timestamp,
    /// When the wait for the peer began, in attended time: for its request head, for its
    /// credentials, or for the end of its socket after the `Close`. No wait in between.
    pub(crate) waits_since: Timestamp,
    /// The last data message, in attended time.
    pub(crate) last_data: Timestamp,
    /// When its principal expires; `Timestamp::MAX` for never.
    pub(crate) expires_at: Timestamp,
    /// When the message in progress began, in attended time; `Timestamp::MAX` if there is none.
    pub(crate) message_began: Timestamp,
    /// The token bucket of its frames, and that of its bytes.
    pub(crate) frames: TokenBucket,
    pub(crate) bytes: TokenBucket,
    /// When the running ping was flushed, in attended time: what the round trip is measured from.
    pub(crate) asked_at: Timestamp,
    /// Handed: the total at which the ping is flushed. Flushed: the total from which the next
    /// window of progress counts.
    pub(crate) ping_mark: u64,
    /// When the pong deadline started, in attended time.
    pub(crate) ping_at: Timestamp,
    /// One per stream that it follows; the session's is the first.
    pub(crate) memberships: SmallVec<[Membership; 2]>,
    /// Its streams in which it has not passed yet where the head was when it joined late: few, and
    /// empty for most.
    pub(crate) late_joins: Vec<LateJoin>,
    pub(crate) label: Option<Box<str>>,
    /// Pending: its place in the queue of its source; `None` if it has no source.
    pub(crate) waiter: Option<Waiter>,
    /// The membership that its next turn begins with, so that no room of many starves another.
    pub(crate) next_membership: u32,
    /// The drain that it was told of: that drain's plan holds for it.
    pub(crate) told_of_drain: u32,
    /// Eighths of tokens that were refused since the bucket of frames was full.
    pub(crate) excess: u32,
    /// The bytes of its request head that have come.
    pub(crate) head_bytes: u64,
    /// Bytes that came in beyond their rate since their bucket was full.
    pub(crate) excess_bytes: u64,
    /// The smoothed round trip of pings, 0 before the first.
    pub(crate) round_trip_micros: u32,
    /// Why it closes or has gone.
    pub(crate) reason: CloseReason,
    /// Pending: upgraded, so that frames can be written. Open: still so.
    pub(crate) upgraded: bool,
    /// Was admitted at some time, and is counted as such.
    pub(crate) admitted: bool,
    /// The first ping, whose interval is jittered, was sent.
    pub(crate) pinged_once: bool,
    /// A ping was handed out, and no pong has come since: the next one is free.
    pub(crate) pong_owed: bool,
    /// The message in progress has frames that have come whole: a control frame between them does not
    /// end it.
    pub(crate) fragmented: bool,
    /// Its running ping has the emergency deadline.
    pub(crate) emergency: bool,
    /// Closing: the `Close` was polled, and the handshake's deadline runs.
    pub(crate) close_polled: bool,
}

/// That a connection follows a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Membership {
    pub(crate) stream: u32,
    /// The index among the stream's members.
    pub(crate) index: u32,
    /// The last offset that its client said it has dealt with.
    pub(crate) acknowledged: u64,
}

/// How one connection reads the part of a stream that is older than its join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct LateJoin {
    pub(crate) stream: u32,
    pub(crate) late: Late,
}

/// All connections. The hot and the cold part of one have the same key: both slabs see the same
/// inserts and removals.
#[derive(Clone)]
pub(crate) struct Conns {
    hot: Slab<Conn>,
    cold: Slab<Cold>,
}

impl Conns {
    pub(crate) const fn new() -> Self {
        Self { hot: Slab::new(), cold: Slab::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.hot.len()
    }

    pub(crate) fn insert(
        &mut self,
        serial: NonZeroU32,
        now: Timestamp,
        attended: Timestamp,
    ) -> ConnId {
        let slot = self.hot.insert(Conn {
            last_seen: attended,
            window: Window::new(attended),
            serial,
            session: NO_SESSION,
            lagging: 0,
            state: State::Pending,
            ready: false,
            paused: false,
            ping: Ping::None,
        });
        let cold = self.cold.insert(Cold {
            phase: now,
            waits_since: attended,
            last_data: attended,
            expires_at: Timestamp::MAX,
            message_began: Timestamp::MAX,
            frames: TokenBucket::default(),
            bytes: TokenBucket::default(),
            asked_at: attended,
            ping_mark: 0,
            ping_at: attended,
            memberships: SmallVec::new(),
            late_joins: Vec::new(),
            label: None,
            waiter: None,
            next_membership: 0,
            told_of_drain: 0,
            excess: 0,
            head_bytes: 0,
            excess_bytes: 0,
            round_trip_micros: 0,
            reason: CloseReason::PeerGone,
            upgraded: false,
            admitted: false,
            pinged_once: false,
            pong_owed: false,
            fragmented: false,
            emergency: false,
            close_polled: false,
        });
        debug_assert_eq!(slot, cold);
        ConnId::new(slot as u32, serial)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> (Conn, Cold) {
        (table::remove(&mut self.hot, slot), table::remove(&mut self.cold, slot))
    }

    /// The slot of a handle whose cleanup was not polled.
    pub(crate) fn resolve(&self, id: ConnId) -> Option<u32> {
        let conn = self.hot.get(id.index())?;
        (conn.serial == id.serial()).then_some(id.index() as u32)
    }

    pub(crate) fn id(&self, slot: u32) -> ConnId {
        ConnId::new(slot, self.hot[slot as usize].serial)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Conn> {
        self.hot.get(slot as usize)
    }

    pub(crate) fn hot(&self, slot: u32) -> &Conn {
        &self.hot[slot as usize]
    }

    pub(crate) fn hot_mut(&mut self, slot: u32) -> &mut Conn {
        &mut self.hot[slot as usize]
    }

    pub(crate) fn cold(&self, slot: u32) -> &Cold {
        &self.cold[slot as usize]
    }

    pub(crate) fn cold_mut(&mut self, slot: u32) -> &mut Cold {
        &mut self.cold[slot as usize]
    }

    pub(crate) fn both_mut(&mut self, slot: u32) -> (&mut Conn, &mut Cold) {
        (&mut self.hot[slot as usize], &mut self.cold[slot as usize])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Conn, &Cold)> {
        self.hot
            .iter()
            .zip(self.cold.iter())
            .map(|((slot, hot), (_, cold))| (slot as u32, hot, cold))
    }

    /// One past the highest slot in use or vacant: the end of a walk over the table.
    pub(crate) fn end(&self) -> u32 {
        self.hot.iter().next_back().map_or(0, |(slot, _)| slot as u32 + 1)
    }
}

impl Hash for Conns {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { hot, cold } = self;
        table::hash_slab(hot, state);
        // In the same slots.
        cold.iter().for_each(|(_, cold)| cold.hash(state));
    }
}
