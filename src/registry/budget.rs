//! Byte budgets of a user and of the process, over the logs of all their streams and the tool calls
//! under way.
//!
//! Entries that every member was handed are the first to go, then the others. Within the process
//! streams take turns in the order in which they came to hold such an entry, so that none pays for all.
//! Within a user the oldest entry goes. Within a stream the entries of open runs go last. A call does not
//! give way: one that would take all of a budget for calls does not begin.

use crate::ends::RoomEnd;
use crate::error::RunError;
use crate::run::CALL_COST;
use crate::session::UserKey;
use crate::store::{Linked, Links, MAX_SLOTS, Packed, Ring, SlotKey, Table};
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
    pub(super) const ALL: [Self; 2] = [Self::Delivered, Self::Undelivered];
}

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

    /// Whether it holds an entry of this class or a cheaper one.
    pub(super) fn holds(&self, class: EvictionClass) -> bool {
        match class {
            EvictionClass::Delivered => {
                self.log.lost() < self.delivered_to_all
                    && self.oldest_evictable(class, NONE).is_some()
            }
            EvictionClass::Undelivered => !self.log.is_empty(),
        }
    }
}

/// A stream in the list of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Listing {
    class: EvictionClass,
    pub(super) stream: StreamKey,
}

impl Packed for Listing {
    fn pack(self) -> u32 {
        (self.class as usize * MAX_SLOTS + self.stream.slot()) as u32
    }

    fn unpack(bits: u32) -> Self {
        let class = EvictionClass::ALL[bits as usize / MAX_SLOTS];
        Self { class, stream: StreamKey::of_slot(bits as usize % MAX_SLOTS) }
    }
}

/// Streams in the list of their class.
enum Listed {}

impl Linked for Listed {
    type Key = Listing;
    type Records = Table<StreamKey, Stream>;

    fn links(streams: &Self::Records, Listing { class, stream }: Listing) -> Links {
        streams[stream].listed_as[class as usize]
    }

    fn links_mut(streams: &mut Self::Records, Listing { class, stream }: Listing) -> &mut Links {
        &mut streams[stream].listed_as[class as usize]
    }
}

/// For each class the streams that hold an entry of it, in the order of their turns.
#[derive(Clone, Hash)]
pub(super) struct Evictable {
    lists: [Ring<Listed>; 2],
}

impl Evictable {
    pub(super) const fn new() -> Self {
        Self { lists: [Ring::new(), Ring::new()] }
    }

    pub(super) const fn len(&self, class: EvictionClass) -> usize {
        self.lists[class as usize].len()
    }

    pub(super) fn iter<'a>(
        &self,
        class: EvictionClass,
        streams: &'a Table<StreamKey, Stream>,
    ) -> impl Iterator<Item = StreamKey> + use<'a> {
        self.lists[class as usize].iter(streams).map(|listing| listing.stream)
    }

    /// Lists a stream at the back of each class of which it has come to hold an entry, and takes it off
    /// the list of each of which it holds none any more.
    fn relist(&mut self, streams: &mut Table<StreamKey, Stream>, stream: StreamKey) {
        for class in EvictionClass::ALL {
            let (list, listing) = (&mut self.lists[class as usize], Listing { class, stream });
            if streams[stream].holds(class) {
                list.push(streams, listing);
            } else {
                list.remove(streams, listing);
            }
        }
    }

    /// The first stream of a class, which goes to the back.
    fn next(
        &mut self,
        streams: &mut Table<StreamKey, Stream>,
        class: EvictionClass,
    ) -> Option<StreamKey> {
        let list = &mut self.lists[class as usize];
        let first = list.front()?;
        list.remove(streams, first);
        list.push(streams, first);
        Some(first.stream)
    }
}

impl Registry {
    /// To be called after each change of what [`Stream::holds`] depends on: of a log, and of what all
    /// members were handed.
    pub(super) fn list_evictable(&mut self, key: StreamKey) {
        self.evictable.relist(&mut self.streams, key);
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
        for _ in 0..self.evictable.len(class) {
            let key = self.evictable.next(&mut self.streams, class)?;
            // One that holds nothing but the entry that is spared gives nothing.
            let spared = self.spared(key, appended);
            if self.streams[key].oldest_evictable(class, spared).is_some() {
                return Some(key);
            }
        }
        None
    }

    fn give_up(&mut self, key: StreamKey, appended: Option<StreamKey>) {
        let spared = self.spared(key, appended);
        self.edit_log(key, |stream, _, freed| {
            if stream.log.oldest().is_some_and(|entry| entry.offset != spared) {
                stream.log.drop_oldest(freed);
            } else {
                stream.log.drop_front(freed);
            }
        });
        self.counters.shed += 1;
        if let Owner::Room(room) = self.streams[key].owner {
            self.remove_room_if_done(room, RoomEnd::Budget);
        }
    }
}
