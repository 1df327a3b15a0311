//! Users and their sessions: names held once, indexes, linger.

mod encoded;
mod extras;
mod presence;
mod tenancy;
mod user;

use core::hash::{Hash, Hasher};
use core::num::NonZeroU32;

use crate::action::CloseReason;
use crate::departed::DepartedUsers;
use crate::id::{SessionId, ThreadId, UserId};
use crate::store::{Links, Names, Rare, Ring, SlotKey, Table, key, linked};
use crate::stream::StreamKey;
use crate::tenant::{TenantSessionKey, Tenants};
use crate::time::Timestamp;

pub(crate) use self::extras::Extras;
use self::extras::{Idle, Lingering};
use self::presence::{InGrace, Unsaid};
use self::user::Absent;
pub(crate) use self::user::{Extras as UserExtras, User, UserKey, UserTag};

key! {
    /// The key of a session. Its slot is part of the session's handle, whose serial says whether the
    /// session that has the slot is the one that is meant.
    SessionKey
}

#[derive(Clone, Hash)]
pub(crate) struct Session {
    pub(crate) serial: NonZeroU32,
    pub(crate) user: UserKey,
    pub(crate) thread: ThreadId,
    /// When it was created.
    pub(crate) since: Timestamp,
    /// Its stream's key. The stream's members are the session's open connections.
    pub(crate) stream: StreamKey,
    /// Its connections whose cleanup was not polled: open, closing and gone ones.
    pub(crate) attached: u32,
    /// Why the last connection left.
    pub(crate) reason: CloseReason,
    pub(crate) extras: Rare<Extras>,
    /// Its place among its user's.
    user_links: Links,
    /// What it has as one of its tenant's; `None` if its user has no tenant, and once it has ended.
    in_tenant: Option<TenantSessionKey>,
    /// Whether it has no open connection.
    lingers: bool,
    /// Whether the index of threads has it.
    indexed: bool,
    /// Its cleanup waits to be polled: no longer listed by its user, and its stream is gone.
    pub(crate) ended: bool,
}

linked! {
    /// Sessions of one user that have not ended.
    OfUser: SessionKey => Session, user_links
}

/// How many sessions of a user are looked through for a thread. One that had as many before it when it
/// was created is in the index of threads beside: few users have so many, and the others pay nothing
/// for the index.
const LISTED: usize = 16;

impl Session {
    /// When the last open connection left; `None` while there is one.
    pub(crate) fn lingers_since(&self) -> Option<Timestamp> {
        self.lingers.then_some(self.extras.lingers_since)
    }

    /// Whether it lingers without an open run: it makes room when a newcomer needs the place.
    pub(crate) fn may_go(&self) -> bool {
        self.lingers && self.open_runs() == 0 && !self.ended
    }

    /// How many of its runs are open.
    pub(crate) fn open_runs(&self) -> u32 {
        self.extras.open_runs
    }

    /// How many of its connections wait for the end of their close handshake.
    pub(crate) fn closing(&self) -> u32 {
        self.extras.closing
    }
}

/// All users and sessions, by slot and by name.
#[derive(Clone)]
pub(crate) struct Sessions {
    users: Table<UserKey, User>,
    records: Table<SessionKey, Session>,
    /// Of all users.
    names: Names<UserKey>,
    /// The serial of the record of a user that was made last.
    last_user: u32,
    /// Sessions by user and thread: those that had [`LISTED`] others before them.
    threads: Names<SessionKey>,
    /// Of users who have no record.
    pub(crate) departed: DepartedUsers,
    tenants: Tenants,
    /// Sessions that ended and whose cleanup was not polled.
    ended: usize,
    /// How many of these have a connection in its close handshake.
    ended_closing: usize,
    /// Sessions that linger without an open run, in the order in which they began to.
    lingering: Ring<Lingering>,
    /// Users who are [absent](User::is_absent), in the order in which that became so.
    absent: Ring<Absent>,
    /// How many users are here, and how many [count](User::counts).
    here: usize,
    counted: usize,
    /// Users in the leave grace, in the order in which they left.
    in_grace: Ring<InGrace>,
    /// Users of whom something is to be said, in the order in which that became so.
    unsaid: Ring<Unsaid>,
}

