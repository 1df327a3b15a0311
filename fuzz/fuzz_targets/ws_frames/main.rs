//! The seam to tungstenite, which takes plain frames in place, and lends one context to all connections
//! that are between two messages, against a context of tungstenite for each connection that reads the same
//! bytes as one stream: the same events, the same answers to pings, the same verdict, in any chunks, however
//! the connections take turns; and no more memory than is documented.
//!
//! What may differ is in `reference.rs`.

#![no_main]

mod generate;
#[path = "../../../shells/mio/src/protocol/mod.rs"]
#[allow(dead_code)]
mod protocol;
mod reference;

/// What the seam says of messages.
mod handler {
    pub(crate) use headcount_mio::Payload;
}

use arbitrary::Arbitrary;
use generate::Piece;
use headcount_harness::thread_memory::{ThreadAllocator, live_bytes};
use libfuzzer_sys::fuzz_target;
use protocol::{Fault, Fragments, FrameEvent, Protocol};
use reference::Header;

/// Frames that one input has at most.
const MOST: usize = 64;

/// What may be allocated for each byte of a message that has begun.
const FACTOR: i64 = 3;

/// What all sockets without a message that has begun keep: the context, and its buffer.
const IDLE: i64 = 16 * 1024;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    limit: Limit,
    /// What the limit is for each frame in turn, in the part that changes it.
    limits: [u16; 4],
    chunks: [u8; 8],
    pieces: Vec<Piece<'a>>,
    /// What another connection says between them.
    others: Vec<Piece<'a>>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Limit {
    Short(u8),
    Middle(u16),
    Long(u8),
}

impl Limit {
    fn bytes(self) -> usize {
        match self {
            Self::Short(bytes) => bytes.into(),
            Self::Middle(bytes) => bytes.into(),
            Self::Long(units) => usize::from(units) * 1024,
        }
    }
}

/// What the frames of a stream are, up to a close or a fault.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    events: Vec<FrameEvent<'static>>,
    fault: Option<Fault>,
    /// Bytes of the frames that were taken.
    taken: usize,
    /// Bytes of the message that has begun.
    begun: u64,
}

/// One connection, and how much of what its peer says has come.
struct Peer<'a> {
    stream: &'a [u8],
    /// The same bytes: payloads are unmasked in it.
    input: Vec<u8>,
    come: usize,
    fragments: Option<Box<Fragments>>,
    outcome: Outcome,
}

impl<'a> Peer<'a> {
    fn new(stream: &'a [u8]) -> Self {
        let input = stream.to_vec();
        Self { stream, input, come: 0, fragments: None, outcome: Outcome::default() }
    }

    /// Whether it is closed, has failed, or has nothing more to say.
    fn is_over(&self) -> bool {
        let closed = matches!(self.outcome.events.last(), Some(FrameEvent::Close(_)));
        closed || self.outcome.fault.is_some() || self.come == self.stream.len()
    }

    /// More bytes come. A frame of which a part is missing waits, as in a socket.
    fn hear(&mut self, bytes: usize, protocol: &mut Protocol, limit: usize) {
        self.come = self.stream.len().min(self.come + bytes);
        let outcome = &mut self.outcome;
        loop {
            let input = &mut self.input[outcome.taken..self.come];
            match protocol.feed(&mut self.fragments, input, limit) {
                Ok(Some((event, length))) => {
                    let event = owned(event);
                    assert!(length >= 2 && outcome.taken + length <= self.come);
                    outcome.taken += length;
                    let frame = &self.stream[outcome.taken - length..];
                    outcome.begun = begun(outcome.begun, &event, frame);
                    assert_eq!(self.fragments.is_some(), is_in_message(&self.fragments, &event));
                    let closed = matches!(event, FrameEvent::Close(_));
                    outcome.events.push(event);
                    if closed {
                        return;
                    }
                }
                Ok(None) => return,
                Err(fault) => {
                    outcome.fault = Some(fault);
                    return;
                }
            }
        }
    }
}

/// Whether a context of one's own is right after this event: inside a message, and nowhere else.
fn is_in_message(fragments: &Option<Box<Fragments>>, event: &FrameEvent<'_>) -> bool {
    match event {
        FrameEvent::Fragment => true,
        FrameEvent::Message(_) => false,
        _ => fragments.is_some(),
    }
}

