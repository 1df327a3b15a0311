//! Drain as a plan: announce, grace, closes that are spread out, a hard stop, and a way back.

use core::time::Duration;

use headcount::{Action, CloseReason, ConnId, ConnState, Notice, Refused, Retry, Timestamp};

use crate::support::{START, World, config, ms, secs};

/// Two seconds of grace, thirty in all.
fn world(connections: usize) -> (World, Vec<ConnId>) {
    let mut world = World::with(config().drain_grace(secs(2)).drain_deadline(secs(30)));
    let conns =
        (0..connections).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    world.notices();
    (world, conns)
}

/// When each was told to close, as time since the world began.
fn closes(world: &World, conns: &[ConnId]) -> Vec<Duration> {
    conns.iter().map(|conn| world.when(*conn, "close restart")).collect()
}

#[test]
fn everyone_is_told_at_once_and_nobody_is_closed_before_the_grace_is_over() {
    let (mut world, conns) = world(10);
    world.registry.drain(world.now, None);
    assert_eq!(world.notices(), [Notice::Draining { connections: 10 }]);
    world.settle();
    assert!(conns.iter().all(|conn| world.seen(*conn) == ["draining"]));
    world.run(secs(2) - ms(1));
    assert_eq!(world.open_count(), 10);
    assert_eq!(
        (CloseReason::Restart.code(), CloseReason::Restart.retry()),
        (1012, Retry::Reconnect)
    );
}

#[test]
fn the_announcement_says_when_a_client_may_come_back() {
    let (mut world, _) = world(1);
    world.registry.drain(world.now, None);
    let Some(Action::Draining { within, .. }) = world.registry.poll_action() else {
        panic!("an announcement")
    };
    assert!(within.start > Duration::ZERO && within.start < within.end, "{within:?}");
    assert!(within.end >= secs(28), "spread over as long as the closes are: {within:?}");
}

#[test]
fn the_closes_are_spread_evenly_from_the_grace_to_the_deadline() {
    let (mut world, conns) = world(400);
    world.checking = false;
    world.registry.drain(world.now, None);
    world.run(secs(30));
    let closes = closes(&world, &conns);
    assert!(closes.iter().all(|at| *at >= secs(2) && *at < secs(30)));
    // In each quarter of the time before the last handshakes about a fourth of them.
    let mut quarters = [0; 4];
    for at in closes {
        quarters[((at - secs(2)).as_millis() * 4 / (28_000 - 5_000 + 1)) as usize] += 1;
    }
    assert!(quarters.iter().all(|count| (60..140).contains(count)), "{quarters:?}");
    assert!(world.registry.is_drained());
    assert_eq!(world.closings().len(), 400);
    world.close_the_books();
}

#[test]
fn at_the_deadline_whatever_is_left_gets_its_cleanup() {
    let (mut world, conns) = world(20);
    let (pending, upgraded) = (world.reserve(), world.reserve());
    world.run(secs(29));
    let (late, late_upgraded) = (world.reserve(), world.reserve());
    world.registry.upgraded(world.now, late_upgraded).unwrap();
    world.registry.drain(world.now, Some(secs(1)));
    assert!(!world.registry.is_drained());
    world.run(secs(1));
    for conn in conns.iter().chain([&pending, &upgraded, &late, &late_upgraded]) {
        assert_eq!(world.state(*conn), None);
    }
    assert!(world.registry.is_drained());
    assert_eq!(world.closings(), ["restart"; 20]);
    world.close_the_books();
}

#[test]
fn a_hard_stop_of_many_takes_several_ticks_and_poll_timeout_asks_for_each() {
    let mut world = World::with(config().tick_budget(10).drain_grace(secs(60)));
    for number in 0..95 {
        world.tab(&format!("user{number}"), "main");
    }
    world.registry.drain(world.now, Some(secs(1)));
    world.settle();
    world.now += secs(1);
    let mut ticks = 0;
    while !world.registry.is_drained() {
        assert!(world.timeout() <= world.now, "at once");
        world.registry.tick(world.now);
        world.settle();
        ticks += 1;
    }
    assert!((10..=12).contains(&ticks), "{ticks}");
    world.close_the_books();
}

