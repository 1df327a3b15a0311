//! Tenants: what the users of each have together, and which of their sessions may go first.
//!
//! A session of a tenant has a record of its own here, which holds its places in the tenant's queues. So
//! sessions of users without a tenant carry one key for it, and nothing else.

use core::hash::{Hash, Hasher};

use crate::evictable::{Evictable, EvictionClass, Listing};
use crate::id::TenantId;
use crate::session::SessionKey;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::store::{Linked, Links, Names, Ring, Table, key, linked};

key! {
    /// The key of a tenant's record.
    TenantKey
}

key! {
    /// The key of what a session has as one of its tenant's.
    TenantSessionKey
}

/// A tenant of whom a user is here.
#[derive(Clone, Hash)]
pub(crate) struct Tenant {
    name: TenantId,
    /// Users who are here.
    users: u32,
    /// The open connections of these users.
    connections: u32,
    /// Their sessions that have not ended.
    sessions: u32,
    /// Of these, the ones that linger without an open run, in the order in which they came to.
    idle: Ring<Idle>,
    /// The cost of what the logs of the sessions hold, and of the calls under way.
    bytes: u64,
    /// The part of it that is for calls.
    call_bytes: u64,
    /// Which sessions have logs that can give something up.
    evictable: Evictable<Listed>,
}

encoded! {
    struct Tenant { name, users, connections, sessions, idle, bytes, call_bytes, evictable }
}

impl Tenant {
    pub(crate) const fn name(&self) -> &TenantId {
        &self.name
    }

    pub(crate) const fn users(&self) -> usize {
        self.users as usize
    }

    pub(crate) const fn connections(&self) -> usize {
        self.connections as usize
    }

    pub(crate) const fn sessions(&self) -> usize {
        self.sessions as usize
    }

    /// How many of its sessions linger without an open run.
    pub(crate) const fn idle(&self) -> usize {
        self.idle.len()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) const fn call_bytes(&self) -> u64 {
        self.call_bytes
    }

    /// How many of its sessions have a log that holds an entry of this class.
    pub(crate) const fn evictable(&self, class: EvictionClass) -> usize {
        self.evictable.len(class)
    }
}

/// A session that has not ended, as one of its tenant's.
#[derive(Clone, Hash)]
pub(crate) struct TenantSession {
    tenant: TenantKey,
    session: SessionKey,
    /// Its place among those that linger without an open run.
    idle_links: Links,
    /// Its places in the eviction lists, one per class.
    listed_as: [Links; 2],
}

encoded! { struct TenantSession { tenant, session, idle_links, listed_as } }

linked! {
    /// Sessions of one tenant that linger without an open run.
    Idle: TenantSessionKey => TenantSession, idle_links
}

/// Sessions in the list of the class that their logs hold an entry of.
pub(crate) enum Listed {}

impl Linked for Listed {
    type Key = Listing<TenantSessionKey>;
    type Records = Table<TenantSessionKey, TenantSession>;

    fn links(sessions: &Self::Records, Listing { class, key }: Self::Key) -> Links {
        sessions[key].listed_as[class as usize]
    }

    fn links_mut(sessions: &mut Self::Records, Listing { class, key }: Self::Key) -> &mut Links {
        &mut sessions[key].listed_as[class as usize]
    }

    fn known(sessions: &Self::Records, bits: u32) -> Option<Self::Key> {
        Listing::known(bits, |slot| sessions.known(slot))
    }
}

/// All tenants, by slot and by name.
#[derive(Clone)]
pub(crate) struct Tenants {
    records: Table<TenantKey, Tenant>,
    names: Names<TenantKey>,
    sessions: Table<TenantSessionKey, TenantSession>,
}

impl Hash for Tenants {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { records, names: _, sessions } = self;
        (records, sessions).hash(state);
    }
}

impl Tenants {
    pub(crate) fn new(seed: u64) -> Self {
        Self { records: Table::new(), names: Names::new(seed), sessions: Table::new() }
    }

    pub(crate) fn encode(&self, to: &mut Encoder<'_>) {
        let Self { records, names: _, sessions } = self;
        records.encode(to);
        sessions.encode(to);
        for (_, Tenant { idle, evictable, .. }) in records.iter() {
            idle.encode_keys(sessions, to);
            evictable.encode_keys(sessions, to);
        }
    }

