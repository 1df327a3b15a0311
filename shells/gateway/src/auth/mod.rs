//! Who may connect: keys, the tokens that are signed with them, what a token grants, and which were revoked.
//!
//! A token is a JWT in the compact form. [`Tokens`] checks its signature with a key that the operator
//! has given, or with one of a key set that is fetched, then its claims, and makes [`Claims`] of it.
//! [`credentials`] finds the token of a request, [`entrance`] decides about the request by it, and
//! [`room_access`] says what its rights mean for a room.
//!
//! The algorithm is the key's, never the token's: a header that names another one is refused before
//! anything is computed, `none` included.

mod claims;
pub(crate) mod credentials;
pub(crate) mod entrance;
mod error;
pub(crate) mod grants;
mod jwks;
mod key;
mod key_fetcher;
mod key_source;
mod keys;
pub(crate) mod revocations;
pub(crate) mod room_access;
mod room_rights;
#[cfg(test)]
mod tests;
mod token_auth;
pub(crate) mod token_rules;
mod tokens;
mod verifier;

pub(crate) use claims::Claims;
pub(crate) use key::{Algorithm, Key};
pub(crate) use key_fetcher::{JwksSettings, MIN_INTERVAL_OF_URL};
pub(crate) use key_source::KeySource;
pub(crate) use keys::KeySet;
pub(crate) use room_rights::{RoomRights, owner};
pub(crate) use token_auth::TokenAuth;
pub(crate) use tokens::{Check, Tokens};
pub(crate) use verifier::VerifierSettings;
