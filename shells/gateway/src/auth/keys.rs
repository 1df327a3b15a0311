//! Several keys at once, so that they can be rotated.

use jsonwebtoken::{Algorithm as JwtAlgorithm, crypto};

use super::error::TokenError;
use super::key::{Key, KeyError};

/// The most keys of the settings, and of a key set. A token is tried with each that fits, on the
/// loop's thread.
pub(crate) const MAX_KEYS: usize = 64;

/// The keys with an id that a token without one is tried with. OpenID Connect Core, section 10.1, wants
/// the id where there are several.
pub(super) const MAX_GUESSES: usize = 8;

/// The keys of which any may have signed a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    more: More,
}

/// Which keys there may be that are not in a set yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum More {
    /// None.
    #[default]
    None,
    /// Such with other ids.
    Named,
    /// Any.
    Any,
}

impl KeySet {
    /// `Err`: there are more than [`MAX_KEYS`]. A set without keys refuses every token.
    pub(crate) fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyError::new(format!("more than {MAX_KEYS} keys")));
        }
        Ok(Self { keys, more: More::None })
    }

    /// These keys, and others with them.
    pub(super) fn with(&self, others: &[Key], more: More) -> Self {
        Self { keys: self.keys.iter().chain(others).cloned().collect(), more }
    }

    /// Whether no token can be verified.
    pub(crate) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks a signature with each key whose algorithm and id fit. A key without an id fits any. A token
    /// without one fits the first [`MAX_GUESSES`] of the keys that have one.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`] if no key has the algorithm that the token names,
    /// [`TokenError::UnknownKey`] if no key of the algorithm has the id that the token names, or there
    /// are no keys, and [`TokenError::Signature`] if none of those that fit has signed it. For a set to
    /// which more keys may come it is [`TokenError::UnknownKey`] whenever one of these may have.
    pub(super) fn check(
        &self,
        algorithm: JwtAlgorithm,
        id: Option<&str>,
        message: &str,
        signature: &str,
    ) -> Result<(), TokenError> {
        let error = match self.try_each(algorithm, id, message, signature) {
            Err(error @ (TokenError::Algorithm | TokenError::Signature)) => error,
            decided => return decided,
        };
        let is_here = id.is_some() && self.keys.iter().any(|key| key.id() == id);
        let may_come = match self.more {
            More::None => false,
            More::Named => id.is_some() && !is_here,
            More::Any => !is_here,
        };
        Err(if may_come { TokenError::UnknownKey } else { error })
    }

    fn try_each(
        &self,
        algorithm: JwtAlgorithm,
        id: Option<&str>,
        message: &str,
        signature: &str,
    ) -> Result<(), TokenError> {
        let mut same_algorithm =
            self.keys.iter().filter(|key| key.algorithm().of_jwt() == algorithm).peekable();
        if same_algorithm.peek().is_none() && !self.is_empty() {
            return Err(TokenError::Algorithm);
        }
        let mut refused = TokenError::UnknownKey;
        let mut guesses = 0;
        for key in same_algorithm {
            match (id, key.id()) {
                (Some(id), Some(name)) if id != name => continue,
                (None, Some(_)) if guesses == MAX_GUESSES => continue,
                (None, Some(_)) => guesses += 1,
                _ => {}
            }
            // The algorithm is the key's: the token's was compared with it, and decides nothing.
            let algorithm = key.algorithm().of_jwt();
            let verified = crypto::verify(signature, message.as_bytes(), key.decoding(), algorithm)
                .map_err(|_| TokenError::Malformed("its signature is not base64url"))?;
            if verified {
                return Ok(());
            }
            refused = TokenError::Signature;
        }
        Err(refused)
    }
}
