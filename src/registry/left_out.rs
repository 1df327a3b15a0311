//! The exceptions of messages, resolved to what the registry knows of them.

use crate::conn::ConnKey;
use crate::except::{Candidate, Except, LeftOut};
use crate::id::ConnId;
use crate::stream::{Owner, StreamKey};

use super::Registry;

impl Registry {
    /// A connection as one that an entry may leave out.
    pub(super) fn candidate(&self, slot: ConnKey) -> Candidate<'_> {
        Candidate { slot, conns: &self.conns, sessions: &self.sessions }
    }

    /// The exception of a message; `None` if the sender is not known, or has no session or user to leave out.
    pub(super) fn left_out(&self, except: Except) -> Option<LeftOut> {
        Some(match except {
            Except::Connection(conn) => LeftOut::Connection(conn),
            Except::Session(conn) => {
                LeftOut::Session(self.first_session_id(self.conns.resolve(conn)?)?)
            }
            Except::User(conn) => {
                let user = self.conns.hot(self.conns.resolve(conn)?).user?;
                LeftOut::User(self.sessions.tag(user))
            }
        })
    }

    pub(super) fn leaves_out(&self, left_out: Option<LeftOut>, conn: ConnId) -> bool {
        let slot = self.conns.resolve(conn).filter(|_| left_out.is_some());
        slot.zip(left_out).is_some_and(|(slot, left_out)| self.candidate(slot).is(left_out))
    }

    /// The open connections that a message leaves out now.
    pub(super) fn open_left_out(&self, left_out: LeftOut) -> impl Iterator<Item = ConnKey> + '_ {
        let (mut one, mut followers, mut of_user) = (None, None, None);
        match left_out {
            LeftOut::Connection(conn) => one = self.open_slot(conn),
            LeftOut::Session(session) => followers = self.sessions.resolve(session),
            LeftOut::User(tag) => of_user = Some(tag.user),
        }
        let followers = followers.map(|session| &self.streams[self.sessions.get(session).stream]);
        let followers = followers.into_iter().flat_map(|stream| stream.members.iter());
        let of_user = of_user.into_iter();
        let of_user = of_user.flat_map(|user| self.sessions.user(user).connections(&self.conns));
        one.into_iter().chain(followers.map(|member| member.conn)).chain(of_user)
    }

    /// How many members of a stream a message leaves out now: those that are live, and those that are
    /// behind.
    pub(super) fn members_left_out(&self, key: StreamKey, left_out: LeftOut) -> (u32, u32) {
        let stream = &self.streams[key];
        // All that follow a session are its user's.
        if let (Owner::Session(owner), LeftOut::User(tag)) = (stream.owner, left_out) {
            let is_theirs = self.sessions.get(owner).user == tag.user;
            let live = stream.members.len() as u32 - stream.lagging;
            return if is_theirs { (live, stream.lagging) } else { (0, 0) };
        }
        let (mut live, mut behind) = (0, 0);
        for slot in self.open_left_out(left_out) {
            match self.conns.membership(slot, key) {
                Some(it) if stream.members[it.index as usize].lagging => behind += 1,
                Some(_) => live += 1,
                None => {}
            }
        }
        (live, behind)
    }
}
