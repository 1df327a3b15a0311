//! What goes into a registry: whom a message is for, what came in on a socket, what a client resumes, and
//! each call as data.

use core::time::Duration;

use bytes::Bytes;

use crate::action::{CloseReason, Position};
use crate::config::Config;
use crate::id::{ConnId, Principal, RoomId, RunId, SessionId, ThreadId, UserId};
use crate::message::Message;
use crate::run::RunEvent;
use crate::time::Timestamp;
use crate::waiting::Source;

/// Whom a `send` or a `close` is for.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// One connection: direct, in no stream, never resumed.
    Conn(ConnId),
    /// The stream of one session.
    Session(SessionId),
    /// The streams of all of a user's sessions, lingering ones included.
    User(&'a UserId),
    /// The stream of a room.
    Room(&'a RoomId),
    /// For `send` all connections that are open when the walk over the table reaches them: best
    /// effort, in no stream. For `close` all that are there at the call, pending ones included.
    Everyone,
}

/// What came in on a connection. Each of these is a sign of life.
///
/// Report every frame when it is whole, in the order in which they came, and then the
/// [`Bytes`](Inbound::Bytes) that were read. A read that ends with a whole message needs no `Bytes`,
/// unless `limits.byte_rate` is set: its frames say the same. An embedder that sees whole messages
/// only reports those. Then a message that takes longer to arrive than `heartbeat.interval` and
/// `heartbeat.pong_timeout` together costs its connection, and neither `limits.frame_deadline` nor
/// `limits.byte_rate` ever acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A whole data message, text or binary, one of several frames included: the end of the message
    /// in progress. It takes a token of `limits.message_rate`.
    Data {
        /// The length of its payload, or what its header announces, if that is too much already.
        bytes: u64,
    },
    /// Bytes were read, whatever they are: half a frame header is one. Report it once a read, after
    /// the frames that it made whole.
    Bytes {
        /// How many were read since the last report: what `limits.byte_rate` counts.
        bytes: u64,
        /// Whether a message is in progress after them: a frame has begun and is not whole, or the
        /// last frame of a message has not come. `limits.frame_deadline` runs while there is one. Before
        /// the upgrade it means nothing: the bytes are those of the request head, which has
        /// `limits.head_bytes`, and no other rate counts them.
        partial: bool,
    },
    /// A whole frame of a data message, not its last, also an empty one. It takes an eighth of a
    /// token.
    Fragment,
    /// A ping of the peer. It takes an eighth of a token. Answer it with a pong only if it was
    /// taken.
    Ping,
    /// A pong. The first one after a ping was handed out is free; another takes an eighth of a token.
    Pong,
}

/// What a reconnecting client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The last position that it has seen of its session's stream; `None` if it has seen none, or
    /// does not say: then it gets what a client gets that comes for the first time.
    pub position: Option<Position>,
    /// The connection that it had: closed if it still lives and belongs to the same session,
    /// ignored otherwise. `None` if it names none.
    pub previous: Option<ConnId>,
}

impl Resume {
    /// Of a client that takes its connection over and does not say what it has seen: it gets what a
    /// client gets that comes for the first time, and is told of no other gap.
    #[must_use]
    pub const fn takeover(previous: ConnId) -> Self {
        Self { position: None, previous: Some(previous) }
    }
}

/// Who an admitted connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The thread.
    pub thread: &'a ThreadId,
    /// The label of its principal; `None` if that had none.
    pub label: Option<&'a str>,
}

/// What a [`Registry`](crate::Registry) is given in one call, named as the method is. A call of a
/// [`UserScope`](crate::UserScope) is the call that it makes of the registry.
///
/// It is exhaustive, as [`Action`](crate::Action) is: a recorder that missed an input would not replay.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The arguments of the methods have their docs there.
pub enum Input<'a> {
    Reserve {
        source: Option<Source>,
    },
    Upgraded {
        conn: ConnId,
    },
    Connect {
        conn: ConnId,
        who: &'a Principal,
        resume: Option<&'a Resume>,
    },
    Admit {
        who: &'a Principal,
        resume: Option<&'a Resume>,
    },
    Message {
        conn: ConnId,
        inbound: Inbound,
    },
    Flushed {
        conn: ConnId,
        total: u64,
    },
    Disconnect {
        conn: ConnId,
    },
    Tick,
    Send {
        to: Target<'a>,
        message: &'a Message,
    },
    Reply {
        conn: ConnId,
        message: &'a Message,
    },
    Join {
        conn: ConnId,
        room: &'a RoomId,
        since: Option<Position>,
    },
    Leave {
        conn: ConnId,
        room: &'a RoomId,
    },
    Acknowledge {
        conn: ConnId,
        room: Option<&'a RoomId>,
        offset: u64,
    },
    OpenRun {
        user: &'a UserId,
        thread: &'a ThreadId,
        run: &'a RunId,
        agent: &'a str,
        payload: &'a Bytes,
    },
    RunEvent {
        user: &'a UserId,
        run: &'a RunId,
        event: &'a RunEvent<'a>,
    },
    Close {
        to: Target<'a>,
        reason: CloseReason,
    },
    Refresh {
        conn: ConnId,
        expires_at: Option<Timestamp>,
    },
    Revoke {
        user: &'a UserId,
    },
    Drain {
        deadline: Option<Duration>,
    },
    CancelDrain,
    Reload {
        config: &'a Config,
    },
    /// [`Registry::advance`](crate::Registry::advance), or a call that has no effect but that of its
    /// stamp: a look at what a reload would do, a message of a [`UserScope`](crate::UserScope) to a thread
    /// without a session.
    Advance,
}
