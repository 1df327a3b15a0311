//! Users and their sessions: names held once, indexes, linger.

use core::hash::{BuildHasher, Hash, Hasher};
use core::num::NonZeroU32;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

use crate::action::CloseReason;
use crate::bucket::TokenBucket;
use crate::departed::DepartedUsers;
use crate::id::{SessionId, ThreadId, UserId};
use crate::ring::{Linked, Links, Ring};
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
    /// How many of `sessions` linger without an open run.
    lingering: u32,
    /// Its place among the absent: those of whom all sessions linger without an open run.
    links: Links,
    /// The level that was acted on last.
    pub(crate) pressure: Pressure,
    /// The bucket of the user's connects. It is theirs while the user has a session that has not
    /// ended, and among the departed users after that.
    pub(crate) connects: TokenBucket,
    /// The cost of what the logs of the sessions hold.
    pub(crate) bytes: u64,
}

#[derive(Clone, Hash)]
pub(crate) struct Session {
    pub(crate) serial: NonZeroU32,
    pub(crate) user: u32,
    pub(crate) thread: ThreadId,
    /// When it was created.
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
    /// How many of its connections wait for the end of their close handshake.
    closing: u32,
    /// Its place among those that linger without an open run.
    links: Links,
    /// Its cleanup waits to be polled: no longer listed by its user, and its stream is gone.
    pub(crate) ended: bool,
}

