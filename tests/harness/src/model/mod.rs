//! A naive model of the registry: maps, vectors and loops, written from its documentation. It shares no
//! code with the registry.
//!
//! It is an executable specification: it computes the result of every call, every action and notice in
//! their order, every log, cursor, count and deadline, and all are compared for equality. What is no
//! promise it learns from the registry, and checks that it may be: the slots of new connections and
//! sessions, epochs, the jitter of deadlines, and which of several runs or of several logs acts first in
//! one millisecond.

pub(crate) mod absent;
pub(crate) mod admission;
pub(crate) mod budget;
pub(crate) mod closing;
pub(crate) mod compare;
pub(crate) mod conn;
pub(crate) mod delivery;
pub(crate) mod drain;
pub(crate) mod entry;
pub(crate) mod eviction;
pub(crate) mod following;
pub(crate) mod inputs;
pub(crate) mod left_out;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod outbox;
pub(crate) mod own_rates;
pub(crate) mod pause;
pub(crate) mod presence;
pub(crate) mod pressure;
pub(crate) mod reload;
pub(crate) mod requests;
pub(crate) mod run_ends;
pub(crate) mod runs;
pub(crate) mod seat;
pub(crate) mod stream;
pub(crate) mod survey;
pub(crate) mod tally;
pub(crate) mod tenants;
pub(crate) mod tick;
pub(crate) mod timing;
pub(crate) mod turns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use headcount::{
    CloseReason, Config, ConnId, ConnKind, Notice, Position, Pressure, SessionId, Timestamp,
};

use self::absent::Absent;
use self::budget::Evictable;
use self::conn::{Conn, State};
use self::drain::Drain;
use self::names::{Name, Names};
use self::own_rates::OwnRates;
use self::presence::Presence;
use self::runs::Run;
use self::seat::Seat;
use self::stream::Stream;
use self::survey::Departure;
use self::tally::Tally;
use self::tenants::Tenants;
use self::tick::Moment;
use self::turns::Waiting;
use super::marks::Marks;
use super::seen::Source;

/// Whole milliseconds, rounded up: when a deadline acts.
pub(crate) const fn millis_up(at: Timestamp) -> u64 {
    at.as_nanos().div_ceil(1_000_000)
}

/// The same as an instant.
pub(crate) const fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(millis_up(at))
}

/// Whether a deadline acts in a tick at `now`.
pub(crate) const fn due(now: Timestamp, at: Timestamp) -> bool {
    now.as_millis() >= millis_up(at)
}

/// A (user, thread) pair.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Session {
    pub(crate) user: Name,
    pub(crate) thread: Name,
    /// When the last open connection left; `None` while there is one.
    pub(crate) left_at: Option<Timestamp>,
    /// Why the last one left.
    pub(crate) left_for: CloseReason,
    /// How many connections follow it, or did when they closed, and had no `Cleanup`.
    pub(crate) uncleaned: u32,
    /// Ended, and its `Cleanup` was not polled.
    pub(crate) ended: bool,
}

impl Session {
    pub(crate) const fn new(user: Name, thread: Name) -> Self {
        let (left_at, left_for) = (None, CloseReason::PeerGone);
        Self { user, thread, left_at, left_for, uncleaned: 0, ended: false }
    }
}

