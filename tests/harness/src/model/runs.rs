//! Agent runs: which may be opened, what their rules allow next, and what that makes of the stream.

use std::collections::{BTreeMap, BTreeSet};

use headcount::{
    Class, MESSAGE_OVERHEAD, Notice, OpenRunError, Part, PartKind, Position, Refused, RunEnd,
    RunEnded, RunError, RunEvent, RunEventKind, RunId, SessionId, Timestamp,
};

use super::Model;
use super::budget::{CALL_COST, Payer};
use super::delivery::Delivered;
use super::entry::Entry;
use super::names::Name;
use crate::seen::{Content, Fact, LONGEST_NAME, Said, Source};

/// A run that is open, or of which the log keeps something.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Run {
    pub(crate) user: Name,
    pub(crate) id: RunId,
    pub(crate) session: SessionId,
    pub(crate) agent: String,
    pub(crate) began: Timestamp,
    /// The last event, or the last empty text. Each pause since makes it later.
    pub(crate) heard: Timestamp,
    /// The offset of its first event.
    pub(crate) first: u64,
    /// Tool calls under way, and when each is expected to have ended. Each pause since makes it later.
    pub(crate) calls: BTreeMap<String, Option<Timestamp>>,
    /// The parts that there ever were.
    pub(crate) parts: BTreeSet<String>,
    /// How many entries it had, and what it was charged.
    pub(crate) events: u64,
    pub(crate) cost: u64,
    /// The offset of its terminal event; `None` while it is open.
    pub(crate) ended: Option<u64>,
    /// How and when it ended.
    pub(crate) end: Option<RunEnded>,
    /// It has ended, and what the log keeps of it is no history yet.
    pub(crate) lingers: bool,
    /// A client has requested it, and no agent has opened it.
    pub(crate) requested: bool,
    /// A client wishes that it is cancelled.
    pub(crate) cancel_requested: bool,
}

impl Run {
    pub(crate) const fn is_open(&self) -> bool {
        self.ended.is_none()
    }
}

/// Which event it is, unless it is text, with its call and its payload.
fn pieces<'a>(event: &'a RunEvent<'_>) -> (Option<RunEventKind>, &'a str, &'a [u8]) {
    match event {
        RunEvent::Delta { text, .. } => (None, "", text.as_bytes()),
        RunEvent::Thinking(payload) => (Some(RunEventKind::Thinking), "", payload),
        RunEvent::ToolExecuting { call, payload, .. } => {
            (Some(RunEventKind::ToolExecuting), call, payload)
        }
        RunEvent::ToolCompleted { call, payload } => {
            (Some(RunEventKind::ToolCompleted), call, payload)
        }
        RunEvent::Completed(payload) => (Some(RunEventKind::Completed), "", payload),
        RunEvent::Failed(payload) => (Some(RunEventKind::Failed), "", payload),
        RunEvent::Cancelled(payload) => (Some(RunEventKind::Cancelled), "", payload),
        RunEvent::Interrupted(payload) => (Some(RunEventKind::Interrupted), "", payload),
        RunEvent::Progress(payload) => (Some(RunEventKind::Progress), "", payload),
    }
}

impl Model {
    /// The number of a user's run of this name, if it is remembered.
    pub(crate) fn find_run(&self, user: Name, id: &RunId) -> Option<u64> {
        let mut named = self.runs.iter().filter(|(_, run)| run.user == user && run.id == *id);
        named.find(|(number, run)| self.is_remembered(**number, run)).map(|(number, _)| *number)
    }

    pub(crate) fn source_of_run(&self, number: u64) -> Source {
        Source::Session(self.runs[&number].session)
    }

    /// What of a run's bytes only its terminal event may use.
    fn run_reserve(&self) -> u64 {
        (self.config.run_bytes() / 4).min(4_096)
    }

