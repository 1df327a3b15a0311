//! The bounded log of one stream.
//!
//! Entries stand in order of their offsets. What is taken out in the middle leaves a tombstone, so that
//! a cursor knows whether it passes over something that is lost (`Lost`) or over something that a
//! newer entry has replaced (`Superseded`). The front is never a tombstone: what is lost there is one
//! number.

mod entry;
mod read;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::except::LeftOut;
use crate::id::Key;
use crate::message::Message;
use crate::store::{KEPT, Steps, hash_unordered, shrunk};
use crate::time::Timestamp;

use self::entry::What;
pub(crate) use self::entry::{
    Content, Entry, Event, EventTag, Freed, Group, GroupKey, Late, NAME_COST, Reader, Text,
    TextIndex,
};
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

/// The newest entry of each key.
#[derive(Clone)]
struct Keys {
    hasher: FixedState,
    /// The hash of the key beside the offset of its entry.
    newest: HashTable<(u64, u64)>,
}

/// What the bounds of a log pass over.
#[derive(Clone, Copy, Hash)]
struct Pinned {
    entries: u32,
    /// The cost of these.
    bytes: u64,
}

#[derive(Clone)]
pub(crate) struct Log {
    /// Messages, what belongs to groups, and tombstones; the newest at the back.
    entries: VecDeque<Entry>,
    /// How many of the entries are no tombstones.
    live: u32,
    /// The cost of these.
    bytes: u64,
    /// Entries of open groups: exempt from this log's bounds.
    pinned: Pinned,
    /// Lower bound for the search in `oldest`: every entry before this offset is pinned or a
    /// tombstone.
    bounded_from: u64,
    /// How many are droppable.
    droppable: u32,
    /// No droppable message is before this offset.
    droppable_from: u64,
    /// The offset that was given out last; 0 before the first.
    head: u64,
    /// The last offset that is gone from the front: a cursor below it has lost something.
    lost: u64,
    /// The last offset that was ever lost, in front or in the middle.
    last_lost: u64,
    /// `None` while no message has a key.
    keys: Option<Box<Keys>>,
    /// An entry that a search passes is a step.
    steps: Steps,
}

/// An index of keys with room for more than these gives most of its memory back when less than a fourth
/// of it is used.
pub(crate) const KEYS_KEPT: usize = 14;

/// Tombstones beyond the number of messages, and these, are compacted: a log of few entries is not worth
/// the work.
pub(crate) const TOMBSTONES_KEPT: usize = 16;

impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { entries, live, bytes, pinned, bounded_from, .. } = self;
        let Self { droppable, droppable_from, head, lost, last_lost, keys, .. } = self;
        (entries, live, bytes, pinned, bounded_from).hash(state);
        (droppable, droppable_from, head, lost, last_lost).hash(state);
        keys.is_some().hash(state);
        if let Some(keys) = keys {
            hash_unordered(keys.newest.iter(), state);
        }
    }
}

