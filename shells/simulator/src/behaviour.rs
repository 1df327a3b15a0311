//! What clients do: come, stay, lose their network, stall, and come back.

use headcount::{
    CloseReason, Inbound, Position, Principal, Refused, Retry, Start, Target, ThreadId, UserId,
};

use crate::client::{NEVER, Phase};
use crate::queue::{EventKind, Millis};
use crate::scenario::{Group, Thread};
use crate::server::Peer;
use crate::simulation::Simulation;

/// Why an attempt came to nothing.
enum Failure {
    /// There is no server.
    Unreachable,
    Refused(&'static str, Millis),
}

impl<'s> Simulation<'s> {
    pub(crate) fn settings(&self, client: u32) -> &'s Group {
        &self.scenario.clients[self.clients[client as usize].group as usize]
    }

    /// A client wants a connection, so long from now; what was planned for the one it had is void.
    pub(crate) fn seek(&mut self, client: u32, after: Millis) {
        let record = &mut self.clients[client as usize];
        record.phase = Phase::Seeking;
        record.stamp = record.stamp.wrapping_add(1);
        record.without_since = record.without_since.min(self.now);
        self.later(after, EventKind::Attempt, client);
    }

    /// How long a client waits after so many failures.
    pub(crate) fn back_off(&mut self, client: u32) -> Millis {
        let [first, longest] = *self.settings(client).back_off.get_ref();
        let failures = u32::from(self.clients[client as usize].failures).min(16);
        let wait = u64::from(first.0) << failures;
        self.random.around(wait.min(u64::from(longest.0)) as Millis)
    }

    pub(crate) fn attempt(&mut self, client: u32) {
        let record = &mut self.clients[client as usize];
        if record.phase != Phase::Seeking {
            return;
        }
        record.without_since = record.without_since.min(self.now);
        let failure = match self.connect(client) {
            Ok(()) => return self.admitted(client),
            Err(failure) => failure,
        };
        let group = &mut self.tally.groups[self.clients[client as usize].group as usize];
        let wait = match failure {
            Failure::Unreachable => {
                group.unreachable += 1;
                0
            }
            Failure::Refused(name, retry_after) => {
                group.refused += 1;
                *self.tally.refusals.entry(name).or_default() += 1;
                let record = &mut self.clients[client as usize];
                record.refused_since = record.refused_since.min(self.now);
                retry_after
            }
        };
        let record = &mut self.clients[client as usize];
        record.failures = record.failures.saturating_add(1);
        let wait = wait.saturating_add(self.back_off(client));
        self.later(wait, EventKind::Attempt, client);
    }

    fn connect(&mut self, client: u32) -> Result<(), Failure> {
        let number = self.current.ok_or(Failure::Unreachable)?;
        let settings = self.settings(client);
        let range = self.ranges[self.clients[client as usize].group as usize];
        let user = range.user(client);
        if let Some(rules) = &mut self.old_rules {
            let let_in = rules.connect(self.now, user);
            return let_in.then_some(()).ok_or(Failure::Refused("the user has 20 managers", 0));
        }
        let record = &self.clients[client as usize];
        let server = self.servers[number as usize].as_mut().ok_or(Failure::Unreachable)?;
        let clock = server.clock(self.now);
        let conn = server.registry.reserve(clock, None).map_err(refusal)?;
        let thread = match settings.thread {
            Thread::Shared => "main".to_owned(),
            Thread::Own => format!("tab-{}", range.tab(client)),
            Thread::Fresh => format!("tab-{}-{}", range.tab(client), record.stamp),
        };
        let user = UserId::new(format!("user-{user}")).map_err(|_| Failure::Unreachable)?;
        let thread = ThreadId::new(thread).map_err(|_| Failure::Unreachable)?;
        let position = Position { epoch: record.epoch, offset: record.offset };
        // A fresh thread is another stream: there is nothing to go on with.
        let resumes = record.epoch != 0 && settings.thread != Thread::Fresh;
        let previous = record.conn.filter(|_| settings.take_over && record.server == number);
        let previous = previous.filter(|_| resumes);
        let start = if resumes { Start::After(position) } else { Start::OpenRuns };
        let who = Principal::new(user).with_thread(thread);
        let admitted = match server.registry.connect(clock, conn, who, start, previous) {
            Ok(admitted) => admitted,
            Err(refused) => {
                // The answer is written, and the socket ends.
                let _ = server.registry.disconnect(clock, conn);
                return Err(refusal(refused));
            }
        };
        server.sockets.open(conn, client, settings.reads.map_or(Peer::Reads, Peer::Slow));
        if let Some(socket) = server.sockets.get(conn) {
            socket.admitted = true;
        }
        let group = self.clients[client as usize].group as usize;
        if let Some(room) = &self.rooms[group] {
            let _ = server.registry.join(clock, conn, room, Start::Now);
        }
        let followed = admitted.followed.ok_or(Failure::Unreachable)?;
        match followed.recovered {
            headcount::Recovered::All => self.tally.groups[group].resumed_whole += 1,
            headcount::Recovered::Gap => self.tally.groups[group].resumed_with_gap += 1,
            _ => {}
        }
        let record = &mut self.clients[client as usize];
        record.conn = Some(conn);
        record.session = Some(followed.session);
        record.epoch = followed.position.epoch;
        record.offset = followed.position.offset;
        record.server = number;
        Ok(())
    }

