//! What is let go when there is no room or no time for all messages, and what is told of it.

use headcount::{ConfigBuilder, ConnId, Key, Message, Outgoing, Position, Recovered, Target};

use crate::support::{World, config, room, text_of_cost};

const NOTHING: [&str; 0] = [];

/// A window that one large message fills.
fn narrow() -> ConfigBuilder {
    config().send_window(1_000).reply_reserve(200)
}

fn droppable(text: &str) -> Message {
    Message::text(text).droppable()
}

fn latest(key: &str, text: &str) -> Message {
    Message::text(text).latest(Key::new(key).expect("a fine key"))
}

/// A connection whose window is full, so that whatever is sent to its session waits.
fn stuck(world: &mut World) -> ConnId {
    let conn = world.open("alice", "main");
    world.tell_conn(conn, &text_of_cost(1_000));
    world.drain();
    world.take(conn);
    conn
}

fn to_session(world: &mut World, conn: ConnId, message: impl Into<Outgoing>) {
    let session = world.session(conn);
    world.send(Target::Session(session), message);
}

/// It is flushed, again and again, until it has everything.
fn catch_up(world: &mut World, conn: ConnId) -> Vec<String> {
    world.settle();
    world.take(conn)
}

#[test]
fn whoever_keeps_up_is_handed_every_class() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    for message in [droppable("a"), latest("k", "b"), latest("k", "c"), Message::text("d")] {
        to_session(&mut world, alice, message);
        world.settle();
    }
    assert_eq!(world.seen(alice), ["a", "b", "c", "d"]);
    assert_eq!(world.registry.stats().gaps, 0);
}

#[test]
fn of_a_key_only_the_newest_waits_and_nothing_is_told_as_lost() {
    let mut world = World::with(narrow());
    let alice = stuck(&mut world);
    to_session(&mut world, alice, latest("price", "1"));
    to_session(&mut world, alice, Message::text("news"));
    to_session(&mut world, alice, latest("volume", "7"));
    to_session(&mut world, alice, latest("price", "2"));
    assert_eq!(world.registry.stats().log_messages, 3);
    world.flush(alice);
    assert_eq!(catch_up(&mut world, alice), ["news", "7", "2"], "in the order of the newest");
    assert_eq!(world.registry.stats().gaps, 0);
}

#[test]
fn a_slow_connection_converges_on_the_newest_of_each_key() {
    let mut world = World::with(narrow().stream_messages(4));
    let alice = stuck(&mut world);
    for number in 0..500 {
        to_session(&mut world, alice, latest("x", &format!("x{number}")));
        to_session(&mut world, alice, latest("y", &format!("y{number}")));
        world.drain();
    }
    world.flush(alice);
    assert_eq!(catch_up(&mut world, alice), ["x499", "y499"]);
    assert_eq!((world.open_count(), world.registry.stats().gaps), (1, 0));
}

#[test]
fn a_key_is_one_of_its_stream_and_of_its_class() {
    let mut world = World::with(narrow());
    let alice = stuck(&mut world);
    world.join(alice, "lobby");
    to_session(&mut world, alice, latest("k", "session"));
    world.send(Target::Room(&room("lobby")), latest("k", "room"));
    to_session(&mut world, alice, Message::text("critical"));
    to_session(&mut world, alice, droppable("droppable"));
    assert_eq!(world.registry.stats().log_messages, 4);
}

/// Two tabs of one session: one keeps up, and the window of the other is full.
fn one_is_behind() -> (World, [ConnId; 2]) {
    let mut world = World::with(narrow());
    let quick = world.open("alice", "main");
    let behind = stuck(&mut world);
    (world, [quick, behind])
}

