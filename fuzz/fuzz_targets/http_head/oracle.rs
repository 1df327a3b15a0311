//! What is to be said of a request head, written down from the documentation, on the same parser
//! as the shell's but with none of its code.

use httparse::{Error, Status};

use crate::http::Progress;

/// The most header lines that the documentation of the shell promises.
const MOST_LINES: usize = 128;

#[derive(Debug)]
pub(crate) enum Verdict {
    Upgrade {
        key: Vec<u8>,
        /// Whether the server's subprotocol was offered.
        subprotocol: bool,
    },
    Refuse {
        status: u16,
        with_body: bool,
    },
}

/// A head ends with the first empty line that is not its first line. It is none if what has come of
/// its first line is no beginning of a request line.
pub(crate) fn progress(stream: &[u8]) -> Progress {
    let progress = end(stream);
    let head = match progress {
        Progress::Complete(end) => &stream[..end],
        _ => stream,
    };
    let text = head.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(head.len());
    let (before, line) = head.split_at(text);
    let newline = line.iter().position(|byte| *byte == b'\n').map_or(line.len(), |at| at + 1);
    let opening = [before, &line[..newline]].concat();
    let mut lines = [httparse::EMPTY_HEADER; 1];
    match httparse::Request::new(&mut lines).parse(&opening) {
        // A target that is not UTF-8 is told from the rest with the whole head only.
        Err(_) if !is_strange(&opening) => Progress::Impossible,
        _ => progress,
    }
}

/// Whether all that is wrong with a request line, and the empty lines before it, is that it is not UTF-8.
fn is_strange(line: &[u8]) -> bool {
    let plain: Vec<u8> = line.iter().map(|byte| if *byte < 0x80 { *byte } else { b'x' }).collect();
    let in_method = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let mut lines = [httparse::EMPTY_HEADER; 1];
    line[..in_method].is_ascii() && httparse::Request::new(&mut lines).parse(&plain).is_ok()
}

fn end(stream: &[u8]) -> Progress {
    let mut end = 0;
    for (number, line) in stream.split_inclusive(|byte| *byte == b'\n').enumerate() {
        end += line.len();
        if number > 0 && (line == b"\n" || line == b"\r\n") {
            return Progress::Complete(end);
        }
    }
    Progress::Partial
}

/// Whoever has sent a whole request waits for its answer.
pub(crate) fn is_not_complete(stream: &[u8]) {
    let mut lines = [httparse::EMPTY_HEADER; 4096];
    let parsed = httparse::Request::new(&mut lines).parse(stream);
    assert!(!matches!(parsed, Ok(Status::Complete(_))), "a whole request is waited for");
}

fn refuse(status: u16) -> Verdict {
    Verdict::Refuse { status, with_body: true }
}

pub(crate) fn judge(head: &[u8], path: &str, subprotocol: Option<&str>) -> Verdict {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(head) {
        // What the parser leaves over would be lost.
        Ok(Status::Complete(length)) => assert_eq!(length, head.len()),
        Ok(Status::Partial) => return refuse(400),
        Err(Error::TooManyHeaders) => return refuse(431),
        Err(_) => return refuse(400),
    }
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        panic!("a whole request without a first line")
    };
    let with_body = method != "HEAD";
    let refuse = |status| Verdict::Refuse { status, with_body };
    if path_of(target) != path {
        return refuse(404);
    }
    if method != "GET" {
        return refuse(405);
    }
    let values = |name: &str| -> Vec<&[u8]> {
        let of_name = request.headers.iter().filter(|line| line.name.eq_ignore_ascii_case(name));
        of_name.map(|line| blanks_removed(line.value)).collect()
    };
    let tokens = |name: &str| -> Vec<&[u8]> {
        let lists = values(name);
        // A line that is not UTF-8 is not read.
        let lists = lists.into_iter().filter(|list| str::from_utf8(list).is_ok());
        lists.flat_map(|list| list.split(|byte| *byte == b',')).map(blanks_removed).collect()
    };
    let asks = |name, token: &str| {
        tokens(name).iter().any(|offered| offered.eq_ignore_ascii_case(token.as_bytes()))
    };
    if !asks("connection", "upgrade") || !asks("upgrade", "websocket") || version != 1 {
        return refuse(426);
    }
    if values("sec-websocket-version").first() != Some(&b"13".as_slice()) {
        return refuse(426);
    }
    let lengths = values("content-length");
    let is_zero = |length: &&[u8]| !length.is_empty() && length.iter().all(|digit| *digit == b'0');
    if !values("transfer-encoding").is_empty() || !lengths.iter().all(is_zero) {
        return refuse(400);
    }
    let keys = values("sec-websocket-key");
    match keys.as_slice() {
        [key] if is_sixteen_bytes(key) => Verdict::Upgrade {
            key: key.to_vec(),
            subprotocol: subprotocol
                .is_some_and(|ours| tokens("sec-websocket-protocol").contains(&ours.as_bytes())),
        },
        _ => refuse(400),
    }
}

/// The path of a target, of which a proxy may have sent the absolute form.
fn path_of(target: &str) -> &str {
    let absolute = target.find("://").filter(|at| !target[..*at].contains(['/', '?']));
    let from_path = match absolute {
        None => target,
        Some(at) => {
            let authority = &target[at + 3..];
            match authority.find(['/', '?']) {
                Some(end) => &authority[end..],
                None => "/",
            }
        }
    };
    from_path.split('?').next().unwrap_or_default()
}

/// RFC 9110 §5.6.3: blanks are spaces and tabs.
fn blanks_removed(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// RFC 4648 §4: decodes the text, and counts.
fn is_sixteen_bytes(text: &[u8]) -> bool {
    let Some(digits) = text.strip_suffix(b"==") else { return false };
    let mut bits = 0u32;
    let mut count = 0;
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
    }
    // What is left of the last digit says nothing, and is zero.
    count / 8 == 16 && count % 8 == 4 && bits & 0xf == 0
}
