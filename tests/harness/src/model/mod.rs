//! A naive model of the registry: maps, vectors and loops, written from its documentation.
//!
//! It is not a second implementation. What the documentation fixes it predicts: the result of every
//! call, states, members, limits, deadlines, and which entries each connection gets. What is left
//! open (the order between streams, above all) it learns from the outputs, and checks that they are
//! among those allowed: [`polled`] does that for each action, and for the silence after the last.

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
pub(crate) mod fairness;
pub(crate) mod inputs;
pub(crate) mod learn;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod notices;
pub(crate) mod own_rates;
pub(crate) mod pause;
pub(crate) mod polled;
pub(crate) mod pressure;
pub(crate) mod pump;
pub(crate) mod reload;
pub(crate) mod run_ends;
pub(crate) mod runs;
pub(crate) mod stream;
pub(crate) mod survey;
pub(crate) mod tick;
pub(crate) mod timing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headcount::{CloseReason, Config, ConnId, Message, Pressure, RoomId, SessionId, Timestamp};

use self::absent::Absent;
use self::budget::Payments;
use self::conn::{Conn, State};
use self::drain::Drain;
use self::fairness::Stretch;
use self::notices::NoticeBook;
use self::own_rates::OwnRates;
use self::runs::Run;
use self::stream::Stream;
use self::survey::Departure;
use self::tick::Turn;
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
    pub(crate) user: u8,
    pub(crate) thread: u8,
    /// Its connections whose `Cleanup` was not polled, closing ones included.
    pub(crate) uncleaned: BTreeSet<ConnId>,
    /// When the last open connection left; `None` while there is one.
    pub(crate) left_at: Option<Timestamp>,
    /// Why that one left, or those: in one tick several may.
    pub(crate) left_for: Vec<CloseReason>,
    pub(crate) left_by: u64,
    /// How many of its runs are open.
    pub(crate) open_runs: u32,
    /// Ended, and its `Cleanup` was not polled.
    pub(crate) ended: bool,
}

impl Session {
    pub(crate) const fn new(user: u8, thread: u8) -> Self {
        Self {
            user,
            thread,
            uncleaned: BTreeSet::new(),
            left_at: None,
            left_for: Vec::new(),
            left_by: 0,
            open_runs: 0,
            ended: false,
        }
    }

    /// Whether its `Cleanup` waits to be polled: it comes after those of its connections.
    pub(crate) fn has_waiting(&self) -> bool {
        self.ended && self.uncleaned.is_empty()
    }
}

/// A message to everyone, on its way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Announcement {
    pub(crate) message: Message,
    /// Who was open at the call and must get it, unless there was a moment without room.
    pub(crate) must: BTreeSet<ConnId>,
    pub(crate) excused: BTreeSet<ConnId>,
    pub(crate) got: BTreeSet<ConnId>,
    /// Whether anything was polled since: it may have ended then.
    pub(crate) walked: bool,
    pub(crate) ended: bool,
}

/// A close of many, on its way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct MassClose {
    /// `None` for everyone.
    pub(crate) room: Option<RoomId>,
    pub(crate) reason: CloseReason,
    /// Who has to be closed when it is over.
    pub(crate) must: BTreeSet<ConnId>,
    /// Which poll closed the first of them.
    pub(crate) begun_in: Option<u64>,
}

/// A token bucket, exact: instants times the rate, so that nothing is rounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    rate: u128,
    burst: u128,
    full_at: u128,
}

const SECOND: u128 = 1_000_000_000;

impl Bucket {
    pub(crate) fn new(rate: impl Into<u128>, burst: impl Into<u128>) -> Self {
        Self { rate: rate.into(), burst: burst.into(), full_at: 0 }
    }

    /// Whether nothing is missing.
    pub(crate) fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= u128::from(now.as_nanos()) * self.rate
    }

    /// Takes a token, or tells how long there is none.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        self.take_eighths(now, 8)
    }

    /// The same with a part of a token.
    pub(crate) fn take_eighths(&mut self, now: Timestamp, eighths: u32) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        let price = SECOND / 8 * u128::from(eighths);
        let now = u128::from(now.as_nanos()) * self.rate;
        let earliest = self.full_at.saturating_sub(self.burst * SECOND - price);
        if now < earliest {
            let nanos = (earliest - now).div_ceil(self.rate);
            return Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
        }
        self.full_at = self.full_at.max(now) + price;
        Ok(())
    }

    /// Takes as many of so many tokens as there are.
    pub(crate) fn take_some(&mut self, now: Timestamp, tokens: u64) -> u64 {
        let wanted = 0..tokens;
        wanted.take_while(|_| self.take(now).is_ok()).count() as u64
    }
}

