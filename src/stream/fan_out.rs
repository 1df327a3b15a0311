//! A pass over the members of a stream with the entries that were appended, a stretch of members at a
//! time.
//!
//! ```text
//!   index of a member   0 ......... begin ......... end ......... len
//!                       had          │ the stretch: │ had
//!                       `upto`       │ had `given`  │ `from`
//! ```
//!
//! A turn of the stream is one stretch: its members are handed the entries of the pass one after the
//! other, each with one action, so that a shell can write them together. Then the stream goes to the
//! back of the ready queue, and the next stretch is another turn. What is appended meanwhile waits for
//! the next pass: a stream that never falls silent can't keep its last members waiting.
//!
//! A member that lags is passed over, for it is served by turns of its own. A leave moves the last member
//! into the place that becomes free. If that place has had more, the moved member is missed by this
//! pass: it has to be marked as lagging.

use core::ops::Range;

use crate::snapshot::encoded;

/// How many entries the members of one stretch are handed at most.
pub(crate) const ENTRIES_OF_STRETCH: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FanOut {
    /// The pass is about the entries that begin behind this offset,
    from: u64,
    /// and not behind this one.
    upto: u64,
    /// The stretch under way has had everything up to here.
    given: u64,
    /// The members of the stretch under way. It is empty before it begins.
    begin: u32,
    end: u32,
    /// Whether a member of the stretch under way was handed anything.
    has_served: bool,
}

encoded! { struct FanOut { from, upto, given, begin, end, has_served } }

impl FanOut {
    /// A pass with what is appended after an offset.
    pub(crate) const fn after(from: u64) -> Self {
        Self { from, upto: from, given: from, begin: 0, end: 0, has_served: false }
    }

    /// Begins a stretch of at most `chunk` members, unless one is under way. The first settles how far
    /// the pass goes.
    pub(crate) fn begin_stretch(
        &mut self,
        chunk: u32,
        members: u32,
        reach: impl FnOnce(u64) -> u64,
    ) {
        if self.begin < self.end {
            return;
        }
        if self.begin == 0 {
            self.upto = reach(self.from);
        }
        self.end = members.min(self.begin.saturating_add(chunk));
    }

    /// The members of the stretch under way.
    pub(crate) const fn stretch(&self) -> Range<u32> {
        self.begin..self.end
    }

    /// The offset up to which the stretch under way has had everything.
    pub(crate) const fn given(&self) -> u64 {
        self.given
    }

    /// A member of the stretch under way was handed what it was given.
    pub(crate) const fn serve(&mut self) {
        self.has_served = true;
    }

    /// Whether a member of the stretch under way was handed anything. A turn that serves none goes on with
    /// the next stretch: otherwise an announcement that is always one stretch ahead, and fills the
    /// windows, would leave it with none.
    pub(crate) const fn has_served(&self) -> bool {
        self.has_served
    }

    /// Whether the stretch under way has had everything of this pass.
    pub(crate) const fn has_given_all(&self) -> bool {
        self.given >= self.upto
    }

    /// Whether something that begins after `offset` is part of this pass.
    pub(crate) const fn is_about(&self, offset: u64) -> bool {
        offset < self.upto
    }

    /// The stretch has had everything up to here.
    pub(crate) const fn give(&mut self, offset: u64) {
        self.given = offset;
    }

    /// The stretch has had its entries. `None`: the pass is over, too, and nothing is behind it up to
    /// `head`.
    pub(crate) const fn next_stretch(self, members: u32, head: u64) -> Option<Self> {
        if self.end < members {
            Some(Self { given: self.from, begin: self.end, has_served: false, ..self })
        } else if self.upto < head {
            Some(Self::after(self.upto))
        } else {
            None
        }
    }

    /// The last member moves to the place `index` of one that leaves, and had the index `last`. Whether
    /// this pass misses it there.
    pub(crate) fn remove(&mut self, index: u32, last: u32) -> bool {
        let missed = self.reached(index) > self.reached(last);
        self.begin = self.begin.min(last);
        self.end = self.end.min(last);
        missed
    }

    /// The offset up to which a member that does not lag has had everything.
    pub(crate) const fn reached(&self, index: u32) -> u64 {
        if index < self.begin {
            self.upto
        } else if index < self.end {
            self.given
        } else {
            self.from
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn begun(members: u32) -> FanOut {
        let mut fan_out = FanOut::after(3);
        fan_out.begin_stretch(4, members, |from| from + 2);
        fan_out
    }

    #[test]
    fn a_pass_goes_over_all_members_before_it_goes_further() {
        let mut fan_out = begun(10);
        let mut stretches = Vec::new();
        loop {
            for offset in [4, 5] {
                assert!(fan_out.is_about(offset - 1) && !fan_out.has_given_all());
                fan_out.give(offset);
            }
            assert!(!fan_out.is_about(5) && fan_out.has_given_all());
            fan_out.serve();
            assert!(fan_out.has_served());
            stretches.push(fan_out.stretch());
            match fan_out.next_stretch(10, 5) {
                Some(next) => fan_out = next,
                None => break,
            }
            assert!(!fan_out.has_served());
            fan_out.begin_stretch(4, 10, |_| unreachable!("the pass is settled"));
        }
        assert_eq!(stretches, [0..4, 4..8, 8..10]);
        assert_eq!(fan_out.next_stretch(10, 9), Some(FanOut::after(5)), "what came meanwhile");
    }

    #[test]
    fn a_member_that_moves_to_a_place_that_has_had_more_is_missed() {
        // The first stretch, of four, has had one of two entries.
        let moves = |index: u32, last: u32| {
            let mut fan_out = begun(10);
            fan_out.give(4);
            fan_out.remove(index, last)
        };
        assert!(moves(0, 9) && moves(3, 4), "it has had none of them, and they had one");
        assert!(!moves(0, 3) && !moves(4, 9), "it has had as much");
        let mut second = begun(10).next_stretch(10, 5).unwrap();
        second.begin_stretch(4, 10, |_| 0);
        assert!(second.clone().remove(0, 9) && second.clone().remove(3, 7), "they had all");
        assert!(!second.remove(5, 9), "nothing was handed out yet");
    }

    #[test]
    fn what_comes_while_a_stretch_is_under_way_is_for_the_next_pass() {
        let mut fan_out = begun(10);
        fan_out.begin_stretch(2, 20, |_| unreachable!("a stretch is under way"));
        assert_eq!(fan_out, begun(10));
    }

    #[test]
    fn a_stretch_shrinks_with_the_members() {
        let mut fan_out = begun(4);
        fan_out.remove(0, 3);
        assert_eq!(fan_out.stretch(), 0..3);
        fan_out.give(5);
        assert_eq!(fan_out.next_stretch(3, 5), None);
    }
}
