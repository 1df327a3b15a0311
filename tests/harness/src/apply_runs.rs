//! Operations on agent runs, and calls of one user's own.

use core::time::Duration;

use headcount::{RunEvent, RunEventKind, RunId, Timestamp, UserScope, Within};

use super::model::delivery::Delivered;
use super::model::run_ends::Explained;
use super::model::runs::Report;
use super::op::{RunReport, To};
use super::world::World;
use super::{Check, same};

impl World {
    /// A call of a user's own.
    pub(crate) fn own<R>(&mut self, user: u8, call: impl FnOnce(UserScope<'_>) -> R) -> R {
        let name = &self.names.users[usize::from(self.user(user))];
        self.registry.call(|registry| call(registry.user(name)))
    }

    /// What the registry says about every run that may be.
    pub(crate) fn explained(&mut self) -> Explained {
        let mut explained = Explained::new();
        if self.model.run_number == 0 {
            // There never was one, and the statistics are held to that.
            return explained;
        }
        for (number, user) in self.names.users.iter().enumerate() {
            for run in &self.names.runs {
                let explanation = self.registry.call(|it| it.user(user).explain_run(run));
                if let Some(explanation) = explanation {
                    explained.insert((number as u8, run.clone()), explanation);
                }
            }
        }
        explained
    }

    pub(crate) fn close_within(&mut self, user: u8, to: To, reason: u8) -> Check {
        let (stamp, reason) = (self.stamp(), Self::reason(reason));
        let audience = self.audience(to);
        let got = match to {
            To::Run(_, run) => {
                let run = self.run(run);
                self.own(user, |mut it| it.close(stamp, Within::Run(&run), reason))
            }
            To::Thread(_, thread) => {
                let thread = self.names.threads[usize::from(self.thread(thread))].clone();
                self.own(user, |mut it| it.close(stamp, Within::Thread(&thread), reason))
            }
            _ => self.own(user, |mut it| it.close(stamp, Within::Everywhere, reason)),
        };
        same("close", &got, &self.model.close(&audience, reason))
    }

    pub(crate) fn open_run(&mut self, (user, thread): (u8, u8), run: u8, size: u8) -> Check {
        let (user, thread, run) = (self.user(user), self.thread(thread), self.run(run));
        let stamp = self.stamp();
        let agent = "a".repeat(match size {
            250..=255 => 129,
            240..=249 => 128,
            _ => usize::from(size % 8),
        });
        let payload = self.payload(size);
        let name = self.names.threads[usize::from(thread)].clone();
        self.registry.expect_payload(payload.len());
        let got = self
            .own(user, |mut it| it.open_run(stamp, &name, &run, &agent, payload.clone().into()));
        if let Ok(opened) = &got
            && !self.sessions.contains(&opened.session)
        {
            self.grammar.created(opened.session)?;
            self.sessions.push(opened.session);
        }
        let what = (agent.as_str(), payload.as_slice());
        let opened = got.as_ref().ok().map(|it| (it.session, it.position.epoch));
        let got = got.map(|it| (it.session, it.position, Delivered::from(&it.delivery)));
        same("open_run", &got, &self.model.open_run((user, thread), &run, what, opened))
    }

    pub(crate) fn run_event(&mut self, user: u8, run: u8, event: RunReport) -> Check {
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
        self.tell(stamp, (user, &run), &report)
    }

    /// Hands a report in.
    fn tell(&mut self, stamp: Timestamp, (user, run): (u8, &RunId), report: &Report) -> Check {
        self.registry.expect_payload(report.payload.len());
        let got = self.own(user, |mut it| {
            let (call, expect) = (&*report.call, report.expect);
            let payload = report.payload.clone().into();
            let event = match report.kind {
                None => RunEvent::text(report.text()),
                Some(RunEventKind::ToolExecuting) => {
                    RunEvent::ToolExecuting { call, expect, payload }
                }
                Some(RunEventKind::ToolCompleted) => RunEvent::ToolCompleted { call, payload },
                Some(RunEventKind::Thinking) => RunEvent::Thinking(payload),
                Some(RunEventKind::Completed) => RunEvent::Completed(payload),
                Some(RunEventKind::Failed) => RunEvent::Failed(payload),
                Some(RunEventKind::Cancelled) => RunEvent::Cancelled(payload),
                Some(_) => RunEvent::Progress(payload),
            };
            it.run_event(stamp, run, &event)
        });
        let got = got.map(|delivery| Delivered::from(&delivery));
        same("run_event", &got, &self.model.run_event((user, run), report))
    }

    /// Ends all runs: without deadlines of their own they would be open for ever.
    pub(crate) fn cancel_runs(&mut self) -> Check {
        let open = self.model.runs.values().filter(|run| run.is_open());
        for (user, run) in open.map(|run| (run.user, run.id.clone())).collect::<Vec<_>>() {
            let (report, stamp) =
                (Report::of(Some(RunEventKind::Cancelled), Vec::new()), self.stamp());
            self.tell(stamp, (user, &run), &report)?;
            self.compare()?;
        }
        Ok(())
    }

    fn report(&mut self, event: RunReport) -> Report {
        let tenth = self.model.config.run_silence() / 10;
        let expect = |expect| match expect {
            u8::MAX => Duration::MAX,
            tenths => tenth * u32::from(tenths),
        };
        let (kind, size) = match event {
            RunReport::Text(size) => return Report::of(None, self.words(size).into_bytes()),
            RunReport::Thinking(size) => (RunEventKind::Thinking, size),
            RunReport::Executing { size, .. } => (RunEventKind::ToolExecuting, size),
            RunReport::Executed { size, .. } => (RunEventKind::ToolCompleted, size),
            RunReport::Progress(size) => (RunEventKind::Progress, size),
            RunReport::Completed(size) => (RunEventKind::Completed, size),
            RunReport::Failed(size) => (RunEventKind::Failed, size),
            RunReport::Cancelled(size) => (RunEventKind::Cancelled, size),
        };
        let mut report = Report::of(Some(kind), self.payload(size));
        match event {
            RunReport::Executing { call, expect: tenths, .. } => {
                (report.call, report.expect) = (Self::call(call), tenths.map(expect));
            }
            RunReport::Executed { call, .. } => report.call = Self::call(call),
            _ => {}
        }
        report
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
        self.payloads += 1;
        let number = format!("{:08x}", self.payloads);
        number.bytes().cycle().take(self.size(size)).collect()
    }

    /// What an agent says: no text twice, some of it in characters of several bytes.
    fn words(&mut self, size: u8) -> String {
        self.payloads += 1;
        let letters = if size & 8 == 0 { "" } else { "é€𝄞" };
        let longest = match size % 64 {
            63 => 700,
            62 => 200,
            _ => usize::from(size % 8) * 5,
        };
        let mut text = String::new();
        for letter in format!("{:x}{letters}", self.payloads).chars().cycle() {
            if text.len() + letter.len_utf8() > longest {
                break;
            }
            text.push(letter);
        }
        text
    }
}
