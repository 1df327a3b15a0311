//! Queues, first in, first out, with a way out from the middle: doubly linked lists whose links lie in
//! the records.
//!
//! To enter, to leave and to look at the front cost O(1), and a queue owns no memory. A record may be in
//! several queues at once, by links of its own for each. Which links those are is said by a type
//! without values ([`Linked`]), so that two queues through the same records can't be mixed up.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

use super::Packed;

/// In place of a neighbour: the queue ends here.
const END: u32 = u32::MAX;
/// In place of the neighbour before: the record is not in the queue.
const OUT: u32 = u32::MAX - 1;

/// A record's neighbours in its queue: keys that are packed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Links {
    before: u32,
    after: u32,
}

impl Links {
    /// Those of a record that is in no queue.
    pub(crate) const OUT: Self = Self { before: OUT, after: END };

    pub(crate) const fn is_in(self) -> bool {
        self.before != OUT
    }
}

/// Names links: whose, and which of several.
pub(crate) trait Linked {
    type Key: Packed;
    /// Where the records are.
    type Records;

    fn links(records: &Self::Records, key: Self::Key) -> Links;
    fn links_mut(records: &mut Self::Records, key: Self::Key) -> &mut Links;
    /// The key that was packed to these bits, which come from outside; `None`: there is no such record.
    fn known(records: &Self::Records, bits: u32) -> Option<Self::Key>;
}

/// The ends of a queue. It must be used with the same records always.
pub(crate) struct Ring<L> {
    front: u32,
    back: u32,
    len: u32,
    links: PhantomData<L>,
}

impl<L: Linked> Ring<L> {
    pub(crate) const fn new() -> Self {
        Self { front: END, back: END, len: 0, links: PhantomData }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The record that entered first of those that are in it.
    pub(crate) fn front(&self) -> Option<L::Key> {
        unpack(self.front)
    }

    /// The one that entered last of these.
    pub(crate) fn back(&self) -> Option<L::Key> {
        unpack(self.back)
    }

    /// Enters at the back. `false`, and nothing happens: it is in the queue.
    pub(crate) fn push(&mut self, records: &mut L::Records, key: L::Key) -> bool {
        let links = L::links_mut(records, key);
        if links.is_in() {
            return false;
        }
        *links = Links { before: self.back, after: END };
        match unpack(self.back) {
            None => self.front = key.pack(),
            Some(back) => L::links_mut(records, back).after = key.pack(),
        }
        self.back = key.pack();
        self.len += 1;
        true
    }

    /// Enters at the front. `false`, and nothing happens: it is in the queue.
    pub(crate) fn push_front(&mut self, records: &mut L::Records, key: L::Key) -> bool {
        let links = L::links_mut(records, key);
        if links.is_in() {
            return false;
        }
        *links = Links { before: END, after: self.front };
        match unpack(self.front) {
            None => self.back = key.pack(),
            Some(front) => L::links_mut(records, front).before = key.pack(),
        }
        self.front = key.pack();
        self.len += 1;
        true
    }

    /// Leaves from where it is. `false`, and nothing happens: it is not in the queue.
    pub(crate) fn remove(&mut self, records: &mut L::Records, key: L::Key) -> bool {
        // A record that is not in the queue is not changed: the part that holds its links may be absent.
        if !L::links(records, key).is_in() {
            return false;
        }
        let Links { before, after } = core::mem::replace(L::links_mut(records, key), Links::OUT);
        match unpack(before) {
            None => self.front = after,
            Some(before) => {
                let link = &mut L::links_mut(records, before).after;
                debug_assert_eq!(*link, key.pack(), "neighbours know each other");
                *link = after;
            }
        }
        match unpack(after) {
            None => self.back = before,
            Some(after) => {
                let link = &mut L::links_mut(records, after).before;
                debug_assert_eq!(*link, key.pack(), "neighbours know each other");
                *link = before;
            }
        }
        self.len -= 1;
        true
    }

    /// From the front to the back.
    pub(crate) fn iter<'a>(
        &self,
        records: &'a L::Records,
    ) -> impl Iterator<Item = L::Key> + use<'a, L> {
        core::iter::successors(self.front(), move |key| Self::after(records, *key))
    }

    /// The record that entered next after this one, of those that are in the queue: for a walk that
    /// changes the records.
    pub(crate) fn after(records: &L::Records, key: L::Key) -> Option<L::Key> {
        unpack(L::links(records, key).after)
    }
}

/// In a snapshot no record says where it stands in a queue. The queue has the [keys](Ring::encode_keys) of
/// its records: no bytes can make links that lead nowhere, or in a circle.
impl Encoded for Links {
    fn encode(&self, _: &mut Encoder<'_>) {}

    fn decode(_: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self::OUT)
    }
}

/// Empty: its keys follow when all records are there.
impl<L: Linked> Encoded for Ring<L> {
    fn encode(&self, _: &mut Encoder<'_>) {}

    fn decode(_: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self::new())
    }
}

impl<L: Linked> Ring<L> {
    /// The keys from the front to the back.
    pub(crate) fn encode_keys(&self, records: &L::Records, to: &mut Encoder<'_>) {
        self.len.encode(to);
        self.iter(records).for_each(|key| key.pack().encode(to));
    }

    /// Fills it, when it is new. Each key must be that of a record that is in no queue of this kind yet.
    pub(crate) fn decode_keys(
        &mut self,
        records: &mut L::Records,
        from: &mut Decoder<'_>,
    ) -> Result<(), Malformed> {
        for _ in 0..from.count()? {
            let key = L::known(records, u32::decode(from)?).ok_or(Malformed)?;
            if !self.push(records, key) {
                return Err(Malformed);
            }
        }
        Ok(())
    }
}

