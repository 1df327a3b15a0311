//! A connection belongs to one user and follows sessions of that user: none, one or several.

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, ConnKind, FollowError, Followed, JoinError, Message, Principal, Recovered,
    Refused, RunEvent, RunId, SessionEnd, SessionId, Start, Target,
};

use crate::support::{World, config, refuse, room, secs, text_of_cost, thread, user, who};

/// A connection that follows nothing yet.
fn bare(world: &mut World, name: &str) -> ConnId {
    world.open_as(Principal::new(user(name)))
}

fn followed(world: &World, conn: ConnId) -> Vec<SessionId> {
    let shown = world.registry.connection(conn).unwrap();
    shown.followed().map(|(session, _)| session).collect()
}

fn tell(world: &mut World, session: SessionId, text: &str) {
    world.send(Target::Session(session), Message::text(text));
}

fn follow(world: &mut World, conn: ConnId, name: &str) -> Result<Followed, FollowError> {
    world.registry.follow(world.now, conn, &thread(name), Start::OpenRuns)
}

fn unfollow(world: &mut World, conn: ConnId, session: SessionId) -> bool {
    world.registry.unfollow(world.now, conn, session).unwrap()
}

#[test]
fn a_principal_without_a_thread_follows_nothing_yet() {
    let mut world = World::with(config().room_history(0));
    let conn = world.reserve();
    let who = Principal::new(user("alice"));
    let admitted = world.registry.connect(world.now, conn, who, Start::OpenRuns, None).unwrap();
    assert_eq!((admitted.first_of_user, admitted.followed), (true, None));
    assert_eq!(world.registry.stats().sessions, 0);
    assert_eq!(world.registry.stats().users, 1, "who is connected is here");
    world.tell_user("alice", "nobody follows a session");
    assert!(world.delivery.reaches_none());
    world.tell_conn(conn, "direct");
    world.join(conn, "lobby");
    world.tell_room("lobby", "to all");
    world.settle();
    assert_eq!(world.seen(conn), ["direct: direct", "lobby: to all"]);
    world.hang_up(conn);
    world.settle();
    assert_eq!((world.registry.stats().users, world.registry.is_idle()), (0, true));
}

#[test]
fn a_connection_gets_what_is_sent_to_each_session_that_it_follows_in_its_order() {
    let mut world = World::new();
    let conn = world.open("alice", "one");
    let one = world.session(conn);
    let two = world.follow(conn, "two", Start::OpenRuns);
    assert!(two.new_session && two.first_of_session && !two.already);
    assert_eq!(followed(&world, conn), [one, two.session]);
    for (session, text) in [(one, "a"), (two.session, "x"), (one, "b"), (two.session, "y")] {
        tell(&mut world, session, text);
    }
    world.settle();
    let seen = world.take(conn);
    let of = |texts: [&str; 2]| seen.iter().filter(|it| texts.contains(&&***it)).count();
    assert_eq!((of(["a", "b"]), of(["x", "y"]), seen.len()), (2, 2, 4));
    let at = |text: &str| seen.iter().position(|it| it == text);
    assert!(at("a") < at("b") && at("x") < at("y"));
    // To all sessions of the user: once for each.
    world.tell_user("alice", "both");
    world.settle();
    assert_eq!(world.take(conn), ["both", "both"]);
}

#[test]
fn no_thread_names_a_session_of_another_user() {
    let mut world = World::new();
    let (alice, bob) = (world.open("alice", "main"), bare(&mut world, "bob"));
    let of_bob = world.follow(bob, "main", Start::Kept).session;
    assert_ne!(of_bob, world.session(alice));
    world.tell_session(alice, "for alice");
    world.settle();
    assert_eq!(world.seen(bob), [""; 0]);
    let of_alice = world.session(alice);
    assert!(!unfollow(&mut world, bob, of_alice), "it never followed that");
}

#[test]
fn a_follower_that_follows_again_changes_nothing() {
    let mut world = World::new();
    let conn = world.open("alice", "main");
    world.tell_session(conn, "seen");
    world.settle();
    let again = world.follow(conn, "main", Start::Kept);
    assert_eq!((again.already, again.new_session, again.position.offset), (true, false, 1));
    assert_eq!(again.recovered, Recovered::Fresh);
    world.settle();
    assert_eq!(world.seen(conn), ["seen"]);
}

