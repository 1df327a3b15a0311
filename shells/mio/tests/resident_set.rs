//! Thousands of connections come and go, and the process is as large as before. Alone in its
//! process, because all of it is measured; clients are in it too, but keep nothing.
//!
//! * `HEADCOUNT_SOCKET_CYCLES=20000 cargo test --release -p headcount-mio --test resident_set`
//!   sets how many connections come and go while it is measured.
#![cfg(target_os = "linux")]

mod common;

use std::collections::VecDeque;
use std::fs;

use common::*;
use headcount::Ended;

/// How much larger the process may be in the end.
const BOUND_KIB: usize = 1_024;

/// Connections that are there at the same time: so that slots are not taken and left in one order.
const CROWD: usize = 64;

/// What is bounded has to be full before it can be said not to grow: the registry remembers the
/// last 1,024 that were closed, the kernel maps pages when they are touched first, and an allocator
/// keeps what it has had for as many connections as were ever there.
const WARM_UP: usize = 3_000;

/// What is resident of this process, counted page by page; where the kernel does not do that,
/// `VmRSS`, a sum of counters per processor that may be off by more than the bound where there are
/// many of them.
fn resident_kib() -> usize {
    let counted = fs::read_to_string("/proc/self/smaps_rollup");
    let told = counted.or_else(|_| fs::read_to_string("/proc/self/status")).unwrap();
    let mut lines = told.lines();
    let line = lines.find(|line| line.starts_with("Rss:") || line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).expect("a number")
}

/// A client that comes and is served, in one of the ways there are.
fn arrive(server: &TestServer, cycle: usize) -> Client {
    // Names never come back: an index that kept them would grow.
    let mut client = Client::admitted(server.address, &format!("user-{cycle}&thread=t-{cycle}"));
    match cycle % 5 {
        0 => client.say("never read"),
        1 => client.say("to all: never read either"),
        2 => {
            client.say("hello");
            while client.text() != "hello" {}
        }
        _ => {}
    }
    client
}

/// Every way to go. Their number has no divisor in common with that of the ways to arrive, so that
/// all of them meet.
fn go(mut client: Client, cycle: usize) {
    match cycle % 17 {
        // Its port rests for a minute after that, and there are 28,000 of them: not too often.
        0 => {
            client.shutdown_write();
            client.expect_dropped();
            return;
        }
        1 => {
            client.send(&frame(CLOSE, &close_payload(1000)));
            client.expect_dropped();
        }
        2 => client.send(&frame(CLOSE, &close_payload(1000))),
        3 => client.send(&[0xff; 20]),
        4 => client.send(&frame(TEXT, &[b'x'; 2_000])[..1_000]),
        _ => {}
    }
    client.reset();
}

/// Lets so many connections come and go.
fn churn(server: &TestServer, cycles: std::ops::Range<usize>) {
    let mut crowd = VecDeque::with_capacity(CROWD);
    let mut told = 0;
    let count = |told: &mut usize| {
        *told += server.gone.try_iter().filter(|gone| matches!(gone.what, Ended::Conn(_))).count();
    };
    for cycle in cycles.clone() {
        if crowd.len() == CROWD {
            let (cycle, client) = crowd.pop_front().expect("it is full");
            go(client, cycle);
        }
        crowd.push_back((cycle, arrive(server, cycle)));
        count(&mut told);
    }
    for (cycle, client) in crowd {
        go(client, cycle);
    }
    let stats = server.until_empty();
    assert_eq!(stats.opened, cycles.end as u64);
    count(&mut told);
    assert_eq!(told, cycles.len(), "the application was told of each, once");
}

#[test]
fn connections_that_come_and_go_leave_no_memory_behind() {
    // The whole of it takes some seconds in a release build.
    let cycles = sizes::by_machine(2_000, 1_000);
    let cycles = sizes::by_variable("HEADCOUNT_SOCKET_CYCLES", cycles);
    let server = TestServer::start(config());
    churn(&server, 0..WARM_UP);
    let before = resident_kib();
    println!("after {WARM_UP} to warm up: {before} KiB");
    // In parts, so that the figures show whether it grows steadily.
    let mut after = before;
    for part in 0..10 {
        let of = |part: usize| WARM_UP + cycles * part / 10;
        churn(&server, of(part)..of(part + 1));
        after = resident_kib();
        println!("after {} more: {after} KiB", of(part + 1) - WARM_UP);
    }
    let grown = after.saturating_sub(before);
    assert!(grown <= BOUND_KIB, "{before} KiB before, {after} KiB after {cycles}");
}
