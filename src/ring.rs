//! Who comes next, first in, first out, with a way out from the middle: a doubly linked list whose
//! links lie in the records of one slab.
//!
//! To enter, to leave and to look at the front cost O(1), and the list owns no memory.

use slab::Slab;

/// The end of the list.
const NIL: u32 = u32::MAX;
/// In place of the neighbour before: the record is not in the list.
const OUT: u32 = u32::MAX - 1;

/// A record's neighbours in its ring, by slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Links {
    before: u32,
    after: u32,
}

impl Links {
    /// Those of a record that is in no ring.
    pub(crate) const OUT: Self = Self { before: OUT, after: NIL };

    pub(crate) const fn is_in(self) -> bool {
        self.before != OUT
    }
}

/// A record with the links of one ring.
pub(crate) trait Linked {
    fn links(&self) -> Links;
    fn links_mut(&mut self) -> &mut Links;
}

/// The ends of a list through the records of a slab: always the same slab.
#[derive(Clone, Hash)]
pub(crate) struct Ring {
    front: u32,
    back: u32,
    len: u32,
}

impl Ring {
    pub(crate) const fn new() -> Self {
        Self { front: NIL, back: NIL, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    /// The record that entered first of those that are in it.
    pub(crate) fn front(&self) -> Option<u32> {
        (self.front != NIL).then_some(self.front)
    }

    /// Enters at the back. The record must not be in the ring.
    pub(crate) fn push<T: Linked>(&mut self, records: &mut Slab<T>, key: u32) {
        let links = records[key as usize].links_mut();
        debug_assert!(!links.is_in(), "{key} is in the ring already");
        *links = Links { before: self.back, after: NIL };
        match self.back {
            NIL => self.front = key,
            back => records[back as usize].links_mut().after = key,
        }
        self.back = key;
        self.len += 1;
    }

    /// Leaves from wherever it is. The record must be in the ring.
    pub(crate) fn remove<T: Linked>(&mut self, records: &mut Slab<T>, key: u32) {
        let links = core::mem::replace(records[key as usize].links_mut(), Links::OUT);
        debug_assert!(links.is_in(), "{key} is not in the ring");
        let Links { before, after } = links;
        match before {
            NIL => self.front = after,
            before => records[before as usize].links_mut().after = after,
        }
        match after {
            NIL => self.back = before,
            after => records[after as usize].links_mut().before = before,
        }
        self.len -= 1;
    }

    /// From the front to the back.
    pub(crate) fn iter<'a, T: Linked>(
        &self,
        records: &'a Slab<T>,
    ) -> impl Iterator<Item = u32> + 'a {
        let some = |key: u32| (key != NIL).then_some(key);
        core::iter::successors(some(self.front), move |key| {
            some(records[*key as usize].links().after)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    impl Linked for Links {
        fn links(&self) -> Links {
            *self
        }

        fn links_mut(&mut self) -> &mut Links {
            self
        }
    }

    #[test]
    fn agrees_with_a_queue_over_random_histories() {
        let mut random = 1_u64;
        let mut next = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % bound) as u32
        };
        let mut records: Slab<Links> = (0..20).map(|key| (key, Links::OUT)).collect();
        let (mut ring, mut model) = (Ring::new(), VecDeque::new());
        for _ in 0..50_000 {
            let key = next(20);
            let is_in = records[key as usize].is_in();
            assert_eq!(is_in, model.contains(&key));
            match (is_in, next(3)) {
                (true, 0 | 1) => {
                    ring.remove(&mut records, key);
                    model.retain(|other| *other != key);
                }
                (false, 0 | 1) => {
                    ring.push(&mut records, key);
                    model.push_back(key);
                }
                _ => {
                    if let Some(front) = ring.front() {
                        ring.remove(&mut records, front);
                        assert_eq!(model.pop_front(), Some(front));
                    }
                }
            }
            assert_eq!((ring.front(), ring.len()), (model.front().copied(), model.len()));
            let forwards: Vec<u32> = ring.iter(&records).collect();
            assert_eq!(model, forwards);
            let before = |key: &u32| Some(records[*key as usize].before).filter(|key| *key != NIL);
            let backwards: Vec<u32> =
                core::iter::successors(model.back().copied(), before).collect();
            assert!(backwards.iter().rev().eq(&model));
        }
    }
}
