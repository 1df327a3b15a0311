//! The WebSocket protocol of one connection: whole frames in, events out.
//!
//! tungstenite is the protocol. This is the seam to it: it is only ever given one whole frame, in
//! memory, and everything it has to say about that frame is fetched before the next one. So it
//! never waits for anything, and between messages its state is that of a new context.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use bytes::Bytes;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

/// What a context reads at once, and what its buffer holds while it is idle. A frame is in memory
/// as a whole before the context sees it, so more would save copies only for large ones.
const READ_BUFFER: usize = 1024;

/// A context that has buffered a frame longer than this is replaced after it: buffers never shrink.
const KEPT_BUFFER: usize = 4 * READ_BUFFER;

/// The longest payload of a control frame, RFC 6455 §5.5.
const MAX_CONTROL: u64 = 125;

/// An empty ping. Any answer will do, so it carries nothing to compare.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0x00]);

/// What a frame was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameEvent {
    /// The end of a text message.
    Text(Utf8Bytes),
    /// The end of a binary message.
    Binary(Bytes),
    /// A fragment of a message, not the last.
    Fragment,
    /// A ping, and the whole frame that answers it.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The peer's close frame, with a code that may be on the wire: it is the one to answer it with.
    Close(u16),
}

/// Why a connection must fail. No frame may be read after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The peer broke the protocol.
    Protocol,
    /// A text message, or the reason of a close frame, is not UTF-8.
    InvalidUtf8,
    /// A message has, or announces, this many bytes, and that is too many.
    TooBig(u64),
}

/// The state of the protocol on one connection.
pub(crate) struct Frames {
    context: Box<WebSocketContext>,
    /// The longest message, in bytes.
    limit: usize,
    /// The bytes of a message that has begun, of which the last frame has not come.
    begun: u64,
    /// Whether there is such a message. It may have no bytes yet.
    in_message: bool,
}

impl Frames {
    pub(crate) fn new(limit: usize) -> Self {
        Self { context: Box::new(new_context(limit)), limit, begun: 0, in_message: false }
    }

    /// Whether a message has begun whose last frame has not come.
    pub(crate) const fn in_message(&self) -> bool {
        self.in_message
    }

    /// Takes the first frame of `input`, if it is there as a whole: what it was, and how many
    /// bytes it had. The limit of messages is that of this moment, also for one that has begun.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        limit: usize,
    ) -> Result<Option<(FrameEvent, usize)>, Fault> {
        if limit != self.limit {
            self.limit = limit;
            self.context.set_config(|config| *config = bounds(limit));
        }
        let mut cursor = Cursor::new(input);
        let (header, payload) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            Err(_) => return Err(Fault::Protocol),
        };
        // Judged by the header alone: a payload that can't be accepted is not waited for, and no more
        // than one message's limit is kept.
        let continued = header.opcode == OpCode::Data(Data::Continue);
        if matches!(header.opcode, OpCode::Control(_)) {
            if payload > MAX_CONTROL || !header.is_final {
                return Err(Fault::Protocol);
            }
        } else {
            let message = if continued { self.begun.saturating_add(payload) } else { payload };
            if message > self.limit as u64 {
                return Err(Fault::TooBig(message));
            }
            if !continued && self.begun > 0 {
                return Err(Fault::Protocol);
            }
        }
        let start = cursor.position() as usize;
        let end = match usize::try_from(payload).ok().and_then(|payload| start.checked_add(payload))
        {
            Some(end) if end <= input.len() => end,
            _ => return Ok(None),
        };
        let mut event = self.process(&input[..end])?;
        if let FrameEvent::Close(answer) = &mut event
            && let Some(code) = close_code(&header, &input[start..end])
        {
            if !may_be_on_the_wire(code) {
                return Err(Fault::Protocol);
            }
            *answer = code;
        }
        match event {
            FrameEvent::Fragment => {
                self.begun += payload;
                self.in_message = true;
            }
            FrameEvent::Text(_) | FrameEvent::Binary(_) => {
                self.begun = 0;
                self.in_message = false;
                if end > KEPT_BUFFER || continued {
                    *self.context = new_context(self.limit);
                }
            }
            _ => {}
        }
        Ok(Some((event, end)))
    }

    fn process(&mut self, frame: &[u8]) -> Result<FrameEvent, Fault> {
        let mut lent = Lent { input: frame, output: Vec::new() };
        let event = match self.context.read(&mut lent) {
            Ok(Message::Text(text)) => FrameEvent::Text(text),
            Ok(Message::Binary(bytes)) => FrameEvent::Binary(bytes),
            Ok(Message::Ping(_)) => {
                // The context sends the pong with the next call, whenever that is: make it now.
                self.context.flush(&mut lent).map_err(|_| Fault::Protocol)?;
                FrameEvent::Ping(Bytes::from(lent.output))
            }
            Ok(Message::Pong(_)) => FrameEvent::Pong,
            // A peer that gave no code is told that all is well.
            Ok(Message::Close(close)) => {
                FrameEvent::Close(close.map_or(1000, |close| close.code.into()))
            }
            Ok(Message::Frame(_)) => return Err(Fault::Protocol),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => FrameEvent::Fragment,
            Err(Error::Capacity(CapacityError::MessageTooLong { size, .. })) => {
                return Err(Fault::TooBig(size as u64));
            }
            Err(Error::Utf8(_)) => return Err(Fault::InvalidUtf8),
            Err(_) => return Err(Fault::Protocol),
        };
        debug_assert!(lent.input.is_empty(), "a whole frame is taken as a whole");
        Ok(event)
    }
}

/// The code of a close frame as it came. The context tells which to answer with: 1002 in the place of
/// one that it takes for none, and that could be the peer's own word.
fn close_code(header: &FrameHeader, payload: &[u8]) -> Option<u16> {
    let (Some(mask), [high, low, ..]) = (header.mask, payload) else { return None };
    Some(u16::from_be_bytes([high ^ mask[0], low ^ mask[1]]))
}

/// RFC 6455 §7.4, and 1014, which was registered later than tungstenite knows.
fn may_be_on_the_wire(code: u16) -> bool {
    code == 1014 || CloseCode::from(code).is_allowed()
}

fn new_context(limit: usize) -> WebSocketContext {
    WebSocketContext::new(Role::Server, Some(bounds(limit)))
}

fn bounds(limit: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit.max(MAX_CONTROL as usize)))
}

/// The stream that a context sees: one frame to read, and all the room to write.
///
/// Writes are always taken whole. A short one would leave the rest in the context, and frames that
/// are queued past it would then cut a frame of its own in two.
struct Lent<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Lent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Lent<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A whole data frame of the server: unmasked, so the same bytes for all recipients.
pub(crate) fn data_frame(text: bool, payload: &[u8]) -> Bytes {
    frame(OpCode::Data(if text { Data::Text } else { Data::Binary }), payload)
}

/// A whole close frame. The reason is one of our short names, so it fits a control frame.
pub(crate) fn close_frame(code: u16, reason: &str) -> Bytes {
    debug_assert!(reason.len() as u64 <= MAX_CONTROL - 2);
    let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    frame(OpCode::Control(Control::Close), &payload)
}

fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let length = payload.len() as u64;
    let mut out = Vec::with_capacity(header.len(length) + payload.len());
    // Writing to a vector can't fail.
    let _ = header.format(length, &mut out);
    out.extend_from_slice(payload);
    Bytes::from(out)
}

#[cfg(test)]
mod tests;
