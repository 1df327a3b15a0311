//! What happens to a user's connections and sessions as they near a cap.

use headcount::{Pressure, Registry, SessionEnd, SessionId};

use super::notices::Level;
use super::{Model, Session};
use crate::seen::Source;
use crate::{Check, ensure};

impl Model {
    fn pressure_of(&self, user: u8) -> Pressure {
        let config = &self.config;
        let share = |count: usize, cap: u32| count as u64 * 100 / u64::from(cap);
        let sessions = self.going().filter(|(_, it)| it.user == user).count();
        let nearer = share(self.open_of_user(user).len(), config.connections_per_user())
            .max(share(sessions, config.sessions_per_user()));
        if nearer >= config.emergency().into() {
            Pressure::Emergency
        } else if nearer >= config.proactive().into() {
            Pressure::Proactive
        } else {
            Pressure::None
        }
    }

    fn level_changed(&mut self, user: u8, told: Level) {
        self.pressure.insert(user, told.level);
        self.tally.level_changes += 1;
        self.tally.probed += u64::from(told.probed);
        self.tally.released += u64::from(told.released);
        self.notices.level_changed(user, told);
    }

    /// A connection was admitted. What a level asks for is done once, when it is reached.
    pub(crate) fn raise_pressure(&mut self, user: u8, evicted: u32, registry: &Registry) -> Check {
        let level = self.pressure_of(user);
        let before = self.pressure.get(&user).copied().unwrap_or(Pressure::None);
        if level <= before {
            return Ok(());
        }
        let mut told = Level { level, probed: 0, released: 0, evicted };
        if before == Pressure::None {
            told.probed = self.probe_silent(user);
        }
        let mut empty = Vec::new();
        if level == Pressure::Emergency {
            for id in self.open_of_user(user) {
                let ping = self.conns.get_mut(&id).and_then(|conn| conn.ping.as_mut());
                if let Some(ping) = ping {
                    ping.hurried = true;
                    self.marks.hit("an answer was hurried");
                }
            }
            empty = self.empty_sessions(user, registry)?;
            told.released = empty.len() as u32;
        }
        self.level_changed(user, told);
        for id in empty {
            self.marks.hit("an empty session was released");
            self.end_session(id, SessionEnd::Pressure);
        }
        Ok(())
    }

    /// A connection left, or a session ended.
    pub(crate) fn ease_pressure(&mut self, user: u8) {
        let before = self.pressure.get(&user).copied().unwrap_or(Pressure::None);
        if self.going().all(|(_, session)| session.user != user) {
            // Nothing is known of a user without sessions.
            self.pressure.remove(&user);
            return;
        }
        let level = self.pressure_of(user);
        if level < before {
            self.level_changed(user, Level { level, probed: 0, released: 0, evicted: 0 });
        }
    }

    /// Asks those that were silent for more than half an interval, and were not asked yet.
    fn probe_silent(&mut self, user: u8) -> u32 {
        let half = self.config.interval() / 2;
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

    /// Sessions that linger, without an open run, and keep nothing to resume. Where
    /// it is open when a log was thinned, the registry tells.
    fn empty_sessions(&self, user: u8, registry: &Registry) -> Result<Vec<SessionId>, String> {
        let mut empty = Vec::new();
        let lingers = |it: &Session| it.user == user && it.left_at.is_some() && it.open_runs == 0;
        for (id, _) in self.going().filter(|(_, it)| lingers(it)) {
            let ((least, _), (most, _)) = self.streams[&Source::Session(id)].holding();
            let ended = registry.session_position(id).is_none();
            ensure!(!ended || least == 0, "{id:?} was released, and there is something to resume");
            ensure!(ended || most > 0, "{id:?} keeps nothing, and was not released");
            if ended {
                empty.push(id);
            }
        }
        Ok(empty)
    }
}
