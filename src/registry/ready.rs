//! The ready queue: what has derived actions to give takes turns, first in, first out.

use crate::conn::ConnKey;
use crate::snapshot::{Decoder, Malformed};
use crate::store::{Linked, Links, MAX_SLOTS, Packed, Ring, SlotKey};
use crate::stream::StreamKey;

use super::Registry;

/// What may have a turn in the queue, and has one at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ready {
    /// A connection that catches up.
    Conn(ConnKey),
    /// A stream with entries to hand out, or members to close.
    Stream(StreamKey),
    /// The oldest announcement.
    Announcement,
    /// The user of whom something is to be said for longest.
    Presence,
    /// A drain is being announced.
    Drain,
    /// Everyone is being closed.
    CloseEveryone,
}

impl Ready {
    /// What the registry itself has a turn for.
    pub(super) const OWN: [Self; 4] =
        [Self::Announcement, Self::Drain, Self::CloseEveryone, Self::Presence];
}

impl Packed for Ready {
    fn pack(self) -> u32 {
        let (kind, slot) = match self {
            Self::Conn(conn) => (0, conn.slot()),
            Self::Stream(stream) => (1, stream.slot()),
            Self::Announcement => (2, 0),
            Self::Drain => (2, 1),
            Self::CloseEveryone => (2, 2),
            Self::Presence => (2, 3),
        };
        (kind * MAX_SLOTS + slot) as u32
    }

    fn unpack(bits: u32) -> Self {
        let slot = bits as usize % MAX_SLOTS;
        match bits as usize / MAX_SLOTS {
            0 => Self::Conn(ConnKey::of_slot(slot)),
            1 => Self::Stream(StreamKey::of_slot(slot)),
            _ => Self::OWN[slot],
        }
    }
}

/// What has a turn: its links lie in the record of the connection or of the stream.
pub(super) enum Turns {}

impl Linked for Turns {
    type Key = Ready;
    type Records = Registry;

    fn links(registry: &Registry, ready: Ready) -> Links {
        match ready {
            Ready::Conn(conn) => registry.conns.cold(conn).extras.ready,
            Ready::Stream(stream) => registry.streams[stream].extras.ready,
            own => registry.own_turns[own.pack() as usize % MAX_SLOTS],
        }
    }

    fn links_mut(registry: &mut Registry, ready: Ready) -> &mut Links {
        match ready {
            Ready::Conn(conn) => &mut registry.conns.cold_mut(conn).extras.ready,
            Ready::Stream(stream) => &mut registry.streams[stream].extras.ready,
            own => &mut registry.own_turns[own.pack() as usize % MAX_SLOTS],
        }
    }

    fn known(registry: &Registry, bits: u32) -> Option<Ready> {
        let slot = bits as usize % MAX_SLOTS;
        match bits as usize / MAX_SLOTS {
            0 => registry.conns.known(slot).map(Ready::Conn),
            1 => registry.streams.known(slot).map(Ready::Stream),
            2 => Ready::OWN.get(slot).copied(),
            _ => None,
        }
    }
}

impl Registry {
    /// Queues a turn at the back. Nothing happens if it has one.
    pub(super) fn queue_turn(&mut self, ready: Ready) {
        self.with_ready(|queue, registry| queue.push(registry, ready));
    }

    /// Goes on with a turn that has begun: at the front.
    pub(super) fn go_on(&mut self, ready: Ready) {
        self.with_ready(|queue, registry| queue.push_front(registry, ready));
    }

    /// Takes its turn away. Nothing happens if it has none.
    pub(super) fn cancel_turn(&mut self, ready: Ready) {
        if self.has_turn(ready) {
            self.end_turn(ready);
        }
    }

    /// The next turn, which is over with that.
    pub(super) fn next_turn(&mut self) -> Option<Ready> {
        let next = self.ready.front()?;
        self.end_turn(next);
        Some(next)
    }

    fn end_turn(&mut self, ready: Ready) {
        self.with_ready(|queue, registry| queue.remove(registry, ready));
        match ready {
            Ready::Conn(conn) => self.conns.cold_mut(conn).extras.settle(),
            Ready::Stream(stream) => self.streams[stream].extras.settle(),
            _ => {}
        }
    }

    pub(super) fn has_turn(&self, ready: Ready) -> bool {
        Turns::links(self, ready).is_in()
    }

    /// Fills the queue of a snapshot.
    pub(super) fn decode_turns(&mut self, from: &mut Decoder<'_>) -> Result<(), Malformed> {
        self.with_ready(|queue, registry| queue.decode_keys(registry, from))
    }

    /// The ends of the queue lie in the registry, and so do the records: they are taken out meanwhile.
    fn with_ready<R>(&mut self, change: impl FnOnce(&mut Ring<Turns>, &mut Self) -> R) -> R {
        let mut queue = core::mem::replace(&mut self.ready, Ring::new());
        let result = change(&mut queue, self);
        self.ready = queue;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_packed_is_the_same_when_unpacked() {
        for slot in [0, 1, MAX_SLOTS - 1] {
            let ready = [
                Ready::Conn(ConnKey::of_slot(slot)),
                Ready::Stream(StreamKey::of_slot(slot)),
                Ready::OWN[slot % Ready::OWN.len()],
            ];
            for ready in ready {
                assert_eq!(Ready::unpack(ready.pack()), ready);
            }
        }
    }
}
