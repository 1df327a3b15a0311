//! The bounded log of one stream.
//!
//! Entries stand in order of their offsets. What is taken out in the middle leaves a tombstone, so that
//! a cursor knows whether it passes over something that is lost (`Lost`) or over something that a
//! newer entry has replaced (`Superseded`). The front is never a tombstone: what is lost there is one
//! number.

mod entry;
mod kept;
mod read;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::{BuildHasher, Hash, Hasher};

use smallvec::SmallVec;

use crate::except::LeftOut;
use crate::id::Key;
use crate::message::Message;
use crate::snapshot::encoded;
use crate::store::{KEPT, Rare, Steps, shrunk};
use crate::time::Timestamp;

use self::entry::What;
pub(crate) use self::entry::{
    Content, Entry, Event, EventTag, Freed, Group, GroupKey, Late, NAME_COST, Reader, Text,
    TextIndex,
};
pub(crate) use self::kept::Kept;
use self::kept::Keys;
pub(crate) use self::read::Next;

/// How much a log may hold.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
    /// How many entries stay once every member was handed them.
    pub(crate) history: u32,
}

/// What an edit let go of groups, in its order.
pub(crate) type FreedEntries = SmallVec<[Freed; 4]>;

#[derive(Clone)]
pub(crate) struct Log {
    /// The offset that was given out last; 0 before the first.
    head: u64,
    /// The last offset that is gone from the front: a cursor below it has lost something.
    lost: u64,
    /// What there is of entries: not there while there is none.
    kept: Rare<Kept>,
    /// An entry that a search passes is a step.
    steps: Steps,
}

encoded! { struct Log { head, lost, kept, steps } }

/// An index of keys with room for more than these gives most of its memory back when less than a fourth
/// of it is used.
pub(crate) const KEYS_KEPT: usize = 14;

/// Tombstones beyond the number of messages, and these, are compacted: a log of few entries is not worth
/// the work.
pub(crate) const TOMBSTONES_KEPT: usize = 16;

impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { head, lost, kept, steps: _ } = self;
        (head, lost, kept).hash(state);
    }
}

impl Log {
    pub(crate) const fn new() -> Self {
        Self { head: 0, lost: 0, kept: Rare::new(), steps: Steps::new() }
    }

