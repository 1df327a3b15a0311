//! What a journal holds, and what it leaves out.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use siphasher::sip::SipHasher13;

use headcount::{MAX_ID_BYTES, Redaction, Source};

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
    pub(super) segment_bytes: u64,
    pub(super) segment_age: Duration,
}

impl Recording {
    /// Names become pseudonyms by a keyed hash (SipHash-1-3; Aumasson and Bernstein, 2012):
    /// with the journal and without the key, names can't be tried. Pass fresh entropy, or a
    /// secret of your own if the pseudonyms of several journals shall agree.
    #[must_use]
    pub const fn new(key: u128) -> Self {
        Self {
            key,
            names: false,
            payloads: false,
            buffer_bytes: 16 << 20,
            segment_bytes: 256 << 20,
            segment_age: Duration::from_secs(3_600),
        }
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

    /// When a segment is full: at so many bytes (default 256 MiB), or at this age (default one hour). The
    /// next one begins with a snapshot of the registry, so that each can be replayed by itself. See
    /// [`Recorder::next_segment`](crate::Recorder::next_segment).
    #[must_use]
    pub const fn segments(mut self, bytes: u64, age: Duration) -> Self {
        (self.segment_bytes, self.segment_age) = (bytes, age);
        self
    }

    /// What stands for a name in a replay of a journal without names.
    #[must_use]
    pub fn pseudonym(&self, name: &str) -> String {
        pseudonym(name.len(), self.hash(name.as_bytes()))
    }

    /// A pseudonym also where names are written down: a source is made of an address. One that comes from a
    /// journal stays the same.
    pub(super) fn source_pseudonym(&self, source: Source) -> u64 {
        source.opaque_number().unwrap_or_else(|| self.hash(&source.to_bytes()))
    }

    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.key as u64, (self.key >> 64) as u64).hash(name)
    }
}

/// A snapshot at the head of a segment shows what a replay of the segments before it would: the same
/// pseudonyms, and zeros for payloads.
impl Redaction for Recording {
    fn name(&self, name: &str) -> String {
        if self.names { name.into() } else { self.pseudonym(name) }
    }

    fn source(&self, source: Source) -> Source {
        Source::opaque(self.source_pseudonym(source))
    }

    fn leaves_out_payloads(&self) -> bool {
        !self.payloads
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
