//! What clients ask of agents: runs, and the ends of them.

use bytes::Bytes;
use headcount::{ConnId, RunId, ThreadId};
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
        Err(error) => {
            server_frames::error(server_frames::request_code(error), &error.to_string(), request)
        }
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
        Err(error) => {
            server_frames::error(server_frames::cancel_code(error), &error.to_string(), request)
        }
    }
}

/// Boxed: spare capacity would be memory that no bound counts.
fn payload(json: String) -> Bytes {
    Bytes::from(json.into_bytes().into_boxed_slice())
}
