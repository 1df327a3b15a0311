//! Replies that a shell writes at once: what they are charged, and what they may not overtake.

use headcount::{CloseReason, Message, ReplyError, Target};

use crate::support::{World, config, secs};

/// Windows of 1,000, lanes of 200.
fn world() -> World {
    World::with(config().send_window(1_000).reply_reserve(200).ping_interval(secs(0)))
}

#[test]
fn a_reply_at_once_is_charged_as_one_that_was_polled() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.drain();
    let before = world.registry.connection(alice).unwrap().flushed();
    // A cost of a thousand: the whole window, and then its reserve.
    for (bytes, load) in [(936, 1_000), (136, 1_200)] {
        assert_eq!(world.registry.reply_at_once(world.now, alice, bytes), Ok(true));
        assert_eq!(world.registry.connection(alice).unwrap().load(), load);
    }
    let more = world.registry.reply_at_once(world.now, alice, 0);
    assert_eq!(more, Err(ReplyError::Full));
    assert!(world.registry.poll_action().is_none(), "there is nothing to poll");
    assert_eq!(world.registry.stats().sent, 2);
    world.registry.flushed(world.now, alice, before + 1_200).unwrap();
    assert_eq!(world.registry.connection(alice).unwrap().load(), 0);
}

#[test]
fn a_reply_at_once_of_an_absurd_length_does_not_fit() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.drain();
    assert_eq!(world.registry.connection(alice).unwrap().load(), 0, "any length fits");
    for bytes in [1 << 32, usize::MAX - 64, usize::MAX] {
        let answer = world.registry.reply_at_once(world.now, alice, bytes);
        assert_eq!(answer, Err(ReplyError::Full));
    }
    assert_eq!(world.registry.reply_at_once(world.now, alice, 1), Ok(true));
}

#[test]
fn a_reply_at_once_overtakes_nothing_that_is_directed_at_its_connection() {
    let mut world = world();
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.drain();
    world.registry.reply(world.now, alice, Message::text("first")).unwrap();
    assert_eq!(world.registry.reply_at_once(world.now, alice, 6), Ok(false));
    assert_eq!(world.registry.connection(alice).unwrap().load(), 64 + 5, "nothing was charged");
    assert_eq!(world.registry.reply_at_once(world.now, bob, 6), Ok(true), "others are no matter");
    world.drain();
    assert_eq!(world.registry.reply_at_once(world.now, alice, 6), Ok(true));
    world.registry.close(world.now, Target::Conn(alice), CloseReason::Application);
    let closing = world.registry.reply_at_once(world.now, alice, 6);
    assert_eq!(closing, Err(ReplyError::UnknownConn));
}
