//! What code for one user reaches of it, and the tap beside a registry.

use core::any::Any;

use bytes::Bytes;
use headcount::{Action, Delivery, Input, Message, RunId, Tap, Timestamp, Within};

use crate::support::{World, secs, thread, user};

#[test]
fn a_message_within_a_user_reaches_all_sessions_one_or_that_of_a_run() {
    let mut world = World::new();
    let conns = ["main", "other"].map(|name| world.tab("alice", name));
    let stranger = world.tab("bob", "main");
    let (alice, run) = (user("alice"), RunId::new("run").unwrap());
    let (other, none) = (thread("other"), thread("none"));
    let mut scope = world.registry.scope(&alice);
    let opened = scope.open_run(world.now, &other, &run, "agent", Bytes::new()).unwrap();
    assert!(opened.delivery.live == 1 && scope.run(&run).is_some());
    assert_eq!(scope.run(&run).unwrap().first(), opened.position.offset);
    let whom = [
        (Within::Everywhere, 2),
        (Within::Thread(&other), 1),
        (Within::Run(&run), 1),
        (Within::Thread(&none), 0),
    ];
    for (whom, live) in whom {
        let sent = scope.send(world.now, whom, Message::text("hello"));
        assert_eq!(sent.live, live, "{whom:?}");
    }
    world.settle();
    assert_eq!(conns.map(|conn| world.seen(conn).len()), [1, 4]);
    assert!(world.seen(stranger).is_empty());
}

#[test]
fn time_passes_also_with_what_reaches_none() {
    let mut world = World::new();
    let conn = world.tab("alice", "main");
    let (alice, none) = (user("alice"), thread("none"));
    let (sent, closed) = (world.now + secs(3), world.now + secs(5));
    let delivery =
        world.registry.scope(&alice).send(sent, Within::Thread(&none), Message::text("hello"));
    assert_eq!(delivery, Delivery::default());
    assert_eq!(world.registry.connection(conn).unwrap().age(), secs(3));
    let reason = headcount::CloseReason::Application;
    assert_eq!(world.registry.scope(&alice).close(closed, Within::Thread(&none), reason), 0);
    assert_eq!(world.registry.connection(conn).unwrap().age(), secs(5));
}

#[derive(Default)]
struct Counted {
    inputs: u32,
    polled: u32,
}

impl Tap for Counted {
    fn input(&mut self, _: Timestamp, _: Input<'_>) {
        self.inputs += 1;
    }

    fn polled(&mut self, _: Option<&Action<'_>>) {
        self.polled += 1;
    }
}

struct Other;

impl Tap for Other {
    fn input(&mut self, _: Timestamp, _: Input<'_>) {}

    fn polled(&mut self, _: Option<&Action<'_>>) {}
}

#[test]
fn a_tap_sees_inputs_and_actions_until_another_takes_its_place() {
    let mut world = World::new();
    assert!(world.registry.tap::<Counted>().is_none());
    world.registry.set_tap(Some(Box::new(Counted::default())));
    let conn = world.tab("alice", "main");
    world.tell_conn(conn, "hello");
    world.drain();
    let seen = world.registry.tap_mut::<Counted>().unwrap();
    // The poll that had nothing to do any more is not among them.
    assert_eq!((seen.inputs, seen.polled), (3, 1), "a reservation, a connection, and a message");
    seen.inputs = 0;
    assert_eq!(world.registry.tap::<Counted>().unwrap().inputs, 0);
    assert!(world.registry.tap::<Other>().is_none(), "one of another type");
    world.registry.set_tap(Some(Box::new(Other)));
    assert!(world.registry.tap::<Counted>().is_none());
    let other: &dyn Any = world.registry.tap::<Other>().unwrap();
    assert!(other.is::<Other>());
}
