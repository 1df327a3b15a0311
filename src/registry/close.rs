//! How connections leave: one, several, all.

use crate::action::{CloseReason, Ended};
use crate::conn::{ConnKey, State, TableWalk};
use crate::ends::SessionEnd;
use crate::id::ConnId;
use crate::input::{Input, Target};
use crate::room::RoomKey;
use crate::session::SessionKey;
use crate::stats::Notice;
use crate::store::SlotKey;
use crate::stream::{MassClose, StreamKey};
use crate::time::Timestamp;

use super::Registry;
use super::owned_action::OwnedAction;
use super::poll::Passes;
use super::ready::Ready;
use super::timer::Timer;

/// Closing all connections that were there at the call.
#[derive(Clone, Hash)]
pub(crate) struct MassCloseEveryone {
    reason: CloseReason,
    walk: TableWalk,
}

impl Registry {
    /// Closes the target's connections; the answer is how many it is about.
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
    pub fn close(&mut self, now: Timestamp, target: Target<'_>, reason: CloseReason) -> u32 {
        self.enter(now, Input::Close { to: target, reason });
        match target {
            Target::Conn(conn) => match self.conns.resolve(conn) {
                Some(slot) => u32::from(self.begin_close(slot, reason)),
                None => 0,
            },
            Target::Session(session) => match self.sessions.resolve(session) {
                Some(session) => self.close_session(session, reason),
                None => 0,
            },
            Target::User(user) => match self.sessions.find_user(user) {
                Some(user) => {
                    let (mut closed, mut next) = (0, self.sessions.first_of(user));
                    while let Some(session) = next {
                        next = self.sessions.after(session);
                        closed += self.close_session(session, reason);
                    }
                    closed
                }
                None => 0,
            },
            Target::Room(room) => match self.rooms.find(room) {
                Some(room) => self.close_room(room, reason),
                None => 0,
            },
            Target::Everyone => {
                self.queue_turn(Ready::CloseEveryone);
                let walk = TableWalk::of_present(&self.conns, self.last_serial);
                self.mass_close = Some(MassCloseEveryone { reason, walk });
                self.counters.open + self.counters.waiting
            }
        }
    }

    pub(super) fn close_session(&mut self, session: SessionKey, reason: CloseReason) -> u32 {
        let stream = self.sessions.get(session).stream;
        let mut closed = 0;
        while let Some(member) = self.streams[stream].members.last() {
            closed += u32::from(self.begin_close(member.conn, reason));
        }
        closed
    }

    fn close_room(&mut self, room: RoomKey, reason: CloseReason) -> u32 {
        let key = self.rooms.get(room).stream;
        let stream = &mut self.streams[key];
        let before = stream.members.len() as u32;
        if before > 0 {
            stream.mass_close = Some(MassClose { reason, before });
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
            let Some(MassClose { reason, before }) = stream.mass_close else { break };
            let Some(index) = before.checked_sub(1) else {
                stream.mass_close = None;
                break;
            };
            stream.mass_close = Some(MassClose { reason, before: index });
            let slot = stream.members[index as usize].conn;
            self.begin_close(slot, reason);
        }
        let stream = self.streams.get(key);
        if stream.is_some_and(|stream| stream.mass_close.is_some() || stream.fan_out.is_some()) {
            self.queue_turn(Ready::Stream(key));
        }
    }

    /// One slice of closing everyone.
    pub(super) fn serve_mass_close(&mut self, passes: &mut Passes) {
        let Some(MassCloseEveryone { reason, mut walk }) = self.mass_close.take() else { return };
        let mut closed = 0;
        while !walk.is_over() && closed < self.config.fanout_chunk && passes.are_left() {
            if walk.step(&self.conns).is_some_and(|slot| self.begin_close(slot, reason)) {
                closed += 1;
            } else {
                passes.take(1);
            }
        }
        if !walk.is_over() {
            self.mass_close = Some(MassCloseEveryone { reason, walk });
            self.queue_turn(Ready::CloseEveryone);
        }
    }

