//! Agent runs: opened, told of, ended by their application or by time.

use bytes::Bytes;

use crate::action::{Position, RunFact, RunText};
use crate::config::OverCap;
use crate::ends::{RunEnd, RunEnded, SessionEnd};
use crate::error::{OpenRunError, Refused, RunError};
use crate::id::{MAX_ID_BYTES, RunId, ThreadId, UserId};
use crate::input::Start;
use crate::log::{Event, EventTag, Freed, Group, Late, NAME_COST, Text};
use crate::run::{Part, Run, RunEvent, RunEventKind, RunFailure, RunKey, RunState, fits_first};
use crate::session::SessionKey;
use crate::stats::{Delivery, Notice, OpenedRun};
use crate::time::{Deadline, Timestamp};

use super::Registry;
use super::tenancy::Leaves;
use super::timer::Timer;

impl Registry {
    pub(super) fn open_run(
        &mut self,
        user: &UserId,
        thread: &ThreadId,
        run: &RunId,
        agent: &str,
        payload: Bytes,
    ) -> Result<OpenedRun, OpenRunError> {
        if agent.len() > MAX_ID_BYTES {
            return Err(OpenRunError::AgentTooLong);
        }
        let known = self.sessions.find_user(user);
        if let Some(known) = known.and_then(|user| self.runs.find(user, run)) {
            return self.open_requested(known, thread, agent, payload);
        }
        if !fits_first(&payload, &self.config) {
            return Err(OpenRunError::Full);
        }
        let session = known.and_then(|user| self.sessions.find(user, thread));
        let open = session.map_or(0, |session| self.sessions.get(session).open_runs());
        if open >= self.config.runs_per_session || self.runs.is_full() {
            return Err(OpenRunError::Runs);
        }
        let session = match session {
            Some(session) => session,
            None => self.create_absent_session(user, thread).map_err(OpenRunError::Session)?,
        };
        let user = self.sessions.get(session).user;
        let run = self.begin_run(session, run, agent);
        let opened = self.begin_with(run, RunEventKind::Started, payload);
        // Only now: under pressure a session that keeps nothing would be released.
        self.raise_pressure(user, Some(opened.session), 0);
        Ok(opened)
    }

    /// A run of a session, without an event yet.
    pub(super) fn begin_run(&mut self, session: SessionKey, run: &RunId, agent: &str) -> RunKey {
        let record = self.sessions.get(session);
        let (user, stream) = (record.user, record.stream);
        let first = self.streams[stream].log.head() + 1;
        let stamps = (self.now, self.attended());
        let slot = self.runs.insert((user, session), run.clone(), agent.into(), stamps, first);
        let extras = &mut self.sessions.get_mut(session).extras;
        extras.edit(|it| it.runs.push(&mut self.runs, slot));
        self.sessions.run_opened(session);
        self.counters.runs_opened += 1;
        slot
    }

    /// The event with which a run is requested or opened.
    pub(super) fn begin_with(
        &mut self,
        run: RunKey,
        kind: RunEventKind,
        payload: Bytes,
    ) -> OpenedRun {
        let session = self.sessions.id(self.runs.get(run).session);
        self.notice(match kind {
            RunEventKind::Requested => Notice::RunRequested { session },
            _ => Notice::RunOpened { session },
        });
        let mut delivery = Delivery::default();
        let position = self.append_event(run, kind, None, payload, &mut delivery);
        self.arm_run(run);
        OpenedRun { session, position, delivery }
    }

    /// Opens a run of this name that a client has requested.
    fn open_requested(
        &mut self,
        run: RunKey,
        thread: &ThreadId,
        agent: &str,
        payload: Bytes,
    ) -> Result<OpenedRun, OpenRunError> {
        let attended = self.attended();
        let record = self.runs.get_mut(run);
        if record.state() != RunState::Requested {
            return Err(OpenRunError::Exists { ended: record.end });
        }
        if self.sessions.get(record.session).thread != *thread {
            return Err(OpenRunError::OtherThread);
        }
        if !record.has_room(payload.len(), false, &self.config) {
            return Err(OpenRunError::Full);
        }
        record.open(agent, attended);
        Ok(self.begin_with(run, RunEventKind::Started, payload))
    }

