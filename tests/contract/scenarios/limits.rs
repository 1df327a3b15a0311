//! Full: of one user's own, and of everybody's.

use headcount::{ConnState, Refused, Target};

use super::twenty;
use crate::support::{START, World, ms, refuse, secs};

#[test]
fn the_twenty_first_makes_the_most_silent_one_go_and_is_in() {
    let mut world = World::with(twenty());
    let first = world.tab("alice", "main");
    for _ in 1..20 {
        world.run(ms(100));
        world.tab("alice", "main");
    }
    assert_eq!((world.open_count(), world.closings().len()), (20, 0), "twenty is not too many");
    let newcomer = world.tab("alice", "main");
    assert_eq!(world.open_count(), 20);
    world.settle();
    assert_eq!(world.seen(first), ["close evicted"]);
    assert_eq!(world.state(newcomer), Some(ConnState::Open));
    assert_eq!(world.registry.stats().refused, 0);
    world.close_the_books();
}

#[test]
fn the_twenty_first_is_refused_where_the_policy_says_so_and_costs_nobody_anything() {
    let mut world = World::with(twenty().over_cap(refuse()));
    let tabs: Vec<_> = (0..20).map(|_| world.tab("alice", "main")).collect();
    let refused = world.refusal("alice", "main");
    assert_eq!(refused, Refused::ConnectionsPerUser { retry_after: secs(3) });
    assert_eq!((world.open_count(), world.registry.stats().refused), (20, 1));

    for tab in &tabs[..5] {
        world.hang_up(*tab);
    }
    for _ in 0..3 {
        world.tab("alice", "main");
    }
    assert_eq!((world.open_count(), world.registry.stats().refused), (18, 1));
    world.settle();
    assert_eq!(world.closings(), ["peer_gone"; 5]);
    world.close_the_books();
}

#[test]
fn a_cold_start_burst_of_25_at_15_a_second_against_a_cap_of_20_locks_nobody_out() {
    // Nothing is warm: the first call that the registry ever sees is the burst itself.
    let mut world = World::with(twenty());
    let burst: Vec<_> = (0..25)
        .map(|number| {
            world.run(ms(67));
            let tab = world.tab("alice", &format!("thread{number}"));
            assert_eq!(world.open_count(), (number + 1).min(20), "exact at every instant");
            tab
        })
        .collect();
    world.settle();
    assert_eq!(world.open_conns(), burst[5..], "the last twenty, and none of these was hurt");
    assert_eq!(world.closings(), ["evicted"; 5]);
    let stats = world.registry.stats();
    assert_eq!((stats.opened, stats.refused, stats.sessions), (25, 0, 20));
    world.run(secs(300));
    assert_eq!(world.open_conns(), burst[5..]);
    world.close_the_books();
}

#[test]
fn the_same_burst_is_told_when_to_come_back_where_the_policy_is_to_refuse() {
    let mut world = World::with(twenty().over_cap(refuse()));
    let mut refused = 0;
    for number in 0..25 {
        world.run(ms(67));
        let conn = world.reserve();
        match world.connect(conn, "alice", &format!("thread{number}")) {
            Ok(_) => world.answers(conn),
            Err(Refused::ConnectionsPerUser { retry_after }) => {
                assert_eq!(retry_after, secs(3));
                refused += 1;
                world.hang_up(conn);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((world.open_count(), refused), (20, 5));
    world.settle();
    assert_eq!(world.closings().len(), 0);
    world.close_the_books();
}

#[test]
fn a_full_server_of_half_open_sockets_lets_their_owners_back() {
    let mut world = World::with(twenty().connections(100));
    world.checking = false;
    for number in 0..100 {
        world.open(&format!("user{number}"), "main");
    }
    world.run(secs(2));
    assert_eq!(world.refusal("stranger", "main"), Refused::Connections);
    let back: Vec<_> = (0..100)
        .map(|number| {
            let tab = world.tab(&format!("user{number}"), "main");
            assert_eq!(world.open_count(), 100, "exact at every instant");
            // A server polls between its turns; the ghosts never answer the close.
            world.settle();
            tab
        })
        .collect();
    assert_eq!(world.now, START + secs(2), "no waiting for any deadline");
    assert_eq!((world.open_count(), world.registry.stats().refused), (100, 1));
    assert_eq!(world.open_conns(), back);
    world.run(secs(300));
    assert_eq!(world.open_conns(), back);
    assert_eq!(world.closings(), ["evicted"; 100]);
    world.close_the_books();
}

#[test]
fn cleaning_up_after_one_user_touches_no_other() {
    let mut world = World::with(twenty());
    let bobs: Vec<_> = (0..3).map(|_| world.tab("bob", "main")).collect();
    for _ in 0..20 {
        world.tab("alice", "main");
    }
    world.tab("alice", "main");
    let alice = crate::support::user("alice");
    assert_eq!(world.close(Target::User(&alice), headcount::CloseReason::Application), 20);
    world.settle();
    assert_eq!(world.open_conns(), bobs);
    assert!(bobs.iter().all(|bob| world.seen(*bob).is_empty()));
    world.close_the_books();
}
