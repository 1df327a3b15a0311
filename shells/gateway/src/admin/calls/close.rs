//! `POST /v1/close`: the application closes connections, with code 4503.

use crate::admin::target::target;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use headcount::CloseReason;
use headcount_protocol::admin::closing::{self, Closing};

use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, json};
use crate::telemetry::audit::Record;

pub(crate) static CALL: Call = Call {
    name: "close",
    says: "Closes connections with 4503.",
    body: Body::Object(&closing::FORM),
    once: false,
    answer: Answer::Json(&closing::CLOSING),
    refusals: &[],
};

/// The largest body: an audience and a sentence.
const BODY_BYTES: usize = 8 * 1024;

pub(crate) async fn close(
    State(state): State<AdminState>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read(&state, request, BODY_BYTES).await?;
    let Closing { audience, reason } = Closing::parse(&text)?;
    for (name, value) in audience.names() {
        record.text(name, &value);
    }
    // For the audit: clients see the code.
    record.text("reason", &reason);
    let connections = state
        .call(move |context| {
            let target = target(&audience, context.registry);
            target.map_or(0, |target| {
                context.registry.close(context.now, target, CloseReason::Application)
            })
        })
        .await?;
    record.plain("closing", connections);
    Ok(json(closing::closing(connections.into())))
}
