//! The counters of the gateway, for metrics and log lines.

use std::sync::atomic::AtomicU64;

use super::journal;
use super::refusals::Refusals;

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
