//! Logs that are as full as the defaults allow: 256 entries each, and 256 MiB in all.

use core::time::Duration;

use bytes::Bytes;
use headcount::{CloseReason, Message, Position, RunEvent, RunId, Start, Target};

use crate::measure::Costs;
use crate::names::{thread, user, who};
use crate::world::{World, config};

/// How many logs of how many entries there are: a little less than the budget of the process.
const LOGS: usize = 16_000;
const ENTRIES: usize = 256;
/// How many logs one kind of call is tried on.
const TRIED: usize = 100;

/// All members are handed nothing yet.
fn full() -> World {
    let mut world = World::crowd(config(), LOGS);
    for conn in &world.conns {
        let session = world.registry.connection(*conn).and_then(|it| it.session()).unwrap();
        for _ in 0..ENTRIES {
            let message = Message::binary(&b""[..]);
            world.registry.send(world.now, Target::Session(session), message);
        }
    }
    world
}

/// The end of a run lets go of as many entries as it has.
fn long_runs(costs: &mut Costs, world: &mut World) {
    let [mut end] = costs.rows(["run: its end, after 4,000 events"]);
    let run = RunId::new("run").unwrap();
    for number in 2 * TRIED..2 * TRIED + 10 {
        let user = user(number);
        let mut scope = world.registry.scope(&user);
        let _ = scope.open_run(world.now, &thread(0), &run, "agent", Bytes::new()).unwrap();
        for _ in 0..4_000 {
            let event = RunEvent::Progress(Bytes::new());
            let _ = scope.run_event(world.now, &run, &event).unwrap();
        }
        let event = RunEvent::Completed(Bytes::new());
        let _ = end.time(|| scope.run_event(world.now, &run, &event)).unwrap();
    }
    costs.keep([end]);
}

pub(crate) fn logs(costs: &mut Costs) {
    let mut world = full();
    let [mut close, mut disconnect, mut explain, mut resume] = costs.rows([
        "close, 256 entries fit the window",
        "disconnect, 256 entries behind",
        "explain, 256 entries behind",
        "connect, resumes before 256 entries",
    ]);
    let conns = world.conns.clone();
    for conn in &conns[..TRIED] {
        let (target, reason) = (Target::Conn(*conn), CloseReason::Evicted);
        close.time(|| world.registry.close(world.now, target, reason));
    }
    for (number, conn) in conns.iter().enumerate().skip(TRIED).take(TRIED) {
        let session = world.registry.connection(*conn).and_then(|it| it.session()).unwrap();
        let position = world.registry.session(session).unwrap().position();
        let start = Start::After(Position { offset: 0, ..position });
        explain.time(|| world.registry.connection(*conn)).unwrap();
        disconnect.time(|| world.registry.disconnect(world.now, *conn)).unwrap();
        let who = who(number, 0);
        resume.time(|| world.registry.admit(world.now, who, start, None)).unwrap();
    }
    costs.keep([close, disconnect, explain, resume]);
    long_runs(costs, &mut world);
    let [mut send] = costs.rows(["send of 64 KiB, over the budget of the process"]);
    for (number, conn) in conns.iter().rev().take(2 * TRIED).enumerate() {
        let session = world.registry.connection(*conn).and_then(|it| it.session()).unwrap();
        let message = Message::binary(vec![0; 64 << 10]);
        let call = || world.registry.send(world.now, Target::Session(session), message);
        // The first take what is left of the budget.
        let _ = if number < TRIED { call() } else { send.time(call) };
    }
    costs.keep([send]);
    drop(world);
    let mut world = full();
    world.settle();
    world.flush();
    let [mut tick, mut poll] = costs
        .rows(["tick, 16,000 logs of 256 entries too old", "poll_action, between these ticks"]);
    world.pass(&mut tick, &mut poll, 121);
    costs.keep([tick, poll]);
    drop(world);
    let mut world = full();
    let [mut tick] = costs.rows(["tick, 16,000 pong timeouts, 256 entries each fit the window"]);
    due(&mut world, 25);
    // Pings come before what the streams have.
    for _ in 0..LOGS {
        assert!(world.registry.poll_action().is_some());
    }
    world.flush();
    due(&mut world, 6);
    world.now += Duration::from_secs(5);
    while world.registry.stats().open > 0 {
        tick.time(|| world.registry.tick(world.now));
    }
    costs.keep([tick]);
}

/// All deadlines up to then have acted.
fn due(world: &mut World, seconds: u64) {
    world.now += Duration::from_secs(seconds);
    while world.registry.poll_timeout().is_some_and(|next| next <= world.now) {
        world.registry.tick(world.now);
    }
}
