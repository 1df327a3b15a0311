//! `/v1/drain`, `/v1/revoke` and `/v1/check`: what an operator does to the whole of it.

use std::time::SystemTime;

use axum::Extension;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::response::Response;
use headcount::{CloseReason, Target};
use headcount_mio::Context;
use headcount_protocol::admin::drain;
use headcount_protocol::admin::form::{Field, Form, Shape};
use headcount_protocol::admin::nothing;
use headcount_protocol::admin::revocation::{self, Revocation};
use headcount_protocol::json::millis;
use headcount_protocol::problem::Problem;
use tracing::error;

use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, json};
use crate::auth::TokenAuth;
use crate::auth::revocations::{self, Full};
use crate::telemetry::audit::Record;

pub(crate) static DRAIN: Call = Call {
    name: "drain",
    says: "Closes all connections and admits no client; the process stays.",
    body: Body::MayBeEmpty(&drain::FORM),
    once: false,
    answer: Answer::Json(&drain::DRAINING),
    refusals: &[],
};

pub(crate) static CANCEL_DRAIN: Call = Call {
    name: "cancel_drain",
    says: "Ends a drain early, if there is one.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&drain::CANCELLED),
    refusals: &[409],
};

pub(crate) static REVOKE: Call = Call {
    name: "revoke",
    says: "Closes connections with 4503, and refuses the tokens that they could come back with.",
    body: Body::Object(&revocation::FORM),
    once: false,
    answer: Answer::Json(&revocation::REVOKED),
    refusals: &[409],
};

static CHECKED: Form = Form::open(&[
    Field::needed("ok", Shape::Yes, ""),
    Field::needed("connections", Shape::AtLeast(0), "Live connections."),
    Field::needed("sessions", Shape::AtLeast(0), "Sessions."),
    Field::needed("users", Shape::AtLeast(0), "Users with a session."),
    Field::needed("rooms", Shape::AtLeast(0), "Rooms."),
]);

pub(crate) static CHECK: Call = Call {
    name: "check",
    says: "Counts everything again; 500 if a count is wrong.",
    body: Body::MayBeEmpty(&nothing::FORM),
    once: false,
    answer: Answer::Json(&CHECKED),
    refusals: &[500],
};

/// The largest body: one name or one number.
const BODY_BYTES: usize = 4 * 1024;

/// Drains without ending the process: all connections are closed, and none is admitted until the drain
/// ends.
pub(crate) async fn drain(
    State(state): State<AdminState>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read(&state, request, BODY_BYTES).await?;
    let deadline = drain::parse(&text)?;
    let (connections, deadline) = state
        .call(move |context| {
            context.registry.drain(context.now, deadline);
            let stats = context.registry.stats();
            (stats.open, deadline.unwrap_or_else(|| context.registry.config().drain_deadline()))
        })
        .await?;
    record.plain("deadline_ms", millis(deadline));
    record.plain("connections", connections);
    Ok(json(drain::draining(connections.into(), deadline)))
}

/// Ends a drain early: newcomers are admitted again, and the connections that are not closed yet stay.
pub(crate) async fn cancel_drain(
    State(state): State<AdminState>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Refusal> {
    if !request.body().is_end_stream() {
        body::nothing(&state, request).await?;
    }
    let handle = state.0.handle.clone();
    let cancelled = state.call(move |context| {
        // In a turn of the loop: it does not begin to stop meanwhile.
        if handle.is_stopping() {
            return None;
        }
        Some((context.registry.cancel_drain(context.now), context.registry.stats().open))
    });
    let Some((cancelled, connections)) = cancelled.await? else {
        let message = "the process is ending, as a signal asked it to: that can't be undone";
        return Err(Problem::new(409, "stopping", message).into());
    };
    record.plain("cancelled", cancelled);
    record.plain("connections", connections);
    Ok(json(drain::cancelled(cancelled, connections.into())))
}

/// Closes connections with 4503, and refuses the tokens that they could come back with. Of a user the
/// sessions end too, with what they keep.
pub(crate) async fn revoke(
    State(state): State<AdminState>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Refusal> {
    let text = body::read(&state, request, BODY_BYTES).await?;
    let revoked = Revocation::parse(&text)?;
    match &revoked {
        Revocation::User(user) => record.text("user", user.as_str()),
        Revocation::Token(id) => record.text("token_id", id),
    }
    let task = state.clone();
    let (closing, sessions) = state.call(move |context| task.revoke(context, &revoked)).await??;
    record.plain("closing", closing);
    if let Some(sessions) = sessions {
        record.plain("sessions", sessions);
    }
    Ok(json(revocation::revoked(closing.into(), sessions)))
}

impl AdminState {
    /// How many connections are closed, and of a user how many sessions end.
    fn revoke(
        &self,
        context: &mut Context<'_>,
        revoked: &Revocation,
    ) -> Result<(u32, Option<u64>), Problem> {
        let mut live = self.0.reload.live_settings().lock();
        let token_auth = live.token_auth();
        match revoked {
            Revocation::User(user) => {
                if let Some(TokenAuth { revocations, lifetime, .. }) = token_auth {
                    let now = SystemTime::now();
                    revocations.revoke_user(user.as_str(), now, *lifetime).map_err(full)?;
                }
                let known = context.registry.user(user);
                let sessions = known.map_or(0, |user| user.sessions().count()) as u64;
                Ok((context.registry.revoke(context.now, user), Some(sessions)))
            }
            Revocation::Token(id) => {
                let Some(TokenAuth { revocations, lifetime, grants, .. }) = token_auth else {
                    let message = "development mode takes no tokens: revoke the user";
                    return Err(Problem::new(409, "no_key", message));
                };
                revocations.revoke_token(id, SystemTime::now(), *lifetime).map_err(full)?;
                let mut closing = 0;
                for conn in grants.with_token(id) {
                    let (target, reason) = (Target::Conn(*conn), CloseReason::Revoked);
                    closing += context.registry.close(context.now, target, reason);
                }
                Ok((closing, None))
            }
        }
    }
}

fn full(_: Full) -> Problem {
    let message = format!(
        "{} users and tokens are revoked already, and no more can be remembered: nothing was done. \
         Change the key that tokens are signed with, and close the connections with /v1/close",
        revocations::MOST
    );
    Problem::new(503, "revocations", message)
}

/// What a recount found: the answer, or what is wrong.
pub(crate) type Recount = Result<String, Problem>;

/// Recounts everything. The loop only copies the registry; the copy is counted on another thread,
/// one at a time.
pub(crate) async fn check(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    body::nothing(&state, request).await?;
    let task = state.clone();
    Ok(json(state.0.recount.ask(async move { recount(&task).await }).await??))
}

async fn recount(state: &AdminState) -> Recount {
    let copy = state.call(|context| context.registry.clone()).await?;
    let counted = tokio::task::spawn_blocking(move || (copy.check(), copy.stats())).await;
    let (checked, stats) =
        counted.map_err(|error| Problem::new(500, "failed", error.to_string()))?;
    if let Err(violation) = checked {
        error!(%violation, "the recount found a mistake");
        return Err(Problem::new(500, "inconsistent", violation.to_string()));
    }
    let answer = CHECKED
        .write()
        .flag("ok", true)
        .number("connections", u64::from(stats.live))
        .number("sessions", u64::from(stats.sessions))
        .number("users", u64::from(stats.users))
        .number("rooms", u64::from(stats.rooms));
    Ok(answer.end())
}
