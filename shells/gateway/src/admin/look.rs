//! `GET /v1/connections`, `/v1/sessions` and `/v1/closed`: who is there, why, and what comes next.

use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::Response;
use headcount::{ConnId, Registry, SessionId, Timestamp};

use super::address::{parse_connection, parse_session};
use super::explain;
use super::query::{Query, show_cursor};
use super::{State, json};
use crate::frames::{Object, array};
use crate::problem::Problem;

/// One page, and where the next one starts.
struct Page {
    entries: Vec<String>,
    next: Option<u64>,
}

impl Page {
    /// Takes entries until the page is full; `index` says where each stands, so that the next page
    /// starts after it.
    fn of<T: Copy>(
        limit: usize,
        mut all: impl Iterator<Item = T>,
        index: impl Fn(T) -> usize,
        show: impl Fn(T) -> Option<String>,
    ) -> Self {
        let (mut entries, mut next) = (Vec::new(), None);
        for item in all.by_ref() {
            if entries.len() == limit {
                next = Some(index(item) as u64);
                break;
            }
            entries.extend(show(item));
        }
        Self { entries, next }
    }

    fn answer(self, name: &str) -> Response {
        let page = Object::new().raw(name, &array(&self.entries));
        json(match self.next {
            Some(next) => page.text("cursor", &show_cursor(next)).end(),
            None => page.end(),
        })
    }
}

pub(super) async fn connections(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref())?;
    let page = state
        .call(move |turn| {
            let (registry, now) = (&*turn.registry, turn.now);
            let show = |conn| explain::connection(registry, now, conn, false);
            match &query.user {
                None => {
                    let all = registry.connections(query.from());
                    Page::of(query.limit, all, ConnId::index, show)
                }
                Some(user) => {
                    let mut all: Vec<ConnId> = registry.connections_of(user).collect();
                    all.retain(|conn| conn.index() >= query.from());
                    all.sort_unstable();
                    Page::of(query.limit, all.into_iter(), ConnId::index, show)
                }
            }
        })
        .await?;
    Ok(page.answer("connections"))
}

pub(super) async fn connection(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let conn = parse_connection("the connection", &id)?;
    let shown =
        state.call(move |turn| explain::connection(turn.registry, turn.now, conn, true)).await?;
    shown.map(json).ok_or_else(|| {
        Problem::new(
            404,
            "unknown_connection",
            "there is no such connection; /v1/closed has those that ended last",
        )
    })
}

pub(super) async fn sessions(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref())?;
    let page = state
        .call(move |turn| {
            let (registry, now) = (&*turn.registry, turn.now);
            let show = |session| explain::session(registry, now, session, false);
            match &query.user {
                None => {
                    let all = registry.sessions(query.from());
                    Page::of(query.limit, all, SessionId::index, show)
                }
                Some(user) => {
                    let mut all: Vec<SessionId> = registry.sessions_of(user).collect();
                    all.retain(|session| session.index() >= query.from());
                    all.sort_unstable();
                    Page::of(query.limit, all.into_iter(), SessionId::index, show)
                }
            }
        })
        .await?;
    Ok(page.answer("sessions"))
}

pub(super) async fn session(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let session = parse_session("the session", &id)?;
    let shown =
        state.call(move |turn| explain::session(turn.registry, turn.now, session, true)).await?;
    shown.map(json).ok_or_else(|| {
        Problem::new(404, "unknown_session", "there is no such session: it has ended, or never was")
    })
}

pub(super) async fn closed(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref())?;
    let page = state.call(move |turn| closed_page(turn.registry, turn.now, &query)).await?;
    Ok(page.answer("closed"))
}

/// The newest first. A page goes on after the connection that its cursor names; when that one has
/// been forgotten, so have the older ones.
fn closed_page(registry: &Registry, now: Timestamp, query: &Query) -> Page {
    let mut newest_first = registry.closed().rev();
    if let Some(cursor) = query.cursor {
        newest_first.find(|closed| closed.conn.to_bits() == cursor);
    }
    let mut wanted = newest_first
        .filter(|closed| query.user.as_ref().is_none_or(|user| *user == closed.user))
        .peekable();
    let (mut entries, mut last) = (Vec::new(), None);
    for closed in wanted.by_ref().take(query.limit) {
        entries.push(explain::closed(closed, now));
        last = Some(closed.conn.to_bits());
    }
    let next = wanted.peek().and(last);
    Page { entries, next }
}