    /// A session without a follower: it lingers from the beginning. No connection is evicted for it and no
    /// open run ends; what is absent makes room as for a connection.
    pub(super) fn create_absent_session(
        &mut self,
        user: &UserId,
        thread: &ThreadId,
    ) -> Result<SessionKey, Refused> {
        if let Some(drain) = &self.drain {
            return Err(Refused::Draining { retry_after: drain.left(self.now) });
        }
        let known = self.sessions.find_user(user);
        let mut release = None;
        if let Some(user) = known {
            let sessions = self.sessions.user(user).sessions();
            if sessions >= self.config.sessions_per_user as usize {
                release = self.first_idle(user);
                if release.is_none() {
                    let retry_after = match self.config.over_cap {
                        OverCap::Refuse { retry_after } => retry_after,
                        _ => Refused::PAUSE,
                    };
                    return Err(Refused::SessionsPerUser { retry_after });
                }
            }
        }
        let tenancy = self.tenancy(known, None)?;
        let leaves = Leaves { release, closes: &[], stays: None };
        let absent = self.plan_absent(known, true, tenancy.as_ref(), &leaves)?;
        let user = self.sessions.hold_user(known, user.clone());
        if let Some(session) = release {
            self.end_session(session, SessionEnd::UserCap);
        }
        self.send_away(absent);
        let session = self.create_session(user, thread.clone());
        self.sessions.release_hold(user);
        self.sessions.begin_to_linger(session, self.now);
        self.enforce_closing_limit();
        Ok(session)
    }

    pub(super) fn run_event(
        &mut self,
        user: &UserId,
        run: &RunId,
        event: &RunEvent<'_>,
    ) -> Result<Delivery, RunError> {
        let known = self.sessions.find_user(user).and_then(|user| self.runs.find(user, run));
        let run = known.ok_or(RunError::UnknownRun)?;
        let record = self.runs.get(run);
        record.allows(event, &self.config)?;
        let (user, before) = (record.user, record.call_bytes());
        if matches!(event, RunEvent::ToolExecuting { .. }) {
            self.has_room_for_call(user)?;
        }
        let attended = self.attended();
        let record = self.runs.get_mut(run);
        record.take(event, attended);
        let after = record.call_bytes();
        self.calls_changed(user, before, after);
        let mut delivery = Delivery::default();
        if let RunEvent::Delta { part, text } = event
            && !text.is_empty()
        {
            self.append_text(run, *part, text, &mut delivery);
        }
        if let Some((kind, payload)) = event.fact() {
            self.append_event(run, kind, None, payload.clone(), &mut delivery);
            if let Some(end) = kind.end() {
                self.end_run(run, end);
                return Ok(delivery);
            }
        }
        // The end of a call may bring the deadline nearer.
        self.arm_run(run);
        Ok(delivery)
    }

    pub(super) fn append_event(
        &mut self,
        run: RunKey,
        kind: RunEventKind,
        failure: Option<RunFailure>,
        payload: Bytes,
        delivery: &mut Delivery,
    ) -> Position {
        let event = Event { group: Group::open(run), tag: EventTag::new(kind, failure), payload };
        let record = self.runs.get_mut(run);
        record.count_entry();
        record.count_bytes(event.payload.len() as u64);
        let key = self.sessions.get(record.session).stream;
        let now = self.now;
        self.store(key, delivery, |stream| stream.log.append_event(now, event));
        let stream = &self.streams[key];
        stream.position(stream.log.head())
    }

