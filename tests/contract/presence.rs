//! Who is online, as data: one action for each change of a user, and a grace for those who may come back.

use bytes::Bytes;
use core::num::NonZeroU32;
use headcount::{
    Action, CloseReason, ConfigBuilder, ConnId, Message, Principal, Refused, RunId, Start, Target,
};

use crate::support::{Polled, World, config, ms, secs, user};

/// A configuration with presence, a grace of five seconds, and sessions that outlive it.
fn present() -> ConfigBuilder {
    config().with_presence()
}

/// What was said of users since the last look.
fn said(world: &mut World) -> Vec<String> {
    world.settle();
    let polled = core::mem::take(&mut world.polled);
    polled.into_iter().filter(|it| it.is_presence()).map(|it| it.what).collect()
}

/// A connection that follows nothing: without it the user has no session either.
fn bare(world: &mut World, name: &str) -> ConnId {
    world.open_as(Principal::new(user(name)))
}

/// A user who was said to be online, with one connection.
fn online(world: &mut World, name: &str) -> ConnId {
    let conn = bare(world, name);
    assert_eq!(said(world), [format!("{name} is online")]);
    conn
}

fn is_online(world: &World, name: &str) -> bool {
    world.registry.user(&user(name)).is_some_and(|it| it.is_online())
}

fn close(world: &mut World, conn: ConnId, reason: CloseReason) {
    world.close(Target::Conn(conn), reason);
}

#[test]
fn a_registry_without_presence_says_nothing() {
    let mut world = World::new();
    let conn = world.open("alice", "main");
    assert!(is_online(&world, "alice"));
    world.hang_up(conn);
    assert!(!is_online(&world, "alice"), "there is no grace either");
    world.run_out();
    assert_eq!(said(&mut world), [""; 0]);
}

#[test]
fn presence_is_for_the_application_and_costs_no_window_anything() {
    let mut world = World::with(present());
    world.open("alice", "main");
    let action = world.registry.poll_action().unwrap();
    assert!(matches!(action, Action::Presence { online: true, user } if user.as_str() == "alice"));
    assert_eq!((action.cost(), action.recipients()), (0, [].as_slice()));
}

#[test]
fn all_connections_of_a_user_together_are_one_presence() {
    let mut world = World::with(present());
    let phone = world.open("alice", "main");
    assert_eq!(said(&mut world), ["alice is online"]);
    let desk = world.open("alice", "notes");
    close(&mut world, phone, CloseReason::PeerClosed);
    assert_eq!(said(&mut world), [""; 0]);
    close(&mut world, desk, CloseReason::PeerClosed);
    assert!(!is_online(&world, "alice"), "it is so at once, and not when it was polled");
    assert_eq!(said(&mut world), ["alice is offline"]);
    online(&mut world, "alice");
}

#[test]
fn a_reason_with_a_leave_grace_leaves_the_user_online_for_it() {
    for reason in CloseReason::ALL {
        let mut world = World::with(present());
        let conn = online(&mut world, "alice");
        close(&mut world, conn, *reason);
        let waits = reason.has_leave_grace();
        assert_eq!(is_online(&world, "alice"), waits, "{reason}");
        assert_eq!(said(&mut world).is_empty(), waits, "{reason}");
        world.run(ms(4_999));
        assert_eq!(is_online(&world, "alice"), waits, "{reason}");
        world.run(ms(1));
        assert!(!is_online(&world, "alice"), "{reason}");
        assert_eq!(said(&mut world).is_empty(), !waits, "{reason}");
        world.run_out();
    }
}

#[test]
fn the_reason_of_the_last_connection_decides() {
    let mut world = World::with(present());
    let (phone, desk) = (online(&mut world, "alice"), bare(&mut world, "alice"));
    world.hang_up(phone);
    close(&mut world, desk, CloseReason::PeerClosed);
    assert_eq!(said(&mut world), ["alice is offline"]);
}

#[test]
fn a_user_who_comes_back_within_the_grace_is_not_mentioned() {
    let mut world = World::with(present());
    let conn = online(&mut world, "alice");
    world.hang_up(conn);
    world.run(ms(4_999));
    let conn = bare(&mut world, "alice");
    world.run(secs(10));
    assert_eq!(said(&mut world), [""; 0]);
    // The next grace is a whole one.
    world.hang_up(conn);
    world.run(ms(4_999));
    assert_eq!(said(&mut world), [""; 0]);
    world.run(ms(1));
    assert_eq!(said(&mut world), ["alice is offline"]);
}

