//! The flow-control window of one connection: how much it may have outstanding.
//!
//! ```text
//!            queue               hand_out_queued            flush_to
//!   send ──────────▶  outbox  ───────────────────▶  socket  ─────────▶  peer
//!                    `queued`       hand_out ──────▶  in flight         `flushed`
//!                   └────────────── `load` ──────────────────┘
//! ```
//!
//! A cost that enters is part of the load until the shell reports it flushed. Direct messages wait in
//! the outbox first; entries of streams are handed out at once. All sums are costs
//! ([`Action::cost`](crate::Action::cost)), and `queued` never exceeds `load`.

use crate::snapshot::encoded;
use crate::time::Timestamp;

/// What is outstanding for one connection, and since when nothing of it has moved.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Window {
    /// The cost of what is queued for it directly or handed out to it, and not flushed.
    load: u64,
    /// The part of the load that waits in the outbox.
    queued: u64,
    /// The cost of everything that was ever flushed.
    flushed: u64,
    /// The last flush that took something, or when the first part in flight was handed out, in attended
    /// time.
    progress: Timestamp,
}

encoded! { struct Window { load, queued, flushed, progress } }

impl Window {
    pub(crate) const fn new(attended: Timestamp) -> Self {
        Self { load: 0, queued: 0, flushed: 0, progress: attended }
    }

    pub(crate) const fn load(&self) -> u64 {
        self.load
    }

    pub(crate) const fn queued(&self) -> u64 {
        self.queued
    }

    pub(crate) const fn flushed(&self) -> u64 {
        self.flushed
    }

    pub(crate) const fn in_flight(&self) -> u64 {
        self.load - self.queued
    }

    /// The cost of everything that was ever handed out: the total of a report that says that all of it
    /// was flushed.
    pub(crate) const fn handed_out(&self) -> u64 {
        self.flushed + self.in_flight()
    }

    /// Since when nothing of what is in flight was flushed; `None` if nothing is in flight.
    pub(crate) fn stuck_since(&self) -> Option<Timestamp> {
        (self.in_flight() > 0).then_some(self.progress)
    }

    /// Whether something of this cost may be handed out under a limit. An empty window admits any
    /// cost, or what is larger than the limit would never be handed out. A sum that would wrap fits no limit.
    pub(crate) const fn fits(&self, cost: u64, limit: u64) -> bool {
        self.load == 0 || self.fits_beside(cost, limit)
    }

    const fn fits_beside(&self, cost: u64, limit: u64) -> bool {
        match self.load.checked_add(cost) {
            Some(with_it) => with_it <= limit,
            None => false,
        }
    }

    /// Whether a direct message of this cost may be queued: under the limit like anything else, or
    /// beyond it as far as the reserve goes.
    pub(crate) const fn fits_direct(&self, cost: u64, limit: u64, reserve: u64) -> bool {
        let beyond = limit.saturating_add(reserve);
        self.fits(cost, limit) || (cost <= reserve && self.fits_beside(cost, beyond))
    }

    /// Whether there is so much room that a connection that was held back should go on.
    pub(crate) const fn is_half_empty(&self, limit: u64) -> bool {
        self.load <= limit / 2
    }

    /// Charges for what enters the outbox.
    pub(crate) const fn queue(&mut self, cost: u64) {
        self.load += cost;
        self.queued += cost;
    }

    /// Takes back the charge of what leaves the outbox and is not handed out.
    pub(crate) const fn withdraw(&mut self, cost: u64) {
        debug_assert!(cost <= self.queued, "more is withdrawn than was queued");
        self.load -= cost;
        self.queued -= cost;
    }

    /// Charges for what is handed out. `true`: nothing was in flight before, so that the deadline of a
    /// stuck connection begins now.
    pub(crate) fn hand_out(&mut self, cost: u64, attended: Timestamp) -> bool {
        let is_first = self.in_flight() == 0;
        self.load += cost;
        if is_first {
            self.progress = attended;
        }
        is_first
    }

