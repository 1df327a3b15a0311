//! Users with one connection each: how they come, what they and the application do, how they go.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use bytes::Bytes;
use headcount::{
    CloseReason, ConnId, Inbound, Message, Position, RunEvent, RunId, Source, Start, StreamRef,
    Target,
};

use crate::measure::Costs;
use crate::names::{room, thread, user, who};
use crate::views::{views, walks};
use crate::world::{CALLS, MANY, World, config};

const PAYLOAD: &[u8] = &[b'x'; 64];
/// A little more than a window.
const LARGE: &[u8] = &[b'x'; 66_000];
/// How many sockets wait to be admitted at the same time while the tables grow.
const WAITING: usize = 10_000;

pub(crate) fn crowd(costs: &mut Costs) {
    let mut world = World::new(config());
    grow(costs, &mut world);
    inbound(costs, &mut world);
    outbound(costs, &mut world);
    pauses(costs, &mut world);
    runs(costs, &mut world);
    rooms_of_one(costs, &mut world);
    waiting(costs, &mut world);
    comings(costs, &mut world);
    closes(costs, &mut world);
    views(costs, &mut world);
    walks(costs, &mut world);
    drain(costs, &mut world);
}

fn source(number: usize) -> Source {
    Source::from(IpAddr::V4(Ipv4Addr::from_bits(number as u32)))
}

fn grow(costs: &mut Costs, world: &mut World) {
    let [mut reserve, mut upgraded, mut connect] = costs.rows([
        "reserve, while the tables grow",
        "upgraded",
        "connect of a new user, while the tables grow",
    ]);
    let mut waiting: Vec<ConnId> = Vec::with_capacity(WAITING);
    for first in (0..MANY).step_by(WAITING) {
        for number in first..first + WAITING {
            let source = Some(source(number));
            waiting.push(reserve.time(|| world.registry.reserve(world.now, source)).unwrap());
        }
        for conn in &waiting {
            upgraded.time(|| world.registry.upgraded(world.now, *conn)).unwrap();
        }
        for (number, conn) in waiting.drain(..).enumerate() {
            let who = who(first + number, 0);
            connect
                .time(|| world.registry.connect(world.now, conn, who, Start::OpenRuns, None))
                .unwrap();
            world.conns.push(conn);
        }
        world.settle();
    }
    costs.keep([reserve, upgraded, connect]);
}

fn inbound(costs: &mut Costs, world: &mut World) {
    let kinds = [
        ("message, Data", Inbound::Data { bytes: 64 }),
        ("message, Bytes", Inbound::Bytes { bytes: 64, partial: true }),
        ("message, Fragment", Inbound::Fragment),
        ("message, Ping", Inbound::Ping),
        ("message, Pong", Inbound::Pong),
    ];
    for (name, inbound) in kinds {
        costs.calls(name, CALLS, |number| {
            let conn = world.conns[world.any(number)];
            world.registry.message(world.now, conn, inbound).is_ok()
        });
    }
    let [mut tick, mut poll] = costs.rows([
        "tick, moves 1,000,000 deadlines down the wheel",
        "poll_action, nothing after such a tick",
    ]);
    world.pass(&mut tick, &mut poll, 0);
    costs.keep([tick, poll]);
    costs.calls("tick, nothing due", CALLS, |_| {
        world.now += Duration::from_nanos(1);
        world.registry.tick(world.now);
    });
    costs.calls("poll_action, nothing to do", CALLS, |_| world.registry.poll_action().is_some());
}

fn outbound(costs: &mut Costs, world: &mut World) {
    let [mut poll, mut flushed] =
        costs.rows(["poll_action, a message for one connection", "flushed"]);
    let names = ["send to a connection", "send to a session", "send to a user", "reply"];
    let mut rows = costs.rows(names);
    for (kind, row) in rows.iter_mut().enumerate() {
        for number in 0..CALLS {
            let place = world.any(number + kind * CALLS);
            let conn = world.conns[place];
            let (user, session) =
                (user(place), world.registry.connection(conn).and_then(|it| it.session()).unwrap());
            let target = [Target::Conn(conn), Target::Session(session), Target::User(&user)];
            let message = Message::binary(PAYLOAD);
            match target.get(kind) {
                Some(target) => {
                    let delivery = row.time(|| world.registry.send(world.now, *target, message));
                    assert_eq!(delivery.live, 1);
                }
                None => row.time(|| world.registry.reply(world.now, conn, message)).unwrap(),
            }
            assert!(poll.time(|| world.registry.poll_action().is_some()));
            let _ = flushed.time(|| world.registry.flushed(world.now, conn, u64::MAX)).unwrap();
        }
        world.settle();
    }
    costs.keep(rows);
    costs.keep([poll, flushed]);
    costs.calls("refresh", CALLS, |number| {
        let conn = world.conns[world.any(number)];
        world.registry.refresh(world.now, conn, None).unwrap();
    });
    costs.calls("acknowledge", CALLS, |number| {
        let conn = world.conns[world.any(number + CALLS)];
        let session = StreamRef::Session(
            world.registry.connection(conn).and_then(|it| it.session()).unwrap(),
        );
        world.registry.acknowledge(world.now, conn, session, 1).unwrap();
    });
    let [mut send, mut poll] =
        costs.rows(["send to everyone", "poll_action, serves an announcement"]);
    let message = Message::binary(PAYLOAD);
    send.time(|| world.registry.send(world.now, Target::Everyone, message));
    assert_eq!(world.serve(&mut poll), MANY);
    costs.keep([send, poll]);
    world.flush();
}

