//! Messages of one connection that many others get.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::crowd::{Crowd, What};
use crate::error::LoadError;
use crate::frames::Frames;

/// A publisher has a number of messages outstanding, and sends the next one when all subscribers together
/// have got as many as one message makes.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// Which connections of the crowd get what is published.
    pub subscribers: Range<usize>,
    /// Which one publishes.
    pub publisher: usize,
    /// Messages that are published and have not come to all.
    pub outstanding: usize,
    /// Bytes of a message.
    pub bytes: usize,
    /// How long messages are published.
    pub length: Duration,
}

impl Broadcast {
    /// Runs until all subscribers have got all messages.
    ///
    /// # Errors
    /// A connection ends, or the server stalls.
    pub fn run(&self, crowd: &mut Crowd) -> Result<Outcome, LoadError> {
        let frames = Frames::text(self.bytes, self.outstanding);
        let recipients = self.subscribers.len() as u64;
        let mut outcome = Outcome::default();
        let began = Instant::now();
        let mut published = VecDeque::with_capacity(self.outstanding);
        let mut reports = Vec::new();
        // Of the oldest message that is outstanding.
        let mut arrived = 0;
        loop {
            if began.elapsed() < self.length || outcome.messages == 0 {
                let some = self.outstanding - published.len();
                if some > 0 {
                    published.extend(std::iter::repeat_n(Instant::now(), some));
                    crowd.send(self.publisher, frames.first(some))?;
                }
            } else if published.is_empty() {
                break;
            }
            crowd.wait("a broadcast", &mut reports)?;
            for report in reports.drain(..) {
                if let What::Messages(messages) = report.what
                    && self.subscribers.contains(&report.connection)
                {
                    arrived += u64::from(messages);
                    outcome.messages += u64::from(messages);
                }
            }
            while arrived >= recipients
                && let Some(at) = published.pop_front()
            {
                let took = at.elapsed();
                outcome.latency.record(took);
                outcome.series.record(began.elapsed(), recipients, took);
                arrived -= recipients;
            }
        }
        outcome.lasted = began.elapsed();
        Ok(outcome)
    }
}
