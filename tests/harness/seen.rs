//! An action, copied: what was lent can't be kept, and both checkers want to look at it.

use headcount::{
    Action, Body, CloseReason, ConnId, Gone, MESSAGE_OVERHEAD, Message, Position, RoomId,
    RunEventKind, RunFailure, RunId, SessionId, StreamRef, Timestamp,
};

/// The name of a stream, owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Session(SessionId),
    Room(RoomId),
    Direct,
    Everyone,
}

impl From<StreamRef<'_>> for Source {
    fn from(stream: StreamRef<'_>) -> Self {
        match stream {
            StreamRef::Session(session) => Self::Session(session),
            StreamRef::Room(room) => Self::Room(room.clone()),
            StreamRef::Direct => Self::Direct,
            StreamRef::Everyone => Self::Everyone,
        }
    }
}

/// What a `Send` carries, and what an entry of a stream holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    Message(Message),
    Fact(Fact),
    Said(Said),
}

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    pub run: RunId,
    pub agent: String,
    pub kind: RunEventKind,
    pub failure: Option<RunFailure>,
    pub at: Timestamp,
    pub payload: Vec<u8>,
}

/// A stretch of a run's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Said {
    pub run: RunId,
    pub agent: String,
    pub at: Timestamp,
    pub text: String,
}

impl Content {
    /// What it is charged, by the documentation.
    pub fn cost(&self) -> u64 {
        match self {
            Self::Message(message) => message.cost(),
            Self::Fact(fact) => fact.payload.len() as u64 + MESSAGE_OVERHEAD,
            Self::Said(said) => said.text.len() as u64 + MESSAGE_OVERHEAD,
        }
    }

    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Fact(_) | Self::Said(_) => None,
        }
    }
}

impl From<Body<'_>> for Content {
    fn from(body: Body<'_>) -> Self {
        match body {
            Body::Message(message) => Self::Message(message.clone()),
            Body::Run(fact) => Self::Fact(Fact {
                run: fact.run.clone(),
                agent: fact.agent.into(),
                kind: fact.kind,
                failure: fact.failure,
                at: fact.at,
                payload: fact.payload.to_vec(),
            }),
            Body::Text(text) => Self::Said(Said {
                run: text.run.clone(),
                agent: text.agent.into(),
                at: text.at,
                text: text.text.into(),
            }),
        }
    }
}

/// An owned copy of an [`Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Send { to: Vec<ConnId>, stream: Source, position: Option<Position>, content: Content },
    Gap { conn: ConnId, stream: Source, from: u64, to: u64 },
    Ping { conn: ConnId },
    Draining { to: Vec<ConnId> },
    Close { conn: ConnId, reason: CloseReason },
    Cleanup { what: Gone, reason: CloseReason },
}

impl From<Action<'_>> for Seen {
    fn from(action: Action<'_>) -> Self {
        match action {
            Action::Send { to, stream, position, body } => Self::Send {
                to: to.to_vec(),
                stream: stream.into(),
                position,
                content: body.into(),
            },
            Action::Gap { conn, stream, from, to } => {
                Self::Gap { conn, stream: stream.into(), from, to }
            }
            Action::Ping { conn } => Self::Ping { conn },
            Action::Draining { to, .. } => Self::Draining { to: to.to_vec() },
            Action::Close { conn, reason } => Self::Close { conn, reason },
            Action::Cleanup { what, reason } => Self::Cleanup { what, reason },
        }
    }
}

impl Seen {
    /// The connections that the action names.
    pub fn conns(&self) -> &[ConnId] {
        match self {
            Self::Send { to, .. } | Self::Draining { to } => to,
            Self::Gap { conn, .. }
            | Self::Ping { conn }
            | Self::Close { conn, .. }
            | Self::Cleanup { what: Gone::Conn(conn), .. } => core::slice::from_ref(conn),
            Self::Cleanup { .. } => &[],
        }
    }
}

impl Seen {
    /// What it is charged, by the documentation.
    pub fn cost(&self) -> u64 {
        match self {
            Self::Send { content, .. } => content.cost(),
            Self::Cleanup { .. } => 0,
            _ => MESSAGE_OVERHEAD,
        }
    }
}
