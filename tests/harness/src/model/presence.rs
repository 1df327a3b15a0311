//! Who is online, and what of that is to be said.

use std::collections::BTreeSet;

use headcount::{CloseReason, Timestamp};

use super::names::Name;
use super::turns::Turn;
use super::{Model, keep};
use crate::seen::Seen;

/// What was said, and what was not yet.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Presence {
    said_online: BTreeSet<Name>,
    /// Who may come back, and since when, in the order in which they left.
    in_grace: Vec<(Name, Timestamp)>,
    /// Of whom something is to be said, in the order in which that came to be.
    unsaid: Vec<Name>,
}

/// Whether a user whose last connection ended so is expected back.
const fn may_come_back(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::PeerGone
            | CloseReason::InternalError
            | CloseReason::LifetimeEnded
            | CloseReason::Expired
            | CloseReason::SlowConsumer
            | CloseReason::PongTimeout
            | CloseReason::RateLimited
            | CloseReason::FrameTimeout
    )
}

impl Model {
    /// Those who have an open connection, or may come back.
    pub(crate) fn online_users(&self) -> BTreeSet<Name> {
        let in_grace = self.presence.in_grace.iter().map(|(user, _)| *user);
        self.open_of.keys().copied().chain(in_grace).collect()
    }

    /// Whether a user is one of these.
    pub(crate) fn is_online(&self, user: Name) -> bool {
        let is_leaving = || self.presence.in_grace.iter().any(|(other, _)| *other == user);
        self.open_of.contains_key(&user) || is_leaving()
    }

    /// Those who count, and those of whom it is to be said that they are offline.
    pub(crate) fn counted_users(&self) -> BTreeSet<Name> {
        self.users().into_iter().chain(self.presence.unsaid.iter().copied()).collect()
    }

    /// Whether a user is one of these.
    pub(crate) fn counts(&self, user: Name) -> bool {
        self.is_user(user) || self.presence.unsaid.contains(&user)
    }

    /// Users who may come back, and until when, in the order in which they left.
    pub(crate) fn leaving_users(&self) -> impl Iterator<Item = (Name, Timestamp)> {
        let grace = self.config.leave_grace();
        self.presence.in_grace.iter().map(move |(user, left_at)| (*user, *left_at + grace))
    }

    /// A connection of a user was admitted.
    pub(crate) fn user_arrives(&mut self, user: Name) {
        let came_back = self.end_leave_grace(user);
        self.marks.hit_if(came_back, "a user came back within the leave grace");
    }

    /// An open connection of a user has left.
    pub(crate) fn user_departs(&mut self, user: Name, reason: CloseReason) {
        if !self.config.presence() || !self.open_of_user(user).is_empty() {
            return;
        }
        let was_said = self.presence.said_online.contains(&user);
        if may_come_back(reason) && !self.config.leave_grace().is_zero() && was_said {
            self.presence.in_grace.push((user, self.now));
        } else {
            self.marks.hit_if(was_said, "a user was offline at once");
            self.marks.hit_if(!was_said, "a user came and went between two polls");
        }
        self.note_presence(user);
    }

    /// A user is waited for no more; whether it was.
    pub(crate) fn end_leave_grace(&mut self, user: Name) -> bool {
        let before = self.presence.in_grace.len();
        self.presence.in_grace.retain(|(other, _)| *other != user);
        self.note_presence(user);
        self.presence.in_grace.len() < before
    }

    /// Looks whether something is to be said of a user, after each change of whether it is online.
    fn note_presence(&mut self, user: Name) {
        if !self.config.presence() {
            return;
        }
        let online = self.is_online(user);
        let Presence { said_online, unsaid, .. } = &mut self.presence;
        let is_unsaid = said_online.contains(&user) != online;
        keep(unsaid, user, is_unsaid);
        self.queue_presence();
        self.note_user(user);
    }

    fn queue_presence(&mut self) {
        self.waiting.queue_if(!self.presence.unsaid.is_empty(), Turn::Presence);
    }

    /// What is to be said for longest.
    pub(crate) fn serve_presence(&mut self) -> Option<Seen> {
        if self.presence.unsaid.is_empty() {
            return None;
        }
        let user = self.presence.unsaid.remove(0);
        let online = self.presence.said_online.insert(user);
        if !online {
            self.presence.said_online.remove(&user);
        }
        self.queue_presence();
        self.forget_user(user);
        Some(Seen::Presence { user: self.names.users.name(user).clone(), online })
    }
}
