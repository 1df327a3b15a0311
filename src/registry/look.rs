//! The registry as a whole: its configuration, its counters, and whether it is idle.

use crate::config::Config;
use crate::run::CALL_COST;
use crate::stats::Stats;

use super::Registry;

impl Registry {
    /// The configuration. [`reload`](Self::reload) has an example.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Counters and gauges, in O(1).
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// assert_eq!((registry.stats().open, registry.stats().users), (1, 1));
    /// registry.revoke(now, &"alice".parse()?);
    /// while registry.poll_action().is_some() {}
    /// registry.disconnect(now, conn)?;
    /// while registry.poll_action().is_some() {}
    /// assert_eq!(registry.stats().closed(CloseReason::Revoked), 1);
    /// assert!(registry.is_idle());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            opened: counters.opened,
            live: counters.live,
            open: counters.open,
            pending: counters.pending,
            abandoned: counters.abandoned,
            sessions_opened: counters.sessions_opened,
            sessions: self.sessions.live() as u32,
            sessions_ended: counters.sessions_ended_by.iter().sum(),
            sessions_ended_by: counters.sessions_ended_by,
            refused: counters.refused,
            users: self.sessions.users() as u32,
            rooms: self.rooms.len() as u32,
            rooms_opened: counters.rooms_opened,
            rooms_ended_by: counters.rooms_ended_by,
            pings_sent: counters.pings_sent,
            pongs_received: counters.pongs_received,
            pong_timeouts: counters.pong_timeouts,
            recovered: counters.recovered,
            pauses: counters.pauses,
            level_changes: counters.level_changes,
            probed: counters.probed,
            released: counters.released,
            sent: counters.sent,
            deferred: counters.deferred,
            stored: counters.stored,
            acknowledged: counters.acknowledged,
            runs_opened: counters.runs_opened,
            runs_requested: counters.runs_requested,
            runs: self.runs.open(),
            runs_ended: counters.runs_ended,
            gaps: counters.gaps,
            shed: counters.shed,
            skipped: counters.skipped,
            log_messages: counters.log_messages,
            log_bytes: counters.log_bytes,
            calls: (counters.call_bytes / CALL_COST) as u32,
            late_stamps: counters.late_stamps,
            notices_lost: counters.notices_lost,
            closed: counters.closed,
        }
    }

    /// Whether nothing is known and nothing waits: no connection, session, room or
    /// action, and no user in the leave grace. [`stats`](Self::stats) has an example.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.conns.len() == 0
            && self.sessions.records() == 0
            && self.sessions.users() == 0
            && self.rooms.len() == 0
            && !self.has_actions()
    }
}
