//! The simulation: clients, servers and time, and the loop that moves them on.

use std::collections::BTreeMap;

use headcount::{Config, Registry, RoomId};

use crate::client::{Client, NEVER, Phase, Range};
use crate::old_rules::OldRules;
use crate::queue::{EventKind, Millis, Queue, ScheduledEvent};
use crate::random::Random;
use crate::runs::{Run, RunReader};
use crate::scenario::Scenario;
use crate::server::Server;
use crate::tally::{Sample, Tally};

/// How many points a plot has, unless they would be nearer than a tenth of a second.
const SAMPLES: u32 = 600;

/// How far samples are apart.
pub(crate) fn sample_every(length: Millis) -> Millis {
    length.div_ceil(SAMPLES).max(100)
}

pub(crate) struct Simulation<'s> {
    pub(crate) scenario: &'s Scenario,
    pub(crate) seed: u64,
    pub(crate) now: Millis,
    pub(crate) queue: Queue,
    pub(crate) random: Random,
    pub(crate) clients: Vec<Client>,
    pub(crate) ranges: Vec<Range>,
    pub(crate) rooms: Vec<Option<RoomId>>,
    /// All that there ever were; `None` for those that have ended.
    pub(crate) servers: Vec<Option<Server>>,
    /// Those that have not.
    pub(crate) running: Vec<u8>,
    /// The one that takes newcomers.
    pub(crate) current: Option<u8>,
    pub(crate) tally: Tally,
    /// Whose turn it is, for each of the scenario's traffic and runs.
    pub(crate) traffic_turns: Vec<(u32, u64)>,
    pub(crate) run_turns: Vec<u32>,
    /// The runs that are open, by their number.
    pub(crate) runs: BTreeMap<u32, Run>,
    pub(crate) next_run: u32,
    /// What the whole text of each run comes to, once it is complete.
    pub(crate) digests: Vec<Option<u64>>,
    /// One for each client, if the scenario has runs.
    pub(crate) readers: Vec<RunReader>,
    /// In place of servers, for the comparison.
    pub(crate) old_rules: Option<OldRules>,
    sample_every: Millis,
}

impl<'s> Simulation<'s> {
    pub(crate) fn new(scenario: &'s Scenario, seed: u64, old_rules: bool) -> Self {
        let ranges = Range::of(scenario);
        let mut clients = Vec::with_capacity(scenario.clients() as usize);
        for (group, range) in ranges.iter().enumerate() {
            clients.extend((0..range.clients()).map(|_| Client::new(group as u16)));
        }
        let readers = if scenario.runs.is_empty() { 0 } else { clients.len() };
        let name = |name: &String| RoomId::new(name).ok();
        let groups = scenario.clients.iter();
        let rooms = groups.map(|group| group.room.as_ref().and_then(name)).collect();
        let mut simulation = Self {
            scenario,
            seed,
            now: 0,
            queue: Queue::new(),
            random: Random::new(seed),
            clients,
            ranges,
            rooms,
            servers: Vec::new(),
            running: Vec::new(),
            current: None,
            tally: Tally::default(),
            traffic_turns: vec![(0, 0); scenario.traffic.len()],
            run_turns: vec![0; scenario.runs.len()],
            runs: BTreeMap::new(),
            next_run: 0,
            digests: Vec::new(),
            readers: vec![RunReader::default(); readers],
            old_rules: old_rules.then(OldRules::default),
            sample_every: sample_every(scenario.length.0),
        };
        simulation.tally.groups.resize_with(scenario.clients.len(), Default::default);
        if old_rules {
            simulation.current = Some(0);
        } else {
            simulation.start_server();
        }
        simulation.plan();
        simulation
    }

    /// Pushes all that is known from the beginning.
    fn plan(&mut self) {
        for group in 0..self.ranges.len() {
            let settings = &self.scenario.clients[group];
            let (arrive, over) = (settings.arrive.0, settings.over.0);
            let range = self.ranges[group];
            for client in range.first..range.first + range.clients() {
                let at = arrive.saturating_add(self.random.below(over));
                self.clients[client as usize].phase = Phase::Seeking;
                self.push(at, EventKind::Attempt, client, 0);
            }
        }
        for (index, traffic) in self.scenario.traffic.iter().enumerate() {
            self.push(traffic.from.0, EventKind::Traffic, index as u32, 0);
        }
        for (index, runs) in self.scenario.runs.iter().enumerate() {
            self.push(runs.from.0, EventKind::OpenRun, index as u32, 0);
        }
        for (index, incident) in self.scenario.incidents.iter().enumerate() {
            self.push(incident.at.0, EventKind::Incident, index as u32, 0);
        }
        self.push(0, EventKind::Sample, 0, 0);
    }

    pub(crate) fn push(&mut self, at: Millis, kind: EventKind, subject: u32, stamp: u16) {
        self.queue.push(at, ScheduledEvent { kind, server: 0, stamp, subject });
    }

    /// What happens to a client in its present life, so long from now.
    pub(crate) fn later(&mut self, after: Millis, kind: EventKind, client: u32) {
        let stamp = self.clients[client as usize].stamp;
        self.push(self.now.saturating_add(after), kind, client, stamp);
    }

    pub(crate) fn latency(&mut self) -> Millis {
        let [least, most] = *self.scenario.network.latency.get_ref();
        self.random.between(least.0, most.0 + 1)
    }

    pub(crate) fn round_trip(&mut self) -> Millis {
        let there = self.latency();
        there.saturating_add(self.latency())
    }

