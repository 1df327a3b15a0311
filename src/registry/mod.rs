//! The registry: all control flow, split by what goes in.

// What an embedder calls, in the order in which it is needed: the documentation shows it in this order.
mod new;

mod admission;
mod liveness;
mod poll;
mod timeouts;

mod delivery;
mod following;
mod rooms;

mod scope;

mod requests;

mod close;
mod credentials;
mod drain;

mod views;

mod closed;
mod look;
mod survey;

mod reload;

mod check;
mod fingerprint;
mod recording;

mod snapshot;

// What these stand on.
mod announcement;
mod budget;
#[cfg(test)]
mod costs;
mod eviction;
mod left_out;
mod outbox;
mod owned_action;
mod presence;
mod pressure;
mod pump;
mod ready;
mod retention;
mod runs;
mod tenancy;
mod timer;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::action::{CLOSE_REASONS, CloseReason};
use crate::config::Config;
use crate::conn::{ConnKey, Conns, OfState, State};
use crate::ends::{RoomEnd, RunEnd, SessionEnd};
use crate::evictable::Evictable;
use crate::id::ConnId;
use crate::input::Input;
use crate::room::Rooms;
use crate::run::Runs;
use crate::session::Sessions;
use crate::snapshot::encoded;
use crate::stats::Notice;
use crate::store::{Links, Ring, Steps, Table, Timers, TokenBucket, mix};
use crate::stream::{Stream, StreamKey};
use crate::tap::Tapped;
use crate::time::Timestamp;
use crate::waiting::Waiting;

pub(crate) use self::announcement::Announcement;
use self::budget::Listed;
use self::close::MassCloseEveryone;
pub use self::closed::Closed;
pub(crate) use self::drain::Drain;
use self::outbox::Outbox;
pub(crate) use self::owned_action::{OwnedAction, OwnedFact};
use self::poll::Lent;
use self::ready::{Ready, Turns};
pub use self::scope::{UserScope, Within};
pub use self::survey::Survey;
use self::timer::Timer;
pub use self::views::{
    CallView, ConnView, CursorView, RoomView, RunView, SessionView, TenantView, Upcoming, UserView,
};

/// The truth about who is connected. See the [crate docs](crate) for the loop and the contract.
///
/// Its methods stand below by their kinds, in the order in which an embedder needs them. Those that take a
/// time are inputs, and a [`Tap`](crate::Tap) sees each of them; the others change nothing, but that
/// polling hands out. `docs/costs.md` says what each costs at 1,000,000 connections.
///
/// A clone is a registry of its own that is in the same state: for a look at what would happen.
/// Payloads are shared, the rest is copied in O(everything). Never drive sockets with both. It has
/// no [`Tap`](crate::Tap). The [loop](crate#the-loop) has an example of a whole turn.
#[derive(Clone)]
pub struct Registry {
    config: Config,
    /// The latest stamp that came in: time never runs backwards inside.
    now: Timestamp,
    /// The sum of the process's own silences. Attended time is the time less these: what measures
    /// a peer's silence is kept in it, so that one addition moves all of those deadlines.
    pauses: Duration,
    conns: Conns,
    /// The pending ones by their source.
    waiting: Waiting,
    sessions: Sessions,
    rooms: Rooms,
    runs: Runs,
    /// Which streams can give something up when a byte budget is exceeded.
    evictable: Evictable<Listed>,
    /// The streams of sessions and rooms, in one table: delivery makes no difference.
    streams: Table<StreamKey, Stream>,
    /// What is due first.
    timers: Timers<Timer>,
    /// Direct messages and what the registry itself decided, in order; handed out first.
    outbox: Outbox,
    /// What has derived actions to give, in order.
    ready: Ring<Turns>,
    /// The links of the turns that the registry itself has.
    own_turns: [Links; Ready::OWN.len()],
    announcements: VecDeque<Announcement>,
    mass_close: Option<MassCloseEveryone>,
    drain: Option<Drain>,
    /// How many there have been.
    drains: u32,
    notices: VecDeque<Notice>,
    /// Admitted connections that wait for the end of their close handshake, in the order in which they
    /// began to: the first one's is cut short when the headroom is used up.
    closing: Ring<OfState>,
    /// The same for connections that were never admitted.
    leaving: Ring<OfState>,
    /// The last that have closed, and why.
    closed_ring: VecDeque<Closed>,
    /// The token bucket of connects.
    connects: TokenBucket,
    /// The first is made of the seed, so that a handle of another process hardly ever names anything.
    last_serial: u32,
    /// What the epochs are made of. Clients see them, and they must not give the seed away.
    epoch_key: u64,
    last_epoch: u64,
    counters: Counters,
    /// The recipients lent by the last poll.
    recipients: Vec<ConnId>,
    /// What the last poll has lent, beside its recipients.
    lent: Option<Lent>,
    /// The stream of the entry lent by the last poll, which everybody may have now: its log is
    /// trimmed in the next poll, when nothing is lent any more.
    to_trim: Option<StreamKey>,
    /// How many entries of logs were let go, freed of their run, or moved into the outbox: what a tick
    /// is charged for. It is no part of the state.
    entries_moved: u64,
    /// Steps through what is in no table, and through logs that are gone.
    steps: Steps,
    /// What sees inputs and actions. It is no part of the state: nothing is decided by it.
    tapped: Tapped,
}

