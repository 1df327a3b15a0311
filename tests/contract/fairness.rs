//! Taking turns: storms, slow readers, and members who come and go while a sweep runs.

use headcount::{ConnId, Target};

use crate::support::{World, config, room, secs, text_of_cost};

/// So many users in one room, whose stretches are of four.
fn crowd(count: usize) -> (World, Vec<ConnId>) {
    crowd_with_window(count, 1_000)
}

fn crowd_with_window(count: usize, window: u64) -> (World, Vec<ConnId>) {
    let mut world =
        World::with(config().fanout_chunk(4).send_window(window).ping_interval(secs(0)));
    let conns: Vec<_> = (0..count).map(|name| world.open(&format!("u{name}"), "main")).collect();
    for conn in &conns {
        world.join(*conn, "lobby");
    }
    (world, conns)
}

#[test]
fn a_unicast_behind_a_broadcast_storm_waits_for_one_stretch_at_most() {
    let (mut world, conns) = crowd_with_window(40, 10_000);
    for _ in 0..30 {
        world.tell_room("lobby", "storm");
    }
    world.step();
    world.tell_session(conns[39], "unicast");
    // The stretch under way has fifteen more entries, and the room is at the back of the queue then:
    // behind the session, if that has its turn before the next stretch.
    let mut storms = 0;
    while world.step().unwrap().what != "unicast" {
        storms += 1;
    }
    assert_eq!(storms, 15);
}

