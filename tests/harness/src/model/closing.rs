//! Connections that close, sessions that linger and end, rooms that go.

use std::collections::VecDeque;

use headcount::{CloseReason, ConnId, ConnState, Registry, RoomEnd, Timestamp, UnknownConn};

use super::conn::{Item, Moved, State, Waiting};
use super::polled::begins_early;
use super::stream::{Lag, Seat, Stream};
use super::{MassClose, Model};
use crate::seen::Source;
use crate::{Check, ensure};

/// Whom a `send` or `close` is for, resolved to names of the model.
#[derive(Clone, Debug)]
pub(crate) enum Audience {
    Conn(ConnId),
    Session(headcount::SessionId),
    User(u8),
    Room(headcount::RoomId),
    Everyone,
    Nobody,
}

/// Gaps of what a member lacks that may begin earlier, and where at the earliest.
fn early_gaps(stream: &Stream, seat: &Seat, lacked: &[Item]) -> Vec<(Item, u64)> {
    let mut early = Vec::new();
    if !stream.blurred {
        return early;
    }
    let mut seat = seat.clone();
    for item in lacked {
        match item {
            Item::Gap { from, to, .. } => {
                let begins = |at: &u64| {
                    let mut logs = stream.logs.iter();
                    logs.any(|log| begins_early(&stream.entries, log, &seat, *at, *from))
                };
                let first = (seat.cursor + 1..*from).find(begins);
                early.extend(first.map(|first| (item.clone(), first)));
                seat.cursor = *to;
            }
            Item::Entry { offset, .. } => seat.cursor = *offset,
        }
    }
    early
}

impl Model {
    pub(crate) fn disconnect(
        &mut self,
        stamp: Timestamp,
        id: ConnId,
        got: Result<(), UnknownConn>,
    ) -> Check {
        self.clock(stamp);
        let state = self.known(id).map(|conn| conn.state);
        let expected = state.map(|_| ()).ok_or(UnknownConn);
        ensure!(got == expected, "disconnect: {got:?}, expected {expected:?}");
        if matches!(state, Some(State::Pending | State::Open)) {
            self.withdraw(id, CloseReason::PeerGone);
        }
        if state.is_some() {
            self.end(id);
        }
        Ok(())
    }

    pub(crate) fn close(
        &mut self,
        stamp: Timestamp,
        target: &Audience,
        reason: CloseReason,
        got: u32,
    ) -> Check {
        self.clock(stamp);
        let closable = |id: &ConnId| {
            self.conns.get(id).is_some_and(|it| matches!(it.state, State::Pending | State::Open))
        };
        let whom: Vec<ConnId> = match target {
            Audience::Conn(id) => Some(*id).filter(closable).into_iter().collect(),
            Audience::Session(id) => self.members(&Source::Session(*id)).into_iter().collect(),
            Audience::User(user) => self.open_of_user(*user).into_iter().collect(),
            Audience::Nobody => Vec::new(),
            Audience::Room(room) => self.members(&Source::Room(room.clone())).into_iter().collect(),
            Audience::Everyone => self.conns.keys().copied().filter(closable).collect(),
        };
        ensure!(got as usize == whom.len(), "close: {got}, expected {}", whom.len());
        match target {
            Audience::Room(_) | Audience::Everyone => {
                let room =
                    if let Audience::Room(room) = target { Some(room.clone()) } else { None };
                let must = whom.into_iter().collect();
                if room.is_none() {
                    // The walk begins again, and whoever it had not reached has the new reason.
                    self.mass_closes.retain(|it| it.room.is_some());
                }
                self.mass_closes.push(MassClose { room, reason, must, begun_in: None });
            }
            _ => {
                self.leave_together(&whom);
                whom.iter().for_each(|id| self.begin_close(*id, reason));
            }
        }
        Ok(())
    }

