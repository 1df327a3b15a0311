//! The three tables of the crate documentation, row by row: what must be handled, when a session
//! ends, and the order on one connection.

use bytes::Bytes;
use headcount::{
    CloseReason, ConfigBuilder, ConnId, ConnState, Inbound, InboundError, Intake, Message, Notice,
    Refused, ReplyError, RunEnd, RunEvent, RunId, SessionId, Target,
};

use crate::support::{World, config, room, secs, text_of_cost, thread, user};

// What must be handled, and what happens if it is not.

#[test]
fn a_send_or_a_gap_that_is_not_written_counts_as_handed_out() {
    let mut world = World::with(config().stream_messages(1).send_window(64));
    let alice = world.open("alice", "main");
    for number in 1..=3 {
        world.tell_session(alice, &number.to_string());
    }
    // The shell polls, reports the cost as flushed, and has written nothing.
    let told: Vec<_> = core::iter::from_fn(|| {
        let step = world.step()?;
        world.flush(alice);
        Some(step.what)
    })
    .collect();
    assert_eq!(told, ["gap 1..=2", "3"]);
    assert_eq!(
        world.registry.connection(alice).unwrap().cursors().next().unwrap().backlog,
        0,
        "nothing comes again"
    );
}

#[test]
fn a_ping_that_is_not_written_is_a_pong_timeout() {
    let mut world = World::with(config().ping_interval(secs(20)).pong_timeout(secs(10)));
    let alice = world.open("alice", "main");
    // The shell reports its cost all the same, and no peer can answer what it never got.
    world.run(secs(31));
    assert!(world.seen(alice).contains(&"close pong_timeout"), "{:?}", world.seen(alice));
}

#[test]
fn what_is_never_flushed_makes_a_slow_consumer() {
    let mut world = World::with(config().slow_deadline(secs(10)));
    let alice = world.open("alice", "main");
    world.tell_session(alice, "hello");
    world.drain();
    world.skip(secs(10));
    world.drain();
    assert_eq!(world.seen(alice), ["hello", "close slow_consumer"]);
    // Unless the configuration says that nobody reports it.
    let mut world = World::with(config().slow_deadline(secs(10)).without_flush_reports());
    let alice = world.open("alice", "main");
    world.tell_session(alice, "hello");
    world.drain();
    world.skip(secs(10));
    world.drain();
    assert_eq!(world.seen(alice), ["hello"]);
}

#[test]
fn a_drain_closes_those_that_were_told_and_those_that_did_not_listen() {
    let mut world = World::with(config().drain_deadline(secs(10)));
    let alice = world.tab("alice", "main");
    world.registry.drain(world.now, None);
    world.run(secs(10));
    assert!(world.seen(alice).contains(&"close restart"), "{:?}", world.seen(alice));
}

#[test]
fn a_close_whose_socket_never_ends_is_cleaned_up_in_time() {
    let mut world = World::with(config().close_handshake(secs(5)));
    let alice = world.open("alice", "main");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    assert_eq!(world.state(alice), Some(ConnState::Closing));
    world.skip(secs(5));
    world.drain();
    assert_eq!(world.seen(alice), ["close application", "cleanup application"]);
    let again = world.registry.disconnect(world.now, alice);
    assert!(again.is_err(), "the end of its socket comes too late, and harms nobody");
}

#[test]
fn cleanups_that_nobody_polls_keep_newcomers_out() {
    let mut world = World::with(config().connections(2).closing(1));
    world.checking = false;
    let mut refused = None;
    for number in 0..4 {
        let conn = world.reserve();
        match world.connect(conn, &number.to_string(), "main") {
            Ok(_) => world.hang_up(conn),
            Err(why) => refused = refused.or(Some((number, why))),
        }
    }
    assert_eq!(refused, Some((3, Refused::Connections)));
    world.drain();
    let late = world.reserve();
    assert!(world.connect(late, "late", "main").is_ok());
}

#[test]
fn without_ticks_no_deadline_acts() {
    let mut world = World::with(config().ping_interval(secs(20)));
    let alice = world.open("alice", "main");
    world.now += secs(1_000);
    assert_eq!(world.data(alice), Intake::Taken);
    world.tell_session(alice, "still");
    world.drain();
    assert_eq!(world.seen(alice), ["still"]);
    assert!(world.timeout() <= world.now + secs(20), "`poll_timeout` says when to tick");
}

