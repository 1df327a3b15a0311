//! What a token says of the user, once its signature is checked.

use std::borrow::Cow;

use headcount::{ThreadId, UserId};
use headcount_protocol::admin::revocation::MAX_TOKEN_ID_BYTES;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::value::RawValue;

use super::error::TokenError;
use super::room_rights::RoomRights;

/// What a verified token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// `sub`.
    pub(crate) user: UserId,
    /// `thread`: the only thread that the token is good for. `None`: any thread.
    pub(crate) thread: Option<ThreadId>,
    /// `rooms`: none without it.
    pub(crate) rooms: RoomRights,
    /// `exp`, in whole seconds since 1970: from then on the token is refused.
    pub(crate) expires_at: u64,
    /// `iat`, in whole seconds since 1970. `None`: the token does not say it.
    pub(crate) issued_at: Option<u64>,
    /// `jti`: what the token is revoked by. `None`: it can't be revoked by itself.
    pub(crate) token_id: Option<Box<str>>,
    /// `headcount.connections`: how many connections the user may have at a time, 1 at least.
    /// `None`: as many as the settings say.
    pub(crate) connections: Option<u32>,
}

/// The claims that mean something here, as JSON; others are ignored. A `null` is a value.
#[derive(serde::Deserialize)]
pub(super) struct RawClaims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    thread: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    rooms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    nbf: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    iat: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    iss: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    jti: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    headcount: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The limits of one's own that a token may carry.
#[derive(serde::Deserialize)]
struct Limits {
    connections: Option<u32>,
}

/// `aud`: one name, or several.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

impl<'a> RawClaims<'a> {
    pub(super) fn read(json: &'a str) -> Result<Self, TokenError> {
        // Arrays would be taken for the claims in their order.
        if !json.trim_ascii_start().starts_with('{') {
            return Err(TokenError::Claims);
        }
        serde_json::from_str(json).map_err(|_| TokenError::Claims)
    }

    /// `exp`, which is required.
    pub(super) fn expiry(&self) -> Result<u64, TokenError> {
        self.exp.map(|exp| seconds("exp", exp)).unwrap_or(Err(TokenError::WithoutExpiry))
    }

    /// `nbf` and `iat`: the token is not valid before them.
    pub(super) fn begins(&self) -> Result<[Option<u64>; 2], TokenError> {
        let at =
            |claim, value: Option<&RawValue>| value.map(|value| seconds(claim, value)).transpose();
        Ok([at("nbf", self.nbf)?, at("iat", self.iat)?])
    }

    /// The names in `aud`; none without it.
    pub(super) fn audience(&self) -> Result<Vec<String>, TokenError> {
        let Some(aud) = self.aud else { return Ok(Vec::new()) };
        Ok(match value("aud", aud, "must be a string or a list of strings")? {
            Names::One(name) => vec![name],
            Names::Several(names) => names,
        })
    }

    pub(super) fn issuer(&self) -> Result<Option<String>, TokenError> {
        self.iss.map(|iss| string("iss", iss)).transpose()
    }

    /// The rest: what the token grants.
    pub(super) fn grants(&self) -> Result<Claims, TokenError> {
        let sub = self.sub.ok_or_else(|| wrong("sub", "is missing: it must name the user"))?;
        let user = UserId::new(string("sub", sub)?).map_err(|error| id("sub", &error))?;
        let thread = self.thread.map(|thread| {
            ThreadId::new(string("thread", thread)?).map_err(|error| id("thread", &error))
        });
        let rooms = self.rooms.map_or_else(|| Ok(RoomRights::default()), rooms)?;
        let [_, issued_at] = self.begins()?;
        let token_id = self.jti.map(token_id).transpose()?;
        let connections = self.headcount.map_or(Ok(None), connections)?;
        let expires_at = self.expiry()?;
        Ok(Claims {
            user,
            thread: thread.transpose()?,
            rooms,
            expires_at,
            issued_at,
            token_id,
            connections,
        })
    }
}

fn rooms(list: &RawValue) -> Result<RoomRights, TokenError> {
    let names: Vec<String> = value("rooms", list, "must be a list of strings")?;
    RoomRights::read(names).map_err(|why| wrong("rooms", why))
}

fn token_id(jti: &RawValue) -> Result<Box<str>, TokenError> {
    let text = string("jti", jti)?;
    if (1..=MAX_TOKEN_ID_BYTES).contains(&text.len()) {
        return Ok(text.into());
    }
    Err(wrong("jti", format!("must have 1 to {MAX_TOKEN_ID_BYTES} bytes")))
}

fn connections(headcount: &RawValue) -> Result<Option<u32>, TokenError> {
    const EXPECTED: &str = "must be an object whose `connections` is a whole number from 1";
    if !headcount.get().starts_with('{') {
        return Err(wrong("headcount", EXPECTED));
    }
    let limits: Limits = value("headcount", headcount, EXPECTED)?;
    match limits.connections {
        Some(0) => Err(wrong("headcount", EXPECTED)),
        connections => Ok(connections),
    }
}

/// A `NumericDate` (RFC 7519, section 2) in whole seconds since 1970, rounded down.
fn seconds(claim: &'static str, date: &RawValue) -> Result<u64, TokenError> {
    const EXPECTED: &str = "must be a number of seconds since 1970";
    if let Ok(whole) = serde_json::from_str(date.get()) {
        return Ok(whole);
    }
    let number: f64 = value(claim, date, EXPECTED)?;
    // A float as large as this is no date, and the cast would make another one of it.
    if !(0.0..9_007_199_254_740_992.0).contains(&number) {
        return Err(wrong(claim, EXPECTED));
    }
    Ok(number as u64)
}

fn string(claim: &'static str, json: &RawValue) -> Result<String, TokenError> {
    value(claim, json, "must be a string")
}

fn value<T: DeserializeOwned>(
    claim: &'static str,
    json: &RawValue,
    expected: &'static str,
) -> Result<T, TokenError> {
    serde_json::from_str(json.get()).map_err(|_| wrong(claim, expected))
}

fn id(claim: &'static str, error: &headcount::IdError) -> TokenError {
    wrong(claim, error.to_string())
}

fn wrong(claim: &'static str, why: impl Into<Cow<'static, str>>) -> TokenError {
    TokenError::Claim { claim, why: why.into() }
}
