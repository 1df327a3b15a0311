//! Who is alive: pings and pongs, stuck sockets and slow ones, and input that we paused ourselves.

use headcount::{CloseReason, ConnState, Inbound, Intake, Retry};

use crate::support::{LIFE, World, config, ms, secs, text_of_cost};

/// A world whose heartbeat can be counted on fingers: ping after 20 s, pong within 10 s.
fn world() -> World {
    World::with(config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(60)))
}

#[test]
fn the_first_ping_is_jittered_over_the_second_half_of_the_interval() {
    let mut world = World::with(config().ping_interval(secs(20)));
    let conns: Vec<_> =
        (0..100).map(|number| world.open(&format!("user{number}"), "main")).collect();
    world.checking = false;
    world.run(secs(20));
    let mut early = 0;
    for conn in &conns {
        let at = world.when(*conn, "ping");
        assert!((secs(10)..=secs(20)).contains(&at), "{at:?}");
        early += usize::from(at < secs(15));
    }
    assert!((25..75).contains(&early), "{early} of 100 in the first half of the range");
}

#[test]
fn later_pings_come_after_a_whole_interval_of_silence() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.answers(alice);
    world.run(secs(20));
    let first = world.when(alice, "ping");
    world.take(alice);
    world.run(secs(21));
    assert_eq!(world.when(alice, "ping"), first + secs(20));
    assert_eq!(world.state(alice), Some(ConnState::Open));
}

#[test]
fn whoever_talks_is_not_pinged() {
    let mut world = world();
    let alice = world.open("alice", "main");
    for inbound in [LIFE, Inbound::Pong, Inbound::Data { bytes: 0 }].repeat(10) {
        world.run(secs(9));
        world.inbound(alice, inbound);
    }
    assert_eq!(world.seen(alice), [""; 0]);
    assert_eq!(world.registry.stats().pings_sent, 0);
}

#[test]
fn a_silent_peer_is_given_up_one_pong_timeout_after_the_flush_of_its_ping() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.run(secs(60));
    let ping = world.when(alice, "ping");
    assert_eq!(world.when(alice, "close pong_timeout"), ping + secs(10));
    assert_eq!(world.registry.stats().pong_timeouts, 1);
    assert_eq!(world.registry.stats().pings_sent, 1, "one ping asks once");
}

#[test]
fn the_pong_deadline_runs_from_the_flush_and_not_from_the_hand_out() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.drain();
    assert_eq!(world.seen(alice), ["ping"]);
    // The ping waits in our own buffers for longer than the pong could take.
    world.skip(secs(30));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.flush(alice);
    world.skip(secs(10) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.skip(ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
    world.drain();
    assert_eq!(world.seen(alice), ["ping", "close pong_timeout"]);
}

#[test]
fn a_ping_is_flushed_when_the_total_passes_its_mark() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.tell_session(alice, "before");
    world.drain();
    let before = world.handed(alice);
    world.skip(secs(20));
    world.drain();
    world.tell_session(alice, "behind");
    world.drain();
    assert_eq!(world.take(alice), ["before", "ping", "behind"]);
    // What is before the ping is out, and all of the ping but one byte.
    world.flush_some(alice, before + 63);
    world.skip(secs(20));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.flush_some(alice, 1);
    world.skip(secs(10));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
}

#[test]
fn any_inbound_answers_a_ping() {
    for inbound in
        [Inbound::Pong, Inbound::Ping, Inbound::Fragment, PIECE, LIFE, Inbound::Data { bytes: 5 }]
    {
        let mut world = world();
        let alice = world.open("alice", "main");
        world.skip(secs(20));
        world.settle();
        world.skip(secs(10) - ms(1));
        assert_eq!(world.state(alice), Some(ConnState::Suspect));
        world.inbound(alice, inbound);
        assert_eq!(world.state(alice), Some(ConnState::Open), "{inbound:?}");
        world.skip(secs(10));
        assert_eq!(world.state(alice), Some(ConnState::Open), "{inbound:?}");
    }
}

/// Bytes of a message that is not whole.
const PIECE: Inbound = Inbound::Bytes { bytes: 1, partial: true };

