//! Values of keys as numbers.

use core::time::Duration;

/// A value of a key, in the unit its range is given in: durations in whole milliseconds.
pub(super) trait Amount: Copy {
    fn amount(self) -> u64;

    /// The value itself as a number: durations in nanoseconds. Of a valid one nothing is lost.
    #[cfg(feature = "journal")]
    fn exact(self) -> u64;

    /// The value that [`Amount::exact`] made this of; `None` if there is none.
    #[cfg(feature = "journal")]
    fn from_exact(number: u64) -> Option<Self>;
}

impl Amount for u32 {
    fn amount(self) -> u64 {
        u64::from(self)
    }

    #[cfg(feature = "journal")]
    fn exact(self) -> u64 {
        self.into()
    }

    #[cfg(feature = "journal")]
    fn from_exact(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl Amount for u64 {
    fn amount(self) -> u64 {
        self
    }

    #[cfg(feature = "journal")]
    fn exact(self) -> u64 {
        self
    }

    #[cfg(feature = "journal")]
    fn from_exact(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl Amount for Duration {
    fn amount(self) -> u64 {
        u64::try_from(self.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    #[cfg(feature = "journal")]
    fn exact(self) -> u64 {
        self.as_nanos() as u64
    }

    #[cfg(feature = "journal")]
    fn from_exact(number: u64) -> Option<Self> {
        Some(Self::from_nanos(number))
    }
}
