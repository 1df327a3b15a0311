//! Why things are as they are: one connection, one session, and those that have gone.

use core::time::Duration;

use bytes::Bytes;
use headcount::{
    CloseReason, ConnState, Inbound, Message, RunEnd, RunEnded, RunEvent, RunId, StreamRef, Target,
    Upcoming,
};

use crate::support::{START, World, config, ms, room, secs, text_of_cost, thread, user, who};

#[test]
fn a_view_follows_a_connection_through_its_life() {
    let mut world = World::with(config().head_deadline(secs(5)).auth_deadline(secs(7)));
    let conn = world.reserve();
    let pending = world.registry.connection(conn).unwrap();
    assert_eq!((pending.state(), pending.reason()), (ConnState::Pending, None));
    let head = Upcoming::Close(CloseReason::HeadTimeout);
    assert_eq!(pending.next(), Some((START + secs(5), head)));
    assert_eq!(pending.cursors().count(), 0);

    world.skip(secs(1));
    world.registry.upgraded(world.now, conn).unwrap();
    let auth = Upcoming::Close(CloseReason::AuthTimeout);
    assert_eq!(world.registry.connection(conn).unwrap().next(), Some((START + secs(8), auth)));

    world.connect(conn, "alice", "main").unwrap();
    world.skip(secs(2));
    let open = world.registry.connection(conn).unwrap();
    assert_eq!((open.state(), open.age(), open.silence()), (ConnState::Open, secs(2), secs(2)));
    assert_eq!((open.round_trip(), open.expires_at(), open.stuck_for()), (None, None, None));
    assert!(matches!(open.next(), Some((_, Upcoming::Ping))));

    world.close(Target::Conn(conn), CloseReason::Application);
    let told = world.registry.connection(conn).unwrap();
    assert_eq!((told.state(), told.reason()), (ConnState::Closing, Some(CloseReason::Application)));
    assert_eq!(told.next(), None, "nothing until its close is polled");
    world.drain();
    let closing = world.registry.connection(conn).unwrap();
    assert_eq!(closing.next(), Some((world.now + secs(5), Upcoming::Cleanup)));
    assert_eq!(closing.age(), Duration::ZERO, "told to close just now");

    world.hang_up(conn);
    assert_eq!(world.registry.connection(conn).unwrap().state(), ConnState::Gone);
    world.drain();
    assert!(world.registry.connection(conn).is_none());
}

#[test]
fn what_comes_next_is_what_happens_and_when() {
    let mut world = World::with(config().ping_interval(secs(20)).pong_timeout(secs(10)));
    let alice = world.open("alice", "main");
    let expected = [Upcoming::Ping, Upcoming::Suspect, Upcoming::Close(CloseReason::PongTimeout)];
    for upcoming in expected {
        let (at, next) = world.registry.connection(alice).unwrap().next().unwrap();
        assert_eq!(next, upcoming);
        assert!(world.timeout() <= at, "early, never late");
        world.run(at.saturating_since(world.now) - ms(1));
        assert_eq!(world.registry.connection(alice).unwrap().next(), Some((at, next)), "not yet");
        world.run(ms(1));
    }
    assert_eq!(world.state(alice), Some(ConnState::Closing));
}

#[test]
fn silence_is_the_peer_s_and_the_round_trip_is_smoothed() {
    let mut world = World::with(config().ping_interval(secs(20)));
    let alice = world.open("alice", "main");
    let mut expected = None;
    for sample in [80_u64, 240, 80, 80] {
        world.skip(secs(20));
        world.settle();
        world.skip(ms(sample));
        world.inbound(alice, Inbound::Pong);
        let before: u64 = expected.unwrap_or(sample * 1_000);
        expected = Some((before * 7 + sample * 1_000) / 8);
        let alice = world.registry.connection(alice).unwrap();
        assert_eq!(alice.round_trip(), expected.map(Duration::from_micros));
        assert_eq!(alice.silence(), Duration::ZERO);
    }
}

#[test]
fn the_window_and_the_backlog_show_what_waits_and_for_how_long() {
    let mut world = World::with(config().send_window(1_000));
    let alice = world.open("alice", "main");
    world.join(alice, "lobby");
    world.tell_session(alice, &text_of_cost(900));
    world.drain();
    world.tell_session(alice, &text_of_cost(500));
    world.tell_session(alice, &text_of_cost(500));
    world.tell_room("lobby", &text_of_cost(500));
    world.drain();
    world.skip(secs(3));
    let behind = world.registry.connection(alice).unwrap();
    assert_eq!((behind.load(), behind.flushed(), behind.stuck_for()), (900, 0, Some(secs(3))));
    let [session, lobby] = behind.cursors().collect::<Vec<_>>()[..] else { panic!("{behind:?}") };
    let name = StreamRef::Session(world.session(alice));
    assert_eq!((session.stream, session.backlog, session.lagging), (name, 2, true));
    assert_eq!((session.position.offset, session.head), (1, 3));
    assert_eq!(lobby.stream, StreamRef::Room(&room("lobby")));
    assert_eq!((lobby.backlog, lobby.position.offset, lobby.head), (1, 0, 1));

    world.settle();
    let caught_up = world.registry.connection(alice).unwrap();
    assert_eq!((caught_up.load(), caught_up.flushed()), (0, 900 + 3 * 500));
    assert_eq!(caught_up.stuck_for(), None);
    assert!(caught_up.cursors().all(|cursor| cursor.backlog == 0 && !cursor.lagging));
}

