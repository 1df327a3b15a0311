//! The registry, its model, and all the handles and names that operations resolve to.

use core::fmt::Debug;
use core::num::NonZeroU32;
use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeSet;

use headcount::{
    CloseReason, CloseWith, CloseWords, Config, ConnId, ConnKind, Except, Position, Principal,
    Registry, RoomId, RunId, SessionId, Start, ThreadId, Timestamp, UserId,
};

use super::grammar::Grammar;
use super::marks::Marks;
use super::memory::Watched;
use super::model::Model;
use super::model::names::Name;
use super::op::{self, Arrival, Pick, Since};
use super::seen::{Seen, Source};
use super::settings::Population;

/// How many tenants there are names of: with fewer than users, some users share one.
const TENANTS: u8 = 2;

/// Names of one kind.
fn all<T: FromStr<Err: Debug>>(kind: &str, count: u8) -> Vec<T> {
    let names = (0..count).map(|number| format!("{kind}-{number}"));
    names.map(|name| name.parse().expect("a fine name")).collect()
}

/// One history under way: a registry, its model, and a checker of what comes out.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) registry: Watched,
    pub(crate) model: Model,
    pub(crate) grammar: Grammar,
    /// Of names that the model numbers from 0 on.
    population: Population,
    pub(crate) rooms: Vec<RoomId>,
    /// Names of runs. Each user may have a run of each.
    runs: Vec<RunId>,
    /// The driver's clock.
    pub(crate) now: Timestamp,
    /// How late the next stamp is, in milliseconds.
    pub(crate) skew: u64,
    /// Every handle there ever was, in the order of their making.
    pub(crate) conns: Vec<ConnId>,
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) transcript: Vec<Seen>,
    /// How many payloads were made: each is another where its length allows.
    pub(crate) payloads: u64,
}

impl World {
    /// A registry to which nothing has happened.
    #[must_use]
    pub fn new(config: Config, population: Population) -> Self {
        Self::around(|| Registry::new(config), population)
    }

    /// The same with a registry that somebody else makes, to which nothing has happened either.
    #[must_use]
    pub fn around(make: impl FnOnce() -> Registry, population: Population) -> Self {
        let registry = Watched::new(make);
        let config = registry.config().clone();
        let (rooms, runs) = (all("room", population.rooms), all("run", population.runs));
        let mut model = Model::new(config.clone());
        let names = &mut model.names;
        for tenant in all("tenant", TENANTS) {
            names.tenants.number(&tenant);
        }
        names.asked.rooms.extend(rooms.iter().cloned());
        for user in all("user", population.users) {
            let user = names.user(&user);
            names.asked.runs.extend(runs.iter().map(|run: &RunId| (user, run.clone())));
            for thread in all("thread", population.threads) {
                names.thread(user, &thread);
            }
        }
        Self {
            grammar: Grammar::new(config.fanout_chunk()),
            model,
            registry,
            population,
            rooms,
            runs,
            // Not a whole millisecond, and late enough for stamps to be late.
            now: Timestamp::from_nanos(1_234_567_891),
            skew: 0,
            conns: Vec::new(),
            sessions: Vec::new(),
            transcript: Vec::new(),
            payloads: 0,
        }
    }

    /// The registry, to look at.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The registry, for calls that the model need not know of.
    pub fn registry_mut(&mut self) -> &mut Registry {
        self.registry.call(|registry| registry)
    }

    /// Every handle of a connection that there ever was, in the order of their making.
    #[must_use]
    pub fn conns(&self) -> &[ConnId] {
        &self.conns
    }

    /// Every action that was polled, in order.
    #[must_use]
    pub fn transcript(&self) -> &[Seen] {
        &self.transcript
    }

    /// Which rare situations the history has met so far.
    #[must_use]
    pub const fn marks(&self) -> &Marks {
        &self.model.marks
    }

    /// How many parts everything is compared in.
    pub(crate) fn parts(&self) -> u64 {
        let (model, asked) = (&self.model, &self.model.names.asked);
        let named = asked.users.len() + asked.threads.len() + asked.runs.len() + asked.rooms.len();
        let handles = self.conns.len() + self.sessions.len();
        (named + handles + model.streams.len() + model.runs.len()) as u64
    }

    /// The users that comparisons ask for.
    pub(crate) fn names_of_users(&self) -> impl Iterator<Item = &UserId> {
        let users = self.model.names.asked.users.iter();
        users.map(|user| self.model.names.users.name(*user))
    }

