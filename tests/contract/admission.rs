//! Who gets in, who is refused, and that every limit is exact at every instant.

use headcount::{
    CloseReason, ConnId, ConnState, Inbound, InboundError, JoinError, Message, Refused, ReplyError,
    Target, UnknownConn,
};

use crate::support::{LIFE, World, config, ms, refuse, room, secs, user, who};

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
fn the_connection_cap_is_exact_and_a_departure_frees_its_place_at_once() {
    let mut world = World::with(config().connections(3));
    let conns = ["a", "b", "c"].map(|name| world.open(name, "main"));
    assert_eq!(world.open_count(), 3);
    assert_eq!(world.refusal("d", "main"), Refused::Connections);
    assert_eq!(world.registry.stats().refused, 1);

    world.hang_up(conns[1]);
    world.open("d", "main");
    assert_eq!(world.open_count(), 3, "its cleanup need not have been polled");
    assert_eq!(world.refusal("e", "main"), Refused::Connections);
}

#[test]
fn a_connection_that_begins_to_close_frees_its_place_before_any_io() {
    let mut world = World::with(config().connections(1));
    let alice = world.open("alice", "main");
    assert_eq!(world.close(Target::Conn(alice), CloseReason::Application), 1);
    assert_eq!((world.open_count(), world.registry.stats().live), (0, 1));
    let bob = world.open("bob", "main");
    assert_eq!((world.open_count(), world.registry.stats().live), (1, 2));
    assert_eq!(world.state(alice), Some(ConnState::Closing));
    assert_eq!(world.state(bob), Some(ConnState::Open));
}

#[test]
fn the_oldest_close_handshake_is_cut_short_when_the_headroom_is_used_up() {
    let mut world = World::with(config().connections(2).closing(2).sessions(10));
    let mut conns = Vec::new();
    for name in ["a", "b", "c"] {
        let conn = world.open(name, "main");
        world.close(Target::Conn(conn), CloseReason::Application);
        world.drain();
        conns.push(conn);
        if conns.len() < 3 {
            assert_eq!(world.state(conns[0]), Some(ConnState::Closing));
        }
    }
    // Three close and none is open: one place of four is left. The next two admissions fill it,
    // and need one more.
    world.open("d", "main");
    assert_eq!(world.state(conns[0]), Some(ConnState::Gone), "the oldest makes room");
    assert_eq!(world.state(conns[1]), Some(ConnState::Closing));
    world.drain();
    assert_eq!(world.seen(conns[0]), ["close application", "cleanup application"]);
    world.open("e", "main");
    assert_eq!(world.state(conns[1]), Some(ConnState::Gone));
    assert_eq!(world.state(conns[2]), Some(ConnState::Closing));
    world.drain();
    assert_eq!(world.registry.stats().live, 3);
}

#[test]
fn cleanups_that_nobody_polls_use_up_the_headroom_and_newcomers_are_refused() {
    let mut world = World::with(config().connections(2).closing(2).pending(100));
    for _ in 0..4 {
        let conn = world.open("alice", "main");
        world.hang_up(conn);
    }
    let conn = world.reserve();
    assert_eq!(world.connect(conn, "alice", "main"), Err(Refused::Connections));
    assert_eq!(world.open_count(), 0);
    world.drain();
    world.connect(conn, "alice", "main").unwrap();
}

#[test]
fn the_cap_on_users_is_exact_for_those_who_are_here() {
    let mut world = World::with(config().users(2).linger(secs(60)));
    let alice = world.open("alice", "main");
    world.open("bob", "main");
    assert_eq!(world.refusal("carol", "main"), Refused::Users);
    world.open("bob", "other");

    world.hang_up(alice);
    world.settle();
    assert_eq!(world.registry.stats().users, 2, "alice's session lingers");
    world.open("carol", "main");
    assert_eq!(world.registry.stats().users, 2);
    assert_eq!(world.refusal("alice", "main"), Refused::Users);
}