#[test]
fn while_it_drains_newcomers_are_refused_and_told_for_how_long() {
    let (mut world, conns) = world(1);
    world.registry.drain(world.now, None);
    world.run(secs(1));
    assert!(world.registry.is_draining());
    let retry_after = secs(29);
    assert_eq!(world.refusal("bob", "main"), Refused::Draining { retry_after });
    let previous = world.reserve();
    let start = headcount::Start::OpenRuns;
    let who = crate::support::who("user0", "main");
    let refused = world.registry.connect(world.now, previous, who, start, Some(conns[0]));
    assert_eq!(refused, Err(Refused::Draining { retry_after }), "not even for a takeover");
    assert_eq!(world.state(conns[0]), Some(ConnState::Open), "and that costs nobody anything");
}

#[test]
fn whoever_drains_still_gets_messages_until_the_close() {
    let (mut world, conns) = world(1);
    world.registry.drain(world.now, None);
    world.settle();
    world.tell_session(conns[0], "the rest of the answer");
    world.run(secs(30));
    let seen = world.seen(conns[0]);
    let seen: Vec<_> = seen.into_iter().filter(|what| *what != "ping").collect();
    assert_eq!(seen, ["draining", "the rest of the answer", "close restart", "cleanup restart"]);
}

#[test]
fn a_cancelled_drain_closes_nobody_else_and_lets_newcomers_in() {
    let (mut world, conns) = world(50);
    world.registry.drain(world.now, None);
    world.run(secs(10));
    let left = world.open_count();
    assert!((5..45).contains(&left), "{left}");
    assert!(world.registry.cancel_drain(world.now));
    assert!(!world.registry.cancel_drain(world.now), "there is none any more");
    assert!(!world.registry.is_draining() && !world.registry.is_drained());
    world.run(secs(600));
    assert_eq!(world.open_count(), left);
    world.tab("newcomer", "main");
    let stay = conns.iter().filter(|conn| world.state(**conn) == Some(ConnState::Open));
    assert_eq!(stay.count() as u32, left);
    world.close_the_books();
}

#[test]
fn a_drain_that_is_cancelled_before_anybody_was_told_and_begun_again_tells_everybody_once() {
    let (mut world, conns) = world(10);
    world.registry.drain(world.now, None);
    world.registry.cancel_drain(world.now);
    world.registry.drain(world.now, None);
    world.check();
    world.settle();
    assert!(conns.iter().all(|conn| world.seen(*conn) == ["draining"]));
    world.registry.cancel_drain(world.now);
    world.settle();
    world.close_the_books();
}

#[test]
fn a_drain_that_is_cancelled_leaves_nothing_to_poll() {
    let (mut world, _) = world(3);
    world.settle();
    world.registry.drain(world.now, None);
    assert!(world.registry.has_actions());
    assert!(world.registry.cancel_drain(world.now));
    assert!(!world.registry.has_actions());
    world.check();
}

#[test]
fn a_second_drain_sets_a_new_end_and_tells_everybody_again() {
    let (mut world, conns) = world(10);
    world.registry.drain(world.now, Some(secs(3_600)));
    world.settle();
    world.run(secs(1));
    world.registry.drain(world.now, Some(secs(10)));
    world.settle();
    let left: Vec<_> = conns.iter().filter(|conn| world.seen(**conn).len() == 2).collect();
    assert_eq!(left.len(), 10);
    world.run(secs(10));
    assert!(world.registry.is_drained());
    world.close_the_books();
}

#[test]
fn nobody_is_closed_by_the_plan_who_was_not_told_of_it() {
    let mut world = World::with(config().ping_interval(secs(10)).drain_deadline(secs(300)));
    let conns: Vec<_> =
        (0..20).map(|number| world.open(&format!("user{number}"), "main")).collect();
    world.registry.drain(world.now, None);
    // Nobody polls: ticks alone must not skip the announcement.
    for _ in 0..9 {
        world.skip(secs(1));
    }
    world.skip(secs(0));
    let mut told = vec![false; conns.len()];
    while let Some(polled) = world.step() {
        for conn in &polled.to {
            let place = conns.iter().position(|other| other == conn).unwrap();
            told[place] |= polled.what == "draining";
            assert!(told[place] || polled.what != "close restart", "{conn:?} was never told");
        }
    }
}

