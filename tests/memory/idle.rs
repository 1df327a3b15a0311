//! What one more connection takes, with its user and its session: printed, and no more than is said here.

use headcount::{Message, Registry, Start, Target};

use super::{START, config, live_bytes, user, who};

/// A name of 36 bytes, as long as a UUID.
fn name(number: usize) -> String {
    format!("{:08x}-0000-4000-8000-{number:012x}", (number as u32).wrapping_mul(0x9E37_79B9))
}

fn admit(registry: &mut Registry, number: usize) {
    let who = who(&name(number), &name(number));
    registry.admit(START, who, Start::OpenRuns, None).unwrap();
    while registry.poll_action().is_some() {}
}

/// The bytes that each of so many connections takes, each of a user of its own and with all its deadlines
/// armed, and what one more of each of these users takes, in the same session.
fn bytes_each(connections: usize) -> (i64, i64) {
    let config = config().connections(300_000).connect_rate(0).build().unwrap();
    let mut registry = Registry::new(config);
    let empty = live_bytes();
    (0..connections).for_each(|number| admit(&mut registry, number));
    let once = live_bytes();
    (0..connections).for_each(|number| admit(&mut registry, number));
    let count = connections as i64;
    ((once - empty) / count, (live_bytes() - once) / count)
}

#[test]
fn an_idle_connection_takes_as_many_bytes_as_is_said() {
    for (connections, own, further) in [(10_000, 563, 250), (100_000, 548, 245)] {
        let each = bytes_each(connections);
        println!("{connections} connections: {} bytes each, {} for a further one", each.0, each.1);
        assert!(each.0 <= own && each.1 <= further, "{each:?} at {connections}");
    }
}

#[test]
fn what_turns_of_streams_and_of_connections_needed_is_given_back() {
    let config = config().connections(5_000).connect_rate(0).notices(1).stream_history(0);
    let mut registry = Registry::new(config.send_window(200).build().unwrap());
    let mut handed: Vec<_> = (0..4_000)
        .map(|number| {
            let conn = registry.reserve(START, None).unwrap();
            let who = who(&name(number), &name(number));
            registry.connect(START, conn, who, Start::OpenRuns, None).unwrap();
            (conn, 0)
        })
        .collect();
    while registry.poll_action().is_some() {}
    let before = live_bytes();
    for (number, (conn, _)) in handed.iter().enumerate() {
        for _ in 0..4 {
            // The window has no room for all: the connection takes turns of its own.
            let _ =
                registry.send(START, Target::User(&user(&name(number))), Message::text("hello"));
        }
        let _ = registry.send(START, Target::Conn(*conn), Message::text("hello"));
    }
    while registry.has_actions() {
        while let Some(action) = registry.poll_action() {
            let (cost, slots) = (action.cost(), action.recipients().iter().map(|it| it.index()));
            slots.for_each(|slot| handed[slot].1 += cost);
        }
        for (conn, total) in &handed {
            registry.flushed(START, *conn, *total).unwrap();
        }
    }
    assert_eq!(registry.stats().sent, 5 * 4_000);
    // A chunk of the outbox stays, and deadlines that were armed, which are bounds: less than 20 bytes of a
    // connection. What turns and messages needed is not among it.
    let left = live_bytes() - before;
    assert!(left < 200_000, "{left} bytes are left of 4,000 connections");
}
