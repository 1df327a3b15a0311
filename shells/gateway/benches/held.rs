//! As many real connections as one process may have descriptors, held for ten minutes: each of a user of its
//! own, with heartbeats, a broadcast to all in the middle, and a drain in the end. No connection may be lost,
//! and the sums must be exact.
//!
//! `cargo bench -p headcount-gateway --bench held`. `HEADCOUNT_HELD` is how many connections there are
//! (19000: gateway and load may have 20,000 descriptors each), `HEADCOUNT_HELD_SECONDS` how long they are
//! held (600), `HEADCOUNT_BINARY` another gateway to measure. Linux only.
//!
//! It fails at a lost connection or a wrong sum. The figures are for reading: processor time for each second
//! and connection, and bytes of the gateway's heap and stacks for each connection.

mod support;

use std::time::{Duration, Instant};

use headcount_load::{Crowd, usage};
use serde_json::Value;

use support::admin::Admin;
use support::gateway::Gateway;
use support::users::{await_messages, connect, count};

/// From one ping to the next, in seconds: the default.
const INTERVAL: u64 = 25;
/// How long the connections are drained.
const DRAIN: Duration = Duration::from_secs(15);
/// From the last upgrade to the first figure: the last welcomes come meanwhile.
const SETTLES: Duration = Duration::from_secs(2);

fn main() {
    let connections = support::by_variable("HEADCOUNT_HELD", 19_000);
    let half = Duration::from_secs(support::by_variable("HEADCOUNT_HELD_SECONDS", 600)) / 2;
    let limits =
        ["connections", "users", "sessions"].map(|it| format!("limits.{it}={connections}"));
    let mut settings: Vec<&str> = limits.iter().map(String::as_str).collect();
    settings.extend(["limits.pending=128", "limits.pending_per_source=128", "limits.closing=128"]);
    settings.extend(["limits.connect_rate=0", "heartbeat.interval=25s", "session.linger=5s"]);
    let gateway = Gateway::start(&settings);
    let mut held = Held { connections, admin: Admin::new(gateway.admin), gateway };
    held.run(half);
}

struct Held {
    connections: u64,
    gateway: Gateway,
    admin: Admin,
}

impl Held {
    fn run(&mut self, half: Duration) {
        let connections = self.connections;
        let mut crowd = Crowd::new().expect("a poll");
        let before = self.bytes();
        let (began, cpu) = (Instant::now(), self.cpu());
        connect(&mut crowd, self.gateway.websocket, 0..connections as usize);
        let took = began.elapsed();
        self.hold(&mut crowd, SETTLES);
        row("connected in", format!("{:.1} s", took.as_secs_f64()));
        row("server CPU, an upgrade", per(self.cpu() - cpu, connections as f64));
        row("memory, a connection", format!("{} bytes", (self.bytes() - before) / connections));

        let first = self.hold(&mut crowd, half);
        let (began, cpu) = (Instant::now(), self.cpu());
        self.admin.post("/v1/publish", r#"{"to":{"everyone":true},"data":"to all of you"}"#);
        await_messages(&mut crowd, connections);
        let took = began.elapsed();
        row("broadcast to all came in", format!("{:.1} ms", took.as_secs_f64() * 1e3));
        row("server CPU, a delivery", per(self.cpu() - cpu, connections as f64));
        let second = self.hold(&mut crowd, half);
        let seconds = (half * 2).as_secs_f64();
        let each = per(first + second, seconds * connections as f64);
        row("server CPU, a second and connection", each);
        row(
            "memory then, a connection",
            format!("{} bytes", (self.bytes() - before) / connections),
        );

        let stats = self.admin.stats();
        assert_sums(&stats);
        assert_eq!(number(&stats, "/connections/open"), connections, "all are there");
        assert_eq!(number(&stats, "/connections/opened"), connections, "each came once");
        let pings = number(&stats, "/heartbeat/pings_sent");
        let least = connections * (half.as_secs() * 2 / INTERVAL).saturating_sub(1);
        assert!(pings >= least, "{pings} pings in {seconds} s, {least} at least");
        row("pings", pings.to_string());
        row("pongs", number(&stats, "/heartbeat/pongs_received").to_string());
        assert_eq!(number(&stats, "/heartbeat/timeouts"), 0, "all were answered in time");

        self.drain(&mut crowd);
        let left = self.bytes().saturating_sub(before);
        row("memory left, of each that was there", format!("{} bytes", left / connections));
    }

    /// Closes all, waits for the end of their sessions, and looks at the sums.
    fn drain(&mut self, crowd: &mut Crowd) {
        let began = Instant::now();
        self.admin.post("/v1/drain", &format!(r#"{{"deadline_ms":{}}}"#, DRAIN.as_millis()));
        let (mut reports, mut ended) = (Vec::new(), 0);
        while ended < self.connections {
            crowd.turn(Duration::from_millis(100), &mut reports).expect("a poll");
            ended += count(&mut reports).ended;
            assert!(began.elapsed() < DRAIN * 2, "{ended} have ended");
        }
        let took = began.elapsed();
        row("drained in", format!("{:.1} s", took.as_secs_f64()));
        let stats = loop {
            let stats = self.admin.stats();
            assert_sums(&stats);
            let left = number(&stats, "/connections/live") + number(&stats, "/sessions/live");
            if left == 0 {
                break stats;
            }
            assert!(began.elapsed() < DRAIN * 2, "{stats}");
            std::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(number(&stats, "/connections/closed/restart"), self.connections);
        row("opened = live + closed", format!("{0} = 0 + {0}", self.connections));
    }

    /// Keeps all of them, and returns what the gateway has used meanwhile.
    fn hold(&self, crowd: &mut Crowd, length: Duration) -> Duration {
        let cpu = self.cpu();
        assert_eq!(crowd.hold(length).expect("a poll"), 0, "connections have ended");
        self.cpu() - cpu
    }

    fn cpu(&self) -> Duration {
        usage::cpu(self.gateway.process()).expect("its times")
    }

    fn bytes(&self) -> u64 {
        usage::resident_bytes(self.gateway.process()).expect("its memory")
    }
}

/// `opened = live + Σ closed`.
fn assert_sums(stats: &Value) {
    let closed = stats["connections"]["closed"].as_object().expect("reasons");
    let closed: u64 = closed.values().filter_map(Value::as_u64).sum();
    let live = number(stats, "/connections/live");
    assert_eq!(number(stats, "/connections/opened"), live + closed, "{stats}");
}

fn number(stats: &Value, path: &str) -> u64 {
    let number = stats.pointer(path).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no {path} in {stats}"))
}

fn per(cpu: Duration, by: f64) -> String {
    format!("{:.3} µs", cpu.as_secs_f64() * 1e6 / by)
}

fn row(what: &str, figure: String) {
    println!("{what:36}  {figure:>18}");
}
