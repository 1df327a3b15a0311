//! How runs end: by their application, by time, with their session; and what is remembered of them.

use std::collections::BTreeMap;
use std::time::Duration;

use headcount::{
    Notice, Registry, RunEnd, RunEnded, RunEventKind, RunFailure, RunId, RunState, RunView,
    SessionId, Timestamp,
};

use super::names::{Name, Names};
use super::runs::Run;
use super::tally::End;
use super::{Model, whole};
use crate::seen::{Content, Fact, Source};
use crate::{Check, ensure};

/// What the registry says about each run that may be known, by user and name.
pub(crate) type Shown<'a> = BTreeMap<(Name, RunId), RunView<'a>>;

impl Run {
    /// What the registry says of it, unless it has forgotten it.
    pub(crate) fn shown<'a>(&self, shown: &Shown<'a>) -> Option<RunView<'a>> {
        shown.get(&(self.user, self.id.clone())).copied()
    }
}

impl Model {
    /// In whole milliseconds: of two in the same one the silence is told.
    pub(crate) fn run_deadline(&self, run: &Run) -> Option<(Timestamp, RunFailure)> {
        let after = |from: Timestamp, limit: Duration| {
            let at = (run.is_open() && !limit.is_zero()).then(|| whole(from + limit));
            // One after the last instant never comes.
            at.filter(|at| *at < Timestamp::MAX)
        };
        let calls = run.calls.values().flatten();
        let last = calls.fold(run.heard, |last, until| last.max(*until));
        let silence = after(last, self.config.run_silence());
        let length = after(run.began, self.config.run_max_length());
        let ends = [(silence, RunFailure::Silence), (length, RunFailure::Length)];
        ends.into_iter().filter_map(|(at, why)| Some((at?, why))).min_by_key(|(at, _)| *at)
    }

    /// The time of a run is up.
    pub(crate) fn fail_run(&mut self, number: u64) {
        let Some((_, failure)) = self.run_deadline(&self.runs[&number]) else { return };
        if let Content::Fact(fact) = self.fact(number, RunEventKind::Failed, &[]) {
            let fact = Fact { failure: Some(failure), ..fact };
            self.store_of_run(number, Content::Fact(fact));
        }
        let (end, mark) = match failure {
            RunFailure::Length => (RunEnd::Length, "a run failed by its length"),
            _ => (RunEnd::Silence, "a run failed by its silence"),
        };
        self.marks.hit(mark);
        self.end_run(number, end);
    }

    /// A run's terminal event was appended: its entries are like others from now on.
    pub(crate) fn end_run(&mut self, number: u64, end: RunEnd) {
        let now = self.now;
        let Some(run) = self.runs.get_mut(&number) else { return };
        let (id, lasted) = (run.session, now.saturating_since(run.began));
        let source = Source::Session(id);
        run.ended = self.streams.get(&source).map(|stream| stream.head());
        run.end = Some(RunEnded { how: end, at: now });
        run.lingers = !self.config.run_linger().is_zero();
        let lingers = run.lingers;
        run.calls.clear();
        let members = self.members(&source).len();
        let stream = self.stream_mut(&source);
        stream.log.let_go(number, lingers);
        let trimmed = stream.log.trim(&stream.bounds) != (0, 0);
        if members == 0 {
            stream.thin();
        }
        self.list_evictable(&source);
        self.marks.hit_if(trimmed, "a run's end trimmed the log");
        self.tally.ended(End::Run(end));
        self.notice(Notice::RunEnded { session: id, end, lasted });
        if self.is_left(id) {
            self.marks.hit("a run has kept its session");
            self.session_mut(id).left_at = Some(now);
        }
        self.note_absent(&source);
    }

    /// When a run has lingered.
    pub(crate) fn lingers_until(&self, run: &Run) -> Option<Timestamp> {
        let end = run.end.filter(|_| run.lingers)?;
        Some(end.at + self.config.run_linger())
    }

    /// A run has lingered: what the log keeps of it is history like others.
    pub(crate) fn end_linger(&mut self, number: u64) {
        let Some(run) = self.runs.get_mut(&number) else { return };
        run.lingers = false;
        let source = Source::Session(run.session);
        let before = self.streams[&source].log.shown();
        self.stream_mut(&source).log.end_linger(number);
        self.thin(&source);
        let trimmed = self.streams[&source].log.shown() != before;
        self.marks.hit_if(trimmed, "a run's linger trimmed a log");
    }

    /// A session has ended: nothing of its runs is known any more.
    pub(crate) fn end_runs_of(&mut self, session: SessionId) {
        let now = self.now;
        for began in self.open_runs(session).rev().map(|run| run.began).collect::<Vec<_>>() {
            self.marks.hit("a run went with its session");
            let (end, lasted) = (RunEnd::SessionEnded, now.saturating_since(began));
            self.tally.ended(End::Run(end));
            self.notice(Notice::RunEnded { session, end, lasted });
        }
        self.runs.retain(|_, run| run.session != session);
    }

    /// A run that has ended is remembered as long as the log keeps anything of it.
    pub(crate) fn is_remembered(&self, number: u64, run: &Run) -> bool {
        let log = &self.streams[&Source::Session(run.session)].log;
        run.is_open() || log.kept().any(|entry| entry.run == Some(number))
    }

    /// What the registry says about every run that may be.
    pub(crate) fn shown_runs<'a>(&self, registry: &'a Registry) -> Shown<'a> {
        let Names { users, asked, .. } = &self.names;
        let known = asked.runs.iter().filter_map(|(user, run)| {
            Some(((*user, run.clone()), registry.run(users.name(*user), run)?))
        });
        known.collect()
    }

    /// Runs of which the log keeps nothing any more are forgotten.
    pub(crate) fn forget_runs(&mut self) {
        let forgotten = |(number, run): &(&u64, &Run)| !self.is_remembered(**number, run);
        let forgotten: Vec<_> = self.runs.iter().filter(forgotten).map(|it| *it.0).collect();
        forgotten.iter().for_each(|number| drop(self.runs.remove(number)));
    }

    pub(crate) fn compare_runs(&mut self, registry: &Registry) -> Check {
        self.forget_runs();
        let shown = &self.shown_runs(registry);
        for ((user, id), got) in shown {
            let Some(number) = self.find_run(*user, id) else {
                return Err(format!("{id:?} of user {user} should be forgotten: {got:?}"));
            };
            let run = &self.runs[&number];
            let right = got.session() == run.session
                && *got.agent() == *run.agent
                && got.age() == self.now.saturating_since(run.began)
                && (got.first(), got.end_offset()) == (run.first, run.ended)
                && got.calls().count() == run.calls.len()
                && got.calls().all(|it| run.calls.get(it.call) == Some(&it.expected_by))
                && (got.end(), got.lingers_until())
                    == (run.end, self.lingers_until(run).map(whole))
                && (got.state() == RunState::Requested) == (run.requested && run.is_open())
                && (got.state() == RunState::Ended) != run.is_open()
                && got.is_cancel_requested() == run.cancel_requested
                && u64::from(got.events()) == run.events
                && got.cost() == run.cost
                && got.fails() == self.run_deadline(run);
            ensure!(right, "{id:?} of user {user}: {got:?}, expected {run:?}");
        }
        for run in self.runs.values() {
            let known = run.shown(shown).is_some();
            ensure!(known, "{:?} of user {} is forgotten too early", run.id, run.user);
        }
        Ok(())
    }
}
