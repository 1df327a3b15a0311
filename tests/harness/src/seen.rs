//! An action, copied: what was lent can't be kept, and both checkers want to look at it.

use headcount::{
    Action, Body, CloseReason, ConnId, Ended, MESSAGE_OVERHEAD, Message, PartKind, Position,
    RoomId, RunEventKind, RunFailure, RunId, SessionId, StreamRef, Timestamp, UserId,
};

/// The longest name that there may be.
pub(crate) const LONGEST_NAME: usize = 128;

/// The name of a stream, owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The log of the recipients' session.
    Session(SessionId),
    /// The log of a room.
    Room(RoomId),
    /// No stream: for this connection alone.
    Direct,
    /// No stream: an announcement.
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

impl Source {
    /// The name, lent.
    #[must_use]
    pub const fn stream_ref(&self) -> StreamRef<'_> {
        match self {
            Self::Session(session) => StreamRef::Session(*session),
            Self::Room(room) => StreamRef::Room(room),
            Self::Direct => StreamRef::Direct,
            Self::Everyone => StreamRef::Everyone,
        }
    }
}

/// What a `Send` carries, and what an entry of a stream holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// A message of the application.
    Message(Message),
    /// An event of a run.
    Fact(Fact),
    /// What an agent has said.
    Said(Said),
}

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    /// Which run.
    pub run: RunId,
    /// The name of its agent.
    pub agent: String,
    /// What happened.
    pub kind: RunEventKind,
    /// Why the registry has failed the run; `None` for what the application reported.
    pub failure: Option<RunFailure>,
    /// When.
    pub at: Timestamp,
    /// What the application said of it.
    pub payload: Vec<u8>,
}

/// A stretch of a run's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Said {
    /// Which run.
    pub run: RunId,
    /// The name of its agent.
    pub agent: String,
    /// When the last of it was said.
    pub at: Timestamp,
    /// The name of the part that it is of.
    pub part: String,
    /// What that part is.
    pub kind: PartKind,
    /// The text.
    pub text: String,
}

impl Content {
    /// What it is charged, by the documentation of the registry.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Message(message) => message.cost(),
            Self::Fact(fact) => fact.payload.len() as u64 + MESSAGE_OVERHEAD,
            Self::Said(said) => said.text.len() as u64 + MESSAGE_OVERHEAD,
        }
    }

    /// What a log is charged beside that: the name of a part, as if it were the longest.
    pub(crate) fn name_cost(&self) -> u64 {
        match self {
            Self::Said(said) if !said.part.is_empty() => LONGEST_NAME as u64,
            _ => 0,
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
                part: text.part.id.into(),
                kind: text.part.kind,
                text: text.text.into(),
            }),
        }
    }
}

/// An owned copy of an [`Action`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// [`Action::Send`].
    Send {
        /// The recipients.
        to: Vec<ConnId>,
        /// Where it comes from.
        stream: Source,
        /// Its place there.
        position: Option<Position>,
        /// What it carries.
        content: Content,
    },
    /// [`Action::Gap`].
    Gap {
        /// Whom to tell.
        conn: ConnId,
        /// The stream that lost entries.
        stream: Source,
        /// The first offset lost.
        from: u64,
        /// The last.
        to: u64,
    },
    /// [`Action::Ping`].
    Ping {
        /// To whom.
        conn: ConnId,
    },
    /// [`Action::Draining`].
    Draining {
        /// Whom to tell.
        to: Vec<ConnId>,
    },
    /// [`Action::Left`].
    Left {
        /// Whom to tell.
        conn: ConnId,
        /// Which session.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// [`Action::Close`].
    Close {
        /// Which connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
        /// The code of the close frame.
        code: u16,
        /// Its text.
        text: String,
    },
    /// [`Action::Cleanup`].
    Cleanup {
        /// What is gone.
        what: Ended,
        /// Why.
        reason: CloseReason,
    },
    /// [`Action::Presence`].
    Presence {
        /// Who.
        user: UserId,
        /// Whether the user is online.
        online: bool,
    },
}

impl From<&Action<'_>> for Seen {
    fn from(action: &Action<'_>) -> Self {
        match action {
            Action::Send { to, stream, position, body } => Self::Send {
                to: to.to_vec(),
                stream: (*stream).into(),
                position: *position,
                content: (*body).into(),
            },
            Action::Gap { conn, stream, from, to } => {
                Self::Gap { conn: *conn, stream: (*stream).into(), from: *from, to: *to }
            }
            Action::Ping { conn } => Self::Ping { conn: *conn },
            Action::Draining { to, .. } => Self::Draining { to: to.to_vec() },
            Action::Left { conn, session, reason } => {
                Self::Left { conn: *conn, session: *session, reason: *reason }
            }
            Action::Close { conn, reason, code, text } => {
                Self::Close { conn: *conn, reason: *reason, code: *code, text: (*text).into() }
            }
            Action::Cleanup { what, reason } => Self::Cleanup { what: *what, reason: *reason },
            Action::Presence { user, online } => {
                Self::Presence { user: (*user).clone(), online: *online }
            }
        }
    }
}

impl Seen {
    /// The connections that the action names.
    #[must_use]
    pub fn conns(&self) -> &[ConnId] {
        match self {
            Self::Send { to, .. } | Self::Draining { to } => to,
            Self::Gap { conn, .. }
            | Self::Ping { conn }
            | Self::Left { conn, .. }
            | Self::Close { conn, .. }
            | Self::Cleanup { what: Ended::Conn(conn), .. } => core::slice::from_ref(conn),
            Self::Cleanup { .. } | Self::Presence { .. } => &[],
        }
    }

    /// An action, or none, for people: of many recipients the first ones, and how many more.
    pub(crate) fn brief(seen: Option<&Self>) -> String {
        const SHOWN: usize = 8;
        let more = seen.map_or(0, |seen| seen.conns().len().saturating_sub(SHOWN));
        let mut first = seen.cloned();
        if let Some(Self::Send { to, .. } | Self::Draining { to }) = &mut first {
            to.truncate(SHOWN);
        }
        match more {
            0 => format!("{first:?}"),
            more => format!("{first:?} and for {more} more connections"),
        }
    }

    /// What it is charged, by the documentation of the registry.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Send { content, .. } => content.cost(),
            Self::Cleanup { .. } | Self::Presence { .. } => 0,
            _ => MESSAGE_OVERHEAD,
        }
    }
}
