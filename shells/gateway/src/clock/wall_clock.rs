//! The wall clock, which the anchor of stamps follows.

use std::time::{Duration, Instant, SystemTime};

use headcount::Timestamp;
use headcount_protocol::anchor::Anchor;

/// How far the wall clock may run away from the monotonic one before the anchor moves: less is the
/// ordinary work of a time daemon.
const DRIFT: Duration = Duration::from_secs(1);

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
        Self { started: Instant::now(), anchor: Anchor::new(since_1970()) }
    }

    /// The anchor by both clocks as they are now.
    pub(crate) fn anchor(&mut self) -> Anchor {
        self.follow(self.started.elapsed(), since_1970())
    }

    /// `passed` is the time since stamps were zero, and `wall` the time since 1970, of one instant.
    fn follow(&mut self, passed: Duration, wall: Duration) -> Anchor {
        let zero = wall.saturating_sub(passed);
        if zero.abs_diff(self.anchor.zero()) > DRIFT {
            self.anchor = Anchor::new(zero);
        }
        self.anchor
    }
}

/// The anchor by the wall clock as it is at this stamp, which is that of now.
pub(crate) fn anchor_of(now: Timestamp) -> Anchor {
    Anchor::new(since_1970().saturating_sub(now.saturating_since(Timestamp::ZERO)))
}

fn since_1970() -> Duration {
    // A clock from before 1970 tells nothing.
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use headcount_protocol::json::millis;

    use super::*;

    #[test]
    fn stamps_begin_now() {
        let anchor = WallClock::start().anchor();
        assert!(anchor.millis(Timestamp::from_secs(1)) > 1_700_000_000_000);
    }

    #[test]
    fn a_wall_clock_that_is_set_is_followed() {
        let seconds = Duration::from_secs;
        let zero = seconds(1_700_000_000);
        let mut clock = WallClock { started: Instant::now(), anchor: Anchor::new(zero) };
        let mut at = |passed: Duration, wall: Duration| {
            let stamp = Timestamp::from_nanos(u64::try_from(passed.as_nanos()).unwrap());
            clock.follow(passed, wall).millis(stamp)
        };
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
        let mut clock = WallClock { started: Instant::now(), anchor: Anchor::new(zero) };
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
