//! Agents that stream text, and readers who must end with all of it.

use bytes::Bytes;
use headcount::{RunEvent, RunId, ThreadId, UserId};

use crate::client::Phase;
use crate::queue::{EventKind, Millis};
use crate::simulation::Simulation;

/// FNV-1a, the 64-bit variant: a digest that does not care how a text was cut into pieces.
const DIGEST: u64 = 0xcbf2_9ce4_8422_2325;

fn digest(digest: u64, text: &str) -> u64 {
    let fold = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    text.bytes().fold(digest, fold)
}

/// A run that is open.
pub(crate) struct Run {
    id: RunId,
    user: UserId,
    /// The user's place in its group, and the scenario's entry that the run came from.
    place: u32,
    settings: usize,
    server: u8,
    until: Millis,
    pieces: u32,
    digest: u64,
}

/// What a client has read of the run that it is reading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunReader {
    run: Option<u32>,
    digest: u64,
}

impl RunReader {
    pub(crate) const fn begin(&mut self, run: u32) {
        *self = Self { run: Some(run), digest: DIGEST };
    }

    /// A text whose beginning was never seen stays without a run, and is broken in the end.
    pub(crate) fn take(&mut self, run: u32, text: &str) {
        if self.run == Some(run) {
            self.digest = digest(self.digest, text);
        }
    }
}

impl Simulation<'_> {
    /// The next user's agent begins, if it is not at work still.
    pub(crate) fn open_run(&mut self, index: usize) {
        let settings = &self.scenario.runs[index];
        if settings.until.is_some_and(|until| self.now >= until.0) || settings.per_minute == 0 {
            return;
        }
        let every = (60_000 / settings.per_minute).max(1);
        self.push(self.now + every, EventKind::OpenRun, index as u32, 0);
        let Some(group) = self.scenario.group(settings.clients.get_ref()) else { return };
        let range = self.ranges[group];
        let place = self.run_turns[index] % range.users;
        self.run_turns[index] = place + 1;
        let busy = self.runs.values().any(|run| run.place == place && run.settings == index);
        let Some(server) = self.current.filter(|_| !busy && self.old_rules.is_none()) else {
            return;
        };
        let number = self.next_run;
        let user = UserId::new(format!("user-{}", range.first_user + place));
        let id = RunId::new(format!("run-{number}"));
        let (Ok(user), Ok(id), Ok(thread)) = (user, id, ThreadId::new("main")) else { return };
        let until = self.now.saturating_add(self.random.around(settings.lasts.0));
        let Some((clock, host)) = self.server(server) else { return };
        let mut scope = host.registry.scope(&user);
        if scope.open_run(clock, &thread, &id, "writer", Bytes::new()).is_err() {
            self.tally.runs_cut_short += 1;
            return;
        }
        let run =
            Run { id, user, place, settings: index, server, until, pieces: 0, digest: DIGEST };
        self.next_run += 1;
        self.tally.runs_opened += 1;
        self.digests.push(None);
        self.runs.insert(number, run);
        self.push(self.now.saturating_add(settings.every.0), EventKind::RunStep, number, 0);
    }

    /// A run says the next piece of its text, or is complete.
    pub(crate) fn run_step(&mut self, number: u32) {
        let Some(mut run) = self.runs.remove(&number) else { return };
        let settings = &self.scenario.runs[run.settings];
        let now = self.now;
        let Some((clock, host)) = self.server(run.server) else {
            self.tally.runs_cut_short += 1;
            return;
        };
        let mut scope = host.registry.scope(&run.user);
        if now < run.until {
            // The number makes each piece another, so that one too many or too few is found.
            let mut text = format!("{number}.{} ", run.pieces);
            while text.len() < settings.bytes as usize {
                text.push('·');
            }
            run.pieces += 1;
            run.digest = digest(run.digest, &text);
            if scope.run_event(clock, &run.id, &RunEvent::text(&text)).is_err() {
                self.tally.runs_cut_short += 1;
                return;
            }
            self.push(now.saturating_add(settings.every.0), EventKind::RunStep, number, 0);
            self.runs.insert(number, run);
            return;
        }
        if scope.run_event(clock, &run.id, &RunEvent::Completed(Bytes::new())).is_err() {
            self.tally.runs_cut_short += 1;
            return;
        }
        self.tally.runs_completed += 1;
        self.digests[number as usize] = Some(run.digest);
        let Some(group) = self.scenario.group(settings.clients.get_ref()) else { return };
        let tabs = self.ranges[group].tabs_of(run.place);
        let owed = tabs.filter(|tab| {
            !matches!(self.clients[*tab as usize].phase, Phase::Away | Phase::Stopped)
        });
        self.tally.streams_owed += owed.count() as u64;
    }

    /// A client has come to the end of a run: does it have all of it?
    pub(crate) fn read_run(&mut self, client: u32, run: u32) {
        let reader = core::mem::take(&mut self.readers[client as usize]);
        let whole = self.digests.get(run as usize).copied().flatten();
        if reader.run == Some(run) && whole == Some(reader.digest) {
            self.tally.streams_whole += 1;
        } else {
            self.tally.streams_broken += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_does_not_care_about_the_pieces() {
        let whole = digest(DIGEST, "one two three");
        assert_eq!(digest(digest(DIGEST, "one tw"), "o three"), whole);
        assert_ne!(digest(digest(DIGEST, "one tw"), " three"), whole);
        assert_eq!(digest(DIGEST, "a"), 0xaf63_dc4c_8601_ec8c);
    }
}
