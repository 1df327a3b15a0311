//! Plain frames: a whole data message in one masked frame, without reserved bits. They are nearly all that
//! browsers send, and need no context: they are unmasked where they lie.
//!
//! The general way judges all other input: a frame that is not plain, that is longer than the limit, or of
//! which a part has not come.

use super::{Data, Fault};

/// FIN and the opcode of a text message, RFC 6455 §5.2.
const FINAL_TEXT: u8 = 0x81;

/// FIN and the opcode of a binary message.
const FINAL_BINARY: u8 = 0x82;

const MASKED: u8 = 0x80;

const MASK_BYTES: usize = 4;

/// Where a plain frame lies that its input begins with.
pub(super) struct PlainFrame {
    is_text: bool,
    /// Where the payload starts, right behind the mask.
    start: usize,
    end: usize,
}

impl PlainFrame {
    /// Finds one at the beginning of the input. `None`: there is none that is whole and within the limit.
    #[inline]
    pub(super) fn find(input: &[u8], limit: usize) -> Option<Self> {
        let [first @ (FINAL_TEXT | FINAL_BINARY), second, rest @ ..] = input else { return None };
        if second & MASKED == 0 {
            return None;
        }
        let (length, bytes_of_length) = match second & !MASKED {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
            length => (u64::from(length), 0),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= limit)?;
        let start = 2 + bytes_of_length + MASK_BYTES;
        let end = start.checked_add(length).filter(|end| *end <= input.len())?;
        Some(Self { is_text: *first == FINAL_TEXT, start, end })
    }

    /// The length of the whole frame.
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// Unmasks the payload of the frame that was found in this input.
    ///
    /// # Errors
    /// [`Fault::InvalidUtf8`]: a text that is none.
    #[inline]
    pub(super) fn open<'a>(&self, input: &'a mut [u8]) -> Result<Data<'a>, Fault> {
        let frame = &mut input[..self.end];
        let (head, payload) = frame.split_at_mut(self.start);
        if let Some(mask) = head.last_chunk() {
            unmask(payload, *mask);
        }
        if !self.is_text {
            return Ok(Data::Binary(payload));
        }
        std::str::from_utf8(payload).map(Data::Text).map_err(|_| Fault::InvalidUtf8)
    }
}

/// RFC 6455 §5.3.
#[inline]
fn unmask(payload: &mut [u8], mask: [u8; MASK_BYTES]) {
    let narrow = u64::from(u32::from_ne_bytes(mask));
    let wide = narrow << 32 | narrow;
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