#[test]
fn a_user_who_comes_and_goes_between_two_polls_is_not_mentioned() {
    let mut world = World::with(present());
    for reason in [CloseReason::PeerClosed, CloseReason::PeerGone] {
        let conn = bare(&mut world, "alice");
        close(&mut world, conn, reason);
        assert!(!is_online(&world, "alice"), "no grace for a user who was never said to be online");
        world.run(secs(60));
        assert_eq!(said(&mut world), [""; 0], "{reason}");
    }
}

#[test]
fn a_user_who_goes_and_comes_back_between_two_polls_is_not_mentioned() {
    let mut world = World::with(present());
    let mut conn = online(&mut world, "alice");
    for reason in [CloseReason::PeerClosed, CloseReason::Application, CloseReason::PeerGone] {
        close(&mut world, conn, reason);
        conn = bare(&mut world, "alice");
        assert_eq!(said(&mut world), [""; 0], "{reason}");
    }
}

#[test]
fn a_takeover_and_an_eviction_by_the_same_user_are_not_mentioned() {
    let mut world = World::with(present().connections_per_user(1));
    let first = world.open("alice", "main");
    assert_eq!(said(&mut world), ["alice is online"]);
    world.take_over("alice", "main", first);
    world.open("alice", "main");
    world.settle();
    assert_eq!(world.registry.stats().open, 1);
    assert_eq!(said(&mut world), [""; 0]);
}

#[test]
fn a_grace_of_zero_is_none() {
    let mut world = World::with(present().leave_grace(secs(0)));
    let conn = online(&mut world, "alice");
    world.hang_up(conn);
    assert_eq!(said(&mut world), ["alice is offline"]);
}

#[test]
fn those_who_left_first_are_offline_first() {
    let mut world = World::with(present());
    let conns = ["alice", "bob", "carol"].map(|name| online(&mut world, name));
    for conn in [conns[2], conns[0], conns[1]] {
        world.hang_up(conn);
    }
    assert_eq!(said(&mut world), [""; 0]);
    world.run(secs(5));
    assert_eq!(said(&mut world), ["carol is offline", "alice is offline", "bob is offline"]);
}

#[test]
fn a_tick_acts_on_so_many_graces_as_on_other_deadlines() {
    let mut world = World::with(present().tick_budget(2).session_linger(secs(0)));
    let conns = ["alice", "bob", "carol"].map(|name| online(&mut world, name));
    for conn in conns {
        world.hang_up(conn);
    }
    world.settle();
    world.now += secs(5);
    world.registry.tick(world.now);
    assert_eq!(said(&mut world).len(), 2);
    assert!(world.timeout() <= world.now, "the rest is due at once");
    world.registry.tick(world.now);
    assert_eq!(said(&mut world), ["carol is offline"]);
}

#[test]
fn a_storm_of_presence_holds_up_no_message() {
    let mut world = World::with(present());
    let conn = online(&mut world, "alice");
    for number in 0..100 {
        bare(&mut world, &format!("user-{number}"));
    }
    world.tell_everyone("hello");
    let before = core::iter::from_fn(|| world.step()).take_while(|it| it.to.is_empty());
    assert!(before.count() <= 1);
    assert_eq!(world.seen(conn), ["everyone: hello"]);
    assert_eq!(said(&mut world).len(), 100);
}

#[test]
fn a_revocation_ends_the_grace() {
    let mut world = World::with(present());
    let conn = online(&mut world, "alice");
    world.hang_up(conn);
    assert_eq!(said(&mut world), [""; 0]);
    assert_eq!(world.registry.revoke(world.now, &user("alice")), 0);
    assert_eq!(said(&mut world), ["alice is offline"]);
    assert!(world.registry.is_idle());
}

#[test]
fn a_drain_leaves_everyone_offline_at_once() {
    let mut world = World::with(present());
    online(&mut world, "alice");
    world.registry.drain(world.now, Some(secs(1)));
    world.run(secs(1));
    assert_eq!(said(&mut world), ["alice is offline"]);
}

