//! The gateway's own figures, each measured on a gateway of its own with idle clients beside:
//!
//! * `memory`: bytes of heap and stacks for each idle client;
//! * `latency`: from when a publish was due to the frame at the browser, open loop at a stated rate;
//! * `publishes`, `deltas`: what a call costs, and how many a second a core does, closed loop;
//! * `neighbour`: a ping and a publish to one client, alone and while a room of all others is published to at
//!   half of one core's processor time.
//!
//! `cargo bench -p headcount-gateway --bench figures [WORK…]`; without arguments all of them.
//! `HEADCOUNT_FIGURES_MS` is how long each lasts (10000), `HEADCOUNT_CLIENTS` how many clients there are
//! (10000), `HEADCOUNT_RATE` how many publishes are due in a second for `latency` (1000). With
//! `HEADCOUNT_PINNED=1` and `taskset -c 1` before it the gateway has the first core to itself, and the load
//! the second. Linux only. Figures to read: it fails at nothing but a lost message.

mod calls;
mod latency;
mod neighbour;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use headcount_load::{Crowd, Histogram, usage};

use support::gateway::Gateway;
use support::users;

/// Connections of the admin port that call at the same time.
pub(crate) const CALLERS: usize = 16;

/// How often waits are measured. What else the machine does only ever adds to them.
pub(crate) const ROUNDS: usize = 5;

/// Its name, and what it does.
type Work = (&'static str, fn(&mut Bench));

const WORKS: [Work; 5] = [
    ("memory", |bench| bench.memory()),
    ("latency", latency::latency),
    ("publishes", calls::publishes),
    ("deltas", calls::deltas),
    ("neighbour", neighbour::neighbour),
];

fn main() {
    // `cargo bench` adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    for (name, work) in WORKS {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            work(&mut Bench::start());
        }
    }
}

/// A gateway with clients, each of a user and a thread of its own.
pub(crate) struct Bench {
    // Dropped before the gateway: clients that end first leave no port that waits.
    pub(crate) crowd: Crowd,
    pub(crate) gateway: Gateway,
    pub(crate) clients: usize,
    pub(crate) lasts: Duration,
    /// What the gateway held before the clients came.
    empty: u64,
}

impl Bench {
    fn start() -> Self {
        let clients = support::by_variable("HEADCOUNT_CLIENTS", 10_000) as usize;
        let lasts = Duration::from_millis(support::by_variable("HEADCOUNT_FIGURES_MS", 10_000));
        let gateway = Gateway::start(&[
            "limits.connect_rate=0",
            "limits.connect_rate_per_user=0",
            "log.level=warn",
        ]);
        let empty = usage::resident_bytes(gateway.process()).expect("its memory");
        let mut crowd = Crowd::new().expect("a poll");
        users::connect(&mut crowd, gateway.websocket, 0..clients);
        // The last welcomes come, and the loop has nothing to do.
        assert_eq!(crowd.hold(Duration::from_secs(1)).expect("a poll"), 0);
        Self { crowd, gateway, clients, lasts, empty }
    }

    fn memory(&self) {
        let bytes = usage::resident_bytes(self.gateway.process()).expect("its memory");
        let each = bytes.saturating_sub(self.empty) / self.clients as u64;
        row("memory", &format!("{} idle clients", self.clients), &format!("{each} bytes each"));
    }

    /// What the gateway's threads have run so far.
    pub(crate) fn cpu(&self) -> Duration {
        usage::cpu(self.gateway.process()).expect("its times")
    }
}

pub(crate) fn row(work: &str, what: &str, figures: &str) {
    println!("{work:10} {what:46} {figures}");
}

/// `p50 0.212, p99 1.871, most 9.113 ms`.
pub(crate) fn waits(histogram: &Histogram) -> String {
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    format!(
        "p50 {:.3}, p99 {:.3}, most {:.3} ms",
        millis(histogram.percentile(50.0)),
        millis(histogram.percentile(99.0)),
        millis(histogram.most())
    )
}
