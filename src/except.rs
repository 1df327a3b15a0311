//! Whom a message leaves out: as the caller names them, and as an entry of a log remembers them.

use crate::conn::{ConnKey, Conns};
use crate::id::{ConnId, SessionId};
use crate::message::Message;
use crate::session::{SessionKey, Sessions, UserTag};
use crate::store::SlotKey;

/// Whom a message leaves out, by the connection of its sender: what the `except_` methods of [`Message`]
/// make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Except {
    /// See [`Message::except_connection`].
    Connection(ConnId),
    /// See [`Message::except_session`].
    Session(ConnId),
    /// See [`Message::except_user`].
    User(ConnId),
}

/// A message, and whom it leaves out: what [`Registry::send`](crate::Registry::send) takes. A [`Message`]
/// becomes one that leaves nobody out, and its `except_` methods make the others.
///
/// It has no such methods itself, so that a message leaves out what one call says, and a second call
/// can't take the place of the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    pub(crate) message: Message,
    pub(crate) except: Option<Except>,
}

/// It leaves nobody out.
impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        Self { message, except: None }
    }
}

impl Message {
    /// Leaves out one connection: the sender, who does not want its own message back. A later resume of
    /// another connection, also of the same client, does get it.
    ///
    /// This and the other two hold for messages of any class and to any target; the class is set before.
    /// What a connection is left out of is not counted in [`Delivery`](crate::Delivery). A connection that
    /// lags passes over it, and is not told of it as lost while the log keeps it. Once the log has let it
    /// go, a gap tells those whom it left out of it, too: the log does not remember whom that was. A
    /// connection whose `Cleanup` was polled, or that never was, leaves nobody out.
    ///
    /// The latest of a key takes the place of the one before also for those whom it leaves out. What they
    /// have not been handed of the earlier one by then they never are, and nothing is told as lost: leave
    /// out only those who know the newer one.
    #[must_use]
    pub const fn except_connection(self, sender: ConnId) -> Outgoing {
        Outgoing { message: self, except: Some(Except::Connection(sender)) }
    }

    /// Leaves out the connections that follow the session of a sender: all tabs of one chat, while the
    /// user's other chats get the message. The session is the one that the sender follows longest at the
    /// call, as for [`Target::SessionOf`](crate::Target::SessionOf), or followed longest when it began to
    /// close. One that follows none leaves nobody out.
    ///
    /// A connection is left out if it follows the session when its turn comes: also one that came to
    /// follow it after the call, or that resumes. One that follows it no more gets the message, and once the
    /// session has ended so do all. [`except_connection`](Self::except_connection) says what else holds.
    #[must_use]
    pub const fn except_session(self, sender: ConnId) -> Outgoing {
        Outgoing { message: self, except: Some(Except::Session(sender)) }
    }

    /// Leaves out all connections of the sender's user: those that are open, and those that come later or
    /// resume. A sender that was not admitted leaves nobody out.
    ///
    /// This holds as long as the user has a session that has not ended, an open connection, or the grace
    /// that presence gives. Then the registry forgets who it was: if the user comes back, what a room
    /// still keeps of before is for the user as for any newcomer. No other user is ever left out.
    /// [`except_connection`](Self::except_connection) says what else holds.
    #[must_use]
    pub const fn except_user(self, sender: ConnId) -> Outgoing {
        Outgoing { message: self, except: Some(Except::User(sender)) }
    }
}

/// Whom an entry leaves out. It was made once, in the call that sent the message, and holds no name: each
/// is told apart from who has its slot later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum LeftOut {
    Connection(ConnId),
    Session(SessionId),
    User(UserTag),
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
