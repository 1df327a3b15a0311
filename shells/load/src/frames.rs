//! Frames of a client, encoded once.

/// Any will do: a fixed key guards against nothing, and a loaded server unmasks all the same.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Several copies of one whole message as a client sends it, masked.
#[derive(Clone, Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    each: usize,
}

impl Frames {
    /// A text message of as many bytes, all ASCII; `copies` of it can be sent at once.
    #[must_use]
    pub fn text(bytes: usize, copies: usize) -> Self {
        let mut one = Vec::with_capacity(bytes + 14);
        encode(0x1, &payload(bytes), &mut one);
        let each = one.len();
        Self { bytes: one.repeat(copies), each }
    }

    /// The first copies. At most as many as were made.
    pub(crate) fn first(&self, copies: usize) -> &[u8] {
        let end = (self.each * copies).min(self.bytes.len());
        &self.bytes[..end]
    }
}

/// Letters, so that a text that is cut shows where.
fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| b'a' + (at % 26) as u8).collect()
}

/// Appends one final frame.
pub(crate) fn encode(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    let length = payload.len() as u64;
    match length {
        0..126 => out.push(0x80 | length as u8),
        126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_shortest_length_and_a_mask() {
        for (bytes, head) in [(5, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let frames = Frames::text(bytes, 3);
            let one = frames.first(1);
            assert_eq!(one.len(), head + bytes);
            assert_eq!(one[0], 0x81);
            assert_eq!(one[head] ^ one[head - 4], b'a');
            assert_eq!(frames.first(2), one.repeat(2));
            assert_eq!(frames.first(9).len(), 3 * one.len());
        }
    }
}
