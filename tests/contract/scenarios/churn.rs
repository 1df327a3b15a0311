//! Coming and going, again and again.

use headcount::ConnState;

use super::twenty;
use crate::support::{World, ms, secs};

#[test]
fn fifteen_reconnect_cycles_of_200_ms_leave_one_session_and_then_none() {
    let mut world = World::with(twenty().session_linger(secs(30)));
    let mut sessions = Vec::new();
    for _ in 0..15 {
        let conn = world.tab("alice", "main");
        sessions.push(world.session(conn));
        world.run(ms(200));
        world.hang_up(conn);
        assert_eq!(world.open_count(), 0, "at once");
        world.run(ms(100));
        assert_eq!(world.registry.stats().live, 0);
    }
    sessions.dedup();
    assert_eq!(sessions.len(), 1, "a reconnect finds its session");
    let stats = world.registry.stats();
    assert_eq!((stats.opened, stats.closed_total(), stats.sessions_opened), (15, 15, 1));
    world.run(secs(30));
    assert!(world.registry.is_idle(), "{:?}", world.registry.stats());
    world.close_the_books();
}

#[test]
fn a_cleanup_can_be_polled_at_once_after_the_disconnect() {
    // No sweep, no grace, no clock: the very next poll has it, whatever else goes on.
    let mut world = World::with(twenty());
    let conns: Vec<_> =
        (0..10).map(|number| world.tab("alice", &format!("thread{number}"))).collect();
    for conn in &conns {
        world.hang_up(*conn);
        let polled = world.step().expect("an action at once");
        assert_eq!((&polled.to[..], &polled.what[..]), (&[*conn][..], "cleanup peer_gone"));
        assert_eq!(world.state(*conn), None);
    }
    assert_eq!((world.registry.stats().live, world.registry.has_actions()), (0, false));
    world.close_the_books();
}

#[test]
fn a_batch_of_disconnects_is_cleaned_up_whole_before_anything_else_is_handed_out() {
    let mut world = World::with(twenty());
    let stays = world.tab("alice", "main");
    let conns: Vec<_> = (0..10).map(|_| world.tab("alice", "main")).collect();
    world.tell_user("alice", "hello");
    conns.iter().for_each(|conn| world.hang_up(*conn));
    for conn in &conns {
        assert_eq!(world.step().map(|polled| polled.to), Some(vec![*conn]));
    }
    assert_eq!(
        world.step().map(|polled| (polled.to, polled.what)),
        Some((vec![stays], "hello".into()))
    );
    world.close_the_books();
}

#[test]
fn connects_race_with_cleanups_and_neither_ever_hits_the_other() {
    // One connect every half a second for ten seconds, while the one before it is being cleaned up
    // in every state that a connection can be in.
    let mut world = World::with(twenty().session_linger(secs(1)));
    let mut before = None;
    for round in 0..20 {
        let reserved = world.reserve();
        match before {
            Some(conn) if round % 3 == 0 => world.hang_up(conn),
            Some(conn) if round % 3 == 1 => {
                let target = headcount::Target::Conn(conn);
                world.close(target, headcount::CloseReason::Application);
            }
            _ => {}
        }
        world.connect(reserved, "alice", "main").expect("nobody is locked out");
        world.answers(reserved);
        if let Some(conn) = before.filter(|_| round % 3 == 1) {
            world.drain();
            world.hang_up(conn);
        }
        world.run(ms(500));
        assert_eq!(world.state(reserved), Some(ConnState::Open), "round {round}");
        before = Some(reserved);
    }
    // Every third one was left alone.
    assert_eq!((world.open_count(), world.registry.stats().live), (7, 7));
    assert_eq!(world.registry.stats().sessions_opened, 1, "somebody was always there");
    world.close_the_books();
}

#[test]
fn a_hundred_stress_cycles_of_three_connections_end_with_nothing() {
    let mut world = World::with(twenty().session_linger(secs(2)));
    for cycle in 0..100 {
        let conns = [0, 1, 2]
            .map(|number| world.tab(&format!("user{}", cycle % 10), &format!("thread{number}")));
        world.tell_user(&format!("user{}", cycle % 10), "hello");
        world.settle();
        world.run(ms(10));
        for (number, conn) in conns.into_iter().enumerate() {
            assert_eq!(world.seen(conn), ["hello"]);
            match number {
                0 => world.hang_up(conn),
                1 => {
                    world.close(headcount::Target::Conn(conn), headcount::CloseReason::Application);
                }
                // Its socket dies in the middle of a write that nobody has reported yet.
                _ => {
                    world.tell_conn(conn, "late");
                    let gone = world.registry.disconnect(world.now, conn);
                    assert_eq!(gone, Ok(()));
                }
            }
        }
        world.settle();
        assert_eq!(world.open_count(), 0);
    }
    let stats = world.registry.stats();
    assert_eq!((stats.opened, stats.refused), (300, 0), "all of them, not four of five");
    world.close_the_books();
}

#[test]
fn a_comprehensive_day_adds_up() {
    let mut world = World::with(twenty().session_linger(secs(60)));
    // Fifteen that stay, ten of which every third goes, and five more.
    let alices: Vec<_> =
        (0..15).map(|number| world.tab("alice", &format!("thread{number}"))).collect();
    let mut gone = 0;
    for number in 0..10 {
        let bob = world.tab("bob", "main");
        world.run(ms(500));
        if number % 3 == 0 {
            world.hang_up(bob);
            gone += 1;
        }
    }
    let carols: Vec<_> = (0..5).map(|_| world.tab("carol", "main")).collect();
    world.tell_user("carol", "for carol");
    world.tell_user("alice", "for alice");
    world.settle();
    assert!(carols.iter().all(|conn| world.seen(*conn) == ["for carol"]));
    assert!(alices.iter().all(|conn| world.seen(*conn).contains(&"for alice")));

    // Eight more on fifteen exceed the cap of twenty by three, and exactly three make room.
    for number in 15..23 {
        world.run(ms(500));
        world.tab("alice", &format!("thread{number}"));
    }
    world.settle();
    let of = |world: &World, name| world.tabs(name).len();
    assert_eq!((of(&world, "alice"), of(&world, "bob"), of(&world, "carol")), (20, 6, 5));
    let mut expected = vec!["peer_gone"; gone];
    expected.extend(["evicted"; 3]);
    assert_eq!(world.closings(), expected);
    assert_eq!(world.registry.stats().refused, 0);
    world.run(secs(300));
    assert_eq!(world.open_count(), 31);
    world.close_the_books();
}
