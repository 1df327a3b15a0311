//! One key that verifies tokens, and what makes a key unfit.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm as JwtAlgorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};

/// The shortest secret of HS256, in bytes: RFC 7518 §3.2 wants a key at least as long as the hash.
pub(crate) const MIN_SECRET_BYTES: usize = 32;

/// The shortest and the longest RSA modulus, in bits: RFC 7518 §3.3 wants 2048 at least, and the
/// cryptographic library verifies up to 8192.
pub(crate) const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// HMAC with SHA-256: one secret signs and verifies.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The name in the `alg` of a token's header.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) const fn of_jwt(self) -> JwtAlgorithm {
        match self {
            Self::Hs256 => JwtAlgorithm::HS256,
            Self::Rs256 => JwtAlgorithm::RS256,
            Self::Es256 => JwtAlgorithm::ES256,
            Self::EdDsa => JwtAlgorithm::EdDSA,
        }
    }
}

impl FromStr for Algorithm {
    type Err = &'static str;

    /// The error says what is expected.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or("HS256, RS256, ES256 or EdDSA")
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is no key. The sentence never quotes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyError(String);

impl KeyError {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that verifies tokens of one algorithm.
#[derive(Clone)]
pub(crate) struct Key {
    algorithm: Algorithm,
    /// The `kid` of tokens that it signs. `None`: the key has no name, and is tried for every token of
    /// its algorithm.
    id: Option<Box<str>>,
    key: DecodingKey,
}

impl Key {
    /// A key without an id: for HS256 the secret as it is, otherwise a public key in PEM
    /// (`PUBLIC KEY`, or `RSA PUBLIC KEY`).
    ///
    /// White space at the end of a secret counts: the caller strips the line break that a file ends
    /// with.
    pub(crate) fn new(algorithm: Algorithm, material: &[u8]) -> Result<Self, KeyError> {
        if material.trim_ascii().is_empty() {
            return Err(KeyError::new("the key is empty"));
        }
        let key = match algorithm {
            Algorithm::Hs256 => secret(material)?,
            Algorithm::Rs256 | Algorithm::Es256 | Algorithm::EdDsa => {
                public_pem(algorithm, material)?
            }
        };
        Self::checked(algorithm, None, key)
    }

    /// A key of a key set: its algorithm is known, its form is not checked yet.
    pub(super) fn checked(
        algorithm: Algorithm,
        id: Option<Box<str>>,
        key: DecodingKey,
    ) -> Result<Self, KeyError> {
        let fits = match algorithm {
            Algorithm::Hs256 => key.family() == AlgorithmFamily::Hmac,
            Algorithm::Rs256 => return rsa(key).map(|key| Self { algorithm, id, key }),
            // An uncompressed point of P-256: 4, x and y.
            Algorithm::Es256 => has_bytes(&key, AlgorithmFamily::Ec, 65),
            Algorithm::EdDsa => has_bytes(&key, AlgorithmFamily::Ed, 32),
        };
        if fits {
            return Ok(Self { algorithm, id, key });
        }
        Err(KeyError::new(match algorithm {
            Algorithm::Es256 => "the key is on another curve than P-256, which ES256 needs",
            Algorithm::EdDsa => "the key is no Ed25519 public key",
            _ => "the key is for another algorithm",
        }))
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) const fn decoding(&self) -> &DecodingKey {
        &self.key
    }
}

/// Shows nothing of the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn has_bytes(key: &DecodingKey, family: AlgorithmFamily, length: usize) -> bool {
    key.family() == family && key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == length)
}

fn secret(material: &[u8]) -> Result<DecodingKey, KeyError> {
    // Everyone has a public key: as a secret it would let anyone sign.
    if let Some(what) = other_than_secret(material) {
        return Err(KeyError::new(format!(
            "this is {what}, and HS256 takes a secret that no other program knows: choose RS256, ES256 \
             or EdDSA for a public key in PEM, and auth.jwks_file for a key set",
        )));
    }
    if material.len() < MIN_SECRET_BYTES {
        return Err(KeyError::new(format!(
            "the secret has {} bytes, and HS256 needs {MIN_SECRET_BYTES} at least (RFC 7518, section \
             3.2): generate one with `openssl rand -base64 48`",
            material.len()
        )));
    }
    Ok(DecodingKey::from_secret(material))
}

/// What a text is that holds a public key, by the marks of its form. `None`: it may be a secret.
fn other_than_secret(material: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(material).ok()?.trim_start();
    let begins_with = |marks: &[&str]| marks.iter().any(|mark| text.starts_with(mark));
    if pem_label(material).is_some() || text.contains("PUBLIC KEY") {
        return Some("a key in PEM");
    }
    if begins_with(&["{", "["]) && text.contains("\"kty\"") {
        return Some("a JSON Web Key");
    }
    if begins_with(&["ssh-", "ecdsa-sha2-"]) {
        return Some("a key of SSH");
    }
    // The beginnings of an RSA key, of one on P-256, and of an Ed25519 key.
    begins_with(&["MII", "MFkwEwYH", "MCowBQYD"]).then_some("a key in DER, in base64")
}

fn public_pem(algorithm: Algorithm, material: &[u8]) -> Result<DecodingKey, KeyError> {
    let label = pem_label(material).ok_or_else(|| {
        KeyError::new(format!(
            "{algorithm} takes a public key in PEM, which begins with -----BEGIN PUBLIC KEY-----"
        ))
    })?;
    if label.ends_with("PRIVATE KEY") {
        return Err(KeyError::new(
            "this is a private key: leave it with the program that signs the tokens, and give its \
             public key (`openssl pkey -pubout`)",
        ));
    }
    if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY") {
        return Err(KeyError::new(
            "this PEM holds no public key: `openssl x509 -pubkey -noout` takes it out of a certificate",
        ));
    }
    let key = match algorithm {
        Algorithm::Rs256 => DecodingKey::from_rsa_pem(material),
        Algorithm::Es256 => DecodingKey::from_ec_pem(material),
        Algorithm::EdDsa | Algorithm::Hs256 => DecodingKey::from_ed_pem(material),
    };
    let kind = match algorithm {
        Algorithm::Rs256 => "an RSA key",
        Algorithm::Es256 => "an elliptic curve key",
        Algorithm::EdDsa | Algorithm::Hs256 => "an Ed25519 key",
    };
    key.map_err(|_| KeyError::new(format!("the PEM does not hold {kind}, which {algorithm} needs")))
}

/// The label of the first PEM block of a text.
fn pem_label(material: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(material).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    rest.split_once("-----").map(|(label, _)| label)
}

/// The same RSA key, by its numbers, if it is long enough and not too long.
fn rsa(key: DecodingKey) -> Result<DecodingKey, KeyError> {
    let numbers = Jwk::from_decoding_key(&key, None).and_then(|jwk| DecodingKey::from_jwk(&jwk));
    let numbers = numbers.map_err(|_| KeyError::new("the key is no RSA public key"))?;
    let DecodingKeyKind::RsaModulusExponent { n, .. } = numbers.kind() else {
        return Err(KeyError::new("the key is no RSA public key"));
    };
    let bits = bits(n);
    if RSA_BITS.contains(&bits) {
        return Ok(numbers);
    }
    let (min, max) = (RSA_BITS.start(), RSA_BITS.end());
    Err(KeyError::new(format!(
        "the RSA key has {bits} bits, and RS256 needs {min} to {max} (RFC 7518, section 3.3)"
    )))
}

/// The length of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let rest = &number[first..];
    rest.len() * 8 - rest.first().map_or(0, |byte| byte.leading_zeros() as usize)
}
