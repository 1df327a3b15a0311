//! Answers in plain HTTP: everything that is said to a client that is not upgraded.

use std::fmt::Write as _;
use std::time::Duration;

use headcount::{CloseReason, quote_json};

/// A complete HTTP/1.1 answer with a JSON body, after which the connection is closed.
///
/// `Content-Type`, `Content-Length` and `Connection: close` are added when it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    code: String,
    retry_after: Option<u64>,
    reason: Option<CloseReason>,
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
        quote_json(code, &mut body);
        body.push_str(",\"message\":");
        quote_json(message, &mut body);
        body.push_str("}}");
        let status = if (200..=599).contains(&status) { status } else { 500 };
        let code = code.to_owned();
        let reason = reason_of(status);
        Self { status, code, retry_after: None, reason, headers: Vec::new(), body }
    }

    /// When the same request can succeed: `Retry-After`, in whole seconds, rounded up, 1 at least.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(Self::whole_seconds(wait));
        self
    }

    /// What the client is closed with if it is answered after an upgrade
    /// ([`Options::refuse_in_band`](crate::Options::refuse_in_band)). By default what the status
    /// means: 400 [`BadRequest`](CloseReason::BadRequest), 401
    /// [`BadCredentials`](CloseReason::BadCredentials), 403 [`Forbidden`](CloseReason::Forbidden),
    /// 429 and 503 [`TryLater`](CloseReason::TryLater).
    #[must_use]
    pub const fn closes_with(mut self, reason: CloseReason) -> Self {
        self.reason = Some(reason);
        self
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

    /// What `Retry-After` says of a wait: whole seconds, never too early, and never 0, which would
    /// mean at once.
    #[must_use]
    pub fn whole_seconds(wait: Duration) -> u64 {
        wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The code that [`json`](Self::json) was given.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// How the same is said in a close frame: `code`, or `code retry_after=N` with whole seconds.
    /// `None`: its status has no close code, and it is always said in HTTP.
    pub(crate) fn farewell(&self) -> Option<(CloseReason, String)> {
        let wait = self.retry_after.map(|seconds| format!(" retry_after={seconds}"));
        let wait = wait.unwrap_or_default();
        let mut end = self.code.len().min(MAX_REASON - wait.len());
        while !self.code.is_char_boundary(end) {
            end -= 1;
        }
        Some((self.reason?, format!("{}{wait}", &self.code[..end])))
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
        if let Some(seconds) = self.retry_after {
            let _ = write!(out, "Retry-After: {seconds}\r\n");
        }
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

/// The longest reason of a close frame: a control frame's payload without the code.
const MAX_REASON: usize = 123;

const fn reason_of(status: u16) -> Option<CloseReason> {
    match status {
        400 => Some(CloseReason::BadRequest),
        401 => Some(CloseReason::BadCredentials),
        403 => Some(CloseReason::Forbidden),
        429 | 503 => Some(CloseReason::TryLater),
        _ => None,
    }
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
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
    fn a_refusal_is_said_in_a_close_frame() {
        let said = |answer: Answer| answer.farewell();
        let of = |status| Answer::json(status, "why", "a sentence");
        let why = || "why".to_owned();
        assert_eq!(said(of(400)), Some((CloseReason::BadRequest, why())));
        assert_eq!(said(of(401)), Some((CloseReason::BadCredentials, why())));
        assert_eq!(said(of(403)), Some((CloseReason::Forbidden, why())));
        assert_eq!(said(of(429)), Some((CloseReason::TryLater, why())));
        assert_eq!(said(of(404)), None);
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (4_999, 5)] {
            let answer = of(503).retry_after(Duration::from_millis(millis));
            let restart = said(answer.closes_with(CloseReason::Restart));
            assert_eq!(restart, Some((CloseReason::Restart, format!("why retry_after={seconds}"))));
        }
        let long = Answer::json(503, &"é".repeat(100), "").retry_after(Duration::from_secs(77));
        let (_, reason) = long.farewell().unwrap();
        assert!(reason.len() <= MAX_REASON && reason.ends_with("é retry_after=77"), "{reason}");
    }

    #[test]
    fn nothing_given_can_break_out_of_its_place() {
        let answer = Answer::json(101, "a\"b\\", "line\nnext\u{7f}")
            .header("X-Note", "a\r\nSet-Cookie: b")
            .header("Bad Name", "x")
            .header("", "x");
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.body(), r#"{"error":{"code":"a\"b\\","message":"line\nnext\u007f"}}"#);
        let text = String::from_utf8(answer.to_bytes(true)).unwrap();
        assert!(text.contains("X-Note: a  Set-Cookie: b\r\n") && !text.contains("Bad Name"));
    }
}
