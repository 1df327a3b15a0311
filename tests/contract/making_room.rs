//! What is absent makes room for what is present: a session that lingers, a user who has left, a room
//! that is empty. Who is there is never sent away for a stranger.

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, ConnState, JoinError, Notice, OpenRunError, OpenedRun, Refused, RoomEnd,
    RoomId, RunEvent, RunId, SessionEnd, SessionId, Start, Target, UserId,
};

use crate::support::{World, config, refuse, room, secs, thread, user};

/// Opens a run of the same name in a thread of a user, who need not be here.
fn open_run(world: &mut World, name: &str, of: &str) -> Result<OpenedRun, OpenRunError> {
    let (alice, main, run) = (user(name), thread(of), RunId::new("run").unwrap());
    world.registry.scope(&alice).open_run(world.now, &main, &run, "agent", Bytes::new())
}

/// A user who was here for a moment, a second ago.
fn visit(world: &mut World, name: &str, of: &str) -> SessionId {
    let conn = world.open(name, of);
    let session = world.session(conn);
    world.hang_up(conn);
    world.settle();
    world.skip(secs(1));
    session
}

fn is_known(world: &World, name: &str) -> bool {
    world.registry.user(&user(name)).is_some_and(|it| it.sessions().next().is_some())
}

/// The sessions that have ended since the last look, and why.
fn ended(world: &mut World) -> Vec<(SessionId, SessionEnd)> {
    let ended = |notice| match notice {
        Notice::SessionEnded { session, why } => Some((session, why)),
        _ => None,
    };
    world.notices().into_iter().filter_map(ended).collect()
}

/// Why rooms have ended since the last look.
fn ended_rooms(world: &mut World) -> Vec<(u64, RoomEnd)> {
    let ended = |notice| match notice {
        Notice::RoomEnded { epoch, why } => Some((epoch, why)),
        _ => None,
    };
    world.notices().into_iter().filter_map(ended).collect()
}

/// A room with a message and without a member, and its epoch.
fn forsaken(world: &mut World, conn: ConnId, name: &str) -> u64 {
    world.join(conn, name);
    world.tell_room(name, "hello");
    let epoch = world.registry.room(&room(name)).unwrap().position().epoch;
    world.leave(conn, name);
    world.settle();
    world.skip(secs(1));
    epoch
}

fn join(world: &mut World, conn: ConnId, name: &str) -> Result<(), JoinError> {
    let name: RoomId = room(name);
    world.registry.join(world.now, conn, &name, Start::Now).map(|_| ())
}

#[test]
fn users_who_came_and_went_keep_nobody_out() {
    // The defaults: a server for a hundred, and no connection is open.
    let mut world = World::with(config().connections(100));
    for visitor in 0..400 {
        visit(&mut world, &format!("user-{visitor}"), "main");
    }
    assert_eq!(world.registry.stats().refused, 0);
    assert_eq!(world.registry.stats().users, 119, "those of the last two minutes");
    world.skip(secs(120));
    world.checking = false;
    for visitor in 0..400 {
        let conn = world.open(&format!("user-{visitor}"), "main");
        world.hang_up(conn);
        world.settle();
    }
    assert_eq!((world.registry.stats().users, world.registry.stats().refused), (200, 0));
    world.close_the_books();
}

#[test]
fn the_user_who_has_been_absent_longest_goes_with_all_sessions() {
    let mut world = World::with(config().users(3).session_linger(secs(600)));
    let early = visit(&mut world, "alice", "one");
    let bob = visit(&mut world, "bob", "main");
    // Alice was here again in between: she has been absent for less long than Bob.
    let late = visit(&mut world, "alice", "two");
    world.open("carol", "main");
    ended(&mut world);

    world.open("dave", "main");
    assert_eq!(ended(&mut world), [(bob, SessionEnd::MadeRoom)]);
    world.open("erin", "main");
    assert_eq!(
        ended(&mut world),
        [(early, SessionEnd::MadeRoom), (late, SessionEnd::MadeRoom)],
        "one session alone would not free a user"
    );
    assert_eq!(world.refusal("frank", "main"), Refused::Users, "the others are here");
    world.close_the_books();
}