#[test]
fn a_message_of_any_class_is_left_out_for_its_sender_alone() {
    let latest = |it: Message| it.latest(Key::new("k").expect("a fine key"));
    for class in [|it| it, Message::droppable, latest] {
        let mut world = World::new();
        let [sender, other] = [(); 2].map(|()| world.open("alice", "main"));
        to_session(&mut world, sender, class(Message::text("mine")).except_connection(sender));
        assert_eq!(world.reached(), (1, 0));
        to_session(&mut world, sender, Message::text("next"));
        world.settle();
        assert_eq!(world.seen(sender), ["next"]);
        assert_eq!(world.seen(other), ["mine", "next"]);
        assert_eq!(world.registry.stats().gaps, 0);
    }
}

#[test]
fn a_sender_that_is_behind_lacks_neither_its_own_message_nor_what_that_has_replaced() {
    let (mut world, [quick, behind]) = one_is_behind();
    to_session(&mut world, quick, latest("k", "1"));
    world.drain();
    to_session(&mut world, quick, latest("k", "2").except_connection(behind));
    assert_eq!(world.reached(), (1, 0));
    to_session(&mut world, quick, droppable("3").except_connection(behind));
    to_session(&mut world, quick, Message::text("4").except_connection(behind));
    to_session(&mut world, quick, Message::text("5"));
    world.drain();
    world.flush(behind);
    assert_eq!(catch_up(&mut world, behind), ["5"]);
    assert_eq!(world.seen(quick), ["1", "2", "3", "4", "5"]);
    assert_eq!(world.registry.stats().gaps, 0);
}

#[test]
fn what_takes_the_place_of_a_senders_own_message_is_for_the_sender_too() {
    let (mut world, [quick, behind]) = one_is_behind();
    to_session(&mut world, quick, latest("k", "1").except_connection(behind));
    to_session(&mut world, quick, latest("k", "2").except_connection(quick));
    world.drain();
    world.flush(behind);
    assert_eq!(catch_up(&mut world, behind), ["2"]);
    assert_eq!(world.seen(quick), NOTHING, "the first was replaced before it was handed out");
    assert_eq!(world.registry.stats().gaps, 0);
}

#[test]
fn whoever_resumes_gets_the_latest_of_a_key_that_the_connection_before_it_has_sent() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    to_session(&mut world, alice, latest("k", "1"));
    to_session(&mut world, alice, latest("k", "2").except_connection(alice));
    world.settle();
    let head = world.registry.session(world.session(alice)).unwrap().position();
    let (back, admitted) = world.resume("alice", "main", Position { offset: 0, ..head });
    assert_eq!(admitted.recovered, Recovered::All);
    world.settle();
    assert_eq!((world.seen(alice), world.seen(back)), (vec![], vec!["2"]));
}

#[test]
fn whoever_is_behind_passes_over_what_is_droppable_and_is_told() {
    let mut world = World::with(narrow());
    let alice = stuck(&mut world);
    for message in [Message::text("1"), droppable("2"), Message::text("3")] {
        to_session(&mut world, alice, message);
    }
    world.drain();
    world.flush(alice);
    assert_eq!(catch_up(&mut world, alice), ["1", "gap 2..=2", "3"]);
}

#[test]
fn what_is_lost_up_to_the_next_message_is_told_as_one_gap() {
    let mut world = World::with(narrow().stream_messages(3));
    let alice = stuck(&mut world);
    // Trimmed, shed, passed over, and superseded ones and some for others in between.
    to_session(&mut world, alice, Message::text("1"));
    to_session(&mut world, alice, droppable("2"));
    to_session(&mut world, alice, latest("k", "3"));
    to_session(&mut world, alice, Message::text("4").except_connection(alice));
    to_session(&mut world, alice, droppable("5"));
    to_session(&mut world, alice, latest("k", "6"));
    to_session(&mut world, alice, Message::text("7"));
    world.drain();
    world.flush(alice);
    let told = catch_up(&mut world, alice);
    assert_eq!(told, ["gap 1..=5", "6", "7"]);
    assert_eq!(world.registry.stats().gaps, 1);
}

#[test]
fn a_gap_begins_and_ends_with_something_lost() {
    let mut world = World::with(narrow());
    let alice = stuck(&mut world);
    for message in [latest("k", "1"), droppable("2"), droppable("3"), latest("k", "4")] {
        to_session(&mut world, alice, message);
    }
    world.drain();
    world.flush(alice);
    assert_eq!(catch_up(&mut world, alice), ["gap 2..=3", "4"]);
}

