//! Every deadline that there is, one by one: which time it counts in, and that it acts exactly when
//! `poll_timeout` says. The deadlines are those of the table in the crate docs: this reads it there.

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use headcount::{
    CloseReason, Config, ConfigBuilder, ConfigKind, ConnId, ConnState, Inbound, Notice, RunId,
    Target, Timestamp, UserId,
};

use crate::support::{START, World, config, ms, secs, thread, user, who};

/// Long enough for what a test does not ask about.
const DAYS: Duration = secs_of_days(100);

const fn secs_of_days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3_600)
}

/// The rows of the table: which time each key's deadline counts in.
fn table() -> BTreeMap<String, String> {
    let docs = include_str!("../../src/lib.rs");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("//! | ")).filter_map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        let [_, key, time] = cells[..] else { return None };
        let key = key.strip_prefix('`')?.strip_suffix('`')?;
        Some((key.to_owned(), time.to_owned()))
    });
    rows.collect()
}

#[test]
fn every_duration_that_can_be_configured_is_a_deadline_with_a_row() {
    let times = Config::KEYS.iter().filter(|key| key.kind == ConfigKind::Time);
    let mut keys: Vec<&str> = times.map(|key| key.name).collect();
    // What a pause is measured by is none itself, nor is what a ping may be late by.
    keys.retain(|key| !["heartbeat.pause_threshold", "heartbeat.slack"].contains(key));
    keys.sort_unstable();
    assert_eq!(keys, table().into_keys().collect::<Vec<_>>());
}

/// When a deadline acts, as its documentation has it.
enum Acts {
    At(Timestamp),
    /// It is jittered: not before the one, and at the other at the latest.
    Between(Timestamp, Timestamp),
}

/// One deadline at work.
struct Scenario {
    world: World,
    acts: Acts,
    acted: Box<dyn Fn(&mut World) -> bool>,
}

/// The first whole millisecond at or after an instant.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_nanos().div_ceil(1_000_000))
}

/// A world in which nothing is due but what is asked for.
fn quiet() -> ConfigBuilder {
    config()
        .pause_threshold(secs(5))
        .ping_interval(Duration::ZERO)
        .pong_timeout(DAYS)
        .head_deadline(DAYS)
        .auth_deadline(DAYS)
        .close_handshake(DAYS)
        .slow_deadline(DAYS)
        .session_linger(DAYS)
        .stream_ttl(Duration::ZERO)
        .room_ttl(Duration::ZERO)
        .run_silence(Duration::ZERO)
        .run_max_length(Duration::ZERO)
        .run_linger(Duration::ZERO)
}

fn alice() -> UserId {
    user("alice")
}

fn run() -> RunId {
    RunId::new("run").unwrap()
}

fn open_run(world: &mut World) {
    let (alice, main, now) = (alice(), thread("main"), world.now);
    let opened = world.registry.scope(&alice).open_run(now, &main, &run(), "agent", Bytes::new());
    assert_eq!(opened.unwrap().delivery.live, 0);
    world.settle();
}

fn has_run_ended(world: &mut World) -> bool {
    world.registry.run(&alice(), &run()).is_none_or(|run| run.end_offset().is_some())
}

fn is_leaving(conn: ConnId) -> Box<dyn Fn(&mut World) -> bool> {
    Box::new(move |world| {
        !matches!(
            world.state(conn),
            Some(ConnState::Pending | ConnState::Open | ConnState::Suspect)
        )
    })
}

fn is_gone(conn: ConnId) -> Box<dyn Fn(&mut World) -> bool> {
    Box::new(move |world| matches!(world.state(conn), None | Some(ConnState::Gone)))
}

/// A connection with an unanswered ping that was flushed just now.
fn pinged(world: &mut World) -> ConnId {
    let conn = world.open("alice", "main");
    world.settle();
    while world.seen(conn) != ["ping"] {
        world.now = world.timeout();
        world.registry.tick(world.now);
        world.settle();
    }
    conn
}

