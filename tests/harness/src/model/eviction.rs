//! Who makes room for a newcomer: the predecessor that it names, its user's other connections, its
//! user's sessions, and what is absent.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use headcount::{CloseReason, ConnId, ConnKind, OverCap, Refused, SessionEnd, SessionId};

use super::Model;
use super::names::Name;
use crate::seen::Source;
use crate::{Check, ensure};

/// What an admission does to others of the same user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) take_over: Option<ConnId>,
    /// The first to go first.
    pub(crate) evict: Vec<ConnId>,
    /// The session that ends, with its connections.
    pub(crate) release: Option<SessionId>,
    /// Whether a new session needs a place, and whether its user does.
    pub(crate) creates: bool,
    pub(crate) is_new_user: bool,
    /// The user who comes, and the tenant that counts it.
    pub(crate) user: Name,
    pub(crate) tenant: Option<Name>,
    /// The session that it follows, if there is one.
    pub(crate) follows: Option<SessionId>,
}

impl Model {
    /// What has to be done before there is room, or why there is none. Nothing is done yet.
    pub(crate) fn plan(
        &self,
        (user, thread, kind): (Name, Option<Name>, ConnKind),
        (previous, tenant): (Option<ConnId>, Option<Name>),
        limit: Option<NonZeroU32>,
    ) -> Result<Plan, Refused> {
        let full = |count: usize, limit: u32| count >= limit as usize;
        let config = &self.config;
        let session = thread.and_then(|thread| self.session_of(user, thread));
        let of_user = self.sessions_of(user).len();
        let refuse = self.refuses();
        let tenant = self.tenant_for(user, tenant)?;
        let mut plan = Plan { user, tenant, ..Plan::default() };
        let mut staying: BTreeSet<_> = self.open_of_user(user).into_iter().collect();
        let mut leaving = 0;
        plan.take_over = previous.filter(|id| staying.contains(id)).filter(|id| match session {
            Some(session) => self.conns[id].sessions.contains(&session),
            None => thread.is_none(),
        });
        if let Some(id) = plan.take_over {
            staying.remove(&id);
            leaving += 1;
        }
        let is_of_kind = |id: &&ConnId| self.conns[id].kind == kind;
        let further = self.further(user) as u32;
        let own = match kind {
            ConnKind::Socket => {
                limit.map_or(u32::MAX, NonZeroU32::get).min(config.connections_per_user())
            }
            ConnKind::EventStream => config.streams_per_user().saturating_sub(further),
        };
        while full(staying.iter().filter(is_of_kind).count(), own) {
            let pause = (own == 0).then_some(Refused::PAUSE);
            if let Some(retry_after) = refuse.or(pause) {
                return Err(match kind {
                    ConnKind::Socket => Refused::ConnectionsPerUser { retry_after },
                    ConnKind::EventStream => Refused::StreamsPerUser { retry_after },
                });
            }
            let of_kind = staying.iter().filter(is_of_kind).copied();
            let victim = self.victim(of_kind).ok_or(Refused::UnknownConn)?;
            staying.remove(&victim);
            plan.evict.push(victim);
            leaving += 1;
        }
        plan.creates = thread.is_some() && session.is_none();
        if plan.creates && full(of_user, config.sessions_per_user()) {
            plan.release = self.releasable(user).first().copied();
            if plan.release.is_none() {
                if let Some(retry_after) = refuse {
                    return Err(Refused::SessionsPerUser { retry_after });
                }
                let follows = |id: &ConnId| self.conns[id].session().is_some();
                let first = plan.evict.iter().copied().find(follows);
                let victim = first.or_else(|| self.victim(staying.iter().copied().filter(follows)));
                let session = victim.and_then(|id| self.conns[&id].session());
                let session = session.ok_or(Refused::UnknownConn)?;
                let members = self.members(&Source::Session(session));
                let closes =
                    |id: &&ConnId| !plan.evict.contains(id) && self.conns[id].sessions.len() == 1;
                leaving += members.iter().filter(closes).count();
                plan.release = Some(session);
            }
        }
        if full(self.open().count() - leaving, config.connections()) {
            // Nobody is refused for want of the place that is one's own.
            let others = [ConnKind::Socket, ConnKind::EventStream];
            let first = [kind].into_iter().chain(others);
            let of_kind = |kind| self.victim(self.open_of_kind(user, kind).into_iter());
            plan.evict = first.filter_map(of_kind).take(1).collect();
            if refuse.is_some() || plan.evict.is_empty() {
                return Err(Refused::Connections);
            }
            leaving += plan.evict.len();
        }
        self.has_place_for_connection((tenant, user), leaving)?;
        if full(self.live(), config.connections() + config.closing()) {
            return Err(Refused::Connections);
        }
        plan.is_new_user = !self.is_user(user);
        plan.follows = session;
        let closes: Vec<_> = plan.take_over.into_iter().chain(plan.evict.iter().copied()).collect();
        self.has_place((user, tenant, plan.creates), (session, plan.release), &closes)?;
        Ok(plan)
    }

