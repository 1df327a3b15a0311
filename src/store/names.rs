//! From names to keys: a hash table that grows, and shrinks, in steps.
//!
//! One large table would stall the call that makes it grow: a million places that are filled anew take
//! tens of milliseconds. So the places lie in parts of several hundred, and a part is split in two, or
//! two are joined, when the names have become too many or too few for the number of parts: one step an
//! insertion (linear hashing; Litwin, 1980). With `n` parts, the part of a name is the number that the
//! lowest bits of its hash make: as many bits as it takes to number the parts, or one bit less if there
//! is no such part yet.
//!
//! A place holds the hash beside the key, so that no step looks at a name, and the names may lie in the
//! records that the keys are of.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;
use hashbrown::HashTable;

use super::{Packed, Steps, shrunk};

/// A part is split when the mean of all has more names. A table with 1,024 buckets holds 896 of them,
/// one with 512 holds 448: both are well filled when parts have 768 and halves 384.
const FULL: usize = 768;
/// Two parts are joined when the mean has fewer: after a split it takes as many removals as names
/// until then.
const SPARSE: usize = FULL / 2;
/// A part whose table has no more places than this does not give any back.
const KEPT: usize = 28;

#[derive(Clone, Copy)]
struct Place<K> {
    hash: u32,
    key: K,
}

impl<K> Place<K> {
    /// The hash in the form that a table of one part wants it in. The lowest bits are those of the
    /// part, and all names of a part have them in common: so others are multiplied into their place.
    fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20)
}

/// An index of keys by name. It follows from the records, so a fingerprint leaves it out.
///
/// The names come from outside, hence a hash that is seeded.
#[derive(Clone)]
pub(crate) struct Names<K> {
    /// None at first.
    parts: Vec<HashTable<Place<K>>>,
    len: usize,
    hasher: FixedState,
    /// A name that is looked at is a step. What a part that is split moves is none: it is less than
    /// two parts, whatever the number of names.
    steps: Steps,
}

impl<K: Packed> Names<K> {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self { parts: Vec::new(), len: 0, hasher, steps: Steps::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.steps.taken()
    }

    /// The key that was inserted under this name; `is` says whether the record of a key has it.
    pub(crate) fn find(&self, name: impl Hash, is: impl Fn(K) -> bool) -> Option<K> {
        if self.parts.is_empty() {
            return None;
        }
        let hash = self.hash(name);
        let part = self.parts.get(part_of(hash, self.parts.len()))?;
        let place = part.find(spread(hash), |place| {
            self.steps.take();
            place.hash == hash && is(place.key)
        });
        place.map(|place| place.key)
    }

    /// Adds a name. It must not be there.
    pub(crate) fn insert(&mut self, name: impl Hash, key: K) {
        if self.len >= self.parts.len() * FULL {
            self.split();
        }
        let hash = self.hash(name);
        let part = part_of(hash, self.parts.len());
        self.parts[part].insert_unique(spread(hash), Place { hash, key }, Place::spread);
        self.len += 1;
    }

    /// Takes a name out that was inserted for this key.
    pub(crate) fn remove(&mut self, name: impl Hash, key: K) {
        let hash = self.hash(name);
        let number = part_of(hash, self.parts.len());
        let steps = &self.steps;
        let is_it = |place: &Place<K>| {
            steps.take();
            place.hash == hash && place.key == key
        };
        let Some(part) = self.parts.get_mut(number) else { return };
        let Ok(entry) = part.find_entry(spread(hash), is_it) else {
            debug_assert!(false, "a name that is not there");
            return;
        };
        entry.remove();
        self.len -= 1;
        if let Some(places) = shrunk(part.len(), part.capacity(), KEPT) {
            part.shrink_to(places, Place::spread);
        }
        if self.len == 0 {
            self.parts = Vec::new();
        } else if self.parts.len() > 1 && self.len < (self.parts.len() - 1) * SPARSE {
            self.join();
        }
    }