#[test]
fn the_cap_on_sessions_is_exact_for_those_in_use() {
    let mut world = World::with(config().sessions(2).users(2).linger(secs(60)));
    let alice = world.open("alice", "main");
    world.open("bob", "main");
    assert_eq!(world.refusal("bob", "other"), Refused::Sessions);
    world.open("bob", "main");

    world.hang_up(alice);
    world.settle();
    assert_eq!(world.registry.stats().sessions, 2, "alice's lingers");
    world.open("bob", "other");
    assert_eq!(world.registry.stats().sessions, 2);
    assert_eq!(world.refusal("alice", "main"), Refused::Sessions);
}

fn connections_per_user() -> Refused {
    Refused::ConnectionsPerUser { retry_after: secs(3) }
}

fn sessions_per_user() -> Refused {
    Refused::SessionsPerUser { retry_after: secs(3) }
}

#[test]
fn a_user_has_so_many_connections_over_all_sessions_and_others_are_not_concerned() {
    let mut world = World::with(config().connections_per_user(3).over_cap(refuse()));
    world.open("alice", "one");
    world.open("alice", "two");
    let third = world.open("alice", "two");
    assert_eq!(world.refusal("alice", "one"), connections_per_user());
    world.open("bob", "one");

    world.close(Target::Conn(third), CloseReason::Application);
    world.open("alice", "one");
    assert_eq!(world.refusal("alice", "one"), connections_per_user());
}

#[test]
fn a_user_has_so_many_sessions_and_a_known_one_is_not_a_further_one() {
    let mut world = World::with(config().sessions_per_user(2).linger(secs(60)).over_cap(refuse()));
    world.open("alice", "one");
    world.open("alice", "two");
    assert_eq!(world.refusal("alice", "three"), sessions_per_user());
    world.open("alice", "two");
    world.open("bob", "three");
}

#[test]
fn one_user_does_not_take_all_rooms_with_many_connections() {
    // The defaults: sixteen connections, each in as many rooms as one may be in.
    let mut world = World::with(config().rooms(2_000));
    world.checking = false;
    let mut joined = 0;
    let mut conns = Vec::new();
    for tab in 0..16 {
        let conn = world.open("alice", "main");
        conns.push(conn);
        for number in 0..128 {
            let name = room(&format!("{tab}-{number}"));
            match world.registry.join(world.now, conn, &name, None) {
                Ok(_) => joined += 1,
                Err(error) => assert_eq!(error, JoinError::RoomsPerUser),
            }
        }
    }
    assert_eq!((joined, world.registry.stats().rooms), (512, 512));
    let bob = world.open("bob", "main");
    world.join(bob, "lobby");

    // A connection that closes gives its share back, and so does a leave; a member joins nothing.
    let now = world.now;
    let refused = world.registry.join(now, conns[15], &room("lobby"), None);
    assert_eq!(refused, Err(JoinError::RoomsPerUser));
    assert!(world.join(conns[0], "0-0").already);
    world.hang_up(conns[0]);
    world.join(conns[15], "lobby");
    assert_eq!(world.registry.stats().rooms, 512 - 128 + 1);
}

#[test]
fn a_lower_cap_on_the_rooms_of_a_user_binds_the_next_join_only() {
    let mut world = World::new();
    let conn = world.open("alice", "main");
    for name in ["one", "two", "three"] {
        world.join(conn, name);
    }
    world.registry.reload(world.now, config().rooms_per_user(2).build().unwrap());
    assert_eq!(world.registry.rooms_of(conn).count(), 3);
    let now = world.now;
    let refused = world.registry.join(now, conn, &room("four"), None);
    assert_eq!(refused, Err(JoinError::RoomsPerUser));
    world.leave(conn, "one");
    world.leave(conn, "two");
    world.join(conn, "four");
}

#[test]
fn rooms_are_capped_in_total_and_per_connection() {
    let mut world = World::with(config().rooms(3).rooms_per_connection(2).room_history(0));
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(alice, "one");
    world.join(alice, "two");
    let now = world.now;
    let refused = world.registry.join(now, alice, &room("three"), None);
    assert_eq!(refused, Err(JoinError::RoomsPerConnection));
    assert!(world.join(alice, "two").already, "a member joins no further room");

    world.join(bob, "three");
    let refused = world.registry.join(now, bob, &room("four"), None);
    assert_eq!(refused, Err(JoinError::Rooms));
    world.join(bob, "one");
    assert_eq!(world.registry.stats().rooms, 3);

    world.leave(alice, "two");
    assert_eq!(world.registry.stats().rooms, 2, "a room goes with its last member");
    world.leave(bob, "one");
    world.join(bob, "four");
}

