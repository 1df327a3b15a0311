//! When a collection gives memory back.

/// A collection with more places than it keeps in any case is sparse when less than this part of them
/// is used.
pub(crate) const SPARSE: usize = 4;

/// So many places of a queue or an array are kept.
pub(crate) const KEPT: usize = 64;

/// To how many places a collection of `len` items shrinks, of which `kept` cost too little to be given
/// back; `None`: it stays as it is. It is half full then, so that it takes as many insertions as it has
/// items until it grows again: what shrinking and growing copy is O(1) for each insertion and removal.
pub(crate) const fn shrunk(len: usize, places: usize, kept: usize) -> Option<usize> {
    if places > kept && len * SPARSE < places { Some(len * 2) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_shrinks_when_less_than_a_fourth_is_used() {
        assert_eq!((shrunk(25, 100, 64), shrunk(24, 100, 64)), (None, Some(48)));
        assert_eq!((shrunk(0, 65, 64), shrunk(0, 64, 64)), (Some(0), None));
    }
}
