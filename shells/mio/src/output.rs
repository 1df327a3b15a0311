//! What a turn writes: the frames that it makes, in one buffer, and who gets which of them.
//!
//! ```text
//!  bytes   │ frame 0 │ frame 1   │ frame 2 │ frame 3 │          in the order in which they were made
//!  chains    socket A: 0, 1, 2 ──────────────────> one write
//!            socket B: 0 ─> 2, 3 ────────────────> one write of two slices
//! ```
//!
//! A frame is made once, however many sockets get it, and a socket's frames of a turn are written at once.
//! A [`Chain`] is good as long as nothing clears the output. Frames that a kernel does not take are kept
//! outside, as bytes that all sockets that keep the frame share ([`TurnOutput::share`]).

use std::fmt;
use std::io::IoSlice;

use bytes::Bytes;
use headcount::ConnId;

use crate::frames::{fill_header, header_gap, header_length, push_header};
use crate::handler::FrameKind;
use crate::reused::Reused;

/// Slices in one vectored write.
pub(crate) const SLICES: usize = 64;

/// How many of the frames that are shared are looked through for one that is kept again: about as many as one
/// stretch of a stream has. Another copy is made beyond that.
const SEARCHED: usize = 64;

/// A frame of this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameId(u32);

/// What the queue of a socket that does not take all its frames may do with one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It keeps its place.
    Plain,
    /// It may give way to a later pong, which may come behind later frames.
    Pong,
    /// It keeps its place, and nothing comes behind it.
    Last,
}

/// The frames that wait for one socket, in the order of the wire. The default is an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// One more than the place of the first and of the last link; 0: there is none.
    first: u32,
    last: u32,
}

impl Chain {
    pub(crate) const fn is_empty(self) -> bool {
        self.first == 0
    }
}

/// Frames that follow each other, and where the chain goes on.
struct Link {
    from: u32,
    upto: u32,
    /// One more than the place of the next link; 0: there is none.
    next: u32,
}

/// Where a frame ends, and what all frames up to it cost: both are sums, so that a link of any length is
/// measured at once.
struct Frame {
    end: usize,
    cost: u64,
    class: Class,
}

/// The frames of a turn.
#[derive(Default)]
pub(crate) struct TurnOutput {
    bytes: Reused<u8>,
    frames: Reused<Frame>,
    links: Reused<Link>,
    /// Frames that sockets have had to keep, each on its own. The last is the most likely to be kept again.
    shared: Reused<(u32, Bytes)>,
    /// The connection whose replies may be written here, and the first of them.
    replies_to: Option<(ConnId, FrameId)>,
}

