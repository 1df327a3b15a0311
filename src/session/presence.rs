//! Which users are online, and which changes of that were told.
//!
//! A user is in the grace only if it was told to be online. So a user in the grace has no change to tell.

use crate::store::linked;
use crate::time::Timestamp;

use super::Sessions;
use super::user::{User, UserKey};

linked! {
    /// Users without an open connection who may come back, in the order in which they left.
    InGrace: UserKey => User, extras.grace_links
}

linked! {
    /// Users who are online and were told to be offline, or the reverse.
    Unsaid: UserKey => User, extras.unsaid_links
}

impl User {
    /// Whether it has no open connection, and counts as online all the same.
    pub(crate) fn is_in_grace(&self) -> bool {
        self.extras.grace_links.is_in()
    }

    /// Whether it counts as online.
    pub(crate) fn is_online(&self) -> bool {
        self.open() > 0 || self.is_in_grace()
    }

    /// Whether a change of it is to be told.
    pub(crate) fn is_unsaid(&self) -> bool {
        self.extras.unsaid_links.is_in()
    }

    /// Whether it was last told to be online.
    pub(crate) const fn said_online(&self) -> bool {
        self.said_online
    }
}

impl Sessions {
    /// A connection of a user was admitted.
    pub(crate) fn arrive(&mut self, user: UserKey) {
        self.leave_grace(user);
        self.weigh_presence(user);
    }

    /// Whether the user was in the grace.
    fn leave_grace(&mut self, user: UserKey) -> bool {
        let was_in = self.in_grace.remove(&mut self.users, user);
        if was_in {
            self.users[user].extras.edit(|it| it.left_at = Timestamp::ZERO);
        }
        was_in
    }

    /// The last open connection of a user has left. `grace`: when, if the user may come back. There is no
    /// grace for a user who was not told to be online. [`settle`](Self::settle) follows.
    pub(crate) fn depart(&mut self, user: UserKey, grace: Option<Timestamp>) {
        let record = &mut self.users[user];
        if let Some(left_at) = grace.filter(|_| record.said_online) {
            record.extras.left_at = left_at;
            self.in_grace.push(&mut self.users, user);
        }
        self.weigh_presence(user);
    }

    /// The leave grace of a user ends, if the user is in it.
    pub(crate) fn end_grace(&mut self, user: UserKey) {
        if self.leave_grace(user) {
            self.weigh_presence(user);
            self.leave_tenant_if_gone(user);
        }
    }

    /// The user who is in the grace longest, and when the last connection left.
    pub(crate) fn first_in_grace(&self) -> Option<(UserKey, Timestamp)> {
        let user = self.in_grace.front()?;
        Some((user, self.users[user].extras.left_at))
    }

    /// Users in the grace, those first who left first.
    pub(crate) fn iter_in_grace(&self) -> impl Iterator<Item = (UserKey, Timestamp)> + '_ {
        self.in_grace.iter(&self.users).map(|user| (user, self.users[user].extras.left_at))
    }

    /// How many users have a change to tell.
    pub(crate) const fn unsaid(&self) -> usize {
        self.unsaid.len()
    }

    /// Takes the first user with a change: whether it is online now. [`forget_user`](Self::forget_user)
    /// follows.
    pub(crate) fn say(&mut self) -> Option<(UserKey, bool)> {
        let user = self.unsaid.front()?;
        self.unsaid.remove(&mut self.users, user);
        let record = &mut self.users[user];
        record.extras.settle();
        record.said_online = !record.said_online;
        let is_online = record.said_online;
        self.relist_user(user);
        Some((user, is_online))
    }

    /// Lists a user that has a change to tell, and takes out a user that has none.
    fn weigh_presence(&mut self, user: UserKey) {
        if self.users[user].is_online() == self.users[user].said_online {
            self.unsaid.remove(&mut self.users, user);
            self.users[user].extras.settle();
        } else {
            self.unsaid.push(&mut self.users, user);
        }
        self.relist_user(user);
    }
}
