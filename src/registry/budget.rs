//! Byte budgets of a user and of the process, over the logs of all their streams.
//!
//! What goes first is what costs least: entries that a client has dealt with and everybody was
//! handed; then those that everybody was handed; then the oldest. Within the process streams take
//! turns in the order in which they came to hold such an entry, so that none pays for all; within a
//! user the oldest entry goes. Within a stream, what an open run keeps goes last of all.

use alloc::collections::VecDeque;

use crate::stats::RoomEnd;
use crate::stream::{Owner, Stream};
use crate::time::Timestamp;

use super::{LogSize, Registry};

/// How dear an entry is to somebody: the least go first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Worth {
    /// A client has dealt with it, and every member was handed it.
    Acknowledged,
    /// Every member was handed it.
    Passed,
    Owed,
}

impl Worth {
    const ALL: [Self; 3] = [Self::Acknowledged, Self::Passed, Self::Owed];

    /// Its bit among a stream's flags.
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What the queues keep of their memory when they have run nearly empty.
const KEPT_CAPACITY: usize = 4_096;

/// An offset that no entry has.
const NONE: u64 = u64::MAX;

impl Stream {
    /// When the entry of at most this worth was made that would go first, unless it is the spared
    /// one.
    fn expendable(&self, worth: Worth, spared: u64) -> Option<Timestamp> {
        let up_to = match worth {
            Worth::Acknowledged => self.passed.min(self.acknowledged),
            Worth::Passed => self.passed,
            Worth::Owed => u64::MAX,
        };
        let oldest = self.log.oldest().filter(|entry| entry.offset != spared);
        let entry = match worth {
            // Of an open run, if there is nothing else.
            Worth::Owed => {
                oldest.or_else(|| self.log.front().filter(|entry| entry.offset != spared))
            }
            _ => oldest.filter(|entry| entry.offset <= up_to),
        };
        entry.map(|entry| entry.at)
    }

    /// The worth of an entry that it could give up and would not be asked for.
    pub(super) fn unnoted(&self) -> Option<Worth> {
        let unnoted = |worth: &Worth| {
            self.held_in & worth.bit() == 0 && self.expendable(*worth, NONE).is_some()
        };
        Worth::ALL.into_iter().find(unnoted)
    }
}

/// Streams that may hold an entry of each worth, in the order in which they came to.
#[derive(Clone, Hash)]
pub(super) struct Holders {
    queues: [VecDeque<(u32, u64)>; 3],
    /// How many records are of streams that are gone: swept out when they are most.
    gone: usize,
}

impl Holders {
    pub(super) const fn new() -> Self {
        Self { queues: [VecDeque::new(), VecDeque::new(), VecDeque::new()], gone: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }
}

impl Registry {
    /// A stream may have come to hold entries that are worth less, or any at all.
    pub(super) fn note_worth(&mut self, key: u32) {
        let stream = &mut self.streams[key as usize];
        for worth in Worth::ALL {
            if stream.held_in & worth.bit() == 0 && stream.expendable(worth, NONE).is_some() {
                stream.held_in |= worth.bit();
                self.holders.queues[worth as usize].push_back((key, stream.epoch));
            }
        }
    }

    /// A stream is gone, and its records with it, sooner or later.
    pub(super) fn forget_holder(&mut self, stream: &Stream) {
        self.holders.gone += stream.held_in.count_ones() as usize;
        if self.holders.gone > 32 && self.holders.gone * 2 > self.holders.len() {
            let streams = &self.streams;
            let is_alive = |(key, epoch): &(u32, u64)| {
                streams.get(*key as usize).is_some_and(|stream| stream.epoch == *epoch)
            };
            for queue in &mut self.holders.queues {
                queue.retain(is_alive);
                if queue.capacity() > KEPT_CAPACITY {
                    queue.shrink_to(queue.len() * 2);
                }
            }
            self.holders.gone = 0;
        }
    }

    /// Makes room until both budgets hold, for an entry that was appended and stays, whatever its
    /// size.
    pub(super) fn keep_budgets(&mut self, appended: u32) {
        if let Owner::Session(session) = self.streams[appended as usize].owner {
            self.keep_user_budget(self.sessions.get(session).user, Some(appended));
        }
        self.keep_process_budget(Some(appended));
    }

    pub(super) fn keep_process_budget(&mut self, appended: Option<u32>) {
        for worth in Worth::ALL {
            while self.counters.log_bytes > self.config.process_bytes {
                let Some(key) = self.next_holder(worth, appended) else { break };
                self.give_up(key, appended);
            }
        }
    }

    pub(super) fn keep_user_budget(&mut self, user: u32, appended: Option<u32>) {
        while self.sessions.user(user).bytes > self.config.user_bytes {
            let sessions = &self.sessions.user(user).sessions;
            let streams = sessions.iter().map(|session| self.sessions.get(*session).stream);
            let oldest = |worth: Worth| {
                let of_worth = streams.clone().filter_map(|key| {
                    let spared = self.spared(key, appended);
                    Some((self.streams[key as usize].expendable(worth, spared)?, key))
                });
                of_worth.min_by_key(|(at, _)| *at).map(|(_, key)| key)
            };
            let Some(key) = Worth::ALL.into_iter().find_map(oldest) else { return };
            self.give_up(key, appended);
        }
    }

    /// The entry of a stream that was appended last, if it was appended just now.
    fn spared(&self, key: u32, appended: Option<u32>) -> u64 {
        if appended == Some(key) { self.streams[key as usize].log.head() } else { NONE }
    }

    /// Whose turn it is to give up an entry of at most this worth.
    fn next_holder(&mut self, worth: Worth, appended: Option<u32>) -> Option<u32> {
        let queue = worth as usize;
        for _ in 0..self.holders.queues[queue].len() {
            let (key, epoch) = self.holders.queues[queue].pop_front()?;
            let spared = self
                .streams
                .get(key as usize)
                .filter(|stream| stream.epoch == epoch)
                .map(|_| self.spared(key, appended));
            let Some(spared) = spared else {
                self.holders.gone -= 1;
                continue;
            };
            let stream = &mut self.streams[key as usize];
            if stream.expendable(worth, NONE).is_none() {
                stream.held_in &= !worth.bit();
                continue;
            }
            let gives = stream.expendable(worth, spared).is_some();
            self.holders.queues[queue].push_back((key, epoch));
            if gives {
                return Some(key);
            }
        }
        None
    }

    fn give_up(&mut self, key: u32, appended: Option<u32>) {
        let spared = self.spared(key, appended);
        let stream = &mut self.streams[key as usize];
        let before = LogSize::of(&stream.log);
        if stream.log.oldest().is_some_and(|entry| entry.offset != spared) {
            stream.log.drop_oldest(&mut self.runs);
        } else {
            stream.log.drop_front(&mut self.runs);
        }
        self.counters.shed += 1;
        self.log_changed(key, before);
        self.bury_runs();
        if let Owner::Room(room) = self.streams[key as usize].owner {
            self.remove_room_if_done(room, RoomEnd::Budget);
        }
    }
}
