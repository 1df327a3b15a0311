//! The published bound: a registry never holds more, whatever happens to it.

use bytes::Bytes;
use core::time::Duration;

use headcount::{
    CloseReason, Config, ConnId, Inbound, Key, Message, Position, Principal, Registry, RoomId,
    RunError, RunEvent, RunId, SessionId, Start, Target, ThreadId, Timestamp, UserId,
};

use super::{START, live_bytes};

const LARGEST: u64 = 2_000;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Names as long as they may be, so that their memory counts.
pub(crate) fn long(number: u64) -> String {
    format!("{number:0>128}")
}

fn payload(dice: &mut Dice) -> Vec<u8> {
    vec![b'x'; dice.pick(&[0, 0, 1, 10, 100, 500, LARGEST as usize])]
}

fn config(dice: &mut Dice) -> Config {
    let few = |dice: &mut Dice| dice.pick(&[1, 3, 10, 40]);
    let connections = few(dice);
    let sessions = few(dice);
    let messages = few(dice) * 4;
    let process_bytes = dice.pick(&[500, 5_000, 100_000]);
    Config::builder(dice.below(1_000))
        .connections(connections)
        .pending(few(dice))
        .closing(few(dice))
        .sessions(sessions)
        .rooms(few(dice))
        .connections_per_user(few(dice).min(connections))
        .sessions_per_user(few(dice).min(sessions))
        .rooms_per_connection(few(dice))
        .sessions_per_connection(dice.pick(&[1, 1, 3]))
        .streams_per_user(few(dice))
        .connect_rate(0)
        // Nobody is refused, and no bucket is ever full again.
        .connect_rate_per_user(1)
        .connect_burst_per_user(1 << 28)
        .message_rate(0)
        .stream_messages(messages)
        .stream_bytes(dice.pick(&[1_000, 50_000]))
        .room_messages(messages)
        .process_bytes(process_bytes)
        .user_bytes(dice.pick(&[500, process_bytes]).min(process_bytes))
        .run_bytes(dice.pick(&[1_024, 10_000]))
        .runs_per_session(dice.pick(&[1, 3]))
        .send_window(dice.pick(&[64, 1_000, 10_000]))
        .reply_reserve(dice.pick(&[0, 1_000]))
        .closed_ring(few(dice))
        .notices(few(dice))
        .announcements(few(dice))
        .fanout_chunk(few(dice))
        .session_linger(Duration::from_secs(30))
        .build()
        .expect("a valid configuration")
}

struct History {
    registry: Registry,
    dice: Dice,
    now: Timestamp,
    conns: Vec<ConnId>,
    sessions: Vec<SessionId>,
    /// What is polled and flushed is rare in some histories: then everything piles up.
    polls: u64,
}

impl History {
    fn names(&mut self) -> (UserId, ThreadId, RoomId, RunId) {
        let mut name = || long(self.dice.below(12));
        (
            UserId::new(name()).expect("a name"),
            ThreadId::new(name()).expect("a name"),
            RoomId::new(name()).expect("a name"),
            RunId::new(name()).expect("a name"),
        )
    }

    fn message(&mut self) -> Message {
        let message = Message::binary(Bytes::from(payload(&mut self.dice)));
        match self.dice.below(4) {
            0 => message.latest(Key::new(long(self.dice.below(20))).expect("a key")),
            1 => message.droppable(),
            _ => message,
        }
    }

    fn conn(&mut self) -> ConnId {
        self.dice.pick(&self.conns)
    }

    fn arrive(&mut self) {
        let Ok(conn) = self.registry.reserve(self.now, None) else { return };
        if self.conns.len() == self.conns.capacity() {
            self.conns.clear();
        }
        self.conns.push(conn);
        let (user, thread, ..) = self.names();
        let who = Principal::new(user).with_thread(thread).with_label(long(1)).expect("a label");
        let start = match self.dice.below(3) {
            0 => Start::After(Position { epoch: self.dice.below(3), offset: self.dice.below(30) }),
            _ => Start::OpenRuns,
        };
        if let Ok(admitted) = self.registry.connect(self.now, conn, who, start, None) {
            if self.sessions.len() == self.sessions.capacity() {
                self.sessions.clear();
            }
            self.sessions.extend(admitted.followed.map(|followed| followed.session));
            let (_, thread, ..) = self.names();
            let _ = self.registry.follow(self.now, conn, &thread, Start::OpenRuns);
        }
    }

