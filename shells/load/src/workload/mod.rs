//! Work for a crowd. Each kind runs for a time, then waits until nothing is owed.

mod broadcast;
mod echo;
mod series;
mod storm;

use std::time::{Duration, Instant};

use crate::histogram::Histogram;

pub use broadcast::Broadcast;
pub use echo::Echo;
pub use series::{INTERVAL, Sample, Series};
pub use storm::{Storm, StormOutcome};

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Messages that came back, or that recipients got, or connections that were opened: exactly those that
    /// were owed.
    pub messages: u64,
    /// From the first to the last of them.
    pub lasted: Duration,
    /// From the sending of a message to its arrival, at its last recipient if it has several.
    pub latency: Histogram,
    /// The same over time.
    pub series: Series,
}

impl Outcome {
    /// Counts how long one took that arrived at this moment. It is not added to `messages`.
    pub fn record(&mut self, began: Instant, took: Duration) {
        self.latency.record(took);
        self.series.record(began.elapsed(), 1, took);
    }

    /// Messages in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.lasted.as_secs_f64();
        if seconds == 0.0 { 0.0 } else { self.messages as f64 / seconds }
    }
}
