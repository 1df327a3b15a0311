//! `GET /metrics`: the registry's counters and gauges in Prometheus' text format 0.0.4.
//!
//! Only what costs nothing to know: a scrape must not hold up the loop.

use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use headcount::{CloseReason, RoomEnd, RunEnd, SessionEnd, Stats};
use headcount_mio::TurnTimes;

use super::stats::resident_bytes;
use crate::admin::AdminState;
use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::refusal::Refusal;
use crate::admin::idempotency::Figures;
use crate::telemetry::journal::JournalEnd;

pub(crate) static CALL: Call = Call {
    name: "metrics",
    says: "The figures of `/v1/stats` for Prometheus, text format 0.0.4.",
    body: Body::None,
    once: false,
    answer: Answer::Text("text/plain"),
    refusals: &[],
};

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn show(State(state): State<AdminState>) -> Result<Response, Refusal> {
    let (stats, draining) =
        state.call(|context| (context.registry.stats(), context.registry.is_draining())).await?;
    let mut page = Page::default();
    registry(&mut page, &stats, draining);
    let dropped = state.0.counters.replies_dropped.load(Ordering::Relaxed);
    page.counter(
        "replies_dropped",
        "Frames for one connection that were dropped, for want of room",
        dropped,
    );
    let Figures { answers, bytes, evicted } = state.0.answers.figures();
    page.gauge("idempotency_answers", "Answers that are kept under their Idempotency-Key", answers);
    page.gauge("idempotency_bytes", "The part of idempotency.bytes that these answers take", bytes);
    page.counter(
        "idempotency_evicted",
        "Answers that were dropped before idempotency.ttl, for want of room",
        evicted,
    );
    let journal = &state.0.counters.journal;
    page.gauge("journal_recording", "Whether a journal is written", journal.is_recording().into());
    page.family(
        "journal_ended_total",
        "counter",
        "Journals that ended before the server, by cause",
    );
    for end in JournalEnd::ALL {
        let labels = format!("journal_ended_total{{why=\"{}\"}}", end.name());
        page.sample(&labels, u8::from(journal.ended() == Some(end)));
    }
    let lost = state.0.counters.log_lines_lost.load(Ordering::Relaxed);
    page.counter("log_lines_lost", "Lines of the log that were dropped, for want of room", lost);
    page.family(
        "refused_total",
        "counter",
        "Clients that were not admitted, by the code of the answer",
    );
    for (code, count) in state.0.counters.refusals.by_reason() {
        page.sample(&format!("refused_total{{reason=\"{code}\"}}"), count);
    }
    page.family(
        "admin_refused_total",
        "counter",
        "Calls of the admin port that were refused for their key, by the code of the answer",
    );
    for (code, count) in state.0.counters.admin_refusals.by_reason() {
        page.sample(&format!("admin_refused_total{{reason=\"{code}\"}}"), count);
    }
    page.gauge("uptime_seconds", "Since the start", state.0.started.elapsed().as_secs());
    turns(&mut page, &state.0.handle.turn_times());
    if let Some(bytes) = resident_bytes() {
        page.gauge("resident_memory_bytes", "Memory that the process occupies", bytes);
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(FORMAT))];
    Ok((kind, page.text).into_response())
}

/// Buckets are cumulative in this format.
fn turns(page: &mut Page, times: &TurnTimes) {
    let help = "Turns of the loop by how long they took, without the wait for events";
    page.family("turn_seconds", "histogram", help);
    let mut count = 0;
    for (bound, turns) in times.buckets() {
        count += turns;
        let bound =
            bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.as_secs_f64().to_string());
        page.sample(&format!("turn_seconds_bucket{{le=\"{bound}\"}}"), count);
    }
    page.sample("turn_seconds_sum", times.total().as_secs_f64());
    page.sample("turn_seconds_count", count);
}

