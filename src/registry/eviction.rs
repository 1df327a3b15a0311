//! Who makes room: takeover, the over-cap policy, and what is absent.

use core::num::NonZeroU32;

use smallvec::SmallVec;

use crate::action::{CloseReason, Ended};
use crate::config::OverCap;
use crate::conn::ConnKey;
use crate::ends::SessionEnd;
use crate::error::Refused;
use crate::id::ConnId;
use crate::principal::{ConnKind, Principal};
use crate::session::{SessionKey, UserKey};
use crate::stats::Notice;
use crate::store::TokenBucket;
use crate::time::Timestamp;

use super::Registry;
use super::owned_action::OwnedAction;
use super::tenancy::{AbsentOfTenant, Leaves, Tenancy};
use super::timer::Timer;

/// How many of a user's connections, or sessions, are looked at for the one that makes room. Of more
/// than these the first are: the connections that were admitted first, the sessions that began to
/// linger first. So an admission costs the same whatever the caps of a user are.
pub(super) const LOOKED_AT: usize = 64;

/// How many of what is absent make room for one newcomer at most. It is one, but after a reload has
/// lowered a cap: then each newcomer takes the place of several, until the count is within the cap.
pub(super) const ENDED_AT_ONCE: usize = 64;

/// How many of `count` have to go so that one more is within a cap, or so many that the count falls.
pub(super) fn excess(count: usize, cap: u32) -> usize {
    (count + 1).saturating_sub(cap as usize).min(ENDED_AT_ONCE)
}

/// What an admission does to others before it takes its place: to those of its own user, and to what
/// is absent. It is made in full before anything is done, so that a newcomer who is refused costs
/// nobody anything.
pub(super) struct Plan {
    /// The record that the user has already.
    pub(super) user: Option<UserKey>,
    /// The session that the principal has already.
    pub(super) session: Option<SessionKey>,
    /// The tenant that counts the newcomer.
    pub(super) tenancy: Option<Tenancy>,
    /// The predecessor that the client named.
    take_over: Option<ConnKey>,
    /// The connections that make room, the first to go first: one, or more where the newcomer's own
    /// limit is lower than that of those before it.
    evict: SmallVec<[ConnKey; 1]>,
    /// The session that makes room, with whatever connections it has.
    release: Option<SessionKey>,
    /// What makes room for a new session.
    absent: Absent,
    /// The token buckets after it: the user's own, and that of all.
    pub(super) own: TokenBucket,
    pub(super) all: TokenBucket,
}

/// How much of what is absent makes room for a new session, the longest absent first.
#[derive(Clone, Copy, Default)]
pub(super) struct Absent {
    /// Users, with all of their sessions.
    users: usize,
    /// Lingering sessions for a place in the newcomer's tenant, beside those of these users.
    of_tenant: AbsentOfTenant,
    /// Lingering sessions, beside all of these.
    sessions: usize,
}

impl Registry {
    /// Decides an admission: every limit exact, and the user's own ghosts in nobody's way.
    pub(super) fn plan_admission(
        &self,
        who: &Principal,
        previous: Option<ConnId>,
    ) -> Result<Plan, Refused> {
        let user = self.sessions.find_user(&who.user);
        let mut plan = Plan {
            user,
            session: None,
            tenancy: self.tenancy(user, who.tenant.as_ref())?,
            take_over: None,
            evict: SmallVec::new(),
            release: None,
            absent: Absent::default(),
            own: TokenBucket::FULL,
            all: TokenBucket::FULL,
        };
        // How many open connections the plan closes.
        let mut closes = 0;
        if let Some(user) = user {
            plan.session = who.thread.as_ref().and_then(|it| self.sessions.find(user, it));
            plan.take_over = previous
                .and_then(|conn| self.open_slot(conn))
                .filter(|slot| self.may_take_over(user, who, plan.session, *slot));
            closes += u32::from(plan.take_over.is_some());
            self.plan_own_caps(user, who, &mut plan, &mut closes)?;
        } else if who.kind == ConnKind::EventStream && self.config.streams_per_user == 0 {
            return Err(self.over_cap_of(who.kind));
        }
        let config = &self.config;
        if self.counters.open - closes >= config.connections {
            plan.evict = match (config.over_cap, user) {
                (OverCap::Refuse { .. }, _) | (_, None) => SmallVec::new(),
                (_, Some(user)) => {
                    let own = self.victims(user, who.kind, None, 1);
                    let other = match who.kind {
                        ConnKind::Socket => ConnKind::EventStream,
                        ConnKind::EventStream => ConnKind::Socket,
                    };
                    if own.is_empty() { self.victims(user, other, None, 1) } else { own }
                }
            };
            if plan.evict.is_empty() {
                return Err(Refused::Connections);
            }
            closes += 1;
        }
        if let Some(tenancy) = &plan.tenancy {
            self.has_place_in_tenant(user, tenancy, closes)?;
        }
        let places = u64::from(config.connections) + u64::from(config.closing);
        if u64::from(self.counters.live) >= places {
            return Err(Refused::Connections);
        }
        let is_new = who.thread.is_some() && plan.session.is_none();
        let closed = plan.take_over.into_iter().chain(plan.evict.iter().copied());
        let closed: SmallVec<[ConnKey; 2]> = closed.collect();
        let leaves = Leaves { release: plan.release, closes: &closed, stays: plan.session };
        plan.absent = self.plan_absent(user, is_new, plan.tenancy.as_ref(), &leaves)?;
        (plan.own, plan.all) = self.pay(user, &who.user)?;
        Ok(plan)
    }

