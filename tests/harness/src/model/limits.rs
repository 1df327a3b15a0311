//! Limits of a connection's own: how fast it may talk, how long it may be idle, and be at all.

use headcount::{CloseReason, Config, ConnId, Timestamp, UnknownConn};

use super::conn::Conn;
use super::{Bucket, Model};
use crate::seen::Source;
use crate::{Check, ensure};

impl Conn {
    pub(crate) fn idle_at(&self, config: &Config) -> Option<Timestamp> {
        let limited = self.is_open() && !self.paused && !config.idle().is_zero();
        limited.then(|| self.data_at + config.idle())
    }

    /// The end of its life, at the earliest and at the latest: jittered.
    pub(crate) fn life_ends(&self, config: &Config) -> Option<(Timestamp, Timestamp)> {
        let most = config.max_lifetime();
        let (_, since) = self.admitted.filter(|_| self.is_open() && !most.is_zero())?;
        Some((since + (most - most / 10), since + most))
    }

    pub(crate) fn expires_at(&self, config: &Config) -> Option<Timestamp> {
        let expires = self.expires.filter(|_| self.is_open())?;
        Some(expires + config.expiry_grace())
    }
}

impl Model {
    /// Whether a data message is within the rate. Too many that are not close the connection.
    pub(crate) fn take_message_token(&mut self, id: ConnId) -> bool {
        let (now, config) = (self.now, &self.config);
        let (rate, burst) = (config.message_rate(), config.message_burst());
        let Some(conn) = self.conns.get_mut(&id) else { return true };
        conn.data_at = now;
        let bucket = conn.messages.get_or_insert_with(|| Bucket::new(rate, burst));
        if bucket.is_full(now) {
            conn.excess = 0;
        }
        if bucket.take(now).is_ok() {
            return true;
        }
        self.marks.hit("a message came too fast");
        conn.excess += 1;
        if conn.excess >= burst {
            self.marks.hit("messages came too fast for too long");
            self.begin_close(id, &[CloseReason::RateLimited], true);
        }
        false
    }

    pub(crate) fn refresh(
        &mut self,
        stamp: Timestamp,
        id: ConnId,
        expires: Option<Timestamp>,
        got: Result<(), UnknownConn>,
    ) -> Check {
        self.clock(stamp);
        let conn = self.conns.get_mut(&id).filter(|conn| conn.is_open());
        let expected = conn.as_ref().map(|_| ()).ok_or(UnknownConn);
        ensure!(got == expected, "refresh: {got:?}, expected {expected:?}");
        if let Some(conn) = conn {
            conn.expires = expires;
        }
        Ok(())
    }

    pub(crate) fn revoke(&mut self, stamp: Timestamp, user: u8, got: u32) -> Check {
        self.clock(stamp);
        let sessions = self.going().filter(|(_, it)| it.user == user).map(|(id, _)| id);
        let mut sessions: Vec<_> = sessions.collect();
        // The oldest first: the levels that are passed on the way down depend on it.
        sessions.sort_unstable_by_key(|id| id.to_bits() >> 32);
        let members: Vec<_> = self.open_of_user(user).into_iter().collect();
        self.leave_together(&members);
        let mut closed = 0;
        for session in sessions {
            for id in self.members(&Source::Session(session)) {
                self.begin_close(id, &[CloseReason::Revoked], true);
                closed += 1;
            }
            self.marks.hit("a session was revoked");
            self.end_session(session);
        }
        ensure!(got == closed, "revoke: {got}, expected {closed}");
        Ok(())
    }
}
