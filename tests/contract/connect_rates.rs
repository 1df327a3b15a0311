//! How fast connections may come, of all users and of one.

use headcount::{ConnState, Refused};

use crate::support::{World, config, ms, refuse, secs, user};

#[test]
fn a_rate_refusal_says_exactly_when_the_next_attempt_succeeds() {
    let mut world = World::with(config().connect_rate(10).connect_burst(3));
    for _ in 0..3 {
        world.open("alice", "main");
    }
    let late = world.reserve();
    let Err(Refused::Rate { retry_after }) = world.connect(late, "alice", "main") else {
        panic!("the burst is used up");
    };
    assert_eq!(retry_after, ms(100));
    // Being refused costs no token, however often.
    for _ in 0..10 {
        assert_eq!(world.connect(late, "alice", "main"), Err(Refused::Rate { retry_after }));
    }
    let almost = retry_after - core::time::Duration::from_nanos(1);
    world.skip(almost);
    let still = Refused::Rate { retry_after: retry_after - almost };
    assert_eq!(world.connect(late, "alice", "main"), Err(still));
    world.skip(retry_after - almost);
    world.connect(late, "alice", "main").unwrap();
}

#[test]
fn the_burst_is_full_again_after_a_quiet_time_and_never_fuller() {
    let mut world = World::with(config().connect_rate(10).connect_burst(2));
    for _ in 0..3 {
        world.open("alice", "main");
        world.open("alice", "main");
        assert!(matches!(world.refusal("alice", "main"), Refused::Rate { .. }));
        world.skip(secs(60));
    }
}

#[test]
fn an_attempt_that_is_refused_takes_no_token() {
    let mut world = World::with(
        config().connections_per_user(1).over_cap(refuse()).connect_rate(10).connect_burst(2),
    );
    world.open("alice", "main");
    let full = Refused::ConnectionsPerUser { retry_after: secs(3) };
    for _ in 0..9 {
        assert_eq!(world.refusal("alice", "main"), full);
    }
    world.open("bob", "main");
    assert!(matches!(world.refusal("carol", "main"), Refused::Rate { .. }));
}

#[test]
fn one_user_who_reconnects_in_a_loop_uses_up_nobody_elses_connects() {
    let mut world = World::with(config().connect_rate(1).connect_burst(63));
    for number in 0..200 {
        let conn = world.reserve();
        let admitted = world.connect(conn, "alice", "main");
        assert_eq!(admitted.is_ok(), number < 32, "{number}");
        world.hang_up(conn);
        world.drain();
    }
    for number in 0..30 {
        world.open(&format!("user{number}"), "main");
    }
    assert_eq!(world.open_count(), 30);
}

#[test]
fn a_refusal_for_the_rate_of_a_user_says_when_and_a_takeover_pays_too() {
    let mut world = World::with(config().connect_rate_per_user(4).connect_burst_per_user(2));
    let first = world.open("alice", "main");
    let second = world.take_over("alice", "main", first);
    let retry_after = ms(250);
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after });
    assert_eq!(world.refusal("alice", "other"), Refused::RateOfUser { retry_after });
    assert_eq!(world.state(second), Some(ConnState::Open), "a refused one closes nothing");
    world.open("bob", "main");
    world.skip(ms(249));
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after: ms(1) });
    world.skip(ms(1));
    world.take_over("alice", "main", second);
}

#[test]
fn who_leaves_and_comes_back_has_the_same_bucket() {
    let rate = config().connect_rate_per_user(1).connect_burst_per_user(2);
    let mut world = World::with(rate.session_linger(secs(0)));
    for _ in 0..2 {
        let conn = world.open("alice", "main");
        world.hang_up(conn);
        world.settle();
        assert_eq!(world.registry.stats().users, 0, "her session has ended with it");
    }
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after: secs(1) });
    // An application that opens a run for her gives her no new one either.
    let (alice, main) = (user("alice"), crate::support::thread("main"));
    let run = headcount::RunId::new("run").unwrap();
    let mut scope = world.registry.scope(&alice);
    let _ = scope.open_run(world.now, &main, &run, "agent", bytes::Bytes::new()).unwrap();
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after: secs(1) });
}

#[test]
fn as_many_users_who_left_are_remembered_as_there_may_be() {
    let rate = config().connect_rate_per_user(1).connect_burst_per_user(1);
    let mut world =
        World::with(rate.session_linger(secs(0)).users(2).sessions(2).sessions_per_user(2));
    for name in ["alice", "bob", "carol"] {
        let conn = world.open(name, "main");
        world.hang_up(conn);
        world.settle();
    }
    for name in ["bob", "carol"] {
        assert!(matches!(world.refusal(name, "main"), Refused::RateOfUser { .. }), "{name}");
    }
    world.open("alice", "main");
}

#[test]
fn no_rate_means_no_rate() {
    let mut world = World::with(config().connect_rate(0).connect_burst(1));
    for name in 0..100 {
        world.open(&format!("user{name}"), "main");
    }
}
