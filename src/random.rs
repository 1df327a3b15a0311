//! Numbers that look random and are a function of the seed.

/// A bijection that spreads its input over all bits (SplitMix64's finaliser, Steele et al., 2014):
/// distinct inputs give distinct outputs.
pub(crate) const fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
