//! Who gets in, who is refused, and that every limit is exact at every instant.

use headcount::{CloseReason, ConnState, JoinError, Refused, Start, Target};

use crate::support::{World, config, refuse, room, secs, who};

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
    let mut world = World::with(config().users(2).session_linger(secs(60)));
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
    let mut world = World::with(config().sessions(2).users(2).session_linger(secs(60)));
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
    let mut world =
        World::with(config().sessions_per_user(2).session_linger(secs(60)).over_cap(refuse()));
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
            match world.registry.join(world.now, conn, &name, Start::Now) {
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
    let refused = world.registry.join(now, conns[15], &room("lobby"), Start::Now);
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
    assert_eq!(world.registry.connection(conn).unwrap().rooms().count(), 3);
    let now = world.now;
    let refused = world.registry.join(now, conn, &room("four"), Start::Now);
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
    let refused = world.registry.join(now, alice, &room("three"), Start::Now);
    assert_eq!(refused, Err(JoinError::RoomsPerConnection));
    assert!(world.join(alice, "two").already, "a member joins no further room");

    world.join(bob, "three");
    let refused = world.registry.join(now, bob, &room("four"), Start::Now);
    assert_eq!(refused, Err(JoinError::Rooms));
    world.join(bob, "one");
    assert_eq!(world.registry.stats().rooms, 3);

    world.leave(alice, "two");
    assert_eq!(world.registry.stats().rooms, 2, "a room goes with its last member");
    world.leave(bob, "one");
    world.join(bob, "four");
}

#[test]
fn a_socket_that_is_known_already_is_admitted_in_one_step() {
    let mut world = World::with(config().pending(1));
    let waiting = world.reserve();
    let (conn, admitted) =
        world.registry.admit(world.now, who("alice", "main"), Start::OpenRuns, None).unwrap();
    let followed = admitted.followed.unwrap();
    assert_eq!((world.state(conn), followed.new_session), (Some(ConnState::Open), true));
    assert_eq!(world.registry.connection(conn).and_then(|it| it.session()), Some(followed.session));
    assert_eq!(world.state(waiting), Some(ConnState::Pending), "it takes no pending place");
    assert_eq!((world.registry.stats().opened, world.registry.stats().pending), (1, 1));
}

#[test]
fn a_refused_admission_leaves_nothing_behind() {
    let mut world = World::with(config().connections(1).pending(64));
    world.open("alice", "main");
    let before = world.registry.fingerprint();
    for _ in 0..1_000 {
        let refused = world.registry.admit(world.now, who("bob", "main"), Start::OpenRuns, None);
        assert_eq!(refused, Err(Refused::Connections));
    }
    assert_eq!(world.registry.fingerprint(), before);
    assert_eq!((world.registry.stats().pending, world.registry.stats().refused), (0, 1_000));
    assert!(!world.registry.has_actions());
    world.reserve();
}
