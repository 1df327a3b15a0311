//! A short life of a registry with whatever configuration was built.

use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::Bytes;
use headcount::{
    Action, Config, ConnId, Ended, Inbound, Key, Message, Position, Principal, Registry, RoomId,
    RunEvent, RunId, Start, Target, ThreadId, Timestamp, UserId, Within,
};
use headcount_harness::thread_memory::live_bytes;

/// The longest message that any step sends.
const LARGEST: usize = 255;

/// Actions that one step carries out at most: a ping a millisecond is a valid configuration.
const ACTIONS: usize = 64;

/// Deadlines that the end waits for at most.
const DEADLINES: usize = 200;

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Step {
    Arrive { user: u8, thread: u8, resume: Option<u8> },
    Hear { conn: u8, bytes: u64 },
    Pong { conn: u8 },
    Session { user: u8, size: u8, latest: bool },
    Room { size: u8, droppable: bool },
    Everyone { size: u8 },
    Reply { conn: u8, size: u8 },
    Join { conn: u8 },
    Leave { conn: u8 },
    Run { user: u8, event: u8, size: u8 },
    Gone { conn: u8 },
    Deadline,
    Pass { millis: u32 },
    Drain,
    CancelDrain,
    Reload,
}

struct Life {
    registry: Registry,
    now: Timestamp,
    conns: Vec<(ConnId, u64)>,
}

pub(crate) fn live(config: Config, other: Option<Config>, steps: &[Step]) {
    let bound = {
        let of = |config: &Config| config.memory_bound(LARGEST as u64);
        of(&config).max(other.as_ref().map_or(0, of))
    };
    let before = live_bytes();
    let registry = Registry::new(config);
    let mut life = Life { registry, now: Timestamp::from_secs(1), conns: Vec::new() };
    for step in steps {
        life.step(*step, other.as_ref());
        life.carry_out();
        life.check(&format!("after {step:?}"));
        let conns = life.conns.capacity() * size_of::<(ConnId, u64)>();
        let held = live_bytes() - before - conns as i64;
        assert!(held <= i64::try_from(bound).unwrap_or(i64::MAX), "{held} bytes of {bound}");
    }
    life.end();
}

impl Life {
    fn check(&self, when: &str) {
        if let Err(violation) = self.registry.check() {
            panic!("{when}: {violation}");
        }
        let stats = self.registry.stats();
        assert_eq!(stats.opened, u64::from(stats.live) + stats.closed_total(), "{when}");
    }

    fn conn(&self, number: u8) -> ConnId {
        match self.conns.len() {
            0 => ConnId::from_bits(1 << 32).expect("a handle"),
            count => self.conns[usize::from(number) % count].0,
        }
    }