    /// A predecessor is one of the same user. If the newcomer's principal names a thread it follows the
    /// session of that, so that credentials for one thread close nothing that is only in another.
    fn may_take_over(
        &self,
        user: UserKey,
        who: &Principal,
        session: Option<SessionKey>,
        previous: ConnKey,
    ) -> bool {
        let sessions = self.conns.sessions(previous);
        self.conns.user(previous) == user
            && (who.thread.is_none() || session.is_some_and(|it| sessions.contains(&it)))
    }

    /// What of the absent has to go so that a newcomer is within `limits.users` and, with a new session,
    /// within `limits.sessions_per_tenant` and `limits.sessions`: users who have neither a connection nor
    /// an open run, then sessions without either. `user` is the newcomer's user, if known; `leaves` is
    /// what of that user goes anyway.
    pub(super) fn plan_absent(
        &self,
        user: Option<UserKey>,
        is_new_session: bool,
        tenancy: Option<&Tenancy>,
        leaves: &Leaves<'_>,
    ) -> Result<Absent, Refused> {
        let (config, sessions) = (&self.config, &self.sessions);
        let mut absent = Absent::default();
        let mut ends = usize::from(leaves.release.is_some());
        let mut lingering = sessions.lingering();
        lingering -= usize::from(leaves.release.is_some_and(|it| sessions.get(it).may_go()));
        lingering += self.left_absent(leaves);
        let mut away = 0;
        if !user.is_some_and(|user| sessions.user(user).is_here()) {
            let names = u64::from(config.users) + u64::from(config.closing);
            let counts = user.is_some_and(|user| sessions.user(user).counts());
            if !counts && sessions.counted_users() as u64 >= names {
                return Err(Refused::Users);
            }
            absent.users = excess(sessions.users(), config.users);
            if absent.users > sessions.absent_users() {
                return Err(Refused::Users);
            }
            for user in sessions.absent().take(absent.users).map(|user| sessions.user(user)) {
                ends += user.sessions();
                lingering -= user.sessions();
                if tenancy.is_some_and(|tenancy| tenancy.is_that_of(user)) {
                    away += user.sessions();
                }
            }
        }
        if let Some(tenancy) = tenancy {
            absent.of_tenant =
                self.plan_absent_of_tenant(user, is_new_session, tenancy, leaves, away)?;
            ends += absent.of_tenant.sessions;
            lingering -= absent.of_tenant.sessions;
        }
        if !is_new_session {
            return Ok(absent);
        }
        absent.sessions = excess(sessions.live().saturating_sub(ends), config.sessions);
        let records = u64::from(config.sessions) + u64::from(config.closing);
        if absent.sessions > lingering || sessions.records() as u64 >= records {
            return Err(Refused::Sessions);
        }
        Ok(absent)
    }

    /// How many sessions that stay linger without an open run once these connections are gone.
    pub(super) fn left_absent(&self, leaves: &Leaves<'_>) -> usize {
        let Leaves { release, closes, stays } = *leaves;
        if closes.is_empty() {
            return 0;
        }
        let followed = closes.iter().flat_map(|slot| self.conns.sessions(*slot));
        let mut of_sessions: SmallVec<[SessionKey; 1]> = followed.copied().collect();
        of_sessions.sort_unstable();
        let is_left = |leavers: &&[SessionKey]| {
            let session = leavers[0];
            let record = self.sessions.get(session);
            let members = self.streams[record.stream].members.len();
            ![release, stays].contains(&Some(session))
                && record.open_runs() == 0
                && members == leavers.len()
        };
        of_sessions.chunk_by(|one, other| one == other).filter(is_left).count()
    }

