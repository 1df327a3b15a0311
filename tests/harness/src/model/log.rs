//! What is still there of a stream: the fate of every entry it ever had, and nothing clever.

use std::collections::BTreeSet;

use headcount::{Class, ConnId};

use super::budget::EvictionClass;
use super::entry::{Bounds, Entry, Reader};

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fate {
    Kept,
    /// Something newer has taken its place: nobody lacks it.
    Superseded,
    Lost,
}

/// What a connection finds behind its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Gap(u64, u64),
    /// The entry that ends at this offset, or the rest of it.
    Entry(u64),
    Nothing,
}

/// One account of what the registry keeps. It is open when exactly the registry finds that everyone
/// has everything, and which streams pay for a budget, so that a stream may have more than one account
/// until it shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Log {
    /// One for each entry.
    fates: Vec<Fate>,
    /// Nobody needs what is up to here: it goes before anything droppable does.
    passed: u64,
    /// What a budget has taken by the call at hand, and how dear it was.
    paid: Vec<(usize, EvictionClass)>,
}

/// What can be seen of it from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shown {
    pub(crate) lost: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Log {
    pub(crate) const fn new() -> Self {
        Self { fates: Vec::new(), passed: 0, paid: Vec::new() }
    }

    pub(crate) const fn passed(&self) -> u64 {
        self.passed
    }

    pub(crate) fn fate(&self, index: usize) -> Fate {
        self.fates[index]
    }

    /// The fate of every entry, without what cannot be seen.
    pub(crate) fn fates(&self) -> &[Fate] {
        &self.fates
    }

    /// The entries that are kept, from the oldest on, by their indexes.
    pub(crate) fn kept(&self) -> impl DoubleEndedIterator<Item = usize> {
        let kept = self.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Kept);
        kept.map(|(index, _)| index)
    }

    /// Those of them that its own bounds are about.
    pub(crate) fn bounded(&self, entries: &[Entry]) -> impl DoubleEndedIterator<Item = usize> {
        self.kept().filter(move |index| !entries[*index].is_held())
    }

    /// Up to here everything is gone.
    pub(crate) fn lost(&self, entries: &[Entry]) -> u64 {
        let front = self.kept().next().unwrap_or(self.fates.len());
        let lost = self.fates[..front].iter().rposition(|fate| *fate == Fate::Lost);
        lost.map_or(0, |index| entries[index].last)
    }

    /// What became of an entry from before the last one lost at the front shows to nobody: whoever
    /// stands before it has lost all up to there.
    pub(crate) fn forget_lost(&mut self, entries: &[Entry]) {
        let lost = self.lost(entries);
        let end = entries.partition_point(|entry| entry.last <= lost);
        self.fates[..end].fill(Fate::Lost);
    }

    pub(crate) fn shown(&self, entries: &[Entry]) -> Shown {
        let bytes = self.kept().map(|index| entries[index].content.cost()).sum();
        Shown { lost: self.lost(entries), messages: self.kept().count() as u64, bytes }
    }

    /// How many fates between the oldest and the newest are none that is kept.
    pub(crate) fn marks(&self) -> u64 {
        let Some(oldest) = self.kept().next() else { return 0 };
        (self.fates.len() - oldest - self.kept().count()) as u64
    }

    /// How many of the entries that are kept wait for a reader.
    pub(crate) fn waiting(&self, entries: &[Entry], reader: &Reader) -> usize {
        let waits = |entry: &Entry| {
            entry.last > reader.cursor
                && reader.gets(entry)
                && !(reader.laggard && entry.is_droppable())
        };
        self.kept().filter(|index| waits(&entries[*index])).count()
    }

    /// Appends the last of the entries; whether it took the place of another.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> bool {
        let class = entries.last().map(|entry| entry.class.clone());
        let same = |index: &usize| Some(&entries[*index].class) == class.as_ref();
        let old = match class {
            Some(Class::Latest(_)) => self.kept().find(same),
            _ => None,
        };
        if let Some(old) = old {
            self.fates[old] = Fate::Superseded;
        }
        self.fates.push(Fate::Kept);
        old.is_some()
    }

    /// An entry that is not kept for anybody.
    pub(crate) fn pass_over(&mut self, entries: &[Entry]) {
        self.fates.push(Fate::Lost);
        self.passed = entries.last().map_or(0, |entry| entry.last);
    }

    /// A member takes a seat there.
    pub(crate) fn sit(&mut self, cursor: u64) {
        self.passed = self.passed.min(cursor);
    }

    /// Lets go what there is no room for; what went from the front, and what out of the middle.
    pub(crate) fn trim(&mut self, entries: &[Entry], bounds: &Bounds) -> (u64, u64) {
        let (mut dropped, mut shed) = (0, 0);
        loop {
            let bounded: Vec<_> = self.bounded(entries).collect();
            let count = bounded.len() as u64;
            let bytes = bounded.iter().map(|index| entries[*index].content.cost()).sum::<u64>();
            if count <= bounds.messages && (bytes <= bounds.bytes || count <= 1) {
                return (dropped, shed);
            }
            let newest = entries.len() - 1;
            let droppable = bounded.iter().find(|index| entries[**index].is_droppable());
            match droppable.filter(|index| **index != newest) {
                Some(droppable) if entries[bounded[0]].last > self.passed => {
                    self.fates[*droppable] = Fate::Lost;
                    shed += 1;
                }
                _ => {
                    self.fates[bounded[0]] = Fate::Lost;
                    dropped += 1;
                }
            }
        }
    }

    /// Everyone has everything: only history stays.
    pub(crate) fn thin(&mut self, entries: &[Entry], history: u64) {
        for index in self.kept().collect::<Vec<_>>() {
            if entries[index].is_droppable() {
                self.fates[index] = Fate::Lost;
            }
        }
        let bounded: Vec<_> = self.bounded(entries).collect();
        let excess = bounded.len().saturating_sub(history as usize);
        for index in &bounded[..excess] {
            self.fates[*index] = Fate::Lost;
        }
        self.passed = entries.last().map_or(0, |entry| entry.last);
    }

    /// The oldest entry that its own bounds are about goes.
    pub(crate) fn drop_oldest(&mut self, entries: &[Entry]) {
        let oldest = self.bounded(entries).next();
        if let Some(oldest) = oldest {
            self.fates[oldest] = Fate::Lost;
        }
    }

    /// What a budget takes next, but for an entry that it spares.
    pub(crate) fn payable(&self, entries: &[Entry], spared: Option<usize>) -> Option<usize> {
        let other = |index: &usize| Some(*index) != spared;
        let ordinary = self.bounded(entries).next().filter(other);
        ordinary.or_else(|| self.kept().next().filter(other))
    }

    /// A budget has taken an entry.
    pub(crate) fn pay(&mut self, index: usize, class: EvictionClass) {
        self.fates[index] = Fate::Lost;
        self.paid.push((index, class));
    }

    pub(crate) fn paid(&self) -> &[(usize, EvictionClass)] {
        &self.paid
    }

    pub(crate) fn forget_paid(&mut self) {
        self.paid.clear();
    }

    /// What a connection finds behind its cursor: a laggard passes over what is droppable, and is
    /// told of all that it loses before its next entry at once.
    pub(crate) fn next(&self, entries: &[Entry], reader: &Reader) -> Next {
        let (cursor, lost) = (reader.cursor, self.lost(entries));
        let mut gap = (cursor < lost).then_some((cursor + 1, lost));
        let start = entries.partition_point(|entry| entry.last <= cursor.max(lost));
        for (entry, fate) in entries.iter().zip(&self.fates).skip(start) {
            let handed = *fate == Fate::Kept && reader.gets(entry);
            let loses = match fate {
                _ if reader.tells_rest && entry.last <= reader.late_until => !handed,
                Fate::Superseded => continue,
                // None of what it joined too late for is its loss.
                Fate::Lost if !reader.misses(entry) => continue,
                Fate::Lost => true,
                Fate::Kept if !reader.gets(entry) => continue,
                Fate::Kept => reader.laggard && entry.is_droppable(),
            };
            match (loses, gap) {
                (true, None) => gap = Some((entry.first().max(cursor + 1), entry.last)),
                (true, Some((from, _))) => gap = Some((from, entry.last)),
                (false, None) => return Next::Entry(entry.last),
                (false, Some(_)) => break,
            }
        }
        gap.map_or(Next::Nothing, |(from, to)| Next::Gap(from, to))
    }

    /// Whether a laggard is told of a gap on its way to the head, and how many entries it is handed.
    pub(crate) fn outlook(&self, entries: &[Entry], cursor: u64, conn: ConnId) -> (bool, u32) {
        let mut reader = Reader { conn, cursor, laggard: true, late_until: 0, tells_rest: false };
        let (mut loses, mut handed) = (false, 0);
        loop {
            reader.cursor = match self.next(entries, &reader) {
                Next::Nothing => return (loses, handed),
                Next::Gap(_, to) => {
                    loses = true;
                    to
                }
                Next::Entry(offset) => {
                    handed += 1;
                    offset
                }
            };
        }
    }
}

/// The accounts that differ.
pub(crate) fn distinct(logs: impl IntoIterator<Item = Log>) -> Vec<Log> {
    logs.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