#[test]
fn a_paused_message_was_not_taken_and_is_no_sign_of_life() {
    let mut world = World::with(config().send_window(100));
    let alice = world.open("alice", "main");
    world.tell_conn(alice, &text_of_cost(200));
    world.drain();
    assert_eq!(world.data(alice), Intake::Paused);
    world.now += secs(3);
    assert_eq!(world.data(alice), Intake::Paused);
    assert_eq!(world.registry.connection(alice).unwrap().silence(), secs(3));
    assert!(world.flush(alice), "from here on it may be offered again");
    assert_eq!(world.data(alice), Intake::Taken);
    assert_eq!(world.registry.reply(world.now, alice, Message::text("answer")), Ok(()));
}

#[test]
fn a_refused_socket_keeps_its_pending_place_until_it_ends() {
    let mut world = World::with(
        config().connections(1).pending(1).head_deadline(secs(10)).session_linger(secs(0)),
    );
    world.tab("alice", "main");
    let bob = world.reserve();
    assert_eq!(world.connect(bob, "bob", "main"), Err(Refused::Connections));
    assert_eq!(world.try_reserve(), Err(Refused::Pending));
    world.hang_up(bob);
    world.drain();
    let carol = world.try_reserve().unwrap();
    assert_eq!(world.connect(carol, "carol", "main"), Err(Refused::Connections));
    // One that is forgotten goes by the deadline that it has.
    world.run(secs(16));
    assert_eq!(world.seen(carol), ["close head_timeout", "cleanup head_timeout"]);
}

#[test]
fn a_message_that_was_refused_is_dropped() {
    let mut world = World::with(config().message_rate(1).message_burst(1).message_bytes(10));
    let alice = world.open("alice", "main");
    let mut offer = |bytes| world.registry.message(world.now, alice, Inbound::Data { bytes });
    assert_eq!(offer(10), Ok(Intake::Taken));
    assert_eq!(offer(10), Err(InboundError::RateLimited));
    assert_eq!(offer(11), Err(InboundError::UnknownConn), "as much excess as a burst closes it");
}

#[test]
fn what_is_full_keeps_nothing() {
    let mut world = World::with(config().send_window(100).reply_reserve(0));
    let alice = world.open("alice", "main");
    world.tell_conn(alice, &text_of_cost(200));
    let answer = world.registry.reply(world.now, alice, Message::text("no"));
    assert_eq!(answer, Err(ReplyError::Full));
    world.tell_conn(alice, "nor this");
    assert!(world.delivery.full && world.delivery.stored().is_empty());
    world.settle();
    assert_eq!(world.seen(alice).len(), 1);
}

#[test]
fn notices_that_nobody_polls_are_lost_and_counted() {
    let mut world = World::with(config().notices(1));
    world.open("alice", "main");
    world.open("bob", "main");
    assert!(matches!(world.notices()[..], [Notice::Admitted { .. }]));
    assert_eq!(world.registry.stats().notices_lost, 1);
}

// When a session ends.

/// A session with an open run, whose one connection is there.
fn with_a_run(config: ConfigBuilder) -> (World, ConnId, SessionId) {
    let mut world = World::with(config);
    let alice = world.open("alice", "main");
    let session = world.session(alice);
    begin(&mut world, "main");
    world.settle();
    world.notices();
    (world, alice, session)
}

fn begin(world: &mut World, name: &str) {
    let (alice, run) = (user("alice"), RunId::new(name).unwrap());
    let mut scope = world.registry.scope(&alice);
    let opened = scope.open_run(world.now, &thread(name), &run, "agent", Bytes::new());
    opened.map(drop).expect("a run");
}

fn finish(world: &mut World, name: &str) {
    let (alice, run) = (user("alice"), RunId::new(name).unwrap());
    let completed = RunEvent::Completed(Bytes::new());
    let told = world.registry.scope(&alice).run_event(world.now, &run, &completed);
    told.map(drop).expect("an event");
}

fn is_over(world: &World, session: SessionId) -> bool {
    world.registry.session(session).is_none()
}

