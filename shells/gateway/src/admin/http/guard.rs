//! What every request of the admin port passes first: where it comes from, by its `Host` and `Origin`.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headcount_protocol::problem::Problem;

use super::unread::Unread;
use crate::admin::AdminState;
use crate::admin::http::refusal::Refusal;
use crate::network::loopback;
use crate::network::sites::Sites;

/// What a preflight is answered for allowed pages, and for how long a browser may remember it, in seconds.
const PREFLIGHT: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, idempotency-key"),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
];

pub(crate) async fn guard(
    State(state): State<AdminState>,
    request: Request,
    next: Next,
) -> Response {
    let sites = state.sites();
    // The one origin that is allowed by its name, and is told so.
    let mut origins = request.headers().get_all(header::ORIGIN).into_iter();
    let page = match (origins.next(), origins.next()) {
        (Some(origin), None) if sites.names_origin(origin.to_str().unwrap_or("")) => {
            Some(origin.clone())
        }
        _ => None,
    };
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let checked = check(request.headers(), !state.keys().is_empty(), &sites);
    let (request, unread) = Unread::of(request);
    let mut response = match checked {
        Ok(()) if is_preflight && page.is_some() => {
            let headers = PREFLIGHT.map(|(name, value)| (name, HeaderValue::from_static(value)));
            (StatusCode::NO_CONTENT, headers).into_response()
        }
        Ok(()) => next.run(request).await,
        Err(problem) => Refusal::from(problem).into_response(),
    };
    unread.discard().await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(page) = page {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// Without keys anyone who reaches the port may call, so it answers only to programs and pages of
/// this machine. With keys a page has to have one: any host will do if none is named, and the pages
/// of that host, of this machine, and those that are named.
fn check(headers: &HeaderMap, has_keys: bool, sites: &Sites) -> Result<(), Problem> {
    if !has_keys {
        return sites.check(values(headers, header::HOST), values(headers, header::ORIGIN));
    }
    let mut hosts = values(headers, header::HOST);
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::new(403, "host", "the request needs exactly one Host header"));
    };
    if !sites.may_be_host(host) {
        let message = "the Host of the request is not one of admin_hosts";
        return Err(Problem::new(403, "host", message));
    }
    let is_allowed = |origin: &str| {
        origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
            || loopback::is_loopback_origin(origin)
            || sites.names_origin(origin)
    };
    if values(headers, header::ORIGIN).all(is_allowed) {
        return Ok(());
    }
    let message =
        "the page (see the Origin header) is neither one of this server nor of admin_origins";
    Err(Problem::new(403, "origin", message))
}

/// The values of a header. One that is not text names no host.
fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or(""))
}
