//! Sessions: created with the first connection, outliving the last one, and ending once.

use headcount::{
    CloseReason, ConnState, Message, Notice, Position, Recovered, SessionEnd, SessionId, Start,
    Survey, Target,
};

use crate::support::{World, config, ms, room, secs, thread, user};

fn world() -> World {
    World::with(config().session_linger(secs(60)).close_handshake(secs(5)))
}

fn find(world: &World, name: &str, conversation: &str) -> Option<SessionId> {
    world
        .registry
        .user(&user(name))
        .and_then(|it| it.session(&thread(conversation)))
        .map(|it| it.id())
}

#[test]
fn the_first_connection_mints_the_session_and_the_next_ones_find_it() {
    let mut world = world();
    let first = world.reserve();
    let created = world.connect(first, "alice", "main").unwrap();
    assert!(created.new_session);
    assert_eq!((created.recovered, created.position.offset), (Recovered::Fresh, 0));
    let second = world.reserve();
    let found = world.connect(second, "alice", "main").unwrap();
    assert!(!found.new_session);
    assert_eq!(found.session, created.session);
    assert_eq!(find(&world, "alice", "main"), Some(created.session));
    let followers = world.registry.session(created.session).unwrap().connections();
    assert!(followers.map(|it| it.id()).eq([first, second]));
    assert_eq!(world.registry.stats().sessions_opened, 1);
}

#[test]
fn threads_and_users_are_kept_apart() {
    let mut world = world();
    let conns = [("alice", "a"), ("alice", "b"), ("bob", "a")].map(|(u, t)| world.open(u, t));
    let sessions = conns.map(|conn| world.session(conn));
    assert!(sessions[0] != sessions[1] && sessions[0] != sessions[2]);
    let epochs = sessions.map(|session| world.registry.session(session).unwrap().position().epoch);
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != epochs[2]);
    assert_eq!((world.registry.stats().users, world.registry.stats().sessions), (2, 3));
    let alices: Vec<_> = world.tabs("alice");
    assert_eq!(alices, conns[..2]);
    let shown = world.registry.connection(conns[1]).unwrap();
    assert_eq!((shown.user(), shown.label()), (Some(&user("alice")), None));
}

#[test]
fn the_label_of_a_principal_is_echoed() {
    let mut world = world();
    let conn = world.reserve();
    let phone = crate::support::who("alice", "main").with_label("phone").unwrap();
    world.registry.connect(world.now, conn, phone, Start::OpenRuns, None).unwrap();
    assert_eq!(world.registry.connection(conn).unwrap().label(), Some("phone"));
    world.hang_up(conn);
    assert!(
        world.registry.connection(conn).unwrap().user().is_some(),
        "until its cleanup was polled"
    );
    world.drain();
    assert!(world.registry.connection(conn).is_none());
}

#[test]
fn a_closing_connection_is_who_it_was_although_its_session_has_ended() {
    let mut world = World::with(config().sessions_per_user(1));
    let phone = crate::support::who("alice", "one").with_label("phone").unwrap();
    let released = world.open_as(phone);
    // Its session makes room for this one.
    let revoked = world.open("alice", "two");
    assert_eq!(world.registry.revoke(world.now, &user("alice")), 1);
    // The name is free for a user who has nothing to do with the old one.
    let back = world.open("alice", "two");
    for (conn, label) in [(released, Some("phone")), (revoked, None)] {
        assert_eq!(world.state(conn), Some(ConnState::Closing));
        let session = world.session(conn);
        assert!(world.registry.session(session).is_none(), "the session has ended");
        let shown = world.registry.connection(conn).unwrap();
        assert_eq!((shown.user(), shown.label()), (Some(&user("alice")), label));
    }
    assert_eq!((world.registry.stats().users, world.registry.stats().sessions), (1, 1));
    let mut survey = Survey::new(9);
    assert!(!world.registry.survey(&mut survey, 1_000));
    assert_eq!(survey.users_by_sessions(), [(user("alice"), 1)]);
    world.check();

    world.hang_up(back);
    for conn in [released, revoked] {
        world.hang_up(conn);
        assert!(
            world.registry.connection(conn).unwrap().user().is_some(),
            "until its cleanup was polled"
        );
    }
    world.drain();
    assert!(
        [released, revoked, back].iter().all(|conn| world.registry.connection(*conn).is_none())
    );
    world.close_the_books();
}

