//! An action, copied: what was lent can't be kept, and both checkers want to look at it.

use headcount::{Action, Body, CloseReason, ConnId, Gone, Message, Position, RoomId, SessionId};
use headcount::{MESSAGE_OVERHEAD, StreamRef};

/// The name of a stream, owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// An owned copy of an [`Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Send { to: Vec<ConnId>, stream: Source, position: Option<Position>, message: Message },
    Gap { conn: ConnId, stream: Source, from: u64, to: u64 },
    Ping { conn: ConnId },
    Draining { to: Vec<ConnId> },
    Close { conn: ConnId, reason: CloseReason },
    Cleanup { what: Gone, reason: CloseReason },
}

impl From<Action<'_>> for Seen {
    fn from(action: Action<'_>) -> Self {
        match action {
            Action::Send { to, stream, position, body: Body::Message(message) } => Self::Send {
                to: to.to_vec(),
                stream: stream.into(),
                position,
                message: message.clone(),
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
            Self::Send { message, .. } => message.cost(),
            Self::Cleanup { .. } => 0,
            _ => MESSAGE_OVERHEAD,
        }
    }
}
