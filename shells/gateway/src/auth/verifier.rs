//! From the text of a token to what it grants.

use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{dangerous, decode_header};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::claims::{Claims, RawClaims};
use super::error::{MAX_TOKEN_BYTES, TokenError};
use super::keys::KeySet;

/// What tokens are checked against.
#[derive(Clone, Debug)]
pub(crate) struct VerifierSettings {
    /// Keys of which any may have signed a token.
    pub(crate) keys: KeySet,
    /// A token's `aud` must have one of them. Empty: a token must not have an `aud`, because it is
    /// then meant for another program (RFC 7519, section 4.1.3).
    pub(crate) audience: Vec<String>,
    /// A token's `iss` must be one of them. Empty: any issuer, or none.
    pub(crate) issuer: Vec<String>,
    /// How far the issuer's clock may be from this machine's.
    pub(crate) leeway: Duration,
    /// How far `exp` may lie ahead, and after `iat`. A token that is revoked must be remembered for so
    /// long.
    pub(crate) max_ttl: Duration,
}

/// Verifies tokens.
#[derive(Clone, Debug)]
pub(crate) struct Verifier(VerifierSettings);

impl Verifier {
    pub(crate) const fn new(settings: VerifierSettings) -> Self {
        Self(settings)
    }

    /// Goes on with other keys.
    pub(super) fn use_keys(&mut self, keys: KeySet) {
        self.0.keys = keys;
    }

    /// Checks a token as it is at an instant, and says what it grants. Costs one verification of a
    /// signature for each key that fits: some ten to a hundred microseconds.
    ///
    /// # Errors
    /// The first rule that it breaks. What its claims say is looked at after its signature only.
    pub(crate) fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        self.check_signature(token)?;
        let json: Box<RawValue> = dangerous::insecure_decode_claims(token)
            .map_err(|error| malformed(error.kind(), TokenError::Claims))?;
        let claims = RawClaims::read(json.get())?;
        // A clock from before 1970 finds every token too new.
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.check_time(&claims, now)?;
        self.check_names(&claims)?;
        claims.grants()
    }

    fn check_signature(&self, token: &str) -> Result<(), TokenError> {
        let parts = TokenError::Malformed("it does not have three parts with dots between them");
        let (message, signature) = token.rsplit_once('.').ok_or_else(|| parts.clone())?;
        if message.matches('.').count() != 1 {
            return Err(parts);
        }
        let header =
            decode_header(token).map_err(|error| malformed(error.kind(), TokenError::Algorithm))?;
        // RFC 7515, section 4.1.11: an extension that is not understood refuses the token.
        if header.crit.is_some() {
            return Err(TokenError::Malformed("its header has a critical extension (crit)"));
        }
        self.0.keys.check(header.alg, header.kid.as_deref(), message, signature)
    }

    fn check_time(&self, claims: &RawClaims<'_>, now: Duration) -> Result<(), TokenError> {
        let Self(VerifierSettings { leeway, max_ttl, .. }) = self;
        let latest = now.saturating_add(*leeway);
        let expiry = Duration::from_secs(claims.expiry()?);
        if expiry.saturating_add(*leeway) <= now {
            return Err(TokenError::Expired);
        }
        if expiry > latest.saturating_add(*max_ttl) {
            return Err(TokenError::Lifetime);
        }
        // `iat` too: a token that pretends to be made later would outlive the revocation of its user.
        let begins = claims.begins()?.map(|begin| begin.map(Duration::from_secs));
        if begins.into_iter().flatten().any(|begin| begin > latest) {
            return Err(TokenError::NotYetValid);
        }
        // Otherwise one that is not good yet would become so when the revocation of its user, which
        // came after it was issued, is forgotten.
        let [_, issued] = begins;
        if issued.is_some_and(|issued| expiry > issued.saturating_add(*max_ttl)) {
            return Err(TokenError::Lifetime);
        }
        Ok(())
    }

    fn check_names(&self, claims: &RawClaims<'_>) -> Result<(), TokenError> {
        let Self(VerifierSettings { audience, issuer, .. }) = self;
        let given = claims.audience()?;
        let fits = match audience.as_slice() {
            [] => given.is_empty(),
            names => given.iter().any(|name| names.contains(name)),
        };
        if !fits {
            return Err(TokenError::Audience);
        }
        let of_issuer = claims.issuer()?.is_some_and(|name| issuer.contains(&name));
        if !issuer.is_empty() && !of_issuer {
            return Err(TokenError::Issuer);
        }
        Ok(())
    }
}

/// What is wrong with a part of a token. `unfit` is for JSON that is well-formed but not what the part
/// must hold.
fn malformed(kind: &ErrorKind, unfit: TokenError) -> TokenError {
    match kind {
        ErrorKind::Json(error) if error.classify() == Category::Data => unfit,
        ErrorKind::Json(_) => TokenError::Malformed("a part of it is not JSON"),
        ErrorKind::Base64(_) => TokenError::Malformed("a part of it is not base64url"),
        _ => TokenError::Malformed("a part of it can't be read"),
    }
}