    fn append_text(&mut self, run: RunKey, part: Part<'_>, said: &str, delivery: &mut Delivery) {
        let record = self.runs.get_mut(run);
        let (index, from) = record.parts.push(part, said);
        let bytes = said.len() as u32;
        let is_named = !part.id.is_empty();
        let text = Text { group: Group::open(run), text: index, is_named, from, bytes };
        let key = self.sessions.get(record.session).stream;
        record.count_bytes(u64::from(bytes));
        // Before the log has it: what makes room for it may let go of what was there.
        if !self.streams[key].log.ends_with(run, index) {
            record.count_entry();
            record.count_bytes(if is_named { NAME_COST } else { 0 });
            record.parts.count_stretch(index);
        }
        let now = self.now;
        self.store(key, delivery, |stream| {
            stream.log.append_text(now, text);
            stream.log.head()
        });
    }

    /// A terminal event was appended.
    fn end_run(&mut self, run: RunKey, how: RunEnd) {
        let record = self.runs.get(run);
        let (session, first, began) = (record.session, record.first, record.began);
        self.calls_changed(record.user, record.call_bytes(), 0);
        let key = self.sessions.get(session).stream;
        let head = self.streams[key].log.head();
        self.timers.cancel(Timer::Run(run));
        let lingers = !self.config.run_linger.is_zero();
        self.runs.end(run, head, RunEnded { how, at: self.now }, lingers);
        self.arm_run(run);
        self.count_run(session, how, began);
        self.edit_log(key, |stream, bounds, freed| {
            stream.log.close_group(run, first, lingers);
            stream.fit(bounds, freed);
            if stream.members.is_empty() {
                stream.trim_history(bounds, freed);
            }
        });
        if self.sessions.run_ended(session, self.now) {
            self.arm_session(session);
        }
    }

    fn count_run(&mut self, session: SessionKey, end: RunEnd, began: Timestamp) {
        self.counters.runs_ended[end as usize] += 1;
        let (session, lasted) = (self.sessions.id(session), self.now.saturating_since(began));
        self.notice(Notice::RunEnded { session, end, lasted });
    }

    /// A log has let these entries go. A run that has ended is taken away with the last of its entries.
    pub(super) fn release_runs(&mut self, freed: &[Freed]) {
        for freed in freed {
            let run = freed.group;
            if self.runs.release(*freed) {
                self.timers.cancel(Timer::Run(run));
                let session = self.runs.get(run).session;
                let extras = &mut self.sessions.get_mut(session).extras;
                extras.edit(|it| it.runs.remove(&mut self.runs, run));
                self.runs.remove(run);
            }
        }
    }

    /// The runs of a session that ends go with it, the youngest first. Its log has gone already.
    pub(super) fn end_runs_of(&mut self, session: SessionKey) {
        self.sessions.get_mut(session).extras.edit(|it| it.open_runs = 0);
        while let Some(run) = self.sessions.get(session).extras.runs.back() {
            let extras = &mut self.sessions.get_mut(session).extras;
            extras.edit(|it| it.runs.remove(&mut self.runs, run));
            self.timers.cancel(Timer::Run(run));
            let record = self.runs.remove(run);
            self.calls_changed(record.user, record.call_bytes(), 0);
            if record.is_open() {
                self.count_run(session, RunEnd::SessionEnded, record.began);
            }
        }
    }

    /// Makes sure that a run's next deadline is looked at in time.
    pub(super) fn arm_run(&mut self, run: RunKey) {
        let record = self.runs.get(run);
        let fails = record.deadline(&self.config, self.pauses).map(|(at, _)| at);
        if let Some(at) = fails.or_else(|| record.lingers_until(&self.config)) {
            self.timers.no_later_than(Timer::Run(run), at);
        }
    }

