//! The time of day of what the registry stamps.

use std::time::{Duration, Instant, SystemTime};

use headcount::Timestamp;

/// How far the wall clock may run away from the monotonic one before the anchor moves: less is the
/// ordinary work of a time daemon.
const DRIFT: Duration = Duration::from_secs(1);

/// The wall clock at the instant at which stamps are zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    zero: Duration,
}

impl Anchor {
    /// For stamps that begin now.
    pub(crate) fn now() -> Self {
        Self { zero: since_1970() }
    }

    /// The stamp of a time since the beginning of 1970; zero for one before stamps were zero.
    pub(crate) fn stamp(self, since_1970: Duration) -> Timestamp {
        let since = since_1970.saturating_sub(self.zero);
        Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Milliseconds since the beginning of 1970.
    pub(crate) fn millis(self, at: Timestamp) -> u64 {
        let since = self.zero.saturating_add(Duration::from_nanos(at.as_nanos()));
        crate::wire::frames::millis(since)
    }
}

/// A wall clock that is set, and one that goes on while the machine sleeps, part from the monotonic
/// clock of the stamps. The anchor follows: the same stamp can be another time of day afterwards.
#[derive(Debug)]
pub(crate) struct WallClock {
    /// When stamps were zero.
    started: Instant,
    anchor: Anchor,
}

impl WallClock {
    /// For stamps that begin now.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), anchor: Anchor::now() }
    }

    /// The anchor by both clocks as they are now.
    pub(crate) fn anchor(&mut self) -> Anchor {
        self.follow(self.started.elapsed(), since_1970())
    }

    /// `passed` is the time since stamps were zero, and `wall` the time since 1970, of one instant.
    fn follow(&mut self, passed: Duration, wall: Duration) -> Anchor {
        let zero = wall.saturating_sub(passed);
        if zero.abs_diff(self.anchor.zero) > DRIFT {
            self.anchor = Anchor { zero };
        }
        self.anchor
    }
}

fn since_1970() -> Duration {
    // A clock from before 1970 tells nothing.
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_count_from_the_start() {
        let wall = Anchor { zero: Duration::from_millis(1_700_000_000_000) };
        assert_eq!(wall.millis(Timestamp::from_millis(7)), 1_700_000_000_007);
        let stamp = |millis| wall.stamp(Duration::from_millis(millis));
        assert_eq!(stamp(1_700_000_000_007), Timestamp::from_millis(7));
        assert_eq!(stamp(1_699_999_999_999), Timestamp::ZERO);
        assert_eq!(wall.stamp(Duration::MAX), Timestamp::MAX);
        assert!(Anchor::now().millis(Timestamp::from_secs(1)) > 1_700_000_000_000);
    }

    #[test]
    fn a_wall_clock_that_is_set_is_followed() {
        let seconds = Duration::from_secs;
        let zero = seconds(1_700_000_000);
        let mut clock = WallClock { started: Instant::now(), anchor: Anchor { zero } };
        let mut at = |passed: Duration, wall: Duration| {
            let stamp = Timestamp::from_nanos(u64::try_from(passed.as_nanos()).unwrap());
            clock.follow(passed, wall).millis(stamp)
        };
        let millis = crate::wire::frames::millis;
        let step = seconds(8 * 3_600);
        for (passed, ahead) in [(10, seconds(0)), (20, step), (30, step), (40, seconds(2))] {
            let (passed, wall) = (seconds(passed), zero + seconds(passed) + ahead);
            assert_eq!(at(passed, wall), millis(wall), "{passed:?}");
        }
        // Backwards too.
        let (passed, wall) = (seconds(50), zero + seconds(50) - step);
        assert_eq!(at(passed, wall), millis(wall));
    }

    #[test]
    fn a_clock_that_is_slewed_does_not_move_what_was_said() {
        let seconds = Duration::from_secs;
        let zero = seconds(1_700_000_000);
        let mut clock = WallClock { started: Instant::now(), anchor: Anchor { zero } };
        let stamp = Timestamp::from_secs(5);
        for milli in (0..=1_000).step_by(100) {
            let wall = zero + seconds(10) + Duration::from_millis(milli);
            assert_eq!(clock.follow(seconds(10), wall).millis(stamp), 1_700_000_005_000);
        }
        // Slow drift adds up, and is followed when it comes to more than a second.
        let wall = zero + seconds(10) + Duration::from_millis(1_001);
        assert_eq!(clock.follow(seconds(10), wall).millis(stamp), 1_700_000_006_001);
    }
}
