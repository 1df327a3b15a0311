//! What is wrong with a request, as both ports say it: a status, a stable code and a sentence.

use std::time::Duration;

use headcount::{IdError, shown};

use crate::json::Object;

/// An answer of `{"error":{"code","message"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: u16,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl Problem {
    /// One with a status of HTTP. `message` may quote what the other side has sent: it is [`shown`].
    #[must_use]
    pub fn new(status: u16, code: &'static str, message: impl AsRef<str>) -> Self {
        let message = shown(message.as_ref()).to_string();
        Self { status, code, message, retry_after: None }
    }

    /// When the same request can succeed.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// A name that was refused, and where it stood.
    #[must_use]
    pub fn id(place: &str, error: IdError) -> Self {
        Self::new(400, "bad_id", format!("{place}: {error}"))
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What `retry_after` was given; `None`: it is not known when. A 503 says
    /// [`Refused::PAUSE`](headcount::Refused::PAUSE) then.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What is wrong and what to do, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The body of the answer.
    #[must_use]
    pub fn json(&self) -> String {
        Object::new()
            .raw(
                "error",
                &Object::new().text("code", self.code).text("message", &self.message).end(),
            )
            .end()
    }
}

/// The characters that are shown at most of what a parser says.
const SHOWN: usize = 200;

/// What a parser says of a text. It quotes what it did not expect, which is the sender's own and as
/// long as they like: no more of it goes back than helps.
pub(crate) fn why(error: &serde_json::Error) -> String {
    let sentence = shown(&error.to_string()).to_string();
    match sentence.char_indices().nth(SHOWN) {
        None => sentence,
        Some((end, _)) => {
            let (line, column) = (error.line(), error.column());
            format!("{}… at line {line} column {column}", &sentence[..end])
        }
    }
}
