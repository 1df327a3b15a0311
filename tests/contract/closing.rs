//! How connections leave: what they still get, in which order, and how it is counted.

use headcount::{CloseReason, ConnId, ConnState, Retry, Target};

use crate::support::{World, config, ms, room, secs, text_of_cost, user};

#[test]
fn a_close_then_the_end_of_the_socket_then_one_cleanup() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    assert_eq!(world.close(Target::Conn(alice), CloseReason::Application), 1);
    assert_eq!(world.close(Target::Conn(alice), CloseReason::Restart), 0, "once is enough");
    world.drain();
    world.hang_up(alice);
    world.settle();
    assert_eq!(world.seen(alice), ["close application", "cleanup application"]);
}

#[test]
fn a_socket_that_ends_by_itself_has_no_close() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.tell_session(alice, "never read");
    world.tell_conn(alice, "nor this");
    world.hang_up(alice);
    assert_eq!(world.state(alice), Some(ConnState::Gone));
    world.drain();
    assert_eq!(world.seen(alice), ["cleanup peer_gone"], "nothing is written to a dead socket");
}

#[test]
fn a_socket_that_ends_before_its_close_was_polled_needs_none() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.tell_session(alice, "farewell");
    world.close(Target::Conn(alice), CloseReason::Restart);
    world.hang_up(alice);
    world.drain();
    assert_eq!(world.seen(alice), ["cleanup restart"]);
    assert_eq!(world.registry.stats().closed(CloseReason::Restart), 1);
}

#[test]
fn a_closing_connection_gets_what_was_sent_before_and_nothing_after() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.tell_session(alice, "one");
    world.tell_room("lobby", "two");
    world.tell_conn(alice, "three");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.tell_user("alice", "late");
    world.tell_room("lobby", "late");
    world.tell_conn(alice, "late");
    assert!(world.delivery.reaches_none());
    world.tell_everyone("late");
    world.settle();
    let expected = ["direct: three", "one", "lobby: two", "close application"];
    assert_eq!(world.seen(alice), expected);
}

