//! What a peer does: messages that come in, bytes that it takes.

use headcount::{CloseReason, ConnId, Inbound, InboundError, Intake, Notice, UnknownConn};

use super::Model;
use super::conn::State;

impl Model {
    pub(crate) fn message(&mut self, id: ConnId, inbound: Inbound) -> Result<Intake, InboundError> {
        let (now, window) = (self.now, self.config.send_window());
        let conn = self.find_mut(id);
        let conn = conn.filter(|conn| conn.is_there()).ok_or(InboundError::UnknownConn)?;
        if let Inbound::Bytes { bytes, .. } = inbound
            && conn.state == State::Pending
            && !conn.upgraded
        {
            conn.head += bytes;
            if conn.head > self.config.head_bytes() {
                self.marks.hit("a request head was too large");
                self.begin_close(id, CloseReason::BadRequest);
                return Err(InboundError::TooBig);
            }
            self.hear(id, false);
            return Ok(Intake::Taken);
        }
        conn.follow(now, inbound);
        let full = conn.is_open() && self.used(id) > window;
        match inbound {
            Inbound::Data { bytes } if bytes > self.config.message_bytes() => {
                self.begin_close(id, CloseReason::MessageTooBig);
                return Err(InboundError::TooBig);
            }
            Inbound::Data { .. } if full => {
                self.conn_mut(id).paused = true;
                self.marks.hit("a message was paused");
                return Ok(Intake::Paused);
            }
            Inbound::Data { .. } => self.conn_mut(id).data_at = now,
            Inbound::Pong => self.tally.pongs_received += 1,
            _ => {}
        }
        let within = self.is_within_rates(id, inbound);
        if self.conns[&id].state != State::Closing {
            self.hear(id, within && matches!(inbound, Inbound::Data { .. }));
        }
        if within { Ok(Intake::Taken) } else { Err(InboundError::RateLimited) }
    }

    /// A message is a sign of life, also when it is dropped; data that was taken ends a pause.
    fn hear(&mut self, id: ConnId, taken: bool) {
        let now = self.now;
        self.note_life(id);
        let Some(conn) = self.find_mut(id) else { return };
        let (void, resumes) = (conn.ping_due, conn.paused && taken);
        let asked = conn.ping.is_some();
        let late = conn.ping.is_some_and(|ping| ping.late);
        conn.paused &= !taken;
        conn.hear(now);
        self.marks.hit_if(void, "a ping was void");
        if late {
            self.tally.recovered += 1;
            self.notice(Notice::Recovered { conn: id });
            self.marks.hit("a suspect connection recovered");
        }
        if asked || resumes {
            self.look_at(id);
        }
    }

    pub(crate) fn flushed(&mut self, id: ConnId, total: u64) -> Result<bool, UnknownConn> {
        self.known(id).ok_or(UnknownConn)?;
        let takes_input = self.count_flushed(id, total);
        self.look_at(id);
        Ok(takes_input)
    }

    /// The kernel has taken so much of one connection's output.
    pub(crate) fn count_flushed(&mut self, id: ConnId, total: u64) -> bool {
        let (now, window) = (self.now, self.config.send_window());
        let reports = self.config.flush_reports();
        let queued = self.queued(id);
        let Some(conn) = self.conns.get_mut(&id) else { return true };
        conn.next = None;
        let before = conn.flushed;
        conn.flushed = total.clamp(before, conn.handed);
        let progress = conn.flushed > before;
        if progress {
            conn.progress_at = now;
        }
        if let Some(ping) = &mut conn.ping {
            let restart = match (ping.running, ping.mark) {
                (None, Some(mark)) => conn.flushed >= mark,
                // A whole window of progress shows that somebody reads, pong or not: unless all
                // that is known is that it was polled.
                (Some((_, since)), _) => reports && conn.flushed - since >= window,
                (None, None) => false,
            };
            // A smaller window does not make progress out of what was flushed long ago.
            if restart && progress {
                self.marks.hit_if(ping.running.is_some(), "a pong deadline began again");
                ping.running = Some((now, conn.flushed));
            }
        }
        if !conn.paused || conn.in_flight() + queued > window / 2 {
            return !conn.paused;
        }
        self.marks.hit("a pause ended with a flush");
        conn.paused = false;
        conn.heard_at = now;
        conn.data_at = now;
        conn.began = conn.began.map(|_| now);
        if let Some(ping) = &mut conn.ping
            && let Some((since, _)) = &mut ping.running
        {
            *since = now;
        }
        true
    }
}
