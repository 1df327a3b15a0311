//! Who may come in: keys, and the tokens that are signed with them.
//!
//! A token is a JWT in the compact form. [`Tokens`] checks its signature with a key that the operator
//! has given, or with one of a key set that is fetched, then its claims, and makes [`Claims`] of it.
//! Where the token came from, and what its rights mean for a room, is the caller's business.
//!
//! The algorithm is the key's, never the token's: a header that names another one is refused before
//! anything is computed, `none` included.

mod claims;
mod error;
mod jwks;
mod key;
mod key_fetcher;
mod key_source;
mod keys;
mod rooms;
#[cfg(test)]
mod tests;
mod tokens;
mod verifier;

pub(crate) use claims::{Claims, MAX_TOKEN_ID_BYTES};
pub(crate) use key::{Algorithm, Key};
pub(crate) use key_fetcher::JwksSettings;
pub(crate) use key_source::KeySource;
pub(crate) use keys::KeySet;
pub(crate) use rooms::{RoomRights, owner};
pub(crate) use tokens::{Check, Tokens};
pub(crate) use verifier::VerifierSettings;
