//! Records by key, in chunks.
//!
//! ```text
//!   slot 2,050 ─▶ chunks: [ 0 … 1,023 ] [ 1,024 … 2,047 ] [ 2,048 … ]    each a slab
//!                  room:        0               1               1        one bit each
//! ```
//!
//! A table grows by a chunk and copies nothing; only its first chunk grows by doubling, so that a
//! few records need little. A record takes a slot of the lowest chunk that has one, so that those at
//! the end become empty. An empty chunk gives its memory back: all but one, for a record that comes
//! and goes at the edge of a chunk must not allocate each time, and that one when the table is empty.
//! No call gives back more than one.
//!
//! Within a chunk the slot that became vacant last is taken first. Which slots come next is part of
//! what a fingerprint has to show, and a slab does not show it. So each chunk keeps a number that
//! stands for the order of its vacant slots.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::{Index, IndexMut};

use slab::Slab;

use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

use super::{MAX_SLOTS, SlotKey, Steps, mix};

/// How many records a chunk holds.
const CHUNK: usize = 1_024;
/// How many the first chunk begins with.
const FIRST: usize = 4;

/// Records by key. See the [module's docs](self).
#[derive(Clone)]
pub(crate) struct Table<K, T> {
    chunks: Vec<Chunk<T>>,
    /// Which chunks have a vacant slot, one bit each, for those that there are.
    room: Vec<u64>,
    len: usize,
    /// The empty chunk that keeps its memory.
    spare: Option<usize>,
    /// A record that is given out is a step, and so is a slot that a walk passes.
    steps: Steps,
    keys: PhantomData<K>,
}

#[derive(Clone)]
struct Chunk<T> {
    records: Slab<T>,
    /// From this slot on all are vacant, and are taken in their order.
    fresh: usize,
    /// The vacant ones before it, in the order in which they are taken.
    vacated: Order,
}

/// A number that stands for a stack of slots. It is a polynomial in [`BASE`](Self::BASE) whose lowest
/// coefficient stands for the slot on top, modulo 2^64. The base is odd, and so has an inverse: what
/// was pushed can be taken away again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Order(u64);

impl Order {
    const EMPTY: Self = Self(0);
    const BASE: u64 = 0xd134_2543_de82_ef95;
    const INVERSE: u64 = inverse(Self::BASE);

    const fn push(self, slot: usize) -> Self {
        Self(self.0.wrapping_mul(Self::BASE).wrapping_add(mix(slot as u64)))
    }

    const fn pop(self, slot: usize) -> Self {
        Self(self.0.wrapping_sub(mix(slot as u64)).wrapping_mul(Self::INVERSE))
    }
}

/// The number whose product with an odd one is 1 modulo 2^64: each of Newton's steps doubles the
/// number of bits that are right, and an odd number is its own inverse in the lowest three.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut bits) = (odd, 3);
    while bits < 64 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

const _: () = assert!(Order::BASE.wrapping_mul(Order::INVERSE) == 1);

impl<T> Chunk<T> {
    const fn new() -> Self {
        Self { records: Slab::new(), fresh: 0, vacated: Order::EMPTY }
    }

    fn has_memory(&self) -> bool {
        self.records.capacity() > 0
    }

    /// Takes the next vacant slot. There must be one.
    fn insert(&mut self, record: T, is_first: bool) -> usize {
        let len = self.records.len();
        if len == self.records.capacity() {
            let more = if is_first { len.max(FIRST) } else { CHUNK };
            self.records.reserve_exact(more);
        }
        let slot = self.records.insert(record);
        debug_assert!(slot < CHUNK, "a chunk that was full");
        if slot == self.fresh {
            self.fresh += 1;
        } else {
            self.vacated = self.vacated.pop(slot);
        }
        slot
    }

    fn remove(&mut self, slot: usize) -> T {
        let nothing_vacated = self.records.len() == self.fresh;
        debug_assert!(
            !nothing_vacated || self.vacated == Order::EMPTY,
            "slots that are not vacant"
        );
        let record = self.records.remove(slot);
        if nothing_vacated && slot + 1 == self.fresh {
            self.fresh = slot;
        } else {
            self.vacated = self.vacated.push(slot);
        }
        if self.records.is_empty() {
            // It goes on like a new one, from its first slot on.
            self.records.clear();
            (self.fresh, self.vacated) = (0, Order::EMPTY);
        }
        record
    }
}

/// The records and their slots, and which slots the next ones will have.
impl<K, T: Hash> Hash for Table<K, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // `room` and `len` follow from the chunks; which chunk is spare decides nothing.
        let Self { chunks, room: _, len, spare: _, steps: _, keys: _ } = self;
        len.hash(state);
        for (number, chunk) in chunks.iter().enumerate().filter(|(_, it)| !it.records.is_empty()) {
            let Chunk { records, fresh, vacated } = chunk;
            (number, records.len(), fresh, vacated).hash(state);
            records.iter().for_each(|record| record.hash(state));
        }
    }
}

