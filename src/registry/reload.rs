//! New limits and times for a registry that runs, and what they would do to connections and sessions.

use alloc::vec;
use alloc::vec::Vec;

use crate::action::CloseReason;
use crate::config::Config;
use crate::conn::{ConnKey, State, is_overdue};
use crate::ends::{RoomEnd, SessionEnd};
use crate::input::Input;
use crate::principal::ConnKind;
use crate::room::RoomKey;
use crate::run::RunKey;
use crate::session::{SessionKey, UserKey};
use crate::stats::{Impact, Notice};
use crate::store::{SlotKey, TokenBucket};
use crate::stream::StreamKey;
use crate::tenant::TenantKey;
use crate::time::Timestamp;

use super::Registry;

/// Who has to go before the new caps hold. It is made in full before anything is done, so that what
/// a dry run says is what a reload does.
struct Clearance {
    /// Sessions over a user's cap, with whatever connections they have.
    release: Vec<SessionKey>,
    close: Vec<(ConnKey, CloseReason)>,
    impact: Impact,
}

/// # Configuration
impl Registry {
    /// What [`Registry::reload`] would do now. Changes nothing but the time. Costs O(n log n) in
    /// connections, users and sessions. [`reload`](Self::reload) has an example.
    pub fn preview_reload(&mut self, now: Timestamp, config: &Config) -> Impact {
        self.advance(now);
        self.plan_clearance(config).impact
    }

