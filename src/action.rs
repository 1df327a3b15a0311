//! What comes out of the registry: [`Action`], and the close reasons it carries.

mod body;
mod words;

use core::fmt;
use core::ops::Range;
use core::time::Duration;

pub use self::body::{Body, RunFact, RunText};
pub use self::words::{CloseWith, CloseWords};
use crate::id::{ConnId, RoomId, SessionId, UserId};
use crate::message::MESSAGE_OVERHEAD;
use crate::snapshot::encoded;

/// One thing for the shell to do, lent until the next call to the registry.
///
/// Exhaustive on purpose: a shell must handle every kind. For each connection the order of the
/// actions is the order on the wire, and their sequence is
/// `(Send | Gap | Ping | Draining | Left)* Close? Cleanup`. The [loop](crate#the-loop) has an example.
#[derive(Debug)]
#[must_use = "an action that is not carried out is lost"]
pub enum Action<'a> {
    /// Write this message to each of these connections: encode it once.
    Send {
        /// The recipients, never empty, at most `fanout_chunk`.
        to: &'a [ConnId],
        /// Where the message comes from.
        stream: StreamRef<'a>,
        /// Its place in the stream; `None` for direct messages and announcements.
        position: Option<Position>,
        /// What to encode.
        body: Body<'a>,
    },
    /// Tell the client that the entries `from..=to` of a stream are lost for it, for good. The offsets are of
    /// the stream's present epoch, which [`Followed::position`](crate::Followed::position) and
    /// [`Joined::position`](crate::Joined::position) have told. After the gap the client's
    /// position is `to` in that epoch.
    Gap {
        /// Whom to tell.
        conn: ConnId,
        /// The stream that lost them.
        stream: StreamRef<'a>,
        /// The first offset lost.
        from: u64,
        /// The last offset lost.
        to: u64,
    },
    /// Write a ping frame.
    Ping {
        /// To whom.
        conn: ConnId,
    },
    /// Tell these clients to reconnect elsewhere, after a delay that each picks from the range.
    Draining {
        /// Whom to tell.
        to: &'a [ConnId],
        /// The range to pick the delay from.
        within: Range<Duration>,
    },
    /// Tell the client that it follows this session no more, by no wish of its own: the session was
    /// closed, or has ended. What it was sent of the session before it is what still fitted its window.
    Left {
        /// Whom to tell.
        conn: ConnId,
        /// The session, which may have ended.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// Write a close frame with this code and text, then nothing more; or, before the upgrade, a
    /// complete HTTP answer. Then report `disconnect` when the socket has ended.
    Close {
        /// Which connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
        /// The code of the close frame: the reason's, or the application's own. After
        /// [`CloseReason::PeerClosed`] the shell echoes the peer's in its place.
        code: u16,
        /// The text of the close frame, [`CloseWords::MAX_TEXT_BYTES`] at most: the name of the reason, or
        /// the application's own.
        text: &'a str,
    },
    /// Forget it: the last mention of this connection or session, exactly one for each. Drop its
    /// socket if it is still there.
    Cleanup {
        /// What is gone.
        what: Ended,
        /// Why. For a session, the reason of the follower that closed or was sent away last. A follower
        /// that left by `unfollow` does not count. [`CloseReason::PeerGone`] if no follower closed or was
        /// sent away.
        reason: CloseReason,
    },
    /// A user is online now, or is so no more. It is for the application: no connection is sent anything.
    /// There is none unless the configuration asks for it
    /// ([`with_presence`](crate::ConfigBuilder::with_presence)).
    ///
    /// A user is online while it has an open connection, and for `presence.leave_grace` after the last one
    /// has ended for a reason that [has a leave grace](CloseReason::has_leave_grace). Per user the values
    /// alternate, and the first is `true`. A user who was said to be online is said to be offline in
    /// the end. A change that was undone before its turn makes no action: a user who comes and goes
    /// between two polls is not mentioned, and neither is a user who goes and comes back.
    Presence {
        /// Who.
        user: &'a UserId,
        /// Whether the user is online.
        online: bool,
    },
}