fn owned(event: FrameEvent<'_>) -> FrameEvent<'static> {
    match event {
        FrameEvent::Message(data) => FrameEvent::Message(data.into_owned()),
        FrameEvent::Fragment => FrameEvent::Fragment,
        FrameEvent::Ping(pong) => FrameEvent::Ping(pong),
        FrameEvent::Pong => FrameEvent::Pong,
        FrameEvent::Close(code) => FrameEvent::Close(code),
    }
}

/// Lets peers speak in turns, a chunk each.
fn drive<const N: usize>(streams: [&[u8]; N], limit: usize, chunks: &[u8]) -> [Outcome; N] {
    let mut protocol = Protocol::default();
    let mut peers = streams.map(Peer::new);
    let mut sizes = chunks.iter().cycle();
    while peers.iter().any(|peer| !peer.is_over()) {
        for peer in peers.iter_mut().filter(|peer| !peer.is_over()) {
            let size = sizes.next().map_or(peer.stream.len(), |size| generate::chunk(*size));
            peer.hear(size, &mut protocol, limit);
        }
    }
    peers.map(|peer| peer.outcome)
}

/// The bytes of a message that has begun, after one more frame.
fn begun(before: u64, event: &FrameEvent<'_>, frame: &[u8]) -> u64 {
    match event {
        FrameEvent::Fragment => before + Header::read(frame).map_or(0, |header| header.length),
        FrameEvent::Message(_) => 0,
        _ => before,
    }
}

/// What is kept between frames, while the limit stays.
fn keeps_little(stream: &[u8], limit: usize) {
    let mut input = stream.to_vec();
    let before = live_bytes();
    let (mut protocol, mut fragments) = (Protocol::default(), None);
    let (mut taken, mut message) = (0, 0);
    while let Ok(Some((event, length))) = protocol.feed(&mut fragments, &mut input[taken..], limit)
    {
        taken += length;
        let closed = matches!(event, FrameEvent::Close(_));
        message = begun(message, &event, &stream[taken - length..]);
        drop(event);
        let held = live_bytes() - before;
        assert!(message <= limit as u64);
        let bound = FACTOR * message as i64 + IDLE;
        assert!(held <= bound, "{held} bytes are kept of a message of {message}");
        if closed {
            break;
        }
    }
}

/// A limit that changes between frames holds at once.
fn obeys_each_limit(stream: &[u8], limits: [u16; 4]) {
    let (mut protocol, mut fragments) = (Protocol::default(), None);
    let mut input = stream.to_vec();
    let mut rest = &mut input[..];
    for limit in limits.into_iter().cycle().map(usize::from) {
        match protocol.feed(&mut fragments, &mut *rest, limit) {
            Ok(Some((event, length))) => {
                match event {
                    FrameEvent::Message(data) => assert!(data.len() <= limit),
                    FrameEvent::Close(_) => break,
                    _ => {}
                }
                rest = &mut rest[length..];
            }
            Ok(None) => break,
            Err(Fault::TooBig(bytes)) => {
                assert!(bytes > limit as u64);
                break;
            }
            Err(_) => break,
        }
    }
}

fn written(pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for piece in pieces.iter().take(MOST) {
        piece.write(&mut stream);
    }
    stream
}

#[global_allocator]
static ALLOCATOR: ThreadAllocator = ThreadAllocator;

fuzz_target!(|input: Input<'_>| {
    let limit = input.limit.bytes();
    let stream = written(&input.pieces);
    let other = written(&input.others);
    let whole = drive([&stream], limit, &[]);
    assert_eq!(drive([&stream], limit, &input.chunks), whole, "chunks make a difference");
    let whole_other = drive([&other], limit, &[]);
    let [mine, others] = drive([&stream, &other], limit, &input.chunks);
    let why = "another connection makes a difference";
    assert_eq!((&mine, &others), (&whole[0], &whole_other[0]), "{why}");
    reference::agrees(&stream, limit, &mine);
    reference::agrees(&other, limit, &others);
    keeps_little(&stream, limit);
    obeys_each_limit(&stream, input.limits);
});