    /// The session that a run would be in, or the one that has to make room for it.
    fn plan_run(
        &self,
        (user, thread): (Name, Name),
        id: &RunId,
        agent: &str,
        bytes: usize,
    ) -> Result<(Option<SessionId>, Option<SessionId>), OpenRunError> {
        let config = &self.config;
        if agent.len() > LONGEST_NAME {
            return Err(OpenRunError::AgentTooLong);
        }
        if let Some(number) = self.find_run(user, id) {
            let run = &self.runs[&number];
            return match run.end {
                None if !run.requested => Err(OpenRunError::Exists { ended: None }),
                Some(_) => Err(OpenRunError::Exists { ended: run.end }),
                None if self.session_of(user, thread) != Some(run.session) => {
                    Err(OpenRunError::OtherThread)
                }
                None if !self.run_has_room(number, bytes) => Err(OpenRunError::Full),
                None => Ok((Some(run.session), None)),
            };
        }
        if !self.first_fits(bytes) {
            return Err(OpenRunError::Full);
        }
        let session = self.session_of(user, thread);
        let open = session.map_or(0, |session| self.open_runs(session).count());
        if open >= config.runs_per_session() as usize {
            return Err(OpenRunError::Runs);
        }
        if session.is_some() {
            return Ok((session, None));
        }
        let release = self.plan_absent_session(user).map_err(OpenRunError::Session)?;
        Ok((None, release))
    }

    /// Whether the first event of a run may be so long.
    pub(crate) fn first_fits(&self, bytes: usize) -> bool {
        bytes as u64 + MESSAGE_OVERHEAD + self.run_reserve() <= self.config.run_bytes()
    }

    /// Whether a run has room for another event, beside its last.
    pub(crate) fn run_has_room(&self, number: u64, bytes: usize) -> bool {
        let (run, config) = (&self.runs[&number], &self.config);
        run.events + 1 < config.run_events().into()
            && run.cost + bytes as u64 + MESSAGE_OVERHEAD + self.run_reserve() <= config.run_bytes()
    }

    pub(crate) fn plan_absent_session(&self, user: Name) -> Result<Option<SessionId>, Refused> {
        let config = &self.config;
        self.is_not_draining()?;
        let of_user = self.sessions_of(user).len();
        let mut release = None;
        if of_user >= config.sessions_per_user() as usize {
            // No open run ends for another.
            release = self.releasable(user).into_iter().find(|id| self.is_left(*id));
            let retry_after = self.refuses().unwrap_or(Refused::PAUSE);
            release.ok_or(Refused::SessionsPerUser { retry_after })?;
        }
        self.has_place((user, self.tenant_of(user), true), (None, release), &[])?;
        Ok(release)
    }

    pub(crate) fn open_run(
        &mut self,
        (user, thread): (Name, Name),
        id: &RunId,
        (agent, payload): (&str, &[u8]),
        opened: Option<(SessionId, u64)>,
    ) -> Result<(SessionId, Position, Delivered), OpenRunError> {
        let plan = self.plan_run((user, thread), id, agent, payload.len());
        let (known, release) = plan.inspect_err(|why| self.marks.hit_for("no run", why))?;
        let (made, epoch) = opened.expect("a run that is opened");
        let session = known.unwrap_or(made);
        if known.is_none() {
            self.marks.hit("a run created its session");
            self.make_absent_session((user, thread), release, (session, epoch));
        }
        let known = self.find_run(user, id);
        let number = known.unwrap_or_else(|| self.begin_run(user, id, session));
        self.marks.hit_if(known.is_some(), "a requested run was opened");
        let now = self.now;
        let run = self.runs.get_mut(&number).expect("a run that is there");
        (run.agent, run.requested, run.heard) = (agent.into(), false, now);
        self.notice(Notice::RunOpened { session });
        let (position, delivered) = self.begin_with(number, RunEventKind::Started, payload);
        if known.is_none() {
            self.raise_pressure(user, Some(session), 0);
        }
        Ok((session, position, delivered))
    }

    /// A run without an event.
    pub(crate) fn begin_run(&mut self, user: Name, id: &RunId, session: SessionId) -> u64 {
        let first = self.streams[&Source::Session(session)].head() + 1;
        self.run_number += 1;
        let run = Run {
            user,
            id: id.clone(),
            session,
            agent: String::new(),
            began: self.now,
            heard: self.now,
            first,
            calls: BTreeMap::new(),
            parts: BTreeSet::new(),
            events: 0,
            cost: 0,
            ended: None,
            end: None,
            lingers: false,
            requested: false,
            cancel_requested: false,
        };
        self.runs.insert(self.run_number, run);
        self.tally.runs_opened += 1;
        self.note_user(user);
        self.run_number
    }

