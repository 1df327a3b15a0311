//! What clients ask of agents: runs, and the ends of them.

use bytes::Bytes;
use headcount::{ConnId, RequestCancelError, RequestRunError, RunId, ThreadId};
use headcount_mio::Context;
use headcount_protocol::run_events;
use headcount_protocol::server_frames;

/// Requests a run; the answer is the frame to send back.
pub(crate) fn run(
    context: &mut Context<'_>,
    conn: ConnId,
    (thread, run): (Option<ThreadId>, RunId),
    input: &str,
    request: Option<&str>,
) -> String {
    let payload = payload(run_events::requested(input));
    let asked = context.registry.request_run(context.now, conn, thread.as_ref(), &run, payload);
    match asked {
        Ok(_) => server_frames::ok(request),
        Err(error) => server_frames::error(not_requested(error), &error.to_string(), request),
    }
}

/// Tells of a wish to cancel a run.
pub(crate) fn cancel(
    context: &mut Context<'_>,
    conn: ConnId,
    run: &RunId,
    reason: Option<&str>,
    request: Option<&str>,
) -> String {
    let payload = payload(run_events::cancel_requested(reason));
    match context.registry.request_cancel(context.now, conn, run, payload) {
        Ok(_) => server_frames::ok(request),
        Err(error) => server_frames::error(not_cancelled(error), &error.to_string(), request),
    }
}

/// Boxed: spare capacity would be memory that no bound counts.
fn payload(json: String) -> Bytes {
    Bytes::from(json.into_bytes().into_boxed_slice())
}

const fn not_requested(error: RequestRunError) -> &'static str {
    match error {
        RequestRunError::UnknownConn => "closing",
        RequestRunError::NotInThread => "not_in_thread",
        RequestRunError::Exists { .. } => "run_exists",
        RequestRunError::Runs => "runs_per_session",
        RequestRunError::Full => "run_full",
        _ => "run_refused",
    }
}

const fn not_cancelled(error: RequestCancelError) -> &'static str {
    match error {
        RequestCancelError::UnknownConn => "closing",
        RequestCancelError::UnknownRun => "unknown_run",
        RequestCancelError::Ended(_) => "run_ended",
        RequestCancelError::Full => "run_full",
        _ => "run_refused",
    }
}