impl Log {
    pub(crate) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            live: 0,
            bytes: 0,
            pinned: Pinned { entries: 0, bytes: 0 },
            bounded_from: 0,
            droppable: 0,
            droppable_from: 0,
            head: 0,
            lost: 0,
            last_lost: 0,
            keys: None,
            steps: Steps::new(),
        }
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

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many entries it holds.
    pub(crate) const fn len(&self) -> usize {
        self.live as usize
    }

    /// How many of these are of open groups.
    pub(crate) const fn pinned(&self) -> usize {
        self.pinned.entries as usize
    }

    /// How many of these its own bounds are about.
    pub(crate) const fn bounded(&self) -> usize {
        (self.live - self.pinned.entries) as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// How many tombstones it holds.
    pub(crate) fn tombstones(&self) -> usize {
        self.entries.len() - self.live as usize
    }

    /// The oldest entry that its own bounds are about.
    pub(crate) fn oldest(&self) -> Option<&Entry> {
        self.entries.get(self.oldest_bounded()?)
    }

    /// The oldest entry.
    pub(crate) fn front(&self) -> Option<&Entry> {
        self.entries.front()
    }

    fn oldest_bounded(&self) -> Option<usize> {
        if self.bounded() == 0 {
            return None;
        }
        let start = self.index_after(self.bounded_from.saturating_sub(1));
        let found = self.steps.count(self.entries.range(start..)).position(Entry::is_bounded)?;
        Some(start + found)
    }

    /// Messages and tombstones.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The index of the first entry behind a cursor.
    fn index_after(&self, cursor: u64) -> usize {
        // Nearly every reader stands at the end or one before it.
        match self.entries.back() {
            Some(last) if last.offset > cursor => {
                self.entries.partition_point(|entry| entry.offset <= cursor)
            }
            _ => self.entries.len(),
        }
    }

    /// Gives an offset to something that is not kept: lost for clients that come back.
    pub(crate) fn pass_over(&mut self) {
        self.head += 1;
        self.last_lost = self.head;
        if self.live == 0 {
            self.lost = self.head;
            return;
        }
        match self.entries.back_mut() {
            Some(Entry { offset, what: What::Lost { .. }, .. }) => *offset = self.head,
            _ => self.entries.push_back(Entry {
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
            let keys = self.keys.get_or_insert_with(|| {
                let hasher = FixedState::with_seed(seed);
                Box::new(Keys { hasher, newest: HashTable::new() })
            });
            let hash = keys.hasher.hash_one(key);
            let entries = &self.entries;
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
            if self.droppable == 0 {
                self.droppable_from = offset;
            }
            self.droppable += 1;
        }
        self.push(Entry { offset, at, what: What::Message(message, left_out) });
        // It may have replaced the oldest: what open groups hold behind that is passed over once.
        if has_key && let Some(oldest) = self.oldest_bounded() {
            self.bounded_from = self.entries[oldest].offset;
        }
        self.tidy();
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
        self.entries.back().is_some_and(|entry| entry.is_of_text(group, text))
    }

    /// Appends to a text of an open group: an entry of its own, unless the log [ends
    /// with](Self::ends_with) it.
    pub(crate) fn append_text(&mut self, at: Timestamp, text: Text) {
        let bytes = u64::from(text.bytes);
        if self.ends_with(text.group.key, text.text)
            && let Some(Entry { offset, at: said, what: What::Text(last) }) =
                self.entries.back_mut()
        {
            *offset += bytes;
            // What was said just now must not be too old for what was said before it.
            *said = at;
            last.bytes += text.bytes;
            self.head += bytes;
            self.bytes += bytes;
            self.pinned.bytes += bytes;
            return;
        }
        let offset = self.head + bytes;
        self.push(Entry { offset, at, what: What::Text(text) });
    }

    fn push(&mut self, entry: Entry) {
        let cost = entry.cost();
        self.head = entry.offset;
        self.live += 1;
        self.bytes += cost;
        if entry.is_pinned() {
            self.pinned.entries += 1;
            self.pinned.bytes += cost;
        } else if self.bounded() == 1 {
            self.bounded_from = entry.offset;
        }
        self.entries.push_back(entry);
    }

    /// Closes a group: the bounds are about its entries from now on, and if it does not linger they are
    /// history like others. The first of them is at this offset.
    pub(crate) fn close_group(&mut self, group: GroupKey, from: u64, lingers: bool) {
        let start = self.index_after(from.saturating_sub(1));
        for entry in self.steps.count(self.entries.range_mut(start..)) {
            if entry.close(group, self.head, lingers) {
                self.pinned.entries -= 1;
                self.pinned.bytes -= entry.cost();
            }
        }
        self.bounded_from = self.bounded_from.min(from);
    }

    /// The entries of a closed group, from the one at this offset on, are history like others. Returns how
    /// many entries it has looked at.
    pub(crate) fn end_linger(&mut self, group: GroupKey, from: u64) -> u64 {
        let start = self.index_after(from.saturating_sub(1));
        for entry in self.steps.count(self.entries.range_mut(start..)) {
            entry.end_linger(group);
        }
        (self.entries.len() - start) as u64
    }

    /// Whether more entries than this are history, and the oldest of them may go: trimming goes in their
    /// order, and waits for a group that lingers.
    pub(crate) fn exceeds_history(&self, history: u32) -> bool {
        self.bounded() > history as usize && !self.oldest().is_some_and(Entry::lingers)
    }

    /// Whether something has to go. One entry of any size may stay while it is the only one.
    pub(crate) const fn exceeds(&self, bounds: Bounds) -> bool {
        let (entries, bytes) = (self.bounded(), self.bytes - self.pinned.bytes);
        entries > bounds.messages as usize || (bytes > bounds.bytes && entries > 1)
    }

    /// Lets one entry go, never the newest: the oldest if everybody has `passed` it, or else the
    /// oldest droppable one, or else the oldest.
    pub(crate) fn make_room(&mut self, passed: u64, freed: &mut FreedEntries) {
        let newest = self.head;
        let oldest_passed = self.oldest().is_some_and(|oldest| oldest.offset <= passed);
        if !oldest_passed
            && let Some(index) = self.oldest_droppable()
            && self.entries[index].offset != newest
        {
            self.remove_lost(index, freed);
        } else {
            self.drop_oldest(freed);
        }
    }

    fn oldest_droppable(&mut self) -> Option<usize> {
        if self.droppable == 0 {
            return None;
        }
        let start = self.index_after(self.droppable_from.saturating_sub(1));
        let found = self.steps.count(self.entries.range(start..)).position(Entry::is_droppable)?;
        self.droppable_from = self.entries[start + found].offset;
        Some(start + found)
    }

    /// Removes the oldest entry that its own bounds are about.
    pub(crate) fn drop_oldest(&mut self, freed: &mut FreedEntries) {
        if let Some(index) = self.oldest_bounded() {
            self.bounded_from = self.entries[index].offset;
            self.remove_lost(index, freed);
        }
    }

    /// Removes the oldest entry, pinned or not.
    pub(crate) fn drop_front(&mut self, freed: &mut FreedEntries) {
        if !self.entries.is_empty() {
            self.remove_lost(0, freed);
        }
    }

    /// Sheds droppable messages: everybody has them, and they are never history.
    pub(crate) fn drop_droppable(&mut self) {
        let mut index = self.entries.len();
        while self.droppable > 0 && index > 0 {
            index -= 1;
            self.steps.take();
            if self.entries[index].is_droppable() {
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
        let tombstone = self.entries[index].tombstone();
        let freed = self.take(index);
        let entry = &mut self.entries[index];
        self.last_lost = self.last_lost.max(entry.offset);
        entry.what = tombstone;
        freed
    }

    /// Takes out what is in an entry, which is a tombstone from then on.
    fn take(&mut self, index: usize) -> Option<Freed> {
        let entry = &mut self.entries[index];
        let (offset, cost, is_pinned) = (entry.offset, entry.cost(), entry.is_pinned());
        let what = core::mem::replace(&mut entry.what, What::Superseded);
        self.live -= 1;
        self.bytes -= cost;
        if is_pinned {
            self.pinned.entries -= 1;
            self.pinned.bytes -= cost;
        }
        match what {
            What::Message(message, _) => {
                self.droppable -= u32::from(message.is_droppable());
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
        let Some(keys) = &mut self.keys else { return };
        let hash = keys.hasher.hash_one(key);
        // Its successor has its place already, if it has one.
        if let Ok(found) = keys.newest.find_entry(hash, |(_, newest)| *newest == offset) {
            found.remove();
        }
        let (len, room) = (keys.newest.len(), keys.newest.capacity());
        if len == 0 {
            self.keys = None;
        } else if let Some(places) = shrunk(len, room, KEYS_KEPT) {
            keys.newest.shrink_to(places, |(hash, _)| *hash);
        }
    }

    /// Marks at the front become one number, and when there are many in the middle neighbours
    /// become one. An empty log gives its memory back, and a mostly empty one most of it.
    fn tidy(&mut self) {
        while let Some(Entry { offset, what, .. }) = self.entries.front() {
            match what {
                What::Message(..) | What::Event(_) | What::Text(_) => break,
                What::Superseded => {}
                What::Lost { .. } => self.lost = *offset,
            }
            self.entries.pop_front();
        }
        if self.tombstones() > self.len() + TOMBSTONES_KEPT {
            let mut kept: VecDeque<Entry> = VecDeque::with_capacity(self.len() + TOMBSTONES_KEPT);
            for entry in self.steps.count(self.entries.drain(..)) {
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
            self.entries = kept;
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        } else if let Some(places) = shrunk(self.entries.len(), self.entries.capacity(), KEPT) {
            self.entries.shrink_to(places);
        }
    }
}

#[cfg(test)]
mod tests;
