//! Serving an operating call so that the audit has a line of it, whatever becomes of it.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use headcount_protocol::problem::Problem;

use super::access::Peer;
use super::keys::Caller;
use super::refusal::Code;
use crate::admin::AdminState;
use crate::admin::http::refusal::Refusal;
use crate::telemetry::audit::Record;

/// Serves a call. `serve` finds a [`Record`] among the request's extensions, and notes there which users
/// and connections it is about, and what it did.
pub(crate) async fn serve<F>(
    state: &AdminState,
    call: String,
    caller: &Caller,
    mut request: Request,
    serve: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response> + Send + 'static,
{
    let log = state.log();
    let Some(place) = log.audit().place().await else {
        return Refusal::from(not_written()).into_response();
    };
    let record = Record::default();
    request.extensions_mut().insert(record.clone());
    let (key, peer) = (caller.name().map(str::to_owned), Peer::of(&request));
    let (log, work) = (log.clone(), serve(request));
    // Done to its end, also when the client hangs up: what was done must be told.
    let done = tokio::spawn(async move {
        let response = work.await;
        let status = response.status().as_u16();
        let outcome = match response.extensions().get() {
            Some(Code(code)) => format!("status={status} code={code}"),
            None => format!("status={status}"),
        };
        log.write_audit(place, record.line(&call, key.as_deref(), peer, &outcome));
        response
    });
    done.await.unwrap_or_else(|error| {
        Refusal::from(Problem::new(500, "failed", error.to_string())).into_response()
    })
}

/// Why an operating call is not served.
pub(crate) fn not_written() -> Problem {
    let message = "nothing was done: the audit lines before are not written, because the server's \
                   standard error is not read";
    Problem::new(503, "audit_full", message)
}
