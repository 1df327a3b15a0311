//! Each term of the published bound, filled as far as these drivers can: no more than it says, and an
//! eighth of it at least.

mod left;

use bytes::Bytes;

use headcount::{
    Config, ConfigBuilder, ConnId, Key, Message, Part, PartKind, Position, Principal, Registry,
    RoomId, RunEvent, RunId, SessionId, Source, Start, Target, TenantId, ThreadId, UserId,
};

use super::bound::long;
use super::{START, live_bytes};

const CONNECTIONS: u32 = 64;
const PENDING: u32 = 16;
const CLOSING: u32 = 16;
const SESSIONS: u32 = 128;
const ROOMS: u32 = 64;
const ROOMS_EACH: u32 = 16;
const SESSIONS_EACH: u32 = 4;
const RUNS_EACH: u32 = 4;
const CALLS_EACH: u32 = 8;
/// As many as the budget has room for.
const PARTS_EACH: u32 = 10;
const BUDGET: u64 = 1 << 20;
pub(crate) const LARGEST: u64 = 20_000;

fn config() -> ConfigBuilder {
    Config::builder(1)
        .connections(CONNECTIONS)
        .connections_per_user(CONNECTIONS)
        .pending(PENDING)
        .pending_per_source(PENDING)
        .closing(CLOSING)
        .sessions(SESSIONS)
        .sessions_per_user(SESSIONS)
        .sessions_per_connection(SESSIONS_EACH)
        .streams_per_user(CONNECTIONS * SESSIONS_EACH)
        .rooms(ROOMS)
        .rooms_per_connection(ROOMS_EACH)
        .rooms_per_user(CONNECTIONS * ROOMS_EACH)
        .runs_per_session(RUNS_EACH)
        .run_calls(CALLS_EACH)
        .run_bytes(32 << 10)
        .connect_rate(0)
        .connect_rate_per_user(1)
        .connect_burst_per_user(1 << 20)
        .stream_bytes(BUDGET)
        .room_bytes(BUDGET)
        .process_bytes(BUDGET)
        .user_bytes(BUDGET)
        .direct_bytes(BUDGET)
        .send_window(4 << 10)
        .reply_reserve(1 << 10)
        .closed_ring(64)
        .notices(64)
        .announcements(4)
        .fanout_chunk(64)
}

/// A registry that is filled, and what it held when it was new.
pub(crate) struct Filled {
    pub(crate) registry: Registry,
    new: i64,
}

pub(crate) fn user(number: u32) -> UserId {
    UserId::new(long(number.into())).unwrap()
}

pub(crate) fn thread(number: u32) -> ThreadId {
    ThreadId::new(long(number.into())).unwrap()
}

pub(crate) fn room(number: u32) -> RoomId {
    RoomId::new(long(number.into())).unwrap()
}

fn keyed(number: u32) -> Message {
    blank().latest(Key::new(long(number.into())).unwrap())
}

fn blank() -> Message {
    Message::binary(Bytes::new())
}

pub(crate) fn send(registry: &mut Registry, to: Target<'_>, message: Message) {
    assert!(!registry.send(START, to, message).full);
}

impl Filled {
    pub(crate) fn new(config: ConfigBuilder) -> Self {
        let config = config.build().unwrap();
        let new = live_bytes();
        Self { registry: Registry::new(config), new }
    }

    /// What it holds more once this was done.
    pub(crate) fn more(&mut self, fill: impl FnOnce(&mut Self)) -> u64 {
        let before = live_bytes();
        fill(self);
        self.registry.check().unwrap();
        let held = live_bytes();
        let bound = self.registry.config().memory_bound(LARGEST);
        assert!(held - self.new <= bound as i64, "{} held, {bound} at most", held - self.new);
        u64::try_from(held - before).unwrap()
    }

    pub(crate) fn held(&self) -> u64 {
        u64::try_from(live_bytes() - self.new).unwrap()
    }

    /// A connection of a user of its own.
    pub(crate) fn admit(&mut self, number: u32) -> (ConnId, SessionId) {
        let who = Principal::new(user(number))
            .with_thread(thread(0))
            .with_label(long(number.into()))
            .unwrap();
        let (conn, admitted) = self.registry.admit(START, who, Start::OpenRuns, None).unwrap();
        (conn, admitted.followed.unwrap().session)
    }

