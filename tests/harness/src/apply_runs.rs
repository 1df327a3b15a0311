//! Operations on agent runs.

use core::time::Duration;

use headcount::{ConnId, Part, PartKind, Registry, RunEvent, RunId};

use super::model::delivery::Delivered;
use super::model::run_ends::Shown;
use super::op::RunReport;
use super::world::{Names, World};
use super::{Check, same};

/// What the registry says about every run that may be.
pub(crate) fn runs<'a>(registry: &'a Registry, names: &Names) -> Shown<'a> {
    let users = names.users.iter().enumerate();
    let all = users.flat_map(|it| names.runs.iter().map(move |run| (it, run)));
    let known = all.filter_map(|((number, user), run)| {
        Some(((number as u8, run.clone()), registry.run(user, run)?))
    });
    known.collect()
}

impl World {
    pub(crate) fn open_run(&mut self, (user, thread): (u8, u8), run: u8, size: u8) -> Check {
        let (user, thread, run) = (self.user(user), self.thread(thread), self.run(run));
        let stamp = self.stamp();
        let agent = "a".repeat(match size {
            250..=255 => 129,
            240..=249 => 128,
            _ => usize::from(size % 8),
        });
        let payload = self.payload(self.size(size));
        let (whose, within) = (self.names.user(user), self.names.thread(thread));
        let got = self.registry.call(|it| {
            it.scope(whose).open_run(stamp, within, &run, &agent, payload.clone().into())
        });
        if let Ok(opened) = &got
            && !self.sessions.contains(&opened.session)
        {
            self.grammar.created(opened.session)?;
            self.sessions.push(opened.session);
        }
        let what = (agent.as_str(), payload.as_bytes());
        let opened = got.as_ref().ok().map(|it| (it.session, it.position.epoch));
        let got = got.map(|it| (it.session, it.position, Delivered::from(&it.delivery)));
        same!(got, self.model.open_run((user, thread), &run, what, opened), "open_run");
        Ok(())
    }

    pub(crate) fn run_event(&mut self, user: u8, run: u8, event: RunReport) -> Check {
        let known = self.remembered(run)?;
        let (user, run) = known.unwrap_or_else(|| (self.user(user), self.run(run)));
        self.report((user, &run), event)
    }

    /// Below 200 one of the runs that are remembered, and whose it is.
    fn remembered(&self, run: u8) -> Result<Option<(u8, RunId)>, String> {
        let place = usize::from(run).checked_rem(self.model.runs.len()).filter(|_| run < 200);
        let Some(place) = place else { return Ok(None) };
        let run = self.model.runs.values().rev().nth(place);
        Ok(Some(run.map(|run| (run.user, run.id.clone())).ok_or("a run was miscounted")?))
    }

    /// From 200 on the last of the threads that a connection follows, or one before that.
    fn thread_of(&self, conn: ConnId, number: u8) -> u8 {
        let sessions = self.model.conns.get(&conn).map_or(&[][..], |conn| &conn.sessions);
        let place = number.checked_sub(200).map(usize::from);
        let session = place.and_then(|place| sessions.iter().rev().nth(place));
        let record = session.and_then(|session| self.model.sessions.get(session));
        record.map_or_else(|| self.thread(number), |record| record.thread)
    }

    pub(crate) fn request_run(
        &mut self,
        conn: ConnId,
        thread: Option<u8>,
        run: u8,
        size: u8,
    ) -> Check {
        let thread = thread.map(|thread| self.thread_of(conn, thread));
        let run = self.run(run);
        let input = self.payload(self.size(size));
        let within = thread.map(|thread| self.names.thread(thread).clone());
        let request = |it: &mut Registry, at| {
            let got = it.request_run(at, conn, within.as_ref(), &run, input.clone().into());
            got.map(|it| (it.session, it.position, Delivered::from(&it.delivery)))
        };
        self.both("request_run", request, |it| it.request_run(conn, thread, &run, input.as_bytes()))
    }

