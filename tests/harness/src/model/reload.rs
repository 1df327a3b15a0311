//! New limits and times: who has to go, and what holds from here on for those who stay.

use std::collections::BTreeSet;

use headcount::{
    CloseReason, Config, ConnId, ConnKind, Impact, Notice, RoomEnd, SessionEnd, SessionId, Upcoming,
};

use super::budget::Payer;
use super::entry::Bounds;
use super::limits::byte_burst;
use super::names::Name;
use super::{Bucket, Model};
use crate::{Check, ensure};

/// Who goes, in order.
#[derive(Debug, Default)]
struct Clearance {
    sessions: Vec<SessionId>,
    evicted: Vec<ConnId>,
    displaced: Vec<ConnId>,
    /// Connections of sessions that end.
    taken_along: BTreeSet<ConnId>,
}

impl Model {
    /// A dry run says what a reload does, and does nothing.
    pub(crate) fn preview_reload(&mut self, config: &Config, got: Impact) -> Check {
        let clearance = self.clearance(config);
        self.check_impact(&clearance, config, got)
    }

    pub(crate) fn reload(&mut self, config: Config, got: Impact) -> Check {
        let clearance = self.clearance(&config);
        self.check_impact(&clearance, &config, got)?;
        self.counts_at_reload = self.capped_counts();
        self.note_tenants_at_reload();
        let before = core::mem::replace(&mut self.config, config);
        for (source, stream) in &mut self.streams {
            stream.bounds = Bounds::of(source, &self.config);
        }
        for id in clearance.sessions {
            self.marks.hit("a reload ended a session");
            self.close_session(id, &CloseReason::Evicted.into());
            self.end_session(id, SessionEnd::Reload);
        }
        for id in clearance.evicted {
            self.marks.hit("a reload evicted a connection");
            self.begin_close(id, CloseReason::Evicted);
        }
        for id in clearance.displaced {
            self.marks.hit("a reload displaced a connection");
            self.begin_close(id, CloseReason::TryLater);
        }
        self.trim_to_new_bounds();
        self.refill(&before);
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            self.look_at(id);
        }
        for user in self.users_in_order() {
            let oldest = self.sessions_of(user).first().copied();
            self.ease_pressure(user, oldest);
            self.raise_pressure(user, oldest, 0);
        }
        self.cut_short();
        self.cut_leaving_short();
        while self.notices.len() > self.config.notices() as usize {
            self.notices.pop_front();
            self.tally.notices_lost += 1;
        }
        self.notice(Notice::Reloaded { impact: got });
        Ok(())
    }

    fn clearance(&self, config: &Config) -> Clearance {
        let mut plan = Clearance::default();
        let policy = config.over_cap();
        for user in self.users_in_order() {
            let mut own: Vec<_> = self.open_of_user(user).into_iter().collect();
            own.sort_by_key(|id| self.rank(*id, policy));
            let of_user = self.sessions_of(user).len();
            let excess = of_user.saturating_sub(config.sessions_per_user() as usize);
            let mut order = self.releasable(user);
            order.extend(own.iter().flat_map(|id| self.conns[id].sessions.iter().copied()));
            let mut seen = BTreeSet::new();
            order.retain(|id| seen.insert(*id));
            order.truncate(excess);
            let goes = |id: &&ConnId| {
                let sessions = &self.conns[id].sessions;
                !sessions.is_empty() && sessions.iter().all(|session| order.contains(session))
            };
            plan.taken_along.extend(own.iter().filter(goes).copied());
            plan.sessions.extend(order);
            own.retain(|id| !plan.taken_along.contains(id));
            let streams = (config.streams_per_user() as usize).saturating_sub(self.further(user));
            for (kind, cap) in [
                (ConnKind::Socket, config.connections_per_user() as usize),
                (ConnKind::EventStream, streams),
            ] {
                let mut of_kind = own.clone();
                of_kind.retain(|id| self.conns[id].kind == kind);
                of_kind.truncate(of_kind.len().saturating_sub(cap));
                plan.evicted.extend(of_kind);
            }
        }
        let mut staying: Vec<_> = self.open().collect();
        staying.retain(|id| !plan.taken_along.contains(id) && !plan.evicted.contains(id));
        staying.sort_by_key(|id| self.rank(*id, policy));
        staying.truncate(staying.len().saturating_sub(config.connections() as usize));
        plan.displaced = staying;
        plan
    }

    fn check_impact(&mut self, plan: &Clearance, config: &Config, got: Impact) -> Check {
        let leaving: BTreeSet<_> =
            plan.taken_along.iter().chain(&plan.evicted).chain(&plan.displaced).collect();
        let (mut surely, mut perhaps) = (0, 0);
        for id in self.open().filter(|id| !leaving.contains(id)) {
            let deadlines = self.conns[&id].deadlines(config, self.drain.as_ref());
            let closes = deadlines.iter().filter(|(what, _)| matches!(what, Upcoming::Close(_)));
            let passed = |at: u64| at <= self.now.as_millis();
            surely += u32::from(closes.clone().any(|(_, when)| passed(when.latest)));
            perhaps += u32::from(closes.clone().any(|(_, when)| passed(when.earliest)));
        }
        self.marks.hit_if(surely > 0, "a reload found a deadline that has passed");
        ensure!(
            got.evicted as usize == plan.taken_along.len() + plan.evicted.len()
                && got.displaced as usize == plan.displaced.len()
                && got.sessions as usize == plan.sessions.len()
                && (surely..=perhaps).contains(&got.overdue),
            "reload: {got:?}, expected {plan:?} and {surely} to {perhaps} overdue"
        );
        Ok(())
    }

    /// Users in the order of the indexes of their oldest sessions, then those without a session, in that of
    /// the connections that they have had longest.
    fn users_in_order(&self) -> Vec<Name> {
        let mut users: Vec<_> = self.users().into_iter().collect();
        // Nothing is there of a user who only may come back.
        users.retain(|it| self.sessions_of(*it).len() + self.open_of_user(*it).len() > 0);
        users.sort_unstable_by_key(|user| match self.sessions_of(*user).first() {
            Some(oldest) => (false, oldest.index()),
            None => (true, self.open_of_user(*user)[0].index()),
        });
        users
    }

    fn trim_to_new_bounds(&mut self) {
        for source in self.streams.keys().cloned().collect::<Vec<_>>() {
            let stream = self.stream_mut(&source);
            let trimmed = stream.log.trim(&stream.bounds) != (0, 0);
            self.thin(&source);
            self.marks.hit_if(trimmed, "a reload trimmed a log");
        }
        self.end_empty_rooms(RoomEnd::Reload);
        for user in self.users() {
            self.keep_user_budget(user, None);
        }
        for tenant in self.tenants_here() {
            self.keep_budget_in_turns(Payer::Tenant(tenant), None);
        }
        self.keep_budget_in_turns(Payer::Everyone, None);
    }

    /// Buckets of a rate or a burst that has changed begin full.
    fn refill(&mut self, before: &Config) {
        let now = self.config.clone();
        let changed = |rate: fn(&Config) -> (u64, u64)| rate(before) != rate(&now);
        if changed(|it| (it.connect_rate().into(), it.connect_burst().into())) {
            self.bucket = Bucket::new(now.connect_rate(), now.connect_burst());
        }
        self.refill_users(changed(|it| {
            (it.connect_rate_per_user().into(), it.connect_burst_per_user().into())
        }));
        let messages = changed(|it| (it.message_rate().into(), it.message_burst().into()));
        let bytes = changed(|it| (it.byte_rate(), byte_burst(it)));
        for conn in self.conns.values_mut() {
            conn.next = None;
            conn.frames.refill_if(messages);
            conn.bytes.refill_if(bytes);
        }
    }
}
