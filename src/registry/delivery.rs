//! What the application wants delivered, and to whom: send and reply.

use crate::conn::{ConnKey, State};
use crate::error::{ReplyError, UnknownConn};
use crate::except::{LeftOut, Outgoing};
use crate::id::ConnId;
use crate::input::{Input, Target};
use crate::message::{MESSAGE_OVERHEAD, Message};
use crate::session::{SessionKey, UserKey};
use crate::stats::{Delivery, Stored};
use crate::stream::{Owner, Stream, StreamKey};
use crate::time::Timestamp;

use super::Registry;
use super::owned_action::{OwnedAction, OwnedBody};
use super::ready::Ready;

/// # Sending
impl Registry {
    /// Sends a message. It is appended to the target's streams in O(1) each, whatever the number of
    /// members, and handed out as actions are polled; direct messages and announcements are in no
    /// stream and are never resumed. A user has as many streams as sessions: up to
    /// `limits.sessions_per_user`.
    ///
    /// Costs O(streams), and the entries that give way to the message by the bounds of a log or by a
    /// byte budget. Each that gives way to `outbound.user_bytes` costs O(the user's sessions). A message
    /// that leaves out a session or a user costs O(their connections, and the rooms and sessions of these)
    /// more for each stream of others.
    ///
    /// Never fails: [`Delivery`] says what the call found, down to nobody.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let delivery = registry.send(now, Target::UserOf(conn), Message::text("hello"));
    /// assert_eq!((delivery.live, delivery.behind), (1, 0));
    /// let Stored { session, position, .. } = delivery.stored()[0];
    /// assert!(session.is_some());
    /// assert_eq!(position.offset, 1, "the first entry of the session's log");
    ///
    /// let nowhere = registry.send(now, Target::Room(&"empty".parse()?), Message::text("hello"));
    /// assert!(nowhere.reaches_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(
        &mut self,
        now: Timestamp,
        to: Target<'_>,
        message: impl Into<Outgoing>,
    ) -> Delivery {
        let Outgoing { message, except } = message.into();
        self.enter(now, Input::Send { to, message: &message, except });
        let left_out = except.and_then(|except| self.left_out(except));
        let mut delivery = Delivery::default();
        match to {
            Target::Conn(conn) if self.leaves_out(left_out, conn) => {}
            Target::Conn(conn) => match self.enqueue_direct(conn, message) {
                Ok(()) => delivery.live = 1,
                Err(ReplyError::Full) => delivery.full = true,
                Err(ReplyError::UnknownConn) => {}
            },
            Target::Session(_) | Target::SessionOf(_) => {
                if let Some(session) = self.session_meant(to) {
                    let stream = self.sessions.get(session).stream;
                    self.append(stream, message, left_out, &mut delivery);
                }
            }
            Target::User(_) | Target::UserOf(_) => {
                if let Some(user) = self.user_meant(to)
                    && let Some(mut session) = self.sessions.first_of(user)
                {
                    while let Some(next) = self.sessions.after(session) {
                        let stream = self.sessions.get(session).stream;
                        self.append(stream, message.clone(), left_out, &mut delivery);
                        session = next;
                    }
                    let stream = self.sessions.get(session).stream;
                    self.append(stream, message, left_out, &mut delivery);
                }
            }
            Target::Room(room) => {
                if let Some(slot) = self.rooms.find(room) {
                    let stream = self.rooms.get(slot).stream;
                    self.append(stream, message, left_out, &mut delivery);
                }
            }
            Target::Everyone => self.announce(message, left_out, &mut delivery),
        }
        delivery
    }

    /// The session that a target means; `None` if it has ended, and for other targets.
    pub(super) fn session_meant(&self, to: Target<'_>) -> Option<SessionKey> {
        match to {
            Target::Session(session) => self.sessions.resolve(session),
            Target::SessionOf(conn) => self.conns.sessions(self.open_slot(conn)?).first().copied(),
            _ => None,
        }
    }

    /// The user that a target means; `None` if they are not here, and for other targets.
    pub(super) fn user_meant(&self, to: Target<'_>) -> Option<UserKey> {
        match to {
            Target::User(user) => self.sessions.find_user(user),
            Target::UserOf(conn) => Some(self.conns.user(self.open_slot(conn)?)),
            _ => None,
        }
    }

    /// Answers one connection, also one that was upgraded and not admitted yet. While its window is
    /// not exceeded, a reply of at most `outbound.reply_reserve` fits. A longer one has to fit the
    /// window, and what is queued for all connections has to stay within `outbound.direct_bytes`. An
    /// empty window admits any length.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let part = Message::text("x".repeat(1 << 10));
    /// registry.reply(now, conn, part.clone())?;
    /// // A client that reads nothing costs its window and its reserve, and no more.
    /// let refused = loop {
    ///     if let Err(refused) = registry.reply(now, conn, part.clone()) {
    ///         break refused;
    ///     }
    /// };
    /// assert_eq!(refused, ReplyError::Full);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ReplyError`]; nothing of the message is kept then.
    pub fn reply(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        message: Message,
    ) -> Result<(), ReplyError> {
        self.enter(now, Input::Reply { conn, message: &message });
        self.enqueue_direct(conn, message)
    }

    /// Charges one connection for a reply of so many bytes of payload that its shell writes at once, before
    /// anything that is polled later: what [`reply`](Self::reply) does, and the poll of its action, for
    /// shells that answer while they read. `Ok(false)`: something that is directed at the connection waits to
    /// be polled, which the reply would overtake. Nothing is charged then, and `reply` is to be called.
    ///
    /// The reply counts as handed out: its cost, the length of the payload and
    /// [`MESSAGE_OVERHEAD`](crate::MESSAGE_OVERHEAD), is part of what [`flushed`](Self::flushed) reports.
    /// Costs O(1).
    ///
    /// # Errors
    /// [`ReplyError`], as for `reply`. But a reply at once never waits in the registry, so
    /// `outbound.direct_bytes` does not bound it. One of 4 GiB or more is [`ReplyError::Full`].
    ///
    /// ```
    /// # use headcount::{Config, Principal, Registry, Start, ThreadId, Timestamp, UserId};
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new(UserId::new("alice")?).with_thread(ThreadId::new("chat")?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// if registry.reply_at_once(now, conn, "pong".len())? {
    ///     // Write a frame of "pong" to the socket of `conn`, and report it as flushed later.
    /// } else {
    ///     registry.reply(now, conn, "pong".into())?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reply_at_once(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        bytes: usize,
    ) -> Result<bool, ReplyError> {
        self.enter(now, Input::ReplyAtOnce { conn, bytes });
        let slot = self.answerable(conn)?;
        let attended = self.attended();
        let hot = self.conns.hot_mut(slot);
        if hot.window.queued() > 0 {
            return Ok(false);
        }
        // An empty window admits any length, and no memory bounds one that is only told: sums must not wrap.
        let bytes = u32::try_from(bytes).map_err(|_| ReplyError::Full)?;
        let cost = u64::from(bytes) + MESSAGE_OVERHEAD;
        if !hot.window.fits_direct(cost, self.config.send_window, self.config.reply_reserve) {
            return Err(ReplyError::Full);
        }
        let is_first = hot.window.hand_out(cost, attended);
        if !self.config.flush_reports {
            hot.window.flush_to(u64::MAX, attended);
        }
        self.counters.sent += 1;
        if is_first && hot.state == State::Open {
            self.arm_stuck(slot);
        }
        self.go_on_if_unreported(slot);
        Ok(true)
    }

    /// A connection that can be answered: open, or upgraded and not admitted yet.
    fn answerable(&self, conn: ConnId) -> Result<ConnKey, UnknownConn> {
        let slot = self.conns.resolve(conn).ok_or(UnknownConn)?;
        let reachable = match self.conns.hot(slot).state {
            State::Open => true,
            State::Pending => self.conns.cold(slot).upgraded,
            State::Closing | State::Gone => false,
        };
        reachable.then_some(slot).ok_or(UnknownConn)
    }

    fn enqueue_direct(&mut self, conn: ConnId, message: Message) -> Result<(), ReplyError> {
        let slot = self.answerable(conn)?;
        let hot = self.conns.hot_mut(slot);
        let (cost, reserve) = (message.cost(), self.config.reply_reserve);
        let is_reserved = hot.window.queued().saturating_add(cost) <= reserve;
        if !hot.window.fits_direct(cost, self.config.send_window, reserve)
            || !(is_reserved || self.outbox.fits(cost, self.config.direct_bytes))
        {
            return Err(ReplyError::Full);
        }
        self.enqueue(OwnedAction::Send { conn, place: None, body: OwnedBody::Message(message) });
        Ok(())
    }

    /// Appends a message to one stream and counts who is live and who is behind.
    fn append(
        &mut self,
        key: StreamKey,
        message: Message,
        left_out: Option<LeftOut>,
        delivery: &mut Delivery,
    ) {
        let passes_over = |it: &Self| message.is_droppable() || it.bounds(key).history == 0;
        if self.streams[key].members.is_empty() && passes_over(self) {
            self.edit_log(key, |stream, _, _| {
                stream.log.pass_over();
                stream.delivered_to_all = stream.log.head();
            });
            return;
        }
        let (live, behind) = left_out.map_or((0, 0), |it| self.members_left_out(key, it));
        let (now, seed) = (self.now, self.config.seed);
        self.store(key, delivery, |stream| stream.log.append(now, message, left_out, seed));
        delivery.live -= live;
        delivery.behind -= behind;
    }

    /// Appends an entry to one stream, makes room for it, and sees to it that it is handed out.
    pub(super) fn store(
        &mut self,
        key: StreamKey,
        delivery: &mut Delivery,
        append: impl FnOnce(&mut Stream) -> u64,
    ) {
        let stream = &self.streams[key];
        delivery.live += stream.members.len() as u32 - stream.lagging;
        delivery.behind += stream.lagging;
        self.counters.stored += 1;
        let offset = self.edit_log(key, |stream, bounds, freed| {
            let before = stream.log.head();
            let offset = append(stream);
            stream.fit(bounds, freed);
            if stream.members.is_empty() {
                stream.trim_history(bounds, freed);
            } else {
                stream.begin_fan_out(before);
            }
            offset
        });
        let stream = &self.streams[key];
        let position = stream.position(offset);
        let session = match stream.owner {
            Owner::Session(session) => Some(self.sessions.id(session)),
            Owner::Room(_) => None,
        };
        delivery.stored.push(Stored { session, position });
        if !stream.members.is_empty() {
            self.queue_turn(Ready::Stream(key));
        }
        self.keep_budgets(key);
    }
}
