//! What a cursor finds in a log.

use super::Log;
use super::entry::{Entry, GroupKey, Late, Reader, What};

/// What a cursor finds next.
#[derive(Clone, Copy)]
pub(crate) enum Next<'a> {
    /// These offsets are lost for it.
    Gap {
        from: u64,
        to: u64,
    },
    Entry(&'a Entry),
    Nothing,
}

impl Log {
    /// The entries behind a cursor, tombstones included.
    fn behind(&self, cursor: u64) -> impl Iterator<Item = &Entry> {
        self.steps.count(self.kept.entries.range(self.index_after(cursor)..))
    }

    /// The entries of a group, of which the first is at this offset.
    pub(crate) fn of_group(&self, group: GroupKey, first: u64) -> impl Iterator<Item = &Entry> {
        let of_group = move |entry: &&Entry| entry.group().is_some_and(|other| other.key == group);
        self.behind(first.saturating_sub(1)).filter(of_group)
    }

    /// The first entry behind a cursor.
    pub(crate) fn after(&self, cursor: u64) -> Option<&Entry> {
        self.behind(cursor).find(|entry| !entry.is_tombstone())
    }

    /// How far so many entries behind a cursor reach, holes among them: the offset of the last of them, or
    /// the head.
    pub(crate) fn reach(&self, cursor: u64, entries: usize) -> u64 {
        let last = self.kept.entries.get(self.index_after(cursor) + entries - 1);
        last.map_or(self.head, |entry| entry.offset)
    }

    /// How many entries are kept behind a cursor.
    pub(crate) fn count_after(&self, cursor: u64) -> u32 {
        self.behind(cursor).filter(|entry| !entry.is_tombstone()).count() as u32
    }

    pub(crate) fn get(&self, offset: u64) -> Option<&Entry> {
        let entry = self.kept.entries.get(self.index_after(offset.checked_sub(1)?))?;
        (entry.offset == offset && !entry.is_tombstone()).then_some(entry)
    }

    /// The last offset that is lost before an entry, and behind the message before it: who has that
    /// message, and stands before the answer, has lost something. Asked for the offset after the
    /// head, it is about the end of the log.
    pub(crate) fn lost_before(&self, offset: u64) -> u64 {
        let before = self.kept.entries.range(..self.index_after(offset.saturating_sub(1)));
        for entry in self.steps.count(before).rev() {
            match entry.what {
                What::Superseded => {}
                What::Lost { .. } => return entry.offset,
                What::Message(..) | What::Event(_) | What::Text(_) => break,
            }
        }
        self.lost
    }

    /// How many of the entries behind a cursor a reader is handed, if none is lost before.
    pub(crate) fn waiting(&self, cursor: u64, reader: &Reader<'_>) -> u32 {
        self.behind(cursor).filter(|entry| reader.is_handed(entry)).count() as u32
    }

    /// What a reader finds behind its cursor. What it loses up to the next entry is one gap.
    pub(crate) fn next(&self, cursor: u64, reader: &Reader<'_>) -> Next<'_> {
        let Late { until, closed_after, tells_rest, .. } = reader.late;
        let mut gap = (cursor < self.lost).then_some((cursor + 1, self.lost));
        let mut next = None;
        for entry in self.behind(cursor) {
            let (from, to) = match &entry.what {
                // Up to where it joined late, only groups that were open late enough are its business.
                What::Lost { closed_at, .. }
                    if entry.offset <= until && *closed_at <= closed_after =>
                {
                    continue;
                }
                What::Lost { from, .. } => ((*from).max(cursor + 1), entry.offset),
                _ if reader.is_handed(entry) => {
                    next = Some(entry);
                    break;
                }
                // Nor is what a newer entry has replaced for any reader.
                _ if !reader.is_for_it(entry) => continue,
                _ => (entry.offset, entry.offset),
            };
            gap = Some((gap.map_or(from, |(from, _)| from), to));
        }
        if tells_rest {
            let rest = next.map_or(until, |entry| entry.begins_after().min(until));
            if cursor < rest {
                gap = Some((cursor + 1, gap.map_or(rest, |(_, to)| to.max(rest))));
            }
        }
        match (gap, next) {
            (Some((from, to)), _) => Next::Gap { from, to },
            (None, Some(entry)) => Next::Entry(entry),
            (None, None) => Next::Nothing,
        }
    }

    /// Whether a reader would be told of a gap on its way to the head.
    pub(crate) fn loses(&self, cursor: u64, reader: &Reader<'_>) -> bool {
        let is_passed_over = |entry: &Entry| entry.is_droppable() && reader.is_for_it(entry);
        let from = cursor.max(self.kept.droppable_from.saturating_sub(1));
        cursor < self.last_lost()
            || (reader.laggard && self.kept.droppable > 0 && self.behind(from).any(is_passed_over))
    }
}
