//! A member's place in a stream: what it was handed, and what it gets of the rest.

use headcount::ConnId;

use super::entry::Entry;
use super::left_out::Who;

/// A member's place.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Seat {
    pub(crate) conn: ConnId,
    pub(crate) who: Who,
    /// The last offset that it was handed, was told as lost, or did not have to get.
    pub(crate) cursor: u64,
    /// Its connection's own turns serve it, until it has caught up: it passes over what is droppable.
    pub(crate) lagging: bool,
    /// Where the head was when it joined a session with runs that it gets from their start, or
    /// resumed from a position that is none of this stream's; 0 if it did neither. Up to there it gets
    /// nothing but what belongs to such runs.
    pub(crate) late_until: u64,
    /// These are open, or have ended after this offset.
    pub(crate) closed_after: u64,
    /// It gets this one alone.
    pub(crate) only: Option<u64>,
    /// It resumed so: everything else up to there is told as lost.
    pub(crate) tells_rest: bool,
    /// The last offset that its client said it has dealt with.
    pub(crate) acknowledged: u64,
}

impl Seat {
    pub(crate) const fn at(who: Who, cursor: u64) -> Self {
        Self {
            conn: who.conn,
            who,
            cursor,
            lagging: false,
            late_until: 0,
            closed_after: 0,
            only: None,
            tells_rest: false,
            acknowledged: 0,
        }
    }

    /// Whether an entry that is kept is for it.
    pub(crate) fn gets(&self, entry: &Entry) -> bool {
        if entry.last > self.late_until {
            return !self.who.is(entry.left_out);
        }
        let is_it = entry.run.is_some_and(|run| self.only.is_none_or(|only| only == run));
        is_it && entry.ended.is_none_or(|ended| ended > self.closed_after)
    }

    /// Whether it passes over an entry.
    pub(crate) fn skips(&self, entry: &Entry) -> bool {
        self.lagging && entry.is_droppable()
    }
}