/// Sets the deadline of one key up, to be so long, in a world that begins so many nanoseconds after
/// the start of all worlds.
fn scenario(key: &str, wait: Duration, nanos: u64) -> Scenario {
    let world = |config: ConfigBuilder| {
        let mut world = World::with(config);
        world.now = START + Duration::from_nanos(nanos);
        world
    };
    let (world, acts, acted) = match key {
        "session.head_deadline" => {
            let mut world = world(quiet().head_deadline(wait));
            let conn = world.reserve();
            let acts = Acts::At(world.now + wait);
            (world, acts, is_leaving(conn))
        }
        "session.auth_deadline" => {
            let mut world = world(quiet().auth_deadline(wait));
            let conn = world.reserve();
            world.now += Duration::from_nanos(333);
            world.registry.upgraded(world.now, conn).unwrap();
            let acts = Acts::At(world.now + wait);
            (world, acts, is_leaving(conn))
        }
        "session.close_handshake" => {
            let mut world = world(quiet().close_handshake(wait));
            let conn = world.open("alice", "main");
            world.close(Target::Conn(conn), CloseReason::Application);
            world.now += Duration::from_nanos(333);
            world.registry.tick(world.now);
            world.settle();
            let acts = Acts::At(world.now + wait);
            (world, acts, is_gone(conn))
        }
        "heartbeat.interval" => {
            let mut world = world(quiet().ping_interval(wait));
            let conn = world.open("alice", "main");
            let acts = Acts::Between(world.now + wait / 2, world.now + wait);
            let acted: Box<dyn Fn(&mut World) -> bool> =
                Box::new(move |world| world.registry.connection(conn).unwrap().load() > 0);
            (world, acts, acted)
        }
        "heartbeat.pong_timeout" => {
            let mut world = world(quiet().ping_interval(ms(10)).pong_timeout(wait));
            let conn = pinged(&mut world);
            let acts = Acts::At(world.now + wait);
            (world, acts, is_leaving(conn))
        }
        "pressure.emergency_deadline" => {
            // One connection is below the share that makes an emergency, two are above it.
            let caps = quiet().connections_per_user(16).proactive_percent(10).emergency_percent(10);
            let mut world = world(caps.ping_interval(ms(10)).emergency_deadline(wait));
            let conn = pinged(&mut world);
            let acts = Acts::At(world.now + wait);
            world.now += Duration::from_nanos(333);
            world.open("alice", "main");
            world.settle();
            (world, acts, is_leaving(conn))
        }
        "session.idle" => {
            let mut world = world(quiet().session_idle(wait));
            let conn = world.open("alice", "main");
            let acts = Acts::At(world.now + wait);
            (world, acts, is_leaving(conn))
        }
        "limits.frame_deadline" => {
            let mut world = world(quiet().frame_deadline(wait));
            let conn = world.open("alice", "main");
            world.now += Duration::from_nanos(333);
            world.inbound(conn, Inbound::Bytes { bytes: 1, partial: true });
            let acts = Acts::At(world.now + wait);
            (world, acts, is_leaving(conn))
        }
        "outbound.slow_deadline" => {
            let mut world = world(quiet().slow_deadline(wait));
            let conn = world.open("alice", "main");
            world.stall(conn);
            world.tell_session(conn, "hello");
            world.settle();
            let acts = Acts::At(world.now + wait);
            (world, acts, is_leaving(conn))
        }
        "session.max_lifetime" => {
            let mut world = world(quiet().max_lifetime(wait));
            let conn = world.open("alice", "main");
            let acts = Acts::Between(world.now + (wait - wait / 10), world.now + wait);
            (world, acts, is_leaving(conn))
        }
        "session.expiry_grace" => {
            let mut world = world(quiet().expiry_grace(wait));
            let expires = world.now + Duration::from_nanos(777);
            let conn = world.open_as(who("alice", "main").with_expiry(expires));
            (world, Acts::At(expires + wait), is_leaving(conn))
        }
        "session.linger" => {
            let mut world = world(quiet().session_linger(wait));
            let conn = world.open("alice", "main");
            world.hang_up(conn);
            world.settle();
            let acts = Acts::At(world.now + wait);
            let acted: Box<dyn Fn(&mut World) -> bool> =
                Box::new(|world| world.registry.stats().sessions == 0);
            (world, acts, acted)
        }
        "stream.ttl" | "stream.room_ttl" => {
            let mut world = world(match key {
                "stream.ttl" => quiet().stream_ttl(wait),
                _ => quiet().room_ttl(wait),
            });
            let conn = world.open("alice", "main");
            world.join(conn, "lobby");
            match key {
                "stream.ttl" => world.tell_session(conn, "hello"),
                _ => world.tell_room("lobby", "hello"),
            }
            world.settle();
            let acts = Acts::At(world.now + wait);
            let acted: Box<dyn Fn(&mut World) -> bool> =
                Box::new(|world| world.registry.stats().log_messages == 0);
            (world, acts, acted)
        }
        "run.silence" | "run.max_length" => {
            let mut world = world(match key {
                "run.silence" => quiet().run_silence(wait),
                _ => quiet().run_max_length(wait),
            });
            open_run(&mut world);
            let acts = Acts::At(world.now + wait);
            (world, acts, Box::new(has_run_ended) as Box<dyn Fn(&mut World) -> bool>)
        }
        "run.linger" => {
            let mut world = world(quiet().run_linger(wait).stream_history(0));
            open_run(&mut world);
            let event = headcount::RunEvent::Completed(Bytes::new());
            let _ = world.registry.scope(&alice()).run_event(world.now, &run(), &event).unwrap();
            let acts = Acts::At(world.now + wait);
            let acted: Box<dyn Fn(&mut World) -> bool> =
                Box::new(|world| world.registry.stats().log_messages == 0);
            (world, acts, acted)
        }
        "presence.leave_grace" => {
            let mut world = world(quiet().leave_grace(wait).with_presence());
            let conn = world.open("alice", "main");
            world.settle();
            world.hang_up(conn);
            world.settle();
            let acts = Acts::At(world.now + wait);
            let acted: Box<dyn Fn(&mut World) -> bool> =
                Box::new(|world| !world.registry.user(&alice()).is_some_and(|it| it.is_online()));
            (world, acts, acted)
        }
        "drain.grace" => {
            let mut world = world(quiet().drain_grace(wait).drain_deadline(4 * wait));
            let conn = world.open("alice", "main");
            world.registry.drain(world.now, None);
            world.settle();
            let acts = Acts::Between(world.now + wait, whole(world.now + 4 * wait));
            (world, acts, is_leaving(conn))
        }
        "drain.deadline" => {
            let mut world = world(quiet().drain_deadline(wait));
            let conn = world.reserve();
            world.registry.drain(world.now, None);
            world.settle();
            let acts = Acts::At(world.now + wait);
            (world, acts, is_gone(conn))
        }
        _ => panic!("{key} is a deadline, and nothing here sets one up"),
    };
    Scenario { world, acts, acted }
}

