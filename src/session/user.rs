//! The record of a user.

use crate::conn::OfState;
use crate::id::UserId;
use crate::stats::Pressure;
use crate::store::{Links, Ring, TokenBucket, key, linked};

use super::{Idle, OfUser};

key! {
    /// The key of a user's record.
    UserKey
}

#[derive(Clone, Hash)]
pub(crate) struct User {
    pub(crate) name: UserId,
    /// Sessions that have not ended, oldest first. Without any the name is free, and this record
    /// only says whose the ended ones were.
    pub(super) sessions: Ring<OfUser>,
    /// Those of them that linger without an open run, in the order in which they began to.
    pub(super) idle: Ring<Idle>,
    /// Its open connections, in the order in which they were admitted.
    pub(crate) connections: Ring<OfState>,
    /// How many rooms these are in together.
    pub(crate) rooms: u32,
    /// Sessions that ended and whose cleanup was not polled.
    pub(super) ended: u32,
    /// Its place among the absent: those of whom all sessions linger without an open run.
    pub(super) links: Links,
    /// The level that was acted on last.
    pub(crate) pressure: Pressure,
    /// The bucket of the user's connects. It is theirs while the user has a session that has not
    /// ended, and among the departed users after that.
    pub(crate) connects: TokenBucket,
    /// The cost of what the logs of the sessions hold, and of the calls under way.
    pub(crate) bytes: u64,
    /// The part of it that is for calls.
    pub(crate) call_bytes: u64,
}

linked! {
    /// Users of whom all sessions linger without an open run.
    Absent: UserKey => User, links
}

impl User {
    /// Whether all of the sessions linger without an open run.
    pub(crate) fn is_absent(&self) -> bool {
        !self.sessions.is_empty() && self.idle.len() == self.sessions.len()
    }

    /// How many sessions have not ended.
    pub(crate) const fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