#[test]
fn over_the_cap_on_sessions_the_one_that_lingers_longest_goes() {
    let mut world = World::with(config().sessions(4).users(4).session_linger(secs(600)));
    let alice = world.open("alice", "here");
    let first = visit(&mut world, "alice", "away");
    let second = visit(&mut world, "bob", "main");
    ended(&mut world);
    world.open("carol", "main");
    world.open("dave", "main");
    assert_eq!(ended(&mut world), [(first, SessionEnd::MadeRoom)]);
    // A user may lose a session of their own that is the longest of all.
    world.open("dave", "other");
    assert_eq!(ended(&mut world), [(second, SessionEnd::MadeRoom)]);
    assert_eq!(world.refusal("dave", "third"), Refused::Sessions);
    assert_eq!(world.state(alice), Some(ConnState::Open));
    world.open("alice", "here");
    world.close_the_books();
}

#[test]
fn a_user_who_changes_the_thread_is_not_refused_for_the_session_left_behind() {
    let mut world = World::with(config().connections_per_user(1).sessions(2).users(2));
    world.open("bob", "main");
    let first = world.open("alice", "one");
    let left = world.session(first);
    world.open("alice", "two");
    assert_eq!(world.state(first), Some(ConnState::Closing));
    assert_eq!(ended(&mut world), [(left, SessionEnd::MadeRoom)]);
    world.settle();
    world.close_the_books();
}

#[test]
fn who_comes_back_to_its_own_session_costs_nobody_theirs() {
    let mut world = World::with(config().sessions(2).users(2).session_linger(secs(600)));
    visit(&mut world, "alice", "main");
    visit(&mut world, "bob", "main");
    for name in ["alice", "bob"] {
        world.open(name, "main");
    }
    assert_eq!(world.registry.stats().sessions_opened, 2);
    assert_eq!(world.refusal("carol", "main"), Refused::Users);
}

#[test]
fn a_session_with_an_open_run_makes_no_room_and_lingers_from_its_end() {
    let mut world = World::with(config().users(2).session_linger(secs(600)).run_silence(secs(0)));
    let _ = open_run(&mut world, "alice", "main").unwrap();
    world.open("bob", "main");
    assert_eq!(world.refusal("carol", "main"), Refused::Users);
    world.settle();

    let (alice, run) = (user("alice"), RunId::new("run").unwrap());
    let done = RunEvent::Completed(Bytes::new());
    let _ = world.registry.scope(&alice).run_event(world.now, &run, &done).unwrap();
    world.open("carol", "main");
    assert!(!is_known(&world, "alice"));
}

#[test]
fn a_run_of_an_absent_user_finds_room_too() {
    let mut world = World::with(config().users(2).sessions(3).session_linger(secs(600)));
    visit(&mut world, "alice", "main");
    world.open("bob", "main");
    let _ = open_run(&mut world, "carol", "main").unwrap();
    assert!(!is_known(&world, "alice"));
    let refused = open_run(&mut world, "dave", "main");
    assert_eq!(refused, Err(OpenRunError::Session(Refused::Users)));

    visit(&mut world, "bob", "away");
    let _ = open_run(&mut world, "bob", "third").unwrap();
    assert!(
        world
            .registry
            .user(&user("bob"))
            .and_then(|it| it.session(&thread("away")))
            .map(|it| it.id())
            .is_none()
    );
    let refused = open_run(&mut world, "bob", "fourth");
    assert_eq!(refused, Err(OpenRunError::Exists { ended: None }));
    world.close_the_books();
}

#[test]
fn a_newcomer_who_is_refused_costs_nobody_anything() {
    // An absent user could go, but the sessions of those who are here fill the other cap.
    let mut world =
        World::with(config().users(2).sessions(3).sessions_per_user(3).session_linger(secs(600)));
    visit(&mut world, "alice", "main");
    world.open("bob", "one");
    world.open("bob", "two");
    // As many as there may be, once the cap on sessions is lower.
    let lower = config().users(2).sessions(2).sessions_per_user(2).session_linger(secs(600));
    world.registry.reload(world.now, lower.build().unwrap());
    ended(&mut world);
    assert_eq!(world.refusal("carol", "main"), Refused::Sessions);
    assert_eq!(ended(&mut world), []);
    assert!(is_known(&world, "alice"));
    let refused = open_run(&mut world, "carol", "main");
    assert_eq!(refused, Err(OpenRunError::Session(Refused::Sessions)));
    assert!(is_known(&world, "alice"));
}

#[test]
fn caps_that_were_lowered_hold_again_with_the_next_newcomer() {
    let mut world = World::with(config().users(10).session_linger(secs(600)));
    for name in ["a", "b", "c", "d", "e"] {
        visit(&mut world, name, "main");
    }
    let lower = config().users(2).session_linger(secs(600)).build().unwrap();
    world.registry.reload(world.now, lower);
    assert_eq!(world.registry.stats().users, 5, "nobody goes for a number");
    world.open("f", "main");
    assert_eq!(world.registry.stats().users, 2);
    assert!(is_known(&world, "e"));
    world.close_the_books();
}

