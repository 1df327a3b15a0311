//! The log of a session or a room, with every entry it ever had: what is trimmed is only marked.

use std::collections::BTreeMap;
use std::time::Duration;

use headcount::{Config, ConnId, MESSAGE_OVERHEAD, Message, Timestamp};

use super::conn::Item;
use super::due;
use crate::harness::seen::Source;
use crate::harness::{Check, ensure};

/// Whether a member lags. The order between streams is the registry's own choice, so at times the
/// outputs alone do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lag {
    No,
    Perhaps,
    Yes,
}

/// A member's place.
#[derive(Clone, Debug)]
pub struct Seat {
    pub conn: ConnId,
    /// The last offset that it was handed, was told as lost, or did not have to get.
    pub cursor: u64,
    pub lag: Lag,
    /// Whether there was a moment at which an entry was due and found no room: what it lacks may
    /// wait for a flush then, and must not otherwise.
    pub excused: bool,
    /// What a resume asked for and is not kept: to be told as lost before any entry.
    pub missed: Option<(u64, u64)>,
    /// How often another stream of its connection was served while it waited.
    pub passed: u32,
}

impl Seat {
    /// Whether there may be something for it.
    pub const fn waits(&self, head: u64) -> bool {
        self.cursor < head || self.missed.is_some()
    }
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub message: Message,
    pub at: Timestamp,
}

/// What a log may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub messages: u64,
    pub bytes: u64,
    pub ttl: Duration,
    pub history: u64,
}

impl Bounds {
    /// Whether a room's log outlives its members.
    pub const fn keeps_without_members(&self) -> bool {
        self.history > 0 && !self.ttl.is_zero()
    }

    pub fn of(source: &Source, config: &Config) -> Self {
        if matches!(source, Source::Room(_)) {
            Self {
                messages: config.room_messages().into(),
                bytes: config.room_bytes(),
                ttl: config.room_ttl(),
                history: config.room_history().into(),
            }
        } else {
            Self {
                messages: config.stream_messages().into(),
                bytes: config.stream_bytes(),
                ttl: config.stream_ttl(),
                history: config.stream_history().into(),
            }
        }
    }
}

/// A log and its members.
#[derive(Clone, Debug)]
pub struct Stream {
    pub source: Source,
    pub epoch: u64,
    pub bounds: Bounds,
    /// Entry `offset` is at `offset - 1`.
    pub entries: Vec<Entry>,
    /// The first offset that no bound has trimmed.
    pub first: u64,
    /// Entries up to here have surely been dropped because everyone had them, beyond `history`.
    pub surely_thinned: u64,
    /// Entries up to here may have been.
    pub perhaps_thinned: u64,
    pub seats: Vec<Seat>,
    /// How often each of the others was served while it could be.
    pub passed_by: BTreeMap<Source, u32>,
}

/// What a member lacks.
#[derive(Clone, Debug, Default)]
pub struct Lack {
    /// An entry that it must be handed or told as lost.
    pub certain: bool,
    /// An entry was trimmed before it got it.
    pub lost: bool,
    /// What the next thing for it can cost. Two values where only excluded entries were lost.
    pub costs: Vec<u64>,
}

impl Stream {
    pub fn new(source: Source, epoch: u64, config: &Config) -> Self {
        let bounds = Bounds::of(&source, config);
        Self {
            source,
            epoch,
            bounds,
            entries: Vec::new(),
            first: 1,
            surely_thinned: 0,
            perhaps_thinned: 0,
            seats: Vec::new(),
            passed_by: BTreeMap::new(),
        }
    }