    /// Open or pending → closing. `false`: it was closing or gone already.
    pub(super) fn begin_close(&mut self, slot: ConnKey, reason: CloseReason) -> bool {
        match self.conns.hot(slot).state {
            State::Closing | State::Gone => return false,
            State::Pending => self.stop_waiting(slot),
            State::Open => {
                self.conns.cold_mut(slot).reason = reason;
                self.hand_out_farewell(slot);
                self.leave_everything(slot, reason);
                self.sessions.handshake_began(self.conns.session(slot));
            }
        }
        let (hot, cold) = self.conns.both_mut(slot);
        hot.state = State::Closing;
        cold.reason = reason;
        if cold.admitted {
            self.closing.push(&mut self.conns, slot);
        } else {
            self.leaving.push(&mut self.conns, slot);
        }
        self.timers.cancel(Timer::Conn(slot));
        let conn = self.conns.id(slot);
        self.enqueue(OwnedAction::Close { conn, reason });
        true
    }

    /// Any state → gone: its `Cleanup` is queued, and its slot stays taken until that is polled.
    pub(super) fn finish(&mut self, slot: ConnKey) {
        match self.conns.hot(slot).state {
            State::Gone => return,
            State::Open => self.leave_everything(slot, self.conns.cold(slot).reason),
            State::Closing if self.conns.cold(slot).admitted => {
                self.closing.remove(&mut self.conns, slot);
                self.sessions.handshake_ended(self.conns.session(slot));
            }
            State::Closing => {
                self.leaving.remove(&mut self.conns, slot);
            }
            State::Pending => self.stop_waiting(slot),
        }
        let hot = self.conns.hot_mut(slot);
        hot.state = State::Gone;
        hot.paused = false;
        self.timers.cancel(Timer::Conn(slot));
        let (conn, reason) = (self.conns.id(slot), self.conns.cold(slot).reason);
        self.enqueue(OwnedAction::Cleanup { what: Ended::Conn(conn), reason });
    }

    /// Takes an open connection out of all indexes and counts at once.
    fn leave_everything(&mut self, slot: ConnKey, reason: CloseReason) {
        let conn = self.conns.id(slot);
        self.remember_closed(slot, reason);
        self.cancel_turn(Ready::Conn(slot));
        let memberships = core::mem::take(&mut self.conns.cold_mut(slot).memberships);
        for membership in memberships {
            self.leave_stream(slot, membership);
        }
        self.counters.open -= 1;
        let user = self.sessions.get(self.conns.session(slot)).user;
        self.sessions.user_mut(user).connections.remove(&mut self.conns, slot);
        let age = self.now.saturating_since(self.conns.cold(slot).phase);
        let session = self.conns.session(slot);
        let id = self.sessions.id(session);
        self.notice(Notice::Closed { conn, session: id, reason, age });
        let record = self.sessions.get_mut(session);
        record.reason = reason;
        if self.streams[record.stream].members.is_empty() {
            self.sessions.begin_to_linger(session, self.now);
            self.arm_session(session);
        }
        self.ease_pressure(user, id);
    }

    /// The `Cleanup` of a connection was polled: its slot is free, and its session may end.
    pub(super) fn release_conn(&mut self, conn: ConnId) {
        let (hot, cold) = self.conns.remove(ConnKey::of_slot(conn.index()));
        if !cold.admitted {
            self.counters.pending -= 1;
            self.counters.abandoned += 1;
            return;
        }
        self.counters.live -= 1;
        self.count_closed(cold.reason);
        let Some(session) = hot.session else {
            debug_assert!(false, "an admitted connection has a session");
            return;
        };
        let record = self.sessions.get_mut(session);
        record.attached -= 1;
        match record.ended {
            true => self.clean_up_session(session),
            false => self.end_session_if_due(session),
        }
    }

    /// Ends a session that has lingered long enough and whose connections are all cleaned up.
    pub(super) fn end_session_if_due(&mut self, session: SessionKey) {
        let Some(until) = self.lingers_until(session) else { return };
        let record = self.sessions.get(session);
        // Without linger there is no deadline: it ends with its last connection.
        let due = until.is_due(self.now) || self.config.session_linger.is_zero();
        if record.attached > 0 || record.open_runs > 0 || !due {
            return;
        }
        self.end_session(session, SessionEnd::Lingered);
    }
}
