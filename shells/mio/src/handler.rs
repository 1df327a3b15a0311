//! What the application brings: [`Handler`], and the words of its methods.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::BufMut;
use headcount::{
    Admitted, Body, CloseReason, ConnId, Ended, MESSAGE_OVERHEAD, Message, Notice, Position,
    Principal, Refused, Registry, ReplyError, SessionId, Source, Start, StreamRef, Timestamp,
    UserId,
};

use crate::answer::Answer;
use crate::http::Request;
use crate::output::TurnOutput;

/// The application: who connects, what messages mean, and what frames look like.
///
/// All methods run on the loop's thread, and all sockets wait meanwhile: hand slow work to another
/// thread, and come back through a [`Handle`](crate::Handle).
pub trait Handler {
    /// A well-formed upgrade request for the path is complete. Says which user it is from, or refuses it.
    ///
    /// An answer that needs a file, a network or another thread is [`Verdict::Later`].
    fn authenticate(&mut self, request: &Request<'_>) -> Verdict;

    /// The answer to a request that the registry refused, before the upgrade.
    ///
    /// By default 429 where the limit is the user's own and 503 where it is everyone's, with
    /// `Retry-After`.
    fn refused(&mut self, refused: Refused) -> Answer {
        default_refusal(refused)
    }

    /// A client was not admitted and got this answer, in HTTP or in a close frame: exactly once for
    /// each, whether it was refused by the application, by the registry, or by this shell, which
    /// understood no request in time or none at all. For logs and metrics.
    fn turned_away(&mut self, peer: SocketAddr, answer: &Answer) {
        let _ = (peer, answer);
    }

    /// Where a socket that was just accepted comes from, for `limits.pending_per_source`.
    ///
    /// By default its address. Behind a proxy that is everyone's: say `None` then.
    fn source(&mut self, peer: SocketAddr) -> Option<Source> {
        Some(Source::from(peer.ip()))
    }

    /// A connection was admitted by [`Verdict::Admit`]. Replies made here are its first frames.
    fn admitted(&mut self, context: &mut Context<'_>, conn: ConnId, admitted: Admitted) {
        let _ = (context, conn, admitted);
    }

    /// A whole data message, at most `limits.message_bytes` long; another configuration
    /// ([`Registry::reload`]) holds from the next frame on. On a connection that is still
    /// pending too (after [`Verdict::Pending`]): authenticate it with
    /// [`Registry::connect`], or close it with [`Registry::close`].
    ///
    /// One [`reply`](Context::reply) to it is sure to fit, if it is as long as
    /// `outbound.reply_reserve` at most. What it says beyond that may be answered with `Full`.
    ///
    /// An answer that needs a file, a network or another thread is [`Outcome::Later`].
    fn message(&mut self, context: &mut Context<'_>, conn: ConnId, payload: Payload<'_>)
    -> Outcome;

    /// The same message once more: it was answered [`Outcome::Later`], and
    /// [`Handle::authenticate_again`](crate::Handle::authenticate_again) was called since. On a
    /// connection that is closing by now it is not called.
    ///
    /// By default [`message`](Self::message).
    fn message_again(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        self.message(context, conn, payload)
    }

    /// A data message was dropped because the connection sends more than `limits.message_rate`. If
    /// that goes on, the registry closes it. A ping that is too many gets no pong, and the handler is
    /// not told.
    ///
    /// By default the client is not told.
    fn rate_limited(&mut self, context: &mut Context<'_>, conn: ConnId) {
        let _ = (context, conn);
    }

    /// In which dialect a connection reads a stream: [`encode`](Self::encode) and its kin are called at
    /// most once for each dialect among the recipients of an action, and those that share one share its
    /// bytes. Asked for each recipient: O(1), please, and the same answer for as long as a client may
    /// compare what it reads. What is told to everyone, such as a drain, is of [`StreamRef::Everyone`];
    /// direct messages are not asked about.
    ///
    /// By default all read the same one.
    fn dialect(&self, conn: ConnId, stream: StreamRef<'_>) -> Dialect {
        let _ = (conn, stream);
        Dialect::default()
    }

    /// Appends the payload of a message's WebSocket frame to `out`: called once for each
    /// [`dialect`](Self::dialect) among its recipients, however many they are. A [`FrameKind::Text`] payload
    /// must be UTF-8.
    ///
    /// Not called for direct messages, which are replies and what is sent to a
    /// [`Target::Conn`](headcount::Target::Conn): the payload of such a message is the payload of its frame
    /// as it is.
    ///
    /// `out` may hold other frames already. It can only be appended to, and all that is appended is this
    /// payload. `put_slice` appends bytes, and `out.writer()` is an [`std::io::Write`], for `write!` and
    /// serializers.
    ///
    /// The default appends the payload unchanged. For an event of a run that omits the run and the kind
    /// of the event: override it if you use runs.
    fn encode(
        &mut self,
        dialect: Dialect,
        stream: StreamRef<'_>,
        position: Option<Position>,
        body: Body<'_>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        let _ = (dialect, stream, position);
        out.put_slice(body.as_bytes());
        if body.is_text() { FrameKind::Text } else { FrameKind::Binary }
    }

    /// Appends the payload of the frame that tells a client that the entries `from..=to` of a
    /// stream are lost for it.
    fn encode_gap(
        &mut self,
        dialect: Dialect,
        stream: StreamRef<'_>,
        from: u64,
        to: u64,
        out: &mut impl BufMut,
    ) -> FrameKind;

    /// Appends the payload of the frame that tells a client that it follows a session no more, by no wish of
    /// its own.
    ///
    /// The default appends nothing: an empty text message. Override it if connections follow more than one
    /// session each ([`Registry::follow`]): others are never told this.
    fn encode_left(
        &mut self,
        dialect: Dialect,
        session: SessionId,
        reason: CloseReason,
        out: &mut impl BufMut,
    ) -> FrameKind {
        let _ = (dialect, session, reason, out);
        FrameKind::Text
    }

    /// Appends the payload of the frame that tells clients to reconnect elsewhere, each after a
    /// delay that it picks from the range.
    fn encode_draining(
        &mut self,
        dialect: Dialect,
        within: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind;

    /// A fact for logs and metrics. At most `notices` of them wait for the end of a turn; further
    /// ones are lost and counted.
    fn notice(&mut self, context: &Context<'_>, notice: Notice) {
        let _ = (context, notice);
    }

    /// The journal can't be written on ([`Server::journal`](crate::Server::journal)): it ends here.
    fn journal_failed(&mut self, error: std::io::Error) {
        let _ = error;
    }

    /// The process got SIGHUP, and the options say that signals are the server's
    /// ([`Options::signals`](crate::Options::signals)). Several that come at once may be told as one.
    ///
    /// `was_ignored`: SIGHUP was ignored when the server was bound, because the process was started so,
    /// as `nohup` does. It asks for a process that does not end with its terminal, and says nothing
    /// about other uses of the signal. Known on Linux only.
    ///
    /// By default the server stops, as on SIGTERM, unless it was ignored.
    fn hang_up(&mut self, was_ignored: bool) -> HangUp {
        if was_ignored { HangUp::GoOn } else { HangUp::Stop }
    }

    /// A connection or a session is gone: exactly once for each, and nothing names it again.
    ///
    /// Connections that never came as far as [`authenticate`](Self::authenticate) are among them.
    fn cleanup(&mut self, what: Ended, reason: CloseReason) {
        let _ = (what, reason);
    }

    /// A user is online now, or is so no more: [`Action::Presence`](headcount::Action::Presence), for a
    /// server with [`with_presence`](headcount::ConfigBuilder::with_presence). By default nothing happens.
    ///
    /// The registry may be called: what is sent here is handed out later in the same turn.
    fn presence(&mut self, context: &mut Context<'_>, user: &UserId, online: bool) {
        let _ = (context, user, online);
    }
}

/// One of the forms in which the same message is written, as a number that the application gives it:
/// a version of its protocol, or a name that a stream has for some of its readers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect(pub u8);

/// What a SIGHUP does to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// It stops, as on SIGTERM: it drains, and a second signal ends it at once.
    Stop,
    /// It goes on.
    GoOn,
}

/// What the application may use in a turn of the loop: the registry, and the time.
///
/// Everything of the registry may be called except its `poll_` methods and the facts that only the
/// loop knows: actions are carried out, and sockets are reported, by the loop.
#[derive(Debug)]
#[non_exhaustive]
pub struct Context<'a> {
    /// The registry.
    pub registry: &'a mut Registry,
    /// The stamp of this turn, which all its calls share.
    pub now: Timestamp,
    /// Where the frames of this turn are written.
    pub(crate) output: &'a mut TurnOutput,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(
        registry: &'a mut Registry,
        now: Timestamp,
        output: &'a mut TurnOutput,
    ) -> Self {
        Self { registry, now, output }
    }

    /// Sends one connection a frame with this payload, as it is, before what streams have for it:
    /// [`Registry::reply`] at the stamp of the turn. To the connection whose message is at hand it is the
    /// cheaper [`Registry::reply_at_once`], and allocates nothing.
    ///
    /// # Errors
    /// [`ReplyError::Full`]: window and reserve have no room, and nothing of it is kept.
    /// [`ReplyError::UnknownConn`]: the connection has ended or is closing, or the handle is dead.
    pub fn reply<'p>(
        &mut self,
        conn: ConnId,
        payload: impl Into<Payload<'p>>,
    ) -> Result<(), ReplyError> {
        let payload = payload.into();
        let bytes = payload.bytes();
        if self.output.takes_replies_to(conn)
            && self.registry.reply_at_once(self.now, conn, bytes.len())?
        {
            let cost = bytes.len() as u64 + MESSAGE_OVERHEAD;
            self.output.data(matches!(payload, Payload::Text(_)), bytes, cost);
            return Ok(());
        }
        let message = match payload {
            Payload::Text(text) => Message::text(text),
            Payload::Binary(bytes) => Message::binary(bytes.to_vec()),
        };
        self.registry.reply(self.now, conn, message)
    }
}

