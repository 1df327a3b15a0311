//! The registry: all control flow, split by what goes in.

mod admission;
mod budget;
mod check;
mod close;
mod delivery;
mod drain;
mod eviction;
mod explain;
mod fingerprint;
mod input;
mod liveness;
mod look;
mod outbox;
mod pressure;
mod pump;
mod reload;
mod runs;
mod survey;
mod turns;
mod user;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use slab::Slab;

use crate::action::{Action, Body, CLOSE_REASONS, CloseReason, Message, StreamRef};
use crate::config::Config;
use crate::conn::Conns;
use crate::id::ConnId;
#[cfg(feature = "journal")]
use crate::journal::{Attached, digest_of};
use crate::log::{Content, Log};
use crate::random::mix;
use crate::room::Rooms;
use crate::run::Runs;
use crate::session::Sessions;
use crate::stats::{Notice, RunEnd};
use crate::stream::{Owner, Stream};
use crate::time::Timestamp;
use crate::timers::Timers;

use self::budget::Holders;
use self::close::MassCloseEveryone;
pub(crate) use self::delivery::Announcement;
pub(crate) use self::drain::Drain;
pub use self::explain::{
    Closed, CursorExplanation, Explanation, RoomExplanation, RunExplanation, SessionExplanation,
    Upcoming,
};
pub use self::input::{Disconnect, Inbound, Resume, Target, Who};
use self::outbox::Outbox;
pub(crate) use self::outbox::Queued;
use self::pump::Handout;
use self::reload::Standing;
pub(crate) use self::turns::Turn;
use self::turns::Turns;
pub use self::user::{UserScope, Within};

/// Writes an input down, if this registry keeps a journal: the first thing that a door does, with
/// what it was given.
macro_rules! record {
    ($registry:expr, $now:expr, $door:ident($($given:expr),*)) => {
        #[cfg(feature = "journal")]
        if let Some(recorder) = $registry.recorder.get_mut() {
            recorder.$door($now, $($given),*);
        }
    };
}

use record;

/// The truth about who is connected. See the [crate docs](crate) for the loop and the contract.
///
/// Methods come in four kinds: facts from outside (`reserve`, `upgraded`, `connect`, `message`,
/// `flushed`, `disconnect`, `tick`), intents of the application (`send`, `reply`, `join`, `leave`,
/// `close`), what to do and when to come back (`poll_action`, `poll_timeout`, `poll_notice`), and
/// getters, which change nothing.
///
/// A clone is a registry of its own that is in the same state: for a look at what would happen.
/// Payloads are shared, the rest is copied in O(everything). Never drive sockets with both. It keeps
/// no journal.
#[derive(Clone)]
pub struct Registry {
    config: Config,
    /// The latest stamp that came in: time never runs backwards inside.
    now: Timestamp,
    /// The sum of the process's own silences. Attended time is the time less these: what measures
    /// a peer's silence is kept in it, so that one addition moves all of those deadlines.
    pauses: Duration,
    conns: Conns,
    sessions: Sessions,
    rooms: Rooms,
    runs: Runs,
    /// Which streams can give something up when a byte budget is exceeded.
    holders: Holders,
    /// The streams of sessions and rooms, in one table: delivery makes no difference.
    streams: Slab<Stream>,
    /// Each connection's next deadline.
    conn_timers: Timers,
    /// When lingering sessions end.
    session_timers: Timers,
    /// When the oldest entry of each log is too old.
    stream_timers: Timers,
    /// When a run has been silent, or open, for too long.
    run_timers: Timers,
    /// Direct messages and what the registry itself decided, in order; handed out first.
    outbox: Outbox,
    /// Who has derived actions to give, taking turns.
    turns: Turns,
    announcements: VecDeque<Announcement>,
    mass_close: Option<MassCloseEveryone>,
    drain: Option<Drain>,
    /// Whether a turn is queued for it. It may outlive a drain that was cancelled.
    drain_queued: bool,
    /// How many there have been.
    drains: u32,
    /// What may exceed the caps since they were lowered: no more than there was then.
    standing: Standing,
    notices: VecDeque<Notice>,
    /// Admitted connections in the order in which they began to close: whose handshake is cut short
    /// when the headroom is used up. Ended ones are dropped lazily.
    closing: VecDeque<ConnId>,
    /// The last that have closed, for whoever asks why.
    closed_ring: VecDeque<Closed>,
    /// When the token bucket of connects is empty, counted in tokens' worth of time.
    connects_paid_until: Timestamp,
    last_serial: u32,
    last_epoch: u64,
    counters: Counters,
    /// The recipients lent by the last poll.
    recipients: Vec<ConnId>,
    /// The outbox item lent by the last poll.
    lent: Option<Queued>,
    /// The announcement lent by the last poll.
    lent_message: Option<Message>,
    /// The stream of the entry lent by the last poll, which everybody may have now: its log is
    /// trimmed in the next poll, when nothing is lent any more.
    to_trim: Option<(u32, u64)>,
    /// Where inputs are written down. It is no part of the state: nothing is decided by it.
    #[cfg(feature = "journal")]
    recorder: Attached,
}

