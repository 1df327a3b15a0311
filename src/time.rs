//! Time as an argument: [`Timestamp`], and [`Clock`] for programs that have an operating system.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};
use core::time::Duration;

use crate::snapshot::encoded;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// An instant: nanoseconds since an epoch that the caller chooses, 584 years of range.
///
/// All stamps given to one [`Registry`](crate::Registry) must come from one monotonic clock.
/// Arithmetic saturates at both ends, so no stamp can make it panic.
///
/// The registry's deadlines are whole milliseconds, rounded up once, where a deadline is made: it
/// never acts early, and acts less than one millisecond after the exact instant.
///
/// ```
/// use std::time::Duration;
/// use headcount::Timestamp;
///
/// let start = Timestamp::from_millis(1_500);
/// assert_eq!(start + Duration::from_secs(2) - start, Duration::from_secs(2));
/// assert_eq!(Timestamp::ZERO - start, Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

encoded! { struct Timestamp(nanos) }

impl Timestamp {
    /// The caller's epoch.
    pub const ZERO: Self = Self(0);
    /// The last instant that can be named.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// The instant `secs` seconds after the epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down: what a clock shows.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / NANOS_PER_MILLI
    }

    /// The time since `earlier`, zero if `earlier` is later than `self`.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The instant `duration` earlier, [`Timestamp::ZERO`] at least.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// The instant `duration` later, [`Timestamp::MAX`] at most.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        self.saturating_add_nanos(nanos(duration))
    }

    /// The first instant from this one on that is a whole multiple of `step` after the epoch; this one, if
    /// `step` is zero.
    pub(crate) const fn next_multiple_of(self, step: Duration) -> Self {
        match nanos(step) {
            0 => self,
            step => Self(self.0.div_ceil(step).saturating_mul(step)),
        }
    }

    pub(crate) const fn saturating_add_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// The nanoseconds of a duration, as many as a stamp can have at most.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos() as u64)
}

/// When something is due: a whole millisecond of the caller's epoch.
///
/// Rounding happens here and nowhere else, so that a tick and `poll_timeout` can't disagree about
/// the same deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Deadline(u64);

encoded! { struct Deadline(millis) }

impl Deadline {
    /// The first whole millisecond that is not before an instant.
    pub(crate) const fn of(at: Timestamp) -> Self {
        Self(at.0.div_ceil(NANOS_PER_MILLI))
    }

    /// The first whole millisecond at which `wait` has passed since `from`.
    pub(crate) const fn after(from: Timestamp, wait: Duration) -> Self {
        Self::of(from.saturating_add(wait))
    }

    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub(crate) const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whether it acts in a tick at this instant.
    pub(crate) const fn is_due(self, now: Timestamp) -> bool {
        self.0 <= now.as_millis()
    }

    /// The instant at which it acts; `None` if it is later than every stamp, and never comes.
    pub(crate) const fn instant(self) -> Option<Timestamp> {
        match self.0.checked_mul(NANOS_PER_MILLI) {
            Some(nanos) => Some(Timestamp(nanos)),
            None => None,
        }
    }

    /// The time until then: zero once it is due.
    pub(crate) const fn left(self, now: Timestamp) -> Duration {
        Timestamp::from_millis(self.0).saturating_since(now)
    }
}

/// A deadline in six bytes, for records of which there are many: milliseconds, of which 48 bits name more
/// than any stamp, or that there is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PackedDeadline([u16; 3]);

encoded! { struct PackedDeadline(parts) }

impl PackedDeadline {
    pub(crate) const NONE: Self = Self([u16::MAX; 3]);

    pub(crate) const fn new(at: Deadline) -> Self {
        Self([at.0 as u16, (at.0 >> 16) as u16, (at.0 >> 32) as u16])
    }

    /// If there is none, it is later than every deadline that comes.
    pub(crate) const fn get(self) -> Deadline {
        let [low, middle, high] = self.0;
        Deadline(low as u64 | (middle as u64) << 16 | (high as u64) << 32)
    }
}

const _: () = assert!(PackedDeadline::NONE.get().0 > u64::MAX / NANOS_PER_MILLI + 1);

/// The same as [`Timestamp::saturating_add`].
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

/// The same as [`Timestamp::saturating_add`].
impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, duration: Duration) {
        *self = self.saturating_add(duration);
    }
}

/// The same as [`Timestamp::saturating_sub`].
impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.saturating_sub(duration)
    }
}

