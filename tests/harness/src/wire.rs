//! One socket that is none: what it was handed, in order, and how much of it the kernel has taken.

use std::collections::VecDeque;

use headcount::Ended;

use super::seen::Seen;
use super::{Check, ensure};

/// Where a socket is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// It was handed its `Close`.
    Closed,
    /// Its `Cleanup` was polled.
    Forgotten,
}

/// A fake socket, counted as [`flushed`](headcount::Registry::flushed) counts: in units of
/// [`Action::cost`](headcount::Action::cost).
///
/// It checks what a shell owes the registry: frames reach the wire in the order of the actions, totals
/// are cumulative and never claim what was not taken, and after `Close` and after `Cleanup` nothing is
/// written. To check a shell of your own hand it a copy of each action that you poll, let it
/// [`take`](Self::take) what your socket took, and show it each total before you report it
/// ([`check_total`](Self::check_total)).
#[derive(Clone, Debug, Default)]
pub struct Wire {
    stage: Stage,
    /// What was handed out and is not wholly taken.
    queued: VecDeque<Seen>,
    /// How much of the first of it is taken.
    partial: u64,
    delivered: Vec<Seen>,
    /// The sums of all costs handed out, and taken.
    handed: u64,
    taken: u64,
    /// What was last reported.
    reported: u64,
}

impl Wire {
    /// The shell queues an action for this socket.
    ///
    /// # Errors
    /// It comes after a `Close` or a `Cleanup`.
    pub fn hand(&mut self, action: &Seen) -> Check {
        ensure!(self.stage != Stage::Forgotten, "{action:?} after its Cleanup");
        if matches!(action, Seen::Cleanup { what: Ended::Conn(_), .. }) {
            self.stage = Stage::Forgotten;
            self.queued.clear();
            return Ok(());
        }
        ensure!(self.stage == Stage::Open, "{action:?} after its Close");
        if matches!(action, Seen::Close { .. }) {
            self.stage = Stage::Closed;
        }
        self.handed += action.cost();
        self.queued.push_back(action.clone());
        Ok(())
    }

    /// The kernel takes at most so many units; what has been taken in all.
    pub fn take(&mut self, units: u64) -> u64 {
        let units = units.min(self.handed - self.taken);
        self.taken += units;
        self.partial += units;
        while let Some(first) = self.queued.front().filter(|it| it.cost() <= self.partial) {
            self.partial -= first.cost();
            self.delivered.extend(self.queued.pop_front());
        }
        self.taken
    }

    /// The shell is about to report this total to [`flushed`](headcount::Registry::flushed).
    ///
    /// # Errors
    /// It is less than before, or not what the kernel has taken.
    pub fn check_total(&mut self, total: u64) -> Check {
        let Self { reported, taken, .. } = *self;
        ensure!(total >= reported, "{total} was reported after {reported}: totals never shrink");
        ensure!(total == taken, "{total} was reported, and {taken} was taken");
        self.reported = total;
        Ok(())
    }

    /// What the peer has wholly received, in order.
    #[must_use]
    pub fn delivered(&self) -> &[Seen] {
        &self.delivered
    }

    /// What was handed out and not taken, in units of cost.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.handed - self.taken
    }

    /// Whether the peer has received its close frame.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.delivered.last(), Some(Seen::Close { .. }))
    }

    /// Whether its `Cleanup` was polled.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.stage == Stage::Forgotten
    }
}