#[test]
fn droppables_are_shed_before_anything_else_while_a_laggard_holds_the_log() {
    let mut world = World::with(narrow().stream_messages(3));
    let alice = stuck(&mut world);
    for message in
        [Message::text("1"), droppable("2"), Message::text("3"), droppable("4"), Message::text("5")]
    {
        to_session(&mut world, alice, message);
    }
    assert_eq!(world.registry.stats().log_messages, 3);
    world.flush(alice);
    assert_eq!(catch_up(&mut world, alice), ["1", "gap 2..=2", "3", "gap 4..=4", "5"]);
}

#[test]
fn the_newest_is_never_shed() {
    let mut world = World::with(narrow().stream_messages(2));
    let alice = stuck(&mut world);
    for message in [Message::text("1"), Message::text("2"), droppable("3")] {
        to_session(&mut world, alice, message);
    }
    let kept = world.registry.session(world.session(alice)).unwrap();
    assert_eq!((kept.lost(), kept.entries()), (1, 2), "the oldest went, not what came last");
}

#[test]
fn history_is_let_go_before_what_is_still_owed() {
    let mut world = World::with(narrow().stream_messages(3).stream_history(3));
    let alice = world.open("alice", "main");
    for number in ["1", "2"] {
        world.tell_session(alice, number);
        world.settle();
    }
    world.tell_conn(alice, &text_of_cost(1_000));
    world.drain();
    world.take(alice);
    for message in [droppable("3"), Message::text("4"), Message::text("5")] {
        to_session(&mut world, alice, message);
    }
    let kept = world.registry.session(world.session(alice)).unwrap();
    assert_eq!((kept.lost(), kept.entries()), (2, 3), "each member had the two that went");
}

#[test]
fn what_is_droppable_is_never_history() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    to_session(&mut world, alice, Message::text("1"));
    to_session(&mut world, alice, droppable("2"));
    to_session(&mut world, alice, Message::text("3"));
    world.settle();
    assert_eq!(world.registry.stats().log_messages, 2);
    let head = world.registry.session(world.session(alice)).unwrap().position();
    let (back, admitted) = world.resume("alice", "main", Position { offset: 0, ..head });
    assert_eq!(admitted.recovered, Recovered::Gap);
    world.settle();
    assert_eq!(world.seen(back), ["1", "gap 2..=2", "3"]);
}

#[test]
fn a_message_that_is_kept_for_nobody_has_an_offset_all_the_same() {
    let mut world = World::with(config().stream_history(0));
    let alice = world.open("alice", "main");
    let session = world.session(alice);
    world.hang_up(alice);
    world.settle();
    world.send(Target::Session(session), Message::text("lost"));
    assert!(world.delivery.reaches_none() && world.delivery.stored().is_empty());
    let head = world.registry.session(session).unwrap().position();
    assert_eq!(head.offset, 1);
    let (back, admitted) = world.resume("alice", "main", Position { offset: 0, ..head });
    assert_eq!(admitted.recovered, Recovered::Gap);
    world.settle();
    assert_eq!(world.seen(back), ["gap 1..=1"]);
}

#[test]
fn a_close_hands_out_what_is_droppable_to_whoever_kept_up() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    to_session(&mut world, alice, droppable("bye"));
    world.close(Target::Conn(alice), headcount::CloseReason::Application);
    world.drain();
    assert_eq!(world.seen(alice), ["bye", "close application"]);
}

#[test]
fn a_room_that_kept_only_what_is_droppable_ends_with_its_last_member() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.send(Target::Room(&room("lobby")), droppable("gone"));
    // The sweep is still to come when the last member leaves.
    world.leave(alice, "lobby");
    world.settle();
    assert_eq!(world.registry.stats().rooms, 0);
    assert_eq!(world.seen(alice), NOTHING);
}