impl Linked for User {
    fn links(&self) -> Links {
        self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl Linked for Session {
    fn links(&self) -> Links {
        self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

impl User {
    /// Whether all of the sessions linger without an open run.
    pub(crate) fn is_absent(&self) -> bool {
        !self.sessions.is_empty() && self.lingering as usize == self.sessions.len()
    }
}

impl Session {
    /// Whether it lingers without an open run: it makes room when a newcomer needs the place.
    pub(crate) const fn may_go(&self) -> bool {
        self.lingers_since.is_some() && self.open_runs == 0 && !self.ended
    }

    /// How many of its connections wait for the end of their close handshake.
    pub(crate) const fn closing(&self) -> u32 {
        self.closing
    }
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
    /// Of users without a session that has not ended.
    pub(crate) departed: DepartedUsers,
    /// Sessions that ended and whose cleanup was not polled.
    ended: usize,
    /// How many of these have a connection in its close handshake.
    ended_closing: usize,
    /// Sessions that linger without an open run, in the order in which they began to.
    lingering: Ring,
    /// Users of whom all sessions do, in the order in which that became so.
    absent: Ring,
}

impl Hash for Sessions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            users,
            records,
            names,
            hasher: _,
            departed,
            ended,
            ended_closing,
            lingering,
            absent,
        } = self;
        table::hash_slab(users, state);
        table::hash_slab(records, state);
        table::hash_table(names, state);
        (departed, ended, ended_closing, lingering, absent).hash(state);
    }
}

impl Sessions {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            users: Slab::new(),
            records: Slab::new(),
            names: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            departed: DepartedUsers::new(seed),
            ended: 0,
            ended_closing: 0,
            lingering: Ring::new(),
            absent: Ring::new(),
        }
    }

    /// Users with a session that has not ended.
    pub(crate) fn users(&self) -> usize {
        self.names.len()
    }

    /// Live sessions, and ended ones whose cleanup was not polled.
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    /// Ended sessions with a connection in its close handshake: their cleanup waits for that.
    pub(crate) const fn ended_closing(&self) -> usize {
        self.ended_closing
    }

    /// How many sessions linger without an open run.
    pub(crate) const fn lingering(&self) -> usize {
        self.lingering.len()
    }

    /// Of these, the one that began to first.
    pub(crate) fn lingers_longest(&self) -> Option<u32> {
        self.lingering.front()
    }

    /// Users of whom all sessions linger without an open run, those first that are absent longest.
    pub(crate) fn absent(&self) -> impl Iterator<Item = u32> + '_ {
        self.absent.iter(&self.users)
    }

    /// How many of these there are.
    pub(crate) const fn absent_users(&self) -> usize {
        self.absent.len()
    }

    /// Sessions that linger without an open run, those first that do so longest.
    pub(crate) fn iter_lingering(&self) -> impl Iterator<Item = u32> + '_ {
        self.lingering.iter(&self.records)
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

    /// The same of the table of users.
    pub(crate) fn user_slots(&self) -> u32 {
        self.users.iter().next_back().map_or(0, |(slot, _)| slot as u32 + 1)
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
            closing: 0,
            links: Links::OUT,
            ended: false,
        }) as u32;
        self.users[user as usize].sessions.push(slot);
        self.relist_user(user);
        slot
    }

    /// A connection is admitted to a session.
    pub(crate) fn attach(&mut self, session: u32) {
        let record = &mut self.records[session as usize];
        record.attached += 1;
        record.lingers_since = None;
        self.relist(session);
    }

    /// The last open connection of a session has left, or it was made without one.
    pub(crate) fn begin_to_linger(&mut self, session: u32, now: Timestamp) {
        self.records[session as usize].lingers_since = Some(now);
        self.relist(session);
    }

    /// A run of a session was opened: it keeps the session.
    pub(crate) fn run_opened(&mut self, session: u32) {
        self.records[session as usize].open_runs += 1;
        self.relist(session);
    }

    /// A run of a session has ended. With the last one a session without connections begins to
    /// linger anew, for the run has kept it until now: whether it is so.
    pub(crate) fn run_ended(&mut self, session: u32, now: Timestamp) -> bool {
        let record = &mut self.records[session as usize];
        record.open_runs -= 1;
        let lingers = record.open_runs == 0 && record.lingers_since.is_some();
        if lingers {
            record.lingers_since = Some(now);
        }
        self.relist(session);
        lingers
    }

    /// A connection of a session that has not ended begins its close handshake.
    pub(crate) fn handshake_began(&mut self, session: u32) {
        self.records[session as usize].closing += 1;
    }

    /// The close handshake of one of a session's connections is over.
    pub(crate) fn handshake_ended(&mut self, session: u32) {
        let record = &mut self.records[session as usize];
        record.closing -= 1;
        self.ended_closing -= usize::from(record.ended && record.closing == 0);
    }

    /// Puts a session into the order of those that may go, or takes it out. To be called after each
    /// change of what decides [`Session::may_go`].
    fn relist(&mut self, session: u32) {
        let record = &self.records[session as usize];
        let (may_go, user) = (record.may_go(), record.user);
        if may_go != record.links.is_in() {
            let of_user = &mut self.users[user as usize].lingering;
            if may_go {
                *of_user += 1;
                self.lingering.push(&mut self.records, session);
            } else {
                *of_user -= 1;
                self.lingering.remove(&mut self.records, session);
            }
        }
        self.relist_user(user);
    }

    /// The same for a user: after each change of the number of sessions, and of those that linger.
    fn relist_user(&mut self, user: u32) {
        let record = &self.users[user as usize];
        let is_absent = record.is_absent();
        if is_absent != record.links.is_in() {
            if is_absent {
                self.absent.push(&mut self.users, user);
            } else {
                self.absent.remove(&mut self.users, user);
            }
        }
    }

    fn insert_user(&mut self, name: UserId) -> u32 {
        let hash = self.hasher.hash_one(name.as_str());
        let connects = self.departed.take(&name);
        let slot = self.users.insert(User {
            name,
            connects,
            sessions: SmallVec::new(),
            ended: 0,
            lingering: 0,
            links: Links::OUT,
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
    /// whose they are. At most `departed` buckets are kept of users who have left.
    pub(crate) fn end(&mut self, session: u32, now: Timestamp, departed: usize) -> bool {
        let record = &mut self.records[session as usize];
        record.ended = true;
        self.ended += 1;
        self.ended_closing += usize::from(record.closing > 0);
        let slot = record.user;
        let user = &mut self.users[slot as usize];
        user.sessions.retain(|other| *other != session);
        user.ended += 1;
        self.relist(session);
        let user = &self.users[slot as usize];
        let stays = !user.sessions.is_empty();
        if !stays {
            let hash = self.hasher.hash_one(user.name.as_str());
            if let Ok(entry) = self.names.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
            self.departed.put(user.name.clone(), user.connects, now, departed);
        }
        stays
    }

    /// Fills the bucket of every user.
    pub(crate) fn fill_buckets(&mut self) {
        for (_, user) in &mut self.users {
            user.connects = TokenBucket::default();
        }
        self.departed.shrink_to(0);
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