    fn admitted(&mut self, client: u32) {
        let now = self.now;
        let record = &mut self.clients[client as usize];
        let group = &mut self.tally.groups[record.group as usize];
        group.admitted += 1;
        let without = now - record.without_since.min(now);
        group.without.add(without);
        if record.refused_since != NEVER {
            group.locked_out.add(now - record.refused_since);
        }
        record.phase = Phase::Connected;
        record.stamp = record.stamp.wrapping_add(1);
        record.failures = 0;
        record.without_since = NEVER;
        record.refused_since = NEVER;
        self.tally.count_admission(now, without);
        let settings = self.settings(client);
        let plans = [
            (settings.stays, EventKind::Leave),
            (settings.drops, EventKind::Drop),
            (settings.stalls, EventKind::Stall),
        ];
        for (mean, kind) in plans {
            if let Some(mean) = mean {
                let after = self.random.around(mean.0);
                self.later(after, kind, client);
            }
        }
    }

    /// A connected client closes its tab, in good order.
    pub(crate) fn leave(&mut self, client: u32) {
        let record = &mut self.clients[client as usize];
        record.phase = Phase::Away;
        record.stamp = record.stamp.wrapping_add(1);
        let (number, conn) = (record.server, record.conn);
        if let (Some((clock, server)), Some(conn)) = (self.server(number), conn) {
            server.registry.close(clock, Target::Conn(conn), CloseReason::PeerClosed);
        }
        if let Some(returns) = self.settings(client).returns {
            let after = self.random.around(returns.0);
            self.seek_later(client, after);
        }
    }

    /// The same as `seek`, where the client wants nothing until then.
    fn seek_later(&mut self, client: u32, after: Millis) {
        self.seek(client, after);
        self.clients[client as usize].without_since = NEVER;
    }

    /// A client's network goes away: the server is told, or is not.
    pub(crate) fn drop_network(&mut self, client: u32, silent: bool) {
        let record = &mut self.clients[client as usize];
        if record.phase != Phase::Connected {
            return;
        }
        let (number, conn) = (record.server, record.conn);
        let notices = self.settings(client).notices.0;
        if let (Some((clock, server)), Some(conn)) = (self.server(number), conn) {
            server.sockets.becomes(conn, Peer::Silent);
            if !silent {
                let _ = server.registry.disconnect(clock, conn);
            }
        }
        let record = &mut self.clients[client as usize];
        record.without_since = self.now;
        if silent {
            record.phase = Phase::CutOff;
            record.stamp = record.stamp.wrapping_add(1);
            let after = self.random.around(notices);
            self.later(after, EventKind::Notice, client);
        } else {
            let wait = self.back_off(client);
            self.seek(client, wait);
        }
    }

    /// A client stops reading for a while.
    pub(crate) fn stall(&mut self, client: u32) {
        let (number, conn) = self.connection(client);
        let settings = self.settings(client);
        if let (Some((_, server)), Some(conn)) = (self.server(number), conn) {
            server.sockets.becomes(conn, Peer::Stalled);
        }
        let after = self.random.around(settings.stall.0);
        self.later(after, EventKind::ReadOn, client);
    }

