//! What is directed at one connection or session: it is charged when it is queued, and handed out before
//! everything else.

use headcount::{CloseReason, ConnId, Ended, Notice, SessionEnd, SessionId};

use super::conn::State;
use super::log::Next;
use super::tally::End;
use super::{Model, due};
use crate::seen::{Content, Seen, Source};

impl Model {
    /// What of the outbox is charged to a connection: a ping that life overtook is not.
    pub(crate) fn queued(&self, id: ConnId) -> u64 {
        let of_conn = self.waiting.outbox.iter().filter(|item| item.conns() == [id]);
        let is_charged =
            |item: &&Seen| !matches!(item, Seen::Ping { .. }) || self.conns[&id].ping_due;
        of_conn.filter(is_charged).map(Seen::cost).sum()
    }

    /// What a connection has outstanding.
    pub(crate) fn used(&self, id: ConnId) -> u64 {
        self.conns[&id].in_flight() + self.queued(id)
    }

    /// Whether an entry of a stream finds room.
    pub(crate) fn fits(&self, id: ConnId, cost: u64) -> bool {
        let used = self.used(id);
        used == 0 || used + cost <= self.config.send_window()
    }

    /// Whether the outbox has room for what is bounded in it: messages, and gaps.
    pub(crate) fn has_room(&self, cost: u64) -> bool {
        let bounded = |item: &&Seen| matches!(item, Seen::Send { .. } | Seen::Gap { .. });
        let bytes = self.waiting.outbox.iter().filter(bounded).map(Seen::cost).sum::<u64>();
        bytes == 0 || bytes + cost <= self.config.direct_bytes()
    }

    pub(crate) fn queue_ping(&mut self, id: ConnId) {
        // One that life overtook still has its place, and serves again.
        if !self.waiting.outbox.contains(&Seen::Ping { conn: id }) {
            self.waiting.outbox.push_back(Seen::Ping { conn: id });
        }
        self.conn_mut(id).ask();
    }

    /// Does what handing out an item means. `false`: it is void, for its connection has ended or was heard.
    pub(crate) fn hand_out(&mut self, item: &Seen) -> bool {
        match item {
            Seen::Cleanup { what: Ended::Conn(id), reason } => self.clean_up(*id, *reason),
            Seen::Cleanup { what: Ended::Session(id), .. } => {
                let user = self.sessions.remove(id).map(|session| session.user);
                user.into_iter().for_each(|user| self.forget_user(user));
            }
            _ => {
                let id = item.conns()[0];
                let Some(conn) = self.conns.get_mut(&id) else { return false };
                conn.next = None;
                let is_ping = matches!(item, Seen::Ping { .. });
                let is_void = is_ping && !core::mem::take(&mut conn.ping_due);
                if is_void || conn.state == State::Gone {
                    return false;
                }
                if is_ping {
                    conn.pinged();
                }
                if let Seen::Close { .. } = item {
                    conn.close_polled = Some(self.now);
                }
                self.hand_alone(id, item.cost());
                self.count(item);
            }
        }
        true
    }

    /// One connection is handed what is for it alone.
    pub(crate) fn hand_alone(&mut self, id: ConnId, cost: u64) {
        self.hand(id, cost);
        if !self.config.flush_reports() {
            self.look_at(id);
        }
    }

    /// Counts what is handed out.
    pub(crate) fn count(&mut self, seen: &Seen) {
        match seen {
            Seen::Send { to, .. } => self.tally.sent += to.len() as u64,
            Seen::Gap { conn, from, to, .. } => {
                self.tally.gaps += 1;
                self.notice(Notice::Gap { conn: *conn, from: *from, to: *to });
            }
            Seen::Ping { .. } => self.tally.pings_sent += 1,
            _ => {}
        }
    }

    /// A `Cleanup` is polled: the slot is free, and the session may end.
    fn clean_up(&mut self, id: ConnId, reason: CloseReason) {
        let Some(conn) = self.conns.remove(&id) else { return };
        let Some((user, _)) = conn.admitted else {
            self.tally.abandoned += 1;
            return;
        };
        self.tally.ended(End::Conn(reason));
        for session in conn.sessions {
            self.session_mut(session).uncleaned -= 1;
            self.detached(session);
        }
        self.forget_user(user);
    }