    fn plan_own_caps(
        &self,
        user: UserKey,
        who: &Principal,
        plan: &mut Plan,
        closes: &mut u32,
    ) -> Result<(), Refused> {
        let config = &self.config;
        let of_user = self.sessions.user(user);
        let limit = match who.kind {
            ConnKind::Socket => {
                let limit = who.max_connections.map_or(u32::MAX, NonZeroU32::get);
                limit.min(config.connections_per_user)
            }
            // What its sockets follow is closed for no stream.
            ConnKind::EventStream => config.streams_per_user.saturating_sub(of_user.further()),
        };
        let is_of_kind = |slot: &ConnKey| self.conns.cold(*slot).kind == who.kind;
        let leaves = usize::from(plan.take_over.as_ref().is_some_and(is_of_kind));
        let (own, limit) = (of_user.of_kind(who.kind).len() - leaves, limit as usize);
        if own >= limit {
            if limit == 0 || matches!(config.over_cap, OverCap::Refuse { .. }) {
                return Err(self.over_cap_of(who.kind));
            }
            plan.evict = self.victims(user, who.kind, plan.take_over, own + 1 - limit);
            *closes += plan.evict.len() as u32;
        }
        let sessions = self.sessions.user(user).sessions();
        let is_new = who.thread.is_some() && plan.session.is_none();
        if !is_new || sessions < config.sessions_per_user as usize {
            return Ok(());
        }
        let lingers = self.first_idle(user).or_else(|| self.first_kept(user));
        plan.release = match (lingers, config.over_cap) {
            (Some(session), _) => Some(session),
            (None, OverCap::Refuse { retry_after }) => {
                return Err(Refused::SessionsPerUser { retry_after });
            }
            // The connection that goes anyway takes a session along: the one that it follows longest.
            (None, _) => {
                let follows = |slot: &ConnKey| !self.conns.sessions(*slot).is_empty();
                let evicted = plan.evict.iter().copied().find(follows);
                let victim = evicted.or_else(|| {
                    let open = self.sessions.user(user).connections(&self.conns);
                    let followers = open.take(LOOKED_AT).filter(follows);
                    followers.min_by_key(|slot| self.rank(*slot, config.over_cap))
                });
                let victim =
                    victim.ok_or(Refused::SessionsPerUser { retry_after: Refused::PAUSE })?;
                let session = self.conns.sessions(victim)[0];
                let members = &self.streams[self.sessions.get(session).stream].members;
                let closed = members.iter().filter(|member| {
                    !plan.evict.contains(&member.conn)
                        && self.conns.sessions(member.conn).len() == 1
                });
                *closes += closed.count() as u32;
                Some(session)
            }
        };
        Ok(())
    }

    /// The refusal of a newcomer for which no other of its kind makes room.
    const fn over_cap_of(&self, kind: ConnKind) -> Refused {
        let retry_after = match self.config.over_cap {
            OverCap::Refuse { retry_after } => retry_after,
            _ => Refused::PAUSE,
        };
        match kind {
            ConnKind::Socket => Refused::ConnectionsPerUser { retry_after },
            ConnKind::EventStream => Refused::StreamsPerUser { retry_after },
        }
    }

    /// Of a user's sessions that linger without an open run the one that does so longest.
    pub(super) fn first_idle(&self, user: UserKey) -> Option<SessionKey> {
        let idle = self.sessions.idle_of(user).take(LOOKED_AT);
        idle.min_by_key(|session| self.lingers_rank(*session))
    }

    /// The same of those that an open run keeps, among a user's oldest sessions.
    fn first_kept(&self, user: UserKey) -> Option<SessionKey> {
        let lingers = |it: &SessionKey| self.sessions.get(*it).lingers_since().is_some();
        let kept = self.sessions.of(user).take(LOOKED_AT).filter(lingers);
        kept.min_by_key(|session| self.lingers_rank(*session))
    }

    /// The least goes first: since when it lingers, then its age.
    fn lingers_rank(&self, session: SessionKey) -> (Option<Timestamp>, u32) {
        let record = self.sessions.get(session);
        (record.lingers_since(), !self.last_serial.wrapping_sub(record.serial.get()))
    }

    /// So many of a user's open connections of a kind, or all that there are, the first to go first.
    fn victims(
        &self,
        user: UserKey,
        kind: ConnKind,
        except: Option<ConnKey>,
        count: usize,
    ) -> SmallVec<[ConnKey; 1]> {
        let open = self.sessions.user(user).of_kind(kind).iter(&self.conns);
        let others = open.filter(|slot| Some(*slot) != except).take(count.max(LOOKED_AT));
        let rank = |slot: &ConnKey| self.rank(*slot, self.config.over_cap);
        if count == 1 {
            return others.min_by_key(rank).into_iter().collect();
        }
        let mut others: SmallVec<[ConnKey; 1]> = others.collect();
        others.sort_unstable_by_key(rank);
        others.truncate(count);
        others
    }

