//! What the application brings: [`Handler`].

use headcount::{
    Action, Admitted, Body, CloseReason, ConnId, Ended, Message, Notice, Registry, StreamRef,
    Timestamp, UserId,
};

/// The application: what messages mean, and what frames look like.
///
/// All methods run in the hub's task, and all connections wait meanwhile: spawn a task for slow work, and
/// come back through a [`Handle`](crate::Handle). They are lent the registry, and the stamp of the turn.
///
/// Some calls of the registry are the hub's own: the `poll_` methods, `tick` and `advance`; what sockets
/// report, which is `upgraded`, `message`, `flushed` and `disconnect`; `reply_at_once`, for the hub writes
/// later; and `admit` and `reserve`, whose connections would have no socket
/// ([`Handle::admit`](crate::Handle::admit)).
///
/// A panic of a method ends the hub: all sockets end, and newcomers are refused. Watch the task of
/// [`Hub::run`](crate::Hub::run), as the example `axum_chat` does.
#[allow(unused_variables)] // What the defaults do not use.
pub trait Handler: Send + 'static {
    /// A connection was admitted. What is sent to it here are its first frames.
    fn admitted(
        &mut self,
        registry: &mut Registry,
        now: Timestamp,
        conn: ConnId,
        admitted: Admitted,
    ) {
    }

    /// A data message, at most `limits.message_bytes` long. On a connection that is still pending, too
    /// ([`Handle::reserve`](crate::Handle::reserve)): authenticate it with [`Registry::connect`], or close it
    /// with [`Registry::close`].
    ///
    /// One [`reply`](Registry::reply) to it is sure to fit, if it is as long as `outbound.reply_reserve` at
    /// most.
    fn message(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, message: Message);

    /// A data message was dropped because the connection sends more than `limits.message_rate`. If that goes
    /// on, the registry closes it. By default the client is not told.
    fn rate_limited(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId) {}

    /// In which dialect a connection reads a stream. Asked for each recipient: O(1), please, and the same
    /// answer for as long as a client may compare what it reads. What is told to everyone is of
    /// [`StreamRef::Everyone`]. By default all read the same one.
    fn dialect(&self, conn: ConnId, stream: StreamRef<'_>) -> Dialect {
        Dialect::default()
    }

    /// The frame that an action becomes: a `Send`, a `Gap`, a `Draining` or a `Left`. Called once for each
    /// [`dialect`](Self::dialect) among its recipients, and those that share one share its bytes. Not
    /// called for direct messages, which are replies and what is sent to a
    /// [`Target::Conn`](headcount::Target::Conn): those go out as they are.
    ///
    /// [`payload`] makes the frame of a `Send` without a change.
    fn encode(&mut self, dialect: Dialect, action: &Action<'_>) -> Message;

    /// A fact for logs and metrics. At most `notices` of them wait for the end of a turn; further ones are
    /// lost and counted.
    fn notice(&mut self, registry: &Registry, notice: Notice) {}

    /// A connection or a session is gone: exactly once for each, and nothing names it again.
    fn cleanup(&mut self, what: Ended, reason: CloseReason) {}

    /// A user is online now, or is so no more: [`Action::Presence`], for a registry with
    /// [`with_presence`](headcount::ConfigBuilder::with_presence). By default nothing happens.
    fn presence(&mut self, registry: &mut Registry, now: Timestamp, user: &UserId, online: bool) {}
}

/// One of the forms in which the same message is written, as a number that the application gives it: a
/// version of its protocol, or a name that a stream has for some of its readers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect(pub u8);

/// What a `Send` carries, as a frame: a message of the application without a copy; of a run's event or text
/// the payload alone.
#[must_use]
pub fn payload(body: Body<'_>) -> Message {
    match body {
        Body::Message(message) => message.clone(),
        Body::Run(fact) => Message::from_utf8(fact.payload.clone())
            .unwrap_or_else(|_| Message::binary(fact.payload.clone())),
        Body::Text(text) => Message::text(text.text),
    }
}
