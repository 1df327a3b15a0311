//! Messages to all connections: each walks over the table of connections, a slice a turn.

use crate::conn::{State, TableWalk};
use crate::except::LeftOut;
use crate::message::Message;
use crate::snapshot::encoded;
use crate::stats::{Delivery, Notice};

use super::Registry;
use super::poll::{Lent, Passes};
use super::ready::Ready;

/// A message on its way over the table of connections.
#[derive(Clone, Hash)]
pub(crate) struct Announcement {
    message: Message,
    left_out: Option<LeftOut>,
    walk: TableWalk,
    sent: u32,
    skipped: u32,
}

encoded! { struct Announcement { message, left_out, walk, sent, skipped } }

impl Registry {
    pub(super) fn announce(
        &mut self,
        message: Message,
        left_out: Option<LeftOut>,
        delivery: &mut Delivery,
    ) {
        if self.announcements.len() >= self.config.announcements as usize {
            delivery.full = true;
            return;
        }
        let left = left_out.map_or(0, |it| self.open_left_out(it).count());
        delivery.live = self.counters.open - left as u32;
        self.queue_turn(Ready::Announcement);
        let walk = TableWalk::of_slots(&self.conns);
        self.announcements.push_back(Announcement { message, left_out, walk, sent: 0, skipped: 0 });
    }

    /// The turn of the oldest announcement: the next slice of the table.
    pub(super) fn serve_announcement(&mut self, passes: &mut Passes) -> Option<Lent> {
        let mut announcement = self.announcements.pop_front()?;
        let cost = announcement.message.cost();
        while !announcement.walk.is_over()
            && self.recipients.len() < self.config.fanout_chunk as usize
            && passes.are_left()
        {
            let Some(slot) = announcement.walk.step(&self.conns) else {
                passes.take(1);
                continue;
            };
            let (hot, conn) = (self.conns.hot(slot), self.conns.id(slot));
            let left_out = announcement.left_out;
            if hot.state != State::Open || left_out.is_some_and(|it| self.candidate(slot).is(it)) {
                passes.take(1);
                continue;
            }
            if hot.lagging > 0 || !hot.window.fits(cost, self.config.send_window) {
                announcement.skipped += 1;
                passes.take(1);
                continue;
            }
            announcement.sent += 1;
            self.recipients.push(conn);
            self.hand_out(slot, cost);
        }
        self.counters.sent += self.recipients.len() as u64;
        let lent =
            (!self.recipients.is_empty()).then(|| Lent::Announcement(announcement.message.clone()));
        if !announcement.walk.is_over() {
            self.announcements.push_front(announcement);
        } else {
            let Announcement { sent, skipped, .. } = announcement;
            self.counters.skipped += u64::from(skipped);
            self.notice(Notice::Announced { sent, skipped });
        }
        if !self.announcements.is_empty() {
            self.queue_turn(Ready::Announcement);
        }
        lent
    }
}
