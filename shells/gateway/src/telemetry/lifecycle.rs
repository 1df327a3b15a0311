//! The log's lines about what happens to connections and sessions: one per notice, with who is
//! concerned in fields.

use std::fmt;

use headcount::{ConnId, Impact, Notice, Pressure, Registry, SessionId};
use headcount_protocol::epoch::show_epoch;
use headcount_protocol::handles::{show_connection, show_session};
use headcount_protocol::json::millis;
use tracing::field::{DebugValue, debug};
use tracing::{info, warn};

/// How far back the last closed connections are searched for a name.
const SEARCHED: usize = 256;

/// Writes one line.
pub(crate) fn log(registry: &Registry, notice: Notice) {
    match notice {
        Notice::Admitted { conn, session } => {
            let Subject { connection, session, user, thread } = of_both(registry, conn, session);
            info!(connection, session, user, thread, "admitted");
        }
        Notice::Closed { conn, session, reason, age } => {
            let Subject { connection, session, user, thread } = of_both(registry, conn, session);
            let (code, age_ms) = (reason.code(), millis(age));
            let reason = reason.name();
            info!(connection, session, user, thread, reason, code, age_ms, "closed");
        }
        Notice::SessionEnded { session, why } => {
            let Subject { session, user, thread, .. } = of_session(registry, session);
            let why = why.name();
            info!(session, user, thread, why, "session ended");
        }
        Notice::RoomEnded { epoch, why } => {
            let (epoch, why) = (show_epoch(epoch), why.name());
            info!(epoch, why, "room ended");
        }
        Notice::RunRequested { session } => {
            let Subject { session, user, thread, .. } = of_session(registry, session);
            info!(session, user, thread, "run requested");
        }
        Notice::RunCancelRequested { session } => {
            let Subject { session, user, thread, .. } = of_session(registry, session);
            info!(session, user, thread, "cancel of a run requested");
        }
        Notice::RunOpened { session } => {
            let Subject { session, user, thread, .. } = of_session(registry, session);
            info!(session, user, thread, "run opened");
        }
        Notice::RunEnded { session, end, lasted } => {
            let Subject { session, user, thread, .. } = of_session(registry, session);
            let (end, lasted_ms) = (end.name(), millis(lasted));
            info!(session, user, thread, end, lasted_ms, "run ended");
        }
        Notice::Suspect { conn } => {
            let Subject { connection, session, user, thread } = of_connection(registry, conn);
            warn!(connection, session, user, thread, "suspect: a ping is unanswered");
        }
        Notice::Recovered { conn } => {
            let Subject { connection, session, user, thread } = of_connection(registry, conn);
            info!(connection, session, user, thread, "recovered");
        }
        Notice::Behind { conn } => {
            let Subject { connection, session, user, thread } = of_connection(registry, conn);
            warn!(connection, session, user, thread, "behind: its window is full");
        }
        Notice::Gap { conn, from, to } => {
            let Subject { connection, session, user, thread } = of_connection(registry, conn);
            warn!(connection, session, user, thread, from, to, "gap");
        }
        Notice::Pressure { session, level, probed, released, evicted } => {
            let of_session = session.map_or_else(Subject::default, |it| of_session(registry, it));
            let Subject { session, user, thread, .. } = of_session;
            let level = pressure(level);
            info!(session, user, thread, level, probed, released, evicted, "pressure");
        }
        Notice::Draining { connections } => info!(connections, "draining"),
        Notice::Reloaded { impact } => {
            let Impact { evicted, displaced, overdue, sessions, .. } = impact;
            let closes = impact.closes();
            info!(closes, evicted, displaced, overdue, sessions, "reloaded");
        }
        Notice::Paused { lasted } => {
            warn!(
                lasted_ms = millis(lasted),
                "the process paused; deadlines that wait for clients are moved by as much"
            );
        }
        Notice::Announced { sent, skipped } => {
            info!(addressed = sent, skipped, "announced to everyone")
        }
        other => info!(notice = ?other),
    }
}

pub(crate) const fn pressure(level: Pressure) -> &'static str {
    match level {
        Pressure::None => "none",
        Pressure::Proactive => "proactive",
        _ => "emergency",
    }
}

/// Who a line is about. What is not known any more is not in the line.
#[derive(Default)]
struct Subject<'a> {
    connection: Option<String>,
    session: Option<String>,
    /// `Debug` of names shows no more than their beginning.
    user: Option<DebugValue<&'a dyn fmt::Debug>>,
    thread: Option<DebugValue<&'a dyn fmt::Debug>>,
}

/// Of a connection that follows no session the user is known as long as it is.
fn of_both(registry: &Registry, conn: ConnId, session: Option<SessionId>) -> Subject<'_> {
    let of_session = session.map_or_else(Subject::default, |session| of_session(registry, session));
    let user = registry.connection(conn).and_then(|conn| conn.user());
    let user = user.map(|user| debug(user as &dyn fmt::Debug));
    Subject {
        connection: Some(show_connection(registry.config().instance(), conn)),
        user: of_session.user.or(user),
        ..of_session
    }
}

fn of_connection(registry: &Registry, conn: ConnId) -> Subject<'_> {
    of_both(registry, conn, registry.connection(conn).and_then(|it| it.session()))
}

/// A session that has ended is still known by the last of its connections, for a while.
fn of_session(registry: &Registry, session: SessionId) -> Subject<'_> {
    let known = registry.session(session).map(|it| (it.user(), it.thread()));
    let whose = known.or_else(|| {
        let mut last = registry.closed().rev().take(SEARCHED);
        let closed = last.find(|closed| closed.session == Some(session))?;
        Some((&closed.user, closed.thread.as_ref()?))
    });
    let show = |name| Some(debug(name));
    Subject {
        connection: None,
        session: Some(show_session(registry.config().instance(), session)),
        user: whose.and_then(|(user, _)| show(user as &dyn fmt::Debug)),
        thread: whose.and_then(|(_, thread)| show(thread as &dyn fmt::Debug)),
    }
}
