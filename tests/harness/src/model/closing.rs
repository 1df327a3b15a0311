//! Connections that close, sessions that linger and end, rooms that go.

use headcount::{CloseReason, ConnId, Ended, Notice, RoomEnd, RoomId, SessionId, UnknownConn};

use super::Model;
use super::conn::{Conn, State};
use super::turns::Turn;
use crate::seen::{Seen, Source};

/// Whom a `send` or `close` is for.
#[derive(Clone, Debug)]
pub(crate) enum Audience {
    Conn(ConnId),
    /// None, if there is no such user, thread or run.
    Sessions(Vec<SessionId>),
    Room(RoomId),
    Everyone,
}

impl Model {
    pub(crate) fn disconnect(&mut self, id: ConnId) -> Result<(), UnknownConn> {
        let reason = CloseReason::PeerGone;
        if self.known(id).ok_or(UnknownConn)?.is_open() {
            self.withdraw(id, reason);
        }
        self.conn_mut(id).reason.get_or_insert(reason);
        self.end(id);
        Ok(())
    }

    /// How many connections the close is about.
    pub(crate) fn close(&mut self, target: &Audience, reason: CloseReason) -> u32 {
        match target {
            Audience::Conn(id) => {
                let closes = self.conns.get(id).is_some_and(Conn::is_there);
                if closes {
                    self.begin_close(*id, reason);
                }
                u32::from(closes)
            }
            Audience::Sessions(ids) => ids.iter().map(|id| self.close_session(*id, reason)).sum(),
            Audience::Room(room) => {
                let source = Source::Room(room.clone());
                let members = self.members(&source).len();
                if members > 0 {
                    self.stream_mut(&source).closing = Some((reason, members));
                    self.waiting.queue(Turn::Stream(source));
                }
                members as u32
            }
            Audience::Everyone => {
                self.waiting.queue(Turn::CloseEveryone);
                self.waiting.mass_close = Some((reason, self.walk_of_present()));
                self.conns.values().filter(|conn| conn.is_there()).count() as u32
            }
        }
    }

    /// The members leave from the back; how many did.
    pub(crate) fn close_session(&mut self, id: SessionId, reason: CloseReason) -> u32 {
        let mut closed = 0;
        while let Some(last) = self.members(&Source::Session(id)).last() {
            self.begin_close(*last, reason);
            closed += 1;
        }
        closed
    }

    /// A close begins: what fits is still handed out, and the connection leaves everything at once.
    pub(crate) fn begin_close(&mut self, id: ConnId, reason: CloseReason) {
        if self.conns[&id].is_open() {
            if reason != CloseReason::PeerClosed {
                self.hand_out_farewell(id);
            }
            self.withdraw(id, reason);
        }
        let conn = self.conn_mut(id);
        conn.state = State::Closing;
        conn.reason = Some(reason);
        self.closing.push(id);
        self.waiting.outbox.push_back(Seen::Close { conn: id, reason });
    }

    /// An open connection leaves its session's members, its rooms and all counts.
    fn withdraw(&mut self, id: ConnId, reason: CloseReason) {
        self.departs(id, reason);
        self.waiting.cancel(&Turn::Conn(id));
        for source in self.conns[&id].streams() {
            self.leave_stream(id, &source);
        }
        self.admitted.retain(|other| *other != id);
        let now = self.now;
        let conn = self.conn_mut(id);
        conn.rooms.clear();
        let Some((session_id, opened_at)) = conn.admitted else { return };
        let age = now.saturating_since(opened_at);
        self.notice(Notice::Closed { conn: id, session: session_id, reason, age });
        let is_left = self.members(&Source::Session(session_id)).is_empty();
        let Some(session) = self.sessions.get_mut(&session_id) else { return };
        session.left_for = reason;
        if is_left {
            session.left_at = Some(now);
        }
        let user = session.user;
        self.note_absent();
        self.ease_pressure(user, session_id);
    }

    /// A seat is given up. A member that moves to it, where the pass under way has been, takes turns of
    /// its own for what it lacks.
    pub(crate) fn leave_stream(&mut self, id: ConnId, source: &Source) {
        let stream = self.stream_mut(source);
        let head = stream.head();
        if let Some(moved) = stream.stand_up(id)
            && stream.seat(moved).is_some_and(|seat| !seat.lagging && seat.cursor < head)
        {
            self.marks.hit("a leave moved members that waited");
            self.fall_back(moved, source);
        }
        self.thin(source);
        self.note_absent();
        self.drop_room(source, RoomEnd::Empty);
    }

    /// A room without members goes, unless it keeps something for a while.
    pub(crate) fn drop_room(&mut self, source: &Source, why: RoomEnd) {
        let Some(stream) = self.streams.get(source) else { return };
        if stream.is_over() {
            self.end_room(source, why);
        } else if stream.seats.is_empty() && matches!(source, Source::Room(_)) {
            self.marks.hit("a room outlived its members");
        }
    }

    /// The socket has ended, or its time is up: nothing more but its `Cleanup`.
    pub(crate) fn end(&mut self, id: ConnId) {
        self.closing.retain(|other| *other != id);
        let conn = self.conn_mut(id);
        conn.state = State::Gone;
        if let Some(reason) = conn.reason {
            self.waiting.outbox.push_back(Seen::Cleanup { what: Ended::Conn(id), reason });
        }
    }
}
