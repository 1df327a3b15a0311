//! How connections leave: one, several, all.

use alloc::boxed::Box;

use crate::action::{CloseReason, CloseWith, Ended};
use crate::conn::{ConnKey, State, TableWalk};
use crate::ends::SessionEnd;
use crate::id::{ConnId, SessionId};
use crate::input::{Input, Target};
use crate::room::RoomKey;
use crate::session::{SessionKey, UserKey};
use crate::snapshot::encoded;
use crate::stats::Notice;
use crate::store::SlotKey;
use crate::stream::{MassClose, StreamKey};
use crate::time::Timestamp;

use super::Registry;
use super::owned_action::OwnedAction;
use super::poll::Passes;
use super::ready::Ready;

/// Closing all connections that were there at the call.
#[derive(Clone, Hash)]
pub(crate) struct MassCloseEveryone {
    with: CloseWith,
    walk: TableWalk,
}

encoded! { struct MassCloseEveryone { with, walk } }

/// # Closing
impl Registry {
    /// Closes the target's connections with a [`CloseReason`] or the application's own
    /// [`CloseWords`](crate::CloseWords); the answer is how many it is about. Of a session these are its
    /// followers: one that follows other sessions, too, is not closed, it leaves this one and is told so
    /// ([`Action::Left`](crate::Action::Left), with the reason and without the words).
    ///
    /// A closing connection frees its places at once: it is no member, no recipient, and counts
    /// towards no limit. What still fits its window is handed out, then `Close`, then nothing; a text of a
    /// run that is longer than the window is not, nor what follows it in its session. The
    /// members of a room, and everyone, are closed in slices while actions are polled: who joins
    /// the room meanwhile may be closed too. Everyone means all connections that are there at the call,
    /// sockets that wait to be admitted included.
    ///
    /// Costs O(connections closed) for a session and for a user, otherwise O(1). Each connection that
    /// the call closes itself adds what still fits its window, and what
    /// [`disconnect`](Self::disconnect) costs.
    ///
    /// [`CloseReason::PeerClosed`] is for the peer's own close frame: nothing is handed out before
    /// the `Close`, at which the shell echoes the peer's code.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let closed = registry.close(now, Target::UserOf(conn), CloseReason::Forbidden);
    /// assert_eq!(closed, 1);
    /// assert!(matches!(registry.poll_action(), Some(Action::Close { code: 4506, .. })));
    /// // Its socket has ended.
    /// registry.disconnect(now, conn)?;
    /// assert!(matches!(registry.poll_action(), Some(Action::Cleanup { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&mut self, now: Timestamp, target: Target<'_>, with: impl Into<CloseWith>) -> u32 {
        let with = with.into();
        self.enter(now, Input::Close { to: target, with: &with });
        self.close_target(target, with)
    }

    fn close_target(&mut self, target: Target<'_>, with: CloseWith) -> u32 {
        match target {
            Target::Conn(conn) => match self.conns.resolve(conn) {
                Some(slot) => u32::from(self.begin_close_with(slot, with)),
                None => 0,
            },
            Target::Session(_) | Target::SessionOf(_) => match self.session_meant(target) {
                Some(session) => {
                    let followers = self.close_session(session, &with);
                    if followers > 0 {
                        self.end_session_if_due(session);
                    }
                    followers
                }
                None => 0,
            },
            Target::User(_) | Target::UserOf(_) => match self.user_meant(target) {
                Some(user) => self.close_connections_of(user, &with),
                None => 0,
            },
            Target::Room(room) => match self.rooms.find(room) {
                Some(room) => self.close_room(room, with),
                None => 0,
            },
            Target::Everyone => {
                self.queue_turn(Ready::CloseEveryone);
                let walk = TableWalk::of_present(&self.conns, self.last_serial);
                self.mass_close = Some(MassCloseEveryone { with, walk });
                self.counters.open + self.counters.waiting
            }
        }
    }

    /// Closes a user's connections: sockets, then event streams, each in the order in which they were
    /// admitted.
    pub(super) fn close_connections_of(&mut self, user: UserKey, with: &CloseWith) -> u32 {
        let mut closed = 0;
        let first = |it: &Self| it.sessions.user(user).connections(&it.conns).next();
        while let Some(slot) = first(self) {
            closed += u32::from(self.begin_close_with(slot, with.clone()));
        }
        closed
    }

    fn close_room(&mut self, room: RoomKey, with: CloseWith) -> u32 {
        let key = self.rooms.get(room).stream;
        let stream = &mut self.streams[key];
        let before = stream.members.len() as u32;
        if before > 0 {
            stream.extras.mass_close = Some(Box::new(MassClose { with, before }));
            self.queue_turn(Ready::Stream(key));
        }
        before
    }

    /// One slice of a room that is being closed, from the back: a later member that moves into a
    /// place already passed stays.
    pub(super) fn close_members(&mut self, key: StreamKey) {
        for _ in 0..self.config.fanout_chunk {
            // The stream goes with its last member.
            let Some(stream) = self.streams.get_mut(key) else { return };
            let Some(close) = &stream.extras.mass_close else { break };
            let with = close.with.clone();
            let Some(index) = close.before.checked_sub(1) else {
                stream.extras.edit(|it| it.mass_close = None);
                break;
            };
            stream.extras.mass_close.iter_mut().for_each(|close| close.before = index);
            let slot = stream.members[index as usize].conn;
            self.begin_close_with(slot, with);
        }
        let extras = self.streams.get(key).map(|stream| &*stream.extras);
        if extras.is_some_and(|it| it.mass_close.is_some() || it.fan_out.is_some()) {
            self.queue_turn(Ready::Stream(key));
        }
    }

    /// One slice of closing everyone.
    pub(super) fn serve_mass_close(&mut self, passes: &mut Passes) {
        let Some(MassCloseEveryone { with, mut walk }) = self.mass_close.take() else { return };
        let mut closed = 0;
        while !walk.is_over() && closed < self.config.fanout_chunk && passes.are_left() {
            let slot = walk.step(&self.conns);
            if slot.is_some_and(|slot| self.begin_close_with(slot, with.clone())) {
                closed += 1;
            } else {
                passes.take(1);
            }
        }
        if !walk.is_over() {
            self.mass_close = Some(MassCloseEveryone { with, walk });
            self.queue_turn(Ready::CloseEveryone);
        }
    }

    /// Open or pending → closing. `false`: it was closing or gone already.
    pub(super) fn begin_close(&mut self, slot: ConnKey, reason: CloseReason) -> bool {
        self.begin_close_with(slot, reason.into())
    }

    pub(super) fn begin_close_with(&mut self, slot: ConnKey, with: CloseWith) -> bool {
        let reason = with.reason();
        match self.conns.hot(slot).state {
            State::Closing | State::Gone => return false,
            State::Pending => self.stop_waiting(slot),
            State::Open => {
                self.conns.cold_mut(slot).reason = reason;
                self.hand_out_farewell(slot);
                self.leave_everything(slot, reason);
                for session in self.conns.sessions(slot) {
                    self.sessions.handshake_began(*session);
                }
            }
        }
        let (hot, cold) = self.conns.both_mut(slot);
        hot.state = State::Closing;
        cold.reason = reason;
        if hot.is_admitted() {
            self.closing.push(&mut self.conns, slot);
        } else {
            self.leaving.push(&mut self.conns, slot);
        }
        self.disarm(slot);
        let conn = self.conns.id(slot);
        self.enqueue(OwnedAction::Close { conn, with });
        true
    }

    /// Any state → gone: its `Cleanup` is queued, and its slot stays taken until that is polled.
    pub(super) fn finish(&mut self, slot: ConnKey) {
        match self.conns.hot(slot).state {
            State::Gone => return,
            State::Open => self.leave_everything(slot, self.conns.cold(slot).reason),
            State::Closing if self.conns.hot(slot).is_admitted() => {
                self.closing.remove(&mut self.conns, slot);
                for session in self.conns.sessions(slot) {
                    self.sessions.handshake_ended(*session);
                }
            }
            State::Closing => {
                self.leaving.remove(&mut self.conns, slot);
            }
            State::Pending => self.stop_waiting(slot),
        }
        let hot = self.conns.hot_mut(slot);
        hot.state = State::Gone;
        hot.paused = false;
        self.disarm(slot);
        let (conn, reason) = (self.conns.id(slot), self.conns.cold(slot).reason);
        self.enqueue(OwnedAction::Cleanup { what: Ended::Conn(conn), reason });
    }

    /// Takes an open connection out of all indexes and counts at once.
    fn leave_everything(&mut self, slot: ConnKey, reason: CloseReason) {
        let conn = self.conns.id(slot);
        self.remember_closed(slot, reason);
        if self.conns.rooms(slot) > 0 {
            let rooms_left = self.rooms_joined(slot).cloned().collect();
            self.conns.cold_mut(slot).leave_rooms(rooms_left);
        }
        self.cancel_turn(Ready::Conn(slot));
        let memberships = core::mem::take(&mut self.conns.cold_mut(slot).memberships);
        for membership in memberships {
            self.leave_stream(slot, membership);
        }
        self.counters.open -= 1;
        let user = self.conns.user(slot);
        self.sessions.dismiss(user, &mut self.conns, slot);
        self.note_departure(user, reason);
        let cold = self.conns.cold(slot);
        let (age, follows) = (self.now.saturating_since(cold.phase), cold.sessions().len());
        let session = cold.sessions().first().map(|session| self.sessions.id(*session));
        if follows > 1 {
            self.sessions.user_mut(user).count_further(|count| count - (follows as u32 - 1));
        }
        self.notice(Notice::Closed { conn, session, reason, age });
        for index in 0..follows {
            let followed = self.conns.sessions(slot)[index];
            self.sessions.get_mut(followed).reason = reason;
            self.linger_without_followers(followed);
        }
        self.settle(user, session);
    }

    /// A user has one session or one open connection less: it is here no more, or the pressure eases.
    pub(super) fn settle(&mut self, user: UserKey, session: Option<SessionId>) {
        if self.sessions.settle(user) {
            self.ease_pressure(user, session);
        }
    }

    /// A user has one less of what needs its record.
    pub(super) fn forget_user(&mut self, user: UserKey) {
        self.sessions.forget_user(user, self.now, self.config.users as usize);
    }

    /// The `Cleanup` of a connection was polled: its slot is free, and its session may end.
    pub(super) fn release_conn(&mut self, conn: ConnId) {
        let (hot, cold) = self.conns.remove(ConnKey::of_slot(conn.index()));
        if !hot.is_admitted() {
            self.counters.pending -= 1;
            self.counters.abandoned += 1;
            return;
        }
        self.counters.live -= 1;
        self.count_closed(cold.reason);
        for session in cold.sessions() {
            self.detach(*session);
        }
        let Some(user) = hot.user else {
            debug_assert!(false, "an admitted connection has a user");
            return;
        };
        self.sessions.detach_connection(user);
        self.forget_user(user);
    }

    /// Ends a session that has lingered long enough and whose connections are all cleaned up.
    pub(super) fn end_session_if_due(&mut self, session: SessionKey) {
        let Some(until) = self.lingers_until(session) else { return };
        let record = self.sessions.get(session);
        // Without linger there is no deadline: it ends with its last connection.
        let due = until.is_due(self.now) || self.config.session_linger.is_zero();
        if record.attached > 0 || record.open_runs() > 0 || !due {
            return;
        }
        self.end_session(session, SessionEnd::Lingered);
    }
}