    fn admit_all(&mut self) -> Vec<(ConnId, SessionId)> {
        (0..CONNECTIONS).map(|number| self.admit(number)).collect()
    }

    pub(crate) fn open_run(&mut self, user: &UserId, number: u32, run: u32) -> RunId {
        let run = RunId::new(long((number * 1_000_000 + run).into())).unwrap();
        let opened = self.registry.scope(user).open_run(
            START,
            &thread(number),
            &run,
            &long(run_agent(number)),
            Bytes::new(),
        );
        assert!(opened.is_ok(), "{opened:?}");
        run
    }

    pub(crate) fn tell(&mut self, user: &UserId, run: &RunId, event: &RunEvent<'_>) {
        let told = self.registry.scope(user).run_event(START, run, event);
        assert!(told.is_ok(), "{told:?}");
    }

    /// Rooms that no connection is in, with this history each.
    fn rooms(&mut self, conn: ConnId, history: impl Fn(&mut Registry, &RoomId)) {
        for number in 0..ROOMS {
            let room = room(number);
            self.registry.join(START, conn, &room, Start::Now).unwrap();
            history(&mut self.registry, &room);
            assert!(self.registry.leave(START, conn, &room).unwrap());
        }
    }
}

const fn run_agent(number: u32) -> u64 {
    number as u64
}

/// Admitted connections with labels, and those that wait to be.
fn connections() -> u64 {
    let mut filled = Filled::new(config());
    filled.more(|it| {
        it.admit_all();
        for number in 0..PENDING {
            let source = Source::from(core::net::IpAddr::from([10, 0, 0, number as u8]));
            assert!(it.registry.reserve(START, Some(source)).is_ok());
        }
    })
}

/// All connections in as many sessions and rooms as may be, late in each of them.
fn memberships() -> u64 {
    let mut filled = Filled::new(config().room_history(1));
    let (conn, _) = filled.admit(0);
    filled.rooms(conn, |registry, room| {
        send(registry, Target::Room(room), blank());
    });
    let conns: Vec<ConnId> = (1..CONNECTIONS).map(|_| filled.admit(0).0).chain([conn]).collect();
    filled.more(|it| {
        let start = Start::After(Position { epoch: 1, offset: 1 });
        for (place, conn) in conns.into_iter().enumerate() {
            for number in 1..SESSIONS_EACH {
                let thread = thread(number);
                let followed = it.registry.follow(START, conn, &thread, Start::Now);
                send(&mut it.registry, Target::Session(followed.unwrap().session), blank());
            }
            for number in 0..ROOMS_EACH {
                let room = room((place as u32 * ROOMS_EACH + number) % ROOMS);
                it.registry.join(START, conn, &room, start.clone()).unwrap();
            }
        }
    })
}

/// Direct messages with keys, as many as find room, to connections that wait and to admitted ones.
fn outbox() -> u64 {
    let mut filled = Filled::new(config());
    let mut conns: Vec<ConnId> = filled.admit_all().into_iter().map(|(conn, _)| conn).collect();
    for _ in 0..PENDING {
        let conn = filled.registry.reserve(START, None).unwrap();
        filled.registry.upgraded(START, conn).unwrap();
        conns.push(conn);
    }
    filled.more(|it| {
        let mut number = 0;
        for conn in conns {
            while it.registry.reply(START, conn, keyed(number)).is_ok() {
                number += 1;
            }
        }
    })
}

/// Lingering sessions, ended ones, and users who have left.
fn sessions() -> u64 {
    let mut filled = Filled::new(config().connections(1).connections_per_user(1));
    filled.more(|it| {
        for number in 0..SESSIONS + CLOSING {
            let who = Principal::new(user(number)).with_thread(thread(number));
            let (conn, _) = it.registry.admit(START, who, Start::OpenRuns, None).unwrap();
            it.registry.disconnect(START, conn).unwrap();
            // Of those that make room the cleanup is not polled.
            while number < SESSIONS && it.registry.poll_action().is_some() {}
            if number >= SESSIONS {
                let _ = it.registry.poll_action();
            }
        }
    })
}

