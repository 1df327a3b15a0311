//! `GET /v1/stats`: counters and gauges, all of the same instant, and what a walk over the tables
//! found shortly before.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use headcount::{CloseReason, RoomEnd, RunEnd, SessionEnd, Stats, Survey, Timestamp};
use headcount_mio::Context;
use headcount_protocol::admin::Written;
use headcount_protocol::admin::form::{Field, Form, Shape};
use headcount_protocol::json::{Object, millis};
use headcount_protocol::problem::Problem;

use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::refusal::Refusal;
use crate::admin::idempotency::Figures;
use crate::admin::{AdminState, json};

static USER_BY_SESSIONS: Form = Form::open(&[
    Field::needed("users_by_sessions.user", Shape::Text, ""),
    Field::needed("users_by_sessions.sessions", Shape::AtLeast(0), ""),
]);

static FIGURES: Form = Form::open(&[
    Field::needed("connections", Shape::Plain, ""),
    Field::needed("sessions", Shape::Plain, ""),
    Field::needed("rooms_ended", Shape::Plain, ""),
    Field::needed("runs", Shape::Plain, ""),
    Field::needed("heartbeat", Shape::Plain, ""),
    Field::needed("pressure", Shape::Plain, ""),
    Field::needed("delivery", Shape::Plain, ""),
    Field::needed("log", Shape::Plain, ""),
    Field::needed("idempotency", Shape::Plain, ""),
    Field::needed("users", Shape::AtLeast(0), ""),
    Field::needed("rooms", Shape::AtLeast(0), ""),
    Field::needed("rooms_opened", Shape::AtLeast(0), ""),
    Field::needed("oldest_session_ms", Shape::AtLeast(0), ""),
    Field::needed("late_stamps", Shape::AtLeast(0), ""),
    Field::needed("notices_lost", Shape::AtLeast(0), ""),
    Field::needed("replies_dropped", Shape::AtLeast(0), ""),
    Field::needed("log_lines_lost", Shape::AtLeast(0), ""),
    Field::needed("uptime_ms", Shape::AtLeast(0), ""),
    Field::needed("draining", Shape::Flag, ""),
    Field::needed("journal", Shape::Any, ""),
    Field::needed("version", Shape::Text, ""),
    Field::needed(
        "users_by_sessions",
        Shape::List(&USER_BY_SESSIONS),
        "The users with the most sessions.",
    ),
    Field::optional("memory_bytes", Shape::AtLeast(0), "Where the system tells it."),
]);

pub(crate) static CALL: Call = Call {
    name: "stats",
    says: "Every counter, and gauges. The fields of the groups are not named here.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&FIGURES),
    refusals: &[],
};

/// How many of the users with the most sessions are named.
const TOP_USERS: usize = 10;

/// Slots of the tables that one call of the loop passes.
const SLOTS: usize = 2_000;

pub(crate) async fn show(State(state): State<AdminState>) -> Result<Response, Refusal> {
    let task = state.clone();
    let survey = state.0.survey.ask(async move { survey(&task).await }).await??;
    // After the survey: the counters are those of the answer's instant.
    let (stats, draining, now) = state
        .call(|context| (context.registry.stats(), context.registry.is_draining(), context.now))
        .await?;
    let answer = render(&stats, draining, &survey, now)
        .number("replies_dropped", state.0.counters.replies_dropped.load(Ordering::Relaxed))
        .json("idempotency", &idempotency(state.0.answers.figures()))
        .json("journal", &state.0.counters.journal.json())
        .number("log_lines_lost", state.0.counters.log_lines_lost.load(Ordering::Relaxed))
        .number("uptime_ms", millis(state.0.started.elapsed()))
        .text("version", env!("CARGO_PKG_VERSION"));
    Ok(json(match resident_bytes() {
        Some(bytes) => answer.number("memory_bytes", bytes).end(),
        None => answer.end(),
    }))
}

fn idempotency(kept: Figures) -> String {
    let Figures { answers, bytes, evicted } = kept;
    let shown = Object::new().number("answers", answers);
    shown.number("bytes", bytes).number("evicted", evicted).end()
}

/// What takes a walk over the tables to know.
pub(crate) type Surveyed = Result<Survey, Problem>;

