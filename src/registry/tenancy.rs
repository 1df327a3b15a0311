//! Tenants: which one a newcomer is of, and whether that has a place for it.

use crate::conn::ConnKey;
use crate::error::Refused;
use crate::id::TenantId;
use crate::session::{SessionKey, User, UserKey};
use crate::tenant::TenantKey;

use super::Registry;
use super::eviction::ENDED_AT_ONCE;

/// The tenant that counts a newcomer.
pub(super) enum Tenancy {
    /// The newcomer's user is of it already.
    Own(TenantKey),
    /// The user joins it.
    Joins {
        name: TenantId,
        /// Its record; `None` if none of its users is here.
        known: Option<TenantKey>,
    },
}

impl Tenancy {
    /// Its record; `None` if none of its users is here.
    const fn known(&self) -> Option<TenantKey> {
        match self {
            Self::Own(tenant) => Some(*tenant),
            Self::Joins { known, .. } => *known,
        }
    }

    const fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Whether a user is of this tenant.
    pub(super) fn is_that_of(&self, user: &User) -> bool {
        self.known().is_some() && user.tenant() == self.known()
    }
}

/// What a newcomer does to its own user before it comes.
pub(super) struct Leaves<'a> {
    /// The session that ends.
    pub(super) release: Option<SessionKey>,
    /// The connections that close: the predecessor that it takes over, and those that make room.
    pub(super) closes: &'a [ConnKey],
    /// The session that the newcomer follows.
    pub(super) stays: Option<SessionKey>,
}

/// Sessions that linger without an open run and end so that a newcomer finds a place in its tenant. A user
/// who joins the tenant gives up its own first. So its lingering sessions do not keep the user out, and no
/// other user loses a session while one of them is left.
#[derive(Clone, Copy, Default)]
pub(super) struct AbsentOfTenant {
    /// How many end.
    pub(super) sessions: usize,
    /// The newcomer's user, if it joins the tenant now.
    pub(super) joiner: Option<UserKey>,
    /// The session of that user which the newcomer follows.
    pub(super) stays: Option<SessionKey>,
    /// The tenant, if one of its users is here.
    pub(super) tenant: Option<TenantKey>,
}

impl Registry {
    /// The tenant that counts a newcomer of this user, whose principal names this one; `None`: it is of
    /// no tenant.
    pub(super) fn tenancy(
        &self,
        user: Option<UserKey>,
        named: Option<&TenantId>,
    ) -> Result<Option<Tenancy>, Refused> {
        let tenants = self.sessions.tenants();
        if let Some(own) = user.and_then(|user| self.sessions.user(user).tenant()) {
            let name = tenants.get(own).name();
            if named.is_some_and(|named| named != name) {
                return Err(Refused::OtherTenant);
            }
            return Ok(Some(Tenancy::Own(own)));
        }
        let Some(name) = named else { return Ok(None) };
        let known = tenants.find(name);
        if known.is_none() && tenants.len() >= self.config.tenants as usize {
            return Err(Refused::Tenants);
        }
        Ok(Some(Tenancy::Joins { name: name.clone(), known }))
    }

    /// Whether the tenant has a place for another connection, once so many of its user's are closed.
    pub(super) fn has_place_in_tenant(
        &self,
        user: Option<UserKey>,
        tenancy: &Tenancy,
        closes: u32,
    ) -> Result<(), Refused> {
        let tenants = self.sessions.tenants();
        let of_tenant = tenancy.known().map_or(0, |tenant| tenants.get(tenant).connections());
        let joins = user.filter(|_| !tenancy.is_own());
        let of_user = joins.map_or(0, |user| self.sessions.user(user).open());
        let staying = of_tenant + of_user - closes as usize;
        if staying >= self.config.connections_per_tenant as usize {
            return Err(Refused::ConnectionsPerTenant);
        }
        Ok(())
    }

    /// Whether the budget of a tenant has room for the calls under way of a user who joins it, but for those
    /// of the session that ends.
    pub(super) fn has_room_for_calls(
        &self,
        user: UserKey,
        tenancy: &Tenancy,
        release: Option<SessionKey>,
    ) -> Result<(), Refused> {
        let runs = release.into_iter().flat_map(|session| self.runs_of(session));
        let released: u64 = runs.map(|run| self.runs.get(run).call_bytes()).sum();
        let brought = self.sessions.user(user).call_bytes() - released;
        let tenants = self.sessions.tenants();
        let of_tenant = tenancy.known().map_or(0, |tenant| tenants.get(tenant).call_bytes());
        if brought > 0 && of_tenant + brought > self.config.tenant_bytes {
            return Err(Refused::TenantBytes);
        }
        Ok(())
    }

    /// What has to go so that a newcomer finds a place in its tenant. `away` are sessions of the tenant that
    /// go with absent users.
    pub(super) fn plan_absent_of_tenant(
        &self,
        user: Option<UserKey>,
        is_new_session: bool,
        tenancy: &Tenancy,
        leaves: &Leaves<'_>,
        away: usize,
    ) -> Result<AbsentOfTenant, Refused> {
        let released = usize::from(leaves.release.is_some());
        let may_go = |session: Option<SessionKey>| {
            usize::from(session.is_some_and(|session| self.sessions.get(session).may_go()))
        };
        let left = self.left_absent(leaves);
        let joins = user.filter(|_| !tenancy.is_own());
        let (mut of_user, mut own_idle) = (0, 0);
        if let Some(user) = joins {
            let user = self.sessions.user(user);
            of_user = user.sessions() - released;
            own_idle = user.idle() + left - may_go(leaves.release) - may_go(leaves.stays);
        }
        let (mut sessions, mut idle) = (0, 0);
        if let Some(tenant) = tenancy.known() {
            let tenant = self.sessions.tenants().get(tenant);
            (sessions, idle) = (tenant.sessions() - away, tenant.idle() - away);
        }
        if tenancy.is_own() {
            sessions -= released;
            idle = idle + left - may_go(leaves.release);
        }
        let more = of_user + usize::from(is_new_session);
        let over = (sessions + more).saturating_sub(self.config.sessions_per_tenant as usize);
        let end = over.min(own_idle);
        let (more, over) = (more - end, over - end);
        // None goes for a newcomer without a session, and the count does not grow beyond the cap.
        let ends = if more == 0 { 0 } else { over.min(more.max(ENDED_AT_ONCE)) };
        if ends > idle {
            return Err(Refused::SessionsPerTenant);
        }
        if let Some(user) = joins {
            self.has_room_for_calls(user, tenancy, leaves.release)?;
        }
        Ok(AbsentOfTenant {
            sessions: end + ends,
            joiner: joins,
            stays: leaves.stays,
            tenant: tenancy.known(),
        })
    }

    /// A user joins the tenant that a newcomer of its was planned with, unless it is of it already.
    pub(super) fn join_tenant(&mut self, user: UserKey, tenancy: Option<&Tenancy>) {
        let Some(Tenancy::Joins { name, .. }) = tenancy else { return };
        let tenant = self.sessions.join_tenant(user, name);
        let mut next = self.sessions.first_of(user);
        while let Some(session) = next {
            self.list_evictable(self.sessions.get(session).stream);
            next = self.sessions.after(session);
        }
        self.keep_tenant_budget(tenant, None);
    }
}
