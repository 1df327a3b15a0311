//! Rooms: who joins and leaves, and what a client says that it has dealt with.

use crate::action::{Position, StreamRef};
use crate::conn::{ConnKey, Membership};
use crate::ends::RoomEnd;
use crate::error::{AcknowledgeError, JoinError, UnknownConn};
use crate::id::{ConnId, RoomId};
use crate::input::{Input, Start};
use crate::log::{Late, Log, Reader};
use crate::room::RoomKey;
use crate::stats::{Joined, Notice, Recovered};
use crate::stream::{Owner, Stream, StreamKey};
use crate::time::Timestamp;

use super::Registry;
use super::eviction::excess;
use super::ready::Ready;
use super::timer::Timer;

/// # Rooms
///
/// Joining is a call of the application: a client can't put itself into a room.
impl Registry {
    /// Adds a connection to a room, which is made if there is none of that name. Its events begin
    /// after the position in the answer. For a member this changes nothing.
    ///
    /// Over `limits.rooms` the room that has been without members for longest ends, with its history,
    /// so that another can be made; a join is refused when every room has a member.
    ///
    /// Costs O(the connection's rooms); the number of members does not count. After a reload has lowered
    /// `limits.rooms` each new room ends up to 64 of those that exceed it.
    ///
    /// ```
    /// # use headcount::*;
    /// # let now = Timestamp::from_secs(1);
    /// let mut registry = Registry::new(Config::builder(1).rooms_per_connection(1).build()?);
    /// # let (conn, _) = registry.admit(now, Principal::new("alice".parse()?), Start::Now, None)?;
    /// let lobby = RoomId::new("lobby")?;
    /// let joined = registry.join(now, conn, &lobby, Start::Now)?;
    /// assert_eq!((joined.position.offset, joined.already), (0, false));
    /// let second = registry.join(now, conn, &RoomId::new("hall")?, Start::Now);
    /// assert_eq!(second, Err(JoinError::RoomsPerConnection));
    /// let delivery = registry.send(now, Target::Room(&lobby), Message::text("welcome"));
    /// assert_eq!(delivery.live, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`JoinError`] says which limit it would exceed.
    pub fn join(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        room: &RoomId,
        start: Start,
    ) -> Result<Joined, JoinError> {
        self.enter(now, Input::Join { conn, room, start: &start });
        let slot = self.open_slot(conn).ok_or(UnknownConn)?;
        let known = self.rooms.find(room);
        if let Some(key) = known.map(|room| self.rooms.get(room).stream)
            && let Some(membership) = self.conns.membership(slot, key)
        {
            let stream = &self.streams[key];
            let position = stream.position(stream.members[membership.index as usize].cursor);
            return Ok(Joined { position, recovered: Recovered::Fresh, already: true });
        }
        if self.conns.rooms(slot) >= self.config.rooms_per_connection as usize {
            return Err(JoinError::RoomsPerConnection);
        }
        let user = self.conns.user(slot);
        if self.sessions.user(user).rooms >= self.config.rooms_per_user {
            return Err(JoinError::RoomsPerUser);
        }
        let room_slot = match known {
            Some(room) => room,
            None => self.make_room_of(room)?,
        };
        self.rooms.set_empty(room_slot, false);
        let key = self.rooms.get(room_slot).stream;
        self.sessions.user_mut(user).rooms += 1;
        let (position, recovered) = self.join_stream(slot, key, &start);
        Ok(Joined { position, recovered, already: false })
    }

    /// A new room. Over `limits.rooms` those go that have been empty longest.
    fn make_room_of(&mut self, name: &RoomId) -> Result<RoomKey, JoinError> {
        let excess = excess(self.rooms.len(), self.config.rooms);
        if excess > self.rooms.empty() {
            return Err(JoinError::Rooms);
        }
        for _ in 0..excess {
            let Some(room) = self.rooms.empty_longest() else { break };
            self.end_room(room, RoomEnd::MadeRoom);
        }
        let epoch = self.next_epoch();
        let owner = Owner::Room(self.rooms.next_key());
        let stream = self.streams.insert(Stream::new(owner, epoch));
        self.counters.rooms_opened += 1;
        Ok(self.rooms.insert(name.clone(), stream))
    }