#[test]
fn the_last_to_leave_ends_the_drain_early() {
    let (mut world, conns) = world(3);
    world.registry.drain(world.now, None);
    for conn in conns {
        assert!(!world.registry.is_drained());
        world.hang_up(conn);
        world.settle();
    }
    assert!(world.registry.is_drained());
    assert_eq!(world.now, START);
    assert!(world.registry.connection(world.polled[0].to[0]).is_none());
}

#[test]
fn draining_an_empty_server_is_done_at_once() {
    let mut world = World::new();
    assert!(!world.registry.is_drained(), "it does not even drain");
    world.registry.drain(world.now, None);
    assert!(world.registry.is_drained());
    assert_eq!((world.drain(), world.registry.poll_timeout()), (0, None::<Timestamp>));
}

#[test]
fn sessions_linger_through_a_drain_so_that_a_cancelled_one_can_resume() {
    let (mut world, conns) = world(1);
    let session = world.session(conns[0]);
    world.registry.drain(world.now, Some(secs(4)));
    world.run(secs(4));
    assert!(world.registry.is_drained());
    world.registry.cancel_drain(world.now);
    let back = world.tab("user0", "main");
    assert_eq!(world.session(back), session);
    world.close_the_books();
}

#[test]
fn a_drain_shorter_than_its_grace_still_closes_everyone_before_its_end() {
    let mut world = World::with(config().drain_grace(secs(2)).close_handshake(ms(100)));
    let alice = world.open("alice", "main");
    let now = world.now;
    world.registry.drain(now, Some(secs(1)));
    world.drain();
    world.skip(ms(900));
    world.drain();
    assert_eq!(world.seen(alice).last(), Some(&"close restart"), "and time to write it");
}

#[test]
fn after_the_hard_stop_a_newcomer_is_refused_and_not_cut() {
    let mut world = World::with(config());
    let now = world.now;
    world.registry.drain(now, Some(secs(1)));
    world.skip(secs(5));
    let late = world.reserve();
    world.skip(ms(1));
    let refused = world.connect(late, "alice", "main");
    assert!(matches!(refused, Err(Refused::Draining { .. })), "{refused:?}");
}

#[test]
fn a_drain_of_half_a_millisecond_ends_when_poll_timeout_says() {
    let mut world = World::new();
    let conn = world.open("alice", "main");
    world.registry.drain(world.now, Some(Duration::from_micros(500)));
    let ends = START + ms(1);
    world.now = Timestamp::from_nanos(ends.as_nanos() - 1);
    world.registry.tick(world.now);
    assert_eq!(world.timeout(), ends);
    assert_eq!(world.state(conn), Some(ConnState::Open), "a nanosecond early");
    world.now = ends;
    world.registry.tick(world.now);
    assert_eq!(world.state(conn), Some(ConnState::Gone));
}

#[test]
fn who_waits_as_long_as_a_draining_server_says_comes_after_its_end() {
    let mut world = World::new();
    world.now += Duration::from_nanos(333_333);
    world.open("alice", "main");
    world.registry.drain(world.now, Some(Duration::from_nanos(1_500_001)));
    let Refused::Draining { retry_after } = world.refusal("bob", "main") else {
        panic!("not for the drain")
    };
    assert_eq!(world.now + retry_after, START + ms(2), "in whole milliseconds, as it ends");
}

#[test]
fn what_was_moved_before_costs_a_hard_stop_nothing() {
    let mut world = World::with(config().tick_budget(64).room_history(0));
    for number in 0..5 {
        let conn = world.tab(&format!("user{number}"), "main");
        world.join(conn, "lobby");
    }
    for _ in 0..200 {
        world.tell_room("lobby", "goes when all have it");
        world.settle();
    }
    world.registry.drain(world.now, Some(secs(1)));
    world.settle();
    world.skip(secs(1));
    assert_eq!(world.open_count(), 0, "one tick reaches all");
}
