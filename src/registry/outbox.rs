//! What is directed at one connection or session, in the order of its causes.

use crate::action::Ended;
use crate::conn::{ConnKey, State};
use crate::session::SessionKey;
use crate::snapshot::encoded;
use crate::store::{Fifo, SlotKey};

use super::Registry;
use super::owned_action::OwnedAction;

/// What is directed at one connection or session, first in, first out. It is bounded by what it is about:
/// direct messages, moved entries and gaps by the window and the reserve of their connection and by
/// `outbound.direct_bytes`, and one ping, one close and one cleanup of each.
#[derive(Clone, Hash)]
pub(crate) struct Outbox {
    queue: Fifo<OwnedAction>,
    /// The cost of the items that are bounded by it.
    bytes: u64,
}

encoded! { struct Outbox { queue, bytes } }

impl Outbox {
    pub(crate) const fn new() -> Self {
        Self { queue: Fifo::new(), bytes: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether an item of this cost may be queued. One of any cost may while there is no other.
    pub(crate) const fn fits(&self, cost: u64, limit: u64) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(cost) <= limit
    }

    /// Whether its sum is that of its items.
    pub(crate) fn is_sound(&self) -> bool {
        self.queue.iter().map(OwnedAction::bounded_cost).sum::<u64>() == self.bytes
    }

    fn push(&mut self, item: OwnedAction) {
        self.bytes += item.bounded_cost();
        self.queue.push(item);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &OwnedAction> {
        self.queue.iter()
    }

    pub(crate) fn pop(&mut self) -> Option<OwnedAction> {
        let item = self.queue.pop()?;
        self.bytes -= item.bounded_cost();
        Some(item)
    }
}

impl Registry {
    /// Queues an item and charges its connection for it.
    pub(super) fn enqueue(&mut self, item: OwnedAction) {
        if let Some((conn, cost)) = item.charge() {
            self.conns.hot_mut(ConnKey::of_slot(conn.index())).window.queue(cost);
        }
        self.outbox.push(item);
    }

    /// Does what handing out an item means. `false`: it is void, its connection has gone.
    pub(super) fn hand_out_owned(&mut self, item: &OwnedAction) -> bool {
        match item {
            OwnedAction::Cleanup { what: Ended::Conn(conn), .. } => {
                self.release_conn(*conn);
                return true;
            }
            OwnedAction::Cleanup { what: Ended::Session(session), .. } => {
                let user = self.sessions.release(SessionKey::of_slot(session.index()));
                self.forget_user(user);
                return true;
            }
            _ => {}
        }
        let Some((conn, cost)) = item.charge() else { return true };
        let Some(slot) = self.conns.resolve(conn) else { return false };
        let attended = self.attended();
        let (hot, cold) = self.conns.both_mut(slot);
        if matches!(item, OwnedAction::Ping { .. }) && !hot.pulse.leave_outbox() {
            return false;
        }
        if hot.state == State::Gone {
            hot.window.withdraw(cost);
            return false;
        }
        let is_open = hot.state == State::Open;
        let is_first = hot.window.hand_out_queued(cost, attended);
        if !self.config.flush_reports {
            hot.window.flush_to(u64::MAX, attended);
        }
        match item {
            OwnedAction::Send { .. } => self.counters.sent += 1,
            OwnedAction::Left { .. } => cold.extras.edit(|it| it.lefts -= 1),
            OwnedAction::Gap { from, to, .. } => self.count_gap(conn, *from, *to),
            OwnedAction::Ping { .. } => {
                self.counters.pings_sent += 1;
                hot.pulse.handed_out(&mut cold.probe, hot.window.handed_out());
                let (flushed, window) = (hot.window.flushed(), self.config.send_window);
                hot.pulse.flushed(&mut cold.probe, flushed, attended, window);
            }
            OwnedAction::Close { .. } => {
                cold.close_polled = true;
                cold.phase = self.now;
                cold.waits_since = attended;
            }
            OwnedAction::Cleanup { .. } => {}
        }
        match item {
            OwnedAction::Ping { .. } | OwnedAction::Close { .. } => self.arm(slot),
            _ if is_first && is_open => self.arm_stuck(slot),
            _ => {}
        }
        self.go_on_if_unreported(slot);
        true
    }

    /// Without reports of flushes what is handed out has left its room at once.
    pub(super) fn go_on_if_unreported(&mut self, slot: ConnKey) {
        if !self.config.flush_reports {
            let _ = self.unpause_if_room(slot);
            self.ready_if_room(slot);
        }
    }
}