    /// The event with which a run is requested or opened.
    pub(crate) fn begin_with(
        &mut self,
        number: u64,
        kind: RunEventKind,
        payload: &[u8],
    ) -> (Position, Delivered) {
        let source = self.source_of_run(number);
        let offset = self.streams[&source].head() + 1;
        let content = self.fact(number, kind, payload);
        let delivered = self.store_of_run(number, content);
        (self.streams[&source].position(offset).1, delivered)
    }

    /// The parts that the log keeps something of.
    fn known_parts(&self, number: u64) -> BTreeMap<&str, PartKind> {
        let stream = &self.streams[&self.source_of_run(number)];
        let of_run = stream.log.kept().filter(|entry| entry.run == Some(number));
        let said = of_run.filter_map(|entry| match &entry.content {
            Content::Said(said) => Some((said.part.as_str(), said.kind)),
            _ => None,
        });
        said.collect()
    }

    /// What a stretch of a part is charged beside its text, if the part may go on, or begin.
    fn part_cost(&self, number: u64, part: &Part<'_>) -> Result<u64, RunError> {
        if part.id.len() > LONGEST_NAME || (part.id.is_empty() && part.kind != PartKind::Text) {
            return Err(RunError::BadPart);
        }
        let known = self.known_parts(number);
        match known.get(part.id) {
            Some(kind) if *kind != part.kind => Err(RunError::PartKind),
            None if known.len() >= self.config.run_parts() as usize => Err(RunError::Parts),
            _ if part.id.is_empty() => Ok(0),
            _ => Ok(LONGEST_NAME as u64),
        }
    }

    /// Whether an event may be next.
    fn allows(&self, number: u64, event: &RunEvent<'_>) -> Result<(), RunError> {
        let run = &self.runs[&number];
        let (config, (kind, call, payload)) = (&self.config, pieces(event));
        if let Some(end) = run.end {
            return Err(RunError::Ended(end));
        }
        if run.requested && !matches!(kind, Some(RunEventKind::Failed | RunEventKind::Cancelled)) {
            return Err(RunError::NotOpened);
        }
        let mut bytes = payload.len() as u64;
        if let RunEvent::Delta { part, .. } = event {
            let name = self.part_cost(number, part)?;
            if bytes == 0 {
                return Ok(());
            }
            bytes += name;
        }
        let begins = kind == Some(RunEventKind::ToolExecuting);
        if begins {
            if call.is_empty() || call.len() > LONGEST_NAME {
                return Err(RunError::BadCall);
            }
            if run.calls.contains_key(call) {
                return Err(RunError::CallUnderWay);
            }
            if run.calls.len() >= config.run_calls() as usize {
                return Err(RunError::Calls);
            }
            bytes += LONGEST_NAME as u64;
        }
        match kind {
            Some(RunEventKind::ToolCompleted) if !run.calls.contains_key(call) => {
                return Err(RunError::UnknownCall);
            }
            Some(RunEventKind::Completed) if !run.calls.is_empty() => {
                return Err(RunError::CallsUnderWay);
            }
            _ => {}
        }
        let terminal = kind.is_some_and(RunEventKind::is_terminal);
        if terminal && bytes == 0 {
            // What is reserved is enough for it; after a reload it fits any bounds.
            return Ok(());
        }
        let (another, reserve) = if terminal { (0, 0) } else { (1, self.run_reserve()) };
        if run.events + another >= config.run_events().into()
            || run.cost + bytes + MESSAGE_OVERHEAD + reserve > config.run_bytes()
        {
            return Err(RunError::Full);
        }
        let finds_room = |payer, budget| !begins || self.call_bytes(payer) + CALL_COST <= budget;
        if !finds_room(Payer::User(run.user), config.user_bytes()) {
            return Err(RunError::UserBytes);
        }
        let tenant = self.tenant_of(run.user).map(Payer::Tenant);
        if tenant.is_some_and(|tenant| !finds_room(tenant, config.tenant_bytes())) {
            return Err(RunError::TenantBytes);
        }
        let finds_room = finds_room(Payer::Everyone, config.process_bytes());
        finds_room.then_some(()).ok_or(RunError::ProcessBytes)
    }