    /// A close begins: the connection leaves everything at once, and is still handed what fits.
    pub(crate) fn begin_close(&mut self, id: ConnId, reason: CloseReason) {
        let mut moved = Moved::default();
        if self.conns[&id].is_open() && reason != CloseReason::PeerClosed {
            moved = self.moved(id);
            if !self.has_room_for_all() {
                moved.may_stop_early();
            }
        } else {
            moved.right.push(Vec::new());
        }
        self.withdraw(id, reason);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.state = State::Closing;
            conn.outbox.push_back(Waiting::Close(moved));
        }
    }

    /// Whether the registry's outbox has room for what any close may move out of the logs. Otherwise it
    /// is open whose entries find room when several close at once.
    fn has_room_for_all(&self) -> bool {
        let costs = self.streams.values().flat_map(|stream| &stream.entries);
        let largest = costs.map(|entry| entry.content.cost()).max().unwrap_or(0);
        let one = self.config.window().max(largest);
        self.directed().1 + self.open().count() as u64 * one <= self.config.direct_bytes()
    }

    /// What of the logs still fits the window, in order. It is open whether a stream that is blocked
    /// blocks those after it.
    fn moved(&mut self, id: ConnId) -> Moved {
        let conn = &self.conns[&id];
        let window = self.config.window();
        let mut ways: Vec<Vec<Vec<Item>>> = vec![Vec::new()];
        let (mut lacked, mut early) = (Vec::<Item>::new(), Vec::new());
        for source in conn.streams() {
            let stream = &self.streams[&source];
            let Some(seat) = stream.seat(id) else { continue };
            let of_stream = stream.lacking(seat);
            early.extend(of_stream.iter().flat_map(|items| early_gaps(stream, seat, items)));
            // Seen as live it may get the most.
            lacked.extend(
                of_stream.iter().max_by_key(|items| items.len()).into_iter().flatten().cloned(),
            );
            let extended = |way: &Vec<Vec<Item>>| {
                let way = way.clone();
                of_stream.clone().into_iter().map(move |items| [&way[..], &[items]].concat())
            };
            ways = ways.iter().flat_map(extended).collect();
        }
        let fitting = |lacked: &[Vec<Item>], stop_at_first: bool| {
            let mut used = conn.used();
            let mut fitting: Vec<Item> = Vec::new();
            for items in lacked {
                for item in items {
                    if (used > 0 || item.is_text()) && used + item.cost() > window {
                        if stop_at_first {
                            return fitting;
                        }
                        break;
                    }
                    used += item.cost();
                    fitting.push(item.clone());
                }
            }
            fitting
        };
        let fittings = ways.iter().flat_map(|way| [fitting(way, false), fitting(way, true)]);
        let moved = Moved { right: fittings.collect(), early, polled: Vec::new() };
        let Some(fitting) = moved.right.first() else { return moved };
        if fitting.len() < lacked.len() {
            self.marks.hit("a close left entries behind");
        }
        for item in fitting {
            self.marks.hit(match item {
                Item::Gap { .. } => "a close told of a gap",
                Item::Entry { .. } => "a close moved entries out of the logs",
            });
        }
        moved
    }

    /// A connection leaves its session's members, its rooms and all counts.
    fn withdraw(&mut self, id: ConnId, reason: CloseReason) {
        let (step, now) = (self.step, self.now);
        self.departs(id, reason);
        for source in self.conns[&id].streams() {
            self.leave_stream(id, &source);
            if let Source::Session(session) = source
                && self.members(&source).is_empty()
                && let Some(session) = self.sessions.get_mut(&session)
            {
                session.left_at = Some(now);
            }
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.rooms.clear();
            conn.reason = Some(reason);
            conn.closed_by = step;
            conn.ping = None;
            if let Some((session, opened_at)) = conn.admitted {
                self.notices.closed(id, opened_at, now, reason);
                if let Some(session) = self.sessions.get_mut(&session) {
                    if session.left_by != step {
                        session.left_for.clear();
                    }
                    session.left_by = step;
                    session.left_for.push(reason);
                }
                if let Some(user) = self.sessions.get(&session).map(|session| session.user) {
                    self.ease_pressure(user);
                }
            }
        }
    }

    /// These are about to leave in one call, in an order that only the registry knows: any of them may
    /// be moved by another in their array first.
    pub(crate) fn leave_together(&mut self, leaving: &[ConnId]) {
        for stream in self.streams.values_mut() {
            let head = stream.head();
            let leaves = |seat: &&mut Seat| leaving.contains(&seat.conn);
            let mut seats: Vec<_> = stream.seats.iter_mut().filter(leaves).collect();
            let several = seats.len() > 1;
            for seat in seats.iter_mut().filter(|seat| several && seat.waits(head)) {
                seat.lag = seat.lag.max(Lag::Perhaps);
                self.marks.hit("several that waited left at once");
            }
        }
    }

    /// One seat is given up. The others may have moved in their array, so whoever lacks something
    /// may be pumped instead of swept.
    pub(crate) fn leave_stream(&mut self, id: ConnId, source: &Source) {
        let Some(stream) = self.streams.get_mut(source) else { return };
        stream.seats.retain(|seat| seat.conn != id);
        let head = stream.head();
        for seat in stream.seats.iter_mut().filter(|seat| seat.waits(head)) {
            seat.lag = seat.lag.max(Lag::Perhaps);
            self.marks.hit("a leave moved members that waited");
            if let Some(conn) = self.conns.get_mut(&seat.conn) {
                conn.ready = true;
            }
        }
        stream.thin(false);
        self.drop_room(source, &[RoomEnd::Empty]);
        if let Source::Room(room) = source {
            for mass in self.mass_closes.iter_mut().filter(|it| it.room.as_ref() == Some(room)) {
                mass.must.remove(&id);
            }
        }
    }

    /// A room without members goes, unless it keeps something for a while.
    pub(crate) fn drop_room(&mut self, source: &Source, why: &[RoomEnd]) {
        if let Some(stream) = self.streams.get(source)
            && matches!(source, Source::Room(_))
            && stream.seats.is_empty()
            && stream.is_over()
        {
            self.end_room(source, why);
        } else if let Some(stream) = self.streams.get(source)
            && stream.seats.is_empty()
            && matches!(source, Source::Room(_))
        {
            self.marks.hit("a room outlived its members");
        }
    }

    /// The socket has ended, or its time is up: nothing more but its `Cleanup`.
    pub(crate) fn end(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            // What waits for it in the registry's outbox stays there until it comes to be polled.
            conn.void = conn.directed().1;
            conn.state = State::Gone;
            conn.ping_due = false;
            conn.outbox = VecDeque::from([Waiting::Cleanup]);
        }
    }

    /// Closes of many act while actions are polled: whom they have reached only the registry knows.
    pub(crate) fn observe_mass_closes(&mut self, registry: &Registry) -> Check {
        if self.mass_closes.is_empty() {
            return Ok(());
        }
        let reached: Vec<ConnId> = self
            .conns
            .values()
            .filter(|conn| matches!(conn.state, State::Pending | State::Open))
            .filter(|conn| registry.state(conn.id) == Some(ConnState::Closing))
            .map(|conn| conn.id)
            .collect();
        ensure!(
            reached.is_empty() || !self.has_waiting(),
            "a close of many went on while actions waited"
        );
        let chunk = self.config.fanout_chunk() as usize;
        ensure!(reached.len() <= chunk, "{} were closed in one slice of {chunk}", reached.len());
        self.step += 1;
        self.leave_together(&reached);
        for id in reached {
            let conn = &self.conns[&id];
            let is_about = |it: &&MassClose| match &it.room {
                Some(room) => conn.rooms.contains(room),
                None => it.must.contains(&id),
            };
            let reason = registry.explain(id).and_then(|it| it.reason).ok_or("no reason")?;
            let mut closes = self.mass_closes.iter().filter(is_about);
            let caused = closes.any(|it| it.reason == reason);
            ensure!(caused, "{id:?} closes for {reason:?}, and nothing closed it");
            for mass in self.mass_closes.iter_mut().filter(|it| it.must.contains(&id)) {
                if mass.begun_in.get_or_insert(self.step) != &self.step {
                    self.marks.hit(match mass.room {
                        Some(_) => "a close of a room went on in a later poll",
                        None => "a close of everyone went on in a later poll",
                    });
                }
            }
            self.begin_close(id, reason);
        }
        Ok(())
    }
}
