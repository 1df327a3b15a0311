//! What one client waits while many others are served.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::crowd::{Crowd, What};
use crate::error::LoadError;
use crate::frames::Frames;

/// One connection sends a message at a time and waits for its echo, first alone and then while a publisher
/// sends to many at a steady rate.
#[derive(Clone, Debug)]
pub struct Storm {
    /// Which connections of the crowd get what is published.
    pub subscribers: Range<usize>,
    /// Which one publishes.
    pub publisher: usize,
    /// Which one waits for echoes.
    pub probe: usize,
    /// Time from one published message to the next. One that is late is not made up for.
    pub every: Duration,
    /// Time from one echo to the next.
    pub probe_every: Duration,
    /// Bytes of each message.
    pub bytes: usize,
    /// How long each half lasts.
    pub length: Duration,
}

/// The two halves.
#[derive(Clone, Debug, Default)]
pub struct StormOutcome {
    /// The probe's echoes while nothing else was sent. Its `messages` are 0.
    pub alone: Outcome,
    /// The probe's echoes during the storm. Its `messages` are what the subscribers got.
    pub stormy: Outcome,
}

impl Storm {
    /// Runs both halves.
    ///
    /// # Errors
    /// A connection ends, or the server stalls.
    pub fn run(&self, crowd: &mut Crowd) -> Result<StormOutcome, LoadError> {
        Ok(StormOutcome { alone: self.half(crowd, false)?, stormy: self.half(crowd, true)? })
    }

    fn half(&self, crowd: &mut Crowd, storms: bool) -> Result<Outcome, LoadError> {
        let frames = Frames::text(self.bytes, 1);
        let mut outcome = Outcome::default();
        let began = Instant::now();
        let end = began + self.length;
        let (mut next_probe, mut next_publish) = (began, began);
        let (mut probed, mut owed) = (None, 0);
        let mut last_progress = began;
        let mut reports = Vec::new();
        loop {
            let now = Instant::now();
            let is_over = now >= end;
            if is_over && probed.is_none() && owed == 0 {
                break;
            }
            if !is_over && probed.is_none() && now >= next_probe {
                crowd.send(self.probe, frames.first(1))?;
                probed = Some(now);
                next_probe = now + self.probe_every;
            }
            if storms && !is_over && owed == 0 && now >= next_publish {
                crowd.send(self.publisher, frames.first(1))?;
                owed = self.subscribers.len();
                next_publish = (next_publish + self.every).max(now);
            }
            let mut wake = now + crate::crowd::PATIENCE;
            if !is_over {
                wake = end;
                if probed.is_none() {
                    wake = wake.min(next_probe);
                }
                if storms && owed == 0 {
                    wake = wake.min(next_publish);
                }
            }
            crowd.turn(wake.saturating_duration_since(now), &mut reports)?;
            crate::crowd::lost(&reports)?;
            for report in reports.drain(..) {
                let What::Messages(messages) = report.what else { continue };
                last_progress = Instant::now();
                if report.connection == self.probe {
                    if let Some(at) = probed.take() {
                        let took = last_progress - at;
                        outcome.latency.record(took);
                        outcome.series.record(last_progress - began, 1, took);
                    }
                } else if self.subscribers.contains(&report.connection) {
                    outcome.messages += u64::from(messages);
                    owed = owed.saturating_sub(messages as usize);
                }
            }
            let waited = last_progress.elapsed();
            if (probed.is_some() || owed > 0) && waited >= crate::crowd::PATIENCE {
                return Err(LoadError::Stalled { what: "an echo or a broadcast", waited });
            }
        }
        outcome.lasted = began.elapsed();
        Ok(outcome)
    }
}