async fn survey(state: &AdminState) -> Surveyed {
    let mut survey = Survey::new(TOP_USERS);
    loop {
        let step = move |context: &mut Context<'_>| {
            let more = context.registry.survey(&mut survey, SLOTS);
            (more, survey)
        };
        let (more, seen) = state.call(step).await?;
        if !more {
            return Ok(seen);
        }
        survey = seen;
    }
}

/// Milliseconds with a fraction: on a good network a round trip takes less than one.
pub(crate) fn fraction(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

/// The figures of the registry. `opened` is `live` and all of `closed` together, in every answer.
fn render(stats: &Stats, draining: bool, survey: &Survey, now: Timestamp) -> Written {
    let mut closed = Object::new();
    for reason in CloseReason::ALL {
        closed = closed.number(reason.name(), stats.closed(*reason));
    }
    let connections = Object::new()
        .number("opened", stats.opened)
        .number("live", u64::from(stats.live))
        .number("open", u64::from(stats.open))
        .number("pending", u64::from(stats.pending))
        .number("abandoned", stats.abandoned)
        .raw("closed", &closed.end())
        .end();
    let ended_by = SessionEnd::ALL
        .iter()
        .fold(Object::new(), |ended, why| ended.number(why.name(), stats.sessions_ended_by(*why)));
    let rooms_ended = RoomEnd::ALL
        .iter()
        .fold(Object::new(), |ended, why| ended.number(why.name(), stats.rooms_ended_by(*why)));
    let sessions = Object::new()
        .number("opened", stats.sessions_opened)
        .number("live", u64::from(stats.sessions))
        .number("ended", stats.sessions_ended)
        .raw("ended_by", &ended_by.end())
        .number("refused", stats.refused)
        .end();
    let heartbeat = Object::new()
        .number("pings_sent", stats.pings_sent)
        .number("pongs_received", stats.pongs_received)
        .number("timeouts", stats.pong_timeouts)
        .number("recovered", stats.recovered)
        .number("pauses", stats.pauses)
        .raw("rtt_ms", &survey.mean_round_trip().map_or_else(|| "null".to_owned(), fraction))
        .end();
    let pressure = Object::new()
        .number("level_changes", stats.level_changes)
        .number("probed", stats.probed)
        .number("released", stats.released)
        .end();
    let top = survey.users_by_sessions().iter().map(|(user, sessions)| {
        USER_BY_SESSIONS
            .write()
            .text("user", user.as_str())
            .number("sessions", u64::from(*sessions))
            .end()
    });
    let delivery = Object::new()
        .number("sent", stats.sent)
        .number("deferred", stats.deferred)
        .number("stored", stats.stored)
        .number("gaps", stats.gaps)
        .number("shed", stats.shed)
        .number("skipped", stats.skipped)
        .number("acknowledged", stats.acknowledged)
        .end();
    let ended = RunEnd::ALL
        .iter()
        .fold(Object::new(), |ended, end| ended.number(end.name(), stats.runs_ended(*end)));
    let runs = Object::new()
        .number("opened", stats.runs_opened)
        .number("requested", stats.runs_requested)
        .number("open", u64::from(stats.runs))
        .raw("ended", &ended.end())
        .end();
    let oldest = survey.oldest_session().map(|since| now.saturating_since(since));
    let log =
        Object::new().number("messages", stats.log_messages).number("bytes", stats.log_bytes).end();
    FIGURES
        .write()
        .json("connections", &connections)
        .json("sessions", &sessions)
        .number("users", u64::from(stats.users))
        .number("rooms", u64::from(stats.rooms))
        .number("rooms_opened", stats.rooms_opened)
        .json("rooms_ended", &rooms_ended.end())
        .json("runs", &runs)
        .list("users_by_sessions", &top.collect::<Vec<_>>())
        .number("oldest_session_ms", oldest.map_or(0, millis))
        .flag("draining", draining)
        .json("heartbeat", &heartbeat)
        .json("pressure", &pressure)
        .json("delivery", &delivery)
        .json("log", &log)
        .number("late_stamps", stats.late_stamps)
        .number("notices_lost", stats.notices_lost)
}

/// The memory that the process occupies, where the operating system tells it without much ado.
pub(crate) fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}
