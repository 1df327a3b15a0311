//! Users and their sessions: names held once, indexes, linger.

use core::hash::{BuildHasher, Hash, Hasher};
use core::num::NonZeroU32;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use crate::action::CloseReason;
use crate::id::{SessionId, ThreadId, UserId};
use crate::run::NO_RUN;
use crate::stats::Pressure;
use crate::table;
use crate::time::Timestamp;

#[derive(Clone, Hash)]
pub(crate) struct User {
    pub(crate) name: UserId,
    /// Sessions that have not ended, oldest first. There are few, so looking for a thread walks
    /// them. Without any the name is free, and this record only says whose the ended ones were.
    pub(crate) sessions: SmallVec<[u32; 2]>,
    /// Sessions that ended and whose cleanup was not polled.
    ended: u32,
    /// The level that was acted on last.
    pub(crate) pressure: Pressure,
    /// The cost of what the logs of the sessions hold.
    pub(crate) bytes: u64,
}

#[derive(Clone, Hash)]
pub(crate) struct Session {
    pub(crate) serial: NonZeroU32,
    pub(crate) user: u32,
    pub(crate) thread: ThreadId,
    /// When it was minted.
    pub(crate) since: Timestamp,
    /// Its stream's key. The stream's members are the session's open connections.
    pub(crate) stream: u32,
    /// Its connections whose cleanup was not polled: open, closing and gone ones.
    pub(crate) attached: u32,
    /// When the last open connection left; `None` while there is one.
    pub(crate) lingers_since: Option<Timestamp>,
    /// Why the last connection left.
    pub(crate) reason: CloseReason,
    /// Its runs, those included that have ended and that the log keeps something of: the first of a
    /// list.
    pub(crate) first_run: u32,
    /// How many of them are open.
    pub(crate) open_runs: u32,
    /// Its cleanup waits to be polled: no longer listed by its user, and its stream is gone.
    pub(crate) ended: bool,
}

/// All users and sessions, by slot and by name.
#[derive(Clone)]
pub(crate) struct Sessions {
    users: Slab<User>,
    records: Slab<Session>,
    /// User name to slot, for users with a session that has not ended. The names come from outside,
    /// hence a hash that is seeded.
    names: HashTable<u32>,
    hasher: FixedState,
    /// Sessions that ended and whose cleanup was not polled.
    ended: usize,
}

impl Hash for Sessions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { users, records, names, hasher: _, ended } = self;
        table::hash_slab(users, state);
        table::hash_slab(records, state);
        table::hash_table(names, state);
        ended.hash(state);
    }
}

