//! Clones and fingerprints: for whoever wants to know what would happen.

use std::time::Duration;

use headcount::{
    CloseReason, Config, Inbound, Key, Message, Outgoing, Principal, Registry, Start, StreamRef,
    Target, Timestamp,
};

use crate::support::{World, config, ms, room, secs, thread, user};

/// Two users in a room, with something to hand out.
fn two_users() -> World {
    let mut world = World::with(config().stream_history(8));
    let alice = world.open("alice", "main");
    let bob = world.open("bob", "main");
    world.join(alice, "lobby");
    world.join(bob, "lobby");
    world.tell_session(alice, "a first message");
    world.settle();
    world.tell_room("lobby", "a message on its way");
    world
}

/// What may come of a registry.
type Change = Box<dyn Fn(&mut Registry)>;

#[test]
fn a_clone_goes_its_own_way_and_leaves_the_original_as_it_was() {
    let mut world = two_users();
    let (now, before) = (world.now, world.registry.fingerprint());
    let mut clone = world.registry.clone();
    assert_eq!(clone.fingerprint(), before);
    let polled = |registry: &mut Registry| {
        registry.drain(now, None);
        let mut polled = Vec::new();
        while let Some(action) = registry.poll_action() {
            polled.push(format!("{action:?}"));
        }
        polled
    };
    let foreseen = polled(&mut clone);
    assert!(clone.is_draining() && !world.registry.is_draining());
    assert_eq!(world.registry.fingerprint(), before);
    assert_eq!(polled(&mut world.registry), foreseen);
    assert_eq!(world.registry.fingerprint(), clone.fingerprint());
    clone.check().unwrap();
}

fn send(now: Timestamp, message: impl Into<Outgoing>) -> Change {
    let message = message.into();
    Box::new(move |registry| {
        registry.send(now, Target::Room(&room("lobby")), message.clone());
    })
}

#[test]
fn whatever_may_come_of_a_difference_shows_in_the_fingerprint() {
    let world = two_users();
    let now = world.now;
    let alice = world.tabs("alice")[0];
    let lobby = room("lobby");
    let connect = |who: Principal| {
        move |registry: &mut Registry| {
            let conn = registry.reserve(now, None).unwrap();
            registry.connect(now, conn, who.clone(), Start::OpenRuns, None).unwrap();
        }
    };
    let key = |key: &str| Key::new(key).unwrap();
    let carol = || Principal::new(user("carol")).with_thread(thread("main"));
    let changes: Vec<Change> = vec![
        Box::new(|_| ()),
        send(now, Message::text("one")),
        send(now, Message::text("two")),
        send(now, Message::binary("two")),
        send(now, Message::text("two").droppable()),
        send(now, Message::text("two").latest(key("key-1"))),
        send(now, Message::text("two").latest(key("key-2"))),
        send(now, Message::text("two").except_connection(alice)),
        send(now, Message::text("two").except_session(alice)),
        send(now, Message::text("two").except_user(alice)),
        Box::new(connect(carol())),
        Box::new(connect(Principal::new(user("karol")).with_thread(thread("main")))),
        Box::new(connect(Principal::new(user("carol")).with_thread(thread("side")))),
        Box::new(connect(carol().with_label("phone").unwrap())),
        Box::new(connect(carol().with_expiry(now + secs(9)))),
        Box::new(move |registry| registry.tick(now + Duration::from_nanos(1))),
        Box::new(move |registry| {
            let _ = registry.reserve(now, None);
        }),
        Box::new(move |registry| {
            let session =
                StreamRef::Session(registry.connection(alice).and_then(|it| it.session()).unwrap());
            let _ = registry.acknowledge(now, alice, session, 1);
        }),
        Box::new(move |registry| {
            let _ = registry.leave(now, alice, &lobby);
        }),
        Box::new(move |registry| open_run(registry, now, "run-1")),
        Box::new(move |registry| open_run(registry, now, "run-2")),
        Box::new(move |registry| {
            let _ = registry.poll_action().is_some();
        }),
        Box::new(move |registry| registry.drain(now, None)),
        Box::new(move |registry| {
            let _ = registry.close(now, Target::Everyone, CloseReason::Restart);
        }),
        Box::new(move |registry| {
            let _ = registry.reload(now, Config::builder(1).rooms(17).build().unwrap());
        }),
    ];
    let fingerprints: Vec<_> = changes
        .iter()
        .map(|change| {
            let mut clone = world.registry.clone();
            change(&mut clone);
            clone.fingerprint()
        })
        .collect();
    for (place, one) in fingerprints.iter().enumerate() {
        let same = fingerprints.iter().position(|other| other == one);
        assert_eq!(same, Some(place), "two changes that cannot be told apart");
    }
}

