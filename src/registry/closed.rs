//! The connections that have closed last, and why.

use alloc::boxed::Box;
use core::time::Duration;

use crate::action::CloseReason;
use crate::conn::ConnKey;
use crate::id::{ConnId, SessionId, ThreadId, UserId};
use crate::snapshot::encoded;
use crate::time::Timestamp;

use super::Registry;

/// A connection that was admitted and has closed. [`Registry::closed`](crate::Registry::closed) has an
/// example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Which it was.
    pub conn: ConnId,
    /// The session that it followed longest; `None`: it followed none.
    pub session: Option<SessionId>,
    /// Its user.
    pub user: UserId,
    /// The thread of that session.
    pub thread: Option<ThreadId>,
    /// The label of its principal.
    pub label: Option<Box<str>>,
    /// Why it closed.
    pub reason: CloseReason,
    /// When it began to close.
    pub at: Timestamp,
    /// How long it was open.
    pub age: Duration,
    /// The cost of what was flushed to it.
    pub flushed: u64,
    /// Entries that its streams kept behind its cursor when it began to close. A resume is handed
    /// those that are still kept then, unless they are droppable.
    pub undelivered: u32,
}

encoded! {
    struct Closed { conn, session, user, thread, label, reason, at, age, flushed, undelivered }
}

impl Registry {
    /// The last connections that have closed, oldest first; at most `closed_ring`.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// registry.close(now, Target::Conn(conn), CloseReason::Forbidden);
    /// let last = registry.closed().next_back().expect("it was admitted");
    /// assert_eq!((last.conn, last.reason), (conn, CloseReason::Forbidden));
    /// assert_eq!(last.user.as_str(), "alice");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn closed(&self) -> impl DoubleEndedIterator<Item = &Closed> {
        self.closed_ring.iter()
    }

    /// Remembers an open connection that is about to leave everything.
    pub(super) fn remember_closed(&mut self, slot: ConnKey, reason: CloseReason) {
        if self.config.closed_ring == 0 {
            return;
        }
        let is_full = self.closed_ring.len() >= self.config.closed_ring as usize;
        let oldest = is_full.then(|| self.closed_ring.pop_front()).flatten();
        let (user, thread) = oldest.map_or((None, None), |it| (Some(it.user), it.thread));
        let (hot, cold) = (self.conns.hot(slot), self.conns.cold(slot));
        let session = cold.sessions().first().copied();
        let first = session.map(|session| self.sessions.get(session));
        let undelivered = cold.memberships.iter().map(|membership| {
            let stream = &self.streams[membership.stream];
            stream.log.count_after(stream.members[membership.index as usize].cursor)
        });
        let closed = Closed {
            conn: self.conns.id(slot),
            session: session.map(|session| self.sessions.id(session)),
            user: self.sessions.user(self.conns.user(slot)).name.clone_over(user),
            thread: first.map(|session| session.thread.clone_over(thread)),
            label: cold.extras.label.clone(),
            reason,
            at: self.now,
            age: self.now.saturating_since(cold.phase),
            flushed: hot.window.flushed(),
            undelivered: undelivered.sum(),
        };
        self.closed_ring.push_back(closed);
    }

    /// Keeps as many as the ring has room for.
    pub(super) fn forget_closed(&mut self) {
        while self.closed_ring.len() > self.config.closed_ring as usize {
            self.closed_ring.pop_front();
        }
    }
}
