//! A server's turn: what its registry wants done, and how it reaches the clients.

use std::borrow::Cow;

use headcount::{Action, Body, CloseReason, ConnId, Ended, RunEventKind, RunId, StreamRef};

use crate::client::Phase;
use crate::queue::{EventKind, Millis, ScheduledEvent};
use crate::server::{Arrival, Peer, Sockets};
use crate::simulation::Simulation;
use crate::tally::place;

/// Recipients that are queued for before the sockets are flushed.
const SLICE: usize = 512;
/// Between two reads of a slow client.
const READ_EVERY: Millis = 100;

/// What there is to do with the recipients of an action.
enum Task<'a> {
    Hand { to: &'a [ConnId], cost: u64, arrival: Arrival<'a> },
    HandOne { conn: ConnId, cost: u64, arrival: Arrival<'a> },
    Forget { conn: ConnId, reason: CloseReason },
    Nothing,
}

impl Simulation<'_> {
    /// Time, then everything that there is to do, as the documentation's loop has it.
    pub(crate) fn turn(&mut self, number: u8) {
        let Some(mut server) = self.servers[number as usize].take() else { return };
        if server.due(self.now) == Some(self.now) {
            let clock = server.clock(self.now);
            server.registry.tick(clock);
        }
        loop {
            let mut queued = 0;
            while queued < SLICE {
                let Some(action) = server.registry.poll_action() else { break };
                match task(&action) {
                    Task::Hand { to, cost, arrival } => {
                        queued += to.len();
                        for conn in to {
                            self.hand(&mut server.sockets, number, *conn, cost, &arrival);
                        }
                    }
                    Task::HandOne { conn, cost, arrival } => {
                        queued += 1;
                        self.hand(&mut server.sockets, number, conn, cost, &arrival);
                    }
                    Task::Forget { conn, reason } => {
                        queued += 1;
                        self.forget(&mut server.sockets, number, conn, reason);
                    }
                    Task::Nothing => {}
                }
            }
            server.flush(self.now);
            if !server.registry.has_actions() {
                break;
            }
        }
        while server.registry.poll_notice().is_some() {}
        let ended = server.registry.is_drained();
        let successor_after = server.successor_after;
        self.servers[number as usize] = Some(server);
        if ended {
            self.end_server(number, false);
            if let Some(after) = successor_after {
                self.push(self.now.saturating_add(after), EventKind::Start, 0, 0);
            }
        }
    }

    fn hand(
        &mut self,
        sockets: &mut Sockets,
        number: u8,
        conn: ConnId,
        cost: u64,
        arrival: &Arrival<'_>,
    ) {
        let Some((peer, until)) = sockets.hand(conn, cost, &mut self.tally) else { return };
        let slot = conn.index() as u32;
        match peer {
            Peer::Reads => self.receive(sockets, number, slot, arrival),
            Peer::Slow(_) => {
                sockets.wait(slot, until, arrival.clone());
                self.plan_read(sockets, number, slot);
            }
            Peer::Stalled => sockets.wait(slot, until, arrival.clone()),
            Peer::Silent => {}
        }
    }

    fn forget(&mut self, sockets: &mut Sockets, number: u8, conn: ConnId, reason: CloseReason) {
        let Some((client, admitted)) = sockets.forget(conn, &mut self.tally) else { return };
        if admitted {
            self.tally.closed_since_sample += 1;
            let group = &mut self.tally.groups[self.clients[client as usize].group as usize];
            group.closed.resize(CloseReason::ALL.len(), 0);
            group.closed[place(reason)] += 1;
        }
        self.cut(client, number, conn);
    }

    fn plan_read(&mut self, sockets: &mut Sockets, number: u8, slot: u32) {
        let socket = &mut sockets.slots[slot as usize];
        if !socket.reading && socket.read < socket.handed && matches!(socket.peer, Peer::Slow(_)) {
            socket.reading = true;
            let event = ScheduledEvent {
                kind: EventKind::Read,
                server: number,
                stamp: socket.stamp,
                subject: slot,
            };
            self.queue.push(self.now + READ_EVERY, event);
        }
    }

    /// A client reads so much more of what its socket holds.
    pub(crate) fn read(&mut self, number: u8, slot: u32, bytes: u64) {
        let Some(mut server) = self.servers[number as usize].take() else { return };
        server.read(self.now, slot, bytes, &mut self.tally);
        while let Some(arrival) = server.sockets.arrived(slot) {
            self.receive(&mut server.sockets, number, slot, &arrival);
        }
        self.plan_read(&mut server.sockets, number, slot);
        self.servers[number as usize] = Some(server);
    }

    pub(crate) fn happen_to_socket(&mut self, kind: EventKind, number: u8, slot: u32, stamp: u16) {
        let Some((clock, server)) = self.server(number) else { return };
        let socket = &mut server.sockets.slots[slot as usize];
        let Some(conn) = socket.conn.filter(|_| socket.stamp == stamp) else { return };
        match (kind, socket.peer) {
            (EventKind::Read, Peer::Slow(rate)) => {
                socket.reading = false;
                let bytes = u64::from(rate) * u64::from(READ_EVERY) / 1_000;
                self.read(number, slot, bytes.max(1));
            }
            (EventKind::Read, _) => socket.reading = false,
            _ => {
                let _ = server.registry.disconnect(clock, conn);
            }
        }
    }

    /// A client gets something whole.
    fn receive(&mut self, sockets: &mut Sockets, number: u8, slot: u32, arrival: &Arrival<'_>) {
        let socket = &sockets.slots[slot as usize];
        let (client, stamp, conn) = (socket.client, socket.stamp, socket.conn);
        if matches!(arrival, Arrival::Close(_)) {
            // It answers the close, and the socket ends, whatever else the client is doing by now.
            let at = self.now.saturating_add(self.round_trip());
            let event =
                ScheduledEvent { kind: EventKind::End, server: number, stamp, subject: slot };
            self.queue.push(at, event);
        }
        let record = &self.clients[client as usize];
        if record.phase != Phase::Connected || record.conn != conn || record.server != number {
            return;
        }
        let group = record.group as usize;
        match arrival {
            Arrival::Message { offset } => {
                self.tally.groups[group].delivered += 1;
                if let Some(offset) = offset {
                    self.seen(client, *offset);
                }
            }
            Arrival::Gap { from, to, of_session } => {
                let tally = &mut self.tally.groups[group];
                tally.gaps += 1;
                tally.lost += to - from + 1;
                if *of_session {
                    // A gap of a stream that the client knew nothing of ends where it stands.
                    let record = &mut self.clients[client as usize];
                    self.tally.disordered += u64::from(*to < record.offset);
                    record.offset = *to;
                }
            }
            Arrival::RunStarted { run, offset } => {
                self.tally.groups[group].delivered += 1;
                self.seen(client, *offset);
                self.readers[client as usize].begin(*run);
            }
            Arrival::RunText { run, text, offset } => {
                self.tally.groups[group].delivered += 1;
                self.seen(client, *offset);
                self.readers[client as usize].take(*run, text);
            }
            Arrival::RunEnded { run, offset, completed } => {
                self.tally.groups[group].delivered += 1;
                self.seen(client, *offset);
                if *completed {
                    self.read_run(client, *run);
                }
            }
            Arrival::Ping => {
                if self.settings(client).answers {
                    let after = self.round_trip();
                    self.later(after, EventKind::Pong, client);
                }
            }
            Arrival::Draining { from, to } => {
                let after = self.random.between(*from, *to);
                self.later(after, EventKind::Move, client);
            }
            Arrival::Close(reason) => self.closed(client, *reason),
        }
    }

    /// A client has got this far in its session's stream.
    fn seen(&mut self, client: u32, offset: u64) {
        let record = &mut self.clients[client as usize];
        self.tally.disordered += u64::from(offset <= record.offset);
        record.offset = offset;
    }
}