/// What only ever counts up, and gauges that would take a walk to count.
#[derive(Clone, Default)]
struct Counters {
    opened: u64,
    open: u32,
    /// Admitted connections whose cleanup was not polled.
    live: u32,
    /// Never admitted ones whose cleanup was not polled.
    pending: u32,
    /// Of these, the ones that wait to be admitted.
    waiting: u32,
    abandoned: u64,
    closed: [u64; CLOSE_REASONS],
    sessions_opened: u64,
    sessions_ended_by: [u64; SessionEnd::COUNT],
    rooms_opened: u64,
    rooms_ended_by: [u64; RoomEnd::COUNT],
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
    runs_requested: u64,
    runs_ended: [u64; RunEnd::COUNT],
    gaps: u64,
    shed: u64,
    skipped: u64,
    log_messages: u64,
    log_bytes: u64,
    /// The cost of the tool calls under way.
    call_bytes: u64,
    late_stamps: u64,
    notices_lost: u64,
}

encoded! {
    struct Counters {
        opened, open, live, pending, waiting, abandoned, closed, sessions_opened, sessions_ended_by,
        rooms_opened, rooms_ended_by, refused, pings_sent, pongs_received, pong_timeouts, recovered, pauses,
        level_changes, probed, released, sent, deferred, stored, acknowledged, runs_opened, runs_requested,
        runs_ended, gaps, shed, skipped, log_messages, log_bytes, call_bytes, late_stamps, notices_lost,
    }
}

impl Registry {
    /// The first thing that an input does: the tap sees it, and its stamp is taken.
    #[inline]
    fn enter(&mut self, now: Timestamp, input: Input<'_>) {
        if let Some(tap) = self.tapped.get_mut() {
            tap.input(now, input);
        }
        self.take_stamp(now);
    }

    /// Time never runs backwards: a late stamp counts as the latest one.
    fn take_stamp(&mut self, now: Timestamp) {
        if now <= self.now {
            self.counters.late_stamps += u64::from(now < self.now);
            return;
        }
        if now.saturating_since(self.now) > self.config.pause_threshold {
            self.credit_pause(now);
        }
        self.now = now;
    }

    /// After a gap between inputs that is longer than `poll_timeout` had promised: nobody looked, so
    /// nobody's silence counts.
    fn credit_pause(&mut self, now: Timestamp) {
        let Some(promised) = self.poll_timeout() else { return };
        let lasted = now.saturating_since(promised.max(self.now));
        if lasted > self.config.pause_threshold {
            self.pauses += lasted;
            self.counters.pauses += 1;
            self.notice(Notice::Paused { lasted });
        }
    }

    /// The time in which the process looked at the peers.
    fn attended(&self) -> Timestamp {
        self.now.saturating_sub(self.pauses)
    }

    /// The slot of a connection that is open.
    fn open_slot(&self, conn: ConnId) -> Option<ConnKey> {
        let slot = self.conns.resolve(conn)?;
        (self.conns.hot(slot).state == State::Open).then_some(slot)
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
        mix(self.epoch_key ^ mix(self.last_epoch))
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
