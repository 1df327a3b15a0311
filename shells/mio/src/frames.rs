//! The WebSocket protocol of one connection: whole frames in, events out.
//!
//! tungstenite is the protocol. This is the seam to it: it is only ever given one whole frame, in
//! memory, and everything it has to say about that frame is fetched before the next one. So it
//! never waits for anything, and between messages its state is that of a new context.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use bytes::Bytes;
use tungstenite::error::{CapacityError, Error};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Message, Utf8Bytes};

/// What a context reads at once, and what its buffer holds while it is idle. A frame is in memory
/// as a whole before the context sees it, so more would save copies only for large ones.
const READ_BUFFER: usize = 1024;

/// A context that has buffered a frame longer than this is replaced after it: buffers never shrink.
const KEPT_BUFFER: usize = 4 * READ_BUFFER;

/// The longest payload of a control frame, RFC 6455 §5.5.
const MAX_CONTROL: u64 = 125;

/// The empty ping: all the server ever asks is whether there is anybody.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0x00]);

/// What a frame was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The end of a text message.
    Text(Utf8Bytes),
    /// The end of a binary message.
    Binary(Bytes),
    /// Part of a message, not the last.
    Part,
    /// A ping, and the whole frame that answers it.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The peer's close frame, and the code to answer it with.
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
}

impl Frames {
    pub(crate) fn new(limit: usize) -> Self {
        Self { context: Box::new(new_context(limit)), limit, begun: 0 }
    }