#[test]
fn a_session_lingers_from_its_last_connection_and_ends_exactly_then() {
    let mut world = world();
    let (one, two) = (world.open("alice", "main"), world.open("alice", "main"));
    let session = world.session(one);
    world.skip(secs(5));
    world.hang_up(one);
    world.settle();
    world.skip(secs(5));
    world.hang_up(two);
    world.settle();
    world.skip(secs(60) - ms(1));
    assert_eq!(find(&world, "alice", "main"), Some(session));
    world.skip(ms(1));
    assert_eq!(find(&world, "alice", "main"), None);
    assert_eq!(world.ended_sessions(), [], "its cleanup waits to be polled");
    world.drain();
    assert_eq!(world.ended_sessions(), [session]);
    assert!(world.registry.is_idle());
    assert_eq!(world.registry.poll_timeout(), None);
}

#[test]
fn a_reconnect_while_it_lingers_finds_the_same_session_and_epoch() {
    let mut world = world();
    let first = world.reserve();
    let before = world.connect(first, "alice", "main").unwrap();
    world.tell_session(first, "one");
    world.settle();
    world.hang_up(first);
    world.settle();
    world.skip(secs(59));
    let second = world.reserve();
    let after = world.connect(second, "alice", "main").unwrap();
    assert!(!after.new_session);
    assert_eq!(after.session, before.session);
    assert_eq!(after.position, Position { offset: 1, ..before.position });
    // The linger that had begun is over: it begins again when this one leaves.
    world.run(secs(10));
    assert_eq!(find(&world, "alice", "main"), Some(before.session));
    world.hang_up(second);
    world.settle();
    world.skip(secs(59));
    assert_eq!(world.registry.stats().sessions, 1);
    world.skip(secs(1));
    assert_eq!(world.registry.stats().sessions, 0);
}

#[test]
fn a_reconnect_after_its_end_mints_another_one_with_another_epoch() {
    let mut world = world();
    let first = world.reserve();
    let before = world.connect(first, "alice", "main").unwrap();
    world.hang_up(first);
    world.settle();
    world.skip(secs(60));
    let second = world.reserve();
    let after = world.connect(second, "alice", "main").unwrap();
    assert!(after.new_session && after.session != before.session);
    assert_ne!(after.position.epoch, before.position.epoch);
    world.settle();
    assert_eq!(world.ended_sessions(), [before.session]);
    let stats = world.registry.stats();
    assert_eq!((stats.sessions_opened, stats.sessions, stats.sessions_ended), (2, 1, 1));
}

#[test]
fn the_handle_of_an_ended_session_is_dead() {
    let mut world = world();
    let alice = world.open("alice", "main");
    let session = world.session(alice);
    world.hang_up(alice);
    world.settle();
    world.skip(secs(60));
    for _ in 0..2 {
        assert!(world.registry.session(session).is_none());
        assert_eq!(world.close(Target::Session(session), CloseReason::Application), 0);
        world.send(Target::Session(session), Message::text("lost"));
        assert!(world.delivery.reaches_none());
        world.settle();
        world.open("bob", "main");
    }
}

#[test]
fn the_cleanup_of_a_session_comes_after_that_of_its_last_connection() {
    let mut world = World::with(config().session_linger(secs(2)).close_handshake(secs(5)));
    let alice = world.open("alice", "main");
    let session = world.session(alice);
    world.close(Target::Conn(alice), CloseReason::Application);
    world.settle();
    world.skip(secs(3));
    assert_eq!(find(&world, "alice", "main"), Some(session), "one of its connections closes yet");
    world.skip(secs(2));
    world.settle();
    let order: Vec<_> = world.polled.iter().map(|polled| &polled.what[..]).collect();
    let expected = ["close application", "cleanup application", "session cleanup application"];
    assert_eq!(order, expected);
}

