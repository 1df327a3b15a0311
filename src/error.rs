//! One error type per door. Errors come from input; a panic would be a bug.

mod restore;
mod run;

use core::fmt;
use core::time::Duration;

use crate::action::CloseReason;

pub use self::restore::RestoreError;
pub use self::run::{OpenRunError, RequestCancelError, RequestRunError, RunError};

/// The handle names nothing that is alive: it has ended, or never was.
/// [`Registry::disconnect`](crate::Registry::disconnect) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownConn;

impl fmt::Display for UnknownConn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such connection: it has ended, or never was")
    }
}

/// `UnknownConn` becomes the variant of the same name of errors that have one.
macro_rules! from_unknown_conn {
    ($($error:ident)*) => {
        $(impl From<UnknownConn> for $error {
            fn from(UnknownConn: UnknownConn) -> Self {
                Self::UnknownConn
            }
        })*
    };
}

from_unknown_conn!(
    AcknowledgeError FollowError Refused InboundError ReplyError JoinError RequestRunError
    RequestCancelError
);

/// The text is none that a handle is shown as: 16 hexadecimal digits, the first eight not all zero.
/// [`ConnId`](crate::ConnId) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHandle;

impl fmt::Display for InvalidHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no handle: expected 16 hexadecimal digits, the first eight not all zero")
    }
}

/// Why words are none to close a connection with. [`CloseWords`](crate::CloseWords) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseWordsError {
    /// The code is none from 4000 to 4399.
    Code(u16),
    /// The text is longer than [`CloseWords::MAX_TEXT_BYTES`](crate::CloseWords::MAX_TEXT_BYTES).
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl fmt::Display for CloseWordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => {
                write!(f, "the code of a close by the application is from 4000 to 4399, not {code}")
            }
            Self::TooLong { bytes } => write!(
                f,
                "the text of a close is {bytes} bytes long, {} at most",
                crate::CloseWords::MAX_TEXT_BYTES
            ),
        }
    }
}

/// Why an acknowledgement was not taken. [`Registry::acknowledge`](crate::Registry::acknowledge) has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcknowledgeError {
    /// The handle names no connection that is open.
    UnknownConn,
    /// The connection does not follow that stream.
    NotAMember,
}

impl fmt::Display for AcknowledgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownConn => "no such connection: it has ended, or never was admitted",
            Self::NotAMember => "the connection does not follow that stream",
        })
    }
}

/// Why a name was refused. [`UserId`](crate::UserId) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdError {
    /// It has no characters.
    Empty,
    /// It is longer than [`MAX_ID_BYTES`](crate::MAX_ID_BYTES).
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It holds a control character.
    ControlCharacter,
    /// It is a placeholder such as `undefined`: a mistake of client code, not a name.
    Placeholder,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the id is empty"),
            Self::TooLong { bytes } => {
                write!(f, "the id is {bytes} bytes long, {} at most", crate::MAX_ID_BYTES)
            }
            Self::ControlCharacter => f.write_str("the id holds a control character"),
            Self::Placeholder => f.write_str(
                "the id is a placeholder such as `undefined` or `null`, so it is a mistake of the client",
            ),
        }
    }
}

/// Why a socket was not reserved or a connection not admitted.
///
/// A refused connection stays pending: answer it, then report `disconnect` (before the upgrade), or
/// `close` it (after it). [`Registry::admit`](crate::Registry::admit) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The handle names no connection.
    UnknownConn,
    /// The connection was admitted before, or is closing.
    NotPending,
    /// `limits.pending` sockets wait to be admitted and none gives way, or as many as
    /// `limits.closing` wait for their cleanup.
    Pending,
    /// `limits.connect_rate` is used up.
    Rate {
        /// When the next attempt can succeed.
        retry_after: Duration,
    },
    /// The user's own `limits.connect_rate_per_user` is used up.
    RateOfUser {
        /// When the user's next attempt can succeed.
        retry_after: Duration,
    },
    /// The server drains: another one, or this one after its restart, will do.
    Draining {
        /// When to try again.
        retry_after: Duration,
    },
    /// The user has `limits.connections_per_user` connections, or as many as the principal allows
    /// ([`Principal::with_max_connections`](crate::Principal::with_max_connections)), and the policy is to
    /// refuse.
    ConnectionsPerUser {
        /// When to try again, as the policy says.
        retry_after: Duration,
    },
    /// The newcomer is an event stream, and the user has `limits.streams_per_user` streams. The policy is
    /// to refuse, or all of them are sessions that connections follow beyond their first.
    StreamsPerUser {
        /// When to try again, as the policy says; [`Refused::PAUSE`] where no policy refuses.
        retry_after: Duration,
    },
    /// The user has `limits.sessions_per_user` live sessions, this would be a further one, and the
    /// policy is to refuse, or it would be a run's: nothing with a connection or an open run ends for
    /// that.
    SessionsPerUser {
        /// When to try again, as the policy says; [`Refused::PAUSE`] for the session of a run that no
        /// policy refuses.
        retry_after: Duration,
    },
    /// `limits.connections` connections are open, or `limits.closing` wait for their cleanup.
    Connections,
    /// `limits.users` users have an open connection or an open run, and this would be a further one.
    Users,
    /// `limits.sessions` sessions have an open connection or an open run, and this would be a further
    /// one; or `limits.closing` that have ended wait for their cleanup.
    Sessions,
    /// The principal names another tenant than the one that its user is of: see
    /// [`Principal::with_tenant`](crate::Principal::with_tenant).
    OtherTenant,
    /// There are `limits.tenants` tenants, and the principal names another one.
    Tenants,
    /// The users of the tenant have `limits.connections_per_tenant` open connections, those included that
    /// the newcomer's user would bring along. No connection is closed for another one.
    ConnectionsPerTenant,
    /// The users of the tenant would have more than `limits.sessions_per_tenant` sessions with an open
    /// connection or an open run, those included that the newcomer's user would bring along.
    SessionsPerTenant,
    /// The user would join the tenant with tool calls under way, and calls alone would exceed
    /// `outbound.tenant_bytes`: they do not give way.
    TenantBytes,
}

