//! The calls of the admin port: one table, of which the router is made.

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};
use headcount::{ConnId, SessionId};

use super::access::{self, Access, Peer};
use super::guard::guard;
use super::keys::Scope::{Operate, Publish, Read};
use super::{
    State, client_module, close, look, metrics, operate, page, publish, reload, rooms, runs, stats,
};
use super::{live, ready};
use crate::problem::Problem;

/// The method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What a call takes in its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queries {
    /// Nothing: what is there was meant for another call.
    Nothing,
    /// What its handler reads, which refuses the rest.
    Own,
    /// Anything: probes and scrapers may be configured to add what they like.
    Anything,
}

/// One call.
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) queries: Queries,
    serve: fn(MethodFilter) -> MethodRouter<State>,
}

const fn open(path: &'static str, serve: fn(MethodFilter) -> MethodRouter<State>) -> Route {
    Route { verb: Verb::Get, path, access: Access::Open, queries: Queries::Anything, serve }
}

const fn get(
    path: &'static str,
    queries: Queries,
    serve: fn(MethodFilter) -> MethodRouter<State>,
) -> Route {
    Route { verb: Verb::Get, path, access: Access::Scope(Read), queries, serve }
}

const fn publish(path: &'static str, serve: fn(MethodFilter) -> MethodRouter<State>) -> Route {
    let access = Access::Scope(Publish);
    Route { verb: Verb::Post, path, access, queries: Queries::Nothing, serve }
}

const fn operate(
    path: &'static str,
    queries: Queries,
    serve: fn(MethodFilter) -> MethodRouter<State>,
) -> Route {
    Route { verb: Verb::Post, path, access: Access::Scope(Operate), queries, serve }
}

#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    open("/", |only| on(only, page::show)),
    open("/client.js", |only| on(only, client_module::show)),
    open("/livez", |only| on(only, live)),
    open("/readyz", |only| on(only, ready)),
    get("/metrics", Queries::Anything, |only| on(only, metrics::show)),
    get("/v1/stats", Queries::Nothing, |only| on(only, stats::show)),
    get("/v1/connections", Queries::Own, |only| on(only, look::list::<ConnId>)),
    get("/v1/connections/{id}", Queries::Nothing, |only| on(only, look::one::<ConnId>)),
    get("/v1/sessions", Queries::Own, |only| on(only, look::list::<SessionId>)),
    get("/v1/sessions/{id}", Queries::Nothing, |only| on(only, look::one::<SessionId>)),
    get("/v1/closed", Queries::Own, |only| on(only, look::closed)),
    publish("/v1/publish", |only| on(only, publish::publish)),
    publish("/v1/runs", |only| on(only, runs::open)),
    publish("/v1/runs/{run}/events", |only| on(only, runs::event)),
    publish("/v1/join", |only| on(only, rooms::join)),
    publish("/v1/leave", |only| on(only, rooms::leave)),
    operate("/v1/close", Queries::Nothing, |only| on(only, close::close)),
    operate("/v1/revoke", Queries::Nothing, |only| on(only, operate::revoke)),
    operate("/v1/drain", Queries::Nothing, |only| on(only, operate::drain)),
    Route { verb: Verb::Delete, ..operate("/v1/drain", Queries::Nothing, |only| on(only, operate::cancel_drain)) },
    operate("/v1/check", Queries::Nothing, |only| on(only, operate::check)),
    operate("/v1/reload", Queries::Own, |only| on(only, reload::reload)),
];

/// Serves the calls of the table, and nothing else.
pub(super) fn router(state: State) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let admit = middleware::from_fn_with_state((state.clone(), route), access::admit);
        let serve = (route.serve)(route.verb.filter()).route_layer(admit);
        router = router.route(route.path, serve);
    }
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .with_state(state)
}

/// Which calls there are is told to those only who have a key.
async fn unknown_route(Shared(state): Shared<State>, request: Request) -> Problem {
    if let Err(problem) = access::identify(&state, request.headers(), Peer::of(&request)) {
        return problem;
    }
    let path: String = request.uri().path().chars().take(64).collect();
    Problem::new(404, "unknown_route", format!("there is nothing at {path}"))
}

async fn wrong_method(Shared(state): Shared<State>, request: Request) -> Problem {
    if let Err(problem) = access::identify(&state, request.headers(), Peer::of(&request)) {
        return problem;
    }
    let method: String = request.method().as_str().chars().take(16).collect();
    Problem::new(
        405,
        "wrong_method",
        format!("{method} is not for this address; the header Allow says what is"),
    )
}
