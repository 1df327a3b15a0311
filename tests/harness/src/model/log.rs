//! What is still there of a stream, place by place, and what a reader finds in it.
//!
//! One mechanism of the registry is copied here though it is no promise: a log of many holes forgets which
//! of them were superseded, and neighbouring losses become one. Where a gap begins, and how far sixteen
//! places reach, depends on it.

use headcount::{Class, Timestamp};

use super::entry::{Bounds, Entry};
use super::seat::Seat;
use crate::seen::Content;

/// So many holes beyond the number of entries are told apart.
const HOLES_APART: usize = 16;

/// What stands at the offsets of an entry.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Place {
    Kept(Entry),
    /// A newer message has taken the place of the one that ended here: no reader lacks it.
    Superseded(u64),
    /// Lost for each cursor before it.
    Lost {
        first: u64,
        last: u64,
        /// Where the last run of which something was here has ended; 0 if none was.
        run_ended: u64,
    },
}

impl Place {
    /// The last of its offsets.
    const fn last(&self) -> u64 {
        match self {
            Self::Kept(entry) => entry.last,
            Self::Superseded(last) | Self::Lost { last, .. } => *last,
        }
    }

    const fn kept(&self) -> Option<&Entry> {
        match self {
            Self::Kept(entry) => Some(entry),
            _ => None,
        }
    }
}

/// What a reader finds behind its cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next<'a> {
    Gap(u64, u64),
    /// This entry, or the rest of it.
    Entry(&'a Entry),
    Nothing,
}

/// What can be seen of a log from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) lost: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// Places in the order of their offsets. The first is kept.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Log {
    places: Vec<Place>,
    /// The offset that was given out last.
    pub(crate) head: u64,
    /// Up to here everything is gone, and a cursor before it has lost something.
    lost: u64,
    /// Every member has had everything up to here: it goes before anything droppable does.
    pub(crate) passed: u64,
}

impl Log {
    /// The entries that are kept, from the oldest on.
    pub(crate) fn kept(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.places.iter().filter_map(Place::kept)
    }

    /// Those of them that its own bounds are about.
    pub(crate) fn bounded(&self) -> impl Iterator<Item = &Entry> {
        self.kept().filter(|entry| !entry.is_held())
    }

    /// Whether something went from behind an entry of an open run.
    pub(crate) fn has_hole_of_run(&self) -> bool {
        self.kept().next().is_some_and(Entry::is_held) && self.losses().next().is_some()
    }

    /// Where what is lost behind the oldest entry ends.
    pub(crate) fn losses(&self) -> impl Iterator<Item = u64> {
        let lost = self.places.iter().filter(|place| matches!(place, Place::Lost { .. }));
        lost.map(Place::last)
    }

    pub(crate) fn shown(&self) -> Shown {
        let bytes = self.kept().map(Entry::cost).sum();
        Shown { lost: self.lost, messages: self.kept().count() as u64, bytes }
    }

