//! A walk over the table of connections, in slices.

use core::num::NonZeroU32;

use super::{ConnKey, Conns};
use crate::snapshot::encoded;
use crate::store::SlotKey;

/// Visits the slots up to where the table ended at the call, each once, over as many turns as it takes.
///
/// A slot that became free meanwhile may have a new tenant. A walk over
/// [the connections that are there](Self::of_present) passes such newcomers over.
#[derive(Clone, Copy, Hash)]
pub(crate) struct TableWalk {
    /// The next slot to visit.
    next: usize,
    end: usize,
    /// The serial of the youngest connection to visit; `None`: newcomers are visited, too.
    youngest: Option<u32>,
}

encoded! { struct TableWalk { next, end, youngest } }

impl TableWalk {
    /// A walk over the slots, whichever connections have them by then.
    pub(crate) fn of_slots(conns: &Conns) -> Self {
        Self { next: 0, end: conns.end(), youngest: None }
    }

    /// A walk over the connections that are there now. `last_serial` is the one that was given out
    /// last.
    pub(crate) fn of_present(conns: &Conns, last_serial: u32) -> Self {
        Self { youngest: Some(last_serial), ..Self::of_slots(conns) }
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.next >= self.end
    }

    /// Visits one more slot. `None`: the slot is free or a newcomer's, or the walk is over.
    pub(crate) fn step(&mut self, conns: &Conns) -> Option<ConnKey> {
        if self.is_over() {
            return None;
        }
        let slot = ConnKey::of_slot(self.next);
        self.next += 1;
        let serial = conns.get(slot)?.serial;
        self.youngest.is_none_or(|youngest| !is_later(serial, youngest)).then_some(slot)
    }
}

/// Whether a serial was given out after another. Serials wrap, so their order is that of their
/// distance.
const fn is_later(serial: NonZeroU32, than: u32) -> bool {
    serial.get().wrapping_sub(than).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use alloc::vec::Vec;

    fn insert(conns: &mut Conns, serial: u32) -> ConnKey {
        let serial = NonZeroU32::new(serial).unwrap();
        conns.insert(serial, Timestamp::ZERO, Timestamp::ZERO)
    }

    /// What the rest of a walk visits.
    fn visited(walk: &mut TableWalk, conns: &Conns) -> Vec<usize> {
        let mut visited = Vec::new();
        while !walk.is_over() {
            visited.extend(walk.step(conns).map(SlotKey::slot));
        }
        assert_eq!(walk.step(conns), None);
        visited
    }

    #[test]
    fn a_walk_over_those_present_passes_over_who_came_later() {
        let mut conns = Conns::new();
        let first: Vec<_> = (1..=4).map(|serial| insert(&mut conns, serial)).collect();
        let (mut present, mut slots) =
            (TableWalk::of_present(&conns, 4), TableWalk::of_slots(&conns));
        assert_eq!(present.step(&conns), Some(first[0]));
        assert_eq!(slots.step(&conns), Some(first[0]));
        // One leaves for good, another's slot is taken again, and the table grows.
        conns.remove(first[3]);
        conns.remove(first[1]);
        assert_eq!(insert(&mut conns, 5), first[1]);
        assert_eq!(insert(&mut conns, 6), first[3]);
        conns.remove(first[3]);
        insert(&mut conns, 7);
        insert(&mut conns, 8);
        assert_eq!(visited(&mut present, &conns), [2]);
        assert_eq!(visited(&mut slots, &conns), [1, 2, 3], "up to where the table ended");
    }

    #[test]
    fn serials_that_wrap_keep_their_order() {
        let mut conns = Conns::new();
        insert(&mut conns, u32::MAX);
        let mut walk = TableWalk::of_present(&conns, u32::MAX);
        insert(&mut conns, 1);
        assert_eq!(visited(&mut walk, &conns), [0]);
        let mut walk = TableWalk::of_present(&conns, 1);
        assert_eq!(visited(&mut walk, &conns), [0, 1]);
    }

    #[test]
    fn a_walk_over_an_empty_table_is_over() {
        let conns = Conns::new();
        assert!(TableWalk::of_slots(&conns).is_over());
    }
}
