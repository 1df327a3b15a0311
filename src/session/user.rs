//! The record of a user.

use crate::conn::{ConnKey, Conns, OfState};
use crate::id::UserId;
use crate::principal::ConnKind;
use crate::snapshot::{Decoder, Encoder, Malformed, encoded};
use crate::stats::Pressure;
use crate::store::{Links, Rare, Ring, Seldom, TokenBucket, key, linked};
use crate::tenant::TenantKey;
use crate::time::Timestamp;

use super::{Idle, OfUser, Sessions};

key! {
    /// The key of a user's record.
    UserKey
}

/// A user's record, told apart from those that have its slot later: before 2^32 further users were here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct UserTag {
    pub(crate) user: UserKey,
    serial: u32,
}

encoded! { struct UserTag { user, serial } }

#[derive(Clone, Hash)]
pub(crate) struct User {
    pub(crate) name: UserId,
    serial: u32,
    /// The tenant that it is of while it is here.
    pub(super) tenant: Option<TenantKey>,
    /// Sessions that have not ended, oldest first.
    pub(super) sessions: Ring<OfUser>,
    /// Its open sockets, in the order in which they were admitted.
    sockets: Ring<OfState>,
    pub(super) extras: Rare<Extras>,
    /// Its connections whose cleanup was not polled: open, closing and gone ones.
    pub(super) attached: u32,
    /// How many rooms these are in together.
    pub(crate) rooms: u32,
    /// Whether it was last said to be online.
    pub(super) said_online: bool,
    /// Whether a call is under way that gives it a connection or a session.
    is_held: bool,
    /// Whether it is counted among those who are here, and among those who [count](User::counts).
    pub(super) is_counted_here: bool,
    pub(super) is_counted: bool,
    /// The level that was acted on last.
    pub(crate) pressure: Pressure,
    /// The bucket of the user's connects. It is among those of departed users once this record is gone.
    pub(crate) connects: TokenBucket,
    /// The cost of what the logs of the sessions hold, and of the calls under way.
    pub(super) bytes: u64,
}

encoded! {
    struct User {
        name, serial, tenant, sessions, sockets, extras, attached, rooms, said_online, is_held,
        is_counted_here, is_counted, pressure, connects, bytes,
    }
}

/// What few users have.
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct Extras {
    /// The sessions that linger without an open run, in the order in which they began to.
    pub(super) idle: Ring<Idle>,
    /// Sessions that ended and whose cleanup was not polled.
    pub(super) ended: u32,
    /// The place among the [absent](User::is_absent).
    pub(super) links: Links,
    /// The open event streams, in the order in which they were admitted.
    event_streams: Ring<OfState>,
    /// How many sessions the connections follow together, beyond the first of each. With the event streams
    /// they count towards `limits.streams_per_user`.
    further: u32,
    /// The part of the bytes that is for calls.
    pub(super) call_bytes: u64,
    /// When the last open connection left, while the user is in the leave grace.
    pub(super) left_at: Timestamp,
    /// The place among those in the leave grace.
    pub(super) grace_links: Links,
    /// The place among those of whom something is to be said.
    pub(super) unsaid_links: Links,
}

encoded! {
    struct Extras {
        idle, ended, links, event_streams, further, call_bytes, left_at, grace_links, unsaid_links,
    }
}

impl Seldom for Extras {
    const SHARED: &'static Self = &Self::USUAL;
    const USUAL: Self = Self {
        idle: Ring::new(),
        ended: 0,
        links: Links::OUT,
        event_streams: Ring::new(),
        further: 0,
        call_bytes: 0,
        left_at: Timestamp::ZERO,
        grace_links: Links::OUT,
        unsaid_links: Links::OUT,
    };
}

linked! {
    /// Users who are [absent](User::is_absent).
    Absent: UserKey => User, extras.links
}

impl User {
    /// Whether it has a session that has not ended or an open connection, is in the leave grace, or is
    /// about to have one of these: it counts towards `limits.users`.
    pub(crate) fn is_here(&self) -> bool {
        !self.sessions.is_empty() || self.is_online() || self.is_held
    }

    /// Whether it is here without an open connection, and all of its sessions linger without an open run.
    pub(crate) fn is_absent(&self) -> bool {
        self.open() == 0
            && self.extras.idle.len() == self.sessions.len()
            && !self.is_held
            && self.is_here()
    }

    /// Whether it is here, or it is to be said that it is offline: it can be looked at.
    pub(crate) fn counts(&self) -> bool {
        self.is_here() || self.is_unsaid()
    }

    /// Whether this record is of use: to what has not ended, or to what was not polled.
    pub(crate) fn is_needed(&self) -> bool {
        self.counts() || self.extras.ended > 0 || self.attached > 0
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.sockets.len() + self.extras.event_streams.len()
    }

    /// Its open connections of a kind, in the order in which they were admitted.
    pub(crate) fn of_kind(&self, kind: ConnKind) -> &Ring<OfState> {
        match kind {
            ConnKind::Socket => &self.sockets,
            ConnKind::EventStream => &self.extras.event_streams,
        }
    }

    pub(super) fn encode_connections(&self, conns: &Conns, to: &mut Encoder<'_>) {
        self.sockets.encode_keys(conns, to);
        self.extras.event_streams.encode_keys(conns, to);
    }

    pub(super) fn decode_connections(
        &mut self,
        conns: &mut Conns,
        from: &mut Decoder<'_>,
    ) -> Result<(), Malformed> {
        self.sockets.decode_keys(conns, from)?;
        self.extras.edit(|it| it.event_streams.decode_keys(conns, from))
    }

