//! A token bucket in one stamp: the generic cell rate algorithm (ITU-T I.371).

use core::time::Duration;

use crate::snapshot::encoded;
use crate::time::Timestamp;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How fast a bucket fills, and how much it holds. Tokens are counted in the time that they take to
/// come in, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    token: u64,
    burst: u64,
}

impl Rate {
    /// So many tokens a second, and so many at once. `None`, for a rate of 0: there is no limit.
    pub(crate) const fn new(per_second: u32, burst: u32) -> Option<Self> {
        if per_second == 0 {
            return None;
        }
        let token = NANOS_PER_SECOND / per_second as u64;
        Some(Self { token, burst: token.saturating_mul(burst as u64) })
    }

    /// The price of a whole token.
    pub(crate) const fn token(self) -> u64 {
        self.token
    }
}

/// A bucket. A new one is full.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct TokenBucket {
    /// When it is full again if nothing more is taken.
    full_at: Timestamp,
}

encoded! { struct TokenBucket { full_at } }

impl TokenBucket {
    pub(crate) const FULL: Self = Self { full_at: Timestamp::ZERO };

    /// Whether nothing is missing in it.
    pub(crate) fn is_full(self, now: Timestamp) -> bool {
        self.full_at <= now
    }

    /// Takes tokens of this price, or nothing.
    ///
    /// # Errors
    /// How long it takes until there is enough.
    pub(crate) fn take(&mut self, now: Timestamp, rate: Rate, price: u64) -> Result<(), Duration> {
        let missing = self.missing(now).saturating_add(price).saturating_sub(rate.burst);
        if missing > 0 {
            return Err(Duration::from_nanos(missing));
        }
        self.pay(now, price);
        Ok(())
    }

    /// Takes as many of so many units as there are, at `per_second` of them a second (not 0) and
    /// `burst` at once; the answer is how many. Both are at most 2^30.
    pub(crate) fn take_some(
        &mut self,
        now: Timestamp,
        per_second: u64,
        burst: u64,
        units: u64,
    ) -> u64 {
        let there = match self.missing(now) {
            // The time in which a burst comes in is no whole number of nanoseconds at every rate.
            0 => burst,
            missing => {
                let room = (burst * NANOS_PER_SECOND / per_second).saturating_sub(missing);
                let there =
                    u128::from(room) * u128::from(per_second) / u128::from(NANOS_PER_SECOND);
                u64::try_from(there).unwrap_or(u64::MAX)
            }
        };
        let taken = there.min(units);
        self.pay(now, (taken * NANOS_PER_SECOND).div_ceil(per_second));
        taken
    }

    /// The time until it is full, in nanoseconds.
    fn missing(self, now: Timestamp) -> u64 {
        self.full_at.as_nanos().saturating_sub(now.as_nanos())
    }

    fn pay(&mut self, now: Timestamp, price: u64) {
        self.full_at = self.full_at.max(now).saturating_add_nanos(price);
    }
}

#[cfg(test)]
mod harness;

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Rate = Rate::new(10, 3).unwrap();

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000 + millis)
    }

    #[test]
    fn a_burst_is_there_at_once_and_then_the_rate_counts() {
        let mut bucket = TokenBucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0), TEN, TEN.token()), Ok(()));
        }
        assert_eq!(bucket.take(at(40), TEN, TEN.token()), Err(Duration::from_millis(60)));
        assert_eq!(bucket.take(at(100), TEN, TEN.token()), Ok(()));
        assert!(!bucket.is_full(at(399)) && bucket.is_full(at(400)));
    }

    #[test]
    fn a_refusal_takes_nothing_and_a_calm_saves_no_more_than_a_burst() {
        let mut bucket = TokenBucket::default();
        for _ in 0..100 {
            let _ = bucket.take(at(0), TEN, TEN.token());
        }
        assert_eq!(bucket.take(at(100), TEN, TEN.token()), Ok(()));
        let taken = (0..10).filter(|_| bucket.take(at(60_000), TEN, TEN.token()).is_ok());
        assert_eq!(taken.count(), 3);
    }

    #[test]
    fn a_part_of_a_token_is_as_good_as_that_part() {
        let mut bucket = TokenBucket::default();
        let eighths = (0..100).filter(|_| bucket.take(at(0), TEN, TEN.token() / 8).is_ok());
        assert_eq!(eighths.count(), 3 * 8);
    }

    #[test]
    fn of_many_units_as_many_are_taken_as_there_are() {
        let mut bucket = TokenBucket::default();
        // A thousand a second, five hundred at once.
        let mut take = |millis, units| bucket.take_some(at(millis), 1_000, 500, units);
        assert_eq!((take(0, 300), take(0, 300), take(0, 300)), (300, 200, 0));
        assert_eq!((take(100, 99), take(100, 99)), (99, 1));
        assert_eq!(take(60_000, u64::MAX), 500);
        let most = 1 << 30;
        assert_eq!(TokenBucket::default().take_some(Timestamp::MAX, most, most, most), most);
        assert_eq!(TokenBucket::default().take_some(Timestamp::ZERO, 1, most, most), most);
    }

    #[test]
    fn a_full_bucket_holds_its_burst_at_a_rate_that_divides_no_second() {
        let take = |per_second, burst| {
            TokenBucket::default().take_some(at(0), per_second, burst, u64::MAX)
        };
        assert_eq!([take(3, 1), take(30_000, 65_536), take(7, 1 << 30)], [1, 65_536, 1 << 30]);
    }

    #[test]
    fn no_stamp_and_no_rate_makes_it_overflow() {
        let huge = Rate::new(1, u32::MAX).unwrap();
        let mut bucket = TokenBucket::default();
        assert_eq!(
            bucket.take(Timestamp::MAX, huge, u64::MAX),
            Err(Duration::from_nanos(u64::MAX - huge.burst))
        );
        assert_eq!(bucket.take(Timestamp::MAX, huge, huge.burst), Ok(()));
        assert_eq!(Rate::new(1_000_000_000, 1).unwrap().token(), 1);
        assert!(Rate::new(0, 1).is_none());
    }
}
