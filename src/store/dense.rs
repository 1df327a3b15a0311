//! An array in chunks, without holes: what a walk goes over by index.
//!
//! ```text
//!   index 2,050 ─▶ chunks: [ 0 … 1,023 ] [ 1,024 … 2,047 ] [ 2,048 … ]    all full but the last
//! ```
//!
//! It grows by a chunk and copies nothing, so that no item of many is the one that pays for all. Only
//! the first chunk grows by doubling, so that a few items need little, and one item lies in the array itself.
//! A chunk that becomes empty is given back.
//!
//! To add, to look and to take out cost O(1). What is taken out leaves its index to the last item.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::iter;
use core::mem;
use core::ops::{Index, IndexMut, Range};

use smallvec::SmallVec;

use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

use super::{KEPT, shrunk};

/// How many items a chunk holds.
const CHUNK: usize = 1_024;
/// An array in chunks. See the [module's docs](self).
#[derive(Clone, Hash)]
pub(crate) struct Dense<T: Copy> {
    /// The first chunk. One item needs no memory beside it.
    first: SmallVec<[T; 1]>,
    /// The others, if the first is full. None is empty. All but the last are full.
    #[expect(clippy::box_collection, reason = "a vector without items would take three words")]
    others: Option<Box<Vec<Vec<T>>>>,
}

impl<T: Copy> Dense<T> {
    pub(crate) fn new() -> Self {
        Self { first: SmallVec::new(), others: None }
    }

    fn others(&self) -> &[Vec<T>] {
        self.others.as_ref().map_or(&[], |others| others)
    }

    fn chunks(&self) -> impl Iterator<Item = &[T]> {
        iter::once(&*self.first).chain(self.others().iter().map(Vec::as_slice))
    }

    pub(crate) fn len(&self) -> usize {
        match self.others().split_last() {
            None => self.first.len(),
            Some((last, full)) => CHUNK + full.len() * CHUNK + last.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match index.checked_sub(CHUNK) {
            None => self.first.get(index),
            Some(behind) => self.others().get(behind / CHUNK)?.get(behind % CHUNK),
        }
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.others().last().map_or(&*self.first, Vec::as_slice).last()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks().flatten()
    }

    /// The items of a range of indices, in pieces: a walk over a slice is the fastest.
    pub(crate) fn slices_mut(&mut self, range: Range<usize>) -> impl Iterator<Item = &mut [T]> {
        let before = range.start / CHUNK;
        let others = self.others.as_mut().map_or(&mut [][..], |others| &mut others[..]);
        let (first, others) = match before.checked_sub(1) {
            None => (Some(&mut *self.first), others),
            Some(before) => (None, &mut others[before..]),
        };
        let others = others.iter_mut().map(Vec::as_mut_slice);
        let chunks = (before..).zip(first.into_iter().chain(others));
        chunks.map_while(move |(number, chunk)| {
            let before = number * CHUNK;
            let begin = range.start.max(before) - before;
            let end = range.end.checked_sub(before)?.min(chunk.len());
            (begin < end).then(|| &mut chunk[begin..end])
        })
    }

    /// Adds an item behind the last.
    pub(crate) fn push(&mut self, item: T) {
        if self.first.len() < CHUNK {
            self.first.push(item);
            return;
        }
        let others = self.others.get_or_insert_default();
        match others.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                others.push(chunk);
            }
        }
    }

    /// Takes out an item that there must be. The last one has its index then.
    pub(crate) fn swap_remove(&mut self, index: usize) -> T {
        let last = self[self.len() - 1];
        let item = mem::replace(&mut self[index], last);
        self.pop();
        item
    }

    fn pop(&mut self) {
        if let Some(others) = &mut self.others {
            let Some(last) = others.last_mut() else { return };
            last.pop();
            if last.is_empty() {
                others.pop();
                if others.is_empty() {
                    self.others = None;
                } else if let Some(places) = shrunk(others.len(), others.capacity(), 1) {
                    others.shrink_to(places);
                }
            }
            return;
        }
        self.first.pop();
        if self.first.is_empty() {
            self.first = SmallVec::new();
        } else if let Some(places) = shrunk(self.first.len(), self.first.capacity(), KEPT) {
            let mut fewer = SmallVec::with_capacity(places);
            fewer.extend_from_slice(&self.first);
            self.first = fewer;
        }
    }
}

