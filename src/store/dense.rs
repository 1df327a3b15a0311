//! An array in chunks, without holes: what a walk goes over by index.
//!
//! ```text
//!   index 2,050 ─▶ chunks: [ 0 … 1,023 ] [ 1,024 … 2,047 ] [ 2,048 … ]    all full but the last
//! ```
//!
//! It grows by a chunk and copies nothing, so that no item of many is the one that pays for all. Only
//! the first chunk grows by doubling, so that a few items need little. A chunk that becomes empty is
//! given back.
//!
//! To add, to look and to take out cost O(1). What is taken out leaves its index to the last item.

use alloc::vec::Vec;
use core::mem;
use core::ops::{Index, IndexMut, Range};

use smallvec::SmallVec;

use super::{KEPT, shrunk};

/// How many items a chunk holds.
const CHUNK: usize = 1_024;
/// How many places the first chunk begins with.
const FIRST: usize = 1;

/// An array in chunks. See the [module's docs](self).
#[derive(Clone, Hash)]
pub(crate) struct Dense<T> {
    /// None is empty. All but the last are full.
    chunks: SmallVec<[Vec<T>; 1]>,
}

impl<T: Copy> Dense<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: SmallVec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.split_last().map_or(0, |(last, full)| full.len() * CHUNK + last.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.chunks.last()?.last()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The items of a range of indices, in pieces: a walk over a slice is the fastest.
    pub(crate) fn slices_mut(&mut self, range: Range<usize>) -> impl Iterator<Item = &mut [T]> {
        let first = range.start / CHUNK;
        self.chunks[first..].iter_mut().enumerate().map_while(move |(number, chunk)| {
            let before = (first + number) * CHUNK;
            let begin = range.start.max(before) - before;
            let end = range.end.checked_sub(before)?.min(chunk.len());
            (begin < end).then(|| &mut chunk[begin..end])
        })
    }

    /// Adds an item behind the last.
    pub(crate) fn push(&mut self, item: T) {
        let is_first = self.chunks.is_empty();
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            _ => {
                let mut chunk = Vec::with_capacity(if is_first { FIRST } else { CHUNK });
                chunk.push(item);
                self.chunks.push(chunk);
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
        let Some(chunk) = self.chunks.last_mut() else { return };
        chunk.pop();
        if chunk.is_empty() {
            self.chunks.pop();
            if shrunk(self.chunks.len(), self.chunks.capacity(), 1).is_some() {
                self.chunks.shrink_to_fit();
            }
        } else if self.chunks.len() == 1 {
            let first = &mut self.chunks[0];
            if let Some(places) = shrunk(first.len(), first.capacity(), KEPT) {
                first.shrink_to(places);
            }
        }
    }
}

impl<T> Index<usize> for Dense<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IndexMut<usize> for Dense<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
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
        assert_eq!((dense.get(array.len()), dense.get(7)), (None, Some(&array[7])));
        for range in [0..0, 3..CHUNK, CHUNK..CHUNK + 1, 5..2 * CHUNK + 5, array.len()..array.len()]
        {
            let slices: Vec<_> =
                dense.slices_mut(range.clone()).map(|slice| slice.to_vec()).collect();
            assert_eq!(slices.concat(), array[range]);
        }
    }

    #[test]
    fn growing_moves_no_item_but_in_the_first_chunk() {
        let mut dense = Dense::new();
        (0..CHUNK).for_each(|number| dense.push(number));
        let first = core::ptr::from_ref(&dense[0]);
        for number in 0..100 * CHUNK {
            dense.push(number);
            assert!(dense.chunks.last().is_some_and(|last| last.capacity() == CHUNK));
        }
        assert_eq!(core::ptr::from_ref(&dense[0]), first);
    }

    #[test]
    fn memory_comes_back() {
        let places = |dense: &Dense<usize>| dense.chunks.iter().map(Vec::capacity).sum::<usize>();
        let mut dense = Dense::new();
        assert_eq!(places(&dense), 0);
        dense.push(0);
        assert_eq!(places(&dense), FIRST);
        (1..100 * CHUNK).for_each(|number| dense.push(number));
        for left in (0..dense.len()).rev() {
            dense.swap_remove(left / 2);
            let most =
                if left < CHUNK { (4 * left).max(KEPT) } else { left.next_multiple_of(CHUNK) };
            assert!(places(&dense) <= most, "{} places for {left}", places(&dense));
            assert!(dense.chunks.capacity() <= 4 * (left / CHUNK + 1));
            let is_early = (CHUNK / 4..CHUNK).contains(&left);
            assert!(!is_early || places(&dense) == CHUNK, "not before time");
        }
        assert!(dense.is_empty() && places(&dense) == 0 && !dense.chunks.spilled());
    }
}
