//! Who is handed an entry together with others, who takes a turn of its own, and what a close takes along.

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, Message, Principal, RunEvent, RunId, Start, Target, ThreadId, UserId,
};

use crate::support::{World, config, room, secs, text_of_cost, thread, user, who};

/// What was polled, and for whom.
fn polled(world: &World, from: usize) -> Vec<(Vec<ConnId>, &str)> {
    world.polled[from..].iter().map(|it| (it.to.clone(), &*it.what)).collect()
}

fn open_run(world: &mut World) {
    let (alice, main, run) = names();
    let mut scope = world.registry.scope(&alice);
    let _ = scope.open_run(world.now, &main, &run, "agent", Bytes::new()).unwrap();
}

fn names() -> (UserId, ThreadId, RunId) {
    (user("alice"), thread("main"), RunId::new("r").unwrap())
}

fn say(world: &mut World, text: &str) {
    let (alice, _, run) = names();
    let text = RunEvent::text(text);
    let _ = world.registry.scope(&alice).run_event(world.now, &run, &text).unwrap();
}

#[test]
fn a_stretch_whose_rest_leaves_its_members_out_goes_to_the_back_of_the_queue() {
    let mut world = World::with(config().fanout_chunk(1));
    let [first, second, other] = ["alice", "bob", "carol"].map(|name| world.open(name, "main"));
    for conn in [first, second] {
        world.join(conn, "lobby");
    }
    world.join(other, "den");
    world.tell_room("lobby", "one");
    let two = Message::text("two").except_connection(first);
    world.send(Target::Room(&room("lobby")), two);
    world.tell_room("den", "three");
    world.drain();
    let expected = [
        (vec![first], "lobby: one"),
        (vec![other], "den: three"),
        (vec![second], "lobby: one"),
        (vec![second], "lobby: two"),
    ];
    assert_eq!(polled(&world, 0), expected);
}

#[test]
fn who_has_had_the_beginning_of_a_text_is_not_handed_it_with_those_who_have_not() {
    let mut world = World::new();
    let whole = world.open("alice", "main");
    open_run(&mut world);
    world.settle();
    say(&mut world, "hel");
    // This one begins within the text, which is not handed out yet.
    let conn = world.reserve();
    let now = world.now;
    world.registry.connect(now, conn, who("alice", "main"), Start::Now, None).unwrap();
    say(&mut world, "lo");
    let from = world.polled.len();
    world.drain();
    assert_eq!(polled(&world, from), [(vec![whole], "r says hello"), (vec![conn], "r says lo")]);
}

#[test]
fn what_leaves_a_member_out_does_not_make_it_fall_behind() {
    let mut world = World::with(config().send_window(200));
    let conns = ["alice", "bob"].map(|name| world.open(name, "main"));
    for conn in conns {
        world.join(conn, "lobby");
    }
    world.stall(conns[0]);
    for _ in 0..4 {
        world.tell_session(conns[0], "hello");
        world.settle();
    }
    let hello = Message::text("hello").except_connection(conns[0]);
    world.send(Target::Room(&room("lobby")), hello);
    world.settle();
    assert_eq!(world.registry.room(&room("lobby")).unwrap().lagging(), 0);
    world.flush(conns[0]);
    world.settle();
    assert!(!world.seen(conns[0]).contains(&"lobby: hello"));
}

#[test]
fn what_is_handed_out_in_turns_of_ones_own_counts_as_sent() {
    let mut world = World::with(config().send_window(200));
    let conn = world.open("alice", "main");
    world.stall(conn);
    for _ in 0..6 {
        world.tell_session(conn, "hello");
    }
    world.drain();
    let before = world.registry.stats().sent;
    world.flush(conn);
    let mut steps = 0;
    while world.step().is_some() {
        steps += 1;
        world.flush(conn);
    }
    assert_eq!((world.registry.stats().sent - before, steps, world.seen(conn).len()), (4, 4, 6));
}

#[test]
fn without_flush_reports_a_direct_message_that_is_handed_out_lets_streams_go_on() {
    let blind = config().send_window(300).ping_interval(secs(0)).without_flush_reports();
    let mut world = World::with(blind);
    let conn = world.open("alice", "main");
    for _ in 0..3 {
        world.tell_conn(conn, &text_of_cost(100));
    }
    world.tell_session(conn, "hello");
    world.drain();
    assert_eq!(world.seen(conn).last(), Some(&"hello"));
}

#[test]
fn a_close_takes_a_text_along_that_is_no_longer_than_the_window() {
    for (cost, is_taken) in [(1_000, true), (1_001, false)] {
        let mut world = World::with(config().send_window(1_000));
        let conn = world.open("alice", "main");
        open_run(&mut world);
        world.settle();
        world.take(conn);
        say(&mut world, &text_of_cost(cost));
        world.close(Target::Conn(conn), CloseReason::Application);
        world.settle();
        let seen = world.seen(conn);
        assert_eq!(seen[0].starts_with("r says xxx"), is_taken, "{cost}");
        assert!(seen.contains(&"close application"));
    }
}

#[test]
fn a_message_that_leaves_its_user_out_counts_none_of_that_user_s() {
    let mut world = World::with(config().send_window(200));
    let conns = [(); 3].map(|()| world.open("alice", "main"));
    world.stall(conns[2]);
    for _ in 0..4 {
        world.tell_session(conns[0], "hello");
        world.settle();
    }
    assert_eq!(world.reached(), (2, 1));
    let session = Target::Session(world.session(conns[0]));
    world.send(session, Message::text("hello").except_user(conns[0]));
    assert_eq!(world.reached(), (0, 0));
    let stranger = world.open_as(Principal::new(user("bob")));
    world.send(session, Message::text("hello").except_user(stranger));
    assert_eq!(world.reached(), (2, 1));
}