#[test]
fn a_rate_refusal_says_exactly_when_the_next_attempt_succeeds() {
    let mut world = World::with(config().connect_rate(10).connect_burst(3));
    for _ in 0..3 {
        world.open("alice", "main");
    }
    let late = world.reserve();
    let Err(Refused::Rate { retry_after }) = world.connect(late, "alice", "main") else {
        panic!("the burst is used up");
    };
    assert_eq!(retry_after, ms(100));
    // Being refused costs no token, however often.
    for _ in 0..10 {
        assert_eq!(world.connect(late, "alice", "main"), Err(Refused::Rate { retry_after }));
    }
    let almost = retry_after - core::time::Duration::from_nanos(1);
    world.skip(almost);
    let still = Refused::Rate { retry_after: retry_after - almost };
    assert_eq!(world.connect(late, "alice", "main"), Err(still));
    world.skip(retry_after - almost);
    world.connect(late, "alice", "main").unwrap();
}

#[test]
fn the_burst_is_full_again_after_a_quiet_time_and_never_fuller() {
    let mut world = World::with(config().connect_rate(10).connect_burst(2));
    for _ in 0..3 {
        world.open("alice", "main");
        world.open("alice", "main");
        assert!(matches!(world.refusal("alice", "main"), Refused::Rate { .. }));
        world.skip(secs(60));
    }
}

#[test]
fn an_attempt_that_is_refused_takes_no_token() {
    let mut world = World::with(
        config().connections_per_user(1).over_cap(refuse()).connect_rate(10).connect_burst(2),
    );
    world.open("alice", "main");
    for _ in 0..9 {
        assert_eq!(world.refusal("alice", "main"), connections_per_user());
    }
    world.open("bob", "main");
    assert!(matches!(world.refusal("carol", "main"), Refused::Rate { .. }));
}

#[test]
fn one_user_who_reconnects_in_a_loop_uses_up_nobody_elses_connects() {
    let mut world = World::with(config().connect_rate(1).connect_burst(63));
    for number in 0..200 {
        let conn = world.reserve();
        let admitted = world.connect(conn, "alice", "main");
        assert_eq!(admitted.is_ok(), number < 32, "{number}");
        world.hang_up(conn);
        world.drain();
    }
    for number in 0..30 {
        world.open(&format!("user{number}"), "main");
    }
    assert_eq!(world.open_count(), 30);
}

#[test]
fn a_refusal_for_the_rate_of_a_user_says_when_and_a_takeover_pays_too() {
    let mut world = World::with(config().connect_rate_per_user(4).connect_burst_per_user(2));
    let first = world.open("alice", "main");
    let second = world.take_over("alice", "main", first);
    let retry_after = ms(250);
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after });
    assert_eq!(world.refusal("alice", "other"), Refused::RateOfUser { retry_after });
    assert_eq!(world.state(second), Some(ConnState::Open), "a refused one closes nothing");
    world.open("bob", "main");
    world.skip(ms(249));
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after: ms(1) });
    world.skip(ms(1));
    world.take_over("alice", "main", second);
}

#[test]
fn who_leaves_and_comes_back_has_the_same_bucket() {
    let rate = config().connect_rate_per_user(1).connect_burst_per_user(2);
    let mut world = World::with(rate.linger(secs(0)));
    for _ in 0..2 {
        let conn = world.open("alice", "main");
        world.hang_up(conn);
        world.settle();
        assert_eq!(world.registry.stats().users, 0, "her session has ended with it");
    }
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after: secs(1) });
    // An application that opens a run for her gives her no new one either.
    let (alice, main) = (user("alice"), crate::support::thread("main"));
    let run = headcount::RunId::new("run").unwrap();
    let mut scope = world.registry.user(&alice);
    let _ = scope.open_run(world.now, &main, &run, "agent", bytes::Bytes::new()).unwrap();
    assert_eq!(world.refusal("alice", "main"), Refused::RateOfUser { retry_after: secs(1) });
}

