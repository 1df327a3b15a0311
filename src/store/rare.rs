//! A part of a record that most records do not need: on the heap, and not there while it is at its default.
//!
//! A record pays one word for it. To change it where it is not there allocates, and it is given back when it
//! is [at its default again](Rare::edit), or when its owner [says so](Rare::clear).

use alloc::boxed::Box;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, DerefMut};

use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

/// What a part that is not there reads as.
pub(crate) trait Seldom: Clone + 'static {
    const USUAL: Self;
    /// The same, to be read in place.
    const SHARED: &'static Self;
}

/// A part that is there when it is needed. See the [module's docs](self).
#[derive(Clone)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T: Seldom> Rare<T> {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Whether it takes memory.
    pub(crate) const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// It is at its default, and gives its memory back.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}

impl<T: Seldom + PartialEq> Rare<T> {
    /// Changes it. It is there after that if it is not at its default.
    pub(crate) fn edit<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        if let Some(part) = &mut self.0 {
            let result = change(part);
            self.settle();
            return result;
        }
        let mut part = T::USUAL;
        let result = change(&mut part);
        if part != *T::SHARED {
            self.0 = Some(Box::new(part));
        }
        result
    }

    /// Gives its memory back if it is at its default.
    pub(crate) fn settle(&mut self) {
        if self.0.as_deref() == Some(T::SHARED) {
            self.0 = None;
        }
    }
}

impl<T: Seldom> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::SHARED)
    }
}

/// The part is there from then on. A caller that changes it to its default has to [clear](Rare::clear) it.
impl<T: Seldom> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::USUAL))
    }
}

impl<T: Encoded> Encoded for Rare<T> {
    fn encode(&self, to: &mut Encoder<'_>) {
        self.0.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Encoded::decode(from).map(Self)
    }
}

/// Whether it is there decides nothing.
impl<T: Seldom + Hash> Hash for Rare<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.deref().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::BuildHasher;
    use foldhash::quality::FixedState;

    #[derive(Clone, PartialEq, Eq, Hash, Debug)]
    struct Pair(u32, u32);

    impl Seldom for Pair {
        const USUAL: Self = Self(7, 7);
        const SHARED: &'static Self = &Self::USUAL;
    }

    #[test]
    fn a_part_at_its_default_takes_no_memory() {
        let mut part = Rare::<Pair>::new();
        assert_eq!((part.is_there(), part.0.is_some(), &*part), (false, false, &Pair(7, 7)));
        part.edit(|it| it.0 = 7);
        assert!(!part.is_there());
        assert_eq!(part.edit(|it| core::mem::replace(&mut it.0, 8)), 7);
        assert_eq!((part.is_there(), &*part), (true, &Pair(8, 7)));
        part.edit(|it| it.0 = 7);
        assert!(!part.is_there());
    }

    #[test]
    fn a_part_that_is_changed_in_place_stays_until_it_is_settled_or_cleared() {
        let mut part = Rare::<Pair>::new();
        part.1 = 7;
        assert!(part.is_there());
        part.settle();
        assert!(!part.is_there());
        part.1 = 9;
        part.settle();
        assert!(part.is_there());
        part.clear();
        assert_eq!(part.1, 7);
    }

    #[test]
    fn the_hash_is_that_of_the_part() {
        let hash = |part: &Rare<Pair>| FixedState::default().hash_one(part);
        let mut there = Rare::<Pair>::new();
        there.1 = 7;
        assert_eq!(hash(&there), hash(&Rare::new()));
        there.1 = 9;
        assert_ne!(hash(&there), hash(&Rare::new()));
    }
}