fn open_run(registry: &mut Registry, now: Timestamp, run: &str) {
    let (alice, run) = (user("alice"), headcount::RunId::new(run).unwrap());
    let _ =
        registry.scope(&alice).open_run(now, &thread("main"), &run, "agent", "".into()).unwrap();
}

#[test]
fn steps_that_have_nothing_to_do_with_each_other_have_no_order() {
    let mut world = two_users();
    world.settle();
    world.skip(ms(10));
    let alice = world.tabs("alice")[0];
    let bob = world.tabs("bob")[0];
    let mut other = world.registry.clone();
    for conn in [alice, bob] {
        world.inbound(conn, Inbound::Data { bytes: 1 });
    }
    for conn in [bob, alice] {
        let _ = other.message(world.now, conn, Inbound::Data { bytes: 1 }).unwrap();
    }
    assert_eq!(world.registry.fingerprint(), other.fingerprint());
}

#[test]
fn what_was_only_counted_makes_no_difference() {
    let mut world = two_users();
    let before = (world.registry.fingerprint(), world.registry.stats().late_stamps);
    assert!(!world.registry.cancel_drain(Timestamp::ZERO));
    assert_eq!(world.registry.stats().late_stamps, before.1 + 1);
    assert_eq!(world.registry.fingerprint(), before.0);
}

#[test]
fn the_order_in_which_slots_became_free_shows_for_it_decides_who_is_next() {
    let registries = [[0, 1], [1, 0]].map(|order| {
        let mut world = World::new();
        let conns = [world.open("alice", "one"), world.open("alice", "two")];
        world.open("alice", "three");
        world.settle();
        for conn in order {
            world.hang_up(conns[conn]);
        }
        while world.registry.poll_action().is_some() {}
        while world.registry.poll_notice().is_some() {}
        world.registry
    });
    assert_ne!(registries[0].fingerprint(), registries[1].fingerprint());
    let now = crate::support::START + secs(1);
    let next = registries.map(|mut registry| registry.reserve(now, None).unwrap());
    assert_ne!(next[0].index(), next[1].index());
}

#[test]
fn the_order_in_which_rooms_became_empty_shows_for_the_first_makes_room() {
    let mut fingerprints = [["a", "b"], ["b", "a"]].map(|order| {
        let mut world = World::with(config().room_history(1));
        let conn = world.open("alice", "main");
        for name in ["a", "b"] {
            world.join(conn, name);
            world.tell_room(name, "kept");
        }
        world.settle();
        order.iter().for_each(|name| world.leave(conn, name));
        world.settle();
        world.registry.fingerprint()
    });
    fingerprints.sort_unstable();
    assert_ne!(fingerprints[0], fingerprints[1]);
}

#[test]
fn the_first_slots_are_the_next_when_everybody_has_gone() {
    let mut world = World::with(config().session_linger(Duration::ZERO));
    let conns = ["alice", "bob", "carol"].map(|name| world.open(name, "main"));
    world.settle();
    for conn in [1, 0, 2] {
        world.hang_up(conns[conn]);
    }
    world.run_out();
    let again = ["alice", "bob", "carol"].map(|name| world.open(name, "main").index());
    assert_eq!(again, [0, 1, 2]);
}
