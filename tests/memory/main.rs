//! Memory: nothing is left of what has gone, and nobody can make the registry grow.

mod bound;
mod idle;
mod shares;
#[path = "../support/mod.rs"]
mod support;
mod terms;

use headcount::{
    Action, CloseReason, Config, ConnId, Inbound, Message, Position, Registry, Start, Target,
    Timestamp,
};
use headcount_harness::thread_memory::{ThreadAllocator, live_bytes};
use support::{LIFE, START, config, ms, room, secs, user, who};

#[global_allocator]
static ALLOCATOR: ThreadAllocator = ThreadAllocator;

/// Carries out actions until there are none. Every send is flushed at once, `cost` adding up what
/// the one connection of these tests was handed.
fn carry_out(registry: &mut Registry, now: Timestamp, conn: ConnId, cost: &mut u64) {
    while let Some(action) = registry.poll_action() {
        if !matches!(action, Action::Cleanup { .. }) {
            *cost += action.cost();
            let _ = registry.flushed(now, conn, *cost);
        }
    }
    while registry.poll_notice().is_some() {}
}

/// One user's whole life: connects, joins, is sent to in every way, and goes.
fn come_and_go(registry: &mut Registry, now: Timestamp, number: u32) {
    let name = format!("user {number:08}");
    let lobby = room(&format!("room {number:08}"));
    let conn = registry.reserve(now, None).unwrap();
    let mut cost = 0;
    let principal = who(&name, "main").with_label("label").unwrap();
    registry.connect(now, conn, principal, Start::OpenRuns, None).unwrap();
    registry.join(now, conn, &lobby, Start::Now).unwrap();
    let text = || Message::text("x".repeat(100));
    for _ in 0..3 {
        let targets = [
            Target::User(&user(&name)),
            Target::Room(&lobby),
            Target::Conn(conn),
            Target::Everyone,
        ];
        for target in targets.map(|target| registry.send(now, target, text())) {
            assert!(!target.reaches_none());
        }
        if !number.is_multiple_of(3) {
            carry_out(registry, now, conn, &mut cost);
        }
    }
    match number % 4 {
        0 => registry.disconnect(now, conn).unwrap(),
        1 => drop(registry.leave(now, conn, &lobby)),
        2 => drop(registry.close(now, Target::Room(&lobby), CloseReason::Application)),
        _ => drop(registry.close(now, Target::Conn(conn), CloseReason::PeerClosed)),
    }
    carry_out(registry, now, conn, &mut cost);
    let _ = registry.disconnect(now, conn);
    carry_out(registry, now, conn, &mut cost);
}

/// Lets everything end that lingers.
fn run_out(registry: &mut Registry, now: &mut Timestamp) {
    while let Some(next) = registry.poll_timeout() {
        *now = next.max(*now);
        registry.tick(*now);
        while registry.poll_action().is_some() {}
    }
    while registry.poll_notice().is_some() {}
    assert!(registry.is_idle());
}

/// How many connections come and go: `HEADCOUNT_CYCLES`, or as many as a debug build has time for.
fn cycles() -> u32 {
    match std::env::var("HEADCOUNT_CYCLES") {
        Ok(count) => count.parse().expect("HEADCOUNT_CYCLES is a whole number"),
        Err(_) => 20_000,
    }
}

#[test]
fn any_number_of_lives_leaves_nothing_behind() {
    let cycles = cycles();
    let lives = config()
        .session_linger(secs(0))
        .connect_rate(0)
        .connect_rate_per_user(0)
        .room_history(0)
        .build()
        .unwrap();
    let mut registry = Registry::new(lives);
    // Tables, queues and the ring of the closed reach the size that they keep.
    for number in 0..1_200 {
        come_and_go(&mut registry, START, number);
    }
    let mut now = START;
    run_out(&mut registry, &mut now);
    let before = live_bytes();
    for number in 0..cycles {
        come_and_go(&mut registry, now, number);
        now += ms(1);
        registry.tick(now);
    }
    run_out(&mut registry, &mut now);
    let left = live_bytes() - before;
    println!("{left} bytes are left of {cycles} connections");
    assert_eq!(left, 0, "bytes are left of {cycles} connections");
    assert_eq!(registry.stats().opened, u64::from(cycles) + 1_200);
}

