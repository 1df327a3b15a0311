//! Tenants: users who share caps, and what one of them costs the others.

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, ConnState, FollowError, Message, Notice, OpenRunError, Principal, Refused,
    RunError, RunEvent, RunId, SessionEnd, SessionId, Start, Target, TenantId,
};

use crate::support::{World, config, ms, refuse, secs, text_of_cost, thread, user, who};

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Someone of a tenant who comes into a thread.
fn of(tenant_name: &str, user: &str, thread: &str) -> Principal {
    who(user, thread).with_tenant(tenant(tenant_name))
}

fn open(world: &mut World, tenant: &str, user: &str, thread: &str) -> ConnId {
    world.open_as(of(tenant, user, thread))
}

fn refusal(world: &mut World, who: Principal) -> Refused {
    let before = world.registry.fingerprint();
    let refused = world.registry.admit(world.now, who, Start::OpenRuns, None).unwrap_err();
    assert_eq!(world.registry.fingerprint(), before, "it costs nobody anything");
    refused
}

/// A user of a tenant who was here for a moment, a second ago.
fn visit(world: &mut World, tenant: &str, user: &str, thread: &str) -> SessionId {
    let conn = open(world, tenant, user, thread);
    let session = world.session(conn);
    world.hang_up(conn);
    world.settle();
    world.skip(secs(1));
    session
}

fn open_run(world: &mut World, name: &str, of: &str) -> Result<(), OpenRunError> {
    let (name, run) = (user(name), RunId::new(of).unwrap());
    let mut scope = world.registry.scope(&name);
    scope.open_run(world.now, &thread(of), &run, "agent", Bytes::new()).map(drop)
}

/// How many users, connections and sessions a tenant has.
fn counts(world: &World, name: &str) -> Option<(u32, u32, u32)> {
    world.check();
    let tenant = world.registry.tenant(&tenant(name))?;
    assert!(tenant.id() == name);
    Some((tenant.user_count(), tenant.connection_count(), tenant.session_count()))
}

/// The sessions that have ended since the last look, and why.
fn ended(world: &mut World) -> Vec<(SessionId, SessionEnd)> {
    let ended = |notice| match notice {
        Notice::SessionEnded { session, why } => Some((session, why)),
        _ => None,
    };
    world.notices().into_iter().filter_map(ended).collect()
}

#[test]
fn the_cap_on_connections_is_exact_over_all_users_of_a_tenant_and_closes_none() {
    let mut world = World::with(config().connections_per_tenant(3));
    let conns = [("alice", "one"), ("alice", "two"), ("bob", "main")]
        .map(|(user, thread)| open(&mut world, "acme", user, thread));
    for name in ["alice", "bob", "carol"] {
        assert_eq!(
            refusal(&mut world, of("acme", name, "main")),
            Refused::ConnectionsPerTenant,
            "{name}"
        );
    }
    // Also for a principal that leaves it to its user, and not for another tenant or none.
    assert_eq!(refusal(&mut world, who("bob", "main")), Refused::ConnectionsPerTenant);
    open(&mut world, "other", "carol", "main");
    world.open("dave", "main");
    assert!(conns.iter().all(|conn| world.state(*conn) == Some(ConnState::Open)));
    assert_eq!(counts(&world, "acme"), Some((2, 3, 3)));

    world.close(Target::Conn(conns[2]), CloseReason::Application);
    open(&mut world, "acme", "erin", "main");
    assert_eq!(counts(&world, "acme"), Some((3, 3, 4)), "its place is free before any I/O");
}

#[test]
fn a_connection_that_goes_anyway_makes_room_in_its_tenant() {
    let config = config().connections_per_tenant(2).connections_per_user(1);
    let mut world = World::with(config);
    let alice = open(&mut world, "acme", "alice", "main");
    open(&mut world, "acme", "bob", "main");
    // The user's own cap evicts the first one; a predecessor that is named goes, too.
    let second = open(&mut world, "acme", "alice", "main");
    assert_eq!(world.state(alice), Some(ConnState::Closing));
    world.take_over("alice", "main", second);
    assert_eq!(counts(&world, "acme"), Some((2, 2, 2)));
}

