//! Inputs as data: a registry that writes down what it is given, and another one that lives through
//! it again.
//!
//! The registry is a function of its inputs, so whatever happened in a server happens again at a
//! desk, at any speed, up to the input that one wants to look at. [`Registry::with_journal`] records,
//! [`Registry::take_journal`] gives what was recorded to the shell, which appends it to a file once a
//! turn, and [`Replay`] reads it.
//!
//! # What it costs
//!
//! An input is written as 4 to 20 bytes in a buffer: its kind, the time since the one before, and its
//! fields, with small numbers short. Actions are not written: for each run of polls there is their
//! number and a digest of what came out, so that a replay notices at once when it does something
//! else. Nothing is compressed, and nothing is ever thrown away: a server with a thousand messages a
//! second writes some 100 MB an hour.
//!
//! # The format
//!
//! A line of text, `headcount journal`, then records. A record is its version (one byte), the length
//! of its body and a CRC-32 (four bytes each, little endian), and a body of some inputs: those of one
//! turn, or 32 KiB of them. The checksum goes on from that of the record before, and covers version,
//! length and body: a journal that was cut at any byte can be read up to its last whole record, and
//! one with a byte changed or a record missing up to there. The first record begins with the
//! configuration.
//!
//! # What is left out
//!
//! Payloads and names, unless [`Recording`] is asked for them. Decisions never depend on them, only
//! on the lengths of payloads, on which names are the same, and on whether one is empty or too long.

mod decode;
mod digest;
mod doors;
mod error;
mod input;
mod kind;
mod line;
mod number;
mod record;
mod recorder;
mod recording;
mod replay;
mod settings;
#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use input::{Event, Input, Recipient};
pub use line::Line;
pub(crate) use recorder::{Attached, digest_of};
pub use recording::Recording;
pub use replay::{Reader, Replay, Step};

use recorder::Recorder;

use crate::config::Config;
use crate::registry::Registry;

/// The largest payload that a journal tells of, in bytes: as large as any bound of bytes may be. A
/// larger one ends the recording.
const MAX_PAYLOAD_BYTES: u64 = 1 << 30;

impl Registry {
    /// An empty registry that writes down every input from here on. Polls are inputs too.
    ///
    /// Take what was recorded once a turn: [`Registry::take_journal`]. Recording needs memory beside
    /// [`Config::memory_bound`]: twice what [`Recording::buffer_bytes`] and the largest input come to
    /// at most, and half as much again at the instant at which the buffer grows. It is not given back.
    #[must_use]
    pub fn with_journal(config: Config, recording: Recording) -> Self {
        let recorder = Recorder::new(recording, &config);
        let mut registry = Self::new(config);
        registry.recorder_mut().attach(Some(recorder));
        registry
    }

    /// What was recorded since the last call, in whole records: to be appended to what was taken
    /// before. Empty if nothing was, or nothing is recorded. It is gone with the next input.
    #[must_use = "what is taken and not kept is missing in the journal"]
    pub fn take_journal(&mut self) -> &[u8] {
        self.recorder_mut().get_mut().map_or(&[], Recorder::take)
    }

    /// Ends the recording: what was recorded and not taken is dropped.
    pub fn stop_recording(&mut self) {
        self.recorder_mut().attach(None);
    }

    /// Whether inputs are written down: the registry was made for it, what it recorded
    /// was always taken in time, and nobody has stopped it.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recorder().get().is_some_and(Recorder::is_recording)
    }
}