    pub(crate) fn request_cancel(&mut self, conn: ConnId, run: u8, size: u8) -> Check {
        let run = self.remembered(run)?.map_or_else(|| self.run(run), |(_, run)| run);
        let reason = self.payload(self.size(size));
        let request = |it: &mut Registry, at| {
            let got = it.request_cancel(at, conn, &run, reason.clone().into());
            got.map(|delivery| Delivered::from(&delivery))
        };
        self.both("request_cancel", request, |it| it.request_cancel(conn, &run, reason.as_bytes()))
    }

    /// Ends all runs: without deadlines of their own they would be open for ever.
    pub(crate) fn cancel_runs(&mut self) -> Check {
        let open = self.model.runs.values().filter(|run| run.is_open());
        for (user, run) in open.map(|run| (run.user, run.id.clone())).collect::<Vec<_>>() {
            self.report((user, &run), RunReport::Cancelled(0))?;
            self.compare()?;
        }
        Ok(())
    }

    fn report(&mut self, (user, run): (u8, &RunId), what: RunReport) -> Check {
        let tenth = self.model.config.run_silence() / 10;
        let (size, name, expect) = match what {
            RunReport::Executing { call, size, expect } => (size, call, expect),
            RunReport::Executed { call, size } => (size, call, None),
            RunReport::Delta { part, size } => (size, part, None),
            RunReport::Thinking(size)
            | RunReport::Progress(size)
            | RunReport::Text(size)
            | RunReport::Completed(size)
            | RunReport::Failed(size)
            | RunReport::Cancelled(size)
            | RunReport::Interrupted(size) => (size, 0, None),
        };
        let payload = match what {
            RunReport::Text(_) | RunReport::Delta { .. } => self.words(size),
            _ => self.payload(self.size(size)),
        };
        let (part, kind) = Self::part(name);
        let part = Part { id: &part, kind };
        let call = &*Self::call(name);
        let expect = expect.map(|expect| match expect {
            u8::MAX => Duration::MAX,
            tenths => tenth * u32::from(tenths),
        });
        // Each call makes one that shares nothing with the other: what the registry holds is its own.
        let make = || {
            let bytes = || payload.clone().into();
            match what {
                RunReport::Thinking(_) => RunEvent::Thinking(bytes()),
                RunReport::Executing { .. } => {
                    RunEvent::ToolExecuting { call, expect, payload: bytes() }
                }
                RunReport::Executed { .. } => RunEvent::ToolCompleted { call, payload: bytes() },
                RunReport::Progress(_) => RunEvent::Progress(bytes()),
                RunReport::Text(_) => RunEvent::text(&payload),
                RunReport::Delta { .. } => RunEvent::Delta { part, text: &payload },
                RunReport::Completed(_) => RunEvent::Completed(bytes()),
                RunReport::Failed(_) => RunEvent::Failed(bytes()),
                RunReport::Cancelled(_) => RunEvent::Cancelled(bytes()),
                RunReport::Interrupted(_) => RunEvent::Interrupted(bytes()),
            }
        };
        let user_name = self.names.user(user).clone();
        let report = |it: &mut Registry, at| {
            it.scope(&user_name).run_event(at, run, &make()).map(|it| Delivered::from(&it))
        };
        self.both("run_event", report, |it| it.run_event((user, run), &make()))
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

    /// A part: one of a few names, mostly of the kind that goes with it, or none that is right.
    fn part(number: u8) -> (String, PartKind) {
        match number % 16 {
            15 => ("p".repeat(129), PartKind::Text),
            14 => (String::new(), PartKind::Reasoning),
            13 => ("p".repeat(128), PartKind::Reasoning),
            some => {
                let name = some % 3;
                (format!("part-{name}"), PartKind::ALL[usize::from(name + some / 9) % 3])
            }
        }
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
        self.registry.expect_payload(text.len());
        text
    }
}
