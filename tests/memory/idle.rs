//! What one more connection takes, with its user and its session: printed, and no more than is said here.

use headcount::{Registry, Start};

use super::{START, config, live_bytes, who};

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