#[test]
fn it_ends_when_it_has_lingered_since_its_last_connection_and_its_last_run() {
    let (mut world, alice, session) =
        with_a_run(config().session_linger(secs(60)).run_silence(secs(0)));
    world.hang_up(alice);
    world.run(secs(1_000));
    assert!(!is_over(&world, session), "a run that is open keeps it");
    finish(&mut world, "main");
    world.run(secs(59));
    assert!(!is_over(&world, session));
    world.run(secs(2));
    assert!(is_over(&world, session));
    assert_eq!(world.ended_sessions(), [session]);
    assert_eq!(world.registry.stats().runs_ended(RunEnd::Completed), 1);
}

#[test]
fn it_does_not_end_before_the_cleanup_of_its_last_connection_was_polled() {
    let mut world = World::with(config().session_linger(secs(60)));
    let alice = world.open("alice", "main");
    let session = world.session(alice);
    world.close(Target::Conn(alice), CloseReason::Application);
    world.skip(secs(100));
    assert!(!is_over(&world, session));
    world.drain();
    assert!(!is_over(&world, session), "the handshake has begun now");
    world.hang_up(alice);
    world.drain();
    assert!(is_over(&world, session));
}

#[test]
fn a_revoked_user_has_no_session_any_more_at_once() {
    let (mut world, alice, session) = with_a_run(config());
    world.registry.revoke(world.now, &user("alice"));
    assert!(is_over(&world, session) && world.state(alice) == Some(ConnState::Closing));
    assert_eq!(world.registry.stats().runs_ended(RunEnd::SessionEnded), 1);
    // The name is free, and its cleanup comes after those of its connections.
    let again = world.open("alice", "main");
    assert_ne!(world.session(again), session);
    world.drain();
    assert!(world.ended_sessions().is_empty());
    world.hang_up(alice);
    world.drain();
    assert_eq!(world.ended_sessions(), [session]);
}

#[test]
fn it_makes_room_for_another_session_of_its_user() {
    let (mut world, alice, session) = with_a_run(config().sessions_per_user(1));
    let other = world.open("alice", "other");
    assert!(is_over(&world, session), "its connection is evicted with it");
    assert_eq!(world.registry.stats().runs_ended(RunEnd::SessionEnded), 1);
    world.drain();
    assert_eq!(world.seen(alice).last(), Some(&"close evicted"));
    // The run of an absent user takes the place of one that lingers, and of none with a run.
    let session = world.session(other);
    world.hang_up(other);
    world.settle();
    begin(&mut world, "third");
    assert!(is_over(&world, session));
    let (name, run) = (user("alice"), RunId::new("fourth").unwrap());
    let mut scope = world.registry.scope(&name);
    let refused = scope.open_run(world.now, &thread("fourth"), &run, "agent", Bytes::new());
    assert!(refused.is_err());
}

#[test]
fn it_goes_over_a_cap_that_a_reload_has_lowered() {
    let mut world = World::with(config());
    let alice = world.open("alice", "one");
    world.open("alice", "two");
    let session = world.session(alice);
    world.hang_up(alice);
    world.settle();
    let impact = world.registry.reload(world.now, config().sessions_per_user(1).build().unwrap());
    assert_eq!(impact.sessions, 1);
    assert!(is_over(&world, session), "the one that lingers goes first");
}

#[test]
fn under_emergency_it_does_not_linger_with_nothing_to_resume() {
    let mut world =
        World::with(config().connections_per_user(4).proactive_percent(50).emergency_percent(75));
    let [kept, empty] = ["kept", "empty"].map(|name| world.open("alice", name));
    let sessions = [kept, empty].map(|conn| world.session(conn));
    world.tell_session(kept, "something");
    world.settle();
    world.hang_up(kept);
    world.hang_up(empty);
    world.settle();
    for _ in 0..3 {
        world.tab("alice", "main");
    }
    assert!(!is_over(&world, sessions[0]) && is_over(&world, sessions[1]));
}

#[test]
fn it_survives_a_close_a_drain_and_the_end_of_its_sockets() {
    let (mut world, alice, session) = with_a_run(config().session_linger(secs(60)));
    world.close(Target::Session(session), CloseReason::Application);
    world.settle();
    world.hang_up(alice);
    world.settle();
    assert!(!is_over(&world, session));
    world.registry.drain(world.now, Some(secs(1)));
    world.run(secs(2));
    assert!(!is_over(&world, session) && world.registry.is_drained());
}

// The order on one connection.

