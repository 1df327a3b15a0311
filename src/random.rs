//! Numbers that look random and are a function of the seed.

#[expect(deprecated, reason = "the hasher that is to replace it needs `std`")]
use core::hash::SipHasher;

use core::hash::Hasher;

/// What [`one_way`] makes numbers for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The instance that handles are shown with.
    Instance = 1,
    /// The serial that handles begin with.
    Serials,
    /// The epochs of streams.
    Epochs,
}

/// A number made of the seed that does not give the seed away (SipHash-2-4; Aumasson and Bernstein,
/// 2012), so that clients may see it: who knows the seed can aim hash collisions.
/// [`mix`](crate::store::mix) can be undone.
#[expect(deprecated, reason = "see above")]
pub(crate) fn one_way(seed: u64, purpose: Purpose) -> u64 {
    let mut hasher = SipHasher::new_with_keys(seed, purpose as u64);
    hasher.write(&seed.to_le_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_and_each_seed_has_a_number_of_its_own() {
        let purposes = [Purpose::Instance, Purpose::Serials, Purpose::Epochs];
        let mut numbers: alloc::vec::Vec<u64> =
            (0..100).flat_map(|seed| purposes.map(|purpose| one_way(seed, purpose))).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 300);
    }

    /// The example of the paper, so that every platform and version makes the same numbers.
    #[test]
    #[expect(deprecated, reason = "see above")]
    fn the_hash_is_siphash_2_4() {
        let (low, high) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let mut hasher = SipHasher::new_with_keys(low, high);
        hasher.write(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }
}