    /// A client says that it has dealt with everything of a stream up to an offset: of a session that it
    /// follows, or of a room that it is in. [`ConnView::cursors`](crate::ConnView::cursors) and
    /// [`Stats::acknowledged`](crate::Stats::acknowledged) show it. Nothing else comes of it: another
    /// tab of the session may be behind, so no log is trimmed, and no entry is cheaper to lose.
    ///
    /// An offset beyond what the connection was handed means all of that. One that runs backwards
    /// changes nothing.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, admitted) = registry.admit(now, who, Start::Now, None)?;
    /// # let session = admitted.followed.unwrap().session;
    /// registry.send(now, Target::Session(session), Message::text("hello"));
    /// while registry.poll_action().is_some() {}
    /// // The client says that it has shown the first message of the session.
    /// registry.acknowledge(now, conn, StreamRef::Session(session), 1)?;
    /// let tab = registry.connection(conn).expect("it is open");
    /// assert_eq!(tab.cursors().map(|cursor| cursor.acknowledged).collect::<Vec<_>>(), [1]);
    ///
    /// let elsewhere = registry.acknowledge(now, conn, StreamRef::Room(&"lobby".parse()?), 1);
    /// assert_eq!(elsewhere, Err(AcknowledgeError::NotAMember));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AcknowledgeError`] says which of the two is unknown.
    pub fn acknowledge(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        stream: StreamRef<'_>,
        offset: u64,
    ) -> Result<(), AcknowledgeError> {
        self.enter(now, Input::Acknowledge { conn, stream, offset });
        let slot = self.open_slot(conn).ok_or(UnknownConn)?;
        let key = match stream {
            StreamRef::Session(session) => {
                self.sessions.resolve(session).map(|session| self.sessions.get(session).stream)
            }
            StreamRef::Room(room) => self.rooms.find(room).map(|room| self.rooms.get(room).stream),
            StreamRef::Direct | StreamRef::Everyone => None,
        };
        let key = key.ok_or(AcknowledgeError::NotAMember)?;
        let place = self.conns.place_of(slot, key).ok_or(AcknowledgeError::NotAMember)?;
        let membership = &mut self.conns.cold_mut(slot).memberships[place];
        let stream = &self.streams[key];
        let offset = offset.min(stream.members[membership.index as usize].cursor);
        if offset > membership.acknowledged {
            membership.acknowledged = offset;
            self.counters.acknowledged += 1;
        }
        Ok(())
    }

    /// Takes a connection out of a room; `false` if it was not in it. Costs O(the connection's rooms
    /// and those of the member that takes its place), and the entries that only it kept from leaving
    /// the log.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// # let lobby = RoomId::new("lobby")?;
    /// registry.join(now, conn, &lobby, Start::Now)?;
    /// assert!(registry.leave(now, conn, &lobby)?);
    /// assert!(registry.room(&lobby).is_none(), "it had no other member, and keeps no history");
    /// assert_eq!(registry.stats().rooms_ended_by(RoomEnd::Empty), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`UnknownConn`] if the connection is not open.
    pub fn leave(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        room: &RoomId,
    ) -> Result<bool, UnknownConn> {
        self.enter(now, Input::Leave { conn, room });
        let slot = self.open_slot(conn).ok_or(UnknownConn)?;
        let Some(room) = self.rooms.find(room) else { return Ok(false) };
        let key = self.rooms.get(room).stream;
        let Some(place) = self.conns.place_of(slot, key) else { return Ok(false) };
        let membership = self.conns.cold_mut(slot).memberships.remove(place);
        self.leave_stream(slot, membership);
        Ok(true)
    }

    /// Makes a connection a member of a stream, from a place on.
    /// What follows there comes in the connection's own turns, before anything newer.
    pub(super) fn join_stream(
        &mut self,
        slot: ConnKey,
        key: StreamKey,
        start: &Start,
    ) -> (Position, Recovered) {
        let who = self.candidate(slot);
        let reader = Reader { who, laggard: true, late: Late::NONE };
        let stream = &self.streams[key];
        let head = stream.log.head();
        let (cursor, late, recovered) = match start {
            Start::Now => (head, Late::NONE, Recovered::Fresh),
            Start::Kept => (stream.log.lost(), Late::NONE, Recovered::Fresh),
            Start::OpenRuns | Start::Recent | Start::Run(_) => {
                let (cursor, late) = match stream.owner {
                    Owner::Session(session) => self.start_of_runs(session, start),
                    Owner::Room(_) => (head, Late::NONE),
                };
                (cursor, late, Recovered::Fresh)
            }
            Start::After(since) if since.epoch != stream.epoch || since.offset > head => {
                // What it has seen of this stream is not known: it is treated as if it had seen
                // nothing, and is told so.
                let late = Late { tells_rest: true, ..Late::open_at(head) };
                (0, late, Recovered::Gap)
            }
            Start::After(since) if stream.log.loses(since.offset, &reader) => {
                (since.offset, Late::NONE, Recovered::Gap)
            }
            Start::After(since) => (since.offset, Late::NONE, Recovered::All),
        };
        if cursor < late.until {
            self.conns.cold_mut(slot).extras.edit(|it| it.late_joins.join(key, late));
        }
        let stream = &mut self.streams[key];
        let index = stream.add(slot, cursor);
        let position = stream.position(cursor);
        if !stream.log.is_empty() {
            self.list_evictable(key);
        }
        self.conns.cold_mut(slot).memberships.push(Membership {
            stream: key,
            index,
            acknowledged: 0,
        });
        if cursor < head {
            self.mark_lagging(key, index);
        }
        (position, recovered)
    }

