//! What a call costs, in steps: counted in unit tests of this crate, and nothing at all elsewhere.

#[cfg(test)]
use core::cell::Cell;
use core::hash::{Hash, Hasher};

use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

/// How many steps a structure was taken through: records that it gave out, names that it compared,
/// places that it passed. It is a part of no state.
#[derive(Clone)]
pub(crate) struct Steps {
    #[cfg(test)]
    taken: Cell<u64>,
}

impl Steps {
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(test)]
            taken: Cell::new(0),
        }
    }

    #[inline]
    pub(crate) fn take(&self) {
        #[cfg(test)]
        self.taken.set(self.taken.get() + 1);
    }

    /// Takes the steps of a structure that goes.
    #[inline]
    pub(crate) fn add(&self, gone: &Self) {
        #[cfg(test)]
        self.taken.set(self.taken.get() + gone.taken.get());
        #[cfg(not(test))]
        let Self {} = gone;
    }

    /// An iterator that takes a step for each item.
    #[inline]
    pub(crate) fn count<'a, I: DoubleEndedIterator + 'a>(
        &'a self,
        items: I,
    ) -> impl DoubleEndedIterator<Item = I::Item> + 'a {
        items.inspect(|_| self.take())
    }

    /// How many were taken.
    #[cfg(test)]
    pub(crate) const fn taken(&self) -> u64 {
        self.taken.get()
    }
}

impl Hash for Steps {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Encoded for Steps {
    fn encode(&self, _: &mut Encoder<'_>) {}

    fn decode(_: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(Self::new())
    }
}