#[test]
fn ended_sessions_have_headroom_of_their_own_until_their_cleanup() {
    let mut world = World::with(config().sessions(2).users(2).closing(2).session_linger(secs(600)));
    for name in ["a", "b", "c", "d"] {
        let conn = world.open(name, "main");
        world.hang_up(conn);
    }
    assert_eq!(world.registry.stats().sessions, 2);
    let conn = world.reserve();
    let refused = world.connect(conn, "e", "main");
    assert_eq!(refused, Err(Refused::Sessions), "two are live, and two were not cleaned up");
    world.drain();
    world.connect(conn, "e", "main").unwrap();
}

#[test]
fn the_handshakes_of_ended_sessions_are_cut_short_when_their_headroom_is_used_up() {
    let closing = Some(ConnState::Closing);
    for (sessions, headroom, cut_short) in [(2, 2, 2), (3, 2, 1), (2, 1, 3)] {
        let caps = config().sessions(sessions).users(sessions).closing(headroom).connections(50);
        let mut world = World::with(caps);
        let mut conns = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            let conn = world.open(name, "main");
            world.close(Target::Conn(conn), CloseReason::Application);
            world.drain();
            conns.push(conn);
        }
        assert_eq!(world.registry.stats().refused, 0);
        let states: Vec<_> = conns.iter().map(|conn| world.state(*conn)).collect();
        assert!(states[..cut_short].iter().all(Option::is_none), "{sessions}: {states:?}");
        assert!(states[cut_short..].iter().all(|it| *it == closing), "{sessions}: {states:?}");
        world.settle();
        world.close_the_books();
    }
}

#[test]
fn the_room_that_has_been_empty_longest_goes() {
    let mut world = World::with(config().rooms(3).room_ttl(secs(600)));
    let alice = world.open("alice", "main");
    let one = forsaken(&mut world, alice, "one");
    let two = forsaken(&mut world, alice, "two");
    // The first had a member again in between.
    let one_again = forsaken(&mut world, alice, "one");
    assert_eq!(one, one_again);
    world.join(alice, "three");
    ended_rooms(&mut world);

    join(&mut world, alice, "four").unwrap();
    assert_eq!(ended_rooms(&mut world), [(two, RoomEnd::MadeRoom)]);
    world.tell_room("one", "a message keeps no empty room");
    join(&mut world, alice, "five").unwrap();
    assert_eq!(ended_rooms(&mut world), [(one, RoomEnd::MadeRoom)]);
    assert_eq!(join(&mut world, alice, "six"), Err(JoinError::Rooms), "all have a member");
    world.close_the_books();
}

#[test]
fn rooms_with_history_and_without_members_refuse_no_join() {
    let mut world = World::with(config().rooms(5));
    let alice = world.open("alice", "main");
    for name in ["1", "2", "3", "4", "5"] {
        forsaken(&mut world, alice, name);
    }
    assert_eq!(world.registry.stats().rooms, 5);
    join(&mut world, alice, "6").unwrap();
    assert!(world.registry.room(&room("1")).is_none());
    assert_eq!(world.registry.stats().rooms, 5);
}

#[test]
fn every_end_of_a_session_says_why() {
    let base = || config().session_linger(secs(60)).emergency_percent(101);
    let mut world = World::with(base());
    let lingered = visit(&mut world, "alice", "main");
    world.skip(secs(60));
    let conn = world.open("bob", "main");
    let revoked = world.session(conn);
    world.registry.revoke(world.now, &user("bob"));
    let why = [(lingered, SessionEnd::Lingered), (revoked, SessionEnd::Revoked)];
    assert_eq!(ended(&mut world), why);
    let stats = world.registry.stats();
    assert_eq!(stats.sessions_ended_by(SessionEnd::Lingered), 1);
    assert_eq!(stats.sessions_ended_by(SessionEnd::Revoked), 1);
    assert_eq!(stats.sessions_ended, 2);

    let mut world = World::with(base().sessions_per_user(2));
    let first = visit(&mut world, "alice", "one");
    let second = visit(&mut world, "alice", "two");
    world.open("alice", "three");
    world.registry.reload(world.now, base().sessions_per_user(1).build().unwrap());
    let why = [(first, SessionEnd::UserCap), (second, SessionEnd::Reload)];
    assert_eq!(ended(&mut world), why);

    let mut world = World::with(config().sessions_per_user(3).emergency_percent(50));
    let empty = visit(&mut world, "alice", "one");
    world.open("alice", "two");
    assert_eq!(ended(&mut world), [(empty, SessionEnd::Pressure)]);
    for end in SessionEnd::ALL {
        assert!(!end.name().contains(|c: char| !c.is_ascii_lowercase() && c != '_'));
    }
}