    /// A run's timer has gone off.
    pub(super) fn run_due(&mut self, run: RunKey, at: Deadline) {
        let record = self.runs.get(run);
        if let Some(until) = record.lingers_until(&self.config) {
            if until > at {
                self.arm_run(run);
            } else {
                self.end_linger(run);
            }
            return;
        }
        let deadline = record.deadline(&self.config, self.pauses);
        let Some((fails_at, failure)) = deadline else { return };
        if fails_at > at {
            self.arm_run(run);
            return;
        }
        let mut delivery = Delivery::default();
        let failed = RunEventKind::Failed;
        self.append_event(run, failed, Some(failure), Bytes::new(), &mut delivery);
        self.end_run(
            run,
            match failure {
                RunFailure::Silence => RunEnd::Silence,
                RunFailure::Length => RunEnd::Length,
            },
        );
    }

    /// A run has lingered: what its log keeps of it is history from now on.
    fn end_linger(&mut self, run: RunKey) {
        let record = self.runs.get_mut(run);
        record.end_linger();
        let (session, first) = (record.session, record.first);
        let key = self.sessions.get(session).stream;
        let passed = self.edit_log(key, |stream, bounds, freed| {
            let passed = stream.log.end_linger(run, first);
            stream.trim_history(bounds, freed);
            passed
        });
        // A long log is looked through for one deadline: the others of the tick wait for it.
        self.entries_moved += passed;
    }

    /// Where the cursor of a newcomer to a session begins: before the first of the runs that it is given,
    /// or at the head. What these have lost already is behind that cursor, and told like any other loss.
    pub(super) fn start_of_runs(&self, session: SessionKey, start: &Start) -> (u64, Late) {
        let record = self.sessions.get(session);
        let head = self.streams[record.stream].log.head();
        let runs = || self.runs_of(session).map(|run| (run, self.runs.get(run)));
        let late = match start {
            Start::Recent => {
                let lingers = |run: &Run| run.lingers_until(&self.config).is_some();
                let ended = runs().filter(|(_, run)| lingers(run)).filter_map(|(_, run)| run.ended);
                let closed_after = ended.min().map_or(head, |ended| ended - 1);
                Late { closed_after, ..Late::open_at(head) }
            }
            Start::Run(name) => match runs().find(|(_, run)| run.id == *name) {
                Some((run, record)) => {
                    let closed_after = record.ended.map_or(head, |ended| ended - 1);
                    Late { closed_after, only: Some(run), ..Late::open_at(head) }
                }
                None => return (head, Late::NONE),
            },
            _ if record.open_runs() == 0 => return (head, Late::NONE),
            _ => Late::open_at(head),
        };
        let is_given = |(key, run): &(RunKey, &Run)| {
            late.only.is_none_or(|only| only == *key)
                && run.ended.is_none_or(|ended| ended > late.closed_after)
        };
        let first = runs().filter(is_given).map(|(_, run)| run.first - 1).min();
        (first.unwrap_or(head), late)
    }

    /// The runs of a session, those included that have ended and that its log keeps something of.
    pub(super) fn runs_of(&self, session: SessionKey) -> impl Iterator<Item = RunKey> + '_ {
        self.sessions.get(session).extras.runs.iter(&self.runs)
    }

    pub(super) fn fact<'a>(&'a self, at: Timestamp, event: &'a Event) -> RunFact<'a> {
        let (run, kind) = (self.runs.get(event.group.key), event.tag.kind());
        RunFact {
            run: &run.id,
            agent: if kind.is_of_client() { "" } else { &run.agent },
            kind,
            failure: event.tag.failure(),
            at,
            payload: &event.payload,
        }
    }

    pub(super) fn text(&self, at: Timestamp, text: Text) -> RunText<'_> {
        let run = self.runs.get(text.group.key);
        let (id, agent, (part, text)) = (&run.id, &*run.agent, run.parts.stretch(text));
        RunText { run: id, agent, at, part, text }
    }

    /// How many bytes before the beginning of a stretch of text the character begins that it is in.
    pub(super) fn within_character(&self, text: Text) -> u64 {
        self.runs.get(text.group.key).parts.within_character(text)
    }
}
