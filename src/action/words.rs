//! What connections are closed with: a reason of the table, or the application's own words.

use alloc::sync::Arc;

use crate::action::{CloseReason, Retry};
use crate::error::CloseWordsError;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};

/// The application's own words to a client that it closes: a code and a text, which are what its close
/// frame says.
///
/// The code tells the client what to do: after 4000 to 4199 it reconnects, after 4200 to 4399 it does
/// not. A clone shares the text.
///
/// ```
/// use headcount::{CloseWords, CloseWordsError, Config, Registry, Retry, Target, Timestamp};
///
/// let mut registry = Registry::new(Config::new(1));
/// let words = CloseWords::new(4200, "this account was deleted")?;
/// assert_eq!(words.retry(), Retry::Stop);
/// registry.close(Timestamp::from_secs(1), Target::Everyone, words);
/// assert_eq!(CloseWords::new(1000, "bye"), Err(CloseWordsError::Code(1000)));
/// # Ok::<(), CloseWordsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseWords {
    code: u16,
    text: Arc<str>,
}

impl Encoded for CloseWords {
    fn encode(&self, to: &mut Encoder<'_>) {
        let Self { code, text } = self;
        code.encode(to);
        text.encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (code, text): (_, Arc<str>) = Encoded::decode(from)?;
        Self::new(code, &text).map_err(|_| Malformed)
    }
}

impl CloseWords {
    /// The longest text, in bytes: what a control frame holds beside the code (RFC 6455 §5.5).
    pub const MAX_TEXT_BYTES: usize = 123;

    /// A code from 4000 to 4399, and a text of [`MAX_TEXT_BYTES`](Self::MAX_TEXT_BYTES) at most, which may
    /// be empty. The text is copied, once for all connections that are closed with it.
    ///
    /// # Errors
    /// [`CloseWordsError`]: the code is another one, or the text is longer.
    pub fn new(code: u16, text: &str) -> Result<Self, CloseWordsError> {
        if !(4000..4400).contains(&code) {
            return Err(CloseWordsError::Code(code));
        }
        if text.len() > Self::MAX_TEXT_BYTES {
            return Err(CloseWordsError::TooLong { bytes: text.len() });
        }
        Ok(Self { code, text: text.into() })
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a client does about it, as its code says.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        if self.code < 4200 { Retry::Reconnect } else { Retry::Stop }
    }
}

/// What [`Registry::close`](crate::Registry::close) closes connections with.
/// [`Registry::close`](crate::Registry::close) has an example.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CloseWith {
    /// The code and the name of a reason.
    Reason(CloseReason),
    /// The application's own words. The reason is [`CloseReason::Application`].
    Words(CloseWords),
}

encoded! { enum CloseWith { 0 = Reason(reason), 1 = Words(words) } }

impl CloseWith {
    /// The reason: what statistics, notices and cleanups tell.
    #[must_use]
    pub const fn reason(&self) -> CloseReason {
        match self {
            Self::Reason(reason) => *reason,
            Self::Words(_) => CloseReason::Application,
        }
    }

    /// The code of the close frame.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Reason(reason) => reason.code(),
            Self::Words(words) => words.code(),
        }
    }

    /// The text of the close frame.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Reason(reason) => reason.name(),
            Self::Words(words) => words.text(),
        }
    }
}

impl From<CloseReason> for CloseWith {
    fn from(reason: CloseReason) -> Self {
        Self::Reason(reason)
    }
}

impl From<CloseWords> for CloseWith {
    fn from(words: CloseWords) -> Self {
        Self::Words(words)
    }
}

impl From<&CloseWords> for CloseWith {
    fn from(words: &CloseWords) -> Self {
        Self::Words(words.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_lengths_have_their_ends() {
        let longest = "é".repeat(61) + "x";
        assert_eq!(longest.len(), CloseWords::MAX_TEXT_BYTES);
        for (code, retry) in [
            (4000, Retry::Reconnect),
            (4199, Retry::Reconnect),
            (4200, Retry::Stop),
            (4399, Retry::Stop),
        ] {
            let words = CloseWords::new(code, &longest).unwrap();
            assert_eq!((words.code(), words.text(), words.retry()), (code, &*longest, retry));
        }
        for code in [0, 1000, 3999, 4400, 4503, u16::MAX] {
            assert_eq!(CloseWords::new(code, ""), Err(CloseWordsError::Code(code)));
        }
        let error = CloseWordsError::TooLong { bytes: 124 };
        assert_eq!(CloseWords::new(4000, &(longest + "x")), Err(error));
    }
}