    fn send(&mut self) {
        let (user, _, room, _) = self.names();
        let (conn, message) = (self.conn(), self.message());
        let session = match self.sessions.is_empty() {
            true => None,
            false => Some(self.dice.pick(&self.sessions)),
        };
        let to = match self.dice.below(6) {
            0 => Target::Conn(conn),
            1 => Target::User(&user),
            2 => Target::Everyone,
            3 => Target::Room(&room),
            _ => match session {
                Some(session) => Target::Session(session),
                None => Target::Room(&room),
            },
        };
        self.registry.send(self.now, to, message);
    }

    fn run(&mut self) {
        let (user, thread, _, run) = self.names();
        let bytes = Bytes::from(payload(&mut self.dice));
        let call = long(self.dice.below(50));
        let text = "text ".repeat(self.dice.below(40) as usize);
        let mut scope = self.registry.scope(&user);
        if self.dice.below(3) == 0 {
            let _ = scope.open_run(self.now, &thread, &run, &long(3), bytes);
            return;
        }
        let event = match self.dice.below(8) {
            0 => RunEvent::ToolExecuting {
                call: &call,
                expect: Some(Duration::from_secs(9)),
                payload: bytes,
            },
            1 => RunEvent::ToolCompleted { call: &call, payload: bytes },
            2 => RunEvent::Completed(bytes),
            3 => RunEvent::Progress(bytes),
            _ => RunEvent::text(&text),
        };
        let _ = scope.run_event(self.now, &run, &event);
    }

    fn step(&mut self) {
        let now = self.now;
        match self.dice.below(16) {
            0..=2 => self.arrive(),
            _ if self.conns.is_empty() => self.arrive(),
            3..=5 => self.send(),
            6..=8 => self.run(),
            9 => {
                let ((_, _, room, _), conn) = (self.names(), self.conn());
                let _ = self.registry.join(now, conn, &room, Start::Now);
            }
            10 => {
                let conn = self.conn();
                let _ = self.registry.disconnect(now, conn);
            }
            11 => {
                let conn = self.conn();
                let _ = self.registry.close(now, Target::Conn(conn), CloseReason::Application);
            }
            12 => {
                let conn = self.conn();
                let _ = self.registry.message(now, conn, Inbound::Data { bytes: 10 });
            }
            13 => {
                self.now += Duration::from_millis(self.dice.below(4_000));
                self.registry.tick(self.now);
            }
            _ => {
                for _ in 0..self.polls {
                    let Some(action) = self.registry.poll_action() else { break };
                    drop(action);
                }
                let conn = self.conn();
                let _ = self.registry.flushed(now, conn, u64::MAX);
            }
        }
    }
}

#[test]
fn no_history_exceeds_the_published_bound() {
    let mut nearest = 0.0_f64;
    for seed in 0..150 {
        let mut dice = Dice(seed);
        let config = config(&mut dice);
        let bound = config.memory_bound(LARGEST) as i64;
        let mut history = History {
            conns: Vec::with_capacity(200),
            sessions: Vec::with_capacity(200),
            polls: dice.pick(&[0, 1, 20]),
            now: START,
            dice,
            registry: Registry::new(config),
        };
        let before = live_bytes();
        for step in 0..3_000 {
            history.step();
            let held = live_bytes() - before;
            assert!(held <= bound, "seed {seed}, step {step}: {held} bytes, {bound} at most");
            nearest = nearest.max(held as f64 / bound as f64);
        }
        history.registry.check().expect("a sound registry");
    }
    assert!(nearest > 0.2, "the bound is a fantasy: the fullest history had {nearest} of it");
}

#[test]
fn the_bound_follows_the_limits() {
    let bound = |config: headcount::ConfigBuilder| config.build().unwrap().memory_bound(1_000);
    let small = bound(Config::builder(1).connections(100).process_bytes(100_000));
    let more = bound(Config::builder(1).connections(200).process_bytes(100_000));
    let heavier = bound(Config::builder(1).connections(100).process_bytes(200_000));
    assert!(small < more && small < heavier);
    assert_eq!(
        Config::new(1).memory_bound(u64::MAX >> 8),
        Config::new(2).memory_bound(u64::MAX >> 8)
    );
}

