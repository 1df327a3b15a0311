//! The frames that a server makes, RFC 6455 §5.2: unmasked, so the same bytes for all recipients.

use bytes::Bytes;

/// An empty ping. Any answer will do, so it carries nothing to compare.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0x00]);

/// The longest payload of a control frame, RFC 6455 §5.5.
const MAX_CONTROL: usize = 125;

/// The first byte of a whole text message.
const TEXT: u8 = 0x81;

/// The first byte of a whole binary message.
const BINARY: u8 = 0x82;

/// The first byte of a close frame.
const CLOSE: u8 = 0x88;

/// The longest header: of a payload of more than 65,535 bytes.
const LONGEST_HEADER: usize = 10;

/// Place for the header of a frame with so many bytes of payload.
#[inline]
pub(crate) fn header_gap(payload: usize) -> &'static [u8] {
    &[0; LONGEST_HEADER][..header_length(payload)]
}

/// How long the header of a frame with so many bytes of payload is.
#[inline]
pub(crate) const fn header_length(payload: usize) -> usize {
    match payload {
        0..126 => 2,
        126..65_536 => 4,
        _ => LONGEST_HEADER,
    }
}

/// Fills in the header of a data frame: as many bytes as [`header_length`] says.
#[inline]
pub(crate) fn fill_header(header: &mut [u8], is_text: bool, payload: usize) {
    fill(header, if is_text { TEXT } else { BINARY }, payload);
}

/// Appends the header of a data frame.
#[inline]
pub(crate) fn push_header(out: &mut Vec<u8>, is_text: bool, payload: usize) {
    if header_length(payload) == 2 {
        return out.extend_from_slice(&[if is_text { TEXT } else { BINARY }, payload as u8]);
    }
    let begin = out.len();
    out.extend_from_slice(header_gap(payload));
    fill_header(&mut out[begin..], is_text, payload);
}

#[inline]
fn fill(header: &mut [u8], first: u8, payload: usize) {
    match header {
        [start, length] => (*start, *length) = (first, payload as u8),
        [start, form, length @ ..] => {
            let bytes = (payload as u64).to_be_bytes();
            *start = first;
            *form = if length.len() == 2 { 126 } else { 127 };
            length.copy_from_slice(&bytes[bytes.len() - length.len()..]);
        }
        _ => debug_assert!(false, "a header has two bytes at least"),
    }
}

/// A whole close frame. The reason is one of our short names, so it fits a control frame.
pub(crate) fn close_frame(code: u16, reason: &str) -> Bytes {
    debug_assert!(reason.len() <= MAX_CONTROL - 2);
    let length = 2 + reason.len();
    let mut frame = header_gap(length).to_vec();
    fill(&mut frame, CLOSE, length);
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    Bytes::from(frame)
}