impl Hash for Sessions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { users, last_user, records, names: _, threads: _, departed, tenants, .. } = self;
        (users, last_user, records, departed, tenants).hash(state);
        let Self { ended, ended_closing, lingering, absent, here, counted, .. } = self;
        (ended, ended_closing, lingering, absent, here, counted).hash(state);
        let Self { in_grace, unsaid, .. } = self;
        (in_grace, unsaid).hash(state);
    }
}

impl Sessions {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            users: Table::new(),
            records: Table::new(),
            names: Names::new(seed),
            last_user: 0,
            threads: Names::new(!seed),
            departed: DepartedUsers::new(seed),
            tenants: Tenants::new(seed),
            ended: 0,
            ended_closing: 0,
            lingering: Ring::new(),
            absent: Ring::new(),
            here: 0,
            counted: 0,
            in_grace: Ring::new(),
            unsaid: Ring::new(),
        }
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.users.steps()
            + self.records.steps()
            + self.names.steps()
            + self.threads.steps()
            + self.departed.steps()
            + self.tenants.steps()
    }

    /// Users who are [here](User::is_here).
    pub(crate) const fn users(&self) -> usize {
        self.here
    }

    /// These, and the users of whom it is to be said that they are offline.
    pub(crate) const fn counted_users(&self) -> usize {
        self.counted
    }

    /// How many names of users are taken: one for each record.
    pub(crate) const fn user_names(&self) -> usize {
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
    pub(crate) fn lingers_longest(&self) -> Option<SessionKey> {
        self.lingering.front()
    }

    /// Users who are [absent](User::is_absent), those first that are so longest.
    pub(crate) fn absent(&self) -> impl Iterator<Item = UserKey> + '_ {
        self.absent.iter(&self.users)
    }

    /// How many of these there are.
    pub(crate) const fn absent_users(&self) -> usize {
        self.absent.len()
    }

    /// Sessions that linger without an open run, those first that do so longest.
    pub(crate) fn iter_lingering(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.lingering.iter(&self.records)
    }

    pub(crate) fn live(&self) -> usize {
        self.records.len() - self.ended
    }

    pub(crate) fn find_user(&self, name: &UserId) -> Option<UserKey> {
        self.names.find(name.as_str(), |user| self.users[user].name == *name)
    }

    pub(crate) fn find(&self, user: UserKey, thread: &ThreadId) -> Option<SessionKey> {
        let is_it = |session: &SessionKey| self.records[*session].thread == *thread;
        // Others can only have left from before it: one that is not in the index is still in front.
        let listed = self.of(user).take(LISTED).find(is_it);
        if listed.is_some() || self.users[user].sessions.len() <= LISTED {
            return listed;
        }
        let is_of_user = |session: SessionKey| self.records[session].user == user;
        self.threads.find((user, thread.as_str()), |session| is_of_user(session) && is_it(&session))
    }

    /// A user's sessions that have not ended, oldest first.
    pub(crate) fn of(&self, user: UserKey) -> impl Iterator<Item = SessionKey> + '_ {
        self.users[user].sessions.iter(&self.records)
    }

    /// The oldest of them, and the one that was created after one of them: for a walk that changes them.
    pub(crate) fn first_of(&self, user: UserKey) -> Option<SessionKey> {
        self.users[user].sessions.front()
    }

    pub(crate) fn after(&self, session: SessionKey) -> Option<SessionKey> {
        Ring::<OfUser>::after(&self.records, session)
    }

    /// A user's sessions that linger without an open run, those first that began to first.
    pub(crate) fn idle_of(&self, user: UserKey) -> impl Iterator<Item = SessionKey> + '_ {
        self.users[user].extras.idle.iter(&self.records)
    }

    pub(crate) fn user(&self, user: UserKey) -> &User {
        &self.users[user]
    }

    pub(crate) fn user_mut(&mut self, user: UserKey) -> &mut User {
        &mut self.users[user]
    }

    pub(crate) fn get(&self, session: SessionKey) -> &Session {
        &self.records[session]
    }

    pub(crate) fn peek(&self, session: SessionKey) -> Option<&Session> {
        self.records.get(session)
    }

    pub(crate) fn peek_user(&self, user: UserKey) -> Option<&User> {
        self.users.get(user)
    }

    pub(crate) fn get_mut(&mut self, session: SessionKey) -> &mut Session {
        &mut self.records[session]
    }

    /// The key of a session that has not ended.
    pub(crate) fn resolve(&self, id: SessionId) -> Option<SessionKey> {
        let session = SessionKey::try_of_slot(id.index())?;
        let record = self.records.get(session)?;
        (record.serial == id.serial() && !record.ended).then_some(session)
    }

    pub(crate) fn id(&self, session: SessionKey) -> SessionId {
        SessionId::new(session.slot() as u32, self.records[session].serial)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionKey, &Session)> {
        self.records.iter()
    }

    /// Sessions that have not ended, from a slot on. Costs O(slots passed).
    pub(crate) fn iter_live_from(
        &self,
        slot: usize,
    ) -> impl Iterator<Item = (SessionKey, &Session)> {
        self.records.iter_from(slot).filter(|(_, session)| !session.ended)
    }

    /// Users with a session that has not ended, in the order of the slots of the oldest of these.
    pub(crate) fn iter_users_with_sessions(&self) -> impl Iterator<Item = UserKey> + '_ {
        let oldest = self.iter_live_from(0).map(|(key, session)| (key, session.user));
        let oldest = oldest.filter(|(key, user)| self.first_of(*user) == Some(*key));
        oldest.map(|(_, user)| user)
    }

    /// Users who are here, from a slot on. Costs O(slots passed).
    pub(crate) fn iter_users_from(&self, slot: usize) -> impl Iterator<Item = (UserKey, &User)> {
        self.users.iter_from(slot).filter(|(_, user)| user.is_here())
    }

    /// All records of users, those included that are kept for what was not cleaned up.
    pub(crate) fn user_records(&self) -> impl Iterator<Item = (UserKey, &User)> {
        self.users.iter()
    }

    /// Where the table of sessions ends, and that of users: see [`Table::end`].
    pub(crate) fn ends(&self) -> (usize, usize) {
        (self.records.end(), self.users.end())
    }

    /// The key that the next session will have.
    pub(crate) fn next_key(&self) -> SessionKey {
        self.records.vacant_key()
    }

    pub(crate) fn insert(
        &mut self,
        serial: NonZeroU32,
        user: UserKey,
        thread: ThreadId,
        stream: StreamKey,
        now: Timestamp,
    ) -> SessionKey {
        let record = &self.users[user];
        debug_assert!(record.is_held() || record.open() > 0, "a session of a user who is not here");
        let indexed = record.sessions.len() >= LISTED;
        if indexed {
            self.threads.insert((user, thread.as_str()), self.records.vacant_key());
        }
        let session = self.records.insert(Session {
            serial,
            user,
            thread,
            since: now,
            stream,
            attached: 0,
            lingers: false,
            reason: CloseReason::PeerGone,
            extras: Rare::new(),
            user_links: Links::OUT,
            in_tenant: None,
            indexed,
            ended: false,
        });
        self.users[user].sessions.push(&mut self.records, session);
        // A user who is held, or has an open connection, is here and is not absent before and after.
        self.add_to_tenant(session);
        session
    }

    /// A connection is admitted to a session.
    pub(crate) fn attach(&mut self, session: SessionKey) {
        let record = &mut self.records[session];
        record.attached += 1;
        if record.lingers {
            record.lingers = false;
            record.extras.edit(|it| it.lingers_since = Timestamp::ZERO);
            self.relist(session);
        }
    }

    /// The last open connection of a session has left, or it was made without one.
    pub(crate) fn begin_to_linger(&mut self, session: SessionKey, now: Timestamp) {
        let record = &mut self.records[session];
        record.lingers = true;
        // It lingers without an open run and is listed for that, or has an open run: its extras are needed.
        record.extras.lingers_since = now;
        self.relist(session);
    }

    /// A run of a session was opened: it keeps the session.
    pub(crate) fn run_opened(&mut self, session: SessionKey) {
        self.records[session].extras.edit(|it| it.open_runs += 1);
        self.relist(session);
    }

    /// A run of a session has ended. With the last one a session without connections begins to
    /// linger anew, for the run has kept it until now: whether it is so.
    pub(crate) fn run_ended(&mut self, session: SessionKey, now: Timestamp) -> bool {
        let record = &mut self.records[session];
        let lingers = record.extras.edit(|it| {
            it.open_runs -= 1;
            let lingers = it.open_runs == 0 && record.lingers;
            if lingers {
                it.lingers_since = now;
            }
            lingers
        });
        self.relist(session);
        lingers
    }

    /// A connection of a session that has not ended begins its close handshake.
    pub(crate) fn handshake_began(&mut self, session: SessionKey) {
        self.records[session].extras.edit(|it| it.closing += 1);
    }

    /// The close handshake of one of a session's connections is over.
    pub(crate) fn handshake_ended(&mut self, session: SessionKey) {
        let record = &mut self.records[session];
        record.extras.edit(|it| it.closing -= 1);
        self.ended_closing -= usize::from(record.ended && record.closing() == 0);
    }

    /// Puts a session into the order of those that may go, or takes it out; whether it did, and so weighed
    /// its user anew. To be called after each change of what decides [`Session::may_go`].
    fn relist(&mut self, session: SessionKey) -> bool {
        let record = &self.records[session];
        let (may_go, key, in_tenant) = (record.may_go(), record.user, record.in_tenant);
        if may_go == record.extras.links.is_in() {
            return false;
        }
        let user = &mut self.users[key];
        if may_go {
            user.extras.idle.push(&mut self.records, session);
            self.lingering.push(&mut self.records, session);
        } else {
            user.extras.edit(|it| it.idle.remove(&mut self.records, session));
            self.lingering.remove(&mut self.records, session);
            self.records[session].extras.settle();
        }
        if let Some(place) = in_tenant {
            self.tenants.set_idle(place, may_go);
        }
        self.relist_user(key);
        true
    }

    /// The same for a user: after each change of the number of sessions, of those that linger, and of
    /// connections, of the leave grace, of a presence that waits to be told, and of the hold.
    fn relist_user(&mut self, user: UserKey) {
        let record = &mut self.users[user];
        let (is_here, counts) = (record.is_here(), record.counts());
        let was_here = core::mem::replace(&mut record.is_counted_here, is_here);
        let counted = core::mem::replace(&mut record.is_counted, counts);
        self.here = self.here + usize::from(is_here) - usize::from(was_here);
        self.counted = self.counted + usize::from(counts) - usize::from(counted);
        let is_absent = record.is_absent();
        if is_absent == record.extras.links.is_in() {
            return;
        }
        if is_absent {
            self.absent.push(&mut self.users, user);
        } else {
            self.absent.remove(&mut self.users, user);
            self.users[user].extras.settle();
        }
    }

    /// Takes the session from its user. [`settle`](Self::settle) follows.
    pub(crate) fn end(&mut self, session: SessionKey) {
        let record = &mut self.records[session];
        record.ended = true;
        self.ended += 1;
        self.ended_closing += usize::from(record.closing() > 0);
        let key = record.user;
        if record.indexed {
            self.threads.remove((key, record.thread.as_str()), session);
        }
        let user = &mut self.users[key];
        user.sessions.remove(&mut self.records, session);
        user.extras.edit(|it| it.ended += 1);
        if let Some(place) = self.records[session].in_tenant.take() {
            self.tenants.remove_session(place);
        }
        if !self.relist(session) {
            self.relist_user(key);
        }
    }

    /// Frees the slot of a session that has ended; whose it was. [`forget_user`](Self::forget_user) follows.
    pub(crate) fn release(&mut self, session: SessionKey) -> UserKey {
        self.ended -= 1;
        let user = self.records.remove(session).user;
        self.users[user].extras.edit(|it| it.ended -= 1);
        user
    }
}

#[cfg(test)]
mod tests;