/// Rooms without members.
fn rooms() -> u64 {
    let mut filled = Filled::new(config());
    let (conn, _) = filled.admit(0);
    filled.more(|it| {
        it.rooms(conn, |registry, room| {
            send(registry, Target::Room(room), blank());
        });
    })
}

/// Logs that have just grown.
fn entries() -> u64 {
    let mut filled = Filled::new(config());
    let conns = filled.admit_all();
    for (place, (conn, _)) in conns.iter().enumerate().skip(1) {
        filled.registry.join(START, *conn, &room(place as u32), Start::Now).unwrap();
    }
    filled.more(|it| {
        for (place, (_, session)) in conns.iter().enumerate() {
            for _ in 0..129 {
                send(&mut it.registry, Target::Session(*session), blank());
                send(&mut it.registry, Target::Room(&room(place as u32)), blank());
            }
        }
    })
}

/// What the same logs hold less without keys, and without what was replaced.
fn keys() -> u64 {
    let fill = |message: fn(u32) -> Message| {
        let mut filled = Filled::new(config());
        let conns = filled.admit_all();
        filled.more(|it| {
            for (_, session) in conns {
                for number in 0..240 {
                    send(&mut it.registry, Target::Session(session), message(number));
                }
            }
        })
    };
    fill(keyed) - fill(|_| blank())
}

/// Large messages.
fn payloads() -> u64 {
    let mut filled = Filled::new(config());
    let (_, session) = filled.admit(0);
    filled.more(|it| {
        for _ in 0..200 {
            let payload = Bytes::from(vec![b'x'; LARGEST as usize]);
            send(&mut it.registry, Target::Session(session), Message::binary(payload));
        }
    })
}

/// Runs that talk, and whose text is just longer than what was allocated for it: what it takes beyond
/// its length.
fn text() -> u64 {
    let mut filled = Filled::new(config());
    let alice = user(0);
    let mut length = 0;
    let held = filled.more(|it| {
        for number in 0..15 {
            for run in 0..RUNS_EACH {
                let run = it.open_run(&alice, number, run);
                it.tell(&alice, &run, &RunEvent::text(&"x".repeat(8 << 10)));
                it.tell(&alice, &run, &RunEvent::text(&"x".repeat(1 << 10)));
                length += 9 << 10;
            }
        }
    });
    held - length
}

/// Runs that have ended, and open ones.
fn runs() -> u64 {
    let mut filled = Filled::new(config());
    let alice = user(0);
    filled.more(|it| {
        for number in 0..SESSIONS {
            for run in 0..70 {
                let run = it.open_run(&alice, number, run);
                it.tell(&alice, &run, &RunEvent::Completed(Bytes::new()));
            }
        }
        for number in 0..SESSIONS {
            (70..70 + RUNS_EACH).for_each(|run| drop(it.open_run(&alice, number, run)));
        }
    })
}

/// What runs take more with so many of these events each than with as many others. An event is about a
/// name.
fn beside_progress(events: u32, event: fn(&str) -> RunEvent<'_>) -> u64 {
    let fill = |event: fn(&str) -> RunEvent<'_>| {
        let mut filled = Filled::new(config());
        let alice = user(0);
        let mut runs = Vec::new();
        for number in 0..SESSIONS {
            runs.extend((0..RUNS_EACH).map(|run| filled.open_run(&alice, number, run)));
        }
        filled.more(|it| {
            for run in &runs {
                (0..events).for_each(|name| it.tell(&alice, run, &event(&long(name.into()))));
            }
        })
    };
    fill(event) - fill(|_| RunEvent::Progress(Bytes::new()))
}

/// Parts with names.
fn parts() -> u64 {
    beside_progress(PARTS_EACH, |id| RunEvent::Delta {
        part: Part { id, kind: PartKind::ToolArguments },
        text: "x",
    })
}

/// Tool calls under way.
fn calls() -> u64 {
    beside_progress(CALLS_EACH, |call| RunEvent::ToolExecuting {
        call,
        expect: None,
        payload: Bytes::new(),
    })
}

fn announcements() -> u64 {
    let mut filled = Filled::new(config());
    filled.admit(0);
    filled.more(|it| {
        for _ in 0..4 {
            let message = Message::binary(Bytes::from(vec![b'x'; LARGEST as usize]));
            send(&mut it.registry, Target::Everyone, message);
        }
    })
}