#[test]
fn each_followed_session_resumes_by_itself() {
    let mut world = World::new();
    let first = world.open("alice", "one");
    let (one, two) = (world.session(first), world.follow(first, "two", Start::OpenRuns));
    for text in ["1", "2", "3"] {
        tell(&mut world, one, text);
        tell(&mut world, two.session, text);
    }
    world.settle();
    let seen_one = headcount::Position { offset: 2, ..two.position };
    world.hang_up(first);
    world.settle();
    let back = world.open("alice", "one");
    let again = world.follow(back, "two", Start::After(seen_one));
    assert_eq!(
        (again.recovered, again.position.offset, again.new_session),
        (Recovered::All, 2, false)
    );
    world.settle();
    assert_eq!(world.seen(back), ["3"], "the other one began at the head");
}

#[test]
fn nothing_of_a_session_comes_after_unfollow() {
    let mut world = World::new();
    let conn = world.open("alice", "one");
    let two = world.follow(conn, "two", Start::OpenRuns).session;
    tell(&mut world, two, "too late");
    assert!(unfollow(&mut world, conn, two));
    assert!(!unfollow(&mut world, conn, two));
    world.tell_session(conn, "goes on");
    world.settle();
    assert_eq!(world.seen(conn), ["goes on"]);
    assert_eq!(followed(&world, conn), [world.session(conn)]);
}

#[test]
fn a_session_lingers_without_a_follower_and_its_user_stays_while_connected() {
    let mut world = World::with(config().session_linger(secs(10)).stream_history(0));
    let conn = world.tab("alice", "one");
    let one = world.session(conn);
    assert!(unfollow(&mut world, conn, one));
    let ends_at = world.registry.session(one).unwrap().ends_at();
    assert_eq!(ends_at, Some(world.now + secs(10)));
    world.run(secs(11));
    assert!(world.registry.session(one).is_none());
    assert_eq!((world.registry.stats().users, world.registry.stats().sessions), (1, 0));
    let again = world.follow(conn, "one", Start::OpenRuns);
    assert!(again.new_session && again.session != one, "the name was free");
}

#[test]
fn without_linger_a_session_ends_with_its_last_unfollow() {
    let mut world = World::with(config().session_linger(secs(0)));
    let conn = world.open("alice", "one");
    let two = world.follow(conn, "two", Start::OpenRuns).session;
    assert!(unfollow(&mut world, conn, two));
    let ended = world.registry.stats().sessions_ended_by(SessionEnd::Lingered);
    assert_eq!((world.registry.stats().sessions, ended), (1, 1));
    world.settle();
    assert_eq!(world.ended_sessions(), [two]);
}

#[test]
fn closing_a_session_closes_those_that_follow_no_other_and_tells_the_rest() {
    let mut world = World::new();
    let (both, only) = (world.open("alice", "one"), world.open("alice", "two"));
    let two = world.follow(both, "two", Start::OpenRuns).session;
    tell(&mut world, two, "last words");
    assert_eq!(world.close(Target::Session(two), CloseReason::Application), 2);
    tell(&mut world, two, "for nobody");
    world.tell_session(both, "goes on");
    world.settle();
    assert_eq!(world.seen(both), ["last words", "left application", "goes on"]);
    assert_eq!(world.seen(only), ["last words", "close application"]);
    assert_eq!(followed(&world, both), [world.session(both)]);
}

#[test]
fn who_was_sent_away_may_follow_again_and_is_told_in_the_order_of_the_causes() {
    let mut world = World::new();
    let conn = world.open("alice", "one");
    let two = world.follow(conn, "two", Start::OpenRuns).session;
    world.close(Target::Session(two), CloseReason::Application);
    assert_eq!(world.follow(conn, "two", Start::OpenRuns).session, two, "it lingers");
    tell(&mut world, two, "back");
    world.settle();
    assert_eq!(world.seen(conn), ["left application", "back"]);
}

