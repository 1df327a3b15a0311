//! Who may call what: the key of a request, and the scope of the call that it is for.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headcount_protocol::problem::Problem;
use tracing::debug;

use super::keys::{AdminKeys, Caller, Scope};
use super::query;
use super::recorded;
use crate::admin::AdminState;
use crate::admin::http::refusal::Refusal;
use crate::admin::routes::{Queries, Route};

/// What a call asks for before it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// No key: probes, and what is the same in every installation.
    Open,
    /// A key with this scope.
    Scope(Scope),
}

/// The other end of the connection that a request came on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    /// `None`: the request came from no socket.
    pub(crate) fn of(request: &Request) -> Option<SocketAddr> {
        request.extensions().get().map(|Self(address)| *address)
    }
}

/// Serves a call of `route`, if the request may make it. The request has its [`Caller`] then, unless
/// it is for an operating call, which the audit is about.
pub(crate) async fn admit(
    State((state, route)): State<(AdminState, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Access::Scope(scope) = route.access else { return serve(route, request, next).await };
    let peer = Peer::of(&request);
    match identify(&state, request.headers(), peer) {
        Ok(caller) if !caller.may(scope) => {
            Refusal::from(refuse(&state, peer, &caller, scope)).into_response()
        }
        Ok(caller) if scope == Scope::Operate => {
            let call = format!("{} {}", route.verb.name(), route.path);
            let serve = |request| serve(route, request, next);
            recorded::serve(&state, call, &caller, request, serve).await
        }
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            serve(route, request, next).await
        }
        Err(problem) => Refusal::from(problem).into_response(),
    }
}

async fn serve(route: &'static Route, request: Request, next: Next) -> Response {
    let checked = match route.queries {
        Queries::Nothing => query::nothing(request.uri().query()),
        Queries::Own(_) | Queries::Anything => Ok(()),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => Refusal::from(problem).into_response(),
    }
}

/// The owner of the key that a request carries. Where no key is configured, everybody is the same
/// caller, who may do everything.
pub(crate) fn identify(
    state: &AdminState,
    headers: &HeaderMap,
    peer: Option<SocketAddr>,
) -> Result<Caller, Problem> {
    let keys = state.keys();
    if keys.is_empty() {
        return Ok(AdminKeys::anyone());
    }
    if let Some(caller) = bearer(headers).and_then(|key| keys.find(key)) {
        return Ok(caller);
    }
    state.0.counters.admin_refusals.count("unauthorized");
    debug!(?peer, "a call of the admin port was refused: no key, or an unknown one");
    let message = "this server has admin keys: send one as Authorization: Bearer <key>";
    Err(Problem::new(401, "unauthorized", message))
}

fn refuse(state: &AdminState, peer: Option<SocketAddr>, caller: &Caller, scope: Scope) -> Problem {
    state.0.counters.admin_refusals.count("wrong_scope");
    let (key, scope) = (caller.name().unwrap_or_default(), scope.name());
    debug!(?peer, key, scope, "a call of the admin port was refused: its key lacks the scope");
    let message = format!("this call needs the scope {scope}, which the key {key:?} does not have");
    Problem::new(403, "wrong_scope", message)
}

/// The key in `Authorization: Bearer`. `None`: there is no such header, more than one, or it has
/// another scheme.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_comes_once_and_as_a_bearer() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).map(|key| String::from_utf8_lossy(key).into_owned())
        };
        for (value, key) in [("Bearer k", "k"), ("bearer  k ", "k"), ("BEARER ", "")] {
            assert_eq!(of(&[value]).as_deref(), Some(key), "{value:?}");
        }
        for values in [&[][..], &["Basic k"], &["Bearer"], &["k"], &["Bearer k", "Bearer k"]] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