    /// The rooms that an open connection is in, in the order in which it joined them.
    pub(super) fn rooms_joined(&self, slot: ConnKey) -> impl Iterator<Item = &RoomId> {
        let memberships = self.conns.cold(slot).memberships.iter();
        memberships.filter_map(|membership| match self.streams[membership.stream].owner {
            Owner::Room(room) => Some(&self.rooms.get(room).name),
            Owner::Session(_) => None,
        })
    }

    /// Undoes [`Registry::join_stream`] for a membership that was taken off the connection's list.
    pub(super) fn leave_stream(&mut self, slot: ConnKey, membership: Membership) {
        let stream = &mut self.streams[membership.stream];
        let was_lagging = stream.members[membership.index as usize].lagging;
        let removed = stream.remove(membership.index);
        let owner = stream.owner;
        let extras = &mut self.conns.cold_mut(slot).extras;
        if extras.is_there() {
            extras.edit(|it| it.late_joins.leave(membership.stream));
        }
        if was_lagging {
            // A turn that waits for it stays where it is: it gives nothing, or is needed again by
            // then. Another one for each time would let a peer grow the queue.
            self.conns.hot_mut(slot).lagging -= 1;
        }
        if let Some(moved) = removed.moved {
            if let Some(place) = self.conns.place_of(moved, membership.stream) {
                self.conns.cold_mut(moved).memberships[place].index = membership.index;
            }
            if removed.missed {
                self.hand_over(membership.stream, membership.index);
            }
        }
        self.trim_history(membership.stream);
        if let Owner::Room(room) = owner {
            let user = self.conns.user(slot);
            self.sessions.user_mut(user).rooms -= 1;
            let is_empty = self.streams[membership.stream].members.is_empty();
            self.rooms.set_empty(room, is_empty);
            self.remove_room_if_done(room, RoomEnd::Empty);
        }
    }

    /// A member that the running fan-out will not visit any more takes a turn of its own, if it
    /// lacks anything.
    fn hand_over(&mut self, key: StreamKey, index: u32) {
        let stream = &self.streams[key];
        let member = &stream.members[index as usize];
        if !member.lagging && member.cursor < stream.log.head() {
            self.mark_lagging(key, index);
        }
    }

    /// A room goes with its last member, unless it keeps history for a while.
    pub(super) fn remove_room_if_done(&mut self, room: RoomKey, why: RoomEnd) {
        let key = self.rooms.get(room).stream;
        let stream = &self.streams[key];
        let keeps = self.config.room_history > 0 && !self.config.room_ttl.is_zero();
        if !stream.members.is_empty() || (keeps && !stream.log.is_empty()) {
            return;
        }
        self.end_room(room, why);
    }

    /// Ends a room without members: what it kept is gone, and its name is free.
    fn end_room(&mut self, room: RoomKey, why: RoomEnd) {
        let key = self.rooms.get(room).stream;
        let epoch = self.streams[key].epoch;
        self.remove_stream(key);
        self.rooms.remove(room);
        self.counters.rooms_ended_by[why as usize] += 1;
        self.notice(Notice::RoomEnded { epoch, why });
    }

    pub(super) fn remove_stream(&mut self, key: StreamKey) {
        self.timers.cancel(Timer::Stream(key));
        self.steps.add(self.streams[key].log.steps());
        if !self.streams[key].log.is_empty() {
            self.edit_log(key, |stream, _, _| stream.log = Log::new());
        }
        self.cancel_turn(Ready::Stream(key));
        if self.to_trim == Some(key) {
            self.to_trim = None;
        }
        self.streams.remove(key);
    }
}