#[test]
fn a_cleanup_of_a_session_follows_the_word_that_it_was_left() {
    let mut world = World::with(config().session_linger(secs(0)));
    let conn = world.open("alice", "one");
    let two = world.follow(conn, "two", Start::OpenRuns).session;
    world.close(Target::Session(two), CloseReason::Application);
    world.drain();
    let what: Vec<_> = world.polled.iter().map(|polled| &*polled.what).collect();
    assert_eq!(what, ["left application", "session cleanup application"]);
}

#[test]
fn revoke_closes_every_connection_of_the_user_once_whatever_it_follows() {
    let mut world = World::new();
    let (both, none) = (world.open("alice", "one"), bare(&mut world, "alice"));
    world.follow(both, "two", Start::OpenRuns);
    assert_eq!(world.registry.revoke(world.now, &user("alice")), 2);
    world.settle();
    assert_eq!(world.seen(both), ["close revoked"]);
    assert_eq!(world.seen(none), ["close revoked"]);
    assert_eq!((world.registry.stats().sessions, world.registry.stats().users), (0, 0));
}

#[test]
fn caps_of_following_refuse_and_close_nothing() {
    let mut world = World::with(config().sessions_per_connection(2));
    let conn = world.open("alice", "one");
    world.follow(conn, "two", Start::OpenRuns);
    assert_eq!(follow(&mut world, conn, "three"), Err(FollowError::SessionsPerConnection));

    let mut world = World::with(config().streams_per_user(1));
    let (one, other) = (world.open("alice", "one"), bare(&mut world, "alice"));
    // The first of each connection is free.
    world.follow(other, "one", Start::OpenRuns);
    world.follow(other, "two", Start::OpenRuns);
    assert_eq!(follow(&mut world, one, "two"), Err(FollowError::StreamsPerUser));
    let two = world
        .registry
        .user(&user("alice"))
        .and_then(|it| it.session(&thread("two")))
        .map(|it| it.id())
        .unwrap();
    assert!(unfollow(&mut world, other, two));
    assert!(follow(&mut world, one, "two").is_ok());
    assert_eq!(world.open_conns(), [one, other]);

    let mut world = World::with(config().sessions_per_user(2));
    let (conn, other) = (world.open("alice", "one"), world.open("alice", "two"));
    let refused = Refused::SessionsPerUser { retry_after: Refused::PAUSE };
    assert_eq!(follow(&mut world, conn, "three"), Err(FollowError::Session(refused)));
    // One that lingers makes room.
    let two = world.session(other);
    assert!(unfollow(&mut world, other, two));
    assert!(follow(&mut world, conn, "three").unwrap().new_session);
}

#[test]
fn who_was_sent_away_and_not_told_counts_for_the_connection() {
    let mut world = World::with(config().sessions_per_connection(2));
    let conn = world.open("alice", "one");
    let two = world.follow(conn, "two", Start::OpenRuns).session;
    world.close(Target::Session(two), CloseReason::Application);
    assert_eq!(follow(&mut world, conn, "two"), Err(FollowError::SessionsPerConnection));
    world.drain();
    assert!(follow(&mut world, conn, "two").is_ok());
}

#[test]
fn a_newcomer_over_the_cap_of_sessions_takes_one_and_its_followers_stay() {
    let mut world = World::with(config().sessions_per_user(2));
    let conn = world.open("alice", "one");
    world.follow(conn, "two", Start::OpenRuns);
    let newcomer = world.open("alice", "three");
    world.settle();
    assert_eq!(world.seen(conn), ["left evicted"], "it follows the other one still");
    assert_eq!(world.open_conns(), [conn, newcomer]);
    assert_eq!(world.registry.user(&user("alice")).unwrap().sessions().count(), 2);
}

