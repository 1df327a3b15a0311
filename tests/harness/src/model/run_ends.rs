//! How runs end: by their application, by time, with their session; and what is remembered of them.

use std::collections::BTreeMap;
use std::time::Duration;

use headcount::{RunEnd, RunEventKind, RunExplanation, RunFailure, RunId, SessionId, Timestamp};

use super::log::Fate;
use super::runs::Run;
use super::stream::Stream;
use super::{Model, due};
use crate::seen::{Content, Fact, Source};
use crate::{Check, ensure};

/// What the registry says about each run that may be known, by user and name.
pub(crate) type Explained = BTreeMap<(u8, RunId), RunExplanation>;

impl Model {
    fn run_deadline(&self, run: &Run) -> Option<(Timestamp, RunFailure)> {
        let after =
            |from: Timestamp, limit: Duration| (run.open && !limit.is_zero()).then(|| from + limit);
        let silence = after(run.heard, self.config.run_silence());
        let length = after(run.began, self.config.run_max_length());
        match (silence, length) {
            (Some(silence), Some(length)) if length < silence => Some((length, RunFailure::Length)),
            (Some(silence), _) => Some((silence, RunFailure::Silence)),
            (None, length) => length.map(|at| (at, RunFailure::Length)),
        }
    }

    /// When each open run fails, the first one first.
    pub(crate) fn run_deadlines(&self) -> Vec<Timestamp> {
        let mut deadlines: Vec<_> =
            self.runs.values().filter_map(|run| Some(self.run_deadline(run)?.0)).collect();
        deadlines.sort_unstable();
        deadlines
    }

    /// Runs whose time is up.
    pub(crate) fn overdue_runs(&self) -> Vec<u64> {
        let over = |run: &Run| self.run_deadline(run).is_some_and(|(at, _)| due(self.now, at));
        self.runs.iter().filter(|(_, run)| over(run)).map(|(number, _)| *number).collect()
    }

    /// Runs fail, one after the other. Which place in their stream each has does not show at once.
    pub(crate) fn fail_runs(&mut self, order: &[u64]) -> Check {
        let failed = order.iter().filter_map(|number| {
            let run = &self.runs[number];
            Some((*number, run.session, self.run_deadline(run)?.1))
        });
        let failed: Vec<_> = failed.collect();
        for (number, session, failure) in &failed {
            let Content::Fact(fact) = self.fact(*number, RunEventKind::Failed, &[]) else {
                continue;
            };
            let fact = Fact { failure: Some(*failure), ..fact };
            self.store_of_run(*number, Content::Fact(fact), None)?;
            let together = failed.iter().filter(|(_, other, _)| other == session).count() > 1;
            let stream = self.streams.get_mut(&Source::Session(*session));
            if let Some(entry) = stream.and_then(|stream| stream.entries.last_mut()) {
                entry.swappable = together;
            }
            let (end, mark) = match failure {
                RunFailure::Length => (RunEnd::Length, "a run failed by its length"),
                _ => (RunEnd::Silence, "a run failed by its silence"),
            };
            self.marks.hit(mark);
            self.end_run(*number, end);
        }
        Ok(())
    }

