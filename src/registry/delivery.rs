//! What the application wants delivered, and to whom: send and reply.

use crate::conn::State;
use crate::error::{ReplyError, UnknownConn};
use crate::except::{LeftOut, Outgoing};
use crate::id::ConnId;
use crate::input::{Input, Target};
use crate::message::Message;
use crate::session::{SessionKey, UserKey};
use crate::stats::{Delivery, Stored};
use crate::stream::{FanOut, Owner, Stream, StreamKey};
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
                if let Some(user) = self.user_meant(to) {
                    let mut next = self.sessions.first_of(user);
                    while let Some(session) = next {
                        next = self.sessions.after(session);
                        let stream = self.sessions.get(session).stream;
                        self.append(stream, message.clone(), left_out, &mut delivery);
                    }
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

    fn enqueue_direct(&mut self, conn: ConnId, message: Message) -> Result<(), ReplyError> {
        let slot = self.conns.resolve(conn).ok_or(UnknownConn)?;
        let (hot, cold) = self.conns.both_mut(slot);
        let reachable = match hot.state {
            State::Open => true,
            State::Pending => cold.upgraded,
            State::Closing | State::Gone => false,
        };
        if !reachable {
            return Err(ReplyError::UnknownConn);
        }
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
        let history = self.bounds(key).history;
        let stream = &self.streams[key];
        if stream.members.is_empty() && (history == 0 || message.is_droppable()) {
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
                stream.fan_out.get_or_insert_with(|| FanOut::after(before));
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