    /// Two numbers whose names have the same hash: only what is named tells them apart.
    #[cfg(test)]
    pub(crate) fn of_one_hash<N: Hash>(&self, name: impl Fn(u32) -> N) -> [u32; 2] {
        let mut seen = alloc::collections::BTreeMap::new();
        let mut numbers = 0..;
        let pair = numbers.find_map(|number| {
            let other = seen.insert(self.hash(name(number)), number);
            other.map(|other| [other, number])
        });
        pair.expect("a hash has 32 bits")
    }

    fn hash(&self, name: impl Hash) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    /// One part more: it takes what is its own from the part that had that until now.
    fn split(&mut self) {
        let last = self.parts.len();
        if last == 0 {
            self.parts.reserve_exact(1);
        }
        self.parts.push(HashTable::new());
        self.move_out_of(part_of(last as u32, last));
    }

    /// One part less: what it had goes where it came from.
    fn join(&mut self) {
        let Some(last) = self.parts.pop() else { return };
        let into = part_of(self.parts.len() as u32, self.parts.len());
        self.parts[into].reserve(last.len(), Place::spread);
        for place in last {
            self.parts[into].insert_unique(place.spread(), place, Place::spread);
        }
        if let Some(places) = shrunk(self.parts.len(), self.parts.capacity(), 0) {
            self.parts.shrink_to(places);
        }
    }

    fn move_out_of(&mut self, from: usize) {
        let places = core::mem::take(&mut self.parts[from]);
        let half = places.len().div_ceil(2);
        let last = self.parts.len() - 1;
        for part in [from, last] {
            self.parts[part] = HashTable::with_capacity(half);
        }
        for place in places {
            let part = part_of(place.hash, self.parts.len());
            debug_assert!(part == from || part == last, "a name moves to no other part");
            self.parts[part].insert_unique(place.spread(), place, Place::spread);
        }
    }
}

/// The number of the part that a hash belongs to, of so many.
fn part_of(hash: u32, parts: usize) -> usize {
    let mask = parts.next_power_of_two() - 1;
    let part = hash as usize & mask;
    if part < parts { part } else { part & (mask >> 1) }
}

