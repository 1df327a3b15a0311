//! How a connection reads the parts of its streams that are older than its joins.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::log::Late;
use crate::snapshot::encoded;
use crate::stream::StreamKey;

/// How one connection reads the part of a stream that is older than its join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct LateJoin {
    stream: StreamKey,
    late: Late,
}

encoded! { struct LateJoin { stream, late } }

/// The streams that one connection joined late, until its cursor passes where the head was then. Most
/// connections have none, and then this takes one word.
#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::box_collection, reason = "a vector without items would take three words")]
pub(crate) struct LateJoins(Option<Box<Vec<LateJoin>>>);

encoded! { struct LateJoins(joins) }

impl LateJoins {
    pub(crate) const NONE: Self = Self(None);

    /// The connection joins a stream late.
    pub(crate) fn join(&mut self, stream: StreamKey, late: Late) {
        self.0.get_or_insert_default().push(LateJoin { stream, late });
    }

    /// How it reads a stream.
    pub(crate) fn of(&self, stream: StreamKey) -> Late {
        let joins = self.0.iter().flat_map(|joins| joins.iter());
        let mut of_stream = joins.filter(|join| join.stream == stream);
        of_stream.next().map_or(Late::NONE, |join| join.late)
    }

    /// Its cursor moves on in a stream.
    pub(crate) fn pass(&mut self, stream: StreamKey, cursor: u64) {
        self.retain(|join| join.stream != stream || cursor < join.late.until);
    }

    /// It leaves a stream.
    pub(crate) fn leave(&mut self, stream: StreamKey) {
        self.retain(|join| join.stream != stream);
    }

    fn retain(&mut self, stays: impl Fn(&LateJoin) -> bool) {
        let Some(joins) = &mut self.0 else { return };
        joins.retain(stays);
        if joins.is_empty() {
            self.0 = None;
        }
    }

    /// What so many of them take on the heap at most.
    pub(crate) const fn bytes(joins: u64) -> u64 {
        // A vector grows by doubling, from four places on, and keeps those that it had.
        let places = (joins.saturating_add(4)).saturating_mul(2);
        places.saturating_mul(size_of::<LateJoin>() as u64).saturating_add(24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SlotKey;

    #[test]
    fn a_join_is_forgotten_when_it_is_passed_or_left() {
        let stream = StreamKey::of_slot;
        let late = |until| Late { tells_rest: true, ..Late::open_at(until) };
        let mut joins = LateJoins::NONE;
        joins.join(stream(1), late(10));
        joins.join(stream(2), late(20));
        joins.join(stream(3), late(30));
        joins.pass(stream(1), 9);
        joins.pass(stream(2), 20);
        assert_eq!([1, 2, 3].map(|slot| joins.of(stream(slot)).until), [10, 0, 30]);
        joins.leave(stream(3));
        assert_eq!([1, 2, 3].map(|slot| joins.of(stream(slot)).until), [10, 0, 0]);
        joins.pass(stream(1), 10);
        assert!(joins.0.is_none(), "nothing is left on the heap");
    }
}