#[test]
fn a_run_s_text_is_not_copied_for_everyone_who_closes() {
    let config = Config::builder(1)
        .connections(200)
        .closing(200)
        .connections_per_user(200)
        .sessions(1)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .run_bytes(1 << 20)
        .runs_per_session(1)
        .rooms(1)
        .rooms_per_connection(1)
        .process_bytes(1 << 20)
        .send_window(1_000)
        .notices(0)
        .closed_ring(0)
        .build()
        .expect("a valid configuration");
    let bound = config.memory_bound(100) as i64;
    let before = live_bytes();
    let mut registry = Registry::new(config);
    let (user, thread) = (UserId::new("u").expect("a name"), ThreadId::new("t").expect("a name"));
    let run = RunId::new("r").expect("a name");
    let mut scope = registry.scope(&user);
    let opened = scope.open_run(START, &thread, &run, "agent", Bytes::new());
    assert!(opened.is_ok());
    let text = "text ".repeat(20);
    while scope.run_event(START, &run, &RunEvent::text(&text)).is_ok() {}
    let mut conns = Vec::new();
    for _ in 0..200 {
        let conn = registry.reserve(START, None).expect("room");
        let who = Principal::new(user.clone()).with_thread(thread.clone());
        assert!(registry.connect(START, conn, who, Start::OpenRuns, None).is_ok());
        conns.push(conn);
    }
    // All have the first event, and an empty window: the text is next.
    while registry.poll_action().is_some() {}
    for conn in conns {
        assert!(registry.flushed(START, conn, u64::MAX).is_ok());
    }
    let _ = registry.close(START, Target::User(&user), CloseReason::Application);
    let held = live_bytes() - before;
    assert!(held <= bound, "{held} bytes, {bound} at most");
}

#[test]
fn a_text_that_nobody_reads_stays_within_the_bound() {
    let config = Config::builder(1)
        .connections(1)
        .closing(1)
        .pending(1)
        .sessions(1)
        .connect_rate(0)
        .run_bytes(100 * (1 << 13) + 4_096 + 400)
        .runs_per_session(1)
        .rooms(1)
        .rooms_per_connection(1)
        .process_bytes(1)
        .notices(0)
        .closed_ring(0)
        .send_window(64)
        .reply_reserve(0)
        .announcements(1)
        .build()
        .expect("a valid configuration");
    let bound = config.memory_bound(100) as i64;
    let before = live_bytes();
    let mut registry = Registry::new(config);
    let (user, thread) = (UserId::new("u").expect("a name"), ThreadId::new("t").expect("a name"));
    let run = RunId::new("r").expect("a name");
    let mut scope = registry.scope(&user);
    let opened = scope.open_run(START, &thread, &run, "agent", Bytes::new());
    assert!(opened.is_ok());
    let text = "text ".repeat(20);
    while scope.run_event(START, &run, &RunEvent::text(&text)).is_ok() {}
    let held = live_bytes() - before;
    assert!(held <= bound, "{held} bytes, {bound} at most");
}

#[test]
fn calls_under_way_are_within_the_budgets() {
    let budget = 1 << 20;
    let config = Config::builder(1)
        .runs_per_session(200)
        .run_events(1 << 20)
        .run_bytes(1 << 30)
        .run_calls(65_536)
        .user_bytes(budget)
        .process_bytes(budget)
        .build()
        .expect("a valid configuration");
    let before = live_bytes();
    let mut registry = Registry::new(config);
    let (user, thread) = (UserId::new("u").expect("a name"), ThreadId::new("t").expect("a name"));
    let mut refused = 0;
    for number in 0..200 {
        let run = RunId::new(long(number)).expect("a name");
        let opened =
            registry.scope(&user).open_run(START, &thread, &run, &long(number), Bytes::new());
        assert!(opened.is_ok());
        for call in 0..100 {
            let call = long(call);
            let event =
                RunEvent::ToolExecuting { call: &call, expect: None, payload: Bytes::new() };
            let began = registry.scope(&user).run_event(START, &run, &event);
            refused += u32::from(began == Err(RunError::UserBytes));
            assert!(began.is_ok() || began == Err(RunError::UserBytes));
        }
    }
    registry.check().expect("a sound registry");
    let calls = registry.stats().calls;
    assert_eq!((u64::from(calls), calls + refused), (budget / 192, 20_000));
    // The runs themselves are bounded by their number.
    let (held, runs) = (live_bytes() - before, 200 * 2_000);
    assert!(held <= 2 * budget as i64 + runs, "{held} bytes are held");
}

#[test]
fn the_bound_of_the_largest_numbers_is_the_largest_number() {
    assert_eq!(Config::new(1).memory_bound(u64::MAX), u64::MAX);
}
