//! A complete request head: whether it is an upgrade that can be granted, and the answer 101.

use std::fmt;
use std::net::SocketAddr;

use tungstenite::handshake::derive_accept_key;

use super::head::malformed;
use crate::answer::Answer;
use crate::options::Options;

/// More header lines than this are as unwelcome as too many bytes.
const MAX_HEADERS: usize = 128;

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
        if !options.has_path(self.path) {
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

    /// Whether a body follows the head, or may: it would be read as frames.
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

    /// All header lines of this name, in any case of letters, in the order they came. The value of a
    /// line that is not UTF-8 is empty: the line still counts for a caller that counts lines, or refuses
    /// values that it does not expect.
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
/// value, because a proxy in front keeps them.
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

    use super::super::samples::{UPGRADE, peer, status};
    use super::*;

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
