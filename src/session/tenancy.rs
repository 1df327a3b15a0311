//! Which users are of which tenant. A user is of one as long as it is here.

use crate::id::TenantId;
use crate::store::Ring;
use crate::tenant::{TenantKey, Tenants};

use super::{Idle, SessionKey, Sessions, UserKey};

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
    pub(crate) fn join_tenant(&mut self, user: UserKey, name: &TenantId) {
        let tenant = self.tenants.join(name);
        let record = &mut self.users[user];
        debug_assert!(record.tenant.is_none(), "a user is of one tenant");
        record.tenant = Some(tenant);
        self.tenants.connected(tenant, record.open());
        let mut next = self.first_of(user);
        while let Some(session) = next {
            self.add_to_tenant(session);
            next = self.after(session);
        }
        let mut next = self.users[user].idle.front();
        while let Some(session) = next {
            if let Some(place) = self.records[session].in_tenant {
                self.tenants.set_idle(place, true);
            }
            next = Ring::<Idle>::after(&self.records, session);
        }
    }

    /// A session that has not ended is one of its user's tenant.
    pub(super) fn add_to_tenant(&mut self, session: SessionKey) {
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
            self.tenants.leave(tenant);
        }
    }
}
