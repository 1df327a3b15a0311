//! The WebSocket protocol: whole frames in, events out.
//!
//! tungstenite is the protocol. This is the seam to it: a context of tungstenite is only ever given one
//! whole frame, in memory, and everything it has to say about that frame is fetched before the next one. So
//! it never waits for anything, and between messages its state is that of a new context. That is why one
//! context serves all connections, which are lent it frame by frame. A connection has a context of its own
//! only inside a message of several frames:
//!
//! ```text
//!            whole data message, masked, no extension        everything else
//!  input ──┬───────────────────────────────────────> `plain`  (unmasked where it lies)
//!          │
//!          └─> judged by its header ─┬─ between messages ──> the lent context
//!                                    └─ inside a message ──> `Fragments`, a context of its own
//! ```
//!
//! The fuzz target `ws_frames` holds all three ways to what a plain context of tungstenite says.

mod plain;

use std::io::{self, Cursor, ErrorKind, Read, Write};

use bytes::Bytes;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Data as DataCode, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

use crate::handler::Payload;

use plain::PlainFrame;

/// What a context reads at once, and what its buffer holds while it is idle. A frame is in memory
/// as a whole before the context sees it, so more would save copies only for large ones.
const READ_BUFFER: usize = 1024;

/// A context that has buffered a frame longer than this is replaced after it: buffers never shrink.
const KEPT_BUFFER: usize = 4 * READ_BUFFER;

/// The longest payload of a control frame, RFC 6455 §5.5.
const MAX_CONTROL: u64 = 125;

/// What a frame was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameEvent<'a> {
    /// The end of a data message.
    Message(Data<'a>),
    /// A fragment of a message, not the last.
    Fragment,
    /// A ping, and the whole frame that answers it.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The peer's close frame, with a code that may be on the wire: it is the one to answer it with.
    Close(u16),
}

/// What a data message says: in the buffer where it came in, or in memory of its own.
#[derive(Debug)]
pub(crate) enum Data<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    OwnText(Utf8Bytes),
    OwnBinary(Bytes),
}

impl Data<'_> {
    pub(crate) fn payload(&self) -> Payload<'_> {
        match self {
            Self::Text(text) => Payload::Text(text),
            Self::Binary(bytes) => Payload::Binary(bytes),
            Self::OwnText(text) => Payload::Text(text),
            Self::OwnBinary(bytes) => Payload::Binary(bytes),
        }
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.payload().bytes().len()
    }

    /// The same, to be kept.
    pub(crate) fn into_owned(self) -> Data<'static> {
        match self {
            Self::Text(text) => Data::OwnText(Utf8Bytes::from(text)),
            Self::Binary(bytes) => Data::OwnBinary(Bytes::copy_from_slice(bytes)),
            Self::OwnText(text) => Data::OwnText(text),
            Self::OwnBinary(bytes) => Data::OwnBinary(bytes),
        }
    }
}

/// Where it lies makes no difference.
impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.payload() == other.payload()
    }
}

impl Eq for Data<'_> {}

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

/// A message that has begun, and whose last frame has not come.
pub(crate) struct Fragments {
    context: WebSocketContext,
    /// The limit that the context knows.
    limit: usize,
    /// The bytes of its frames so far.
    bytes: u64,
}

/// The protocol of all connections that are between two messages.
pub(crate) struct Protocol {
    context: WebSocketContext,
    /// The limit that the context knows.
    limit: usize,
}

impl Default for Protocol {
    fn default() -> Self {
        Self { context: new_context(0), limit: 0 }
    }
}