#[test]
fn only_what_fits_the_window_is_handed_out_before_the_close() {
    let mut world = World::with(config().send_window(1_000).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    world.tell_session(alice, &text_of_cost(500));
    world.drain();
    for number in 0..10 {
        world.tell_session(alice, &format!("{number:036}"));
    }
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    let seen = world.seen(alice);
    assert_eq!(seen.len(), 1 + 5 + 1);
    assert!(seen[5].ends_with("004"), "in order, and none left out between");
    // The kernel takes it all: still nothing more comes.
    world.flush(alice);
    assert_eq!(world.drain(), 0);
}

#[test]
fn the_farewell_takes_the_session_first_and_then_the_rooms_in_the_order_of_joining() {
    let mut world = World::with(config().send_window(1_000).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    for name in ["zebra", "ant"] {
        world.join(alice, name);
        world.tell_room(name, "1");
        world.tell_room(name, "2");
    }
    world.tell_session(alice, "1");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    let expected = ["1", "zebra: 1", "zebra: 2", "ant: 1", "ant: 2", "close application"];
    assert_eq!(world.seen(alice), expected);
}

#[test]
fn the_farewell_tells_what_is_lost() {
    let mut world =
        World::with(config().send_window(1_000).stream_messages(2).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    for number in 1..=5 {
        world.tell_session(alice, &number.to_string());
    }
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    assert_eq!(world.seen(alice), ["gap 1..=3", "4", "5", "close application"]);
}

#[test]
fn what_the_farewell_left_out_stays_in_the_log() {
    let mut world = World::with(config().send_window(200).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    for _ in 0..5 {
        world.tell_session(alice, &text_of_cost(100));
    }
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    assert_eq!(world.seen(alice).len(), 2 + 1);
    assert_eq!(world.registry.stats().log_messages, 5);
}

#[test]
fn a_peer_that_closes_first_gets_nothing_but_the_answer() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.tell_session(alice, "unread");
    world.close(Target::Conn(alice), CloseReason::PeerClosed);
    world.drain();
    world.hang_up(alice);
    world.drain();
    assert_eq!(world.seen(alice), ["close peer_closed", "cleanup peer_closed"]);
    assert_eq!(world.registry.stats().closed(CloseReason::PeerClosed), 1);
}

#[test]
fn a_pending_socket_gets_its_close_and_its_answers_before_it() {
    let mut world = World::new();
    let conn = world.reserve();
    world.registry.upgraded(world.now, conn).unwrap();
    world.tell_conn(conn, "bad password");
    assert_eq!(world.close(Target::Conn(conn), CloseReason::BadCredentials), 1);
    world.run(secs(5));
    let expected = ["direct: bad password", "close bad_credentials", "cleanup bad_credentials"];
    assert_eq!(world.seen(conn), expected);
    let stats = world.registry.stats();
    assert_eq!((stats.opened, stats.abandoned, stats.closed_total()), (0, 1, 0));
}

#[test]
fn closing_a_user_closes_all_of_their_sessions_and_nobody_else() {
    let mut world = World::new();
    let alices =
        [("alice", "one"), ("alice", "one"), ("alice", "two")].map(|(u, t)| world.open(u, t));
    let bob = world.open("bob", "one");
    assert_eq!(world.close(Target::User(&user("alice")), CloseReason::Application), 3);
    assert_eq!(world.open_count(), 1, "the counts are right before any I/O");
    assert_eq!(world.tabs("alice").len(), 0);
    world.drain();
    for conn in alices {
        assert_eq!(world.seen(conn), ["close application"]);
    }
    assert_eq!(world.seen(bob), [""; 0]);
}

#[test]
fn closing_a_session_leaves_the_users_other_sessions() {
    let mut world = World::new();
    let (one, two) = (world.open("alice", "one"), world.open("alice", "two"));
    let session = world.session(one);
    assert_eq!(world.close(Target::Session(session), CloseReason::Application), 1);
    assert_eq!(world.close(Target::Session(session), CloseReason::Application), 0);
    world.settle();
    assert_eq!(world.state(one), Some(ConnState::Closing));
    assert_eq!(world.state(two), Some(ConnState::Open));
}

/// So many users in a room; slices of four.
fn crowd(count: usize) -> (World, Vec<ConnId>) {
    let mut world = World::with(config().fanout_chunk(4).ping_interval(secs(0)));
    let conns: Vec<_> = (0..count).map(|name| world.open(&format!("u{name}"), "main")).collect();
    for conn in &conns {
        world.join(*conn, "lobby");
    }
    (world, conns)
}

#[test]
fn a_room_is_closed_in_slices_and_others_get_their_turns_between() {
    let (mut world, conns) = crowd(12);
    let outsider = world.open("outsider", "main");
    let closed = world.close(Target::Room(&room("lobby")), CloseReason::Application);
    assert_eq!((closed, world.open_count()), (12, 13), "it begins when actions are polled");
    world.tell_session(outsider, "meanwhile");
    assert_eq!(world.step().unwrap().what, "close application");
    assert_eq!(world.open_count(), 13 - 4);
    let order: Vec<_> = core::iter::from_fn(|| world.step()).map(|polled| polled.what).collect();
    assert_eq!(order[3], "meanwhile", "after the slice's own closes");
    for conn in conns {
        assert_eq!(world.seen(conn), ["close application"]);
    }
    assert_eq!(world.state(outsider), Some(ConnState::Open));
    assert_eq!(world.registry.stats().rooms, 0);
}

#[test]
fn whoever_joins_a_room_that_is_being_closed_is_not_counted_and_stays() {
    let (mut world, _) = crowd(12);
    let late = world.open("late", "main");
    assert_eq!(world.close(Target::Room(&room("lobby")), CloseReason::Application), 12);
    world.step();
    world.join(late, "lobby");
    world.settle();
    assert_eq!(world.state(late), Some(ConnState::Open));
    assert_eq!(world.open_count(), 1);
    assert_eq!(world.members("lobby"), [late]);
}

#[test]
fn a_leave_while_a_room_is_being_closed_saves_the_leaver_and_nobody_else() {
    for steps in 0..8 {
        for leaver in 0..12 {
            let (mut world, conns) = crowd(12);
            world.close(Target::Room(&room("lobby")), CloseReason::Application);
            for _ in 0..steps {
                world.step();
            }
            let was_closed = world.state(conns[leaver]) != Some(ConnState::Open);
            assert_eq!(
                was_closed,
                world.registry.leave(world.now, conns[leaver], &room("lobby")).is_err()
            );
            world.settle();
            let left = u32::from(!was_closed);
            assert_eq!(world.open_count(), left, "{leaver} left after {steps} steps");
            assert_eq!(world.state(conns[leaver]) == Some(ConnState::Open), !was_closed);
        }
    }
}

#[test]
fn a_room_in_the_middle_of_a_sweep_can_be_closed() {
    let (mut world, conns) = crowd(12);
    world.tell_room("lobby", "one");
    world.step();
    world.close(Target::Room(&room("lobby")), CloseReason::Application);
    world.settle();
    for conn in conns {
        assert_eq!(world.seen(conn), ["lobby: one", "close application"]);
    }
}

#[test]
fn a_room_that_is_exactly_a_slice_or_two_can_be_closed() {
    for count in [1, 4, 8] {
        let mut world = World::with(config().fanout_chunk(4).room_history(0));
        for name in 0..count {
            let conn = world.open(&format!("u{name}"), "main");
            world.join(conn, "lobby");
        }
        world.close(Target::Room(&room("lobby")), CloseReason::Application);
        world.settle();
        assert_eq!((world.open_count(), world.registry.stats().rooms), (0, 0));
    }
}

#[test]
fn everyone_is_closed_in_slices_pending_sockets_included() {
    let (mut world, conns) = crowd(12);
    let pending = world.reserve();
    let gone = world.open("gone", "main");
    world.hang_up(gone);
    let closed = world.close(Target::Everyone, CloseReason::Restart);
    assert_eq!((closed, world.open_count()), (13, 12));
    world.step();
    world.step();
    assert_eq!(world.open_count(), 8);
    let late = world.open("late", "main");
    assert_eq!(late.index(), gone.index());
    world.settle();
    assert_eq!(world.open_count(), 1, "who came after the call was not meant");
    for conn in conns.into_iter().chain([pending]) {
        assert_eq!(world.seen(conn), ["close restart"]);
    }
    assert_eq!(world.seen(late), [""; 0]);
}

#[test]
fn a_second_close_of_everyone_takes_over_from_the_first() {
    let (mut world, conns) = crowd(8);
    world.close(Target::Everyone, CloseReason::Restart);
    world.step();
    assert_eq!(world.close(Target::Everyone, CloseReason::Application), 4);
    world.settle();
    assert_eq!(world.seen(conns[0]), ["close restart"]);
    assert_eq!(world.seen(conns[7]), ["close application"]);
    assert_eq!(world.close(Target::Everyone, CloseReason::Restart), 0);
}

#[test]
fn what_has_ended_is_counted_by_reason_and_adds_up() {
    let heartbeat = config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(5));
    let mut world = World::with(heartbeat.message_bytes(100));
    let conns: Vec<_> = (0..7).map(|name| world.open(&format!("u{name}"), "main")).collect();
    world.hang_up(conns[0]);
    world.close(Target::Conn(conns[1]), CloseReason::Application);
    world.close(Target::Conn(conns[2]), CloseReason::PeerClosed);
    world.stall(conns[3]);
    world.tell_session(conns[3], "stuck");
    let too_big = headcount::Inbound::Data { bytes: 101 };
    assert!(world.registry.message(world.now, conns[4], too_big).is_err());
    world.answers(conns[6]);
    while world.registry.stats().live > 1 {
        let stats = world.registry.stats();
        assert_eq!(stats.opened, u64::from(stats.live) + stats.closed_total());
        world.run(secs(1));
    }
    let stats = world.registry.stats();
    let closed: Vec<_> = CloseReason::ALL
        .iter()
        .filter(|reason| stats.closed(**reason) > 0)
        .map(|reason| (reason.name(), stats.closed(*reason)))
        .collect();
    let expected = [
        ("peer_closed", 1),
        ("peer_gone", 1),
        ("message_too_big", 1),
        ("slow_consumer", 1),
        ("pong_timeout", 1),
        ("application", 1),
    ];
    assert_eq!(closed, expected);
    assert_eq!((stats.opened, stats.live, stats.closed_total()), (7, 1, 6));
}

#[test]
fn whoever_closes_is_live_until_the_cleanup_is_polled() {
    let mut world = World::with(config().close_handshake(secs(5)));
    let alice = world.open("alice", "main");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    world.skip(secs(5));
    assert_eq!(world.registry.stats().live, 1);
    world.drain();
    assert_eq!((world.registry.stats().live, world.registry.stats().closed_total()), (0, 1));
}

#[test]
fn flushes_of_a_closing_connection_are_taken_and_give_it_nothing_more() {
    let mut world = World::with(config().send_window(200).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    for _ in 0..5 {
        world.tell_session(alice, &text_of_cost(200));
    }
    world.drain();
    world.close(Target::Conn(alice), CloseReason::Application);
    world.drain();
    assert!(world.flush(alice));
    assert_eq!(world.drain(), 0);
    world.skip(ms(1));
    world.hang_up(alice);
    let late = world.registry.flushed(world.now, alice, 10_000);
    assert_eq!(late, Err(headcount::UnknownConn));
}

#[test]
fn every_reason_has_a_name_and_says_what_to_do() {
    let mut names: Vec<_> = CloseReason::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CloseReason::ALL.len());
    assert_eq!(CloseReason::Restart.retry(), Retry::Reconnect);
    assert_eq!(CloseReason::Application.retry(), Retry::Stop);
}
