//! Tenants: who is of which, what the users of one have together, and what goes for its newcomers.

use std::collections::{BTreeMap, BTreeSet};

use headcount::{Refused, Registry, SessionEnd, SessionId, TenantView};

use super::Model;
use super::budget::{CALL_COST, Payer};
use super::names::Name;
use crate::seen::Source;
use crate::{Check, ensure, same};

/// Who is of which tenant.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Tenants {
    /// Users who are here and have one.
    of_users: BTreeMap<Name, Name>,
    /// Sessions that linger without an open run, with their tenants, in the order in which they came to.
    idle: Vec<(Name, SessionId)>,
    /// How many connections and sessions each had when a reload lowered the caps.
    at_reload: BTreeMap<Name, [usize; 2]>,
}

impl Model {
    pub(crate) fn tenant_of(&self, user: Name) -> Option<Name> {
        self.tenants.of_users.get(&user).copied()
    }

    /// The users of a tenant.
    fn users_of(&self, tenant: Name) -> impl Iterator<Item = Name> {
        let of_users = self.tenants.of_users.iter();
        of_users.filter(move |(_, it)| **it == tenant).map(|(user, _)| *user)
    }

    /// The sessions of a tenant that have not ended, in the order in which they were created.
    pub(crate) fn sessions_of_tenant(&self, tenant: Name) -> Vec<SessionId> {
        self.users_of(tenant).flat_map(|user| self.sessions_of(user)).collect()
    }

    fn connections_of_tenant(&self, tenant: Name) -> usize {
        self.users_of(tenant).map(|user| self.open_of_user(user).len()).sum()
    }

    /// Looks whether a user is here, and which of its sessions linger, after each change of one.
    pub(crate) fn note_tenant_of(&mut self, user: Name) {
        let Some(tenant) = self.tenant_of(user) else { return };
        let is_here = self.is_user(user);
        if !is_here {
            self.tenants.of_users.remove(&user);
        }
        let is_of_user = |id: &SessionId| self.sessions[id].user == user;
        // In the order in which they came to linger at all, for those of a user who joins.
        let lingering = self.absent.sessions.iter().copied().filter(is_of_user);
        let idle: Vec<_> = lingering.filter(|_| is_here).collect();
        let order = &mut self.tenants.idle;
        order.retain(|(_, id)| !is_of_user(id) || idle.contains(id));
        let new: Vec<_> = idle.into_iter().map(|id| (tenant, id)).collect();
        let new: Vec<_> = new.into_iter().filter(|it| !order.contains(it)).collect();
        order.extend(new);
        if !is_here {
            self.unlist_strangers(tenant);
        }
    }

    /// Those of whom a user is here.
    pub(crate) fn tenants_here(&self) -> BTreeSet<Name> {
        self.tenants.of_users.values().copied().collect()
    }

    /// The tenant of a newcomer whose principal names this one.
    pub(crate) fn tenant_for(
        &self,
        user: Name,
        named: Option<Name>,
    ) -> Result<Option<Name>, Refused> {
        let own = self.tenant_of(user);
        match (own, named) {
            (Some(own), Some(named)) if own != named => return Err(Refused::OtherTenant),
            (Some(_), _) => return Ok(own),
            (None, None) => return Ok(None),
            (None, Some(_)) => {}
        }
        let here = self.tenants_here();
        let is_further = named.is_some_and(|named| !here.contains(&named));
        if is_further && here.len() >= self.config.tenants() as usize {
            return Err(Refused::Tenants);
        }
        Ok(named)
    }

    /// Whether a tenant has a place for another connection of a user, of whom so many close.
    pub(crate) fn has_place_for_connection(
        &self,
        (tenant, user): (Option<Name>, Name),
        leaving: usize,
    ) -> Result<(), Refused> {
        let Some(tenant) = tenant else { return Ok(()) };
        let users: BTreeSet<_> = self.users_of(tenant).chain([user]).collect();
        let open: usize = users.into_iter().map(|user| self.open_of_user(user).len()).sum();
        if open - leaving >= self.config.connections_per_tenant() as usize {
            return Err(Refused::ConnectionsPerTenant);
        }
        Ok(())
    }

