//! Actions that wait to be polled: they name what they are about, for it may be gone by then.

use alloc::boxed::Box;
use alloc::string::String;

use bytes::Bytes;

use crate::action::{
    Action, Body, CloseReason, CloseWith, Ended, Position, RunFact, RunText, StreamRef,
};
use crate::id::{ConnId, RoomId, RunId, SessionId};
use crate::message::Message;
use crate::run::{Part, PartKind, RunEventKind, RunFailure};
use crate::snapshot::encoded;
use crate::time::Timestamp;

/// An [`Action`] for one connection or session.
#[derive(Clone, Hash, Debug)]
pub(crate) enum OwnedAction {
    Send {
        conn: ConnId,
        /// Its stream and its place there; `None` for a direct message.
        place: Option<(Origin, Position)>,
        body: OwnedBody,
    },
    Gap {
        conn: ConnId,
        origin: Origin,
        from: u64,
        to: u64,
    },
    Ping {
        conn: ConnId,
    },
    Left {
        conn: ConnId,
        session: SessionId,
        reason: CloseReason,
    },
    Close {
        conn: ConnId,
        with: CloseWith,
    },
    Cleanup {
        what: Ended,
        reason: CloseReason,
    },
}

encoded! {
    enum OwnedAction {
        0 = Send { conn, place, body },
        1 = Gap { conn, origin, from, to },
        2 = Ping { conn },
        3 = Left { conn, session, reason },
        4 = Close { conn, with },
        5 = Cleanup { what, reason },
    }
}

/// A [`StreamRef`] for when the room is gone.
#[derive(Clone, Hash, Debug)]
pub(crate) enum Origin {
    Session(SessionId),
    Room(RoomId),
}

encoded! { enum Origin { 0 = Session(session), 1 = Room(room) } }

/// A [`Body`] for when the log has let it go.
#[derive(Clone, Hash, Debug)]
pub(crate) enum OwnedBody {
    Message(Message),
    Run(Box<OwnedFact>),
    Text(Box<OwnedText>),
}

encoded! { enum OwnedBody { 0 = Message(message), 1 = Run(fact), 2 = Text(text) } }

#[derive(Clone, Hash, Debug)]
pub(crate) struct OwnedFact {
    run: RunId,
    agent: Box<str>,
    kind: RunEventKind,
    failure: Option<RunFailure>,
    at: Timestamp,
    payload: Bytes,
}

encoded! { struct OwnedFact { run, agent, kind, failure, at, payload } }

#[derive(Clone, Hash, Debug)]
pub(crate) struct OwnedText {
    run: RunId,
    agent: Box<str>,
    at: Timestamp,
    part: Box<str>,
    kind: PartKind,
    text: String,
}

encoded! { struct OwnedText { run, agent, at, part, kind, text } }

impl OwnedAction {
    /// Whose window it is charged to, and how much.
    pub(crate) fn charge(&self) -> Option<(ConnId, u64)> {
        let conn = match self {
            Self::Send { conn, .. }
            | Self::Gap { conn, .. }
            | Self::Ping { conn }
            | Self::Left { conn, .. }
            | Self::Close { conn, .. } => *conn,
            Self::Cleanup { .. } => return None,
        };
        Some((conn, self.action(&[]).cost()))
    }

    /// What of it counts towards `outbound.direct_bytes`.
    pub(super) fn bounded_cost(&self) -> u64 {
        match self {
            Self::Send { .. } | Self::Gap { .. } => self.charge().map_or(0, |(_, cost)| cost),
            Self::Ping { .. } | Self::Left { .. } | Self::Close { .. } | Self::Cleanup { .. } => 0,
        }
    }

    pub(crate) fn action<'a>(&'a self, to: &'a [ConnId]) -> Action<'a> {
        match *self {
            Self::Send { ref place, ref body, .. } => Action::Send {
                to,
                stream: place.as_ref().map_or(StreamRef::Direct, |(origin, _)| origin.stream_ref()),
                position: place.as_ref().map(|(_, position)| *position),
                body: body.body(),
            },
            Self::Gap { conn, ref origin, from, to } => {
                Action::Gap { conn, stream: origin.stream_ref(), from, to }
            }
            Self::Ping { conn } => Action::Ping { conn },
            Self::Left { conn, session, reason } => Action::Left { conn, session, reason },
            Self::Close { conn, ref with } => {
                Action::Close { conn, reason: with.reason(), code: with.code(), text: with.text() }
            }
            Self::Cleanup { what, reason } => Action::Cleanup { what, reason },
        }
    }
}

impl Origin {
    const fn stream_ref(&self) -> StreamRef<'_> {
        match self {
            Self::Session(session) => StreamRef::Session(*session),
            Self::Room(room) => StreamRef::Room(room),
        }
    }
}

impl OwnedBody {
    fn body(&self) -> Body<'_> {
        match self {
            Self::Message(message) => Body::Message(message),
            Self::Run(fact) => Body::Run(RunFact {
                run: &fact.run,
                agent: &fact.agent,
                kind: fact.kind,
                failure: fact.failure,
                at: fact.at,
                payload: &fact.payload,
            }),
            Self::Text(text) => Body::Text(RunText {
                run: &text.run,
                agent: &text.agent,
                at: text.at,
                part: Part { id: &text.part, kind: text.kind },
                text: &text.text,
            }),
        }
    }
}

/// Copies a text, and shares every other payload.
impl From<Body<'_>> for OwnedBody {
    fn from(body: Body<'_>) -> Self {
        match body {
            Body::Message(message) => Self::Message(message.clone()),
            Body::Run(fact) => Self::Run(Box::new(OwnedFact {
                run: fact.run.clone(),
                agent: fact.agent.into(),
                kind: fact.kind,
                failure: fact.failure,
                at: fact.at,
                payload: fact.payload.clone(),
            })),
            Body::Text(text) => Self::Text(Box::new(OwnedText {
                run: text.run.clone(),
                agent: text.agent.into(),
                at: text.at,
                part: text.part.id.into(),
                kind: text.part.kind,
                text: text.text.into(),
            })),
        }
    }
}