    /// A new server takes the newcomers from now on. Its seed is another one, as after a restart.
    pub(crate) fn start_server(&mut self) {
        let number = self.servers.len() as u8;
        let seed = Random::new(self.seed ^ (u64::from(number) + 1)).next();
        let config = self.scenario.server.config(seed).unwrap_or_else(|_| Config::new(seed));
        let server = Server::new(Registry::new(config), self.scenario.network.buffer);
        self.servers.push(Some(server));
        self.running.push(number);
        self.current = Some(number);
    }

    /// A server has ended: what it counted goes into the sums.
    pub(crate) fn end_server(&mut self, number: u8, crashed: bool) {
        let Some(mut server) = self.servers[number as usize].take() else { return };
        self.running.retain(|running| *running != number);
        if self.current == Some(number) {
            self.current = None;
        }
        let downtime = server.successor_after.filter(|_| !crashed).unwrap_or(0);
        self.tally.server_ended(number, self.now.saturating_add(downtime));
        self.check(&server);
        self.tally.totals.add(&server.registry.stats(), crashed);
        for slot in 0..server.sockets.slots.len() {
            let Some(conn) = server.sockets.slots[slot].conn else { continue };
            if let Some((client, _)) = server.sockets.forget(conn, &mut self.tally) {
                self.cut(client, number, conn);
            }
        }
    }

    fn check(&mut self, server: &Server) {
        if let Err(violation) = server.registry.check() {
            self.tally.violations.push(violation.to_string());
        }
    }

    /// Runs to the end. `progress` is told how far it is, in percent.
    pub(crate) fn run(&mut self, progress: &mut dyn FnMut(u32)) {
        let (end, mut told) = (self.scenario.length.0, 0);
        let mut taken = Vec::new();
        loop {
            let due = |number: &u8| self.servers[*number as usize].as_ref()?.due(self.now);
            let wake = self.running.iter().filter_map(due).min();
            let next = [wake, self.queue.next_at(self.now)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next;
            let percent = (u64::from(next) * 100 / u64::from(end.max(1))) as u32;
            if percent >= told + 10 {
                told = percent - percent % 10;
                progress(told);
            }
            self.queue.take(next, &mut taken);
            self.tally.events += taken.len() as u64;
            for event in taken.drain(..) {
                self.happen(event);
            }
            for index in (0..self.running.len()).rev() {
                self.turn(self.running[index]);
            }
        }
        self.now = end;
        self.finish();
    }

    fn happen(&mut self, event: ScheduledEvent) {
        let ScheduledEvent { kind, server, stamp, subject } = event;
        match kind {
            EventKind::Traffic => return self.traffic(subject as usize),
            EventKind::OpenRun => return self.open_run(subject as usize),
            EventKind::RunStep => return self.run_step(subject),
            EventKind::Incident => return self.incident(subject as usize),
            EventKind::Start => return self.start_server(),
            EventKind::Sample => {
                self.sample();
                return self.push(self.now + self.sample_every, EventKind::Sample, 0, 0);
            }
            EventKind::End | EventKind::Read => {
                return self.happen_to_socket(kind, server, subject, stamp);
            }
            _ => {}
        }
        if self.clients[subject as usize].stamp != stamp {
            return;
        }
        match kind {
            EventKind::Attempt => self.attempt(subject),
            EventKind::Leave => self.leave(subject),
            EventKind::Drop => {
                let silent = self.settings(subject).silent.0;
                let silent = self.random.percent(silent);
                self.drop_network(subject, silent);
            }
            EventKind::Notice => self.seek(subject, 0),
            EventKind::Stall => self.stall(subject),
            EventKind::ReadOn => self.read_on(subject),
            EventKind::Pong => self.pong(subject),
            EventKind::Move => self.move_on(subject),
            _ => {}
        }
    }

    fn sample(&mut self) {
        let mut sample = Sample { at: self.now, unread: self.tally.unread, ..Sample::default() };
        let mut messages = 0;
        for number in &self.running {
            let Some(server) = &self.servers[*number as usize] else { continue };
            let stats = server.registry.stats();
            sample.open += stats.open;
            sample.logged += stats.log_bytes;
            messages += stats.log_messages;
        }
        if let Some(rules) = &self.old_rules {
            sample.open = rules.managers();
        }
        sample.closed = core::mem::take(&mut self.tally.closed_since_sample);
        let tally = &mut self.tally;
        tally.peak_open = tally.peak_open.max(sample.open);
        tally.peak_logged = tally.peak_logged.max(sample.logged);
        tally.peak_log_messages = tally.peak_log_messages.max(messages);
        tally.peak_unread = tally.peak_unread.max(sample.unread);
        tally.samples.push(sample);
    }

    /// The last figures: servers are checked, and who waits is counted as waiting.
    fn finish(&mut self) {
        if self.tally.samples.last().is_none_or(|last| last.at < self.now) {
            self.sample();
        }
        for number in self.running.clone() {
            let Some(server) = self.servers[number as usize].take() else { continue };
            self.check(&server);
            self.tally.totals.add(&server.registry.stats(), false);
        }
        for client in &self.clients {
            let group = &mut self.tally.groups[client.group as usize];
            group.connected_at_end += u64::from(client.phase == Phase::Connected);
            if client.refused_since != NEVER {
                group.locked_out_at_end += 1;
                group.locked_out.add(self.now - client.refused_since);
            }
        }
    }
}
