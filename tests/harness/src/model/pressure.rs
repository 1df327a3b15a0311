//! What happens to a user's connections and sessions as they near a cap.

use headcount::{ConnKind, Notice, Pressure, SessionEnd, SessionId};

use super::Model;
use super::names::Name;
use crate::seen::Source;

impl Model {
    fn pressure_of(&self, user: Name) -> Pressure {
        let config = &self.config;
        let share = |count: usize, cap: u32| count as u64 * 100 / u64::from(cap);
        let sessions = self.sessions_of(user).len();
        let sockets = self.open_of_kind(user, ConnKind::Socket).len();
        let nearer = share(sockets, config.connections_per_user())
            .max(share(sessions, config.sessions_per_user()));
        if nearer >= config.emergency_percent().into() {
            Pressure::Emergency
        } else if nearer >= config.proactive_percent().into() {
            Pressure::Proactive
        } else {
            Pressure::None
        }
    }

    fn level_changed(&mut self, user: Name, told: Notice) {
        if let Notice::Pressure { level, .. } = told {
            self.pressure.insert(user, level);
        }
        self.tally.level_changes += 1;
        self.notice(told);
    }

    /// A connection was admitted. What a level asks for is done once, when it is reached.
    pub(crate) fn raise_pressure(&mut self, user: Name, session: Option<SessionId>, evicted: u32) {
        let level = self.pressure_of(user);
        let before = self.pressure.get(&user).copied().unwrap_or(Pressure::None);
        if level <= before {
            return;
        }
        let probed = if before == Pressure::None { self.probe_silent(user) } else { 0 };
        let mut empty = Vec::new();
        if level == Pressure::Emergency {
            for id in self.open_of_user(user) {
                if let Some(ping) = &mut self.conn_mut(id).ping {
                    ping.hurried = true;
                    self.marks.hit("an answer was hurried");
                }
            }
            empty = self.sessions_of(user);
            empty.retain(|id| self.absent.sessions.contains(id) && self.keeps_nothing(*id));
        }
        let released = empty.len() as u32;
        self.tally.probed += u64::from(probed);
        self.tally.released += u64::from(released);
        self.level_changed(user, Notice::Pressure { session, level, probed, released, evicted });
        for id in empty {
            self.marks.hit("an empty session was released");
            self.end_session(id, SessionEnd::Pressure);
        }
    }

    /// A connection left, or a session ended.
    pub(crate) fn ease_pressure(&mut self, user: Name, session: Option<SessionId>) {
        let before = self.pressure.get(&user).copied().unwrap_or(Pressure::None);
        let level = self.pressure_of(user);
        if level < before {
            let (probed, released, evicted) = (0, 0, 0);
            let told = Notice::Pressure { session, level, probed, released, evicted };
            self.level_changed(user, told);
        }
    }

    /// Asks those that were silent for more than half an interval, and were not asked yet.
    fn probe_silent(&mut self, user: Name) -> u32 {
        let half = self.config.ping_interval() / 2;
        let mut probed = 0;
        for id in self.open_of_user(user) {
            let conn = &self.conns[&id];
            let silent = self.now.saturating_since(conn.heard_at) > half;
            if silent && !half.is_zero() && !conn.paused && conn.ping.is_none() {
                self.marks.hit("a silent connection was probed");
                self.queue_ping(id);
                probed += 1;
            }
        }
        probed
    }

    fn keeps_nothing(&self, id: SessionId) -> bool {
        self.streams[&Source::Session(id)].log.kept().next().is_none()
    }
}