#[test]
fn a_predecessor_without_a_thread_is_one_of_the_same_user() {
    let mut world = World::new();
    let (alice, bob) = (bare(&mut world, "alice"), bare(&mut world, "bob"));
    let come = |world: &mut World, previous| {
        let conn = world.reserve();
        let who = Principal::new(user("alice"));
        world.registry.connect(world.now, conn, who, Start::OpenRuns, Some(previous)).unwrap();
        conn
    };
    let back = come(&mut world, alice);
    come(&mut world, bob);
    // Credentials for a thread take over nothing that is only in another.
    let elsewhere = world.take_over("alice", "main", back);
    world.settle();
    assert_eq!(world.closings(), ["taken_over"]);
    assert!(world.open_conns().contains(&bob) && world.open_conns().contains(&elsewhere));
}

#[test]
fn one_window_and_one_close_for_whatever_is_followed() {
    let mut world = World::with(config().send_window(300));
    let conn = world.open("alice", "one");
    let one = world.session(conn);
    let two = world.follow(conn, "two", Start::OpenRuns).session;
    world.stall(conn);
    for session in [one, two] {
        for _ in 0..2 {
            tell(&mut world, session, &text_of_cost(150));
        }
    }
    world.drain();
    assert_eq!(world.seen(conn).len(), 2, "no more than the window, of both together");
    world.close(Target::Conn(conn), CloseReason::Application);
    world.drain();
    assert_eq!(world.seen(conn).last(), Some(&"close application"));
}

#[test]
fn rooms_count_beside_sessions() {
    let mut world = World::with(config().rooms_per_connection(1));
    let conn = world.open("alice", "one");
    world.follow(conn, "two", Start::OpenRuns);
    world.join(conn, "lobby");
    let refused = world.registry.join(world.now, conn, &room("hall"), Start::Now);
    assert_eq!(refused, Err(JoinError::RoomsPerConnection));
}

/// A run of that name, with one text, which has ended or has not.
fn a_run(world: &mut World, name: &str, ends: bool) {
    let (alice, run) = (user("alice"), RunId::new(name).unwrap());
    let mut scope = world.registry.scope(&alice);
    scope.open_run(world.now, &thread("main"), &run, "agent", Bytes::new()).unwrap();
    let mut tell = |event| drop(scope.run_event(world.now, &run, &event).unwrap());
    tell(RunEvent::text(name));
    if ends {
        tell(RunEvent::Completed(Bytes::new()));
    }
}

#[test]
fn a_start_says_what_a_newcomer_gets_of_the_past() {
    let mut world = World::with(config().run_linger(secs(60)));
    let first = world.tab("alice", "main");
    world.tell_session(first, "before");
    a_run(&mut world, "old", true);
    world.run(secs(61));
    a_run(&mut world, "recent", true);
    a_run(&mut world, "open", false);
    world.tell_session(first, "between");
    let mut seen = |start: Start| {
        let conn = world.reserve();
        world.registry.connect(world.now, conn, who("alice", "main"), start, None).unwrap();
        world.settle();
        let seen = world.take(conn).join("|");
        world.hang_up(conn);
        world.settle();
        seen
    };
    let open = "open Started |open says open";
    let recent = "recent Started |recent says recent|recent Completed ";
    let old = "old Started |old says old|old Completed ";
    assert_eq!(seen(Start::Now), "");
    assert_eq!(seen(Start::OpenRuns), open);
    assert_eq!(seen(Start::Recent), format!("{recent}|{open}"));
    assert_eq!(seen(Start::Run(RunId::new("old").unwrap())), old);
    assert_eq!(seen(Start::Run(RunId::new("open").unwrap())), open);
    assert_eq!(seen(Start::Run(RunId::new("none").unwrap())), "");
    assert_eq!(seen(Start::Kept), format!("before|{old}|{recent}|{open}|between"));
}

#[test]
fn a_room_is_joined_with_its_history() {
    let mut world = World::with(config().room_history(8));
    let (first, second) = (world.open("alice", "main"), world.open("bob", "main"));
    world.join(first, "lobby");
    for text in ["one", "two"] {
        world.tell_room("lobby", text);
    }
    let joined = world.registry.join(world.now, second, &room("lobby"), Start::Kept).unwrap();
    assert_eq!((joined.position.offset, joined.recovered), (0, Recovered::Fresh));
    world.settle();
    assert_eq!(world.seen(second), ["lobby: one", "lobby: two"]);
}

