//! Jitter: parts of a time that look random and are a function of what they are made of.

use core::time::Duration;

use crate::time::nanos;

/// A bijection that spreads its input over all bits (SplitMix64's finaliser, Steele et al., 2014):
/// distinct inputs give distinct outputs.
pub(crate) const fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A share of `span`: zero for the least throw, just short of all of it for the greatest.
pub(crate) fn scale(span: Duration, jitter_bits: u64) -> Duration {
    // The high half of a product with a 64-bit fraction: no bias that could matter, no float.
    Duration::from_nanos(((u128::from(nanos(span)) * u128::from(jitter_bits)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_bits_scale_to_nothing_and_the_greatest_to_almost_all() {
        let span = Duration::from_secs(10);
        assert_eq!(scale(span, 0), Duration::ZERO);
        assert_eq!(scale(span, 1 << 63), span / 2);
        assert_eq!(scale(span, u64::MAX), span - Duration::from_nanos(1));
        assert_eq!(scale(Duration::MAX, u64::MAX), Duration::from_nanos(u64::MAX - 1));
    }

    /// The first numbers of SplitMix64 from the seed 0, of the author's own program.
    #[test]
    fn mixes_as_splitmix64_does() {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let numbers = [0, 1, 2].map(|turn| mix(step.wrapping_mul(turn)));
        let known = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        assert_eq!(numbers, known);
    }

    #[test]
    fn mixed_neighbours_are_spread_evenly() {
        let mut quarters = [0; 4];
        (0..10_000).for_each(|input| quarters[(mix(input) >> 62) as usize] += 1);
        assert!(quarters.iter().all(|count| (2_300..2_700).contains(count)), "{quarters:?}");
    }
}
