//! Which sessions a connection follows: those of its user, and no other's.

use crate::action::{CloseReason, CloseWith};
use crate::conn::ConnKey;
use crate::error::{FollowError, UnknownConn};
use crate::id::{ConnId, SessionId, ThreadId};
use crate::input::{Input, Start};
use crate::principal::ConnKind;
use crate::session::SessionKey;
use crate::stats::{Followed, Recovered};
use crate::time::Timestamp;

use super::Registry;
use super::owned_action::OwnedAction;

/// # Sessions
///
/// A connection follows the session of the thread that its principal names, and those that it is told to
/// follow.
impl Registry {
    /// Has a connection follow the session of one of its user's threads, from `start` on. The session is
    /// created if there is none. Only a thread is named, and the user is the connection's, so that no
    /// mistake shows one user another's session. For a follower this changes nothing.
    ///
    /// The connection has one window, one heartbeat and one close for all that it follows. Over a
    /// cap the call is refused: no connection is closed for it. Over `limits.sessions_per_user` a session
    /// of the user that lingers without an open run makes room for a new one, and over the
    /// other caps of sessions what is absent does, as for [`connect`](Self::connect).
    ///
    /// A message to all of a user's sessions reaches a connection once for each that it follows.
    ///
    /// Costs O(the sessions and rooms of the connection, and the runs of the session).
    ///
    /// ```
    /// # use headcount::*;
    /// # let now = Timestamp::from_secs(1);
    /// let mut registry = Registry::new(Config::builder(1).sessions_per_connection(2).build()?);
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let kitchen = ThreadId::new("kitchen")?;
    /// let followed = registry.follow(now, conn, &kitchen, Start::OpenRuns)?;
    /// assert!(followed.new_session && !followed.already);
    /// let third = registry.follow(now, conn, &ThreadId::new("garden")?, Start::OpenRuns);
    /// assert_eq!(third, Err(FollowError::SessionsPerConnection));
    ///
    /// assert!(registry.unfollow(now, conn, followed.session)?);
    /// let delivery = registry.send(now, Target::Session(followed.session), Message::text("it boils"));
    /// assert_eq!((delivery.live, delivery.stored().len()), (0, 1), "kept for a resume");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FollowError`] says which limit it would exceed; nothing has changed then.
    pub fn follow(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        thread: &ThreadId,
        start: Start,
    ) -> Result<Followed, FollowError> {
        let user = self.open_slot(conn).map(|slot| self.conns.user(slot));
        let known = user.and_then(|user| self.sessions.find(user, thread));
        let start = self.before_character(|_| known, start);
        self.enter(now, Input::Follow { conn, thread, start: &start });
        let slot = self.open_slot(conn).ok_or(UnknownConn)?;
        let user = self.conns.user(slot);
        if let Some(session) = known
            && let Some(followed) = self.followed_already(slot, session)
        {
            return Ok(followed);
        }
        let cold = self.conns.cold(slot);
        let (config, follows) = (&self.config, cold.sessions().len());
        let most = config.sessions_per_connection.min(config.sessions_per_user);
        if follows + cold.extras.lefts as usize >= most as usize {
            return Err(FollowError::SessionsPerConnection);
        }
        let of_user = self.sessions.user(user);
        let streams = of_user.of_kind(ConnKind::EventStream).len() + of_user.further() as usize;
        if follows > 0 && streams >= config.streams_per_user as usize {
            return Err(FollowError::StreamsPerUser);
        }
        let session = match known {
            Some(session) => session,
            None => {
                let name = self.sessions.user(user).name.clone();
                self.create_absent_session(&name, thread).map_err(FollowError::Session)?
            }
        };
        let mut followed = self.follow_session(slot, session, &start);
        followed.new_session = known.is_none();
        // A new session brings its user nearer to a cap.
        self.raise_pressure(user, Some(followed.session), 0);
        Ok(followed)
    }

    /// Has a connection follow a session no more; `false` if it did not follow it. Nothing of the session
    /// reaches it after the call, also nothing that was sent before. Without a follower the session
    /// lingers.
    ///
    /// Costs O(the sessions and rooms of the connection), and the entries that only it kept from leaving the
    /// log. [`follow`](Self::follow) has an example.
    ///
    /// # Errors
    /// [`UnknownConn`] if the connection is not open.
    pub fn unfollow(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        session: SessionId,
    ) -> Result<bool, UnknownConn> {
        self.enter(now, Input::Unfollow { conn, session });
        let slot = self.open_slot(conn).ok_or(UnknownConn)?;
        let Some(session) = self.sessions.resolve(session) else { return Ok(false) };
        let follows = self.leave_session(slot, session);
        if follows {
            self.end_session_if_due(session);
        }
        Ok(follows)
    }

