//! `/v1/drain`, `/v1/revoke` and `/v1/check`: what an operator does to the whole of it.

use std::time::Duration;

use axum::Extension;
use axum::body::HttpBody as _;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use tracing::error;

use super::address::parse_user;
use super::fields::Fields;
use super::{State, body, json, object};
use crate::audit::Record;
use crate::frames::{Object, millis};
use crate::problem::Problem;

/// The largest body: one name or one number.
const BODY_BYTES: usize = 4 * 1024;
/// The longest deadline of a drain: a longer one is a mistake of a unit.
const LONGEST_DRAIN: Duration = Duration::from_secs(24 * 3600);

/// Drains, and the process stays: everyone is closed and nobody is admitted until it ends.
pub(super) async fn drain(
    Shared(state): Shared<State>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Problem> {
    let text = body::read(request, BODY_BYTES).await?;
    let mut body: Fields<'_> = object::parse(object::or_empty(&text))?;
    let deadline = body.take_value("deadline_ms", "a whole number of milliseconds")?;
    body.end(&["deadline_ms"])?;
    let deadline = deadline.map(Duration::from_millis);
    if deadline.is_some_and(|deadline| deadline.is_zero() || deadline > LONGEST_DRAIN) {
        let most = millis(LONGEST_DRAIN);
        let message = format!("deadline_ms must be between 1 and {most}");
        return Err(Problem::new(400, "bad_request", message));
    }
    let (connections, deadline) = state
        .call(move |turn| {
            turn.registry.drain(turn.now, deadline);
            let stats = turn.registry.stats();
            (stats.open, deadline.unwrap_or_else(|| turn.registry.config().drain_deadline()))
        })
        .await?;
    record.plain("deadline_ms", millis(deadline));
    record.plain("connections", connections);
    let answer = Object::new()
        .raw("draining", "true")
        .number("connections", u64::from(connections))
        .number("deadline_ms", millis(deadline));
    Ok(json(answer.end()))
}

/// Ends a drain early: newcomers are admitted again, and the connections that are not closed yet stay.
pub(super) async fn cancel_drain(
    Shared(state): Shared<State>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Problem> {
    if !request.body().is_end_stream() {
        body::nothing(request).await?;
    }
    let handle = state.0.handle.clone();
    let cancelled = state.call(move |turn| {
        // In a turn of the loop: it does not begin to stop meanwhile.
        if handle.is_stopping() {
            return None;
        }
        Some((turn.registry.cancel_drain(turn.now), turn.registry.stats().open))
    });
    let Some((cancelled, connections)) = cancelled.await? else {
        let message = "the process is ending, as a signal asked it to: that can't be undone";
        return Err(Problem::new(409, "stopping", message));
    };
    record.plain("cancelled", cancelled);
    record.plain("connections", connections);
    let answer = Object::new()
        .raw("draining", "false")
        .raw("cancelled", if cancelled { "true" } else { "false" })
        .number("connections", u64::from(connections));
    Ok(json(answer.end()))
}

/// Closes all of a user's connections with 4503, and ends their sessions with what they keep.
pub(super) async fn revoke(
    Shared(state): Shared<State>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Problem> {
    let text = body::read(request, BODY_BYTES).await?;
    let mut body: Fields<'_> = object::parse(&text)?;
    let user = parse_user("user", &body.take("user")?)?;
    body.end(&["user"])?;
    record.text("user", user.as_str());
    let (closing, sessions) = state
        .call(move |turn| {
            let sessions = turn.registry.sessions_of(&user).count();
            let closing = turn.registry.revoke(turn.now, &user);
            (closing, sessions)
        })
        .await?;
    record.plain("closing", closing);
    record.plain("sessions", sessions);
    let answer =
        Object::new().number("closing", u64::from(closing)).number("sessions", sessions as u64);
    Ok(json(answer.end()))
}

/// What a recount found: the answer, or what is wrong.
pub(super) type Recount = Result<String, Problem>;

/// Recounts everything. The loop only copies the registry; the copy is counted on another thread,
/// one at a time.
pub(super) async fn check(
    Shared(state): Shared<State>,
    request: Request,
) -> Result<Response, Problem> {
    body::nothing(request).await?;
    let task = state.clone();
    state.0.recount.ask(async move { recount(&task).await }).await?.map(json)
}

async fn recount(state: &State) -> Recount {
    let copy = state.call(|turn| turn.registry.clone()).await?;
    let counted = tokio::task::spawn_blocking(move || (copy.check(), copy.stats())).await;
    let (checked, stats) =
        counted.map_err(|error| Problem::new(500, "failed", error.to_string()))?;
    if let Err(violation) = checked {
        error!(%violation, "the recount found a mistake");
        return Err(Problem::new(500, "inconsistent", violation.to_string()));
    }
    let answer = Object::new()
        .raw("ok", "true")
        .number("connections", u64::from(stats.live))
        .number("sessions", u64::from(stats.sessions))
        .number("users", u64::from(stats.users))
        .number("rooms", u64::from(stats.rooms));
    Ok(answer.end())
}