#[test]
fn within_a_stream_the_order_is_that_of_its_offsets() {
    let mut world = World::with(config().send_window(200));
    let alice = world.open("alice", "main");
    let position = world.registry.session(world.session(alice)).unwrap().position();
    for number in 0..9 {
        world.tell_session(alice, &number.to_string());
    }
    let (late, _) = world.resume("alice", "main", position);
    world.drain();
    world.tell_session(alice, "9");
    world.settle();
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(
        (world.seen(alice), world.seen(late)),
        (expected.iter().map(|it| &**it).collect(), expected.iter().map(|it| &**it).collect())
    );
}

#[test]
fn a_reply_overtakes_stream_data_that_was_sent_before_it() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.tell_session(alice, "first");
    world.tell_conn(alice, "second");
    assert_eq!(world.registry.reply(world.now, alice, Message::text("third")), Ok(()));
    world.drain();
    assert_eq!(world.seen(alice), ["direct: second", "direct: third", "first"]);
}

#[test]
fn a_ping_and_a_close_keep_their_place_among_replies() {
    let mut world = World::with(config().ping_interval(secs(20)));
    let alice = world.open("alice", "main");
    world.tell_conn(alice, "before");
    world.skip(secs(20));
    world.tell_conn(alice, "after");
    world.tell_session(alice, "stream");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    let expected = ["direct: before", "ping", "direct: after", "stream", "close application"];
    assert_eq!(world.seen(alice), expected);
}

#[test]
fn a_close_hands_out_what_fits_session_first_and_then_nothing() {
    let mut world = World::with(config().send_window(64 * 3 + 10));
    let alice = world.open("alice", "main");
    world.join(alice, "one");
    world.join(alice, "two");
    world.tell_room("two", "4");
    world.tell_room("one", "2");
    world.tell_room("one", "3");
    world.tell_session(alice, "1");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.tell_session(alice, "too late");
    world.drain();
    assert_eq!(world.seen(alice), ["1", "one: 2", "one: 3", "close application"]);
}

#[test]
fn an_end_of_the_socket_drops_what_was_not_polled() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.tell_conn(alice, "direct");
    world.tell_session(alice, "stream");
    assert_eq!(world.reached(), (1, 0), "live at the call, and gone before the poll");
    world.hang_up(alice);
    world.drain();
    assert_eq!(world.seen(alice), ["cleanup peer_gone"]);
}

#[test]
fn after_a_leave_nothing_of_the_room_comes_any_more() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.tell_room("lobby", "never polled");
    assert_eq!(world.reached(), (1, 0), "live at the call, and not a member at the poll");
    world.leave(alice, "lobby");
    world.drain();
    assert!(world.seen(alice).is_empty());
    assert!(world.registry.room(&room("lobby")).is_some(), "it is kept for a resume");
}

#[test]
fn an_announcement_passes_over_one_that_is_behind() {
    let mut world = World::with(config().send_window(100));
    let alice = world.open("alice", "main");
    world.tell_session(alice, &text_of_cost(100));
    world.tell_session(alice, "waits");
    world.drain();
    world.take(alice);
    world.tell_everyone("news");
    world.settle();
    assert_eq!(world.seen(alice), ["waits"]);
}

// What is said of a run's text, and of what is critical.

#[test]
fn pieces_of_text_are_joined_and_a_resume_within_one_gets_the_rest_of_it() {
    let (mut world, alice, session) = with_a_run(config());
    let head = world.registry.session(session).unwrap().position();
    let (name, run) = (user("alice"), RunId::new("main").unwrap());
    for piece in ["one ", "two ", "three"] {
        let text = RunEvent::text(piece);
        world.registry.scope(&name).run_event(world.now, &run, &text).map(drop).unwrap();
    }
    world.settle();
    assert_eq!(world.take(alice).last().map(String::as_str), Some("main says one two three"));
    let within = headcount::Position { offset: head.offset + 6, ..head };
    let (again, _) = world.resume("alice", "main", within);
    world.settle();
    assert_eq!(world.seen(again), ["main says o three"]);
}

#[test]
fn a_newcomer_is_not_told_of_what_lies_between_the_events_of_an_open_run() {
    let (mut world, alice, _) = with_a_run(config());
    world.tell_session(alice, "critical, and older than the tab");
    world.settle();
    let late = world.open("alice", "main");
    world.tell_session(alice, "newer");
    world.settle();
    assert_eq!(world.seen(late), ["main Started ", "newer"]);
}
