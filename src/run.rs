//! Agent runs: what of them is open, what their rules allow next, and the texts that they grow.

mod event;
mod parts;

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::config::Config;
use crate::ends::RunEnded;
use crate::error::RunError;
use crate::id::RunId;
use crate::log::{Freed, GroupKey};
use crate::message::MESSAGE_OVERHEAD;
use crate::session::{SessionKey, UserKey};
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::store::{Linked, Links, Names, Table};
use crate::time::{Deadline, Timestamp};

pub use self::event::{RunEvent, RunEventKind, RunFailure};
pub use self::parts::{Part, PartKind};
pub(crate) use self::parts::{PartText, Parts};

/// The key of a run, which is that of the group of its entries in the log of its session.
pub(crate) type RunKey = GroupKey;

/// What the name of a tool call is charged, which is kept as long as the call is under way: that of
/// the longest, whatever its length, for no decision may depend on a name.
const CALL_BYTES: usize = crate::MAX_ID_BYTES;

/// What a tool call under way is charged to the budgets of its user and of the process: its name,
/// that of the longest for the same reason, and its record.
pub(crate) const CALL_COST: u64 = CALL_BYTES as u64 + MESSAGE_OVERHEAD;

/// A tool call under way.
#[derive(Clone, Hash)]
pub(crate) struct Call {
    pub(crate) name: Box<str>,
    /// When it is expected to have ended, in attended time; `None` if the event that began it did not say.
    pub(crate) until: Option<Timestamp>,
}

encoded! { struct Call { name, until } }

/// A run that is open, or of which a log still keeps something.
#[derive(Clone, Hash)]
pub(crate) struct Run {
    /// The slot of its user: a run's name is unique among theirs.
    pub(crate) user: UserKey,
    pub(crate) session: SessionKey,
    pub(crate) id: RunId,
    pub(crate) agent: Box<str>,
    /// Its place among the runs of its session.
    links: Links,
    pub(crate) began: Timestamp,
    /// The last event, in attended time.
    pub(crate) heard: Timestamp,
    /// The offset of its first event.
    pub(crate) first: u64,
    /// The offset of its terminal event.
    pub(crate) ended: Option<u64>,
    /// How and when it ended; `None` while it is open.
    pub(crate) end: Option<RunEnded>,
    /// It has ended, and its entries are no history yet.
    lingers: bool,
    /// A client has requested it, and it was not opened.
    requested: bool,
    /// A client wishes that it is cancelled.
    pub(crate) cancel_requested: bool,
    /// Tool calls under way.
    calls: SmallVec<[Call; 1]>,
    /// How many events it had, and what they were charged.
    events: u32,
    cost: u64,
    /// How much of it is in the log.
    kept: u32,
    pub(crate) parts: Parts,
}

encoded! {
    struct Run {
        user, session, id, agent, links, began, heard, first, ended, end, lingers, requested,
        cancel_requested, calls, events, cost, kept, parts,
    }
}

/// How far a run is. [`Registry::request_run`](crate::Registry::request_run) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunState {
    /// A client has requested it, and it was not opened.
    Requested,
    /// It was opened.
    Open,
    /// It has ended.
    Ended,
}

impl RunState {
    /// A stable name in `snake_case`, for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Open => "open",
            Self::Ended => "ended",
        }
    }
}

