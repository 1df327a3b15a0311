//! Many users at once.

use std::time::Instant;

use headcount::{ConnId, Recovered};

use super::twenty;
use crate::support::{START, World, ms, secs};

/// So many users with so many tabs each, and a message to each user that reaches exactly them.
fn crowd(users: usize, tabs: usize) {
    let mut world = World::with(twenty());
    world.checking = false;
    let name = |number: usize| format!("user{number}");
    let conns: Vec<Vec<ConnId>> = (0..users)
        .map(|number| (0..tabs).map(|_| world.tab(&name(number), "main")).collect())
        .collect();
    for number in 0..users {
        world.tell_user(&name(number), &format!("secret of {number}"));
        assert_eq!(world.reached(), (tabs as u32, 0));
    }
    world.settle();
    world.check();
    for (number, tabs) in conns.iter().enumerate() {
        for tab in tabs {
            assert_eq!(world.seen(*tab), [format!("secret of {number}")]);
        }
    }
    world.run(secs(600));
    assert_eq!((world.open_count() as usize, world.closings().len()), (users * tabs, 0));
    world.close_the_books();
}

#[test]
fn twenty_five_users_with_two_tabs_each_get_exactly_what_is_theirs() {
    crowd(25, 2);
}

#[test]
fn fifty_users_get_exactly_what_is_theirs() {
    crowd(50, 1);
}

#[test]
fn three_users_with_two_one_and_one_threads_and_nothing_crosses() {
    let mut world = World::with(twenty());
    let places = [("a", "1"), ("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")];
    let conns = places.map(|(user, thread)| world.tab(user, thread));
    for (place, conn) in places.iter().zip(&conns) {
        world.tell_session(*conn, &format!("{}/{}", place.0, place.1));
    }
    world.settle();
    for (place, conn) in places.iter().zip(conns) {
        let own = format!("{}/{}", place.0, place.1);
        // Two connections in one session means that it was told twice.
        let times = places.iter().filter(|other| *other == place).count();
        assert_eq!(world.seen(conn), vec![own; times]);
    }
    world.close_the_books();
}

#[test]
fn every_fiftieth_write_fails_and_only_that_socket_is_lost() {
    let mut world = World::with(twenty());
    let users: Vec<_> = (0..10).map(|number| format!("user{number}")).collect();
    let mut conns: Vec<_> = users.iter().map(|user| world.tab(user, "main")).collect();
    let (mut writes, mut failed) = (0, 0);
    for round in 0..100 {
        for user in &users {
            world.tell_user(user, &format!("message {round}"));
        }
        let mut broken = Vec::new();
        while let Some(polled) = world.step() {
            for conn in polled.to.iter().filter(|_| polled.what.starts_with("message")) {
                writes += 1;
                if writes % 50 == 0 {
                    broken.push(*conn);
                }
            }
        }
        // As a shell does it: what the write came to is told after the action was dealt with.
        for conn in broken {
            failed += 1;
            let place = conns.iter().position(|other| *other == conn).expect("a user's");
            assert_eq!(
                world.seen(conn).len(),
                world.seen(conn).iter().filter(|what| **what != "ping").count()
            );
            world.hang_up(conn);
            // The client comes back at once with what it has seen last, and is handed the rest.
            let position =
                world.registry.session(world.session(conn)).expect("its session").position();
            let seen = headcount::Position { offset: position.offset - 1, ..position };
            let (back, admitted) = world.resume(&users[place], "main", seen);
            assert_eq!((admitted.recovered, admitted.new_session), (Recovered::All, false));
            world.answers(back);
            conns[place] = back;
            world.drain();
            assert_eq!(world.seen(back), [format!("message {round}")]);
        }
        world.settle();
    }
    assert_eq!((writes, failed), (1_000, 20));
    assert_eq!(world.open_conns().len(), 10);
    assert_eq!(world.closings(), ["peer_gone"; 20]);
    let received: usize = world
        .polled
        .iter()
        .filter(|polled| polled.what.starts_with("message"))
        .map(|polled| polled.to.len())
        .sum();
    assert_eq!(received, 1_020, "every message was handed out once, and again where it was lost");
    world.close_the_books();
}

#[test]
fn ten_users_are_served_in_less_than_two_seconds_of_anybody_s_clock() {
    let begin = Instant::now();
    let mut world = World::new();
    for number in 0..10 {
        let user = format!("user{number}");
        let conn = world.tab(&user, "main");
        world.tell_user(&user, "hello");
        world.settle();
        assert_eq!(world.seen(conn), ["hello"]);
    }
    assert_eq!(world.now, START, "not one step of it waits for a clock");
    assert!(begin.elapsed() < secs(2), "{:?}", begin.elapsed());
    world.close_the_books();
}

#[test]
fn fifty_connects_take_less_than_a_second_and_a_quarter_of_anybody_s_clock() {
    let begin = Instant::now();
    let mut world = World::with(twenty());
    for number in 0..50 {
        world.tab(&format!("user{}", number % 5), "main");
    }
    assert_eq!((world.now, world.open_count()), (START, 50));
    assert!(begin.elapsed() < ms(1_250), "{:?}", begin.elapsed());
    world.close_the_books();
}

#[test]
fn a_heartbeat_round_for_five_takes_one_instant() {
    let begin = Instant::now();
    let mut world = World::with(twenty().ping_interval(secs(20)));
    let tabs: Vec<_> = (0..5).map(|_| world.tab("alice", "main")).collect();
    // Past the whole interval: all five are due in the same tick.
    world.skip(secs(20));
    world.settle();
    assert!(tabs.iter().all(|tab| world.seen(*tab) == ["ping"]));
    let stats = world.registry.stats();
    assert_eq!((stats.pings_sent, stats.pongs_received), (5, 5));
    world.run(secs(15));
    assert_eq!(world.open_count(), 5);
    assert!(begin.elapsed() < secs(1), "{:?}", begin.elapsed());
    world.close_the_books();
}
