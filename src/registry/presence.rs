//! Presence: the turn that tells of users who came online or went offline, and their leave grace.

use crate::action::CloseReason;
use crate::session::UserKey;
use crate::time::Deadline;

use super::Registry;
use super::poll::Lent;
use super::ready::Ready;

impl Registry {
    /// A connection of a user was admitted.
    pub(super) fn note_arrival(&mut self, user: UserKey) {
        if self.config.presence {
            self.sessions.arrive(user);
            self.queue_presence();
        }
    }

    /// An open connection of a user begins to close, or has ended. The caller settles the user after
    /// that: its record stays while the user is in the grace or has a change to be told.
    pub(super) fn note_departure(&mut self, user: UserKey, reason: CloseReason) {
        if self.config.presence && self.sessions.user(user).open() == 0 {
            let has_grace = reason.has_leave_grace() && !self.config.leave_grace.is_zero();
            self.sessions.depart(user, has_grace.then_some(self.now));
            self.queue_presence();
        }
    }

    /// The user whose leave grace ends first, and when.
    pub(super) fn first_leave(&self) -> Option<(UserKey, Deadline)> {
        let (user, left_at) = self.sessions.first_in_grace()?;
        Some((user, Deadline::after(left_at, self.config.leave_grace)))
    }

    /// The leave grace of a user ends. Nothing happens if the user is not in it.
    pub(super) fn end_leave_grace(&mut self, user: UserKey) {
        self.sessions.end_grace(user);
        self.queue_presence();
    }

    /// The turn of presence: one user whose change was not told yet.
    pub(super) fn serve_presence(&mut self) -> Option<Lent> {
        let (key, online) = self.sessions.say()?;
        let user = self.sessions.user(key).name.clone();
        self.queue_presence();
        self.forget_user(key);
        Some(Lent::Presence { user, online })
    }

    fn queue_presence(&mut self) {
        if self.sessions.unsaid() > 0 {
            self.queue_turn(Ready::Presence);
        } else {
            self.cancel_turn(Ready::Presence);
        }
    }
}