/// A window that is exceeded, and room again.
fn pauses(costs: &mut Costs, world: &mut World) {
    let [mut paused, mut ready] = costs.rows(["message, answered Paused", "flushed, room again"]);
    for number in 0..CALLS {
        let conn = world.conns[world.any(number)];
        let session = world.registry.connection(conn).and_then(|it| it.session()).unwrap();
        let large = Message::binary(LARGE);
        world.registry.send(world.now, Target::Session(session), large);
        world.settle();
        let data = Inbound::Data { bytes: 64 };
        let intake = paused.time(|| world.registry.message(world.now, conn, data));
        assert_eq!(intake, Ok(headcount::Intake::Paused));
        let takes_input = ready.time(|| world.registry.flushed(world.now, conn, u64::MAX));
        assert_eq!(takes_input, Ok(true));
    }
    costs.keep([paused, ready]);
}

fn runs(costs: &mut Costs, world: &mut World) {
    let kinds = ["run: open_run", "run: text", "run: progress", "run: a call", "run: its end"];
    let mut rows = costs.rows(kinds);
    let expect = None;
    let payload = Bytes::from_static(PAYLOAD);
    for number in 0..CALLS {
        let user = user(world.any(number));
        let run = RunId::new("run").unwrap();
        let mut scope = world.registry.scope(&user);
        let first = payload.clone();
        let _ =
            rows[0].time(|| scope.open_run(world.now, &thread(0), &run, "agent", first)).unwrap();
        let events = [
            (1, RunEvent::text("some text")),
            (2, RunEvent::Progress(payload.clone())),
            (3, RunEvent::ToolExecuting { call: "call", payload: payload.clone(), expect }),
            (3, RunEvent::ToolCompleted { call: "call", payload: payload.clone() }),
            (4, RunEvent::Completed(payload.clone())),
        ];
        for (row, event) in events {
            let _ = rows[row].time(|| scope.run_event(world.now, &run, &event)).unwrap();
        }
        if number % 1_000 == 0 {
            world.settle();
        }
    }
    world.settle();
    world.flush();
    costs.keep(rows);
}

fn rooms_of_one(costs: &mut Costs, world: &mut World) {
    costs.calls("join, a new room", CALLS, |number| {
        let conn = world.conns[world.any(number)];
        world.registry.join(world.now, conn, &room(number), Start::Now).unwrap();
    });
    let message = || Message::binary(PAYLOAD);
    costs.calls_with("send to a room of one", CALLS, message, |number, message| {
        world.registry.send(world.now, Target::Room(&room(number)), message)
    });
    world.settle();
    costs.calls("leave, the last of a room", CALLS, |number| {
        let conn = world.conns[world.any(number)];
        assert!(world.registry.leave(world.now, conn, &room(number)).unwrap());
    });
    world.flush();
}

/// Sockets of one source that has its share of the pending places.
fn waiting(costs: &mut Costs, world: &mut World) {
    let full = world.registry.config().pending_per_source() as usize;
    let source = Some(source(1));
    let mut conns: Vec<_> =
        (0..full).map(|_| world.registry.reserve(world.now, source).unwrap()).collect();
    costs.calls("reserve, another socket of the source gives way", CALLS, |_| {
        conns.push(world.registry.reserve(world.now, source).unwrap());
    });
    world.settle();
    let here = &conns[CALLS..];
    costs.calls("message, bytes of a request head", CALLS, |number| {
        let inbound = Inbound::Bytes { bytes: 64, partial: true };
        let conn = here[crate::names::scattered(number, here.len())];
        world.registry.message(world.now, conn, inbound).unwrap()
    });
    costs.calls("disconnect, not admitted", CALLS, |number| {
        world.registry.disconnect(world.now, conns[number + CALLS]).unwrap();
    });
    world.settle();
    for conn in conns {
        let _ = world.registry.disconnect(world.now, conn);
    }
    world.settle();
}