#[test]
fn a_turn_hands_a_stretch_of_members_sixteen_entries() {
    let (mut world, conns) = crowd_with_window(6, 10_000);
    for number in 0..20 {
        world.tell_room("lobby", &number.to_string());
    }
    let mut expected = Vec::new();
    for entries in [0..16, 16..20] {
        for stretch in [&conns[..4], &conns[4..]] {
            expected.extend(entries.clone().map(|it| (format!("lobby: {it}"), stretch.to_vec())));
        }
    }
    let turns = core::iter::from_fn(|| world.step()).map(|polled| (polled.what, polled.to));
    assert_eq!(turns.collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_appended_during_a_pass_waits_for_the_next_one() {
    let (mut world, conns) = crowd(6);
    world.tell_room("lobby", "one");
    assert_eq!(world.step().unwrap().to, conns[..4]);
    for _ in 0..40 {
        world.tell_room("lobby", "more");
    }
    let polled = world.step().unwrap();
    assert_eq!((&polled.what[..], &polled.to[..]), ("lobby: one", &conns[4..]));
}

#[test]
fn a_reply_waits_for_nothing() {
    let (mut world, conns) = crowd(40);
    world.tell_room("lobby", "storm");
    world.step();
    world.tell_conn(conns[39], "reply");
    assert_eq!(world.step().unwrap().what, "direct: reply");
}

#[test]
fn an_announcement_and_a_storm_take_turns() {
    let (mut world, _) = crowd(40);
    world.tell_room("lobby", "storm");
    world.tell_everyone("news");
    let turns: Vec<_> = core::iter::from_fn(|| world.step()).map(|polled| polled.what).collect();
    assert_eq!(turns, ["lobby: storm", "everyone: news"].repeat(10));
}

#[test]
fn a_message_finds_those_whom_an_announcement_has_not_filled() {
    // Each has room for one of the two, and the announcement is first.
    let mut world = World::with(config().fanout_chunk(1).send_window(100).ping_interval(secs(0)));
    let conns: Vec<_> = (0..3).map(|_| world.open("alice", "main")).collect();
    world.tell_everyone(&text_of_cost(100));
    world.tell_session(conns[0], &text_of_cost(100));
    let to = core::iter::from_fn(|| world.step()).map(|polled| polled.to[0]).collect::<Vec<_>>();
    assert_eq!(to, conns, "the second is not passed over by both");
    assert_eq!(world.seen(conns[1]), [&text_of_cost(100)[..]]);
}

#[test]
fn two_storms_take_turns() {
    let (mut world, conns) = crowd(20);
    for conn in &conns {
        world.join(*conn, "other");
    }
    world.tell_room("lobby", "storm");
    world.tell_room("other", "storm");
    let turns: Vec<_> = core::iter::from_fn(|| world.step()).map(|polled| polled.what).collect();
    assert_eq!(turns, ["lobby: storm", "other: storm"].repeat(5));
}

#[test]
fn whoever_catches_up_does_not_hold_up_the_others() {
    let (mut world, conns) = crowd(8);
    world.stall(conns[0]);
    for _ in 0..50 {
        world.tell_room("lobby", &text_of_cost(100));
        world.settle();
    }
    world.flush(conns[0]);
    world.step();
    world.tell_session(conns[1], "unicast");
    let order: Vec<_> = core::iter::from_fn(|| world.step()).map(|polled| polled.to[0]).collect();
    let place = order.iter().position(|conn| *conn == conns[1]).unwrap();
    assert!(place <= 1, "it waited for {place} turns");
}

#[test]
fn a_connection_that_catches_up_with_several_streams_takes_them_in_turns() {
    let mut world = World::with(config().send_window(1_000).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    world.join(alice, "one");
    world.join(alice, "two");
    world.tell_conn(alice, &text_of_cost(1_000));
    world.drain();
    for number in 0..3 {
        world.tell_session(alice, &number.to_string());
        world.tell_room("one", &number.to_string());
        world.tell_room("two", &number.to_string());
    }
    world.drain();
    world.flush(alice);
    world.drain();
    let seen = &world.seen(alice)[1..];
    for stream in ["", "one: ", "two: "] {
        let places = [0, 1, 2].map(|number| {
            seen.iter().position(|what| *what == format!("{stream}{number}")).unwrap()
        });
        assert!(places.is_sorted(), "{seen:?}");
        assert!((0..3).contains(&places[0]), "its first is among the first three: {seen:?}");
    }
}

#[test]
fn a_large_message_holds_back_the_connections_other_streams_and_is_not_starved() {
    let mut world =
        World::with(config().send_window(1_000).stream_messages(1_000).ping_interval(secs(0)));
    let alice = world.open("alice", "main");
    world.join(alice, "chatter");
    world.tell_room("chatter", &text_of_cost(100));
    world.drain();
    let large = text_of_cost(5_000);
    world.tell_session(alice, &large);
    // Small messages never cease, and the kernel takes a little at a time.
    let mut turns = 0;
    while !world.seen(alice).contains(&&large[..]) {
        world.tell_room("chatter", &text_of_cost(100));
        world.drain();
        world.flush_some(alice, world.in_flight(alice).min(50));
        world.drain();
        turns += 1;
        assert!(turns < 10, "starved: {} in flight", world.in_flight(alice));
    }
    world.flush(alice);
    for _ in 0..3 {
        world.drain();
        world.flush(alice);
    }
    assert_eq!(world.seen(alice).len(), 2 + turns, "and the others come after it");
}

#[test]
fn a_leave_during_a_sweep_skips_nobody_and_repeats_nothing() {
    // One member leaves, at any point of the sweep. All others get the message, and once: also when the
    // last stretch is of one member, which moves.
    for (count, steps) in (9..=12).flat_map(|count| (0..7_usize).map(move |steps| (count, steps))) {
        for leaver in 0..count {
            let (mut world, conns) = crowd(count);
            world.tell_room("lobby", "one");
            world.tell_room("lobby", "two");
            for _ in 0..steps {
                world.step();
            }
            world.leave(conns[leaver], "lobby");
            world.settle();
            for (number, conn) in conns.iter().enumerate() {
                if number != leaver {
                    let expected = ["lobby: one", "lobby: two"];
                    assert_eq!(world.seen(*conn), expected, "{number}: {leaver} left at {steps}");
                }
            }
            // Each stretch of four has both of them before the next one has the first.
            let had = steps.saturating_sub(2 * (leaver / 4)).min(2);
            assert_eq!(world.seen(conns[leaver]).len(), had, "{leaver} left at {steps}");
        }
    }
}

#[test]
fn many_leaves_during_a_sweep_skip_nobody_and_repeat_nothing() {
    let (mut world, conns) = crowd(40);
    for text in ["one", "two", "three"] {
        world.tell_room("lobby", text);
    }
    let (mut stay, mut leave) = (Vec::new(), Vec::new());
    for (number, conn) in conns.iter().enumerate() {
        if number % 3 == 0 { leave.push(*conn) } else { stay.push(*conn) }
    }
    while let Some(conn) = leave.pop() {
        world.step();
        world.leave(conn, "lobby");
    }
    world.settle();
    for conn in stay {
        assert_eq!(world.seen(conn), ["lobby: one", "lobby: two", "lobby: three"]);
    }
}

#[test]
fn a_disconnect_or_close_during_a_sweep_skips_nobody() {
    let (mut world, conns) = crowd(12);
    world.tell_room("lobby", "one");
    world.step();
    world.hang_up(conns[0]);
    world.close(Target::Conn(conns[1]), headcount::CloseReason::Application);
    world.close(Target::Conn(conns[11]), headcount::CloseReason::Application);
    world.settle();
    for conn in &conns[2..11] {
        assert_eq!(world.seen(*conn), ["lobby: one"]);
    }
    assert_eq!(world.seen(conns[0]), ["lobby: one", "cleanup peer_gone"]);
    assert_eq!(world.seen(conns[1]), ["lobby: one", "close application"]);
    assert_eq!(world.seen(conns[11]), ["lobby: one", "close application"], "it fitted");
}

#[test]
fn whoever_joins_during_a_sweep_begins_after_it() {
    let (mut world, conns) = crowd(12);
    let late = world.open("late", "main");
    world.tell_room("lobby", "one");
    world.step();
    world.join(late, "lobby");
    world.leave(conns[0], "lobby");
    world.tell_room("lobby", "two");
    world.settle();
    assert_eq!(world.seen(late), ["lobby: two"]);
    for conn in &conns[1..] {
        assert_eq!(world.seen(*conn), ["lobby: one", "lobby: two"]);
    }
}

#[test]
fn whoever_leaves_and_comes_back_during_a_sweep_misses_what_was_sent_before() {
    let (mut world, conns) = crowd(12);
    world.tell_room("lobby", "one");
    world.step();
    let [reached, unreached] = [conns[0], conns[11]];
    for conn in [reached, unreached] {
        world.leave(conn, "lobby");
        world.join(conn, "lobby");
    }
    world.tell_room("lobby", "two");
    world.settle();
    assert_eq!(world.seen(reached), ["lobby: one", "lobby: two"]);
    assert_eq!(world.seen(unreached), ["lobby: two"]);
}

#[test]
fn a_sweep_goes_on_where_it_stood_when_more_is_sent() {
    let (mut world, conns) = crowd(12);
    world.tell_room("lobby", "one");
    assert_eq!(world.step().unwrap().to, conns[..4]);
    world.tell_room("lobby", "two");
    assert_eq!(world.step().unwrap().to, conns[4..8]);
    world.tell_room("lobby", "three");
    assert_eq!(world.step().unwrap().to, conns[8..]);
    let next = world.step().unwrap();
    assert_eq!((&next.what[..], &next.to[..]), ("lobby: two", &conns[..4]));
}

#[test]
fn a_connection_has_one_turn_however_often_it_leaves_and_comes_back() {
    let mut world = World::new();
    let conns = ["alice", "bob"].map(|name| world.open(name, "main"));
    world.join(conns[0], "lobby");
    world.tell_room("lobby", "lost");
    world.settle();
    world.leave(conns[0], "lobby");
    // Each of them claims to have seen another epoch, so each has a gap to be told of.
    let foreign = headcount::Start::After(headcount::Position { epoch: 1, offset: 1 });
    let now = world.now;
    for _ in 0..10 {
        for conn in conns {
            let _ = world.registry.leave(now, conn, &room("lobby"));
            world.registry.join(now, conn, &room("lobby"), foreign.clone()).unwrap();
            world.check();
        }
    }
    world.drain();
    for conn in conns {
        assert_eq!(world.seen(conn).last(), Some(&"gap lobby 1..=1"));
    }
}