#[test]
fn a_user_in_the_grace_counts_and_makes_room_for_a_newcomer() {
    let mut world = World::with(present().users(1).sessions_per_user(1));
    let conn = online(&mut world, "alice");
    world.hang_up(conn);
    world.settle();
    assert_eq!((world.registry.stats().users, world.registry.stats().sessions), (1, 0));
    assert!(!world.registry.is_idle());
    bare(&mut world, "bob");
    assert!(!is_online(&world, "alice"));
    assert_eq!(said(&mut world), ["alice is offline", "bob is online"]);
    assert_eq!(world.registry.stats().users, 1);
}

#[test]
fn newcomers_are_refused_while_too_many_wait_to_be_said_to_be_offline() {
    let mut world = World::with(present().users(2).closing(1).leave_grace(secs(0)));
    let arrive = |world: &mut World, name| {
        let who = Principal::new(user(name));
        world.registry.admit(world.now, who, Start::OpenRuns, None).is_ok()
    };
    let conns = ["alice", "bob"].map(|name| online(&mut world, name));
    for conn in conns {
        world.hang_up(conn);
    }
    assert_eq!(world.registry.stats().users, 0);
    assert!(arrive(&mut world, "carol"), "as many as limits.closing are kept beside limits.users");
    let dave = Principal::new(user("dave"));
    let refused = world.registry.admit(world.now, dave, Start::OpenRuns, None);
    assert_eq!(refused.unwrap_err(), Refused::Users);
    // The cleanups come first.
    let polled = core::iter::from_fn(|| world.step());
    let first = polled.into_iter().find(Polled::is_presence).map(|it| it.what);
    assert_eq!(first.as_deref(), Some("alice is offline"));
    assert!(arrive(&mut world, "dave"));
}

#[test]
fn a_reload_changes_the_grace_of_those_who_are_in_it_and_no_more() {
    let mut world = World::with(present());
    let conn = online(&mut world, "alice");
    world.hang_up(conn);
    world.run(secs(2));
    let longer = config().leave_grace(secs(20)).build().unwrap();
    world.registry.reload(world.now, longer);
    assert!(world.registry.config().presence(), "it is the program's, and stays");
    world.run(ms(17_999));
    assert_eq!(said(&mut world), [""; 0]);
    let shorter = config().leave_grace(secs(1)).build().unwrap();
    world.registry.reload(world.now, shorter);
    assert_eq!(said(&mut world), [""; 0], "deadlines act in ticks");
    world.registry.tick(world.now);
    assert_eq!(said(&mut world), ["alice is offline"]);
}

#[test]
fn the_bucket_of_connects_is_the_same_before_and_after() {
    let limits = present().connect_rate_per_user(1).connect_burst_per_user(2);
    let mut world = World::with(limits.session_linger(secs(0)));
    for _ in 0..2 {
        let conn = world.open("alice", "main");
        world.settle();
        close(&mut world, conn, CloseReason::PeerClosed);
    }
    let refused = world.refusal("alice", "main");
    assert!(matches!(refused, Refused::RateOfUser { .. }), "not said yet: {refused:?}");
    world.settle();
    let refused = world.refusal("alice", "main");
    assert!(matches!(refused, Refused::RateOfUser { .. }), "and said: {refused:?}");
}

#[test]
fn a_user_who_was_dropped_may_have_a_run_meanwhile() {
    let mut world = World::with(present().session_linger(secs(0)));
    let conn = online(&mut world, "alice");
    world.hang_up(conn);
    let (alice, run, thread) = (user("alice"), RunId::new("run").unwrap(), "main".parse().unwrap());
    let mut scope = world.registry.scope(&alice);
    let opened = scope.open_run(world.now, &thread, &run, "agent", Bytes::new()).unwrap();
    world.run(secs(5));
    assert_eq!(said(&mut world), ["alice is offline"], "a session is no connection");
    world.send(Target::Session(opened.session), Message::text("kept"));
    assert_eq!(world.registry.stats().users, 1);
}

#[test]
fn a_lower_limit_of_the_credentials_is_no_departure() {
    let mut world = World::with(present());
    online(&mut world, "alice");
    bare(&mut world, "alice");
    let one = Principal::new(user("alice")).with_max_connections(NonZeroU32::MIN);
    world.open_as(one);
    assert_eq!(world.tabs("alice").len(), 1);
    assert_eq!(said(&mut world), [""; 0]);
}
