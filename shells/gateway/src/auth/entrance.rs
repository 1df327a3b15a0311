//! Authentication by tokens: what becomes of an upgrade request, and of a frame with a token.
//!
//! ```text
//!  upgrade request ── token in it ──> tokens.check ──> revocations ──> admit ──> connection + grant
//!        │                              │    │             │             │
//!        │ no token                     │    │ 401, 503    │ 401         │ 403 another thread
//!        v                              │    v             v             v
//!     Pending                           │  refused, before anything is upgraded
//!        │                              │
//!        │ first frame: auth            │ the key of the token is not known yet
//!        └──> tokens.check, as above    v
//!                                     Later: checked again when the key set has come
//! ```
//!
//! A token is taken from one place only: a request that names two is refused. A refresh goes the same way
//! as an auth frame, and changes the grant of the connection. Nothing here waits: a key that is not known
//! is fetched by another thread.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use headcount::{ConnId, Principal, Start, ThreadId};
use headcount_mio::Request;
use headcount_protocol::anchor::Anchor;
use headcount_protocol::identity::{self, Identity, Parameters};
use headcount_protocol::problem::Problem;

use crate::auth::TokenAuth;
use crate::auth::credentials;
use crate::auth::grants::Grant;
use crate::auth::{Check, Claims};

/// What becomes of an upgrade request.
pub(crate) enum Entry {
    /// The token is good: its user, and what it grants.
    Known(Identity, Grant),
    /// The request has no token: the first frame must bring one.
    Pending,
    /// The key of its token is on its way.
    Later,
}

/// Decides about a request. `instance` is the registry's.
///
/// # Errors
/// 400 for a request that contradicts itself, 401 and 503 for its token, 403 for a thread that is not
/// the token's.
pub(crate) fn enter(
    request: &Request<'_>,
    token_auth: &mut TokenAuth,
    anchor: Anchor,
    instance: u64,
) -> Result<Entry, Problem> {
    let mut parameters = Parameters::read(request.query().unwrap_or(""))?;
    if parameters.user.is_some() {
        let message = "this server asks for tokens, and the user is the one of the token (sub): leave \
                       user out of the query";
        return Err(Problem::new(400, "user_in_query", message));
    }
    let token = credentials::token(request, parameters.token.take())?;
    let Some(token) = token else {
        if parameters.says_where_to_go_on() {
            let message = "without a token in the request, thread, epoch, offset, run, recent and previous belong \
                           into the frame with the token: leave them out of the query";
            return Err(Problem::new(400, "fields_without_token", message));
        }
        return Ok(Entry::Pending);
    };
    let Some(claims) = granted(&token, request.has_waited(), token_auth)? else {
        return Ok(Entry::Later);
    };
    let begins = (parameters.start()?, parameters.previous(instance));
    let (identity, grant) = admit(&claims, parameters.thread()?, begins, token_auth, anchor)?;
    Ok(Entry::Known(identity, grant))
}

/// The claims of a token that is good, and not revoked. `None`: its key is on its way, and it is to be
/// checked again when that has come. `has_waited`: it was checked before, and the answer was `None`.
///
/// # Errors
/// 401 and 503, as for [`enter`].
pub(crate) fn granted(
    token: &str,
    has_waited: bool,
    token_auth: &mut TokenAuth,
) -> Result<Option<Claims>, Problem> {
    let claims = match token_auth.tokens.check(token, SystemTime::now(), has_waited) {
        Check::Granted(claims) => claims,
        Check::Later => return Ok(None),
        Check::Refused(error) => return Err(error.problem()),
    };
    if token_auth.revocations.refuses(&claims, SystemTime::now(), token_auth.lifetime) {
        let message = "the token, or its user, was revoked: get a new one";
        return Err(Problem::new(401, "token_revoked", message));
    }
    Ok(Some(claims))
}

/// What a token makes of its bearer. `thread` is the one that the client names, and the rest where it begins
/// and the connection that it had.
///
/// # Errors
/// 403 for a thread that is not the token's.
pub(crate) fn admit(
    claims: &Claims,
    thread: Option<ThreadId>,
    (start, previous): (Start, Option<ConnId>),
    token_auth: &TokenAuth,
    anchor: Anchor,
) -> Result<(Identity, Grant), Problem> {
    let thread = match (&claims.thread, thread) {
        (Some(pinned), Some(named)) if *pinned != named => {
            let message =
                "the token is for one thread (its claim thread), and the client names another";
            return Err(Problem::new(403, "other_thread", message));
        }
        (Some(thread), _) => thread.clone(),
        (None, Some(thread)) => thread,
        (None, None) => identity::main_thread()?,
    };
    let who = Principal::new(claims.user.clone())
        .with_thread(thread)
        .with_expiry(anchor.stamp(ends(claims, token_auth)));
    let who = match claims.connections.and_then(NonZeroU32::new) {
        Some(limit) => who.with_max_connections(limit),
        None => who,
    };
    Ok((Identity { who, start, previous }, Grant::new(claims)))
}

/// When a token stops being good, in time since 1970: as late as it would still be taken.
pub(crate) fn ends(claims: &Claims, token_auth: &TokenAuth) -> Duration {
    Duration::from_secs(claims.expires_at).saturating_add(token_auth.lifetime.leeway)
}
