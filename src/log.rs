//! The bounded log of one stream.

use alloc::collections::VecDeque;

use crate::action::Message;
use crate::time::Timestamp;

/// How much a log may hold.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
    /// How many entries stay once every member was handed them.
    pub(crate) history: u32,
}

pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) at: Timestamp,
    pub(crate) message: Message,
}

/// Entries in order of their offsets, the newest at the back.
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// The cost of all entries: what the byte bound is about.
    bytes: u64,
    /// The offset that was given out last; 0 before the first.
    head: u64,
    /// The last offset that is gone: a cursor below it has lost something, one at or above it has
    /// not.
    lost: u64,
}

impl Log {
    pub(crate) const fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, head: 0, lost: 0 }
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

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn oldest(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The first entry behind a cursor.
    pub(crate) fn after(&self, cursor: u64) -> Option<&Entry> {
        // Nearly every reader stands at the end or one before it.
        let last = self.entries.back()?;
        if last.offset <= cursor {
            return None;
        }
        self.entries.get(self.entries.partition_point(|entry| entry.offset <= cursor))
    }

    /// How many entries are behind a cursor.
    pub(crate) fn count_after(&self, cursor: u64) -> u32 {
        (self.entries.len() - self.entries.partition_point(|entry| entry.offset <= cursor)) as u32
    }

    pub(crate) fn get(&self, offset: u64) -> Option<&Entry> {
        self.after(offset.checked_sub(1)?).filter(|entry| entry.offset == offset)
    }

    /// Appends, then makes room: the oldest go, but never the new one.
    pub(crate) fn append(&mut self, at: Timestamp, message: Message, bounds: Bounds) -> u64 {
        self.head += 1;
        self.bytes += message.cost();
        self.entries.push_back(Entry { offset: self.head, at, message });
        while self.exceeds(bounds) {
            self.drop_oldest();
        }
        self.head
    }

    /// Whether the oldest has to go. One message of any size may stay while it is the only one.
    pub(crate) fn exceeds(&self, bounds: Bounds) -> bool {
        self.entries.len() > bounds.messages as usize
            || (self.bytes > bounds.bytes && self.entries.len() > 1)
    }

    /// Removes the oldest entry. An empty log gives its memory back, and a mostly empty one most
    /// of it.
    pub(crate) fn drop_oldest(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.message.cost();
        self.lost = entry.offset;
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        } else if self.entries.capacity() > 64 && self.entries.len() * 4 < self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { messages: 3, bytes: 1_000, history: 3 };

    fn offsets(log: &Log) -> alloc::vec::Vec<u64> {
        log.iter().map(|entry| entry.offset).collect()
    }

    #[test]
    fn count_and_bytes_bound_it_and_the_newest_always_stays() {
        let mut log = Log::new();
        for _ in 0..5 {
            log.append(Timestamp::ZERO, Message::text("x"), BOUNDS);
        }
        assert_eq!((offsets(&log), log.lost(), log.head()), (alloc::vec![3, 4, 5], 2, 5));
        log.append(Timestamp::ZERO, Message::text("y".repeat(5_000)), BOUNDS);
        assert_eq!((offsets(&log), log.lost()), (alloc::vec![6], 5));
        log.append(Timestamp::ZERO, Message::text("z"), BOUNDS);
        assert_eq!((offsets(&log), log.lost(), log.bytes()), (alloc::vec![7], 6, 65));
    }

    #[test]
    fn an_empty_log_owns_nothing() {
        let mut log = Log::new();
        log.append(Timestamp::ZERO, Message::text("x"), BOUNDS);
        log.drop_oldest();
        assert_eq!((log.entries.capacity(), log.bytes(), log.lost()), (0, 0, 1));
        assert!(log.drop_oldest().is_none());
    }

    #[test]
    fn cursors_find_the_next_entry() {
        let mut log = Log::new();
        for _ in 0..4 {
            log.append(Timestamp::ZERO, Message::text("x"), BOUNDS);
        }
        assert_eq!(log.after(0).map(|entry| entry.offset), Some(2));
        assert_eq!(log.after(3).map(|entry| entry.offset), Some(4));
        assert!(log.after(4).is_none());
        assert!(log.get(1).is_none() && log.get(0).is_none() && log.get(4).is_some());
    }
}