    fn step(&mut self, step: Step, other: Option<&Config>) {
        let (registry, now) = (&mut self.registry, self.now);
        let message = |size: u8| Message::text("x".repeat(size.into()));
        let user = |number: u8| UserId::new(format!("u{}", number % 4)).expect("a name");
        let thread = |number: u8| ThreadId::new(format!("t{}", number % 3)).expect("a name");
        let (room, run) = (RoomId::new("r").expect("a name"), RunId::new("r").expect("a name"));
        match step {
            Step::Arrive { user: number, thread: of, resume } => {
                let Ok(conn) = registry.reserve(now, None) else { return };
                let who = Principal::new(user(number)).with_thread(thread(of));
                let after = |offset: u8| Start::After(Position { epoch: 1, offset: offset.into() });
                let previous = resume.and(self.conns.last().map(|(conn, _)| *conn));
                let start = resume.map_or(Start::OpenRuns, after);
                if registry.connect(now, conn, who, start, previous).is_err() {
                    let _ = registry.disconnect(now, conn);
                }
                self.conns.push((conn, 0));
            }
            Step::Hear { conn, bytes } => {
                let conn = self.conn(conn);
                let _ = self.registry.message(now, conn, Inbound::Data { bytes });
            }
            Step::Pong { conn } => {
                let conn = self.conn(conn);
                let _ = self.registry.message(now, conn, Inbound::Pong);
            }
            Step::Session { user: number, size, latest } => {
                let key = Key::new("k").expect("a key");
                let message = message(size);
                let message = if latest { message.latest(key) } else { message };
                registry.scope(&user(number)).send(now, Within::Everywhere, message);
            }
            Step::Room { size, droppable } => {
                let message = message(size);
                let message = if droppable { message.droppable() } else { message };
                registry.send(now, Target::Room(&room), message);
            }
            Step::Everyone { size } => {
                registry.send(now, Target::Everyone, message(size));
            }
            Step::Reply { conn, size } => {
                let conn = self.conn(conn);
                let _ = self.registry.reply(now, conn, message(size));
            }
            Step::Join { conn } => {
                let conn = self.conn(conn);
                let _ = self.registry.join(now, conn, &room, Start::Now);
            }
            Step::Leave { conn } => {
                let conn = self.conn(conn);
                let _ = self.registry.leave(now, conn, &room);
            }
            Step::Run { user: number, event, size } => {
                let user = user(number);
                let mut scope = registry.scope(&user);
                let payload = Bytes::from(vec![b'x'; size.into()]);
                let text = "x".repeat(size.into());
                let event = match event % 6 {
                    0 => {
                        let _ = scope.open_run(now, &thread(0), &run, "agent", payload);
                        return;
                    }
                    1 => RunEvent::Thinking(payload),
                    2 | 3 => RunEvent::text(&text),
                    4 => RunEvent::Progress(payload),
                    _ => RunEvent::Completed(payload),
                };
                let _ = scope.run_event(now, &run, &event);
            }
            Step::Gone { conn } => {
                let conn = self.conn(conn);
                let _ = self.registry.disconnect(now, conn);
            }
            Step::Deadline => self.deadline(),
            Step::Pass { millis } => {
                self.now = now + Duration::from_millis(millis.into());
                self.registry.tick(self.now);
            }
            Step::Drain => registry.drain(now, None),
            Step::CancelDrain => drop(registry.cancel_drain(now)),
            Step::Reload => {
                if let Some(config) = other {
                    let foreseen = registry.preview_reload(now, config);
                    assert_eq!(registry.reload(now, config.clone()), foreseen);
                }
            }
        }
    }

    /// What `poll_timeout` promises is never in the past of what was asked.
    fn deadline(&mut self) {
        if let Some(at) = self.registry.poll_timeout() {
            self.now = self.now.max(at);
        }
        self.registry.tick(self.now);
    }

    /// Plays a shell whose sockets take everything.
    fn carry_out(&mut self) {
        for _ in 0..ACTIONS {
            let Some(action) = self.registry.poll_action() else { break };
            let cost = action.cost();
            let mut ended = None;
            let named: Vec<ConnId> = match &action {
                Action::Send { to, .. } | Action::Draining { to, .. } => to.to_vec(),
                Action::Gap { conn, .. } | Action::Ping { conn } | Action::Left { conn, .. } => {
                    vec![*conn]
                }
                Action::Close { conn, .. } => {
                    ended = Some(*conn);
                    vec![*conn]
                }
                Action::Cleanup { what: Ended::Conn(conn), .. } => {
                    self.conns.retain(|(other, _)| other != conn);
                    continue;
                }
                Action::Cleanup { what: Ended::Session(_), .. } | Action::Presence { .. } => {
                    continue;
                }
            };
            for conn in named {
                let Some((_, total)) = self.conns.iter_mut().find(|(other, _)| *other == conn)
                else {
                    continue;
                };
                *total += cost;
                let _ = self.registry.flushed(self.now, conn, *total);
            }
            if let Some(conn) = ended {
                let _ = self.registry.disconnect(self.now, conn);
            }
        }
        while self.registry.poll_notice().is_some() {}
    }

    /// Everyone goes: nothing of any connection may be left.
    fn end(mut self) {
        for (conn, _) in self.conns.clone() {
            let _ = self.registry.disconnect(self.now, conn);
        }
        for _ in 0..DEADLINES {
            self.carry_out();
            if self.conns.is_empty() && !self.registry.has_actions() {
                break;
            }
            self.deadline();
        }
        assert!(self.conns.is_empty(), "{:?} are left", self.conns);
        assert_eq!(self.registry.stats().live, 0);
        self.check("at the end");
    }
}