    /// A connection that followed a session was cleaned up, or has left it.
    pub(crate) fn detached(&mut self, session_id: SessionId) {
        let Some(session) = self.sessions.get(&session_id) else { return };
        if session.ended {
            self.clean_up_session(session_id);
            return;
        }
        // Its linger may have passed while this was not polled.
        let linger = self.config.session_linger();
        let is_over = |at| linger.is_zero() || due(self.now, at + linger);
        let over = session.left_at.is_some_and(is_over) && self.is_left(session_id);
        if over && session.uncleaned == 0 {
            self.marks.hit("a session ended in a poll");
            self.end_session(session_id, SessionEnd::Lingered);
        }
    }

    /// The `Cleanup` of a session that has ended follows those of its connections.
    pub(crate) fn clean_up_session(&mut self, id: SessionId) {
        if self.sessions[&id].uncleaned == 0 {
            let (what, reason) = (Ended::Session(id), self.sessions[&id].left_for);
            self.waiting.outbox.push_back(Seen::Cleanup { what, reason });
        }
    }

    /// What still fits the window of a connection that closes, and the outbox, is moved there, stream by
    /// stream. A text that is longer than the window is not, nor what follows it in its stream.
    pub(crate) fn hand_out_farewell(&mut self, id: ConnId) {
        for source in self.conns[&id].streams.clone() {
            if !self.hand_out_rest(id, &source) {
                return;
            }
        }
    }

    /// The same of one stream; whether there is room for more.
    pub(crate) fn hand_out_rest(&mut self, id: ConnId, source: &Source) -> bool {
        while let Some((seen, cursor)) = self.item(id, source) {
            let is_text = matches!(&seen, Seen::Send { content: Content::Said(_), .. });
            let is_too_long = is_text && seen.cost() > self.config.send_window();
            if is_too_long || !self.has_room(seen.cost()) || !self.fits(id, seen.cost()) {
                self.marks.hit("a close left entries behind");
                return is_too_long;
            }
            self.marks.hit(match seen {
                Seen::Gap { .. } => "a close told of a gap",
                _ => "a close moved entries out of the logs",
            });
            self.waiting.outbox.push_back(seen);
            self.seat_mut(id, source).cursor = cursor;
        }
        true
    }

    /// Notes what is behind something that a member is handed in a turn of its connection.
    pub(crate) fn mark_item(&mut self, id: ConnId, source: &Source, seen: &Seen) {
        let stream = &self.streams[source];
        let Some(seat) = stream.seat(id).cloned() else { return };
        let shown = stream.log.shown();
        let Seen::Gap { to, .. } = seen else {
            let next = stream.log.next(&seat);
            self.marks.hit_if(
                matches!(next, Next::Entry(entry) if entry.first() <= seat.cursor),
                "a text was handed out in part",
            );
            self.marks.hit_if(
                matches!(next, Next::Entry(entry) if seat.who.was(entry.left_out)),
                "a user who was forgotten got what had left it out",
            );
            return;
        };
        let between = |last: u64| last > shown.lost.max(seat.cursor) && last <= *to;
        let droppable =
            stream.log.kept().filter(|it| it.is_droppable() && between(it.last)).count();
        let is_trimmed = seat.cursor < shown.lost;
        let lost = stream.log.losses().filter(|last| between(*last)).count();
        let is_late = seat.cursor < seat.late_until;
        let (resumed, ends) = (is_late && seat.tells_rest, *to >= seat.late_until);
        self.marks.hit_if(resumed && !ends, "a gap between open runs for a resume");
        self.marks.hit_if(resumed && ends, "a gap for a resume");
        self.marks.hit_if(is_late && !resumed, "a late joiner was told of a run's loss");
        self.marks.hit_if(is_trimmed, "a gap for trimmed entries");
        self.marks.hit_if(droppable > 0, "a laggard passed over a droppable");
        self.marks
            .hit_if(usize::from(is_trimmed) + lost + droppable > 1, "a gap told of several losses");
    }
}
