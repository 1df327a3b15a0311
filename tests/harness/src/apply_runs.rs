//! Operations on agent runs.

use core::time::Duration;

use headcount::{ConnId, Input, Part, PartKind, RunEvent, RunId, ThreadId};

use super::Check;
use super::model::names::Name;
use super::op::RunReport;
use super::world::World;

impl World {
    pub(crate) fn open_run(&mut self, (user, thread): (u8, u8), run: u8, size: u8) -> Check {
        let agent = "a".repeat(match size {
            250..=255 => 129,
            240..=249 => 128,
            _ => usize::from(size % 8),
        });
        let payload = &self.bytes(size);
        let (user, thread) = (&self.user_name(self.user(user)), &self.thread_name(thread));
        self.call(Input::OpenRun { user, thread, run: &self.run(run), agent: &agent, payload })
    }

    pub(crate) fn run_event(&mut self, user: u8, run: u8, event: RunReport) -> Check {
        let known = self.remembered(run)?;
        let (user, run) = known.unwrap_or_else(|| (self.user(user), self.run(run)));
        self.report((user, &run), event)
    }

    /// Below 200 one of the runs that are remembered, and whose it is.
    fn remembered(&self, run: u8) -> Result<Option<(Name, RunId)>, String> {
        let place = usize::from(run).checked_rem(self.model.runs.len()).filter(|_| run < 200);
        let Some(place) = place else { return Ok(None) };
        let run = self.model.runs.values().rev().nth(place);
        Ok(Some(run.map(|run| (run.user, run.id.clone())).ok_or("a run was miscounted")?))
    }

    /// From 200 on the last of the threads that a connection follows, or one before that.
    fn thread_of(&self, conn: ConnId, number: u8) -> ThreadId {
        let sessions = self.model.conns.get(&conn).map_or(&[][..], |conn| &conn.sessions);
        let place = number.checked_sub(200).map(usize::from);
        let session = place.and_then(|place| sessions.iter().rev().nth(place));
        let record = session.and_then(|session| self.model.sessions.get(session));
        let thread = record.map(|record| self.model.names.threads.name(record.thread).clone());
        thread.unwrap_or_else(|| self.thread_name(number))
    }

    pub(crate) fn request_run(
        &mut self,
        conn: ConnId,
        thread: Option<u8>,
        run: u8,
        size: u8,
    ) -> Check {
        let thread = thread.map(|thread| self.thread_of(conn, thread));
        let (run, input) = (&self.run(run), &self.bytes(size));
        self.call(Input::RequestRun { conn, thread: thread.as_ref(), run, input })
    }

    pub(crate) fn request_cancel(&mut self, conn: ConnId, run: u8, size: u8) -> Check {
        let run = &self.remembered(run)?.map_or_else(|| self.run(run), |(_, run)| run);
        let reason = &self.bytes(size);
        self.call(Input::RequestCancel { conn, run, reason })
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

    fn report(&mut self, (user, run): (Name, &RunId), what: RunReport) -> Check {
        let tenth = self.model.config.run_silence() / 10;
        let (name, text);
        let event = &match what {
            RunReport::Thinking(size) => RunEvent::Thinking(self.bytes(size)),
            RunReport::Executing { call, size, expect } => {
                name = Self::tool_call(call);
                let expect = expect.map(|expect| match expect {
                    u8::MAX => Duration::MAX,
                    tenths => tenth * u32::from(tenths),
                });
                RunEvent::ToolExecuting { call: &name, expect, payload: self.bytes(size) }
            }
            RunReport::Executed { call, size } => {
                name = Self::tool_call(call);
                RunEvent::ToolCompleted { call: &name, payload: self.bytes(size) }
            }
            RunReport::Progress(size) => RunEvent::Progress(self.bytes(size)),
            RunReport::Text(size) => {
                text = self.words(size);
                RunEvent::text(&text)
            }
            RunReport::Delta { part, size } => {
                let kind;
                (name, kind) = Self::part(part);
                text = self.words(size);
                RunEvent::Delta { part: Part { id: &name, kind }, text: &text }
            }
            RunReport::Completed(size) => RunEvent::Completed(self.bytes(size)),
            RunReport::Failed(size) => RunEvent::Failed(self.bytes(size)),
            RunReport::Cancelled(size) => RunEvent::Cancelled(self.bytes(size)),
            RunReport::Interrupted(size) => RunEvent::Interrupted(self.bytes(size)),
        };
        let user = &self.user_name(user);
        self.call(Input::RunEvent { user, run, event })
    }

    /// What an application says of a run.
    fn bytes<T: From<String>>(&mut self, size: u8) -> T {
        self.payload(self.size(size)).into()
    }

    /// The name of a tool call: one of a few, or none that is right.
    fn tool_call(number: u8) -> String {
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
        text
    }
}