impl Protocol {
    /// Takes the first frame of `input`, if it is there as a whole: what it was, and how many
    /// bytes it had. The limit of messages is that of this moment, also for one that has begun.
    ///
    /// `fragments` is the connection's message that has begun, if there is one.
    #[inline]
    pub(crate) fn feed<'a>(
        &mut self,
        fragments: &mut Option<Box<Fragments>>,
        input: &'a mut [u8],
        limit: usize,
    ) -> Result<Option<(FrameEvent<'a>, usize)>, Fault> {
        if fragments.is_none()
            && let Some(plain) = PlainFrame::find(input, limit)
        {
            let length = plain.end();
            return Ok(Some((FrameEvent::Message(plain.open(input)?), length)));
        }
        self.feed_other(fragments, input, limit)
    }

    /// The same for all that is no plain frame. Apart, so that the loop over plain frames is short.
    #[inline(never)]
    fn feed_other(
        &mut self,
        fragments: &mut Option<Box<Fragments>>,
        input: &[u8],
        limit: usize,
    ) -> Result<Option<(FrameEvent<'static>, usize)>, Fault> {
        let mut cursor = Cursor::new(input);
        let (header, payload) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            Err(_) => return Err(Fault::Protocol),
        };
        let begun = fragments.as_ref().map_or(0, |message| message.bytes);
        judge(&header, payload, begun, limit)?;
        let start = cursor.position() as usize;
        let end = match usize::try_from(payload).ok().and_then(|payload| start.checked_add(payload))
        {
            Some(end) if end <= input.len() => end,
            _ => return Ok(None),
        };
        let mut event = self.process(fragments, &input[..end], payload, limit)?;
        if let FrameEvent::Close(answer) = &mut event
            && let Some(code) = close_code(&header, &input[start..end])
        {
            if !may_be_on_the_wire(code) {
                return Err(Fault::Protocol);
            }
            *answer = code;
        }
        Ok(Some((event, end)))
    }

    /// Gives a whole frame to the context that it is for.
    fn process(
        &mut self,
        fragments: &mut Option<Box<Fragments>>,
        frame: &[u8],
        payload: u64,
        limit: usize,
    ) -> Result<FrameEvent<'static>, Fault> {
        let (context, known_limit) = match fragments {
            Some(message) => (&mut message.context, &mut message.limit),
            None => (&mut self.context, &mut self.limit),
        };
        if *known_limit != limit {
            *known_limit = limit;
            context.set_config(|config| *config = bounds(limit));
        }
        let answer = read_frame(context, frame);
        match (&answer, &mut *fragments) {
            (Ok(FrameEvent::Fragment), Some(message)) => message.bytes += payload,
            (Ok(FrameEvent::Fragment), None) => {
                let context = std::mem::replace(&mut self.context, new_context(limit));
                *fragments = Some(Box::new(Fragments { context, limit, bytes: payload }));
            }
            (Ok(FrameEvent::Message(_)), Some(_)) => *fragments = None,
            // It knows that its peer has closed, or has failed: others can't be lent it.
            (Ok(FrameEvent::Close(_)) | Err(_), None) => self.context = new_context(limit),
            (_, None) if frame.len() > KEPT_BUFFER => self.context = new_context(limit),
            _ => {}
        }
        answer
    }
}

/// Judges a frame by its header alone: a payload that can't be accepted is not waited for, and no more
/// than one message's limit is kept.
fn judge(header: &FrameHeader, payload: u64, begun: u64, limit: usize) -> Result<(), Fault> {
    if matches!(header.opcode, OpCode::Control(_)) {
        let is_sound = payload <= MAX_CONTROL && header.is_final;
        return if is_sound { Ok(()) } else { Err(Fault::Protocol) };
    }
    let continued = header.opcode == OpCode::Data(DataCode::Continue);
    let message = if continued { begun.saturating_add(payload) } else { payload };
    if message > limit as u64 {
        return Err(Fault::TooBig(message));
    }
    if !continued && begun > 0 {
        return Err(Fault::Protocol);
    }
    Ok(())
}

fn read_frame(context: &mut WebSocketContext, frame: &[u8]) -> Result<FrameEvent<'static>, Fault> {
    let mut lent = Lent { input: frame, output: Vec::new() };
    let event = match context.read(&mut lent) {
        Ok(Message::Text(text)) => FrameEvent::Message(Data::OwnText(text)),
        Ok(Message::Binary(bytes)) => FrameEvent::Message(Data::OwnBinary(bytes)),
        Ok(Message::Ping(_)) => {
            // The context sends the pong with the next call, whenever that is: make it now.
            context.flush(&mut lent).map_err(|_| Fault::Protocol)?;
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

#[cfg(test)]
mod tests;