#[test]
fn a_principal_without_a_tenant_keeps_its_users_also_when_nothing_is_left_in_between() {
    // The only connection, in no session, makes room for the next one.
    let mut world = World::with(config().connections_per_user(1));
    world.open_as(Principal::new(user("alice")).with_tenant(tenant("acme")));
    world.open_as(Principal::new(user("alice")));
    assert_eq!(counts(&world, "acme"), Some((1, 1, 0)));

    // The only session makes room for another one.
    let mut world = World::with(config().sessions_per_user(1));
    visit(&mut world, "acme", "alice", "one");
    open_run(&mut world, "alice", "two").unwrap();
    assert_eq!(counts(&world, "acme"), Some((1, 0, 1)));
}

#[test]
fn a_session_that_lingers_makes_room_within_its_tenant_only() {
    let config = config().sessions_per_tenant(2).session_linger(secs(600));
    let mut world = World::with(config);
    let elsewhere = visit(&mut world, "other", "dave", "main");
    let first = visit(&mut world, "acme", "alice", "one");
    let second = visit(&mut world, "acme", "bob", "main");
    ended(&mut world);
    // The one that lingers longest, whosever it is.
    open(&mut world, "acme", "carol", "main");
    assert_eq!(ended(&mut world), [(first, SessionEnd::MadeRoom)]);
    assert_eq!(counts(&world, "acme"), Some((2, 1, 2)));
    // A run needs a place, too, and keeps it.
    open_run(&mut world, "carol", "run").unwrap();
    assert_eq!(ended(&mut world), [(second, SessionEnd::MadeRoom)]);
    assert_eq!(refusal(&mut world, of("acme", "erin", "main")), Refused::SessionsPerTenant);
    let full = Err(OpenRunError::Session(Refused::SessionsPerTenant));
    assert_eq!(open_run(&mut world, "carol", "another"), full);
    let conn = world.open("carol", "main");
    let now = world.now;
    let follows = world.registry.follow(now, conn, &thread("third"), Start::OpenRuns);
    assert_eq!(follows.err(), Some(FollowError::Session(Refused::SessionsPerTenant)));
    // What needs no place finds one, and what is of another tenant or none is not touched.
    open(&mut world, "acme", "carol", "run");
    assert!(world.registry.session(elsewhere).is_some());
    open(&mut world, "other", "erin", "main");
    assert_eq!(ended(&mut world), []);
    assert_eq!(
        (counts(&world, "acme"), counts(&world, "other")),
        (Some((1, 3, 2)), Some((2, 1, 2)))
    );
}

#[test]
fn what_goes_with_an_absent_user_is_not_taken_from_the_tenant_once_more() {
    let config = config().users(2).sessions(9).sessions_per_tenant(3).session_linger(secs(600));
    let mut world = World::with(config);
    let [first, second] = ["one", "two"].map(|it| visit(&mut world, "acme", "alice", it));
    let third = visit(&mut world, "acme", "bob", "main");
    ended(&mut world);
    open(&mut world, "acme", "carol", "main");
    let gone = [(first, SessionEnd::MadeRoom), (second, SessionEnd::MadeRoom)];
    assert_eq!(ended(&mut world), gone);
    assert!(world.registry.session(third).is_some());
    assert_eq!(counts(&world, "acme"), Some((2, 1, 2)));
}

#[test]
fn a_user_who_is_here_is_adopted_with_all_that_it_has() {
    let mut world = World::with(config().sessions_per_tenant(3).connections_per_tenant(2));
    open_run(&mut world, "alice", "run").unwrap();
    world.open("alice", "main");
    assert!(world.registry.tenant(&tenant("acme")).is_none());
    open(&mut world, "acme", "alice", "run");
    assert_eq!(counts(&world, "acme"), Some((1, 2, 2)));

    // Two sessions and a connection of Bob's do not fit.
    world.open("bob", "one");
    open_run(&mut world, "bob", "two").unwrap();
    let full = refusal(&mut world, of("acme", "bob", "one"));
    assert_eq!(full, Refused::ConnectionsPerTenant);
    let wider = config().sessions_per_tenant(3).connections_per_tenant(9).build().unwrap();
    world.registry.reload(world.now, wider);
    assert_eq!(refusal(&mut world, of("acme", "bob", "one")), Refused::SessionsPerTenant);
    open(&mut world, "other", "bob", "one");
    assert_eq!(counts(&world, "other"), Some((1, 2, 2)));
}

/// A session that lingers, of a user without a tenant.
fn visit_of_none(world: &mut World, user: &str, thread: &str) -> SessionId {
    let conn = world.open(user, thread);
    let session = world.session(conn);
    world.hang_up(conn);
    world.settle();
    session
}