    /// Asks no more for what is gone, and was asked for while it was.
    pub(crate) fn forget_gone(&mut self) {
        let model = &mut self.model;
        self.conns.retain(|id| model.conns.contains_key(id));
        self.sessions.retain(|id| model.sessions.contains_key(id));
        let mut asked = core::mem::take(&mut model.names.asked);
        let (users, runs) = (model.counted_users(), model.runs.values());
        let runs: BTreeSet<_> = runs.map(|run| (run.user, &run.id)).collect();
        asked.users.retain(|user| users.contains(user));
        asked.threads.retain(|(user, thread)| model.session_of(*user, *thread).is_some());
        asked.runs.retain(|(user, run)| runs.contains(&(*user, run)));
        asked.rooms.retain(|room| model.streams.contains_key(&Source::Room(room.clone())));
        model.names.asked = asked;
    }

    /// The stamp of the next call.
    pub(crate) fn stamp(&mut self) -> Timestamp {
        let late = core::mem::take(&mut self.skew) * 1_000_000;
        Timestamp::from_nanos(self.now.as_nanos().saturating_sub(late))
    }

    fn choose(pick: Pick, open: &[u64], known: &[u64], all: &[u64]) -> Option<u64> {
        let (Pick::Known(number) | Pick::Open(number) | Pick::Newest(number) | Pick::Ever(number)) =
            pick;
        let among = match pick {
            Pick::Open(_) if !open.is_empty() => open,
            Pick::Known(_) | Pick::Open(_) | Pick::Newest(_) if !known.is_empty() => known,
            _ => all,
        };
        let place = usize::from(number).checked_rem(among.len())?;
        let newest = matches!(pick, Pick::Newest(_));
        let place = if newest { among.len() - 1 - place } else { place };
        // The same slot, but another tenant.
        let forged = matches!(pick, Pick::Ever(_)) && number % 8 == 7;
        Some(among[place] ^ u64::from(forged) << 40)
    }

    /// A handle of a connection; before there was one, a handle that nobody was ever given.
    pub(crate) fn conn(&self, pick: Pick) -> ConnId {
        let known: Vec<_> = self.model.conns.keys().map(|id| id.to_bits()).collect();
        let all: Vec<_> = self.conns.iter().map(|id| id.to_bits()).collect();
        let open: Vec<_> = self.model.open().map(ConnId::to_bits).collect();
        let bits = Self::choose(pick, &open, &known, &all).unwrap_or(77 << 32);
        ConnId::from_bits(bits).expect("a serial above zero")
    }

    /// A handle of a session, in the same way.
    pub(crate) fn session(&self, pick: Pick) -> SessionId {
        let known: Vec<_> = self.model.sessions.keys().map(|id| id.to_bits()).collect();
        let all: Vec<_> = self.sessions.iter().map(|id| id.to_bits()).collect();
        let bits = Self::choose(pick, &known, &known, &all).unwrap_or(78 << 32);
        SessionId::from_bits(bits).expect("a serial above zero")
    }

    /// The user that a number stands for.
    pub(crate) fn user(&self, number: u8) -> Name {
        (number % self.population.users).into()
    }

    pub(crate) fn user_name(&self, user: Name) -> UserId {
        self.model.names.users.name(user).clone()
    }

    pub(crate) fn thread(&self, number: u8) -> Name {
        (number % self.population.threads).into()
    }

    pub(crate) fn thread_name(&self, number: u8) -> ThreadId {
        self.model.names.threads.name(self.thread(number)).clone()
    }

    pub(crate) fn room(&self, number: u8) -> RoomId {
        self.rooms[usize::from(number) % self.rooms.len()].clone()
    }

    pub(crate) fn run(&self, number: u8) -> RunId {
        self.runs[usize::from(number) % self.runs.len()].clone()
    }

    /// Who comes, with names, a label and limits of their own.
    pub(crate) fn principal(&self, arrival: &Arrival) -> Principal {
        let mut who = Principal::new(self.user_name(self.user(arrival.user)));
        if let Some(thread) = Self::names_thread(arrival) {
            who = who.with_thread(self.thread_name(thread));
        }
        if arrival.event_stream {
            who = who.with_kind(ConnKind::EventStream);
        }
        if let Some(tenant) = arrival.tenant {
            let tenant = self.model.names.tenants.name((tenant % TENANTS).into());
            who = who.with_tenant(tenant.clone());
        }
        if let Some(label) = arrival.label {
            who = who.with_label(Self::label(label)).expect("a short label");
        }
        if let Some(number) = arrival.expiry {
            who = who.with_expiry(self.expiry(number));
        }
        if let Some(number) = arrival.limit {
            let limit = NonZeroU32::MIN.saturating_add(u32::from(number % 4));
            who = who.with_max_connections(limit);
        }
        who
    }