#[test]
fn lives_whose_sessions_and_rooms_linger_leave_nothing_behind_either() {
    let lives = config().session_linger(ms(50)).room_ttl(ms(50)).connect_rate(0).build().unwrap();
    let mut registry = Registry::new(lives);
    let mut now = START;
    let mut generation = |registry: &mut Registry| {
        for number in 0..2_000 {
            come_and_go(registry, now, number);
            now += ms(1);
            registry.tick(now);
            while registry.poll_action().is_some() {}
        }
        run_out(registry, &mut now);
        live_bytes()
    };
    let before = generation(&mut registry);
    for _ in 0..4 {
        assert_eq!(generation(&mut registry), before);
    }
}

#[test]
fn a_registry_that_is_dropped_gives_everything_back() {
    let before = live_bytes();
    let mut registry = Registry::new(Config::new(1));
    let conns: Vec<_> = (0..100).map(|_| registry.reserve(START, None).unwrap()).collect();
    for (number, conn) in conns.iter().enumerate() {
        registry
            .connect(START, *conn, who(&format!("u{number}"), "main"), Start::OpenRuns, None)
            .unwrap();
        let _ = registry.send(START, Target::Conn(*conn), Message::text("hello"));
    }
    drop((registry, conns));
    assert_eq!(live_bytes(), before);
}

#[test]
fn a_large_message_is_gone_when_nobody_needs_it_any_more() {
    let mut registry = Registry::new(config().stream_history(0).room_history(0).build().unwrap());
    let conn = registry.reserve(START, None).unwrap();
    registry.connect(START, conn, who("alice", "main"), Start::OpenRuns, None).unwrap();
    let mut cost = 0;
    let mut once = |registry: &mut Registry, bytes: usize| {
        for target in [Target::User(&user("alice")), Target::Conn(conn), Target::Everyone] {
            let delivery = registry.send(START, target, Message::text("x".repeat(bytes)));
            assert_eq!(delivery.live, 1);
            carry_out(registry, START, conn, &mut cost);
        }
        live_bytes()
    };
    let small = once(&mut registry, 1);
    assert_eq!(once(&mut registry, 1 << 20), small);
}

/// A configuration in which everything is small, and nobody polls.
fn small() -> headcount::ConfigBuilder {
    config()
        .connections(8)
        .pending(8)
        .closing(8)
        .sessions(16)
        .users(8)
        .rooms(8)
        .rooms_per_connection(4)
        .connections_per_user(4)
        .sessions_per_user(4)
        .connect_rate(0)
        .message_bytes(1_000)
        .stream_messages(8)
        .room_messages(8)
        .send_window(2_000)
        .reply_reserve(500)
        .fanout_chunk(2)
        .announcements(2)
        .notices(16)
        .ping_interval(secs(1))
        .session_linger(secs(5))
}

/// What a registry holds after so many rounds of a caller who never polls, and after ten times as
/// many: the same, but for what a table rounds up.
fn assert_bounded(mut hostile: impl FnMut(&mut Registry, Timestamp, u32)) {
    let mut registry = Registry::new(small().build().unwrap());
    let mut now = START;
    let empty = live_bytes();
    let mut grow = |rounds: u32| {
        for round in 0..rounds {
            hostile(&mut registry, now, round);
            now += ms(7);
        }
        registry.check().unwrap();
        live_bytes() - empty
    };
    let early = grow(2_000);
    let late = grow(20_000);
    assert!(late <= early + early / 2 + 1_024, "{early} bytes at first, {late} in the end");
    assert!(late < 256 * 1_024, "{late} bytes for 24 connections");
    while registry.poll_action().is_some() {}
    run_out(&mut registry, &mut now);
}

fn admit(registry: &mut Registry, now: Timestamp, name: &str) -> Option<ConnId> {
    registry.admit(now, who(name, "main"), Start::OpenRuns, None).ok().map(|(conn, _)| conn)
}

#[test]
fn sockets_that_come_and_go_undrained_are_bounded() {
    assert_bounded(|registry, now, _| {
        if let Ok(conn) = registry.reserve(now, None) {
            let _ = registry.upgraded(now, conn);
            let _ = registry.reply(now, conn, Message::text("who are you?"));
            registry.disconnect(now, conn).unwrap();
        }
    });
}

#[test]
fn connections_that_come_and_go_undrained_are_bounded() {
    assert_bounded(|registry, now, round| {
        if let Some(conn) = admit(registry, now, &format!("user {}", round % 10)) {
            let _ = registry.join(now, conn, &room("lobby"), Start::Now);
            let _ = registry.send(now, Target::Room(&room("lobby")), Message::text("hello"));
            let _ = match round % 2 {
                0 => registry.disconnect(now, conn).is_ok(),
                _ => registry.close(now, Target::Conn(conn), CloseReason::Application) > 0,
            };
        }
        registry.tick(now);
    });
}