    /// Whether a tenant has a place for the sessions of a user, perhaps with a new one, if all that
    /// may go of the tenant goes. `left_behind` comes to linger as the user's connections close.
    pub(crate) fn has_place_in_tenant(
        &self,
        (tenant, user, creates): (Option<Name>, Name, bool),
        (follows, release): (Option<SessionId>, Option<SessionId>),
        left_behind: &[SessionId],
    ) -> Result<(), Refused> {
        let Some(tenant) = tenant else { return Ok(()) };
        let is_own = self.tenant_of(user) == Some(tenant);
        let stays = |id: &SessionId| Some(*id) != release;
        let lingers = |id: &SessionId| self.is_left(*id) || left_behind.contains(id);
        let is_needed = |id: &SessionId| follows == Some(*id) || !lingers(id);
        let brought = self.sessions_of(user).into_iter();
        let brought = brought.filter(|id| !is_own && stays(id) && is_needed(id)).count();
        // A session with a call under way is needed, or goes anyway.
        if brought == 0 && !creates {
            return Ok(());
        }
        let of_tenant = self.sessions_of_tenant(tenant);
        let may_go =
            |id: &SessionId| self.is_left(*id) || !stays(id) || is_own && left_behind.contains(id);
        let staying = of_tenant.into_iter().filter(|id| !may_go(id)).count();
        let count = staying + brought + usize::from(creates);
        if count > self.config.sessions_per_tenant() as usize {
            return Err(Refused::SessionsPerTenant);
        }
        let runs =
            self.runs.values().filter(|run| !is_own && run.user == user && stays(&run.session));
        let calls = CALL_COST * runs.map(|run| run.calls.len() as u64).sum::<u64>();
        if calls > 0 && self.call_bytes(Payer::Tenant(tenant)) + calls > self.config.tenant_bytes()
        {
            return Err(Refused::TenantBytes);
        }
        Ok(())
    }

    /// As many of a tenant's sessions that linger go as are too many with those of a user who comes: first
    /// those that this user would bring and does not follow.
    pub(crate) fn send_away_of_tenant(
        &mut self,
        tenant: Option<Name>,
        user: Name,
        (follows, creates): (Option<SessionId>, bool),
    ) {
        let Some(tenant) = tenant else { return };
        let is_own = self.tenant_of(user) == Some(tenant);
        let most = self.config.sessions_per_tenant() as usize;
        let more =
            |it: &Self| usize::from(creates) + if is_own { 0 } else { it.sessions_of(user).len() };
        let is_over = |it: &Self| it.sessions_of_tenant(tenant).len() + more(it) > most;
        while !is_own && is_over(self) {
            let may_go = |id: &&SessionId| self.sessions[*id].user == user && follows != Some(**id);
            let Some(first) = self.absent.sessions.iter().find(may_go).copied() else { break };
            self.marks.hit("a session of one who joins a tenant made room");
            self.end_session(first, SessionEnd::MadeRoom);
        }
        while more(self) > 0 && is_over(self) {
            let first = self.tenants.idle.iter().find(|(it, _)| *it == tenant);
            let Some((_, first)) = first.copied() else { break };
            self.marks.hit("a session made room within its tenant");
            self.end_session(first, SessionEnd::MadeRoom);
        }
    }

    /// A user who comes or is here is of a tenant from now on.
    pub(crate) fn join_tenant(&mut self, user: Name, tenant: Option<Name>) {
        let Some(tenant) = tenant else { return };
        let brings = self.sessions_of(user).len() + self.open_of_user(user).len() > 1;
        let is_new = self.tenants.of_users.insert(user, tenant).is_none();
        self.marks.hit_if(is_new && brings, "a user was adopted by a tenant");
        self.note_tenant_of(user);
        if is_new {
            for session in self.sessions_of(user) {
                self.list_evictable(&Source::Session(session));
            }
            self.keep_budget_in_turns(Payer::Tenant(tenant), None);
        }
    }

    /// Caps that are lowered send nothing away.
    pub(crate) fn note_tenants_at_reload(&mut self) {
        let tenants = self.tenants_here();
        let counts = |it: Name| [self.connections_of_tenant(it), self.sessions_of_tenant(it).len()];
        self.tenants.at_reload = tenants.into_iter().map(|it| (it, counts(it))).collect();
    }

    pub(crate) fn compare_tenants(&self, registry: &Registry) -> Check {
        let config = &self.config;
        let caps = [config.connections_per_tenant(), config.sessions_per_tenant()];
        for tenant in self.names.tenants.numbers() {
            let users = self.users_of(tenant).count();
            let counts =
                [self.connections_of_tenant(tenant), self.sessions_of_tenant(tenant).len()];
            let told = registry.tenant(self.names.tenants.name(tenant));
            let counts_told = |it: TenantView<'_>| {
                [it.connection_count(), it.session_count()].map(|count| count as usize)
            };
            let told = told.map(|it| (it.user_count() as usize, counts_told(it), it.bytes()));
            let expected = (users, counts, self.charged(Payer::Tenant(tenant)));
            same!(told, (users > 0).then_some(expected), "tenant {tenant}");
            let before = self.tenants.at_reload.get(&tenant).copied().unwrap_or_default();
            for ((count, cap), before) in counts.into_iter().zip(caps).zip(before) {
                ensure!(count <= before.max(cap as usize), "tenant {tenant} has {count} of {cap}");
            }
        }
        Ok(())
    }
}
