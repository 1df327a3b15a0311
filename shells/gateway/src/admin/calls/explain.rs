//! One connection or session, as JSON: how it stands, and what would become of it.

use headcount::{
    CallView, CloseReason, Closed, ConnView, CursorView, Registry, Retry, RunState, RunView,
    SessionView, StreamRef, Timestamp, Upcoming,
};
use headcount_protocol::epoch::show_epoch;
use headcount_protocol::handles::{show_connection, show_session};
use headcount_protocol::json::{Object, array, millis};
use headcount_protocol::server_frames::{SESSION, room_stream, thread_stream};

/// `whole`: with its places in all its streams.
pub(crate) fn connection(instance: u64, now: Timestamp, conn: ConnView<'_>, whole: bool) -> String {
    let mut shown = Object::new().text("connection", &show_connection(instance, conn.id()));
    if let Some(user) = conn.user() {
        shown = shown.text("user", user.as_str());
        if let Some((_, thread)) = conn.followed().next() {
            shown = shown.text("thread", thread.as_str());
        }
        if let Some(label) = conn.label() {
            shown = shown.text("label", label);
        }
    }
    if let Some(session) = conn.session() {
        shown = shown.text("session", &show_session(instance, session));
    }
    let followed = conn.followed().map(|(session, thread)| {
        let shown = Object::new().text("session", &show_session(instance, session));
        shown.text("thread", thread.as_str()).end()
    });
    shown = shown.raw("sessions", &array(&followed.collect::<Vec<_>>()));
    shown = shown.text("state", conn.state().name());
    if let Some(reason) = conn.reason() {
        shown = with_reason(shown, reason);
    }
    let backlog: u64 = conn.cursors().map(|cursor| u64::from(cursor.backlog)).sum();
    shown = shown
        .number("age_ms", millis(conn.age()))
        .number("silent_ms", millis(conn.silence()))
        .number("backlog", backlog)
        .number("in_flight_bytes", conn.load())
        .number("flushed_bytes", conn.flushed())
        .raw("paused", if conn.is_paused() { "true" } else { "false" });
    if let Some(trip) = conn.round_trip() {
        shown = shown.raw("rtt_ms", &super::stats::fraction(trip));
    }
    if let Some(stuck) = conn.stuck_for() {
        shown = shown.number("stuck_ms", millis(stuck));
    }
    if let Some(at) = conn.expires_at() {
        shown = shown.number("expires_in_ms", millis(at.saturating_since(now)));
    }
    if let Some((at, due)) = conn.next() {
        shown =
            shown.raw("next", &next(due).number("in_ms", millis(at.saturating_since(now))).end());
    }
    if whole {
        let cursors: Vec<String> = conn.cursors().map(|cursor| of_cursor(conn, &cursor)).collect();
        shown = shown.raw("cursors", &array(&cursors));
    }
    shown.end()
}

/// `whole`: with its connections and open runs by name.
pub(crate) fn session(
    instance: u64,
    now: Timestamp,
    session: SessionView<'_>,
    whole: bool,
) -> String {
    let connections = session.connection_count();
    let mut shown = Object::new()
        .text("session", &show_session(instance, session.id()))
        .text("user", session.user().as_str())
        .text("thread", session.thread().as_str())
        .text("state", if connections == 0 { "lingering" } else { "open" })
        .number("age_ms", millis(session.age()));
    let runs = session.runs().filter(|run| run.state() != RunState::Ended);
    if whole {
        let names =
            session.connections().map(|it| format!("\"{}\"", show_connection(instance, it.id())));
        let runs = runs.map(|run| of_run(run, now).end());
        shown = shown
            .raw("connections", &array(&names.collect::<Vec<_>>()))
            .raw("runs", &array(&runs.collect::<Vec<_>>()));
    } else {
        shown =
            shown.number("connections", u64::from(connections)).number("runs", runs.count() as u64);
    }
    shown = shown
        .text("epoch", &show_epoch(session.position().epoch))
        .number("offset", session.position().offset)
        .number("stored", u64::from(session.entries()))
        .number("stored_bytes", session.bytes())
        .number("lost_to", session.lost());
    if let Some(at) = session.ends_at() {
        let end = Object::new().text("what", "end");
        shown = shown.raw("next", &end.number("in_ms", millis(at.saturating_since(now))).end());
    }
    shown.end()
}

/// A run of a user: where it is, and how it stands or has ended.
pub(crate) fn run(registry: &Registry, now: Timestamp, run: RunView<'_>) -> Object {
    let mut shown = of_run(run, now);
    if let Some(session) = registry.session(run.session()) {
        let instance = registry.config().instance();
        shown = shown
            .text("thread", session.thread().as_str())
            .text("session", &show_session(instance, session.id()))
            .text("epoch", &show_epoch(session.position().epoch));
    }
    shown = shown.number("offset", run.first()).number("bytes", run.cost());
    let shown = shown
        .text("state", run.state().name())
        .raw("cancel_requested", if run.is_cancel_requested() { "true" } else { "false" });
    match run.end() {
        None => shown,
        Some(end) => shown
            .text("end", end.how.name())
            .number("ended_ms_ago", millis(now.saturating_since(end.at))),
    }
}

/// A run, with its calls under way and when the server would fail it.
fn of_run(run: RunView<'_>, now: Timestamp) -> Object {
    let calls: Vec<String> = run.calls().map(|it| call(&it, now)).collect();
    let shown = Object::new()
        .text("run", run.id().as_str())
        .text("agent", run.agent())
        .number("age_ms", millis(run.age()))
        .number("events", u64::from(run.events()))
        .raw("calls", &array(&calls));
    let Some((at, failure)) = run.fails() else { return shown };
    let next = Object::new().text("what", "fail").text("why", failure.name());
    let next = next.number("in_ms", millis(at.saturating_since(now))).end();
    shown.raw("next", &next)
}

/// A call that is late is expected in no time.
fn call(known: &CallView<'_>, now: Timestamp) -> String {
    let shown = Object::new().text("call", known.call);
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

/// The session that the connection follows longest is `session` here.
fn of_cursor(conn: ConnView<'_>, cursor: &CursorView<'_>) -> String {
    let stream = match cursor.stream {
        StreamRef::Room(room) => room_stream(room),
        StreamRef::Session(session) => {
            let further = conn.followed().skip(1).find(|(it, _)| *it == session);
            further.map_or_else(|| SESSION.to_owned(), |(_, thread)| thread_stream(thread))
        }
        // No connection has a cursor in what is no stream.
        StreamRef::Direct | StreamRef::Everyone => String::new(),
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
