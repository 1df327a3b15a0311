//! `POST /v1/close`: the application closes connections, with code 4503 or words of its own.

use crate::admin::target::target;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use headcount::{CloseReason, CloseWith};
use headcount_protocol::admin::closing::{self, Closing};

use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, json};
use crate::telemetry::audit::Record;

pub(crate) static CALL: Call = Call {
    name: "close",
    says: "Closes connections with 4503, or with a code and a text of the application.",
    body: Body::Object(&closing::FORM),
    once: false,
    answer: Answer::Json(&closing::CLOSING),
    refusals: &[],
};

/// The largest body: an audience and two sentences.
const BODY_BYTES: usize = 8 * 1024;

pub(crate) async fn close(
    State(state): State<AdminState>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read(&state, request, BODY_BYTES).await?;
    let Closing { audience, reason, words } = Closing::parse(&text)?;
    for (name, value) in audience.names() {
        record.text(name, &value);
    }
    // For the audit: clients see the code and the text.
    record.text("reason", &reason);
    if let Some(words) = &words {
        record.plain("code", words.code());
        record.text("text", words.text());
    }
    let with = words.map_or(CloseWith::Reason(CloseReason::Application), CloseWith::Words);
    let connections = state
        .call(move |context| {
            let target = target(&audience, context.registry);
            target.map_or(0, |target| context.registry.close(context.now, target, with))
        })
        .await?;
    record.plain("closing", connections);
    Ok(json(closing::closing(connections.into())))
}
