//! The bucket against the list of everything that was taken out of it.

use alloc::vec::Vec;

use bolero::{TypeGenerator, check, produce};

use super::*;

/// How many calls a history has at most.
const CALLS: usize = if cfg!(kani) { 3 } else { 60 };

/// A price or a number of units, and the time before it is asked for. Most are near what decides: parts of a
/// token, and a nanosecond more or less.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Take {
    #[generator(0..=6_u64)]
    wait_quarters: u64,
    #[generator(0..=2_u64)]
    wait_nanos: u64,
    /// Now and then any time.
    #[generator(0..=u64::MAX >> 20)]
    long_wait: u64,
    #[generator(0..=9_u8)]
    is_long: u8,
    #[generator(0..=9_u64)]
    amount: u64,
    #[generator(0..=1_u64)]
    more: u64,
}

impl Take {
    /// How long to wait, where a token comes in within so many nanoseconds.
    const fn wait(self, token: u64) -> u64 {
        match self.is_long {
            0 => self.long_wait,
            _ => self.wait_quarters * token / 4 + self.wait_nanos,
        }
    }
}

/// What is missing: the most that any run of takes up to now was more than what came in since its first.
/// `taken` is when and how much; what comes in is `a_nano` a nanosecond.
fn missing(taken: &[(u64, u128)], now: u64, a_nano: u128) -> u128 {
    let mut sum = 0;
    let each = taken.iter().rev().map(|(at, amount)| {
        sum += amount;
        u128::saturating_sub(sum, u128::from(now - at) * a_nano)
    });
    each.max().unwrap_or(0)
}

#[test]
#[cfg_attr(kani, kani::proof, kani::unwind(5))]
fn no_span_gets_more_than_a_burst_and_what_came_in_meanwhile() {
    let takes = produce::<Vec<Take>>().with().len(0..=CALLS);
    let rates = ((1..=1_000_000_000_u32, 0..30_u8), 1..=8_u32);
    check!().with_iterations(2_000).with_generator((rates, takes)).for_each(
        |(((per_second, shift), burst), takes)| {
            let rate =
                Rate::new((per_second >> shift).max(1), *burst).expect("a rate that is not 0");
            let all = rate.token() * u64::from(*burst);
            let (mut bucket, mut taken, mut now) = (TokenBucket::default(), Vec::new(), 0);
            for take in takes {
                now += take.wait(rate.token());
                let price = take.amount * rate.token() / 4 + take.more;
                let before = missing(&taken, now, 1) as u64;
                let stamp = Timestamp::from_nanos(now);
                assert_eq!(bucket.is_full(stamp), before == 0);
                let expected = match (before + price).checked_sub(all) {
                    Some(0) | None => Ok(()),
                    Some(beyond) => Err(Duration::from_nanos(beyond)),
                };
                assert_eq!(bucket.take(stamp, rate, price), expected);
                if expected.is_ok() {
                    taken.push((now, u128::from(price)));
                }
            }
        },
    );
}

#[test]
#[cfg_attr(kani, kani::proof, kani::unwind(5))]
fn as_many_units_are_taken_as_there_are_to_the_nanosecond() {
    /// What a unit is in the reference: then a nanosecond brings `per_second` of them.
    const UNIT: u128 = 1_000_000_000;
    let takes = produce::<Vec<Take>>().with().len(0..=CALLS);
    let rates = ((1..=1_u64 << 30, 0..=30_u8), (1..=1_u64 << 30, 0..=30_u8));
    check!().with_iterations(2_000).with_generator((rates, takes)).for_each(
        |(((rate, rate_shift), (most, most_shift)), takes)| {
            let (per_second, burst) = ((*rate >> rate_shift).max(1), (*most >> most_shift).max(1));
            let a_nano = u128::from(per_second);
            let (mut bucket, mut taken, mut now) = (TokenBucket::default(), Vec::new(), 0);
            for take in takes {
                now += take.wait(NANOS_PER_SECOND / per_second);
                // A few units, or as many ninths of a burst.
                let units = if take.more == 0 { take.amount } else { burst * take.amount / 9 };
                let before = missing(&taken, now, a_nano);
                let there = (u128::from(burst) * UNIT).saturating_sub(before);
                let got = bucket.take_some(Timestamp::from_nanos(now), per_second, burst, units);
                assert!(u128::from(got) * UNIT <= there, "{got} of {there}");
                // A nanosecond is lost at each take, and one for the burst, unless the bucket is full.
                let dearer: Vec<_> = taken.iter().map(|(at, sum)| (*at, sum + a_nano)).collect();
                let lost = match missing(&dearer, now, a_nano) {
                    0 => 0,
                    missing => missing - before + a_nano,
                };
                let least = (there.saturating_sub(lost) / UNIT).min(u128::from(units));
                assert!(u128::from(got) >= least, "{got} of {there}");
                if got > 0 {
                    taken.push((now, u128::from(got) * UNIT));
                }
            }
        },
    );
}