#[test]
fn a_paused_input_and_an_expiry_are_told() {
    let mut world = World::with(config().send_window(1_000));
    let at = START + secs(900);
    let alice = world.open_as(who("alice", "main").with_expiry(at));
    world.tell_conn(alice, &text_of_cost(1_001));
    world.drain();
    assert_eq!(world.data(alice), headcount::Intake::Paused);
    let explained = world.registry.connection(alice).unwrap();
    assert_eq!((explained.is_paused(), explained.expires_at()), (true, Some(at)));
}

#[test]
fn a_session_is_shown_while_it_lives_and_while_it_lingers() {
    let mut world =
        World::with(config().session_linger(secs(60)).stream_messages(2).stream_ttl(secs(0)));
    let pair = [(); 2].map(|()| world.open("alice", "main"));
    let session = world.session(pair[0]);
    for text in ["one", "two", "three"] {
        world.tell_session(pair[0], text);
        world.settle();
    }
    let live = world.registry.session(session).unwrap();
    assert_eq!((live.user(), live.thread()), (&user("alice"), &thread("main")));
    assert!(live.connections().map(|it| it.id()).eq(pair));
    assert_eq!((live.connection_count(), live.ends_at()), (2, None));
    assert_eq!((live.position().offset, live.entries(), live.lost()), (3, 2, 1));
    assert_eq!(live.bytes(), Message::text("two").cost() + Message::text("three").cost());

    world.skip(secs(1));
    for conn in pair {
        world.hang_up(conn);
    }
    let lingers = world.registry.session(session).unwrap();
    assert_eq!((lingers.connection_count(), lingers.entries()), (0, 2));
    let ends_at = lingers.ends_at().unwrap();
    assert_eq!(ends_at, world.now + secs(60));
    world.run(ends_at.saturating_since(world.now) - ms(1));
    assert!(world.registry.session(session).is_some());
    world.run(ms(1));
    assert!(world.registry.session(session).is_none());
}

#[test]
fn a_closed_connection_is_remembered_with_what_was_known_of_it() {
    let mut world = World::with(config().send_window(1_000));
    let principal = who("alice", "main").with_label("phone").unwrap();
    let alice = world.open_as(principal);
    let session = world.session(alice);
    world.skip(secs(3));
    world.tell_session(alice, &text_of_cost(600));
    world.settle();
    world.stall(alice);
    for _ in 0..3 {
        world.tell_session(alice, &text_of_cost(600));
    }
    world.drain();
    world.skip(secs(4));
    world.hang_up(alice);
    let closed = world.registry.closed().next().expect("at once, before any poll");
    assert_eq!((closed.conn, closed.session), (alice, Some(session)));
    assert_eq!((&closed.user, &closed.thread), (&user("alice"), &Some(thread("main"))));
    assert_eq!((closed.label.as_deref(), closed.reason), (Some("phone"), CloseReason::PeerGone));
    assert_eq!((closed.at, closed.age), (START + secs(7), secs(7)));
    assert_eq!((closed.flushed, closed.undelivered), (600, 2), "of three, one was handed out");
}

#[test]
fn the_ring_of_the_closed_is_bounded_and_keeps_the_latest() {
    let mut world = World::with(config().closed_ring(3));
    let conns: Vec<_> = (0..5)
        .map(|_| {
            let conn = world.open("alice", "main");
            world.hang_up(conn);
            world.settle();
            conn
        })
        .collect();
    let remembered: Vec<_> = world.registry.closed().map(|closed| closed.conn).collect();
    assert_eq!(remembered, conns[2..], "oldest first");
    assert_eq!(world.registry.stats().closed_total(), 5, "the counters forget nothing");
}

#[test]
fn a_ring_of_none_remembers_nothing_and_nobodies_are_not_remembered() {
    let mut world = World::with(config().closed_ring(0));
    let alice = world.open("alice", "main");
    world.hang_up(alice);
    assert_eq!(world.registry.closed().count(), 0);

    let mut world = World::new();
    let pending = world.reserve();
    world.registry.disconnect(world.now, pending).unwrap();
    world.settle();
    assert_eq!(world.registry.closed().count(), 0);
}

#[test]
fn a_connection_is_remembered_once_however_it_goes() {
    let mut world = World::new();
    let alice = world.open("alice", "main");
    world.close(Target::Conn(alice), CloseReason::Application);
    world.settle();
    world.hang_up(alice);
    world.settle();
    assert_eq!(world.closings(), ["application"]);
}

