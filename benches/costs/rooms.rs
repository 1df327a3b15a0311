//! One room that all connections are in, and what it costs when its members do not read.

use headcount::{CloseReason, Message, Position, Start, StreamRef, Target};

use crate::measure::Costs;
use crate::names::{room, who};
use crate::world::{CALLS, MANY, World, config};

/// Two of these exceed a window, and half of one leaves no room for another.
const LARGE: &[u8] = &[b'x'; 40_000];
/// Rooms of one connection: the default limit.
const ROOMS: usize = 128;

pub(crate) fn rooms(costs: &mut Costs) {
    let mut world = World::crowd(config(), MANY);
    let lobby = room(0);
    let [mut join] = costs.rows(["join, while a room grows to 1,000,000"]);
    for number in 0..MANY {
        let conn = world.conns[number];
        join.time(|| world.registry.join(world.now, conn, &lobby, Start::Now)).unwrap();
    }
    costs.keep([join]);
    members(costs, &mut world);
    many_rooms(costs, &mut world);
    slow(costs, &mut world);
    let [mut close, mut poll] =
        costs.rows(["close of a room of 1,000,000", "poll_action, closes a room of 1,000,000"]);
    let reason = CloseReason::Evicted;
    close.time(|| world.registry.close(world.now, Target::Room(&lobby), reason));
    world.serve(&mut poll);
    costs.keep([close, poll]);
    let conns = core::mem::take(&mut world.conns);
    world.disconnect(conns);
    gone(costs, &mut world);
}

fn members(costs: &mut Costs, world: &mut World) {
    let lobby = room(0);
    let [mut send, mut poll, mut flushed] = costs.rows([
        "send to a room of 1,000,000",
        "poll_action, serves a room of 1,000,000",
        "flushed, 1,000,000 one after the other",
    ]);
    for _ in 0..3 {
        let message = Message::text("text");
        send.time(|| world.registry.send(world.now, Target::Room(&lobby), message));
    }
    assert_eq!(world.serve(&mut poll), 3 * MANY);
    for conn in &world.conns {
        let _ = flushed.time(|| world.registry.flushed(world.now, *conn, u64::MAX)).unwrap();
    }
    costs.keep([send, poll, flushed]);
    costs.calls("acknowledge, in that room", CALLS, |number| {
        let conn = world.conns[world.any(number)];
        world.registry.acknowledge(world.now, conn, StreamRef::Room(&lobby), 1).unwrap();
    });
    let [mut leave, mut resume, mut poll] = costs.rows([
        "leave, that room",
        "join, resumes in that room",
        "poll_action, a connection catches up",
    ]);
    let position = world.registry.room(&lobby).unwrap().position();
    let start = Start::After(Position { offset: 0, ..position });
    for number in 0..CALLS {
        let conn = world.conns[world.any(number)];
        assert!(leave.time(|| world.registry.leave(world.now, conn, &lobby)).unwrap());
        resume.time(|| world.registry.join(world.now, conn, &lobby, start.clone())).unwrap();
    }
    assert_eq!(world.serve(&mut poll), 3 * CALLS);
    costs.keep([leave, resume, poll]);
    world.flush();
    costs.calls("room: its log, and the first 100 members", CALLS, |_| {
        let members = world
            .registry
            .room(&lobby)
            .into_iter()
            .flat_map(|it| it.members())
            .map(|it| it.id())
            .take(100)
            .count();
        (members, world.registry.room(&lobby))
    });
    let [mut disconnect] = costs.rows(["disconnect, a member of that room"]);
    for number in 0..CALLS {
        let place = world.any(number);
        disconnect.time(|| world.registry.disconnect(world.now, world.conns[place])).unwrap();
        world.settle();
        let conn = world.admit(who(place, 0));
        world.registry.join(world.now, conn, &lobby, Start::Now).unwrap();
        world.conns[place] = conn;
    }
    costs.keep([disconnect]);
}

/// As many connections as rooms, and each in all of them.
fn many_rooms(costs: &mut Costs, world: &mut World) {
    let mut conns: Vec<_> = (0..ROOMS).map(|number| world.admit(who(MANY + number, 0))).collect();
    let [mut join, mut disconnect] =
        costs.rows(["join, the last of 128 rooms", "disconnect, a member of 128 rooms of 128"]);
    for number in 1..=ROOMS {
        for conn in &conns {
            let room = room(number);
            if number < ROOMS {
                world.registry.join(world.now, *conn, &room, Start::Now).unwrap();
            } else {
                join.time(|| world.registry.join(world.now, *conn, &room, Start::Now)).unwrap();
            }
        }
    }
    for conn in conns.drain(..) {
        disconnect.time(|| world.registry.disconnect(world.now, conn)).unwrap();
    }
    world.settle();
    costs.keep([join, disconnect]);
}

/// Members who read too slowly, or not at all.
fn slow(costs: &mut Costs, world: &mut World) {
    let lobby = room(0);
    let large = || Message::binary(LARGE);
    world.registry.send(world.now, Target::Room(&lobby), large());
    world.settle();
    let [mut behind, mut lagging, mut announced, mut idle] = costs.rows([
        "poll_action, 1,000,000 members fall behind",
        "poll_action, 1,000,000 members lag",
        "poll_action, an announcement while 1,000,000 lag",
        "poll_action, 1,000,000 turns for which the window has no room",
    ]);
    world.registry.send(world.now, Target::Room(&lobby), large());
    assert_eq!(world.serve(&mut behind), 0);
    world.registry.send(world.now, Target::Room(&lobby), large());
    assert_eq!(world.serve(&mut lagging), 0);
    world.registry.send(world.now, Target::Everyone, Message::text("text"));
    assert_eq!(world.serve(&mut announced), 0);
    for conn in &world.conns {
        let flushed = world.registry.connection(*conn).unwrap().flushed();
        let _ = world.registry.flushed(world.now, *conn, flushed + 10_000).unwrap();
    }
    assert_eq!(world.serve(&mut idle), 0);
    costs.keep([behind, lagging, announced, idle]);
}

/// All connections go while replies to them wait, but for the one in the last slot.
fn gone(costs: &mut Costs, world: &mut World) {
    let mut conns: Vec<_> = (0..MANY).map(|number| world.admit(who(number, 0))).collect();
    conns.sort_unstable_by_key(|conn| conn.index());
    conns.pop();
    let [mut reply, mut disconnect, mut poll] = costs.rows([
        "reply, 1,000,000 between two polls",
        "disconnect, 1,000,000 between two polls",
        "poll_action, past 1,000,000 replies to the gone, and their cleanups",
    ]);
    for conn in &conns {
        let message = Message::text("text");
        reply.time(|| world.registry.reply(world.now, *conn, message)).unwrap();
    }
    for conn in &conns {
        disconnect.time(|| world.registry.disconnect(world.now, *conn)).unwrap();
    }
    world.serve(&mut poll);
    costs.keep([reply, disconnect, poll]);
    let [mut announced] = costs.rows(["poll_action, an announcement past 999,999 vacant slots"]);
    world.registry.send(world.now, Target::Everyone, Message::text("text"));
    assert_eq!(world.serve(&mut announced), 1);
    let [mut close, mut poll] =
        costs.rows(["close of everyone", "poll_action, closes everyone past vacant slots"]);
    let reason = CloseReason::Evicted;
    close.time(|| world.registry.close(world.now, Target::Everyone, reason));
    world.serve(&mut poll);
    costs.keep([announced, close, poll]);
}
