//! What a journal holds, and what it leaves out.

use alloc::format;
use alloc::string::String;
use core::fmt;

use siphasher::sip::SipHasher13;

use headcount::MAX_ID_BYTES;

/// What a journal shall hold, for [`Recorder::registry`](crate::Recorder::registry).
///
/// Payloads and names are left out unless they are asked for: of a payload its length stays, of a
/// name its length and a pseudonym, which is the same wherever the name comes up. Of a
/// [`Source`](headcount::Source) there is always a pseudonym only.
#[derive(Clone)]
pub struct Recording {
    key: u128,
    pub(super) names: bool,
    pub(super) payloads: bool,
    pub(super) buffer_bytes: usize,
}

impl Recording {
    /// Names become pseudonyms by a keyed hash (SipHash-1-3; Aumasson and Bernstein, 2012):
    /// with the journal and without the key, names can't be tried. Pass fresh entropy, or a
    /// secret of your own if the pseudonyms of several journals shall agree.
    #[must_use]
    pub const fn new(key: u128) -> Self {
        Self { key, names: false, payloads: false, buffer_bytes: 16 << 20 }
    }

    /// Writes names and labels down as they are: users, threads, rooms, runs, agents, tool calls,
    /// keys of [`Class::Latest`](headcount::Class::Latest).
    #[must_use]
    pub const fn with_names(mut self) -> Self {
        self.names = true;
        self
    }

    /// Writes payloads and the text of runs down as they are.
    #[must_use]
    pub const fn with_payloads(mut self) -> Self {
        self.payloads = true;
        self
    }

    /// How much waits to be taken, in bytes, before the recording ends (default 16 MiB). One input
    /// of any size may exceed it.
    #[must_use]
    pub const fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// What stands for a name in a replay of a journal without names.
    #[must_use]
    pub fn pseudonym(&self, name: &str) -> String {
        pseudonym(name.len(), self.hash(name.as_bytes()))
    }

    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.key as u64, (self.key >> 64) as u64).hash(name)
    }
}

/// The pseudonym of a name of so many bytes that was hashed to this.
pub(super) fn pseudonym(length: usize, hash: u64) -> String {
    match length {
        0 => String::new(),
        // Longer than any name may be, and that is all that matters of it.
        _ if length > MAX_ID_BYTES => "~".repeat(MAX_ID_BYTES + 1),
        _ => format!("~{hash:016x}"),
    }
}

/// The key stays secret.
impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("names", &self.names)
            .field("payloads", &self.payloads)
            .field("buffer_bytes", &self.buffer_bytes)
            .finish_non_exhaustive()
    }
}
