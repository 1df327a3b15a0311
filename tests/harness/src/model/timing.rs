//! Deadlines: which are due in a tick, and which is the next.

use std::collections::BTreeSet;
use std::time::Duration;

use headcount::{
    CloseReason, Config, ConnId, ConnState, MESSAGE_OVERHEAD, Registry, SessionEnd, Timestamp,
};

use super::absent::of_history;
use super::conn::{Conn, Ping, PingDue, State};
use super::drain::Drain;
use super::run_ends::Explained;
use super::{Model, due, millis_up};
use crate::seen::Source;
use crate::{Check, ensure};

/// The longest close handshake with a peer that broke the protocol, or floods.
const SHORT_HANDSHAKE: Duration = Duration::from_secs(1);

impl Ping {
    fn time_to_answer(&self, config: &Config) -> Duration {
        let usual = config.pong_timeout();
        if self.hurried { usual.min(config.emergency_deadline()) } else { usual }
    }
}

impl Conn {
    /// The end of the head or authentication deadline.
    fn pending_until(&self, config: &Config) -> Timestamp {
        let wait = if self.upgraded { config.auth_deadline() } else { config.head_deadline() };
        self.pending_since + wait
    }

    /// When it is stuck.
    pub(crate) fn stuck_at(&self, config: &Config) -> Option<Timestamp> {
        (self.is_open() && self.in_flight() > 0).then(|| self.progress_at + config.slow_deadline())
    }

    /// When its ping has been unanswered for too long.
    pub(crate) fn pong_by(&self, config: &Config) -> Option<Timestamp> {
        let ping = self.ping.filter(|_| self.is_open() && !self.paused)?;
        let (since, _) = ping.running?;
        Some(since + ping.time_to_answer(config))
    }

    /// When an unanswered ping makes it suspect.
    fn suspect_at(&self, config: &Config) -> Option<Timestamp> {
        let ping = self.ping.filter(|ping| !ping.late && self.is_open() && !self.paused)?;
        let (since, _) = ping.running?;
        Some(since + ping.time_to_answer(config) / 2)
    }

    /// When it is pinged, at the earliest and at the latest.
    fn ping_at(&self, config: &Config) -> Option<(Timestamp, Timestamp)> {
        let interval = config.interval();
        if !self.is_open() || self.paused || self.ping.is_some() || interval.is_zero() {
            return None;
        }
        let earliest = if self.pinged { interval } else { interval / 2 };
        Some((self.heard_at + earliest, self.heard_at + interval))
    }

    /// When its close handshake ends.
    fn handshake_until(&self, config: &Config) -> Option<Timestamp> {
        let short = matches!(
            self.reasons[..],
            [CloseReason::ProtocolError
                | CloseReason::InvalidPayload
                | CloseReason::MessageTooBig
                | CloseReason::RateLimited
                | CloseReason::HeadTimeout]
        );
        let whole = config.close_handshake();
        let limit = if short { whole.min(SHORT_HANDSHAKE) } else { whole };
        self.close_polled.filter(|_| self.state == State::Closing).map(|at| at + limit)
    }

