//! What the core costs, without a socket: at 10,000 and at 100,000 connections, or as many as
//! `HEADCOUNT_SIZES` names, each with names of 36 bytes and all deadlines armed. Connections are taken at
//! random, or in an order that has nothing to do with their slots: a cache that knows what comes next is
//! not what servers have.

// `criterion_group!` makes a function that is public and has no docs.
#![allow(missing_docs, unreachable_pub)]

mod support;

use core::hint::black_box;
use core::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use headcount::{
    Action, Config, ConfigBuilder, ConnId, Inbound, Message, Principal, Registry, RoomId,
    SessionId, Start, Target, ThreadId, Timestamp, UserId,
};
use support::{PAYLOAD, Random, group, name, sizes};

const START: Timestamp = Timestamp::from_secs(1_000);

fn user(number: u32) -> UserId {
    UserId::new(name(number)).unwrap()
}

fn principal(user_number: u32, thread_number: u32) -> Principal {
    Principal::new(user(user_number)).with_thread(ThreadId::new(name(thread_number)).unwrap())
}

/// Room for everything that a benchmark does; no history, so that logs stay as they are.
fn config(connections: u32) -> ConfigBuilder {
    Config::builder(1)
        .connections(connections + 1)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .stream_history(0)
        .room_history(0)
        .notices(0)
}

fn registry(config: ConfigBuilder) -> Registry {
    Registry::new(config.build().unwrap())
}

fn admit(registry: &mut Registry, now: Timestamp, who: Principal) -> ConnId {
    let conn = registry.reserve(now, None).unwrap();
    registry.connect(now, conn, who, Start::OpenRuns, None).unwrap();
    conn
}

/// Connections with a user and a session each, in an order that is not that of their slots.
fn populate(registry: &mut Registry, count: u32) -> Vec<ConnId> {
    let mut conns: Vec<_> =
        (0..count).map(|number| admit(registry, START, principal(number, number))).collect();
    Random(7).shuffle(&mut conns);
    conns
}

fn drain(registry: &mut Registry) -> usize {
    let mut count = 0;
    while let Some(action) = registry.poll_action() {
        if let Action::Send { to, .. } = &action {
            count += to.len();
        }
        black_box(&action);
    }
    count
}

