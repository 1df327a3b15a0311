//! `GET /v1/runs` and `/v1/runs/{run}`: the runs of a user, and what the log keeps of one.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::response::Response;
use headcount::{Body as Content, RunView, Timestamp, UserId};
use headcount_protocol::admin::audience::parse_run;
use headcount_protocol::admin::form::{Field, Form, Shape};
use headcount_protocol::json::{Object, array};
use headcount_protocol::problem::Problem;
use headcount_protocol::run_events;
use headcount_protocol::server_frames::SESSION;

use super::explain;
use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::query::Query;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, json};
use crate::clock::wall_clock;

/// Of whose runs it is about.
pub(crate) const QUERY: [Field; 1] = [Field::needed("user", Shape::Id, "Whose runs.")];

/// What a frame has depends on what happened.
static FRAME: Form = Form::open(&[]);
/// A call under way.
static CALL: Form = Form::open(&[
    Field::needed("call", Shape::Text, "Its name."),
    Field::optional("expected_in_ms", Shape::AtLeast(0), "Until it is expected to have ended."),
]);

/// The fields of a run; `more` are those of one that is shown alone.
macro_rules! run_form {
    ($($more:expr)?) => {
        Form::open(&[
            Field::needed("run", Shape::Text, "Its name among the runs of the user."),
            Field::needed("agent", Shape::Text, "Empty if it was never opened."),
            Field::needed("age_ms", Shape::AtLeast(0), "Since it was opened or requested."),
            Field::needed("events", Shape::AtLeast(0), "How many it had."),
            Field::needed("bytes", Shape::AtLeast(0), "What counts towards `run.bytes`."),
            Field::needed("calls", Shape::List(&CALL), "Tool calls under way."),
            Field::optional("next", Shape::Plain, "When the server fails it, if nothing happens."),
            Field::needed("thread", Shape::Text, "The thread of its session."),
            Field::needed("session", Shape::Text, ""),
            Field::needed("epoch", Shape::Text, "Of the session's stream."),
            Field::needed("offset", Shape::AtLeast(1), "Of its first event there."),
            Field::needed("state", Shape::Among(&["requested", "open", "ended"]), ""),
            Field::needed("cancel_requested", Shape::Flag, "A client wishes that it is cancelled."),
            Field::optional("end", Shape::Text, "How it ended."),
            Field::optional("ended_ms_ago", Shape::AtLeast(0), ""),
            $($more)?
        ])
    };
}

static RUN: Form = run_form!();

pub(crate) static LIST: Call = Call {
    name: "list_runs",
    says: "The runs of a user that are requested or open, and those that have ended and of which the log keeps something.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&Form::open(&[Field::needed("runs", Shape::List(&RUN), "The runs.")])),
    refusals: &[],
};

pub(crate) static ONE: Call = Call {
    name: "show_run",
    says: "One run of a user, with what the log keeps of it from its start.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&run_form!(Field::needed(
        "frames",
        Shape::List(&FRAME),
        "Its events and texts, as clients get them."
    ))),
    refusals: &[404],
};

pub(crate) async fn list(
    State(state): State<AdminState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let user = whose(query.as_deref())?;
    let runs = state
        .call(move |context| {
            let runs = context.registry.user(&user).into_iter().flat_map(|user| user.runs());
            let shown = runs.map(|run| explain::run(context.registry, context.now, run).end());
            shown.collect::<Vec<_>>()
        })
        .await?;
    Ok(json(Object::new().raw("runs", &array(&runs)).end()))
}

pub(crate) async fn one(
    State(state): State<AdminState>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    // What can't be decoded is no id; an empty text is none either.
    let run = path.as_ref().ok().and_then(|path| path.iter().next()).map_or("", |(_, id)| id);
    let run = parse_run("the run", run)?;
    let user = whose(query.as_deref())?;
    let shown = state
        .call(move |context| {
            let run = context.registry.run(&user, &run)?;
            let shown = explain::run(context.registry, context.now, run);
            Some(shown.raw("frames", &frames(run, context.now)).end())
        })
        .await?;
    let message =
        "the user has no such run: it was never opened, or it has ended and nothing of it is kept";
    Ok(shown.map(json).ok_or_else(|| Problem::new(404, "unknown_run", message))?)
}

fn whose(query: Option<&str>) -> Result<UserId, Problem> {
    let query = Query::read_of(query, &QUERY)?;
    query.user.ok_or_else(|| Problem::new(400, "bad_query", "user is missing: whose runs?"))
}

/// What the log keeps of a run, as the frames that clients get.
fn frames(run: RunView<'_>, now: Timestamp) -> String {
    let anchor = wall_clock::anchor_of(now);
    let mut frames = Vec::new();
    for (position, content) in run.log() {
        let mut frame = Vec::new();
        match content {
            Content::Run(fact) => run_events::fact(SESSION, position, &fact, anchor, &mut frame),
            Content::Text(text) => run_events::text(SESSION, position, &text, anchor, &mut frame),
            Content::Message(_) => continue,
        }
        // A frame is JSON.
        frames.push(String::from_utf8(frame).unwrap_or_default());
    }
    array(&frames)
}
