//! Whom messages leave out.

use headcount::{ConnId, Except, SessionId};

use super::Model;
use super::names::Name;

/// Whom an entry leaves out. A user who was forgotten and comes back is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LeftOut {
    Connection(ConnId),
    Session(SessionId),
    User(User),
}

/// A user, and how often it was forgotten before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct User {
    pub(crate) number: Name,
    pub(crate) forgotten: u64,
}

/// Who a connection is for those who leave someone out.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Who {
    pub(crate) conn: ConnId,
    pub(crate) user: Option<User>,
    pub(crate) sessions: Vec<SessionId>,
}

impl Who {
    pub(crate) fn is(&self, left_out: Option<LeftOut>) -> bool {
        match left_out {
            Some(LeftOut::Connection(conn)) => self.conn == conn,
            Some(LeftOut::Session(session)) => self.sessions.contains(&session),
            Some(LeftOut::User(user)) => self.user == Some(user),
            None => false,
        }
    }

    /// Whether it was left out as the user that it was before it was forgotten.
    pub(crate) fn was(&self, left_out: Option<LeftOut>) -> bool {
        let Some(LeftOut::User(before)) = left_out else { return false };
        self.user.is_some_and(|now| now.number == before.number && now != before)
    }
}

impl Model {
    /// Who a connection is now; one that is not known is nobody.
    pub(crate) fn who(&self, id: ConnId) -> Who {
        let conn = self.conns.get(&id);
        let sessions = conn.map(|conn| conn.sessions.clone()).unwrap_or_default();
        Who { conn: id, user: self.user_as_known(id), sessions }
    }

    /// Whose a connection is. Its user is not forgotten before its `Cleanup`.
    fn user_as_known(&self, id: ConnId) -> Option<User> {
        let number = self.conns.get(&id)?.user()?;
        let forgotten = self.forgotten.get(&number).copied().unwrap_or_default();
        Some(User { number, forgotten })
    }

    /// Whom a message leaves out.
    pub(crate) fn left_out(&self, except: Except) -> Option<LeftOut> {
        Some(match except {
            Except::Connection(id) => LeftOut::Connection(id),
            Except::Session(id) => LeftOut::Session(self.conns.get(&id)?.session()?),
            Except::User(id) => LeftOut::User(self.user_as_known(id)?),
        })
    }

    /// What a connection follows has changed: in each of its streams it is another one for those who leave
    /// someone out.
    pub(crate) fn share_sessions(&mut self, id: ConnId) {
        let who = self.who(id);
        for source in self.conns[&id].streams.clone() {
            self.seat_mut(id, &source).who = who.clone();
        }
    }
}