/// An event stream of a user.
fn event_stream(world: &mut World, name: &str, thread_name: &str) -> ConnId {
    let who = who(name, thread_name).with_kind(ConnKind::EventStream);
    world.open_as(who)
}

#[test]
fn event_streams_have_a_cap_beside_that_of_sockets() {
    let mut world = World::with(config().connections_per_user(1).streams_per_user(2));
    let socket = world.open("alice", "main");
    let streams = ["a", "b"].map(|name| event_stream(&mut world, "alice", name));
    assert_eq!(world.open_conns().len(), 3);
    // A further one takes the place of the oldest stream, and of no socket.
    let third = event_stream(&mut world, "alice", "c");
    assert_eq!(world.open_conns(), [socket, streams[1], third]);
    // So does a further socket with sockets.
    let second = world.open("alice", "main");
    assert_eq!(world.open_conns(), [streams[1], third, second]);
    let kinds = [second, third].map(|conn| world.registry.connection(conn).unwrap().kind());
    assert_eq!(kinds, [ConnKind::Socket, ConnKind::EventStream]);
}

#[test]
fn sessions_that_are_followed_and_event_streams_share_a_cap() {
    let mut world = World::with(config().streams_per_user(2));
    let conn = world.open("alice", "one");
    world.follow(conn, "two", Start::OpenRuns);
    let stream = event_stream(&mut world, "alice", "a");
    assert_eq!(follow(&mut world, conn, "three"), Err(FollowError::StreamsPerUser));
    world.hang_up(stream);
    world.follow(conn, "three", Start::OpenRuns);
    // Nothing that a socket follows goes for a stream.
    let newcomer = world.reserve();
    let who = who("alice", "a").with_kind(ConnKind::EventStream);
    let refused = world.registry.connect(world.now, newcomer, who, Start::OpenRuns, None);
    let pause = Refused::PAUSE;
    assert_eq!(refused.unwrap_err(), Refused::StreamsPerUser { retry_after: pause });
}

#[test]
fn a_policy_to_refuse_refuses_event_streams_too() {
    let mut world = World::with(config().streams_per_user(1).over_cap(refuse()));
    event_stream(&mut world, "alice", "a");
    let newcomer = world.reserve();
    let who = who("alice", "b").with_kind(ConnKind::EventStream);
    let refused = world.registry.connect(world.now, newcomer, who, Start::OpenRuns, None);
    assert!(matches!(refused, Err(Refused::StreamsPerUser { .. })), "{refused:?}");
    assert_eq!(world.open_count(), 1);
}

#[test]
fn of_several_sessions_those_that_a_connection_does_not_leave_stay_in_their_order() {
    let mut world = World::new();
    let conn = bare(&mut world, "alice");
    let names = ["one", "two", "three", "four"];
    let sessions = names.map(|name| follow(&mut world, conn, name).unwrap().session);
    for (left, rest) in [(1, [0, 2, 3].as_slice()), (0, &[2, 3]), (3, &[2]), (2, &[])] {
        assert!(unfollow(&mut world, conn, sessions[left]));
        assert!(!unfollow(&mut world, conn, sessions[left]), "it does not follow it any more");
        let rest: Vec<_> = rest.iter().map(|place| sessions[*place]).collect();
        assert_eq!(followed(&world, conn), rest);
        world.check();
    }
}

#[test]
fn a_newcomer_begins_with_the_first_open_run_where_an_older_one_has_just_ended() {
    let mut world = World::with(config().run_linger(secs(10)));
    let first = world.tab("alice", "main");
    let (name, session) = (user("alice"), world.session(first));
    a_run(&mut world, "old", false);
    let begins = world.registry.session(session).unwrap().position();
    a_run(&mut world, "open", false);
    let old = RunId::new("old").unwrap();
    let completed = RunEvent::Completed(Bytes::new());
    let _ = world.registry.scope(&name).run_event(world.now, &old, &completed).unwrap();
    let conn = world.reserve();
    assert_eq!(world.connect(conn, "alice", "main").unwrap().position, begins);
}
