//! A text that must not be seen: a token, a key, a shared secret.

use std::fmt;

/// What stands where a secret would.
pub const HIDDEN: &str = "<secret>";

/// A secret. It compares as its text does, and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a text one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for those who check with it. It belongs into no log, error or answer.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown() {
        let secret = Secret::new("hunter2hunter2hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "<secret> Some(<secret>)");
        assert_eq!(secret.reveal(), "hunter2hunter2hunter2");
    }
}
