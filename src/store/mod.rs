//! Records, names, queues and deadlines: what knows neither a WebSocket nor the registry.
//!
//! A record lies in a [`Table`] and is named by a key of that table's own type: a connection's key
//! can't be taken for a session's. A key is the number of a slot, so it is good for as long as the
//! record stays. What outlives a record, such as a handle that a shell keeps, names a serial beside
//! the slot, and the table's owner compares it: the next record in the slot has another one.
//!
//! ```text
//!   name ──Names──▶ key ──Table──▶ record ◀──Ring, by links in the record
//!                    │
//!                    └──Timers──▶ when to look at it next
//! ```

use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;

mod dense;
mod fifo;
mod jitter;
mod names;
mod rare;
mod ring;
mod sparse;
mod steps;
mod table;
mod timers;
mod token_bucket;

pub(crate) use self::dense::Dense;
pub(crate) use self::fifo::{Fifo, places as fifo_places};
pub(crate) use self::jitter::{mix, scale};
pub(crate) use self::names::{Names, bytes as names_bytes};
pub(crate) use self::rare::{Rare, Seldom};
pub(crate) use self::ring::{Linked, Links, Ring, linked};
pub(crate) use self::sparse::{KEPT, SPARSE, shrunk};
pub(crate) use self::steps::Steps;
pub(crate) use self::table::{Table, bytes as table_bytes};
pub(crate) use self::timers::{Budget, Timers, bytes as timers_bytes};
pub(crate) use self::token_bucket::{Rate, TokenBucket};

/// How many slots a table may have: the number of one fits 30 bits, and leaves two for [`Packed`].
pub(crate) const MAX_SLOTS: usize = 1 << 30;

/// What names a record in its table.
pub(crate) trait SlotKey: Copy + Eq {
    /// The key of a slot.
    fn of_slot(slot: usize) -> Self;
    /// The slot that it is the key of.
    fn slot(self) -> usize;

    /// The key of a slot that is named from outside; `None`: no table has so many.
    fn try_of_slot(slot: usize) -> Option<Self> {
        (slot < MAX_SLOTS).then(|| Self::of_slot(slot))
    }
}

/// A key of one of up to four tables in one number: the table in the two highest bits, the slot in
/// the others. The order of the numbers is that of the tables, and within one that of the slots.
///
/// In the table with the highest number the two last slots must not be used: their numbers say that
/// there is no key.
pub(crate) trait Packed: Copy + Eq {
    fn pack(self) -> u32;
    /// The key that was packed.
    fn unpack(bits: u32) -> Self;
}

/// A key of a table that is alone.
impl<K: SlotKey> Packed for K {
    fn pack(self) -> u32 {
        self.slot() as u32
    }

    fn unpack(bits: u32) -> Self {
        Self::of_slot(bits as usize)
    }
}

/// Hashes what has no order of its own, such as the entries of a hash table.
pub(crate) fn hash_unordered<T: Hash>(entries: impl Iterator<Item = T>, state: &mut impl Hasher) {
    let hasher = FixedState::default();
    entries.map(|entry| hasher.hash_one(entry)).fold(0_u64, u64::wrapping_add).hash(state);
}

/// Makes the type of a table's keys. It is as small as the number of a slot, and so is an `Option`
/// of it.
macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(core::num::NonZeroU32);

        impl $crate::store::SlotKey for $name {
            fn of_slot(slot: usize) -> Self {
                debug_assert!(slot < $crate::store::MAX_SLOTS, "{slot} is no slot");
                Self(core::num::NonZeroU32::MIN.saturating_add(slot as u32))
            }

            fn slot(self) -> usize {
                self.0.get() as usize - 1
            }
        }

        impl $crate::snapshot::Encoded for $name {
            fn encode(&self, to: &mut $crate::snapshot::Encoder<'_>) {
                $crate::snapshot::Encoded::encode(&$crate::store::SlotKey::slot(*self), to);
            }

            fn decode(
                from: &mut $crate::snapshot::Decoder<'_>,
            ) -> Result<Self, $crate::snapshot::Malformed> {
                let slot = $crate::snapshot::Encoded::decode(from)?;
                $crate::store::SlotKey::try_of_slot(slot).ok_or($crate::snapshot::Malformed)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}", $crate::store::SlotKey::slot(*self))
            }
        }

        const _: () = assert!(size_of::<Option<$name>>() == 4);
    };
}

pub(crate) use key;

#[cfg(test)]
mod tests {
    use super::*;

    key! {
        TestKey
    }

    #[test]
    fn a_slot_that_no_table_can_have_has_no_key() {
        let last = MAX_SLOTS - 1;
        assert_eq!(TestKey::try_of_slot(last).map(SlotKey::slot), Some(last));
        assert!(TestKey::try_of_slot(MAX_SLOTS).is_none());
    }

    #[test]
    fn what_has_no_order_is_hashed_in_none() {
        let hash = |entries: &[u8]| {
            let mut hasher = FixedState::default().build_hasher();
            hash_unordered(entries.iter(), &mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&[1, 2, 3]), hash(&[3, 1, 2]));
        let others: [&[u8]; 6] = [&[], &[1], &[1, 2], &[1, 3, 3], &[1, 1, 2, 3], &[1, 2, 4]];
        assert!(others.iter().all(|other| hash(other) != hash(&[1, 2, 3])));
        assert_ne!(hash(&[1, 1]), hash(&[2, 2]), "equal ones do not take each other away");
    }
}