#[test]
fn a_user_who_joins_a_tenant_gives_up_what_lingers_of_its_own_first() {
    let config = config().sessions_per_tenant(3).session_linger(secs(600));
    let mut world = World::with(config);
    let mine = visit_of_none(&mut world, "bob", "one");
    world.skip(secs(1));
    let [first, second] = ["one", "two"].map(|it| visit(&mut world, "acme", "alice", it));
    ended(&mut world);
    open(&mut world, "acme", "bob", "two");
    assert_eq!(ended(&mut world), [(mine, SessionEnd::MadeRoom)]);
    for (gone, name) in [(first, "carol"), (second, "dave")] {
        open(&mut world, "acme", name, "main");
        assert_eq!(ended(&mut world), [(gone, SessionEnd::MadeRoom)]);
    }
}

#[test]
fn what_lingers_of_a_user_does_not_keep_it_out_of_a_tenant() {
    let config = config().sessions_per_tenant(2).session_linger(secs(600));
    let mut world = World::with(config);
    let [follows, first, _second] =
        ["main", "one", "two"].map(|it| visit_of_none(&mut world, "bob", it));
    ended(&mut world);
    let conn = open(&mut world, "acme", "bob", "main");
    assert_eq!(world.session(conn), follows, "the session goes on");
    assert_eq!(ended(&mut world), [(first, SessionEnd::MadeRoom)]);
    assert_eq!(counts(&world, "acme"), Some((1, 1, 2)));
}

#[test]
fn a_user_in_the_leave_grace_keeps_its_tenant() {
    let mut world = World::with(config().with_presence().leave_grace(secs(5)));
    let conn = world.open_as(Principal::new(user("alice")).with_tenant(tenant("acme")));
    world.settle();
    world.hang_up(conn);
    world.settle();
    assert_eq!(counts(&world, "acme"), Some((1, 0, 0)));
    assert_eq!(refusal(&mut world, of("other", "alice", "main")), Refused::OtherTenant);
    world.run(secs(6));
    assert_eq!(counts(&world, "acme"), None);
}

#[test]
fn a_user_is_of_one_tenant_until_it_is_gone() {
    let mut world = World::with(config().session_linger(secs(60)).over_cap(refuse()));
    let alice = open(&mut world, "acme", "alice", "main");
    assert_eq!(refusal(&mut world, of("other", "alice", "main")), Refused::OtherTenant);
    world.hang_up(alice);
    world.settle();
    assert_eq!(refusal(&mut world, of("other", "alice", "main")), Refused::OtherTenant);
    world.skip(secs(60));
    open(&mut world, "other", "alice", "main");
    assert_eq!((counts(&world, "acme"), counts(&world, "other")), (None, Some((1, 1, 1))));
    assert_eq!(Refused::OtherTenant.retry_after(), Refused::PAUSE);
    assert_eq!(Refused::OtherTenant.close_reason(), CloseReason::TryLater);
}

#[test]
fn the_cap_on_tenants_is_exact_and_a_tenant_goes_with_its_last_user() {
    let mut world = World::with(config().tenants(2).session_linger(secs(60)));
    let conns = [("acme", "alice"), ("acme", "bob"), ("other", "carol")]
        .map(|(tenant, user)| open(&mut world, tenant, user, "main"));
    assert_eq!(refusal(&mut world, of("third", "dave", "main")), Refused::Tenants);
    world.open("dave", "main");
    assert_eq!(refusal(&mut world, of("third", "dave", "main")), Refused::Tenants);
    open(&mut world, "other", "dave", "main");
    world.hang_up(conns[0]);
    world.registry.revoke(world.now, &user("bob"));
    world.settle();
    assert_eq!(refusal(&mut world, of("third", "erin", "main")), Refused::Tenants);
    world.registry.revoke(world.now, &user("alice"));
    open(&mut world, "third", "erin", "main");
    assert_eq!(counts(&world, "acme"), None);
}

#[test]
fn nothing_is_kept_of_a_tenant_whose_users_are_gone() {
    let mut world = World::new();
    for name in ["alice", "bob"] {
        let conn = open(&mut world, "acme", name, "main");
        world.tell_session(conn, "hello");
        open_run(&mut world, name, "run").unwrap();
        let run = RunId::new("run").unwrap();
        let event = RunEvent::ToolExecuting { call: "1", expect: None, payload: Bytes::new() };
        let _ = world.registry.scope(&user(name)).run_event(world.now, &run, &event).unwrap();
        world.hang_up(conn);
    }
    assert_eq!(counts(&world, "acme"), Some((2, 0, 4)));
    for name in ["alice", "bob"] {
        world.registry.revoke(world.now, &user(name));
        world.check();
    }
    assert_eq!(counts(&world, "acme"), None);
    world.settle();
    assert!(world.registry.is_idle());
    world.close_the_books();
}