impl Refused {
    /// A stable name in `snake_case` for answers, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownConn => "unknown_conn",
            Self::NotPending => "not_pending",
            Self::Pending => "pending",
            Self::Rate { .. } => "connect_rate",
            Self::RateOfUser { .. } => "connect_rate_per_user",
            Self::Draining { .. } => "draining",
            Self::ConnectionsPerUser { .. } => "connections_per_user",
            Self::StreamsPerUser { .. } => "streams_per_user",
            Self::SessionsPerUser { .. } => "sessions_per_user",
            Self::Connections => "connections",
            Self::Users => "users",
            Self::Sessions => "sessions",
            Self::OtherTenant => "other_tenant",
            Self::Tenants => "tenants",
            Self::ConnectionsPerTenant => "connections_per_tenant",
            Self::SessionsPerTenant => "sessions_per_tenant",
            Self::TenantBytes => "tenant_bytes",
        }
    }

    /// Why to close a socket that was upgraded before it was refused: [`CloseReason::Restart`] while the
    /// server drains, and [`CloseReason::TryLater`] otherwise. Before the upgrade an HTTP answer says more.
    #[must_use]
    pub const fn close_reason(&self) -> CloseReason {
        match self {
            Self::Draining { .. } => CloseReason::Restart,
            _ => CloseReason::TryLater,
        }
    }

    /// What to wait where no instant is known at which there will be room: 5 s.
    pub const PAUSE: Duration = Duration::from_secs(5);

    /// When to try again: when the next attempt can succeed if that is known, what the policy says
    /// where a user's own cap refuses, and [`Refused::PAUSE`] otherwise.
    #[must_use]
    pub const fn retry_after(&self) -> Duration {
        match self {
            Self::Rate { retry_after }
            | Self::RateOfUser { retry_after }
            | Self::Draining { retry_after }
            | Self::ConnectionsPerUser { retry_after }
            | Self::StreamsPerUser { retry_after }
            | Self::SessionsPerUser { retry_after } => *retry_after,
            Self::UnknownConn
            | Self::NotPending
            | Self::Pending
            | Self::Connections
            | Self::Users
            | Self::Sessions
            | Self::OtherTenant
            | Self::Tenants
            | Self::ConnectionsPerTenant
            | Self::SessionsPerTenant
            | Self::TenantBytes => Self::PAUSE,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownConn => "no such connection: it has ended, or never was",
            Self::NotPending => "the connection was admitted before, or is closing",
            Self::Pending => "too many sockets wait to be admitted (limits.pending)",
            Self::Rate { .. } => "too many connects per second (limits.connect_rate)",
            Self::RateOfUser { .. } => "the user connects too often (limits.connect_rate_per_user)",
            Self::Draining { .. } => "the server drains",
            Self::ConnectionsPerUser { .. } => {
                "the user has too many connections (limits.connections_per_user)"
            }
            Self::StreamsPerUser { .. } => {
                "the user has too many streams (limits.streams_per_user)"
            }
            Self::SessionsPerUser { .. } => {
                "the user has too many sessions (limits.sessions_per_user)"
            }
            Self::Connections => "the server is full (limits.connections)",
            Self::Users => "too many users are here (limits.users)",
            Self::Sessions => "too many sessions are in use (limits.sessions)",
            Self::OtherTenant => "the user is of another tenant",
            Self::Tenants => "users of too many tenants are here (limits.tenants)",
            Self::ConnectionsPerTenant => {
                "the tenant has too many connections (limits.connections_per_tenant)"
            }
            Self::SessionsPerTenant => {
                "the tenant has too many sessions in use (limits.sessions_per_tenant)"
            }
            Self::TenantBytes => {
                "the tenant has no room for the user's tool calls (outbound.tenant_bytes)"
            }
        })
    }
}