    /// The least goes first.
    pub(super) fn rank(&self, slot: ConnKey, policy: OverCap) -> (bool, u64, u32) {
        let (hot, cold) = (self.conns.hot(slot), self.conns.cold(slot));
        // Serials wrap: how many were made since says which is the older one.
        let since = cold.phase.as_nanos();
        let later = self.last_serial.wrapping_sub(hot.serial.get());
        match policy {
            OverCap::EvictUnresponsiveThenOldest => {
                (!hot.pulse.is_asked(), hot.pulse.last_seen().as_nanos(), !later)
            }
            OverCap::EvictOldest => (false, since, !later),
            // Whoever would have been refused.
            OverCap::Refuse { .. } => (false, !since, later),
        }
    }

    /// Carries a plan out; how many connections it evicts.
    pub(super) fn make_room(&mut self, plan: &Plan) -> u32 {
        if let Some(slot) = plan.take_over {
            self.begin_close(slot, CloseReason::TakenOver);
        }
        let mut evicted = 0;
        for slot in &plan.evict {
            evicted += u32::from(self.begin_close(*slot, CloseReason::Evicted));
        }
        if let Some(session) = plan.release {
            evicted += self.close_session(session, &CloseReason::Evicted.into());
            self.end_session(session, SessionEnd::UserCap);
        }
        self.send_away(plan.absent);
        evicted
    }

    /// Ends what is absent, as it was planned.
    pub(super) fn send_away(&mut self, plan: Absent) {
        for _ in 0..plan.users {
            let Some(user) = self.sessions.absent().next() else { break };
            self.end_leave_grace(user);
            while let Some(session) = self.sessions.first_of(user) {
                self.end_session(session, SessionEnd::MadeRoom);
            }
        }
        let AbsentOfTenant { sessions, joiner, stays, tenant } = plan.of_tenant;
        for _ in 0..sessions {
            let own = joiner.and_then(|user| {
                self.sessions.idle_of(user).find(|session| Some(*session) != stays)
            });
            let next = own.or_else(|| self.sessions.first_idle_of(tenant?));
            let Some(session) = next else { break };
            self.end_session(session, SessionEnd::MadeRoom);
        }
        for _ in 0..plan.sessions {
            let Some(session) = self.sessions.lingers_longest() else { break };
            self.end_session(session, SessionEnd::MadeRoom);
        }
    }

    /// Ends a session without open connections: what it kept is gone, and its name is free. Its
    /// `Cleanup` follows the last one of its connections.
    pub(super) fn end_session(&mut self, session: SessionKey, why: SessionEnd) {
        let id = self.sessions.id(session);
        let stream = self.sessions.get(session).stream;
        self.timers.cancel(Timer::Session(session));
        let user = self.sessions.get(session).user;
        self.sessions.end(session);
        self.settle(user, Some(id));
        self.remove_stream(stream);
        self.end_runs_of(session);
        self.counters.sessions_ended_by[why as usize] += 1;
        self.notice(Notice::SessionEnded { session: id, why });
        self.clean_up_session(session);
    }

    /// Queues the cleanup of a session that has ended, once all its connections are cleaned up.
    pub(super) fn clean_up_session(&mut self, session: SessionKey) {
        let record = self.sessions.get(session);
        if record.ended && record.attached == 0 {
            let (session, reason) = (self.sessions.id(session), record.reason);
            self.enqueue(OwnedAction::Cleanup { what: Ended::Session(session), reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Principal, Registry, Start, Timestamp};

    #[test]
    fn the_oldest_goes_first_also_where_serials_wrap() {
        for policy in [crate::OverCap::EvictUnresponsiveThenOldest, crate::OverCap::EvictOldest] {
            let config = Config::builder(7).connections_per_user(3).over_cap(policy);
            let mut registry = Registry::new(config.build().unwrap());
            registry.last_serial = u32::MAX - 2;
            let mut open = || {
                let who =
                    Principal::new("alice".parse().unwrap()).with_thread("main".parse().unwrap());
                registry.admit(Timestamp::ZERO, who, Start::OpenRuns, None).unwrap().0
            };
            let conns = [(); 4].map(|()| open());
            assert!(conns[2].to_bits() < conns[0].to_bits());
            let open: alloc::vec::Vec<_> = registry.connections(None).map(|it| it.id()).collect();
            let states = conns.map(|conn| registry.connection(conn).map(|it| it.state()));
            assert_eq!(states[0], Some(crate::ConnState::Closing), "{policy:?}: {open:?}");
            assert_eq!(states[1..], [Some(crate::ConnState::Open); 3], "{policy:?}");
        }
    }
}
