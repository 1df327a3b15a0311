//! Byte budgets of a user, of a tenant and of the process, over the logs of all their streams and the tool
//! calls under way.
//!
//! Entries that every member was handed are the first to go, then the others. Within the process, and
//! within a tenant, streams take turns in the order in which they came to hold such an entry, so that
//! none pays for all. Within a user the oldest entry goes. Within a stream the entries of open runs go
//! last. A call does not give way: one that would take all of a budget for calls does not begin.

use crate::ends::RoomEnd;
use crate::error::RunError;
use crate::evictable::{EvictionClass, Listing};
use crate::run::CALL_COST;
use crate::session::UserKey;
use crate::store::{Linked, Links, Table};
use crate::stream::{Owner, Stream, StreamKey};
use crate::tenant::TenantKey;
use crate::time::Timestamp;

use super::Registry;

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

    /// Of which classes it holds an entry.
    fn holds_each(&self) -> [bool; 2] {
        EvictionClass::ALL.map(|class| self.holds(class))
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

/// Streams in the list of their class.
pub(super) enum Listed {}

impl Linked for Listed {
    type Key = Listing<StreamKey>;
    type Records = Table<StreamKey, Stream>;

    fn links(streams: &Self::Records, Listing { class, key }: Self::Key) -> Links {
        streams[key].extras.listed_as[class as usize]
    }

    fn links_mut(streams: &mut Self::Records, Listing { class, key }: Self::Key) -> &mut Links {
        &mut streams[key].extras.listed_as[class as usize]
    }

    fn known(streams: &Self::Records, bits: u32) -> Option<Self::Key> {
        Listing::known(bits, |slot| streams.known(slot))
    }
}

impl Registry {
    /// To be called after each change of what [`Stream::holds`] depends on: of a log, and of what all
    /// members were handed.
    pub(super) fn list_evictable(&mut self, key: StreamKey) {
        let stream = &self.streams[key];
        let (owner, holds) = (stream.owner, stream.holds_each());
        self.evictable.relist(&mut self.streams, key, holds);
        if holds == [false; 2] {
            self.streams[key].extras.settle();
        }
        if let Owner::Session(session) = owner {
            self.sessions.list_evictable(session, holds);
        }
    }

    /// Entries go until all budgets hold: of the user, of the tenant, of the process. The entry that was just
    /// appended stays, however long it is.
    pub(super) fn keep_budgets(&mut self, appended: StreamKey) {
        if let Owner::Session(session) = self.streams[appended].owner {
            let user = self.sessions.get(session).user;
            let record = self.sessions.user(user);
            let (bytes, tenant) = (record.bytes(), record.tenant());
            if bytes > self.config.user_bytes {
                self.keep_user_budget(user, Some(appended));
            }
            if let Some(tenant) = tenant {
                self.keep_tenant_budget(tenant, Some(appended));
            }
        }
        self.keep_process_budget(Some(appended));
    }

    /// Whether the budgets have room for another call, if all entries of logs give way.
    pub(super) fn has_room_for_call(&self, user: UserKey) -> Result<(), RunError> {
        let user = self.sessions.user(user);
        if user.call_bytes() + CALL_COST > self.config.user_bytes {
            return Err(RunError::UserBytes);
        }
        let of_tenant = user.tenant().map(|tenant| self.sessions.tenants().get(tenant));
        if of_tenant.is_some_and(|it| it.call_bytes() + CALL_COST > self.config.tenant_bytes) {
            return Err(RunError::TenantBytes);
        }
        if self.counters.call_bytes + CALL_COST > self.config.process_bytes {
            return Err(RunError::ProcessBytes);
        }
        Ok(())
    }

    /// The calls under way of a user's run had another cost before: adapts the gauges.
    pub(super) fn calls_changed(&mut self, user: UserKey, before: u64, after: u64) {
        self.counters.call_bytes = self.counters.call_bytes + after - before;
        self.sessions.count_calls(user, before, after);
    }

    pub(super) fn keep_process_budget(&mut self, appended: Option<StreamKey>) {
        for class in EvictionClass::ALL {
            while self.counters.log_bytes + self.counters.call_bytes > self.config.process_bytes {
                let Some(key) = self.next_evictable(class, appended) else { break };
                self.give_up(key, appended);
            }
        }
    }

    pub(super) fn keep_tenant_budget(&mut self, tenant: TenantKey, appended: Option<StreamKey>) {
        for class in EvictionClass::ALL {
            while self.sessions.tenants().get(tenant).bytes() > self.config.tenant_bytes {
                let Some(key) = self.next_evictable_of(tenant, class, appended) else { break };
                self.give_up(key, appended);
            }
        }
    }

    pub(super) fn keep_user_budget(&mut self, user: UserKey, appended: Option<StreamKey>) {
        while self.sessions.user(user).bytes() > self.config.user_bytes {
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
            if self.gives_way(key, class, appended) {
                return Some(key);
            }
        }
        None
    }

    /// The same among the sessions of a tenant.
    fn next_evictable_of(
        &mut self,
        tenant: TenantKey,
        class: EvictionClass,
        appended: Option<StreamKey>,
    ) -> Option<StreamKey> {
        for _ in 0..self.sessions.tenants().get(tenant).evictable(class) {
            let session = self.sessions.next_evictable(tenant, class)?;
            let key = self.sessions.get(session).stream;
            if self.gives_way(key, class, appended) {
                return Some(key);
            }
        }
        None
    }

    /// Whether a stream has an entry of a class to give up. One that holds nothing but the entry that is
    /// spared has none.
    fn gives_way(&self, key: StreamKey, class: EvictionClass, appended: Option<StreamKey>) -> bool {
        let spared = self.spared(key, appended);
        self.streams[key].oldest_evictable(class, spared).is_some()
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
