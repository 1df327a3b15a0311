//! One connection or session, as JSON: how it stands, and what would become of it.

use headcount::{
    CallExplanation, CloseReason, Closed, ConnId, CursorExplanation, Explanation, Registry, Retry,
    RunExplanation, RunId, SessionId, Timestamp, Upcoming,
};
use headcount_protocol::epoch::show_epoch;
use headcount_protocol::handles::{show_connection, show_session};
use headcount_protocol::json::{Object, array, millis};
use headcount_protocol::server_frames::{SESSION, room_stream, thread_stream};

/// `None`: there is none. `whole`: with its places in all its streams.
pub(crate) fn connection(
    registry: &Registry,
    now: Timestamp,
    conn: ConnId,
    whole: bool,
) -> Option<String> {
    let known = registry.explain(conn)?;
    let instance = registry.config().instance();
    let mut shown = Object::new().text("connection", &show_connection(instance, conn));
    if let Some(who) = registry.who(conn) {
        shown = shown.text("user", who.user.as_str());
        if let Some((_, thread)) = registry.followed(conn).next() {
            shown = shown.text("thread", thread.as_str());
        }
        if let Some(label) = who.label {
            shown = shown.text("label", label);
        }
    }
    if let Some(session) = registry.session_of(conn) {
        shown = shown.text("session", &show_session(instance, session));
    }
    let followed = registry.followed(conn).map(|(session, thread)| {
        let shown = Object::new().text("session", &show_session(instance, session));
        shown.text("thread", thread.as_str()).end()
    });
    shown = shown.raw("sessions", &array(&followed.collect::<Vec<_>>()));
    shown = shown.text("state", known.state.name());
    if let Some(reason) = known.reason {
        shown = with_reason(shown, reason);
    }
    shown = shown
        .number("age_ms", millis(known.age))
        .number("silent_ms", millis(known.silence))
        .number("backlog", backlog(&known))
        .number("in_flight_bytes", known.load)
        .number("flushed_bytes", known.flushed)
        .raw("paused", if known.paused { "true" } else { "false" });
    if let Some(trip) = known.round_trip {
        shown = shown.raw("rtt_ms", &super::stats::fraction(trip));
    }
    if let Some(stuck) = known.stuck_for {
        shown = shown.number("stuck_ms", millis(stuck));
    }
    if let Some(at) = known.expires_at {
        shown = shown.number("expires_in_ms", millis(at.saturating_since(now)));
    }
    if let Some((at, due)) = known.next {
        shown =
            shown.raw("next", &next(due).number("in_ms", millis(at.saturating_since(now))).end());
    }
    if whole {
        let cursors: Vec<String> =
            known.cursors.iter().map(|cursor| of_cursor(registry, conn, cursor)).collect();
        shown = shown.raw("cursors", &array(&cursors));
    }
    Some(shown.end())
}

/// `None`: there is none. `whole`: with its connections and open runs by name.
pub(crate) fn session(
    registry: &Registry,
    now: Timestamp,
    session: SessionId,
    whole: bool,
) -> Option<String> {
    let known = registry.explain_session(session)?;
    let instance = registry.config().instance();
    let mut shown = Object::new()
        .text("session", &show_session(instance, session))
        .text("user", known.user.as_str())
        .text("thread", known.thread.as_str())
        .text("state", if known.connections.is_empty() { "lingering" } else { "open" })
        .number("age_ms", millis(known.age));
    if whole {
        let names = known
            .connections
            .iter()
            .map(|conn| format!("\"{}\"", show_connection(instance, *conn)));
        shown = shown
            .raw("connections", &array(&names.collect::<Vec<_>>()))
            .raw("runs", &runs(registry, now, session));
    } else {
        shown = shown
            .number("connections", known.connections.len() as u64)
            .number("runs", registry.open_runs(session).count() as u64);
    }
    shown = shown
        .text("epoch", &show_epoch(known.head.epoch))
        .number("offset", known.head.offset)
        .number("stored", u64::from(known.entries))
        .number("stored_bytes", known.bytes)
        .number("lost_to", known.lost);
    if let Some(at) = known.ends_at {
        let end = Object::new().text("what", "end");
        shown = shown.raw("next", &end.number("in_ms", millis(at.saturating_since(now))).end());
    }
    Some(shown.end())
}

/// The open runs of a session.
fn runs(registry: &Registry, now: Timestamp, session: SessionId) -> String {
    let runs = registry.explain_runs(session).map(|(run, known)| of_run(run, &known, now).end());
    array(&runs.collect::<Vec<_>>())
}

