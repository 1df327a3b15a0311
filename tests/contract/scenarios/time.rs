//! Time to live, and clocks that do what clocks should not.

use headcount::{ConnState, Timestamp};

use crate::support::{LIFE, START, World, config, ms, secs};

#[test]
fn a_session_in_constant_use_survives_any_ttl_and_an_unused_one_goes_on_time() {
    let ttl = secs(180);
    let mut world = World::with(config().session_linger(ttl).stream_ttl(ttl).session_idle(ttl));
    let (busy, idle) = (world.tab("alice", "main"), world.tab("bob", "main"));
    let session = world.session(busy);
    let left = world.now + ms(500);
    world.run(ms(500));
    world.hang_up(idle);
    let unused = world.session(idle);
    for _ in 0..360 {
        world.run(secs(10));
        assert_eq!(world.data(busy), headcount::Intake::Taken);
        world.tell_session(busy, "hello");
    }
    world.settle();
    assert_eq!((world.session(busy), world.state(busy)), (session, Some(ConnState::Open)));
    let greetings = world.seen(busy).iter().filter(|what| **what == "hello").count();
    assert_eq!(greetings, 360);
    let ended = world.polled.iter().find(|polled| polled.session == Some(unused)).unwrap();
    assert_eq!(ended.at, left + ttl, "neither early nor late");
    assert_eq!(world.closings(), ["peer_gone"]);
    world.close_the_books();
}

#[test]
fn looking_keeps_nothing_alive() {
    let mut world = World::with(config().session_linger(secs(180)));
    let alice = world.tab("alice", "main");
    let session = world.session(alice);
    world.hang_up(alice);
    for _ in 0..179 {
        world.run(secs(1));
        assert!(world.registry.session(session).is_some());
        let _ = (world.registry.stats(), world.registry.closed().count());
    }
    world.run(secs(1));
    assert!(world.registry.session(session).is_none());
    world.close_the_books();
}

/// Ten tabs that answer, in a process that takes an hour's rest for a pause.
fn tabs(idle: u64) -> World {
    let mut world = World::with(config().pause_threshold(secs(5)).session_idle(secs(idle)));
    for number in 0..10 {
        world.tab(&format!("user{number}"), "main");
    }
    world.run(secs(100));
    world.notices();
    world
}

#[test]
fn after_an_hour_long_pause_everybody_is_asked_and_nobody_was_silent() {
    let mut world = tabs(900);
    let promised = world.timeout();
    world.skip(secs(3_600));
    assert_eq!(world.open_count(), 10, "the process slept, not the peers");
    let lasted = world.now.saturating_since(promised);
    assert_eq!(world.notices(), [headcount::Notice::Paused { lasted }]);
    world.run(secs(60));
    assert_eq!((world.open_count(), world.closings().len()), (10, 0));
    world.close_the_books();
}

#[test]
fn peers_who_died_during_the_pause_are_found_one_heartbeat_later() {
    let mut world = tabs(0);
    let dead = world.open("ghost", "main");
    world.run(ms(1));
    world.skip(secs(3_600));
    assert_eq!(world.state(dead), Some(ConnState::Open));
    world.run(secs(25 + 10));
    assert_ne!(world.state(dead), Some(ConnState::Open));
    assert_eq!((world.open_count(), world.closings()), (10, vec!["pong_timeout"]));
    world.close_the_books();
}

#[test]
fn one_stamp_an_hour_ahead_costs_nobody_anything() {
    let mut world = tabs(0);
    let conns = world.open_conns();
    let real = world.now;
    world.registry.message(real + secs(3_600), conns[0], LIFE).map(drop).unwrap();
    // The clock itself was right all along: for an hour its stamps are late, and clamped. Token
    // buckets refill by nothing but time, so a burst is what they hold until then.
    for second in 0..3_600 {
        world.now = real + secs(second);
        world.registry.tick(world.now);
        world.settle();
        if second % 60 == 0 {
            let conn = world.tab(&format!("newcomer{}", second / 600), &format!("thread{second}"));
            assert_eq!(world.data(conn), headcount::Intake::Taken);
            world.tell_session(conn, "hello");
            world.settle();
            assert_eq!(world.seen(conn), ["hello"]);
            world.hang_up(conn);
        }
    }
    assert!(world.registry.stats().late_stamps > 3_600);
    assert_eq!(world.open_conns(), conns, "nobody was closed");
    world.run(secs(3_600));
    assert_eq!(world.open_conns(), conns, "and time goes on");
    assert!(world.closings().iter().all(|reason| *reason == "peer_gone"));
    world.close_the_books();
}

#[test]
fn a_clock_that_runs_backwards_stands_still_inside() {
    let mut world = tabs(0);
    let conns = world.open_conns();
    let real = world.now;
    for second in 1..=90 {
        world.now = Timestamp::from_millis(real.as_millis() - 1_000 * second);
        world.registry.tick(world.now);
        for conn in &conns {
            world.registry.message(world.now, *conn, LIFE).map(drop).unwrap();
        }
        world.settle();
    }
    world.registry.tick(Timestamp::ZERO);
    assert_eq!((world.open_conns(), world.closings().len()), (conns.clone(), 0));
    world.now = real;
    world.run(secs(3_600));
    assert_eq!(world.open_conns(), conns);
    assert!(world.now > START);
    world.close_the_books();
}
