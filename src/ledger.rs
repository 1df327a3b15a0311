//! From the bytes that a socket took to the cost that they stand for.

use alloc::collections::VecDeque;

/// A queue with room for more entries than this gives its memory back once it has run empty.
const KEPT_ENTRIES: usize = 16;

/// Turns the bytes that a socket took into the total that
/// [`Registry::flushed`](crate::Registry::flushed) is told. Each connection has one of its own.
///
/// Tell it everything that is written to the socket, in the order of the wire: the frame of an action with
/// the [cost](crate::Action::cost) of the action, and what is no action with a cost of zero, such as a pong
/// or the answer to the upgrade. Then tell it what the kernel took. Bytes may be any unit that both share: a
/// shell that learns of whole frames only counts each of them as one.
///
/// ```
/// use headcount::Ledger;
///
/// let mut ledger = Ledger::new();
/// ledger.queued(129, 0); // The answer to the upgrade.
/// ledger.queued(10, 72); // A frame of 10 bytes, whose action costs 72.
/// assert_eq!(ledger.took(129), 0);
/// assert_eq!(ledger.took(5), 36, "half of the frame");
/// assert_eq!(ledger.took(5), 72);
/// ```
///
/// Each call costs O(1), but for what `took` takes off. It holds 16 bytes for each action that was queued
/// and is not out, and as much for what was queued between two of them. As long as there are 16 of
/// those at most, none of them is an allocation.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Queued actions that the kernel has not taken as a whole, in the order of the wire.
    queue: VecDeque<Entry>,
    /// Bytes of the first entry that were taken: fewer than it has.
    begun: u64,
    /// The cost of all entries that were taken as a whole.
    whole: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    cost: u64,
}

impl Ledger {
    /// One that nothing was told.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: VecDeque::new(), begun: 0, whole: 0 }
    }

    /// So many bytes are to be written next. Without bytes, a cost counts as taken when all before it was.
    pub fn queued(&mut self, bytes: usize, cost: u64) {
        let bytes = bytes as u64;
        match self.queue.back_mut() {
            // What costs nothing is one entry: a peer that makes pongs of its pings makes no queue.
            Some(last) if last.cost == 0 && cost == 0 => {
                last.bytes = last.bytes.saturating_add(bytes);
            }
            _ => self.queue.push_back(Entry { bytes, cost }),
        }
    }

    /// The kernel took so many bytes more. Returns [`total`](Self::total). More than was queued means all of
    /// that.
    pub fn took(&mut self, bytes: usize) -> u64 {
        self.begun = self.begun.saturating_add(bytes as u64);
        while let Some(first) = self.queue.front()
            && self.begun >= first.bytes
        {
            self.begun -= first.bytes;
            self.whole = self.whole.saturating_add(first.cost);
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.begun = 0;
            if self.queue.capacity() > KEPT_ENTRIES {
                self.queue = VecDeque::new();
            }
        }
        self.total()
    }

    /// The cost of all that was taken so far, in proportion for what was taken in part. It never falls, and
    /// it is the sum of all costs once nothing waits.
    #[must_use]
    pub fn total(&self) -> u64 {
        let part = self.queue.front().map_or(0, |first| {
            // Of an entry without bytes nothing can have been taken in part.
            u128::from(first.cost) * u128::from(self.begun) / u128::from(first.bytes.max(1))
        });
        self.whole.saturating_add(part as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_in_part_counts_in_proportion() {
        let mut ledger = Ledger::new();
        ledger.queued(10, 100);
        ledger.queued(1, 1 << 40);
        assert_eq!(ledger.took(3), 30);
        assert_eq!(ledger.took(6), 90);
        assert_eq!(ledger.took(1), 100);
        assert_eq!(ledger.took(1), 100 + (1 << 40));
    }

    #[test]
    fn a_cost_without_bytes_waits_for_what_is_before_it() {
        let mut ledger = Ledger::new();
        ledger.queued(2, 66);
        ledger.queued(0, 64);
        assert_eq!((ledger.total(), ledger.took(1)), (0, 33));
        assert_eq!(ledger.took(1), 130);
        ledger.queued(0, 64);
        assert_eq!((ledger.total(), ledger.took(0)), (130, 194));
    }

    #[test]
    fn what_costs_nothing_is_one_entry_however_much_of_it_there_is() {
        let mut ledger = Ledger::new();
        ledger.queued(1, 64);
        for _ in 0..1_000 {
            ledger.queued(3, 0);
        }
        assert_eq!(ledger.queue.len(), 2);
        assert_eq!(ledger.took(1), 64);
        // Also if a part of it is out.
        assert_eq!(ledger.took(1), 64);
        ledger.queued(1, 0);
        ledger.queued(10, 74);
        assert_eq!(ledger.took(3_000), 64);
        assert_eq!(ledger.took(5), 64 + 37);
    }

    #[test]
    fn more_than_was_queued_is_all_of_it_and_no_more() {
        let mut ledger = Ledger::new();
        ledger.queued(10, 74);
        assert_eq!(ledger.took(usize::MAX), 74);
        ledger.queued(10, 74);
        assert_eq!((ledger.total(), ledger.took(5)), (74, 74 + 37));
        ledger.queued(usize::MAX, u64::MAX);
        assert_eq!(ledger.took(usize::MAX), u64::MAX, "it does not wrap");
    }

    #[test]
    fn a_long_queue_gives_its_memory_back_and_a_short_one_keeps_it() {
        let mut ledger = Ledger::new();
        for round in [4, 1_000] {
            for _ in 0..round {
                ledger.queued(1, 65);
            }
            ledger.took(round);
            assert_eq!(ledger.queue.capacity() > 0, round < 5);
        }
    }
}
