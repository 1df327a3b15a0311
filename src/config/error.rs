//! Why a configuration is none.

use core::fmt;

use super::ConfigKind;

/// Why a configuration was refused: which key, and what is wrong with its value.
/// [`ConfigBuilder::build`](crate::ConfigBuilder::build) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The value is outside the key's range.
    OutOfRange {
        /// The key, as `table.key`.
        key: &'static str,
        /// The smallest value allowed, in the key's unit (durations: milliseconds).
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// A value that was given contradicts that of another key, whether that was given as well or
    /// is its default.
    Contradiction {
        /// The key whose value is too large.
        key: &'static str,
        /// The key whose value it must not exceed.
        exceeds: &'static str,
    },
    /// There is no key of the name that was given. [`Config::KEYS`](crate::Config::KEYS) has them all.
    UnknownKey,
    /// The key takes values of another kind.
    WrongKind {
        /// The key.
        key: &'static str,
        /// The kind that it takes.
        kind: ConfigKind,
    },
    /// The text is no value.
    Unreadable {
        /// How a value is written.
        expected: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { key, min, max } => {
                write!(f, "{key} is out of range: it must be between {min} and {max}")
            }
            Self::Contradiction { key, exceeds } => {
                write!(f, "{key} must not be larger than {exceeds}")
            }
            Self::UnknownKey => f.write_str("the registry has no such key"),
            Self::WrongKind { key, kind } => {
                write!(f, "{key} takes {}", kind.expected())
            }
            Self::Unreadable { expected } => write!(f, "expected {expected}"),
        }
    }
}

impl core::error::Error for ConfigError {}
