//! The calls of the admin port: one table, of which the router is made.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};
use headcount::{ConnId, SessionId};
use headcount_protocol::admin::form::Field;
use headcount_protocol::problem::Problem;

use super::call::Call;
use super::calls::{
    client_module, close, control, metrics, page, publish, queries, reload, rooms, run_queries,
    runs, stats,
};
use super::http::access::{self, Access, Peer};
use super::http::guard::guard;
use super::http::keys::Scope::{Operate, Publish, Read};
use super::http::query;
use super::http::refusal::Refusal;
use super::{AdminState, LIVE, READY, live, openapi, ready};

/// The method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
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

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What a call takes in its query.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Queries {
    /// Nothing: what is there was meant for another call.
    Nothing,
    /// These, which its handler reads; it refuses the rest.
    Own(&'static [Field]),
    /// Anything: probes and scrapers may be configured to add what they like.
    Anything,
}

/// One call.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) queries: Queries,
    /// What it takes and answers.
    pub(crate) call: &'static Call,
    serve: Serve,
}

type Serve = fn(MethodFilter) -> MethodRouter<AdminState>;

const fn open(path: &'static str, call: &'static Call, serve: Serve) -> Route {
    let (access, queries) = (Access::Open, Queries::Anything);
    Route { verb: Verb::Get, path, access, queries, call, serve }
}

const fn get(path: &'static str, queries: Queries, call: &'static Call, serve: Serve) -> Route {
    Route { verb: Verb::Get, path, access: Access::Scope(Read), queries, call, serve }
}

const fn publish(path: &'static str, call: &'static Call, serve: Serve) -> Route {
    let access = Access::Scope(Publish);
    Route { verb: Verb::Post, path, access, queries: Queries::Nothing, call, serve }
}

const fn operate(path: &'static str, queries: Queries, call: &'static Call, serve: Serve) -> Route {
    Route { verb: Verb::Post, path, access: Access::Scope(Operate), queries, call, serve }
}

/// The query of what lists something.
const LISTED: Queries = Queries::Own(&query::KNOWN);
const RUNS: Queries = Queries::Own(&run_queries::QUERY);
const DRY_RUN: Queries = Queries::Own(&reload::QUERY);

#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    open("/", &page::CALL, |only| on(only, page::show)),
    open("/client.js", &client_module::CALL, |only| on(only, client_module::show)),
    open("/openapi.json", &openapi::CALL, |only| on(only, openapi::show)),
    open("/livez", &LIVE, |only| on(only, live)),
    open("/readyz", &READY, |only| on(only, ready)),
    get("/metrics", Queries::Anything, &metrics::CALL, |only| on(only, metrics::show)),
    get("/v1/stats", Queries::Nothing, &stats::CALL, |only| on(only, stats::show)),
    get("/v1/connections", LISTED, &queries::CONNECTIONS, |only| on(only, queries::list::<ConnId>)),
    get("/v1/connections/{id}", Queries::Nothing, &queries::CONNECTION, |only| on(only, queries::one::<ConnId>)),
    get("/v1/sessions", LISTED, &queries::SESSIONS, |only| on(only, queries::list::<SessionId>)),
    get("/v1/sessions/{id}", Queries::Nothing, &queries::SESSION, |only| on(only, queries::one::<SessionId>)),
    get("/v1/runs", RUNS, &run_queries::LIST, |only| on(only, run_queries::list)),
    get("/v1/runs/{run}", RUNS, &run_queries::ONE, |only| on(only, run_queries::one)),
    get("/v1/closed", LISTED, &queries::CLOSED, |only| on(only, queries::closed)),
    publish("/v1/publish", &publish::CALL, |only| on(only, publish::publish)),
    publish("/v1/runs", &runs::OPEN, |only| on(only, runs::open)),
    publish("/v1/runs/{run}/events", &runs::EVENT, |only| on(only, runs::event)),
    publish("/v1/join", &rooms::JOIN, |only| on(only, rooms::join)),
    publish("/v1/leave", &rooms::LEAVE, |only| on(only, rooms::leave)),
    operate("/v1/close", Queries::Nothing, &close::CALL, |only| on(only, close::close)),
    operate("/v1/revoke", Queries::Nothing, &control::REVOKE, |only| on(only, control::revoke)),
    operate("/v1/drain", Queries::Nothing, &control::DRAIN, |only| on(only, control::drain)),
    Route { verb: Verb::Delete, ..operate("/v1/drain", Queries::Nothing, &control::CANCEL_DRAIN, |only| on(only, control::cancel_drain)) },
    operate("/v1/check", Queries::Nothing, &control::CHECK, |only| on(only, control::check)),
    operate("/v1/reload", DRY_RUN, &reload::CALL, |only| on(only, reload::reload)),
];

/// Serves the calls of the table, and nothing else.
pub(crate) fn router(state: AdminState) -> Router {
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

/// Without a key there is one answer for all that is not open.
async fn unknown_route(State(state): State<AdminState>, request: Request) -> Refusal {
    if let Err(problem) = access::identify(&state, request.headers(), Peer::of(&request)) {
        return problem.into();
    }
    let path: String = request.uri().path().chars().take(64).collect();
    Problem::new(404, "unknown_route", format!("there is nothing at {path}")).into()
}

async fn wrong_method(State(state): State<AdminState>, request: Request) -> Refusal {
    if let Err(problem) = access::identify(&state, request.headers(), Peer::of(&request)) {
        return problem.into();
    }
    let method: String = request.method().as_str().chars().take(16).collect();
    Problem::new(
        405,
        "wrong_method",
        format!("{method} is not for this address; the header Allow says what is"),
    )
    .into()
}
