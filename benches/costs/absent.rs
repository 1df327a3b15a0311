//! Places without a connection: sessions that linger, users who are away, rooms without members.

use headcount::{Message, Start, Target};

use crate::measure::Costs;
use crate::names::{room, scattered, who};
use crate::world::{CALLS, MANY, World, config};

pub(crate) fn absent(costs: &mut Costs) {
    let caps = || {
        let config = config().connect_rate_per_user(1).connect_burst_per_user(100);
        let config = config.users(MANY as u32).sessions(MANY as u32);
        config.connections(MANY as u32).closing(MANY as u32)
    };
    let mut world = World::new(caps().rooms(MANY as u32 / 10));
    for number in 0..MANY {
        let conn = world.admit(who(number, 0));
        world.disconnect([conn]);
    }
    let [mut of_user, mut of_session] = costs.rows([
        "connect, an absent user of 1,000,000 makes room",
        "connect, a session of 1,000,000 that linger makes room",
    ]);
    for number in 0..CALLS {
        let who = who(MANY + number, 0);
        let conn =
            of_user.time(|| world.registry.admit(world.now, who, Start::OpenRuns, None)).unwrap().0;
        world.disconnect([conn]);
    }
    for number in 0..CALLS {
        let who = who(MANY + scattered(number, CALLS), 1);
        let conn = of_session
            .time(|| world.registry.admit(world.now, who, Start::OpenRuns, None))
            .unwrap()
            .0;
        world.disconnect([conn]);
    }
    costs.keep([of_user, of_session]);
    rooms(costs, &mut world);
    let [mut reload, mut connect, mut join] = costs.rows([
        "walk: reload, caps lowered by 999,000",
        "connect, the first after that reload",
        "join, the first after that reload",
    ]);
    let lowered = caps().users(1_000).sessions(1_000).rooms(1_000).build().unwrap();
    reload.time(|| world.registry.reload(world.now, lowered));
    let who = who(2 * MANY, 0);
    let conn =
        connect.time(|| world.registry.admit(world.now, who, Start::OpenRuns, None)).unwrap().0;
    world.settle();
    join.time(|| world.registry.join(world.now, conn, &room(MANY), Start::Now)).unwrap();
    costs.keep([reload, connect, join]);
}

/// Rooms that keep a message and have no member, to the cap.
fn rooms(costs: &mut Costs, world: &mut World) {
    let conn = world.admit(who(MANY, 0));
    let [mut join] = costs.rows(["join, an empty room of 100,000 makes room"]);
    for number in 0..MANY / 10 + CALLS {
        let room = room(number);
        if number < MANY / 10 {
            world.registry.join(world.now, conn, &room, Start::Now).unwrap();
        } else {
            join.time(|| world.registry.join(world.now, conn, &room, Start::Now)).unwrap();
        }
        world.registry.send(world.now, Target::Room(&room), Message::text("text"));
        world.settle();
        let _ = world.registry.flushed(world.now, conn, u64::MAX).unwrap();
        assert!(world.registry.leave(world.now, conn, &room).unwrap());
    }
    costs.keep([join]);
}
