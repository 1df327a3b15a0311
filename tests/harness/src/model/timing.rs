//! Deadlines: when each acts, and which is the next.

use std::time::Duration;

use headcount::{CloseReason, Config, ConnId, Registry, SessionId, Timestamp, Upcoming};

use super::conn::{Conn, Ping, State};
use super::drain::Drain;
use super::names::Name;
use super::{Model, millis_up};
use crate::seen::Source;
use crate::{Check, ensure};

/// The longest close handshake with a peer that broke the protocol, or floods.
const SHORT_HANDSHAKE: Duration = Duration::from_secs(1);

/// The last whole millisecond of a [`Timestamp`]: a deadline after it never comes.
const LAST_MILLIS: u64 = u64::MAX / 1_000_000;

/// The whole milliseconds in which a deadline may act: one, but for those that are jittered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) earliest: u64,
    pub(crate) latest: u64,
}

impl When {
    pub(crate) fn at(at: Timestamp) -> Self {
        Self::between((at, at))
    }

    fn between((earliest, latest): (Timestamp, Timestamp)) -> Self {
        Self { earliest: millis_up(earliest), latest: millis_up(latest) }
    }
}

/// Whose deadline it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Conn(ConnId),
    Session(SessionId),
    Run(u64),
    /// A run that has ended and lingers.
    Linger(u64),
    Log(Source),
    /// A user in the leave grace, and the place in the order in which these left.
    Leave(Name, usize),
}

impl Whose {
    /// Which acts first within a millisecond. Runs have no order among themselves, nor have logs.
    pub(crate) fn rank(&self) -> (u8, usize) {
        match self {
            Self::Conn(conn) => (0, conn.index()),
            Self::Session(session) => (1, session.index()),
            Self::Run(_) | Self::Linger(_) => (2, 0),
            Self::Log(_) => (3, 0),
            Self::Leave(_, place) => (4, *place),
        }
    }
}

impl Ping {
    /// Once it runs: when it makes its connection suspect, unless it has, and when it closes it.
    fn deadlines(&self, config: &Config) -> Option<(Option<Timestamp>, Timestamp)> {
        let (since, _) = self.running?;
        let usual = config.pong_timeout();
        let limit = if self.hurried { usual.min(config.emergency_deadline()) } else { usual };
        Some(((!self.late).then(|| since + limit / 2), since + limit))
    }
}

impl Conn {
    /// The end of the head or authentication deadline.
    pub(crate) fn pending_until(&self, config: &Config) -> (CloseReason, Timestamp) {
        match self.upgraded {
            true => (CloseReason::AuthTimeout, self.pending_since + config.auth_deadline()),
            false => (CloseReason::HeadTimeout, self.pending_since + config.head_deadline()),
        }
    }

    /// When it is pinged, at the earliest and at the latest: jittered until it was pinged once, and then on
    /// the next of the instants that all connections share.
    fn ping_at(&self, config: &Config) -> Option<(Timestamp, Timestamp)> {
        let interval = config.ping_interval();
        if self.ping.is_some() || interval.is_zero() {
            return None;
        }
        let earliest = if self.pinged { interval } else { interval / 2 };
        let shared = |at: Timestamp| match config.ping_slack().as_nanos() as u64 {
            0 => at,
            slack => Timestamp::from_nanos(at.as_nanos().div_ceil(slack).saturating_mul(slack)),
        };
        Some((shared(self.heard_at + earliest), shared(self.heard_at + interval)))
    }

    /// When its close handshake ends.
    fn handshake_until(&self, config: &Config) -> Option<Timestamp> {
        let short = matches!(
            self.reason,
            Some(
                CloseReason::ProtocolError
                    | CloseReason::InvalidPayload
                    | CloseReason::MessageTooBig
                    | CloseReason::RateLimited
                    | CloseReason::HeadTimeout
            )
        );
        let whole = config.close_handshake();
        let limit = if short { whole.min(SHORT_HANDSHAKE) } else { whole };
        self.close_polled.map(|at| at + limit)
    }

    /// What time does to it, and when.
    pub(crate) fn deadlines(
        &self,
        config: &Config,
        drain: Option<&Drain>,
    ) -> Vec<(Upcoming, When)> {
        let close = |reason, at: Option<Timestamp>| Some((Upcoming::Close(reason), When::at(at?)));
        let jittered = |what, range: Option<_>| Some((what, When::between(range?)));
        let deadlines = match self.state {
            State::Pending => {
                let (reason, at) = self.pending_until(config);
                vec![close(reason, Some(at))]
            }
            State::Open => {
                let is_stuck = self.in_flight() > 0;
                let stuck_at = is_stuck.then(|| self.progress_at + config.slow_deadline());
                let restart = drain.and_then(|drain| drain.closes(self, config));
                let expires = self.expires.map(|at| at + config.expiry_grace());
                let mut deadlines = vec![
                    close(CloseReason::SlowConsumer, stuck_at),
                    close(CloseReason::Expired, expires),
                    jittered(Upcoming::Close(CloseReason::LifetimeEnded), self.life_ends(config)),
                    jittered(Upcoming::Close(CloseReason::Restart), restart),
                ];
                // Nothing is read from a connection that is paused, so that its silence says nothing.
                if !self.paused {
                    let idle = Some(config.session_idle()).filter(|idle| !idle.is_zero());
                    let frame_by = self.began.map(|began| began + config.frame_deadline());
                    let asked = self.ping.and_then(|ping| ping.deadlines(config));
                    let suspect_at = asked.and_then(|(suspect_at, _)| suspect_at);
                    deadlines.extend([
                        close(CloseReason::Idle, idle.map(|idle| self.data_at + idle)),
                        close(CloseReason::FrameTimeout, frame_by),
                        jittered(Upcoming::Ping, self.ping_at(config)),
                        suspect_at.map(|at| (Upcoming::Suspect, When::at(at))),
                        close(CloseReason::PongTimeout, asked.map(|(_, pong_by)| pong_by)),
                    ]);
                }
                deadlines
            }
            State::Closing => {
                let at = self.handshake_until(config);
                vec![at.map(|at| (Upcoming::Cleanup, When::at(at)))]
            }
            State::Gone => Vec::new(),
        };
        let deadlines = deadlines.into_iter().flatten();
        deadlines.filter(|(_, when)| when.earliest <= LAST_MILLIS).collect()
    }
}

