//! Everything that can be read from the registry, compared with the model.

use std::collections::BTreeSet;

use headcount::{CloseReason, ConnId, Registry, RunEnd, SessionId};

use super::Model;
use super::conn::State;
use crate::seen::Source;
use crate::world::{Names, World};
use crate::{Check, ensure};

impl Model {
    pub(crate) fn compare(
        &self,
        registry: &Registry,
        names: &Names,
        conns: &[ConnId],
        sessions: &[SessionId],
    ) -> Check {
        for id in conns {
            self.compare_conn(registry, names, *id)?;
        }
        for id in sessions {
            let source = Source::Session(*id);
            let members: BTreeSet<_> = registry.session_members(*id).collect();
            let expected = self.members(&source);
            ensure!(members == expected, "members of {id:?}: {members:?}, expected {expected:?}");
            let position = registry.session_position(*id).map(|it| (it.epoch, it.offset));
            let head = self.streams.get(&source).map(|stream| (stream.epoch, stream.head()));
            ensure!(position == head, "head of {id:?}: {position:?}, expected {head:?}");
        }
        for user in 0..names.users.len() as u8 {
            let name = &names.users[user as usize];
            let open: BTreeSet<_> = registry.connections_of(name).collect();
            let expected = self.open_of_user(user);
            ensure!(open == expected, "of user {user}: {open:?}, expected {expected:?}");
            for thread in 0..names.threads.len() as u8 {
                let session = registry.session(name, &names.threads[thread as usize]);
                let expected = self.session_of(user, thread);
                ensure!(session == expected, "{user}/{thread}: {session:?}, not {expected:?}");
            }
        }
        for room in &names.rooms {
            let members: Vec<_> = registry.room_members(room).collect();
            let distinct: BTreeSet<_> = members.iter().copied().collect();
            let expected = self.members(&Source::Room(room.clone()));
            ensure!(
                distinct == expected && members.len() == distinct.len(),
                "members of {room:?}: {members:?}, expected {expected:?}"
            );
        }
        self.compare_stats(registry)?;
        self.compare_ends(registry)?;
        self.check_timeout(registry.poll_timeout())?;
        self.compare_work(registry)
    }

    fn compare_conn(&self, registry: &Registry, names: &Names, id: ConnId) -> Check {
        let conn = self.conns.get(&id);
        let (state, expected) = (registry.state(id), conn.map(|conn| conn.public_state()));
        ensure!(state == expected, "{id:?} is {state:?}, expected {expected:?}");
        let (session, expected) = (registry.session_of(id), conn.and_then(|conn| conn.session()));
        ensure!(session == expected, "{id:?} is of {session:?}, expected {expected:?}");
        let who = registry.who(id);
        ensure!(who.is_some() == expected.is_some(), "who {id:?} is: {who:?}");
        if let (Some(who), Some(session)) = (who, expected) {
            let session = &self.sessions[&session];
            let right = *who.user == names.users[session.user as usize]
                && *who.thread == names.threads[session.thread as usize]
                && who.label == conn.and_then(|conn| conn.label).map(World::label).as_deref();
            ensure!(right, "{id:?} is {who:?}");
        }
        let rooms: BTreeSet<_> = registry.rooms_of(id).cloned().collect();
        let expected = conn.map(|conn| conn.rooms.iter().cloned().collect()).unwrap_or_default();
        ensure!(rooms == expected, "{id:?} is in {rooms:?}, expected {expected:?}");
        Ok(())
    }

