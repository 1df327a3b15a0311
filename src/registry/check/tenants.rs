//! Recounting tenants: what each has is the sum of what its users have.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use foldhash::quality::FixedState;
use hashbrown::HashSet;

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
        Ok(())
    }
}
