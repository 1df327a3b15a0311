//! `POST /v1/runs` and `/v1/runs/{run}/events`: agent runs, opened and told of.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use headcount::{OpenRunError, Refused, RunError, RunId, ThreadId, UserId};

use super::address::parse_user;
use super::event::Report;
use super::fields::Fields;
use super::outcome::Outcome;
use super::{State, body, idempotency, json};
use crate::problem::Problem;

/// The stream that all events of runs are in.
const STREAM: &str = "session";

/// A run to be opened. What else the body holds is what clients get as `data`.
struct Opening {
    user: UserId,
    thread: ThreadId,
    run: RunId,
    agent: String,
    payload: Bytes,
}

impl Opening {
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut fields: Fields<'_> = body::parse(text)?;
        let user = parse_user("user", &fields.take("user")?)?;
        let thread =
            ThreadId::new(fields.take("thread")?).map_err(|error| Problem::id("thread", error))?;
        let run = parse_run("run", &fields.take("run")?)?;
        let agent = fields.take("agent")?;
        if agent.is_empty() || agent.chars().any(char::is_control) {
            let message = "agent is empty or holds a control character";
            return Err(Problem::new(400, "bad_request", message));
        }
        Ok(Self { user, thread, run, agent, payload: fields.payload() })
    }
}

pub(super) async fn open(
    Shared(state): Shared<State>,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency::key(request.headers())?;
    let text = body::read(request, state.limits().run_body()).await?;
    let opening = Opening::parse(&text)?;
    let task = state.clone();
    let work = async move {
        let opened = task.call(move |turn| {
            let Opening { user, thread, run, agent, payload } = opening;
            let mut scope = turn.registry.user(&user);
            let opened = scope.open_run(turn.now, &thread, &run, &agent, payload);
            opened.map(|opened| Outcome::new(&opened.delivery))
        });
        opened.await?.map(|outcome| outcome.json(STREAM)).map_err(not_opened)
    };
    let answer = state.0.answers.answer(key, &format!("/v1/runs {text}"), work).await?;
    Ok((StatusCode::CREATED, json(answer)).into_response())
}

pub(super) async fn event(
    Shared(state): Shared<State>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, Problem> {
    // What can't be decoded is no id; an empty text is none either.
    let run = path.as_ref().ok().and_then(|path| path.iter().next()).map_or("", |(_, id)| id);
    let run = parse_run("the run", run)?;
    let key = idempotency::key(request.headers())?;
    let text = body::read(request, state.limits().run_body()).await?;
    let report = Report::parse(&text)?;
    let what = format!("/v1/runs/{} {text}", run.as_str());
    let task = state.clone();
    let work = async move {
        let told = task.call(move |turn| {
            let mut scope = turn.registry.user(&report.user);
            let told = scope.run_event(turn.now, &run, &report.event());
            told.map(|delivery| Outcome::new(&delivery))
        });
        told.await?.map(|outcome| outcome.json(STREAM)).map_err(not_told)
    };
    state.0.answers.answer(key, &what, work).await.map(json)
}

pub(super) fn parse_run(place: &str, run: &str) -> Result<RunId, Problem> {
    RunId::new(run).map_err(|error| Problem::id(place, error))
}

fn not_opened(error: OpenRunError) -> Problem {
    let message = error.to_string();
    match error {
        OpenRunError::Exists => Problem::new(409, "run_exists", message),
        OpenRunError::Runs => Problem::new(429, "runs_per_session", message),
        OpenRunError::AgentTooLong => Problem::new(400, "bad_request", message),
        OpenRunError::Full => Problem::new(413, "too_large", message),
        OpenRunError::Session(refused) => no_session(refused, message),
        _ => Problem::new(503, "refused", message),
    }
}

/// As an upgrade is refused: 429 where the limit is the user's own, 503 where it is everybody's.
fn no_session(refused: Refused, message: String) -> Problem {
    match refused {
        Refused::SessionsPerUser { retry_after } => {
            Problem::new(429, "sessions_per_user", message).retry_after(retry_after)
        }
        Refused::Draining { retry_after } => {
            Problem::new(503, "draining", message).retry_after(retry_after)
        }
        Refused::Users => Problem::new(503, "users", message),
        Refused::Sessions => Problem::new(503, "sessions", message),
        _ => Problem::new(503, "refused", message),
    }
}

fn not_told(error: RunError) -> Problem {
    let (status, code) = match error {
        RunError::UnknownRun => (404, "unknown_run"),
        RunError::BadCall => (400, "bad_request"),
        RunError::Ended => (422, "run_ended"),
        RunError::CallUnderWay => (422, "call_under_way"),
        RunError::UnknownCall => (422, "unknown_call"),
        RunError::CallsUnderWay => (422, "calls_under_way"),
        RunError::Full => (422, "run_full"),
        _ => (422, "refused"),
    };
    Problem::new(status, code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings() {
        let body = r#"{"user":"u","run":"r","thread":"t","agent":"a","plan":[1]}"#;
        let opening = Opening::parse(body).unwrap();
        assert_eq!((opening.user.as_str(), opening.thread.as_str()), ("u", "t"));
        assert_eq!((opening.run.as_str(), &*opening.agent), ("r", "a"));
        assert_eq!(opening.payload, r#"{"plan":[1]}"#);
        for wrong in [
            r#"{"run":"r","thread":"t","agent":"a"}"#,
            r#"{"user":"u","thread":"t","agent":"a"}"#,
            r#"{"user":"u","run":"r","agent":"a"}"#,
            r#"{"user":"u","run":"r","thread":"t"}"#,
            r#"{"user":"u","run":"r","thread":"t","agent":""}"#,
            r#"{"user":"u","run":"r","thread":"t","agent":7}"#,
            r#"{"user":"u","run":"undefined","thread":"t","agent":"a"}"#,
            r#"{"user":"u","run":"r","thread":"","agent":"a"}"#,
        ] {
            let refused = Opening::parse(wrong).map(|_| ()).unwrap_err();
            assert_eq!(refused.status(), 400, "{wrong}");
        }
    }
}
