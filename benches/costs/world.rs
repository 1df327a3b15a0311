//! A registry with as many connections as a row wants.

use core::time::Duration;

use headcount::{Action, Config, ConfigBuilder, ConnId, Principal, Registry, Start, Timestamp};

use crate::measure::Row;
use crate::names::{scattered, who};

/// How many connections there are, unless a row says otherwise.
pub(crate) const MANY: usize = 1_000_000;
/// How many calls a row times, if it is not about all connections of a history.
pub(crate) const CALLS: usize = 20_000;

/// Room for all, and the slices, rates of frames, logs and queues of the defaults. A leap of the clock
/// is believed: no deadline moves by it.
pub(crate) fn config() -> ConfigBuilder {
    Config::builder(1)
        .connections(MANY as u32 + 200_000)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .pause_threshold(Duration::from_secs(3_600))
}

pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) now: Timestamp,
    /// The connections in the order of their users.
    pub(crate) conns: Vec<ConnId>,
}

impl World {
    pub(crate) fn new(config: ConfigBuilder) -> Self {
        let registry = Registry::new(config.build().unwrap());
        Self { registry, now: Timestamp::from_secs(1_000), conns: Vec::new() }
    }

    /// One connection each of so many users.
    pub(crate) fn crowd(config: ConfigBuilder, count: usize) -> Self {
        let mut world = Self::new(config);
        for number in 0..count {
            let conn = world.admit(who(number, 0));
            world.conns.push(conn);
        }
        world.settle();
        world
    }

    pub(crate) fn admit(&mut self, who: Principal) -> ConnId {
        self.registry.admit(self.now, who, Start::OpenRuns, None).unwrap().0
    }

    /// The number of one of the connections.
    pub(crate) fn any(&self, number: usize) -> usize {
        scattered(number, self.conns.len())
    }

    /// Polls until nothing is left.
    pub(crate) fn settle(&mut self) {
        while self.registry.poll_action().is_some() || self.registry.has_actions() {}
        while self.registry.poll_notice().is_some() {}
    }

    /// The same, timed; how many recipients messages had.
    pub(crate) fn serve(&mut self, row: &mut Row) -> usize {
        let mut recipients = 0;
        loop {
            let found = row.time(|| match self.registry.poll_action() {
                Some(Action::Send { to, .. } | Action::Draining { to, .. }) => Some(to.len()),
                Some(_) => Some(0),
                None => None,
            });
            match found {
                Some(reached) => recipients += reached,
                None if self.registry.has_actions() => {}
                None => break,
            }
        }
        while self.registry.poll_notice().is_some() {}
        recipients
    }

    /// Reports that all that was handed out went out.
    pub(crate) fn flush(&mut self) {
        for conn in &self.conns {
            let _ = self.registry.flushed(self.now, *conn, u64::MAX);
        }
    }

    /// The end of a socket for each, and its cleanup.
    pub(crate) fn disconnect(&mut self, conns: impl IntoIterator<Item = ConnId>) {
        for conn in conns {
            self.registry.disconnect(self.now, conn).unwrap();
        }
        self.settle();
    }

    /// Ticks until nothing is due after this time, and polls between two ticks as a shell does: both
    /// timed.
    pub(crate) fn pass(&mut self, tick: &mut Row, poll: &mut Row, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        loop {
            tick.time(|| self.registry.tick(self.now));
            self.serve(poll);
            if self.registry.poll_timeout().is_none_or(|next| next > self.now) {
                break;
            }
        }
    }
}
