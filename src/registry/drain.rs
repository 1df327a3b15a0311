//! Leaving in good order: drain as a plan, and credentials that end.

use core::ops::Range;
use core::time::Duration;

use crate::action::CloseReason;
use crate::config::Config;
use crate::conn::{Conn, State, TableWalk, jitter_bits};
use crate::input::Input;
use crate::snapshot::encoded;
use crate::stats::Notice;
use crate::store::{Budget, scale};
use crate::time::{Deadline, Timestamp};

use super::Registry;
use super::poll::{Lent, Passes};
use super::ready::Ready;

/// A drain under way. Every instant of it is a function of this and of the connection, so there is
/// nothing to schedule and nothing to undo.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Drain {
    /// Tells it from the drains before, from 1 on.
    pub(crate) number: u32,
    began: Timestamp,
    /// The hard stop.
    ends: Deadline,
    /// Announcing it.
    announced: TableWalk,
    /// The hard stop. Later connections were refused, and end by themselves.
    stopped: TableWalk,
}

encoded! { struct Drain { number, began, ends, announced, stopped } }

impl Drain {
    /// When a connection is told to close: spread between the grace and the hard stop, less the
    /// time that the last handshakes need.
    pub(crate) fn closes_at(&self, conn: &Conn, config: &Config) -> Timestamp {
        let first = self.first_close(config);
        let span = self.ends.left(first);
        let handshake = config.close_handshake.min(span / 4);
        first + scale(span - handshake, jitter_bits(conn, config, 3))
    }

    /// When the grace is over: after half of the drain at the latest, or a short one would end
    /// before a close frame could be written.
    fn first_close(&self, config: &Config) -> Timestamp {
        let length = self.ends.left(self.began);
        self.began + config.drain_grace.min(length / 2)
    }

    /// How long it lasts from now.
    pub(crate) const fn left(&self, now: Timestamp) -> Duration {
        self.ends.left(now)
    }

    pub(crate) const fn is_announced(&self) -> bool {
        self.announced.is_over()
    }

    /// What a client is told to wait before it reconnects.
    fn within(&self, config: &Config) -> Range<Duration> {
        let least = Duration::from_millis(500);
        least..least + self.ends.left(self.first_close(config)).max(least)
    }
}

/// # Draining
///
/// A drain empties the registry before the process ends, in the time that it is given.
impl Registry {
    /// Begins to drain: newcomers are refused, everyone is told, and after the grace (half of the
    /// drain at most) connections are closed with [`CloseReason::Restart`], spread evenly until
    /// `deadline` from now (`None`: `drain.deadline`), when whatever is left of them gets its
    /// `Cleanup`. A second call sets a new end.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// registry.drain(now, Some(Duration::from_secs(10)));
    /// let newcomer = Principal::new("bob".parse()?);
    /// let refused = registry.admit(now, newcomer, Start::Now, None);
    /// assert!(matches!(refused, Err(Refused::Draining { .. })));
    /// while !registry.is_drained() {
    ///     // A shell sends here what it polls, and reports the sockets that have ended.
    ///     while registry.poll_action().is_some() {}
    ///     if let Some(at) = registry.poll_timeout() {
    ///         registry.tick(at);
    ///     }
    /// }
    /// assert_eq!(registry.stats().closed(CloseReason::Restart), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&mut self, now: Timestamp, deadline: Option<Duration>) {
        self.enter(now, Input::Drain { deadline });
        let ends = Deadline::after(self.now, deadline.unwrap_or(self.config.drain_deadline));
        self.drains = self.drains.wrapping_add(1).max(1);
        let walk = TableWalk::of_present(&self.conns, self.last_serial);
        self.drain = Some(Drain {
            number: self.drains,
            began: self.now,
            ends,
            announced: walk,
            stopped: walk,
        });
        self.queue_drain();
        self.notice(Notice::Draining { connections: self.counters.open });
    }

    /// Ends a drain early: who was not closed by now stays, and newcomers are welcome again.
    /// `false`: there was none.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// registry.drain(now, None);
    /// assert!(registry.is_draining());
    /// assert!(registry.cancel_drain(now));
    /// assert!(registry.admit(now, Principal::new("bob".parse()?), Start::Now, None).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel_drain(&mut self, now: Timestamp) -> bool {
        self.enter(now, Input::CancelDrain);
        self.cancel_turn(Ready::Drain);
        self.drain.take().is_some()
    }

    /// Whether a drain is under way. [`cancel_drain`](Self::cancel_drain) has an example.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// Whether a drain is under way and no connection is left, cleanups included. [`drain`](Self::drain)
    /// has an example.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && self.conns.len() == 0
    }

    fn queue_drain(&mut self) {
        let waits = self.drain.is_some_and(|drain| !drain.is_announced());
        if waits {
            self.queue_turn(Ready::Drain);
        } else {
            self.cancel_turn(Ready::Drain);
        }
    }

    /// One slice of the announcement: it also arms each connection's place in the plan.
    pub(super) fn serve_drain(&mut self, passes: &mut Passes) -> Option<Lent> {
        let mut drain = self.drain?;
        while !drain.is_announced()
            && self.recipients.len() < self.config.fanout_chunk as usize
            && passes.are_left()
        {
            let slot = drain.announced.step(&self.conns);
            let open = slot.filter(|slot| self.conns.hot(*slot).state == State::Open);
            if let Some(slot) = open {
                self.recipients.push(self.conns.id(slot));
                self.hand_out(slot, crate::MESSAGE_OVERHEAD);
                self.conns.cold_mut(slot).told_of_drain = drain.number;
                self.arm(slot);
            } else {
                passes.take(1);
            }
        }
        self.drain = Some(drain);
        self.queue_drain();
        let within = drain.within(&self.config);
        (!self.recipients.is_empty()).then_some(Lent::Draining { within })
    }

    /// When the hard stop is due: never, once it has been or nobody is left.
    pub(super) fn hard_stop(&self) -> Option<Deadline> {
        let drain = self.drain.as_ref()?;
        (!drain.stopped.is_over() && self.conns.len() > 0).then_some(drain.ends)
    }

    /// The hard stop, as far as the budget of this tick reaches.
    pub(super) fn force_close(&mut self, budget: &mut Budget) {
        let Some(mut drain) = self.drain.filter(|drain| drain.ends.is_due(self.now)) else {
            return;
        };
        while !drain.stopped.is_over() && budget.take() {
            let Some(slot) = drain.stopped.step(&self.conns) else { continue };
            let before = self.entries_moved;
            if matches!(self.conns.hot(slot).state, State::Open | State::Pending) {
                self.begin_close(slot, CloseReason::Restart);
            }
            self.finish(slot);
            budget.charge(self.entries_moved - before);
        }
        self.drain = Some(drain);
    }
}
