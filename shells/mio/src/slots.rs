//! Values at the places that handles name, in chunks.

/// Slots of a chunk. Growing allocates one, and moves nothing.
const CHUNK: usize = 128;

/// A value for each place that is in use. Chunks without a value give their memory back.
pub(crate) struct Slots<T> {
    chunks: Vec<Option<Chunk<T>>>,
    len: usize,
}

struct Chunk<T> {
    slots: Box<[Option<T>]>,
    len: usize,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    /// How many values there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.chunks.get(place / CHUNK)?.as_ref()?.slots.get(place % CHUNK)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.chunks.get_mut(place / CHUNK)?.as_mut()?.slots.get_mut(place % CHUNK)?.as_mut()
    }

    /// Puts a value at a place, and returns the one that was there.
    pub(crate) fn insert(&mut self, place: usize, value: T) -> Option<T> {
        let number = place / CHUNK;
        if number >= self.chunks.len() {
            self.chunks.resize_with(number + 1, || None);
        }
        let chunk = self.chunks[number]
            .get_or_insert_with(|| Chunk { slots: (0..CHUNK).map(|_| None).collect(), len: 0 });
        let before = chunk.slots[place % CHUNK].replace(value);
        if before.is_none() {
            chunk.len += 1;
            self.len += 1;
        }
        before
    }

    /// Takes the value at a place.
    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        let place_of_chunk = self.chunks.get_mut(place / CHUNK)?;
        let chunk = place_of_chunk.as_mut()?;
        let value = chunk.slots[place % CHUNK].take()?;
        chunk.len -= 1;
        self.len -= 1;
        if chunk.len == 0 {
            *place_of_chunk = None;
            while self.chunks.pop_if(|chunk| chunk.is_none()).is_some() {}
            if self.chunks.is_empty() {
                self.chunks = Vec::new();
            }
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_where_it_was_put() {
        let mut slots = Slots::new();
        let places = [0, 1, CHUNK - 1, CHUNK, 10 * CHUNK + 7];
        for place in places {
            assert_eq!(slots.insert(place, place), None);
        }
        assert_eq!(slots.insert(1, 100), Some(1));
        assert_eq!((slots.len(), slots.get(1), slots.get(2)), (5, Some(&100), None));
        assert_eq!((slots.remove(1), slots.remove(1)), (Some(100), None));
        assert_eq!(slots.get_mut(10 * CHUNK + 7), Some(&mut (10 * CHUNK + 7)));
        assert_eq!(slots.get(1_000 * CHUNK), None);
        assert_eq!(slots.remove(1_000 * CHUNK), None);
    }

    #[test]
    fn chunks_without_a_value_give_their_memory_back() {
        let mut slots = Slots::new();
        for place in 0..10 * CHUNK {
            slots.insert(place, ());
        }
        for place in (0..10 * CHUNK).filter(|place| *place != 3) {
            slots.remove(place);
        }
        assert_eq!((slots.len(), slots.chunks.len()), (1, 1));
        slots.remove(3);
        assert_eq!((slots.len(), slots.chunks.capacity()), (0, 0));
    }
}