/// A run of a user: where it is, and how it stands or has ended.
pub(crate) fn run(
    registry: &Registry,
    now: Timestamp,
    run: &RunId,
    known: &RunExplanation,
) -> Object {
    let mut shown = of_run(run, known, now);
    if let Some(session) = registry.explain_session(known.session) {
        let instance = registry.config().instance();
        shown = shown
            .text("thread", session.thread.as_str())
            .text("session", &show_session(instance, known.session))
            .text("epoch", &show_epoch(session.head.epoch));
    }
    shown = shown.number("offset", known.first).number("bytes", known.cost);
    let shown = shown
        .text("state", known.state.name())
        .raw("cancel_requested", if known.cancel_requested { "true" } else { "false" });
    match known.end {
        None => shown,
        Some(end) => shown
            .text("end", end.how.name())
            .number("ended_ms_ago", millis(now.saturating_since(end.at))),
    }
}

/// A run, with its calls under way and when the server would fail it.
fn of_run(run: &RunId, known: &RunExplanation, now: Timestamp) -> Object {
    let calls: Vec<String> = known.calls.iter().map(|it| call(it, now)).collect();
    let shown = Object::new()
        .text("run", run.as_str())
        .text("agent", &known.agent)
        .number("age_ms", millis(known.age))
        .number("events", u64::from(known.events))
        .raw("calls", &array(&calls));
    let Some((at, failure)) = known.fails else { return shown };
    let next = Object::new().text("what", "fail").text("why", failure.name());
    let next = next.number("in_ms", millis(at.saturating_since(now))).end();
    shown.raw("next", &next)
}

/// A call that is late is expected in no time.
fn call(known: &CallExplanation, now: Timestamp) -> String {
    let shown = Object::new().text("call", &known.call);
    match known.expected_by {
        Some(at) => shown.number("expected_in_ms", millis(at.saturating_since(now))).end(),
        None => shown.end(),
    }
}

/// One that is no more.
pub(crate) fn closed(instance: u64, closed: &Closed, now: Timestamp) -> String {
    let mut shown = Object::new()
        .text("connection", &show_connection(instance, closed.conn))
        .text("user", closed.user.as_str());
    if let (Some(session), Some(thread)) = (closed.session, &closed.thread) {
        let session = show_session(instance, session);
        shown = shown.text("session", &session).text("thread", thread.as_str());
    }
    if let Some(label) = &closed.label {
        shown = shown.text("label", label);
    }
    with_reason(shown, closed.reason)
        .number("age_ms", millis(closed.age))
        .number("closed_ms_ago", millis(now.saturating_since(closed.at)))
        .number("bytes", closed.flushed)
        .number("undelivered", u64::from(closed.undelivered))
        .end()
}

fn with_reason(shown: Object, reason: CloseReason) -> Object {
    shown
        .text("reason", reason.name())
        .number("code", u64::from(reason.code()))
        .raw("reconnect", if reason.retry() == Retry::Reconnect { "true" } else { "false" })
}

fn next(due: Upcoming) -> Object {
    match due {
        Upcoming::Ping => Object::new().text("what", "ping"),
        Upcoming::Suspect => Object::new().text("what", "suspect"),
        Upcoming::Close(reason) => with_reason(Object::new().text("what", "close"), reason),
        _ => Object::new().text("what", "cleanup"),
    }
}

/// Entries that wait for it, in all its streams.
fn backlog(known: &Explanation) -> u64 {
    known.cursors.iter().map(|cursor| u64::from(cursor.backlog)).sum()
}

/// The session that the connection follows longest is `session` here.
fn of_cursor(registry: &Registry, conn: ConnId, cursor: &CursorExplanation) -> String {
    let further = registry.followed(conn).skip(1).find(|(it, _)| Some(*it) == cursor.session);
    let stream = match (&cursor.room, further) {
        (Some(room), _) => room_stream(room),
        (None, Some((_, thread))) => thread_stream(thread),
        (None, None) => SESSION.to_owned(),
    };
    Object::new()
        .text("stream", &stream)
        .text("epoch", &show_epoch(cursor.position.epoch))
        .number("offset", cursor.position.offset)
        .number("head", cursor.head)
        .number("backlog", u64::from(cursor.backlog))
        .number("acknowledged", cursor.acknowledged)
        .raw("behind", if cursor.lagging { "true" } else { "false" })
        .end()
}
