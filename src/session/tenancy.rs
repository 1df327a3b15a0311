//! Which users are of which tenant. A user is of one as long as it is here.

use crate::evictable::EvictionClass;
use crate::id::TenantId;
use crate::store::Ring;
use crate::tenant::{TenantKey, TenantSessionKey, Tenants};

use super::{Idle, Session, SessionKey, Sessions, UserKey};

impl Session {
    /// What it has as one of its tenant's.
    pub(crate) const fn in_tenant(&self) -> Option<TenantSessionKey> {
        self.in_tenant
    }
}

impl Sessions {
    pub(crate) const fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// The session of a tenant that lingers longest without an open run.
    pub(crate) fn first_idle_of(&self, tenant: TenantKey) -> Option<SessionKey> {
        self.tenants.idle_of(tenant).next()
    }

    /// A user who has no tenant comes to be of one, with all that it has. It is here, or comes to be here
    /// before the call ends.
    pub(crate) fn join_tenant(&mut self, user: UserKey, name: &TenantId) -> TenantKey {
        let tenant = self.tenants.join(name);
        let record = &mut self.users[user];
        debug_assert!(record.tenant.is_none(), "a user is of one tenant");
        record.tenant = Some(tenant);
        self.tenants.connected(tenant, record.open());
        self.tenants.count_bytes(tenant, 0, record.bytes);
        self.tenants.count_calls(tenant, 0, record.extras.call_bytes);
        let mut next = self.first_of(user);
        while let Some(session) = next {
            self.add_to_tenant(session);
            next = self.after(session);
        }
        let mut next = self.users[user].extras.idle.front();
        while let Some(session) = next {
            if let Some(place) = self.records[session].in_tenant {
                self.tenants.set_idle(place, true);
            }
            next = Ring::<Idle>::after(&self.records, session);
        }
        tenant
    }

    /// The logs of a user's sessions, and its calls, had another cost before: adapts the gauges.
    pub(crate) fn count_bytes(&mut self, user: UserKey, before: u64, after: u64) {
        let record = &mut self.users[user];
        record.bytes = record.bytes + after - before;
        if let Some(tenant) = record.tenant {
            self.tenants.count_bytes(tenant, before, after);
        }
    }

    /// The same for its calls alone.
    pub(crate) fn count_calls(&mut self, user: UserKey, before: u64, after: u64) {
        self.count_bytes(user, before, after);
        let record = &mut self.users[user];
        record.extras.edit(|it| it.call_bytes = it.call_bytes + after - before);
        if let Some(tenant) = record.tenant {
            self.tenants.count_calls(tenant, before, after);
        }
    }

    /// Lists a session among those of its tenant, if it has one, whose logs hold an entry of a class.
    pub(crate) fn list_evictable(&mut self, session: SessionKey, holds: [bool; 2]) {
        // Without a tenant nothing is looked up.
        if self.tenants.len() > 0
            && let Some(place) = self.records[session].in_tenant
        {
            self.tenants.list_evictable(place, holds);
        }
    }

    /// The session of a tenant whose turn it is to give an entry of this class up.
    pub(crate) fn next_evictable(
        &mut self,
        tenant: TenantKey,
        class: EvictionClass,
    ) -> Option<SessionKey> {
        self.tenants.next_evictable(tenant, class)
    }

    /// A session that has not ended is one of its user's tenant.
    pub(super) fn add_to_tenant(&mut self, session: SessionKey) {
        // Without a tenant nothing is looked up.
        if self.tenants.len() == 0 {
            return;
        }
        let record = &mut self.records[session];
        if let Some(tenant) = self.users[record.user].tenant {
            record.in_tenant = Some(self.tenants.add_session(tenant, session));
        }
    }

    /// A user who is not here any more has no tenant. Not before it is settled: one whose last connection
    /// has ended may be in the leave grace.
    pub(super) fn leave_tenant_if_gone(&mut self, user: UserKey) {
        let record = &mut self.users[user];
        if !record.is_here()
            && let Some(tenant) = record.tenant.take()
        {
            // What its last session held is counted for it until the log is gone.
            self.tenants.count_bytes(tenant, record.bytes, 0);
            self.tenants.count_calls(tenant, record.extras.call_bytes, 0);
            self.tenants.leave(tenant);
        }
    }
}