impl TurnOutput {
    /// The bytes of all frames so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.list.len()
    }

    /// Makes a data frame of a payload that `encode` appends; `expected` is how long it will probably be.
    /// Returns its length, too.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        cost: u64,
        expected: usize,
        encode: impl FnOnce(&mut Vec<u8>) -> FrameKind,
    ) -> (FrameId, usize) {
        let bytes = &mut self.bytes.list;
        let begin = bytes.len();
        // The header is of the length that the payload is expected to ask for.
        let gap = header_gap(expected);
        bytes.extend_from_slice(gap);
        let kind = encode(bytes);
        let length = bytes.len() - begin - gap.len();
        if header_length(length) != gap.len() {
            move_payload(bytes, begin, gap.len(), length);
        }
        let header = &mut bytes[begin..begin + header_length(length)];
        fill_header(header, kind == FrameKind::Text, length);
        (self.end_frame(cost, Class::Plain), self.bytes.list.len() - begin)
    }

    /// Makes a data frame of this payload. Returns its length, too.
    #[inline]
    pub(crate) fn data(&mut self, is_text: bool, payload: &[u8], cost: u64) -> (FrameId, usize) {
        let bytes = &mut self.bytes.list;
        let begin = bytes.len();
        push_header(bytes, is_text, payload.len());
        bytes.extend_from_slice(payload);
        (self.end_frame(cost, Class::Plain), self.bytes.list.len() - begin)
    }

    /// Takes whole frames, or any other bytes, as they are. Only the last ones of a socket may be empty: they
    /// count as written when what is before them was.
    pub(crate) fn whole(&mut self, bytes: &[u8], cost: u64, class: Class) -> FrameId {
        self.bytes.list.extend_from_slice(bytes);
        self.end_frame(cost, class)
    }

    fn end_frame(&mut self, cost: u64, class: Class) -> FrameId {
        let before = self.frames.list.last().map_or(0, |frame| frame.cost);
        let (end, cost) = (self.bytes.list.len(), before.saturating_add(cost));
        self.frames.list.push(Frame { end, cost, class });
        FrameId(self.frames.list.len() as u32 - 1)
    }

    /// Begins to take the replies to a connection ([`Context::reply`](crate::Context::reply)). Until they
    /// end, nothing else makes frames.
    #[inline]
    pub(crate) fn begin_replies(&mut self, conn: ConnId) {
        self.replies_to = Some((conn, FrameId(self.frames.list.len() as u32)));
    }

    /// Whether a reply to this connection may be written here.
    #[inline]
    pub(crate) fn takes_replies_to(&self, conn: ConnId) -> bool {
        self.replies_to.is_some_and(|(to, _)| to == conn)
    }

    /// Ends the replies, and appends them to the chain of their connection.
    #[inline]
    pub(crate) fn end_replies(&mut self, chain: &mut Chain) {
        let Some((_, FrameId(from))) = self.replies_to.take() else { return };
        let upto = self.frames.list.len() as u32;
        if from < upto {
            self.link(chain, from, upto);
        }
    }

    /// Appends a frame to the chain of a socket.
    #[inline]
    pub(crate) fn append(&mut self, chain: &mut Chain, FrameId(frame): FrameId) {
        self.link(chain, frame, frame + 1);
    }

    #[inline]
    fn link(&mut self, chain: &mut Chain, from: u32, upto: u32) {
        let count = self.links.list.len() as u32;
        if let Some(last) = (chain.last as usize).checked_sub(1)
            && let Some(last) = self.links.list.get_mut(last)
        {
            if last.upto == from {
                last.upto = upto;
                return;
            }
            last.next = count + 1;
        }
        self.links.list.push(Link { from, upto, next: 0 });
        chain.last = count + 1;
        if chain.first == 0 {
            chain.first = chain.last;
        }
    }

    fn links(&self, chain: Chain) -> impl Iterator<Item = &Link> {
        let link = |place: u32| self.links.list.get((place as usize).checked_sub(1)?);
        std::iter::successors(link(chain.first), move |before| link(before.next))
    }

    fn begin_of(&self, frame: u32) -> usize {
        frame.checked_sub(1).map_or(0, |before| self.frames.list[before as usize].end)
    }

    fn cost_before(&self, frame: u32) -> u64 {
        frame.checked_sub(1).map_or(0, |before| self.frames.list[before as usize].cost)
    }

    fn bytes_of(&self, from: u32, upto: u32) -> &[u8] {
        &self.bytes.list[self.begin_of(from)..self.begin_of(upto)]
    }

    /// The bytes of a chain and its cost.
    #[inline]
    pub(crate) fn measure(&self, chain: Chain) -> (usize, u64) {
        self.links(chain).fold((0, 0), |(bytes, cost), link| {
            let more = self.begin_of(link.upto) - self.begin_of(link.from);
            (bytes + more, cost + self.cost_before(link.upto) - self.cost_before(link.from))
        })
    }

    /// The bytes of a chain whose frames follow each other, as nearly all chains do.
    #[inline]
    pub(crate) fn slice(&self, chain: Chain) -> Option<&[u8]> {
        let only = self.links.list.get((chain.first as usize).checked_sub(1)?)?;
        (only.next == 0).then(|| self.bytes_of(only.from, only.upto))
    }

    /// Fills in the slices of a chain, up to so many bytes, and returns how many slices there are.
    #[inline]
    pub(crate) fn slices<'a>(
        &'a self,
        chain: Chain,
        mut bytes: usize,
        slices: &mut [IoSlice<'a>; SLICES],
    ) -> usize {
        let mut count = 0;
        for (slice, link) in slices.iter_mut().zip(self.links(chain)) {
            let whole = self.bytes_of(link.from, link.upto);
            let part = &whole[..whole.len().min(bytes)];
            *slice = IoSlice::new(part);
            count += 1;
            bytes -= part.len();
            if bytes == 0 {
                break;
            }
        }
        count
    }

    /// Calls `f` with each frame of a chain that is not out when so many bytes of the chain are written, as
    /// bytes that are shared by all who keep them, with what it costs. Returns how many of the written bytes
    /// are of the first of these frames, and the cost of the frames before it.
    pub(crate) fn for_each_left(
        &mut self,
        chain: Chain,
        mut written: usize,
        mut f: impl FnMut((Bytes, u64, Class)),
    ) -> (usize, u64) {
        let (mut next, mut is_first, mut out) = (chain.first, true, 0);
        while let Some(link) =
            (next as usize).checked_sub(1).and_then(|place| self.links.list.get(place))
        {
            let frames = link.from..link.upto;
            next = link.next;
            for frame in frames {
                let length = self.bytes_of(frame, frame + 1).len();
                if is_first && written > 0 && length <= written {
                    written -= length;
                    out += self.cost_before(frame + 1) - self.cost_before(frame);
                    continue;
                }
                is_first = false;
                f(self.share(FrameId(frame)));
            }
        }
        (written, out)
    }

    /// A frame as bytes that are shared by all who keep it, and what it costs.
    pub(crate) fn share(&mut self, FrameId(frame): FrameId) -> (Bytes, u64, Class) {
        let Frame { cost, class, .. } = self.frames.list[frame as usize];
        let cost = cost - self.cost_before(frame);
        let known = self.shared.list.iter().rev().take(SEARCHED).find(|(known, _)| *known == frame);
        if let Some((_, bytes)) = known {
            return (bytes.clone(), cost, class);
        }
        let bytes = Bytes::copy_from_slice(self.bytes_of(frame, frame + 1));
        self.shared.list.push((frame, bytes.clone()));
        (bytes, cost, class)
    }

    /// Forgets all frames. No socket may have a chain.
    pub(crate) fn clear(&mut self) {
        // The longest that each was fades on its own: one frame may have many bytes and many links.
        if self.bytes.is_untouched()
            && self.frames.is_untouched()
            && self.links.is_untouched()
            && self.shared.is_untouched()
        {
            return;
        }
        self.bytes.reset();
        self.frames.reset();
        self.links.reset();
        self.shared.reset();
    }
}

