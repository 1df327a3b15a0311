//! What it costs to write a journal: the same turns of a busy server at 10,000 connections, without a
//! journal, with one, and with one that has names and payloads. They take turns in one run, so that a
//! noisy machine is noisy for all of them, and what is printed is the ratio.

use core::hint::black_box;
use core::time::Duration;
use std::time::Instant;

use headcount::{
    Action, Config, ConnId, Inbound, Message, Principal, Registry, RoomId, Start, Target, ThreadId,
    Timestamp, UserId,
};
use headcount_journal::{Recorder, Recording};

const CONNECTIONS: u32 = 10_000;
/// Connections of one user, in one session.
const TABS: u32 = 2;
/// How many connections are in each room.
const MEMBERS: usize = 100;
const PAYLOAD: &[u8] = &[b'x'; 200];

/// A name as long as a UUID, and as good as random in its first bytes.
fn name(number: u32) -> String {
    format!("{:08x}-0000-4000-8000-{number:012x}", number.wrapping_mul(0x9E37_79B9))
}

struct Member {
    conn: ConnId,
    /// The cost of all that was handed out to it.
    total: u64,
}

struct Server {
    registry: Registry,
    now: Timestamp,
    users: Vec<UserId>,
    rooms: Vec<RoomId>,
    members: Vec<Member>,
    /// Who has something to flush, by slot.
    dirty: Vec<u32>,
    /// What was flushed in a turn.
    reports: Vec<(ConnId, u64)>,
    turns: usize,
    recorded_bytes: usize,
}

impl Server {
    fn new(recording: Option<Recording>) -> Self {
        let config = Config::builder(1)
            .connect_rate(0)
            .connect_rate_per_user(0)
            .message_rate(0)
            .build()
            .unwrap();
        let registry = match recording {
            Some(recording) => Recorder::registry(config, recording),
            None => Registry::new(config),
        };
        let users = (0..CONNECTIONS / TABS).map(|number| UserId::new(name(number)).unwrap());
        let rooms = (0..CONNECTIONS as usize / MEMBERS)
            .map(|number| RoomId::new(format!("room {number}")).unwrap());
        let mut server = Self {
            registry,
            now: Timestamp::from_secs(1),
            users: users.collect(),
            rooms: rooms.collect(),
            members: Vec::new(),
            dirty: Vec::new(),
            reports: Vec::new(),
            turns: 0,
            recorded_bytes: 0,
        };
        for number in 0..CONNECTIONS {
            let conn = server.arrive(number / TABS);
            server.members.push(Member { conn, total: 0 });
            let room = &server.rooms[number as usize % server.rooms.len()];
            server.registry.join(server.now, conn, room, Start::Now).unwrap();
            server.finish_turn();
        }
        server
    }

    fn arrive(&mut self, user: u32) -> ConnId {
        let conn = self.registry.reserve(self.now, None).unwrap();
        let who = Principal::new(self.users[user as usize].clone())
            .with_thread(ThreadId::new(name(user)).unwrap());
        self.registry.connect(self.now, conn, who, Start::OpenRuns, None).unwrap();
        conn
    }

    /// What one wake-up of a busy loop brings: ten messages that came in, each told to the tabs of
    /// another user, one to a room, and now and then a client that goes and comes back.
    fn turn(&mut self) {
        self.turns += 1;
        self.now += Duration::from_micros(200);
        for number in 0..10 {
            let place = (self.turns * 10 + number).wrapping_mul(7_919) % self.members.len();
            let conn = self.members[place].conn;
            let _ = self.registry.message(self.now, conn, Inbound::Data { bytes: 64 });
            let user = &self.users[(place * 31) % self.users.len()];
            self.registry.send(self.now, Target::User(user), Message::binary(PAYLOAD));
        }
        let room = &self.rooms[self.turns % self.rooms.len()];
        self.registry.send(self.now, Target::Room(room), Message::binary(PAYLOAD));
        if self.turns.is_multiple_of(10) {
            let place = self.turns.wrapping_mul(104_729) % self.members.len();
            let gone = self.members[place].conn;
            self.registry.disconnect(self.now, gone).unwrap();
            self.finish_turn();
            let conn = self.arrive(place as u32 / TABS);
            self.members[conn.index()] = Member { conn, total: 0 };
            let room = &self.rooms[place % self.rooms.len()];
            self.registry.join(self.now, conn, room, Start::Now).unwrap();
        }
        self.finish_turn();
    }

    fn finish_turn(&mut self) {
        self.registry.tick(self.now);
        while let Some(action) = self.registry.poll_action() {
            let cost = action.cost();
            if let Action::Send { to, .. } = &action {
                for conn in *to {
                    let member = &mut self.members[conn.index()];
                    member.total += cost;
                    self.dirty.push(conn.index() as u32);
                }
            }
            black_box(&action);
        }
        for slot in self.dirty.drain(..) {
            let Member { conn, total } = self.members[slot as usize];
            self.reports.push((conn, total));
        }
        self.registry.flushed_many(self.now, &self.reports, |_, _| {});
        self.reports.clear();
        while self.registry.poll_notice().is_some() {}
        let recorder = self.registry.tap_mut::<Recorder>();
        self.recorded_bytes += recorder.map_or(0, |recorder| black_box(recorder.take()).len());
    }
}

/// Turns that are timed together, and how often each kind of server is timed.
const TURNS: usize = 50;
const ROUNDS: usize = 400;

fn main() {
    let kinds = [
        ("without a journal", None),
        ("with a journal", Some(Recording::new(1))),
        ("with names and payloads", Some(Recording::new(1).with_names().with_payloads())),
    ];
    let mut servers = kinds.clone().map(|(_, recording)| Server::new(recording));
    let mut times = kinds.clone().map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (server, times) in servers.iter_mut().zip(&mut times) {
            let began = Instant::now();
            for _ in 0..TURNS {
                server.turn();
            }
            times.push(began.elapsed());
        }
    }
    // Whatever else the machine does only ever adds: the fastest tenth is nearest to the cost.
    let cost = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 10].as_secs_f64() / TURNS as f64
    });
    for ((what, _), (server, cost_now)) in kinds.iter().zip(servers.iter().zip(cost)) {
        println!(
            "{what:24} {:7.2} µs a turn, ratio {:.3}, {:5} bytes a turn",
            cost_now * 1e6,
            cost_now / cost[0],
            server.recorded_bytes / server.turns,
        );
    }
}