impl Scenario {
    /// What can be seen of a registry without asking it to do anything.
    fn observed(&mut self) -> impl PartialEq + core::fmt::Debug + use<> {
        let world = &mut self.world;
        let explained: Vec<_> = world
            .registry
            .connections(None)
            .map(|it| it.id())
            .map(|conn| world.registry.connection(conn))
            .collect();
        // Ages grow, and nothing else may.
        let explained: Vec<_> = explained
            .into_iter()
            .flatten()
            .map(|it| (it.state(), it.next(), it.load(), it.flushed(), it.is_paused()))
            .collect();
        let run = world.registry.run(&alice(), &run());
        let run = run.map(|run| (run.end_offset(), run.fails(), run.events()));
        (world.registry.stats(), world.registry.has_actions(), explained, run)
    }

    fn has_acted(&mut self) -> bool {
        (self.acted)(&mut self.world)
    }

    /// Ticks when `poll_timeout` says so, until the deadline has acted: that instant.
    fn run_until_it_acts(&mut self) -> Timestamp {
        for _ in 0..100 {
            if self.has_acted() {
                return self.world.now;
            }
            self.world.now = self.world.timeout().max(self.world.now);
            self.world.registry.tick(self.world.now);
        }
        panic!("a hundred deadlines have passed, and it has not acted");
    }
}

/// A generator that is good enough for odd nanoseconds (Steele, Lea and Flood's SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % bound
    }
}

