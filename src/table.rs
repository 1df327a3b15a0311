//! Tables of records by slot, and of slots by name: how a record leaves, and what a fingerprint sees.

use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use slab::Slab;

/// Removes a record. A table that becomes empty forgets in which order its slots became free, so that
/// it goes on like a new one: from the first slot on.
pub(crate) fn remove<T>(slab: &mut Slab<T>, slot: u32) -> T {
    let record = slab.remove(slot as usize);
    if slab.is_empty() {
        slab.clear();
    }
    record
}

/// Everything about a table that shows: the records, and which slots the next ones will have.
pub(crate) fn hash_slab<T: Clone + Hash>(slab: &Slab<T>, state: &mut impl Hasher) {
    state.write_usize(slab.len());
    let mut any = None;
    for (slot, record) in slab {
        state.write_usize(slot);
        record.hash(state);
        any = Some(record);
    }
    // Empty, it is like a new one.
    let Some(any) = any else { return };
    // A slab does not show the list of its free slots, so a copy is filled up. All that were ever in
    // use are below its capacity.
    let mut copy = slab.clone();
    for filled in 0.. {
        let (slot, end) = (copy.vacant_key(), copy.len());
        if end >= copy.capacity() {
            break;
        }
        copy.insert(any.clone());
        // The next slot at the end is what everybody expects: how far that goes on is left out.
        if slot != end {
            state.write_usize(filled);
            state.write_usize(slot);
        }
    }
}

/// An index, whatever the order of its places.
pub(crate) fn hash_table<T: Hash>(table: &HashTable<T>, state: &mut impl Hasher) {
    let hasher = FixedState::default();
    let sum = table.iter().fold(0_u64, |sum, place| sum.wrapping_add(hasher.hash_one(place)));
    state.write_usize(table.len());
    state.write_u64(sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(slab: &Slab<char>) -> u64 {
        let mut state = FixedState::default().build_hasher();
        hash_slab(slab, &mut state);
        state.finish()
    }

    fn filled(slots: u32, freed: &[u32]) -> Slab<char> {
        let mut slab = Slab::new();
        for slot in 0..slots {
            assert_eq!(slab.insert('a'), slot as usize);
        }
        for slot in freed {
            assert_eq!(remove(&mut slab, *slot), 'a');
        }
        slab
    }

    #[test]
    fn the_hash_is_that_of_the_records_and_of_the_order_of_free_slots() {
        let orders = [[1, 2, 3], [3, 2, 1], [2, 1, 3], [1, 3, 2]].map(|freed| filled(4, &freed));
        for (place, one) in orders.iter().enumerate() {
            let same = orders.iter().position(|other| hash(other) == hash(one));
            assert_eq!(same, Some(place));
        }
        // Slots that are taken in order are as good as none.
        assert_eq!(hash(&filled(4, &[3, 2, 1])), hash(&filled(1, &[])));
        let mut roomy = Slab::with_capacity(100);
        roomy.insert('a');
        assert_eq!(hash(&roomy), hash(&filled(1, &[])));
        assert_ne!(hash(&filled(2, &[0])), hash(&filled(2, &[1])));
    }

    #[test]
    fn an_empty_table_goes_on_like_a_new_one() {
        let mut slab = filled(3, &[0, 1, 2]);
        assert_eq!(hash(&slab), hash(&Slab::new()));
        assert_eq!(slab.insert('a'), 0);
    }
}