    /// Takes the first frame of `input`, if it is there as a whole: what it was, and how many
    /// bytes it had. The limit of messages is that of this moment, also for one that has begun.
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        limit: usize,
    ) -> Result<Option<(Event, usize)>, Fault> {
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
        // Judged by the header alone: nobody has to wait for a payload that can't be accepted, and
        // what is kept of a message is never more than one may have.
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
        let event = self.process(&input[..end])?;
        match event {
            Event::Part => self.begun += payload,
            Event::Text(_) | Event::Binary(_) => {
                self.begun = 0;
                if end > KEPT_BUFFER || continued {
                    *self.context = new_context(self.limit);
                }
            }
            _ => {}
        }
        Ok(Some((event, end)))
    }

    fn process(&mut self, frame: &[u8]) -> Result<Event, Fault> {
        let mut lent = Lent { input: frame, output: Vec::new() };
        let event = match self.context.read(&mut lent) {
            Ok(Message::Text(text)) => Event::Text(text),
            Ok(Message::Binary(bytes)) => Event::Binary(bytes),
            Ok(Message::Ping(_)) => {
                // The context sends the pong with the next call, whenever that is: make it now.
                self.context.flush(&mut lent).map_err(|_| Fault::Protocol)?;
                Event::Ping(Bytes::from(lent.output))
            }
            Ok(Message::Pong(_)) => Event::Pong,
            // Codes that may not be on the wire have been replaced by 1002. A peer that gave none
            // is told that all is well.
            Ok(Message::Close(close)) => {
                Event::Close(close.map_or(1000, |close| close.code.into()))
            }
            Ok(Message::Frame(_)) => return Err(Fault::Protocol),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Event::Part,
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1000;

    /// A frame as a client sends it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(0x80 | length as u8),
            length @ 126..65536 => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    /// Everything that a stream says, given in chunks of these sizes, up to the first fault.
    fn events(stream: &[u8], chunks: &[usize]) -> (Vec<Event>, Option<Fault>) {
        let mut frames = Frames::new(LIMIT);
        let mut events = Vec::new();
        let (mut start, mut end) = (0, 0);
        let mut sizes = chunks.iter().copied().chain(std::iter::repeat(usize::MAX));
        while end < stream.len() {
            end = end.saturating_add(sizes.next().unwrap_or(1).max(1)).min(stream.len());
            loop {
                match frames.feed(&stream[start..end], LIMIT) {
                    Ok(Some((event, length))) => {
                        start += length;
                        let closed = matches!(event, Event::Close(_));
                        events.push(event);
                        if closed {
                            return (events, None);
                        }
                    }
                    Ok(None) => break,
                    Err(fault) => return (events, Some(fault)),
                }
            }
        }
        (events, None)
    }

    fn fault(stream: &[u8]) -> Option<Fault> {
        events(stream, &[]).1
    }

    #[test]
    fn each_kind_of_frame_is_an_event() {
        let stream = [
            masked(0x81, "żółw".as_bytes()),
            masked(0x82, b"\x00\xff"),
            masked(0x01, "ż".as_bytes()),
            masked(0x89, b"are you there"),
            masked(0x00, b""),
            masked(0x80, b"!"),
            masked(0x8a, b"unasked"),
            masked(0x88, &[0x0b, 0xb8, b'b', b'y', b'e']),
        ]
        .concat();
        let (events, fault) = events(&stream, &[]);
        assert_eq!(fault, None);
        assert_eq!(
            events,
            [
                Event::Text("żółw".into()),
                Event::Binary(Bytes::from_static(b"\x00\xff")),
                Event::Part,
                Event::Ping(Bytes::from_static(b"\x8a\x0dare you there")),
                Event::Part,
                Event::Text("ż!".into()),
                Event::Pong,
                Event::Close(3000),
            ]
        );
    }

    #[test]
    fn close_codes_are_answered_with_one_that_may_be_sent() {
        let answer = |payload: &[u8]| match events(&masked(0x88, payload), &[]) {
            (events, None) => match events.as_slice() {
                [Event::Close(code)] => Ok(*code),
                other => panic!("{other:?}"),
            },
            (_, Some(fault)) => Err(fault),
        };
        assert_eq!(answer(b""), Ok(1000));
        assert_eq!(answer(&1001u16.to_be_bytes()), Ok(1001));
        assert_eq!(answer(&4999u16.to_be_bytes()), Ok(4999));
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            assert_eq!(answer(&code.to_be_bytes()), Ok(1002), "{code}");
        }
        assert_eq!(answer(b"\x03"), Err(Fault::Protocol));
        assert_eq!(answer(b"\x03\xe8\xff"), Err(Fault::InvalidUtf8));
    }

    #[test]
    fn what_breaks_the_protocol_is_a_fault() {
        let unmasked = [0x81, 0x02, b'h', b'i'];
        assert_eq!(fault(&unmasked), Some(Fault::Protocol));
        for bit in [0x40, 0x20, 0x10] {
            assert_eq!(fault(&masked(0x81 | bit, b"x")), Some(Fault::Protocol));
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(fault(&masked(0x80 | opcode, b"")), Some(Fault::Protocol));
        }
        assert_eq!(fault(&masked(0x80, b"x")), Some(Fault::Protocol), "nothing to continue");
        let interrupted = [masked(0x01, b"x"), masked(0x81, b"y")].concat();
        assert_eq!(fault(&interrupted), Some(Fault::Protocol));
        assert_eq!(fault(&masked(0x09, b"")), Some(Fault::Protocol), "a ping in parts");
        assert_eq!(fault(&masked(0x89, &[0; 126])), Some(Fault::Protocol));
        assert_eq!(fault(&masked(0x81, b"\xff")), Some(Fault::InvalidUtf8));
        let cut = [masked(0x01, b"\xc5"), masked(0x80, b"")].concat();
        assert_eq!(fault(&cut), Some(Fault::InvalidUtf8));
    }

    #[test]
    fn sizes_are_judged_before_the_payload_comes() {
        assert_eq!(fault(&masked(0x82, &[0; LIMIT])), None);
        assert_eq!(fault(&masked(0x82, &[0; LIMIT + 1])[..8]), Some(Fault::TooBig(1001)));
        let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        assert_eq!(fault(&huge), Some(Fault::TooBig(u64::MAX)));
        let parts = [masked(0x02, &[0; 600]), masked(0x80, &[0; 401])].concat();
        assert_eq!(fault(&parts), Some(Fault::TooBig(1001)));
        assert_eq!(fault(&masked(0x89, &[0; 126])[..8]), Some(Fault::Protocol));
    }

    #[test]
    fn a_message_in_parts_is_judged_by_all_of_them_before_the_last_has_come() {
        let first = [masked(0x02, &[0; 600]), masked(0x00, &[0; 400]), masked(0x89, b"")].concat();
        let and = |next: &[u8]| fault(&[&first, next].concat());
        assert_eq!(and(&masked(0x00, &[0; 200])[..8]), Some(Fault::TooBig(1200)));
        assert_eq!(and(&masked(0x82, &[0; 200])[..8]), Some(Fault::Protocol), "another message");
        assert_eq!(and(&masked(0x80, b"")), None);
        // The next message is one of its own.
        assert_eq!(and(&[masked(0x80, b""), masked(0x82, &[0; LIMIT])].concat()), None);
    }

    #[test]
    fn a_message_limit_below_125_does_not_concern_control_frames() {
        let mut frames = Frames::new(10);
        let ping = masked(0x89, &[7; 125]);
        assert!(matches!(frames.feed(&ping, 10), Ok(Some((Event::Ping(_), _)))));
        assert_eq!(frames.feed(&masked(0x82, &[0; 11]), 10), Err(Fault::TooBig(11)));
    }

    #[test]
    fn another_limit_holds_at_once_also_for_a_message_that_has_begun() {
        let mut frames = Frames::new(10);
        let whole = |size| masked(0x82, &vec![0; size]);
        let (first, last) = (masked(0x02, &[0; 10]), masked(0x80, &[0; 10]));
        assert_eq!(frames.feed(&first, 10), Ok(Some((Event::Part, first.len()))));
        assert!(matches!(frames.feed(&last, 20), Ok(Some((Event::Binary(_), _)))));
        assert!(matches!(frames.feed(&whole(20), 20), Ok(Some((Event::Binary(_), _)))));
        assert_eq!(frames.feed(&whole(5_000), 4_999), Err(Fault::TooBig(5_000)));
        assert!(matches!(frames.feed(&whole(5_000), 5_000), Ok(Some((Event::Binary(_), _)))));
        assert_eq!(frames.feed(&first, 5_000), Ok(Some((Event::Part, first.len()))));
        assert_eq!(frames.feed(&last, 19), Err(Fault::TooBig(20)));
    }

    #[test]
    fn our_frames_are_what_tungstenite_would_write() {
        for length in [0, 1, 125, 126, 65535, 65536] {
            let payload = vec![b'x'; length];
            for text in [true, false] {
                let opcode = OpCode::Data(if text { Data::Text } else { Data::Binary });
                let mut expected = Vec::new();
                tungstenite::protocol::frame::Frame::message(payload.clone(), opcode, true)
                    .format(&mut expected)
                    .unwrap();
                assert_eq!(data_frame(text, &payload), expected);
            }
        }
        assert_eq!(&close_frame(1012, "restart")[..], b"\x88\x09\x03\xf4restart");
    }

    fn any_frame() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![
            20 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
            1 => any::<u8>(),
        ];
        let payload = prop_oneof![
            10 => "[a-zż]{0,40}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..200),
        ];
        (first, payload).prop_map(|(first, payload)| masked(first, &payload))
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            stream in prop::collection::vec(any_frame(), 0..20),
            chunks in prop::collection::vec(1usize..20, 0..200),
        ) {
            let stream = stream.concat();
            prop_assert_eq!(events(&stream, &chunks), events(&stream, &[]));
        }

        /// A context that is never replaced and sees the stream as one piece is the oracle.
        #[test]
        fn the_seam_says_what_a_plain_context_says(
            stream in prop::collection::vec(any_frame(), 0..20),
        ) {
            let stream = stream.concat();
            let mut lent = Lent { input: &stream, output: Vec::new() };
            let mut context = new_context(LIMIT);
            let mut expected = Vec::new();
            while let Ok(message) = context.read(&mut lent) {
                let closed = message.is_close();
                expected.push(message);
                if closed {
                    break;
                }
            }
            let (events, _) = events(&stream, &[]);
            let ours = events.iter().filter(|event| **event != Event::Part);
            prop_assert_eq!(ours.clone().count(), expected.len());
            for (ours, expected) in ours.zip(expected) {
                let same = match (ours, expected) {
                    (Event::Text(ours), Message::Text(text)) => *ours == text,
                    (Event::Binary(ours), Message::Binary(bytes)) => *ours == bytes,
                    (Event::Ping(pong), Message::Ping(bytes)) => pong[2..] == bytes,
                    (Event::Pong, Message::Pong(_)) => true,
                    (Event::Close(_), Message::Close(_)) => true,
                    _ => false,
                };
                prop_assert!(same);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(stream in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = events(&stream, &[]);
        }
    }
}
