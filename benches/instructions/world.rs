//! A registry that a row works on.

use core::time::Duration;

use headcount::{
    Action, Config, ConfigBuilder, ConnId, Message, Principal, Registry, Start, Target, Timestamp,
};

use crate::names::{room, scattered, who};

/// What each message holds.
const PAYLOAD: &[u8] = &[b'x'; 64];

pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) now: Timestamp,
    /// The connections in the order of their users.
    pub(crate) conns: Vec<ConnId>,
    /// What was handed out to each and is not flushed: the total of its next report.
    pub(crate) totals: Vec<(ConnId, u64)>,
}

/// Room for all, and the defaults of everything else. A leap of the clock is believed.
fn config(connections: usize) -> ConfigBuilder {
    Config::builder(1)
        .connections(connections as u32 + 100_000)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .session_linger(Duration::from_millis(100))
        .pause_threshold(Duration::from_secs(3_600))
}

pub(crate) fn message() -> Message {
    Message::binary(PAYLOAD)
}

impl World {
    /// One connection each of so many users, with all deadlines armed.
    pub(crate) fn crowd(connections: usize) -> Self {
        let registry = Registry::new(config(connections).build().unwrap());
        let now = Timestamp::from_secs(1_000);
        let mut world = Self { registry, now, conns: Vec::new(), totals: Vec::new() };
        for number in 0..connections {
            let conn = world.connect(who(number, 0));
            world.conns.push(conn);
        }
        world.settle();
        world
    }

    /// The same, with as many of them in a room as a turn of fan-out is measured over.
    pub(crate) fn with_room(connections: usize) -> Self {
        let mut world = Self::crowd(connections);
        let members = connections.min(10_000);
        for number in 0..members {
            // Scattered over the tables.
            let conn = world.conns[scattered(number, connections)];
            world.registry.join(world.now, conn, &room(0), Start::Now).unwrap();
            world.totals.push((conn, 0));
        }
        world.settle();
        world
    }

    pub(crate) fn connect(&mut self, who: Principal) -> ConnId {
        let conn = self.registry.reserve(self.now, None).unwrap();
        self.registry.connect(self.now, conn, who, Start::OpenRuns, None).unwrap();
        conn
    }

    /// Polls until nothing is left; how many recipients there were.
    pub(crate) fn settle(&mut self) -> usize {
        let mut recipients = 0;
        loop {
            let found = self.registry.poll_action().map(|action| match action {
                Action::Send { to, .. } => to.len(),
                _ => 0,
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

    /// Ticks until nothing is due after this time, and polls between two ticks as a shell does.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        loop {
            self.registry.tick(self.now);
            self.settle();
            if self.registry.poll_timeout().is_none_or(|next| next > self.now) {
                break;
            }
        }
    }

    /// Sends a message to the room.
    pub(crate) fn tell_room(&mut self) {
        self.now += Duration::from_micros(100);
        self.registry.send(self.now, Target::Room(&room(0)), message());
        let cost = message().cost();
        self.totals.iter_mut().for_each(|(_, total)| *total += cost);
    }

    /// Reports that all was flushed.
    pub(crate) fn flush(&mut self) {
        self.now += Duration::from_micros(100);
        self.registry
            .flushed_many(self.now, &self.totals, |_, answer| assert_eq!(answer, Ok(true)));
    }
}