    fn compare_stats(&self, registry: &Registry) -> Check {
        let (stats, tally) = (registry.stats(), &self.tally);
        let pending = self.conns.values().filter(|conn| conn.admitted.is_none()).count();
        let sum = |gauge: u32| u64::from(gauge);
        for (name, got, expected) in [
            ("opened", stats.opened, tally.opened),
            ("opened - closed", stats.opened, sum(stats.live) + stats.closed_total()),
            ("live", sum(stats.live), self.live() as u64),
            ("open", sum(stats.open), self.open().count() as u64),
            ("pending", sum(stats.pending), pending as u64),
            ("abandoned", stats.abandoned, tally.abandoned),
            ("sessions_opened", stats.sessions_opened, tally.sessions_opened),
            ("sessions", sum(stats.sessions), self.going().count() as u64),
            ("sessions_ended", stats.sessions_ended, tally.sessions_ended_by.values().sum()),
            (
                "sessions_opened - ended",
                stats.sessions_opened,
                sum(stats.sessions) + stats.sessions_ended,
            ),
            ("refused", stats.refused, tally.refused),
            ("users", sum(stats.users), self.users().len() as u64),
            ("rooms", sum(stats.rooms), self.rooms().count() as u64),
            ("pings_sent", stats.pings_sent, tally.pings),
            ("pongs_received", stats.pongs_received, tally.pongs),
            ("pong_timeouts", stats.pong_timeouts, tally.pong_timeouts),
            ("pauses", stats.pauses, tally.pauses),
            ("level_changes", stats.level_changes, tally.level_changes),
            ("probed", stats.probed, tally.probed),
            ("released", stats.released, tally.released),
            ("recovered", stats.recovered, tally.recovered),
            ("sent", stats.sent, tally.sent),
            ("stored", stats.stored, tally.stored),
            ("gaps", stats.gaps, tally.gaps),
            ("acknowledged", stats.acknowledged, tally.acknowledged),
            ("runs_opened", stats.runs_opened, tally.runs_opened),
            (
                "runs",
                sum(stats.runs),
                self.runs.values().filter(|run| run.is_open()).count() as u64,
            ),
            (
                "calls",
                sum(stats.calls),
                self.runs.values().map(|run| run.calls.len() as u64).sum::<u64>(),
            ),
            ("late_stamps", stats.late_stamps, tally.late),
        ] {
            ensure!(got == expected, "stats: {name} is {got}, expected {expected}");
        }
        for reason in CloseReason::ALL {
            let expected = tally.closed.get(reason).copied().unwrap_or(0);
            let got = stats.closed(*reason);
            ensure!(got == expected, "stats: closed for {reason:?} is {got}, expected {expected}");
        }
        for end in [
            RunEnd::Completed,
            RunEnd::Failed,
            RunEnd::Cancelled,
            RunEnd::Silence,
            RunEnd::Length,
            RunEnd::SessionEnded,
        ] {
            let expected = tally.runs_ended.get(&(end as usize)).copied().unwrap_or(0);
            let got = stats.runs_ended(end);
            ensure!(got == expected, "stats: runs ended by {end:?}: {got}, expected {expected}");
        }
        let (mut least, mut most) = ((0, 0), (0, 0));
        for stream in self.streams.values() {
            let (low, high) = stream.holding();
            least = (least.0 + low.0, least.1 + low.1);
            most = (most.0 + high.0, most.1 + high.1);
        }
        ensure!(
            (least.0..=most.0).contains(&stats.log_messages)
                && (least.1..=most.1).contains(&stats.log_bytes),
            "stats: {} messages of {} bytes in logs, expected {least:?} to {most:?}",
            stats.log_messages,
            stats.log_bytes
        );
        Ok(())
    }

    /// What the registry says about the work that it has.
    fn compare_work(&self, registry: &Registry) -> Check {
        let waiting = self.has_waiting();
        ensure!(!waiting || registry.has_actions(), "has_actions is false, and something waits");
        let anything = !self.conns.is_empty()
            || !self.sessions.is_empty()
            || self.rooms().next().is_some()
            || waiting;
        ensure!(!anything || !registry.is_idle(), "is_idle, and something is known");
        let drains = self.drain.is_some();
        ensure!(registry.is_draining() == drains, "is_draining is {}", !drains);
        let drained = drains && self.conns.is_empty();
        ensure!(registry.is_drained() == drained, "is_drained is {}", !drained);
        let config = &self.config;
        ensure!(
            self.open().count() <= config.connections() as usize,
            "{} connections, {} at most",
            self.open().count(),
            config.connections()
        );
        let limits = [
            (config.closing() + config.connections(), "live"),
            (config.sessions(), "sessions"),
            (config.sessions() + config.closing(), "records of sessions"),
            (config.users(), "users"),
            (config.rooms(), "rooms"),
        ];
        for (((limit, name), count), at_reload) in
            limits.into_iter().zip(self.capped_counts()).zip(self.counts_at_reload)
        {
            // Caps that were lowered send nobody away.
            let limit = at_reload.max(limit as usize);
            ensure!(count <= limit, "{count} {name}, {limit} at most");
        }
        let closed_and_open = |state| state == State::Open || state == State::Pending;
        ensure!(
            self.conns.values().all(|it| it.reason.is_none() == closed_and_open(it.state)),
            "the model is wrong: a reason without a close"
        );
        Ok(())
    }
}