/// One connection goes and another one comes, cleanups polled: of a user who is new, and whose
/// session ends with the connection; or of one who is known, and whose session lingers.
fn connect_disconnect(criterion: &mut Criterion) {
    let mut group = group(criterion, "connect and disconnect");
    for size in sizes() {
        for (what, is_new) in [("new user", true), ("known user", false)] {
            let linger = Duration::from_secs(if is_new { 0 } else { 120 });
            let mut registry = registry(config(size).session_linger(linger));
            let mut conns: Vec<_> = (0..size)
                .map(|number| admit(&mut registry, START, principal(number, number)))
                .collect();
            let mut random = Random(3);
            let mut fresh = size;
            group.bench_function(BenchmarkId::new(what, size), |bencher| {
                bencher.iter_batched(
                    || {
                        let place = random.below(size as usize);
                        fresh = fresh.wrapping_add(1);
                        let number = if is_new { fresh } else { place as u32 };
                        (place, principal(number, number))
                    },
                    |(place, who)| {
                        registry.disconnect(START, conns[place]).unwrap();
                        drain(&mut registry);
                        conns[place] = admit(&mut registry, START, who);
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

/// A data message comes in on any connection.
fn activity(criterion: &mut Criterion) {
    let mut group = group(criterion, "inbound message");
    for size in sizes() {
        let mut registry = registry(config(size));
        let conns = populate(&mut registry, size);
        let (mut next, mut now) = (0, START);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                next = if next + 1 == conns.len() { 0 } else { next + 1 };
                now += Duration::from_nanos(100);
                let _ = black_box(registry.message(now, conns[next], Inbound::Data { bytes: 64 }));
            });
        });
    }
    group.finish();
}

/// A message to a user with three connections in one session, handed out and flushed.
fn send(criterion: &mut Criterion) {
    let mut group = group(criterion, "send to three connections");
    for size in sizes() {
        let mut registry = registry(config(size));
        let mut targets: Vec<(UserId, SessionId, [ConnId; 3])> = (0..size / 3)
            .map(|number| {
                let conns =
                    [(); 3].map(|()| admit(&mut registry, START, principal(number, number)));
                (
                    user(number),
                    registry.connection(conns[0]).and_then(|it| it.session()).unwrap(),
                    conns,
                )
            })
            .collect();
        Random(5).shuffle(&mut targets);
        let (mut next, mut total) = (0, 0);
        for (what, by_name) in [("by name", true), ("by handle", false)] {
            group.bench_function(BenchmarkId::new(what, size), |bencher| {
                bencher.iter(|| {
                    let (user, session, conns) = &targets[next];
                    next = if next + 1 == targets.len() { 0 } else { next + 1 };
                    let to = if by_name { Target::User(user) } else { Target::Session(*session) };
                    let delivery = registry.send(START, to, Message::binary(PAYLOAD));
                    assert_eq!(delivery.live, 3);
                    drain(&mut registry);
                    // More than was ever handed out, which is clamped: everything.
                    total += 1_000;
                    for conn in conns {
                        let _ = registry.flushed(START, *conn, total);
                    }
                });
            });
        }
    }
    group.finish();
}

/// A message to a room of 10,000 connections that are scattered over the table; per recipient.
fn fan_out(criterion: &mut Criterion) {
    const MEMBERS: usize = 10_000;
    let mut group = group(criterion, "fan-out to 10,000");
    group.throughput(Throughput::Elements(MEMBERS as u64));
    let lobby = RoomId::new("lobby").unwrap();
    for size in sizes() {
        for (what, reports) in [("hand out", false), ("hand out and flush", true)] {
            let config = config(size);
            let mut registry =
                registry(if reports { config } else { config.without_flush_reports() });
            let mut conns = populate(&mut registry, size);
            conns.truncate(MEMBERS);
            for conn in &conns {
                registry.join(START, *conn, &lobby, Start::Now).unwrap();
            }
            let mut total = 0;
            group.bench_function(BenchmarkId::new(what, size), |bencher| {
                bencher.iter(|| {
                    registry.send(START, Target::Room(&lobby), Message::binary(PAYLOAD));
                    assert_eq!(drain(&mut registry), MEMBERS);
                    if reports {
                        total += 1_000;
                        for conn in &conns {
                            let _ = registry.flushed(START, *conn, total);
                        }
                    }
                });
            });
        }
    }
    group.finish();
}

/// Time goes by in steps of a second: a longer one is a pause, which no connection pays for.
fn pass(registry: &mut Registry, now: &mut Timestamp, seconds: u64) {
    for _ in 0..seconds {
        *now += Duration::from_secs(1);
        while registry.poll_timeout().is_some_and(|next| next <= *now) {
            registry.tick(*now);
        }
    }
}

/// Everybody was pinged and nobody answers: closes, the ends of the handshakes, and the cleanups of
/// connections and sessions; per connection.
fn herd(criterion: &mut Criterion) {
    let mut group = group(criterion, "expire a herd");
    group.sample_size(10);
    for size in sizes() {
        group.throughput(Throughput::Elements(u64::from(size)));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_batched(
                || {
                    let linger = Duration::ZERO;
                    let mut registry = registry(config(size).closing(size).session_linger(linger));
                    for conn in populate(&mut registry, size) {
                        // Life at another instant each, so that the timers are spread.
                        let at = START + Duration::from_micros(conn.index() as u64);
                        let _ =
                            registry.message(at, conn, Inbound::Bytes { bytes: 1, partial: false });
                    }
                    let mut now = START;
                    pass(&mut registry, &mut now, 30);
                    let mut pinged = Vec::with_capacity(size as usize);
                    while let Some(action) = registry.poll_action() {
                        if let Action::Ping { conn } = action {
                            pinged.push(conn);
                        }
                    }
                    assert_eq!(pinged.len(), size as usize);
                    for conn in pinged {
                        let _ = registry.flushed(now, conn, 1_000);
                    }
                    (registry, now)
                },
                |(mut registry, mut now)| {
                    for _ in 0..2 {
                        // First the pong timeout of 10 s, then the close handshake of 5 s.
                        pass(&mut registry, &mut now, 10);
                        drain(&mut registry);
                    }
                    assert!(registry.is_idle());
                    registry
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// What time costs: a tick that finds nothing, and a second in which every connection's share of
/// heartbeats falls due (one ping in 25 s each), is polled, flushed and answered.
fn timers(criterion: &mut Criterion) {
    let mut group = group(criterion, "timers");
    for size in sizes() {
        let mut registry = registry(config(size));
        populate(&mut registry, size);
        let mut now = START;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("idle tick", size), |bencher| {
            bencher.iter(|| {
                now += Duration::from_nanos(1);
                registry.tick(now);
                black_box(registry.poll_timeout())
            });
        });
        let (mut total, mut pinged) = (0, Vec::new());
        let mut second = |registry: &mut Registry, now: &mut Timestamp| {
            for _ in 0..1_000 {
                *now += Duration::from_millis(1);
                registry.tick(*now);
                while let Some(action) = registry.poll_action() {
                    if let Action::Ping { conn } = action {
                        pinged.push(conn);
                    }
                }
                total += 1_000;
                for conn in pinged.drain(..) {
                    let _ = registry.flushed(*now, conn, total);
                    let _ = registry.message(*now, conn, Inbound::Pong);
                }
            }
        };
        // The jitter of the first pings spreads them for good.
        for _ in 0..50 {
            second(&mut registry, &mut now);
        }
        group.throughput(Throughput::Elements(u64::from(size / 25)));
        group.bench_function(BenchmarkId::new("a second of heartbeats", size), |bencher| {
            bencher.iter(|| second(&mut registry, &mut now));
        });
        assert_eq!(registry.stats().live, size);
    }
    group.finish();
}

criterion_group!(benches, connect_disconnect, activity, send, fan_out, herd, timers);
criterion_main!(benches);
