//! What every request of the admin port passes first: where it comes from, by its `Host` and `Origin`.

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::State;
use crate::local;
use crate::problem::Problem;
use crate::sites::Sites;

pub(super) async fn guard(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let mut response = match check(request.headers(), !state.keys().is_empty()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Without keys anyone who reaches the port may call, so it answers only to programs and pages of
/// this machine. With keys a page has to have one: any host will do, and the pages of that host.
fn check(headers: &HeaderMap, has_keys: bool) -> Result<(), Problem> {
    if !has_keys {
        return Sites::default()
            .check(values(headers, header::HOST), values(headers, header::ORIGIN));
    }
    let mut hosts = values(headers, header::HOST);
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::new(403, "host", "the request needs exactly one Host header"));
    };
    let is_own = |origin: &str| {
        origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
            || local::is_loopback_origin(origin)
    };
    if values(headers, header::ORIGIN).all(is_own) {
        return Ok(());
    }
    let message = "the page is not one of this server (see the Origin header)";
    Err(Problem::new(403, "origin", message))
}

/// The values of a header. One that is not text names no host.
fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or(""))
}
