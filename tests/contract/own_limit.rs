//! A limit of connections that comes with the credentials of a newcomer.

use std::num::NonZeroU32;

use headcount::{ConnId, ConnState, OverCap, Principal, Refused, Start};

use crate::support::{World, config, refuse, secs, who};

fn of_at_most(limit: u32, thread: &str) -> Principal {
    who("alice", thread).with_max_connections(NonZeroU32::new(limit).unwrap())
}

/// Which of them are open.
fn open(world: &World, conns: &[ConnId]) -> Vec<bool> {
    conns.iter().map(|conn| world.state(*conn) == Some(ConnState::Open)).collect()
}

#[test]
fn a_lower_limit_evicts_down_to_it_the_first_to_go_first() {
    let policy = OverCap::EvictOldest;
    let mut world = World::with(config().connections_per_user(5).over_cap(policy));
    let mut tabs: Vec<_> = ["one", "one", "two", "three"].map(|it| world.open("alice", it)).into();
    let other = world.open("bob", "one");
    tabs.push(world.open_as(of_at_most(2, "four")));
    assert_eq!(open(&world, &tabs), [false, false, false, true, true]);
    assert_eq!(open(&world, &[other]), [true]);

    // It was for that admission only.
    tabs.push(world.open("alice", "one"));
    assert_eq!(open(&world, &tabs[3..]), [true, true, true]);
    tabs.push(world.open_as(of_at_most(1, "five")));
    assert_eq!(open(&world, &tabs[3..]), [false, false, false, true]);
}

#[test]
fn the_configured_limit_holds_where_the_own_one_is_higher() {
    let mut world = World::with(config().connections_per_user(2).over_cap(OverCap::EvictOldest));
    let tabs = ["one", "one", "one"].map(|thread| world.open_as(of_at_most(9, thread)));
    assert_eq!(open(&world, &tabs), [false, true, true]);
}

#[test]
fn a_policy_that_refuses_refuses_the_newcomer_and_closes_none() {
    let mut world = World::with(config().connections_per_user(5).over_cap(refuse()));
    let tabs = ["one", "one", "two"].map(|thread| world.open("alice", thread));
    let conn = world.reserve();
    let refused =
        world.registry.connect(world.now, conn, of_at_most(3, "two"), Start::OpenRuns, None);
    assert_eq!(refused, Err(Refused::ConnectionsPerUser { retry_after: secs(3) }));
    assert_eq!(open(&world, &tabs), [true; 3]);
    world.registry.connect(world.now, conn, of_at_most(4, "two"), Start::OpenRuns, None).unwrap();
}

#[test]
fn a_session_that_several_evicted_connections_leave_makes_room_for_the_newcomers() {
    let limits = config().connections_per_user(5).sessions(3).over_cap(OverCap::EvictOldest);
    let mut world = World::with(limits.sessions_per_user(3));
    world.open("bob", "one");
    let tabs = ["one", "one", "two"].map(|thread| world.open("alice", thread));
    let newcomer = world.open_as(of_at_most(2, "three"));
    assert_eq!(open(&world, &tabs), [false, false, true]);
    assert_eq!(open(&world, &[newcomer]), [true]);
    assert_eq!(world.registry.stats().sessions, 3);
}