#[test]
fn caps_that_are_lowered_close_none_and_refuse_until_the_counts_are_below() {
    let base = || config().session_linger(secs(600));
    let mut world = World::with(base());
    let conns = ["alice", "bob", "carol"].map(|name| open(&mut world, "acme", name, "main"));
    let lingers = visit(&mut world, "acme", "dave", "main");
    ended(&mut world);
    let lower = base().connections_per_tenant(2).sessions_per_tenant(2);
    world.registry.reload(world.now, lower.build().unwrap());
    assert_eq!(counts(&world, "acme"), Some((4, 3, 4)));
    for expected in [Refused::ConnectionsPerTenant; 2].into_iter().zip(conns) {
        let (expected, conn) = expected;
        assert_eq!(refusal(&mut world, of("acme", "erin", "main")), expected);
        world.hang_up(conn);
        world.settle();
    }
    // Two sessions more than there may be linger, and one that was there before: all make room.
    open(&mut world, "acme", "erin", "main");
    assert_eq!(ended(&mut world).len(), 3);
    assert!(world.registry.session(lingers).is_none());
    assert_eq!(counts(&world, "acme"), Some((2, 2, 2)));
}

/// A connection whose window holds one message of the usual 300 bytes.
fn reader(world: &mut World, who: Principal) -> ConnId {
    let conn = world.open_as(who);
    world.answers(conn);
    conn
}

fn tell(world: &mut World, conn: ConnId, cost: u64) {
    world.run(ms(1));
    let session = world.session(conn);
    world.send(Target::Session(session), Message::text(text_of_cost(cost)));
    world.check();
}

/// How many entries each log has.
fn entries<const N: usize>(world: &World, conns: [ConnId; N]) -> [u32; N] {
    conns.map(|conn| world.registry.session(world.session(conn)).unwrap().entries())
}

fn bytes(world: &World, name: &str) -> u64 {
    world.registry.tenant(&tenant(name)).unwrap().bytes()
}

#[test]
fn a_tenant_pays_for_what_is_its_own_and_its_sessions_take_turns() {
    let mut world = World::with(config().tenant_bytes(1_200).send_window(300));
    let alice = reader(&mut world, of("acme", "alice", "main"));
    let bob = reader(&mut world, of("acme", "bob", "main"));
    let carol = reader(&mut world, of("other", "carol", "main"));
    let dave = reader(&mut world, who("dave", "main"));
    for _ in 0..4 {
        for conn in [alice, bob, carol, dave] {
            tell(&mut world, conn, 300);
        }
    }
    assert_eq!(entries(&world, [alice, bob, carol, dave]), [2, 2, 4, 4]);
    assert_eq!((bytes(&world, "acme"), bytes(&world, "other")), (1_200, 1_200));
    tell(&mut world, alice, 1_000);
    assert_eq!(entries(&world, [alice, bob, carol, dave]), [1, 0, 4, 4], "it is the only one");
}

#[test]
fn what_every_member_was_handed_goes_first_within_a_tenant() {
    let mut world = World::with(config().tenant_bytes(900).send_window(300));
    let [alice, bob] = ["alice", "bob"].map(|name| reader(&mut world, of("acme", name, "main")));
    tell(&mut world, alice, 300);
    world.stall(alice);
    tell(&mut world, alice, 300);
    tell(&mut world, bob, 300);
    world.settle();
    // Alice has one in flight, and lacks another; Bob has all.
    tell(&mut world, alice, 300);
    assert_eq!(entries(&world, [alice, bob]), [2, 1], "the first one, which was handed out");
    tell(&mut world, alice, 300);
    assert_eq!(entries(&world, [alice, bob]), [3, 0]);
}

#[test]
fn a_user_who_is_adopted_brings_its_bytes_and_the_budget_holds_at_once() {
    let mut world = World::with(config().tenant_bytes(1_000).send_window(300));
    let alice = reader(&mut world, of("acme", "alice", "main"));
    let bob = reader(&mut world, who("bob", "main"));
    for conn in [alice, bob, alice, bob] {
        tell(&mut world, conn, 250);
    }
    tell(&mut world, bob, 250);
    assert_eq!(bytes(&world, "acme"), 500);
    world.open_as(of("acme", "bob", "main"));
    assert_eq!(bytes(&world, "acme"), 1_000);
    assert_eq!(entries(&world, [alice, bob]), [1, 3], "the turns of the tenant's own come first");
    world.registry.revoke(world.now, &user("bob"));
    world.check();
    assert_eq!(bytes(&world, "acme"), 250);
}

