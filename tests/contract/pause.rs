//! The process itself was silent: what that means for the peers' deadlines, and what it does not.

use bytes::Bytes;
use headcount::{
    CloseReason, ConnState, Inbound, Intake, Notice, RunFailure, RunId, Target, Upcoming,
};

use crate::support::{World, config, ms, secs, thread, user};

/// A pause is longer than five seconds beyond what was promised. Ping after 20 s, pong within 10.
fn world() -> World {
    World::with(
        config()
            .pause_threshold(secs(5))
            .ping_interval(secs(20))
            .pong_timeout(secs(10))
            .slow_deadline(secs(8))
            .session_linger(secs(60)),
    )
}

#[test]
fn a_gap_no_longer_than_the_threshold_is_no_pause() {
    let mut world = world();
    world.open("alice", "main");
    world.run(secs(1));
    let promised = world.timeout();
    world.now = promised + secs(5);
    world.registry.tick(world.now);
    assert_eq!(world.registry.stats().pauses, 0);
    assert!(!world.notices().iter().any(|notice| matches!(notice, Notice::Paused { .. })));
}

#[test]
fn a_longer_gap_is_told_with_its_length() {
    let mut world = world();
    world.open("alice", "main");
    world.run(secs(1));
    world.notices();
    let promised = world.timeout();
    world.now = promised + secs(5) + ms(1);
    world.registry.tick(world.now);
    assert_eq!(world.registry.stats().pauses, 1);
    assert_eq!(world.notices(), [Notice::Paused { lasted: secs(5) + ms(1) }]);
}

#[test]
fn a_long_sleep_that_was_promised_is_no_pause() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.hang_up(alice);
    world.settle();
    // Only the end of the session is due, a minute from now, and nobody is needed before.
    world.run(secs(60));
    assert!(world.registry.is_idle());
    assert_eq!(world.registry.stats().pauses, 0);
    world.skip(secs(3_600));
    assert_eq!(world.registry.stats().pauses, 0, "nothing was promised, nothing was missed");
}

#[test]
fn the_pong_deadline_moves_by_the_pause() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.run(secs(20));
    assert_eq!(world.seen(alice), ["ping"]);
    world.skip(secs(3_600));
    assert_ne!(world.state(alice), Some(ConnState::Closing));
    // What was left of its time is still left, up to the moment at which somebody should have looked.
    world.run(secs(10));
    assert_eq!(world.closings(), ["pong_timeout"]);
}

#[test]
fn a_pong_that_waited_in_the_socket_through_the_pause_is_in_time() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.run(secs(20));
    // The input comes before the tick, as in the turn of a shell.
    world.now += secs(3_600);
    world.inbound(alice, Inbound::Pong);
    world.registry.tick(world.now);
    assert_eq!(world.state(alice), Some(ConnState::Open));
    // And it does so whatever comes first.
    world.run(secs(20));
    world.now += secs(3_600);
    world.registry.tick(world.now);
    world.inbound(alice, Inbound::Pong);
    assert_eq!(world.state(alice), Some(ConnState::Open));
    assert_eq!(world.registry.stats().pauses, 2);
}

#[test]
fn the_deadline_of_a_message_in_progress_moves_by_the_pause() {
    let mut world = World::with(config().pause_threshold(secs(5)).frame_deadline(secs(8)));
    let alice = world.open("alice", "main");
    world.inbound(alice, Inbound::Bytes { bytes: 1, partial: true });
    world.run(secs(5));
    world.skip(secs(3_600));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.run(secs(8));
    assert_eq!(world.closings(), ["frame_timeout"]);
}

#[test]
fn a_socket_that_could_not_be_written_during_the_pause_is_not_stuck() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.tell_session(alice, "hello");
    world.drain();
    world.skip(secs(3_600));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.flush(alice);
    world.run(secs(8));
    assert_eq!(world.state(alice), Some(ConnState::Open));
}

#[test]
fn a_socket_that_takes_nothing_after_the_pause_is_stuck_one_deadline_later() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.stall(alice);
    world.tell_session(alice, "hello");
    world.drain();
    world.skip(secs(3_600));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.run(secs(8));
    assert_eq!(world.closings(), ["slow_consumer"]);
}

