//! The time of day of what the registry stamps.

use std::time::{Duration, SystemTime};

use headcount::Timestamp;

/// The wall clock at the instant at which stamps are zero. Asked once: what two stamps say of each
/// other stays so, whatever happens to the wall clock meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    zero: Duration,
}

impl Wall {
    /// For stamps that begin now.
    pub(crate) fn now() -> Self {
        // A clock from before 1970 tells nothing.
        Self { zero: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default() }
    }

    /// Milliseconds since the beginning of 1970.
    pub(crate) fn millis(self, at: Timestamp) -> u64 {
        let since = self.zero.saturating_add(Duration::from_nanos(at.as_nanos()));
        crate::frames::millis(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_count_from_the_start() {
        let wall = Wall { zero: Duration::from_millis(1_700_000_000_000) };
        assert_eq!(wall.millis(Timestamp::from_millis(7)), 1_700_000_000_007);
        assert!(Wall::now().millis(Timestamp::from_secs(1)) > 1_700_000_000_000);
    }
}
