//! Key sets as issuers publish them: RFC 7517.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use serde_json::value::RawValue;

use super::key::{Algorithm, Key, KeyError};
use super::keys::MAX_KEYS;

/// The most keys of a set that can't verify a token and of which it is said why. The issuer decides
/// how many there are.
const MAX_SENTENCES: usize = 16;

/// What a text holds.
#[derive(Debug)]
pub(super) struct Jwks {
    /// The keys that can verify a token: one at least, and [`MAX_KEYS`] at most.
    pub(super) keys: Vec<Key>,
    /// A sentence about each key that can't: about the first [`MAX_SENTENCES`] of them, and how many
    /// more there are.
    pub(super) skipped: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl Jwks {
    /// Reads a key set.
    ///
    /// # Errors
    /// It is no key set, or none of its keys can verify a token.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii().is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.trim_ascii_start().starts_with(b"<") {
            return Err("it is a page and no key set: it begins with `<`".to_owned());
        }
        let set: Set<'_> = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("it is no JSON object with a list of `keys` (line {line} column {column})")
        })?;
        let (mut keys, mut skipped, mut more) = (Vec::new(), Vec::new(), 0_usize);
        for (number, json) in (1..).zip(&set.keys) {
            match key(json.get()) {
                Ok(_) if keys.len() == MAX_KEYS => {
                    skipped.push(format!("key {number} and those after it: {MAX_KEYS} are enough"));
                    break;
                }
                Ok(key) => keys.push(key),
                Err(_) if skipped.len() == MAX_SENTENCES => more += 1,
                Err(error) => skipped.push(format!("key {number}: {error}")),
            }
        }
        if more > 0 {
            skipped.push(format!("{more} more"));
        }
        if keys.is_empty() {
            let why = skipped.first().map_or("it has no keys", String::as_str);
            return Err(format!("no key in it can verify a token: {why}"));
        }
        Ok(Self { keys, skipped })
    }
}

fn key(json: &str) -> Result<Key, KeyError> {
    let no_key = |_| KeyError::new("it is no JSON Web Key (RFC 7517)");
    let jwk: Jwk = serde_json::from_str(json).map_err(no_key)?;
    let algorithm = algorithm(&jwk)?;
    let unreadable = |_| KeyError::new("its numbers are not base64url");
    let decoding = DecodingKey::from_jwk(&jwk).map_err(unreadable)?;
    Key::checked(algorithm, jwk.common.key_id.map(Into::into), decoding)
}

/// The algorithm that a key is for: what it says, and what its kind says where it says nothing.
fn algorithm(jwk: &Jwk) -> Result<Algorithm, KeyError> {
    let common = &jwk.common;
    if common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return Err(KeyError::new("it is not for signatures (use)"));
    }
    let operations = common.key_operations.as_ref();
    if operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return Err(KeyError::new("it is not for verifying (key_ops)"));
    }
    let (of_kind, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::Rs256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::Es256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDsa, KeyAlgorithm::EdDSA)
        }
        // Published, it would let anyone sign.
        AlgorithmParameters::OctetKey(_) => {
            return Err(KeyError::new("it is a secret (oct), which belongs in no key set"));
        }
        _ => return Err(KeyError::new("it is of a kind (kty, crv) that is not supported")),
    };
    match common.key_algorithm {
        Some(given) if given != name => Err(KeyError::new("its algorithm (alg) is not supported")),
        _ => Ok(of_kind),
    }
}