impl Sessions {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            users: Slab::new(),
            records: Slab::new(),
            names: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            ended: 0,
        }
    }

    /// Users with a session that has not ended.
    pub(crate) fn users(&self) -> usize {
        self.names.len()
    }

    /// Sessions that hold a place, those that wait for their cleanup included.
    pub(crate) fn places(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn live(&self) -> usize {
        self.records.len() - self.ended
    }

    pub(crate) fn find_user(&self, name: &UserId) -> Option<u32> {
        let hash = self.hasher.hash_one(name.as_str());
        self.names.find(hash, |slot| self.users[*slot as usize].name == *name).copied()
    }

    pub(crate) fn find(&self, user: u32, thread: &ThreadId) -> Option<u32> {
        let sessions = &self.users[user as usize].sessions;
        sessions.iter().copied().find(|slot| self.records[*slot as usize].thread == *thread)
    }

    pub(crate) fn user(&self, user: u32) -> &User {
        &self.users[user as usize]
    }

    pub(crate) fn user_mut(&mut self, user: u32) -> &mut User {
        &mut self.users[user as usize]
    }

    pub(crate) fn get(&self, session: u32) -> &Session {
        &self.records[session as usize]
    }

    pub(crate) fn peek(&self, session: u32) -> Option<&Session> {
        self.records.get(session as usize)
    }

    pub(crate) fn peek_user(&self, user: u32) -> Option<&User> {
        self.users.get(user as usize)
    }

    pub(crate) fn get_mut(&mut self, session: u32) -> &mut Session {
        &mut self.records[session as usize]
    }

    /// The slot of a session that has not ended.
    pub(crate) fn resolve(&self, id: SessionId) -> Option<u32> {
        let record = self.records.get(id.index())?;
        (record.serial == id.serial() && !record.ended).then_some(id.index() as u32)
    }

    pub(crate) fn id(&self, session: u32) -> SessionId {
        SessionId::new(session, self.records[session as usize].serial)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Session)> {
        self.records.iter().map(|(slot, session)| (slot as u32, session))
    }

    /// Users with a session that has not ended.
    pub(crate) fn iter_users(&self) -> impl Iterator<Item = (u32, &User)> {
        let users = self.users.iter().map(|(slot, user)| (slot as u32, user));
        users.filter(|(_, user)| !user.sessions.is_empty())
    }

    /// Records of users, those that are kept for ended sessions included, and what these count.
    pub(crate) fn user_records(&self) -> (usize, usize) {
        (self.users.len(), self.users.iter().map(|(_, user)| user.ended as usize).sum())
    }

    /// One past the highest slot in use: the end of a walk over the table.
    pub(crate) fn slots(&self) -> u32 {
        self.records.iter().next_back().map_or(0, |(slot, _)| slot as u32 + 1)
    }

    /// The handle of a slot whose session has not ended.
    pub(crate) fn live_id(&self, slot: u32) -> Option<SessionId> {
        let record = self.peek(slot).filter(|record| !record.ended)?;
        Some(SessionId::new(slot, record.serial))
    }

    /// The slot that the next session will have.
    pub(crate) fn next_slot(&self) -> u32 {
        self.records.vacant_key() as u32
    }

    pub(crate) fn insert(
        &mut self,
        serial: NonZeroU32,
        user: UserId,
        thread: ThreadId,
        stream: u32,
        now: Timestamp,
    ) -> u32 {
        let user = match self.find_user(&user) {
            Some(known) => known,
            None => self.insert_user(user),
        };
        let slot = self.records.insert(Session {
            serial,
            user,
            thread,
            since: now,
            stream,
            attached: 0,
            lingers_since: None,
            reason: CloseReason::PeerGone,
            first_run: NO_RUN,
            open_runs: 0,
            ended: false,
        }) as u32;
        self.users[user as usize].sessions.push(slot);
        slot
    }

    fn insert_user(&mut self, name: UserId) -> u32 {
        let hash = self.hasher.hash_one(name.as_str());
        let slot = self.users.insert(User {
            name,
            sessions: SmallVec::new(),
            ended: 0,
            pressure: Pressure::None,
            bytes: 0,
        }) as u32;
        let (users, hasher) = (&self.users, &self.hasher);
        self.names
            .insert_unique(hash, slot, |slot| hasher.hash_one(users[*slot as usize].name.as_str()));
        slot
    }

    /// Takes the session from its user, and the user's name away with the last one; whether the user
    /// stays. The record stays until the last cleanup: connections of the session may still ask
    /// whose they are.
    pub(crate) fn end(&mut self, session: u32) -> bool {
        let record = &mut self.records[session as usize];
        record.ended = true;
        self.ended += 1;
        let slot = record.user;
        let user = &mut self.users[slot as usize];
        user.sessions.retain(|other| *other != session);
        user.ended += 1;
        let stays = !user.sessions.is_empty();
        if !stays {
            let hash = self.hasher.hash_one(user.name.as_str());
            if let Ok(entry) = self.names.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
        }
        stays
    }

    /// Frees the slot of a session that has ended.
    pub(crate) fn release(&mut self, session: u32) -> Session {
        self.ended -= 1;
        let record = table::remove(&mut self.records, session);
        let user = &mut self.users[record.user as usize];
        user.ended -= 1;
        if user.sessions.is_empty() && user.ended == 0 {
            table::remove(&mut self.users, record.user);
        }
        record
    }
}