    /// A run's terminal event was appended: its entries are like others from now on.
    pub(crate) fn end_run(&mut self, number: u64, end: RunEnd) {
        let now = self.now;
        let Some(run) = self.runs.get_mut(&number) else { return };
        run.open = false;
        self.run_ended = true;
        run.calls.clear();
        let (id, lasted) = (run.session, now.saturating_since(run.began));
        let source = Source::Session(id);
        if let Some(stream) = self.streams.get_mut(&source) {
            stream.let_go(number);
            if stream.trim() != (0, 0) {
                self.marks.hit("a run's end trimmed the log");
            }
        }
        self.log_moved(&source);
        *self.tally.runs_ended.entry(end as usize).or_insert(0) += 1;
        self.notices.run_ended(id, end, lasted);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.open_runs -= 1;
            if session.open_runs == 0 && session.left_at.is_some() {
                self.marks.hit("a run has kept its session");
                session.left_at = Some(now);
            }
        }
    }

    /// A session has ended: nothing of its runs is known any more.
    pub(crate) fn end_runs_of(&mut self, session: SessionId) {
        let now = self.now;
        for run in self.runs.values().filter(|run| run.open && run.session == session) {
            self.marks.hit("a run went with its session");
            *self.tally.runs_ended.entry(RunEnd::SessionEnded as usize).or_insert(0) += 1;
            let lasted = now.saturating_since(run.began);
            self.notices.run_ended(session, RunEnd::SessionEnded, lasted);
        }
        self.runs.retain(|_, run| run.session != session);
    }

    /// Where the open runs of a session begin, and what they have lost.
    pub(crate) fn open_runs_of(&self, session: SessionId) -> Option<(u64, Option<(u64, u64)>)> {
        let stream = &self.streams[&Source::Session(session)];
        let of_session = |run: &Run| run.open && run.session == session;
        let open: Vec<_> = self.runs.iter().filter(|(_, run)| of_session(run)).collect();
        let first = open.iter().map(|(_, run)| run.first).min()?;
        let losses = open
            .iter()
            .filter_map(|(number, run)| Some((run.first, stream.last_lost_of(**number)?)));
        let lost = losses.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        Some((first, lost))
    }

    /// A run that has ended is remembered as long as the log keeps anything of it.
    pub(crate) fn settle_runs(&mut self, explained: &Explained) {
        let known = |run: &Run| explained.contains_key(&(run.user, run.id.clone()));
        for (number, run) in &self.runs {
            let Some(stream) = self.streams.get_mut(&Source::Session(run.session)) else {
                continue;
            };
            if !run.open && known(run) && !stream.keeps_of(*number) {
                let gone = |other: &u64| self.runs.get(other).is_some_and(|it| !known(it));
                stream.swap_with_kept(*number, gone);
            }
        }
        let streams = &self.streams;
        self.runs.retain(|number, run| {
            let stream = streams.get(&Source::Session(run.session));
            run.open || stream.is_some_and(|stream| stream.keeps_of(*number))
        });
    }

    pub(crate) fn compare_runs(&self, explained: &Explained) -> Check {
        for ((user, id), got) in explained {
            let Some(number) = self.find_run(*user, id) else {
                return Err(format!("{id:?} of user {user} should be forgotten: {got:?}"));
            };
            let run = &self.runs[&number];
            let right = got.session == run.session
                && *got.agent == *run.agent
                && got.age == self.now.saturating_since(run.began)
                && got.open == run.open
                && got.calls.len() == run.calls.len()
                && got.calls.iter().all(|call| run.calls.contains(&**call))
                && u64::from(got.events) == run.events
                && got.cost == run.cost
                && got.fails == self.run_deadline(run);
            ensure!(right, "{id:?} of user {user}: {got:?}, expected {run:?}");
        }
        for run in self.runs.values() {
            let known = explained.contains_key(&(run.user, run.id.clone()));
            ensure!(known, "{:?} of user {} is forgotten too early", run.id, run.user);
        }
        Ok(())
    }
}

impl Stream {
    /// A run has ended, with the last entry that there is.
    fn let_go(&mut self, run: u64) {
        let ended = self.head();
        for entry in self.entries.iter_mut().filter(|entry| entry.run == Some(run)) {
            entry.ended = Some(ended);
        }
    }

    fn keeps_of(&self, run: u64) -> bool {
        self.logs[0].kept().any(|index| self.entries[index].run == Some(run))
    }

    fn last_lost_of(&self, run: u64) -> Option<u64> {
        let lost = self.entries.iter().zip(self.logs[0].fates());
        let of_run = lost.filter(|(entry, fate)| entry.run == Some(run) && **fate == Fate::Lost);
        of_run.map(|(entry, _)| entry.last).max()
    }

    /// What was handed out says which of the runs that failed together has which place.
    pub(crate) fn settle_order(&mut self, offset: u64, fact: &Fact) {
        let is_it = |content: &Content| matches!(content, Content::Fact(it) if it == fact);
        let Some(here) = self.entries.iter().position(|entry| entry.last == offset) else { return };
        if !self.entries[here].swappable {
            return;
        }
        let there = self.entries.iter().position(|it| it.swappable && is_it(&it.content));
        if let Some(there) = there {
            self.swap(here, there);
            self.entries[here].swappable = false;
        }
    }

    /// A run is remembered, so its end is among what is kept.
    fn swap_with_kept(&mut self, run: u64, gone: impl Fn(&u64) -> bool) {
        let place = |of: &dyn Fn(u64) -> bool, fate: Fate| {
            let mut entries = self.entries.iter().zip(self.logs[0].fates());
            let right = |entry: &super::entry::Entry| entry.swappable && entry.run.is_some_and(of);
            entries.position(|(entry, is)| right(entry) && *is == fate)
        };
        let here = place(&|other| gone(&other), Fate::Kept);
        if let (Some(here), Some(there)) = (here, place(&|other| other == run, Fate::Lost)) {
            self.swap(here, there);
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        let (first, second) = (self.entries[one].clone(), self.entries[other].clone());
        self.entries[one] = super::entry::Entry { last: first.last, ..second.clone() };
        self.entries[other] = super::entry::Entry { last: second.last, ..first.clone() };
        for entry in &mut self.entries {
            if entry.run == second.run {
                entry.ended = Some(first.last);
            } else if entry.run == first.run {
                entry.ended = Some(second.last);
            }
        }
    }
}
