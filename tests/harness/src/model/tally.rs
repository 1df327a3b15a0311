//! The figures of [`headcount::Stats`].

use std::collections::HashMap;

use headcount::{CloseReason, Registry, RoomEnd, RunEnd, SessionEnd, Stats};

use super::Model;
use crate::{Check, same};

/// What has ended, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Conn(CloseReason),
    Session(SessionEnd),
    Room(RoomEnd),
    Run(RunEnd),
}

macro_rules! sums {
    ($($name:ident)+) => {
        /// Sums that only grow, under the names that they have in [`Stats`].
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Tally {
            $(pub(crate) $name: u64,)+
            ends: HashMap<End, u64>,
        }

        impl Tally {
            fn compare_sums(&self, stats: &Stats) -> Check {
                $(same!(stats.$name, self.$name, "stats: {}", stringify!($name));)+
                Ok(())
            }
        }
    };
}

sums! {
    opened abandoned refused sessions_opened rooms_opened runs_opened runs_requested
    sent stored gaps acknowledged deferred skipped shed
    pings_sent pongs_received pong_timeouts recovered
    level_changes probed released pauses late_stamps notices_lost
}

impl Tally {
    pub(crate) fn ended(&mut self, end: End) {
        *self.ends.entry(end).or_insert(0) += 1;
    }

    fn compare_ends(&self, stats: &Stats) -> Check {
        let conns = CloseReason::ALL.iter().map(|why| (End::Conn(*why), stats.closed(*why)));
        let sessions = SessionEnd::ALL.iter();
        let sessions = sessions.map(|why| (End::Session(*why), stats.sessions_ended_by(*why)));
        let rooms = RoomEnd::ALL.iter().map(|why| (End::Room(*why), stats.rooms_ended_by(*why)));
        let runs = RunEnd::ALL.iter().map(|how| (End::Run(*how), stats.runs_ended(*how)));
        for (end, got) in conns.chain(sessions).chain(rooms).chain(runs) {
            let expected = self.ends.get(&end).copied().unwrap_or(0);
            same!(got, expected, "stats: {end:?}");
        }
        Ok(())
    }
}

impl Model {
    pub(crate) fn compare_stats(&self, registry: &Registry) -> Check {
        let (stats, tally) = (registry.stats(), &self.tally);
        tally.compare_sums(&stats)?;
        tally.compare_ends(&stats)?;
        let [live, sessions] = [self.live(), self.going().count()];
        let logs = || self.streams.values().map(|stream| stream.log.shown());
        let gauge = |gauge: u32| u64::from(gauge);
        for (name, got, expected) in [
            ("live", gauge(stats.live), live),
            ("open", gauge(stats.open), self.open().count()),
            ("pending", gauge(stats.pending), self.conns.len() - live),
            ("sessions", gauge(stats.sessions), sessions),
            ("users", gauge(stats.users), self.users().len()),
            ("rooms", gauge(stats.rooms), self.rooms().count()),
            ("runs", gauge(stats.runs), self.runs.values().filter(|run| run.is_open()).count()),
            ("calls", gauge(stats.calls), self.runs.values().map(|run| run.calls.len()).sum()),
            ("log_messages", stats.log_messages, logs().map(|it| it.messages as usize).sum()),
            ("log_bytes", stats.log_bytes, logs().map(|it| it.bytes as usize).sum()),
            ("closed_total", stats.closed_total(), tally.opened as usize - live),
            ("sessions_ended", stats.sessions_ended, tally.sessions_opened as usize - sessions),
        ] {
            same!(got, expected as u64, "stats: {name}");
        }
        Ok(())
    }
}
