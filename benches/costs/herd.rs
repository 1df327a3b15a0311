//! Deadlines of 1,000,000 connections that are due at once, from the ping to the end of the session.

use crate::measure::Costs;
use crate::world::{MANY, World, config};

pub(crate) fn herd(costs: &mut Costs) {
    let mut world = World::crowd(config(), MANY);
    let [mut pings, mut poll, mut flushed] = costs.rows([
        "tick, 1,000,000 heartbeats due",
        "poll_action, one of 1,000,000 pings",
        "flushed, one of 1,000,000 pings",
    ]);
    world.pass(&mut pings, &mut poll, 25);
    for conn in &world.conns {
        let _ = flushed.time(|| world.registry.flushed(world.now, *conn, u64::MAX)).unwrap();
    }
    assert_eq!(world.registry.stats().pings_sent, MANY as u64);
    costs.keep([pings, poll, flushed]);
    let [mut suspects, mut nothing, mut timeouts, mut poll] = costs.rows([
        "tick, 1,000,000 become suspect",
        "poll_action, nothing after that tick",
        "tick, 1,000,000 pong timeouts due",
        "poll_action, one of 1,000,000 closes",
    ]);
    world.pass(&mut suspects, &mut nothing, 5);
    world.pass(&mut timeouts, &mut poll, 6);
    assert_eq!(world.registry.stats().open, 0);
    costs.keep([suspects, nothing, timeouts, poll]);
    let [mut handshakes, mut poll] = costs
        .rows(["tick, 1,000,000 close handshakes end", "poll_action, one of 1,000,000 cleanups"]);
    world.pass(&mut handshakes, &mut poll, 6);
    costs.keep([handshakes, poll]);
    let [mut sessions, mut poll] = costs
        .rows(["tick, 1,000,000 sessions have lingered", "poll_action, the cleanups of sessions"]);
    world.pass(&mut sessions, &mut poll, 121);
    assert!(world.registry.is_idle());
    costs.keep([sessions, poll]);
}
