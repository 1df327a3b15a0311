//! `GET /v1/connections`, `/v1/sessions` and `/v1/closed`: who is there, why, and what comes next.

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::response::Response;
use headcount::{Closed, ConnId, Registry, SessionId, Timestamp, UserId};
use headcount_mio::Context;
use headcount_protocol::admin::audience::{parse_connection, parse_session};
use headcount_protocol::admin::form::{Field, Form, Shape};
use headcount_protocol::handles::Named;
use headcount_protocol::problem::Problem;

use super::explain;
use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::pages::Page;
use crate::admin::http::query::{Query, bad_cursor};
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, SLICE, json};

/// Explanations: which fields there are depends on how the entry stands.
static EXPLAINED: Form = Form::open(&[]);

const CURSOR: Field =
    Field::optional("cursor", Shape::Text, "For the next page, if there is more.");

pub(crate) static CONNECTIONS: Call = Call {
    name: "list_connections",
    says: "Connections, explained; of a user, the open ones only. The fields of an entry depend on how it stands, and are not named here.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&Form::open(&[
        Field::needed("connections", Shape::List(&EXPLAINED), "The entries."),
        CURSOR,
    ])),
    refusals: &[],
};

pub(crate) static CONNECTION: Call = Call {
    name: "show_connection",
    says: "One connection, explained. The fields depend on how it stands, and are not named here.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&EXPLAINED),
    refusals: &[404],
};

pub(crate) static SESSIONS: Call = Call {
    name: "list_sessions",
    says: "Sessions, explained. The fields of an entry depend on how it stands, and are not named here.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&Form::open(&[
        Field::needed("sessions", Shape::List(&EXPLAINED), "The entries."),
        CURSOR,
    ])),
    refusals: &[],
};

pub(crate) static SESSION: Call = Call {
    name: "show_session",
    says: "One session, explained. The fields depend on how it stands, and are not named here.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&EXPLAINED),
    refusals: &[404],
};

pub(crate) static CLOSED: Call = Call {
    name: "list_closed",
    says: "The last connections that have closed, the newest first. The fields of an entry are not named here.",
    body: Body::None,
    once: false,
    answer: Answer::Json(&Form::open(&[
        Field::needed("closed", Shape::List(&EXPLAINED), "The entries."),
        CURSOR,
    ])),
    refusals: &[],
};

/// What there are pages of, and explanations: the entries of one of the registry's tables.
pub(crate) trait Entry: Copy + Send + 'static {
    /// What a page calls its entries.
    const LIST: &'static str;

    /// Reads one as a page named it.
    fn parse(text: &str) -> Result<Named<Self>, Problem>;
    /// The answer where there is none.
    fn unknown() -> Problem;
    /// The one that a cursor names: the last of the page before.
    fn from_cursor(cursor: u64) -> Option<Self>;
    /// The cursor for the page after it.
    fn cursor(self) -> u64;
    /// Where it stands in its table: pages are in this order.
    fn place(self) -> usize;
    /// All of them, or those that stand after one.
    fn all(registry: &Registry, after: Option<Self>) -> impl Iterator<Item = Self>;
    /// A user's, in any order.
    fn of_user(registry: &Registry, user: &UserId) -> impl Iterator<Item = Self>;
    /// As JSON; `whole`: with what only one that is asked for by its id shows.
    fn explain(self, registry: &Registry, now: Timestamp, whole: bool) -> Option<String>;
}

impl Entry for ConnId {
    const LIST: &'static str = "connections";

    fn parse(text: &str) -> Result<Named<Self>, Problem> {
        parse_connection("the connection", text)
    }

    fn unknown() -> Problem {
        let message = "there is no such connection; /v1/closed has those that ended last";
        Problem::new(404, "unknown_connection", message)
    }

    fn from_cursor(cursor: u64) -> Option<Self> {
        Self::from_bits(cursor)
    }

    fn cursor(self) -> u64 {
        self.to_bits()
    }

    fn place(self) -> usize {
        self.index()
    }

    fn all(registry: &Registry, after: Option<Self>) -> impl Iterator<Item = Self> {
        registry.connections(after).map(|it| it.id())
    }

    fn of_user(registry: &Registry, user: &UserId) -> impl Iterator<Item = Self> {
        registry.user(user).into_iter().flat_map(|it| it.connections()).map(|it| it.id())
    }

    fn explain(self, registry: &Registry, now: Timestamp, whole: bool) -> Option<String> {
        let instance = registry.config().instance();
        Some(explain::connection(instance, now, registry.connection(self)?, whole))
    }
}

impl Entry for SessionId {
    const LIST: &'static str = "sessions";

    fn parse(text: &str) -> Result<Named<Self>, Problem> {
        parse_session("the session", text)
    }

    fn unknown() -> Problem {
        let message = "there is no such session: it has ended, or never was";
        Problem::new(404, "unknown_session", message)
    }

    fn from_cursor(cursor: u64) -> Option<Self> {
        Self::from_bits(cursor)
    }