#[test]
fn a_session_without_linger_ends_with_its_last_connections_cleanup() {
    let mut world = World::with(config().session_linger(secs(0)));
    let (one, two) = (world.open("alice", "main"), world.open("alice", "main"));
    let session = world.session(one);
    world.hang_up(one);
    world.settle();
    assert_eq!(world.ended_sessions(), []);
    world.hang_up(two);
    assert_eq!(world.registry.stats().sessions, 1);
    world.settle();
    assert_eq!(world.ended_sessions(), [session]);
    assert_eq!(world.polled.last().unwrap().what, "session cleanup peer_gone");
    assert!(world.registry.is_idle());
}

#[test]
fn a_reconnect_before_the_cleanup_keeps_a_session_that_does_not_linger() {
    let mut world = World::with(config().session_linger(secs(0)));
    let first = world.open("alice", "main");
    let session = world.session(first);
    world.hang_up(first);
    let second = world.open("alice", "main");
    world.settle();
    assert_eq!(world.session(second), session);
    assert_eq!(world.ended_sessions(), []);
}

#[test]
fn a_user_goes_with_the_last_session() {
    let mut world = world();
    let (one, two) = (world.open("alice", "one"), world.open("alice", "two"));
    world.hang_up(one);
    world.settle();
    world.skip(secs(30));
    world.hang_up(two);
    world.settle();
    world.skip(secs(30));
    world.settle();
    assert_eq!((world.registry.stats().users, world.registry.stats().sessions), (1, 1));
    world.tell_user("alice", "kept for two");
    assert_eq!(world.delivery.stored().len(), 1);
    world.skip(secs(30));
    world.settle();
    assert_eq!((world.registry.stats().users, world.registry.stats().sessions), (0, 0));
    world.tell_user("alice", "nobody");
    assert!(world.delivery.reaches_none());
}

#[test]
fn the_reason_of_a_session_is_why_its_last_connection_left() {
    let mut world = world();
    let (one, two) = (world.open("alice", "main"), world.open("alice", "main"));
    world.close(Target::Conn(two), CloseReason::PolicyViolation);
    world.close(Target::Conn(one), CloseReason::Restart);
    world.run_out();
    assert_eq!(world.polled.last().unwrap().what, "session cleanup restart");
}

#[test]
fn a_lingering_session_keeps_its_log_and_its_bounds() {
    let mut world = World::with(config().session_linger(secs(60)).stream_messages(3));
    let alice = world.open("alice", "main");
    world.hang_up(alice);
    world.settle();
    for number in 0..10 {
        world.tell_user("alice", &number.to_string());
    }
    assert_eq!(world.registry.stats().log_messages, 3);
    world.skip(secs(60));
    world.settle();
    assert_eq!((world.registry.stats().log_messages, world.registry.stats().log_bytes), (0, 0));
}

#[test]
fn a_resume_follows_the_welcome_and_comes_before_anything_new() {
    // What the client claims to have seen of five messages, and what it is handed.
    let (same, foreign) = (0, 1);
    for (epoch, offset, told) in [
        (same, 2, vec!["3", "4", "5"]),
        (same, 0, vec!["1", "2", "3", "4", "5"]),
        (same, 6, vec!["gap 1..=5"]),
        (same, u64::MAX, vec!["gap 1..=5"]),
        (foreign, 5, vec!["gap 1..=5"]),
        (same, 5, vec![]),
    ] {
        let mut world = world();
        let alice = world.open("alice", "main");
        for number in 1..=5 {
            world.tell_session(alice, &number.to_string());
        }
        world.settle();
        let head = world.registry.session(world.session(alice)).unwrap().position();
        let claim = Position { epoch: head.epoch ^ epoch, offset };
        let (conn, admitted) = world.resume("alice", "main", claim);
        let (position, recovered) = match told[..] {
            ["gap 1..=5"] => (Position { offset: 0, ..head }, Recovered::Gap),
            _ => (claim, Recovered::All),
        };
        assert_eq!((admitted.position, admitted.recovered), (position, recovered), "{claim:?}");
        world.tell_session(alice, "new");
        world.tell_conn(conn, "welcome");
        world.settle();
        let expected = [vec!["direct: welcome"], told, vec!["new"]].concat();
        assert_eq!(world.seen(conn), expected, "{claim:?}");
        assert_eq!(world.seen(alice).len(), 6);
    }
}

