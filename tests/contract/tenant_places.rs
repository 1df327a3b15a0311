//! What goes so that a newcomer finds a place in its tenant, and what is counted once.

use bytes::Bytes;
use headcount::{
    ConfigBuilder, ConnId, Followed, Notice, Principal, Refused, RunError, RunEvent, RunId,
    SessionEnd, SessionId, Start, TenantId,
};

use crate::support::{World, config, thread, user, who};

fn of(user: &str, thread: &str) -> Principal {
    who(user, thread).with_tenant(TenantId::new("t").unwrap())
}

fn come(world: &mut World, who: Principal) -> Result<Followed, Refused> {
    let conn = world.reserve();
    let admitted = world.registry.connect(world.now, conn, who, Start::OpenRuns, None);
    world.check();
    match admitted {
        Ok(admitted) => Ok(admitted.followed.unwrap()),
        Err(refused) => {
            world.hang_up(conn);
            world.drain();
            Err(refused)
        }
    }
}

/// A session that lingers with something to resume: so it stays also under pressure.
fn visit(world: &mut World, who: Principal) -> SessionId {
    let conn = stay(world, who);
    world.tell_session(conn, "hello");
    world.settle();
    let session = world.session(conn);
    world.hang_up(conn);
    world.settle();
    session
}

fn stay(world: &mut World, who: Principal) -> ConnId {
    world.open_as(who)
}

fn reload(world: &mut World, config: ConfigBuilder) {
    world.registry.reload(world.now, config.build().unwrap());
    world.check();
}

const FULL: Refused = Refused::SessionsPerTenant;

#[test]
fn a_session_of_a_joiner_that_goes_anyway_is_not_counted_and_gives_no_second_place() {
    let limits = |most| config().sessions_per_user(2).sessions_per_tenant(most);
    for (most, expected) in [(2, None), (1, Some(FULL))] {
        let mut world = World::with(limits(most));
        visit(&mut world, who("bob", "one"));
        stay(&mut world, who("bob", "two"));
        assert_eq!(come(&mut world, of("bob", "three")).err(), expected, "{most}");
    }
}

#[test]
fn the_session_that_a_joiner_comes_back_to_gives_no_place() {
    let mut world = World::with(config().sessions_per_tenant(1));
    stay(&mut world, of("alice", "main"));
    visit(&mut world, who("bob", "main"));
    assert_eq!(come(&mut world, of("bob", "main")).unwrap_err(), FULL);
}

#[test]
fn what_is_left_by_the_connection_that_goes_makes_the_place() {
    // Of one who joins, and of one who is of the tenant.
    for first in [who("bob", "one"), of("bob", "one")] {
        let mut world = World::with(config().connections_per_user(1).sessions_per_tenant(1));
        let conn = stay(&mut world, first);
        let session = world.session(conn);
        assert!(come(&mut world, of("bob", "two")).unwrap().new_session);
        assert!(world.registry.session(session).is_none());
    }
}

#[test]
fn a_session_of_its_own_that_goes_anyway_makes_one_place() {
    let limits = || config().sessions_per_user(1);
    let mut world = World::with(limits().sessions_per_tenant(1));
    visit(&mut world, of("alice", "one"));
    assert!(come(&mut world, of("alice", "two")).unwrap().new_session);

    let mut world = World::with(limits());
    visit(&mut world, of("alice", "one"));
    stay(&mut world, of("dave", "main"));
    reload(&mut world, limits().sessions_per_tenant(1));
    assert_eq!(come(&mut world, of("alice", "two")).unwrap_err(), FULL);
}

#[test]
fn what_goes_with_an_absent_user_makes_one_place() {
    let limits = || config().users(2);
    // The absent user is of no tenant.
    let mut world = World::with(limits());
    let session = visit(&mut world, who("alice", "main"));
    stay(&mut world, of("dave", "main"));
    come(&mut world, of("carol", "main")).unwrap();
    world.settle();
    assert_eq!(world.ended_sessions(), [session]);

    let mut world = World::with(limits());
    visit(&mut world, of("alice", "main"));
    stay(&mut world, of("dave", "main"));
    reload(&mut world, limits().sessions_per_tenant(1));
    assert_eq!(come(&mut world, of("carol", "main")).unwrap_err(), FULL);
}

#[test]
fn what_goes_for_the_tenant_makes_one_place_among_all_sessions() {
    let limits = || config().sessions_per_tenant(1);
    let mut world = World::with(limits().users(2).sessions(2).sessions_per_user(2));
    let session = visit(&mut world, of("alice", "one"));
    stay(&mut world, who("dave", "main"));
    come(&mut world, of("alice", "two")).unwrap();
    assert!(world.registry.session(session).is_none());

    let mut world = World::with(limits());
    stay(&mut world, Principal::new(user("alice")).with_tenant(TenantId::new("t").unwrap()));
    visit(&mut world, of("alice", "one"));
    for name in ["dave", "erin", "frank"] {
        stay(&mut world, who(name, "main"));
    }
    reload(&mut world, limits().users(2).sessions(2).sessions_per_user(2));
    assert_eq!(world.registry.stats().sessions, 4);
    assert_eq!(come(&mut world, of("alice", "two")).unwrap_err(), Refused::Sessions);
}