/// A token bucket. A token takes a whole number of nanoseconds to come in, rounded down; of many that are
/// taken at once the time of all of them is rounded, up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    rate: u64,
    burst: u64,
    /// When nothing is missing any more, in nanoseconds.
    full_at: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Bucket {
    pub(crate) fn new(rate: impl Into<u64>, burst: impl Into<u64>) -> Self {
        Self { rate: rate.into(), burst: burst.into(), full_at: 0 }
    }

    /// Whether nothing is missing.
    pub(crate) const fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= now.as_nanos()
    }

    fn missing(&self, now: Timestamp) -> u64 {
        self.full_at.saturating_sub(now.as_nanos())
    }

    fn pay(&mut self, now: Timestamp, price: u64) {
        self.full_at = self.full_at.max(now.as_nanos()).saturating_add(price);
    }

    /// Takes a token, or tells how long there is none.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        self.take_eighths(now, 8)
    }

    /// The same with a part of a token.
    pub(crate) fn take_eighths(&mut self, now: Timestamp, eighths: u32) -> Result<(), Duration> {
        let Some(token) = SECOND.checked_div(self.rate) else { return Ok(()) };
        let price = token * u64::from(eighths) / 8;
        let lacks = (self.missing(now) + price).saturating_sub(token * self.burst);
        if lacks > 0 {
            return Err(Duration::from_nanos(lacks));
        }
        self.pay(now, price);
        Ok(())
    }

    /// Takes as many of so many tokens as there are, at a rate that is not 0.
    pub(crate) fn take_some(&mut self, now: Timestamp, tokens: u64) -> u64 {
        let (rate, second) = (u128::from(self.rate), u128::from(SECOND));
        let room =
            (u128::from(self.burst) * second / rate).saturating_sub(self.missing(now).into());
        let taken = (room * rate / second).min(tokens.into());
        self.pay(now, (taken * second).div_ceil(rate) as u64);
        taken as u64
    }
}

/// Keeps a list in the order in which its keys came to belong to it: one that belongs to it now stands at
/// the back if it is new, and one that does not is taken out.
pub(crate) fn keep<K: PartialEq>(order: &mut Vec<K>, key: K, belongs: bool) {
    if !belongs {
        order.retain(|other| *other != key);
    } else if !order.contains(&key) {
        order.push(key);
    }
}

