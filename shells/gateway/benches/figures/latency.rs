//! From a publish to the browser's frame, open loop: publishes are due at a steady rate, and are sent
//! then also if those before have not arrived. A wait counts from when the publish was due.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use headcount_load::{Histogram, What};

use super::support::client::PATIENCE;
use super::support::{by_variable, users};
use super::{Bench, ROUNDS, row, waits};

/// Users that are published to in turn, each over a connection of its own to the admin port.
const USERS: usize = 4;

/// Bytes of the `data` of a publish.
const BYTES: usize = 64;

pub(crate) fn latency(bench: &mut Bench) {
    let rate = by_variable("HEADCOUNT_RATE", 1_000);
    let every = Duration::from_secs(1) / u32::try_from(rate).expect("a rate");
    let lasts = bench.lasts / ROUNDS as u32;
    let count = (lasts.as_nanos() / every.as_nanos()) as usize / USERS * USERS;
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| round(bench, every, count)).collect();
    rounds.sort_by_key(|round| round.frames.percentile(99.0));
    for (which, round) in [("best", &rounds[0]), ("median", &rounds[ROUNDS / 2])] {
        let what = format!("publish to frame, {rate} a second, {which} round");
        row("latency", &what, &waits(&round.frames));
        row("latency", "of which the publish was sent late by", &waits(&round.late));
        let cpu = round.cpu.as_secs_f64() * 1e6 / count as f64;
        row("latency", "server CPU, a publish", &format!("{cpu:.1} µs"));
    }
}

struct Round {
    frames: Histogram,
    late: Histogram,
    cpu: Duration,
}

fn round(bench: &mut Bench, every: Duration, count: usize) -> Round {
    let (cpu, admin) = (bench.cpu(), bench.gateway.admin);
    // Far enough ahead for the thread to be there.
    let start = Instant::now() + Duration::from_millis(100);
    let publisher = thread::spawn(move || publish(admin, start, every, count));
    let (mut frames, mut came) = (Histogram::default(), [0; USERS]);
    let mut reports = Vec::new();
    while came.iter().sum::<usize>() < count {
        bench.crowd.turn(Duration::from_millis(100), &mut reports).expect("a poll");
        let now = Instant::now();
        for report in reports.drain(..) {
            let What::Messages(messages) = report.what else { panic!("{report:?}") };
            for _ in 0..messages {
                // Those of a user come in the order in which they were published.
                let number = came[report.connection] * USERS + report.connection;
                frames.record(now - (start + every * number as u32));
                came[report.connection] += 1;
            }
        }
        assert!(now < start + every * count as u32 + PATIENCE, "{came:?} of {count} have come");
    }
    let late = publisher.join().expect("it does not panic");
    Round { frames, late, cpu: bench.cpu() - cpu }
}

/// Sends each when it is due, and returns by how much later it was sent.
fn publish(admin: SocketAddr, start: Instant, every: Duration, count: usize) -> Histogram {
    let mut users: Vec<_> = (0..USERS)
        .map(|user| {
            let socket = TcpStream::connect(admin).expect("the admin port listens");
            socket.set_nodelay(true).expect("a socket");
            socket.set_nonblocking(true).expect("a socket");
            (socket, request(user))
        })
        .collect();
    let (mut late, mut thrown_away) = (Histogram::default(), vec![0; 64 * 1024]);
    for number in 0..count {
        let due = start + every * number as u32;
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
        }
        let (socket, request) = &mut users[number % USERS];
        let sent = socket.write(request).expect("room for a request");
        assert_eq!(sent, request.len(), "room for a request");
        late.record(due.elapsed());
        match socket.read(&mut thrown_away) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("the admin port has hung up: {other:?}"),
        }
    }
    // The last answers come: a socket that is closed before takes its request with it.
    thread::sleep(Duration::from_millis(500));
    late
}

fn request(user: usize) -> Vec<u8> {
    let body = body(user);
    format!(
        "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The body of a publish to a user.
pub(crate) fn body(user: usize) -> String {
    let (name, data) = (users::name(user), "x".repeat(BYTES - 2));
    format!(r#"{{"to":{{"user":"{name}"}},"data":"{data}"}}"#)
}