    /// Hands out what was queued, and charged then.
    pub(crate) fn hand_out_queued(&mut self, cost: u64, attended: Timestamp) -> bool {
        self.withdraw(cost);
        self.hand_out(cost, attended)
    }

    /// The socket has taken so much since the connection was reserved. A total that runs backwards
    /// changes nothing, and one beyond what was handed out means all of that. `true`: something was
    /// flushed.
    pub(crate) fn flush_to(&mut self, total: u64, attended: Timestamp) -> bool {
        let progress = total.min(self.handed_out()).saturating_sub(self.flushed);
        if progress == 0 {
            return false;
        }
        self.load -= progress;
        self.flushed += progress;
        self.progress = attended;
        debug_assert!(self.queued <= self.load, "what waits in the outbox was flushed");
        true
    }

    /// Lets the deadline of a stuck connection begin anew.
    pub(crate) const fn restart(&mut self, attended: Timestamp) {
        self.progress = attended;
    }
}

#[cfg(test)]
mod harness;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn an_empty_window_admits_any_cost_and_another_one_up_to_its_limit() {
        let mut window = Window::new(at(0));
        assert!(window.fits(1_000, 100));
        window.queue(60);
        assert!(window.fits(40, 100) && !window.fits(41, 100));
        assert!(!window.fits(u64::MAX, 100), "a sum that would wrap does not fit");
        assert!(!window.fits(u64::MAX, u64::MAX), "no limit either");
    }

    #[test]
    fn beyond_the_limit_a_direct_message_fits_the_reserve() {
        let mut window = Window::new(at(0));
        assert!(window.fits_direct(1_000, 100, 50));
        window.queue(100);
        assert!(window.fits_direct(50, 100, 50) && !window.fits_direct(51, 100, 50));
        window.queue(1);
        assert!(window.fits_direct(49, 100, 50) && !window.fits_direct(50, 100, 50));
    }

    #[test]
    fn what_is_queued_is_charged_once() {
        let mut window = Window::new(at(0));
        window.queue(10);
        assert_eq!((window.load(), window.queued(), window.in_flight()), (10, 10, 0));
        assert!(window.hand_out_queued(10, at(1)));
        assert_eq!((window.load(), window.queued(), window.in_flight()), (10, 0, 10));
        window.queue(5);
        window.withdraw(5);
        assert_eq!((window.load(), window.handed_out()), (10, 10));
    }

    #[test]
    fn a_report_is_clamped_to_what_was_handed_out() {
        let mut window = Window::new(at(0));
        window.queue(7);
        window.hand_out(10, at(1));
        assert!(window.flush_to(4, at(2)));
        assert!(!window.flush_to(3, at(3)), "it runs backwards");
        assert_eq!((window.flushed(), window.load(), window.stuck_since()), (4, 13, Some(at(2))));
        assert!(window.flush_to(u64::MAX, at(4)));
        assert_eq!((window.flushed(), window.load(), window.queued()), (10, 7, 7));
    }

    #[test]
    fn a_connection_is_stuck_since_its_last_progress() {
        let mut window = Window::new(at(0));
        assert_eq!(window.stuck_since(), None);
        window.queue(1);
        assert_eq!(window.stuck_since(), None, "the outbox is not the peer's fault");
        assert!(window.hand_out(10, at(5)), "the first in flight begins the deadline");
        assert!(!window.hand_out(10, at(6)), "another one does not move it");
        assert_eq!(window.stuck_since(), Some(at(5)));
        window.flush_to(1, at(7));
        assert_eq!(window.stuck_since(), Some(at(7)));
        window.restart(at(9));
        assert_eq!(window.stuck_since(), Some(at(9)));
    }

    #[test]
    fn room_is_half_of_the_limit() {
        let mut window = Window::new(at(0));
        window.queue(50);
        assert!(window.is_half_empty(100) && !window.is_half_empty(99));
    }
}
