//! What is to be taken out.

use std::borrow::Cow;
use std::fmt;

use crate::json::Error;
use crate::rewrite;
use crate::words::Words;

/// What a text is, which decides the rules that apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// What a tool or an agent is called with. Removed keys stay in it, and texts are cut at
    /// [`Builder::max_input`].
    Parameters,
    /// What an agent thinks. Texts are cut at [`Builder::max_output`].
    Thinking,
    /// What a tool or an agent answers. Texts are cut at [`Builder::max_output`].
    Result,
    /// Why something failed: local paths go as well. Texts are cut at [`Builder::max_output`].
    Error,
}

/// The fewest bytes that a bound on texts may have: a marker needs room.
pub const MIN_BYTES: usize = 64;
/// The most patterns of one list.
pub const MAX_KEYS: usize = 1_000;
/// The most bytes of one pattern.
pub const MAX_KEY_BYTES: usize = 64;

/// The rules, checked and ready. See the [crate's page](crate) for what they do.
///
/// The default has these secret keys: [`Policy::SECRET_KEYS`]; it removes
/// [`Policy::REMOVED_KEYS`], cuts texts of parameters at [`Policy::MAX_INPUT`] bytes and others at
/// [`Policy::MAX_OUTPUT`], and lists at [`Policy::MAX_ITEMS`] items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) secret: Words,
    pub(crate) removed: Words,
    pub(crate) errors: Words,
    pub(crate) max_input: usize,
    pub(crate) max_output: usize,
    pub(crate) max_items: usize,
}

impl Policy {
    /// The secret keys of the default.
    pub const SECRET_KEYS: &'static [&'static str] = &[
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "pwd",
        "secret",
        "secrets",
        "token",
        "api key",
        "api keys",
        "access key",
        "private key",
        "signing key",
        "encryption key",
        "auth",
        "authorization",
        "credential",
        "credentials",
        "cookie",
        "cookies",
        "bearer",
        "jwt",
        // For names that are written as one word: `accesstoken`, `PGPASSWORD`.
        "access token",
        "api token",
        "auth token",
        "bearer token",
        "csrf token",
        "id token",
        "refresh token",
        "session token",
        "api secret",
        "client secret",
        "secret key",
        "auth key",
        "db password",
        "pg password",
        "user password",
    ];
    /// The removed keys of the default.
    pub const REMOVED_KEYS: &'static [&'static str] =
        &["system_prompt", "internal_reasoning", "debug_info"];
    /// The bytes of a text of [`PayloadKind::Parameters`] by default: 4 KiB.
    pub const MAX_INPUT: usize = 4 << 10;
    /// The bytes of a text of any other kind by default: 64 KiB.
    pub const MAX_OUTPUT: usize = 64 << 10;
    /// The items of a list by default.
    pub const MAX_ITEMS: usize = 1_000;
    /// In any kind, what is below a key with one of these words is treated as an error.
    const ERROR_KEYS: &'static [&'static str] =
        &["error", "errors", "exception", "exceptions", "traceback", "stack trace", "stderr"];

    /// Other rules, beginning with the default ones.
    pub fn builder() -> Builder {
        Builder {
            secret_keys: owned(Self::SECRET_KEYS),
            removed_keys: owned(Self::REMOVED_KEYS),
            max_input: Self::MAX_INPUT,
            max_output: Self::MAX_OUTPUT,
            max_items: Self::MAX_ITEMS,
        }
    }

    /// Applies the rules to a JSON text: an object, a list, or any other value.
    ///
    /// What comes back is JSON too; it is borrowed if nothing was to change. To redact it again
    /// with the same rules changes nothing. It can be longer than the text: by at most 12 bytes for
    /// each secret and 24 for each list that is cut.
    ///
    /// The time grows in proportion to the length of the text: each byte is read once, and once
    /// more for each string of JSON that it is inside of, at most [`MAX_NESTING`](crate::MAX_NESTING)
    /// times. So does the memory, which holds the result and one decoded string of each such level.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if the text is not JSON, and [`Error::TooDeep`] if it is nested too deep.
    /// Half of a surrogate pair is no error; in a string that is changed it becomes U+FFFD.
    pub fn redact<'j>(&self, kind: PayloadKind, json: &'j str) -> Result<Cow<'j, str>, Error> {
        rewrite::redact(self, kind, json)
    }
}

