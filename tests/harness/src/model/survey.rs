//! What is read of many at once, and of those that have gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headcount::{CloseReason, ConnId, Registry, RunState, Survey, Timestamp, UserView};

use super::conn::Conn;
use super::names::Names;
use super::stream::Stream;
use super::{Model, Session};
use crate::{Check, ensure, same};

/// What the ring of the closed has to say of one: how it was when it left, and where.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    id: ConnId,
    conn: Conn,
    /// That it followed longest.
    session: Option<Session>,
    reason: CloseReason,
    at: Timestamp,
    /// How many entries were kept behind its cursors.
    undelivered: u32,
}

impl Model {
    pub(crate) fn compare_survey(&mut self, registry: &Registry) -> Check {
        ensure!(*registry.config() == self.config, "another configuration holds");
        self.compare_departures(registry)?;
        // Handles are ordered by their slots.
        let known = registry.connections(None).map(|it| it.id());
        ensure!(known.eq(self.conns.keys().copied()), "the table of connections is another");
        let going: Vec<_> = self.going().map(|(id, _)| id).collect();
        ensure!(
            registry.sessions(None).map(|it| it.id()).eq(going.iter().copied()),
            "the table of sessions is another"
        );
        // A page begins where the one before has ended.
        let first = self.conns.keys().next().copied();
        let second = registry.connections(first).map(|it| it.id());
        ensure!(
            second.eq(self.conns.keys().copied().skip(1)),
            "the second page of connections is another"
        );
        let mut survey = Survey::new(2);
        while registry.survey(&mut survey, 3) {}
        let oldest = going.iter().filter_map(|id| registry.session(*id)).map(|it| it.age());
        let got = survey.oldest_session().map(|since| self.now.saturating_since(since));
        same!(got, oldest.max(), "the oldest session");
        self.compare_round_trips(registry, &survey)?;
        let Names { users, threads, asked, .. } = &self.names;
        for id in &going {
            let session = &self.sessions[id];
            let shown = registry.session(*id).ok_or_else(|| format!("{id:?} is not shown"))?;
            let whose = (shown.user(), shown.thread());
            let expected = (users.name(session.user), threads.name(session.thread));
            same!(whose, expected, "whose {id:?} is");
            let open = shown.runs().filter(|run| run.state() != RunState::Ended);
            let open: BTreeSet<_> = open.map(|run| run.id()).collect();
            let expected: BTreeSet<_> = self.open_runs(*id).map(|run| &run.id).collect();
            same!(open, expected, "open in {id:?}");
        }
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        for number in asked.users.iter().copied() {
            let (name, sessions) = (users.name(number), self.sessions_of(number));
            let user = registry.user(name);
            let got: Vec<_> = user.iter().flat_map(UserView::sessions).map(|it| it.id()).collect();
            same!(got, sessions, "sessions of user {number}");
            if !sessions.is_empty() {
                counts.insert(name, sessions.len() as u32);
            }
        }
        let ranked = survey.users_by_sessions();
        ensure!(ranked.len() == counts.len().min(2), "{} users have sessions", ranked.len());
        let mut most: Vec<_> = counts.values().copied().collect();
        most.sort_unstable_by(|one, other| other.cmp(one));
        for ((user, count), most) in ranked.iter().zip(most) {
            ensure!(*count == most && counts[user] == most, "{user:?} has {count} sessions");
        }
        Ok(())
    }

    /// The mean is of those that are open and have answered.
    fn compare_round_trips(&self, registry: &Registry, survey: &Survey) -> Check {
        let known = self.open().filter_map(|id| registry.connection(id)?.round_trip());
        let (count, sum) = known.fold((0, 0), |(count, sum), it| (count + 1, sum + it.as_micros()));
        let expected = sum.checked_div(count).map(|micros| Duration::from_micros(micros as u64));
        let got = survey.mean_round_trip();
        same!(got, expected, "the mean round trip");
        Ok(())
    }

    /// An open connection is about to leave everything.
    pub(crate) fn departs(&mut self, id: ConnId, reason: CloseReason) {
        let conn = self.conns[&id].clone();
        let session = conn.session().map(|session| self.sessions[&session].clone());
        let behind = |source| {
            let stream: &Stream = self.streams.get(source)?;
            let cursor = stream.seat(id)?.cursor;
            Some(stream.log.kept().filter(|entry| entry.last > cursor).count() as u32)
        };
        let undelivered = conn.streams.iter().filter_map(behind).sum();
        let at = self.now;
        self.departures.push(Departure { id, conn, session, reason, at, undelivered });
    }

    /// Those that have gone since the last look stand at the end of the ring.
    fn compare_departures(&mut self, registry: &Registry) -> Check {
        let ring = self.config.closed_ring() as usize;
        let departures = core::mem::take(&mut self.departures);
        self.remembered = (self.remembered + departures.len()).min(ring);
        if departures.is_empty() {
            return Ok(());
        }
        same!(registry.closed().count(), self.remembered, "how many are remembered");
        for (closed, departure) in registry.closed().rev().zip(departures.iter().rev()) {
            let Departure { id, conn, session, reason, at, undelivered } = departure;
            let age = conn.admitted.map(|(user, opened_at)| {
                (self.names.users.name(user), at.saturating_since(opened_at))
            });
            let thread = session.as_ref().map(|it| self.names.threads.name(it.thread));
            ensure!(
                (closed.conn, closed.reason, closed.at) == (*id, *reason, *at)
                    && age == Some((&closed.user, closed.age))
                    && (closed.session, closed.thread.as_ref()) == (conn.session(), thread)
                    && closed.label.as_deref() == conn.label.as_deref()
                    && (closed.flushed, closed.undelivered) == (conn.flushed, *undelivered),
                "{closed:?}, expected {departure:?}"
            );
        }
        Ok(())
    }
}
