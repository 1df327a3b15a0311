//! The application's own words in a close: who sees them, and what everything else shows.

use headcount::{Action, CloseReason, CloseWords, CloseWordsError, Notice, Retry, Target, Within};

use crate::support::{World, config, room, user};

fn words(code: u16, text: &str) -> CloseWords {
    CloseWords::new(code, text).unwrap()
}

#[test]
fn the_close_has_the_code_and_the_text_and_everything_else_the_reason() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.tell_conn(alice, "farewell");
    world.close(Target::Conn(alice), words(4200, "this account was deleted"));
    world.drain();
    assert_eq!(world.registry.connection(alice).unwrap().reason(), Some(CloseReason::Application));
    world.hang_up(alice);
    world.settle();
    let expected =
        ["direct: farewell", "close 4200 this account was deleted", "cleanup application"];
    assert_eq!(world.seen(alice), expected);
    assert_eq!(world.registry.stats().closed(CloseReason::Application), 1);
    let closed = world.registry.closed().next_back().unwrap();
    assert_eq!((closed.conn, closed.reason), (alice, CloseReason::Application));
    let is_told =
        |notice: &Notice| matches!(notice, Notice::Closed { reason: CloseReason::Application, .. });
    assert!(core::iter::from_fn(|| world.registry.poll_notice()).any(|notice| is_told(&notice)));
}

#[test]
fn all_that_are_closed_by_one_call_get_the_same_words() {
    for target in ["session", "user", "room", "everyone"] {
        let mut world = World::with(config().fanout_chunk(1));
        let conns = [(); 3].map(|()| world.open("alice", "main"));
        for conn in conns {
            world.join(conn, "lobby");
        }
        let session = world.session(conns[0]);
        let (alice, lobby) = (user("alice"), room("lobby"));
        let target = match target {
            "session" => Target::Session(session),
            "user" => Target::User(&alice),
            "room" => Target::Room(&lobby),
            _ => Target::Everyone,
        };
        assert_eq!(world.close(target, words(4000, "moved")), 3);
        world.settle();
        for conn in conns {
            assert_eq!(world.seen(conn), ["close 4000 moved"], "{target:?}");
        }
    }
}

#[test]
fn code_for_one_user_closes_in_its_own_words_too() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    let words = words(4100, "");
    let name = user("alice");
    assert_eq!(world.registry.scope(&name).close(world.now, Within::Everywhere, &words), 1);
    world.settle();
    assert_eq!(world.seen(alice), ["close 4100 "]);
}

#[test]
fn a_socket_that_waits_to_be_admitted_is_closed_in_the_same_words() {
    let mut world = World::new();
    let conn = world.registry.reserve(world.now, None).unwrap();
    world.close(Target::Everyone, words(4399, "closed for the night"));
    let mut seen = Vec::new();
    while let Some(action) = world.registry.poll_action() {
        if let Action::Close { conn: closed, reason, code, text } = action {
            assert_eq!(closed, conn);
            seen.push((reason, code, text.to_owned()));
        }
    }
    assert_eq!(seen, [(CloseReason::Application, 4399, "closed for the night".into())]);
}

#[test]
fn a_connection_that_closes_already_keeps_the_words_that_it_has() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    assert_eq!(world.close(Target::Conn(alice), words(4001, "first")), 1);
    assert_eq!(world.close(Target::Conn(alice), words(4002, "second")), 0);
    world.settle();
    assert_eq!(world.seen(alice), ["close 4001 first"]);
}

#[test]
fn words_that_a_close_frame_can_not_carry_are_refused() {
    assert_eq!(words(4199, "").retry(), Retry::Reconnect);
    assert_eq!(words(4200, &"x".repeat(123)).retry(), Retry::Stop);
    assert_eq!(CloseWords::new(4400, ""), Err(CloseWordsError::Code(4400)));
    let long = "x".repeat(124);
    assert_eq!(CloseWords::new(4000, &long), Err(CloseWordsError::TooLong { bytes: 124 }));
    let said = CloseWordsError::Code(1000).to_string();
    assert!(said.contains("4000 to 4399"), "{said}");
}