    fn edit_kind<R>(&mut self, kind: ConnKind, edit: impl FnOnce(&mut Ring<OfState>) -> R) -> R {
        match kind {
            ConnKind::Socket => edit(&mut self.sockets),
            ConnKind::EventStream => self.extras.edit(|it| edit(&mut it.event_streams)),
        }
    }

    /// How many sessions its connections follow together, beyond the first of each.
    pub(crate) fn further(&self) -> u32 {
        self.extras.further
    }

    /// Counts these anew.
    pub(crate) fn count_further(&mut self, count: impl FnOnce(u32) -> u32) {
        self.extras.edit(|it| it.further = count(it.further));
    }

    /// Its open connections: sockets, then event streams, each in the order in which they were admitted.
    pub(crate) fn connections<'a>(
        &self,
        conns: &'a Conns,
    ) -> impl Iterator<Item = ConnKey> + use<'a> {
        self.sockets.iter(conns).chain(self.extras.event_streams.iter(conns))
    }

    /// Whether a call is under way that gives it a connection or a session.
    pub(crate) const fn is_held(&self) -> bool {
        self.is_held
    }

    /// Its connections whose cleanup was not polled.
    pub(crate) const fn attached(&self) -> u32 {
        self.attached
    }

    /// How many of its sessions have ended, and were not cleaned up.
    pub(crate) fn ended(&self) -> u32 {
        self.extras.ended
    }

    /// How many of its sessions linger without an open run.
    pub(crate) fn idle(&self) -> usize {
        self.extras.idle.len()
    }

    /// How many sessions have not ended.
    pub(crate) const fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The cost of what the logs of its sessions hold, and of the calls under way.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The part of it that is for calls.
    pub(crate) fn call_bytes(&self) -> u64 {
        self.extras.call_bytes
    }

    /// The tenant that it is of; `None` if it has none, and while it is not here.
    pub(crate) const fn tenant(&self) -> Option<TenantKey> {
        self.tenant
    }
}

impl Sessions {
    /// Takes the record of a user, or makes it if none is known, and holds it: evictions do not end it. The
    /// caller adds a connection or a session to it, and then [releases](Self::release_hold) it.
    pub(crate) fn hold_user(&mut self, known: Option<UserKey>, name: UserId) -> UserKey {
        debug_assert_eq!(known, self.find_user(&name), "the record that the name has");
        let user = known.unwrap_or_else(|| self.insert_user(name));
        self.users[user].is_held = true;
        self.relist_user(user);
        user
    }

    /// What was added to a user keeps it here: an open connection, or a session that does not linger yet. So
    /// the user is in the same lists before and after.
    pub(crate) fn release_hold(&mut self, user: UserKey) {
        let record = &mut self.users[user];
        record.is_held = false;
        debug_assert!(record.is_here() && !record.is_absent(), "a user who has nothing was held");
    }

    fn insert_user(&mut self, name: UserId) -> UserKey {
        let connects = self.departed.take(&name);
        self.last_user = self.last_user.wrapping_add(1);
        let user = self.users.insert(User {
            name,
            serial: self.last_user,
            tenant: None,
            connects,
            sessions: Ring::new(),
            sockets: Ring::new(),
            extras: Rare::new(),
            attached: 0,
            rooms: 0,
            said_online: false,
            is_held: false,
            is_counted_here: false,
            is_counted: false,
            pressure: Pressure::None,
            bytes: 0,
        });
        self.names.insert(self.users[user].name.as_str(), user);
        user
    }

    /// What tells the record of a user from later ones.
    pub(crate) fn tag(&self, user: UserKey) -> UserTag {
        UserTag { user, serial: self.users[user].serial }
    }

    /// A connection of a user who is held is admitted. [`release_hold`](Self::release_hold) follows.
    pub(crate) fn admit(&mut self, user: UserKey, conns: &mut Conns, conn: ConnKey) {
        let record = &mut self.users[user];
        record.attached += 1;
        record.edit_kind(conns.cold(conn).kind, |ring| ring.push(conns, conn));
        if let Some(tenant) = record.tenant {
            self.tenants.connected(tenant, 1);
        }
    }

    /// An open connection of a user begins to close, or has ended. [`settle`](Self::settle) follows.
    pub(crate) fn dismiss(&mut self, user: UserKey, conns: &mut Conns, conn: ConnKey) {
        let record = &mut self.users[user];
        record.edit_kind(conns.cold(conn).kind, |ring| ring.remove(conns, conn));
        if let Some(tenant) = record.tenant {
            self.tenants.disconnected(tenant);
        }
        self.relist_user(user);
    }

    /// Fills the bucket of every user.
    pub(crate) fn fill_buckets(&mut self) {
        for (_, user) in self.users.iter_mut() {
            user.connects = TokenBucket::default();
        }
        self.departed.shrink_to(0);
    }

    /// A connection of a user was cleaned up. [`forget_user`](Self::forget_user) follows.
    pub(crate) fn detach_connection(&mut self, user: UserKey) {
        self.users[user].attached -= 1;
    }

    /// Takes the user from its tenant if it is here no more; whether it is here.
    pub(crate) fn settle(&mut self, user: UserKey) -> bool {
        self.leave_tenant_if_gone(user);
        let record = &mut self.users[user];
        let is_here = record.is_here();
        if !is_here {
            record.pressure = Pressure::None;
        }
        is_here
    }

    /// The record of a user goes with the last that needs it: whose the connections and sessions were is
    /// known until their cleanup. At most `departed` buckets are kept of users who have left.
    pub(crate) fn forget_user(&mut self, user: UserKey, now: Timestamp, departed: usize) {
        if self.users[user].is_needed() {
            return;
        }
        let User { name, connects, .. } = self.users.remove(user);
        self.names.remove(name.as_str(), user);
        self.departed.put(name, connects, now, departed);
    }
}
