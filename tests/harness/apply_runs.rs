//! Operations on agent runs, and calls of one user's own.

use headcount::{RunEvent, RunEventKind, UserScope, Within};

use super::Check;
use super::model::closing::Audience;
use super::model::run_ends::Explained;
use super::model::runs::Report;
use super::op::{Advance, RunReport, To};
use super::world::World;

impl World {
    pub fn scope(&mut self, user: u8) -> UserScope<'_> {
        let user = self.user(user);
        self.registry.user(&self.names.users[usize::from(user)])
    }

    /// What the registry says about every run that may be.
    pub fn explained(&mut self) -> Explained {
        let mut explained = Explained::new();
        for (number, user) in self.names.users.iter().enumerate() {
            let scope = self.registry.user(user);
            for run in &self.names.runs {
                if let Some(explanation) = scope.explain_run(run) {
                    explained.insert((number as u8, run.clone()), explanation);
                }
            }
        }
        explained
    }

    pub fn close_within(
        &mut self,
        user: u8,
        run: Option<u8>,
        thread: Option<u8>,
        reason: u8,
    ) -> Check {
        let (stamp, reason) = (self.stamp(), Self::reason(reason));
        let (audience, got) = match (run, thread) {
            (Some(number), _) => {
                let (audience, run) = (self.audience(To::Run(user, number)), self.run(number));
                (audience, self.scope(user).close(stamp, Within::Run(&run), reason))
            }
            (None, Some(number)) => {
                let audience = self.audience(To::Thread(user, number));
                let thread = self.names.threads[usize::from(self.thread(number))].clone();
                (audience, self.scope(user).close(stamp, Within::Thread(&thread), reason))
            }
            (None, None) => {
                let audience = Audience::User(self.user(user));
                (audience, self.scope(user).close(stamp, Within::Everywhere, reason))
            }
        };
        self.model.close(stamp, &audience, reason, got)
    }

    /// Where it matters which run fails first, no two have the same deadline.
    fn stagger(&mut self) {
        if self.model.has_budgets() {
            self.advance(Advance::Millis(1));
        }
    }

    pub fn open_run(&mut self, (user, thread): (u8, u8), run: u8, size: u8) -> Check {
        let (user, thread, run) = (self.user(user), self.thread(thread), self.run(run));
        self.stagger();
        let stamp = self.stamp();
        let agent = "a".repeat(match size {
            250..=255 => 129,
            240..=249 => 128,
            _ => usize::from(size % 8),
        });
        let payload = self.payload(size);
        let name = self.names.threads[usize::from(thread)].clone();
        let got = self.scope(user).open_run(stamp, &name, &run, &agent, payload.clone().into());
        if let Ok(opened) = &got
            && !self.sessions.contains(&opened.session)
        {
            self.grammar.minted(opened.session)?;
            self.sessions.push(opened.session);
        }
        let what = (agent.as_str(), payload.as_slice());
        self.model.open_run(stamp, (user, thread), &run, what, &got, &self.registry)
    }

    pub fn run_event(&mut self, user: u8, run: u8, event: RunReport) -> Check {
        self.stagger();
        let stamp = self.stamp();
        let remembered = self.model.runs.len();
        let (user, run) = match usize::from(run).checked_rem(remembered).filter(|_| run < 200) {
            Some(place) => {
                let run = self.model.runs.values().rev().nth(place);
                run.map(|run| (run.user, run.id.clone())).ok_or("a run was miscounted")?
            }
            None => (self.user(user), self.run(run)),
        };
        let report = self.report(event);
        let got = match &report {
            Report::Text(text) => {
                self.scope(user).run_event(stamp, &run, &RunEvent::Text(text.as_str()))
            }
            Report::Executing { call, payload } => {
                let payload = payload.clone().into();
                let event = RunEvent::ToolExecuting { call: call.as_str(), payload };
                self.scope(user).run_event(stamp, &run, &event)
            }
            Report::Executed { call, payload } => {
                let payload = payload.clone().into();
                let event = RunEvent::ToolCompleted { call: call.as_str(), payload };
                self.scope(user).run_event(stamp, &run, &event)
            }
            Report::Event { kind, payload } => {
                let payload = payload.clone().into();
                let event = match kind {
                    RunEventKind::Thinking => RunEvent::Thinking(payload),
                    RunEventKind::Completed => RunEvent::Completed(payload),
                    RunEventKind::Failed => RunEvent::Failed(payload),
                    RunEventKind::Cancelled => RunEvent::Cancelled(payload),
                    _ => RunEvent::Progress(payload),
                };
                self.scope(user).run_event(stamp, &run, &event)
            }
        };
        self.model.run_event(stamp, (user, &run), &report, &got)
    }

    /// Ends all runs: without deadlines of their own they would be open for ever.
    pub fn cancel_runs(&mut self) -> Check {
        let open = self.model.runs.values().filter(|run| run.open);
        for (user, run) in open.map(|run| (run.user, run.id.clone())).collect::<Vec<_>>() {
            let (kind, payload) = (RunEventKind::Cancelled, Vec::new());
            let stamp = self.stamp();
            let event = RunEvent::Cancelled(payload.clone().into());
            let got = self.scope(user).run_event(stamp, &run, &event);
            self.model.run_event(stamp, (user, &run), &Report::Event { kind, payload }, &got)?;
            self.compare()?;
        }
        Ok(())
    }

    fn report(&mut self, event: RunReport) -> Report {
        let mut of_kind = |kind, size| Report::Event { kind, payload: self.payload(size) };
        match event {
            RunReport::Thinking(size) => of_kind(RunEventKind::Thinking, size),
            RunReport::Progress(size) => of_kind(RunEventKind::Progress, size),
            RunReport::Completed(size) => of_kind(RunEventKind::Completed, size),
            RunReport::Failed(size) => of_kind(RunEventKind::Failed, size),
            RunReport::Cancelled(size) => of_kind(RunEventKind::Cancelled, size),
            RunReport::Text(size) => Report::Text(self.words(size)),
            RunReport::Executing { call, size } => {
                Report::Executing { call: Self::call(call), payload: self.payload(size) }
            }
            RunReport::Executed { call, size } => {
                Report::Executed { call: Self::call(call), payload: self.payload(size) }
            }
        }
    }

    /// The name of a tool call: one of a few, or none that is right.
    fn call(number: u8) -> String {
        match number % 16 {
            14 => String::new(),
            15 => "c".repeat(129),
            13 => "c".repeat(128),
            some => format!("call-{}", some % 3),
        }
    }

    /// Bytes that no other event has, as far as their number allows.
    fn payload(&mut self, size: u8) -> Vec<u8> {
        self.messages += 1;
        let number = format!("{:08x}", self.messages);
        number.bytes().cycle().take(self.size(size)).collect()
    }

    /// What an agent says: no text twice, some of it in characters of several bytes.
    fn words(&mut self, size: u8) -> String {
        self.messages += 1;
        let letters = if size & 8 == 0 { "" } else { "é€𝄞" };
        let longest = match size % 64 {
            63 => 700,
            62 => 200,
            _ => usize::from(size % 8) * 5,
        };
        let mut text = String::new();
        for letter in format!("{:x}{letters}", self.messages).chars().cycle() {
            if text.len() + letter.len_utf8() > longest {
                break;
            }
            text.push(letter);
        }
        text
    }
}
