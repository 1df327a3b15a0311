//! Handles of connections that have ended, or that never were.

use headcount::{
    AcknowledgeError, CloseReason, ConnId, ConnState, Inbound, InboundError, JoinError, Message,
    Refused, ReplyError, Start, Target, Timestamp, UnknownConn,
};

use crate::support::{LIFE, World, room, user, who};

#[test]
fn a_slot_is_not_reused_before_its_cleanup_was_polled() {
    let mut world = World::new();
    let first = world.open("alice", "main");
    world.hang_up(first);
    let second = world.reserve();
    assert_ne!(first.index(), second.index(), "a shell that works in batches still knows the slot");
    world.drain();
    let third = world.reserve();
    assert_eq!(first.index(), third.index());
    assert_ne!(first, third);
}

/// Offers a handle that names nothing alive to every call that takes one.
fn assert_dead(world: &mut World, dead: ConnId) {
    let now = world.now;
    let registry = &mut world.registry;
    assert_eq!(registry.upgraded(now, dead), Err(UnknownConn));
    let principal = who("mallory", "main");
    assert_eq!(
        registry.connect(now, dead, principal, Start::OpenRuns, None),
        Err(Refused::UnknownConn)
    );
    for inbound in [Inbound::Data { bytes: 1 << 40 }, LIFE, Inbound::Pong] {
        assert_eq!(registry.message(now, dead, inbound), Err(InboundError::UnknownConn));
    }
    assert_eq!(registry.flushed(now, dead, u64::MAX), Err(UnknownConn));
    let is_dead = |_, answer| assert_eq!(answer, Err(UnknownConn));
    registry.flushed_many(now, &[(dead, u64::MAX)], is_dead);
    assert_eq!(registry.disconnect(now, dead), Err(UnknownConn));
    assert!(registry.send(now, Target::Conn(dead), Message::text("lost")).reaches_none());
    let reply = registry.reply(now, dead, Message::text("lost"));
    assert_eq!(reply, Err(ReplyError::UnknownConn));
    let joined = registry.join(now, dead, &room("lobby"), Start::Now);
    assert_eq!(joined, Err(JoinError::UnknownConn));
    assert_eq!(registry.leave(now, dead, &room("lobby")), Err(UnknownConn));
    assert_eq!(registry.close(now, Target::Conn(dead), CloseReason::Application), 0);
}

#[test]
fn a_stale_handle_gets_ordinary_errors_and_never_touches_its_successor() {
    let mut world = World::new();
    let stale = world.open("alice", "main");
    world.hang_up(stale);
    assert_dead(&mut world, stale);
    world.settle();

    let successor = world.open("bob", "main");
    world.join(successor, "lobby");
    assert_eq!(stale.index(), successor.index());
    let before = (world.registry.stats(), world.registry.poll_timeout());
    assert_dead(&mut world, stale);
    assert!(world.registry.connection(stale).is_none());
    assert_eq!(before, (world.registry.stats(), world.registry.poll_timeout()));
    assert!(!world.registry.has_actions());
    assert_eq!(world.state(successor), Some(ConnState::Open));
    assert_eq!(world.registry.connection(successor).unwrap().rooms().count(), 1);
}

#[test]
fn a_handle_that_never_was_is_as_dead_as_any_other() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    for bits in [alice.to_bits() + 1, alice.to_bits() + (7 << 32), u64::MAX] {
        assert_dead(&mut world, ConnId::from_bits(bits).unwrap());
    }
    assert_eq!(world.state(alice), Some(ConnState::Open));
    let session = world.session(alice);
    let forged = headcount::SessionId::from_bits(session.to_bits() + (1 << 32)).unwrap();
    assert_eq!(world.close(Target::Session(forged), CloseReason::Application), 0);
    assert!(world.registry.session(forged).is_none());
    let nobody = user("nobody");
    assert_eq!(world.close(Target::User(&nobody), CloseReason::Application), 0);
    world.tell_user("nobody", "hello");
    assert!(world.delivery.reaches_none());
    world.tell_room("nowhere", "hello");
    assert!(world.delivery.reaches_none());
    assert_eq!(world.close(Target::Room(&room("nowhere")), CloseReason::Application), 0);
}

#[test]
fn a_dead_handle_is_one_error_for_a_caller_that_asks_no_more() {
    fn serve(world: &mut World, conn: ConnId) -> Result<(), ReplyError> {
        world.registry.reply(world.now, conn, "welcome".into())?;
        world.registry.refresh(world.now, conn, Some(Timestamp::MAX))?;
        Ok(())
    }
    let mut world = World::new();
    let alice = world.open("alice", "main");
    assert_eq!(serve(&mut world, alice), Ok(()));
    world.hang_up(alice);
    assert_eq!(serve(&mut world, alice), Err(UnknownConn.into()));
    assert_eq!(AcknowledgeError::from(UnknownConn), AcknowledgeError::UnknownConn);
    assert_eq!(InboundError::from(UnknownConn), InboundError::UnknownConn);
    assert_eq!(JoinError::from(UnknownConn), JoinError::UnknownConn);
    assert_eq!(Refused::from(UnknownConn), Refused::UnknownConn);
}
