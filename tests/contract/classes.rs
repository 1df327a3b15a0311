//! What is let go when there is no room or no time for all messages, and what is told of it.

use headcount::{Class, ConfigBuilder, ConnId, Key, Message, Position, Recovered, Target};

use crate::support::{World, config, room, text_of_cost};

const NOTHING: [&str; 0] = [];

/// A window that one large message fills.
fn narrow() -> ConfigBuilder {
    config().window(1_000).reply_reserve(200)
}

fn droppable(text: &str) -> Message {
    Message::text(text).class(Class::Droppable)
}

fn latest(key: &str, text: &str) -> Message {
    Message::text(text).class(Class::Latest(Key::new(key).expect("a fine key")))
}

/// A connection whose window is full, so that whatever is sent to its session waits.
fn stuck(world: &mut World) -> ConnId {
    let conn = world.open("alice", "main");
    world.tell_conn(conn, &text_of_cost(1_000));
    world.drain();
    world.take(conn);
    conn
}

fn to_session(world: &mut World, conn: ConnId, message: Message) {
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

#[test]
fn the_latest_of_a_key_leaves_nobody_out() {
    let mut world = World::with(narrow());
    let alice = stuck(&mut world);
    to_session(&mut world, alice, latest("k", "1"));
    // Said before the class it is forgotten, said after it the class is.
    let both = Message::text("2").except(alice).class(Class::Latest(Key::new("k").unwrap()));
    to_session(&mut world, alice, both);
    to_session(&mut world, alice, latest("k", "3").except(alice));
    world.flush(alice);
    assert_eq!(catch_up(&mut world, alice), ["2"]);
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
    to_session(&mut world, alice, Message::text("4").except(alice));
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
    let kept = world.registry.explain_session(world.session(alice)).unwrap();
    assert_eq!((kept.lost, kept.entries), (1, 2), "the oldest went, not what came last");
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
    let kept = world.registry.explain_session(world.session(alice)).unwrap();
    assert_eq!((kept.lost, kept.entries), (2, 3), "everybody had the two that went");
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
    let head = world.registry.session_position(world.session(alice)).unwrap();
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
    assert!(world.delivery.nobody() && world.delivery.stored().is_empty());
    let head = world.registry.session_position(session).unwrap();
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
