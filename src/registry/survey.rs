//! Figures that take a walk over the tables to know.

use alloc::vec::Vec;
use core::time::Duration;

use crate::conn::State;
use crate::id::UserId;
use crate::store::SlotKey;
use crate::time::Timestamp;

use super::Registry;

impl Registry {
    /// Goes on with a survey, past `slots` slots of each table at most, and says whether slots are
    /// left: `while registry.survey(&mut survey, 1_000) {}`.
    ///
    /// Costs O(slots × [`most`](Survey::new)). Between two calls anything may happen: each entry is
    /// counted as it is when the survey passes it, and one that takes a slot behind it is not.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let mut survey = Survey::new(10);
    /// while registry.survey(&mut survey, 1_000) {
    ///     // Sockets are served between two steps.
    /// }
    /// assert_eq!(survey.users_by_sessions(), [(UserId::new("alice")?, 1)]);
    /// assert_eq!(survey.oldest_session(), Some(now));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn survey(&self, survey: &mut Survey, slots: usize) -> bool {
        let from = survey.next;
        let to = from.saturating_add(slots.max(1));
        let within = |slot: usize| slot < to;
        let users = self.sessions.iter_users_from(from);
        let users = users.take_while(|(user, _)| within(user.slot()));
        for (_, user) in users.filter(|(_, user)| user.sessions() > 0) {
            survey.note_user(&user.name, user.sessions() as u32);
        }
        let sessions = self.sessions.iter_live_from(from);
        for (_, session) in sessions.take_while(|(session, _)| within(session.slot())) {
            survey.oldest = Some(survey.oldest.map_or(session.since, |it| it.min(session.since)));
        }
        let conns = self.conns.iter_from(from).take_while(|(conn, _)| within(conn.slot()));
        for (conn, _) in conns.filter(|(_, hot)| hot.state == State::Open) {
            survey.note_round_trip(self.conns.cold(conn).probe.round_trip_micros());
        }
        survey.next = to;
        let (sessions, users) = self.sessions.ends();
        to < sessions.max(users).max(self.conns.end())
    }
}

/// Figures that take a walk over the tables to know, gathered in as many steps as one likes: see
/// [`Registry::survey`].
#[derive(Clone, Debug)]
pub struct Survey {
    most: usize,
    /// The next slot, of all three tables.
    next: usize,
    top: Vec<(UserId, u32)>,
    oldest: Option<Timestamp>,
    /// How many round trips are known, and their sum in microseconds.
    round_trips: (u64, u64),
}

impl Survey {
    /// One that has seen nothing. `most` is how many users it names.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, next: 0, top: Vec::new(), oldest: None, round_trips: (0, 0) }
    }

    /// The users with the most sessions that have not ended, the one with most first, and how many
    /// each has.
    #[must_use]
    pub fn users_by_sessions(&self) -> &[(UserId, u32)] {
        &self.top
    }

    /// When the oldest session that has not ended was created; `None`: there is none.
    #[must_use]
    pub const fn oldest_session(&self) -> Option<Timestamp> {
        self.oldest
    }

    /// The mean of the smoothed round trips of the open connections that have answered a ping;
    /// `None`: none has.
    #[must_use]
    pub fn mean_round_trip(&self) -> Option<Duration> {
        let (count, sum) = self.round_trips;
        sum.checked_div(count).map(Duration::from_micros)
    }

    fn note_user(&mut self, name: &UserId, sessions: u32) {
        let place = self.top.partition_point(|(_, more)| *more >= sessions);
        if place < self.most {
            self.top.truncate(self.most - 1);
            self.top.insert(place, (name.clone(), sessions));
        }
    }

    fn note_round_trip(&mut self, micros: u32) {
        if micros > 0 {
            self.round_trips.0 += 1;
            self.round_trips.1 += u64::from(micros);
        }
    }
}
