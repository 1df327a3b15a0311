//! Looking at many at once: pages of tables, and figures that take a walk to know.

use alloc::vec::Vec;
use core::time::Duration;

use crate::conn::State;
use crate::id::{ConnId, SessionId, ThreadId, UserId};

use super::Registry;

impl Registry {
    /// Every connection whose `Cleanup` was not polled, in the order of their
    /// [`index`](ConnId::index), from that one on: a page that ends with one goes on after its
    /// index. Costs O(slots passed).
    pub fn connections(&self, from: usize) -> impl Iterator<Item = ConnId> + '_ {
        let slots = u32::try_from(from).unwrap_or(u32::MAX)..self.conns.end();
        slots.filter_map(|slot| self.conns.get(slot).map(|conn| ConnId::new(slot, conn.serial)))
    }

    /// The same for sessions that have not ended.
    pub fn sessions(&self, from: usize) -> impl Iterator<Item = SessionId> + '_ {
        let slots = u32::try_from(from).unwrap_or(u32::MAX)..self.sessions.slots();
        slots.filter_map(|slot| self.sessions.live_id(slot))
    }

    /// A user's sessions that have not ended, oldest first; none for an unknown user.
    pub fn sessions_of(&self, user: &UserId) -> impl Iterator<Item = SessionId> + '_ {
        let user = self.sessions.find_user(user).map(|user| self.sessions.user(user));
        let sessions = user.map_or(&[][..], |user| &user.sessions);
        sessions.iter().map(|session| self.sessions.id(*session))
    }

    /// Whose session it is, and in which thread; `None` if it has ended.
    #[must_use]
    pub fn whose(&self, session: SessionId) -> Option<(&UserId, &ThreadId)> {
        let record = self.sessions.get(self.sessions.resolve(session)?);
        Some((&self.sessions.user(record.user).name, &record.thread))
    }

    /// The users with the most sessions, the one with most first, and how many each has. Costs
    /// O(users × most): for people who look, not for every turn.
    #[must_use]
    pub fn users_by_sessions(&self, most: usize) -> Vec<(&UserId, u32)> {
        let mut top: Vec<(&UserId, u32)> = Vec::with_capacity(most.saturating_add(1).min(1_024));
        for (_, user) in self.sessions.iter_users() {
            let count = user.sessions.len() as u32;
            let place = top.partition_point(|(_, more)| *more >= count);
            if place < most {
                top.insert(place, (&user.name, count));
                top.truncate(most);
            }
        }
        top
    }

    /// How long ago the oldest session was minted that has not ended. Costs O(sessions).
    #[must_use]
    pub fn oldest_session(&self) -> Option<Duration> {
        let live = self.sessions.iter().filter(|(_, record)| !record.ended);
        let oldest = live.map(|(_, record)| record.since).min()?;
        Some(self.now.saturating_since(oldest))
    }

    /// The mean of the smoothed round trips of the open connections that have answered a ping. Costs
    /// O(connections).
    #[must_use]
    pub fn mean_round_trip(&self) -> Option<Duration> {
        let known = self
            .conns
            .iter()
            .filter(|(_, hot, cold)| hot.state == State::Open && cold.round_trip_micros > 0);
        let (count, sum) = known.fold((0u64, 0u64), |(count, sum), (_, _, cold)| {
            (count + 1, sum + u64::from(cold.round_trip_micros))
        });
        sum.checked_div(count).map(Duration::from_micros)
    }
}
