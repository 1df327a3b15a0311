//! Why a journal can't be read on.

use core::fmt;

use headcount::RestoreError;

/// Why a replay ends before its journal does. Whatever came before was whole, and has been replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError {
    /// It does not begin as a journal does.
    NotAJournal,
    /// A record has a version that this build does not read, or its first byte is damaged.
    Version {
        /// The version that it says.
        found: u8,
        /// Where the record begins, in bytes from the beginning.
        at: u64,
    },
    /// It ends within a record: the writer was stopped, or has not written it all yet.
    Cut {
        /// Where the record begins that is not whole, in bytes from the beginning.
        at: u64,
    },
    /// The checksum of a record is wrong: it was changed, or one before it is missing.
    Damaged {
        /// Where the record begins, in bytes from the beginning.
        at: u64,
    },
    /// A record is as it was written, and means nothing to this build.
    Invalid {
        /// Where the record begins, in bytes from the beginning.
        at: u64,
    },
    /// It begins with a snapshot that this build does not restore.
    Snapshot {
        /// Why.
        why: RestoreError,
    },
    /// The recording ended here: its buffer was full before what it held was taken, or a payload was
    /// larger than any bound of bytes may be.
    Overflowed,
    /// The actions are not those that were recorded: another version made them, or a bug.
    Diverged {
        /// The number of the input, counted from 1, whose actions differ.
        input: u64,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAJournal => f.write_str("this is not a journal of headcount"),
            Self::Version { found, at } => write!(
                f,
                "the record at byte {at} has version {found}, and version {} is what this program \
                 reads; or that byte is damaged",
                super::record::VERSION
            ),
            Self::Cut { at } => write!(
                f,
                "the journal ends within a record: what came before byte {at} is whole and was \
                 replayed"
            ),
            Self::Damaged { at } => write!(
                f,
                "the record at byte {at} is damaged, or one before it is missing: what came before \
                 it was replayed"
            ),
            Self::Invalid { at } => write!(
                f,
                "the record at byte {at} is whole, and nothing that this program knows: was it \
                 written by another one?"
            ),
            Self::Snapshot { why } => write!(f, "the journal begins with a snapshot: {why}"),
            Self::Overflowed => f.write_str(
                "the recording ended here: what was recorded was not taken in time and its buffer \
                 was full, or a payload was larger than 1 GiB",
            ),
            Self::Diverged { input } => write!(
                f,
                "the actions of input {input} are not those that were recorded: replay with the \
                 version that wrote the journal; if it is that one, this is a bug"
            ),
        }
    }
}

impl core::error::Error for JournalError {}