/// The figures of one instant: `connections_opened_total` is `connections_live` and all of
/// `connections_closed_total` together.
fn registry(page: &mut Page, stats: &Stats, draining: bool) {
    page.counter("connections_opened", "Connections that were admitted", stats.opened);
    page.gauge("connections_live", "Admitted connections not cleaned up yet", stats.live.into());
    page.gauge("connections_open", "Open connections", stats.open.into());
    page.gauge(
        "connections_pending",
        "Sockets that were not admitted: those that wait, and those that are being closed",
        stats.pending.into(),
    );
    page.counter(
        "connections_abandoned",
        "Sockets that ended before they were admitted",
        stats.abandoned,
    );
    page.family("connections_closed_total", "counter", "Connections that ended, by reason");
    for reason in CloseReason::ALL {
        let name = reason.name();
        let labels = format!("connections_closed_total{{reason=\"{name}\"}}");
        page.sample(&labels, stats.closed(*reason));
    }
    page.counter(
        "sessions_refused",
        "Connections that were refused by a limit or a drain",
        stats.refused,
    );
    page.counter("sessions_opened", "Sessions that were created", stats.sessions_opened);
    page.family("sessions_ended_total", "counter", "Sessions that have ended, by reason");
    for why in SessionEnd::ALL {
        let labels = format!("sessions_ended_total{{why=\"{}\"}}", why.name());
        page.sample(&labels, stats.sessions_ended_by(*why));
    }
    page.gauge("sessions_live", "Sessions, lingering ones included", stats.sessions.into());
    page.gauge("users", "Users with a session", stats.users.into());
    page.gauge("rooms", "Rooms", stats.rooms.into());
    page.counter("rooms_opened", "Rooms that were made", stats.rooms_opened);
    page.family("rooms_ended_total", "counter", "Rooms that have ended, by reason");
    for why in RoomEnd::ALL {
        let labels = format!("rooms_ended_total{{why=\"{}\"}}", why.name());
        page.sample(&labels, stats.rooms_ended_by(*why));
    }
    page.gauge("draining", "Whether a drain is under way", draining.into());
    page.counter("heartbeat_pings_sent", "Pings that were handed out", stats.pings_sent);
    page.counter("heartbeat_pongs_received", "Pongs that were received", stats.pongs_received);
    page.counter("heartbeat_timeouts", "Connections closed for silence", stats.pong_timeouts);
    page.counter("heartbeat_recovered", "Suspects that answered after all", stats.recovered);
    page.counter("heartbeat_pauses", "Pauses of the process", stats.pauses);
    page.counter("pressure_level_changes", "Changes of a user's pressure", stats.level_changes);
    page.counter("pressure_probed", "Connections pinged early under pressure", stats.probed);
    page.counter("pressure_released", "Sessions ended early under pressure", stats.released);
    page.counter("delivery_sent", "Frames handed out, per recipient", stats.sent);
    page.counter(
        "delivery_deferred",
        "Recipients without room at the time of the send",
        stats.deferred,
    );
    page.counter("delivery_stored", "Messages appended to logs", stats.stored);
    page.counter("delivery_gaps", "Gaps that were reported to clients", stats.gaps);
    page.counter("delivery_shed", "Messages that logs gave up for a byte budget", stats.shed);
    page.counter("delivery_skipped", "Recipients that an announcement skipped", stats.skipped);
    page.counter("delivery_acknowledged", "Acknowledgements", stats.acknowledged);
    page.counter("runs_opened", "Agent runs that were opened or requested", stats.runs_opened);
    page.counter("runs_requested", "Agent runs that clients requested", stats.runs_requested);
    page.gauge("runs_open", "Open agent runs", stats.runs.into());
    page.family("runs_ended_total", "counter", "Agent runs that have ended, by kind of end");
    for end in RunEnd::ALL {
        let labels = format!("runs_ended_total{{end=\"{}\"}}", end.name());
        page.sample(&labels, stats.runs_ended(*end));
    }
    page.gauge("log_messages", "Messages in all logs", stats.log_messages);
    page.gauge("log_bytes", "Bytes in all logs", stats.log_bytes);
    page.counter(
        "late_stamps",
        "Inputs with a time before that of the input before them",
        stats.late_stamps,
    );
    page.counter(
        "notices_lost",
        "Events that have no log line, for want of room",
        stats.notices_lost,
    );
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// A figure that only grows: its name ends with `_total`, in the `# TYPE` line, too.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let name = format!("{name}_total");
        self.family(&name, "counter", help);
        self.sample(&name, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.sample(name, value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP headcount_{name} {help}");
        let _ = writeln!(self.text, "# TYPE headcount_{name} {kind}");
    }

    fn sample(&mut self, name_and_labels: &str, value: impl Display) {
        let _ = writeln!(self.text, "headcount_{name_and_labels} {value}");
    }
}
