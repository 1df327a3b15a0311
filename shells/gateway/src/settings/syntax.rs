//! How the values of settings are written: counts, rates, sizes, durations and addresses.
//!
//! Errors complete the sentence "… is not": they say what was expected.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Units of time, the largest first, as `(name, milliseconds)`.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Units of size, the largest first, as `(name, bytes)`.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const TIME: &str = "a whole number and a unit (ms, s, m, h, d), such as 500ms, 25s or 2m";
const SIZE: &str = "a whole number of bytes, or one with a unit (KiB, MiB, GiB), such as 64KiB";
const FLAG: &str = "true or false";
const COUNT: &str = "a whole number, such as 100";
const PERCENT: &str = "a percentage, such as 80 or 80%";
const ADDRESS: &str = "an IP address and a port, such as 127.0.0.1:7400 or [::1]:0";
const RATE: &str = "a whole number per second, such as 500; 0 is off";

/// A value as a file would have it, without its quotes; others as they are.
pub(crate) fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// A list with commas; brackets and quotes, as a file would have them, are allowed.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let text = Some(unquoted(text)).filter(|list| !list.contains('"')).unwrap_or(text);
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let items = inner.unwrap_or(text).split(',').map(|item| unquoted(item.trim()));
    items.filter(|item| !item.is_empty())
}

/// Yes or no.
pub(crate) fn flag(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| FLAG)
}

/// A whole number.
pub(crate) fn count(text: &str) -> Result<u32, &'static str> {
    number(text).and_then(|number| u32::try_from(number).ok()).ok_or(COUNT)
}

/// A whole number of percent; the sign may be left out.
pub(crate) fn percent(text: &str) -> Result<u32, &'static str> {
    count(text.strip_suffix('%').unwrap_or(text).trim_end()).map_err(|_| PERCENT)
}

/// A whole number per second.
pub(crate) fn rate(text: &str) -> Result<u32, &'static str> {
    number(text).and_then(|number| u32::try_from(number).ok()).ok_or(RATE)
}

/// Bytes: `65536`, `64KiB`.
pub(crate) fn size(text: &str) -> Result<u64, &'static str> {
    if let Some(bytes) = number(text) {
        return Ok(bytes);
    }
    measured(text, &SIZES).ok_or(SIZE)
}

/// A duration: `25s`. Only zero may go without a unit.
pub(crate) fn time(text: &str) -> Result<Duration, &'static str> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    measured(text, &TIMES).map(Duration::from_millis).ok_or(TIME)
}

/// An IP address and a port; `localhost` is 127.0.0.1.
pub(crate) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| ADDRESS)
}

/// A size as it would be written in a setting, in the largest unit that divides it.
pub(crate) fn show_size(bytes: u64) -> impl fmt::Display {
    show(bytes, &SIZES)
}

/// Milliseconds as they would be written in a setting.
pub(crate) fn show_time(millis: u64) -> impl fmt::Display {
    show(millis, &TIMES)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().find(|(_, size)| amount > 0 && amount.is_multiple_of(*size));
    match fitting {
        Some((name, size)) => format!("{}{name}", amount / size),
        None => amount.to_string(),
    }
}

fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (amount, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let (_, size) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number(amount)?.checked_mul(*size)
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("25s", 25_000),
            ("25 s", 25_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "25", "s", "-1s", "+1s", "1.5s", "1 w", "18446744073709551615d", "2m3s"] {
            assert_eq!(time(text), Err(TIME), "{text}");
        }
    }

    #[test]
    fn sizes_counts_and_rates() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("64KiB", 65_536),
            ("1mib", 1 << 20),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "1KB", "-1", "0x10", "1e3", "99999999999999999999"] {
            assert_eq!(size(text), Err(SIZE), "{text}");
        }
        assert_eq!((count("7"), rate("0")), (Ok(7), Ok(0)));
        assert_eq!((percent("80"), percent("80%"), percent("0.8")), (Ok(80), Ok(80), Err(PERCENT)));
        assert_eq!((count("4294967296"), rate("many")), (Err(COUNT), Err(RATE)));
    }

    #[test]
    fn addresses() {
        assert_eq!(address("localhost:0"), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(address("[::1]:7400"), Ok("[::1]:7400".parse().unwrap()));
        for wrong in ["", "7400", ":7400", "127.0.0.1", "example.com:80", "127.0.0.1:65536"] {
            assert_eq!(address(wrong), Err(ADDRESS), "{wrong}");
        }
    }

    #[test]
    fn shown_as_written() {
        for text in ["64KiB", "1GiB", "17B", "0"] {
            assert_eq!(show_size(size(text).unwrap()).to_string(), text);
        }
        for text in ["500ms", "25s", "2m", "366d", "0"] {
            let millis = time(text).unwrap().as_millis() as u64;
            assert_eq!(show_time(millis).to_string(), text);
        }
    }
}
