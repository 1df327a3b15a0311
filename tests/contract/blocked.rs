//! A connection whose next entry does not fit its window, while what it lacks shrinks: when it is
//! looked at again.
//!
//! Something is in flight to it then, so that its next `flushed` looks again. Nothing else has to.

use bytes::Bytes;
use headcount::{ConfigBuilder, ConnId, Key, Message, RunEvent, RunId, Target};

use crate::support::{World, config, room, secs, text_of_cost, thread, user};

/// A window of 1,000, of which 100 are in flight to one who follows a session and the lobby.
fn world(config: ConfigBuilder) -> (World, ConnId) {
    let mut world = World::with(settings(config));
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.tell_session(alice, &text_of_cost(100));
    world.drain();
    world.take(alice);
    (world, alice)
}

fn settings(config: ConfigBuilder) -> ConfigBuilder {
    config.send_window(1_000).ping_interval(secs(0)).slow_deadline(secs(60))
}

/// What does not fit beside a hundred.
fn large() -> Message {
    Message::text(text_of_cost(950))
}

/// An entry that does not fit stands next in the session's stream.
fn block(world: &mut World, alice: ConnId, large: Message) {
    let session = world.session(alice);
    world.send(Target::Session(session), large);
    world.drain();
    assert!(world.take(alice).is_empty(), "it is blocked");
}

/// What it lacks has shrunk: nothing comes before the next `flushed`, and then this.
fn comes_with_the_next_flush(world: &mut World, alice: ConnId, expected: &[&str]) {
    assert_eq!(world.drain(), 0, "{:?} comes without a flush", world.seen(alice));
    world.flush(alice);
    world.drain();
    assert_eq!(world.seen(alice), expected);
}

#[test]
fn the_bounds_of_its_log_take_it_away() {
    let (mut world, alice) = world(config().stream_messages(1));
    block(&mut world, alice, large());
    world.tell_session(alice, "next");
    comes_with_the_next_flush(&mut world, alice, &["gap 2..=2", "next"]);
}

#[test]
fn a_budget_takes_it_away() {
    let (mut world, alice) = world(config().user_bytes(1_000));
    block(&mut world, alice, large());
    world.tell_session(alice, "next");
    comes_with_the_next_flush(&mut world, alice, &["gap 2..=2", "next"]);
}

#[test]
fn it_is_too_old() {
    let (mut world, alice) = world(config().stream_ttl(secs(5)));
    block(&mut world, alice, large());
    world.skip(secs(6));
    comes_with_the_next_flush(&mut world, alice, &["gap 2..=2"]);
}

#[test]
fn a_newer_message_of_its_key_takes_its_place() {
    let latest = |text: &str| Message::text(text).latest(Key::new("key").unwrap());
    let (mut world, alice) = world(config());
    block(&mut world, alice, latest(&text_of_cost(950)));
    let session = world.session(alice);
    world.send(Target::Session(session), latest("newer"));
    comes_with_the_next_flush(&mut world, alice, &["newer"]);
}

#[test]
fn its_run_ends_and_is_forgotten() {
    let (mut world, alice) = world(config().stream_messages(1));
    let (name, main, run) = (user("alice"), thread("main"), RunId::new("r").unwrap());
    let mut scope = world.registry.scope(&name);
    let text = text_of_cost(950);
    scope.open_run(world.now, &main, &run, "agent", Bytes::from_static(b"go")).map(drop).unwrap();
    scope.run_event(world.now, &run, &RunEvent::text(&text)).map(drop).unwrap();
    world.drain();
    assert_eq!(world.take(alice), ["r Started go"]);
    let mut scope = world.registry.scope(&name);
    let completed = RunEvent::Completed(Bytes::new());
    scope.run_event(world.now, &run, &completed).map(drop).unwrap();
    world.tell_session(alice, "next");
    assert!(world.registry.run(&name, &run).is_none(), "nothing of it is kept");
    // The message in flight is 1, the start 2, then each byte of the text, and the end.
    let gap = format!("gap 3..={}", 2 + text.len() + 1);
    comes_with_the_next_flush(&mut world, alice, &[&gap, "next"]);
}

#[test]
fn the_room_that_it_is_in_ends() {
    let (mut world, alice) = world(config().room_history(0));
    world.send(Target::Room(&room("lobby")), large());
    world.drain();
    world.tell_session(alice, "next");
    world.drain();
    assert!(world.take(alice).is_empty(), "one stream that is blocked holds back the others");
    world.leave(alice, "lobby");
    assert!(world.registry.room(&room("lobby")).is_none());
    comes_with_the_next_flush(&mut world, alice, &["next"]);
}

#[test]
fn an_acknowledgement_takes_nothing_away() {
    let (mut world, alice) = world(config().stream_messages(2));
    block(&mut world, alice, large());
    world.acknowledge(alice, 2).unwrap();
    let large = text_of_cost(950);
    comes_with_the_next_flush(&mut world, alice, &[&large]);
}

#[test]
fn a_reload_looks_again_at_once() {
    let (mut world, alice) = world(config().stream_messages(2));
    block(&mut world, alice, large());
    world.tell_session(alice, "next");
    assert_eq!(world.drain(), 0);
    let less = settings(config().stream_messages(1));
    world.registry.reload(world.now, less.build().unwrap());
    world.drain();
    assert_eq!(world.take(alice), ["gap 2..=2", "next"]);

    // A wider window has room for what stays as it is.
    block(&mut world, alice, large());
    let wide = settings(config().stream_messages(1)).send_window(10_000);
    world.registry.reload(world.now, wide.build().unwrap());
    world.drain();
    assert_eq!(world.take(alice), [text_of_cost(950)]);
}

#[test]
fn a_flush_that_leaves_more_than_half_of_the_window_in_flight_does_not_look() {
    let (mut world, alice) = world(config().stream_messages(1));
    world.tell_session(alice, &text_of_cost(900));
    world.drain();
    world.take(alice);
    block(&mut world, alice, large());
    world.tell_session(alice, "next");
    world.flush_some(alice, 499);
    assert_eq!(world.drain(), 0);
    world.flush_some(alice, 1);
    assert_eq!(world.drain(), 2);
    assert_eq!(world.seen(alice), ["gap 3..=3", "next"]);
}
