//! One user, many tabs.

use headcount::{ConnState, OverCap, Pressure};

use super::twenty;
use crate::support::{START, World, ms, secs};

#[test]
fn eight_tabs_open_and_three_close_and_five_go_on_as_if_nothing_was() {
    let mut world = World::with(twenty());
    let tabs: Vec<_> = (0..8)
        .map(|number| {
            world.run(ms(100));
            world.tab("alice", &format!("thread{number}"))
        })
        .collect();
    let stats = world.registry.stats();
    assert_eq!((stats.open, stats.sessions, stats.users), (8, 8, 1));

    for closed in [0, 3, 6] {
        world.hang_up(tabs[closed]);
    }
    assert_eq!(world.open_count(), 5, "before anything was polled");
    world.settle();
    world.tell_user("alice", "hello");
    world.settle();
    for (number, tab) in tabs.iter().enumerate() {
        match [0, 3, 6].contains(&number) {
            true => assert_eq!(world.seen(*tab), ["cleanup peer_gone"]),
            false => assert_eq!(world.seen(*tab), ["hello"]),
        }
    }
    world.run(secs(300));
    assert_eq!(world.open_count(), 5, "whoever answers pings stays");
    assert_eq!(world.registry.stats().sessions, 5, "the others have lingered enough");
    assert_eq!(world.closings(), ["peer_gone"; 3]);
    world.close_the_books();
}

#[test]
fn a_thirteenth_tab_kills_none_of_twelve_healthy_ones() {
    // Twelve of twenty is where the silent are asked; being asked costs the living nothing.
    let mut world = World::with(twenty());
    let tabs: Vec<_> =
        (0..12).map(|number| world.tab("alice", &format!("thread{number}"))).collect();
    // Silent for long enough to be asked, for no longer than a healthy tab may be.
    world.run(secs(12) + ms(501));
    world.notices();
    let thirteenth = world.tab("alice", "thread12");
    world.run(secs(60));
    for tab in &tabs {
        assert_eq!(world.state(*tab), Some(ConnState::Open));
        assert!(world.seen(*tab).iter().all(|what| *what == "ping"), "{:?}", world.seen(*tab));
    }
    assert_eq!(world.state(thirteenth), Some(ConnState::Open));
    assert_eq!((world.open_count(), world.closings().len()), (13, 0));
    world.close_the_books();
}

#[test]
fn twelve_tabs_whose_handshake_has_just_ended_survive_the_thirteenth() {
    // No message, no pong, no data yet: that they are new is no sign of death.
    let mut world = World::with(twenty());
    for number in 0..13 {
        world.tab("alice", &format!("thread{number}"));
    }
    world.run(secs(300));
    assert_eq!((world.open_count(), world.closings().len()), (13, 0));
    world.close_the_books();
}

#[test]
fn two_tabs_over_the_cap_do_not_fight_for_ever() {
    for policy in [OverCap::EvictUnresponsiveThenOldest, OverCap::EvictOldest] {
        let mut world = World::with(twenty().connections_per_user(1).over_cap(policy));
        let first = world.tab("alice", "main");
        world.run(secs(1));
        let second = world.tab("alice", "main");
        world.settle();
        assert_eq!(world.seen(first), ["close evicted"]);
        // A client obeys the table of close codes: this one says that it should not come back.
        let evicted = headcount::CloseReason::Evicted;
        assert_eq!((evicted.code(), evicted.retry()), (4504, headcount::Retry::Stop));
        world.hang_up(first);
        world.run(secs(300));
        assert_eq!(world.state(second), Some(ConnState::Open));
        assert_eq!((world.registry.stats().opened, world.closings().len()), (2, 1));
        world.close_the_books();
    }
}

#[test]
fn a_tab_that_ignores_the_code_and_comes_back_takes_turns_and_leaks_nothing() {
    let mut world = World::with(twenty().connections_per_user(1));
    let mut last = world.tab("alice", "main");
    for _ in 0..1_000 {
        world.run(ms(250));
        let next = world.tab("alice", "main");
        assert_eq!(world.open_count(), 1, "at every instant");
        world.settle();
        world.hang_up(last);
        last = next;
    }
    world.settle();
    assert_eq!(world.registry.stats().live, 1);
    world.close_the_books();
}

#[test]
fn a_user_with_twenty_dead_connections_reconnects_at_once() {
    // The sockets are half open: writes vanish in the kernel, and nothing ever comes back.
    let mut world = World::with(twenty());
    let dead: Vec<_> =
        (0..20).map(|number| world.open("alice", &format!("thread{number}"))).collect();
    world.run(secs(5));
    let alive = world.tab("alice", "thread0");
    assert_eq!(world.now, START + secs(5), "no waiting");
    assert_eq!((world.open_count(), world.state(dead[0])), (20, Some(ConnState::Closing)));
    // The rest goes at its own deadline, and the living one stays.
    world.run(secs(60));
    assert_eq!(world.tabs("alice"), [alive]);
    assert_eq!(world.closings()[0], "evicted");
    assert!(world.closings()[1..].iter().all(|reason| *reason == "pong_timeout"));
    world.close_the_books();
}

#[test]
fn a_whole_browser_that_returns_after_its_network_did_replaces_each_of_its_ghosts() {
    let mut world = World::with(twenty());
    for number in 0..20 {
        world.open("alice", &format!("thread{number}"));
    }
    world.run(secs(5));
    let back: Vec<_> =
        (0..20).map(|number| world.tab("alice", &format!("thread{number}"))).collect();
    assert_eq!(world.open_count(), 20);
    assert_eq!(world.open_conns(), back, "ghosts made room for the living, never the reverse");
    assert_eq!(world.registry.stats().sessions, 20, "each thread has kept its session");
    world.run(secs(300));
    assert_eq!(world.open_conns(), back);
    world.close_the_books();
}

#[test]
fn twelve_of_twenty_is_where_the_silent_are_asked_and_nobody_is_lost() {
    // Six of the twelve are long silent, and dead; the pressure asks them all, and only the peers'
    // own silence decides.
    let mut world = World::with(twenty().ping_interval(secs(60)).pong_timeout(secs(30)));
    let dead: Vec<_> = (0..6).map(|number| world.open("alice", &format!("dead{number}"))).collect();
    world.run(secs(29));
    let alive: Vec<_> =
        (0..5).map(|number| world.tab("alice", &format!("alive{number}"))).collect();
    world.run(secs(2));
    world.notices();
    world.tab("alice", "twelfth");
    assert_eq!(world.pressures(), [(Pressure::Proactive, 6, 0, 0)]);
    let thirteenth = world.tab("alice", "thirteenth");
    assert_eq!(world.pressures(), [], "once per crossing");
    world.run(secs(31));
    assert!(dead.iter().all(|conn| !matches!(world.state(*conn), Some(ConnState::Open))));
    for conn in alive.iter().chain([&thirteenth]) {
        assert_eq!(world.state(*conn), Some(ConnState::Open));
    }
    assert_eq!(world.open_count(), 7);
    assert_eq!(world.closings(), ["pong_timeout"; 6]);
    world.close_the_books();
}