    pub const fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    pub fn entry(&self, offset: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(offset.checked_sub(1)?).ok()?)
    }

    pub fn seat(&self, conn: ConnId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.conn == conn)
    }

    pub fn seat_mut(&mut self, conn: ConnId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.conn == conn)
    }

    /// How many entries and bytes from `first` on.
    fn holds(&self, first: u64) -> (u64, u64) {
        let kept = &self.entries[(first - 1) as usize..];
        (kept.len() as u64, kept.iter().map(|entry| entry.message.cost()).sum())
    }

    /// What is in the log at least, and at most: messages and bytes.
    pub fn holding(&self) -> ((u64, u64), (u64, u64)) {
        let least = self.holds(self.first.max(self.perhaps_thinned + 1));
        let most = self.holds(self.first.max(self.surely_thinned + 1));
        (least, most)
    }

    /// Whether the log has an entry.
    pub fn is_empty(&self) -> bool {
        self.first.max(self.surely_thinned + 1) > self.head()
    }

    /// The registry tells what is gone: that has to be something that may be.
    pub fn learn_lost(&mut self, lost: u64) -> Check {
        let least = (self.first - 1).max(self.surely_thinned);
        let most = (self.first - 1).max(self.perhaps_thinned);
        ensure!(
            (least..=most).contains(&lost),
            "{:?} has lost {lost}, expected {least} to {most}",
            self.source
        );
        self.surely_thinned = self.surely_thinned.max(lost);
        self.perhaps_thinned = self.surely_thinned;
        // What it has not dropped yet, it may drop in a later turn.
        self.thin(false);
        Ok(())
    }

    pub fn append(&mut self, message: Message, at: Timestamp) -> u64 {
        self.entries.push(Entry { message, at });
        self.trim();
        self.head()
    }

    /// Drops the oldest while there are too many; whether there were.
    pub fn trim(&mut self) -> bool {
        let before = self.first;
        loop {
            let (messages, bytes) = self.holds(self.first);
            let over = messages > self.bounds.messages || bytes > self.bounds.bytes;
            if !over || messages <= 1 {
                return self.first > before;
            }
            self.first += 1;
        }
    }

    /// When the oldest entry that is surely there is too old.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let oldest = self.entry(self.first.max(self.perhaps_thinned + 1))?;
        (!self.bounds.ttl.is_zero()).then(|| oldest.at + self.bounds.ttl)
    }

    /// Whether the oldest entry is too old.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let ttl = self.bounds.ttl;
        !ttl.is_zero() && self.entry(self.first).is_some_and(|entry| due(now, entry.at + ttl))
    }

    /// Trims what is too old.
    pub fn expire(&mut self, now: Timestamp) {
        while self.is_stale(now) {
            self.first += 1;
        }
    }

    fn excluded(&self, conn: ConnId, offset: u64) -> bool {
        // `Message` does not tell whom it leaves out, but it is equal to a copy that does.
        self.entry(offset).is_some_and(|entry| entry.message == entry.message.clone().except(conn))
    }

    /// Whether all of these entries are none of the connection's business.
    pub fn all_excluded(&self, conn: ConnId, from: u64, to: u64) -> bool {
        (from..=to).all(|offset| self.excluded(conn, offset))
    }

    pub fn lack(&self, seat: &Seat) -> Lack {
        let (next, head) = (seat.cursor + 1, self.head());
        if seat.missed.is_some() {
            return Lack { certain: true, lost: false, costs: vec![MESSAGE_OVERHEAD] };
        }
        let mut lack =
            Lack { certain: !self.all_excluded(seat.conn, next, head), ..Lack::default() };
        let kept = self.first.max(next);
        lack.lost = kept > next;
        if lack.lost {
            lack.costs.push(MESSAGE_OVERHEAD);
        }
        // Nobody can know whom a trimmed entry left out, so a gap of such entries is optional.
        if !lack.lost || self.all_excluded(seat.conn, next, kept - 1) {
            let entry = (kept..=head).find(|offset| !self.excluded(seat.conn, *offset));
            lack.costs.extend(entry.and_then(|it| self.entry(it)).map(|it| it.message.cost()));
        }
        lack
    }

    /// Everything that a member lacks, in order, and whether there is no doubt about it.
    pub fn lacking(&self, seat: &Seat) -> (Vec<Item>, bool) {
        let (next, head) = (seat.cursor + 1, self.head());
        let kept = self.first.max(next);
        let mut items = Vec::new();
        let mut certain = true;
        if let Some((from, to)) = seat.missed {
            items.push(Item::Gap { stream: self.source.clone(), from, to });
        }
        if kept > next {
            items.push(Item::Gap { stream: self.source.clone(), from: next, to: kept - 1 });
            // Two gaps in a row may be told as one.
            certain = seat.missed.is_none()
                && (next..kept).all(|offset| !self.excluded(seat.conn, offset));
        }
        for offset in (kept..=head).filter(|offset| !self.excluded(seat.conn, *offset)) {
            items.push(Item::Entry {
                stream: self.source.clone(),
                epoch: self.epoch,
                offset,
                message: self.entries[(offset - 1) as usize].message.clone(),
            });
        }
        (items, certain)
    }

    /// When everyone has everything, only the history stays; when the registry notices is its own
    /// affair until it says that nothing is left to do.
    pub fn thin(&mut self, surely: bool) {
        let head = self.head();
        let lacking =
            self.seats.iter().any(|seat| !self.all_excluded(seat.conn, seat.cursor + 1, head));
        let doubt = self.seats.iter().any(|seat| seat.lag != Lag::No);
        if !lacking {
            let thinned = self.head().saturating_sub(self.bounds.history);
            self.perhaps_thinned = self.perhaps_thinned.max(thinned);
            if surely && !doubt {
                self.surely_thinned = self.perhaps_thinned;
            }
        }
    }
}
