//! What one client waits for a pong, and for a publish to it alone, while a room of all others is published
//! to at half of one core's processor time.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headcount_load::Histogram;

use super::support::admin::Admin;
use super::support::client::{read_frame, upgrade};
use super::support::users;
use super::{Bench, ROUNDS, row, waits};

/// From one probe to the next.
const EVERY: Duration = Duration::from_millis(2);
/// Broadcasts by which their cost is found out.
const TRIALS: u32 = 10;
/// The share of one core that the broadcasts take.
const SHARE: f64 = 0.5;
const ROOM: &str =
    r#"{"to":{"room":"all"},"data":"to all who are in this room, and to no others"}"#;

pub(crate) fn neighbour(bench: &mut Bench) {
    let mut admin = Admin::new(bench.gateway.admin);
    for user in 0..bench.clients {
        let name = users::name(user);
        admin.post("/v1/join", &format!(r#"{{"user":"{name}","room":"all"}}"#));
    }
    assert_eq!(bench.crowd.hold(Duration::from_secs(1)).expect("a poll"), 0);
    let cpu = bench.cpu();
    for _ in 0..TRIALS {
        admin.post("/v1/publish", ROOM);
        users::await_messages(&mut bench.crowd, bench.clients as u64);
    }
    let each = (bench.cpu() - cpu) / TRIALS;
    let every = each.mul_f64(1.0 / SHARE);
    let storm = format!("a broadcast to {} every {} ms", bench.clients, every.as_millis());
    row("neighbour", "beside is meanwhile", &storm);
    for (name, probe) in [("ping and pong", ping as Probe), ("publish and frame", publish)] {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(part(bench, probe, None));
            beside.push(part(bench, probe, Some(every)));
        }
        for (when, mut rounds) in [("alone", alone), ("beside", beside)] {
            rounds.sort_by_key(|(waits, _)| waits.percentile(99.0));
            for (which, place) in [("best", 0), ("median", ROUNDS / 2)] {
                let (histogram, cores) = &rounds[place];
                let what = format!("{name}, {when}, {which} round");
                row("neighbour", &what, &format!("{}; {cores:.2} cores", waits(histogram)));
            }
        }
    }
}

/// The waits of one client, and the cores that the gateway used.
fn part(bench: &mut Bench, probe: Probe, every: Option<Duration>) -> (Histogram, f64) {
    let (websocket, admin) = (bench.gateway.websocket, bench.gateway.admin);
    let stop = Arc::new(AtomicBool::new(false));
    let storm = every.map(|every| {
        let stop = Arc::clone(&stop);
        thread::spawn(move || broadcast(admin, every, &stop))
    });
    let lasts = bench.lasts / ROUNDS as u32;
    let mut client = Client { admin: Admin::new(admin), socket: upgrade(websocket, "probe") };
    let probe = thread::spawn(move || on_schedule(&mut client, probe, lasts));
    let (cpu, began) = (bench.cpu(), Instant::now());
    let mut reports = Vec::new();
    while !probe.is_finished() {
        bench.crowd.turn(Duration::from_millis(50), &mut reports).expect("a poll");
        assert_eq!(users::count(&mut reports).ended, 0, "a connection has ended");
    }
    let cores = (bench.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    storm.into_iter().for_each(|storm| storm.join().expect("it does not panic"));
    assert_eq!(bench.crowd.hold(Duration::from_millis(500)).expect("a poll"), 0);
    (probe.join().expect("it does not panic"), cores)
}

/// Publishes to the room at this pace. One that is late is not made up for.
fn broadcast(admin: SocketAddr, every: Duration, stop: &AtomicBool) {
    let (mut admin, mut due) = (Admin::new(admin), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        admin.post("/v1/publish", ROOM);
        due = (due + every).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

struct Client {
    admin: Admin,
    socket: TcpStream,
}

/// What the client waits for.
type Probe = fn(&mut Client);

/// The loop alone answers it.
fn ping(client: &mut Client) {
    client.socket.write_all(&[0x89, 0x80, 0, 0, 0, 0]).expect("room for a ping");
    assert_eq!(read_frame(&mut client.socket).0, 0x0a, "the pong");
}

/// The admin port's thread hands it to the loop.
fn publish(client: &mut Client) {
    client.admin.post("/v1/publish", r#"{"to":{"user":"probe"},"data":"to you alone"}"#);
    assert_eq!(read_frame(&mut client.socket).0, 0x01, "the message");
}

/// Waits on schedule: a late answer counts for each probe that was due meanwhile, so that one long wait
/// weighs as much as it lasted.
fn on_schedule(client: &mut Client, probe: Probe, lasts: Duration) -> Histogram {
    let (mut waits, start) = (Histogram::default(), Instant::now());
    let mut due = start;
    while due - start < lasts {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        probe(client);
        let came = Instant::now();
        while due <= came {
            waits.record(came - due);
            due += EVERY;
        }
    }
    waits
}