    /// What it was taken through.
    pub(crate) const fn steps(&self) -> &Steps {
        &self.steps
    }

    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.kept.bytes
    }

    /// How many entries it holds.
    pub(crate) fn len(&self) -> usize {
        self.kept.live as usize
    }

    /// How many of these are of open groups.
    pub(crate) fn pinned(&self) -> usize {
        self.kept.pinned.entries as usize
    }

    /// How many of these its own bounds are about.
    pub(crate) fn bounded(&self) -> usize {
        (self.kept.live - self.kept.pinned.entries) as usize
    }

    /// The last offset that was ever lost, in front or in the middle.
    fn last_lost(&self) -> u64 {
        self.kept.last_lost.max(self.lost)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.live == 0
    }

    /// How many tombstones it holds.
    pub(crate) fn tombstones(&self) -> usize {
        self.kept.entries.len() - self.kept.live as usize
    }

    /// The oldest entry that its own bounds are about.
    pub(crate) fn oldest(&self) -> Option<&Entry> {
        self.kept.entries.get(self.oldest_bounded()?)
    }

    /// The oldest entry.
    pub(crate) fn front(&self) -> Option<&Entry> {
        self.kept.entries.front()
    }

    fn oldest_bounded(&self) -> Option<usize> {
        if self.bounded() == 0 {
            return None;
        }
        if self.pinned() == 0 {
            // The front is no tombstone.
            return Some(0);
        }
        let start = self.index_after(self.kept.bounded_from.saturating_sub(1));
        let found =
            self.steps.count(self.kept.entries.range(start..)).position(Entry::is_bounded)?;
        Some(start + found)
    }

    /// Messages and tombstones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.kept.entries.iter()
    }

    /// The index of the first entry behind a cursor.
    fn index_after(&self, cursor: u64) -> usize {
        let entries = &self.kept.entries;
        let is_behind = |index: usize| entries.get(index).is_some_and(|it| it.offset > cursor);
        // Nearly every reader stands at the end or one before it.
        match entries.len() {
            0 => 0,
            len if !is_behind(len - 1) => len,
            len if len < 2 || !is_behind(len - 2) => len - 1,
            _ => entries.partition_point(|entry| entry.offset <= cursor),
        }
    }

    /// Gives an offset to something that is not kept: lost for clients that come back.
    pub(crate) fn pass_over(&mut self) {
        self.head += 1;
        if self.is_empty() {
            self.lost = self.head;
            return;
        }
        self.kept.last_lost = self.head;
        match self.kept.entries.back_mut() {
            Some(Entry { offset, what: What::Lost { .. }, .. }) => *offset = self.head,
            _ => self.kept.entries.push_back(Entry {
                offset: self.head,
                at: Timestamp::ZERO,
                what: What::Lost { from: self.head, closed_at: 0 },
            }),
        }
    }

    /// Appends. A message with a key takes the place of the one before it. The seed is that of the
    /// registry: keys may come from outside.
    pub(crate) fn append(
        &mut self,
        at: Timestamp,
        message: Message,
        left_out: Option<LeftOut>,
        seed: u64,
    ) -> u64 {
        let offset = self.head + 1;
        let has_key = message.key().is_some();
        if let Some(key) = message.key() {
            let kept = &mut *self.kept;
            let keys = kept.keys.get_or_insert_with(|| Box::new(Keys::new(seed)));
            let hash = keys.hasher.hash_one(key);
            let entries = &kept.entries;
            let index_of = |newest: u64| entries.partition_point(|entry| entry.offset < newest);
            let same = |(_, newest): &(u64, u64)| {
                entries[index_of(*newest)].message().and_then(Message::key) == Some(key)
            };
            if let Some((_, newest)) = keys.newest.find_mut(hash, same) {
                let old = index_of(core::mem::replace(newest, offset));
                // A message is of no group.
                self.take(old);
            } else {
                keys.newest.insert_unique(hash, (hash, offset), |(hash, _)| *hash);
            }
        }
        if message.is_droppable() {
            let kept = &mut *self.kept;
            if kept.droppable == 0 {
                kept.droppable_from = offset;
            }
            kept.droppable += 1;
        }
        self.push(Entry { offset, at, what: What::Message(message, left_out) });
        if has_key {
            self.tidy();
            // It may have replaced the oldest: what open groups hold behind that is passed over once.
            if let Some(oldest) = self.oldest_bounded() {
                self.kept.bounded_from = self.kept.entries[oldest].offset;
            }
        }
        offset
    }

    /// Appends an event of an open group.
    pub(crate) fn append_event(&mut self, at: Timestamp, event: Event) -> u64 {
        let offset = self.head + 1;
        self.push(Entry { offset, at, what: What::Event(event) });
        offset
    }

    /// Whether the last entry is a stretch of this text, which more of it makes longer.
    pub(crate) fn ends_with(&self, group: GroupKey, text: TextIndex) -> bool {
        self.kept.entries.back().is_some_and(|entry| entry.is_of_text(group, text))
    }

    /// Appends to a text of an open group: an entry of its own, unless the log [ends
    /// with](Self::ends_with) it.
    pub(crate) fn append_text(&mut self, at: Timestamp, text: Text) {
        let bytes = u64::from(text.bytes);
        if self.ends_with(text.group.key, text.text)
            && let Some(Entry { offset, at: said, what: What::Text(last) }) =
                self.kept.entries.back_mut()
        {
            *offset += bytes;
            // What was said just now must not be too old for what was said before it.
            *said = at;
            last.bytes += text.bytes;
            self.head += bytes;
            self.kept.bytes += bytes;
            self.kept.pinned.bytes += bytes;
            return;
        }
        let offset = self.head + bytes;
        self.push(Entry { offset, at, what: What::Text(text) });
    }

    fn push(&mut self, entry: Entry) {
        let cost = entry.cost();
        self.head = entry.offset;
        let kept = &mut *self.kept;
        kept.live += 1;
        kept.bytes += cost;
        if entry.is_pinned() {
            kept.pinned.entries += 1;
            kept.pinned.bytes += cost;
        } else if kept.live - kept.pinned.entries == 1 {
            kept.bounded_from = entry.offset;
        }
        kept.entries.push_back(entry);
    }

    /// Closes a group: the bounds are about its entries from now on, and if it does not linger they are
    /// history like others. The first of them is at this offset.
    pub(crate) fn close_group(&mut self, group: GroupKey, from: u64, lingers: bool) {
        if !self.kept.is_there() {
            return;
        }
        let start = self.index_after(from.saturating_sub(1));
        let Kept { entries, pinned, bounded_from, .. } = &mut *self.kept;
        for entry in self.steps.count(entries.range_mut(start..)) {
            if entry.close(group, self.head, lingers) {
                pinned.entries -= 1;
                pinned.bytes -= entry.cost();
            }
        }
        *bounded_from = (*bounded_from).min(from);
    }

    /// The entries of a closed group, from the one at this offset on, are history like others. Returns how
    /// many entries it has looked at.
    pub(crate) fn end_linger(&mut self, group: GroupKey, from: u64) -> u64 {
        if !self.kept.is_there() {
            return 0;
        }
        let start = self.index_after(from.saturating_sub(1));
        for entry in self.steps.count(self.kept.entries.range_mut(start..)) {
            entry.end_linger(group);
        }
        (self.kept.entries.len() - start) as u64
    }

    /// Whether more entries than this are history, and the oldest of them may go: trimming goes in their
    /// order, and waits for a group that lingers.
    pub(crate) fn exceeds_history(&self, history: u32) -> bool {
        self.bounded() > history as usize && !self.oldest().is_some_and(Entry::lingers)
    }

    /// Whether nothing goes once every member was handed everything, with so much history.
    pub(crate) fn is_trimmed(&self, history: u32) -> bool {
        self.kept.droppable == 0 && self.bounded() <= history as usize
    }

    /// Whether something has to go. One entry of any size may stay while it is the only one.
    pub(crate) fn exceeds(&self, bounds: Bounds) -> bool {
        let (entries, bytes) = (self.bounded(), self.kept.bytes - self.kept.pinned.bytes);
        entries > bounds.messages as usize || (bytes > bounds.bytes && entries > 1)
    }

    /// Lets one entry go, never the newest: the oldest if everybody has `passed` it, or else the
    /// oldest droppable one, or else the oldest.
    pub(crate) fn make_room(&mut self, passed: u64, freed: &mut FreedEntries) {
        let newest = self.head;
        let oldest_passed = self.oldest().is_some_and(|oldest| oldest.offset <= passed);
        if !oldest_passed
            && let Some(index) = self.oldest_droppable()
            && self.kept.entries[index].offset != newest
        {
            self.remove_lost(index, freed);
        } else {
            self.drop_oldest(freed);
        }
    }

    fn oldest_droppable(&mut self) -> Option<usize> {
        if self.kept.droppable == 0 {
            return None;
        }
        let start = self.index_after(self.kept.droppable_from.saturating_sub(1));
        let found =
            self.steps.count(self.kept.entries.range(start..)).position(Entry::is_droppable)?;
        self.kept.droppable_from = self.kept.entries[start + found].offset;
        Some(start + found)
    }

    /// Removes the oldest entry that its own bounds are about.
    pub(crate) fn drop_oldest(&mut self, freed: &mut FreedEntries) {
        if let Some(index) = self.oldest_bounded() {
            self.kept.bounded_from = self.kept.entries[index].offset;
            self.remove_lost(index, freed);
        }
    }

    /// Removes the oldest entry, pinned or not.
    pub(crate) fn drop_front(&mut self, freed: &mut FreedEntries) {
        if !self.kept.entries.is_empty() {
            self.remove_lost(0, freed);
        }
    }

    /// Sheds droppable messages: everybody has them, and they are never history.
    pub(crate) fn drop_droppable(&mut self) {
        for index in (0..self.kept.entries.len()).rev() {
            if self.kept.droppable == 0 {
                break;
            }
            self.steps.take();
            if self.kept.entries[index].is_droppable() {
                // A message is of no group.
                let _ = self.remove_as_lost(index);
            }
        }
        self.tidy();
    }

    fn remove_lost(&mut self, index: usize, freed: &mut FreedEntries) {
        freed.extend(self.remove_as_lost(index));
        self.tidy();
    }

    fn remove_as_lost(&mut self, index: usize) -> Option<Freed> {
        let tombstone = self.kept.entries[index].tombstone();
        let freed = self.take(index);
        let Kept { entries, last_lost, .. } = &mut *self.kept;
        let entry = &mut entries[index];
        *last_lost = (*last_lost).max(entry.offset);
        entry.what = tombstone;
        freed
    }

    /// Takes out what is in an entry, which is a tombstone from then on.
    fn take(&mut self, index: usize) -> Option<Freed> {
        let kept = &mut *self.kept;
        let entry = &mut kept.entries[index];
        let (offset, cost, is_pinned) = (entry.offset, entry.cost(), entry.is_pinned());
        let what = core::mem::replace(&mut entry.what, What::Superseded);
        kept.live -= 1;
        kept.bytes -= cost;
        if is_pinned {
            kept.pinned.entries -= 1;
            kept.pinned.bytes -= cost;
        }
        match what {
            What::Message(message, _) => {
                kept.droppable -= u32::from(message.is_droppable());
                if let Some(key) = message.key() {
                    self.forget_key(key, offset);
                }
                None
            }
            What::Event(event) => Some(Freed { group: event.group.key, text: None }),
            What::Text(text) => {
                Some(Freed { group: text.group.key, text: Some((text.text, text.bytes)) })
            }
            What::Superseded | What::Lost { .. } => None,
        }
    }

    fn forget_key(&mut self, key: &Key, offset: u64) {
        let Some(keys) = &mut self.kept.keys else { return };
        let hash = keys.hasher.hash_one(key);
        // Its successor has its place already, if it has one.
        if let Ok(found) = keys.newest.find_entry(hash, |(_, newest)| *newest == offset) {
            found.remove();
        }
        let (len, room) = (keys.newest.len(), keys.newest.capacity());
        if len == 0 {
            self.kept.keys = None;
        } else if let Some(places) = shrunk(len, room, KEYS_KEPT) {
            keys.newest.shrink_to(places, |(hash, _)| *hash);
        }
    }

    /// Marks at the front become one number, and when there are many in the middle neighbours
    /// become one. An empty log gives its memory back, and a mostly empty one most of it.
    fn tidy(&mut self) {
        if !self.kept.is_there() {
            return;
        }
        while let Some(Entry { offset, what, .. }) = self.kept.entries.front() {
            match what {
                What::Message(..) | What::Event(_) | What::Text(_) => break,
                What::Superseded => {}
                What::Lost { .. } => self.lost = *offset,
            }
            self.kept.entries.pop_front();
        }
        if self.tombstones() > self.len() + TOMBSTONES_KEPT {
            let mut kept: VecDeque<Entry> = VecDeque::with_capacity(self.len() + TOMBSTONES_KEPT);
            for entry in self.steps.count(self.kept.entries.drain(..)) {
                match (&entry.what, kept.back_mut()) {
                    (What::Superseded, _) => {}
                    (
                        What::Lost { closed_at: later, .. },
                        Some(Entry { offset, what: What::Lost { closed_at, .. }, .. }),
                    ) => {
                        *offset = entry.offset;
                        *closed_at = (*closed_at).max(*later);
                    }
                    _ => kept.push_back(entry),
                }
            }
            self.kept.entries = kept;
        }
        if self.kept.entries.is_empty() {
            // All that was lost is lost in front.
            debug_assert!(self.kept.last_lost <= self.lost, "a loss behind the last entry");
            self.kept.clear();
        } else if let Some(places) =
            shrunk(self.kept.entries.len(), self.kept.entries.capacity(), KEPT)
        {
            self.kept.entries.shrink_to(places);
        }
    }
}

#[cfg(test)]
mod tests;