impl<T: Copy + Encoded> Encoded for Dense<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.number(self.len() as u64);
        self.iter().for_each(|item| item.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let mut array = Self::new();
        for _ in 0..from.count()? {
            array.push(T::decode(from)?);
        }
        Ok(array)
    }
}

impl<T: Copy> Index<usize> for Dense<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        match index.checked_sub(CHUNK) {
            None => &self.first[index],
            Some(behind) => &self.others()[behind / CHUNK][behind % CHUNK],
        }
    }
}

impl<T: Copy> IndexMut<usize> for Dense<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        match (index.checked_sub(CHUNK), &mut self.others) {
            (Some(behind), Some(others)) => &mut others[behind / CHUNK][behind % CHUNK],
            _ => &mut self.first[index],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_an_array_in_one_piece() {
        let (mut dense, mut array) = (Dense::new(), Vec::new());
        for number in 0..5 * CHUNK {
            dense.push(number);
            array.push(number);
        }
        // Grows and shrinks over the edges of chunks, and takes out of all of them.
        for turn in 0..40_000_usize {
            let draw = crate::store::mix(turn as u64) as usize;
            let is_growing = turn / 5_000 % 2 == 1;
            if is_growing != draw.is_multiple_of(8) || array.is_empty() {
                dense.push(turn);
                array.push(turn);
            } else {
                let index = draw / 8 % array.len();
                assert_eq!(dense.swap_remove(index), array.swap_remove(index));
            }
            assert_eq!((dense.len(), dense.is_empty()), (array.len(), array.is_empty()));
            assert_eq!(dense.last(), array.last());
        }
        assert!(dense.iter().eq(&array), "in the order of the indices");
        assert!(array.len() > 3 * CHUNK, "several chunks");
        assert!((0..array.len() + 2 * CHUNK).all(|index| dense.get(index) == array.get(index)));
        for range in [0..0, 3..CHUNK, CHUNK..CHUNK + 1, 5..2 * CHUNK + 5, array.len()..array.len()]
        {
            let slices: Vec<_> =
                dense.slices_mut(range.clone()).map(|slice| slice.to_vec()).collect();
            assert_eq!(slices.concat(), array[range]);
            assert!(slices.iter().all(|slice| !slice.is_empty()));
        }
    }

    #[test]
    fn growing_moves_no_item_but_in_the_first_chunk() {
        let mut dense = Dense::new();
        (0..CHUNK).for_each(|number| dense.push(number));
        let first = core::ptr::from_ref(&dense[0]);
        for number in 0..100 * CHUNK {
            dense.push(number);
            assert!(dense.others().last().is_some_and(|last| last.capacity() == CHUNK));
        }
        assert_eq!(core::ptr::from_ref(&dense[0]), first);
    }

    #[test]
    fn memory_comes_back() {
        let places = |dense: &Dense<usize>| {
            let of_first = if dense.first.spilled() { dense.first.capacity() } else { 0 };
            of_first + dense.others().iter().map(Vec::capacity).sum::<usize>()
        };
        let mut dense = Dense::new();
        dense.push(0);
        assert_eq!(places(&dense), 0, "one lies in the array itself");
        (1..100 * CHUNK).for_each(|number| dense.push(number));
        for left in (0..dense.len()).rev() {
            dense.swap_remove(left / 2);
            let most =
                if left < CHUNK { (4 * left).max(KEPT) } else { left.next_multiple_of(CHUNK) };
            assert!(places(&dense) <= most, "{} places for {left}", places(&dense));
            let lists = dense.others.as_ref().map_or(0, |others| others.capacity());
            assert!(lists <= 4 * (left / CHUNK + 1));
            let is_early = (CHUNK / 4..CHUNK).contains(&left);
            assert!(!is_early || places(&dense) == CHUNK, "not before time");
        }
        assert!(dense.is_empty() && places(&dense) == 0 && dense.others.is_none());
    }
}
