//! Limits of a connection's own: how fast it may talk, how long it may be idle, and be at all.

use headcount::{CloseReason, Config, ConnId, Inbound, SessionEnd, Timestamp, UnknownConn};

use super::conn::Conn;
use super::names::Name;
use super::{Bucket, Model};

/// Bytes that may come at once: a second's worth of them, and one message at least.
pub(crate) fn byte_burst(config: &Config) -> u64 {
    config.byte_rate().max(config.message_bytes())
}

/// How fast a connection may talk, and how much it talked too fast since the bucket was full.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Rate {
    bucket: Option<Bucket>,
    excess: u64,
}

impl Rate {
    /// Begins again with a full bucket, if it is another one.
    pub(crate) fn refill_if(&mut self, changed: bool) {
        if changed {
            *self = Self::default();
        }
    }

    /// Takes out of the bucket, which begins full. The whole excess, if there was too little in it.
    fn take(
        &mut self,
        now: Timestamp,
        full: Bucket,
        take: impl FnOnce(&mut Bucket) -> u64,
    ) -> Option<u64> {
        let bucket = self.bucket.get_or_insert(full);
        if bucket.is_full(now) {
            self.excess = 0;
        }
        let missing = take(bucket);
        self.excess += missing;
        (missing > 0).then_some(self.excess)
    }
}

impl Conn {
    /// What came in, and which message is in progress after it.
    pub(crate) fn follow(&mut self, now: Timestamp, inbound: Inbound) {
        match inbound {
            Inbound::Fragment => self.fragmented = true,
            Inbound::Data { .. } | Inbound::Bytes { partial: false, .. } => self.fragmented = false,
            _ => {}
        }
        let partial = matches!(inbound, Inbound::Bytes { partial: true, .. }) || self.fragmented;
        self.began = partial.then(|| self.began.unwrap_or(now));
    }

    /// The end of its life, at the earliest and at the latest: jittered.
    pub(crate) fn life_ends(&self, config: &Config) -> Option<(Timestamp, Timestamp)> {
        let most = config.max_lifetime();
        let (_, since) = self.admitted.filter(|_| !most.is_zero())?;
        Some((since + (most - most / 10), since + most))
    }
}

impl Model {
    /// Whether what came in is within its rates. Too much that is not closes the connection.
    pub(crate) fn is_within_rates(&mut self, id: ConnId, inbound: Inbound) -> bool {
        let Some(conn) = self.find_mut(id) else { return true };
        match inbound {
            Inbound::Data { .. } => self.take_eighths(id, 8),
            Inbound::Pong if std::mem::take(&mut conn.pong_owed) => true,
            Inbound::Bytes { bytes, .. } => self.take_bytes(id, bytes),
            _ => self.take_eighths(id, 1),
        }
    }

    fn take_eighths(&mut self, id: ConnId, eighths: u32) -> bool {
        let (now, config) = (self.now, &self.config);
        let burst = config.message_burst();
        let full = Bucket::new(config.message_rate(), burst);
        let Some(conn) = self.find_mut(id) else { return true };
        let take = |bucket: &mut Bucket| match bucket.take_eighths(now, eighths) {
            Ok(()) => 0,
            Err(_) => eighths.into(),
        };
        let excess = conn.frames.take(now, full, take);
        self.exceeded(
            id,
            excess,
            u64::from(8 * burst),
            match eighths {
                8 => ["a message came too fast", "messages came too fast for too long"],
                _ => ["a frame came too fast", "messages came too fast for too long"],
            },
        )
    }

    fn take_bytes(&mut self, id: ConnId, bytes: u64) -> bool {
        let (now, rate, burst) = (self.now, self.config.byte_rate(), byte_burst(&self.config));
        let Some(conn) = self.find_mut(id).filter(|_| rate > 0) else { return true };
        let take = |bucket: &mut Bucket| bytes - bucket.take_some(now, bytes);
        let excess = conn.bytes.take(now, Bucket::new(rate, burst), take);
        let marks = ["bytes came too fast", "bytes came too fast for too long"];
        self.exceeded(id, excess, burst, marks)
    }

    /// Whether nothing of what came in was too much. Too much of that closes the connection.
    fn exceeded(&mut self, id: ConnId, excess: Option<u64>, most: u64, marks: [&str; 2]) -> bool {
        let Some(excess) = excess else { return true };
        self.marks.hit(marks[0]);
        if excess >= most {
            self.marks.hit(marks[1]);
            self.begin_close(id, CloseReason::RateLimited);
        }
        false
    }

    pub(crate) fn refresh(
        &mut self,
        id: ConnId,
        expires: Option<Timestamp>,
    ) -> Result<(), UnknownConn> {
        let conn = self.find_mut(id).filter(|conn| conn.is_open());
        conn.ok_or(UnknownConn)?.expires = expires;
        Ok(())
    }

    pub(crate) fn revoke(&mut self, user: Name) -> u32 {
        self.end_leave_grace(user);
        let sessions = self.sessions_of(user);
        let closed = self.close_connections_of(user, &CloseReason::Revoked.into());
        for session in sessions {
            self.marks.hit("a session was revoked");
            self.end_session(session, SessionEnd::Revoked);
        }
        closed
    }
}