/// Moves a payload behind a gap to where its header ends.
#[cold]
fn move_payload(bytes: &mut Vec<u8>, begin: usize, gap: usize, length: usize) {
    let (from, to) = (begin + gap, begin + header_length(length));
    bytes.resize(bytes.len().max(to + length), 0);
    bytes.copy_within(from..from + length, to);
    bytes.truncate(to + length);
}

/// Shows how much there is only: payloads are personal data.
impl fmt::Debug for TurnOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnOutput")
            .field("frames", &self.frames.list.len())
            .field("bytes", &self.bytes.list.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    fn written(output: &TurnOutput, chain: Chain) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = output.slices(chain, usize::MAX, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn frames_that_follow_each_other_are_one_slice() {
        let (mut output, mut one, mut other) =
            (TurnOutput::default(), Chain::default(), Chain::default());
        let frames: Vec<_> = (b'a'..b'e')
            .map(|letter| output.whole(&[letter], u64::from(letter), Class::Plain))
            .collect();
        for frame in &frames[..3] {
            output.append(&mut one, *frame);
        }
        for place in [0, 2, 3] {
            output.append(&mut other, frames[place]);
        }
        assert_eq!(
            (written(&output, one), written(&output, other)),
            (b"abc".into(), b"acd".into())
        );
        let mut slices = [IoSlice::new(&[]); SLICES];
        assert_eq!(output.slices(one, usize::MAX, &mut slices), 1);
        assert_eq!(output.slices(other, usize::MAX, &mut slices), 2);
        assert_eq!(output.measure(other), (3, u64::from(b'a') + 99 + 100));
        assert_eq!(output.slices(other, 2, &mut slices), 2);
        assert_eq!(&*slices[1], b"c", "no more bytes than were asked for");
    }

    #[test]
    fn headers_are_those_of_tungstenite_whatever_length_was_expected() {
        for expected in [0, 125, 126, 65_535, 65_536] {
            for length in [0, 1, 125, 126, 65_535, 65_536] {
                for kind in [FrameKind::Text, FrameKind::Binary] {
                    let (mut output, mut chain) = (TurnOutput::default(), Chain::default());
                    let payload = vec![b'x'; length];
                    let before = output.whole(b"before", 1, Class::Plain);
                    let (frame, _) = output.encode(5, expected, |out| {
                        out.extend_from_slice(&payload);
                        kind
                    });
                    let mut wanted = b"before".to_vec();
                    let opcode = OpCode::Data(match kind {
                        FrameKind::Text => Data::Text,
                        FrameKind::Binary => Data::Binary,
                    });
                    tungstenite::protocol::frame::Frame::message(payload, opcode, true)
                        .format(&mut wanted)
                        .unwrap();
                    output.append(&mut chain, before);
                    output.append(&mut chain, frame);
                    assert_eq!(written(&output, chain), wanted, "{expected} expected, {length}");
                    assert_eq!(output.measure(chain), (wanted.len(), 6));
                }
            }
        }
    }

    #[test]
    fn a_frame_that_is_kept_is_shared() {
        let (mut output, mut chain) = (TurnOutput::default(), Chain::default());
        let first = output.whole(b"first", 7, Class::Plain);
        let pong = output.whole(b"pong", 0, Class::Pong);
        output.append(&mut chain, first);
        output.append(&mut chain, pong);
        let mut kept = Vec::new();
        assert_eq!(output.for_each_left(chain, 0, |frame| kept.push(frame)), (0, 0));
        let shared = output.share(first);
        assert_eq!(shared.0.as_ptr(), kept[0].0.as_ptr(), "the same bytes");
        let expected = [
            (Bytes::from_static(b"first"), 7, Class::Plain),
            (Bytes::from_static(b"pong"), 0, Class::Pong),
        ];
        assert_eq!(kept, expected);
        output.clear();
        assert_eq!(&shared.0[..], b"first");
    }

    #[test]
    fn turns_without_frames_give_back_what_a_burst_took() {
        let mut output = TurnOutput::default();
        let frame = output.whole(&[0; 100_000], 0, Class::Plain);
        for _ in 0..1_000 {
            output.append(&mut Chain::default(), frame);
        }
        (0..200).for_each(|_| output.clear());
        assert!(output.bytes.list.capacity() < 100 && output.links.list.capacity() < 100);
    }

    #[test]
    fn what_is_written_is_not_kept() {
        let (mut output, mut chain) = (TurnOutput::default(), Chain::default());
        for letter in b'a'..b'd' {
            let frame = output.whole(&[letter; 3], u64::from(letter), Class::Plain);
            output.append(&mut chain, frame);
        }
        let end = output.whole(b"", 1, Class::Last);
        output.append(&mut chain, end);
        let (a, b) = (u64::from(b'a'), u64::from(b'b'));
        let expected = [(0, 0, 4), (2, 0, 4), (0, a, 3), (1, a, 3), (0, a + b, 2), (2, a + b, 2)];
        for (written, (begun, cost, left)) in [0, 2, 3, 4, 6, 8].into_iter().zip(expected) {
            let mut kept = 0;
            let answer = output.for_each_left(chain, written, |_| kept += 1);
            assert_eq!((answer, kept), ((begun, cost), left), "{written} bytes");
        }
    }

    #[test]
    fn replies_are_those_of_one_connection() {
        let (mut output, mut chain) = (TurnOutput::default(), Chain::default());
        let conn = ConnId::from_bits(1 << 32).expect("a handle");
        let other = ConnId::from_bits(1 << 32 | 1).expect("a handle");
        output.whole(b"another's", 1, Class::Plain);
        output.begin_replies(conn);
        assert!(output.takes_replies_to(conn) && !output.takes_replies_to(other));
        output.data(true, b"one", 67);
        output.data(true, b"two", 67);
        output.end_replies(&mut chain);
        assert!(!output.takes_replies_to(conn));
        assert_eq!(written(&output, chain), b"\x81\x03one\x81\x03two");
        assert_eq!(output.measure(chain).1, 134);
        output.begin_replies(conn);
        output.end_replies(&mut chain);
        assert_eq!(output.measure(chain).1, 134, "without a reply nothing is appended");
    }
}