impl<K: SlotKey, T> Table<K, T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            room: Vec::new(),
            len: 0,
            spare: None,
            steps: Steps::new(),
            keys: PhantomData,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.steps.taken()
    }

    /// The records, without a step.
    #[cfg(test)]
    pub(crate) fn uncounted(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.records.iter().map(|(_, record)| record))
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        self.steps.take();
        self.chunks.get(key.slot() / CHUNK)?.records.get(key.slot() % CHUNK)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        self.steps.take();
        self.chunks.get_mut(key.slot() / CHUNK)?.records.get_mut(key.slot() % CHUNK)
    }

    /// The key of a slot that is named from outside; `None`: it has no record.
    pub(crate) fn known(&self, slot: usize) -> Option<K> {
        K::try_of_slot(slot).filter(|key| self.get(*key).is_some())
    }

    /// The key that the next record will have.
    pub(crate) fn vacant_key(&self) -> K {
        let number = self.first_with_room().unwrap_or(self.chunks.len());
        let place = self.chunks.get(number).map_or(0, |chunk| chunk.records.vacant_key());
        K::of_slot(number * CHUNK + place)
    }

    /// Whether no slot is left.
    pub(crate) const fn is_full(&self) -> bool {
        self.len >= MAX_SLOTS
    }

    /// Adds a record. The table must not be [full](Self::is_full).
    pub(crate) fn insert(&mut self, record: T) -> K {
        self.steps.take();
        let number = self.first_with_room().unwrap_or_else(|| self.add_chunk());
        if self.spare == Some(number) {
            self.spare = None;
        }
        let chunk = &mut self.chunks[number];
        let place = chunk.insert(record, number == 0);
        if chunk.records.len() == CHUNK {
            self.room[number / 64] &= !(1 << (number % 64));
        }
        self.len += 1;
        K::of_slot(number * CHUNK + place)
    }

    /// Takes a record out. The key must name one.
    pub(crate) fn remove(&mut self, key: K) -> T {
        self.steps.take();
        let number = key.slot() / CHUNK;
        let chunk = &mut self.chunks[number];
        let record = chunk.remove(key.slot() % CHUNK);
        let is_empty = chunk.records.is_empty();
        self.room[number / 64] |= 1 << (number % 64);
        self.len -= 1;
        if is_empty {
            self.give_back(number);
        }
        record
    }

    /// In the order of the slots.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &T)> {
        let records = self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            let key = move |place| K::of_slot(number * CHUNK + place);
            chunk.records.iter().map(move |(place, record)| (key(place), record))
        });
        self.steps.count(records)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut T)> {
        let steps = &self.steps;
        self.chunks.iter_mut().enumerate().flat_map(move |(number, chunk)| {
            let key = move |place| K::of_slot(number * CHUNK + place);
            let records = chunk.records.iter_mut().inspect(|_| steps.take());
            records.map(move |(place, record)| (key(place), record))
        })
    }

    /// The records from a slot on, in the order of the slots. Costs O(slots passed).
    pub(crate) fn iter_from(&self, slot: usize) -> impl Iterator<Item = (K, &T)> {
        (slot..self.end()).filter_map(|slot| {
            let key = K::of_slot(slot);
            self.get(key).map(|record| (key, record))
        })
    }

    /// One past the highest slot that is taken: the end of a walk. Costs O(1), but for chunks at the
    /// end that have become empty, and within the last one.
    pub(crate) fn end(&self) -> usize {
        self.iter().next_back().map_or(0, |(key, _)| key.slot() + 1)
    }

    fn first_with_room(&self) -> Option<usize> {
        let word = self.room.iter().position(|word| *word != 0)?;
        Some(word * 64 + self.room[word].trailing_zeros() as usize)
    }

    fn add_chunk(&mut self) -> usize {
        let number = self.chunks.len();
        assert!(number < MAX_SLOTS / CHUNK, "a table that was full");
        if number == 0 {
            // A vector would begin with room for four, which few tables need.
            self.chunks.reserve_exact(1);
            self.room.reserve_exact(1);
        }
        self.chunks.push(Chunk::new());
        if number / 64 == self.room.len() {
            self.room.push(0);
        }
        self.room[number / 64] |= 1 << (number % 64);
        number
    }

    /// A chunk has become empty: it, or the one that did before, gives its memory back, the higher
    /// one of the two.
    fn give_back(&mut self, emptied: usize) {
        let given = match self.spare.replace(emptied) {
            Some(other) => {
                debug_assert!(self.chunks[other].records.is_empty(), "a spare chunk is empty");
                self.spare = Some(other.min(emptied));
                Some(other.max(emptied))
            }
            None if self.len == 0 => self.spare.take(),
            None => None,
        };
        let Some(given) = given else { return };
        self.chunks[given] = Chunk::new();
        while self.chunks.last().is_some_and(|chunk| !chunk.has_memory()) {
            self.chunks.pop();
            let end = self.chunks.len();
            self.room[end / 64] &= !(1 << (end % 64));
        }
        self.room.truncate(self.chunks.len().div_ceil(64));
        if self.chunks.is_empty() {
            (self.chunks, self.room) = (Vec::new(), Vec::new());
        }
    }
}

