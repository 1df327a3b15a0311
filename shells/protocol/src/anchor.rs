//! The time of day of what the registry stamps.

use std::time::Duration;

use headcount::Timestamp;

use crate::json::millis;

/// The wall clock at the instant at which stamps are zero.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    zero: Duration,
}

impl Anchor {
    /// `zero` is the time since the beginning of 1970 at which stamps were zero.
    #[must_use]
    pub const fn new(zero: Duration) -> Self {
        Self { zero }
    }

    /// What it was made with.
    #[must_use]
    pub const fn zero(self) -> Duration {
        self.zero
    }

    /// The stamp of a time since the beginning of 1970; zero for one before stamps were zero.
    #[must_use]
    pub fn stamp(self, since_1970: Duration) -> Timestamp {
        let since = since_1970.saturating_sub(self.zero);
        Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Milliseconds since the beginning of 1970.
    #[must_use]
    pub fn millis(self, at: Timestamp) -> u64 {
        let since = self.zero.saturating_add(Duration::from_nanos(at.as_nanos()));
        millis(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_count_from_the_start() {
        let anchor = Anchor::new(Duration::from_millis(1_700_000_000_000));
        assert_eq!(anchor.millis(Timestamp::from_millis(7)), 1_700_000_000_007);
        let stamp = |millis| anchor.stamp(Duration::from_millis(millis));
        assert_eq!(stamp(1_700_000_000_007), Timestamp::from_millis(7));
        assert_eq!(stamp(1_699_999_999_999), Timestamp::ZERO);
        assert_eq!(anchor.stamp(Duration::MAX), Timestamp::MAX);
    }
}
