//! Time as an argument: late, early, repeated, and absurd stamps.

use core::time::Duration;

use headcount::{CloseReason, ConnState, Inbound, Target, Timestamp};

use crate::support::{LIFE, START, World, config, ms, secs};

/// A world in which everything that can be due is under way.
fn busy(budget: u32) -> World {
    let mut world = World::with(
        config()
            .tick_budget(budget)
            .ping_interval(secs(20))
            .pong_timeout(secs(10))
            .session_linger(secs(30))
            .stream_ttl(secs(45))
            .slow_deadline(secs(7)),
    );
    world.reserve();
    let upgraded = world.reserve();
    world.registry.upgraded(world.now, upgraded).unwrap();
    for name in ["silent", "talking", "stuck", "lingering", "closing"] {
        let conn = world.open(name, "main");
        world.tell_session(conn, "hello");
    }
    let conns: Vec<_> =
        ["stuck", "lingering", "closing"].iter().map(|name| world.tabs(name)[0]).collect();
    world.drain();
    world.stall(conns[0]);
    world.hang_up(conns[1]);
    world.close(Target::Conn(conns[2]), CloseReason::Application);
    world.settle();
    world
}

fn transcript(world: &World) -> Vec<(Timestamp, String)> {
    world
        .polled
        .iter()
        .map(|polled| (polled.at, format!("{:?} {}", polled.to, polled.what)))
        .collect()
}

#[test]
fn ticking_twice_at_the_same_instant_is_ticking_once() {
    let (mut once, mut twice) = (busy(1_000), busy(1_000));
    for _ in 0..200 {
        for world in [&mut once, &mut twice] {
            world.skip(secs(1));
        }
        twice.registry.tick(twice.now);
        assert_eq!(once.registry.stats(), twice.registry.stats());
        once.settle();
        twice.settle();
        twice.registry.tick(twice.now);
        assert!(!twice.registry.has_actions());
    }
    assert_eq!(transcript(&once), transcript(&twice));
    assert!(once.registry.is_idle() && twice.registry.is_idle());
}

#[test]
fn ticks_that_come_early_change_nothing() {
    let (mut lazy, mut eager) = (busy(1_000), busy(1_000));
    lazy.run(secs(200));
    for _ in 0..2_000 {
        eager.run(ms(100));
    }
    assert_eq!(transcript(&lazy), transcript(&eager), "each deadline acts at its own instant");
}

#[test]
fn a_tick_that_comes_late_does_what_was_due() {
    let mut world = busy(1_000);
    // Each leap passes many deadlines; whoever was due is found.
    for _ in 0..10 {
        world.skip(secs(3_600));
        world.settle();
    }
    assert!(world.registry.is_idle(), "{:?}", world.registry.stats());
    assert_eq!(world.registry.poll_timeout(), None);
}

#[test]
fn a_stamp_that_runs_backwards_is_clamped_and_counted() {
    // An answer has until 25 s at the least, wherever the jitter puts the first ping.
    let mut world = World::with(config().ping_interval(secs(20)).pong_timeout(secs(15)));
    world.skip(secs(100));
    let alice = world.open("alice", "main");
    let late = START;
    world.registry.tick(late);
    world.registry.message(late, alice, LIFE).map(drop).unwrap();
    world.registry.tick(Timestamp::ZERO);
    assert_eq!(world.registry.stats().late_stamps, 3);
    assert_eq!(world.drain(), 0);
    // Its silence counts from the instant that the late stamp was taken for.
    world.skip(secs(10) - ms(1));
    assert_eq!(world.drain(), 0, "the first ping comes after half an interval at the earliest");
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.run(secs(11));
    assert_eq!(world.take(alice), ["ping"]);
    assert_eq!(world.registry.stats().late_stamps, 3);
}

#[test]
fn the_same_instant_for_everything_is_fine() {
    let mut world = World::new();
    for number in 0..100 {
        let alice = world.open(&format!("alice{}", number % 10), "main");
        world.inbound(alice, Inbound::Pong);
        world.tell_session(alice, "hello");
        world.settle();
        world.registry.tick(world.now);
        world.hang_up(alice);
        world.settle();
    }
    assert_eq!(world.registry.stats().late_stamps, 0);
    assert_eq!(world.registry.stats().closed_total(), 100);
}

#[test]
fn a_leap_of_an_hour_is_believed() {
    let mut world = World::with(config().ping_interval(secs(20)).pong_timeout(secs(10)));
    let alice = world.open("alice", "main");
    world.skip(secs(3_600));
    world.settle();
    assert_eq!(world.take(alice), ["ping"], "a ping comes first: nobody has asked it yet");
    world.inbound(alice, Inbound::Pong);
    world.skip(secs(3_600));
    world.settle();
    assert_eq!(world.take(alice), ["ping"]);
    world.skip(secs(3_600));
    world.settle();
    assert_eq!(world.take(alice), ["close pong_timeout"]);
}