/// For each key and many odd stamps and lengths.
fn for_odd_times(mut test: impl FnMut(&str, Duration, u64)) {
    let mut random = Random(41);
    for key in table().keys() {
        for round in 0..100 {
            // From half a millisecond on: what is less is rounded up like everything else.
            let nanos = match round % 4 {
                0 => 500_000 + random.below(1_000_000),
                1 => 1_000_000 * (1 + random.below(200)),
                _ => 1_000_000 + random.below(300_000_000),
            };
            let start = random.below(if round % 3 == 0 { 1_000_000 } else { 10_000_000_000 });
            test(key, Duration::from_nanos(nanos), start);
        }
    }
}

#[test]
fn a_tick_before_poll_timeout_changes_nothing_and_one_at_it_gets_on() {
    for_odd_times(|key, wait, nanos| {
        let what = format!("{key} of {wait:?} from {nanos} ns on");
        let mut scenario = scenario(key, wait, nanos);
        let mut ticks = 0;
        while !scenario.has_acted() {
            let next = scenario.world.timeout();
            let before = scenario.observed();
            // It may be early, even in the past before the first tick.
            if next > scenario.world.now {
                scenario.world.now = Timestamp::from_nanos(next.as_nanos() - 1);
                scenario.world.registry.tick(scenario.world.now);
                let after = scenario.observed();
                assert!(before == after, "{what}: before {next:?} {before:?} became {after:?}");
                assert_eq!(scenario.world.timeout(), next, "{what}: an early tick moved it");
                scenario.world.now = next;
            }
            scenario.world.registry.tick(scenario.world.now);
            let acted = scenario.observed() != before;
            assert!(acted || scenario.world.timeout() > next, "{what}: nothing at {next:?}");
            // Early bounds: one for each level of the wheel, and a ping is suspect first.
            ticks += 1;
            assert!(ticks < 20, "{what}: it is woken again and again");
        }
    });
}

#[test]
fn a_deadline_is_rounded_up_once_and_acts_at_that_millisecond() {
    for_odd_times(|key, wait, nanos| {
        let what = format!("{key} of {wait:?} from {nanos} ns on");
        let mut scenario = scenario(key, wait, nanos);
        let at = scenario.run_until_it_acts();
        assert_eq!(at.as_nanos() % 1_000_000, 0, "{what}: {at:?} is no whole millisecond");
        match scenario.acts {
            Acts::At(exact) => assert_eq!(at, whole(exact), "{what}"),
            Acts::Between(earliest, latest) => {
                assert!(at >= earliest && at <= whole(latest), "{what}: {at:?}");
            }
        }
    });
}

/// Lets the process sleep for so long and brings the registry its first input after that: how much
/// of it was no attended time.
fn sleep(world: &mut World, by: Duration, first_is_a_tick: bool) -> Duration {
    world.notices();
    world.now = whole(world.now + by);
    if !first_is_a_tick {
        // To nobody: an input like any other.
        world.tell_user("stranger", "hello");
    }
    world.registry.tick(world.now);
    let pauses = world.notices().into_iter().filter_map(|notice| match notice {
        Notice::Paused { lasted } => Some(lasted),
        _ => None,
    });
    pauses.sum()
}

#[test]
fn a_pause_moves_what_the_table_says_and_nothing_else() {
    for (key, time) in table() {
        for (nanos, first_is_a_tick) in [(0, true), (123_456_789, false), (999_999, true)] {
            let what = format!("{key} from {nanos} ns on, first a tick: {first_is_a_tick}");
            let wait = secs(60);
            let due = scenario(&key, wait, nanos).run_until_it_acts();
            let mut slept = scenario(&key, wait, nanos);
            let lasted = sleep(&mut slept.world, secs(600), first_is_a_tick);
            assert!(lasted >= secs(500), "{what}: a pause of {lasted:?}");
            match time.as_str() {
                "attended" => {
                    assert!(!slept.has_acted(), "{what}: nobody was there, and it has acted");
                    // The length of a pause need not be whole milliseconds; the deadline is.
                    let at = slept.run_until_it_acts();
                    let moved = due + lasted;
                    let whole_before = moved.as_nanos() - 999_999;
                    assert!(at.as_nanos() >= whole_before && at <= whole(moved), "{what}: {at:?}");
                }
                "real" => assert!(slept.has_acted(), "{what}: it has waited for a pause"),
                other => panic!("{key} counts in {other:?}"),
            }
        }
    }
}
