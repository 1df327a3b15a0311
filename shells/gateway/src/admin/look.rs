//! `GET /v1/connections`, `/v1/sessions` and `/v1/closed`: who is there, why, and what comes next.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, RawQuery, State as Shared};
use axum::response::Response;
use headcount::{ConnId, Registry, SessionId, Timestamp, UserId};

use super::address::{parse_connection, parse_session};
use super::explain;
use super::query::{Query, show_cursor};
use super::{State, json};
use crate::frames::{Object, array};
use crate::problem::Problem;

/// What there are pages of, and explanations: the entries of one of the registry's tables.
pub(super) trait Entry: Copy + Send + 'static {
    /// What a page calls its entries.
    const LIST: &'static str;

    /// Reads one as a page named it.
    fn parse(text: &str) -> Result<Self, Problem>;
    /// The answer where there is none.
    fn unknown() -> Problem;
    /// Where it stands in its table: pages are in this order.
    fn place(self) -> usize;
    /// All of them, from a place on.
    fn all(registry: &Registry, from: usize) -> impl Iterator<Item = Self>;
    /// A user's, in any order.
    fn of_user(registry: &Registry, user: &UserId) -> impl Iterator<Item = Self>;
    /// As JSON; `whole`: with what only one that is asked for by its id shows.
    fn explain(self, registry: &Registry, now: Timestamp, whole: bool) -> Option<String>;
}

impl Entry for ConnId {
    const LIST: &'static str = "connections";

    fn parse(text: &str) -> Result<Self, Problem> {
        parse_connection("the connection", text)
    }

    fn unknown() -> Problem {
        let message = "there is no such connection; /v1/closed has those that ended last";
        Problem::new(404, "unknown_connection", message)
    }

    fn place(self) -> usize {
        self.index()
    }

    fn all(registry: &Registry, from: usize) -> impl Iterator<Item = Self> {
        registry.connections(from)
    }

    fn of_user(registry: &Registry, user: &UserId) -> impl Iterator<Item = Self> {
        registry.connections_of(user)
    }

    fn explain(self, registry: &Registry, now: Timestamp, whole: bool) -> Option<String> {
        explain::connection(registry, now, self, whole)
    }
}

impl Entry for SessionId {
    const LIST: &'static str = "sessions";

    fn parse(text: &str) -> Result<Self, Problem> {
        parse_session("the session", text)
    }

    fn unknown() -> Problem {
        let message = "there is no such session: it has ended, or never was";
        Problem::new(404, "unknown_session", message)
    }

    fn place(self) -> usize {
        self.index()
    }

    fn all(registry: &Registry, from: usize) -> impl Iterator<Item = Self> {
        registry.sessions(from)
    }

    fn of_user(registry: &Registry, user: &UserId) -> impl Iterator<Item = Self> {
        registry.sessions_of(user)
    }

    fn explain(self, registry: &Registry, now: Timestamp, whole: bool) -> Option<String> {
        explain::session(registry, now, self, whole)
    }
}

/// Answers with a page of them.
pub(super) async fn list<T: Entry>(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Query::read(query.as_deref())?;
    let page = state.call(move |turn| Page::of::<T>(turn.registry, turn.now, &query)).await?;
    Ok(page.answer(T::LIST))
}

/// Answers with one of them.
pub(super) async fn one<T: Entry>(
    Shared(state): Shared<State>,
    path: Result<RawPathParams, RawPathParamsRejection>,
) -> Result<Response, Problem> {
    // What can't be decoded is no id; an empty text is none either.
    let id = path.as_ref().ok().and_then(|path| path.iter().next()).map_or("", |(_, id)| id);
    let entry = T::parse(id)?;
    let shown = state.call(move |turn| entry.explain(turn.registry, turn.now, true)).await?;
    shown.map(json).ok_or_else(T::unknown)
}

/// One page, and where the next one starts.
struct Page {
    entries: Vec<String>,
    next: Option<u64>,
}

impl Page {
    /// Takes entries until the page is full; the next page starts with the first that found no room.
    fn of<T: Entry>(registry: &Registry, now: Timestamp, query: &Query) -> Self {
        let from = query.from();
        let mut all: Box<dyn Iterator<Item = T>> = match &query.user {
            None => Box::new(T::all(registry, from)),
            Some(user) => {
                let mut theirs: Vec<T> =
                    T::of_user(registry, user).filter(|entry| entry.place() >= from).collect();
                theirs.sort_unstable_by_key(|entry| entry.place());
                Box::new(theirs.into_iter())
            }
        };
        let mut entries = Vec::new();
        while entries.len() < query.limit {
            let Some(entry) = all.next() else { return Self { entries, next: None } };
            entries.extend(entry.explain(registry, now, false));
        }
        Self { entries, next: all.next().map(|entry| entry.place() as u64) }
    }

    fn answer(self, name: &str) -> Response {
        let page = Object::new().raw(name, &array(&self.entries));
        json(match self.next {
            Some(next) => page.text("cursor", &show_cursor(next)).end(),
            None => page.end(),
        })
    }
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
