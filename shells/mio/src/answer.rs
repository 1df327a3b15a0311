//! Answers in plain HTTP: everything that is said to a client that is not upgraded.

use std::fmt::Write as _;

/// A complete HTTP/1.1 answer with a JSON body, after which the connection is closed.
///
/// `Content-Type`, `Content-Length` and `Connection: close` are added when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    /// An error in the form `{"error":{"code":"…","message":"…"}}`.
    ///
    /// A status outside 200 to 599 is written as 500: it would not end the exchange.
    #[must_use]
    pub fn json(status: u16, code: &str, message: &str) -> Self {
        let mut body = String::with_capacity(40 + code.len() + message.len());
        body.push_str("{\"error\":{\"code\":");
        push_json_string(&mut body, code);
        body.push_str(",\"message\":");
        push_json_string(&mut body, message);
        body.push_str("}}");
        let status = if (200..=599).contains(&status) { status } else { 500 };
        Self { status, headers: Vec::new(), body }
    }

    /// Adds a header. Control characters of the value become spaces, and a name that is no token
    /// is left out with its value, so that nothing given here can end the head early.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if !name.is_empty() && name.bytes().all(is_token_byte) {
            let value = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            self.headers.push((name.to_owned(), value));
        }
        self
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The bytes to write. The answer to a `HEAD` request ends with its head.
    pub(crate) fn to_bytes(&self, with_body: bool) -> Vec<u8> {
        let mut out = String::with_capacity(160 + self.body.len());
        let reason = reason_phrase(self.status);
        let length = self.body.len();
        // Writing to a string can't fail.
        let _ = write!(
            out,
            "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n",
            self.status
        );
        for (name, value) in &self.headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        out.push_str("\r\n");
        if with_body {
            out.push_str(&self.body);
        }
        out.into_bytes()
    }
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Phrases are for people who read traces; an empty one is as good to a client.
const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete() {
        let answer = Answer::json(429, "too_many", "later").header("Retry-After", "5");
        let text = String::from_utf8(answer.to_bytes(true)).unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: \
             49\r\nConnection: close\r\nRetry-After: 5\r\n\r\n\
             {\"error\":{\"code\":\"too_many\",\"message\":\"later\"}}"
                .replace("49", &answer.body().len().to_string())
        );
        assert!(answer.to_bytes(false).ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn nothing_given_can_break_out_of_its_place() {
        let answer = Answer::json(101, "a\"b\\", "line\nnext\u{7f}")
            .header("X-Note", "a\r\nSet-Cookie: b")
            .header("Bad Name", "x")
            .header("", "x");
        assert_eq!(answer.status(), 500);
        assert_eq!(
            answer.body(),
            r#"{"error":{"code":"a\"b\\","message":"line\u000anext\u007f"}}"#
        );
        let text = String::from_utf8(answer.to_bytes(true)).unwrap();
        assert!(text.contains("X-Note: a  Set-Cookie: b\r\n") && !text.contains("Bad Name"));
    }
}
