//! Where two rules meet: each of them is simple, and one must not undo the other.

use headcount::{
    CloseReason, ConnState, Inbound, InboundError, Intake, Notice, Pressure, Target, Timestamp,
};

use crate::support::{START, World, config, ms, secs, text_of_cost, user};

#[test]
fn a_suspect_connection_makes_room_before_one_that_was_silent_longer() {
    let world = config().connections_per_user(2).ping_interval(secs(20)).pong_timeout(secs(10));
    let mut world = World::with(world.send_window(1_000).slow_deadline(secs(600)));
    // Its pause began with its silence, so nobody asks it anything.
    let paused = world.open("alice", "main");
    world.send(Target::Conn(paused), headcount::Message::text(text_of_cost(1_001)));
    let intake = world.registry.message(world.now, paused, Inbound::Data { bytes: 1 });
    assert_eq!(intake, Ok(Intake::Paused));
    world.drain();
    world.skip(secs(1));
    let silent = world.open("alice", "main");
    for _ in 0..40 {
        world.skip(secs(1));
        world.drain();
        world.flush(silent);
        if world.state(silent) == Some(ConnState::Suspect) {
            break;
        }
    }
    assert_eq!(world.state(silent), Some(ConnState::Suspect));
    world.open("alice", "main");
    assert_eq!(world.state(silent), Some(ConnState::Closing), "it owes an answer");
    assert_eq!(world.state(paused), Some(ConnState::Open));
}

#[test]
fn a_message_above_the_rate_is_a_sign_of_life() {
    let limits = config().message_rate(1).message_burst(3).ping_interval(secs(20));
    let mut world = World::with(limits.pong_timeout(secs(10)));
    let alice = world.open("alice", "main");
    while world.state(alice) != Some(ConnState::Suspect) {
        world.skip(secs(1));
        world.drain();
        world.flush(alice);
    }
    let data = Inbound::Data { bytes: 1 };
    for _ in 0..3 {
        world.inbound(alice, data);
    }
    world.skip(ms(500));
    let above = world.registry.message(world.now, alice, data);
    assert_eq!(above, Err(InboundError::RateLimited));
    assert_eq!(world.registry.connection(alice).unwrap().silence(), secs(0));
    assert_eq!(world.state(alice), Some(ConnState::Open));
}

#[test]
fn the_idle_time_begins_anew_when_a_pause_ends() {
    let limits = config().session_idle(secs(60)).ping_interval(secs(0)).send_window(1_000);
    let mut world = World::with(limits.slow_deadline(secs(600)));
    let alice = world.open("alice", "main");
    world.send(Target::Conn(alice), headcount::Message::text(text_of_cost(1_001)));
    let intake = world.registry.message(world.now, alice, Inbound::Data { bytes: 1 });
    assert_eq!(intake, Ok(Intake::Paused));
    world.drain();
    world.skip(secs(100));
    world.flush(alice);
    // Its message waits in the socket: it is offered again once this turn is over.
    world.skip(secs(0));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.skip(secs(60));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
}

#[test]
fn nobody_is_sent_away_by_a_drain_before_they_were_told() {
    let mut world = World::with(config().drain_grace(secs(1)).drain_deadline(secs(100)));
    let alice = world.open("alice", "main");
    world.drain();
    world.registry.drain(world.now, None);
    world.check();
    world.skip(secs(99));
    assert_eq!(world.state(alice), Some(ConnState::Open), "nobody polled: she was not told");
    world.skip(secs(1));
    assert_eq!(world.state(alice), Some(ConnState::Gone), "the hard stop waits for nobody");
}

#[test]
fn a_drain_that_is_cancelled_and_begun_again_has_one_turn() {
    let mut world = World::with(config().fanout_chunk(1));
    let conns = [world.open("alice", "main"), world.open("bob", "main")];
    world.drain();
    for _ in 0..100 {
        world.registry.drain(world.now, None);
        world.registry.cancel_drain(world.now);
    }
    world.registry.drain(world.now, None);
    // The second announcement of the three polls is the last: nothing is left to look at.
    world.step().expect("the first is told");
    world.step().expect("the second is told");
    world.step();
    assert!(!world.registry.has_actions());
    assert!(conns.iter().all(|conn| world.state(*conn) == Some(ConnState::Open)));
}

#[test]
fn a_level_that_rises_and_falls_in_one_step_is_noted_in_that_order() {
    let limits = config().sessions_per_user(4).connections_per_user(50).ping_interval(secs(0));
    let mut world =
        World::with(limits.session_linger(secs(1_000)).emergency_percent(75).proactive_percent(75));
    for name in ["one", "two"] {
        let conn = world.open("alice", name);
        world.hang_up(conn);
    }
    world.drain();
    world.notices();
    world.open("alice", "three");
    let notices = world.notices();
    let levels: Vec<_> = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Pressure { level, released, .. } => Some((*level, *released)),
            _ => None,
        })
        .collect();
    assert_eq!(levels, [(Pressure::Emergency, 2), (Pressure::None, 0)]);
    let ended = notices.iter().filter(|notice| matches!(notice, Notice::SessionEnded { .. }));
    assert_eq!(ended.count(), 2);
}

#[test]
fn credentials_that_expired_long_ago_are_due_at_once() {
    let mut world = World::with(config().expiry_grace(secs(1)));
    let alice = world.open("alice", "main");
    world.skip(secs(10));
    world.registry.refresh(world.now, alice, Some(Timestamp::ZERO)).unwrap();
    world.check();
    assert!(world.registry.poll_timeout().is_some_and(|at| at <= world.now));
    world.skip(secs(0));
    world.drain();
    assert_eq!(world.seen(alice), ["close expired"]);
    assert_eq!(world.now, START + secs(10));
    assert_eq!(world.registry.revoke(world.now, &user("alice")), 0);
    assert_eq!(CloseReason::Expired.code(), 4405);
}
