//! Sockets that have not introduced themselves: how many there may be, and which of them gives way.

use headcount::{CloseReason, ConnState, Message, Refused, ReplyError, Target};

use crate::support::{LIFE, World, config};

#[test]
fn pending_sockets_are_refused_above_their_cap_until_one_has_ended() {
    let mut world = World::with(config().pending(2));
    let first = world.reserve();
    world.reserve();
    assert_eq!(world.registry.vacancies(), 0);
    assert_eq!(world.try_reserve(), Err(Refused::Pending));

    world.hang_up(first);
    assert_eq!(world.registry.vacancies(), 1, "its cleanup need not have been polled");
    world.reserve();
    assert_eq!(world.try_reserve(), Err(Refused::Pending));
    assert_eq!(world.registry.stats().pending, 3);
    world.drain();
    assert_eq!((world.registry.stats().pending, world.registry.stats().abandoned), (2, 1));
}

#[test]
fn a_socket_that_was_refused_and_not_ended_keeps_no_newcomer_out() {
    let mut world = World::with(config().pending(2).connections(1));
    world.open("alice", "main");
    for _ in 0..2 {
        let conn = world.reserve();
        assert_eq!(world.connect(conn, "bob", "main"), Err(Refused::Connections));
        world.close(Target::Conn(conn), CloseReason::TryLater);
    }
    world.drain();
    assert_eq!((world.registry.stats().pending, world.registry.vacancies()), (2, 2));
    let newcomers = [world.reserve(), world.reserve()];
    assert_eq!(newcomers.map(|conn| world.state(conn)), [Some(ConnState::Pending); 2]);
}

#[test]
fn refused_sockets_that_do_not_end_use_up_their_headroom_and_the_oldest_ends_at_once() {
    let mut world = World::with(config().pending(1).closing(3));
    let mut conns = Vec::new();
    for _ in 0..3 {
        let conn = world.reserve();
        world.close(Target::Conn(conn), CloseReason::BadRequest);
        world.drain();
        conns.push(conn);
    }
    assert_eq!(world.state(conns[0]), Some(ConnState::Closing));
    let newcomer = world.reserve();
    assert_eq!(world.state(conns[0]), Some(ConnState::Gone));
    assert_eq!(world.state(conns[1]), Some(ConnState::Closing));
    assert_eq!(world.state(newcomer), Some(ConnState::Pending));
    // The headroom is full of cleanups that nobody polls.
    for conn in &conns[1..] {
        world.hang_up(*conn);
    }
    world.close(Target::Conn(newcomer), CloseReason::BadRequest);
    assert_eq!((world.registry.vacancies(), world.try_reserve()), (1, Err(Refused::Pending)));
    world.drain();
    world.reserve();
}

#[test]
fn half_heads_of_one_source_keep_out_no_newcomer_of_another() {
    let mut world = World::with(config().pending(4));
    for _ in 0..100 {
        world.try_reserve_from(Some("192.0.2.1")).unwrap();
    }
    assert_eq!(world.registry.vacancies(), 2, "a source has half of the places");
    let other = world.reserve_from("192.0.2.2");
    world.connect(other, "alice", "main").unwrap();
    assert_eq!(world.open_count(), 1);
}

#[test]
fn the_socket_of_a_source_that_was_silent_longest_gives_way_with_an_answer() {
    let mut world = World::with(config().pending(9).pending_per_source(3));
    let conns = [(); 3].map(|()| world.reserve_from("2001:db8::1"));
    world.registry.upgraded(world.now, conns[0]).unwrap();
    // It says something, if only that it is there.
    world.inbound(conns[1], LIFE);
    // The same /64 is the same source.
    let fourth = world.reserve_from("2001:db8::ffff:1");
    assert_eq!(world.state(conns[2]), Some(ConnState::Closing));
    world.reserve_from("2001:db8::2");
    assert_eq!(world.state(conns[0]), Some(ConnState::Closing));
    world.drain();
    assert_eq!(world.seen(conns[2]), ["close head_timeout"]);
    assert_eq!(world.seen(conns[0]), ["close auth_timeout"]);
    let states = [conns[1], fourth].map(|conn| world.state(conn));
    assert_eq!(states, [Some(ConnState::Pending); 2]);
    world.reserve_from("2001:db8:0:1::1");
    assert_eq!(world.state(conns[1]), Some(ConnState::Pending), "another /64 is another source");
}

