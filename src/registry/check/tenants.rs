//! Recounting tenants: what each has is the sum of what its users have.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use foldhash::quality::FixedState;
use hashbrown::HashSet;

use crate::evictable::EvictionClass;
use crate::registry::Registry;
use crate::session::{SessionKey, UserKey};
use crate::tenant::{Tenant, TenantKey};

impl Registry {
    pub(super) fn check_tenants(&self) -> Result<(), String> {
        let tenants = self.sessions.tenants();
        for (slot, user) in self.sessions.user_records() {
            let is_right = user.is_here() || user.tenant().is_none();
            hold!(is_right, "user {slot:?} has a tenant, and is not here");
        }
        let (mut count, mut sessions) = (0, 0);
        for (key, tenant) in tenants.iter() {
            count += 1;
            sessions += tenant.sessions();
            hold!(tenants.find(tenant.name()) == Some(key), "tenant {key:?} is not found");
            self.check_tenant(key, tenant)?;
        }
        hold!(count == tenants.len(), "{count} tenants, counted {}", tenants.len());
        let places = tenants.sessions();
        hold!(sessions == places, "{sessions} sessions are of a tenant, with {places} places");
        Ok(())
    }

    fn check_tenant(&self, key: TenantKey, tenant: &Tenant) -> Result<(), String> {
        let is_of_it = |user: &UserKey| self.sessions.user(*user).tenant() == Some(key);
        let here = self.sessions.iter_users_from(0).map(|(user, _)| user);
        let users: Vec<UserKey> = here.filter(is_of_it).collect();
        hold!(users.len() == tenant.users(), "tenant {key:?} has {} users", users.len());
        hold!(!users.is_empty(), "tenant {key:?} has no user");
        let open: usize = users.iter().map(|user| self.sessions.user(*user).open()).sum();
        hold!(open == tenant.connections(), "tenant {key:?} has {open} connections");
        let of_users = users.iter().flat_map(|user| self.sessions.of(*user));
        let sessions: Vec<SessionKey> = of_users.collect();
        hold!(
            sessions.len() == tenant.sessions(),
            "tenant {key:?} has {} sessions",
            sessions.len()
        );
        for session in &sessions {
            let place = self.sessions.get(*session).in_tenant();
            let found = place.and_then(|place| self.sessions.tenants().session(place));
            hold!(found == Some(*session), "session {session:?} has no place in tenant {key:?}");
        }
        let listed = self.sessions.tenants().idle_of(key).take(sessions.len() + 1);
        let listed: HashSet<SessionKey, FixedState> = listed.collect();
        let idle = sessions.iter().filter(|session| self.sessions.get(**session).may_go());
        let idle: HashSet<SessionKey, FixedState> = idle.copied().collect();
        let is_right = listed == idle && idle.len() == tenant.idle();
        hold!(is_right, "tenant {key:?} lists {listed:?} of its idle sessions {idle:?}");
        self.check_budget_of(key, tenant, &users, &sessions)
    }

    fn check_budget_of(
        &self,
        key: TenantKey,
        tenant: &Tenant,
        users: &[UserKey],
        sessions: &[SessionKey],
    ) -> Result<(), String> {
        let of_users = users.iter().map(|user| self.sessions.user(*user));
        let (bytes, calls) = of_users
            .fold((0, 0), |(bytes, calls), user| (bytes + user.bytes(), calls + user.call_bytes()));
        let counted = (tenant.bytes(), tenant.call_bytes());
        hold!((bytes, calls) == counted, "tenant {key:?} has {bytes} bytes, {calls} of calls");
        let stream = |session: &SessionKey| &self.streams[self.sessions.get(*session).stream];
        let entries: usize = sessions.iter().map(|session| stream(session).log.len()).sum();
        let is_kept = bytes <= self.config.tenant_bytes || entries <= 1;
        hold!(is_kept, "tenant {key:?} has {bytes} bytes in {entries} entries");
        for class in EvictionClass::ALL {
            let listed = self.sessions.tenants().evictable_of(key, class).take(sessions.len() + 1);
            let listed: HashSet<SessionKey, FixedState> = listed.collect();
            let holds = sessions.iter().filter(|session| stream(session).holds(class));
            let holds: HashSet<SessionKey, FixedState> = holds.copied().collect();
            let is_right = listed == holds && holds.len() == tenant.evictable(class);
            hold!(is_right, "tenant {key:?} lists {listed:?} as {class:?}: {holds:?}");
        }
        Ok(())
    }
}