impl Action<'_> {
    /// The connections that are sent something by it: one or more of a `Send` or a `Draining`, the one of a
    /// `Gap`, a `Ping`, a `Left` or a `Close`, and none of a `Cleanup` or a `Presence`. Each is charged
    /// [`cost`](Self::cost).
    #[must_use]
    pub const fn recipients(&self) -> &[ConnId] {
        match self {
            Self::Send { to, .. } | Self::Draining { to, .. } => to,
            Self::Gap { conn, .. }
            | Self::Ping { conn }
            | Self::Left { conn, .. }
            | Self::Close { conn, .. } => core::slice::from_ref(conn),
            Self::Cleanup { .. } | Self::Presence { .. } => &[],
        }
    }

    /// What this action is charged in each recipient's window, and what `flushed` counts in: the
    /// length of the payload plus [`MESSAGE_OVERHEAD`]; zero for `Cleanup` and
    /// `Presence`.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self {
            Self::Send { body, .. } => body.cost(),
            Self::Gap { .. }
            | Self::Ping { .. }
            | Self::Draining { .. }
            | Self::Left { .. }
            | Self::Close { .. } => MESSAGE_OVERHEAD,
            Self::Cleanup { .. } | Self::Presence { .. } => 0,
        }
    }
}

/// What a `Cleanup` is about. The [loop](crate#the-loop) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// A connection, admitted or not.
    Conn(ConnId),
    /// A session, after the last connection that followed it has left it or was cleaned up.
    Session(SessionId),
}

encoded! { enum Ended { 0 = Conn(conn), 1 = Session(session) } }

/// Where a message comes from. [`Registry::acknowledge`](crate::Registry::acknowledge) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRef<'a> {
    /// The log of a session that the recipients follow.
    Session(SessionId),
    /// The log of a room.
    Room(&'a RoomId),
    /// No stream: for this connection alone, never resumed.
    Direct,
    /// No stream: a best-effort announcement to everyone.
    Everyone,
}

/// A place in a stream.
///
/// The first entry of an epoch is 1. Offsets increase, not necessarily by one. Two positions of
/// different epochs have no order. [`Start`](crate::Start) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which incarnation of the stream: never continued by another one, nor after a restart.
    pub epoch: u64,
    /// The entry, or 0 for "before the first".
    pub offset: u64,
}

encoded! { struct Position { epoch, offset } }

/// What a client should do after a close. [`CloseReason`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Reconnect, with a back-off.
    Reconnect,
    /// Stop: the same attempt would end the same way, or fight with another connection.
    Stop,
}

macro_rules! close_reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal $retry:ident,)*) => {
        /// Why a connection ended.
        ///
        /// Codes are the ones of RFC 6455 §7.4.1 and its registry that an endpoint may send, 44xx
        /// where a client should reconnect, and 45xx where it should not.
        ///
        /// | reason | code | client | |
        /// |---|---|---|---|
        ///
        /// ```
        /// use headcount::{CloseReason, Retry};
        ///
        /// let reason = CloseReason::Evicted;
        /// assert_eq!((reason.code(), reason.name(), reason.retry()), (4504, "evicted", Retry::Stop));
        /// assert_eq!(CloseReason::PeerGone.retry(), Retry::Reconnect);
        /// ```
        $(#[doc = concat!("| `", $name, "` | ", stringify!($code), " | ", stringify!($retry), " | [`", stringify!($variant), "`](Self::", stringify!($variant), ") |")])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CloseReason {
            $($(#[$doc])* $variant,)*
        }

        impl CloseReason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code to send in the close frame: always one that may be sent.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $code,)* }
            }

            /// A stable name in `snake_case` for logs, metrics and the close frame's text.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What a client should do about it.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }
        }

        /// The stable name.
        impl fmt::Display for CloseReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