#[test]
fn looking_changes_nothing() {
    let mut world = World::with(config().ping_interval(secs(20)).session_linger(secs(60)));
    let (alice, bob) = (world.open("alice", "main"), world.open("bob", "main"));
    let sessions = [alice, bob].map(|conn| world.session(conn));
    world.tell_session(alice, "hello");
    world.hang_up(bob);
    let before = (world.registry.stats(), world.registry.poll_timeout());
    for _ in 0..100 {
        for conn in [alice, bob] {
            let _ = format!("{:?}", world.registry.connection(conn));
        }
        for session in sessions {
            let _ = format!("{:?}", world.registry.session(session));
        }
        let _ = (world.registry.closed().count(), world.registry.check());
    }
    assert_eq!(before, (world.registry.stats(), world.registry.poll_timeout()));
}

#[test]
fn a_room_shows_how_many_are_in_it_and_how_many_of_these_are_behind() {
    let mut world = World::with(config().send_window(200));
    let conns: Vec<_> = (0..3).map(|n| world.tab(&format!("user{n}"), "main")).collect();
    for conn in &conns {
        world.join(*conn, "lobby");
    }
    for conn in &conns[1..] {
        world.stall(*conn);
    }
    for _ in 0..4 {
        world.tell_room("lobby", "hello");
        world.settle();
    }
    let lobby = world.registry.room(&room("lobby")).unwrap();
    assert_eq!((lobby.member_count(), lobby.lagging()), (3, 2));
    assert_eq!(lobby.members().count(), 3);
}

#[test]
fn a_user_shows_its_connections_its_sessions_and_their_runs() {
    let mut world = World::new();
    for name in ["main", "other", "other"] {
        world.tab("alice", name);
    }
    world.run(secs(9));
    let (alice, now) = (user("alice"), world.now);
    let runs = [("one", "main"), ("two", "other"), ("three", "main")];
    for (name, of) in runs {
        let (run, mut scope) = (RunId::new(name).unwrap(), world.registry.scope(&alice));
        let _ = scope.open_run(now, &thread(of), &run, "agent", Bytes::new()).unwrap();
    }
    let shown = world.registry.user(&alice).unwrap();
    assert_eq!((shown.connection_count(), shown.connections().count()), (3, 3));
    let runs: Vec<_> = shown.runs().map(|run| run.id().as_str()).collect();
    assert_eq!(runs, ["one", "three", "two"]);
    assert_eq!(shown.session(&thread("main")).unwrap().age(), secs(9));
    assert!(shown.connections().all(|conn| !conn.is_paused()));
    // Pages of sessions.
    let sessions: Vec<_> = world.registry.sessions(None).map(|it| it.id()).collect();
    assert_eq!(sessions.len(), 2);
    assert!(world.registry.sessions(Some(sessions[0])).map(|it| it.id()).eq([sessions[1]]));
    assert_eq!(world.registry.sessions(Some(sessions[1])).count(), 0);
}

#[test]
fn a_run_shows_what_it_was_charged_and_how_it_ended() {
    let mut world = World::with(config().pause_threshold(secs(5)).run_linger(secs(30)));
    let conn = world.tab("alice", "main");
    world.tell_session(conn, "before it");
    world.settle();
    let (alice, run) = (user("alice"), RunId::new("run").unwrap());
    let tell = |world: &mut World, event: RunEvent<'_>| {
        let _ = world.registry.scope(&alice).run_event(world.now, &run, &event).unwrap();
    };
    let started = Bytes::from_static(b"go");
    let mut scope = world.registry.scope(&alice);
    let _ = scope.open_run(world.now, &thread("main"), &run, "agent", started).unwrap();
    let expect = Some(secs(60));
    tell(&mut world, RunEvent::ToolExecuting { call: "c", expect, payload: Bytes::new() });
    let shown = world.registry.run(&alice, &run).unwrap();
    assert_eq!((shown.first(), shown.events(), shown.cost()), (2, 2, 64 + 2 + 64 + 128));
    assert!(!shown.is_cancel_requested());
    assert_eq!((shown.end(), shown.lingers_until()), (None, None));
    let by = |world: &World| {
        world.registry.run(&alice, &run).unwrap().calls().next().unwrap().expected_by.unwrap()
    };
    let before = by(&world);
    assert_eq!(before, world.now + secs(60));
    let pauses = world.registry.stats().pauses;
    world.registry.tick(world.now);
    world.settle();
    let promised = world.timeout();
    world.skip(secs(600));
    assert_eq!(world.registry.stats().pauses, pauses + 1);
    assert_eq!(by(&world), before + world.now.saturating_since(promised));
    tell(&mut world, RunEvent::Failed(Bytes::new()));
    let shown = world.registry.run(&alice, &run).unwrap();
    assert_eq!(shown.end(), Some(RunEnded { how: RunEnd::Failed, at: world.now }));
    assert_eq!(shown.lingers_until(), Some(world.now + secs(30)));
}
