//! Why a snapshot is not restored.

use core::fmt;

use crate::snapshot::VERSION;

/// Why [`Registry::restore`](crate::Registry::restore) has restored nothing.
/// [`Registry::restore`](crate::Registry::restore) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// It does not begin as a snapshot does.
    NotASnapshot,
    /// It has a version that this version of the crate does not read.
    Version {
        /// The version that it says.
        found: u16,
    },
    /// It is cut, or a byte of it was changed: its checksum is wrong.
    Damaged,
    /// It is whole, and no state of a registry: another program has made it.
    Invalid,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASnapshot => f.write_str("this is not a snapshot of a registry"),
            Self::Version { found } => write!(
                f,
                "the snapshot has version {found}, and this program reads version {VERSION}: restore it with \
                 the program that made it"
            ),
            Self::Damaged => f.write_str("the snapshot is cut or damaged: its checksum is wrong"),
            Self::Invalid => f.write_str(
                "the snapshot is whole, and no state that a registry can be in: was it made by another \
                 program?",
            ),
        }
    }
}

impl core::error::Error for RestoreError {}
