//! What is kept and what is handed out: `stream` and `outbound`.

use headcount::{ConfigBuilder as B, ConnId, MESSAGE_OVERHEAD, Message, ReplyError};

use super::key::Row;
use crate::support::{World, config, secs};

/// What a message of one letter costs.
const LETTER: u64 = MESSAGE_OVERHEAD + 1;

/// A window that one letter fills, and logs that keep only what somebody lacks.
fn narrow() -> B {
    config().send_window(LETTER).stream_history(0).room_history(0).ping_interval(secs(0))
}

/// A reader who has been handed `a`, has read nothing of it, and lacks `b` and `c`, of the session
/// and of the lobby.
fn behind(world: &mut World) -> ConnId {
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.stall(alice);
    world.tell_session(alice, "a");
    world.drain();
    for text in ["b", "c"] {
        world.tell_session(alice, text);
        world.tell_room("lobby", text);
    }
    world.drain();
    alice
}

/// It reads everything: what it had missed by then, in order.
fn catch_up(world: &mut World, alice: ConnId, of: fn(&str) -> bool) -> Vec<String> {
    let _ = world.take(alice);
    while world.in_flight(alice) > 0 {
        world.flush(alice);
        world.drain();
    }
    world.take(alice).into_iter().filter(|what| of(what)).collect()
}

/// What the session's stream gives one who was behind.
fn of_session(world: &mut World) -> Vec<String> {
    let alice = behind(world);
    catch_up(world, alice, |what| !what.contains("lobby"))
}

/// What the room's stream gives one who was behind.
fn of_room(world: &mut World) -> Vec<String> {
    let alice = behind(world);
    catch_up(world, alice, |what| what.contains("lobby"))
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(String::from).to_vec()
}

pub(crate) const ROWS: &[Row] = &[
    ("stream.messages", |key| {
        let outcomes = [(1, texts(["gap 2..=2", "c"])), (2, texts(["b", "c"]))];
        key.decides(B::stream_messages, narrow(), outcomes, of_session);
    }),
    ("stream.bytes", |key| {
        let outcomes =
            [(2 * LETTER - 1, texts(["gap 2..=2", "c"])), (2 * LETTER, texts(["b", "c"]))];
        key.decides(B::stream_bytes, narrow(), outcomes, of_session);
    }),
    ("stream.ttl", |key| {
        let outcomes = [(secs(1), texts(["gap 2..=3"])), (secs(2), texts(["b", "c"]))];
        key.decides(B::stream_ttl, narrow(), outcomes, |world| {
            let alice = behind(world);
            world.run(secs(1));
            catch_up(world, alice, |what| !what.contains("lobby"))
        });
    }),
    ("stream.history", |key| {
        key.decides(B::stream_history, config(), [(1, 1), (2, 2)], |world| {
            let alice = world.open("alice", "main");
            (0..3).for_each(|_| world.tell_session(alice, "a"));
            world.settle();
            world.registry.stats().log_messages
        });
    }),
    ("stream.room_messages", |key| {
        let outcomes =
            [(1, texts(["gap lobby 1..=1", "lobby: c"])), (2, texts(["lobby: b", "lobby: c"]))];
        key.decides(B::room_messages, narrow(), outcomes, of_room);
    }),
    ("stream.room_bytes", |key| {
        let outcomes = [
            (2 * LETTER - 1, texts(["gap lobby 1..=1", "lobby: c"])),
            (2 * LETTER, texts(["lobby: b", "lobby: c"])),
        ];
        key.decides(B::room_bytes, narrow(), outcomes, of_room);
    }),
    ("stream.room_ttl", |key| {
        let outcomes =
            [(secs(1), texts(["gap lobby 1..=2"])), (secs(2), texts(["lobby: b", "lobby: c"]))];
        key.decides(B::room_ttl, narrow(), outcomes, |world| {
            let alice = behind(world);
            world.run(secs(1));
            catch_up(world, alice, |what| what.contains("lobby"))
        });
    }),
    ("stream.room_history", |key| {
        key.decides(B::room_history, config(), [(1, 1), (2, 2)], |world| {
            let alice = world.open("alice", "main");
            world.join(alice, "lobby");
            (0..3).for_each(|_| world.tell_room("lobby", "a"));
            world.settle();
            world.registry.stats().log_messages
        });
    }),
    ("outbound.window", |key| {
        let outcomes = [(2 * LETTER - 1, texts(["a"])), (2 * LETTER, texts(["a", "b"]))];
        key.decides(B::send_window, narrow(), outcomes, |world| {
            let alice = behind(world);
            world.take(alice).into_iter().filter(|what| !what.contains("lobby")).collect()
        });
    }),
    ("outbound.reply_reserve", |key| {
        // The window is exceeded by the first, so that only the reply reserve is left for the second.
        let least = 2 * LETTER - MESSAGE_OVERHEAD;
        let outcomes = [(least - 1, Err(ReplyError::Full)), (least, Ok(()))];
        key.decides(B::reply_reserve, config().send_window(MESSAGE_OVERHEAD), outcomes, |world| {
            let alice = world.open("alice", "main");
            world.tell_conn(alice, "a");
            world.registry.reply(world.now, alice, Message::text("b"))
        });
    }),
    ("outbound.direct_bytes", |key| {
        let config = config().reply_reserve(0);
        let outcomes = [(2 * LETTER - 1, Err(ReplyError::Full)), (2 * LETTER, Ok(()))];
        key.decides(B::direct_bytes, config, outcomes, |world| {
            let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
            world.tell_conn(alice, "a");
            world.registry.reply(world.now, bob, Message::text("b"))
        });
    }),
    ("outbound.slow_deadline", |key| {
        let outcomes = [(secs(1), secs(1)), (secs(2), secs(2))];
        key.decides(B::slow_deadline, narrow(), outcomes, |world| {
            let alice = behind(world);
            world.run_until(alice, "close slow_consumer")
        });
    }),
];
