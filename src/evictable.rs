//! Which streams can give an entry up when a byte budget is exceeded, in the order of their turns: those
//! of all, and those of the sessions of one tenant.

use core::hash::{Hash, Hasher};

use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};
use crate::store::{Linked, MAX_SLOTS, Packed, Ring, SlotKey};

/// The eviction class of an entry, cheapest to lose first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum EvictionClass {
    /// Every member was handed it.
    Delivered,
    /// A member still waits for it.
    Undelivered,
}

impl EvictionClass {
    pub(crate) const ALL: [Self; 2] = [Self::Delivered, Self::Undelivered];
}

/// The record of a stream in the list of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listing<K> {
    pub(crate) class: EvictionClass,
    pub(crate) key: K,
}

impl<K: SlotKey> Packed for Listing<K> {
    fn pack(self) -> u32 {
        (self.class as usize * MAX_SLOTS + self.key.slot()) as u32
    }

    fn unpack(bits: u32) -> Self {
        let class = EvictionClass::ALL[bits as usize / MAX_SLOTS];
        Self { class, key: K::of_slot(bits as usize % MAX_SLOTS) }
    }
}

/// For each class the streams that hold an entry of it, in the order of their turns.
pub(crate) struct Evictable<L> {
    lists: [Ring<L>; 2],
}

impl<L> Clone for Evictable<L> {
    fn clone(&self) -> Self {
        Self { lists: self.lists.clone() }
    }
}

impl<L> Hash for Evictable<L> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { lists } = self;
        lists.hash(state);
    }
}

impl<L: Linked> Encoded for Evictable<L> {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.lists.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self { lists: Encoded::decode(from)? })
    }
}

impl<L: Linked> Evictable<L> {
    pub(crate) fn encode_keys(&self, records: &L::Records, to: &mut Encoder<'_>) {
        self.lists.iter().for_each(|list| list.encode_keys(records, to));
    }

    /// Fills it, when it is new.
    pub(crate) fn decode_keys(
        &mut self,
        records: &mut L::Records,
        from: &mut Decoder<'_>,
    ) -> Result<(), Malformed> {
        self.lists.iter_mut().try_for_each(|list| list.decode_keys(records, from))
    }
}

impl<K: SlotKey> Listing<K> {
    /// The listing that was packed to these bits, if this has its key.
    pub(crate) fn known(bits: u32, key: impl FnOnce(usize) -> Option<K>) -> Option<Self> {
        let class = *EvictionClass::ALL.get(bits as usize / MAX_SLOTS)?;
        Some(Self { class, key: key(bits as usize % MAX_SLOTS)? })
    }
}

impl<K: SlotKey, L: Linked<Key = Listing<K>>> Evictable<L> {
    pub(crate) const fn new() -> Self {
        Self { lists: [Ring::new(), Ring::new()] }
    }

    pub(crate) const fn len(&self, class: EvictionClass) -> usize {
        self.lists[class as usize].len()
    }

    pub(crate) fn iter<'a>(
        &self,
        class: EvictionClass,
        records: &'a L::Records,
    ) -> impl Iterator<Item = K> + use<'a, K, L> {
        self.lists[class as usize].iter(records).map(|listing| listing.key)
    }

    /// Lists a stream at the back of each class of which it has come to hold an entry, and takes it off
    /// the list of each of which it holds none any more.
    pub(crate) fn relist(&mut self, records: &mut L::Records, key: K, holds: [bool; 2]) {
        for class in EvictionClass::ALL {
            let (list, listing) = (&mut self.lists[class as usize], Listing { class, key });
            if holds[class as usize] {
                list.push(records, listing);
            } else {
                list.remove(records, listing);
            }
        }
    }

    /// The first stream of a class, which goes to the back.
    pub(crate) fn next(&mut self, records: &mut L::Records, class: EvictionClass) -> Option<K> {
        let list = &mut self.lists[class as usize];
        let first = list.front()?;
        list.remove(records, first);
        list.push(records, first);
        Some(first.key)
    }
}