    /// The thread that a principal names.
    pub(crate) const fn names_thread(arrival: &Arrival) -> Option<u8> {
        if arrival.thread < 200 { Some(arrival.thread) } else { None }
    }

    /// One of a few labels.
    pub(crate) fn label(number: u8) -> String {
        match number % 8 {
            7 => "l".repeat(128),
            0 => String::new(),
            some => format!("device-{some}"),
        }
    }

    /// When credentials expire, given as a number: soon, late, or long ago.
    pub(crate) fn expiry(&self, number: u8) -> Timestamp {
        match number {
            0 => Timestamp::ZERO,
            1..=9 => self.now,
            _ => self.now + Duration::from_millis(u64::from(number) * u64::from(number)),
        }
    }

    pub(crate) fn except(&self, except: op::Except) -> Except {
        match except {
            op::Except::Connection(pick) => Except::Connection(self.conn(pick)),
            op::Except::Session(pick) => Except::Session(self.conn(pick)),
            op::Except::User(pick) => Except::User(self.conn(pick)),
        }
    }

    /// The reason of a close, or words from the first code with an empty text to the last with the
    /// longest. Not the reason that the registry counts by itself.
    pub(crate) fn close_with(number: u8) -> CloseWith {
        if let Some(words @ 0..=30) = number.checked_sub(225).map(u16::from) {
            let text = "w".repeat(usize::from(words * 41 / 10));
            return CloseWords::new(4000 + words * 399 / 30, &text).expect("words").into();
        }
        let reason = CloseReason::ALL[usize::from(number) % CloseReason::ALL.len()];
        CloseWith::Reason(match reason {
            CloseReason::PongTimeout => CloseReason::Application,
            reason => reason,
        })
    }

    /// Lengths at which something changes, and a few that are just small.
    pub(crate) fn size(&self, number: u8) -> usize {
        let config = self.model.config.clone();
        let (window, reply_reserve) = (config.send_window(), config.reply_reserve());
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
            12 => reply_reserve.saturating_sub(overhead),
            13 => config.stream_bytes().saturating_sub(overhead),
            14 => config.room_bytes(),
            _ => config.stream_bytes().max(config.room_bytes()) + 1,
        };
        // Large enough for every bound that is small; the others are not worth the copying.
        bytes.min(3_000) as usize
    }

    /// A payload that is equal to no other, as far as its length allows.
    pub(crate) fn payload(&mut self, bytes: usize) -> String {
        self.payloads += 1;
        format!("{:08x}", self.payloads).chars().cycle().take(bytes).collect()
    }

    /// Where a client begins in a stream.
    pub(crate) fn start(&self, since: Since, source: Option<&Source>) -> Start {
        match since {
            Since::Fresh => Start::OpenRuns,
            Since::Now => Start::Now,
            Since::Recent => Start::Recent,
            Since::Run(run) => Start::Run(self.run(run)),
            Since::Kept => Start::Kept,
            _ => self.since(since, source).map_or(Start::OpenRuns, Start::After),
        }
    }

    /// The position that a client claims to have seen of a stream.
    pub(crate) fn since(&self, since: Since, source: Option<&Source>) -> Option<Position> {
        let stream = source.and_then(|source| self.model.streams.get(source));
        let (epoch, head) = stream.map_or((12_345, 3), |stream| (stream.epoch, stream.head()));
        let (epoch, offset) = match since {
            Since::Fresh | Since::Now | Since::Recent | Since::Run(_) | Since::Kept => return None,
            Since::Unseen => (0, u64::MAX),
            Since::Head => (epoch, head),
            Since::Behind(some) => (epoch, head.saturating_sub(some.into())),
            Since::Beyond(some) => (epoch, head + 1 + u64::from(some)),
            Since::Foreign(some) => (epoch ^ 1, some.into()),
            Since::Zero => (epoch, 0),
            Since::Last => (epoch, u64::MAX),
        };
        Some(Position { epoch, offset })
    }
}
