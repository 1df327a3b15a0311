//! The stream of a session or a room: its log, who follows it, and the pass over these that hands them
//! what was appended.
//!
//! [`Pass`] has the shape of the registry's own: whom a leave makes a pass miss is found in the same way, so
//! that a fault there could be in both. What guards it looks at what the members got:
//! `a_leave_during_a_sweep_skips_nobody_and_repeats_nothing` in `tests/contract/fairness.rs`, and the end of
//! each history, at which the cursor of each member has to be at the head.

use headcount::{CloseWith, Config, ConnId, Position, SessionId, Timestamp};

use super::entry::Bounds;
use super::left_out::LeftOut;
use super::log::{Log, Next};
use super::millis_up;
use super::seat::Seat;
use crate::seen::Source;

/// How many places of the log a member is handed in one turn of its stream.
const ENTRIES: usize = 16;

/// A pass over the members with what was appended, one stretch of them after the other. The first
/// stretch settles how far the pass goes; what is appended meanwhile waits for the next one.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Pass {
    /// It is about what begins behind here,
    from: u64,
    /// and not behind here.
    upto: u64,
    /// The stretch under way has had everything up to here.
    pub(crate) given: u64,
    /// The seats of the stretch under way. There are none before it begins.
    pub(crate) begin: usize,
    pub(crate) end: usize,
    /// Whether one of them was handed anything.
    pub(crate) has_served: bool,
}

impl Pass {
    pub(crate) const fn after(from: u64) -> Self {
        Self { from, upto: from, given: from, begin: 0, end: 0, has_served: false }
    }

    /// How far the seat at an index has come, unless it lags.
    const fn reached(&self, index: usize) -> u64 {
        if index < self.begin {
            self.upto
        } else if index < self.end {
            self.given
        } else {
            self.from
        }
    }
}

/// A log and its members.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Stream {
    pub(crate) source: Source,
    pub(crate) epoch: u64,
    pub(crate) bounds: Bounds,
    pub(crate) log: Log,
    /// In the order in which they are served. One that leaves gives its place to the last.
    pub(crate) seats: Vec<Seat>,
    /// `None`: every member that does not lag has everything.
    pub(crate) pass: Option<Pass>,
    /// A room's members are being closed, from the back: those from this index on were, or came later.
    pub(crate) closing: Option<(CloseWith, usize)>,
}

impl Stream {
    pub(crate) fn new(source: Source, epoch: u64, config: &Config) -> Self {
        let bounds = Bounds::of(&source, config);
        let (log, seats) = (Log::default(), Vec::new());
        Self { source, epoch, bounds, log, seats, pass: None, closing: None }
    }

    pub(crate) const fn head(&self) -> u64 {
        self.log.head
    }

    /// A place in it, and its session, if it is one's.
    pub(crate) fn position(&self, offset: u64) -> (Option<SessionId>, Position) {
        let session = if let Source::Session(id) = self.source { Some(id) } else { None };
        (session, Position { epoch: self.epoch, offset })
    }

    pub(crate) fn seat(&self, conn: ConnId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.conn == conn)
    }

    pub(crate) fn seat_mut(&mut self, conn: ConnId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.conn == conn)
    }

    /// How many members are up to date, and how many lag.
    pub(crate) fn audience(&self, left_out: Option<LeftOut>) -> (u32, u32) {
        let seats = || self.seats.iter().filter(|seat| !seat.who.is(left_out));
        let behind = seats().filter(|seat| seat.lagging).count();
        ((seats().count() - behind) as u32, behind as u32)
    }

    /// The offset up to which the stretch under way is handed something next; a stretch of `chunk` members
    /// begins if none is. `None`: it has had everything of this pass.
    pub(crate) fn next_of_stretch(&mut self, chunk: usize) -> Option<u64> {
        let (pass, log) = (self.pass.as_mut()?, &self.log);
        if pass.begin >= pass.end {
            if pass.begin == 0 {
                pass.upto = log.reach(pass.from, ENTRIES);
            }
            pass.end = self.seats.len().min(pass.begin + chunk);
        }
        if pass.given >= pass.upto {
            return None;
        }
        match log.after(pass.given) {
            Some(entry) => (entry.first() <= pass.upto).then_some(entry.last),
            // Nothing is left to hand out, but perhaps a loss to tell of.
            None => Some(log.lost_before(log.head + 1)).filter(|lost| *lost > pass.given),
        }
    }

    /// The stretch has had everything. Whether another one follows, of this pass or of the next.
    pub(crate) fn end_stretch(&mut self) -> bool {
        let pass = self.pass.take();
        self.pass = pass.and_then(|Pass { from, upto, end, .. }| {
            if end < self.seats.len() {
                Some(Pass { upto, begin: end, end, ..Pass::after(from) })
            } else {
                (upto < self.log.head).then(|| Pass::after(upto))
            }
        });
        self.pass.is_some()
    }

    /// A member leaves. Who has its place then, if the pass under way has been there and will not visit
    /// it any more.
    pub(crate) fn stand_up(&mut self, conn: ConnId) -> Option<ConnId> {
        let index = self.seats.iter().position(|seat| seat.conn == conn)?;
        self.seats.swap_remove(index);
        let last = self.seats.len();
        if let Some((_, before)) = &mut self.closing {
            *before = last.min(*before);
        }
        let pass = self.pass.as_mut()?;
        let is_missed = pass.reached(index) > pass.reached(last);
        pass.begin = pass.begin.min(last);
        pass.end = pass.end.min(last);
        self.seats.get(index).filter(|_| is_missed).map(|seat| seat.conn)
    }

    /// Once every member has everything, only the history stays.
    pub(crate) fn thin(&mut self) {
        if self.seats.is_empty() {
            self.pass = None;
        }
        if self.pass.is_none() && self.seats.iter().all(|seat| !seat.lagging) {
            self.log.thin(self.bounds.history);
        }
    }

    /// When the oldest entry is too old.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let oldest = self.log.bounded().next().filter(|_| !self.bounds.ttl.is_zero())?;
        Some(oldest.at + self.bounds.ttl)
    }

    /// Lets go what is too old in this millisecond.
    pub(crate) fn expire(&mut self, millis: u64) {
        while self.expires_at().is_some_and(|at| millis_up(at) <= millis) {
            let oldest = self.log.bounded().next().map(|entry| entry.last);
            oldest.into_iter().for_each(|oldest| self.give_up(oldest));
        }
    }

    /// Lets go the entry that ends at an offset. A run may have held up what is behind it.
    pub(crate) fn give_up(&mut self, last: u64) {
        let is_of_run = self.log.entry(last).is_some_and(|entry| entry.run.is_some());
        self.log.lose(last);
        if is_of_run {
            self.thin();
        }
    }

    /// Whether the member would be told of a gap on its way to the head, and how many entries it gets.
    pub(crate) fn outlook(&self, seat: &Seat) -> (bool, u32) {
        let mut reader = Seat { lagging: true, ..seat.clone() };
        let (mut loses, mut handed) = (false, 0);
        loop {
            reader.cursor = match self.log.next(&reader) {
                Next::Nothing => return (loses, handed),
                Next::Gap(_, to) => {
                    loses = true;
                    to
                }
                Next::Entry(entry) => {
                    handed += 1;
                    entry.last
                }
            };
        }
    }

    /// Whether it is the stream of a room that ends: it has no member, and it keeps nothing for a while.
    pub(crate) fn is_over(&self) -> bool {
        let keeps = self.bounds.keeps_without_members() && self.log.kept().next().is_some();
        matches!(self.source, Source::Room(_)) && self.seats.is_empty() && !keeps
    }
}