    fn cursor(self) -> u64 {
        self.to_bits()
    }

    fn place(self) -> usize {
        self.index()
    }

    fn all(registry: &Registry, after: Option<Self>) -> impl Iterator<Item = Self> {
        registry.sessions(after).map(|it| it.id())
    }

    fn of_user(registry: &Registry, user: &UserId) -> impl Iterator<Item = Self> {
        registry.user(user).into_iter().flat_map(|it| it.sessions()).map(|it| it.id())
    }

    fn explain(self, registry: &Registry, now: Timestamp, whole: bool) -> Option<String> {
        let instance = registry.config().instance();
        Some(explain::session(instance, now, registry.session(self)?, whole))
    }
}

/// Answers with a page of them.
pub(crate) async fn list<T: Entry>(
    State(state): State<AdminState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref())?;
    let (entries, next) =
        state.call(move |context| select::<T>(context.registry, &query)).await??;
    let write = async move |mut page: Page| {
        for start in (0..entries.len()).step_by(SLICE) {
            let slice = entries[start..entries.len().min(start + SLICE)].to_vec();
            let show = move |context: &mut Context<'_>| {
                let shown = |entry: T| entry.explain(context.registry, context.now, false);
                slice.into_iter().filter_map(shown).collect::<Vec<_>>()
            };
            page.add(&state.call(show).await?).await?;
        }
        page.end(next).await
    };
    Ok(Page::answer(T::LIST, write).await?)
}

/// The entries of a page, and the cursor for the next one, if there is more. Costs O(slots passed), or all of
/// the user's.
fn select<T: Entry>(registry: &Registry, query: &Query) -> Result<(Vec<T>, Option<u64>), Problem> {
    let after = query.cursor.map(|cursor| T::from_cursor(cursor).ok_or_else(bad_cursor));
    let after = after.transpose()?;
    // One more than the page has: is there another page?
    let most = query.limit + 1;
    let mut entries: Vec<T> = match &query.user {
        None => T::all(registry, after).take(most).collect(),
        Some(user) => {
            let is_after = |entry: &T| after.is_none_or(|after| entry.place() > after.place());
            let mut theirs: Vec<T> = T::of_user(registry, user).filter(is_after).collect();
            theirs.sort_unstable_by_key(|entry| entry.place());
            theirs.truncate(most);
            theirs
        }
    };
    let is_more = entries.len() > query.limit;
    entries.truncate(query.limit);
    let next = entries.last().filter(|_| is_more).map(|last| last.cursor());
    Ok((entries, next))
}

/// Answers with one of them.
pub(crate) async fn one<T: Entry>(
    State(state): State<AdminState>,
    path: Result<RawPathParams, RawPathParamsRejection>,
) -> Result<Response, Refusal> {
    // What can't be decoded is no id; an empty text is none either.
    let id = path.as_ref().ok().and_then(|path| path.iter().next()).map_or("", |(_, id)| id);
    let entry = T::parse(id)?;
    let shown = state
        .call(move |context| {
            let entry = entry.of(context.registry.config().instance());
            entry.and_then(|entry| entry.explain(context.registry, context.now, true))
        })
        .await?;
    Ok(shown.map(json).ok_or_else(T::unknown)?)
}

pub(crate) async fn closed(
    State(state): State<AdminState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref())?;
    let write = async move |mut page: Page| {
        let (mut left, mut cursor) = (query.limit, query.cursor);
        loop {
            let (user, most) = (query.user.clone(), left.min(SLICE));
            let select = move |context: &mut Context<'_>| {
                let (closed, next) = select_closed(context.registry, user.as_ref(), cursor, most);
                (closed, next, context.now, context.registry.config().instance())
            };
            let (closed, next, now, instance) = state.call(select).await?;
            let shown = closed.iter().map(|closed| explain::closed(instance, closed, now));
            let entries: Vec<_> = shown.collect();
            page.add(&entries).await?;
            left -= entries.len();
            cursor = next;
            if left == 0 || cursor.is_none() {
                return page.end(cursor).await;
            }
        }
    };
    Ok(Page::answer("closed", write).await?)
}

/// The newest first. A page goes on after the connection that its cursor names; when that one has
/// been forgotten, so have the older ones. Costs O(those that are remembered).
fn select_closed(
    registry: &Registry,
    user: Option<&UserId>,
    cursor: Option<u64>,
    most: usize,
) -> (Vec<Closed>, Option<u64>) {
    let mut newest_first = registry.closed().rev();
    if let Some(cursor) = cursor {
        newest_first.find(|closed| closed.conn.to_bits() == cursor);
    }
    let mut wanted =
        newest_first.filter(|closed| user.is_none_or(|user| *user == closed.user)).peekable();
    let page: Vec<_> = wanted.by_ref().take(most).cloned().collect();
    let next = wanted.peek().and_then(|_| page.last()).map(|closed| closed.conn.to_bits());
    (page, next)
}
