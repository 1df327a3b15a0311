//! Time limits of a connection: idle, lifetime, and credentials that end.

use core::time::Duration;

use headcount::{CloseReason, ConnState, Inbound, Intake, Retry, UnknownConn};

use crate::support::{LIFE, START, World, config, ms, secs, text_of_cost, user, who};

#[test]
fn a_connection_without_data_messages_is_idle_however_well_it_answers_pings() {
    let mut world = World::with(config().session_idle(secs(100)).ping_interval(secs(20)));
    let alice = world.tab("alice", "main");
    world.run(secs(100) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.inbound(alice, LIFE);
    world.run(ms(1));
    assert_eq!(world.when(alice, "close idle"), secs(100));
    assert_eq!((CloseReason::Idle.code(), CloseReason::Idle.retry()), (1000, Retry::Stop));
    world.close_the_books();
}

#[test]
fn a_data_message_starts_the_idle_time_anew_and_what_is_sent_to_it_does_not() {
    let mut world = World::with(config().session_idle(secs(100)));
    let alice = world.tab("alice", "main");
    for _ in 0..10 {
        world.run(secs(99));
        assert_eq!(world.data(alice), Intake::Taken);
    }
    world.run(secs(50));
    world.tell_session(alice, "hello");
    world.run(secs(50));
    assert_eq!(world.when(alice, "close idle"), secs(10 * 99 + 100));
}

#[test]
fn without_an_idle_limit_nobody_is_idle() {
    let mut world = World::new();
    let alice = world.tab("alice", "main");
    world.run(secs(3_600));
    assert_eq!(world.state(alice), Some(ConnState::Open));
}

#[test]
fn a_connection_whose_data_we_would_not_take_was_not_idle() {
    let stuck = config().session_idle(secs(100)).send_window(1_000).slow_deadline(secs(3_600));
    let mut world = World::with(stuck);
    let alice = world.tab("alice", "main");
    world.tell_conn(alice, &text_of_cost(1_001));
    world.drain();
    assert_eq!(world.data(alice), Intake::Paused);
    world.skip(secs(500));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    assert!(world.flush(alice), "its input may go on");
    // The shell offers the message again in its next turn, and has the whole idle time for it.
    world.skip(secs(100) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.skip(ms(1));
    assert_eq!(
        world.registry.connection(alice).and_then(|alice| alice.reason()),
        Some(CloseReason::Idle)
    );
}

#[test]
fn lifetimes_end_between_nine_tenths_and_the_whole_of_the_maximum() {
    let mut world = World::with(config().max_lifetime(secs(1_000)).ping_interval(secs(0)));
    world.checking = false;
    let conns: Vec<_> =
        (0..300).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    world.run(secs(1_001));
    let mut ends: Vec<Duration> =
        conns.iter().map(|conn| world.when(*conn, "close lifetime_ended")).collect();
    ends.sort();
    assert!(ends[0] >= secs(900) && ends[299] <= secs(1_000), "{:?} {:?}", ends[0], ends[299]);
    let spread = ends[299] - ends[0];
    assert!(spread > secs(80), "those who came together do not go together: {spread:?}");
    assert_eq!(CloseReason::LifetimeEnded.code(), 1012);
    assert_eq!(CloseReason::LifetimeEnded.retry(), Retry::Reconnect);
    world.close_the_books();
}

#[test]
fn nothing_prolongs_a_lifetime() {
    let mut world = World::with(config().max_lifetime(secs(1_000)));
    let alice = world.tab("alice", "main");
    for _ in 0..100 {
        world.run(secs(10));
        let _ = world.registry.message(world.now, alice, Inbound::Data { bytes: 1 });
    }
    assert_ne!(world.state(alice), Some(ConnState::Open));
    assert_eq!(world.closings(), ["lifetime_ended"]);
}

/// A connection whose principal expires after so many seconds; 25 s of grace.
fn expiring(world: &mut World, after: u64) -> headcount::ConnId {
    let conn = world.open_as(who("alice", "main").with_expiry(START + secs(after)));
    world.answers(conn);
    conn
}

#[test]
fn an_expired_principal_has_the_grace_to_be_refreshed_and_no_more() {
    let mut world = World::with(config().expiry_grace(secs(25)));
    let alice = expiring(&mut world, 60);
    world.run(secs(60 + 25) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.run(ms(1));
    assert_eq!(world.when(alice, "close expired"), secs(60 + 25));
    assert_eq!(
        (CloseReason::Expired.code(), CloseReason::Expired.retry()),
        (4405, Retry::Reconnect)
    );
}

#[test]
fn a_refresh_within_the_grace_is_in_time() {
    let mut world = World::with(config().expiry_grace(secs(25)));
    let alice = expiring(&mut world, 60);
    world.run(secs(84));
    let next = world.now + secs(60);
    assert_eq!(world.registry.refresh(world.now, alice, Some(next)), Ok(()));
    assert_eq!(world.registry.connection(alice).unwrap().expires_at(), Some(next));
    world.run(secs(60));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    assert_eq!(world.registry.refresh(world.now, alice, None), Ok(()));
    world.run(secs(3_600));
    assert_eq!(world.state(alice), Some(ConnState::Open), "never means never");
    world.close_the_books();
}

#[test]
fn a_refresh_can_also_shorten_and_then_acts_in_time() {
    let mut world = World::with(config().expiry_grace(secs(0)));
    let alice = world.tab("alice", "main");
    let soon = world.now + secs(3);
    assert_eq!(world.registry.refresh(world.now, alice, Some(soon)), Ok(()));
    assert!(world.timeout() <= soon);
    world.run(secs(3));
    assert_eq!(world.when(alice, "close expired"), secs(3));
}

#[test]
fn a_refresh_for_one_that_is_not_open_is_an_ordinary_error() {
    let mut world = World::new();
    let (pending, alice) = (world.reserve(), world.open("alice", "main"));
    world.close(headcount::Target::Conn(alice), CloseReason::Application);
    for conn in [pending, alice] {
        assert_eq!(world.registry.refresh(world.now, conn, None), Err(UnknownConn));
    }
}

#[test]
fn one_that_comes_with_expired_credentials_has_what_is_left_of_the_grace() {
    let mut world = World::with(config().expiry_grace(secs(25)));
    world.run(secs(80));
    let alice = expiring(&mut world, 60);
    world.run(secs(60));
    assert_eq!(world.when(alice, "close expired"), secs(85));
}

#[test]
fn one_that_comes_when_its_grace_is_over_goes_at_the_next_tick() {
    let mut world = World::with(config().expiry_grace(secs(25)));
    world.run(secs(200));
    let alice = expiring(&mut world, 60);
    world.check();
    assert!(world.timeout() <= world.now);
    world.skip(secs(0));
    world.settle();
    assert_eq!(world.seen(alice), ["close expired"]);
}

#[test]
fn a_pause_of_the_process_moves_silence_and_neither_expiry_nor_lifetime() {
    let mut world = World::with(
        config().pause_threshold(secs(5)).session_idle(secs(500)).max_lifetime(secs(2_000)),
    );
    let (idle, lives) = (world.tab("alice", "main"), world.tab("bob", "main"));
    let expires = expiring(&mut world, 1_000);
    world.run(secs(1));
    world.skip(secs(3_600));
    assert_eq!(world.state(idle), Some(ConnState::Closing), "two thousand seconds have passed");
    let reason = |conn| world.registry.connection(conn).and_then(|conn| conn.reason());
    assert_eq!(reason(idle), Some(CloseReason::LifetimeEnded));
    assert_eq!(reason(lives), Some(CloseReason::LifetimeEnded));
    assert_eq!(reason(expires), Some(CloseReason::Expired), "whichever was due first");
}

#[test]
fn revoking_closes_all_connections_ends_all_sessions_and_keeps_nothing_to_resume() {
    let mut world = World::with(config().session_linger(secs(600)).stream_ttl(secs(0)));
    let conns = ["one", "one", "two"].map(|thread| world.tab("alice", thread));
    let lingering = world.tab("alice", "three");
    world.tell_user("alice", "secret");
    world.settle();
    world.hang_up(lingering);
    let bob = world.tab("bob", "main");
    world.settle();
    let position = world.registry.session(world.session(conns[0])).unwrap().position();

    assert_eq!(world.registry.revoke(world.now, &user("alice")), 3);
    let stats = world.registry.stats();
    assert_eq!((stats.open, stats.sessions, stats.users, stats.log_messages), (1, 1, 1, 0));
    assert_eq!(world.registry.revoke(world.now, &user("alice")), 0, "there is nobody any more");
    world.settle();
    for conn in conns {
        assert_eq!(world.seen(conn).last(), Some(&"close revoked"));
    }
    assert_eq!((CloseReason::Revoked.code(), CloseReason::Revoked.retry()), (4503, Retry::Stop));

    // Whoever is let in later begins afresh.
    let (back, admitted) = world.resume("alice", "one", position);
    assert!(admitted.new_session && admitted.position.epoch != position.epoch);
    world.settle();
    assert!(!world.seen(back).contains(&"secret"));
    assert_eq!(world.state(bob), Some(ConnState::Open));
    world.close_the_books();
}

#[test]
fn of_deadlines_at_one_instant_the_one_that_says_most_closes() {
    let limits = config().session_idle(secs(100)).expiry_grace(secs(30));
    let mut world = World::with(limits.ping_interval(secs(0)));
    let expires = world.now + secs(70);
    let alice = world.open_as(who("alice", "main").with_expiry(expires));
    assert_eq!(world.run_until(alice, "close expired"), secs(100));
}

#[test]
fn a_connection_of_which_nothing_is_asked_has_no_deadline() {
    let mut world = World::with(config().ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    assert_eq!(world.registry.connection(alice).unwrap().next(), None);
    // The deadline of its admission was a lower bound.
    world.run(secs(3_600));
    assert_eq!(world.registry.poll_timeout(), None);
}
