//! The deadlines at both ends of a life: request head, credentials, close handshake.

use headcount::{CloseReason, ConnState, Inbound, InboundError, Target};

use crate::support::{LIFE, START, World, config, ms, secs};

/// A world whose heartbeat can be counted on fingers: ping after 20 s, pong within 10 s.
fn world() -> World {
    World::with(config().ping_interval(secs(20)).pong_timeout(secs(10)).slow_deadline(secs(60)))
}

#[test]
fn a_request_head_has_its_deadline_and_credentials_theirs() {
    let mut world = World::with(config().head_deadline(secs(5)).auth_deadline(secs(8)));
    let (head, auth) = (world.reserve(), world.reserve());
    world.run(secs(4));
    world.registry.upgraded(world.now, auth).unwrap();
    world.run(secs(1));
    world.registry.upgraded(world.now, auth).unwrap();
    world.run(secs(30));
    assert_eq!(world.when(head, "close head_timeout"), secs(5));
    assert_eq!(world.when(head, "cleanup head_timeout"), secs(5 + 1));
    assert_eq!(world.when(auth, "close auth_timeout"), secs(4 + 8), "upgraded once is upgraded");
    assert_eq!(world.when(auth, "cleanup auth_timeout"), secs(4 + 8 + 5));
    assert!(world.registry.is_idle());
}

#[test]
fn bytes_on_a_pending_socket_do_not_move_its_deadline() {
    let mut world = World::with(config().head_deadline(secs(5)));
    let conn = world.reserve();
    for _ in 0..4 {
        world.skip(secs(1));
        world.inbound(conn, LIFE);
    }
    world.skip(secs(1));
    assert_eq!(world.state(conn), Some(ConnState::Closing));
}

#[test]
fn the_close_handshake_has_a_deadline_that_begins_when_the_close_is_polled() {
    let mut world = World::with(config().close_handshake(secs(5)));
    let alice = world.open("alice", "main");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.skip(secs(100));
    assert_eq!(world.state(alice), Some(ConnState::Closing), "nobody has sent the close yet");
    world.drain();
    world.skip(secs(5) - ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
    world.skip(ms(1));
    assert_eq!(world.state(alice), Some(ConnState::Gone));
    world.drain();
    assert_eq!(world.seen(alice), ["close application", "cleanup application"]);
}

#[test]
fn a_peer_that_broke_the_protocol_or_floods_has_one_second() {
    use CloseReason::{InvalidPayload, MessageTooBig, PolicyViolation, ProtocolError, RateLimited};
    for (reason, wait) in [
        (ProtocolError, secs(1)),
        (InvalidPayload, secs(1)),
        (MessageTooBig, secs(1)),
        (RateLimited, secs(1)),
        (PolicyViolation, secs(5)),
    ] {
        let mut world = World::with(config().close_handshake(secs(5)));
        let alice = world.open("alice", "main");
        world.close(Target::Conn(alice), reason);
        world.run(secs(10));
        assert_eq!(world.when(alice, &format!("cleanup {}", reason.name())), wait, "{reason:?}");
    }
}

#[test]
fn a_message_above_the_bound_closes_and_one_at_the_bound_does_not() {
    let mut world = World::with(config().message_bytes(100));
    let alice = world.open("alice", "main");
    world.inbound(alice, Inbound::Data { bytes: 100 });
    let now = world.now;
    let too_big = world.registry.message(now, alice, Inbound::Data { bytes: 101 });
    assert_eq!(too_big, Err(InboundError::TooBig));
    let late = world.registry.message(now, alice, Inbound::Data { bytes: 1 });
    assert_eq!(late, Err(InboundError::UnknownConn), "what comes after it is dropped");
    world.drain();
    assert_eq!(world.seen(alice), ["close message_too_big"]);
}

#[test]
fn a_socket_that_ends_is_cleaned_up_at_once_whatever_it_waited_for() {
    let mut world = world();
    let conns = ["pinged", "closing", "quiet"].map(|name| world.open(name, "main"));
    world.close(Target::Conn(conns[1]), CloseReason::Restart);
    world.drain();
    world.skip(secs(4));
    world.inbound(conns[2], LIFE);
    for conn in conns {
        world.registry.disconnect(world.now, conn).unwrap();
    }
    world.drain();
    assert_eq!(world.seen(conns[0]), ["cleanup peer_gone"]);
    assert_eq!(world.seen(conns[1]), ["close restart", "cleanup restart"]);
    assert_eq!(world.seen(conns[2]), ["cleanup peer_gone"]);
    assert_eq!(world.now, START + secs(4));
}