/// Takes one of a user's; a user without any is not there.
pub(crate) fn drop_one<K: PartialEq>(of: &mut BTreeMap<Name, Vec<K>>, user: Name, one: K) {
    let own = of.entry(user).or_default();
    own.retain(|other| *other != one);
    if own.is_empty() {
        of.remove(&user);
    }
}

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    pub(crate) names: Names,
    /// The latest stamp so far.
    pub(crate) now: Timestamp,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    /// The open ones of each user who has any, in the order in which they were admitted.
    pub(crate) open_of: BTreeMap<Name, Vec<ConnId>>,
    /// The sessions of each user who has any that has not ended, in the order in which they were created.
    pub(crate) going_of: BTreeMap<Name, Vec<SessionId>>,
    /// Those in their close handshake, in the order in which it began.
    pub(crate) closing: Vec<ConnId>,
    /// Signs of life of pending connections so far.
    pub(crate) lives: u64,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) streams: BTreeMap<Source, Stream>,
    /// Runs that are open or remembered, in the order in which they were opened.
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) run_number: u64,
    /// What waits to be polled.
    pub(crate) waiting: Waiting,
    /// Whose entries go first for a budget.
    pub(crate) evictable: Evictable,
    pub(crate) bucket: Bucket,
    pub(crate) own_rates: OwnRates,
    /// How often each user was forgotten.
    pub(crate) forgotten: BTreeMap<Name, u64>,
    /// The user who is about to have a connection or a session more.
    pub(crate) held: Option<Name>,
    /// The level that was acted on last, of each user who is here.
    pub(crate) pressure: BTreeMap<Name, Pressure>,
    pub(crate) drain: Option<Drain>,
    /// Who makes room for newcomers.
    pub(crate) absent: Absent,
    /// Who is online, as far as it was said.
    pub(crate) presence: Presence,
    pub(crate) tenants: Tenants,
    /// The capped counts when a reload lowered the caps. A count may stay above its new cap, and must not
    /// grow.
    pub(crate) counts_at_reload: [usize; 5],
    /// The moment of the last deadline that acted.
    pub(crate) acted_last: Moment,
    pub(crate) tally: Tally,
    pub(crate) notices: VecDeque<Notice>,
    /// Who has closed since the last comparison.
    pub(crate) departures: Vec<Departure>,
    /// How many the ring of the closed keeps.
    pub(crate) remembered: usize,
    /// Every epoch that there was: none may come twice.
    pub(crate) epochs: BTreeSet<u64>,
    /// What was seen so far.
    pub(crate) marks: Marks,
    /// The first handle that was seen: serials begin anywhere, and wrap.
    pub(crate) first: Option<u32>,
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            bucket: Bucket::new(config.connect_rate(), config.connect_burst()),
            own_rates: OwnRates::default(),
            forgotten: BTreeMap::new(),
            held: None,
            config,
            names: Names::default(),
            now: Timestamp::ZERO,
            pressure: BTreeMap::new(),
            drain: None,
            absent: Absent::default(),
            presence: Presence::default(),
            tenants: Tenants::default(),
            counts_at_reload: [0; 5],
            acted_last: Moment::default(),
            conns: BTreeMap::new(),
            open_of: BTreeMap::new(),
            going_of: BTreeMap::new(),
            closing: Vec::new(),
            lives: 0,
            sessions: BTreeMap::new(),
            streams: BTreeMap::new(),
            runs: BTreeMap::new(),
            run_number: 0,
            waiting: Waiting::default(),
            evictable: Evictable::default(),
            tally: Tally::default(),
            notices: VecDeque::new(),
            departures: Vec::new(),
            remembered: 0,
            epochs: BTreeSet::new(),
            marks: Marks::default(),
            first: None,
        }
    }

    pub(crate) fn conn_mut(&mut self, id: ConnId) -> &mut Conn {
        self.find_mut(id).expect("a connection that is there")
    }

    /// A connection, to be changed: what the registry said of its next deadline holds no longer.
    pub(crate) fn find_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let conn = self.conns.get_mut(&id)?;
        conn.next = None;
        Some(conn)
    }

    pub(crate) fn session_mut(&mut self, id: SessionId) -> &mut Session {
        self.sessions.get_mut(&id).expect("a session that is there")
    }

    pub(crate) fn seat_mut(&mut self, id: ConnId, source: &Source) -> &mut Seat {
        self.stream_mut(source).seat_mut(id).expect("a member of the stream")
    }

    pub(crate) fn stream_mut(&mut self, source: &Source) -> &mut Stream {
        self.streams.get_mut(source).expect("a stream that is there")
    }

    /// Notes a fact, if there is room for it.
    pub(crate) fn notice(&mut self, notice: Notice) {
        if self.notices.len() < self.config.notices() as usize {
            self.notices.push_back(notice);
        } else {
            self.tally.notices_lost += 1;
        }
    }

    /// A connection that calls know: not `Gone`.
    pub(crate) fn known(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id).filter(|conn| conn.state != State::Gone)
    }

    pub(crate) fn open_conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id).filter(|conn| conn.is_open())
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = ConnId> {
        self.conns.iter().filter(|(_, conn)| conn.is_open()).map(|(id, _)| *id)
    }

    /// Admitted ones whose `Cleanup` was not polled.
    pub(crate) fn live(&self) -> usize {
        self.conns.values().filter(|conn| conn.admitted.is_some()).count()
    }

    /// Those in their close handshake that were admitted, or were not.
    pub(crate) fn still_closing(&self, admitted: bool) -> impl Iterator<Item = ConnId> {
        let closing = self.closing.iter().copied();
        closing.filter(move |id| self.conns[id].admitted.is_some() == admitted)
    }

    /// A handle was made.
    pub(crate) fn note_handle(&mut self, bits: u64) {
        self.first.get_or_insert((bits >> 32) as u32);
    }

    /// The place of a handle in the order in which handles were made.
    pub(crate) fn made(&self, bits: u64) -> u32 {
        ((bits >> 32) as u32).wrapping_sub(self.first.unwrap_or(0))
    }

    /// Those that wait to be admitted.
    pub(crate) fn pending(&self) -> impl Iterator<Item = ConnId> {
        self.conns.iter().filter(|(_, conn)| conn.state == State::Pending).map(|(id, _)| *id)
    }

    /// Sessions that have not ended.
    pub(crate) fn going(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().filter(|(_, it)| !it.ended).map(|(id, session)| (*id, session))
    }

    /// Connections of a session whose `Cleanup` was not polled, closing ones included.
    pub(crate) fn uncleaned(&self, session: SessionId) -> impl Iterator<Item = &Conn> {
        self.conns.values().filter(move |conn| conn.sessions.contains(&session))
    }

    /// The open runs of a session, in the order in which they were opened.
    pub(crate) fn open_runs(&self, session: SessionId) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values().filter(move |run| run.session == session && run.is_open())
    }

    /// Whether nothing but its linger keeps a session: neither a connection nor an open run.
    pub(crate) fn is_left(&self, session: SessionId) -> bool {
        self.sessions[&session].left_at.is_some() && self.open_runs(session).next().is_none()
    }

    pub(crate) fn session_of(&self, user: Name, thread: Name) -> Option<SessionId> {
        let mut of_user = self.going_of.get(&user)?.iter().copied();
        of_user.find(|id| self.sessions[id].thread == thread)
    }

    /// A user's sessions that have not ended, the oldest first.
    pub(crate) fn sessions_of(&self, user: Name) -> Vec<SessionId> {
        self.going_of.get(&user).cloned().unwrap_or_default()
    }

    /// Those who have a session or an open connection, are about to have one, or may come back.
    pub(crate) fn users(&self) -> BTreeSet<Name> {
        self.going_of.keys().copied().chain(self.online_users()).chain(self.held).collect()
    }

    /// Whether a user is one of these.
    pub(crate) fn is_user(&self, user: Name) -> bool {
        self.going_of.contains_key(&user) || self.is_online(user) || self.held == Some(user)
    }

    /// A user's open connections: sockets, then event streams, each in the order in which they were admitted.
    pub(crate) fn open_of_user(&self, user: Name) -> Vec<ConnId> {
        let mut open = self.open_of_kind(user, ConnKind::Socket);
        open.extend(self.open_of_kind(user, ConnKind::EventStream));
        open
    }

    pub(crate) fn open_of_kind(&self, user: Name, kind: ConnKind) -> Vec<ConnId> {
        let open = self.open_of.get(&user).into_iter().flatten().copied();
        open.filter(|id| self.conns[id].kind == kind).collect()
    }

    /// How many sessions a user's open connections follow beyond the first of each.
    pub(crate) fn further(&self, user: Name) -> usize {
        let open = self.open_of_user(user);
        open.iter().map(|id| self.conns[id].sessions.len().saturating_sub(1)).sum()
    }

    /// The members of a stream, in the order in which they are served.
    pub(crate) fn members(&self, source: &Source) -> Vec<ConnId> {
        let seats = self.streams.get(source).map(|stream| stream.seats.as_slice());
        seats.unwrap_or_default().iter().map(|seat| seat.conn).collect()
    }

    /// Where a member is in a stream.
    pub(crate) fn place_in(&self, source: &Source, id: ConnId) -> Position {
        let stream = &self.streams[source];
        let offset = stream.seat(id).map_or(0, |seat| seat.cursor);
        Position { epoch: stream.epoch, offset }
    }

    pub(crate) fn rooms(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values().filter(|stream| matches!(stream.source, Source::Room(_)))
    }

    /// How many there are of what a lowered cap leaves in place: live connections, sessions, these and
    /// the ended ones, users, rooms.
    pub(crate) fn capped_counts(&self) -> [usize; 5] {
        let sessions = (self.going().count(), self.sessions.len());
        [self.live(), sessions.0, sessions.1, self.users().len(), self.rooms().count()]
    }
}
