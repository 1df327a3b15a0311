//! Why a token is refused.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use headcount_protocol::problem::Problem;

/// The longest token, in bytes. A request head holds 32 KiB by default, and a session has no use for
/// more claims.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Why a token is refused. No variant keeps anything of the token but the name of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It is no JWT in the compact form. The word says what is wrong.
    Malformed(&'static str),
    /// It is longer than [`MAX_TOKEN_BYTES`].
    TooLong,
    /// Its header names an algorithm that no key has, such as `none`.
    Algorithm,
    /// No key that fits has signed it.
    Signature,
    /// Its header names a key (`kid`) that is not among the keys.
    UnknownKey,
    /// It names a key that this server does not have, and could not fetch now: it may be good.
    KeysMissing {
        /// When to try again.
        retry_after: Duration,
    },
    /// Its `exp` is over.
    Expired,
    /// Its `nbf`, or its `iat`, is still to come.
    NotYetValid,
    /// It has no `exp`.
    WithoutExpiry,
    /// Its `exp` is further away than `auth.max_ttl`, or further from its `iat`.
    Lifetime,
    /// It is for another audience, or for none.
    Audience,
    /// It is of another issuer, or of none.
    Issuer,
    /// A claim is missing or is not what it should be.
    Claim {
        /// Its name.
        claim: &'static str,
        /// What is wrong with it.
        why: Cow<'static, str>,
    },
    /// Its claims are no JSON object, or name a claim twice.
    Claims,
}

impl TokenError {
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "token_malformed",
            Self::TooLong => "token_too_long",
            Self::Algorithm => "token_algorithm",
            Self::Signature => "token_signature",
            Self::UnknownKey => "unknown_key",
            Self::KeysMissing { .. } => "keys_missing",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::WithoutExpiry => "token_without_expiry",
            Self::Lifetime => "token_lifetime",
            Self::Audience => "token_audience",
            Self::Issuer => "token_issuer",
            Self::Claim { .. } | Self::Claims => "token_claims",
        }
    }

    /// The answer to a request that is refused for it: 401, or 503 where the token may be good.
    pub(crate) fn problem(&self) -> Problem {
        let problem = |status| Problem::new(status, self.code(), self.to_string());
        match self {
            Self::KeysMissing { retry_after } => problem(503).retry_after(*retry_after),
            _ => problem(401),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "the token is no JWT: {why}"),
            Self::TooLong => write!(f, "the token is longer than {MAX_TOKEN_BYTES} bytes"),
            Self::Algorithm => f.write_str(
                "the token's header does not name the algorithm (alg) of a key of this server",
            ),
            Self::Signature => f.write_str("the token is not signed with a key of this server"),
            Self::UnknownKey => {
                f.write_str("the token names a key (kid) that this server does not have")
            }
            Self::KeysMissing { .. } => f.write_str(
                "the token names a key (kid) that this server does not have and could not fetch: try \
                 again later",
            ),
            Self::Expired => f.write_str("the token has expired (exp): get a new one"),
            Self::NotYetValid => f.write_str(
                "the token is not valid yet (nbf, iat): compare the clock of this server with its \
                 issuer's",
            ),
            Self::WithoutExpiry => f.write_str("the token has no expiry (exp), which is required"),
            Self::Lifetime => f.write_str("the token expires (exp) later than auth.max_ttl allows, counted from now and from its iat"),
            Self::Audience => f.write_str(
                "the token's audience (aud) and auth.audience have no name in common, or one of them \
                 is missing",
            ),
            Self::Issuer => f.write_str("the token's issuer (iss) is not one of auth.issuer"),
            Self::Claim { claim, why } => write!(f, "the token's claim {claim}: {why}"),
            Self::Claims => {
                f.write_str("the token's claims are no JSON object that names each claim once")
            }
        }
    }
}
