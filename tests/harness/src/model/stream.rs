//! The stream of a session or a room: every message it ever had, what may be left of them, and who
//! follows it.

use std::collections::BTreeMap;

use headcount::{Config, ConnId, MESSAGE_OVERHEAD, Recovered, Timestamp};

use super::conn::Item;
use super::entry::{Bounds, Entry, Reader};
use super::log::{Fate, Log, Next, Shown, distinct};
use super::millis_up;
use crate::seen::Source;
use crate::{Check, ensure};

/// Whether a member lags. The order between streams is the registry's own choice, so at times the
/// outputs alone do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lag {
    No,
    Perhaps,
    Yes,
}

/// A member's place.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Seat {
    pub(crate) conn: ConnId,
    /// The last offset that it was handed, was told as lost, or did not have to get.
    pub(crate) cursor: u64,
    pub(crate) lag: Lag,
    /// Whether there was a moment at which an entry was due and found no room: what it lacks may
    /// wait for a flush then, and must not otherwise.
    pub(crate) excused: bool,
    /// Where the head was when it joined a session with open runs, which it gets from their start, or
    /// resumed from a position that is none of this stream's; 0 if it did neither.
    pub(crate) late_until: u64,
    /// It resumed so: whatever else there was up to there is told as lost.
    pub(crate) tells_rest: bool,
    /// The last offset that its client said it has dealt with.
    pub(crate) acknowledged: u64,
    /// How often another stream of its connection was served while it waited.
    pub(crate) passed: u32,
}

impl Seat {
    /// Whether there may be something for it.
    pub(crate) const fn waits(&self, head: u64) -> bool {
        self.cursor < head
    }

    /// Whether it is looked at as a laggard: both, where that is open.
    pub(crate) fn ways(&self) -> &'static [bool] {
        match self.lag {
            Lag::No => &[false],
            Lag::Perhaps => &[false, true],
            Lag::Yes => &[true],
        }
    }

    pub(crate) const fn reader(&self, laggard: bool) -> Reader {
        let Self { conn, cursor, late_until, tells_rest, .. } = *self;
        Reader { conn, cursor, laggard, late_until, tells_rest }
    }
}

/// A log and its members.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Stream {
    pub(crate) source: Source,
    pub(crate) epoch: u64,
    pub(crate) bounds: Bounds,
    /// In order of their offsets.
    pub(crate) entries: Vec<Entry>,
    /// What may be left of them: one account, but for what does not show yet.
    pub(crate) logs: Vec<Log>,
    /// There were so many holes in the log that the registry may no longer know whether a superseded
    /// entry stood between two that are lost.
    pub(crate) blurred: bool,
    /// Something is lost from behind an entry of an open run.
    pub(crate) split: bool,
    pub(crate) seats: Vec<Seat>,
    /// How often each of the others was served while it could be.
    pub(crate) passed_by: BTreeMap<Source, u32>,
}

/// So many holes are surely told apart.
const HOLES_APART: u64 = 12;

/// What a member lacks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lack {
    /// Something that it must be handed or told as lost.
    pub(crate) certain: bool,
    /// Something was lost before it got it.
    pub(crate) lost: bool,
    /// What the next thing for it can cost.
    pub(crate) costs: Vec<u64>,
}

impl Stream {
    pub(crate) fn new(source: Source, epoch: u64, config: &Config) -> Self {
        let bounds = Bounds::of(&source, config);
        Self {
            source,
            epoch,
            bounds,
            entries: Vec::new(),
            logs: vec![Log::new()],
            blurred: false,
            split: false,
            seats: Vec::new(),
            passed_by: BTreeMap::new(),
        }
    }

