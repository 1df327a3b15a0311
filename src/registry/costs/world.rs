//! A registry in which there are many of something, and what a call takes there.

use alloc::format;
use core::net::{IpAddr, Ipv4Addr};

use super::MANY;
use crate::registry::Registry;
use crate::{
    Config, ConfigBuilder, ConnId, Message, Principal, RoomId, RunId, Source, Start, ThreadId,
    Timestamp, UserId,
};

impl Registry {
    /// How many steps it was taken through.
    fn steps(&self) -> u64 {
        let logs: u64 = self.streams.uncounted().map(|stream| stream.log.steps().taken()).sum();
        self.conns.steps()
            + self.waiting.steps()
            + self.sessions.steps()
            + self.rooms.steps()
            + self.runs.steps()
            + self.streams.steps()
            + self.timers.steps()
            + self.steps.taken()
            + logs
    }
}

/// A registry in which there are many of something.
pub(super) struct World {
    pub(super) registry: Registry,
    pub(super) now: Timestamp,
    /// One of the connections.
    pub(super) conn: Option<ConnId>,
    /// How many there are of what there are many of.
    pub(super) count: u32,
    /// The number of the last name that was made up.
    pub(super) fresh: u32,
}

pub(super) type Call = (&'static str, fn(&mut World));

/// As wide as it can be: a scenario narrows what it is about.
pub(super) fn config() -> ConfigBuilder {
    Config::builder(7)
        .connections(2 * MANY)
        .connections_per_user(2 * MANY)
        .closing(2 * MANY)
        .pending(2 * MANY)
        .pending_per_source(2 * MANY)
        .sessions(2 * MANY)
        .sessions_per_user(2 * MANY)
        .rooms(2 * MANY)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .message_rate(0)
        .process_bytes(1 << 40)
        .user_bytes(1 << 40)
        .fanout_chunk(16)
        .tick_budget(16)
}

pub(super) fn user(number: u32) -> UserId {
    UserId::new(format!("user-{number}")).unwrap()
}

pub(super) fn thread(number: u32) -> ThreadId {
    ThreadId::new(format!("thread-{number}")).unwrap()
}

pub(super) fn room(number: u32) -> RoomId {
    RoomId::new(format!("room-{number}")).unwrap()
}

pub(super) fn run(number: u32) -> RunId {
    RunId::new(format!("run-{number}")).unwrap()
}

pub(super) fn who(user_number: u32, thread_number: u32) -> Principal {
    Principal::new(user(user_number)).with_thread(thread(thread_number))
}

pub(super) fn source(number: u32) -> Source {
    Source::from(IpAddr::V4(Ipv4Addr::from_bits(number)))
}

pub(super) fn message() -> Message {
    Message::text("text")
}

impl World {
    /// Adds so many, one after the other, and polls all actions.
    pub(super) fn new(
        config: ConfigBuilder,
        count: u32,
        mut add: impl FnMut(&mut Self, u32),
    ) -> Self {
        let registry = Registry::new(config.build().unwrap());
        let now = Timestamp::from_secs(1);
        let mut world = Self { registry, now, conn: None, count, fresh: 10 * MANY };
        for number in 0..count {
            add(&mut world, number);
            world.settle();
        }
        world
    }

    pub(super) fn settle(&mut self) {
        while self.registry.poll_action().is_some() {}
        while self.registry.poll_notice().is_some() {}
    }

    pub(super) fn admit(&mut self, who: Principal) -> Option<ConnId> {
        self.registry.admit(self.now, who, Start::OpenRuns, None).ok().map(|(conn, _)| conn)
    }

    pub(super) fn open(&mut self, user_number: u32, thread_number: u32) {
        let conn = self.admit(who(user_number, thread_number));
        self.conn = Some(conn.expect("a place for each"));
    }

    pub(super) fn conn(&self) -> ConnId {
        self.conn.expect("a connection")
    }

    pub(super) fn fresh(&mut self) -> u32 {
        self.fresh += 1;
        self.fresh
    }

    /// How many steps a call takes, or one of the first polls after it, whichever takes most.
    pub(super) fn cost(&mut self, call: fn(&mut Self)) -> u64 {
        let before = self.registry.steps();
        call(self);
        let mut most = self.registry.steps() - before;
        for _ in 0..20 {
            let before = self.registry.steps();
            let is_idle = self.registry.poll_action().is_none();
            most = most.max(self.registry.steps() - before);
            if is_idle {
                break;
            }
        }
        self.settle();
        most
    }
}