    fn followed_already(&self, slot: ConnKey, session: SessionKey) -> Option<Followed> {
        let key = self.sessions.get(session).stream;
        let membership = self.conns.membership(slot, key)?;
        let stream = &self.streams[key];
        Some(Followed {
            session: self.sessions.id(session),
            new_session: false,
            first_of_session: stream.members.len() == 1,
            position: stream.position(stream.members[membership.index as usize].cursor),
            recovered: Recovered::Fresh,
            already: true,
        })
    }

    /// An open connection comes to follow a session of its user.
    pub(super) fn follow_session(
        &mut self,
        slot: ConnKey,
        session: SessionKey,
        start: &Start,
    ) -> Followed {
        self.sessions.attach(session);
        self.conns.cold_mut(slot).follow(session);
        self.count_further(slot, |further| further + 1);
        let key = self.sessions.get(session).stream;
        let (position, recovered) = self.join_stream(slot, key, start);
        Followed {
            session: self.sessions.id(session),
            new_session: false,
            first_of_session: self.streams[key].members.len() == 1,
            position,
            recovered,
            already: false,
        }
    }

    /// One session more, or one less: those beyond the first of a connection count for its user.
    fn count_further(&mut self, slot: ConnKey, count: impl FnOnce(u32) -> u32) {
        if self.conns.sessions(slot).len() > 1 {
            let user = self.sessions.user_mut(self.conns.user(slot));
            user.count_further(count);
        }
    }

    /// An open connection leaves a session; `false` if it does not follow it. The session lingers without
    /// followers, and may have to end.
    fn leave_session(&mut self, slot: ConnKey, session: SessionKey) -> bool {
        let key = self.sessions.get(session).stream;
        let Some(place) = self.conns.place_of(slot, key) else { return false };
        self.count_further(slot, |further| further - 1);
        let cold = self.conns.cold_mut(slot);
        let membership = cold.memberships.remove(place);
        cold.unfollow(session);
        self.leave_stream(slot, membership);
        self.linger_without_followers(session);
        self.sessions.get_mut(session).attached -= 1;
        true
    }

    /// Takes its followers from a session: those that follow no other are closed, and the others are told
    /// that they have left it. How many there were. The session may have to end.
    pub(super) fn close_session(&mut self, session: SessionKey, with: &CloseWith) -> u32 {
        let stream = self.sessions.get(session).stream;
        let mut followers = 0;
        while let Some(member) = self.streams[stream].members.last() {
            let slot = member.conn;
            if self.conns.sessions(slot).len() == 1 {
                self.begin_close_with(slot, with.clone());
            } else {
                self.send_away_from(slot, session, with.reason());
            }
            followers += 1;
        }
        followers
    }

    /// A connection that follows other sessions, too, leaves this one.
    fn send_away_from(&mut self, slot: ConnKey, session: SessionKey, reason: CloseReason) {
        self.sessions.get_mut(session).reason = reason;
        let key = self.sessions.get(session).stream;
        if reason != CloseReason::PeerClosed
            && let Some(place) = self.conns.place_of(slot, key)
        {
            self.hand_out_rest(slot, place);
        }
        let (conn, id) = (self.conns.id(slot), self.sessions.id(session));
        self.conns.cold_mut(slot).extras.edit(|it| it.lefts += 1);
        self.enqueue(OwnedAction::Left { conn, session: id, reason });
        self.leave_session(slot, session);
    }

    /// A session has one follower less. Without any it lingers.
    pub(super) fn linger_without_followers(&mut self, session: SessionKey) {
        let stream = self.sessions.get(session).stream;
        if self.streams[stream].members.is_empty() {
            self.sessions.begin_to_linger(session, self.now);
            self.arm_session(session);
        }
    }

    /// A connection that followed a session was cleaned up: the session may end.
    pub(super) fn detach(&mut self, session: SessionKey) {
        let record = self.sessions.get_mut(session);
        record.attached -= 1;
        match record.ended {
            true => self.clean_up_session(session),
            false => self.end_session_if_due(session),
        }
    }

    /// The session that a connection follows longest.
    pub(super) fn first_session_id(&self, slot: ConnKey) -> Option<SessionId> {
        self.conns.sessions(slot).first().map(|session| self.sessions.id(*session))
    }
}