/// A user's run, which is opened if there is none, begins a tool call.
fn begin(world: &mut World, name: &str, call: &str) -> Result<(), RunError> {
    let _ = open_run(world, name, "run");
    let event = RunEvent::ToolExecuting { call, expect: None, payload: Bytes::new() };
    let run = RunId::new("run").unwrap();
    let began = world.registry.scope(&user(name)).run_event(world.now, &run, &event).map(drop);
    world.check();
    began
}

#[test]
fn calls_of_all_users_of_a_tenant_count_and_do_not_give_way() {
    // A call counts with 192 bytes.
    let mut world = World::with(config().tenant_bytes(600));
    for (name, tenant) in [("alice", "acme"), ("bob", "acme"), ("carol", "other")] {
        open(&mut world, tenant, name, "main");
    }
    begin(&mut world, "alice", "1").unwrap();
    begin(&mut world, "alice", "2").unwrap();
    begin(&mut world, "bob", "1").unwrap();
    assert_eq!(begin(&mut world, "bob", "2"), Err(RunError::TenantBytes));
    begin(&mut world, "carol", "1").unwrap();
    world.registry.revoke(world.now, &user("alice"));
    begin(&mut world, "bob", "2").unwrap();
}

#[test]
fn a_user_whose_calls_would_exceed_the_budget_does_not_join() {
    let mut world = World::with(config().tenant_bytes(600));
    let alice = reader(&mut world, of("acme", "alice", "main"));
    tell(&mut world, alice, 200);
    begin(&mut world, "alice", "1").unwrap();
    world.open("bob", "main");
    for call in ["1", "2", "3"] {
        begin(&mut world, "bob", call).unwrap();
    }
    let before = (bytes(&world, "acme"), entries(&world, [alice]));
    assert_eq!(refusal(&mut world, of("acme", "bob", "side")), Refused::TenantBytes);
    assert_eq!((bytes(&world, "acme"), entries(&world, [alice])), before, "nothing has gone");
    let (run, done) =
        (RunId::new("run").unwrap(), RunEvent::ToolCompleted { call: "3", payload: Bytes::new() });
    world.registry.scope(&user("bob")).run_event(world.now, &run, &done).unwrap();
    open(&mut world, "acme", "bob", "side");
    assert_eq!(bytes(&world, "acme"), 3 * 192, "entries give way to calls");
    // A tenant of none: there is room for all of a user's calls but for those of another's.
    world.open("carol", "main");
    begin(&mut world, "carol", "1").unwrap();
    assert_eq!(refusal(&mut world, of("acme", "carol", "side")), Refused::TenantBytes);
    open(&mut world, "other", "carol", "side");
}

#[test]
fn calls_of_a_session_that_ends_for_its_user_are_not_brought_to_the_tenant() {
    let mut world = World::with(config().tenant_bytes(200).sessions_per_user(1));
    world.open("bob", "run");
    begin(&mut world, "bob", "1").unwrap();
    open(&mut world, "acme", "alice", "run");
    begin(&mut world, "alice", "1").unwrap();
    assert_eq!(refusal(&mut world, of("acme", "bob", "run")), Refused::TenantBytes);
    open(&mut world, "acme", "bob", "side");
    assert_eq!(bytes(&world, "acme"), 192);
}

#[test]
fn a_reload_holds_the_new_budget_of_each_tenant_at_once() {
    let mut world = World::with(config().send_window(300));
    let conns = [("acme", "alice"), ("acme", "bob"), ("other", "carol")]
        .map(|(tenant, name)| reader(&mut world, of(tenant, name, "main")));
    for conn in conns.iter().flat_map(|conn| [*conn; 4]) {
        tell(&mut world, conn, 250);
    }
    world.registry.reload(world.now, config().tenant_bytes(1_000).build().unwrap());
    world.check();
    assert_eq!(entries(&world, conns), [2, 2, 4]);
}

#[test]
fn the_fingerprint_shows_the_tenant() {
    let mut fingerprints: Vec<_> = [None, Some("acme"), Some("other")]
        .into_iter()
        .map(|name| {
            let mut world = World::new();
            let who = who("alice", "main");
            world.open_as(match name {
                Some(name) => who.with_tenant(tenant(name)),
                None => who,
            });
            world.registry.fingerprint()
        })
        .collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 3);
}
