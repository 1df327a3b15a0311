//! The admin port: where a back end publishes, and where people look.
//!
//! Runs on its own thread. What a request wants of the registry is posted to the loop as a closure,
//! and its answer comes back through a oneshot channel: the loop never waits for HTTP.

mod call;
pub(crate) mod calls;
mod http;
mod idempotency;
mod openapi;
mod redaction;
mod routes;
mod target;
mod waiting;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use headcount::Config;
use headcount_mio::{Context, Handle, HandleError};
use headcount_protocol::admin::form::{Field, Form, Shape};
use headcount_protocol::problem::Problem;
use tokio::sync::{Notify, oneshot};

use crate::network::sites::Sites;
use crate::telemetry::counters::{self, Counters};
use crate::telemetry::fault;
use crate::telemetry::log::Log;
use call::{Answer, Body, Call};
use calls::page::Page;
pub(crate) use calls::reload::Reload;
use calls::{control, publish, reload, stats};
pub(crate) use http::keys::AdminKeys;
use http::refusal::Refusal;
use http::shared_work::SharedWork;
use http::{body, server};
pub(crate) use idempotency::AnswerBounds;
use idempotency::Answers;
use redaction::Rules;
use waiting::Waiting;

/// How long the loop may take before the process counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// Entries that one call of the loop shows or changes. What is about more of them takes several
/// calls, and the loop serves its sockets between them.
const SLICE: usize = 100;

/// What every request can use.
#[derive(Clone)]
pub(crate) struct AdminState(Arc<Inner>);

struct Inner {
    handle: Handle,
    counters: Arc<Counters>,
    answers: Answers,
    bodies: body::Bodies,
    waiting: Mutex<Waiting>,
    recount: SharedWork<control::Recount>,
    survey: SharedWork<stats::Surveyed>,
    page: Page,
    /// Limits of the registry's configuration, for calls that need them before their turn of the loop.
    limits: Mutex<publish::Limits>,
    keys: Mutex<Arc<AdminKeys>>,
    sites: Mutex<Arc<Sites>>,
    redaction: Mutex<Arc<Rules>>,
    reload: Reload,
    started: Instant,
}

impl AdminState {
    pub(crate) fn new(
        handle: Handle,
        config: &Config,
        keys: AdminKeys,
        websocket: SocketAddr,
        counters: Arc<Counters>,
        reload: Reload,
    ) -> Self {
        Self(Arc::new(Inner {
            handle,
            counters,
            bodies: body::Bodies::new(),
            answers: Answers::new(reload.idempotency()),
            waiting: Mutex::default(),
            recount: SharedWork::default(),
            survey: SharedWork::default(),
            page: Page::new(websocket),
            limits: Mutex::new(publish::Limits::new(config)),
            keys: Mutex::new(Arc::new(keys)),
            sites: Mutex::new(Arc::new(reload.admin_sites())),
            redaction: Mutex::new(Arc::new(reload.redaction())),
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

    fn log(&self) -> &Log {
        self.0.reload.log()
    }

    /// The keys in force.
    fn keys(&self) -> Arc<AdminKeys> {
        Arc::clone(&self.0.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_keys(&self, keys: Arc<AdminKeys>) {
        *self.0.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Which hosts and pages this port serves.
    fn sites(&self) -> Arc<Sites> {
        Arc::clone(&self.0.sites.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_sites(&self, sites: Sites) {
        *self.0.sites.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(sites);
    }

    /// The rules in force for what clients get of runs.
    fn redaction(&self) -> Arc<Rules> {
        Arc::clone(&self.0.redaction.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_redaction(&self, rules: Rules) {
        let rules = Arc::new(rules);
        *self.0.redaction.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// The halves of characters that wait. Taken in turns of the loop only.
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a closure in the loop's next turn and waits for what it returns. The loop does nothing
    /// else meanwhile: what grows with a table takes several calls.
    async fn call<R: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Context<'_>) -> R + Send + 'static,
    ) -> Result<R, Problem> {
        let (answer, wait) = oneshot::channel();
        let posted = self.0.handle.post(move |context| {
            // The client may have hung up. Its call is done all the same.
            let _ = answer.send(ask(context));
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

/// Serves so many connections at a time until the process ends. Each notice of `hang_ups` is
/// a SIGHUP, or several.
pub(crate) fn run(
    listener: TcpListener,
    state: AdminState,
    hang_ups: Arc<Notify>,
    places: usize,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(reload::on_hang_up(state.clone(), hang_ups));
        tokio::spawn(counters::summarize(Arc::clone(&state.0.counters)));
        match server::serve(
            listener,
            routes::router(state),
            server::Bounds::USUAL.with_connections(places),
        )
        .await {}
    })
}

static LIVE: Call = Call {
    name: "livez",
    says: "Whether the process runs.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&STATUS),
    refusals: &[],
};

static READY: Call = Call {
    name: "readyz",
    says: "Whether the loop answers and admits newcomers.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&STATUS),
    refusals: &[503],
};

static STATUS: Form = Form::open(&[Field::needed("status", Shape::Text, "")]);

/// The process runs.
async fn live() -> Response {
    fault::point("admin");
    json(STATUS.write().text("status", "live").end())
}

/// The loop answers, and admits newcomers.
async fn ready(State(state): State<AdminState>) -> Result<Response, Refusal> {
    let draining = state.call(|context| context.registry.is_draining());
    match tokio::time::timeout(READY_WITHIN, draining).await {
        Ok(Ok(true)) => {
            Err(Problem::new(503, "draining", "the server drains: no client is admitted").into())
        }
        Ok(answer) => {
            answer?;
            Ok(json(STATUS.write().text("status", "ready").end()))
        }
        Err(_) => {
            let message = "the loop has not answered for a second";
            Err(Problem::new(503, "not_ready", message).into())
        }
    }
}

/// An answer that went well.
fn json(body: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}