/// What a poll has chosen to lend.
enum Chosen {
    /// The item in `lent`.
    Queued,
    Handout(Handout),
}

/// What only ever counts up, and gauges that would take a walk to count.
#[derive(Clone, Default)]
struct Counters {
    opened: u64,
    open: u32,
    /// Admitted connections that wait for the end of their close handshake.
    closing: u32,
    /// Admitted connections whose cleanup was not polled.
    live: u32,
    /// Never admitted ones whose cleanup was not polled.
    pending: u32,
    abandoned: u64,
    closed: [u64; CLOSE_REASONS],
    sessions_opened: u64,
    sessions_ended: u64,
    refused: u64,
    pings_sent: u64,
    pongs_received: u64,
    pong_timeouts: u64,
    recovered: u64,
    pauses: u64,
    level_changes: u64,
    probed: u64,
    released: u64,
    sent: u64,
    deferred: u64,
    stored: u64,
    acknowledged: u64,
    runs_opened: u64,
    runs_ended: [u64; RunEnd::COUNT],
    gaps: u64,
    shed: u64,
    skipped: u64,
    log_messages: u64,
    log_bytes: u64,
    late_stamps: u64,
    notices_lost: u64,
}

/// How much a log holds: messages and bytes.
#[derive(Clone, Copy)]
struct LogSize(u64, u64);

impl LogSize {
    const fn of(log: &Log) -> Self {
        Self(log.len() as u64, log.bytes())
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let seed = config.seed();
        Self {
            config,
            now: Timestamp::ZERO,
            pauses: Duration::ZERO,
            conns: Conns::new(),
            sessions: Sessions::new(mix(seed)),
            rooms: Rooms::new(mix(!seed)),
            runs: Runs::new(mix(seed ^ 1)),
            holders: Holders::new(),
            streams: Slab::new(),
            conn_timers: Timers::new(),
            session_timers: Timers::new(),
            stream_timers: Timers::new(),
            run_timers: Timers::new(),
            outbox: Outbox::new(),
            turns: Turns::new(),
            announcements: VecDeque::new(),
            mass_close: None,
            drain: None,
            drain_queued: false,
            drains: 0,
            standing: Standing::default(),
            notices: VecDeque::new(),
            closing: VecDeque::new(),
            closed_ring: VecDeque::new(),
            connects_paid_until: Timestamp::ZERO,
            last_serial: 0,
            last_epoch: 0,
            counters: Counters::default(),
            recipients: Vec::new(),
            lent: None,
            lent_message: None,
            to_trim: None,
            #[cfg(feature = "journal")]
            recorder: Attached::default(),
        }
    }

