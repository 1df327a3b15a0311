//! The ready queue: what has derived actions to give takes turns, first in, first out.

use alloc::collections::VecDeque;

use crate::id::ConnId;
use crate::stream::StreamKey;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ready {
    /// A stream with entries to hand out, or members to close. The epoch tells it from the next
    /// stream with the same key.
    Stream { key: StreamKey, epoch: u64 },
    /// A connection that catches up.
    Conn(ConnId),
    /// The oldest announcement.
    Announcement,
    /// A drain is being announced.
    Drain,
    /// Everyone is being closed.
    CloseEveryone,
}

/// A FIFO in which each stream and each connection has at most one turn.
///
/// A turn whose holder has gone is taken out lazily: [`ReadyQueue::abandon`] counts them, and says when
/// there are so many that they should be swept out, so that memory follows the holders alive.
#[derive(Clone, Hash)]
pub(crate) struct ReadyQueue {
    queue: VecDeque<Ready>,
    abandoned: usize,
}

impl ReadyQueue {
    pub(crate) const fn new() -> Self {
        Self { queue: VecDeque::new(), abandoned: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push(&mut self, turn: Ready) {
        self.queue.push_back(turn);
    }

    /// What has not ended its turn goes on with it.
    pub(crate) fn push_front(&mut self, turn: Ready) {
        self.queue.push_front(turn);
    }

    pub(crate) fn pop(&mut self) -> Option<Ready> {
        let turn = self.queue.pop_front();
        if self.queue.is_empty() {
            self.abandoned = 0;
        }
        turn
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Ready> {
        self.queue.iter()
    }

    /// Takes out the turns of a holder that goes: at once when nothing else waits, otherwise with
    /// many others.
    pub(crate) fn abandon(&mut self, turn: Ready, alive: impl FnMut(&Ready) -> bool) {
        if self.queue.back() == Some(&turn) {
            self.queue.pop_back();
        } else {
            self.abandoned += 1;
            if self.abandoned > 32 && self.abandoned * 2 > self.queue.len() {
                self.queue.retain(alive);
                self.abandoned = 0;
            }
        }
        if self.queue.is_empty() {
            self.abandoned = 0;
        }
    }
}
