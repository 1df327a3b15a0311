//! The registry, its model, and all the handles and names that operations resolve to.

use core::time::Duration;

use headcount::{
    Class, CloseReason, Config, ConnId, Key, Message, Position, Principal, Registry, RoomId, RunId,
    SessionId, Target, ThreadId, Timestamp, UserId,
};

use super::grammar::Grammar;
use super::model::Model;
use super::model::closing::Audience;
use super::op::{self, Pick, Since, To};
use super::seen::{Seen, Source};
use super::settings::Population;

/// All names that a history uses.
#[derive(Clone, Debug)]
pub struct Names {
    pub users: Vec<UserId>,
    pub threads: Vec<ThreadId>,
    pub rooms: Vec<RoomId>,
    /// Nobody has this name.
    pub stranger: UserId,
    /// Names of runs. Each user may have a run of each.
    pub runs: Vec<RunId>,
}

impl Names {
    fn new(population: Population) -> Self {
        let users = (0..population.users).map(|number| format!("user-{number}"));
        let threads = (0..population.threads).map(|number| format!("thread-{number}"));
        let rooms = (0..population.rooms).map(|number| format!("room-{number}"));
        let runs = (0..population.runs).map(|number| format!("run-{number}"));
        Self {
            stranger: UserId::new("stranger").expect("a fine name"),
            runs: runs.map(|name| RunId::new(name).expect("a fine name")).collect(),
            users: users.map(|name| UserId::new(name).expect("a fine name")).collect(),
            threads: threads.map(|name| ThreadId::new(name).expect("a fine name")).collect(),
            rooms: rooms.map(|name| RoomId::new(name).expect("a fine name")).collect(),
        }
    }
}

/// One history under way.
#[derive(Clone, Debug)]
pub struct World {
    pub registry: Registry,
    pub model: Model,
    pub grammar: Grammar,
    pub names: Names,
    /// The driver's clock.
    pub now: Timestamp,
    /// How late the next stamp is, in milliseconds.
    pub skew: u64,
    /// Every handle there ever was, in the order of their making.
    pub conns: Vec<ConnId>,
    pub sessions: Vec<SessionId>,
    /// Every action that was polled.
    pub transcript: Vec<Seen>,
    /// How many messages were made: each has a payload of its own where its length allows.
    pub messages: u64,
}

impl World {
    pub fn new(config: Config, population: Population) -> Self {
        Self {
            grammar: Grammar::new(config.fanout_chunk()),
            model: Model::new(config.clone()),
            registry: Registry::new(config),
            names: Names::new(population),
            // Not a whole millisecond, and late enough for stamps to be late.
            now: Timestamp::from_nanos(1_234_567_891),
            skew: 0,
            conns: Vec::new(),
            sessions: Vec::new(),
            transcript: Vec::new(),
            messages: 0,
        }
    }

    /// The stamp of the next call.
    pub fn stamp(&mut self) -> Timestamp {
        self.model.promised = self.registry.poll_timeout();
        let late = core::mem::take(&mut self.skew) * 1_000_000;
        Timestamp::from_nanos(self.now.as_nanos().saturating_sub(late))
    }

    fn choose(pick: Pick, open: &[u64], known: &[u64], all: &[u64]) -> Option<u64> {
        let among = match pick.kind() {
            1 if !open.is_empty() => open,
            0..=2 if !known.is_empty() => known,
            _ => all,
        };
        let number = pick.number().checked_rem(among.len())?;
        let place = if pick.kind() == 2 { among.len() - 1 - number } else { number };
        // The same slot, but another tenant.
        let forged = u64::from(pick.kind() == 3 && pick.number() % 8 == 7) << 40;
        Some(among[place] ^ forged)
    }

    /// A handle of a connection; before there was one, a handle that nobody was ever given.
    pub fn conn(&self, pick: Pick) -> ConnId {
        let known: Vec<_> = self.model.conns.keys().map(|id| id.to_bits()).collect();
        let all: Vec<_> = self.conns.iter().map(|id| id.to_bits()).collect();
        let open: Vec<_> = self.model.open().map(|conn| conn.id.to_bits()).collect();
        let bits = Self::choose(pick, &open, &known, &all).unwrap_or(77 << 32);
        ConnId::from_bits(bits).expect("a serial above zero")
    }

    /// A handle of a session, in the same way.
    pub fn session(&self, pick: Pick) -> SessionId {
        let known: Vec<_> = self.model.sessions.keys().map(|id| id.to_bits()).collect();
        let all: Vec<_> = self.sessions.iter().map(|id| id.to_bits()).collect();
        let bits = Self::choose(pick, &known, &known, &all).unwrap_or(78 << 32);
        SessionId::from_bits(bits).expect("a serial above zero")
    }

    pub fn user(&self, number: u8) -> u8 {
        number % self.names.users.len() as u8
    }

    pub fn thread(&self, number: u8) -> u8 {
        number % self.names.threads.len() as u8
    }

