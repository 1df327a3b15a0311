//! How much a peer may say: the rate of its messages, and what happens to excess.

mod support;

use headcount::{CloseReason, ConnId, ConnState, Flow, Inbound, InboundError, Retry};
use support::{World, config, ms, secs, text_of_cost};

/// Ten messages a second, five at once.
fn ten() -> headcount::ConfigBuilder {
    config().message_rate(10).message_burst(5)
}

fn say(world: &mut World, conn: ConnId) -> Result<Flow, InboundError> {
    world.registry.message(world.now, conn, Inbound::Data { bytes: 10 })
}

/// How many of so many messages are taken.
fn taken(world: &mut World, conn: ConnId, count: usize) -> usize {
    (0..count).filter(|_| say(world, conn).is_ok()).count()
}

#[test]
fn a_burst_is_taken_and_then_the_rate_counts() {
    let mut world = World::with(ten());
    let alice = world.open("alice", "main");
    assert_eq!(taken(&mut world, alice, 5), 5);
    assert_eq!(say(&mut world, alice), Err(InboundError::RateLimited));
    world.skip(ms(99));
    assert_eq!(say(&mut world, alice), Err(InboundError::RateLimited));
    world.skip(ms(1));
    assert_eq!(say(&mut world, alice), Ok(Flow::Ready));
    assert_eq!(say(&mut world, alice), Err(InboundError::RateLimited));
    assert_eq!(world.state(alice), Some(ConnState::Open), "excess alone closes nobody");
}

#[test]
fn whoever_keeps_to_the_rate_is_never_refused() {
    let mut world = World::with(ten());
    let alice = world.open("alice", "main");
    for _ in 0..1_000 {
        assert_eq!(say(&mut world, alice), Ok(Flow::Ready));
        world.run(ms(100));
    }
    assert_eq!(world.state(alice), Some(ConnState::Open));
}

#[test]
fn as_much_excess_as_a_burst_closes_the_connection() {
    let mut world = World::with(ten());
    let alice = world.open("alice", "main");
    assert_eq!(taken(&mut world, alice, 5 + 4), 5);
    assert_eq!(world.state(alice), Some(ConnState::Open));
    assert_eq!(say(&mut world, alice), Err(InboundError::RateLimited));
    assert_eq!(say(&mut world, alice), Err(InboundError::UnknownConn), "it closes");
    world.settle();
    assert_eq!(world.seen(alice), ["close rate_limited"]);
    let reason = CloseReason::RateLimited;
    assert_eq!((reason.code(), reason.retry()), (4413, Retry::Reconnect));
    world.close_the_books();
}

#[test]
fn a_calm_forgives_all_excess_and_half_a_calm_forgives_none() {
    let mut world = World::with(ten());
    let (calm, restless) = (world.open("alice", "main"), world.open("bob", "main"));
    for _ in 0..20 {
        assert_eq!(taken(&mut world, calm, 5 + 4), 5, "a burst, and excess short of the bound");
        // The bucket of five at ten a second is full again after half a second.
        world.run(ms(500));
    }
    assert_eq!(world.state(calm), Some(ConnState::Open));

    assert_eq!(taken(&mut world, restless, 5 + 4), 5);
    world.run(ms(499));
    assert_eq!(taken(&mut world, restless, 4), 4);
    assert_eq!(taken(&mut world, restless, 2), 0);
    assert_eq!(world.state(restless), Some(ConnState::Closing));
}

#[test]
fn each_connection_has_a_bucket_of_its_own() {
    let mut world = World::with(ten());
    let tabs = [(); 3].map(|()| world.open("alice", "main"));
    for tab in tabs {
        assert_eq!(taken(&mut world, tab, 8), 5);
    }
}

#[test]
fn pongs_and_pings_take_no_token() {
    let mut world = World::with(ten());
    let alice = world.open("alice", "main");
    for _ in 0..100 {
        world.inbound(alice, Inbound::Pong);
        world.inbound(alice, Inbound::Life);
    }
    assert_eq!(taken(&mut world, alice, 6), 5);
}

#[test]
fn a_message_that_is_paused_takes_no_token() {
    let mut world = World::with(ten().window(1_000).slow_deadline(secs(3_600)));
    let alice = world.open("alice", "main");
    world.tell_conn(alice, &text_of_cost(1_001));
    world.drain();
    for _ in 0..100 {
        assert_eq!(say(&mut world, alice), Ok(Flow::Paused));
    }
    assert!(world.flush(alice));
    assert_eq!(taken(&mut world, alice, 6), 5);
}

#[test]
fn a_socket_that_is_nobody_yet_is_bounded_by_its_deadline_and_not_by_the_rate() {
    let mut world = World::with(ten());
    let pending = world.reserve();
    world.registry.upgraded(world.now, pending).unwrap();
    assert_eq!(taken(&mut world, pending, 100), 100);
    world.connect(pending, "alice", "main").unwrap();
    assert_eq!(taken(&mut world, pending, 6), 5, "from here on it is");
}

#[test]
fn a_rate_of_zero_is_no_limit() {
    let mut world = World::with(ten().message_rate(0));
    let alice = world.open("alice", "main");
    assert_eq!(taken(&mut world, alice, 10_000), 10_000);
}

#[test]
fn a_flood_does_not_disturb_the_neighbours() {
    let mut world = World::with(ten());
    let (flood, calm) = (world.open("mallory", "main"), world.tab("alice", "main"));
    for _ in 0..50 {
        let _ = taken(&mut world, flood, 100);
        assert_eq!(say(&mut world, calm), Ok(Flow::Ready));
        world.run(ms(100));
    }
    assert_eq!(world.closings(), ["rate_limited"]);
    assert_eq!(world.open_conns(), [calm]);
    world.close_the_books();
}
