//! From a socket to somebody: reserve, upgraded, connect, in one step each.

use crate::bucket::Rate;
use crate::conn::State;
use crate::error::{Refused, UnknownConn};
use crate::id::{ConnId, Principal, ThreadId, UserId};
use crate::log::Content;
use crate::stats::{Admitted, Notice};
use crate::stream::{Owner, Stream};
use crate::time::Timestamp;

use super::{Registry, Resume, record};

impl Registry {
    /// A socket was accepted. It takes a place among `limits.pending`, and the head deadline runs.
    ///
    /// # Errors
    /// [`Refused::Pending`] when all places are taken: close the socket.
    pub fn reserve(&mut self, now: Timestamp) -> Result<ConnId, Refused> {
        record!(self, now, reserve());
        self.advance(now);
        if self.counters.pending >= self.config.pending {
            return Err(Refused::Pending);
        }
        let serial = self.next_serial();
        let conn = self.conns.insert(serial, self.now, self.attended());
        self.counters.pending += 1;
        self.arm(conn.index() as u32);
        Ok(conn)
    }

    /// A socket was upgraded without having been admitted: the authentication deadline runs
    /// instead of the head's, and it can be replied to. Changes nothing for others.
    ///
    /// # Errors
    /// [`UnknownConn`] for a dead handle.
    pub fn upgraded(&mut self, now: Timestamp, conn: ConnId) -> Result<(), UnknownConn> {
        record!(self, now, upgraded(conn));
        self.advance(now);
        let slot = self.conns.resolve(conn).ok_or(UnknownConn)?;
        let (hot, cold) = self.conns.both_mut(slot);
        match hot.state {
            State::Gone => return Err(UnknownConn),
            State::Pending if !cold.upgraded => {
                cold.upgraded = true;
                cold.phase = self.now;
                self.arm(slot);
            }
            State::Pending | State::Open | State::Closing => {}
        }
        Ok(())
    }

    /// A pending socket is somebody: it is admitted or refused, in one step, with exact limits.
    ///
    /// The order: draining, rate, takeover of the predecessor that the client names, the user's connections,
    /// the user's sessions, all connections, all users, all sessions. Over a cap of the user's own,
    /// and in a full house, one of the user's own makes room as [`OverCap`](crate::OverCap) says: nobody is refused
    /// because of their own ghosts. Nothing is closed for a connection that is refused in the end.
    /// A refused one stays pending: answer it, then report `disconnect`, or `close` it if it was
    /// upgraded.
    ///
    /// # Errors
    /// [`Refused`] says which limit it would exceed.
    pub fn connect(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        who: Principal,
        resume: Option<Resume>,
    ) -> Result<Admitted, Refused> {
        let resume = resume.map(|resume| self.before_character(&who, resume));
        record!(self, now, connect(conn, &who, resume.as_ref()));
        self.advance(now);
        let slot = self.conns.resolve(conn).ok_or(Refused::UnknownConn)?;
        match self.conns.hot(slot).state {
            State::Pending => {}
            State::Open | State::Closing => return Err(Refused::NotPending),
            State::Gone => return Err(Refused::UnknownConn),
        }
        let previous = resume.and_then(|resume| resume.previous);
        let plan = self
            .refuse_while_draining()
            .and_then(|()| self.take_connect_token())
            .and_then(|()| self.plan_admission(&who, previous));
        let (known, evicted) = match plan {
            Ok(plan) => (plan.session, self.make_room(&plan)),
            Err(refused) => {
                self.counters.refused += 1;
                return Err(refused);
            }
        };
        let Principal { user, thread, label, expires_at } = who;
        let new_session = known.is_none();
        let session = match known {
            Some(session) => session,
            None => self.mint(user, thread),
        };
        let record = self.sessions.get_mut(session);
        record.attached += 1;
        record.lingers_since = None;
        let (stream, user) = (record.stream, record.user);
        let attended = self.attended();
        let (hot, cold) = self.conns.both_mut(slot);
        hot.state = State::Open;
        hot.session = session;
        hot.last_seen = attended;
        cold.last_data = attended;
        cold.expires_at = expires_at;
        cold.phase = self.now;
        // The slow deadline is for admitted connections: what it was sent before counts from here.
        cold.progress = attended;
        cold.upgraded = true;
        cold.admitted = true;
        cold.label = label;
        self.counters.pending -= 1;
        self.counters.opened += 1;
        self.counters.open += 1;
        self.counters.live += 1;
        let since = resume.map(|resume| resume.position).filter(|since| *since != Resume::UNSEEN);
        let (position, recovered) = self.take_seat(slot, stream, since);
        self.arm(slot);
        let session = self.sessions.id(session);
        self.notice(Notice::Admitted { conn, session });
        self.keep_headroom();
        self.raise_pressure(user, session, evicted);
        Ok(Admitted { session, new_session, position, recovered })
    }

    /// A client that makes up its offset may stand within a character of a run's text: then it stands
    /// before it. So every cursor is where the text can be cut, and nothing that is decided later
    /// depends on what the text says, which a journal may leave out.
    fn before_character(&self, who: &Principal, mut resume: Resume) -> Resume {
        let user = self.sessions.find_user(&who.user);
        let session = user.and_then(|user| self.sessions.find(user, &who.thread));
        let Some(session) = session else { return resume };
        let stream = &self.streams[self.sessions.get(session).stream as usize];
        let position = &mut resume.position;
        if stream.epoch == position.epoch
            && let Some(entry) = stream.log.after(position.offset)
            && let Some(Content::Text(text)) = entry.content_after(position.offset)
        {
            position.offset -= self.runs.get(text.run).within_character(text.from);
        }
        resume
    }

    /// A new session, with a stream that was never before.
    pub(super) fn mint(&mut self, user: UserId, thread: ThreadId) -> u32 {
        let (serial, epoch) = (self.next_serial(), self.next_epoch());
        let owner = Owner::Session(self.sessions.next_slot());
        let stream = self.streams.insert(Stream::new(owner, epoch)) as u32;
        self.counters.sessions_opened += 1;
        self.sessions.insert(serial, user, thread, stream, self.now)
    }

    /// A user's open connections: the lengths of their sessions' indexes, never a counter.
    pub(super) fn user_connections(&self, user: u32) -> usize {
        let sessions = &self.sessions.user(user).sessions;
        let members = |session: &u32| {
            let stream = self.sessions.get(*session).stream;
            self.streams[stream as usize].members.len()
        };
        sessions.iter().map(members).sum()
    }

    fn refuse_while_draining(&self) -> Result<(), Refused> {
        match &self.drain {
            Some(drain) => Err(Refused::Draining { retry_after: drain.left(self.now) }),
            None => Ok(()),
        }
    }

    fn take_connect_token(&mut self) -> Result<(), Refused> {
        let rate = Rate::new(self.config.connect_rate, self.config.connect_burst);
        let Some(rate) = rate else { return Ok(()) };
        let taken = self.connects.take(self.now, rate, rate.token());
        taken.map_err(|retry_after| Refused::Rate { retry_after })
    }

    /// Cuts the oldest close handshake short while admitted connections fill all places and the
    /// headroom, so that the next newcomer finds one.
    pub(super) fn keep_headroom(&mut self) {
        let places = u64::from(self.config.connections) + u64::from(self.config.closing);
        while u64::from(self.counters.open) + u64::from(self.counters.closing) >= places {
            let Some(conn) = self.closing.pop_front() else { return };
            if let Some(slot) = self.conns.resolve(conn)
                && self.conns.hot(slot).state == State::Closing
            {
                self.finish(slot);
            }
        }
    }
}