#[test]
fn the_end_of_time_is_an_instant_like_any_other() {
    let mut world = busy(1_000);
    world.now = Timestamp::MAX;
    world.registry.tick(world.now);
    world.settle();
    // Deadlines beyond the end of time never come; everything else works.
    let alice = world.open("alice", "main");
    world.tell_session(alice, "hello");
    world.settle();
    assert_eq!(world.seen(alice), ["hello"]);
    world.close(Target::Everyone, CloseReason::Restart);
    world.settle();
    for _ in 0..10 {
        world.registry.tick(world.now);
        world.settle();
    }
    assert_eq!(world.open_count(), 0);
    world.hang_up(alice);
    world.settle();
    assert_eq!(world.state(alice), None);
    assert_eq!(world.registry.poll_timeout(), None, "its session's linger never ends");
}

#[test]
fn a_stamp_near_the_end_of_time_does_not_overflow() {
    for before in [0, 1, 999_999, 1_000_000, 5_000_000_000] {
        let mut world = World::new();
        world.now = Timestamp::from_nanos(u64::MAX - before);
        let alice = world.open("alice", "main");
        world.tell_session(alice, "hello");
        world.stall(alice);
        for _ in 0..5 {
            world.now += Duration::from_nanos(before / 4);
            world.registry.tick(world.now);
            world.settle();
        }
        world.hang_up(alice);
        world.settle();
        assert_eq!(world.registry.stats().closed_total(), 1);
    }
}

#[test]
fn the_beginning_of_time_is_an_instant_like_any_other() {
    let mut world = World::with(config().ping_interval(secs(20)).pong_timeout(secs(10)));
    world.now = Timestamp::ZERO;
    let alice = world.open("alice", "main");
    world.run(secs(20));
    assert_eq!(world.seen(alice), ["ping"]);
    assert_eq!(world.registry.stats().late_stamps, 0);
}

#[test]
fn poll_timeout_is_never_late() {
    // Whatever happens in a tick one millisecond early must happen at the next timeout or later;
    // so nothing may come out of a tick that is before the timeout.
    let mut world = busy(1_000);
    let mut waits = 0;
    while let Some(next) = world.registry.poll_timeout() {
        let before = world.registry.stats();
        if next > world.now + ms(1) {
            world.now = Timestamp::from_nanos(next.as_nanos() - 1);
            world.registry.tick(world.now);
            assert!(!world.registry.has_actions(), "something was due before {next:?}");
            assert_eq!(world.registry.stats(), before);
        }
        world.now = world.now.max(next);
        world.registry.tick(world.now);
        world.settle();
        waits += 1;
        assert!(waits < 1_000, "it asks to be woken again and again");
    }
    assert!(world.registry.is_idle());
}

#[test]
fn a_timeout_may_be_early_but_not_for_ever() {
    let mut world = World::with(config().ping_interval(secs(25)));
    let alice = world.open("alice", "main");
    // Activity makes the deadline that is armed a lower bound of the true one.
    let mut wakings = 0;
    for _ in 0..1_000 {
        let end = world.now + secs(1);
        while let Some(next) = world.registry.poll_timeout().filter(|next| *next <= end) {
            world.now = world.now.max(next);
            world.registry.tick(world.now);
            wakings += 1;
        }
        world.now = end;
        world.inbound(alice, LIFE);
    }
    assert_eq!(world.drain(), 0);
    assert!(wakings < 1_000, "{wakings} wakings in 1,000 s");
}

#[test]
fn one_tick_does_bounded_work_and_the_rest_is_due_at_once() {
    let herd =
        config().tick_budget(10).ping_interval(secs(0)).head_deadline(secs(5)).pending(1_000);
    let mut world = World::with(herd);
    world.checking = false;
    let conns: Vec<_> = (0..500).map(|_| world.reserve()).collect();
    world.now += secs(5);
    let mut ticks = 0;
    while world.registry.poll_timeout().is_some_and(|next| next <= world.now) {
        world.registry.tick(world.now);
        ticks += 1;
        let closed = world.drain();
        assert!(closed <= 10, "{closed} in one tick");
        assert!(ticks < 500, "it does not get on");
    }
    assert!(ticks >= 50);
    for conn in conns {
        assert_eq!(world.seen(conn), ["close head_timeout"]);
    }
}

#[test]
fn a_herd_of_every_kind_is_worked_off_in_portions() {
    let mut world = busy(1);
    let mut ticks = 0;
    while !world.registry.is_idle() {
        world.now = world.now.max(world.timeout());
        world.registry.tick(world.now);
        world.settle();
        ticks += 1;
        assert!(ticks < 10_000, "it does not get on");
    }
    let (mut portions, mut whole) = (transcript(&world), busy(1_000));
    whole.run(secs(200));
    let mut at_once = transcript(&whole);
    portions.sort();
    at_once.sort();
    assert_eq!(portions, at_once, "the same things at the same instants");
}

#[test]
fn deadlines_are_whole_milliseconds_and_never_early() {
    let mut world = World::with(config().head_deadline(ms(10)));
    world.now += Duration::from_nanos(1);
    let conn = world.reserve();
    world.skip(ms(10) - Duration::from_nanos(1));
    assert_eq!(world.state(conn), Some(ConnState::Pending));
    world.skip(Duration::from_nanos(1));
    assert_eq!(world.state(conn), Some(ConnState::Pending), "10 ms and less than one more");
    world.skip(ms(1) - Duration::from_nanos(1));
    assert_eq!(world.state(conn), Some(ConnState::Closing));
}
