//! How long the turns of a loop have taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets: up to 16 µs, and so on in powers of two up to 4.2 s, and what is longer.
const BUCKETS: usize = 20;

/// Bits of a microsecond count that the first bucket covers.
const FIRST_BITS: u32 = 4;

/// How long the turns of a server's loop have taken, without the wait for events. Every socket waits for the
/// turn under way, beside the network. [`Handle::turn_times`](crate::Handle::turn_times) tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnTimes {
    counts: [u64; BUCKETS],
    total: Duration,
}

impl TurnTimes {
    /// For each bucket the longest turn in it, and how many turns there were, without those of the buckets
    /// before.
    /// The bounds are 16 µs times a power of two, up to 4.2 s; the last is `None`, for longer turns.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        self.counts.iter().enumerate().map(|(bucket, count)| {
            let bound = (bucket + 1 < BUCKETS)
                .then(|| Duration::from_micros(1 << (FIRST_BITS as usize + bucket)));
            (bound, *count)
        })
    }

    /// How many turns there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all turns took.
    #[must_use]
    pub const fn total(&self) -> Duration {
        self.total
    }
}

/// What the loop writes and handles read.
#[derive(Default)]
pub(crate) struct Recorded {
    counts: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Recorded {
    /// Only the loop calls this, so that an addition needs no lock.
    pub(crate) fn record(&self, turn: Duration) {
        let micros = u64::try_from(turn.as_micros()).unwrap_or(u64::MAX);
        let add = |to: &AtomicU64, more: u64| {
            to.store(to.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
        };
        add(&self.counts[bucket_of(micros)], 1);
        add(&self.micros, micros);
    }

    pub(crate) fn snapshot(&self) -> TurnTimes {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        TurnTimes { counts, total: Duration::from_micros(self.micros.load(Ordering::Relaxed)) }
    }
}

/// The first bucket whose bound is not below this.
fn bucket_of(micros: u64) -> usize {
    let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
    (bits.saturating_sub(FIRST_BITS) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_in_the_first_bucket_that_is_long_enough() {
        let recorded = Recorded::default();
        let turns = [0, 1, 16, 17, 32, 33, 1_000, 4_194_304, 4_194_305, u64::MAX / 2];
        for micros in turns {
            recorded.record(Duration::from_micros(micros));
        }
        let times = recorded.snapshot();
        let mut found = times.buckets().filter(|(_, count)| *count > 0);
        let micros = |micros| Some(Duration::from_micros(micros));
        let expected = [
            (micros(16), 3),
            (micros(32), 2),
            (micros(64), 1),
            (micros(1_024), 1),
            (micros(4_194_304), 1),
            (None, 2),
        ];
        for bucket in expected {
            assert_eq!(found.next(), Some(bucket));
        }
        assert_eq!((found.next(), times.count()), (None, turns.len() as u64));
        assert_eq!(times.buckets().count(), BUCKETS);
    }
}
