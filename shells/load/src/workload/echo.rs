//! Messages that come back.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::crowd::{Crowd, What};
use crate::error::LoadError;
use crate::frames::Frames;

/// Each connection has a number of messages in flight, and sends as many as came back.
#[derive(Clone, Debug)]
pub struct Echo {
    /// Which connections of the crowd.
    pub connections: Range<usize>,
    /// Messages in flight on each.
    pub in_flight: usize,
    /// Bytes of a message.
    pub bytes: usize,
    /// How long messages are sent.
    pub length: Duration,
}

impl Echo {
    /// Runs until the last message is back.
    ///
    /// # Errors
    /// A connection ends, or the server stalls.
    pub fn run(&self, crowd: &mut Crowd) -> Result<Outcome, LoadError> {
        let frames = Frames::text(self.bytes, self.in_flight);
        let mut outcome = Outcome::default();
        let began = Instant::now();
        let mut sent = vec![VecDeque::with_capacity(self.in_flight); self.connections.len()];
        for (connection, sent) in self.connections.clone().zip(&mut sent) {
            crowd.send(connection, frames.first(self.in_flight))?;
            sent.extend(std::iter::repeat_n(Instant::now(), self.in_flight));
        }
        let mut owed = self.in_flight * self.connections.len();
        let mut reports = Vec::new();
        while owed > 0 {
            crowd.wait("an echo", &mut reports)?;
            for report in reports.drain(..) {
                let What::Messages(messages) = report.what else { continue };
                let Some(place) = report.connection.checked_sub(self.connections.start) else {
                    continue;
                };
                let Some(sent) = sent.get_mut(place) else { continue };
                let now = Instant::now();
                // One that was not asked for is no echo.
                let back = sent.len().min(messages as usize);
                let longest = sent.front().map_or(Duration::ZERO, |at| now - *at);
                outcome.series.record(now - began, back as u64, longest);
                for at in sent.drain(..back) {
                    outcome.latency.record(now - at);
                }
                outcome.messages += back as u64;
                if now - began < self.length {
                    crowd.send(report.connection, frames.first(back))?;
                    sent.extend(std::iter::repeat_n(now, back));
                } else {
                    owed -= back;
                }
            }
        }
        outcome.lasted = began.elapsed();
        Ok(outcome)
    }
}
