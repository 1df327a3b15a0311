//! The rows: what is measured, and what has to be there for it.

use core::hint::black_box;
use core::time::Duration;

use headcount::{Inbound, Target};

use crate::Meter;
use crate::names::{scattered, user, who};
use crate::world::{World, message};

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) world: fn(usize) -> World,
    pub(crate) run: fn(&mut World, usize, &mut Meter),
}

/// How many of the connections a round of some rows is about.
const SOME: usize = 500;

pub(crate) const ROWS: [Row; 16] = [
    Row { name: "hand_out", world: World::with_room, run: hand_out },
    Row { name: "hand_out_armed", world: World::with_room, run: hand_out_armed },
    Row { name: "flushed", world: World::with_room, run: flushed },
    Row { name: "flushed_many", world: World::with_room, run: flushed_many },
    Row { name: "message_data", world: World::crowd, run: message_data },
    Row { name: "message_bytes", world: World::crowd, run: message_bytes },
    Row { name: "connect_new", world: World::crowd, run: connect_new },
    Row { name: "connect_known", world: World::crowd, run: connect_known },
    Row { name: "disconnect", world: World::crowd, run: disconnect },
    Row { name: "come_and_go", world: World::crowd, run: come_and_go },
    Row { name: "linger_out", world: World::crowd, run: linger_out },
    Row { name: "send_by_name", world: World::crowd, run: send_by_name },
    Row { name: "send_by_handle", world: World::crowd, run: send_by_handle },
    Row { name: "poll_one", world: World::crowd, run: poll_one },
    Row { name: "tick_idle", world: World::crowd, run: tick_idle },
    Row { name: "poll_idle", world: World::crowd, run: poll_idle },
];

/// Some of the connections, others in each round.
fn some(world: &World, round: usize) -> impl Iterator<Item = usize> + use<> {
    let (count, first) = (world.conns.len(), round * SOME);
    (first..first + SOME).map(move |number| scattered(number, count))
}

/// One message for each member of a room.
fn hand_out(world: &mut World, _: usize, meter: &mut Meter) {
    world.tell_room();
    let members = world.totals.len();
    assert_eq!(meter.measure(members as u64, || world.settle()), members);
    world.flush();
}

/// The same when the deadline of a stuck connection is the nearest of each, and has to be armed.
fn hand_out_armed(world: &mut World, _: usize, meter: &mut Meter) {
    world.now += Duration::from_secs(24);
    for conn in &world.conns {
        let _ = world.registry.message(world.now, *conn, Inbound::Data { bytes: 64 });
    }
    // All deadlines that were armed before are passed.
    world.pass(Duration::from_secs(2));
    hand_out(world, 0, meter);
}

fn flushed(world: &mut World, _: usize, meter: &mut Meter) {
    world.tell_room();
    world.settle();
    let World { registry, now, totals, .. } = world;
    meter.measure(totals.len() as u64, || {
        for (conn, total) in &*totals {
            let _ = black_box(registry.flushed(*now, *conn, *total));
        }
    });
}

fn flushed_many(world: &mut World, _: usize, meter: &mut Meter) {
    world.tell_room();
    world.settle();
    meter.measure(world.totals.len() as u64, || world.flush());
}

fn inbound(world: &mut World, meter: &mut Meter, inbound: Inbound) {
    world.now += Duration::from_millis(100);
    let count = world.conns.len();
    let conns: Vec<_> =
        (0..count.min(10_000)).map(|it| world.conns[scattered(it, count)]).collect();
    meter.measure(conns.len() as u64, || {
        for conn in conns {
            let _ = black_box(world.registry.message(world.now, conn, inbound));
        }
    });
}

fn message_data(world: &mut World, _: usize, meter: &mut Meter) {
    inbound(world, meter, Inbound::Data { bytes: 64 });
}

fn message_bytes(world: &mut World, _: usize, meter: &mut Meter) {
    inbound(world, meter, Inbound::Bytes { bytes: 70, partial: false });
}

/// A socket is reserved and admitted, of a user who was not here.
fn connect_new(world: &mut World, round: usize, meter: &mut Meter) {
    let first = world.conns.len() + round * SOME;
    let newcomers: Vec<_> = (first..first + SOME).map(|number| who(number, 0)).collect();
    meter.measure(SOME as u64, || {
        for who in newcomers {
            world.connect(who);
        }
    });
}

/// The same of users who are here, in the session that they have.
fn connect_known(world: &mut World, round: usize, meter: &mut Meter) {
    let newcomers: Vec<_> = some(world, round).map(|number| who(number, 0)).collect();
    meter.measure(SOME as u64, || {
        for who in newcomers {
            world.connect(who);
        }
    });
}

/// With the actions that follow. The sessions linger.
fn disconnect(world: &mut World, round: usize, meter: &mut Meter) {
    let gone: Vec<_> = some(world, round).map(|number| world.conns[number]).collect();
    meter.measure(SOME as u64, || {
        for conn in gone {
            world.registry.disconnect(world.now, conn).unwrap();
        }
        world.settle();
    });
}

/// A new user who comes and goes at once, and the end of the session that lingers.
fn come_and_go(world: &mut World, round: usize, meter: &mut Meter) {
    let first = world.conns.len() + round * SOME;
    let newcomers: Vec<_> = (first..first + SOME).map(|number| who(number, 0)).collect();
    meter.measure(SOME as u64, || {
        let conns: Vec<_> = newcomers.into_iter().map(|who| world.connect(who)).collect();
        for conn in conns {
            world.registry.disconnect(world.now, conn).unwrap();
        }
        world.settle();
        end_lingering(world);
    });
}

fn linger_out(world: &mut World, round: usize, meter: &mut Meter) {
    for number in some(world, round) {
        world.registry.disconnect(world.now, world.conns[number]).unwrap();
    }
    world.settle();
    meter.measure(SOME as u64, || end_lingering(world));
}

fn end_lingering(world: &mut World) {
    world.pass(Duration::from_millis(101));
}

fn send_by_name(world: &mut World, round: usize, meter: &mut Meter) {
    let users: Vec<_> = some(world, round).map(user).collect();
    world.now += Duration::from_micros(100);
    meter.measure(SOME as u64, || {
        for user in &users {
            black_box(world.registry.send(world.now, Target::User(user), message()));
        }
    });
    world.settle();
}

fn send_by_handle(world: &mut World, round: usize, meter: &mut Meter) {
    let conns: Vec<_> = some(world, round).map(|number| world.conns[number]).collect();
    world.now += Duration::from_micros(100);
    meter.measure(SOME as u64, || {
        for conn in conns {
            black_box(world.registry.send(world.now, Target::UserOf(conn), message()));
        }
    });
    world.settle();
}

/// The poll of a message that one session has.
fn poll_one(world: &mut World, round: usize, meter: &mut Meter) {
    world.now += Duration::from_micros(100);
    for number in some(world, round) {
        world.registry.send(world.now, Target::UserOf(world.conns[number]), message());
    }
    meter.measure(SOME as u64, || world.settle());
}

fn tick_idle(world: &mut World, _: usize, meter: &mut Meter) {
    meter.measure(1_000, || {
        for _ in 0..1_000 {
            world.now += Duration::from_nanos(1);
            world.registry.tick(world.now);
        }
    });
}

fn poll_idle(world: &mut World, _: usize, meter: &mut Meter) {
    meter.measure(1_000, || {
        for _ in 0..1_000 {
            black_box(world.registry.poll_action());
        }
    });
}