#[test]
fn when_all_places_are_taken_only_a_socket_of_the_same_source_gives_way() {
    let mut world = World::with(config().pending(3).pending_per_source(2));
    let first = world.reserve_from("192.0.2.1");
    world.reserve_from("192.0.2.2");
    world.reserve();
    assert_eq!(world.try_reserve_from(Some("192.0.2.3")), Err(Refused::Pending));
    assert_eq!(world.try_reserve(), Err(Refused::Pending), "no source, no share");
    assert_eq!(world.state(first), Some(ConnState::Pending));
    let second = world.reserve_from("192.0.2.1");
    assert_eq!(world.state(first), Some(ConnState::Closing));
    // An admission ends the wait: it is nobody's turn to give way.
    world.connect(second, "alice", "main").unwrap();
    world.reserve_from("192.0.2.1");
    assert_eq!((world.open_count(), world.registry.vacancies()), (1, 0));
}

#[test]
fn an_admission_frees_a_place_among_the_pending() {
    let mut world = World::with(config().pending(1));
    for _ in 0..5 {
        world.open("alice", "main");
    }
    assert_eq!((world.open_count(), world.registry.stats().pending), (5, 0));
}

#[test]
fn pending_sockets_do_not_count_towards_the_connections() {
    let mut world = World::with(config().connections(2).pending(4));
    let waiting = world.reserve();
    world.reserve();
    world.open("alice", "main");
    world.connect(waiting, "bob", "main").unwrap();
    assert_eq!((world.open_count(), world.registry.stats().pending), (2, 1));
}

#[test]
fn a_refused_socket_stays_pending_and_can_be_tried_again_closed_or_disconnected() {
    let mut world = World::with(config().connections(1));
    let alice = world.open("alice", "main");
    let [retried, closed, ended] = [(); 3].map(|()| world.reserve());
    for conn in [retried, closed, ended] {
        assert_eq!(world.connect(conn, "bob", "main"), Err(Refused::Connections));
        assert_eq!(world.state(conn), Some(ConnState::Pending));
        assert_eq!(world.registry.connection(conn).and_then(|it| it.session()), None);
    }
    world.close(Target::Conn(closed), CloseReason::TryLater);
    world.hang_up(ended);
    world.drain();
    assert_eq!(world.seen(closed), ["close try_later"]);
    assert_eq!(world.seen(ended), ["cleanup peer_gone"]);
    world.hang_up(closed);
    world.hang_up(alice);
    world.connect(retried, "bob", "main").unwrap();
    world.settle();
    assert_eq!(world.seen(closed), ["close try_later", "cleanup try_later"]);
    let stats = world.registry.stats();
    assert_eq!((stats.opened, stats.live, stats.closed_total(), stats.abandoned), (2, 1, 1, 2));
}

#[test]
fn only_a_pending_connection_can_become_somebody() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    assert_eq!(world.connect(alice, "bob", "main"), Err(Refused::NotPending));
    world.close(Target::Conn(alice), CloseReason::Application);
    assert_eq!(world.connect(alice, "bob", "main"), Err(Refused::NotPending));
    world.hang_up(alice);
    assert_eq!(world.connect(alice, "bob", "main"), Err(Refused::UnknownConn));
    world.drain();
    assert_eq!(world.connect(alice, "bob", "main"), Err(Refused::UnknownConn));
    assert_eq!(world.registry.stats().users, 1, "alice's session lingers, bob never was");
}

#[test]
fn an_upgraded_socket_can_be_answered_before_it_is_anybody() {
    let mut world = World::new();
    let conn = world.reserve();
    let now = world.now;
    let early = world.registry.reply(now, conn, Message::text("who are you?"));
    assert_eq!(early, Err(ReplyError::UnknownConn), "before the upgrade there are no frames");
    world.registry.upgraded(now, conn).unwrap();
    world.registry.reply(now, conn, Message::text("who are you?")).unwrap();
    world.connect(conn, "alice", "main").unwrap();
    world.tell_conn(conn, "welcome");
    world.settle();
    assert_eq!(world.seen(conn), ["direct: who are you?", "direct: welcome"]);
}
