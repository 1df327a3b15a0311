//! The request head: collecting it, judging whether it is an upgrade, and the answer 101.

use std::fmt;
use std::net::SocketAddr;

use tungstenite::handshake::derive_accept_key;

use crate::answer::{Answer, is_token_byte};
use crate::options::Options;

/// More header lines than this are as unwelcome as too many bytes.
const MAX_HEADERS: usize = 128;

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
    /// It can't become a request, whatever follows.
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

fn malformed() -> Answer {
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

/// Place for the header lines of one request.
pub(crate) type Lines<'a> = [httparse::Header<'a>; MAX_HEADERS];

pub(crate) const NO_LINES: Lines<'_> = [httparse::EMPTY_HEADER; MAX_HEADERS];

/// A request head that asks for the upgrade, as the authenticator sees it.
///
/// `Debug` shows neither the query nor any header: they carry credentials.
pub struct Request<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    /// HTTP/1.0 can't be upgraded.
    is_http_11: bool,
    lines: &'a [httparse::Header<'a>],
    peer: SocketAddr,
    has_waited: bool,
}

impl<'a> Request<'a> {
    /// Reads a complete head.
    pub(crate) fn parse(
        head: &'a [u8],
        lines: &'a mut Lines<'a>,
        peer: SocketAddr,
    ) -> Result<Self, Answer> {
        let mut raw = httparse::Request::new(lines);
        match raw.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Self::too_large()),
            Ok(httparse::Status::Partial) | Err(_) => return Err(malformed()),
        }
        let (Some(method), Some(target), Some(version)) = (raw.method, raw.path, raw.version)
        else {
            return Err(malformed());
        };
        // A proxy may send the absolute form; the authority in it says nothing about the path.
        let target = match target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
                rest.find(['/', '?']).map_or("/", |at| &rest[at..])
            }
            _ => target,
        };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let (is_http_11, lines) = (version >= 1, raw.headers);
        Ok(Self { method, path, query, is_http_11, lines, peer, has_waited: false })
    }

    pub(crate) const fn after_waiting(mut self, has_waited: bool) -> Self {
        self.has_waited = has_waited;
        self
    }

    /// The answer to a head of too many bytes or lines.
    pub(crate) fn too_large() -> Answer {
        let message =
            "the request head is larger than limits.head_bytes or has more than 128 lines";
        Answer::json(431, "head_too_large", message)
    }

    /// Whether it is an upgrade that can be granted; otherwise what to answer.
    pub(crate) fn check_upgrade(&self, options: &Options) -> Result<(), Answer> {
        if self.path != options.path {
            return Err(Answer::json(404, "not_found", "there is nothing at this path"));
        }
        if self.method != "GET" {
            let answer = Answer::json(405, "method_not_allowed", "only GET is understood here");
            return Err(answer.header("Allow", "GET"));
        }
        let asks = self.has_token("Connection", |token| token.eq_ignore_ascii_case("upgrade"))
            && self.has_token("Upgrade", |token| token.eq_ignore_ascii_case("websocket"));
        let upgrade_required = |code, message| {
            Answer::json(426, code, message)
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
        };
        if !asks || !self.is_http_11 {
            let message = "this path speaks WebSocket only";
            return Err(upgrade_required("upgrade_required", message));
        }
        if self.header("Sec-WebSocket-Version") != Some("13") {
            let message = "only version 13 of the WebSocket protocol is spoken";
            return Err(upgrade_required("unsupported_version", message));
        }
        if self.has_body() {
            let message =
                "an upgrade has no body: no Transfer-Encoding, and no Content-Length but 0";
            return Err(Answer::json(400, "unexpected_body", message));
        }
        let mut keys = self.headers("Sec-WebSocket-Key");
        match (keys.next(), keys.next()) {
            (Some(key), None) if is_valid_key(key) => Ok(()),
            _ => Err(Answer::json(
                400,
                "invalid_key",
                "exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed",
            )),
        }
    }

    /// Whether a body follows the head, or nobody knows where it ends: it would be read as frames.
    fn has_body(&self) -> bool {
        let is_zero =
            |length: &str| !length.is_empty() && length.bytes().all(|digit| digit == b'0');
        self.headers("Transfer-Encoding").next().is_some()
            || !self.headers("Content-Length").all(is_zero)
    }

    /// The answer 101 to a request that `check_upgrade` has passed. Extensions are never echoed,
    /// so none is ever in use.
    pub(crate) fn accept(&self, options: &Options) -> Vec<u8> {
        let key = self.header("Sec-WebSocket-Key").unwrap_or_default();
        let mut out = String::with_capacity(192);
        out.push_str(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket",
        );
        out.push_str("\r\nSec-WebSocket-Accept: ");
        out.push_str(&derive_accept_key(key.as_bytes()));
        if let Some(subprotocol) = self.offers_of(options) {
            out.push_str("\r\nSec-WebSocket-Protocol: ");
            out.push_str(subprotocol);
        }
        out.push_str("\r\n\r\n");
        out.into_bytes()
    }

    /// The subprotocol of the options, if the client offers it.
    fn offers_of<'o>(&self, options: &'o Options) -> Option<&'o str> {
        let wanted = options.subprotocol.as_deref()?;
        self.has_token("Sec-WebSocket-Protocol", |token| token == wanted).then_some(wanted)
    }

    /// Whether a refusal is an upgrade and a close for this client.
    pub(crate) fn is_refused_in_band(&self, options: &Options) -> bool {
        options.refuse_in_band && self.offers_of(options).is_some()
    }

    /// The answer 101 that comes before a refusal in band; `None`: this client is refused in HTTP.
    pub(crate) fn accept_to_refuse(&self, options: &Options) -> Option<Vec<u8>> {
        self.is_refused_in_band(options).then(|| self.accept(options))
    }

    /// Whether an answer may have a body.
    pub(crate) fn wants_body(&self) -> bool {
        self.method != "HEAD"
    }

    /// The path of the target, as it was sent: not decoded.
    #[must_use]
    pub const fn path(&self) -> &str {
        self.path
    }

    /// What follows the `?` of the target, as it was sent: not decoded. `None`: there is no `?`.
    #[must_use]
    pub const fn query(&self) -> Option<&str> {
        self.query
    }

    /// The first header line of this name, in any case of letters, without blanks around its
    /// value. `None`: there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All header lines of this name, in any case of letters, in the order they came. A value that
    /// is not UTF-8 comes as an empty one: a line that nobody can read is still a line, and whoever
    /// counts them or refuses what they don't expect must see it.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(move |line| line.name.eq_ignore_ascii_case(name))
            .map(|line| without_blanks(str::from_utf8(line.value).unwrap_or_default()))
    }

    /// The address that the connection came from: a proxy's, if there is one in front.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether this request was answered with [`Verdict::Later`](crate::Verdict::Later) before. What
    /// is counted or limited by request was counted then.
    #[must_use]
    pub const fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// Whether one of the comma-separated tokens of all lines of this name is the wanted one.
    fn has_token(&self, name: &str, wanted: impl Fn(&str) -> bool) -> bool {
        self.headers(name).any(|line| line.split(',').any(|token| wanted(without_blanks(token))))
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// RFC 9110 §5.6.3: blanks are spaces and tabs. Other characters that look like them are part of the
/// value, for whoever else reads the request keeps them.
fn without_blanks(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Sixteen bytes in base64: 22 digits and two signs of padding, where the last digit has only two
/// significant bits.
fn is_valid_key(key: &str) -> bool {
    match key.as_bytes() {
        [digits @ .., last, b'=', b'='] => {
            digits.len() == 21
                && b"AQgw".contains(last)
                && digits.iter().all(|d| d.is_ascii_alphanumeric() || matches!(d, b'+' | b'/'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tungstenite::handshake::machine::TryParse;
    use tungstenite::handshake::server as oracle;

    use super::*;

    const UPGRADE: &str = "GET /ws?user=u HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, \
                           Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn peer() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    /// The status that a head is answered with; 101 for an upgrade.
    fn status(head: &str) -> u16 {
        let mut lines = NO_LINES;
        match Request::parse(head.as_bytes(), &mut lines, peer()) {
            Ok(request) => match request.check_upgrade(&Options::new()) {
                Ok(()) => 101,
                Err(answer) => answer.status(),
            },
            Err(answer) => answer.status(),
        }
    }

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

    #[test]
    fn an_upgrade_with_a_body_is_no_upgrade() {
        let with = |line: &str| {
            let head = UPGRADE.replacen("Host:", &format!("{line}\r\nHost:"), 1);
            let mut lines = NO_LINES;
            let request = Request::parse(head.as_bytes(), &mut lines, peer()).unwrap();
            let answer = request.check_upgrade(&Options::new()).err();
            answer.map(|answer| (answer.status(), answer.body().contains("unexpected_body")))
        };
        for none in
            ["Content-Length: 0", "content-length:\t00", "Content-Length: 0\r\nContent-Length: 0"]
        {
            assert_eq!(with(none), None, "{none}");
        }
        for some in [
            "Content-Length: 1",
            "Content-Length: 0\r\nContent-Length: 5",
            "Content-Length: 99999999999999999999999",
            "Content-Length: +0",
            "Content-Length: 0, 0",
            "Content-Length:",
            "Content-Length: zero",
            "Content-Length: \u{e9}",
            "Transfer-Encoding: chunked",
            "transfer-encoding: identity",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
        ] {
            assert_eq!(with(some), Some((400, true)), "{some}");
        }
    }

    #[test]
    fn the_answer_is_the_one_that_tungstenite_would_give() {
        for offered in ["", "Sec-WebSocket-Protocol: chat\r\n"] {
            let head =
                UPGRADE.replace("Upgrade: WebSocket\r\n", "Upgrade: WebSocket\r\n{}").replace(
                    "{}",
                    &format!("Sec-WebSocket-Extensions: permessage-deflate\r\n{offered}"),
                );
            let mut lines = NO_LINES;
            let request = Request::parse(head.as_bytes(), &mut lines, peer()).unwrap();
            assert!(request.check_upgrade(&Options::new()).is_ok());
            let ours = String::from_utf8(request.accept(&Options::new())).unwrap();
            let (_, parsed) = oracle::Request::try_parse(head.as_bytes()).unwrap().unwrap();
            let expected = oracle::create_response(&parsed).unwrap();
            let mut written = Vec::new();
            oracle::write_response(&mut written, &expected).unwrap();
            let sorted = |text: &str| {
                let mut lines: Vec<_> = text.lines().map(str::to_ascii_lowercase).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&ours), sorted(&String::from_utf8(written).unwrap()));
        }
    }

    #[test]
    fn a_subprotocol_is_echoed_only_if_offered() {
        let options = Options::new().subprotocol("headcount.v1");
        for (offered, echoed) in [
            ("", false),
            ("Sec-WebSocket-Protocol: other\r\n", false),
            ("Sec-WebSocket-Protocol: other, headcount.v1\r\n", true),
            ("Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: headcount.v1\r\n", true),
        ] {
            let head = UPGRADE.replacen("Host:", &format!("{offered}Host:"), 1);
            let mut lines = NO_LINES;
            let request = Request::parse(head.as_bytes(), &mut lines, peer()).unwrap();
            let text = String::from_utf8(request.accept(&options)).unwrap();
            assert_eq!(
                text.contains("Sec-WebSocket-Protocol: headcount.v1\r\n"),
                echoed,
                "{offered}"
            );
        }
    }

    #[test]
    fn what_is_no_upgrade_gets_the_status_that_says_why() {
        assert_eq!(status(UPGRADE), 101);
        let with = |from: &str, to: &str| {
            assert!(UPGRADE.contains(from), "{from}");
            status(&UPGRADE.replace(from, to))
        };
        // Before anything else: is it HTTP at all?
        assert_eq!(status("\r\n\r\n"), 400);
        assert_eq!(status("hello\r\n\r\n"), 400);
        assert_eq!(with("Host: localhost", "Ho st: localhost"), 400);
        assert_eq!(with("HTTP/1.1", "HTTP/2.0"), 400);
        assert_eq!(with("Host: localhost", &["A: b"; 128].join("\r\n")), 431);
        // Then the path, then the method, then the upgrade, then the key.
        assert_eq!(with("GET /ws?user=u", "POST /"), 404);
        assert_eq!(with("/ws?", "/ws/?"), 404);
        assert_eq!(with("GET", "POST"), 405);
        assert_eq!(with("HTTP/1.1", "HTTP/1.0"), 426);
        assert_eq!(with("keep-alive, Upgrade", "keep-alive"), 426);
        assert_eq!(with("Upgrade: WebSocket", "Upgrade: h2c"), 426);
        assert_eq!(with("Version: 13", "Version: 8"), 426);
        assert_eq!(with("Sec-WebSocket-Version: 13\r\n", ""), 426);
        assert_eq!(with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400);
        assert_eq!(with("Host: localhost", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400);
        // Lists, several lines, any case, the absolute form.
        assert_eq!(with("keep-alive, Upgrade", "keep-alive\r\nconnection: x,uPGRADE ,y"), 101);
        assert_eq!(with("Upgrade: WebSocket", "UPGRADE: h2c,\t websocket \t"), 101);
        assert_eq!(with("/ws?", "http://example.com/ws?"), 101);
        assert_eq!(with("/ws?user=u", "http://example.com"), 404);
        assert_eq!(with("/ws?user=u", "/ws?next=http://example.com"), 101);
    }

    #[test]
    fn only_spaces_and_tabs_are_blanks() {
        for blank in ["\u{a0}", "\u{85}", "\u{3000}"] {
            let head = UPGRADE.replace("Upgrade: ", &format!("Upgrade: {blank}"));
            assert_eq!(status(&head), 426, "{blank:?}");
            let head = UPGRADE.replace("keep-alive, ", &format!("keep-alive,{blank}"));
            assert_eq!(status(&head), 426, "{blank:?}");
        }
    }

    #[test]
    fn keys_are_sixteen_bytes_in_base64() {
        for (key, valid) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", true),
            ("+/+/+/+/+/+/+/+/+/+/+w==", true),
            ("dGhlIHNhbXBsZSBub25jZR==", false),
            ("dGhlIHNhbXBsZSBub25jZQ=", false),
            ("dGhlIHNhbXBsZSBub25j-Q==", false),
            ("dGhlIHNhbXBsZSBub25jZQAA", false),
            ("ZQ==", false),
            ("", false),
        ] {
            assert_eq!(is_valid_key(key), valid, "{key}");
            let head = UPGRADE.replace("dGhlIHNhbXBsZSBub25jZQ==", key);
            let (_, parsed) = oracle::Request::try_parse(head.as_bytes()).unwrap().unwrap();
            assert_eq!(oracle::create_response(&parsed).is_ok(), valid, "{key}");
        }
    }

    #[test]
    fn the_authenticator_sees_path_query_headers_and_peer() {
        let bytes = b"GET /ws?a=%20&b HTTP/1.1\r\nX-A: 1 \r\nx-a: 2\r\nX-B: \xff\r\n\r\n";
        let mut lines = NO_LINES;
        let request = Request::parse(bytes, &mut lines, peer()).unwrap();
        assert_eq!((request.path(), request.query()), ("/ws", Some("a=%20&b")));
        assert_eq!(request.headers("x-A").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((request.header("X-B"), request.header("X-C")), (Some(""), None));
        assert_eq!(request.peer(), peer());
        assert!(!format!("{request:?}").contains("%20"));
    }
}
