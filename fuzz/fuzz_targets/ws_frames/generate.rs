//! Streams out of frames that are right, nearly right, or no frames at all.

use arbitrary::Arbitrary;

#[derive(Arbitrary, Debug)]
pub(crate) enum Piece<'a> {
    Frame(Framed<'a>),
    /// A text in two fragments that are cut at any byte, with a frame of its own between them.
    Cut {
        text: &'a str,
        at: u8,
        mask: [u8; 4],
        between: Option<Ping<'a>>,
    },
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
pub(crate) struct Ping<'a>(&'a [u8]);

#[derive(Arbitrary, Debug)]
pub(crate) struct Framed<'a> {
    kind: Kind,
    is_last: bool,
    /// Rarely anything but zero.
    reserved: u8,
    mask: Option<[u8; 4]>,
    length: Length,
    payload: Payload<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
    Any(u8),
}

/// How the length is written, and whether it is the payload's.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Length {
    Right,
    InTwoBytes,
    InEightBytes,
    Off(i8),
    /// One of the lengths where something changes.
    Edge(u8),
    Announced(u64),
}

/// Where the rules and the encodings of lengths change.
const EDGES: [u64; 8] = [124, 125, 126, 127, 65_535, 65_536, i64::MAX as u64, u64::MAX];

#[derive(Arbitrary, Debug)]
enum Payload<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Closing {
        code: u16,
        reason: &'a str,
    },
    /// So many bytes of this one.
    Filled {
        byte: u8,
        count: u16,
    },
}

impl Payload<'_> {
    fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Closing { code, reason } => {
                [code.to_be_bytes().as_slice(), reason.as_bytes()].concat()
            }
            Self::Filled { byte, count } => vec![byte; count.into()],
        }
    }
}

impl Piece<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::Frame(frame) => frame.write(out),
            Self::Cut { text, at, mask, between } => {
                let text = text.as_bytes();
                let (one, two) = text.split_at(usize::from(*at).min(text.len()));
                frame(0x01, Some(*mask), Length::Right, one, out);
                if let Some(Ping(payload)) = between {
                    frame(0x89, Some(*mask), Length::Right, payload, out);
                }
                frame(0x80, Some(*mask), Length::Right, two, out);
            }
        }
    }
}

impl Framed<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let opcode = match self.kind {
            Kind::Continuation => 0,
            Kind::Text => 1,
            Kind::Binary => 2,
            Kind::Close => 8,
            Kind::Ping => 9,
            Kind::Pong => 10,
            Kind::Any(any) => any & 0xf,
        };
        let reserved = if self.reserved > 0xf0 { self.reserved << 4 & 0x70 } else { 0 };
        let first = u8::from(self.is_last) << 7 | reserved | opcode;
        frame(first, self.mask, self.length, &self.payload.bytes(), out);
    }
}

fn frame(first: u8, mask: Option<[u8; 4]>, length: Length, payload: &[u8], out: &mut Vec<u8>) {
    let real = payload.len() as u64;
    let (length, least) = match length {
        Length::Right => (real, 0),
        Length::InTwoBytes => (real, 126),
        Length::InEightBytes => (real, 65_536),
        Length::Off(by) => (real.saturating_add_signed(by.into()), 0),
        Length::Edge(number) => (EDGES[usize::from(number) % EDGES.len()], 0),
        Length::Announced(length) => (length, 0),
    };
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(first);
    match length.max(least) {
        0..126 => out.push(masked | length as u8),
        126..65_536 => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| out.extend_from_slice(mask)).unwrap_or_default();
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// A chunk out of one byte: most are small, some are large, none is empty.
pub(crate) fn chunk(size: u8) -> usize {
    match size {
        0..=127 => 1 + usize::from(size) / 8,
        128..=239 => 1 + usize::from(size),
        _ => usize::from(size) * 64,
    }
}
