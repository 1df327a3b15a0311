//! Work for a crowd. Each kind runs for a time, then waits until nothing is owed.

mod broadcast;
mod echo;
mod storm;

use std::time::Duration;

use crate::histogram::Histogram;

pub use broadcast::Broadcast;
pub use echo::Echo;
pub use storm::{Storm, StormOutcome};

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Messages that came back, or that recipients got: exactly those that were owed.
    pub messages: u64,
    /// From the first to the last of them.
    pub lasted: Duration,
    /// From the sending of a message to its arrival, at its last recipient if it has several.
    pub latency: Histogram,
}

impl Outcome {
    /// Messages in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.lasted.as_secs_f64();
        if seconds == 0.0 { 0.0 } else { self.messages as f64 / seconds }
    }
}