impl Default for Policy {
    fn default() -> Self {
        let words = |list: &[&'static str]| Words::new(list.iter().copied()).unwrap_or_default();
        Self {
            secret: words(Self::SECRET_KEYS),
            removed: words(Self::REMOVED_KEYS),
            errors: words(Self::ERROR_KEYS),
            max_input: Self::MAX_INPUT,
            max_output: Self::MAX_OUTPUT,
            max_items: Self::MAX_ITEMS,
        }
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|key| (*key).to_owned()).collect()
}

/// A [`Policy`] under construction. Each method replaces what was there.
#[derive(Clone, Debug)]
pub struct Builder {
    secret_keys: Vec<String>,
    removed_keys: Vec<String>,
    max_input: usize,
    max_output: usize,
    max_items: usize,
}

impl Builder {
    /// The keys whose values are secrets. An empty list: none are.
    #[must_use]
    pub fn secret_keys<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.secret_keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// The keys that go, with their values, from all but parameters. An empty list: none do.
    #[must_use]
    pub fn removed_keys<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.removed_keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// The bytes of UTF-8 that a text of [`PayloadKind::Parameters`] may have, at least [`MIN_BYTES`];
    /// `usize::MAX` is no bound.
    #[must_use]
    pub const fn max_input(mut self, bytes: usize) -> Self {
        self.max_input = bytes;
        self
    }

    /// The bytes of UTF-8 that a text of any other kind may have, at least [`MIN_BYTES`];
    /// `usize::MAX` is no bound.
    #[must_use]
    pub const fn max_output(mut self, bytes: usize) -> Self {
        self.max_output = bytes;
        self
    }

    /// The items that a list may have, the one that says how many went included, at least 1;
    /// `usize::MAX` is no bound.
    #[must_use]
    pub const fn max_items(mut self, items: usize) -> Self {
        self.max_items = items;
        self
    }

    /// Checks the rules.
    ///
    /// # Errors
    ///
    /// See [`PolicyError`].
    pub fn build(self) -> Result<Policy, PolicyError> {
        if self.max_input < MIN_BYTES || self.max_output < MIN_BYTES {
            return Err(PolicyError::TooFewBytes);
        }
        if self.max_items == 0 {
            return Err(PolicyError::NoItems);
        }
        Ok(Policy {
            secret: words(&self.secret_keys)?,
            removed: words(&self.removed_keys)?,
            max_input: self.max_input,
            max_output: self.max_output,
            max_items: self.max_items,
            ..Policy::default()
        })
    }
}

fn words(keys: &[String]) -> Result<Words, PolicyError> {
    if keys.len() > MAX_KEYS {
        return Err(PolicyError::TooManyKeys);
    }
    if let Some(key) = keys.iter().find(|key| key.len() > MAX_KEY_BYTES) {
        return Err(PolicyError::KeyTooLong { bytes: key.len() });
    }
    Words::new(keys.iter().map(String::as_str)).ok_or(PolicyError::KeyWithoutWord)
}

/// Why rules can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// A bound on texts is below [`MIN_BYTES`].
    TooFewBytes,
    /// The bound on lists is 0.
    NoItems,
    /// A list has more than [`MAX_KEYS`] keys.
    TooManyKeys,
    /// A key has more than [`MAX_KEY_BYTES`] bytes.
    KeyTooLong {
        /// How many it has.
        bytes: usize,
    },
    /// A key has no letter and no digit.
    KeyWithoutWord,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewBytes => write!(f, "a text must be allowed at least {MIN_BYTES} bytes"),
            Self::NoItems => f.write_str("a list must be allowed at least 1 item"),
            Self::TooManyKeys => write!(f, "a list of keys has at most {MAX_KEYS}"),
            Self::KeyTooLong { bytes } => {
                write!(f, "a key has at most {MAX_KEY_BYTES} bytes, not {bytes}")
            }
            Self::KeyWithoutWord => f.write_str("a key needs a letter or a digit"),
        }
    }
}

impl std::error::Error for PolicyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_begins_with_the_default_and_checks_what_it_is_given() {
        assert_eq!(Policy::builder().build(), Ok(Policy::default()));
        let build = Policy::builder;
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        for (builder, error) in [
            (build().max_input(MIN_BYTES - 1), PolicyError::TooFewBytes),
            (build().max_output(0), PolicyError::TooFewBytes),
            (build().max_items(0), PolicyError::NoItems),
            (build().secret_keys(["a"; MAX_KEYS + 1]), PolicyError::TooManyKeys),
            (build().removed_keys([long]), PolicyError::KeyTooLong { bytes: 65 }),
            (build().secret_keys(["", "a"]), PolicyError::KeyWithoutWord),
        ] {
            assert_eq!(builder.build(), Err(error));
            assert!(!error.to_string().is_empty());
        }
        assert!(build().secret_keys([""; 0]).removed_keys([""; 0]).build().is_ok());
    }
}