#[test]
fn a_head_and_a_close_frame_that_waited_in_the_socket_through_the_pause_are_in_time() {
    let mut world = world();
    let (lingering, closing) = (world.open("alice", "main"), world.open("bob", "main"));
    let pending = world.reserve();
    world.hang_up(lingering);
    world.close(Target::Conn(closing), CloseReason::Application);
    world.settle();
    world.skip(secs(3_600));
    world.settle();
    assert_eq!(world.registry.stats().sessions, 1, "the other has lingered for an hour");
    assert_eq!(world.state(closing), Some(ConnState::Closing));
    assert_eq!(world.state(pending), Some(ConnState::Pending));
    world.connect(pending, "carol", "main").expect("its head was there in time");
}

#[test]
fn a_run_that_nobody_listened_to_has_not_been_silent() {
    let mut world = World::with(config().pause_threshold(secs(5)).run_silence(secs(120)));
    let tab = world.tab("alice", "main");
    let (alice, run) = (user("alice"), RunId::new("run").unwrap());
    let opened = world.registry.scope(&alice).open_run(
        world.now,
        &thread("main"),
        &run,
        "agent",
        Bytes::new(),
    );
    assert!(opened.is_ok());
    world.registry.tick(world.now);
    world.settle();
    world.skip(secs(600));
    assert_eq!(world.state(tab), Some(ConnState::Open));
    let explained = world.registry.run(&alice, &run).unwrap();
    assert_eq!(explained.end_offset(), None, "ten minutes of silence were the process's own");
    let (at, failure) = explained.fails().expect("a deadline");
    assert_eq!(failure, RunFailure::Silence);
    world.run(at.saturating_since(world.now) - ms(1));
    assert_eq!(world.registry.run(&alice, &run).unwrap().end_offset(), None);
    world.run(ms(1));
    assert!(world.registry.run(&alice, &run).unwrap().end_offset().is_some());
}

#[test]
fn a_round_trip_does_not_include_the_pause_in_it() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.run_until(alice, "ping");
    world.settle();
    world.now += secs(3_600);
    world.inbound(alice, Inbound::Pong);
    let round_trip = world.registry.connection(alice).unwrap().round_trip().expect("an answer");
    // What was promised and slept through is attended time: half of the pong deadline at most.
    assert!(round_trip <= secs(5), "{round_trip:?}");
}

#[test]
fn a_ping_that_waited_to_be_polled_through_the_pause_has_its_whole_time_after_it() {
    let mut world = world();
    let alice = world.open("alice", "main");
    while world.registry.connection(alice).unwrap().load() == 0 {
        world.now = world.timeout();
        world.registry.tick(world.now);
    }
    world.skip(secs(3_600));
    world.settle();
    assert_eq!(world.take(alice), ["ping"]);
    world.run(secs(10) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.run(ms(1));
    assert_eq!(world.closings(), ["pong_timeout"]);
}

#[test]
fn a_pause_while_input_is_paused_leaves_the_whole_silence_after_it() {
    let mut world = World::with(
        config()
            .pause_threshold(secs(5))
            .ping_interval(secs(20))
            .session_idle(secs(60))
            .slow_deadline(secs(30)),
    );
    let alice = world.open("alice", "main");
    world.stall(alice);
    world.tell_conn(alice, &"x".repeat(100_000));
    world.drain();
    assert_eq!(world.data(alice), Intake::Paused);
    world.skip(secs(3_600));
    assert_eq!(world.state(alice), Some(ConnState::Open), "neither stuck nor idle");
    assert!(world.flush(alice), "its input may go on");
    let (at, next) = world.registry.connection(alice).unwrap().next().expect("a deadline");
    assert_eq!(next, Upcoming::Ping);
    assert!(at.saturating_since(world.now) >= secs(10), "half an interval at least");
}

#[test]
fn pauses_add_up() {
    let mut world = world();
    let alice = world.tab("alice", "main");
    let dead = world.open("bob", "main");
    world.run(secs(1));
    // When all that is left to do is to poll a ping, no instant was promised, and none was missed.
    let mut missed = 0;
    for _ in 0..10 {
        missed += u64::from(world.registry.poll_timeout().is_some());
        world.skip(secs(600));
    }
    assert!(missed > 5, "{missed} pauses");
    assert_eq!(world.registry.stats().pauses, missed);
    assert_eq!(world.open_count(), 2);
    world.run(secs(30));
    assert_eq!(world.open_conns(), [alice]);
    assert_eq!(world.when(dead, "close pong_timeout").as_secs() / 600, 10);
    world.close_the_books();
}
