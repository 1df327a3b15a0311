//! Byte budgets of a user and of the process, over the logs of all their streams and the tool calls
//! under way.
//!
//! Entries that every member was handed are the first to go, then the others. Within the process
//! streams take turns in the order in which they were listed, so that none pays for all. Within a user
//! the oldest entry goes. Within a stream the entries of open runs go last. A call does not give way:
//! one that would take all of a budget for calls does not begin.

use alloc::collections::VecDeque;

use crate::ends::RoomEnd;
use crate::error::RunError;
use crate::run::CALL_COST;
use crate::session::UserKey;
use crate::stream::{Owner, Stream, StreamKey};
use crate::time::Timestamp;

use super::Registry;

/// The eviction class of an entry, cheapest to lose first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum EvictionClass {
    /// Every member was handed it.
    Delivered,
    /// A member still waits for it.
    Undelivered,
}

impl EvictionClass {
    const ALL: [Self; 2] = [Self::Delivered, Self::Undelivered];

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
    /// Append time of the entry that this stream would evict next at this class or a cheaper one,
    /// ignoring `spared`.
    fn oldest_evictable(&self, class: EvictionClass, spared: u64) -> Option<Timestamp> {
        let oldest = self.log.oldest().filter(|entry| entry.offset != spared);
        let entry = match class {
            EvictionClass::Delivered => {
                oldest.filter(|entry| entry.offset <= self.delivered_to_all)
            }
            // Of an open run, if there is nothing else.
            EvictionClass::Undelivered => {
                oldest.or_else(|| self.log.front().filter(|entry| entry.offset != spared))
            }
        };
        entry.map(|entry| entry.at)
    }

    /// A class under which this stream should be listed and is not. For `check`.
    pub(super) fn unlisted(&self) -> Option<EvictionClass> {
        let unlisted = |class: &EvictionClass| {
            self.listed_as & class.bit() == 0 && self.oldest_evictable(*class, NONE).is_some()
        };
        EvictionClass::ALL.into_iter().find(unlisted)
    }
}

/// For each class the streams that may hold an entry of it, in the order in which they were listed.
#[derive(Clone, Hash)]
pub(super) struct Evictable {
    queues: [VecDeque<(StreamKey, u64)>; 2],
    /// How many listings are of streams that have been removed: compacted when they are most.
    gone: usize,
}

impl Evictable {
    pub(super) const fn new() -> Self {
        Self { queues: [VecDeque::new(), VecDeque::new()], gone: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }
}

impl Registry {
    /// Lists a stream under each class of which it holds an entry now.
    pub(super) fn list_evictable(&mut self, key: StreamKey) {
        let stream = &mut self.streams[key];
        for class in EvictionClass::ALL {
            if stream.listed_as & class.bit() == 0 && stream.oldest_evictable(class, NONE).is_some()
            {
                stream.listed_as |= class.bit();
                self.evictable.queues[class as usize].push_back((key, stream.epoch));
            }
        }
    }

    /// A stream is gone, and its records with it, sooner or later.
    pub(super) fn forget_holder(&mut self, stream: &Stream) {
        self.evictable.gone += stream.listed_as.count_ones() as usize;
        if self.evictable.gone > 32 && self.evictable.gone * 2 > self.evictable.len() {
            let streams = &self.streams;
            let is_alive = |(key, epoch): &(StreamKey, u64)| {
                streams.get(*key).is_some_and(|stream| stream.epoch == *epoch)
            };
            for queue in &mut self.evictable.queues {
                queue.retain(is_alive);
                if queue.capacity() > KEPT_CAPACITY {
                    queue.shrink_to(queue.len() * 2);
                }
            }
            self.evictable.gone = 0;
        }
    }

    /// Makes room until both budgets hold, for an entry that was appended and stays, whatever its
    /// size.
    pub(super) fn keep_budgets(&mut self, appended: StreamKey) {
        if let Owner::Session(session) = self.streams[appended].owner {
            self.keep_user_budget(self.sessions.get(session).user, Some(appended));
        }
        self.keep_process_budget(Some(appended));
    }

    /// Whether the budgets have room for another call, if all entries of logs give way.
    pub(super) fn has_room_for_call(&self, user: UserKey) -> Result<(), RunError> {
        if self.sessions.user(user).call_bytes + CALL_COST > self.config.user_bytes {
            return Err(RunError::UserBytes);
        }
        if self.counters.call_bytes + CALL_COST > self.config.process_bytes {
            return Err(RunError::ProcessBytes);
        }
        Ok(())
    }

    /// The calls under way of a user's run had another cost before: adapts the gauges.
    pub(super) fn calls_changed(&mut self, user: UserKey, before: u64, after: u64) {
        self.counters.call_bytes = self.counters.call_bytes + after - before;
        let user = self.sessions.user_mut(user);
        user.call_bytes = user.call_bytes + after - before;
        user.bytes = user.bytes + after - before;
    }

    pub(super) fn keep_process_budget(&mut self, appended: Option<StreamKey>) {
        for class in EvictionClass::ALL {
            while self.counters.log_bytes + self.counters.call_bytes > self.config.process_bytes {
                let Some(key) = self.next_evictable(class, appended) else { break };
                self.give_up(key, appended);
            }
        }
    }

    pub(super) fn keep_user_budget(&mut self, user: UserKey, appended: Option<StreamKey>) {
        while self.sessions.user(user).bytes > self.config.user_bytes {
            let oldest = |class: EvictionClass| {
                let of_class = self.sessions.of(user).filter_map(|session| {
                    let key = self.sessions.get(session).stream;
                    let spared = self.spared(key, appended);
                    Some((self.streams[key].oldest_evictable(class, spared)?, key))
                });
                of_class.min_by_key(|(at, _)| *at).map(|(_, key)| key)
            };
            let Some(key) = EvictionClass::ALL.into_iter().find_map(oldest) else { return };
            self.give_up(key, appended);
        }
    }

    /// The entry of a stream that was appended last, if it was appended just now.
    fn spared(&self, key: StreamKey, appended: Option<StreamKey>) -> u64 {
        if appended == Some(key) { self.streams[key].log.head() } else { NONE }
    }

    /// The stream whose turn it is to evict an entry of this class.
    fn next_evictable(
        &mut self,
        class: EvictionClass,
        appended: Option<StreamKey>,
    ) -> Option<StreamKey> {
        let queue = class as usize;
        for _ in 0..self.evictable.queues[queue].len() {
            let (key, epoch) = self.evictable.queues[queue].pop_front()?;
            let spared = self
                .streams
                .get(key)
                .filter(|stream| stream.epoch == epoch)
                .map(|_| self.spared(key, appended));
            let Some(spared) = spared else {
                self.evictable.gone -= 1;
                continue;
            };
            let stream = &mut self.streams[key];
            if stream.oldest_evictable(class, NONE).is_none() {
                stream.listed_as &= !class.bit();
                continue;
            }
            let gives = stream.oldest_evictable(class, spared).is_some();
            self.evictable.queues[queue].push_back((key, epoch));
            if gives {
                return Some(key);
            }
        }
        None
    }

    fn give_up(&mut self, key: StreamKey, appended: Option<StreamKey>) {
        let spared = self.spared(key, appended);
        self.edit_log(key, |stream, _, runs| {
            if stream.log.oldest().is_some_and(|entry| entry.offset != spared) {
                stream.log.drop_oldest(runs);
            } else {
                stream.log.drop_front(runs);
            }
        });
        self.counters.shed += 1;
        if let Owner::Room(room) = self.streams[key].owner {
            self.remove_room_if_done(room, RoomEnd::Budget);
        }
    }
}
