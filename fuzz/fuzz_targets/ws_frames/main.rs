//! The seam to tungstenite, which is given one whole frame at a time, against a context of
//! tungstenite that reads the same bytes as one stream: the same events, the same answers to
//! pings, the same verdict, in any chunks; and no more memory than is documented.
//!
//! What may differ is in `reference.rs`.

#![no_main]

#[path = "../../../tests/memory/counting.rs"]
mod counting;
#[path = "../../../shells/mio/src/frames.rs"]
#[allow(dead_code)]
mod frames;
mod generate;
mod reference;

use arbitrary::Arbitrary;
use counting::live_bytes;
use frames::{FrameEvent, Fault, Frames};
use generate::Piece;
use libfuzzer_sys::fuzz_target;
use reference::Header;

/// Frames that one input has at most.
const MOST: usize = 64;

/// What may be allocated for each byte of a message that has begun.
const FACTOR: i64 = 3;

/// What a socket without a message that has begun keeps: the context, and its buffer.
const IDLE: i64 = 16 * 1024;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    limit: Limit,
    /// What the limit is for each frame in turn, in the part that changes it.
    limits: [u16; 4],
    chunks: [u8; 8],
    pieces: Vec<Piece<'a>>,
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
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<FrameEvent>,
    fault: Option<Fault>,
    /// Bytes of the frames that were taken.
    taken: usize,
    /// Bytes of the message that has begun.
    begun: u64,
}

/// Gives the stream in such chunks, as a socket does: what is no whole frame waits.
fn drive(stream: &[u8], limit: usize, chunks: &[u8]) -> Outcome {
    let mut frames = Frames::new(limit);
    let mut outcome = Outcome { events: Vec::new(), fault: None, taken: 0, begun: 0 };
    let mut sizes = chunks.iter().cycle();
    let mut end = 0;
    while end < stream.len() {
        let size = sizes.next().map_or(stream.len(), |size| generate::chunk(*size));
        end = stream.len().min(end + size);
        loop {
            match frames.feed(&stream[outcome.taken..end], limit) {
                Ok(Some((event, length))) => {
                    assert!(length >= 2 && outcome.taken + length <= end);
                    outcome.taken += length;
                    outcome.begun = begun(outcome.begun, &event, &stream[outcome.taken - length..]);
                    let closed = matches!(event, FrameEvent::Close(_));
                    outcome.events.push(event);
                    if closed {
                        return outcome;
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    outcome.fault = Some(fault);
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// The bytes of a message that has begun, after one more frame.
fn begun(before: u64, event: &FrameEvent, frame: &[u8]) -> u64 {
    match event {
        FrameEvent::Fragment => before + Header::read(frame).map_or(0, |header| header.length),
        FrameEvent::Text(_) | FrameEvent::Binary(_) => 0,
        _ => before,
    }
}

/// What is kept between frames, while the limit stays.
fn keeps_little(stream: &[u8], limit: usize) {
    let before = live_bytes();
    let mut frames = Frames::new(limit);
    let (mut taken, mut message) = (0, 0);
    while let Ok(Some((event, length))) = frames.feed(&stream[taken..], limit) {
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
    let mut frames = Frames::new(limits[3].into());
    let mut rest = stream;
    for limit in limits.into_iter().cycle().map(usize::from) {
        match frames.feed(rest, limit) {
            Ok(Some((event, length))) => {
                rest = &rest[length..];
                match event {
                    FrameEvent::Text(text) => assert!(text.len() <= limit),
                    FrameEvent::Binary(bytes) => assert!(bytes.len() <= limit),
                    FrameEvent::Close(_) => break,
                    _ => {}
                }
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

fuzz_target!(|input: Input<'_>| {
    let limit = input.limit.bytes();
    let mut stream = Vec::new();
    for piece in input.pieces.iter().take(MOST) {
        piece.write(&mut stream);
    }
    let whole = drive(&stream, limit, &[]);
    assert_eq!(drive(&stream, limit, &input.chunks), whole, "chunks make a difference");
    reference::agrees(&stream, limit, &whole);
    keeps_little(&stream, limit);
    obeys_each_limit(&stream, input.limits);
});
