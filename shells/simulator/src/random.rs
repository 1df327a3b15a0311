//! Chance, from a seed.

/// SplitMix64 (Steele, Lea and Flood, 2014).
///
/// Written out because a seed has to mean the same run on every platform and in every version:
/// crates of generators promise that for raw numbers, not for the ranges that are drawn from them.
/// Integers only, for a logarithm may differ in its last bit from one platform to the next.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound; 0 for a bound of 0.
    pub(crate) const fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * bound as u64) >> 32) as u32
    }

    /// A number from a half-open range; its start if the range is empty.
    pub(crate) const fn between(&mut self, from: u32, to: u32) -> u32 {
        from.saturating_add(self.below(to.saturating_sub(from)))
    }

    /// A length of time around a mean: uniform over [½, 1½) of it, and never nothing.
    pub(crate) const fn around(&mut self, mean: u32) -> u32 {
        let drawn = mean / 2 + self.below(mean);
        if drawn == 0 { 1 } else { drawn }
    }

    pub(crate) const fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_published_algorithm() {
        let mut random = Random::new(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn ranges_hold() {
        let mut random = Random::new(7);
        for _ in 0..10_000 {
            assert!((5..9).contains(&random.between(5, 9)));
            assert!((50..150).contains(&random.around(100)));
        }
        assert_eq!((random.between(3, 3), random.below(0), random.around(0)), (3, 0, 1));
        assert!(random.percent(100) && !random.percent(0));
    }
}
