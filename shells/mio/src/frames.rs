//! The frames that a server makes: unmasked, so the same bytes for all recipients.

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// An empty ping. Any answer will do, so it carries nothing to compare.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0x00]);

/// The longest payload of a control frame, RFC 6455 §5.5.
const MAX_CONTROL: usize = 125;

/// The opcode of a data frame.
pub(crate) const fn data_opcode(is_text: bool) -> OpCode {
    OpCode::Data(if is_text { Data::Text } else { Data::Binary })
}

/// How long the header of a frame with so many bytes of payload is.
pub(crate) fn header_length(payload: usize) -> usize {
    FrameHeader::default().len(payload as u64)
}

/// Appends the header of a frame with so many bytes of payload.
pub(crate) fn put_header(opcode: OpCode, payload: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to a vector can't fail.
    let _ = header.format(payload as u64, out);
}

/// A whole close frame. The reason is one of our short names, so it fits a control frame.
pub(crate) fn close_frame(code: u16, reason: &str) -> Bytes {
    debug_assert!(reason.len() <= MAX_CONTROL - 2);
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    let mut out = Vec::with_capacity(header_length(payload.len()) + payload.len());
    put_header(OpCode::Control(Control::Close), payload.len(), &mut out);
    out.extend_from_slice(&payload);
    Bytes::from(out)
}