#[test]
fn as_many_users_who_left_are_remembered_as_there_may_be() {
    let rate = config().connect_rate_per_user(1).connect_burst_per_user(1);
    let mut world = World::with(rate.linger(secs(0)).users(2).sessions(2).sessions_per_user(2));
    for name in ["alice", "bob", "carol"] {
        let conn = world.open(name, "main");
        world.hang_up(conn);
        world.settle();
    }
    for name in ["bob", "carol"] {
        assert!(matches!(world.refusal(name, "main"), Refused::RateOfUser { .. }), "{name}");
    }
    world.open("alice", "main");
}

#[test]
fn a_socket_that_is_known_already_is_admitted_in_one_step() {
    let mut world = World::with(config().pending(1));
    let waiting = world.reserve();
    let (conn, admitted) = world.registry.admit(world.now, who("alice", "main"), None).unwrap();
    assert_eq!((world.state(conn), admitted.new_session), (Some(ConnState::Open), true));
    assert_eq!(world.registry.session_of(conn), Some(admitted.session));
    assert_eq!(world.state(waiting), Some(ConnState::Pending), "it takes no pending place");
    assert_eq!((world.registry.stats().opened, world.registry.stats().pending), (1, 1));
}

#[test]
fn a_refused_admission_leaves_nothing_behind() {
    let mut world = World::with(config().connections(1).pending(64));
    world.open("alice", "main");
    let before = world.registry.fingerprint();
    for _ in 0..1_000 {
        let refused = world.registry.admit(world.now, who("bob", "main"), None);
        assert_eq!(refused, Err(Refused::Connections));
    }
    assert_eq!(world.registry.fingerprint(), before);
    assert_eq!((world.registry.stats().pending, world.registry.stats().refused), (0, 1_000));
    assert!(!world.registry.has_actions());
    world.reserve();
}

#[test]
fn no_rate_means_no_rate() {
    let mut world = World::with(config().connect_rate(0).connect_burst(1));
    for name in 0..100 {
        world.open(&format!("user{name}"), "main");
    }
}

#[test]
fn a_refused_socket_stays_pending_and_can_be_tried_again_closed_or_disconnected() {
    let mut world = World::with(config().connections(1));
    let alice = world.open("alice", "main");
    let [retried, closed, ended] = [(); 3].map(|()| world.reserve());
    for conn in [retried, closed, ended] {
        assert_eq!(world.connect(conn, "bob", "main"), Err(Refused::Connections));
        assert_eq!(world.state(conn), Some(ConnState::Pending));
        assert_eq!(world.registry.session_of(conn), None);
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
    assert_eq!(registry.connect(now, dead, principal, None), Err(Refused::UnknownConn));
    for inbound in [Inbound::Data { bytes: 1 << 40 }, LIFE, Inbound::Pong] {
        assert_eq!(registry.message(now, dead, inbound), Err(InboundError::UnknownConn));
    }
    assert_eq!(registry.flushed(now, dead, u64::MAX), Err(UnknownConn));
    assert_eq!(registry.disconnect(now, dead), Err(UnknownConn));
    assert!(registry.send(now, Target::Conn(dead), Message::text("lost")).nobody());
    let reply = registry.reply(now, dead, Message::text("lost"));
    assert_eq!(reply, Err(ReplyError::UnknownConn));
    let joined = registry.join(now, dead, &room("lobby"), None);
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
    assert_eq!((world.registry.state(stale), world.registry.session_of(stale)), (None, None));
    assert!(world.registry.who(stale).is_none());
    assert_eq!(world.registry.rooms_of(stale).count(), 0);
    assert_eq!(before, (world.registry.stats(), world.registry.poll_timeout()));
    assert!(!world.registry.has_actions());
    assert_eq!(world.state(successor), Some(ConnState::Open));
    assert_eq!(world.registry.rooms_of(successor).count(), 1);
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
    assert_eq!(world.registry.session_position(forged), None);
    assert_eq!(world.registry.session_members(forged).count(), 0);
    let nobody = user("nobody");
    assert_eq!(world.close(Target::User(&nobody), CloseReason::Application), 0);
    world.tell_user("nobody", "hello");
    assert!(world.delivery.nobody());
    world.tell_room("nowhere", "hello");
    assert!(world.delivery.nobody());
    assert_eq!(world.close(Target::Room(&room("nowhere")), CloseReason::Application), 0);
}
