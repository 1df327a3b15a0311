//! The counters of the gateway, for metrics and log lines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use super::journal;
use super::refusals::{Refusals, difference};

/// How often the log says what was refused, at most.
const EVERY: Duration = Duration::from_secs(1);

/// What the gateway counts beside the registry; shared with the admin port.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Frames for one connection that found its window and reply reserve full.
    pub(crate) replies_dropped: AtomicU64,
    /// Lines that found the log's queue full: stderr is read too slowly, or not at all.
    pub(crate) log_lines_lost: AtomicU64,
    /// Clients that were not admitted.
    pub(crate) refusals: Refusals,
    /// Calls of the admin port that were refused for their key.
    pub(crate) admin_refusals: Refusals,
    pub(crate) journal: journal::Status,
}

/// Says each second what was refused in it, if anything was. Never ends.
pub(crate) async fn summarize(counters: Arc<Counters>) {
    // Empty, and not what is counted by now: a client may be refused before this task first runs.
    let (mut told, mut told_of_calls) = (BTreeMap::new(), BTreeMap::new());
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let counts = counters.refusals.by_reason();
        if let Some((refused, reasons)) = difference(&told, &counts) {
            info!(refused, %reasons, "clients were not admitted");
        }
        told = counts;
        let counts = counters.admin_refusals.by_reason();
        if let Some((refused, reasons)) = difference(&told_of_calls, &counts) {
            info!(refused, %reasons, "calls of the admin port were refused");
        }
        told_of_calls = counts;
    }
}
