//! The admin port: where a back end publishes, and where people look.
//!
//! Runs on its own thread. What a request wants of the registry is posted to the loop as a closure,
//! and its answer comes back through a oneshot channel: the loop never waits for HTTP.

mod address;
mod body;
mod close;
mod event;
pub(crate) mod explain;
mod fields;
mod idempotency;
mod look;
mod metrics;
mod object;
mod opening;
mod operate;
mod outcome;
mod page;
mod pages;
mod port;
mod publication;
mod publish;
mod query;
mod refusal;
mod reload;
mod rooms;
mod runs;
mod shared_work;
mod stats;
mod surrogates;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use headcount::{Config, ConnId, SessionId};
use headcount_mio::{Handle, HandleError, Turn};
use tokio::sync::{Notify, oneshot};

use crate::fault;
use crate::frames::Object;
use crate::gateway::Counters;
use crate::local;
use crate::problem::Problem;
use crate::refusals;
pub(crate) use idempotency::AnswerBounds;
use idempotency::Answers;
use page::Page;
pub(crate) use reload::Reload;
use shared_work::SharedWork;
use surrogates::Waiting;

/// How long the loop may take before the process counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Entries that one call of the loop shows or changes. What is about more of them takes several
/// calls, and the loop serves its sockets between them.
const SLICE: usize = 100;

/// What every request can use.
#[derive(Clone)]
pub(crate) struct State(Arc<Inner>);

struct Inner {
    handle: Handle,
    counters: Arc<Counters>,
    answers: Answers,
    waiting: Mutex<Waiting>,
    recount: SharedWork<operate::Recount>,
    survey: SharedWork<stats::Surveyed>,
    page: Page,
    /// Those of the registry's configuration, for whoever needs them before its turn comes.
    limits: Mutex<publish::Limits>,
    reload: Reload,
    started: Instant,
}

impl State {
    pub(crate) fn new(
        handle: Handle,
        config: &Config,
        websocket: SocketAddr,
        counters: Arc<Counters>,
        reload: Reload,
    ) -> Self {
        Self(Arc::new(Inner {
            handle,
            counters,
            answers: Answers::new(reload.idempotency()),
            waiting: Mutex::default(),
            recount: SharedWork::default(),
            survey: SharedWork::default(),
            page: Page::new(websocket),
            limits: Mutex::new(publish::Limits::new(config)),
            reload,
            started: Instant::now(),
        }))
    }

    fn limits(&self) -> publish::Limits {
        *self.0.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_limits(&self, limits: publish::Limits) {
        *self.0.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The halves of characters that wait. Taken in turns of the loop only.
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a closure in the loop's next turn and waits for what it returns. The loop does nothing
    /// else meanwhile: what grows with a table takes several calls.
    async fn call<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<R, Problem> {
        let (answer, wait) = oneshot::channel();
        let posted = self.0.handle.post(move |turn| {
            // Whoever asked may have gone; what was asked for is done all the same.
            let _ = answer.send(ask(turn));
        });
        match posted {
            Ok(()) => wait.await.map_err(|_| stopped()),
            Err(HandleError::Full) => {
                Err(Problem::new(503, "busy", "too many requests wait for the loop: try again"))
            }
            Err(_) => Err(stopped()),
        }
    }
}

/// Does work of several calls to its end, also when the client has hung up: as one call is done.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| Err(Problem::new(500, "failed", error.to_string())))
}

fn stopped() -> Problem {
    Problem::new(503, "stopped", "the server is stopping")
}

/// Serves so many connections at a time until the process ends. Each notice of `hang_ups` is a SIGHUP, or several.
pub(crate) fn run(
    listener: TcpListener,
    state: State,
    hang_ups: Arc<Notify>,
    places: usize,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(reload::on_hang_up(state.clone(), hang_ups));
        tokio::spawn(refusals::summarize(Arc::clone(&state.0.counters)));
        match port::serve(listener, router(state), port::Bounds::USUAL.with_connections(places))
            .await {}
    })
}

fn router(state: State) -> Router {
    let without_query = Router::new()
        .route("/v1/stats", get(stats::show))
        .route("/v1/publish", post(publish::publish))
        .route("/v1/runs", post(runs::open))
        .route("/v1/runs/{run}/events", post(runs::event))
        .route("/v1/join", post(rooms::join))
        .route("/v1/leave", post(rooms::leave))
        .route("/v1/close", post(close::close))
        .route("/v1/drain", post(operate::drain))
        .route("/v1/revoke", post(operate::revoke))
        .route("/v1/check", post(operate::check))
        .route("/v1/connections/{id}", get(look::one::<ConnId>))
        .route("/v1/sessions/{id}", get(look::one::<SessionId>))
        .route_layer(middleware::from_fn(query::without));
    Router::new()
        .route("/", get(page::show))
        // Probes and scrapers may be configured to add what they like.
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::show))
        .route("/v1/reload", post(reload::reload))
        .route("/v1/connections", get(look::list::<ConnId>))
        .route("/v1/sessions", get(look::list::<SessionId>))
        .route("/v1/closed", get(look::closed))
        .merge(without_query)
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(guard))
        .with_state(state)
}

/// Development mode has no key, so it answers only to programs and pages of this machine.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn check(headers: &HeaderMap) -> Result<(), Problem> {
    // A value that is not text is nobody's name.
    let values = |name| headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or(""));
    local::check(values(header::HOST), values(header::ORIGIN))
}

async fn unknown_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(64).collect();
    Problem::new(404, "unknown_route", format!("there is nothing at {path}"))
}

async fn wrong_method(method: Method) -> Problem {
    let method: String = method.as_str().chars().take(16).collect();
    Problem::new(
        405,
        "wrong_method",
        format!("{method} is not for this address: what changes something is POST, the rest GET"),
    )
}

/// The process runs.
async fn live() -> Response {
    fault::point("admin");
    json(Object::new().text("status", "live").end())
}

/// The loop answers, and admits newcomers.
async fn ready(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let draining = state.call(|turn| turn.registry.is_draining());
    match tokio::time::timeout(READY_WITHIN, draining).await {
        Ok(Ok(true)) => Err(Problem::new(503, "draining", "the server drains: nobody is admitted")),
        Ok(answer) => answer.map(|_| json(Object::new().text("status", "ready").end())),
        Err(_) => Err(Problem::new(503, "not_ready", "the loop has not answered for a second")),
    }
}

/// An answer that went well.
fn json(body: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}
