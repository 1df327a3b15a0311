//! How a journal is cut into records: after a line of text that says what it is, each record has
//! its version, its length and a checksum that goes on from that of the record before.

use alloc::vec::Vec;

use super::error::JournalError;

/// What every journal begins with, so that a person who looks at one knows.
pub(super) const PREAMBLE: &[u8] = b"headcount journal\n";
/// Of the records. A reader refuses those of any other.
pub(super) const VERSION: u8 = 4;
/// The version, the length of the body, and the checksum.
pub(super) const HEADER_BYTES: usize = 1 + 4 + 4;

/// CRC-32 of the journal so far, headers' checksums excepted: a record that is missing, doubled or
/// in another place is as wrong as one that is damaged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain(u32);

impl Chain {
    fn after(self, version: u8, length: [u8; 4], body: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(&[version]);
        hasher.update(&length);
        hasher.update(body);
        Self(hasher.finalize())
    }
}

/// Makes room for the header of a record whose body is appended next.
pub(super) fn open(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&[0; HEADER_BYTES]);
}

/// Writes the header of the record that begins at `start` and ends where the buffer ends.
pub(super) fn seal(buffer: &mut [u8], start: usize, chain: &mut Chain) {
    let (header, body) = buffer[start..].split_at_mut(HEADER_BYTES);
    let length = (body.len() as u32).to_le_bytes();
    *chain = chain.after(VERSION, length, body);
    header[0] = VERSION;
    header[1..5].copy_from_slice(&length);
    header[5..].copy_from_slice(&chain.0.to_le_bytes());
}

/// The bodies of the records of a journal, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    journal: &'a [u8],
    /// Where the next record begins.
    at: usize,
    chain: Chain,
}

impl<'a> Records<'a> {
    pub(super) fn new(journal: &'a [u8]) -> Result<Self, JournalError> {
        let whole = journal.len().min(PREAMBLE.len());
        if journal[..whole] != PREAMBLE[..whole] {
            return Err(JournalError::NotAJournal);
        }
        if whole < PREAMBLE.len() {
            return Err(JournalError::Cut { at: 0 });
        }
        Ok(Self { journal, at: PREAMBLE.len(), chain: Chain::default() })
    }

    /// The number of bytes before the next record.
    pub(super) const fn position(&self) -> u64 {
        self.at as u64
    }

    /// The body of the next record, whole and undamaged; `None` where the journal ends.
    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>, JournalError> {
        let at = self.position();
        let rest = &self.journal[self.at..];
        let Some(version) = rest.first() else { return Ok(None) };
        if *version != VERSION {
            // One that is damaged looks like this too: the sentence says so.
            return Err(JournalError::Version { found: *version, at });
        }
        let Some((header, rest)) = rest.split_at_checked(HEADER_BYTES) else {
            return Err(JournalError::Cut { at });
        };
        let length = [header[1], header[2], header[3], header[4]];
        let checksum = [header[5], header[6], header[7], header[8]];
        let bytes = u32::from_le_bytes(length) as usize;
        let Some(body) = rest.get(..bytes) else { return Err(JournalError::Cut { at }) };
        let chain = self.chain.after(*version, length, body);
        if chain.0 != u32::from_le_bytes(checksum) {
            return Err(JournalError::Damaged { at });
        }
        self.chain = chain;
        self.at += HEADER_BYTES + bytes;
        Ok(Some(body))
    }
}
