//! Sockets that wait to be admitted, by where they come from: how many of each source, and which of
//! them has been silent longest.

use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};
use core::net::IpAddr;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use crate::conn::{ConnKey, Conns};
use crate::store::{Linked, Links, Ring, hash_unordered};

/// Where a socket comes from, for [`Registry::reserve`](crate::Registry::reserve): sockets of one
/// source share `limits.pending_per_source` places.
///
/// It is made of an address, and is only ever compared: there is no way back to the address, and
/// `Debug` does not print it. An IPv4 address counts as a whole. So does an IPv4-mapped IPv6
/// address, as that IPv4 address. Any other IPv6 address counts by its /64, for a client that has
/// one address of a /64 has all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(Origin);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    V4(u32),
    V6(u64),
    /// In a replay: what a journal says instead of an address.
    #[cfg(feature = "journal")]
    Pseudonym(u64),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Origin::V4(address.to_bits()),
            IpAddr::V6(address) => Origin::V6((address.to_bits() >> 64) as u64),
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

#[cfg(feature = "journal")]
impl Source {
    pub(crate) const fn from_pseudonym(pseudonym: u64) -> Self {
        Self(Origin::Pseudonym(pseudonym))
    }

    /// What a journal said; `None` for a source that is made of an address.
    pub(crate) const fn pseudonym(self) -> Option<u64> {
        match self.0 {
            Origin::Pseudonym(pseudonym) => Some(pseudonym),
            Origin::V4(_) | Origin::V6(_) => None,
        }
    }

    /// What a journal hashes in the place of the address.
    pub(crate) fn to_bytes(self) -> [u8; 9] {
        let (kind, bits) = match self.0 {
            Origin::V4(bits) => (4, bits.into()),
            Origin::V6(bits) => (6, bits),
            Origin::Pseudonym(bits) => (0, bits),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&u64::to_le_bytes(bits));
        bytes
    }
}

/// In the record of a connection that waits: its source, and its place in the queue of it.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Waiter {
    source: Source,
    links: Links,
}

impl Waiter {
    pub(crate) const fn new(source: Source) -> Self {
        Self { source, links: Links::OUT }
    }
}

/// Sockets of one source that wait.
enum OfSource {}

impl Linked for OfSource {
    type Key = ConnKey;
    type Records = Conns;

    fn links(conns: &Conns, key: ConnKey) -> Links {
        conns.cold(key).waiter.map_or(Links::OUT, |waiter| waiter.links)
    }

    fn links_mut(conns: &mut Conns, key: ConnKey) -> &mut Links {
        let waiter = conns.cold_mut(key).waiter.as_mut();
        &mut waiter.expect("a socket in a queue is one that waits").links
    }
}

/// The sockets of one source that wait, in the order of their last sign of life.
#[derive(Clone, Hash)]
pub(crate) struct Queue {
    source: Source,
    sockets: Ring<OfSource>,
}

/// The sources of all sockets that wait. A socket without a source is in no queue.
#[derive(Clone)]
pub(crate) struct Waiting {
    /// One queue for each source of which a socket waits. Sources are chosen by peers, hence a hash
    /// that is seeded.
    queues: HashTable<Queue>,
    hasher: FixedState,
}

/// The queues, in any order.
impl Hash for Waiting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { queues, hasher: _ } = self;
        hash_unordered(queues.iter(), state);
    }
}

