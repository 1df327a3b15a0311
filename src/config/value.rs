//! Values of keys: what kinds there are, and how each is written.

use alloc::string::ToString as _;
use core::fmt;
use core::time::Duration;

use super::{ConfigError, OverCap};

/// A limit or a time of a [`Config`](crate::Config), with the name by which files and errors call it.
/// [`Config::key`](crate::Config::key) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigKey {
    /// The name, as `table.key`, such as `session.linger`.
    pub name: &'static str,
    /// Which values it takes, and how they are written.
    pub kind: ConfigKind,
    /// The smallest amount allowed, in the unit of the kind. 0 for a policy.
    pub min: u64,
    /// The largest amount allowed. 0 for a policy.
    pub max: u64,
}

/// How the value of a key is written, and in which unit its range counts. [`parse`](Self::parse) has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigKind {
    /// A whole number: `100`.
    Count,
    /// A whole number of percent: `80`, `80%`.
    Percent,
    /// A whole number per second; 0 is no limit.
    Rate,
    /// Bytes: `65536`, `64KiB`, `1MiB`, `2GiB`.
    Bytes,
    /// A length of time: `500ms`, `25s`, `2m`, `1h`, `1d`; 0 may go without a unit. Ranges count in whole
    /// milliseconds.
    Time,
    /// An [`OverCap`]: `evict-unresponsive-then-oldest`, `evict-oldest`, `refuse`, or `refuse 30s` for
    /// another wait than five seconds.
    Policy,
}

/// The value of a key: what [`Config::get`](crate::Config::get) gives and
/// [`ConfigBuilder::set`](crate::ConfigBuilder::set) takes.
///
/// `Display` writes it as [`ConfigKind::parse`] reads it, in the largest unit that loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // As in `ConfigKind`.
#[non_exhaustive]
pub enum ConfigValue {
    Count(u32),
    Percent(u32),
    Rate(u32),
    Bytes(u64),
    Time(Duration),
    Policy(OverCap),
}

/// Units of time, the largest first, as `(name, nanoseconds)`.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("ns", 1),
];
/// Units of size, the largest first, as `(name, bytes)`.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ConfigKind {
    /// Reads a value of this kind. Units are read in any case, and a space may stand before them.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] says which form was expected.
    ///
    /// ```
    /// use core::time::Duration;
    /// use headcount::{ConfigKind, ConfigValue};
    ///
    /// assert_eq!(ConfigKind::Bytes.parse("64KiB")?, ConfigValue::Bytes(65_536));
    /// let time = ConfigKind::Time.parse("90s")?;
    /// assert_eq!(time, ConfigValue::Time(Duration::from_secs(90)));
    /// assert_eq!(time.to_string(), "90s");
    /// assert!(ConfigKind::Time.parse("90").is_err());
    /// # Ok::<(), headcount::ConfigError>(())
    /// ```
    pub fn parse(self, text: &str) -> Result<ConfigValue, ConfigError> {
        let value = match self {
            Self::Count => count(text).map(ConfigValue::Count),
            Self::Percent => {
                let bare = text.strip_suffix('%').unwrap_or(text).trim_end();
                count(bare).map(ConfigValue::Percent)
            }
            Self::Rate => count(text).map(ConfigValue::Rate),
            Self::Bytes => size(text).map(ConfigValue::Bytes),
            Self::Time => time(text).map(ConfigValue::Time),
            Self::Policy => return text.parse().map(ConfigValue::Policy),
        };
        value.ok_or_else(|| ConfigError::Unreadable { expected: self.expected() })
    }

    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Count => "a whole number, such as 100",
            Self::Percent => "a percentage, such as 80 or 80%",
            Self::Rate => "a whole number per second, such as 500; 0 is off",
            Self::Bytes => {
                "a whole number of bytes, or one with a unit (KiB, MiB, GiB), such as 64KiB"
            }
            Self::Time => "a whole number and a unit (ms, s, m, h, d), such as 500ms, 25s or 2m",
            Self::Policy => "evict-unresponsive-then-oldest, evict-oldest or refuse",
        }
    }

    /// The value of this kind with an amount in the unit of its range: bytes, whole milliseconds. `None`
    /// if the kind can't express it.
    ///
    /// ```
    /// use headcount::{Config, ConfigKind};
    ///
    /// let linger = Config::key("session.linger").expect("there is one");
    /// assert_eq!(linger.kind.value_of(linger.max).map(|most| most.to_string()), Some("366d".into()));
    /// assert_eq!(ConfigKind::Count.value_of(u64::MAX), None);
    /// ```
    #[must_use]
    pub fn value_of(self, amount: u64) -> Option<ConfigValue> {
        Some(match self {
            Self::Count => ConfigValue::Count(amount.try_into().ok()?),
            Self::Percent => ConfigValue::Percent(amount.try_into().ok()?),
            Self::Rate => ConfigValue::Rate(amount.try_into().ok()?),
            Self::Bytes => ConfigValue::Bytes(amount),
            Self::Time => ConfigValue::Time(Duration::from_millis(amount)),
            Self::Policy => return None,
        })
    }
}

impl ConfigValue {
    /// Of which kind it is.
    #[must_use]
    pub const fn kind(self) -> ConfigKind {
        match self {
            Self::Count(_) => ConfigKind::Count,
            Self::Percent(_) => ConfigKind::Percent,
            Self::Rate(_) => ConfigKind::Rate,
            Self::Bytes(_) => ConfigKind::Bytes,
            Self::Time(_) => ConfigKind::Time,
            Self::Policy(_) => ConfigKind::Policy,
        }
    }

    /// The amount that the range of a key is about: bytes, or whole milliseconds, of which a part
    /// counts as a whole one. `None` for a policy.
    #[must_use]
    pub fn amount(self) -> Option<u64> {
        match self {
            Self::Count(count) | Self::Percent(count) | Self::Rate(count) => Some(count.into()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Time(time) => {
                Some(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
            }
            Self::Policy(_) => None,
        }
    }
}

impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) | Self::Percent(count) | Self::Rate(count) => count.fmt(f),
            Self::Bytes(bytes) => write_in_units(f, u128::from(*bytes), &SIZES),
            Self::Time(time) => write_in_units(f, time.as_nanos(), &TIMES),
            Self::Policy(policy) => policy.fmt(f),
        }
    }
}

fn write_in_units(f: &mut fmt::Formatter<'_>, amount: u128, units: &[(&str, u64)]) -> fmt::Result {
    let divides = |size: u64| amount > 0 && amount.is_multiple_of(size.into());
    match units.iter().find(|(_, size)| divides(*size)) {
        Some((name, size)) => f.pad(&alloc::format!("{}{name}", amount / u128::from(*size))),
        None => f.pad(&amount.to_string()),
    }
}

/// A length of time. Only zero may go without a unit.
pub(super) fn time(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (amount, unit) = measured(text, &TIMES)?;
    let nanos = u128::from(amount) * u128::from(unit);
    let whole = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(whole, (nanos % 1_000_000_000) as u32))
}

fn size(text: &str) -> Option<u64> {
    number(text).or_else(|| {
        let (amount, unit) = measured(text, &SIZES)?;
        amount.checked_mul(unit)
    })
}

fn count(text: &str) -> Option<u32> {
    number(text)?.try_into().ok()
}

/// The number before a unit, and what the unit is worth.
fn measured(text: &str, units: &[(&str, u64)]) -> Option<(u64, u64)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (amount, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let (_, size) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some((number(amount)?, *size))
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
