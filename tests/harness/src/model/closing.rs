//! Connections that close, sessions that linger and end, rooms that go.

use headcount::{
    CloseReason, CloseWith, ConnId, Ended, Notice, RoomEnd, RoomId, SessionId, UnknownConn,
};

use super::conn::{Conn, State};
use super::names::Name;
use super::turns::Turn;
use super::{Model, drop_one};
use crate::seen::{Seen, Source};

/// Whom a `send` or `close` is for.
#[derive(Clone, Debug)]
pub(crate) enum Audience {
    Conn(ConnId),
    /// None, if there is no such thread or run.
    Sessions(Vec<SessionId>),
    User(Name),
    Room(RoomId),
    Everyone,
}

/// What is counted, and what is written: a code and a text.
fn said(with: &CloseWith) -> (CloseReason, u16, &str) {
    match with {
        CloseWith::Reason(reason) => (*reason, reason.code(), reason.name()),
        CloseWith::Words(words) => (CloseReason::Application, words.code(), words.text()),
    }
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
    pub(crate) fn close(&mut self, target: &Audience, with: &CloseWith) -> u32 {
        match target {
            Audience::Conn(id) => {
                let closes = self.conns.get(id).is_some_and(Conn::is_there);
                if closes {
                    self.begin_close_with(*id, with);
                }
                u32::from(closes)
            }
            Audience::Sessions(ids) => {
                let mut left = 0;
                for id in ids {
                    let followers = self.close_session(*id, with);
                    if followers > 0 {
                        self.detached(*id);
                    }
                    left += followers;
                }
                left
            }
            Audience::User(user) => self.close_connections_of(*user, with),
            Audience::Room(room) => {
                let source = Source::Room(room.clone());
                let members = self.members(&source).len();
                if members > 0 {
                    self.stream_mut(&source).closing = Some((with.clone(), members));
                    self.waiting.queue(Turn::Stream(source));
                }
                members as u32
            }
            Audience::Everyone => {
                self.waiting.queue(Turn::CloseEveryone);
                self.waiting.mass_close = Some((with.clone(), self.walk_of_present()));
                self.conns.values().filter(|conn| conn.is_there()).count() as u32
            }
        }
    }

    pub(crate) fn close_connections_of(&mut self, user: Name, with: &CloseWith) -> u32 {
        let open = self.open_of_user(user);
        open.iter().for_each(|id| self.begin_close_with(*id, with));
        open.len() as u32
    }

    /// The members leave from the back: those that follow no other session are closed. How many there were.
    pub(crate) fn close_session(&mut self, id: SessionId, with: &CloseWith) -> u32 {
        let source = Source::Session(id);
        let (reason, ..) = said(with);
        let mut left = 0;
        while let Some(last) = self.members(&source).last().copied() {
            if self.conns[&last].sessions.len() == 1 {
                self.begin_close_with(last, with);
            } else {
                self.marks.hit("a follower of several sessions was sent away from one");
                self.session_mut(id).left_for = reason;
                if reason != CloseReason::PeerClosed {
                    self.hand_out_rest(last, &source);
                }
                self.waiting.outbox.push_back(Seen::Left { conn: last, session: id, reason });
                self.leave_session(last, id);
            }
            left += 1;
        }
        left
    }

    /// An open connection follows a session no more.
    pub(crate) fn leave_session(&mut self, id: ConnId, session: SessionId) {
        let source = Source::Session(session);
        let conn = self.conn_mut(id);
        conn.sessions.retain(|other| *other != session);
        conn.streams.retain(|other| *other != source);
        self.session_mut(session).uncleaned -= 1;
        self.share_sessions(id);
        self.leave_stream(id, &source);
        self.linger_if_left(session);
    }

    fn linger_if_left(&mut self, id: SessionId) {
        if self.members(&Source::Session(id)).is_empty() {
            self.session_mut(id).left_at = Some(self.now);
        }
        self.note_absent(&Source::Session(id));
    }

    /// A close begins: what fits is still handed out, and the connection leaves everything at once.
    pub(crate) fn begin_close(&mut self, id: ConnId, reason: CloseReason) {
        self.begin_close_with(id, &reason.into());
    }

    /// The same where it may be in the application's own words.
    pub(crate) fn begin_close_with(&mut self, id: ConnId, with: &CloseWith) {
        let (reason, code, text) = said(with);
        self.marks.hit_if((4000..4400).contains(&code), "a close in the application's words");
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
        self.waiting.outbox.push_back(Seen::Close { conn: id, reason, code, text: text.into() });
    }

    /// An open connection leaves its session's members, its rooms and all counts.
    fn withdraw(&mut self, id: ConnId, reason: CloseReason) {
        self.departs(id, reason);
        self.waiting.cancel(&Turn::Conn(id));
        let streams = core::mem::take(&mut self.conn_mut(id).streams);
        for source in &streams {
            self.leave_stream(id, source);
        }
        self.conn_mut(id).streams_left = streams;
        if let Some(user) = self.conns[&id].user() {
            drop_one(&mut self.open_of, user, id);
        }
        let now = self.now;
        let conn = self.conn_mut(id);
        // It is open no more for those who look who is here.
        conn.state = State::Closing;
        let Some((user, opened_at)) = conn.admitted else { return };
        let (age, session) = (now.saturating_since(opened_at), conn.session());
        self.user_departs(user, reason);
        self.notice(Notice::Closed { conn: id, session, reason, age });
        for followed in self.conns[&id].sessions.clone() {
            self.session_mut(followed).left_for = reason;
            self.linger_if_left(followed);
        }
        self.note_user(user);
        self.settle(user, session);
    }

    /// A user has one session or one open connection less.
    pub(crate) fn settle(&mut self, user: Name, session: Option<SessionId>) {
        if self.is_user(user) {
            self.ease_pressure(user, session);
        } else {
            self.pressure.remove(&user);
        }
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
        self.note_absent(source);
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