impl Waiting {
    pub(crate) fn new(seed: u64) -> Self {
        Self { queues: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    fn queue(&self, source: Source) -> Option<&Queue> {
        self.queues.find(self.hasher.hash_one(source), |queue| queue.source == source)
    }

    /// How many sockets of this source wait.
    pub(crate) fn count(&self, source: Source) -> u32 {
        self.queue(source).map_or(0, |queue| queue.sockets.len() as u32)
    }

    /// The socket of this source that has been silent longest.
    pub(crate) fn oldest(&self, source: Source) -> Option<ConnKey> {
        self.queue(source).and_then(|queue| queue.sockets.front())
    }

    /// A socket begins to wait, or gives a sign of life and goes to the end of its queue.
    pub(crate) fn push(&mut self, conns: &mut Conns, conn: ConnKey) {
        let Some(Waiter { source, .. }) = conns.cold(conn).waiter else { return };
        let hash = self.hasher.hash_one(source);
        let same = |queue: &Queue| queue.source == source;
        let queue = self.queues.entry(hash, same, |queue| self.hasher.hash_one(queue.source));
        let mut queue = queue.or_insert_with(|| Queue { source, sockets: Ring::new() });
        queue.get_mut().sockets.push(conns, conn);
    }

    /// A socket waits no more. It must be in its queue.
    pub(crate) fn remove(&mut self, conns: &mut Conns, conn: ConnKey) {
        let Some(Waiter { source, .. }) = conns.cold(conn).waiter else { return };
        let hash = self.hasher.hash_one(source);
        let Ok(mut queue) = self.queues.find_entry(hash, |queue| queue.source == source) else {
            debug_assert!(false, "a socket that waits is in the queue of its source");
            return;
        };
        let was_in = queue.get_mut().sockets.remove(conns, conn);
        debug_assert!(was_in, "a socket that waits is in the queue of its source");
        if queue.get().sockets.front().is_none() {
            queue.remove();
        }
    }

    /// How many sources there are, and how many sockets of them: for `check`, which walks each queue
    /// from its oldest socket on. `None`: a queue is not what it says.
    pub(crate) fn recount(&self, conns: &Conns) -> Option<(usize, u32)> {
        let mut sockets = 0;
        for Queue { source, sockets: queue } in &self.queues {
            let is_of_source = |conn: &ConnKey| {
                conns.get(*conn).is_some()
                    && conns.cold(*conn).waiter.is_some_and(|waiter| waiter.source == *source)
            };
            let counted = queue.iter(conns).take(queue.len() + 1).take_while(is_of_source).count();
            if counted != queue.len() || counted == 0 {
                return None;
            }
            sockets += counted as u32;
        }
        Some((self.queues.len(), sockets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use core::num::NonZeroU32;

    use crate::store::Key;
    use crate::time::Timestamp;

    fn source(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn an_ipv4_address_is_a_source_and_so_is_an_ipv6_network() {
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        // The /64 of the IPv4-compatible addresses is not the address 0.0.0.0.
        assert_ne!(source("::1"), source("0.0.0.0"));
    }

    #[test]
    fn debug_does_not_print_the_address() {
        assert_eq!(format!("{:?}", source("192.0.2.1")), "Source(…)");
    }

    fn key(slot: usize) -> ConnKey {
        ConnKey::of_slot(slot)
    }

    #[test]
    fn the_socket_that_has_been_silent_longest_is_the_first_of_its_queue() {
        let mut conns = Conns::new();
        let mut waiting = Waiting::new(7);
        let (one, other) = (source("192.0.2.1"), source("192.0.2.2"));
        for (serial, source) in [(1, Some(one)), (2, Some(other)), (3, Some(one)), (4, None)] {
            let serial = NonZeroU32::new(serial).unwrap();
            let conn = conns.insert(serial, Timestamp::ZERO, Timestamp::ZERO);
            conns.cold_mut(conn).waiter = source.map(Waiter::new);
            waiting.push(&mut conns, conn);
        }
        assert_eq!((waiting.count(one), waiting.oldest(one)), (2, Some(key(0))));
        assert_eq!((waiting.count(other), waiting.oldest(other)), (1, Some(key(1))));
        assert_eq!(waiting.recount(&conns), Some((2, 3)));
        // The first one speaks.
        waiting.remove(&mut conns, key(0));
        waiting.push(&mut conns, key(0));
        assert_eq!((waiting.count(one), waiting.oldest(one)), (2, Some(key(2))));
        waiting.remove(&mut conns, key(2));
        waiting.remove(&mut conns, key(1));
        assert_eq!((waiting.count(other), waiting.oldest(other)), (0, None));
        assert_eq!((waiting.oldest(one), waiting.recount(&conns)), (Some(key(0)), Some((1, 1))));
        waiting.remove(&mut conns, key(0));
        assert_eq!(waiting.recount(&conns), Some((0, 0)));
    }
}
