//! Pressure: asking earlier as a user nears a cap, and costing nobody anything before it.

use headcount::{CloseReason, ConnState, Pressure, Target};

use crate::support::{LIFE, World, config, ms, secs};

/// Ten connections per user: proactive at six, emergency at eight. Pings after 60 s of silence.
fn ten() -> headcount::ConfigBuilder {
    config()
        .connections_per_user(10)
        .sessions_per_user(10)
        .ping_interval(secs(60))
        .ping_slack(ms(0))
        .pong_timeout(secs(40))
        .slow_deadline(secs(300))
}

fn open(world: &mut World, count: usize) -> Vec<headcount::ConnId> {
    (0..count).map(|_| world.open("alice", "main")).collect()
}

#[test]
fn crossing_proactive_asks_once_those_that_were_silent_for_half_an_interval() {
    let mut world = World::with(ten());
    let silent = open(&mut world, 3);
    world.skip(secs(20));
    let recent = open(&mut world, 2);
    world.skip(secs(10) + ms(1));
    world.settle();
    silent.iter().chain(&recent).for_each(|conn| drop(world.take(*conn)));
    // The first ping of some may have been due by then: whoever was asked is not asked again.
    let asked = world.registry.stats().pings_sent;
    world.notices();
    world.open("alice", "main");
    let probed = 3 - asked as u32;
    assert_eq!(world.pressures(), [(Pressure::Proactive, probed, 0, 0)]);
    world.settle();
    assert_eq!(world.registry.stats().pings_sent, 3);
    assert!(recent.iter().all(|conn| world.seen(*conn).is_empty()), "too young to be asked");

    world.open("alice", "main");
    assert_eq!(world.pressures(), [], "the same level is no crossing");
    world.settle();
    let stats = world.registry.stats();
    assert_eq!((stats.pings_sent, stats.level_changes, stats.probed), (3, 1, u64::from(probed)));
}

#[test]
fn a_probed_connection_has_the_whole_pong_timeout() {
    let mut world = World::with(ten());
    let silent = world.open("alice", "main");
    world.skip(secs(29));
    world.inbound(silent, LIFE);
    world.skip(secs(31));
    world.settle();
    let _ = world.take(silent);
    let pinged = world.registry.stats().pings_sent;
    open(&mut world, 5);
    world.settle();
    assert_eq!(world.registry.stats().pings_sent, 1);
    assert_eq!(world.take(silent).len() as u64, 1 - pinged);
    world.skip(secs(39));
    assert_ne!(world.state(silent), Some(ConnState::Closing));
    world.skip(secs(1));
    assert_eq!(world.state(silent), Some(ConnState::Closing));
}

#[test]
fn emergency_shortens_the_time_of_those_that_have_not_answered_and_of_nobody_else() {
    let mut world = World::with(ten());
    let (dead, alive) = (world.open("alice", "main"), world.tab("alice", "main"));
    world.skip(secs(60));
    world.settle();
    assert_eq!(world.seen(dead), ["ping"]);
    open(&mut world, 6);
    assert_eq!(world.state(dead), Some(ConnState::Open));
    world.run(secs(10) - ms(1));
    assert_ne!(world.state(dead), Some(ConnState::Closing));
    world.run(ms(1));
    assert_eq!(world.state(dead), Some(ConnState::Closing), "ten seconds instead of forty");
    assert_eq!(world.closings(), ["pong_timeout"]);
    assert_eq!(world.state(alive), Some(ConnState::Open));
}

#[test]
fn an_answer_within_the_emergency_is_an_answer_and_the_next_ping_has_its_time_back() {
    let mut world = World::with(ten());
    let conn = world.open("alice", "main");
    world.skip(secs(60));
    world.settle();
    let others = open(&mut world, 7);
    world.skip(secs(9));
    world.inbound(conn, headcount::Inbound::Pong);
    for other in others {
        world.hang_up(other);
    }
    world.run(secs(60));
    assert_eq!(world.seen(conn), ["ping", "ping"]);
    world.run(secs(40) - ms(1));
    assert_ne!(world.state(conn), Some(ConnState::Closing), "forty seconds, not ten");
    world.run(ms(1));
    assert_eq!(world.state(conn), Some(ConnState::Closing));
}

#[test]
fn an_emergency_deadline_longer_than_the_pong_timeout_changes_nothing() {
    let mut world = World::with(ten().pong_timeout(secs(5)));
    let dead = world.open("alice", "main");
    world.skip(secs(60));
    world.settle();
    open(&mut world, 7);
    world.run(secs(5));
    assert_eq!(world.state(dead), Some(ConnState::Closing));
}

#[test]
fn emergency_ends_lingering_sessions_that_keep_nothing_and_spares_the_others() {
    let mut world = World::with(ten().session_linger(secs(600)).stream_ttl(secs(0)));
    for number in 0..7 {
        let conn = world.open("alice", &format!("thread{number}"));
        if number < 2 {
            world.tell_session(conn, "to resume");
        }
        world.settle();
        world.hang_up(conn);
        world.settle();
    }
    assert_eq!(world.registry.stats().sessions, 7);
    world.notices();
    world.open("alice", "eighth");
    // The last word is the level that holds: five sessions are gone, three of ten is no pressure.
    assert_eq!(
        world.pressures().first(),
        Some(&(Pressure::Emergency, 0, 5, 0)),
        "the crossing is told before what comes of it"
    );
    world.settle();
    assert_eq!((world.registry.stats().sessions, world.registry.stats().released), (3, 5));
    world.close_the_books();
}