impl Model {
    pub(crate) fn deadlines_of(&self, id: ConnId) -> Vec<(Upcoming, When)> {
        self.conns[&id].deadlines(&self.config, self.drain.as_ref())
    }

    /// What the registry says of the next deadlines of all connections.
    pub(crate) fn learn_deadlines(&mut self, registry: &Registry) -> Check {
        self.learn_some(registry, |_| true)
    }

    /// The same of those that have changed since, and of those that are due then.
    pub(crate) fn learn_changed(&mut self, registry: &Registry, at: Timestamp) -> Check {
        self.learn_some(registry, |conn| conn.next.is_none_or(|(next, _)| next <= at.as_millis()))
    }

    fn learn_some(&mut self, registry: &Registry, which: impl Fn(&Conn) -> bool) -> Check {
        let some = self.conns.iter().filter(|(_, conn)| which(conn)).map(|(id, _)| *id);
        for id in some.collect::<Vec<_>>() {
            let explained =
                registry.connection(id).ok_or_else(|| format!("{id:?} is not explained"))?;
            self.learn_next(id, explained.next())?;
        }
        Ok(())
    }

    /// What the registry says of a connection's next deadline: the first of those that it has. Where
    /// that is jittered, it settles the instant.
    fn learn_next(&mut self, id: ConnId, told: Option<(Timestamp, Upcoming)>) -> Check {
        let deadlines = self.deadlines_of(id);
        let latest = deadlines.iter().map(|(_, when)| when.latest).min();
        let next = told.map(|(at, what)| (at.as_millis(), what));
        let fine = match next {
            None => latest.is_none_or(|latest| latest > LAST_MILLIS),
            Some((at, what)) => {
                let is_it = |(it, when): &(Upcoming, When)| {
                    *it == what && (when.earliest..=when.latest).contains(&at)
                };
                latest.is_some_and(|latest| at <= latest) && deadlines.iter().any(is_it)
            }
        };
        ensure!(fine, "{id:?}: next is {next:?}, expected the first of {deadlines:?}");
        self.conn_mut(id).next = next;
        Ok(())
    }

    /// When a connection's first deadline acts.
    fn first_of(&self, conn: &Conn) -> Option<When> {
        if let Some((at, _)) = conn.next {
            return Some(When { earliest: at, latest: at });
        }
        let deadlines = conn.deadlines(&self.config, self.drain.as_ref());
        let earliest = deadlines.iter().map(|(_, when)| when.earliest).min()?;
        let latest = deadlines.iter().map(|(_, when)| when.latest).min()?;
        Some(When { earliest, latest })
    }

    /// Every deadline but the hard stop of a drain.
    fn all_deadlines(&self) -> impl Iterator<Item = (Whose, When)> {
        let conns = self.conns.iter().map(|(id, conn)| (Whose::Conn(*id), self.first_of(conn)));
        let sessions = self.going().map(|(id, it)| {
            let left_at = it.left_at.filter(|_| it.uncleaned == 0 && self.is_left(id));
            (Whose::Session(id), left_at.map(|at| When::at(at + self.config.session_linger())))
        });
        let runs = self.runs.iter().flat_map(|(number, run)| {
            let fails = self.run_deadline(run).map(|(at, _)| When::at(at));
            let lingers = self.lingers_until(run).map(When::at);
            [(Whose::Run(*number), fails), (Whose::Linger(*number), lingers)]
        });
        let logs = self.streams.iter();
        let logs = logs.map(|(it, log)| (Whose::Log(it.clone()), log.expires_at().map(When::at)));
        let users = self.leaving_users().enumerate();
        let users = users.map(|(place, (it, at))| (Whose::Leave(it, place), Some(When::at(at))));
        let all = conns.chain(sessions).chain(runs).chain(logs).chain(users);
        let all = all.filter_map(|(whose, when)| Some((whose, when?)));
        all.filter(|(_, when)| when.earliest <= LAST_MILLIS)
    }

    /// Those of them that may be due now.
    pub(crate) fn due_deadlines(&self) -> Vec<(Whose, When)> {
        let now = self.now.as_millis();
        self.all_deadlines().filter(|(_, when)| when.earliest <= now).collect()
    }

    /// `poll_timeout` may be early, never late.
    pub(crate) fn check_timeout(&self, got: Option<Timestamp>) -> Check {
        let all = self.all_deadlines().map(|(_, when)| when.latest);
        let next = all.chain(self.hard_stop().map(millis_up)).filter(|at| *at <= LAST_MILLIS).min();
        let next = next.map(Timestamp::from_millis);
        ensure!(
            next.is_none_or(|next| got.is_some_and(|at| at <= next.max(self.now))),
            "poll_timeout is {got:?}, but something is due at {next:?}"
        );
        Ok(())
    }
}
