//! Pings that may be a little late, so that those of many connections share a turn.

use std::collections::BTreeSet;

use crate::support::{LIFE, START, World, config, ms, secs};

#[test]
fn pings_of_connections_that_are_silent_alike_share_an_instant() {
    let slack = ms(40);
    let mut world = World::with(config().ping_interval(secs(20)).ping_slack(slack));
    let conns: Vec<_> = (0..50).map(|number| world.tab(&format!("user{number}"), "main")).collect();
    world.run(secs(20));
    let mut heard = Vec::new();
    for conn in &conns {
        world.take(*conn);
        world.skip(ms(1));
        world.inbound(*conn, LIFE);
        heard.push(world.now - START);
    }
    world.run(secs(21));
    let pinged: Vec<_> = conns.iter().map(|conn| world.when(*conn, "ping")).collect();
    for (silent_since, at) in heard.iter().zip(&pinged) {
        let late = *at - *silent_since - secs(20);
        assert!(late < slack, "{late:?} after its interval");
    }
    let instants: BTreeSet<_> = pinged.into_iter().collect();
    assert!(instants.len() <= 3, "50 silences that began within 50 ms: {instants:?}");
}

#[test]
fn a_slack_of_more_than_the_interval_is_refused() {
    let wrong = config().ping_interval(secs(20)).ping_slack(secs(20) + ms(1)).build();
    let said = wrong.expect_err("more than the interval").to_string();
    assert!(said.contains("heartbeat.slack") && said.contains("heartbeat.interval"), "{said}");
}
