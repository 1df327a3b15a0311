//! What the application sends, and what goes wrong.

use bytes::Bytes;
use headcount::{Key, Message, Target};

use crate::client::Phase;
use crate::queue::{EventKind, Millis};
use crate::scenario::{Audience, Thread, What, Worth};
use crate::simulation::Simulation;

/// Between two looks at what is due to be sent.
const STEP: Millis = 10;

/// What messages are made of. No client looks into them.
static PAYLOAD: [u8; 1 << 20] = [b'.'; 1 << 20];

impl Simulation<'_> {
    /// Sends what is due of one entry of the scenario's traffic.
    pub(crate) fn traffic(&mut self, index: usize) {
        let settings = &self.scenario.traffic[index];
        if settings.until.is_some_and(|until| self.now >= until.0) {
            return;
        }
        self.push(self.now + STEP, EventKind::Traffic, index as u32, 0);
        let (mut turn, mut owed) = self.traffic_turns[index];
        owed += u64::from(settings.per_minute) * u64::from(STEP);
        let Some(group) = self.scenario.group(settings.clients.get_ref()) else { return };
        while owed >= 60_000 {
            owed -= 60_000;
            self.send(index, group, turn);
            turn = turn.wrapping_add(1);
        }
        self.traffic_turns[index] = (turn, owed);
    }

    fn send(&mut self, index: usize, group: usize, turn: u32) {
        let settings = &self.scenario.traffic[index];
        let range = self.ranges[group];
        let bytes = (settings.bytes as usize).min(PAYLOAD.len());
        let message = Message::binary(Bytes::from_static(&PAYLOAD[..bytes]));
        let message = match settings.class {
            Worth::Critical => message,
            Worth::Latest => message.latest(Key::new("state").expect("a key of few bytes")),
            Worth::Droppable => message.droppable(),
        };
        self.tally.sent += 1;
        let user = turn % range.users;
        if let Some(rules) = &mut self.old_rules {
            return rules.send(self.now, range.first_user + user);
        }
        let room = self.rooms[group].clone().filter(|_| settings.to == Audience::Room);
        let clients = match self.scenario.clients[group].thread {
            Thread::Shared => range.tabs_of(user),
            // Each tab is a session of its own.
            Thread::Own | Thread::Fresh => {
                let client = range.first + turn % range.clients();
                client..client + 1
            }
        };
        let mut nobody = true;
        // While one server drains and the next has begun, the application tells both.
        for index in 0..self.running.len() {
            let number = self.running[index];
            let session = clients
                .clone()
                .map(|client| &self.clients[client as usize])
                .filter(|client| client.server == number)
                .find_map(|client| client.session);
            let target = match (&room, session) {
                (Some(room), _) => Target::Room(room),
                (None, Some(session)) => Target::Session(session),
                (None, None) => continue,
            };
            let Some((clock, server)) = self.server(number) else { continue };
            nobody &= server.registry.send(clock, target, message.clone()).reaches_none();
        }
        self.tally.sent_to_nobody += u64::from(nobody);
    }

    /// One of the scenario's incidents.
    pub(crate) fn incident(&mut self, index: usize) {
        let incident = &self.scenario.incidents[index];
        self.tally.count_incident(self.now, incident.what.get_ref().name());
        if *incident.what.get_ref() == What::Drop {
            return self.drop_many(index);
        }
        let Some(number) = self.current.filter(|_| self.old_rules.is_none()) else { return };
        let now = self.now;
        let Some((clock, server)) = self.server(number) else { return };
        match incident.what.get_ref() {
            What::Deploy => {
                server.registry.drain(clock, None);
                // Of an earlier deploy there may be a successor planned already: one is enough.
                server.successor_after = (!incident.overlap).then_some(incident.downtime.0);
                self.tally.lasts_as_long_as(number);
                if incident.overlap {
                    self.start_server();
                }
            }
            What::Crash => {
                self.end_server(number, true);
                let next_at = now.saturating_add(incident.downtime.0);
                self.tally.lasts_until(next_at);
                self.push(next_at, EventKind::Start, 0, 0);
            }
            What::Clock => {
                server.ahead += i64::from(incident.forward.0) - i64::from(incident.backward.0);
            }
            What::Announce => {
                let message = Message::text("an announcement");
                let delivery = server.registry.send(clock, Target::Everyone, message);
                self.tally.sent += 1;
                self.tally.sent_to_nobody += u64::from(delivery.reaches_none());
            }
            What::Drop => {}
        }
    }

    /// A share of the clients lose their network in the same instant.
    fn drop_many(&mut self, index: usize) {
        let incident = &self.scenario.incidents[index];
        let named = incident.clients.as_ref().and_then(|name| self.scenario.group(name.get_ref()));
        let (first, end) = match named {
            Some(group) => {
                let range = self.ranges[group];
                (range.first, range.first + range.clients())
            }
            None => (0, self.clients.len() as u32),
        };
        for client in first..end {
            if self.clients[client as usize].phase == Phase::Connected
                && self.random.percent(incident.share.0)
            {
                let silent = self.random.percent(incident.silent.0);
                self.drop_network(client, silent);
            }
        }
    }
}