    pub(crate) fn run_event(
        &mut self,
        (user, id): (Name, &RunId),
        event: &RunEvent<'_>,
    ) -> Result<Delivered, RunError> {
        let known = self.find_run(user, id).ok_or(RunError::UnknownRun);
        let allowed = known.and_then(|number| self.allows(number, event).map(|()| number));
        let number = allowed.inspect_err(|why| self.marks.hit_for("no event", why))?;
        let now = self.now;
        let (kind, call, payload) = pieces(event);
        let run = self.runs.get_mut(&number).expect("a run that is there");
        run.heard = now;
        let Some(kind) = kind else { return Ok(self.say(number, event)) };
        if let RunEvent::ToolExecuting { expect, .. } = event {
            run.cost += LONGEST_NAME as u64;
            self.marks.hit_if(expect.is_some(), "a call was expected to take a while");
            run.calls.insert(call.into(), expect.map(|expect| now + expect));
        } else {
            // One that has ended: no other event names a call.
            run.calls.remove(call);
        }
        let content = self.fact(number, kind, payload);
        let delivered = self.store_of_run(number, content);
        match kind {
            RunEventKind::Completed => self.end_run(number, RunEnd::Completed),
            RunEventKind::Failed => self.end_run(number, RunEnd::Failed),
            RunEventKind::Cancelled => self.end_run(number, RunEnd::Cancelled),
            RunEventKind::Interrupted => {
                self.marks.hit("a run waited for a person");
                self.end_run(number, RunEnd::Interrupted);
            }
            _ => {}
        }
        Ok(delivered)
    }

    fn say(&mut self, number: u64, event: &RunEvent<'_>) -> Delivered {
        let RunEvent::Delta { part: Part { id, kind }, text } = *event else {
            return Delivered::default();
        };
        if text.is_empty() {
            self.marks.hit("an empty text was a sign of life");
            return Delivered::default();
        }
        let is_known = self.known_parts(number).contains_key(id);
        let Some(run) = self.runs.get_mut(&number) else { return Delivered::default() };
        let was_there = !run.parts.insert(id.into());
        let (run, agent, at) = (run.id.clone(), run.agent.clone(), self.now);
        self.marks.hit_if(was_there && !is_known, "a part began anew");
        let (part, text) = (id.into(), text.into());
        self.store_of_run(number, Content::Said(Said { run, agent, at, part, kind, text }))
    }

    pub(crate) fn fact(&self, number: u64, kind: RunEventKind, payload: &[u8]) -> Content {
        let run = &self.runs[&number];
        let asked = matches!(kind, RunEventKind::Requested | RunEventKind::CancelRequested);
        Content::Fact(Fact {
            run: run.id.clone(),
            agent: if asked { String::new() } else { run.agent.clone() },
            kind,
            failure: None,
            at: self.now,
            payload: payload.into(),
        })
    }

    /// Appends what belongs to a run to its session's stream.
    pub(crate) fn store_of_run(&mut self, number: u64, content: Content) -> Delivered {
        let now = self.now;
        let run = self.runs.get_mut(&number).expect("a run that is there");
        let source = Source::Session(run.session);
        let stream = &self.streams[&source];
        let (live, behind) = stream.audience(None);
        let bytes = content.cost() - MESSAGE_OVERHEAD;
        run.cost += bytes;
        // A part goes on if what was said last is of it, and still there.
        let last = stream.log.newest().filter(|last| last.run == Some(number));
        let goes_on = match (&content, last.map(|last| &last.content)) {
            (Content::Said(said), Some(Content::Said(last))) => {
                let is_same = said.part == last.part;
                self.marks.hit_if(!is_same, "parts grew beside each other");
                is_same.then(|| said.text.clone())
            }
            _ => None,
        };
        if goes_on.is_some() {
            self.marks.hit("a text was extended");
        } else {
            run.cost += MESSAGE_OVERHEAD + content.name_cost();
            run.events += 1;
        }
        let offset = self.store(&source, |stream| {
            let log = &mut stream.log;
            if let Some(text) = goes_on {
                log.extend(&text, now);
            } else {
                let is_said = matches!(content, Content::Said(_));
                let last = log.head + if is_said { bytes } else { 1 };
                let (class, run, ended, lingers) = (Class::Critical, Some(number), None, false);
                let left_out = None;
                log.append(Entry { content, class, left_out, at: now, last, run, ended, lingers });
            }
            log.head
        });
        let stored = vec![self.streams[&source].position(offset)];
        Delivered { live, behind, full: false, stored }
    }
}