/// The records by their slots, and the vacant slots in the order in which they are taken.
impl<K: SlotKey, T: Encoded + Clone> Encoded for Table<K, T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        let taken = self.chunks.iter().rposition(|chunk| !chunk.records.is_empty());
        let taken = taken.map_or(0, |last| last + 1);
        to.number(taken as u64);
        for Chunk { records, fresh, vacated: _ } in &self.chunks[..taken] {
            (*fresh, vacant(records, *fresh)).encode(to);
            records.iter().for_each(|(_, record)| record.encode(to));
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let mut table = Self::new();
        let chunks = from.count()?;
        for number in 0..chunks {
            table.add_chunk();
            let chunk = &mut table.chunks[number];
            chunk.decode(from, number == 0)?;
            let len = chunk.records.len();
            if len == CHUNK {
                table.room[number / 64] &= !(1 << (number % 64));
            }
            table.len += len;
        }
        let ends_well = table.chunks.last().is_none_or(|last| !last.records.is_empty());
        if ends_well && table.len <= MAX_SLOTS { Ok(table) } else { Err(Malformed) }
    }
}

/// The vacant slots before `fresh`, in the order in which they are taken. A slab does not show it, so that a
/// copy of it is filled.
fn vacant<T: Clone>(records: &Slab<T>, fresh: usize) -> Vec<usize> {
    let Some((_, any)) = records.iter().next().filter(|_| records.len() < fresh) else {
        return Vec::new();
    };
    let mut filled = records.clone();
    (records.len()..fresh).map(|_| filled.insert(any.clone())).collect()
}

impl<T: Encoded + Clone> Chunk<T> {
    /// Fills a new chunk: what is vacant becomes so in the order that makes the last one the first to be
    /// taken.
    fn decode(&mut self, from: &mut Decoder<'_>, is_first: bool) -> Result<(), Malformed> {
        let (fresh, vacant): (usize, Vec<usize>) = Encoded::decode(from)?;
        let mut is_vacant = [false; CHUNK];
        for slot in &vacant {
            let place = is_vacant[..fresh.min(CHUNK)].get_mut(*slot).ok_or(Malformed)?;
            if core::mem::replace(place, true) {
                return Err(Malformed);
            }
        }
        if fresh > CHUNK || (fresh > 0 && vacant.len() == fresh) {
            return Err(Malformed);
        }
        let mut records = Vec::new();
        for _ in vacant.len()..fresh {
            records.push(T::decode(from)?);
        }
        let any = records.first().cloned();
        let mut records = records.into_iter();
        for is_vacant in &is_vacant[..fresh] {
            let record = if *is_vacant { any.clone() } else { records.next() };
            self.insert(record.ok_or(Malformed)?, is_first);
        }
        for slot in vacant.iter().rev() {
            self.remove(*slot);
        }
        if self.fresh == fresh { Ok(()) } else { Err(Malformed) }
    }
}

impl<K: SlotKey, T> Index<K> for Table<K, T> {
    type Output = T;

    fn index(&self, key: K) -> &T {
        self.steps.take();
        &self.chunks[key.slot() / CHUNK].records[key.slot() % CHUNK]
    }
}

impl<K: SlotKey, T> IndexMut<K> for Table<K, T> {
    fn index_mut(&mut self, key: K) -> &mut T {
        self.steps.take();
        &mut self.chunks[key.slot() / CHUNK].records[key.slot() % CHUNK]
    }
}

/// What a table of so many records holds on the heap at most.
pub(crate) const fn bytes<T>(records: u64) -> u64 {
    let chunk = CHUNK as u64;
    let slots = if records > chunk {
        records.div_ceil(chunk).saturating_mul(chunk)
    } else if records > FIRST as u64 {
        records.next_power_of_two()
    } else {
        FIRST as u64
    };
    // With the tag of a vacant slot, which holds the number of another one. The lists of chunks grow
    // by doubling, from four on.
    let slot = size_of::<T>().next_multiple_of(8) as u64 + 8;
    let chunks = 2 * (records / chunk + 4);
    slots.saturating_mul(slot).saturating_add(chunks * (size_of::<Chunk<T>>() as u64 + 8))
}

#[cfg(test)]
mod tests;