/// Calls of a user, each of which costs 192 bytes.
fn calls(world: &mut World, name: &str, calls: &[&str]) {
    let (name, run) = (user(name), RunId::new("run").unwrap());
    let mut scope = world.registry.scope(&name);
    let _ = scope.open_run(world.now, &thread("main"), &run, "agent", Bytes::new()).unwrap();
    for call in calls {
        let call = RunEvent::ToolExecuting { call, expect: None, payload: Bytes::new() };
        let _ = scope.run_event(world.now, &run, &call).unwrap();
    }
}

#[test]
fn the_calls_of_a_joiner_fill_the_budget_of_the_tenant_to_the_byte() {
    for (bytes, expected) in [(2 * 192, None), (2 * 192 - 1, Some(Refused::TenantBytes))] {
        let mut world = World::with(config().tenant_bytes(bytes));
        stay(&mut world, who("bob", "main"));
        calls(&mut world, "bob", &["a", "b"]);
        assert_eq!(come(&mut world, of("bob", "main")).err(), expected);
    }
}

#[test]
fn calls_of_a_user_fill_the_budget_of_its_tenant_to_the_byte() {
    let mut world = World::with(config().tenant_bytes(2 * 192));
    stay(&mut world, of("alice", "main"));
    calls(&mut world, "alice", &["a", "b"]);
    let call = RunEvent::ToolExecuting { call: "c", expect: None, payload: Bytes::new() };
    let (alice, run) = (user("alice"), RunId::new("run").unwrap());
    let refused = world.registry.scope(&alice).run_event(world.now, &run, &call);
    assert_eq!(refused, Err(RunError::TenantBytes));
}

#[test]
fn who_brings_no_calls_joins_a_tenant_that_has_more_than_its_budget() {
    let mut world = World::new();
    stay(&mut world, of("alice", "main"));
    calls(&mut world, "alice", &["a", "b"]);
    stay(&mut world, who("bob", "main"));
    reload(&mut world, config().tenant_bytes(200));
    come(&mut world, of("bob", "main")).unwrap();
}

/// Takes a connection over as a principal of the tenant; what happened to its sessions.
fn take_over(world: &mut World, previous: ConnId, who: Principal) -> Vec<(SessionId, SessionEnd)> {
    while world.registry.poll_notice().is_some() {}
    let conn = world.reserve();
    let admitted = world.registry.connect(world.now, conn, who, Start::OpenRuns, Some(previous));
    admitted.expect("to be admitted");
    world.check();
    let notices = core::iter::from_fn(|| world.registry.poll_notice());
    let ended = notices.filter_map(|notice| match notice {
        Notice::SessionEnded { session, why } => Some((session, why)),
        _ => None,
    });
    ended.collect()
}

#[test]
fn what_a_takeover_leaves_behind_makes_room_in_the_tenant_before_the_session_of_another_user() {
    let limits = |most| config().users(3).sessions_per_tenant(most);
    let mut world = World::with(limits(3));
    visit(&mut world, of("alice", "main"));
    visit(&mut world, of("carol", "main"));
    let bob = stay(&mut world, who("bob", "main"));
    let left_behind = world.session(bob);
    reload(&mut world, limits(1));
    // Without a thread the successor follows no session, so it needs no place for one.
    let successor = Principal::new(user("bob")).with_tenant(TenantId::new("t").unwrap());
    let ended = take_over(&mut world, bob, successor);
    assert_eq!(ended, [(left_behind, SessionEnd::MadeRoom)]);
}

#[test]
fn what_a_takeover_leaves_behind_keeps_its_user_out_of_no_tenant() {
    let mut world = World::with(config().sessions_per_tenant(1));
    let bob = stay(&mut world, who("bob", "main"));
    let left_behind = world.follow(bob, "further", Start::OpenRuns).session;
    let ended = take_over(&mut world, bob, of("bob", "main"));
    assert_eq!(ended, [(left_behind, SessionEnd::MadeRoom)]);
}

#[test]
fn a_joiner_without_a_session_ends_its_own_and_none_of_others_over_a_lowered_cap() {
    let mut world = World::new();
    let others = ["dave", "erin", "frank"].map(|name| visit(&mut world, of(name, "main")));
    let own = visit(&mut world, who("bob", "main"));
    reload(&mut world, config().sessions_per_tenant(1));
    stay(&mut world, Principal::new(user("bob")).with_tenant(TenantId::new("t").unwrap()));
    world.settle();
    assert_eq!(world.ended_sessions(), [own]);
    assert!(others.iter().all(|session| world.registry.session(*session).is_some()));
}