/// Sums that only grow, as [`headcount::Stats`] has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) opened: u64,
    pub(crate) abandoned: u64,
    pub(crate) closed: BTreeMap<CloseReason, u64>,
    pub(crate) sessions_opened: u64,
    pub(crate) sessions_ended_by: BTreeMap<&'static str, u64>,
    pub(crate) rooms_opened: u64,
    pub(crate) refused: u64,
    pub(crate) pings: u64,
    pub(crate) pongs: u64,
    pub(crate) recovered: u64,
    pub(crate) pauses: u64,
    pub(crate) level_changes: u64,
    pub(crate) probed: u64,
    pub(crate) released: u64,
    pub(crate) pong_timeouts: u64,
    pub(crate) sent: u64,
    pub(crate) stored: u64,
    pub(crate) gaps: u64,
    pub(crate) acknowledged: u64,
    pub(crate) runs_opened: u64,
    /// By how they ended.
    pub(crate) runs_ended: BTreeMap<usize, u64>,
    /// Entries that were given up for a budget.
    pub(crate) shed: u64,
    pub(crate) late: u64,
}

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) config: Config,
    /// The latest stamp so far.
    pub(crate) now: Timestamp,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    /// Signs of life of pending connections so far.
    pub(crate) lives: u64,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) streams: BTreeMap<Source, Stream>,
    /// Runs that are open or remembered, in the order in which they were opened.
    pub(crate) runs: BTreeMap<u64, Run>,
    pub(crate) run_number: u64,
    /// Whether the call at hand has ended a run, whose entries its log's bounds were about then.
    pub(crate) run_ended: bool,
    pub(crate) payments: Payments,
    pub(crate) announcements: Vec<Announcement>,
    pub(crate) mass_closes: Vec<MassClose>,
    pub(crate) bucket: Bucket,
    pub(crate) own_rates: OwnRates,
    /// The level that was acted on last, of each user who has a session.
    pub(crate) pressure: BTreeMap<u8, Pressure>,
    pub(crate) drain: Option<Drain>,
    /// Who makes room for newcomers.
    pub(crate) absent: Absent,
    /// The capped counts when a reload lowered the caps. A count may stay above its new cap, and must not
    /// grow.
    pub(crate) counts_at_reload: [usize; 5],
    /// The turn of a stream that may go on.
    pub(crate) stretch: Option<Stretch>,
    /// The turn of the last deadline that acted.
    pub(crate) acted_last: Turn,
    /// What `poll_timeout` said before the call.
    pub(crate) promised: Option<Timestamp>,
    pub(crate) tally: Tally,
    pub(crate) notices: NoticeBook,
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
    /// Counts the operations.
    pub(crate) step: u64,
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            bucket: Bucket::new(config.connect_rate(), config.connect_burst()),
            own_rates: OwnRates::default(),
            config,
            now: Timestamp::ZERO,
            pressure: BTreeMap::new(),
            drain: None,
            absent: Absent::default(),
            counts_at_reload: [0; 5],
            stretch: None,
            acted_last: Turn::default(),
            promised: None,
            conns: BTreeMap::new(),
            lives: 0,
            sessions: BTreeMap::new(),
            streams: BTreeMap::new(),
            runs: BTreeMap::new(),
            run_number: 0,
            run_ended: false,
            payments: Payments::default(),
            announcements: Vec::new(),
            mass_closes: Vec::new(),
            tally: Tally::default(),
            notices: NoticeBook::default(),
            departures: Vec::new(),
            remembered: 0,
            epochs: BTreeSet::new(),
            marks: Marks::default(),
            first: None,
            step: 0,
        }
    }

    /// A connection that calls know: not `Gone`.
    pub(crate) fn known(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id).filter(|conn| conn.state != State::Gone)
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Conn> {
        self.conns.values().filter(|conn| conn.is_open())
    }

    /// Admitted ones whose `Cleanup` was not polled.
    pub(crate) fn live(&self) -> usize {
        self.conns.values().filter(|conn| conn.admitted.is_some()).count()
    }

    /// Those that are closing and not yet gone, and were admitted or were not.
    pub(crate) fn still_closing(&self, admitted: bool) -> impl Iterator<Item = &Conn> {
        let closing = self.conns.values().filter(|conn| conn.state == State::Closing);
        closing.filter(move |conn| conn.admitted.is_some() == admitted)
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
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Conn> {
        self.conns.values().filter(|conn| conn.state == State::Pending)
    }

    /// Sessions that have not ended.
    pub(crate) fn going(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().filter(|(_, it)| !it.ended).map(|(id, session)| (*id, session))
    }

    pub(crate) fn session_of(&self, user: u8, thread: u8) -> Option<SessionId> {
        self.going().find(|(_, it)| it.user == user && it.thread == thread).map(|(id, _)| id)
    }

    pub(crate) fn users(&self) -> BTreeSet<u8> {
        self.going().map(|(_, session)| session.user).collect()
    }

    pub(crate) fn open_of_user(&self, user: u8) -> BTreeSet<ConnId> {
        let sessions = self.going().filter(|(_, session)| session.user == user);
        sessions.flat_map(|(id, _)| self.members(&Source::Session(id))).collect()
    }

    pub(crate) fn members(&self, source: &Source) -> BTreeSet<ConnId> {
        let seats = self.streams.get(source).map(|stream| stream.seats.as_slice());
        seats.unwrap_or_default().iter().map(|seat| seat.conn).collect()
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

    /// Whether something was promised that waits to be polled, whatever else there is to do.
    pub(crate) fn has_waiting(&self) -> bool {
        self.conns.values().any(Conn::has_waiting)
            || self.sessions.values().any(Session::has_waiting)
    }
}