    /// When to come again, if newcomers over a cap are refused.
    pub(crate) fn refuses(&self) -> Option<Duration> {
        match self.config.over_cap() {
            OverCap::Refuse { retry_after } => Some(retry_after),
            _ => None,
        }
    }

    /// Sessions of a user that nobody is in: those without an open run first, then those that linger
    /// longest.
    pub(crate) fn releasable(&self, user: Name) -> Vec<SessionId> {
        let lingering = self.going().filter(|(_, it)| it.user == user && it.left_at.is_some());
        let mut lingering: Vec<_> = lingering.collect();
        lingering.sort_by_key(|(id, it)| (!self.is_left(*id), it.left_at, self.made(id.to_bits())));
        lingering.into_iter().map(|(id, _)| id).collect()
    }

    /// Who owes an answer goes first, then who has been silent for longest, then who came first.
    fn victim(&self, among: impl Iterator<Item = ConnId>) -> Option<ConnId> {
        among.min_by_key(|id| self.rank(*id, self.config.over_cap()))
    }

    /// The least goes first. Who may only be refused goes last come, first gone.
    pub(crate) fn rank(&self, id: ConnId, policy: OverCap) -> (bool, u64, u64) {
        let conn = &self.conns[&id];
        let serial = u64::from(self.made(id.to_bits()));
        let since = conn.admitted.map_or(0, |(_, at)| at.as_nanos());
        match policy {
            OverCap::EvictOldest => (false, since, serial),
            OverCap::Refuse { .. } => (false, u64::MAX - since, u64::MAX - serial),
            _ => {
                let asked = conn.ping.is_some_and(|ping| ping.mark.is_some());
                (!asked, conn.heard_at.as_nanos(), serial)
            }
        }
    }

    /// Does what was planned; how many were evicted.
    pub(crate) fn make_room(&mut self, plan: &Plan) -> u32 {
        let mut evicted = 0;
        if let Some(id) = plan.take_over {
            self.marks.hit("a connection was taken over");
            self.begin_close(id, CloseReason::TakenOver);
        }
        self.marks.hit_if(plan.evict.len() > 1, "a lower limit evicted several");
        for id in plan.evict.iter().copied() {
            self.marks.hit("a connection was evicted");
            self.begin_close(id, CloseReason::Evicted);
            evicted += 1;
        }
        if let Some(id) = plan.release {
            self.marks.hit("a session made room");
            evicted += self.close_session(id, &CloseReason::Evicted.into());
            self.end_session(id, SessionEnd::UserCap);
        }
        let Plan { user, tenant, is_new_user, follows, creates, .. } = *plan;
        self.send_away((user, tenant), (is_new_user, follows, creates));
        evicted
    }

    /// A handle that can't be admitted is the caller's mistake, not a refusal.
    pub(crate) fn refused(&mut self, expected: Refused, got: Option<Refused>) -> Check {
        match expected {
            Refused::UnknownConn => self.marks.hit("a stale handle"),
            _ => self.marks.hit_for("refused", &expected),
        }
        let mistake = matches!(expected, Refused::UnknownConn | Refused::NotPending);
        self.tally.refused += u64::from(!mistake);
        let right = match (expected, got) {
            (Refused::Rate { retry_after: wait }, Some(Refused::Rate { retry_after }))
            | (
                Refused::RateOfUser { retry_after: wait },
                Some(Refused::RateOfUser { retry_after }),
            ) => {
                // A millisecond is what the registry's clock resolves.
                wait.abs_diff(retry_after).as_millis() <= 1 && !retry_after.is_zero()
            }
            _ => got == Some(expected),
        };
        ensure!(right, "connect: {got:?}, expected {expected:?}");
        Ok(())
    }
}
