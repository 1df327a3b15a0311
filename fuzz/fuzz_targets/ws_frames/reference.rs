//! A plain context of tungstenite that reads the whole stream, and what may differ from it.
//!
//! The seam judges a frame by its header before the payload is there, and before anything else that
//! may be wrong with it:
//!
//! * a control frame of more than 125 bytes, or in fragments, is a fault of the protocol, where the
//!   context waits for the payload, or finds it too big first;
//! * a data frame that makes its message longer than the limit is too big, where the context waits
//!   for the payload, or finds another fault first;
//! * a data frame that begins a message where one of some bytes has begun is a fault of the
//!   protocol, where the context waits for the payload.
//!
//! All are faults that the context would have found later in the same frame. What it takes is refused
//! in one case only, and what it refuses is taken in one:
//!
//! * a close code that may not be on the wire is a fault, where the context puts 1002 in its place;
//! * 1014 is a close code like others, where the context takes it for one of those.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use tungstenite::Message;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use crate::Outcome;
use crate::protocol::{Data, Fault, FrameEvent};

/// A stream of which everything has come, and that takes everything.
struct Peer<'a> {
    input: Cursor<&'a [u8]>,
    output: Vec<u8>,
}

impl Read for Peer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(0) => Err(ErrorKind::WouldBlock.into()),
            other => other,
        }
    }
}

impl Write for Peer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The header of a frame, read without tungstenite.
pub(crate) struct Header {
    opcode: u8,
    is_last: bool,
    /// Where the payload starts.
    start: u64,
    pub(crate) length: u64,
}

impl Header {
    /// The header that the rest of a stream begins with; `None` if it is not there as a whole.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*length).into(), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (length.into(), rest),
        };
        let mask = if second & 0x80 != 0 { 4 } else { 0 };
        let rest = rest.get(mask..)?;
        Some(Self {
            opcode: first & 0x0f,
            is_last: first & 0x80 != 0,
            start: (bytes.len() - rest.len()) as u64,
            length,
        })
    }

    /// What the header alone says against the frame, after so many bytes of a message that has
    /// begun.
    fn fault(&self, begun: u64, limit: usize) -> Option<Fault> {
        let message = self.length.saturating_add(if self.opcode == 0 { begun } else { 0 });
        match self.opcode {
            0..=2 if message > limit as u64 => Some(Fault::TooBig(message)),
            1..=2 if begun > 0 => Some(Fault::Protocol),
            8..=10 if !self.is_last || self.length > 125 => Some(Fault::Protocol),
            3..=7 | 11..=15 => Some(Fault::Protocol),
            _ => None,
        }
    }
}

pub(crate) fn agrees(stream: &[u8], limit: usize, ours: &Outcome) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit.max(125)))
        .write_buffer_size(0);
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let mut peer = Peer { input: Cursor::new(stream), output: Vec::new() };
    let mut theirs = Vec::new();
    let verdict = loop {
        match context.read(&mut peer) {
            // It has put 1002 in the place of a code that may not be on the wire. It takes 1014 for
            // one, which is registered.
            Ok(Message::Close(Some(close))) if close.reason == "Protocol violation" => {
                if ours.events.last() != Some(&FrameEvent::Close(1014)) {
                    break Some(Fault::Protocol);
                }
                theirs.push(FrameEvent::Close(1014));
                break None;
            }
            Ok(Message::Close(close)) => {
                theirs.push(FrameEvent::Close(close.map_or(1000, |close| close.code.into())));
                break None;
            }
            Ok(message) => theirs.push(event(message, &mut context, &mut peer)),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break None,
            Err(Error::Capacity(CapacityError::MessageTooLong { size, .. })) => {
                break Some(Fault::TooBig(size as u64));
            }
            Err(Error::Utf8(_)) => break Some(Fault::InvalidUtf8),
            Err(Error::Protocol(_)) => break Some(Fault::Protocol),
            Err(other) => panic!("{other}"),
        }
    };
    let whole: Vec<&FrameEvent<'static>> =
        ours.events.iter().filter(|event| **event != FrameEvent::Fragment).collect();
    assert_eq!(whole, theirs.iter().collect::<Vec<_>>());
    let closed = matches!(theirs.last(), Some(FrameEvent::Close(_)));
    // The frame that was not taken.
    let header = Header::read(&stream[ours.taken..]).filter(|_| !closed);
    match header.and_then(|header| Some((header.fault(ours.begun, limit)?, header))) {
        Some((fault, Header { start, length, .. })) => {
            assert_eq!(ours.fault, Some(fault), "the header says so; the context: {verdict:?}");
            let cut_short = (stream.len() - ours.taken) as u64 - start < length;
            assert!(verdict.is_some() || cut_short, "the context takes it");
        }
        None => assert_eq!(ours.fault, verdict),
    }
}

/// What it said, with the pong that the context itself has written.
fn event(
    message: Message,
    context: &mut WebSocketContext,
    peer: &mut Peer<'_>,
) -> FrameEvent<'static> {
    match message {
        Message::Text(text) => FrameEvent::Message(Data::OwnText(text)),
        Message::Binary(bytes) => FrameEvent::Message(Data::OwnBinary(bytes)),
        Message::Ping(_) => {
            peer.output.clear();
            context.flush(peer).expect("a vector takes it");
            FrameEvent::Ping(std::mem::take(&mut peer.output).into())
        }
        Message::Pong(_) => FrameEvent::Pong,
        other => panic!("{other}"),
    }
}
