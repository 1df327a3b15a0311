//! Reads a state back. Any bytes may come here: nothing is allocated because a number announces it, but
//! for payloads that were left out, which the bounds of the configuration bound.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;

use bytes::Bytes;

/// The longest payload that may be left out, in bytes: as long as any bound of bytes may be.
const MOST_LEFT_OUT: u64 = 1 << 30;

/// Bytes that are no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// What is left to be read.
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
    without_payloads: bool,
    /// Zeros, as many as the longest payload so far that was left out: all of them share it.
    zeros: Bytes,
    /// How many bytes the texts that were left out may still take.
    texts_left: u64,
    /// What the indexes of keys are seeded with.
    seed: u64,
}

impl<'a> Decoder<'a> {
    pub(crate) const fn new(bytes: &'a [u8], without_payloads: bool) -> Self {
        Self { bytes, without_payloads, zeros: Bytes::new(), texts_left: 0, seed: 0 }
    }

    /// The configuration was read. `process_bytes` bounds what logs hold of texts, of which as much may be
    /// gone and not given back, and a reload may have lowered it.
    pub(crate) fn set_config(&mut self, seed: u64, process_bytes: u64) {
        self.seed = seed;
        self.texts_left = process_bytes.saturating_mul(4).max(MOST_LEFT_OUT);
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.bytes.split_off_first().copied().ok_or(Malformed)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    /// How many items follow. Each takes a byte at least, so that no more can be asked for than there is.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if count <= self.bytes.len() { Ok(count) } else { Err(Malformed) }
    }

    pub(crate) fn plain(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count()?;
        self.bytes.split_off(..length).ok_or(Malformed)
    }

    pub(crate) fn name(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.plain()?).map_err(|_| Malformed)
    }

    pub(crate) fn payload(&mut self) -> Result<Bytes, Malformed> {
        if !self.without_payloads {
            return self.plain().map(Bytes::copy_from_slice);
        }
        let length = self.left_out()?;
        if self.zeros.len() < length {
            self.zeros = Bytes::from(vec![0; length]);
        }
        Ok(self.zeros.slice(..length))
    }

    /// A text of a run, which shares no memory with others.
    pub(crate) fn text(&mut self) -> Result<Box<str>, Malformed> {
        if !self.without_payloads {
            return self.name().map(Into::into);
        }
        let length = self.left_out()?;
        self.texts_left = self.texts_left.checked_sub(length as u64).ok_or(Malformed)?;
        String::from_utf8(vec![0; length]).map(String::into_boxed_str).map_err(|_| Malformed)
    }

    fn left_out(&mut self) -> Result<usize, Malformed> {
        let length = self.number()?;
        if length <= MOST_LEFT_OUT { Ok(length as usize) } else { Err(Malformed) }
    }
}