    /// Fills it, when it is new.
    pub(crate) fn decode(&mut self, from: &mut Decoder<'_>) -> Result<(), Malformed> {
        self.records = Encoded::decode(from)?;
        self.records.iter().for_each(|(key, it)| self.names.insert(it.name.as_str(), key));
        self.sessions = Encoded::decode(from)?;
        for (_, Tenant { idle, evictable, .. }) in self.records.iter_mut() {
            idle.decode_keys(&mut self.sessions, from)?;
            evictable.decode_keys(&mut self.sessions, from)?;
        }
        Ok(())
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.records.steps() + self.names.steps() + self.sessions.steps()
    }

    pub(crate) const fn len(&self) -> usize {
        self.records.len()
    }

    /// How many sessions are of a tenant.
    pub(crate) const fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn find(&self, name: &TenantId) -> Option<TenantKey> {
        self.names.find(name.as_str(), |tenant| self.records[tenant].name == *name)
    }

    pub(crate) fn get(&self, tenant: TenantKey) -> &Tenant {
        &self.records[tenant]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TenantKey, &Tenant)> {
        self.records.iter()
    }

    /// A tenant's sessions that linger without an open run, those first that came to first.
    pub(crate) fn idle_of(&self, tenant: TenantKey) -> impl Iterator<Item = SessionKey> + '_ {
        let idle = self.records.get(tenant).map(|tenant| tenant.idle.iter(&self.sessions));
        idle.into_iter().flatten().map(|place| self.sessions[place].session)
    }

    /// Those whose logs hold an entry of this class, in the order of their turns.
    pub(crate) fn evictable_of(
        &self,
        tenant: TenantKey,
        class: EvictionClass,
    ) -> impl Iterator<Item = SessionKey> + '_ {
        let places = self.records[tenant].evictable.iter(class, &self.sessions);
        places.map(|place| self.sessions[place].session)
    }

    pub(crate) fn has(&self, tenant: TenantKey) -> bool {
        self.records.get(tenant).is_some()
    }

    /// Whether the tenants of all places are there, and their sessions.
    pub(crate) fn are_known(&self, is_session: impl Fn(SessionKey) -> bool) -> bool {
        let mut places = self.sessions.iter();
        places.all(|(_, place)| self.has(place.tenant) && is_session(place.session))
    }

    /// The session that has a place.
    pub(crate) fn session(&self, place: TenantSessionKey) -> Option<SessionKey> {
        self.sessions.get(place).map(|place| place.session)
    }

    /// A user comes to be of a tenant.
    pub(crate) fn join(&mut self, name: &TenantId) -> TenantKey {
        let tenant = self.find(name).unwrap_or_else(|| {
            let name = name.clone();
            self.names.insert(name.as_str(), self.records.vacant_key());
            self.records.insert(Tenant {
                name,
                users: 0,
                connections: 0,
                sessions: 0,
                idle: Ring::new(),
                bytes: 0,
                call_bytes: 0,
                evictable: Evictable::new(),
            })
        });
        self.records[tenant].users += 1;
        tenant
    }

    /// A user without sessions and open connections leaves. The record goes with the last user.
    pub(crate) fn leave(&mut self, tenant: TenantKey) {
        let record = &mut self.records[tenant];
        record.users -= 1;
        if record.users == 0 {
            debug_assert!(
                record.connections == 0 && record.sessions == 0 && record.bytes == 0,
                "a tenant of no user"
            );
            self.names.remove(record.name.as_str(), tenant);
            self.records.remove(tenant);
        }
    }

    /// A user of a tenant has so many open connections more.
    pub(crate) fn connected(&mut self, tenant: TenantKey, connections: usize) {
        self.records[tenant].connections += connections as u32;
    }

    /// An open connection of a tenant's user has left.
    pub(crate) fn disconnected(&mut self, tenant: TenantKey) {
        self.records[tenant].connections -= 1;
    }

    /// A user of a tenant has another session.
    pub(crate) fn add_session(
        &mut self,
        tenant: TenantKey,
        session: SessionKey,
    ) -> TenantSessionKey {
        self.records[tenant].sessions += 1;
        let (idle_links, listed_as) = (Links::OUT, [Links::OUT; 2]);
        self.sessions.insert(TenantSession { tenant, session, idle_links, listed_as })
    }

    /// A session of a tenant ends.
    pub(crate) fn remove_session(&mut self, place: TenantSessionKey) {
        self.set_idle(place, false);
        self.list_evictable(place, [false; 2]);
        let TenantSession { tenant, .. } = self.sessions.remove(place);
        self.records[tenant].sessions -= 1;
    }

    /// Whether a session lingers without an open run.
    pub(crate) fn set_idle(&mut self, place: TenantSessionKey, is_idle: bool) {
        let idle = &mut self.records[self.sessions[place].tenant].idle;
        if is_idle {
            idle.push(&mut self.sessions, place);
        } else {
            idle.remove(&mut self.sessions, place);
        }
    }

    /// What a tenant's logs hold, and its calls, have another cost than before.
    pub(crate) fn count_bytes(&mut self, tenant: TenantKey, before: u64, after: u64) {
        let bytes = &mut self.records[tenant].bytes;
        *bytes = *bytes + after - before;
    }

    /// The part of it that is for calls has another cost.
    pub(crate) fn count_calls(&mut self, tenant: TenantKey, before: u64, after: u64) {
        let bytes = &mut self.records[tenant].call_bytes;
        *bytes = *bytes + after - before;
    }

    /// Of which classes the log of a session holds an entry.
    pub(crate) fn list_evictable(&mut self, place: TenantSessionKey, holds: [bool; 2]) {
        let tenant = self.sessions[place].tenant;
        self.records[tenant].evictable.relist(&mut self.sessions, place, holds);
    }

    /// The first session of a class, which goes to the back.
    pub(crate) fn next_evictable(
        &mut self,
        tenant: TenantKey,
        class: EvictionClass,
    ) -> Option<SessionKey> {
        let place = self.records[tenant].evictable.next(&mut self.sessions, class)?;
        Some(self.sessions[place].session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SlotKey;
    use alloc::vec::Vec;

    fn name(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn a_tenant_goes_with_the_last_of_its_users() {
        let mut tenants = Tenants::new(7);
        let acme = tenants.join(&name("acme"));
        assert_eq!((tenants.join(&name("acme")), tenants.len()), (acme, 1));
        let other = tenants.join(&name("other"));
        assert_eq!((tenants.find(&name("other")), tenants.len()), (Some(other), 2));
        tenants.connected(acme, 2);
        tenants.disconnected(acme);
        assert_eq!((tenants.get(acme).users(), tenants.get(acme).connections()), (2, 1));
        tenants.disconnected(acme);
        tenants.leave(acme);
        assert_eq!(tenants.find(&name("acme")), Some(acme));
        tenants.leave(acme);
        assert_eq!((tenants.find(&name("acme")), tenants.len()), (None, 1));
    }

    #[test]
    fn idle_sessions_stand_in_the_order_in_which_they_became_so_and_apart_for_each_tenant() {
        let mut tenants = Tenants::new(7);
        let [one, two] = ["one", "two"].map(|it| tenants.join(&name(it)));
        let session = SessionKey::of_slot;
        let places = [(one, 0), (two, 1), (one, 2), (one, 3)]
            .map(|(tenant, slot)| tenants.add_session(tenant, session(slot)));
        for place in [places[3], places[1], places[0], places[2]] {
            tenants.set_idle(place, true);
        }
        let idle = |tenants: &Tenants, tenant| tenants.idle_of(tenant).collect::<Vec<_>>();
        assert_eq!(idle(&tenants, one), [session(3), session(0), session(2)]);
        assert_eq!(idle(&tenants, two), [session(1)]);
        tenants.set_idle(places[0], false);
        tenants.remove_session(places[3]);
        assert_eq!(idle(&tenants, one), [session(2)]);
        assert_eq!((tenants.get(one).sessions(), tenants.get(one).idle()), (2, 1));
        assert_eq!((tenants.sessions(), tenants.session(places[2])), (3, Some(session(2))));
    }
}