/// The same as [`Timestamp::saturating_sub`].
impl SubAssign<Duration> for Timestamp {
    fn sub_assign(&mut self, duration: Duration) {
        *self = self.saturating_sub(duration);
    }
}

/// The same as [`Timestamp::saturating_since`].
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// Reads the operating system's monotonic clock; its epoch is its own creation.
///
/// The registry never reads a clock. A shell keeps one `Clock`, reads it once per turn, and passes
/// the stamp to everything that happens in that turn.
///
/// ```
/// use headcount::{Clock, Timestamp};
///
/// let clock = Clock::new();
/// let began = clock.now();
/// assert!(Timestamp::ZERO <= began && began <= clock.now());
/// ```
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: std::time::Instant,
}

#[cfg(feature = "std")]
impl Clock {
    /// A clock that shows zero now.
    #[must_use]
    #[allow(clippy::new_without_default)] // A `Default` that reads the clock would surprise.
    pub fn new() -> Self {
        std::time::Instant::now().into()
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.timestamp(std::time::Instant::now())
    }

    /// What the clock showed, or will show, at an instant; [`Timestamp::ZERO`] before its epoch.
    #[must_use]
    pub fn timestamp(&self, at: std::time::Instant) -> Timestamp {
        Timestamp::ZERO + at.saturating_duration_since(self.epoch)
    }

    /// The instant at which the clock shows this stamp: for a timer of the operating system or of an
    /// asynchronous runtime. `None`: it is later than an `Instant` can be.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> Option<std::time::Instant> {
        self.epoch.checked_add(at - Timestamp::ZERO)
    }
}

/// A clock that shows zero at that instant.
#[cfg(feature = "std")]
impl From<std::time::Instant> for Clock {
    fn from(epoch: std::time::Instant) -> Self {
        Self { epoch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.saturating_since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::from_secs(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_secs(1) - Duration::MAX, Timestamp::ZERO);
        assert_eq!(Timestamp::from_secs(3) - Timestamp::from_secs(1), Duration::from_secs(2));
        assert_eq!(Timestamp::ZERO - Timestamp::MAX, Duration::ZERO);
        let mut at = Timestamp::from_secs(3);
        at += Duration::from_secs(4);
        at -= Duration::from_secs(6);
        assert_eq!(at, Timestamp::from_secs(1));
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_clock_turns_instants_into_stamps_and_back() {
        let epoch = std::time::Instant::now();
        let clock = Clock::from(epoch);
        let later = epoch + Duration::from_millis(1_500);
        assert_eq!(clock.timestamp(later), Timestamp::from_millis(1_500));
        assert_eq!(clock.instant(Timestamp::from_millis(1_500)), Some(later));
        assert_eq!(clock.instant(Timestamp::ZERO), Some(epoch));
        assert!(clock.now() <= clock.timestamp(std::time::Instant::now()));
    }

    #[test]
    fn clocks_round_down_and_deadlines_round_up() {
        let stamp = Timestamp::from_nanos(1_000_001);
        assert_eq!(stamp.as_millis(), 1);
        let due = |at: Timestamp| Deadline::after(at, Duration::ZERO);
        assert_eq!(due(stamp), Deadline::from_millis(2));
        assert_eq!(due(Timestamp::from_millis(7)), Deadline::from_millis(7));
        let whole = Deadline::after(stamp, Duration::from_nanos(999_999));
        assert_eq!(whole.instant(), Some(Timestamp::from_millis(2)));
        assert!(!whole.is_due(Timestamp::from_nanos(1_999_999)));
        assert!(whole.is_due(Timestamp::from_millis(2)));
        assert_eq!(whole.left(stamp), Duration::from_nanos(999_999));
        assert_eq!(whole.left(Timestamp::MAX), Duration::ZERO);
    }

    #[test]
    fn a_packed_deadline_is_the_same_when_unpacked() {
        let last = Deadline::after(Timestamp::MAX, Duration::ZERO);
        for at in [Deadline(0), Deadline(0xffff), Deadline(0x1_2345_6789), last] {
            assert_eq!(PackedDeadline::new(at).get(), at);
        }
        assert!(
            PackedDeadline::NONE.get() > last && PackedDeadline::NONE.get().instant().is_none()
        );
    }

    #[test]
    fn a_deadline_beyond_the_last_stamp_never_comes() {
        let never = Deadline::after(Timestamp::MAX, Duration::from_secs(1));
        assert_eq!(never.instant(), None);
        assert!(!never.is_due(Timestamp::MAX));
    }
}