#[test]
fn a_message_that_comes_byte_by_byte_keeps_its_connection_alive() {
    let mut world = World::with(config().ping_interval(secs(1)).pong_timeout(secs(1)));
    let alice = world.open("alice", "main");
    for _ in 0..20 * 20 {
        world.run(ms(50));
        world.inbound(alice, PIECE);
    }
    world.inbound(alice, Inbound::Data { bytes: 394 });
    assert_eq!(world.state(alice), Some(ConnState::Open));
    assert_eq!(world.registry.stats().pings_sent, 0, "it was never silent");
}

#[test]
fn a_message_has_its_deadline_from_its_first_byte_to_its_last() {
    let mut world = World::with(config().frame_deadline(secs(60)));
    let (slow, quick) = (world.open("alice", "main"), world.open("bob", "main"));
    world.skip(secs(5));
    for second in 0..60 {
        assert_eq!(world.state(slow), Some(ConnState::Open), "after {second} s");
        world.inbound(slow, PIECE);
        world.inbound(quick, PIECE);
        if second % 50 == 49 {
            // The end of one message and the beginning of another in one read.
            world.inbound(quick, Inbound::Data { bytes: 49 });
            world.inbound(quick, PIECE);
        }
        world.run(secs(1));
    }
    world.settle();
    assert_eq!(world.when(slow, "close frame_timeout"), secs(5 + 60));
    assert_eq!(world.state(quick), Some(ConnState::Open));
    let reason = CloseReason::FrameTimeout;
    assert_eq!((reason.code(), reason.retry()), (4414, Retry::Reconnect));
}

#[test]
fn control_frames_neither_end_nor_extend_a_message_in_progress() {
    let mut world = World::with(config().frame_deadline(secs(10)));
    let alice = world.open("alice", "main");
    world.inbound(alice, Inbound::Fragment);
    for _ in 0..9 {
        world.run(secs(1));
        for frame in [Inbound::Ping, Inbound::Pong, Inbound::Fragment] {
            world.inbound(alice, frame);
        }
    }
    world.run(secs(1));
    assert_eq!(world.when(alice, "close frame_timeout"), secs(10));
}

#[test]
fn a_control_frame_that_comes_in_pieces_is_a_message_of_its_own() {
    let mut world = World::with(config().frame_deadline(secs(10)));
    let (slow, quick) = (world.open("alice", "main"), world.open("bob", "main"));
    world.inbound(slow, PIECE);
    for _ in 0..5 {
        world.inbound(quick, PIECE);
        world.run(secs(6));
        // The rest of one, and the beginning of the next in the same read.
        world.inbound(quick, Inbound::Ping);
    }
    assert_eq!(world.when(slow, "close frame_timeout"), secs(10));
    assert_eq!(world.state(quick), Some(ConnState::Open));
}