#[test]
fn a_resume_of_an_empty_stream_loses_nothing() {
    let mut world = world();
    let foreign = Position { epoch: 3, offset: 9 };
    let (conn, admitted) = world.resume("alice", "main", foreign);
    assert_eq!(admitted.position.offset, 0);
    world.settle();
    assert_eq!(world.seen(conn), [""; 0]);
}

#[test]
fn notices_tell_the_life_of_a_session() {
    let mut world = world();
    let alice = world.open("alice", "main");
    let session = world.session(alice);
    world.run(secs(2));
    world.hang_up(alice);
    world.settle();
    world.skip(secs(60));
    let reason = CloseReason::PeerGone;
    let expected = [
        Notice::Admitted { conn: alice, session: Some(session) },
        Notice::Closed { conn: alice, session: Some(session), reason, age: secs(2) },
        Notice::SessionEnded { session, why: SessionEnd::Lingered },
    ];
    assert_eq!(world.notices(), expected);
}

#[test]
fn notices_that_nobody_polls_are_counted_and_lost() {
    let mut world = World::with(config().notices(2));
    for _ in 0..5 {
        world.open("alice", "main");
    }
    assert_eq!(world.notices().len(), 2);
    assert_eq!(world.registry.stats().notices_lost, 3);
}

#[test]
fn rooms_belong_to_connections_and_not_to_sessions() {
    let mut world = world();
    let alice = world.open("alice", "main");
    world.join(alice, "one");
    world.join(alice, "two");
    let rooms: Vec<_> = world.registry.connection(alice).unwrap().rooms().cloned().collect();
    assert_eq!(rooms, [room("one"), room("two")]);
    world.hang_up(alice);
    assert_eq!(world.members("one").len(), 0);
    let again = world.open("alice", "main");
    assert_eq!(world.registry.connection(again).unwrap().rooms().count(), 0);
    assert_eq!(world.state(alice), Some(ConnState::Gone));
}

#[test]
fn the_rooms_of_a_connection_are_known_until_its_cleanup_also_if_they_have_ended() {
    let mut world = world();
    let alice = world.open("alice", "main");
    let bob = world.open("bob", "main");
    for name in ["one", "two", "three"] {
        world.join(alice, name);
    }
    world.join(bob, "one");
    world.registry.leave(world.now, alice, &room("two")).unwrap();
    let rooms = |world: &World| {
        world.check();
        let view = world.registry.connection(alice)?;
        Some(view.rooms().map(ToString::to_string).collect::<Vec<_>>())
    };
    let expected = Some(vec!["one".to_string(), "three".to_string()]);
    world.registry.close(world.now, Target::Conn(alice), CloseReason::Application);
    assert_eq!((world.state(alice), rooms(&world)), (Some(ConnState::Closing), expected.clone()));
    assert!(world.registry.room(&room("three")).is_none(), "it has ended");
    // The room that has its name later is another one.
    world.join(bob, "three");
    world.registry.leave(world.now, bob, &room("one")).unwrap();
    world.hang_up(alice);
    assert_eq!((world.state(alice), rooms(&world)), (Some(ConnState::Gone), expected));
    world.settle();
    assert_eq!(rooms(&world), None);
    assert_eq!(world.registry.connection(bob).unwrap().rooms().count(), 1);
}
