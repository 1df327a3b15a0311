//! What one poll, one tick and one newcomer do at most when there is a crowd.

use bytes::Bytes;
use headcount::{CloseReason, Message, RoomId, RunEvent, RunId, Start, Target, Timestamp, UserId};

use crate::support::{World, config, room, secs, text_of_cost, thread, user, who};

const CROWD: usize = 3_000;

/// A registry for a crowd that is there.
fn crowd(config: headcount::ConfigBuilder) -> World {
    let config = config.connections(CROWD as u32 + 10).connections_per_user(CROWD as u32 + 10);
    let config = config.sessions(CROWD as u32 + 10).users(CROWD as u32 + 10);
    let mut world = World::with(config.connect_rate(0).connect_rate_per_user(0));
    for number in 0..CROWD {
        let conn = world.registry.reserve(world.now, None).unwrap();
        world
            .registry
            .connect(world.now, conn, who(&format!("u{number}"), "t"), Start::OpenRuns, None)
            .unwrap();
    }
    while world.registry.poll_action().is_some() {}
    world
}

/// How many polls find nothing before one does, and what that is.
fn empty_polls(world: &mut World) -> (usize, Option<String>) {
    let mut polls = 0;
    loop {
        if let Some(action) = world.registry.poll_action() {
            return (polls, Some(format!("{action:?}")));
        }
        if !world.registry.has_actions() {
            return (polls, None);
        }
        polls += 1;
    }
}

#[test]
fn a_poll_passes_a_slice_of_replies_to_connections_that_have_gone() {
    let mut world = crowd(config().direct_bytes(1 << 30));
    let conns: Vec<_> = world.registry.connections(None).map(|it| it.id()).collect();
    for conn in &conns {
        world.registry.reply(world.now, *conn, Message::text("void")).unwrap();
    }
    for conn in &conns {
        world.registry.disconnect(world.now, *conn).unwrap();
    }
    let (polls, first) = empty_polls(&mut world);
    assert_eq!(polls, 2, "1,024 each");
    assert!(first.is_some_and(|first| first.contains("Cleanup")));
}

#[test]
fn a_poll_passes_a_slice_of_members_that_fall_behind() {
    let mut world = crowd(config().send_window(1_000).reply_reserve(1_000).room_history(0));
    let lobby = room("lobby");
    let conns: Vec<_> = world.registry.connections(None).map(|it| it.id()).collect();
    for conn in &conns {
        world.registry.join(world.now, *conn, &lobby, Start::Now).unwrap();
    }
    let send = |world: &mut World| {
        let message = Message::text(text_of_cost(900));
        world.send(Target::Room(&lobby), message);
    };
    send(&mut world);
    let mut handed_out = 0;
    while world.registry.poll_action().is_some() {
        handed_out += 1;
    }
    assert_eq!((handed_out, world.registry.has_actions()), (CROWD.div_ceil(512), false));
    // Their windows are full.
    send(&mut world);
    assert_eq!(empty_polls(&mut world), (2, None));
    // All lag.
    send(&mut world);
    assert_eq!(empty_polls(&mut world), (2, None));
    assert_eq!(world.registry.stats().deferred, CROWD as u64);
}

#[test]
fn a_poll_passes_a_slice_of_slots_without_a_recipient() {
    let mut world = crowd(config());
    let conns: Vec<_> = world.registry.connections(None).map(|it| it.id()).collect();
    for conn in &conns[..CROWD - 1] {
        world.registry.disconnect(world.now, *conn).unwrap();
    }
    while world.registry.poll_action().is_some() {}
    world.send(Target::Everyone, Message::text("hello"));
    let (polls, told) = empty_polls(&mut world);
    assert_eq!(polls, 2);
    assert!(told.is_some_and(|told| told.contains("Everyone")));
    world.registry.close(world.now, Target::Everyone, CloseReason::Evicted);
    let (polls, closed) = empty_polls(&mut world);
    assert_eq!(polls, 2);
    assert!(closed.is_some_and(|closed| closed.contains("Close")));
}