/// Why an inbound message was not taken. [`Registry::message`](crate::Registry::message) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InboundError {
    /// The handle names no connection, or one that is closing: drop the message.
    UnknownConn,
    /// More than `limits.message_rate`: drop the message, and leave a ping unanswered. Or more than
    /// `limits.byte_rate`: of bytes nothing is to be dropped. Repeated, the registry closes the
    /// connection with [`RateLimited`](crate::CloseReason::RateLimited).
    RateLimited,
    /// The message is larger than `limits.message_bytes`: the registry closes the connection with
    /// [`MessageTooBig`](crate::CloseReason::MessageTooBig). Or the request head is larger than
    /// `limits.head_bytes`: answer 431; it closes with [`BadRequest`](crate::CloseReason::BadRequest).
    TooBig,
}

impl fmt::Display for InboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownConn => "no such connection: it has ended, is closing, or never was",
            Self::RateLimited => "more per second than limits.message_rate or limits.byte_rate",
            Self::TooBig => "larger than limits.message_bytes, or a head than limits.head_bytes",
        })
    }
}

/// Why a reply was not taken. Nothing of it is kept. [`Registry::reply`](crate::Registry::reply) has an
/// example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// The handle names no connection, or one that is closing.
    UnknownConn,
    /// The connection's window and its reply reserve are full, or as much as `outbound.direct_bytes`
    /// waits to be polled, or the message is longer than the reserve and does not fit the window.
    Full,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownConn => "no such connection: it has ended, is closing, or never was",
            Self::Full => {
                "no room: the connection reads too slowly, so that its window and reply reserve are \
                 full, or too much is queued for all (outbound.direct_bytes)"
            }
        })
    }
}

/// Why a connection could not follow a session. Nothing has changed then.
/// [`Registry::follow`](crate::Registry::follow) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowError {
    /// The handle names no connection that is open.
    UnknownConn,
    /// The connection follows `limits.sessions_per_connection` sessions, or `limits.sessions_per_user` if
    /// that is less, those included of which it was not told yet that it has left them.
    SessionsPerConnection,
    /// The user has `limits.streams_per_user` streams: event streams, and sessions that its connections
    /// follow beyond the first of each.
    StreamsPerUser,
    /// There is no session of this user and thread, and none can be created.
    Session(Refused),
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownConn => {
                f.write_str("no such connection: it has ended, or never was admitted")
            }
            Self::SessionsPerConnection => f.write_str(
                "the connection follows too many sessions (limits.sessions_per_connection)",
            ),
            Self::StreamsPerUser => {
                f.write_str("the user follows too many sessions (limits.streams_per_user)")
            }
            Self::Session(refused) => write!(f, "no session to follow: {refused}"),
        }
    }
}

/// Why a connection could not join a room. [`Registry::join`](crate::Registry::join) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The handle names no admitted connection, or one that is closing.
    UnknownConn,
    /// The connection is in `limits.rooms_per_connection` rooms.
    RoomsPerConnection,
    /// The open connections of its user are in `limits.rooms_per_user` rooms, a room counted once for
    /// each of them that is in it.
    RoomsPerUser,
    /// `limits.rooms` rooms have members, and this would be a further one.
    Rooms,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownConn => "no such connection: it has ended, is closing, or never was",
            Self::RoomsPerConnection => {
                "the connection is in too many rooms (limits.rooms_per_connection)"
            }
            Self::RoomsPerUser => {
                "the user's connections are in too many rooms (limits.rooms_per_user)"
            }
            Self::Rooms => "there are too many rooms (limits.rooms)",
        })
    }
}

/// What [`Registry::check`](crate::Registry::check) found to be wrong: a bug in this crate.
/// [`Registry::check`](crate::Registry::check) has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub(crate) what: alloc::string::String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant broken: {}", self.what)
    }
}

impl core::error::Error for CloseWordsError {}
impl core::error::Error for AcknowledgeError {}
impl core::error::Error for FollowError {}
impl core::error::Error for UnknownConn {}
impl core::error::Error for InvalidHandle {}
impl core::error::Error for IdError {}
impl core::error::Error for Refused {}
impl core::error::Error for InboundError {}
impl core::error::Error for ReplyError {}
impl core::error::Error for JoinError {}
impl core::error::Error for Violation {}
