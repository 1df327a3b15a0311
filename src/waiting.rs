//! Sockets that wait to be admitted, by where they come from: how many of each source, and which of
//! them has been silent longest.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;

use crate::conn::{ConnKey, Conns, OfState};
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::store::{Names, Ring, Table, key};

/// Where a socket comes from, for [`Registry::reserve`](crate::Registry::reserve): sockets of one
/// source share `limits.pending_per_source` places.
///
/// It is made of an address, which the registry only compares, and `Debug` does not print. An IPv4
/// address counts as a whole. So does an IPv4-mapped IPv6 address, as that IPv4 address. Any other IPv6
/// address counts by its /64, for a client that has one address of a /64 has all of them.
/// [`Registry::reserve`](crate::Registry::reserve) has an example.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(Address);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Address {
    V4(u32),
    V6(u64),
    /// No address, but a number that stands for one.
    Opaque(u64),
}

encoded! { enum Address { 0 = V4(bits), 1 = V6(bits), 2 = Opaque(number) } }

impl Encoded for Source {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.redaction().map_or(*self, |redaction| redaction.source(*self)).0.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Encoded::decode(from).map(Self)
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Address::V4(address.to_bits()),
            IpAddr::V6(address) => Address::V6((address.to_bits() >> 64) as u64),
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

impl Source {
    /// A source without an address, such as a peer behind a Unix socket, or one that a replay knows by a
    /// pseudonym. Sockets with the same number are of one source, which no address is.
    #[must_use]
    pub const fn opaque(number: u64) -> Self {
        Self(Address::Opaque(number))
    }

    /// The number of an opaque source; `None` for one that is made of an address.
    #[must_use]
    pub const fn opaque_number(self) -> Option<u64> {
        match self.0 {
            Address::Opaque(number) => Some(number),
            Address::V4(_) | Address::V6(_) => None,
        }
    }

    /// Bytes that are the same for the same source and no other, for a keyed hash. They hold the
    /// address.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 9] {
        let (kind, bits) = match self.0 {
            Address::V4(bits) => (4, bits.into()),
            Address::V6(bits) => (6, bits),
            Address::Opaque(bits) => (0, bits),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&u64::to_le_bytes(bits));
        bytes
    }
}

key! {
    /// The key of a source of which a socket waits.
    SourceKey
}

/// The sockets of one source that wait, in the order of their last sign of life.
#[derive(Clone, Hash)]
pub(crate) struct Queue {
    source: Source,
    sockets: Ring<OfState>,
}

encoded! { struct Queue { source, sockets } }

/// The sources of all sockets that wait. A socket without a source is in no queue.
#[derive(Clone)]
pub(crate) struct Waiting {
    /// One queue for each source of which a socket waits.
    queues: Table<SourceKey, Queue>,
    sources: Names<SourceKey>,
}

impl Hash for Waiting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { queues, sources: _ } = self;
        queues.hash(state);
    }
}

impl Waiting {
    pub(crate) fn new(seed: u64) -> Self {
        Self { queues: Table::new(), sources: Names::new(seed) }
    }

    pub(crate) fn encode(&self, conns: &Conns, to: &mut Encoder<'_>) {
        let Self { queues, sources: _ } = self;
        queues.encode(to);
        queues.iter().for_each(|(_, queue)| queue.sockets.encode_keys(conns, to));
    }

    /// Fills it, when it is new.
    pub(crate) fn decode(
        &mut self,
        conns: &mut Conns,
        from: &mut Decoder<'_>,
    ) -> Result<(), Malformed> {
        self.queues = Encoded::decode(from)?;
        self.queues.iter().for_each(|(key, queue)| self.sources.insert(queue.source, key));
        let mut queues = self.queues.iter_mut();
        queues.try_for_each(|(_, queue)| queue.sockets.decode_keys(conns, from))
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.queues.steps() + self.sources.steps()
    }

    fn find(&self, source: Source) -> Option<SourceKey> {
        self.sources.find(source, |key| self.queues[key].source == source)
    }

    fn queue(&self, source: Source) -> Option<&Queue> {
        self.find(source).map(|key| &self.queues[key])
    }

    /// How many sockets of this source wait.
    pub(crate) fn count(&self, source: Source) -> u32 {
        self.queue(source).map_or(0, |queue| queue.sockets.len() as u32)
    }

    /// The socket of this source that has been silent longest.
    pub(crate) fn oldest(&self, source: Source) -> Option<ConnKey> {
        self.queue(source).and_then(|queue| queue.sockets.front())
    }

    /// A socket of this source begins to wait.
    pub(crate) fn push(&mut self, conns: &mut Conns, conn: ConnKey, source: Option<Source>) {
        let Some(source) = source else { return };
        let key = self.find(source).unwrap_or_else(|| {
            self.sources.insert(source, self.queues.vacant_key());
            self.queues.insert(Queue { source, sockets: Ring::new() })
        });
        conns.cold_mut(conn).source = Some(key);
        self.queues[key].sockets.push(conns, conn);
    }

    /// A socket gives a sign of life: it goes to the end of its queue.
    pub(crate) fn go_last(&mut self, conns: &mut Conns, conn: ConnKey) {
        if let Some(key) = conns.cold(conn).source {
            let sockets = &mut self.queues[key].sockets;
            sockets.remove(conns, conn);
            sockets.push(conns, conn);
        }
    }

    /// A socket waits no more. It must be in its queue.
    pub(crate) fn remove(&mut self, conns: &mut Conns, conn: ConnKey) {
        let Some(key) = conns.cold_mut(conn).source.take() else { return };
        let sockets = &mut self.queues[key].sockets;
        let was_in = sockets.remove(conns, conn);
        debug_assert!(was_in, "a socket that waits is in the queue of its source");
        if sockets.front().is_none() {
            let Queue { source, .. } = self.queues.remove(key);
            self.sources.remove(source, key);
        }
    }

    /// How many sources there are, and how many sockets of them: for `check`, which walks each queue
    /// from its oldest socket on. `None`: a queue is not what it says.
    pub(crate) fn recount(&self, conns: &Conns) -> Option<(usize, u32)> {
        let mut sockets = 0;
        for (key, Queue { source, sockets: queue }) in self.queues.iter() {
            let is_of_source = |conn: &ConnKey| {
                conns.get(*conn).is_some() && conns.cold(*conn).source == Some(key)
            };
            let counted = queue.iter(conns).take(queue.len() + 1).take_while(is_of_source).count();
            if counted != queue.len() || counted == 0 || self.find(*source) != Some(key) {
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

    use crate::store::SlotKey;
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
            waiting.push(&mut conns, conn, source);
        }
        assert_eq!((waiting.count(one), waiting.oldest(one)), (2, Some(key(0))));
        assert_eq!((waiting.count(other), waiting.oldest(other)), (1, Some(key(1))));
        assert_eq!(waiting.recount(&conns), Some((2, 3)));
        // The first one speaks.
        waiting.go_last(&mut conns, key(0));
        assert_eq!((waiting.count(one), waiting.oldest(one)), (2, Some(key(2))));
        waiting.remove(&mut conns, key(2));
        waiting.remove(&mut conns, key(1));
        assert_eq!((waiting.count(other), waiting.oldest(other)), (0, None));
        assert_eq!((waiting.oldest(one), waiting.recount(&conns)), (Some(key(0)), Some((1, 1))));
        waiting.remove(&mut conns, key(0));
        assert_eq!(waiting.recount(&conns), Some((0, 0)));
    }
}
