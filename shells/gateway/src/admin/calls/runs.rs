//! `POST /v1/runs` and `/v1/runs/{run}/events`: agent runs, opened and told of.

use crate::admin::waiting;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use headcount::{
    Delivery, OpenRunError, Refused, RunEnd, RunEnded, RunError, RunEvent, RunEventKind, RunId,
};
use headcount_mio::Context;
use headcount_protocol::admin::audience::parse_run;
use headcount_protocol::admin::delivery::{self, Outcome};
use headcount_protocol::admin::opening::Opening;
use headcount_protocol::admin::report::Report;
use headcount_protocol::admin::{Halves, opening, report};
use headcount_protocol::problem::Problem;
use headcount_protocol::run_events;
use headcount_protocol::server_frames::SESSION;

use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, idempotency, json};
use crate::clock::utc;

pub(crate) static OPEN: Call = Call {
    name: "open_run",
    says: "Opens an agent run.",
    body: Body::Object(&opening::FORM),
    once: true,
    answer: Answer::Created(&delivery::TOLD),
    refusals: &[409, 413, 429],
};

pub(crate) static EVENT: Call = Call {
    name: "report_run_event",
    says: "Tells of an event of a run.",
    body: Body::OneOf(&report::FORMS),
    once: true,
    answer: Answer::Json(&delivery::TOLD),
    refusals: &[404, 429],
};

pub(crate) async fn open(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    let key = idempotency::key(&request)?;
    let text = body::read(&state, request, state.limits().run_body()).await?;
    let opening = Opening::parse(&text, &*state.redaction())?;
    let task = state.clone();
    let work = async move {
        let state = task.clone();
        let opened = task.call(move |context| {
            let Opening { user, thread, run, agent, payload } = opening;
            let mut scope = context.registry.scope(&user);
            match scope.open_run(context.now, &thread, &run, &agent, payload) {
                Ok(opened) => {
                    // Of one that had its name something may have waited for ever.
                    state.waiting().set(context.registry, &user, &run, Halves::default());
                    Ok(Outcome::new(&opened.delivery))
                }
                Err(error) => Err(not_opened(error, context)),
            }
        });
        opened.await?.map(|outcome| outcome.json(&delivery::TOLD, SESSION))
    };
    let answer = state.0.answers.answer(key, &format!("/v1/runs {}", &*text), work).await?;
    Ok((StatusCode::CREATED, json(answer)).into_response())
}

pub(crate) async fn event(
    State(state): State<AdminState>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    // What can't be decoded is no id; an empty text is none either.
    let run = path.as_ref().ok().and_then(|path| path.iter().next()).map_or("", |(_, id)| id);
    let run = parse_run("the run", run)?;
    let key = idempotency::key(&request)?;
    let text = body::read(&state, request, state.limits().run_body()).await?;
    let report = Report::parse(&text, &*state.redaction())?;
    let what = format!("/v1/runs/{} {}", run.as_str(), &*text);
    let task = state.clone();
    let work = async move {
        let state = task.clone();
        let told = task.call(move |context| {
            let told = tell(&state, context, &run, &report);
            let told = told.map(|delivery| Outcome::new(&delivery));
            told.map_err(|error| not_told(error, context))
        });
        told.await?.map(|outcome| outcome.json(&delivery::TOLD, SESSION))
    };
    Ok(json(state.0.answers.answer(key, &what, work).await?))
}

/// Tells of an event. In texts that go on, the first half of a surrogate pair waits for its second.
fn tell(
    state: &AdminState,
    context: &mut Context<'_>,
    run: &RunId,
    report: &Report,
) -> Result<Delivery, RunError> {
    let mut waiting = state.waiting();
    let halves = waiting.of(&report.user, run);
    let (event, mut then) = report.after(halves.clone());
    let event = event.event();
    if event.kind().is_some_and(RunEventKind::is_terminal) {
        then = Halves::default();
        if halves.parts().next().is_some()
            && waiting::ends(context.registry, &report.user, run, &event)
        {
            // Their other halves do not come. A run that has no room for them ends without them.
            for part in halves.parts() {
                let alone = RunEvent::Delta { part: part.part(), text: "\u{fffd}" };
                let _ = context.registry.scope(&report.user).run_event(context.now, run, &alone);
            }
            waiting.set(context.registry, &report.user, run, Halves::default());
        }
    }
    let delivery = context.registry.scope(&report.user).run_event(context.now, run, &event)?;
    waiting.set(context.registry, &report.user, run, then);
    Ok(delivery)
}

