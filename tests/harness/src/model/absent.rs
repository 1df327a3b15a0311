//! What is absent and makes room for a newcomer, in the order in which it came to be: sessions that
//! linger without an open run, users without connections of whom all sessions do, rooms without members.

use std::collections::BTreeSet;

use headcount::{ConnId, Notice, Refused, RoomEnd, SessionEnd, SessionId};

use super::names::Name;
use super::tally::End;
use super::{Model, keep};
use crate::seen::Source;

/// Those that are absent longest are first.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Absent {
    pub(crate) sessions: Vec<SessionId>,
    users: Vec<Name>,
    rooms: Vec<Source>,
}

impl Model {
    /// Looks whether a user is absent, and its sessions, after each change of one.
    pub(crate) fn note_user(&mut self, user: Name) {
        let sessions = self.sessions_of(user);
        for id in sessions.iter().copied() {
            let is_left = self.is_left(id);
            keep(&mut self.absent.sessions, id, is_left);
        }
        let is_here = self.open_of.contains_key(&user)
            || sessions.iter().any(|id| !self.is_left(*id))
            || self.held == Some(user);
        let is_absent = !is_here && self.is_user(user);
        keep(&mut self.absent.users, user, is_absent);
        self.note_tenant_of(user);
    }

    /// Looks whether a room is absent, or the user of a session, after each change of one.
    pub(crate) fn note_absent(&mut self, source: &Source) {
        if let Some(user) = self.user_of(source) {
            return self.note_user(user);
        }
        let is_empty = self.streams.get(source).is_some_and(|room| room.seats.is_empty());
        keep(&mut self.absent.rooms, source.clone(), is_empty);
    }

    /// Whether a newcomer finds a place, perhaps with a new session, if everything that is absent goes, once
    /// a session has been released and these connections have closed.
    pub(crate) fn has_place(
        &self,
        (user, tenant, creates): (Name, Option<Name>, bool),
        (follows, release): (Option<SessionId>, Option<SessionId>),
        closes: &[ConnId],
    ) -> Result<(), Refused> {
        let config = &self.config;
        let followed = closes.iter().flat_map(|id| self.conns[id].sessions.iter().copied());
        let left_behind = followed.filter(|id| {
            let members = self.members(&Source::Session(*id));
            members.iter().all(|id| closes.contains(id)) && self.open_runs(*id).next().is_none()
        });
        let left_behind: Vec<_> = left_behind.collect();
        let mut may_go: BTreeSet<_> = self.absent.sessions.iter().copied().collect();
        may_go.extend(left_behind.iter().copied());
        may_go.extend(release);
        let stay = self.users().len() - self.absent.users.len();
        if !self.is_user(user) && stay >= config.users() as usize {
            return Err(Refused::Users);
        }
        let places = (config.users() + config.closing()) as usize;
        if !self.counts(user) && self.counted_users().len() >= places {
            return Err(Refused::Users);
        }
        self.has_place_in_tenant((tenant, user, creates), (follows, release), &left_behind)?;
        if !creates {
            return Ok(());
        }
        let stay = self.going().count() - may_go.len();
        let records = config.sessions() as usize + config.closing() as usize;
        if stay >= config.sessions() as usize || self.sessions.len() >= records {
            return Err(Refused::Sessions);
        }
        Ok(())
    }

    /// As many of the absent go as are too many with a newcomer, who is counted already, with a new session
    /// or without.
    pub(crate) fn send_away(
        &mut self,
        (user, tenant): (Name, Option<Name>),
        (is_new, follows, creates): (bool, Option<SessionId>, bool),
    ) {
        while is_new && self.users().len() > self.config.users() as usize {
            let Some(user) = self.absent.users.first().copied() else { break };
            self.marks.hit("an absent user made room");
            let waited = self.end_leave_grace(user);
            self.marks.hit_if(waited, "a user in the leave grace made room");
            for id in self.sessions_of(user) {
                self.end_session(id, SessionEnd::MadeRoom);
            }
        }
        self.send_away_of_tenant(tenant, user, (follows, creates));
        while creates && self.going().count() >= self.config.sessions() as usize {
            let Some(first) = self.absent.sessions.first().copied() else { break };
            self.marks.hit("a session made room for another user's");
            self.end_session(first, SessionEnd::MadeRoom);
        }
    }

    /// Whether another room finds a place if all empty ones go.
    pub(crate) fn has_place_for_room(&self) -> bool {
        self.rooms().count() - self.absent.rooms.len() < self.config.rooms() as usize
    }

    /// As many empty rooms go as are one too many with a new one.
    pub(crate) fn send_away_rooms(&mut self) {
        while self.rooms().count() >= self.config.rooms() as usize {
            let Some(first) = self.absent.rooms.first().cloned() else { break };
            self.marks.hit("a room made room");
            self.end_room(&first, RoomEnd::MadeRoom);
        }
    }

    /// Rooms without members that keep nothing any more end, those first that have been empty longest.
    pub(crate) fn end_empty_rooms(&mut self, why: RoomEnd) {
        for room in self.absent.rooms.clone() {
            self.drop_room(&room, why);
        }
    }

    /// A room ends.
    pub(crate) fn end_room(&mut self, source: &Source, why: RoomEnd) {
        if let Some(stream) = self.forget_stream(source) {
            self.notice(Notice::RoomEnded { epoch: stream.epoch, why });
            self.tally.ended(End::Room(why));
        }
        self.note_absent(source);
    }
}
