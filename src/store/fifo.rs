//! A queue, first in, first out, in chunks.
//!
//! It grows by a chunk and copies nothing, so that no item of many is the one that pays for all. Only
//! the first chunk grows by doubling, so that a few items need little. A chunk that becomes empty is
//! given back, but for the last one: a queue that runs empty again and again must not allocate.

use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};

use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

/// How many items a chunk holds.
const CHUNK: usize = 1_024;

/// A queue in chunks. See the [module's docs](self).
#[derive(Clone)]
pub(crate) struct Fifo<T> {
    /// None is empty, if there are several.
    chunks: VecDeque<VecDeque<T>>,
}

impl<T> Fifo<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.front().is_none_or(VecDeque::is_empty)
    }

    /// From the front to the back.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(crate) fn push(&mut self, item: T) {
        match self.chunks.back_mut() {
            Some(last) if last.len() < CHUNK => last.push_back(item),
            full => {
                let places = if full.is_some() { CHUNK } else { 1 };
                let mut chunk = VecDeque::with_capacity(places);
                chunk.push_back(item);
                self.chunks.push_back(chunk);
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let first = self.chunks.front_mut()?;
        let item = first.pop_front();
        if first.is_empty() && self.chunks.len() > 1 {
            self.chunks.pop_front();
            if self.chunks.len() == 1 {
                self.chunks.shrink_to(1);
            }
        }
        item
    }
}

/// The items: which chunks they lie in decides nothing.
impl<T: Hash> Hash for Fifo<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { chunks } = self;
        chunks.iter().map(VecDeque::len).sum::<usize>().hash(state);
        self.iter().for_each(|item| item.hash(state));
    }
}

impl<T: Encoded> Encoded for Fifo<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        to.number(self.chunks.iter().map(|chunk| chunk.len() as u64).sum());
        self.iter().for_each(|item| item.encode(to));
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let mut queue = Self::new();
        for _ in 0..from.count()? {
            queue.push(T::decode(from)?);
        }
        Ok(queue)
    }
}

/// How many places a queue that had so many items has at most.
pub(crate) const fn places(items: u64) -> u64 {
    // The first and the last of several chunks may have an item each. The list of chunks grows by
    // doubling, and takes less than a place for 256 items.
    let spare = if items < CHUNK as u64 { items } else { 2 * CHUNK as u64 + items / 256 };
    items.saturating_add(spare).saturating_add(4)
}

#[cfg(test)]
mod harness;

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::BuildHasher;
    use foldhash::quality::FixedState;

    fn filled(count: usize) -> Fifo<usize> {
        let mut fifo = Fifo::new();
        (0..count).for_each(|item| fifo.push(item));
        fifo
    }

    #[test]
    fn growing_moves_no_item_but_in_the_first_chunk() {
        let mut fifo = filled(CHUNK);
        let first = core::ptr::from_ref(&fifo.chunks[0][0]);
        for item in 0..50 * CHUNK {
            fifo.push(item);
            assert!(fifo.chunks.back().is_some_and(|last| last.capacity() == CHUNK));
        }
        assert_eq!(core::ptr::from_ref(&fifo.chunks[0][0]), first);
    }

    #[test]
    fn memory_comes_back_but_for_one_chunk() {
        let held = |fifo: &Fifo<usize>| -> usize {
            let lists = fifo.chunks.capacity() * size_of::<VecDeque<usize>>();
            lists / size_of::<usize>() + fifo.chunks.iter().map(VecDeque::capacity).sum::<usize>()
        };
        assert!(held(&filled(1)) <= 5 * 4);
        let mut fifo = filled(50 * CHUNK);
        for left in (0..50 * CHUNK).rev() {
            assert_eq!(fifo.pop(), Some(50 * CHUNK - 1 - left));
            let most = (left / CHUNK + 1) * CHUNK + 64 * 4;
            assert!(held(&fifo) <= most, "{} for {left}", held(&fifo));
        }
        assert_eq!((fifo.pop(), fifo.is_empty(), fifo.chunks.len()), (None, true, 1));
        assert!(held(&fifo) <= CHUNK + 4);
        fifo.push(1);
        assert_eq!(fifo.pop(), Some(1));
    }

    #[test]
    fn what_so_many_items_take_is_bounded() {
        let count = |fifo: &Fifo<usize>| fifo.chunks.iter().map(VecDeque::capacity).sum::<usize>();
        for items in [1, 2, 5, 700, CHUNK - 1, CHUNK, CHUNK + 1, 90 * CHUNK + 1] {
            assert!(count(&filled(items)) as u64 <= places(items as u64), "{items}");
        }
        let pinned = [0, 1, 1_023, 1_024, 102_400].map(places);
        assert_eq!(pinned, [4, 6, 2_050, 3_080, 104_852]);
    }

    #[test]
    fn the_hash_is_that_of_the_items() {
        let hash = |fifo: &Fifo<usize>| FixedState::default().hash_one(fifo);
        let mut long = filled(CHUNK + 3);
        (0..CHUNK).for_each(|_| assert!(long.pop().is_some()));
        let mut short = Fifo::new();
        (CHUNK..CHUNK + 3).for_each(|item| short.push(item));
        assert_eq!(hash(&long), hash(&short));
        assert_ne!(hash(&long), hash(&filled(3)));
        assert_ne!(hash(&filled(3)), hash(&filled(2)));
    }
}
