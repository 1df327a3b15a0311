//! `GET /v1/stats`: counters and gauges, all of the same instant.

use std::sync::atomic::Ordering;

use axum::extract::State as Shared;
use axum::response::Response;
use headcount::{CloseReason, Stats};

use super::{State, json};
use crate::frames::{Object, millis};
use crate::problem::Problem;

pub(super) async fn show(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let stats = state.call(|turn| turn.registry.stats()).await?;
    let answer = render(&stats)
        .number("replies_dropped", state.0.counters.replies_dropped.load(Ordering::Relaxed))
        .number("uptime_ms", millis(state.0.started.elapsed()))
        .text("version", env!("CARGO_PKG_VERSION"));
    Ok(json(match resident_bytes() {
        Some(bytes) => answer.number("memory_bytes", bytes).end(),
        None => answer.end(),
    }))
}

/// The figures of the registry. `opened` is `live` and all of `closed` together, in every answer.
fn render(stats: &Stats) -> Object {
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
    let sessions = Object::new()
        .number("opened", stats.sessions_opened)
        .number("live", u64::from(stats.sessions))
        .number("ended", stats.sessions_ended)
        .number("refused", stats.refused)
        .end();
    let heartbeat = Object::new()
        .number("pings_sent", stats.pings_sent)
        .number("pongs_received", stats.pongs_received)
        .number("timeouts", stats.pong_timeouts)
        .end();
    let delivery = Object::new()
        .number("sent", stats.sent)
        .number("deferred", stats.deferred)
        .number("stored", stats.stored)
        .number("gaps", stats.gaps)
        .number("shed", stats.skipped)
        .end();
    let log =
        Object::new().number("messages", stats.log_messages).number("bytes", stats.log_bytes).end();
    Object::new()
        .raw("connections", &connections)
        .raw("sessions", &sessions)
        .number("users", u64::from(stats.users))
        .number("rooms", u64::from(stats.rooms))
        .raw("heartbeat", &heartbeat)
        .raw("delivery", &delivery)
        .raw("log", &log)
        .number("late_stamps", stats.late_stamps)
        .number("notices_lost", stats.notices_lost)
}

/// The memory that the process occupies, where the operating system tells it without much ado.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}