/// The stable name.
impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Run {
    /// It has not ended. One that is requested is open, too, but that no agent has it yet.
    pub(crate) const fn is_open(&self) -> bool {
        self.end.is_none()
    }

    pub(crate) const fn state(&self) -> RunState {
        match (self.end, self.requested) {
            (Some(_), _) => RunState::Ended,
            (None, true) => RunState::Requested,
            (None, false) => RunState::Open,
        }
    }

    /// A client has requested it.
    pub(crate) const fn request(&mut self) {
        self.requested = true;
    }

    /// An agent takes on what a client has requested, at this attended time.
    pub(crate) fn open(&mut self, agent: &str, attended: Timestamp) {
        self.requested = false;
        self.agent = agent.into();
        self.heard = attended;
    }

    /// When it has lingered; `None`: it is open, or does not linger any more.
    pub(crate) fn lingers_until(&self, config: &Config) -> Option<Deadline> {
        let end = self.end.filter(|_| self.lingers)?;
        Some(Deadline::after(end.at, config.run_linger))
    }

    /// It has lingered.
    pub(crate) const fn end_linger(&mut self) {
        self.lingers = false;
    }

    /// When it fails for want of an event, or for its length; `None` for never. What the process
    /// paused for is no silence of the run's, nor is the time that a call under way is expected to
    /// take. Its length counts all the same.
    ///
    /// The end of a call brings it nearer: the timer must be armed again then.
    pub(crate) fn deadline(
        &self,
        config: &Config,
        pauses: Duration,
    ) -> Option<(Deadline, RunFailure)> {
        if !self.is_open() {
            return None;
        }
        let silence = (!config.run_silence.is_zero()).then(|| {
            let calls = self.calls.iter().filter_map(|call| call.until);
            let last = calls.fold(self.heard, Timestamp::max);
            let at = Deadline::after(last, config.run_silence + pauses);
            (at, RunFailure::Silence)
        });
        let length = (!config.run_max_length.is_zero())
            .then(|| (Deadline::after(self.began, config.run_max_length), RunFailure::Length));
        [silence, length].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Whether an event may be next, by the order of events and by the run's own bounds. What is
    /// reserved for the terminal event, nothing else may use.
    pub(crate) fn allows(&self, event: &RunEvent<'_>, config: &Config) -> Result<(), RunError> {
        if let Some(end) = self.end {
            return Err(RunError::Ended(end));
        }
        if self.requested && !matches!(event, RunEvent::Failed(_) | RunEvent::Cancelled(_)) {
            return Err(RunError::NotOpened);
        }
        let under_way = |call: &str| self.calls.iter().any(|other| *other.name == *call);
        let bytes = match event {
            RunEvent::ToolExecuting { call, payload, .. } => {
                if call.is_empty() || call.len() > crate::MAX_ID_BYTES {
                    return Err(RunError::BadCall);
                }
                if under_way(call) {
                    return Err(RunError::CallUnderWay);
                }
                if self.calls.len() >= config.run_calls as usize {
                    return Err(RunError::Calls);
                }
                payload.len() + CALL_BYTES
            }
            RunEvent::ToolCompleted { call, .. } if !under_way(call) => {
                return Err(RunError::UnknownCall);
            }
            RunEvent::Completed(_) if !self.calls.is_empty() => {
                return Err(RunError::CallsUnderWay);
            }
            RunEvent::Delta { part, text } => {
                let charge = self.parts.charge(*part, config.run_parts)?;
                if text.is_empty() {
                    // A sign of life takes no room.
                    return Ok(());
                }
                text.len() + charge as usize
            }
            _ => event.payload().len(),
        };
        let terminal = event.kind().is_some_and(RunEventKind::is_terminal);
        if terminal && bytes == 0 {
            // It fits what is reserved, unless a reload has lowered the bounds: then a run that has
            // no deadline could not be ended at all.
            return Ok(());
        }
        if self.has_room(bytes, terminal, config) { Ok(()) } else { Err(RunError::Full) }
    }

    /// Whether `run.events` and `run.bytes` have room for another entry.
    pub(crate) fn has_room(&self, bytes: usize, terminal: bool, config: &Config) -> bool {
        let (events, reserve) = if terminal { (0, 0) } else { (1, reserve(config)) };
        let cost = self.cost + bytes as u64 + MESSAGE_OVERHEAD;
        self.events + events < config.run_events && cost + reserve <= config.run_bytes
    }

    /// Takes an event that is allowed, at this attended time: the bookkeeping of it.
    pub(crate) fn take(&mut self, event: &RunEvent<'_>, attended: Timestamp) {
        self.heard = attended;
        match event {
            RunEvent::ToolExecuting { call, expect, .. } => {
                self.cost += CALL_BYTES as u64;
                let until = expect.map(|expect| attended + expect);
                self.calls.push(Call { name: (*call).into(), until });
            }
            RunEvent::ToolCompleted { call, .. } => {
                self.calls.retain(|other| *other.name != **call);
            }
            _ => {}
        }
    }

    /// An entry of it is in the log.
    pub(crate) const fn count_entry(&mut self) {
        self.kept += 1;
        self.events += 1;
        self.cost += MESSAGE_OVERHEAD;
    }

    pub(crate) const fn count_bytes(&mut self, bytes: u64) {
        self.cost += bytes;
    }

    pub(crate) const fn events(&self) -> u32 {
        self.events
    }

    pub(crate) const fn cost(&self) -> u64 {
        self.cost
    }

    pub(crate) const fn kept(&self) -> u32 {
        self.kept
    }

    /// The cost of the calls under way.
    pub(crate) fn call_bytes(&self) -> u64 {
        self.calls.len() as u64 * CALL_COST
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }
}

/// Whether the payload of the first event fits a run.
pub(crate) fn fits_first(payload: &Bytes, config: &Config) -> bool {
    payload.len() as u64 + MESSAGE_OVERHEAD + reserve(config) <= config.run_bytes
}

/// What of a run's bytes only its terminal event may use.
fn reserve(config: &Config) -> u64 {
    (config.run_bytes / 4).min(4 * 1024)
}

/// All runs, by slot and by name.
#[derive(Clone)]
pub(crate) struct Runs {
    records: Table<RunKey, Run>,
    /// By user and name.
    names: Names<RunKey>,
    open: u32,
}

/// The runs of one session.
pub(crate) enum OfSession {}

impl Linked for OfSession {
    type Key = RunKey;
    type Records = Runs;

    fn links(runs: &Runs, key: RunKey) -> Links {
        runs.records[key].links
    }

    fn links_mut(runs: &mut Runs, key: RunKey) -> &mut Links {
        &mut runs.records[key].links
    }

    fn known(runs: &Runs, bits: u32) -> Option<RunKey> {
        runs.records.known(bits as usize)
    }
}

impl Hash for Runs {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { records, names: _, open } = self;
        (records, open).hash(state);
    }
}

