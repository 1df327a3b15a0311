//! Durations, counted by how long they are.

use std::time::Duration;

/// Buckets for each doubling: a value is known to within 1/32 of itself.
const STEPS: u64 = 32;

/// How often which duration came up. It has a few thousand counters, however many are recorded.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, duration: Duration) {
        let bucket = bucket(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.most = self.most.max(duration);
    }

    /// How many were recorded.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The longest; zero if there is none.
    #[must_use]
    pub const fn most(&self) -> Duration {
        self.most
    }

    /// The duration that so many percent do not exceed, at most 1/32 too long; zero if there is none.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted =
            ((self.total as f64 * percent / 100.0).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(end(bucket)).min(self.most);
            }
        }
        self.most
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let doublings = u64::from(nanos.ilog2() - STEPS.ilog2());
    ((doublings + 1) * STEPS + (nanos >> doublings) - STEPS) as usize
}

/// The largest value of a bucket.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let (doublings, step) = (bucket / STEPS - 1, bucket % STEPS);
    (((STEPS + step + 1) as u128) << doublings).saturating_sub(1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_values_and_no_others() {
        for nanos in (0..2_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX]) {
            let bucket = bucket(nanos);
            assert!(nanos <= end(bucket) && (bucket == 0 || nanos > end(bucket - 1)), "{nanos}");
            assert!(end(bucket) - nanos <= nanos / STEPS, "{nanos}");
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), Duration::ZERO);
        for micros in 1..=1_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (percent, micros) in [(50.0, 500), (99.0, 990), (100.0, 1_000)] {
            let (found, exact) = (histogram.percentile(percent), Duration::from_micros(micros));
            assert!(found >= exact && found <= exact * 33 / 32, "{percent}: {found:?}");
        }
        assert_eq!((histogram.total(), histogram.most()), (1_000, Duration::from_millis(1)));
    }
}
