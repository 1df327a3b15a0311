//! A virtual client, and how one finds out whose it is.

use headcount::{ConnId, SessionId};

use crate::queue::Millis;
use crate::scenario::Scenario;

/// Never, for instants that need not be.
pub(crate) const NEVER: Millis = Millis::MAX;

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It does not want to be connected.
    Away,
    /// It wants to be, and an attempt is on its way.
    Seeking,
    Connected,
    /// It believes to be connected, and its network is gone.
    CutOff,
    /// It was told to stop.
    Stopped,
}

/// One tab of one user: 48 bytes, for there may be millions. What can be worked out from its number
/// is not in it.
pub(crate) struct Client {
    /// The connection that it has, or had last.
    pub(crate) conn: Option<ConnId>,
    /// Its session on that server.
    pub(crate) session: Option<SessionId>,
    /// The last position that it has seen; epoch 0 before the first.
    pub(crate) epoch: u64,
    pub(crate) offset: u64,
    /// Since when it has been without a connection that it wants.
    pub(crate) without_since: Millis,
    /// When it was refused first since then.
    pub(crate) refused_since: Millis,
    pub(crate) group: u16,
    /// Counts its lives: what was planned for an earlier one is void.
    pub(crate) stamp: u16,
    /// The server of its connection.
    pub(crate) server: u8,
    /// Attempts that failed since it was connected.
    pub(crate) failures: u8,
    pub(crate) phase: Phase,
}

impl Client {
    pub(crate) const fn new(group: u16) -> Self {
        Self {
            conn: None,
            session: None,
            epoch: 0,
            offset: 0,
            without_since: NEVER,
            refused_since: NEVER,
            group,
            stamp: 0,
            server: 0,
            failures: 0,
            phase: Phase::Away,
        }
    }
}

/// A group's place among all clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) users: u32,
    pub(crate) tabs: u32,
    /// The number of its first user among all.
    pub(crate) first_user: u32,
}

impl Range {
    /// The place of each group.
    pub(crate) fn of(scenario: &Scenario) -> Vec<Self> {
        let (mut first, mut first_user) = (0, 0);
        let mut ranges = Vec::new();
        for group in &scenario.clients {
            ranges.push(Self { first, users: group.users, tabs: group.tabs, first_user });
            first += group.users * group.tabs;
            first_user += group.users;
        }
        ranges
    }

    pub(crate) const fn clients(self) -> u32 {
        self.users * self.tabs
    }

    /// A client's user, numbered among all.
    pub(crate) const fn user(self, client: u32) -> u32 {
        self.first_user + (client - self.first) / self.tabs
    }

    pub(crate) const fn tab(self, client: u32) -> u32 {
        (client - self.first) % self.tabs
    }

    /// The clients of a user, who is numbered within the group.
    pub(crate) const fn tabs_of(self, user: u32) -> core::ops::Range<u32> {
        let first = self.first + user * self.tabs;
        first..first + self.tabs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_small() {
        assert_eq!(size_of::<Client>(), 48);
    }

    #[test]
    fn numbers_lead_back_to_their_users() {
        let range = Range { first: 10, users: 4, tabs: 3, first_user: 7 };
        assert_eq!((range.user(10), range.tab(10)), (7, 0));
        assert_eq!((range.user(21), range.tab(21)), (10, 2));
        assert_eq!(range.tabs_of(3), 19..22);
        assert_eq!(range.clients(), 12);
    }
}