fn unpack<K: Packed>(bits: u32) -> Option<K> {
    (bits != END).then(|| K::unpack(bits))
}

impl<L> Clone for Ring<L> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

/// They have the same ends. The rest lies in the records.
impl<L> PartialEq for Ring<L> {
    fn eq(&self, other: &Self) -> bool {
        (self.front, self.back, self.len) == (other.front, other.back, other.len)
    }
}

/// Its ends. The rest lies in the records.
impl<L> Hash for Ring<L> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { front, back, len, links: _ } = self;
        (front, back, len).hash(state);
    }
}

impl<L> fmt::Debug for Ring<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} records)", self.len)
    }
}

/// Names links that lie in a field of the records of one table.
macro_rules! linked {
    ($(#[$doc:meta])* $name:ident: $key:ty => $record:ty, $($field:ident).+) => {
        $(#[$doc])*
        pub(crate) enum $name {}

        impl $crate::store::Linked for $name {
            type Key = $key;
            type Records = $crate::store::Table<$key, $record>;

            fn links(records: &Self::Records, key: $key) -> $crate::store::Links {
                records[key].$($field).+
            }

            fn links_mut(records: &mut Self::Records, key: $key) -> &mut $crate::store::Links {
                &mut records[key].$($field).+
            }

            fn known(records: &Self::Records, bits: u32) -> Option<$key> {
                records.known(bits as usize)
            }
        }
    };
}

pub(crate) use linked;

#[cfg(test)]
mod harness;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{SlotKey, Table, key};

    key! {
        TestKey
    }

    /// A record in two queues.
    pub(crate) struct Record {
        odd: Links,
        even: Links,
    }

    linked! {
        Odd: TestKey => Record, odd
    }

    linked! {
        Even: TestKey => Record, even
    }

    pub(super) type Records = Table<TestKey, Record>;

    #[test]
    fn queues_are_equal_that_have_the_same_ends() {
        let mut records = records(2);
        let [first, second] = [0, 1].map(TestKey::of_slot);
        let (empty, mut queue) = (Ring::<Odd>::new(), Ring::<Odd>::new());
        queue.push(&mut records, first);
        assert!(empty == Ring::new() && queue != empty && queue == queue.clone());
        let one = queue.clone();
        queue.push(&mut records, second);
        assert!(queue != one);
    }

    pub(super) fn records(count: usize) -> Records {
        let mut records = Table::new();
        for _ in 0..count {
            records.insert(Record { odd: Links::OUT, even: Links::OUT });
        }
        records
    }

    #[test]
    fn its_ends_are_a_part_of_the_state() {
        use core::hash::BuildHasher;
        let mut records = records(3);
        let hash = |ring: &Ring<Odd>| foldhash::quality::FixedState::default().hash_one(ring);
        let mut ring = Ring::<Odd>::new();
        let mut hashes = alloc::vec![hash(&ring)];
        for slot in 0..3 {
            ring.push(&mut records, TestKey::of_slot(slot));
            hashes.push(hash(&ring));
        }
        ring.remove(&mut records, TestKey::of_slot(0));
        hashes.push(hash(&ring));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 5);
        assert_eq!(alloc::format!("{ring:?}"), "Ring(2 records)");
    }

    /// Keys of two tables in one queue.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Either {
        One(TestKey),
        Other(TestKey),
    }

    impl Packed for Either {
        fn pack(self) -> u32 {
            match self {
                Self::One(key) => key.pack(),
                Self::Other(key) => 1 << 30 | key.pack(),
            }
        }

        fn unpack(bits: u32) -> Self {
            let key = TestKey::unpack(bits & ((1 << 30) - 1));
            if bits >> 30 == 0 { Self::One(key) } else { Self::Other(key) }
        }
    }

    enum Mixed {}

    impl Linked for Mixed {
        type Key = Either;
        type Records = [Records; 2];

        fn links([one, other]: &[Records; 2], key: Either) -> Links {
            match key {
                Either::One(key) => one[key].odd,
                Either::Other(key) => other[key].even,
            }
        }

        fn links_mut([one, other]: &mut [Records; 2], key: Either) -> &mut Links {
            match key {
                Either::One(key) => &mut one[key].odd,
                Either::Other(key) => &mut other[key].even,
            }
        }

        fn known([one, other]: &[Records; 2], bits: u32) -> Option<Either> {
            let slot = bits as usize & ((1 << 30) - 1);
            match bits >> 30 {
                0 => one.known(slot).map(Either::One),
                1 => other.known(slot).map(Either::Other),
                _ => None,
            }
        }
    }

    #[test]
    fn a_queue_may_run_through_the_records_of_several_tables() {
        let mut tables = [records(3), records(3)];
        let mut ring = Ring::<Mixed>::new();
        let key = TestKey::of_slot;
        let order = [Either::Other(key(1)), Either::One(key(1)), Either::Other(key(0))];
        for holder in order {
            assert!(ring.push(&mut tables, holder));
        }
        assert!(ring.iter(&tables).eq(order));
        assert!(ring.remove(&mut tables, Either::One(key(1))));
        assert!(!ring.remove(&mut tables, Either::One(key(0))), "it was never in it");
        assert!(ring.iter(&tables).eq([order[0], order[2]]));
    }
}