#[test]
fn every_end_of_a_room_says_why() {
    let mut world = World::with(config().room_ttl(secs(60)).process_bytes(1_000).send_window(64));
    let alice = world.open("alice", "main");
    world.join(alice, "mute");
    world.leave(alice, "mute");
    let aged = forsaken(&mut world, alice, "aged");
    world.skip(secs(60));
    let squeezed = forsaken(&mut world, alice, "squeezed");
    let message = headcount::Message::text("x".repeat(940));
    let bob: UserId = user("alice");
    world.registry.send(world.now, Target::User(&bob), message);
    let why = ended_rooms(&mut world);
    assert_eq!(why[0].1, RoomEnd::Empty);
    assert_eq!(why[1..], [(aged, RoomEnd::Aged), (squeezed, RoomEnd::Budget)]);
    world.settle();
    let forgotten = forsaken(&mut world, alice, "forgotten");
    world.registry.reload(world.now, config().room_history(0).build().unwrap());
    assert_eq!(ended_rooms(&mut world), [(forgotten, RoomEnd::Reload)]);
    let stats = world.registry.stats();
    for end in RoomEnd::ALL {
        let expected = u64::from(*end != RoomEnd::MadeRoom);
        assert_eq!(stats.rooms_ended_by(*end), expected, "{end:?}");
    }
    assert_eq!((stats.rooms_opened, stats.rooms), (4, 0));
}

#[test]
fn every_refusal_says_when_to_try_again() {
    let wait = secs(3);
    for known in [
        Refused::Rate { retry_after: wait },
        Refused::Draining { retry_after: wait },
        Refused::ConnectionsPerUser { retry_after: wait },
        Refused::SessionsPerUser { retry_after: wait },
    ] {
        assert_eq!(known.retry_after(), wait, "{known:?}");
        let drains = matches!(known, Refused::Draining { .. });
        let reason = if drains { CloseReason::Restart } else { CloseReason::TryLater };
        assert_eq!(known.close_reason(), reason, "{known:?}");
    }
    for unknown in [Refused::Pending, Refused::Connections, Refused::Users, Refused::Sessions] {
        assert_eq!(unknown.retry_after(), Refused::PAUSE, "{unknown:?}");
    }
    // A run's session is refused as a connection is: as the policy says, or with that pause.
    for (policy, expected) in [(refuse(), wait), (headcount::OverCap::EvictOldest, Refused::PAUSE)]
    {
        let mut world = World::with(config().sessions_per_user(1).over_cap(policy));
        world.open("alice", "main");
        let Err(OpenRunError::Session(refused)) = open_run(&mut world, "alice", "other") else {
            panic!("a second session");
        };
        assert_eq!(refused.retry_after(), expected);
    }
}

#[test]
fn a_session_of_its_own_that_goes_makes_no_second_place() {
    let mut world = World::new();
    let conn = world.tab("alice", "one");
    world.open_as(headcount::Principal::new(user("alice")));
    // Something to resume keeps it also under pressure.
    world.tell_session(conn, "hello");
    world.settle();
    world.hang_up(conn);
    for name in ["b", "c", "d", "e"] {
        world.tab(name, "main");
    }
    world.settle();
    let lower = config().sessions(3).users(3).sessions_per_user(1).build().unwrap();
    world.registry.reload(world.now, lower);
    assert_eq!(world.refusal("alice", "two"), Refused::Sessions);
    assert_eq!(world.registry.stats().sessions, 5);
}

#[test]
fn ended_sessions_have_as_many_places_beside_the_others_as_there_may_be_closing() {
    let mut world = World::with(config().sessions(3).users(3).closing(2).session_linger(secs(600)));
    for name in ["a", "b", "c", "d", "e"] {
        let conn = world.open(name, "main");
        world.hang_up(conn);
    }
    let conn = world.reserve();
    assert_eq!(world.connect(conn, "f", "main"), Err(Refused::Sessions));
    world.drain();
    world.connect(conn, "f", "main").unwrap();
}
