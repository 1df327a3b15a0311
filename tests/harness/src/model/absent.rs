//! What is absent and makes room for a newcomer, in the order in which it came to be: sessions that
//! linger without an open run, users of whom all sessions do, rooms without members.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use headcount::{ConnId, Refused, Registry, RoomEnd, SessionEnd, SessionId};

use super::Model;
use crate::seen::Source;
use crate::{Check, ensure};

/// Since which operation each of them is absent. What became absent in one operation has no order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Absent {
    sessions: BTreeMap<SessionId, u64>,
    users: BTreeMap<u8, u64>,
    rooms: BTreeMap<Source, u64>,
}

/// Which operation it was matters in its order only.
impl Hash for Absent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { sessions, users, rooms } = self;
        (ranked(sessions), ranked(users), ranked(rooms)).hash(state);
    }
}

fn ranked<K>(order: &BTreeMap<K, u64>) -> Vec<(&K, usize)> {
    let steps: BTreeSet<u64> = order.values().copied().collect();
    order.iter().map(|(key, step)| (key, steps.range(..*step).count())).collect()
}

fn keep<K: Ord>(order: &mut BTreeMap<K, u64>, absent: BTreeSet<K>, step: u64) {
    order.retain(|key, _| absent.contains(key));
    for key in absent {
        order.entry(key).or_insert(step);
    }
}

/// Those that are absent longest: one, or those that became so in one operation.
fn longest<K>(order: &BTreeMap<K, u64>) -> impl Iterator<Item = &K> {
    let first = order.values().min();
    order.iter().filter(move |(_, step)| Some(*step) == first).map(|(key, _)| key)
}

impl Model {
    /// Looks who is absent since the last look.
    pub(crate) fn note_absent(&mut self) {
        let may_go = |session: &super::Session| session.left_at.is_some() && session.open_runs == 0;
        let sessions: BTreeSet<_> =
            self.going().filter(|(_, it)| may_go(it)).map(|(id, _)| id).collect();
        let is_here = |user: &u8| self.going().any(|(_, it)| it.user == *user && !may_go(it));
        let users = self.users().into_iter().filter(|user| !is_here(user)).collect();
        let empty = self.rooms().filter(|room| room.seats.is_empty());
        let rooms = empty.map(|room| room.source.clone()).collect();
        let step = self.step;
        keep(&mut self.absent.sessions, sessions, step);
        keep(&mut self.absent.users, users, step);
        keep(&mut self.absent.rooms, rooms, step);
    }

    /// Whether a new session of a user finds a place if everything that is absent goes, once a session
    /// has been released and a connection evicted.
    pub(crate) fn has_place(
        &self,
        user: u8,
        release: Option<SessionId>,
        evict: &[ConnId],
    ) -> Result<(), Refused> {
        let config = &self.config;
        let left_behind = evict.iter().filter_map(|id| self.conns[id].session()).filter(|id| {
            let members = self.members(&Source::Session(*id));
            members.iter().all(|id| evict.contains(id)) && self.sessions[id].open_runs == 0
        });
        let mut may_go: BTreeSet<_> = self.absent.sessions.keys().copied().collect();
        may_go.extend(left_behind);
        may_go.extend(release);
        let users = self.users();
        let stay = users.len() - self.absent.users.len();
        if !users.contains(&user) && stay >= config.users() as usize {
            return Err(Refused::Users);
        }
        let stay = self.going().count() - may_go.len();
        let records = config.sessions() as usize + config.closing() as usize;
        if stay >= config.sessions() as usize || self.sessions.len() >= records {
            return Err(Refused::Sessions);
        }
        Ok(())
    }

    /// As many of the absent go as are one too many with a new session of a user, who is
    /// new or not. Which of several that became absent at once, the registry tells.
    pub(crate) fn send_away(&mut self, (user, is_new): (u8, bool), registry: &Registry) -> Check {
        self.note_absent();
        let ended = |id: SessionId| registry.session_position(id).is_none();
        while is_new && self.users().len() >= self.config.users() as usize {
            let sessions = |user: u8| {
                let of_user = self.going().filter(move |(_, it)| it.user == user);
                of_user.map(|(id, _)| id).collect::<Vec<_>>()
            };
            let all_ended = |of_user: &Vec<_>| of_user.iter().all(|id| ended(*id));
            let leaving = longest(&self.absent.users).map(|user| sessions(*user)).find(all_ended);
            let mut leaving = leaving.ok_or("an absent user had to make room")?;
            // The oldest first: the levels that are passed on the way down depend on it.
            leaving.sort_unstable_by_key(|id| id.to_bits() >> 32);
            self.marks.hit("an absent user made room");
            for id in leaving {
                self.end_session(id, SessionEnd::MadeRoom);
            }
            self.note_absent();
        }
        while self.going().count() >= self.config.sessions() as usize {
            let first = longest(&self.absent.sessions).copied().filter(|id| ended(*id));
            // Those of the user itself may have ended for the pressure that followed.
            let first = first.min_by_key(|id| self.sessions[id].user == user);
            let first = first.ok_or("a lingering session had to make room")?;
            self.marks.hit("a session made room for another user's");
            self.end_session(first, SessionEnd::MadeRoom);
            self.note_absent();
        }
        Ok(())
    }

    /// Whether another room finds a place if all empty ones go.
    pub(crate) fn has_place_for_room(&self) -> bool {
        self.rooms().count() - self.absent.rooms.len() < self.config.rooms() as usize
    }

    /// As many empty rooms go as are one too many with a new one.
    pub(crate) fn send_away_rooms(&mut self, registry: &Registry) -> Check {
        while self.rooms().count() >= self.config.rooms() as usize {
            let is_gone = |source: &&Source| match source {
                Source::Room(room) => registry.room_position(room).is_none(),
                _ => false,
            };
            let first = longest(&self.absent.rooms).find(is_gone).cloned();
            let first = first.ok_or("an empty room had to make room")?;
            self.marks.hit("a room made room");
            self.end_room(&first, &[RoomEnd::MadeRoom]);
            self.note_absent();
        }
        Ok(())
    }

    /// A room ends, for one of these reasons.
    pub(crate) fn end_room(&mut self, source: &Source, why: &[RoomEnd]) {
        self.forget_payments(source);
        if let Some(stream) = self.streams.remove(source) {
            self.notices.room_ended(stream.epoch, why);
        }
    }
}

/// An end that more than one of these may have caused in one call.
pub(crate) fn of_history() -> Vec<RoomEnd> {
    RoomEnd::ALL.iter().copied().filter(|why| *why != RoomEnd::MadeRoom).collect()
}

impl Model {
    /// The figures of [`headcount::Stats`] about ends.
    pub(crate) fn compare_ends(&self, registry: &Registry) -> Check {
        let stats = registry.stats();
        for why in SessionEnd::ALL {
            let (got, told) =
                (stats.sessions_ended_by(*why), self.tally.sessions_ended_by.get(why.name()));
            let expected = told.copied().unwrap_or(0);
            ensure!(got == expected, "stats: ended by {why:?} is {got}, expected {expected}");
        }
        let ended: u64 = RoomEnd::ALL.iter().map(|why| stats.rooms_ended_by(*why)).sum();
        let rooms = u64::from(stats.rooms);
        ensure!(
            stats.rooms_opened == self.tally.rooms_opened && stats.rooms_opened == rooms + ended,
            "stats: {} rooms opened, expected {}; {rooms} there and {ended} ended",
            stats.rooms_opened,
            self.tally.rooms_opened
        );
        Ok(())
    }
}
