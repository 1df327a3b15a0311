//! Epochs and other numbers of 64 bits as clients see them: hexadecimal digits in a string, because
//! JavaScript's numbers can't hold them.

/// An epoch as clients see it: opaque, because JavaScript's numbers can't hold it.
#[must_use]
pub fn show_epoch(epoch: u64) -> String {
    format!("{epoch:016x}")
}

/// What [`show_epoch`] made. Another text is an epoch of another server or version, which no stream
/// here has: epochs are hashes, and 0 is one by a chance of one in 2^64.
#[must_use]
pub fn parse_epoch(text: &str) -> u64 {
    hex(text).unwrap_or(0)
}

/// An instance, or an epoch: digits only, `from_str_radix` alone would take a sign.
#[must_use]
pub fn hex(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
