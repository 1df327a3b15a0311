//! `POST /v1/close`: the application closes connections, with code 4503.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use headcount::CloseReason;
use headcount_protocol::problem::Problem;

use crate::admin::call::{Answer, Body, Call, Field, Form, Shape};
use crate::admin::decode::address::{Audience, TO_FIELD};
use crate::admin::decode::fields::Fields;
use crate::admin::decode::json_body;
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, json};
use crate::telemetry::audit::Record;

static FORM: Form = Form::closed(&[
    TO_FIELD,
    Field::optional("reason", Shape::Text, "For the audit: 1024 bytes at most."),
]);

static CLOSING: Form = Form::open(&[Field::needed(
    "closing",
    Shape::AtLeast(0),
    "Connections that are being closed.",
)]);

pub(crate) static CALL: Call = Call {
    name: "close",
    says: "Closes connections with 4503.",
    body: Body::Object(&FORM),
    once: false,
    answer: Answer::Json(&CLOSING),
    refusals: &[],
};

/// The largest body: an audience and a sentence.
const BODY_BYTES: usize = 8 * 1024;
/// The longest reason, in bytes.
const MAX_REASON: usize = 1024;

pub(crate) async fn close(
    State(state): State<AdminState>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read(&state, request, BODY_BYTES).await?;
    let mut body = json_body::parse::<Fields<'_>>(&text)?.only(FORM.fields)?;
    let audience = Audience::take(&mut body)?;
    for (name, value) in audience.names() {
        record.text(name, &value);
    }
    // For the audit: clients see the code.
    let reason = body.take_text("reason")?.unwrap_or_default();
    body.end(FORM.fields)?;
    if reason.len() > MAX_REASON {
        let message = format!("reason is {} bytes long, {MAX_REASON} at most", reason.len());
        return Err(Problem::new(400, "bad_request", message).into());
    }
    record.text("reason", &reason);
    let closing = state
        .call(move |context| {
            let target = audience.target(context.registry);
            target.map_or(0, |target| {
                context.registry.close(context.now, target, CloseReason::Application)
            })
        })
        .await?;
    record.plain("closing", closing);
    Ok(json(CLOSING.write().number("closing", u64::from(closing)).end()))
}