/// What a data message says, of a client or to one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl Payload<'_> {
    /// What it says, whether it is text or not.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// Shows the length only: payloads are personal data.
impl std::fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Self::Text(_) => "Text",
            Self::Binary(_) => "Binary",
        };
        f.debug_struct(kind).field("bytes", &self.bytes().len()).finish()
    }
}

/// What became of a message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was dealt with.
    Done,
    /// It can't be dealt with yet: what that takes, such as a key that another thread fetches, is on its
    /// way. The message waits until
    /// [`Handle::authenticate_again`](crate::Handle::authenticate_again) has
    /// [`Handler::message_again`] called with it.
    ///
    /// Meanwhile the connection goes on: it gets what is sent to it, its pings are answered, and its
    /// pongs count. Its next data message waits behind this one, and nothing of its socket is read
    /// after that. So what one connection makes wait is two messages of `limits.message_bytes`, and
    /// what is bounded for each connection in any case. A pending connection that has
    /// waited when `session.auth_deadline` is over is closed with 1013, because it has said who it is in
    /// time. Other connections have no deadline for this: call `authenticate_again` in any case, also
    /// when what they wait for will not come.
    Later,
}

/// What kind of message a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Text: the payload is UTF-8.
    Text,
    /// Binary.
    Binary,
}

