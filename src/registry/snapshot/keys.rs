//! Whether what a snapshot names is there: nothing is looked up by a key before that is known.

use crate::action::Ended;
use crate::conn::ConnKey;
use crate::registry::Registry;
use crate::registry::owned_action::OwnedAction;
use crate::session::SessionKey;
use crate::store::SlotKey;
use crate::stream::Owner;

impl Registry {
    /// Whether each key in a record is that of a record. The keys of queues were looked at when these were
    /// filled. A key that is only compared may name a record that is gone: that of a user who is left out, of
    /// a run that a late reader asked for, of the stream of a session that has ended.
    pub(super) fn keys_are_known(&self) -> bool {
        self.conns_are_known()
            && self.sessions_are_known()
            && self.streams_are_known()
            && self.outbox_is_known()
            && self.to_trim.is_none_or(|stream| self.streams.get(stream).is_some())
    }

    fn conns_are_known(&self) -> bool {
        self.conns.iter().all(|(_, hot, cold)| {
            let mut sessions = cold.sessions().iter();
            hot.user.is_none_or(|user| self.sessions.peek_user(user).is_some())
                && sessions.all(|session| self.sessions.peek(*session).is_some())
                && cold.memberships.iter().all(|membership| {
                    let stream = self.streams.get(membership.stream);
                    stream.is_some_and(|stream| {
                        stream.members.get(membership.index as usize).is_some()
                    })
                })
        })
    }

    fn sessions_are_known(&self) -> bool {
        let sessions = self.sessions.iter().all(|(_, session)| {
            self.sessions.peek_user(session.user).is_some()
                && (session.ended || self.streams.get(session.stream).is_some())
        });
        let runs = self.runs.iter().all(|(_, run)| {
            self.sessions.peek_user(run.user).is_some() && self.sessions.peek(run.session).is_some()
        });
        let rooms = self.rooms.iter().all(|(_, room)| self.streams.get(room.stream).is_some());
        sessions && runs && rooms && self.sessions.tenants_are_known()
    }

    fn streams_are_known(&self) -> bool {
        self.streams.iter().all(|(_, stream)| {
            let owner = match stream.owner {
                Owner::Session(session) => self.sessions.peek(session).is_some(),
                Owner::Room(room) => self.rooms.peek(room).is_some(),
            };
            let mut members = stream.members.iter();
            let mut groups = stream.log.iter().filter_map(|entry| entry.group());
            owner
                && members.all(|member| self.conns.get(member.conn).is_some())
                && groups.all(|group| self.runs.peek(group.key).is_some())
        })
    }

    /// What is to be cleaned up has to be there, for its slot is given back then.
    fn outbox_is_known(&self) -> bool {
        self.outbox.iter().all(|item| match item {
            OwnedAction::Cleanup { what: Ended::Conn(conn), .. } => {
                self.conns.resolve(*conn).is_some()
            }
            OwnedAction::Cleanup { what: Ended::Session(session), .. } => {
                let key = SessionKey::try_of_slot(session.index());
                let record = key.and_then(|key| self.sessions.peek(key));
                record.is_some_and(|record| record.serial == session.serial() && record.ended)
            }
            item => {
                item.charge().is_none_or(|(conn, _)| ConnKey::try_of_slot(conn.index()).is_some())
            }
        })
    }
}
