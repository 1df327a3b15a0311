//! What a server sends, frame by frame. Payloads are skipped, but for those of pings.

use crate::frames::encode;

/// How far the input of one connection has come.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    head: [u8; 10],
    /// Bytes of the head that have come.
    have: u8,
    /// Bytes of the payload that have not come.
    left: u64,
    /// Of a ping that comes in pieces.
    ping: Vec<u8>,
}

/// What a stretch of input said.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Data messages that were completed.
    pub(crate) messages: u32,
    /// Pongs to send, encoded.
    pub(crate) pongs: Vec<u8>,
    /// A close frame has come.
    pub(crate) closed: bool,
    /// It is no frame of a server.
    pub(crate) malformed: bool,
}

const PING: u8 = 0x9;
const CLOSE: u8 = 0x8;

impl Inbound {
    /// Takes what came in.
    pub(crate) fn take(&mut self, mut input: &[u8], seen: &mut Seen) {
        while self.head(&mut input, seen) {
            let here = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
            let (payload, rest) = input.split_at(here);
            if self.opcode() == PING {
                self.ping.extend_from_slice(payload);
            }
            self.left -= here as u64;
            input = rest;
            if self.left > 0 {
                return;
            }
            self.have = 0;
            let is_last = self.head[0] & 0x80 != 0;
            match self.opcode() {
                // A message that comes in pieces ends with its last one.
                0..=2 if is_last => seen.messages += 1,
                PING => encode(0xA, &std::mem::take(&mut self.ping), &mut seen.pongs),
                CLOSE => seen.closed = true,
                _ => {}
            }
        }
    }

    const fn opcode(&self) -> u8 {
        self.head[0] & 0x0f
    }

    /// Completes the head. `false`: more input is needed, or it is none.
    fn head(&mut self, input: &mut &[u8], seen: &mut Seen) -> bool {
        loop {
            let length = if self.have < 2 { 2 } else { head_length(self.head[1]) };
            let have = usize::from(self.have);
            if have == length {
                return true;
            }
            let here = (length - have).min(input.len());
            if here == 0 {
                return false;
            }
            let (head, rest) = input.split_at(here);
            self.head[have..have + here].copy_from_slice(head);
            self.have += here as u8;
            *input = rest;
            if have + here < length {
                return false;
            }
            if length > 2 || head_length(self.head[1]) == 2 {
                self.left = match length {
                    4 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
                    10 => self.head[2..].iter().fold(0, |left, byte| left << 8 | u64::from(*byte)),
                    _ => u64::from(self.head[1]),
                };
                // A server masks nothing.
                if self.head[1] & 0x80 != 0 {
                    seen.malformed = true;
                    *input = &[];
                    return false;
                }
                return true;
            }
        }
    }
}

const fn head_length(second: u8) -> usize {
    match second & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            length @ 0..126 => out.push(length as u8),
            length @ 126..0x1_0000 => {
                out.push(126);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn messages_are_counted_however_the_input_is_cut() {
        let mut input = Vec::new();
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            input.extend(frame(0x81, &vec![7; length]));
            input.extend(frame(0x02, b"in pieces"));
            input.extend(frame(0x89, b"are you there"));
            input.extend(frame(0x80, b"the last"));
            input.extend(frame(0x8a, b"unasked"));
        }
        let mut pong = Vec::new();
        encode(0xA, b"are you there", &mut pong);
        for piece in [1, 2, 3, 7, 100, 4_096, input.len()] {
            let (mut inbound, mut seen) = (Inbound::default(), Seen::default());
            for piece in input.chunks(piece) {
                inbound.take(piece, &mut seen);
            }
            assert_eq!((seen.messages, seen.closed, seen.malformed), (12, false, false), "{piece}");
            assert_eq!(seen.pongs, pong.repeat(6));
        }
    }

    #[test]
    fn a_close_and_a_masked_frame_are_told() {
        let (mut inbound, mut seen) = (Inbound::default(), Seen::default());
        inbound.take(&frame(0x88, &[3, 232]), &mut seen);
        assert!(seen.closed && !seen.malformed);
        inbound.take(&[0x81, 0x81, 1, 2, 3, 4, 5], &mut seen);
        assert!(seen.malformed);
    }
}