fn notices() -> u64 {
    let mut filled = Filled::new(config().closed_ring(0));
    let (conn, _) = filled.admit(0);
    filled.more(|it| {
        for _ in 0..100 {
            it.registry.join(START, conn, &room(0), Start::Now).unwrap();
            it.registry.leave(START, conn, &room(0)).unwrap();
        }
    })
}

/// Everyone at once, after one alone.
fn recipients() -> u64 {
    let mut filled = Filled::new(config().notices(0));
    let announce = |it: &mut Filled| {
        send(&mut it.registry, Target::Everyone, blank());
        while it.registry.poll_action().is_some() {}
    };
    filled.admit(0);
    announce(&mut filled);
    for number in 1..CONNECTIONS {
        filled.admit(number);
    }
    filled.more(announce)
}

/// How each term was filled, and of which terms more comes with it.
type Row = (&'static str, &'static [&'static str], fn() -> u64);

const ROWS: [Row; 19] = [
    ("connections", &["sessions", "streams"], connections),
    ("memberships", &[], memberships),
    ("rooms_left", &[], left::rooms_left),
    ("outbox", &[], outbox),
    ("sessions", &["streams"], sessions),
    ("tenants", &[], tenants),
    ("rooms", &["streams"], rooms),
    ("streams", &["rooms"], rooms),
    ("entries", &[], entries),
    ("keys", &[], keys),
    ("payloads", &[], payloads),
    ("text", &[], text),
    ("runs", &[], runs),
    ("parts", &["text", "payloads"], parts),
    ("calls", &[], calls),
    ("announcements", &[], announcements),
    ("closed", &[], left::closed),
    ("notices", &[], notices),
    ("recipients", &[], recipients),
];

/// What tenants add to sessions that linger, each of a user and a tenant of its own.
fn tenants() -> u64 {
    let held = |tenant: fn(Principal, u32) -> Principal| {
        let mut filled = Filled::new(config());
        for number in 0..SESSIONS {
            let who = Principal::new(user(number)).with_thread(thread(0));
            let who = tenant(who, number);
            let (conn, _) = filled.registry.admit(START, who, Start::OpenRuns, None).unwrap();
            filled.registry.disconnect(START, conn).unwrap();
            while filled.registry.poll_action().is_some() {}
        }
        filled.held()
    };
    let named =
        |who: Principal, number: u32| who.with_tenant(TenantId::new(long(number.into())).unwrap());
    held(named) - held(|who, _| who)
}

/// Users in the leave grace, who have neither a session nor a connection.
fn in_grace(config: ConfigBuilder) -> u64 {
    let mut filled = Filled::new(config.notices(0).closed_ring(0));
    filled.more(|it| {
        for number in 0..SESSIONS {
            let who = Principal::new(user(number));
            let (conn, _) = it.registry.admit(START, who, Start::OpenRuns, None).unwrap();
            while it.registry.poll_action().is_some() {}
            it.registry.disconnect(START, conn).unwrap();
            while it.registry.poll_action().is_some() {}
        }
        assert_eq!(it.registry.stats().users, SESSIONS);
    })
}

#[test]
fn what_presence_adds_is_at_most_eight_times_what_is_reached() {
    let bound = |config: ConfigBuilder| config.build().unwrap().memory_breakdown(LARGEST).sessions;
    let most = bound(config().with_presence()) - bound(config());
    let reached = in_grace(config().with_presence());
    assert!((most / 8..=most).contains(&reached), "{reached} of {most}");
}

#[test]
fn each_term_is_at_most_eight_times_what_is_reached_and_never_exceeded() {
    let bound = config().build().unwrap().memory_breakdown(LARGEST);
    let names: Vec<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(bound.terms().map(|(name, _)| name).collect::<Vec<_>>(), names);
    let mut wrong = Vec::new();
    for (name, others, fill) in ROWS {
        let of = |term: &str| term == name || others.contains(&term);
        let most = bound.terms().filter(|(term, _)| of(term)).map(|(_, it)| it).sum::<u64>();
        let reached = fill();
        println!("{name}: {reached} of {most}, 1/{:.1}", most as f64 / reached as f64);
        if !(most / 8..=most).contains(&reached) {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, [""; 0], "not between an eighth and the whole");
}