/// What the index of so many names holds on the heap at most.
pub(crate) const fn bytes(names: u64) -> u64 {
    // A bucket is a place and a byte of control; seven eighths of them are used at most, and of
    // these a part uses a fourth at least, if it is not small. A table has 16 bytes of control more.
    let bucket = size_of::<Place<u32>>() as u64 + 1;
    let parts = names / SPARSE as u64 + 2;
    let of_names = names.saturating_mul(4 * bucket * 8).div_ceil(7);
    let of_parts = parts * (32 * bucket + 16 + 4 * size_of::<HashTable<Place<u32>>>() as u64);
    of_names.saturating_add(of_parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{SlotKey, key};
    use alloc::collections::BTreeMap;

    key! {
        TestKey
    }

    fn key(slot: usize) -> TestKey {
        TestKey::of_slot(slot)
    }

    /// An index of names that are the numbers of their slots, so that they are their records.
    fn filled(count: usize) -> Names<TestKey> {
        let mut names = Names::new(7);
        (0..count).for_each(|slot| names.insert(slot, key(slot)));
        names
    }

    fn heap(names: &Names<TestKey>) -> usize {
        let of_parts: usize = names.parts.iter().map(HashTable::allocation_size).sum();
        of_parts + names.parts.capacity() * size_of::<HashTable<Place<TestKey>>>()
    }

    #[test]
    fn parts_are_numbered_by_as_many_bits_as_there_are_parts() {
        let hash = 0b1101;
        let parts = [1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 16, 32].map(|parts| part_of(hash, parts));
        assert_eq!(parts, [0, 1, 1, 1, 1, 5, 5, 5, 5, 13, 13, 13]);
    }

    #[test]
    fn agrees_with_a_map_over_random_histories() {
        let mut random = 1_u64;
        let mut next = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % bound
        };
        let mut names: Names<TestKey> = Names::new(7);
        // Names of keys: another key may have the same name later.
        let mut model: BTreeMap<usize, usize> = BTreeMap::new();
        let mut slots: BTreeMap<usize, usize> = BTreeMap::new();
        for step in 0..200_000 {
            let name = next(20_000);
            let expected = model.get(&name).copied();
            let found = names.find(name, |key| slots[&key.slot()] == name);
            assert_eq!(found, expected.map(key));
            // Several times it grows to many parts and shrinks to few.
            let grows = next(8) < if step / 25_000 % 2 == 0 { 7 } else { 1 };
            match expected {
                None if grows => {
                    names.insert(name, key(step));
                    model.insert(name, step);
                    slots.insert(step, name);
                }
                Some(slot) if !grows => {
                    names.remove(name, key(slot));
                    model.remove(&name);
                    slots.remove(&slot);
                }
                _ => {}
            }
            assert_eq!(names.len(), model.len());
            let parts = names.parts.len();
            assert!(parts <= 1 || names.len() + 1 >= (parts - 1) * SPARSE, "{parts} parts");
            assert!(names.len() <= parts * FULL, "{parts} parts");
            assert!(heap(&names) as u64 <= bytes(names.len() as u64), "{} bytes", heap(&names));
        }
    }

    #[test]
    fn no_insertion_and_no_removal_moves_more_than_a_part() {
        let mut names = filled(0);
        for slot in 0..50_000 {
            let before = names.parts.len();
            names.insert(slot, key(slot));
            assert!(names.parts.len() - before <= 1);
        }
        let most = names.parts.iter().map(HashTable::len).max().unwrap();
        assert!(most < 2 * FULL, "{most} names in one part");
        for slot in 0..50_000 {
            let before = names.parts.len();
            names.remove(slot, key(slot));
            let is_joined = names.len() < (before - 1) * SPARSE || names.len() == 0;
            assert_eq!(before - names.parts.len(), usize::from(is_joined), "{slot}");
        }
        assert_eq!(heap(&names), 0);
    }

    #[test]
    fn two_names_with_the_same_hash_are_two() {
        let mut names = filled(1_000);
        // As if the names of two keys had one hash.
        names.insert(5_usize, key(2_000));
        assert_eq!(names.find(5_usize, |it| it == key(5)), Some(key(5)));
        assert_eq!(names.find(5_usize, |it| it == key(2_000)), Some(key(2_000)));
        for (gone, stays) in [(key(5), key(2_000)), (key(2_000), key(5))] {
            let mut names = names.clone();
            names.remove(5_usize, gone);
            assert_eq!(names.find(5_usize, |it| it == gone), None);
            assert_eq!(names.find(5_usize, |it| it == stays), Some(stays));
        }
    }

    #[test]
    fn a_search_looks_at_one_name() {
        let names = filled(100_000);
        let before = names.steps();
        for slot in 0..100_000 {
            assert_eq!(names.find(slot, |it| it == key(slot)), Some(key(slot)));
        }
        let looked = names.steps() - before;
        assert!(looked < 110_000, "{looked} names were looked at");
    }

    #[test]
    fn few_names_take_one_table() {
        let names = filled(1);
        assert_eq!((names.parts.len(), names.parts.capacity()), (1, 1));
        let pinned = [0, 1, 383, 384, 1_000_000].map(bytes);
        assert_eq!(pinned, [864, 906, 16_622, 17_095, 42_268_650]);
    }

    #[test]
    fn a_name_costs_few_bytes() {
        for count in [10_000, 100_000, 123_456] {
            let each = heap(&filled(count)) as f64 / count as f64;
            assert!(each < 21.0, "{each} bytes for each of {count} names");
        }
    }
}