    /// The next thing to do; `None`: nothing until the next input or deadline.
    ///
    /// First comes what is directed at one connection, in the order of its causes; then streams,
    /// connections that catch up, and announcements take turns, so that none waits for another's
    /// storm. Costs O(recipients lent); recipients that are passed over add to it.
    pub fn poll_action(&mut self) -> Option<Action<'_>> {
        let chosen = self.choose();
        #[cfg(feature = "journal")]
        if self.recorder.get().is_some() {
            let digest =
                chosen.as_ref().and_then(|chosen| self.lend(chosen)).as_ref().map(digest_of);
            if let Some(recorder) = self.recorder.get_mut() {
                recorder.polled(digest);
            }
        }
        self.lend(&chosen?)
    }

    /// Takes the next thing to do out of its queue, with its recipients.
    fn choose(&mut self) -> Option<Chosen> {
        self.lent = None;
        self.lent_message = None;
        self.recipients.clear();
        self.trim_lent();
        loop {
            if let Some(queued) = self.outbox.pop() {
                if !self.hand_out_queued(&queued) {
                    continue;
                }
                if let Queued::Direct { conn, .. } | Queued::Entry { conn, .. } = &queued {
                    self.recipients.push(*conn);
                }
                self.lent = Some(queued);
                return Some(Chosen::Queued);
            }
            let Some(turn) = self.turns.pop() else {
                // Whoever had nothing left to catch up on has come to the end without a word.
                self.trim_lent();
                return None;
            };
            if !self.is_turn_alive(&turn) {
                continue;
            }
            let handout = match turn {
                Turn::Stream { key, .. } => self.serve_stream(key),
                Turn::Conn(conn) => self.serve_conn(conn.index() as u32),
                Turn::Announcement => self.serve_announcement(),
                Turn::Drain => self.serve_drain(),
                Turn::CloseEveryone => {
                    self.serve_mass_close();
                    None
                }
            };
            if let Some(handout) = handout {
                return Some(Chosen::Handout(handout));
            }
        }
    }

    /// The action that was chosen.
    fn lend(&self, chosen: &Chosen) -> Option<Action<'_>> {
        Some(match *chosen {
            Chosen::Queued => self.lent.as_ref()?.action(&self.recipients),
            Chosen::Handout(Handout::Entry { stream, offset, after }) => {
                let stream = &self.streams[stream as usize];
                let entry = stream.log.get(offset)?;
                Action::Send {
                    to: &self.recipients,
                    stream: self.stream_ref(stream.owner),
                    position: Some(stream.position(offset)),
                    body: match entry.content_after(after)? {
                        Content::Message(message) => Body::Message(message),
                        Content::Run(fact) => Body::Run(self.fact(entry.at, fact)),
                        Content::Text(text) => Body::Text(self.text(entry.at, text)),
                    },
                }
            }
            Chosen::Handout(Handout::Gap { stream, conn, from, to }) => {
                let stream = self.stream_ref(self.streams[stream as usize].owner);
                Action::Gap { conn, stream, from, to }
            }
            Chosen::Handout(Handout::Draining { ref within }) => {
                Action::Draining { to: &self.recipients, within: within.clone() }
            }
            Chosen::Handout(Handout::Announcement) => Action::Send {
                to: &self.recipients,
                stream: StreamRef::Everyone,
                position: None,
                body: Body::Message(self.lent_message.as_ref()?),
            },
        })
    }

    /// Whether to poll again before sleeping. It may be `true` when the next poll finds nothing.
    #[must_use]
    pub fn has_actions(&self) -> bool {
        !self.outbox.is_empty() || !self.turns.is_empty() || self.to_trim.is_some()
    }

    /// When `tick` has something to do: possibly early, never late. `None`: never, without further
    /// input. An instant in the past: at once, the last tick's budget was used up.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let timers =
            [&self.conn_timers, &self.session_timers, &self.stream_timers, &self.run_timers];
        let first = timers.into_iter().filter_map(Timers::first).min().map(Timestamp::from_millis);
        // Rounded up like every deadline.
        let stop = self.hard_stop().map(|stop| Timestamp::from_millis(stop.as_millis_up()));
        [first, stop].into_iter().flatten().min()
    }

    /// The oldest fact that was not polled.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        let notice = self.notices.pop_front()?;
        #[cfg(feature = "journal")]
        if let Some(recorder) = self.recorder.get_mut() {
            recorder.noticed();
        }
        Some(notice)
    }

    #[cfg(feature = "journal")]
    pub(crate) const fn recorder(&self) -> &Attached {
        &self.recorder
    }

    #[cfg(feature = "journal")]
    pub(crate) const fn recorder_mut(&mut self) -> &mut Attached {
        &mut self.recorder
    }

    /// An input that changes nothing but the time.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        record!(self, now, pass());
        self.advance(now);
    }

    /// Takes the stamp of an input: clamped if it is late.
    fn advance(&mut self, now: Timestamp) {
        if now < self.now {
            self.counters.late_stamps += 1;
            return;
        }
        if now.saturating_since(self.now) > self.config.pause_threshold {
            self.believe_pause(now);
        }
        self.now = now;
    }

    /// After a gap between inputs that is longer than `poll_timeout` had promised: nobody looked, so
    /// nobody's silence counts.
    fn believe_pause(&mut self, now: Timestamp) {
        let Some(promised) = self.poll_timeout() else { return };
        let lasted = now.saturating_since(promised.max(self.now));
        if lasted > self.config.pause_threshold {
            self.pauses += lasted;
            self.counters.pauses += 1;
            self.notice(Notice::Paused { lasted });
        }
    }

    /// The time that somebody was there to look at the peers.
    fn attended(&self) -> Timestamp {
        self.now.saturating_sub(self.pauses)
    }

    fn notice(&mut self, notice: Notice) {
        if self.notices.len() < self.config.notices as usize {
            self.notices.push_back(notice);
        } else {
            self.counters.notices_lost += 1;
        }
    }

    /// One serial space serves connections and sessions: a handle of one kind is none of the other.
    fn next_serial(&mut self) -> NonZeroU32 {
        self.last_serial = self.last_serial.wrapping_add(1);
        match NonZeroU32::new(self.last_serial) {
            Some(serial) => serial,
            None => {
                self.last_serial = 1;
                NonZeroU32::MIN
            }
        }
    }

    /// Distinct for each stream of this registry, and with a fresh seed for those of the next.
    fn next_epoch(&mut self) -> u64 {
        self.last_epoch += 1;
        mix(self.config.seed ^ mix(self.last_epoch))
    }

    fn stream_ref(&self, owner: Owner) -> StreamRef<'_> {
        match owner {
            Owner::Session(session) => StreamRef::Session(self.sessions.id(session)),
            Owner::Room(room) => StreamRef::Room(&self.rooms.get(room).name),
        }
    }

    /// Whether the holder of a turn is still there, and still waits for it.
    fn is_turn_alive(&self, turn: &Turn) -> bool {
        match turn {
            Turn::Stream { key, epoch } => self
                .streams
                .get(*key as usize)
                .is_some_and(|stream| stream.epoch == *epoch && stream.queued),
            Turn::Conn(conn) => {
                self.conns.resolve(*conn).is_some_and(|slot| self.conns.hot(slot).ready)
            }
            Turn::Announcement => !self.announcements.is_empty(),
            Turn::Drain => self.drain_queued,
            Turn::CloseEveryone => self.mass_close.is_some(),
        }
    }

    fn abandon_turn(&mut self, turn: Turn) {
        let mut turns = core::mem::replace(&mut self.turns, Turns::new());
        turns.abandon(turn, |turn| self.is_turn_alive(turn));
        self.turns = turns;
    }

    /// Trims the log of what the last poll lent.
    fn trim_lent(&mut self) {
        if let Some((key, epoch)) = self.to_trim.take()
            && self.streams.get(key as usize).is_some_and(|stream| stream.epoch == epoch)
        {
            self.trim_history(key);
        }
    }

    /// A log had another size before: adapts the gauges.
    fn log_changed(&mut self, key: u32, before: LogSize) {
        let stream = &self.streams[key as usize];
        let after = LogSize::of(&stream.log);
        let counters = &mut self.counters;
        counters.log_messages = counters.log_messages + after.0 - before.0;
        counters.log_bytes = counters.log_bytes + after.1 - before.1;
        if let Owner::Session(session) = stream.owner {
            let user = self.sessions.user_mut(self.sessions.get(session).user);
            user.bytes = user.bytes + after.1 - before.1;
        }
    }

    fn count_closed(&mut self, reason: CloseReason) {
        self.counters.closed[reason as usize] += 1;
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("now", &self.now)
            .field("open", &self.counters.open)
            .field("sessions", &self.sessions.live())
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}