/// What the authenticator says of an upgrade request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Upgrade it as this principal, if the registry admits it.
    Admit {
        /// The principal.
        who: Principal,
        /// Where it begins in the session of the principal's thread.
        start: Start,
        /// The connection that the client says it had, which it takes over; `None` if it names none.
        previous: Option<ConnId>,
    },
    /// Upgrade it; its first message must say who it is, within `session.auth_deadline`.
    Pending,
    /// It can't be decided yet: what decides it, such as a key that another thread fetches, is on its
    /// way. The request waits until [`Handle::authenticate_again`](crate::Handle::authenticate_again)
    /// has [`Handler::authenticate`] called with it once more; then
    /// [`Request::has_waited`](crate::Request::has_waited) is true.
    ///
    /// Meanwhile it is a pending connection of the registry, which is told that it was upgraded: it
    /// has a place of `limits.pending`, and `session.auth_deadline` runs from the first time. When that
    /// is over, or its place is needed, or the server stops, the client is answered 503 with
    /// `Retry-After`, or in band as [`Options::refuse_in_band`](crate::Options::refuse_in_band) says.
    /// Of its socket no more is read, and a client that hangs up is gone. It costs its request head, of
    /// `limits.head_bytes` at most, and up to 4 KiB of frames that came in right behind it: one that
    /// has sent more before it was answered is refused with 400.
    Later,
    /// Don't upgrade it: answer this.
    Refuse(Answer),
}

fn default_refusal(refused: Refused) -> Answer {
    let status = match refused {
        Refused::ConnectionsPerUser { .. }
        | Refused::StreamsPerUser { .. }
        | Refused::SessionsPerUser { .. }
        | Refused::RateOfUser { .. } => 429,
        _ => 503,
    };
    Answer::json(status, refused.name(), &refused.to_string())
        .retry_after(refused.retry_after())
        .closes_with(refused.close_reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_whose_limit_it_was_and_when_to_come_back() {
        let text = |refused| String::from_utf8(default_refusal(refused).to_bytes(true)).unwrap();
        let rate = text(Refused::Rate { retry_after: Duration::from_millis(1_500) });
        assert!(rate.starts_with("HTTP/1.1 503 ") && rate.contains("Retry-After: 2\r\n"));
        let own = text(Refused::ConnectionsPerUser { retry_after: Duration::from_secs(3) });
        assert!(own.starts_with("HTTP/1.1 429 ") && own.contains("Retry-After: 3\r\n"));
        // At once would be a loop.
        let policy = text(Refused::SessionsPerUser { retry_after: Duration::ZERO });
        assert!(policy.contains("Retry-After: 1\r\n"));
        let full = text(Refused::Users);
        assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("Retry-After: 5\r\n"));
    }
}