#[test]
fn messages_that_nobody_polls_are_bounded() {
    let mut conns = Vec::new();
    assert_bounded(move |registry, now, round| {
        if conns.len() < 4 {
            conns.extend(admit(registry, now, "alice"));
        }
        let text = || Message::text("x".repeat(round as usize % 900));
        let conn = conns[round as usize % conns.len()];
        let lobby = room(&format!("room {}", round % 12));
        let _ = registry.join(now, conn, &lobby, Start::Now);
        for target in [
            Target::User(&user("alice")),
            Target::Room(&lobby),
            Target::Conn(conn),
            Target::Everyone,
        ] {
            let _ = registry.send(now, target, text());
        }
        let _ = registry.reply(now, conn, text());
        let _ = registry.flushed(now, conn, u64::from(round) * 100);
    });
}

#[test]
fn joining_and_leaving_undrained_is_bounded() {
    let mut conns = Vec::new();
    assert_bounded(move |registry, now, round| {
        if conns.len() < 4 {
            conns.extend(admit(registry, now, "alice"));
        }
        let foreign = Start::After(Position { epoch: 1, offset: u64::from(round) });
        for conn in &conns {
            let lobby = room(&format!("room {}", round % 3));
            let _ = registry.leave(now, *conn, &lobby);
            let _ = registry.send(now, Target::Room(&lobby), Message::text("hello"));
            let _ = registry.join(now, *conn, &lobby, foreign.clone());
        }
    });
}

#[test]
fn resuming_undrained_is_bounded() {
    assert_bounded(|registry, now, round| {
        let Ok(conn) = registry.reserve(now, None) else { return };
        let position = Position { epoch: 1, offset: u64::from(round) };
        let start = Start::After(position);
        let _ = registry.connect(now, conn, who("alice", "main"), start, None);
        let _ = registry.send(now, Target::User(&user("alice")), Message::text("hello"));
        let _ = registry.disconnect(now, conn);
    });
}

#[test]
fn pings_that_life_overtakes_undrained_are_bounded() {
    let mut conn = None;
    assert_bounded(move |registry, now, round| {
        let conn = *conn.get_or_insert_with(|| admit(registry, now, "alice").unwrap());
        registry.tick(now);
        if round.is_multiple_of(200) {
            registry.message(now, conn, LIFE).map(drop).unwrap();
        }
    });
}

#[test]
fn closing_everything_again_and_again_undrained_is_bounded() {
    assert_bounded(|registry, now, round| {
        if let Some(conn) = admit(registry, now, &format!("user {}", round % 5)) {
            let _ = registry.join(now, conn, &room("lobby"), Start::Now);
            let _ = registry.send(now, Target::Conn(conn), Message::text("hello"));
        }
        registry.close(now, Target::Room(&room("lobby")), CloseReason::Application);
        registry.close(now, Target::Everyone, CloseReason::Restart);
        registry.close(now, Target::User(&user("user 1")), CloseReason::Application);
        registry.tick(now);
    });
}

#[test]
fn everything_at_random_undrained_is_bounded() {
    let mut random = 9_u64;
    let mut conns = Vec::new();
    assert_bounded(move |registry, now, _| {
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let name = format!("user {}", below(10));
        let lobby = room(&format!("room {}", below(10)));
        conns.extend(admit(registry, now, &name));
        if conns.len() > 64 {
            conns.remove(0);
        }
        let conn = conns[below(conns.len() as u64) as usize];
        let start = match below(2) {
            0 => Start::After(Position { epoch: below(3), offset: below(9) }),
            _ => Start::Now,
        };
        let text = Message::text("x".repeat(below(900) as usize));
        match below(12) {
            0 => drop(registry.disconnect(now, conn)),
            1 => drop(registry.close(now, Target::Conn(conn), CloseReason::Application)),
            2 => drop(registry.close(now, Target::Room(&lobby), CloseReason::Application)),
            3 => drop(registry.leave(now, conn, &lobby)),
            4 | 5 => drop(registry.join(now, conn, &lobby, start)),
            6 => drop(registry.send(now, Target::User(&user(&name)), text)),
            7 => drop(registry.send(now, Target::Room(&lobby), text.except_connection(conn))),
            8 => drop(registry.send(now, Target::Everyone, text)),
            9 => drop(registry.reply(now, conn, text)),
            10 => drop(registry.message(now, conn, Inbound::Data { bytes: below(1_100) })),
            _ => registry.tick(now),
        }
    });
}