    /// The latest instant of the first thing that time will do to it.
    fn next(&self, config: &Config, drain: Option<&Drain>) -> Option<Timestamp> {
        let pending = (self.state == State::Pending).then(|| self.pending_until(config));
        let ping = self.ping_at(config).map(|(_, latest)| latest);
        [
            pending,
            self.stuck_at(config),
            self.suspect_at(config),
            self.pong_by(config),
            ping,
            self.handshake_until(config),
            self.idle_at(config),
            self.frame_by(config),
            self.life_ends(config).map(|(_, latest)| latest),
            self.expires_at(config),
            drain.and_then(|drain| drain.closes(self, config)).map(|(_, latest)| latest),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Model {
    /// What a tick has done, or several at the same instant, until none was due.
    pub(crate) fn tick(
        &mut self,
        stamp: Timestamp,
        registry: &Registry,
        explained: &Explained,
    ) -> Check {
        self.clock(stamp);
        let expired = self.stale();
        self.force_close(registry)?;
        let is_open = |id| matches!(registry.state(id), Some(ConnState::Open | ConnState::Suspect));
        let ended: Vec<_> = self.open().map(|conn| conn.id).filter(|id| !is_open(*id)).collect();
        self.leave_together(&ended);
        let overdue = self.in_order(&self.overdue_runs(), explained);
        // Deadlines act in the order of time, and that of a connection is jittered: whether it closed
        // before runs failed and entries were too old is open.
        let later = self.lacked_later(&ended, &overdue)?;
        let sessions = overdue.iter().map(|run| Source::Session(self.runs[run].session));
        let unclear = expired.into_iter().chain(sessions).collect();
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            self.tick_conn(id, registry, &unclear);
        }
        self.may_have_closed_later(later);
        self.pass_in_order(&overdue, registry, explained)
    }

    /// What is overdue beside the connections, the runs in an order that the registry shows.
    fn pass_in_order(
        &mut self,
        overdue: &[u64],
        registry: &Registry,
        explained: &Explained,
    ) -> Check {
        let orders = if self.has_budgets() { orders(overdue) } else { Vec::new() };
        let mut possible = orders.iter().filter(|order| self.may_be(order, overdue, explained));
        // Who pays for what was appended depends on the order of the failures, which is open between
        // sessions, and among runs that are forgotten.
        let right = possible.find(|order| {
            let mut trial = self.clone();
            overdue.len() > 1 && trial.pass(order).and_then(|()| trial.learn(registry)).is_ok()
        });
        if let Some(order) = right {
            return self.pass(order);
        }
        self.pass(overdue)
    }

    /// After the connections: runs fail, entries are too old, and sessions have lingered.
    fn pass(&mut self, overdue: &[u64]) -> Check {
        let now = self.now;
        self.fail_runs(overdue)?;
        for source in self.stale() {
            if let Some(stream) = self.streams.get_mut(&source) {
                stream.expire(now);
            }
            self.log_moved(&source);
            self.drop_room(&source, &of_history());
            if !self.streams.contains_key(&source) {
                self.marks.hit("a room ended with its history");
            }
        }
        let config = &self.config;
        let over = |at: Option<Timestamp>| at.is_some_and(|at| due(now, at + config.linger()));
        let ended: Vec<_> = self
            .going()
            .filter(|(_, session)| session.uncleaned.is_empty() && session.open_runs == 0)
            .filter(|(_, session)| over(session.left_at))
            .map(|(id, _)| id)
            .collect();
        for id in ended {
            self.marks.hit("a session ended in a tick");
            self.end_session(id, SessionEnd::Lingered);
        }
        Ok(())
    }

    /// Streams with an entry that may be too old.
    pub(crate) fn stale(&self) -> BTreeSet<Source> {
        let stale = self.streams.values().filter(|stream| stream.is_stale(self.now));
        stale.map(|stream| stream.source.clone()).collect()
    }

    fn tick_conn(&mut self, id: ConnId, registry: &Registry, unclear: &BTreeSet<Source>) {
        let (now, config) = (self.now, self.config.clone());
        let conn = &self.conns[&id];
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| due(now, at));
        match conn.state {
            State::Pending if due(now, conn.pending_until(&config)) => {
                let (reason, mark) = if conn.upgraded {
                    (CloseReason::AuthTimeout, "an authentication was late")
                } else {
                    (CloseReason::HeadTimeout, "a request head was late")
                };
                self.marks.hit(mark);
                self.begin_close(id, &[reason], true);
            }
            State::Closing if is_due(conn.handshake_until(&config)) => {
                self.marks.hit("a close handshake ended in time");
                self.end(id);
            }
            State::Open => {
                let ended = registry.state(id) != Some(ConnState::Open)
                    && registry.state(id) != Some(ConnState::Suspect);
                let mut reasons = self.over(id, ended);
                let conn = &self.conns[&id];
                if is_due(conn.stuck_at(&config)) {
                    reasons.push(CloseReason::SlowConsumer);
                    self.marks.hit("a connection was stuck");
                }
                if is_due(conn.pong_by(&config)) {
                    reasons.push(CloseReason::PongTimeout);
                    self.marks.hit("a pong deadline passed");
                    self.tally.pong_timeouts.1 += 1;
                    self.tally.pong_timeouts.0 += u64::from(reasons.len() == 1);
                }
                let conn = &self.conns[&id];
                let suspect = is_due(conn.suspect_at(&config));
                let (possible, certain) = conn
                    .ping_at(&config)
                    .map_or((false, false), |at| (due(now, at.0), due(now, at.1)));
                if reasons.is_empty() {
                    // The first ping is jittered: within its range the registry chooses.
                    if certain || possible && has_queued_a_ping(conn, registry) {
                        self.queue_ping(id, PingDue::Yes);
                    }
                    if suspect {
                        self.suspect(id);
                    }
                } else {
                    if suspect {
                        // What acted first ended it: a late ping, unless it was something else.
                        let surely = reasons == [CloseReason::PongTimeout];
                        self.notices.suspect(id, surely);
                    }
                    if possible {
                        self.queue_ping(id, PingDue::Perhaps);
                    }
                    let exact = !possible && conn_is_clear(&self.conns[&id], unclear);
                    self.begin_close(id, &reasons, exact);
                }
            }
            _ => {}
        }
    }

    /// Limits of its own that are over. Where the exact instant is jittered, the registry chooses
    /// within its range, and it shows in whether the connection has `ended`.
    fn over(&mut self, id: ConnId, ended: bool) -> Vec<CloseReason> {
        let (now, config) = (self.now, &self.config);
        let conn = &self.conns[&id];
        let exact = |at: Option<Timestamp>| at.map(|at| (at, at));
        let drain = self.drain.and_then(|drain| drain.closes(conn, config));
        let limits = [
            (CloseReason::Restart, drain, "a drain closed a connection"),
            (CloseReason::Expired, exact(conn.expires_at(config)), "a principal expired"),
            (CloseReason::LifetimeEnded, conn.life_ends(config), "a life was long enough"),
            (CloseReason::Idle, exact(conn.idle_at(config)), "a connection was idle"),
            (CloseReason::FrameTimeout, exact(conn.frame_by(config)), "a message took too long"),
        ];
        let mut reasons = Vec::new();
        for (reason, at, mark) in limits {
            let Some((earliest, latest)) = at else { continue };
            if due(now, latest) || ended && due(now, earliest) {
                self.marks.hit(mark);
                reasons.push(reason);
            }
        }
        reasons
    }

    fn suspect(&mut self, id: ConnId) {
        self.marks.hit("a connection became suspect");
        self.notices.suspect(id, true);
        if let Some(Ping { late, .. }) = self.conns.get_mut(&id).and_then(|it| it.ping.as_mut()) {
            *late = true;
        }
    }

    pub(crate) fn queue_ping(&mut self, id: ConnId, certainty: PingDue) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.ping_due = certainty;
            conn.ping = Some(Ping { mark: None, running: None, late: false, hurried: false });
        }
    }

    /// A session is over: its log and its name go at once, its slot when the `Cleanup` is polled.
    pub(crate) fn end_session(&mut self, id: headcount::SessionId, why: SessionEnd) {
        self.end_runs_of(id);
        self.forget_payments(&Source::Session(id));
        self.streams.remove(&Source::Session(id));
        if let Some(session) = self.sessions.get_mut(&id) {
            session.ended = true;
        }
        *self.tally.sessions_ended_by.entry(why.name()).or_insert(0) += 1;
        if let Some(user) = self.sessions.get(&id).map(|session| session.user) {
            self.ease_pressure(user);
            if self.going().all(|(_, session)| session.user != user) {
                self.user_leaves(user);
            }
        }
        self.notices.session_ended(id, why, self.step);
    }

    /// The latest instant at which the next deadline acts.
    fn next_deadline(&self) -> Option<Timestamp> {
        let conns =
            self.conns.values().filter_map(|conn| conn.next(&self.config, self.drain.as_ref()));
        let logs = self.streams.values().filter_map(|stream| stream.expires_at());
        let lingering = self
            .going()
            .filter(|(_, session)| session.uncleaned.is_empty() && session.open_runs == 0)
            .filter_map(|(_, session)| session.left_at)
            .map(|at| at + self.config.linger());
        let whole = conns.chain(logs).chain(lingering).chain(self.run_deadlines());
        whole.chain(self.hard_stop()).min()
    }

    /// `poll_timeout` may be early, never late.
    pub(crate) fn check_timeout(&self, got: Option<Timestamp>) -> Check {
        if let Some(next) = self.next_deadline() {
            let latest = Timestamp::from_millis(millis_up(next)).max(self.now);
            ensure!(
                got.is_some_and(|at| at <= latest),
                "poll_timeout is {got:?}, but something is due at {next:?}"
            );
        }
        Ok(())
    }
}

/// All orders of a few: nine at one instant would be 362,880.
fn orders(of: &[u64]) -> Vec<Vec<u64>> {
    let Some((first, rest)) = of.split_first().filter(|_| of.len() <= 8) else {
        return vec![of.to_vec()];
    };
    let places = |order: Vec<u64>| {
        (0..=order.len()).map(move |place| [&order[..place], &[*first], &order[place..]].concat())
    };
    orders(rest).into_iter().flat_map(places).collect()
}

/// What is charged beyond what the model knows of is a ping that waits to be polled.
fn has_queued_a_ping(conn: &Conn, registry: &Registry) -> bool {
    registry.explain(conn.id).is_some_and(|it| it.load == conn.used() + MESSAGE_OVERHEAD)
}

/// Whether no log of a connection was trimmed in the same tick: which came first is open.
fn conn_is_clear(conn: &Conn, unclear: &BTreeSet<Source>) -> bool {
    conn.streams().iter().all(|source| !unclear.contains(source))
}