#[test]
fn the_deadline_of_a_message_stands_still_while_its_input_is_paused() {
    let config = config().frame_deadline(secs(10)).send_window(1_000).slow_deadline(secs(3_600));
    let mut world = World::with(config.ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    world.tell_conn(alice, &text_of_cost(1_001));
    world.drain();
    world.inbound(alice, PIECE);
    world.skip(secs(9));
    assert_eq!(world.data(alice), Intake::Paused);
    world.inbound(alice, PIECE);
    world.skip(secs(3_000));
    assert!(world.flush(alice), "it is read again");
    world.skip(secs(10) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.skip(ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
}

#[test]
fn a_message_in_progress_at_its_admission_has_its_deadline_from_there() {
    let mut world = World::with(config().frame_deadline(secs(5)).auth_deadline(secs(30)));
    let conn = world.reserve();
    world.registry.upgraded(world.now, conn).unwrap();
    world.inbound(conn, PIECE);
    world.run(secs(20));
    world.connect(conn, "alice", "main").unwrap();
    world.run(secs(20));
    assert_eq!(world.when(conn, "close frame_timeout"), secs(25));
}

#[test]
fn a_ping_that_life_overtakes_is_not_sent() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.inbound(alice, LIFE);
    assert_eq!(world.drain(), 0);
    assert_eq!((world.handed(alice), world.registry.stats().pings_sent), (0, 0));
}

#[test]
fn a_pong_that_nobody_asked_for_is_a_sign_of_life() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.inbound(alice, Inbound::Pong);
    assert_eq!(world.registry.stats().pongs_received, 1);
    assert_eq!(world.state(alice), Some(ConnState::Open));
}

#[test]
fn without_a_heartbeat_silence_is_for_ever() {
    let mut world = World::with(config().ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    world.run(secs(365 * 24 * 3600));
    assert_eq!(world.registry.poll_timeout(), None);
    assert_eq!(world.state(alice), Some(ConnState::Open));
    assert_eq!(world.seen(alice), [""; 0]);
}

#[test]
fn without_flush_reports_a_ping_counts_as_flushed_when_it_is_polled() {
    let heartbeat = config().ping_interval(secs(20)).pong_timeout(secs(10));
    let mut world = World::with(heartbeat.without_flush_reports());
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.skip(secs(30));
    assert_eq!(world.state(alice), Some(ConnState::Open), "the ping was not even polled");
    world.drain();
    world.skip(secs(10) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.skip(ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
}

#[test]
fn no_flush_progress_is_stuck_and_slow_progress_is_not() {
    let slow = config().ping_interval(secs(0)).slow_deadline(secs(5)).send_window(1_000);
    let mut world = World::with(slow);
    let (stuck, slow) = (world.open("stuck", "main"), world.open("slow", "main"));
    for conn in [stuck, slow] {
        world.tell_session(conn, &text_of_cost(1_000));
    }
    world.drain();
    // One byte every four seconds: an hour for a message, and it lives.
    for _ in 0..100 {
        world.skip(secs(4));
        world.drain();
        world.flush_some(slow, 1);
    }
    world.drain();
    assert_eq!(world.when(stuck, "close slow_consumer"), secs(8), "5 s, seen at the next tick");
    assert_eq!(world.state(slow), Some(ConnState::Open));
    world.skip(secs(5));
    assert_eq!(world.state(slow), Some(ConnState::Closing));
}

#[test]
fn the_slow_deadline_is_exact_and_counts_from_when_something_was_in_flight() {
    let mut world = World::with(config().ping_interval(secs(0)).slow_deadline(secs(5)));
    let alice = world.open("alice", "main");
    world.skip(secs(100));
    world.tell_session(alice, "one");
    world.drain();
    world.skip(secs(3));
    world.tell_session(alice, "two");
    world.drain();
    world.skip(secs(2) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.skip(ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing), "being handed more is no progress");
}

#[test]
fn an_empty_window_is_never_stuck() {
    let mut world = World::with(config().ping_interval(secs(0)).slow_deadline(secs(5)));
    let alice = world.open("alice", "main");
    world.tell_session(alice, "one");
    world.settle();
    world.skip(secs(100));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    // What was queued but never polled is our own delay.
    world.tell_conn(alice, "two");
    world.skip(secs(100));
    assert_eq!(world.state(alice), Some(ConnState::Open));
}

#[test]
fn a_ping_that_makes_no_progress_is_stuck_too() {
    let mut world = World::with(config().ping_interval(secs(20)).slow_deadline(secs(5)));
    let alice = world.open("alice", "main");
    world.stall(alice);
    world.run(secs(60));
    let ping = world.when(alice, "ping");
    assert_eq!(world.when(alice, "close slow_consumer"), ping + secs(5));
}

#[test]
fn each_full_window_of_progress_restarts_the_pong_deadline() {
    let heartbeat = config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(60));
    let mut world = World::with(heartbeat.send_window(1_000));
    let alice = world.open("alice", "main");
    for _ in 0..3 {
        world.tell_session(alice, &text_of_cost(500));
    }
    world.drain();
    world.skip(secs(20));
    world.drain();
    assert_eq!(world.take(alice).len(), 3, "two messages fill the window, then the ping");
    world.flush(alice);
    // The client reads what it was behind with: its pong comes when it has read all of that.
    for _ in 0..5 {
        world.skip(secs(9));
        assert_eq!(world.state(alice), Some(ConnState::Suspect));
        world.tell_session(alice, &text_of_cost(1_000));
        for _ in 0..3 {
            world.drain();
            world.flush(alice);
        }
    }
    world.skip(secs(9));
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.skip(secs(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing), "no progress, no excuse");
}

#[test]
fn less_than_a_window_of_progress_does_not_restart_the_pong_deadline() {
    let heartbeat = config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(60));
    let mut world = World::with(heartbeat.send_window(1_000));
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.settle();
    world.skip(secs(9));
    world.tell_session(alice, &text_of_cost(999));
    world.settle();
    world.skip(secs(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
}

#[test]
fn the_deadlines_of_silence_stand_still_while_input_is_paused() {
    let heartbeat =
        config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(3_600));
    let mut world = World::with(heartbeat.send_window(1_000).reply_reserve(500));
    let alice = world.open("alice", "main");
    world.tell_conn(alice, &text_of_cost(1_000));
    world.tell_conn(alice, "one more");
    world.drain();
    assert_eq!(world.data(alice), headcount::Intake::Paused);
    world.skip(secs(1_000));
    assert_eq!(world.drain(), 0, "we don't read, so its silence is ours");
    assert!(world.flush(alice));
    // From here on it is the peer's again.
    world.skip(secs(10) - ms(1));
    assert_eq!(world.drain(), 0);
    world.skip(secs(10));
    world.drain();
    assert_eq!(world.seen(alice).last(), Some(&"ping"));
}

#[test]
fn a_pause_suspends_a_pong_deadline_that_runs_and_its_end_restarts_it() {
    let heartbeat =
        config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(3_600));
    let mut world = World::with(heartbeat.send_window(1_000).reply_reserve(500));
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.settle();
    assert_eq!(world.take(alice), ["ping"]);
    world.skip(secs(9));
    world.tell_conn(alice, &text_of_cost(1_000));
    world.tell_conn(alice, "one more");
    world.drain();
    assert_eq!(world.data(alice), headcount::Intake::Paused);
    world.skip(secs(1_000));
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.flush(alice);
    world.skip(secs(10) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.skip(ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
}

#[test]
fn a_pong_during_a_pause_answers_the_ping_and_does_not_end_the_pause() {
    let heartbeat =
        config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(3_600));
    let mut world = World::with(heartbeat.send_window(1_000).reply_reserve(500));
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.settle();
    world.skip(secs(5));
    world.tell_conn(alice, &text_of_cost(1_000));
    world.tell_conn(alice, "one more");
    world.drain();
    assert_eq!(world.data(alice), headcount::Intake::Paused);
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.inbound(alice, Inbound::Pong);
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.skip(secs(1_000));
    assert_eq!(world.drain(), 0, "no ping: we still don't read");
    assert_eq!(world.data(alice), headcount::Intake::Paused);
}

#[test]
fn a_pause_does_not_suspend_the_slow_deadline() {
    let slow = config().ping_interval(secs(20)).slow_deadline(secs(5)).send_window(1_000);
    let mut world = World::with(slow);
    let alice = world.open("alice", "main");
    world.tell_conn(alice, &text_of_cost(1_001));
    world.drain();
    assert_eq!(world.data(alice), headcount::Intake::Paused);
    world.skip(secs(5));
    world.drain();
    assert_eq!(world.seen(alice)[1..], ["close slow_consumer"]);
}

#[test]
fn a_suspect_that_answers_has_recovered_and_both_are_told_and_counted() {
    let mut world = World::with(config().ping_interval(secs(20)).pong_timeout(secs(10)));
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.settle();
    world.notices();
    world.skip(secs(5) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.skip(ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Suspect), "half of its time is over");
    assert_eq!(world.notices(), [headcount::Notice::Suspect { conn: alice }]);
    world.skip(secs(5) - ms(1));
    world.inbound(alice, Inbound::Pong);
    assert_eq!(world.state(alice), Some(ConnState::Open));
    assert_eq!(world.notices(), [headcount::Notice::Recovered { conn: alice }]);
    assert_eq!(world.registry.stats().recovered, 1);
}

#[test]
fn a_ping_that_waited_through_paused_input_has_its_whole_time_after_it() {
    let quick = config().ping_interval(secs(20)).pong_timeout(secs(10)).send_window(1_000);
    let mut world = World::with(quick.slow_deadline(secs(3_600)));
    let alice = world.open("alice", "main");
    world.run_until(alice, "ping");
    world.stall(alice);
    world.tell_conn(alice, &text_of_cost(1_100));
    world.drain();
    assert_eq!(world.data(alice), Intake::Paused);
    world.run(secs(60));
    // Less than a window: the peer's progress alone would not begin the deadline anew.
    assert!(world.flush_some(alice, 700), "its input may go on");
    world.run(secs(10) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Suspect));
    world.run(ms(1));
    assert_eq!(world.closings(), ["pong_timeout"]);
}