close_reasons! {
    /// The peer began the close handshake; its own code is the shell's to echo.
    PeerClosed = 1000 "peer_closed" Stop,
    /// The socket ended without a close handshake. No close frame is sent.
    PeerGone = 1001 "peer_gone" Reconnect,
    /// The peer broke the WebSocket protocol.
    ProtocolError = 1002 "protocol_error" Stop,
    /// A text message was not UTF-8.
    InvalidPayload = 1007 "invalid_payload" Stop,
    /// The application found that the peer broke a policy of its own.
    PolicyViolation = 1008 "policy_violation" Stop,
    /// A message was larger than `message_bytes`.
    MessageTooBig = 1009 "message_too_big" Stop,
    /// The server failed.
    InternalError = 1011 "internal_error" Reconnect,
    /// The server restarts or drains.
    Restart = 1012 "restart" Reconnect,
    /// Open for as long as a connection may be.
    LifetimeEnded = 1012 "lifetime_ended" Reconnect,
    /// No data message for as long as a connection may be idle.
    Idle = 1000 "idle" Stop,
    /// The server is full; for a connection that was upgraded before it could be admitted.
    TryLater = 1013 "try_later" Reconnect,
    /// The principal has expired, and was not refreshed in time.
    Expired = 4405 "expired" Reconnect,
    /// Something was handed out, and no byte of it was flushed for `slow_deadline`.
    SlowConsumer = 4408 "slow_consumer" Reconnect,
    /// No sign of life for `pong_timeout` after a ping was flushed, or for the emergency deadline
    /// while that holds.
    PongTimeout = 4412 "pong_timeout" Reconnect,
    /// Frames came faster than `message_rate`, or bytes faster than `byte_rate`, again and again.
    RateLimited = 4413 "rate_limited" Reconnect,
    /// A message was not whole within `frame_deadline` of its first byte.
    FrameTimeout = 4414 "frame_timeout" Reconnect,
    /// The request head was not complete in time. Before the upgrade: no close frame is sent.
    HeadTimeout = 4502 "head_timeout" Stop,
    /// The credentials were refused.
    BadCredentials = 4500 "bad_credentials" Stop,
    /// The request could not be understood.
    BadRequest = 4501 "bad_request" Stop,
    /// No credentials in time.
    AuthTimeout = 4502 "auth_timeout" Stop,
    /// Closed by the application. Its own [`CloseWords`] take the place of this code.
    Application = 4503 "application" Stop,
    /// The user's credentials were revoked.
    Revoked = 4503 "revoked" Stop,
    /// Made room for a newer connection of the same user.
    Evicted = 4504 "evicted" Stop,
    /// Taken over by the connection that the same client reconnected with.
    TakenOver = 4505 "taken_over" Stop,
    /// The request was understood, and is not allowed.
    Forbidden = 4506 "forbidden" Stop,
}

impl CloseReason {
    /// Whether a user whose last connection has ended for this reason is expected back at this server at
    /// once: such a user is online for another `presence.leave_grace`
    /// ([`Action::Presence`]). All others are offline at once: the user has left, was sent away, or was
    /// told to stop or to reconnect elsewhere.
    ///
    /// | with a leave grace | because |
    /// |---|---|
    /// | `PeerGone`, `SlowConsumer`, `PongTimeout`, `FrameTimeout` | the network or the device failed, and the user meant to stay |
    /// | `InternalError`, `LifetimeEnded`, `Expired`, `RateLimited` | the server has ended the connection alone, and the client reconnects |
    ///
    /// ```
    /// use headcount::CloseReason;
    ///
    /// assert!(CloseReason::PeerGone.has_leave_grace());
    /// assert!(!CloseReason::PeerClosed.has_leave_grace());
    /// ```
    #[must_use]
    pub const fn has_leave_grace(self) -> bool {
        match self {
            Self::PeerGone
            | Self::InternalError
            | Self::LifetimeEnded
            | Self::Expired
            | Self::SlowConsumer
            | Self::PongTimeout
            | Self::RateLimited
            | Self::FrameTimeout => true,
            Self::PeerClosed
            | Self::ProtocolError
            | Self::InvalidPayload
            | Self::PolicyViolation
            | Self::MessageTooBig
            | Self::Restart
            | Self::Idle
            | Self::TryLater
            | Self::HeadTimeout
            | Self::BadCredentials
            | Self::BadRequest
            | Self::AuthTimeout
            | Self::Application
            | Self::Revoked
            | Self::Evicted
            | Self::TakenOver
            | Self::Forbidden => false,
        }
    }
}

encoded! { all CloseReason }

/// How many reasons there are: the length of a table with one place for each.
pub(crate) const CLOSE_REASONS: usize = CloseReason::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sendable_and_say_what_to_do() {
        for reason in CloseReason::ALL {
            let code = reason.code();
            assert!(!matches!(code, 1004..=1006 | 1015), "{code} must never be sent");
            if (4500..5000).contains(&code) {
                assert_eq!(reason.retry(), Retry::Stop, "{reason:?}");
            }
            if (4400..4500).contains(&code) {
                assert_eq!(reason.retry(), Retry::Reconnect, "{reason:?}");
            }
            if reason.has_leave_grace() {
                assert_eq!(reason.retry(), Retry::Reconnect, "{reason:?}");
            }
        }
    }
}