    pub fn room(&self, number: u8) -> RoomId {
        self.names.rooms[usize::from(number) % self.names.rooms.len()].clone()
    }

    pub fn run(&self, number: u8) -> RunId {
        self.names.runs[usize::from(number) % self.names.runs.len()].clone()
    }

    pub fn principal(&self, user: u8, thread: u8) -> Principal {
        let user = self.names.users[usize::from(user)].clone();
        Principal::new(user, self.names.threads[usize::from(thread)].clone())
    }

    /// When credentials expire, given as a number: soon, late, or long ago.
    pub fn expiry(&self, number: u8) -> Timestamp {
        match number {
            0 => Timestamp::ZERO,
            1..=9 => self.now,
            _ => self.now + Duration::from_millis(u64::from(number) * u64::from(number)),
        }
    }

    pub fn audience(&self, to: To) -> Audience {
        match to {
            To::Conn(pick) => Audience::Conn(self.conn(pick)),
            To::Session(pick) => Audience::Session(self.session(pick)),
            To::User(user) => Audience::User(self.user(user)),
            To::Room(room) => Audience::Room(self.room(room)),
            To::Thread(user, thread) => {
                let (user, thread) = (self.user(user), self.thread(thread));
                self.model.session_of(user, thread).map_or(Audience::Nobody, Audience::Session)
            }
            To::Run(user, run) => {
                let (user, run) = (self.user(user), self.run(run));
                self.model.session_of_run(user, &run).map_or(Audience::Nobody, Audience::Session)
            }
            To::Everyone => Audience::Everyone,
        }
    }

    pub fn target<'a>(names: &'a Names, audience: &'a Audience) -> Target<'a> {
        match audience {
            Audience::Conn(id) => Target::Conn(*id),
            Audience::Session(id) => Target::Session(*id),
            Audience::User(user) => Target::User(&names.users[usize::from(*user)]),
            Audience::Room(room) => Target::Room(room),
            Audience::Everyone => Target::Everyone,
            // As good as nobody: no user has this name.
            Audience::Nobody => Target::User(&names.stranger),
        }
    }

    /// The reason of a close. Not the one that the registry counts by itself.
    pub fn reason(number: u8) -> CloseReason {
        let reason = CloseReason::ALL[usize::from(number) % CloseReason::ALL.len()];
        if reason == CloseReason::PongTimeout { CloseReason::Application } else { reason }
    }

    /// Lengths at which something changes, and a few that are just small.
    pub fn size(&self, number: u8) -> usize {
        let config = self.model.config.clone();
        let (window, lane) = (config.window(), config.lane());
        let overhead = headcount::MESSAGE_OVERHEAD;
        let bytes = match number % 16 {
            0 => 0,
            small @ 1..=5 => u64::from(small) * 9,
            6 => window / 4,
            7 => window / 2,
            8 => (window / 2).saturating_sub(overhead),
            9 => window.saturating_sub(overhead),
            10 => window.saturating_sub(overhead) + 1,
            11 => window * 2,
            12 => lane.saturating_sub(overhead),
            13 => config.stream_bytes().saturating_sub(overhead),
            14 => config.room_bytes(),
            _ => config.stream_bytes().max(config.room_bytes()) + 1,
        };
        // Large enough for every bound that is small; the others are not worth the copying.
        bytes.min(3_000) as usize
    }

    /// A message that is equal to no other, as far as its length allows.
    pub fn message(
        &mut self,
        bytes: usize,
        text: bool,
        except: Option<ConnId>,
        class: Class,
    ) -> Message {
        self.messages += 1;
        let number = format!("{:08x}", self.messages);
        let payload: String = number.chars().cycle().take(bytes).collect();
        let message = if text { Message::text(payload) } else { Message::binary(payload) };
        let message = message.class(class);
        match except {
            Some(conn) => message.except(conn),
            None => message,
        }
    }

    pub fn class(class: op::Class) -> Class {
        match class {
            op::Class::Critical => Class::Critical,
            op::Class::Latest(key) => {
                Class::Latest(Key::new(format!("key-{key}")).expect("a fine key"))
            }
            op::Class::Droppable => Class::Droppable,
        }
    }

    /// The position that a client claims to have seen of a stream.
    pub fn since(&self, since: Since, source: Option<&Source>) -> Option<Position> {
        let stream = source.and_then(|source| self.model.streams.get(source));
        let (epoch, head) = stream.map_or((12_345, 3), |stream| (stream.epoch, stream.head()));
        let offset = match since {
            Since::Fresh => return None,
            Since::Head => head,
            Since::Behind(some) => head.saturating_sub(some.into()),
            Since::Beyond(some) => head + 1 + u64::from(some),
            Since::Foreign(some) => {
                return Some(Position { epoch: epoch ^ 1, offset: some.into() });
            }
            Since::Zero => 0,
            Since::Last => u64::MAX,
        };
        Some(Position { epoch, offset })
    }
}