    /// It reads on: all that it was behind with, unless it is slow anyway.
    pub(crate) fn read_on(&mut self, client: u32) {
        let (number, conn) = self.connection(client);
        let settings = self.settings(client);
        let Some(conn) = conn else { return };
        let slot = conn.index() as u32;
        match settings.reads {
            Some(rate) => {
                let Some((_, server)) = self.server(number) else { return };
                server.sockets.becomes(conn, Peer::Slow(rate));
                self.read(number, slot, 0);
            }
            None => {
                self.read(number, slot, u64::MAX);
                if let Some((_, server)) = self.server(number) {
                    server.sockets.becomes(conn, Peer::Reads);
                }
            }
        }
        if let Some(stalls) = settings.stalls {
            let after = self.random.around(stalls.0);
            self.later(after, EventKind::Stall, client);
        }
    }

    pub(crate) fn pong(&mut self, client: u32) {
        let (number, conn) = self.connection(client);
        if let (Some((clock, server)), Some(conn)) = (self.server(number), conn) {
            let _ = server.registry.message(clock, conn, Inbound::Pong);
        }
    }

    /// A client that was told to reconnect elsewhere does: it hangs up, and knocks again.
    pub(crate) fn move_on(&mut self, client: u32) {
        let (number, conn) = self.connection(client);
        if let (Some((clock, server)), Some(conn)) = (self.server(number), conn) {
            server.registry.close(clock, Target::Conn(conn), CloseReason::PeerClosed);
        }
        let latency = self.latency();
        self.seek(client, latency);
    }

    /// A close frame has reached a client.
    pub(crate) fn closed(&mut self, client: u32, reason: CloseReason) {
        let record = &mut self.clients[client as usize];
        if record.phase != Phase::Connected {
            return;
        }
        if reason.retry() == Retry::Stop {
            record.phase = Phase::Stopped;
            record.stamp = record.stamp.wrapping_add(1);
            self.tally.groups[record.group as usize].stopped += 1;
            return;
        }
        let wait = self.back_off(client);
        self.seek(client, wait);
    }

    /// A server has dropped a socket without a close. A client that still has it sees it break.
    pub(crate) fn cut(&mut self, client: u32, number: u8, conn: headcount::ConnId) {
        let record = &self.clients[client as usize];
        let is_its_own = record.conn == Some(conn) && record.server == number;
        if is_its_own && record.phase == Phase::Connected {
            let wait = self.back_off(client);
            self.seek(client, wait);
        }
    }

    pub(crate) fn connection(&self, client: u32) -> (u8, Option<headcount::ConnId>) {
        let record = &self.clients[client as usize];
        (record.server, record.conn)
    }

    /// A server that still runs, and what its clock shows.
    pub(crate) fn server(
        &mut self,
        number: u8,
    ) -> Option<(headcount::Timestamp, &mut crate::server::Server)> {
        let server = self.servers.get_mut(number as usize)?.as_mut()?;
        Some((server.clock(self.now), server))
    }
}

fn refusal(refused: Refused) -> Failure {
    let (name, wait) = match refused {
        Refused::Pending => ("too many sockets wait to be admitted", None),
        Refused::Rate { retry_after } => ("too many connects per second", Some(retry_after)),
        Refused::RateOfUser { retry_after } => {
            ("too many connects per second of the user", Some(retry_after))
        }
        Refused::Draining { retry_after } => ("the server drains", Some(retry_after)),
        Refused::ConnectionsPerUser { retry_after } => {
            ("the user has too many connections", Some(retry_after))
        }
        Refused::StreamsPerUser { retry_after } => {
            ("the user has too many streams", Some(retry_after))
        }
        Refused::SessionsPerUser { retry_after } => {
            ("the user has too many sessions", Some(retry_after))
        }
        Refused::Connections => ("the server is full", None),
        Refused::Users => ("the server knows too many users", None),
        Refused::Sessions => ("the server keeps too many sessions", None),
        _ => ("other", None),
    };
    Failure::Refused(name, wait.map_or(0, |wait| wait.as_millis().min(1 << 30) as Millis))
}