/// What a tick lets go, of three logs with eight entries each that are too old.
fn dropped_by_a_tick(budget: u32) -> u64 {
    let mut world = World::with(config().tick_budget(budget).room_history(8).room_ttl(secs(10)));
    let conn = world.open("alice", "t");
    for name in ["a", "b", "c"] {
        world.join(conn, name);
        (0..8).for_each(|_| world.tell_room(name, "old"));
    }
    world.settle();
    let before = world.registry.stats().log_messages;
    world.now = Timestamp::from_secs(world.now.as_nanos() / 1_000_000_000 + 12);
    world.registry.tick(world.now);
    before - world.registry.stats().log_messages
}

#[test]
fn the_entries_that_a_deadline_lets_go_count_like_deadlines() {
    // Two are for a deadline of the connection and for the way to all of them.
    assert_eq!([11, 20, 29].map(dropped_by_a_tick), [8, 16, 24]);
}

#[test]
fn each_newcomer_ends_a_slice_of_what_exceeds_a_lowered_cap() {
    let caps =
        || config().connect_rate(0).session_linger(secs(600)).room_history(8).rooms_per_user(1_000);
    let mut world = World::with(caps().sessions(1_000).users(1_000).rooms(1_000));
    let alice = world.open("alice", "t");
    for number in 0..200 {
        let conn = world.open(&format!("u{number}"), "t");
        world.hang_up(conn);
        let name = format!("r{number}");
        world.join(alice, &name);
        world.send(Target::Room(&RoomId::new(name.as_str()).unwrap()), Message::text("kept"));
        world.settle();
        world.leave(alice, &name);
    }
    world.settle();
    let reload = caps().sessions(20).users(20).rooms(20).build().unwrap();
    world.registry.reload(world.now, reload);
    let mut counts = Vec::new();
    for number in 0..4 {
        world.open(&format!("new{number}"), "t");
        world.join(alice, &format!("new{number}"));
        let stats = world.registry.stats();
        counts.push((stats.sessions, stats.rooms));
        world.settle();
    }
    // Absent users make room, and then sessions: 64 of each.
    assert_eq!(counts, [(74, 137), (20, 74), (20, 20), (20, 20)]);
}

#[test]
fn what_connections_are_handed_as_they_are_closed_counts_like_deadlines() {
    let caps = config().tick_budget(24).ping_interval(secs(0)).session_idle(secs(10));
    let mut world = World::with(caps);
    for number in 0..10 {
        let conn = world.open(&format!("user{number}"), "main");
        (0..10).for_each(|_| world.tell_session(conn, "waits"));
    }
    world.skip(secs(11));
    let left = world.open_count();
    assert!((5..10).contains(&left), "one tick closes some: {left} are left");
}

#[test]
fn what_is_looked_through_as_runs_end_their_linger_counts_like_deadlines() {
    let mut world = World::with(config().tick_budget(100).run_linger(secs(10)));
    let (name, thread) = (RunId::new("run").unwrap(), thread("main"));
    let users: Vec<_> = (0..10).map(|number| user(&format!("user{number}"))).collect();
    for user in &users {
        let conn = world.open(user.as_str(), "main");
        let mut scope = world.registry.scope(user);
        scope.open_run(world.now, &thread, &name, "agent", Bytes::new()).unwrap();
        (0..10).for_each(|_| world.tell_session(conn, "between"));
        let completed = RunEvent::Completed(Bytes::new());
        let _ = world.registry.scope(user).run_event(world.now, &name, &completed).unwrap();
    }
    world.settle();
    world.skip(secs(11));
    let lingers = |user: &&UserId| {
        world.registry.run(user, &name).is_some_and(|run| run.lingers_until().is_some())
    };
    let left = users.iter().filter(lingers).count();
    // Each costs the twelve entries that are looked through, and what else it moves.
    assert!((1..6).contains(&left), "one tick ends the linger of most: {left} are left");
}
