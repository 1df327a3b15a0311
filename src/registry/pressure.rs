//! Pressure: what happens to a user's connections and sessions as they near a cap.
//!
//! It never redefines *dead*: only the peer's silence past a deadline does that. It asks earlier,
//! and it shortens the time that an answer has. It acts on the first 64 of a user's connections and of
//! their lingering sessions, so that a crossing costs the same whatever the caps are.

use smallvec::SmallVec;

use crate::conn::ConnKey;
use crate::ends::SessionEnd;
use crate::id::SessionId;
use crate::principal::ConnKind;
use crate::session::{SessionKey, UserKey};
use crate::stats::{Notice, Pressure};

use super::Registry;
use super::eviction::LOOKED_AT;

impl Registry {
    /// How near a user is to a cap: of sessions or of sockets, whichever is nearer.
    fn pressure_of(&self, user: UserKey) -> Pressure {
        let config = &self.config;
        let of_user = self.sessions.user(user);
        let share = |count: usize, cap: u32| count as u64 * 100 / u64::from(cap);
        let sockets = of_user.of_kind(ConnKind::Socket).len();
        let connections = share(sockets, config.connections_per_user);
        let sessions = share(of_user.sessions(), config.sessions_per_user);
        let nearer = connections.max(sessions);
        if nearer >= u64::from(config.emergency_percent) {
            Pressure::Emergency
        } else if nearer >= u64::from(config.proactive_percent) {
            Pressure::Proactive
        } else {
            Pressure::None
        }
    }

    /// Acts on a user's coming nearer to a cap, once per crossing. `evicted` is what the admission
    /// at hand has evicted already.
    pub(super) fn raise_pressure(
        &mut self,
        user: UserKey,
        session: Option<SessionId>,
        evicted: u32,
    ) {
        let level = self.pressure_of(user);
        let before = self.sessions.user(user).pressure;
        if level <= before {
            return;
        }
        self.sessions.user_mut(user).pressure = level;
        let probed = match before {
            Pressure::None => self.probe_silent(user),
            _ => 0,
        };
        let mut empty = SmallVec::new();
        if level == Pressure::Emergency {
            self.hurry_unanswered(user);
            empty = self.empty_sessions(user);
        }
        let released = empty.len() as u32;
        self.counters.level_changes += 1;
        self.counters.probed += u64::from(probed);
        self.counters.released += u64::from(released);
        self.notice(Notice::Pressure { session, level, probed, released, evicted });
        // Their end may ease the pressure: that is noted after it has risen.
        for session in empty {
            self.end_session(session, SessionEnd::Pressure);
        }
    }

    /// Notes that a user is further from the caps than before.
    pub(super) fn ease_pressure(&mut self, user: UserKey, session: Option<SessionId>) {
        let level = self.pressure_of(user);
        if level < self.sessions.user(user).pressure {
            self.sessions.user_mut(user).pressure = level;
            self.counters.level_changes += 1;
            let (probed, released, evicted) = (0, 0, 0);
            self.notice(Notice::Pressure { session, level, probed, released, evicted });
        }
    }

    /// A user's open connections that a level acts on: sockets, those first that were admitted first, then
    /// event streams.
    fn looked_at(&self, user: UserKey) -> SmallVec<[ConnKey; 16]> {
        self.sessions.user(user).connections(&self.conns).take(LOOKED_AT).collect()
    }

    /// Pings those that were silent for more than half an interval and were not asked yet.
    fn probe_silent(&mut self, user: UserKey) -> u32 {
        if self.config.ping_interval.is_zero() {
            return 0;
        }
        let attended = self.attended();
        let mut probed = 0;
        for slot in self.looked_at(user) {
            let conn = self.conns.hot(slot);
            let silent =
                attended.saturating_since(conn.pulse.last_seen()) > self.config.ping_interval / 2;
            if silent && !conn.paused && conn.pulse.is_calm() {
                self.queue_ping(slot);
                probed += 1;
            }
        }
        probed
    }

    /// Those that were asked get the emergency deadline.
    fn hurry_unanswered(&mut self, user: UserKey) {
        for slot in self.looked_at(user) {
            let (hot, cold) = self.conns.both_mut(slot);
            if hot.pulse.hurry(&mut cold.probe) {
                self.arm(slot);
            }
        }
    }

    /// Lingering sessions that keep nothing to resume, oldest first.
    fn empty_sessions(&self, user: UserKey) -> SmallVec<[SessionKey; 4]> {
        let is_empty =
            |session: &SessionKey| self.streams[self.sessions.get(*session).stream].log.is_empty();
        let mut empty: SmallVec<[SessionKey; 4]> =
            self.sessions.idle_of(user).take(LOOKED_AT).filter(is_empty).collect();
        let age = |session: &SessionKey| {
            self.last_serial.wrapping_sub(self.sessions.get(*session).serial.get())
        };
        empty.sort_unstable_by_key(|session| !age(session));
        empty
    }
}