impl Runs {
    pub(crate) fn new(seed: u64) -> Self {
        Self { records: Table::new(), names: Names::new(seed), open: 0 }
    }

    pub(crate) fn encode(&self, to: &mut Encoder<'_>) {
        let Self { records, names: _, open } = self;
        records.encode(to);
        open.encode(to);
    }

    /// Fills it, when it is new.
    pub(crate) fn decode(&mut self, from: &mut Decoder<'_>) -> Result<(), Malformed> {
        self.records = Encoded::decode(from)?;
        for (key, run) in self.records.iter() {
            self.names.insert((run.user, run.id.as_str()), key);
        }
        self.open = Encoded::decode(from)?;
        Ok(())
    }

    /// How many steps it was taken through.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> u64 {
        self.records.steps() + self.names.steps()
    }

    pub(crate) const fn open(&self) -> u32 {
        self.open
    }

    pub(crate) fn get(&self, run: RunKey) -> &Run {
        &self.records[run]
    }

    pub(crate) fn peek(&self, run: RunKey) -> Option<&Run> {
        self.records.get(run)
    }

    pub(crate) fn get_mut(&mut self, run: RunKey) -> &mut Run {
        &mut self.records[run]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RunKey, &Run)> {
        self.records.iter()
    }

    pub(crate) fn find(&self, user: UserKey, id: &RunId) -> Option<RunKey> {
        self.names.find((user, id.as_str()), |run| {
            let run = &self.records[run];
            run.user == user && run.id == *id
        })
    }

    /// Where the table of runs ends: see [`Table::end`].
    pub(crate) fn table_end(&self) -> usize {
        self.records.end()
    }

    /// Whether there are as many runs as can be told apart.
    pub(crate) const fn is_full(&self) -> bool {
        self.records.is_full()
    }

    pub(crate) fn insert(
        &mut self,
        (user, session): (UserKey, SessionKey),
        id: RunId,
        agent: Box<str>,
        (now, attended): (Timestamp, Timestamp),
        first: u64,
    ) -> RunKey {
        self.open += 1;
        self.names.insert((user, id.as_str()), self.records.vacant_key());
        self.records.insert(Run {
            user,
            session,
            id,
            agent,
            links: Links::OUT,
            began: now,
            heard: attended,
            first,
            ended: None,
            end: None,
            lingers: false,
            requested: false,
            cancel_requested: false,
            calls: SmallVec::new(),
            events: 0,
            cost: 0,
            kept: 0,
            parts: Parts::new(),
        })
    }

    /// A run has ended, with the entry at this offset.
    pub(crate) fn end(&mut self, run: RunKey, offset: u64, end: RunEnded, lingers: bool) {
        let record = &mut self.records[run];
        record.ended = Some(offset);
        record.end = Some(end);
        record.lingers = lingers;
        record.calls = SmallVec::new();
        record.parts.close();
        self.open -= 1;
    }

    /// A log has let an entry go. Whether the run has ended, and this was the last of it.
    pub(crate) fn release(&mut self, freed: Freed) -> bool {
        let record = &mut self.records[freed.group];
        record.kept -= 1;
        if let Some((text, bytes)) = freed.text {
            record.parts.release(text, bytes);
        }
        !record.is_open() && record.kept == 0
    }

    /// Takes a run away, whatever is left of it.
    pub(crate) fn remove(&mut self, run: RunKey) -> Run {
        let record = self.records.remove(run);
        self.open -= u32::from(record.is_open());
        self.names.remove((record.user, record.id.as_str()), run);
        record
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::store::SlotKey as _;

    #[test]
    fn runs_whose_names_have_one_hash_are_told_apart() {
        let mut runs = Runs::new(7);
        let (user, session) = (UserKey::of_slot(0), SessionKey::of_slot(0));
        let id = |number: u32| RunId::new(number.to_string()).unwrap();
        let numbers = runs.names.of_one_hash(|number| (user, number.to_string()));
        let keys = numbers.map(|number| {
            let stamps = (Timestamp::ZERO, Timestamp::ZERO);
            runs.insert((user, session), id(number), "agent".into(), stamps, 1)
        });
        assert_eq!(numbers.map(|number| runs.find(user, &id(number))), keys.map(Some));
        assert_eq!(runs.find(UserKey::of_slot(1), &id(numbers[0])), None);
    }
}
