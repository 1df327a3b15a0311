//! What happened in each tenth of a second.

use std::time::Duration;

/// The time that one sample is of.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// What arrived within one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Messages, or connections that were opened.
    pub arrived: u64,
    /// The longest that one of them took.
    pub longest: Duration,
}

/// Samples from the beginning of a run, without gaps.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Sample>);

impl Series {
    /// Counts what arrived at a time since the beginning, and how long it took.
    pub fn record(&mut self, at: Duration, arrived: u64, took: Duration) {
        let interval = (at.as_millis() / INTERVAL.as_millis()) as usize;
        if interval >= self.0.len() {
            self.0.resize(interval + 1, Sample::default());
        }
        let sample = &mut self.0[interval];
        sample.arrived += arrived;
        sample.longest = sample.longest.max(took);
    }

    /// One for each interval.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_counted_in_its_interval() {
        let mut series = Series::default();
        let millis = Duration::from_millis;
        series.record(millis(250), 3, millis(7));
        series.record(millis(299), 1, millis(9));
        series.record(millis(10), 1, millis(1));
        let expected = [(1, 1), (0, 0), (4, 9)];
        let expected = expected.map(|(arrived, ms)| Sample { arrived, longest: millis(ms) });
        assert_eq!(series.samples(), expected);
    }
}