fn not_opened(error: OpenRunError, context: &Context<'_>) -> Problem {
    let message = error.to_string();
    match error {
        OpenRunError::Exists { ended: None } => Problem::new(409, "run_exists", message),
        OpenRunError::Exists { ended: Some(ended) } => {
            let end = end(ended, context);
            let message = format!("the log still keeps events of a run of this name: {end}");
            Problem::new(409, "run_exists", message)
        }
        OpenRunError::OtherThread => Problem::new(409, "other_thread", message),
        OpenRunError::Runs => Problem::new(429, "runs_per_session", message),
        OpenRunError::AgentTooLong => Problem::new(400, "bad_request", message),
        OpenRunError::Full => Problem::new(413, "too_large", message),
        OpenRunError::Session(refused) => no_session(refused, message),
        _ => Problem::new(503, "refused", message),
    }
}

/// As an upgrade is refused: 429 where the limit is the user's own, 503 where it is everybody's.
fn no_session(refused: Refused, message: String) -> Problem {
    let (status, code) = match refused {
        Refused::SessionsPerUser { .. } => (429, "sessions_per_user"),
        Refused::Draining { .. } => (503, "draining"),
        Refused::Users => (503, "users"),
        Refused::Sessions => (503, "sessions"),
        _ => (503, "refused"),
    };
    Problem::new(status, code, message).retry_after(refused.retry_after())
}

fn not_told(error: RunError, context: &Context<'_>) -> Problem {
    let message = match error {
        RunError::Ended(ended) => {
            format!("nothing follows the end of a run: {}", end(ended, context))
        }
        _ => error.to_string(),
    };
    let (status, code) = match error {
        RunError::UnknownRun => (404, "unknown_run"),
        RunError::BadCall | RunError::BadPart => (400, "bad_request"),
        RunError::Ended(_) => (422, "run_ended"),
        RunError::NotOpened => (422, "run_not_opened"),
        RunError::CallUnderWay => (422, "call_under_way"),
        RunError::UnknownCall => (422, "unknown_call"),
        RunError::Calls => (422, "run_calls"),
        RunError::Parts => (422, "run_parts"),
        RunError::PartKind => (422, "part_kind"),
        RunError::CallsUnderWay => (422, "calls_under_way"),
        RunError::Full => (422, "run_full"),
        RunError::UserBytes => (429, "user_bytes"),
        RunError::ProcessBytes => (503, "process_bytes"),
        _ => (422, "refused"),
    };
    Problem::new(status, code, message)
}

/// Who ended a run, when, and why.
fn end(ended: RunEnded, context: &Context<'_>) -> String {
    let config = context.registry.config();
    let at = utc::before_now(context.now.saturating_since(ended.at));
    match ended.how {
        RunEnd::Completed => reported(RunEventKind::Completed, &at),
        RunEnd::Failed => reported(RunEventKind::Failed, &at),
        RunEnd::Cancelled => reported(RunEventKind::Cancelled, &at),
        RunEnd::Interrupted => reported(RunEventKind::Interrupted, &at),
        RunEnd::Silence => {
            let silence = config.run_silence();
            format!("the gateway failed the run at {at}: no event for run.silence ({silence:?})")
        }
        RunEnd::Length => {
            let length = config.run_max_length();
            format!("the gateway failed the run at {at}: open for run.max_length ({length:?})")
        }
        how => format!("the gateway ended the run at {at}: {how}"),
    }
}

fn reported(kind: RunEventKind, at: &str) -> String {
    format!("an earlier {} ended it at {at}", run_events::name(kind))
}
