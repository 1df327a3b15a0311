//! Any number of connections with the shell's records in one registry: what they take, and whether the counts
//! are exact. Sockets are the shell's, on peers that answer at once and take no memory of it.
//!
//! `HEADCOUNT_MILLION=1000000 cargo test --release -p headcount-mio --lib million -- --nocapture` prints
//! the table of docs/performance.md. Without the variable there are few of them.

mod peers;
mod rig;

use std::time::{Duration, Instant};

use headcount::{CloseReason, Config, ConfigBuilder, Message, Stats, Target, Timestamp};
use headcount_harness::thread_memory::{ThreadAllocator, live_bytes};

use peers::Peers;
use rig::{Rig, who};

#[global_allocator]
static ALLOCATOR: ThreadAllocator = ThreadAllocator;

/// From one ping of a silent connection to the next.
const INTERVAL: Duration = Duration::from_secs(25);
/// What the clock moves by while time passes.
const STEP: Duration = Duration::from_millis(10);
/// How long a drain lasts.
const DRAIN: Duration = Duration::from_secs(30);
/// What the shell keeps of an idle connection, in bytes at most, beside a chunk that is not full.
const SHELL_EACH: i64 = 72;
const SHELL_CHUNK: i64 = 16 * 1024;
/// How long sessions outlive their connections.
const LINGER: Duration = Duration::from_secs(10);
/// What remains of a connection that has gone, in bytes at most.
const LEFT_EACH: i64 = 16;
/// What does not depend on how many there were: buffers of a turn, and the ring of the last closed.
const LEFT_BESIDE: i64 = 1024 * 1024;

/// How many connections there are.
fn connections() -> usize {
    match std::env::var("HEADCOUNT_MILLION") {
        Ok(count) => count.parse().expect("HEADCOUNT_MILLION is a whole number"),
        Err(_) => 2_000,
    }
}

/// Every deadline that a connection can have is armed: of its silence, its idleness, its lifetime and its
/// credentials.
fn config(count: usize) -> ConfigBuilder {
    Config::builder(1)
        .connections(u32::try_from(count).expect("a number of handles"))
        .connect_rate(0)
        .connect_rate_per_user(0)
        .message_rate(0)
        .ping_interval(INTERVAL)
        .session_idle(Duration::from_secs(3_600))
        .max_lifetime(Duration::from_secs(86_400))
        .session_linger(LINGER)
        .drain_deadline(DRAIN)
}

fn assert_sums(stats: &Stats) {
    assert_eq!(stats.opened, u64::from(stats.live) + stats.closed_total());
}

/// Runs a part of the test, and returns how long it took.
fn timed(part: impl FnOnce()) -> Duration {
    let began = Instant::now();
    part();
    began.elapsed()
}

#[test]
fn a_million_is_held_pinged_told_and_drained_and_all_of_it_is_counted() {
    let count = connections();
    Peers::install(count);
    let empty = live_bytes();
    let mut rig = Rig::new(config(count), Timestamp::from_secs(1_000), count);
    let before = live_bytes();

    let connect = timed(|| rig.connect_all(count));
    let held = live_bytes() - before;
    assert_sums(&rig.registry.stats());
    assert_eq!((rig.registry.stats().open as usize, rig.sockets.len()), (count, count));
    assert_eq!(Peers::with(|peers| peers.upgraded), count);

    let herd = timed(|| rig.pass(INTERVAL, STEP));
    let stats = rig.registry.stats();
    assert_eq!((stats.pings_sent, stats.pongs_received), (count as u64, count as u64));
    assert_eq!((stats.pong_timeouts, stats.open as usize), (0, count));
    assert_eq!(Peers::with(|peers| peers.pinged), count);

    let broadcast = timed(|| {
        let text = Message::text("good night, all");
        let delivery = rig.registry.send(rig.now, Target::Everyone, text);
        assert_eq!(delivery.live as usize, count);
        rig.turns();
    });
    assert_eq!(Peers::with(|peers| peers.told), count);
    assert_eq!(rig.registry.stats().skipped, 0);
    let busy = live_bytes() - before;

    let drain = timed(|| {
        rig.registry.drain(rig.now, None);
        rig.pass(DRAIN, STEP);
    });
    let stats = rig.registry.stats();
    assert_eq!((stats.opened, stats.live, rig.sockets.len()), (count as u64, 0, 0));
    assert_eq!(stats.closed(CloseReason::Restart), count as u64);
    assert_sums(&stats);
    assert_eq!(rig.handler.gone, count);
    assert_eq!(Peers::with(|peers| (peers.told, peers.closed)), (2 * count, count));

    rig.pass(LINGER, STEP);
    rig.check_nothing_is_left();
    let (left, shell) = (live_bytes() - before, rig.shell_bytes);
    assert!(shell <= SHELL_EACH * count as i64 + SHELL_CHUNK, "{shell} bytes are the shell's");
    assert!(left <= LEFT_EACH * count as i64 + LEFT_BESIDE, "{left} bytes are left");
    drop(rig);
    assert_eq!(live_bytes(), empty);
    // Printed here: where a test's output is kept, that takes memory, too.
    let names = names(count);
    table(
        "bytes",
        count,
        |each| format!("{each:.1}"),
        &[
            ("the registry's records", (held - shell - names) as f64),
            ("names", names as f64),
            ("the shell's records", shell as f64),
            ("in all", held as f64),
            ("in all after the broadcast", busy as f64),
            ("left after the drain", left as f64),
        ],
    );
    table(
        "µs",
        count,
        |each| format!("{each:.2}"),
        &[
            ("connect", micros(connect)),
            ("a herd of heartbeats: ping and pong", micros(herd)),
            ("a broadcast to all", micros(broadcast)),
            ("a drain: notice, close, handshake, cleanup", micros(drain)),
        ],
    );
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

/// Prints rows, each with its sum and with what that is for one connection.
fn table(unit: &str, count: usize, shown: impl Fn(f64) -> String, rows: &[(&str, f64)]) {
    println!("\n| {unit}, {count} connections | all | each |\n|---|--:|--:|");
    for (what, sum) in rows {
        println!("| {what} | {sum:.0} | {} |", shown(sum / count as f64));
    }
}

/// The texts of all names: a user and a thread each.
fn names(count: usize) -> i64 {
    let who = who(0);
    let texts = who.user().as_str().len() + who.thread().map_or(0, |thread| thread.as_str().len());
    (texts * count) as i64
}
