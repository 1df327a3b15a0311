//! The exception of a message: as the caller names it, and as an entry of a log remembers it.

use crate::conn::{ConnKey, Conns};
use crate::id::{ConnId, SessionId};
use crate::message::Message;
use crate::session::{SessionKey, Sessions, UserKey, UserTag};
use crate::snapshot::encoded;
use crate::store::SlotKey;

/// Which connections a message leaves out, named by the connection of its sender. The `except_` methods of
/// [`Message`] make it.
///
/// ```
/// # use headcount::*;
/// /// The senders that a message leaves out, in the order of the calls.
/// #[derive(Default)]
/// struct Senders(Vec<ConnId>);
///
/// impl Tap for Senders {
///     fn input(&mut self, _: Timestamp, input: Input<'_>) {
///         if let Input::Send { except: Some(Except::Connection(sender)), .. } = input {
///             self.0.push(sender);
///         }
///     }
///
///     fn polled(&mut self, _: Option<&Action<'_>>) {}
/// }
///
/// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
/// # let (conn, _) = registry.admit(now, Principal::new("alice".parse()?), Start::Now, None)?;
/// registry.set_tap(Some(Box::new(Senders::default())));
/// registry.send(now, Target::Everyone, Message::text("I am here").except_connection(conn));
/// assert_eq!(registry.tap::<Senders>().map(|senders| &*senders.0), Some(&[conn][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Except {
    /// See [`Message::except_connection`].
    Connection(ConnId),
    /// See [`Message::except_session`].
    Session(ConnId),
    /// See [`Message::except_user`].
    User(ConnId),
}

/// A message with its exception, if it has one: what [`Registry::send`](crate::Registry::send) takes. A
/// [`Message`] converts into one without an exception. Its `except_` methods make those with one.
///
/// It has no such methods itself: a second exception for one message does not compile, and so it can't take
/// the place of the first. [`Message::except_connection`](crate::Message::except_connection) has an
/// example.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    pub(crate) message: Message,
    pub(crate) except: Option<Except>,
}

/// The message has no exception.
impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        Self { message, except: None }
    }
}

impl Message {
    /// Leaves out one connection: the sender, who does not want its own message back. A later resume of
    /// another connection, also of the same client, does get it.
    ///
    /// All three exceptions hold for messages of any class and to any target; the class is set before.
    /// [`Delivery`](crate::Delivery) does not count connections that are left out. A connection that lags
    /// passes over the message, and is not told of it as lost while the log keeps it. Once the log has let
    /// the message go, a gap is told to all that lack it: the log does not remember the exception. If the
    /// `Cleanup` of the sender was polled, or the registry never made the handle, the exception does nothing.
    ///
    /// The latest of a key takes the place of the one before also for connections that it leaves out. If
    /// such a connection was not handed the earlier one by then, it never is, and nothing is told as
    /// lost: leave out only connections that know the newer one.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let room = RoomId::new("lobby")?;
    /// # let mut conns = Vec::new();
    /// # for user in ["alice", "bob"] {
    /// #     let (conn, _) = registry.admit(now, Principal::new(user.parse()?), Start::Now, None)?;
    /// #     registry.join(now, conn, &room, Start::Now)?;
    /// #     conns.push(conn);
    /// # }
    /// let (alice, bob) = (conns[0], conns[1]);
    /// let hello = Message::text("hello").except_connection(alice);
    /// assert_eq!(registry.send(now, Target::Room(&room), hello).live, 1);
    /// assert!(matches!(registry.poll_action(), Some(Action::Send { to, .. }) if to == [bob]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn except_connection(self, sender: ConnId) -> Outgoing {
        Outgoing { message: self, except: Some(Except::Connection(sender)) }
    }

    /// Leaves out the connections that follow the session of a sender: all tabs of one chat, while the
    /// user's other chats get the message. The session is the one that the sender follows longest at the
    /// call, as for [`Target::SessionOf`](crate::Target::SessionOf), or that it followed longest when it
    /// began to close. If the sender follows none, the exception does nothing.
    ///
    /// A connection is left out if it follows the session when its turn comes: also one that came to follow
    /// it after the call, or that resumes. A connection that follows it no more gets the message, and once
    /// the session has ended all do. [`except_connection`](Self::except_connection) says what else holds.
    #[must_use]
    pub const fn except_session(self, sender: ConnId) -> Outgoing {
        Outgoing { message: self, except: Some(Except::Session(sender)) }
    }

    /// Leaves out all connections of the sender's user: those that are open, and those that come later or
    /// resume. If the sender was not admitted, the exception does nothing.
    ///
    /// The user is left out as long as it has a session, a connection, the grace that presence gives, or a
    /// change of presence that was not polled. A session that has ended and a connection that closes count
    /// until their `Cleanup` is polled. A connection that is taken over, or makes room for another one of its
    /// user, changes nothing. Without all of these the registry forgets the user: when it comes back, it gets
    /// what a room still keeps of before. No other user is ever left out.
    /// [`except_connection`](Self::except_connection) says what else holds.
    #[must_use]
    pub const fn except_user(self, sender: ConnId) -> Outgoing {
        Outgoing { message: self, except: Some(Except::User(sender)) }
    }
}

/// The connections that an entry leaves out. The call that sent the message made it once. It holds no name: a
/// serial tells a connection, a session and a user's record from later ones in the same slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum LeftOut {
    Connection(ConnId),
    Session(SessionId),
    User(UserTag),
}

encoded! { enum LeftOut { 0 = Connection(conn), 1 = Session(session), 2 = User(tag) } }

impl LeftOut {
    /// The user of all connections that may be left out; `None`: none is.
    pub(crate) fn user(self, conns: &Conns, sessions: &Sessions) -> Option<UserKey> {
        match self {
            Self::Connection(conn) => conns.hot(conns.resolve(conn)?).user,
            Self::Session(session) => Some(sessions.get(sessions.resolve(session)?).user),
            Self::User(tag) => Some(tag.user),
        }
    }
}

/// A connection that may be left out of an entry.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) slot: ConnKey,
    pub(crate) conns: &'a Conns,
    pub(crate) sessions: &'a Sessions,
}

impl Candidate<'_> {
    /// Costs O(1), and for other connections of the user of a session O(the sessions that it follows).
    pub(crate) fn is(&self, left_out: LeftOut) -> bool {
        let Self { slot, conns, sessions } = *self;
        match left_out {
            LeftOut::Connection(conn) => conns.id(slot) == conn,
            LeftOut::Session(session) => {
                let key = SessionKey::try_of_slot(session.index());
                let record = key.and_then(|key| Some((key, sessions.peek(key)?)));
                // The user first: the sessions that a connection follows are in its cold part.
                record.is_some_and(|(key, record)| {
                    record.serial == session.serial()
                        && conns.hot(slot).user == Some(record.user)
                        && conns.sessions(slot).contains(&key)
                })
            }
            LeftOut::User(tag) => {
                let user = conns.hot(slot).user;
                user == Some(tag.user) && sessions.tag(tag.user) == tag
            }
        }
    }
}