    fn behind(&self, cursor: u64) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(move |place| place.last() > cursor)
    }

    /// The first entry behind a cursor.
    pub(crate) fn after(&self, cursor: u64) -> Option<&Entry> {
        self.behind(cursor).find_map(Place::kept)
    }

    /// The entry that ends at an offset.
    pub(crate) fn entry(&self, offset: u64) -> Option<&Entry> {
        self.kept().find(|entry| entry.last == offset)
    }

    /// What was appended last, if it is kept.
    pub(crate) fn newest(&self) -> Option<&Entry> {
        self.places.last().and_then(Place::kept)
    }

    /// The text that was appended last goes on.
    pub(crate) fn extend(&mut self, text: &str, now: Timestamp) {
        if let Some(Place::Kept(entry)) = self.places.last_mut()
            && let Content::Said(said) = &mut entry.content
        {
            said.text.push_str(text);
            (said.at, entry.at) = (now, now);
            entry.last += text.len() as u64;
            self.head = entry.last;
        }
    }

    /// How far so many places behind a cursor reach.
    pub(crate) fn reach(&self, cursor: u64, places: usize) -> u64 {
        self.behind(cursor).nth(places - 1).map_or(self.head, Place::last)
    }

    /// The last offset that is lost before one, and behind the entry before it.
    pub(crate) fn lost_before(&self, offset: u64) -> u64 {
        for place in self.places.iter().rev().filter(|place| place.last() < offset) {
            match place {
                Place::Superseded(_) => {}
                Place::Lost { last, .. } => return *last,
                Place::Kept(_) => break,
            }
        }
        self.lost
    }

    /// How many of the entries wait for a reader.
    pub(crate) fn waiting(&self, reader: &Seat) -> usize {
        let behind = self.kept().filter(|entry| entry.last > reader.cursor);
        behind.filter(|entry| reader.gets(entry) && !reader.skips(entry)).count()
    }

    /// What a reader finds behind its cursor: a laggard passes over what is droppable, and is told of all
    /// that it loses before its next entry at once.
    pub(crate) fn next(&self, reader: &Seat) -> Next<'_> {
        let Seat { cursor, late_until, closed_after, tells_rest, .. } = *reader;
        let mut gap = (cursor < self.lost).then_some((cursor + 1, self.lost));
        let mut next = None;
        for place in self.behind(cursor) {
            let (first, last) = match place {
                Place::Superseded(_) => continue,
                // None of what it joined too late for is its loss.
                Place::Lost { last, run_ended, .. }
                    if *last <= late_until && *run_ended <= closed_after =>
                {
                    continue;
                }
                Place::Lost { first, last, .. } => (*first, *last),
                Place::Kept(entry) if !reader.gets(entry) => continue,
                Place::Kept(entry) if reader.skips(entry) => (entry.last, entry.last),
                Place::Kept(entry) => {
                    next = Some(entry);
                    break;
                }
            };
            let first = first.max(cursor + 1);
            gap = Some((gap.map_or(first, |(from, _)| from), last));
        }
        let rest = next.map_or(late_until, |entry| late_until.min(entry.first() - 1));
        if tells_rest && cursor < rest {
            gap = Some((cursor + 1, gap.map_or(rest, |(_, to)| to.max(rest))));
        }
        match (gap, next) {
            (Some((from, to)), _) => Next::Gap(from, to),
            (None, Some(entry)) => Next::Entry(entry),
            (None, None) => Next::Nothing,
        }
    }

    /// Appends; whether it took the place of another.
    pub(crate) fn append(&mut self, entry: Entry) -> bool {
        let is_message = entry.run.is_none();
        let same = |place: &&mut Place| place.kept().is_some_and(|old| old.class == entry.class);
        let has_key = matches!(entry.class, Class::Latest(_));
        let old = self.places.iter_mut().filter(|_| has_key).find(same);
        let supersedes = old.is_some();
        old.into_iter().for_each(|old| *old = Place::Superseded(old.last()));
        self.head = entry.last;
        self.places.push(Place::Kept(entry));
        if is_message {
            self.tidy();
        }
        supersedes
    }

    /// A message that is kept although the stream has no member has an offset.
    pub(crate) fn pass_over(&mut self) {
        self.head += 1;
        self.passed = self.head;
        match self.places.last_mut() {
            None => self.lost = self.head,
            Some(Place::Lost { last, .. }) => *last = self.head,
            _ => self.places.push(Place::Lost { first: self.head, last: self.head, run_ended: 0 }),
        }
    }

    /// Lets go what there is no room for: how much from the front, and how much out of the middle.
    pub(crate) fn trim(&mut self, bounds: &Bounds) -> (u64, u64) {
        let (mut dropped, mut shed) = (0, 0);
        loop {
            let count = self.bounded().count() as u64;
            let bytes = self.bounded().map(Entry::cost).sum::<u64>();
            if count <= bounds.messages && (bytes <= bounds.bytes || count <= 1) {
                return (dropped, shed);
            }
            let is_passed = self.bounded().next().is_some_and(|oldest| oldest.last <= self.passed);
            let droppable = self.kept().find(|entry| entry.is_droppable()).map(|entry| entry.last);
            match droppable.filter(|last| !is_passed && *last != self.head) {
                Some(last) => {
                    self.lose(last);
                    shed += 1;
                }
                None => {
                    self.drop_oldest();
                    dropped += 1;
                }
            }
        }
    }

    /// Everyone has everything: only history stays, and nothing droppable is.
    pub(crate) fn thin(&mut self, history: u64) {
        self.passed = self.head;
        self.places
            .iter_mut()
            .filter(|it| it.kept().is_some_and(Entry::is_droppable))
            .for_each(lost);
        self.tidy();
        while self.bounded().count() as u64 > history && !self.waits_for_run(history) {
            self.drop_oldest();
        }
    }

    /// Whether everyone has everything, and a run that lingers holds up what is no history.
    pub(crate) fn waits_for_run(&self, history: u64) -> bool {
        self.passed == self.head
            && self.bounded().count() as u64 > history
            && self.bounded().next().is_some_and(|oldest| oldest.lingers)
    }

    /// The oldest entry that its own bounds are about goes.
    pub(crate) fn drop_oldest(&mut self) {
        let oldest = self.bounded().next().map(|entry| entry.last);
        oldest.into_iter().for_each(|oldest| self.lose(oldest));
    }

    /// The entry that ends at an offset goes.
    pub(crate) fn lose(&mut self, last: u64) {
        self.places.iter_mut().filter(|place| place.last() == last).for_each(lost);
        self.tidy();
    }

    fn of_run(&mut self, run: u64) -> impl Iterator<Item = &mut Entry> {
        self.places.iter_mut().filter_map(move |place| match place {
            Place::Kept(entry) if entry.run == Some(run) => Some(entry),
            _ => None,
        })
    }

    /// A run has ended, with the last entry that there is.
    pub(crate) fn let_go(&mut self, run: u64, lingers: bool) {
        let head = self.head;
        self.of_run(run).for_each(|entry| (entry.ended, entry.lingers) = (Some(head), lingers));
    }

    /// It has lingered.
    pub(crate) fn end_linger(&mut self, run: u64) {
        self.of_run(run).for_each(|entry| entry.lingers = false);
    }

    /// Holes in front are one number; where there are many behind, neighbours become one.
    fn tidy(&mut self) {
        let front = self.places.iter().position(|place| place.kept().is_some());
        for hole in self.places.drain(..front.unwrap_or(self.places.len())) {
            if let Place::Lost { last, .. } = hole {
                self.lost = last;
            }
        }
        let kept = self.kept().count();
        if self.places.len() - kept <= kept + HOLES_APART {
            return;
        }
        let mut merged: Vec<Place> = Vec::new();
        for place in self.places.drain(..) {
            match (&place, merged.last_mut()) {
                (Place::Superseded(_), _) => {}
                (
                    Place::Lost { last: upto, run_ended: later, .. },
                    Some(Place::Lost { last, run_ended, .. }),
                ) => (*last, *run_ended) = (*upto, (*run_ended).max(*later)),
                _ => merged.push(place),
            }
        }
        self.places = merged;
    }
}

/// What is kept there is lost.
fn lost(place: &mut Place) {
    if let Place::Kept(entry) = place {
        let run_ended = entry.ended.unwrap_or(0);
        *place = Place::Lost { first: entry.first(), last: entry.last, run_ended };
    }
}