    /// Goes on with other limits and times, which hold from here on, also for what is there already.
    ///
    /// Connections and sessions over a user's own cap go at once, in the order in which a newcomer
    /// would have had them evicted (under [`OverCap::Refuse`](crate::OverCap::Refuse): the last that
    /// came), and so do connections over `limits.connections`, with [`CloseReason::TryLater`]. The
    /// other caps, those of tenants included, bind newcomers only: nothing ends for a number of users,
    /// sessions or rooms before the next newcomer needs a place, and then as much of what is absent as is
    /// over the cap. Newcomers of a tenant with more connections than it may have are refused until it has
    /// fewer.
    /// Deadlines that have passed under the new times act in the next ticks, logs are
    /// trimmed at once, and token buckets whose rate or burst changes begin full. One user is dealt with
    /// after the other, in the order of the [`index`](crate::SessionId::index) of their oldest session, and
    /// those without a session after them, in that of their oldest connection. Rooms that keep nothing any
    /// more end in the order in which they became empty. The seed, whether flushes are reported and
    /// whether presence is said stay as they are: the first because positions that clients hold depend on
    /// it, the others because they are properties of the shell.
    ///
    /// Costs O(n log n) in all that there is: connections, users, sessions, rooms, runs and the log
    /// entries trimmed. An entry that gives way to `outbound.user_bytes` costs as in
    /// [`send`](Self::send).
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # for _ in 0..2 {
    /// #     registry.admit(now, Principal::new("alice".parse()?), Start::Now, None)?;
    /// # }
    /// // Alice has two tabs.
    /// let stricter = Config::builder(2).connections_per_user(1).build()?;
    /// let impact = registry.preview_reload(now, &stricter);
    /// assert_eq!(impact.evicted, 1);
    /// assert_eq!(registry.reload(now, stricter), impact);
    /// assert_eq!((registry.config().connections_per_user(), registry.config().seed()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reload(&mut self, now: Timestamp, config: Config) -> Impact {
        self.enter(now, Input::Reload { config: &config });
        let Clearance { release, close, impact } = self.plan_clearance(&config);
        let Config { seed, flush_reports, presence, .. } = self.config;
        let config = Config { seed, flush_reports, presence, ..config };
        let before = core::mem::replace(&mut self.config, config);
        for session in release {
            self.close_session(session, &CloseReason::Evicted.into());
            self.end_session(session, SessionEnd::Reload);
        }
        for (slot, reason) in close {
            self.begin_close(slot, reason);
        }
        self.trim_all_logs();
        self.keep_all_budgets();
        self.rearm_all(&before);
        self.weigh_all_pressure();
        self.enforce_closing_limit();
        self.cut_leaving_short();
        self.forget_closed();
        while self.notices.len() > self.config.notices as usize {
            self.notices.pop_front();
            self.counters.notices_lost += 1;
        }
        self.notice(Notice::Reloaded { impact });
        impact
    }

    fn plan_clearance(&self, config: &Config) -> Clearance {
        let mut leaves = vec![false; self.conns.end()];
        let mut ends = vec![false; self.sessions.ends().0];
        let mut plan =
            Clearance { release: Vec::new(), close: Vec::new(), impact: Impact::default() };
        for user in self.users_in_order() {
            self.plan_clearance_of(user, config, &mut plan, (&mut leaves, &mut ends));
        }
        let over = |staying: usize, cap: u32| staying.saturating_sub(cap as usize);
        let mut staying = self.ranked(config, |slot| !leaves[slot.slot()]);
        for slot in staying.drain(..over(staying.len(), config.connections)) {
            plan.impact.displaced += 1;
            plan.close.push((slot, CloseReason::TryLater));
        }
        let rules = crate::conn::Rules { config, ..self.rules() };
        let overdue = staying.iter().filter(|slot| {
            let (hot, cold) = (self.conns.hot(**slot), self.conns.cold(**slot));
            is_overdue(hot, cold, &rules, self.now)
        });
        plan.impact.overdue = overdue.count() as u32;
        plan
    }

    /// The share of one user, whose connections are counted once however they go.
    fn plan_clearance_of(
        &self,
        user: UserKey,
        config: &Config,
        plan: &mut Clearance,
        (leaves, ends): (&mut [bool], &mut [bool]),
    ) {
        let of_user = self.sessions.user(user);
        let mut release = of_user.sessions().saturating_sub(config.sessions_per_user as usize);
        let streams = config.streams_per_user.saturating_sub(of_user.further());
        let caps = [
            (ConnKind::Socket, config.connections_per_user as usize),
            (ConnKind::EventStream, streams as usize),
        ];
        if release == 0 && caps.iter().all(|(kind, cap)| of_user.of_kind(*kind).len() <= *cap) {
            return;
        }
        let mut own: Vec<ConnKey> = of_user.connections(&self.conns).collect();
        own.sort_unstable_by_key(|slot| self.rank(*slot, config.over_cap));
        // Once no session lingers, the connection that would go first takes its sessions along.
        let connected = own.iter().flat_map(|slot| self.conns.sessions(*slot)).copied();
        for session in self.releasable(user).into_iter().chain(connected) {
            if release == 0 {
                break;
            }
            // Another connection has taken the session along.
            if core::mem::replace(&mut ends[session.slot()], true) {
                continue;
            }
            release -= 1;
            plan.release.push(session);
            plan.impact.sessions += 1;
            for member in self.streams[self.sessions.get(session).stream].members.iter() {
                let mut sessions = self.conns.sessions(member.conn).iter();
                if sessions.all(|session| ends[session.slot()]) {
                    leaves[member.conn.slot()] = true;
                    plan.impact.evicted += 1;
                }
            }
        }
        own.retain(|slot| !leaves[slot.slot()]);
        for (kind, cap) in caps {
            let of_kind = own.iter().filter(|slot| self.conns.cold(**slot).kind == kind);
            let excess = of_kind.clone().count().saturating_sub(cap);
            for slot in of_kind.take(excess) {
                leaves[slot.slot()] = true;
                plan.impact.evicted += 1;
                plan.close.push((*slot, CloseReason::Evicted));
            }
        }
    }

    /// A user's sessions without connections, the first to go first: without an open run, then those
    /// that linger longest.
    fn releasable(&self, user: UserKey) -> Vec<SessionKey> {
        let record = |session: &SessionKey| self.sessions.get(*session);
        let lingers = |session: &SessionKey| record(session).lingers_since().is_some();
        let mut lingering: Vec<SessionKey> = self.sessions.of(user).filter(lingers).collect();
        lingering.sort_by_key(|session| {
            (record(session).open_runs() > 0, record(session).lingers_since())
        });
        lingering
    }

    /// Open connections, the first to go first.
    fn ranked(&self, config: &Config, stays: impl Fn(ConnKey) -> bool) -> Vec<ConnKey> {
        let open =
            self.conns.iter().filter(|(slot, hot, _)| hot.state == State::Open && stays(*slot));
        let mut open: Vec<_> = open.map(|(slot, ..)| slot).collect();
        if open.len() > config.connections as usize {
            open.sort_unstable_by_key(|slot| self.rank(*slot, config.over_cap));
        }
        open
    }

    fn trim_all_logs(&mut self) {
        let streams: Vec<StreamKey> = self.streams.iter().map(|(key, _)| key).collect();
        for key in streams {
            self.edit_log(key, |stream, bounds, freed| {
                stream.fit(bounds, freed);
                stream.trim_history(bounds, freed);
            });
        }
        let empty: Vec<RoomKey> = self.rooms.iter_empty().collect();
        for room in empty {
            self.remove_room_if_done(room, RoomEnd::Reload);
        }
    }

    fn keep_all_budgets(&mut self) {
        for user in self.users_in_order() {
            self.keep_user_budget(user, None);
        }
        let tenants: Vec<TenantKey> = self.sessions.tenants().iter().map(|(key, _)| key).collect();
        for tenant in tenants {
            self.keep_tenant_budget(tenant, None);
        }
        self.keep_process_budget(None);
    }

    fn rearm_all(&mut self, before: &Config) {
        let rate = |config: &Config| (config.connect_rate, config.connect_burst);
        if rate(before) != rate(&self.config) {
            self.connects = TokenBucket::FULL;
        }
        let rate = |config: &Config| (config.connect_rate_per_user, config.connect_burst_per_user);
        if rate(before) != rate(&self.config) {
            self.sessions.fill_buckets();
        }
        self.sessions.departed.shrink_to(self.config.users as usize);
        let rate = |config: &Config| (config.message_rate, config.message_burst);
        let other_rate = rate(before) != rate(&self.config);
        let rate = |config: &Config| (config.byte_rate, config.byte_burst());
        let other_byte_rate = rate(before) != rate(&self.config);
        let conns: Vec<ConnKey> = self.conns.iter().map(|(slot, ..)| slot).collect();
        for slot in conns {
            if other_rate {
                let cold = self.conns.cold_mut(slot);
                cold.frames = TokenBucket::FULL;
                cold.extras.edit(|it| it.excess = 0);
            }
            if other_byte_rate {
                let cold = self.conns.cold_mut(slot);
                cold.extras.edit(|it| (it.bytes, it.excess_bytes) = (TokenBucket::FULL, 0));
            }
            self.arm(slot);
            self.ready_if_room(slot);
        }
        let runs: Vec<RunKey> = self.runs.iter().map(|(run, _)| run).collect();
        runs.into_iter().for_each(|run| self.arm_run(run));
        let live = self.sessions.iter_live_from(0).map(|(session, _)| session);
        let sessions: Vec<SessionKey> = live.collect();
        sessions.into_iter().for_each(|session| self.arm_session(session));
    }

    /// Levels that the new caps and shares have moved.
    fn weigh_all_pressure(&mut self) {
        for user in self.users_in_order() {
            let session = self.sessions.first_of(user).map(|session| self.sessions.id(session));
            self.ease_pressure(user, session);
            self.raise_pressure(user, session, 0);
        }
    }

    /// All users: in the order of the slots of their oldest sessions, then those without one, in the
    /// order of the slots of the connections that they have had longest.
    fn users_in_order(&self) -> Vec<UserKey> {
        let mut users: Vec<UserKey> = self.sessions.iter_users_with_sessions().collect();
        let oldest = |user: UserKey| self.sessions.user(user).connections(&self.conns).next();
        users.extend(self.conns.iter().filter(|(_, hot, _)| hot.state == State::Open).filter_map(
            |(slot, hot, _)| {
                let user = hot.user?;
                let is_without = self.sessions.user(user).sessions() == 0;
                (is_without && oldest(user) == Some(slot)).then_some(user)
            },
        ));
        users
    }
}