fn task<'a>(action: &Action<'a>) -> Task<'a> {
    let cost = action.cost();
    match action {
        Action::Send { to, stream, position, body } => {
            let offset = match stream {
                StreamRef::Session(_) => position.map(|position| position.offset),
                _ => None,
            };
            let arrival = match (body, offset) {
                (Body::Run(fact), Some(offset)) => match fact.kind {
                    RunEventKind::Started => Arrival::RunStarted { run: number(fact.run), offset },
                    kind if kind.is_terminal() => Arrival::RunEnded {
                        run: number(fact.run),
                        offset,
                        completed: kind == RunEventKind::Completed,
                    },
                    _ => Arrival::Message { offset: Some(offset) },
                },
                (Body::Text(text), Some(offset)) => Arrival::RunText {
                    run: number(text.run),
                    text: Cow::Borrowed(text.text),
                    offset,
                },
                _ => Arrival::Message { offset },
            };
            Task::Hand { to, cost, arrival }
        }
        Action::Draining { to, within } => {
            let millis = |wait: std::time::Duration| wait.as_millis().min(1 << 30) as Millis;
            let arrival = Arrival::Draining { from: millis(within.start), to: millis(within.end) };
            Task::Hand { to, cost, arrival }
        }
        Action::Cleanup { what: Ended::Conn(conn), reason } => {
            Task::Forget { conn: *conn, reason: *reason }
        }
        Action::Gap { conn, stream, from, to } => {
            let of_session = matches!(stream, StreamRef::Session(_));
            let arrival = Arrival::Gap { from: *from, to: *to, of_session };
            Task::HandOne { conn: *conn, cost, arrival }
        }
        // Its clients follow one session each: none is ever sent away from one.
        Action::Left { conn, .. } => {
            Task::HandOne { conn: *conn, cost, arrival: Arrival::Message { offset: None } }
        }
        Action::Ping { conn } => Task::HandOne { conn: *conn, cost, arrival: Arrival::Ping },
        Action::Close { conn, reason, .. } => {
            Task::HandOne { conn: *conn, cost, arrival: Arrival::Close(*reason) }
        }
        Action::Cleanup { what: Ended::Session(_), .. } | Action::Presence { .. } => Task::Nothing,
    }
}

/// The number in a run's name.
fn number(run: &RunId) -> u32 {
    run.as_str().strip_prefix("run-").and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}