    pub(crate) fn head(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.last)
    }

    /// The entry that ends at an offset.
    pub(crate) fn entry(&self, offset: u64) -> Option<&Entry> {
        let index = self.entries.partition_point(|entry| entry.last < offset);
        self.entries.get(index).filter(|entry| entry.last == offset)
    }

    pub(crate) fn seat(&self, conn: ConnId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.conn == conn)
    }

    pub(crate) fn seat_mut(&mut self, conn: ConnId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.conn == conn)
    }

    /// What is in the log at least, and at most: messages and bytes.
    pub(crate) fn holding(&self) -> ((u64, u64), (u64, u64)) {
        let (mut least, mut most) = ((u64::MAX, u64::MAX), (0, 0));
        for log in &self.logs {
            let Shown { messages, bytes, .. } = log.shown(&self.entries);
            least = (least.0.min(messages), least.1.min(bytes));
            most = (most.0.max(messages), most.1.max(bytes));
        }
        (least, most)
    }

    /// The registry tells how much is left, and since when something is gone: that has to be
    /// something that may be. All logs together have `given_up` so many entries for budgets.
    pub(crate) fn learn(&mut self, shown: Shown, given_up: u64) -> Check {
        self.thin(false);
        let entries = &self.entries;
        let possible: Vec<_> = self.logs.iter().map(|log| log.shown(entries)).collect();
        self.logs.retain(|log| log.shown(entries) == shown && log.paid().len() as u64 <= given_up);
        self.logs.iter_mut().for_each(|log| log.forget_lost(entries));
        let Some(log) = self.logs.first() else {
            return Err(format!("{:?} shows {shown:?}, expected {possible:?}", self.source));
        };
        self.blurred |= log.marks() > HOLES_APART;
        self.split = self.has_hole_of_run();
        Ok(())
    }

    /// Something shows of what is left: the accounts that agree with it are right. Whether there is one.
    pub(crate) fn settle(&mut self, agrees: impl Fn(&[Entry], &Log) -> bool) -> bool {
        self.logs.retain(|log| agrees(&self.entries, log));
        !self.logs.is_empty()
    }

    /// What all accounts say alike.
    pub(crate) fn agreed<T: PartialEq>(
        &self,
        say: impl Fn(&[Entry], &Log) -> T,
    ) -> Result<T, String> {
        let said = say(&self.entries, &self.logs[0]);
        let alike = self.logs.iter().all(|log| say(&self.entries, log) == said);
        ensure!(alike, "{:?}: {:?} cannot be told apart", self.source, self.logs);
        Ok(said)
    }

    /// Whether something went from behind an entry of an open run.
    fn has_hole_of_run(&self) -> bool {
        let front = self.logs[0].kept().next().filter(|index| self.entries[*index].is_held());
        front.is_some_and(|front| {
            let behind = self.entries.iter().zip(self.logs[0].fates()).skip(front);
            behind.into_iter().any(|(it, fate)| *fate == Fate::Lost && !it.is_droppable())
        })
    }

    /// Appends a message; whether it took the place of another.
    pub(crate) fn append(&mut self, entry: Entry) -> bool {
        self.entries.push(entry);
        let entries = &self.entries;
        self.logs.iter_mut().fold(false, |any, log| log.append(entries) | any)
    }

    /// A message that is kept for nobody.
    pub(crate) fn pass_over(&mut self, entry: Entry) {
        self.entries.push(entry);
        let entries = &self.entries;
        self.logs.iter_mut().for_each(|log| log.pass_over(entries));
    }

    /// Lets go what there is no room for: how many the registry surely dropped from the front, and
    /// how many it surely shed.
    pub(crate) fn trim(&mut self) -> (u64, u64) {
        let (mut dropped, mut shed) = (u64::MAX, u64::MAX);
        for log in &mut self.logs {
            let went = log.trim(&self.entries, &self.bounds);
            (dropped, shed) = (dropped.min(went.0), shed.min(went.1));
        }
        (dropped, shed)
    }

    /// When the oldest entry is too old.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let oldest = self.logs.iter().filter_map(|log| log.bounded(&self.entries).next()).max()?;
        (!self.bounds.ttl.is_zero()).then(|| self.entries[oldest].at + self.bounds.ttl)
    }

    /// Whether the oldest entry of a log is too old in this millisecond.
    fn is_too_old(&self, log: &Log, millis: u64) -> bool {
        let ttl = self.bounds.ttl;
        let oldest = log.bounded(&self.entries).next();
        let ages_at = |oldest: usize| millis_up(self.entries[oldest].at + ttl);
        !ttl.is_zero() && oldest.is_some_and(|oldest| ages_at(oldest) <= millis)
    }

    /// Whether that may show of it.
    pub(crate) fn may_show(&self, shown: Shown) -> bool {
        self.logs.iter().any(|log| log.shown(&self.entries) == shown)
    }

    /// Whether the oldest entry may be too old.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        self.logs.iter().any(|log| self.is_too_old(log, now.as_millis()))
    }

    /// Lets go what is too old in this millisecond.
    pub(crate) fn expire(&mut self, millis: u64) {
        let mut logs = core::mem::take(&mut self.logs);
        for log in &mut logs {
            while self.is_too_old(log, millis) {
                log.drop_oldest(&self.entries);
            }
        }
        self.logs = distinct(logs);
    }

    /// What a member finds next, as far as that is open.
    pub(crate) fn next(&self, seat: &Seat) -> Vec<Next> {
        let log = |laggard: bool| {
            let next = move |log: &Log| log.next(&self.entries, &seat.reader(laggard));
            self.logs.iter().map(next)
        };
        seat.ways().iter().flat_map(|laggard| log(*laggard)).collect()
    }

    /// Whether another member lacks another part of the text that is next for this one: in one slice
    /// of a sweep not both are served.
    pub(crate) fn is_split(&self, seat: &Seat) -> bool {
        self.next(seat).iter().any(|next| {
            let Next::Entry(offset) = next else { return false };
            self.entry(*offset).is_some_and(|entry| {
                let begin = |cursor: u64| cursor.max(entry.first() - 1);
                let lacks = |other: &&Seat| other.lag != Lag::Yes && other.cursor < *offset;
                let mut others = self.seats.iter().filter(lacks);
                others.any(|other| begin(other.cursor) != begin(seat.cursor))
            })
        })
    }

    pub(crate) fn lack(&self, seat: &Seat) -> Lack {
        let mut lack = Lack { certain: true, ..Lack::default() };
        for next in self.next(seat) {
            match next {
                Next::Nothing => lack.certain = false,
                Next::Gap(..) => {
                    lack.lost = true;
                    lack.costs.push(MESSAGE_OVERHEAD);
                }
                Next::Entry(offset) => {
                    lack.costs.extend(self.entry(offset).map(|it| it.after(seat.cursor).cost()));
                }
            }
        }
        lack
    }

    /// Everything that a member lacks, in order, in each way that it may be.
    pub(crate) fn lacking(&self, seat: &Seat) -> Vec<Vec<Item>> {
        let mut ways = Vec::new();
        for log in &self.logs {
            for laggard in seat.ways() {
                let items = self.lacking_of(log, seat, *laggard);
                if !ways.contains(&items) {
                    ways.push(items);
                }
            }
        }
        ways
    }

    fn lacking_of(&self, log: &Log, seat: &Seat, laggard: bool) -> Vec<Item> {
        let mut items = Vec::new();
        let mut reader = seat.reader(laggard);
        let gap = |from, to| Item::Gap { stream: self.source.clone(), from, to };
        loop {
            reader.cursor = match log.next(&self.entries, &reader) {
                Next::Nothing => return items,
                Next::Gap(from, to) => {
                    items.push(gap(from, to));
                    to
                }
                Next::Entry(offset) => {
                    items.extend(self.entry(offset).map(|entry| Item::Entry {
                        stream: self.source.clone(),
                        epoch: self.epoch,
                        offset,
                        content: entry.after(reader.cursor),
                    }));
                    offset
                }
            };
        }
    }

    /// Whether a cursor may have moved so far without a word: only over what was superseded, and over
    /// what is not for its connection.
    pub(crate) fn may_have_moved(&self, seat: &Seat, to: u64) -> bool {
        let start = self.entries.partition_point(|entry| entry.last <= seat.cursor);
        let end = self.entries.partition_point(|entry| entry.last <= to);
        let silent = |log: &Log, index: usize| match log.fate(index) {
            _ if seat.tells_rest && self.entries[index].last <= seat.late_until => false,
            Fate::Superseded => true,
            Fate::Lost => !seat.reader(true).misses(&self.entries[index]),
            Fate::Kept => !seat.reader(true).gets(&self.entries[index]),
        };
        let moved = |log: &Log| {
            seat.cursor >= log.lost(&self.entries) && (start..end).all(|index| silent(log, index))
        };
        seat.cursor == to
            || (seat.cursor..=self.head()).contains(&to)
                && self.entry(to).is_some()
                && self.logs.iter().any(moved)
    }

    /// What a resume from there is told: of the accounts, those that agree are right.
    pub(crate) fn recovered(
        &mut self,
        since: u64,
        conn: ConnId,
        told: Recovered,
    ) -> Result<Recovered, String> {
        let right = |entries: &[Entry], log: &Log| match log.outlook(entries, since, conn) {
            (true, _) => Recovered::Gap,
            (false, _) => Recovered::All,
        };
        let expected = right(&self.entries, &self.logs[0]);
        let fine = self.settle(|entries, log| right(entries, log) == told);
        ensure!(fine, "{told:?} for {since} of {:?}: {expected:?}", self.source);
        Ok(told)
    }

    /// When everyone has everything, only the history stays; when the registry notices is its own
    /// affair until it says that nothing is left to do, or nobody is left.
    pub(crate) fn thin(&mut self, surely: bool) {
        let done = |log: &Log| {
            let next = |seat: &Seat| log.next(&self.entries, &seat.reader(true));
            self.seats.iter().all(|seat| next(seat) == Next::Nothing)
        };
        let mut thinned: Vec<_> = self.logs.iter().filter(|log| done(log)).cloned().collect();
        thinned.iter_mut().for_each(|log| log.thin(&self.entries, self.bounds.history));
        let doubt = self.seats.iter().any(|seat| seat.lag != Lag::No);
        if (surely || self.seats.is_empty()) && !doubt && thinned.len() == self.logs.len() {
            self.logs = distinct(thinned);
        } else {
            self.logs = distinct(self.logs.drain(..).chain(thinned));
        }
    }
}

impl Stream {
    /// Whether a room with this stream may have ended: nobody is in it, and it keeps nothing.
    pub(crate) fn may_be_over(&self) -> bool {
        let empty = self.logs.iter().any(|log| log.kept().next().is_none());
        self.seats.is_empty() && (!self.bounds.keeps_without_members() || empty)
    }

    /// Whether it must have.
    pub(crate) fn is_over(&self) -> bool {
        let empty = self.logs.iter().all(|log| log.kept().next().is_none());
        self.seats.is_empty() && (!self.bounds.keeps_without_members() || empty)
    }
}