#[test]
fn the_last_notice_of_pressure_is_the_level_that_holds() {
    let mut world = World::with(ten().session_linger(secs(600)));
    for number in 0..7 {
        let conn = world.open("alice", &format!("thread{number}"));
        world.hang_up(conn);
        world.settle();
    }
    world.notices();
    world.open("alice", "eighth");
    assert_eq!(world.registry.stats().sessions, 1);
    assert_eq!(world.pressures().last().map(|pressure| pressure.0), Some(Pressure::None));
    world.close_the_books();
}

#[test]
fn whichever_cap_is_nearer_counts() {
    let mut world = World::with(ten().sessions_per_user(5));
    for number in 0..3 {
        world.open("alice", &format!("thread{number}"));
    }
    assert_eq!(world.pressures(), [(Pressure::Proactive, 0, 0, 0)], "three of five sessions");
    world.open("alice", "thread3");
    assert_eq!(world.pressures(), [(Pressure::Emergency, 0, 0, 0)]);
    world.open("bob", "main");
    assert_eq!(world.pressures(), [], "bob's caps are bob's");
}

#[test]
fn pressure_eases_as_connections_leave_and_rises_again() {
    let mut world = World::with(ten());
    let conns = open(&mut world, 8);
    let levels = |world: &mut World| {
        world.pressures().into_iter().map(|pressure| pressure.0).collect::<Vec<_>>()
    };
    assert_eq!(levels(&mut world), [Pressure::Proactive, Pressure::Emergency]);
    world.hang_up(conns[0]);
    assert_eq!(levels(&mut world), [Pressure::Proactive]);
    world.close(Target::Conn(conns[1]), CloseReason::Application);
    world.close(Target::Conn(conns[2]), CloseReason::Application);
    assert_eq!(levels(&mut world), [Pressure::None], "a closing one does not count");
    open(&mut world, 1);
    assert_eq!(levels(&mut world), [Pressure::Proactive]);
    assert_eq!(world.registry.stats().level_changes, 5);
}

#[test]
fn below_the_cap_pressure_closes_nobody_who_answers() {
    let mut world = World::with(ten());
    for _ in 0..10 {
        world.run(secs(31));
        world.tab("alice", "main");
    }
    world.run(secs(600));
    assert_eq!((world.open_count(), world.closings().len()), (10, 0));
    world.close_the_books();
}

#[test]
fn thresholds_above_a_hundred_percent_never_act() {
    let mut world = World::with(ten().proactive_percent(101).emergency_percent(101));
    open(&mut world, 3);
    world.skip(secs(31));
    world.settle();
    open(&mut world, 20);
    assert_eq!(world.pressures(), []);
    assert_eq!(world.registry.stats().probed, 0);
    assert_eq!(world.open_count(), 10, "the cap itself still holds");
}

#[test]
fn a_crossing_asks_the_64_that_came_first_at_most() {
    let many = ten().connections_per_user(200).sessions_per_user(200);
    let mut world = World::with(many.connect_rate_per_user(0));
    let conns = open(&mut world, 119);
    world.skip(secs(30) + ms(1));
    world.settle();
    world.notices();
    // The first ping of some was due by then.
    let was_asked = |conn: &&headcount::ConnId| world.seen(**conn).contains(&"ping");
    let asked = conns[..64].iter().filter(was_asked).count() as u32;
    world.open("alice", "main");
    assert_eq!(world.pressures(), [(Pressure::Proactive, 64 - asked, 0, 0)]);
}

#[test]
fn an_eviction_is_told_with_the_pressure_that_it_came_with() {
    let mut world = World::with(ten().connections_per_user(1));
    world.open("alice", "main");
    world.notices();
    world.open("alice", "main");
    assert_eq!(world.pressures().last(), Some(&(Pressure::Emergency, 0, 0, 1)));
}

#[test]
fn those_who_are_closed_with_their_session_are_told_as_evicted() {
    let mut world = World::with(ten().sessions_per_user(1));
    world.open("alice", "one");
    world.open("alice", "one");
    world.notices();
    world.open("alice", "two");
    assert_eq!(world.pressures().last(), Some(&(Pressure::Emergency, 0, 0, 2)));
}

#[test]
fn sessions_that_emergency_ends_go_in_the_order_in_which_they_began() {
    let mut world = World::with(ten().session_linger(secs(600)));
    let conns: Vec<_> =
        (0..3).map(|number| world.open("alice", &format!("thread{number}"))).collect();
    let sessions: Vec<_> = conns.iter().map(|conn| world.session(*conn)).collect();
    // The youngest is left first.
    for conn in conns.into_iter().rev() {
        world.hang_up(conn);
        world.settle();
    }
    open(&mut world, 8);
    world.settle();
    assert_eq!(world.ended_sessions(), sessions);
}

#[test]
fn who_is_silent_for_half_an_interval_and_no_longer_is_not_asked() {
    for (silence, probed) in [(secs(30), 0), (secs(30) + ms(1), 1)] {
        let mut world = World::with(ten());
        let conn = world.open("alice", "main");
        world.run(secs(29));
        world.inbound(conn, LIFE);
        world.run(silence);
        world.notices();
        open(&mut world, 5);
        assert_eq!(world.pressures(), [(Pressure::Proactive, probed, 0, 0)], "{silence:?}");
    }
}
