//! `GET /v1/stats`: counters and gauges, all of the same instant.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Response;
use headcount::{CloseReason, Registry, RoomEnd, RunEnd, SessionEnd, Stats, UserId};

use super::idempotency::Figures;
use super::{State, json};
use crate::events::end_name;
use crate::frames::{Object, array, millis};
use crate::problem::Problem;

/// How many of the users with the most sessions are named.
const TOP_USERS: usize = 10;

pub(super) async fn show(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let (stats, walked) =
        state.call(|turn| (turn.registry.stats(), Walked::new(turn.registry))).await?;
    let answer = render(&stats, &walked)
        .number("replies_dropped", state.0.counters.replies_dropped.load(Ordering::Relaxed))
        .raw("idempotency", &idempotency(state.0.answers.figures()))
        .raw("journal", &state.0.counters.journal.json())
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

/// What takes a walk over a table to know, with nothing borrowed.
struct Walked {
    draining: bool,
    users_by_sessions: Vec<(UserId, u32)>,
    oldest_session: Option<Duration>,
    round_trip: Option<Duration>,
}

impl Walked {
    fn new(registry: &Registry) -> Self {
        let top = registry.users_by_sessions(TOP_USERS);
        Self {
            draining: registry.is_draining(),
            users_by_sessions: top.into_iter().map(|(user, n)| (user.clone(), n)).collect(),
            oldest_session: registry.oldest_session(),
            round_trip: registry.mean_round_trip(),
        }
    }
}

/// Milliseconds with a fraction: on a good network a round trip takes less than one.
pub(super) fn fraction(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

/// The figures of the registry. `opened` is `live` and all of `closed` together, in every answer.
fn render(stats: &Stats, walked: &Walked) -> Object {
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
        .raw("rtt_ms", &walked.round_trip.map_or_else(|| "null".to_owned(), fraction))
        .end();
    let pressure = Object::new()
        .number("level_changes", stats.level_changes)
        .number("probed", stats.probed)
        .number("released", stats.released)
        .end();
    let top = walked.users_by_sessions.iter().map(|(user, sessions)| {
        Object::new().text("user", user.as_str()).number("sessions", u64::from(*sessions)).end()
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
        .fold(Object::new(), |ended, end| ended.number(end_name(*end), stats.runs_ended(*end)));
    let runs = Object::new()
        .number("opened", stats.runs_opened)
        .number("open", u64::from(stats.runs))
        .raw("ended", &ended.end())
        .end();
    let log =
        Object::new().number("messages", stats.log_messages).number("bytes", stats.log_bytes).end();
    Object::new()
        .raw("connections", &connections)
        .raw("sessions", &sessions)
        .number("users", u64::from(stats.users))
        .number("rooms", u64::from(stats.rooms))
        .number("rooms_opened", stats.rooms_opened)
        .raw("rooms_ended", &rooms_ended.end())
        .raw("runs", &runs)
        .raw("users_by_sessions", &array(&top.collect::<Vec<_>>()))
        .number("oldest_session_ms", walked.oldest_session.map_or(0, millis))
        .raw("draining", if walked.draining { "true" } else { "false" })
        .raw("heartbeat", &heartbeat)
        .raw("pressure", &pressure)
        .raw("delivery", &delivery)
        .raw("log", &log)
        .number("late_stamps", stats.late_stamps)
        .number("notices_lost", stats.notices_lost)
}

/// The memory that the process occupies, where the operating system tells it without much ado.
pub(super) fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}
