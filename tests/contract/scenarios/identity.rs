//! Who is who: names in any order, and handles that outlive what they named.

use headcount::{CloseReason, ConnState, Target, UnknownConn};

use super::twenty;
use crate::support::{World, ms, secs, thread, user};

#[test]
fn two_components_that_name_the_same_user_and_thread_mean_one_session_in_any_order() {
    // Ten sessions, each named by two components, 50 ms apart, in both orders.
    let mut world = World::with(twenty());
    for number in 0..10 {
        let name = format!("thread{number}");
        let (first, second) = (world.reserve(), world.reserve());
        let order = if number % 2 == 0 { [first, second] } else { [second, first] };
        world.connect(order[0], "alice", &name).unwrap();
        world.answers(order[0]);
        world.run(ms(50));
        let admitted = world.connect(order[1], "alice", &name).unwrap();
        world.answers(order[1]);
        assert!(!admitted.new_session);
        assert_eq!(world.session(first), world.session(second));
        // Whoever asks by name finds the same one.
        let found = world
            .registry
            .user(&user("alice"))
            .and_then(|it| it.session(&thread(&name)))
            .map(|it| it.id());
        assert_eq!(found, Some(admitted.session));
    }
    let stats = world.registry.stats();
    assert_eq!((stats.sessions_opened, stats.sessions, stats.open), (10, 10, 20));
    // And whoever cleans up by name leaves nothing.
    for number in 0..10 {
        let named = thread(&format!("thread{number}"));
        let session = world
            .registry
            .user(&user("alice"))
            .and_then(|it| it.session(&named))
            .map(|it| it.id())
            .unwrap();
        assert_eq!(world.close(Target::Session(session), CloseReason::Application), 2);
    }
    assert_eq!(world.open_count(), 0);
    world.close_the_books();
}

#[test]
fn the_same_thread_of_another_user_is_another_session() {
    let mut world = World::with(twenty());
    let (alice, bob) = (world.tab("alice", "main"), world.tab("bob", "main"));
    assert_ne!(world.session(alice), world.session(bob));
    world.tell_session(alice, "for alice");
    world.settle();
    assert_eq!(world.seen(bob), [""; 0]);
    world.close_the_books();
}

#[test]
fn an_old_close_never_touches_the_new_connection() {
    let mut world = World::with(twenty());
    let old = world.tab("alice", "main");
    let new = world.take_over("alice", "main", old);
    world.answers(new);
    world.settle();
    assert_eq!(world.seen(old), ["close taken_over"]);
    // Whatever still arrives for the old one: its socket's end, twice, and a close by name.
    assert_eq!(world.close(Target::Conn(old), CloseReason::Application), 0);
    world.hang_up(old);
    world.settle();
    let late = world.registry.disconnect(world.now, old);
    assert_eq!(late, Err(UnknownConn));
    assert_eq!(world.close(Target::Conn(old), CloseReason::Application), 0);
    world.run(secs(3_600));
    assert_eq!(world.open_conns(), [new]);

    // Not even in the same slot.
    let heir = world.tab("alice", "main");
    assert_eq!((heir.index(), heir == old), (old.index(), false));
    let late = world.registry.disconnect(world.now, old);
    assert_eq!((late, world.state(heir)), (Err(UnknownConn), Some(ConnState::Open)));
    world.close_the_books();
}

#[test]
fn the_end_of_an_old_session_never_touches_the_new_one_of_the_same_name() {
    let mut world = World::with(twenty().session_linger(secs(10)));
    let old = world.tab("alice", "main");
    let before = world.session(old);
    world.hang_up(old);
    world.run(secs(11));
    let new = world.tab("alice", "main");
    assert_ne!(world.session(new), before);
    assert_eq!(world.close(Target::Session(before), CloseReason::Application), 0);
    let lost =
        world.registry.send(world.now, Target::Session(before), headcount::Message::text("x"));
    assert!(lost.reaches_none(), "and says so");
    world.run(secs(60));
    assert_eq!(world.open_conns(), [new]);
    world.close_the_books();
}
