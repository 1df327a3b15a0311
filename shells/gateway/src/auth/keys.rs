//! Several keys at once, so that they can be rotated.

use jsonwebtoken::{Algorithm as JwtAlgorithm, crypto};

use super::error::TokenError;
use super::key::{Key, KeyError};

/// The most keys of a set. A token is tried with each that fits, on the loop's thread.
pub(crate) const MAX_KEYS: usize = 64;

/// The keys of which any may have signed a token.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    /// `Err`: there are more than [`MAX_KEYS`]. A set without keys refuses every token.
    pub(crate) fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyError::new(format!("more than {MAX_KEYS} keys")));
        }
        Ok(Self(keys))
    }

    /// Whether no token can be verified.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a signature with each key whose algorithm and id fit. A key without an id, and a token
    /// without one, fit any.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`] if no key has the algorithm that the token names,
    /// [`TokenError::UnknownKey`] if no key of the algorithm has the id that the token names, or there
    /// are no keys, and [`TokenError::Signature`] if none of those that fit has signed it.
    pub(super) fn check(
        &self,
        algorithm: JwtAlgorithm,
        id: Option<&str>,
        message: &str,
        signature: &str,
    ) -> Result<(), TokenError> {
        let mut same_algorithm =
            self.0.iter().filter(|key| key.algorithm().of_jwt() == algorithm).peekable();
        if same_algorithm.peek().is_none() && !self.is_empty() {
            return Err(TokenError::Algorithm);
        }
        let mut refused = TokenError::UnknownKey;
        for key in same_algorithm {
            if id.is_some() && key.id().is_some() && key.id() != id {
                continue;
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
