//! The bytes of a request head until it is complete, or can't become one.

use crate::answer::{Answer, is_token_byte};

/// The bytes of a request head until it is complete. How many there may be is the registry's affair.
#[derive(Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    line: RequestLine,
    /// No end of the head starts before this place: what came in before is not searched again.
    searched: usize,
}

/// What is known about a request head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its end has not come.
    Partial,
    /// It ends before this place; what follows it is no part of it.
    Complete(usize),
    /// No further bytes can make a request of it.
    Impossible,
}

impl Head {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Progress {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let found = end_of_head(&self.bytes, self.searched);
        let fresh = &self.bytes[before..found.unwrap_or(self.bytes.len())];
        if !fresh.iter().all(|byte| self.line.goes_on_with(*byte)) {
            return Progress::Impossible;
        }
        match found {
            Some(end) => Progress::Complete(end),
            None => {
                self.searched = self.bytes.len().saturating_sub(2);
                Progress::Partial
            }
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The answer to what can't become a request.
    pub(crate) fn impossible(&self) -> Answer {
        if self.bytes.first() == Some(&TLS_HANDSHAKE) {
            let message = "this port speaks plain HTTP, and this is TLS: use ws:// here, or a proxy \
                           that ends TLS";
            return Answer::json(400, "plain_http", message);
        }
        malformed()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The first byte of a TLS hello, RFC 8446 §5.1.
const TLS_HANDSHAKE: u8 = 0x16;

const VERSION: &[u8] = b"HTTP/1.";

/// How far the request line has come, byte by byte, as the parser takes it. It refuses what the parser
/// would refuse, so that a client that speaks something else is told at once. What it lets through is
/// the parser's to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum RequestLine {
    /// Empty lines may come before it.
    #[default]
    Begin,
    /// After the carriage return of such a line.
    BeginNewline,
    Method,
    /// After the blank behind the method.
    TargetBegin,
    Target,
    /// After so many bytes of [`VERSION`].
    Version(usize),
    /// After the version.
    End,
    /// After the carriage return behind the version.
    EndNewline,
    /// Header lines follow.
    Over,
}

impl RequestLine {
    /// Whether a request line may go on with this byte.
    fn goes_on_with(&mut self, byte: u8) -> bool {
        let is_visible = |byte| byte > b' ' && byte != 0x7f;
        *self = match (*self, byte) {
            (Self::Begin | Self::BeginNewline, b'\n') => Self::Begin,
            (Self::Begin, b'\r') => Self::BeginNewline,
            (Self::Begin | Self::Method, byte) if is_token_byte(byte) => Self::Method,
            (Self::Method, b' ') => Self::TargetBegin,
            (Self::TargetBegin | Self::Target, byte) if is_visible(byte) => Self::Target,
            (Self::Target, b' ') => Self::Version(0),
            (Self::Version(count), b'0' | b'1') if count == VERSION.len() => Self::End,
            (Self::Version(count), byte) if VERSION.get(count) == Some(&byte) => {
                Self::Version(count + 1)
            }
            (Self::End, b'\r') => Self::EndNewline,
            (Self::End | Self::EndNewline, b'\n') | (Self::Over, _) => Self::Over,
            _ => return false,
        };
        true
    }
}

pub(super) fn malformed() -> Answer {
    Answer::json(400, "malformed_request", "this is not an HTTP/1.1 request")
}

/// Where a head ends: after an empty line. Lines may end without a carriage return, because the
/// parser takes them so: if it took less for the head than is cut off here, what lies between would
/// be lost.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len()).find_map(|at| match &bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{UPGRADE, status};
    use super::*;

    #[test]
    fn a_head_comes_byte_by_byte_or_at_once() {
        let stream = format!("{UPGRADE}first frames");
        let mut slow = Head::default();
        for (at, byte) in UPGRADE.bytes().enumerate() {
            let expected = if at + 1 == UPGRADE.len() {
                Progress::Complete(UPGRADE.len())
            } else {
                Progress::Partial
            };
            assert_eq!(slow.push(&[byte]), expected, "after {} bytes", at + 1);
        }
        assert_eq!(Head::default().push(stream.as_bytes()), Progress::Complete(UPGRADE.len()));
    }

    #[test]
    fn a_head_ends_where_the_parser_says() {
        let head = UPGRADE.replace("\r\n", "\n");
        assert_eq!(status(&head), 101);
        let mixed = UPGRADE.replace("\r\n\r\n", "\n\r\n");
        for head in [&head, &mixed, UPGRADE] {
            let stream = format!("{head}\r\n\r\nA: b\r\n\r\n");
            assert_eq!(Head::default().push(stream.as_bytes()), Progress::Complete(head.len()));
            let mut slow = Head::default();
            let ends = head.bytes().position(|byte| slow.push(&[byte]) != Progress::Partial);
            assert_eq!(ends, Some(head.len() - 1));
        }
    }

    /// After how many bytes it is clear that a stream is no request; `None`: it may be one.
    fn impossible_after(stream: &[u8]) -> Option<usize> {
        let mut head = Head::default();
        stream.iter().position(|byte| head.push(&[*byte]) == Progress::Impossible).map(|at| at + 1)
    }

    #[test]
    fn what_is_no_http_is_known_by_its_first_bytes() {
        for (stream, after) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], 1),
            (b"SSH-2.0-OpenSSH_9.9\r\n", 20),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 12),
            (b"\x00\x00\x00\x08", 1),
            (b"\r\n\r\rGET", 4),
            (b"GET  /ws", 5),
            (b"GET /ws\r\n", 8),
            (b"GET /ws HTTP/1.2", 16),
            (b"GET /ws HTTP/1.1 ", 17),
            (b" GET", 1),
            (b"{\"type\":", 1),
        ] {
            assert_eq!(impossible_after(stream), Some(after), "{}", stream.escape_ascii());
            assert_eq!(Head::default().push(stream), Progress::Impossible, "all at once");
        }
        assert_eq!(impossible_after(UPGRADE.as_bytes()), None);
        assert_eq!(impossible_after(b"\r\nM-SEARCH * HTTP/1.0\nA: \x16\x00"), None);
        let mut tls = Head::default();
        tls.push(b"\x16\x03\x01");
        assert!(tls.impossible().body().contains("speaks plain HTTP"));
        assert_eq!(tls.impossible().status(), 400);
    }

    proptest::proptest! {
        #[test]
        fn what_is_refused_early_the_parser_refuses_too(
            stream in "[\\r\\n]{0,3}(GET|P|[!-~ ]{0,3})[ \\x00]{0,2}(/[ -~é]{0,3})? {0,2}(HTTP/1[.][012]|HTT|.{0,3})[\\r\\n]{0,3}"
        ) {
            let mut lines = [httparse::EMPTY_HEADER; 4];
            let mut parsed = httparse::Request::new(&mut lines);
            let refused = parsed.parse(stream.as_bytes()).is_err();
            let mut line = RequestLine::default();
            let early = !stream.bytes().all(|byte| line.goes_on_with(byte));
            if early {
                proptest::prop_assert!(refused);
            }
            // Where no header line has begun, the line is all that there is to refuse.
            if refused && line != RequestLine::Over {
                proptest::prop_assert!(early);
            }
        }
    }
}