/// Users who are known come again.
fn comings(costs: &mut Costs, world: &mut World) {
    let [mut second, mut takeover, mut disconnect, mut poll, mut resume, mut admit] = costs.rows([
        "connect of a known user, a second tab",
        "connect, takes a connection over",
        "disconnect",
        "poll_action, a cleanup",
        "connect, resumes a session that lingers",
        "admit of a new user",
    ]);
    for number in 0..CALLS {
        let place = world.any(number);
        let conn = world.registry.reserve(world.now, None).unwrap();
        let who = who(place, 0);
        second
            .time(|| world.registry.connect(world.now, conn, who, Start::OpenRuns, None))
            .unwrap();
        world.disconnect([conn]);
    }
    for number in 0..CALLS {
        let place = world.any(number);
        let (before, conn) = (world.conns[place], world.registry.reserve(world.now, None).unwrap());
        let (who, start) = (who(place, 0), Start::OpenRuns);
        takeover
            .time(|| world.registry.connect(world.now, conn, who, start, Some(before)))
            .unwrap();
        world.settle();
        world.disconnect([before]);
        world.conns[place] = conn;
    }
    for number in 0..CALLS {
        let place = world.any(number);
        let session =
            world.registry.connection(world.conns[place]).and_then(|it| it.session()).unwrap();
        let position = world.registry.session(session).unwrap().position();
        disconnect.time(|| world.registry.disconnect(world.now, world.conns[place])).unwrap();
        assert!(poll.time(|| world.registry.poll_action().is_some()));
        let conn = world.registry.reserve(world.now, None).unwrap();
        let start = Start::After(Position { offset: 0, ..position });
        let who = who(place, 0);
        resume.time(|| world.registry.connect(world.now, conn, who, start, None)).unwrap();
        world.conns[place] = conn;
    }
    world.settle();
    world.flush();
    let mut new = Vec::with_capacity(CALLS);
    for number in 0..CALLS {
        let who = who(MANY + number, 0);
        new.push(
            admit.time(|| world.registry.admit(world.now, who, Start::OpenRuns, None)).unwrap().0,
        );
    }
    world.disconnect(new);
    costs.keep([second, takeover, disconnect, poll, resume, admit]);
}

fn closes(costs: &mut Costs, world: &mut World) {
    let names = ["close of a connection", "close of a session", "close of a user", "revoke"];
    let mut rows = costs.rows(names);
    let [mut poll, mut disconnect] =
        costs.rows(["poll_action, a close", "disconnect, after Close"]);
    for (kind, row) in rows.iter_mut().enumerate() {
        for number in 0..CALLS {
            let place = world.any(number + kind * CALLS);
            let conn = world.conns[place];
            let (user, session) =
                (user(place), world.registry.connection(conn).and_then(|it| it.session()).unwrap());
            let target = [Target::Conn(conn), Target::Session(session), Target::User(&user)];
            let reason = CloseReason::Evicted;
            let closed = match target.get(kind) {
                Some(target) => row.time(|| world.registry.close(world.now, *target, reason)),
                None => row.time(|| world.registry.revoke(world.now, &user)),
            };
            assert_eq!(closed, 1);
            assert!(poll.time(|| world.registry.poll_action().is_some()));
            disconnect.time(|| world.registry.disconnect(world.now, conn)).unwrap();
            world.settle();
            world.conns[place] = world.admit(who(place, 0));
        }
    }
    costs.keep(rows);
    costs.keep([poll, disconnect]);
}

fn drain(costs: &mut Costs, world: &mut World) {
    let [mut drain, mut cancel, mut poll, mut tick, mut cleanup] = costs.rows([
        "drain",
        "cancel_drain",
        "poll_action, announces a drain",
        "tick, the hard stop of a drain",
        "poll_action, cleanups after it",
    ]);
    for _ in 0..1_000 {
        drain.time(|| world.registry.drain(world.now, None));
        assert!(cancel.time(|| world.registry.cancel_drain(world.now)));
    }
    world.registry.drain(world.now, None);
    assert_eq!(world.serve(&mut poll), world.registry.stats().open as usize);
    world.flush();
    world.pass(&mut tick, &mut cleanup, 31);
    assert!(world.registry.is_drained());
    costs.keep([drain, cancel, poll, tick, cleanup]);
}
