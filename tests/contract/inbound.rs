//! How much a peer may say: the rate of its messages, and what happens to excess.

use headcount::{CloseReason, ConnId, ConnState, Inbound, InboundError, Intake, Retry};

use crate::support::{World, config, ms, secs, text_of_cost};

/// Ten messages a second, five at once.
fn ten() -> headcount::ConfigBuilder {
    config().message_rate(10).message_burst(5)
}

fn say(world: &mut World, conn: ConnId) -> Result<Intake, InboundError> {
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
    assert_eq!(say(&mut world, alice), Ok(Intake::Taken));
    assert_eq!(say(&mut world, alice), Err(InboundError::RateLimited));
    assert_eq!(world.state(alice), Some(ConnState::Open), "excess alone closes nobody");
}

#[test]
fn whoever_keeps_to_the_rate_is_never_refused() {
    let mut world = World::with(ten());
    let alice = world.open("alice", "main");
    for _ in 0..1_000 {
        assert_eq!(say(&mut world, alice), Ok(Intake::Taken));
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

/// What takes an eighth of a token, if no ping of ours waits for an answer.
const CHEAP: [Inbound; 3] = [Inbound::Ping, Inbound::Pong, Inbound::Fragment];

#[test]
fn eight_pings_or_pongs_or_fragments_take_a_token() {
    for frame in CHEAP {
        let mut world = World::with(ten());
        let alice = world.open("alice", "main");
        for _ in 0..8 {
            world.inbound(alice, frame);
        }
        assert_eq!(taken(&mut world, alice, 6), 4, "{frame:?}");
        // And the other way round: a hundred milliseconds are a token's worth of time.
        world.skip(ms(100));
        let eighths = (0..20).map(|_| world.registry.message(world.now, alice, frame));
        assert_eq!(eighths.filter(Result::is_ok).count(), 8, "{frame:?}");
    }
}

#[test]
fn a_flood_of_pings_or_empty_fragments_closes_the_connection() {
    for frame in CHEAP {
        let mut world = World::with(ten());
        let alice = world.open("alice", "main");
        let answers = [(); 100].map(|()| world.registry.message(world.now, alice, frame));
        // A burst of five, an eighth each; then as many that are too many.
        assert!(answers[..40].iter().all(|answer| *answer == Ok(Intake::Taken)), "{frame:?}");
        let refused = Err(InboundError::RateLimited);
        assert!(answers[40..80].iter().all(|answer| *answer == refused), "{frame:?}");
        assert_eq!(answers[80], Err(InboundError::UnknownConn), "{frame:?}: it closes");
        world.settle();
        assert_eq!(world.seen(alice), ["close rate_limited"]);
    }
}

#[test]
fn what_is_too_much_is_a_sign_of_life_all_the_same() {
    for frame in CHEAP {
        let mut world = World::with(ten().message_rate(1));
        let alice = world.open("alice", "main");
        assert_eq!(taken(&mut world, alice, 5), 5);
        // A tenth of a token, and an eighth is needed.
        world.skip(ms(100));
        let refused = world.registry.message(world.now, alice, frame);
        assert_eq!(refused, Err(InboundError::RateLimited), "{frame:?}");
        assert_eq!(world.registry.connection(alice).unwrap().silence(), secs(0), "{frame:?}");
    }
}

#[test]
fn the_pong_that_answers_a_ping_is_free_whatever_came_before_it() {
    let mut world = World::with(config().message_rate(1).message_burst(1).ping_interval(secs(20)));
    let alice = world.open("alice", "main");
    world.skip(secs(20));
    world.settle();
    assert_eq!(world.seen(alice), ["ping"]);
    assert_eq!(taken(&mut world, alice, 1), 1, "the only token is gone");
    assert_eq!(world.registry.message(world.now, alice, Inbound::Pong), Ok(Intake::Taken));
    let another = world.registry.message(world.now, alice, Inbound::Pong);
    assert_eq!(another, Err(InboundError::RateLimited), "the second answers nothing");
}

#[test]
fn whoever_keeps_to_the_rate_of_bytes_is_never_refused() {
    // A thousand bytes a second, and as many at once.
    let mut world = World::with(config().byte_rate(1_000).message_bytes(500));
    let alice = world.open("alice", "main");
    let come = |world: &mut World, bytes| {
        let inbound = Inbound::Bytes { bytes, partial: false };
        world.registry.message(world.now, alice, inbound)
    };
    assert_eq!(come(&mut world, 1_000), Ok(Intake::Taken));
    for _ in 0..100 {
        world.skip(ms(100));
        assert_eq!(come(&mut world, 100), Ok(Intake::Taken));
    }
    assert_eq!(come(&mut world, 1), Err(InboundError::RateLimited));
    assert_eq!(world.state(alice), Some(ConnState::Open), "excess alone closes nobody");
}

#[test]
fn a_burst_of_bytes_beyond_the_rate_closes_in_however_many_reads_it_comes() {
    for read in [1, 7, 500, 1_000, 2_500] {
        let mut world = World::with(config().byte_rate(1_000).message_bytes(500));
        let alice = world.open("alice", "main");
        let mut sum = 0;
        while world.state(alice) == Some(ConnState::Open) {
            sum += read;
            let inbound = Inbound::Bytes { bytes: read, partial: false };
            let answer = world.registry.message(world.now, alice, inbound);
            assert_eq!(answer.is_ok(), sum <= 1_000, "{sum} in reads of {read}");
        }
        assert!((2_000..2_000 + read).contains(&sum), "{sum} in reads of {read}");
        world.settle();
        assert_eq!(world.seen(alice), ["close rate_limited"]);
    }
}

#[test]
fn one_message_fits_into_the_burst_of_bytes_however_low_the_rate() {
    // At some of these rates the time in which a message comes in is no whole number of nanoseconds.
    for rate in [1, 3, 7, 4_096, 4_999] {
        let mut world = World::with(config().byte_rate(rate).message_bytes(5_000));
        let alice = world.open("alice", "main");
        let inbound = Inbound::Bytes { bytes: 5_000, partial: true };
        let answer = world.registry.message(world.now, alice, inbound);
        assert_eq!(answer, Ok(Intake::Taken), "{rate} a second");
        assert_eq!(world.registry.config().byte_burst(), 5_000);
    }
}

#[test]
fn a_message_that_is_paused_takes_no_token() {
    let mut world = World::with(ten().send_window(1_000).slow_deadline(secs(3_600)));
    let alice = world.open("alice", "main");
    world.tell_conn(alice, &text_of_cost(1_001));
    world.drain();
    for _ in 0..100 {
        assert_eq!(say(&mut world, alice), Ok(Intake::Paused));
    }
    assert!(world.flush(alice));
    assert_eq!(taken(&mut world, alice, 6), 5);
}

#[test]
fn a_socket_that_is_nobody_yet_has_the_same_bucket_and_keeps_it() {
    let mut world = World::with(ten());
    let (noisy, patient) = (world.reserve(), world.reserve());
    for pending in [noisy, patient] {
        world.registry.upgraded(world.now, pending).unwrap();
    }
    assert_eq!(taken(&mut world, noisy, 100), 5);
    assert_eq!(world.state(noisy), Some(ConnState::Closing));
    assert_eq!(taken(&mut world, patient, 3), 3);
    world.connect(patient, "alice", "main").unwrap();
    assert_eq!(taken(&mut world, patient, 6), 2, "what it said before counts");
    world.settle();
    assert_eq!(world.seen(noisy), ["close rate_limited"]);
}

#[test]
fn a_request_head_is_bounded_and_no_rate_counts_it() {
    let config = config().head_bytes(10_000).byte_rate(1).message_bytes(1);
    let mut world = World::with(config.ping_interval(secs(0)));
    let (large, larger) = (world.reserve(), world.reserve());
    let come = |world: &mut World, conn, bytes| {
        let inbound = Inbound::Bytes { bytes, partial: true };
        world.registry.message(world.now, conn, inbound)
    };
    for conn in [large, larger] {
        assert_eq!(come(&mut world, conn, 9_999), Ok(Intake::Taken));
        assert_eq!(come(&mut world, conn, 1), Ok(Intake::Taken));
    }
    assert_eq!(come(&mut world, larger, 1), Err(InboundError::TooBig));
    world.connect(large, "alice", "main").unwrap();
    world.run(secs(100));
    assert_eq!(world.seen(larger), ["close bad_request", "cleanup bad_request"]);
    assert_eq!(world.state(large), Some(ConnState::Open), "no message is in progress");
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
        assert_eq!(say(&mut world, calm), Ok(Intake::Taken));
        world.run(ms(100));
    }
    assert_eq!(world.closings(), ["rate_limited"]);
    assert_eq!(world.open_conns(), [calm]);
    world.close_the_books();
}
