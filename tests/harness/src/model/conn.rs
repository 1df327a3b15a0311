//! What the model knows about one connection: where it is in its life, its window, its deadlines.

use std::collections::VecDeque;

use headcount::{
    CloseReason, ConnId, ConnState, MESSAGE_OVERHEAD, Message, RoomId, SessionId, Timestamp,
    Upcoming,
};

use super::Bucket;
use crate::seen::{Content, Source};

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Pending,
    Open,
    Closing,
    Gone,
}

/// Something that was promised to one connection and waits to be polled, in order.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Waiting {
    Direct(Message),
    /// What the close moved out of the logs, then the `Close` itself.
    Close(Moved),
    Cleanup,
}

/// What a closing connection may still be handed.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Moved {
    /// The sequences that are right, each of which holds all that fits.
    pub(crate) right: Vec<Vec<Item>>,
    /// Gaps of these that may begin earlier, and where at the earliest: at losses that are not the
    /// connection's own, where the registry no longer tells them apart.
    pub(crate) early: Vec<(Item, u64)>,
    /// What was polled so far.
    pub(crate) polled: Vec<Item>,
}

impl Moved {
    /// Any part of a right sequence may be all that found room.
    pub(crate) fn may_stop_early(&mut self) {
        let parts = |whole: &Vec<Item>| {
            let whole = whole.clone();
            (0..=whole.len()).map(move |end| whole[..end].to_vec())
        };
        self.right = self.right.iter().flat_map(parts).collect();
    }

    /// Whether a right sequence begins with what was polled.
    pub(crate) fn begins_rightly(&self) -> bool {
        let begins = |right: &Vec<Item>| {
            let mut pairs = right.iter().zip(&self.polled);
            self.polled.len() <= right.len() && pairs.all(|(item, polled)| self.is(item, polled))
        };
        self.right.iter().any(begins)
    }

    /// Whether what was polled is a right sequence.
    pub(crate) fn is_whole(&self) -> bool {
        self.begins_rightly() && self.right.iter().any(|right| right.len() == self.polled.len())
    }

    /// What of it was not polled yet, at least and at most.
    fn cost(&self) -> (u64, u64) {
        let sum = |items: &[Item]| items.iter().map(Item::cost).sum::<u64>();
        let polled = sum(&self.polled);
        let left = |right: &Vec<Item>| sum(right).saturating_sub(polled);
        let costs = || self.right.iter().map(left);
        (costs().min().unwrap_or(0), costs().max().unwrap_or(0))
    }

    fn is(&self, item: &Item, polled: &Item) -> bool {
        let (Item::Gap { stream, from, to }, Item::Gap { from: begins, .. }) = (item, polled)
        else {
            return item == polled;
        };
        let same = Item::Gap { stream: stream.clone(), from: *begins, to: *to } == *polled;
        let early = || self.early.iter().any(|(gap, first)| gap == item && first <= begins);
        same && (begins == from || (begins < from && early()))
    }
}

/// One thing out of a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    Gap { stream: Source, from: u64, to: u64 },
    Entry { stream: Source, epoch: u64, offset: u64, content: Content },
}

impl Item {
    pub(crate) const fn is_text(&self) -> bool {
        matches!(self, Self::Entry { content: Content::Said(_), .. })
    }

    pub(crate) fn cost(&self) -> u64 {
        match self {
            Self::Gap { .. } => MESSAGE_OVERHEAD,
            Self::Entry { content, .. } => content.cost(),
        }
    }
}

/// An unanswered ping.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Ping {
    /// What had been handed out, the ping included, when it was; `None` while it is queued.
    pub(crate) mark: Option<u64>,
    /// When the pong deadline last began to run, and how much was flushed then; `None` before the
    /// ping itself was flushed.
    pub(crate) running: Option<(Timestamp, u64)>,
    /// Unanswered for half of its time.
    pub(crate) late: bool,
    /// It has the emergency deadline.
    pub(crate) hurried: bool,
}

/// A connection from `reserve` until its `Cleanup` is polled.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) state: State,
    pub(crate) upgraded: bool,
    /// Where it comes from, and when it last gave a sign of life: a number that grows.
    pub(crate) source: Option<u8>,
    pub(crate) life: u64,
    /// When the wait for the head, or for credentials, began. Each pause since makes it later.
    pub(crate) pending_since: Timestamp,
    /// The session it was admitted to, and when.
    pub(crate) admitted: Option<(SessionId, Timestamp)>,
    /// In joining order.
    pub(crate) rooms: Vec<RoomId>,
    /// Why it closes; `None` while it does not.
    pub(crate) reason: Option<CloseReason>,
    /// Which operation closed it: the order of closes made by one operation is open.
    pub(crate) closed_by: u64,
    /// When its `Close` was polled. Each pause since makes it later.
    pub(crate) close_polled: Option<Timestamp>,
    pub(crate) outbox: VecDeque<Waiting>,
    /// Gone: the most that may still wait for it in the registry's outbox, in units of cost.
    pub(crate) void: u64,
    pub(crate) handed: u64,
    pub(crate) flushed: u64,
    /// The last flush progress, or the moment at which something came to be in flight.
    pub(crate) progress_at: Timestamp,
    pub(crate) paused: bool,
    /// The last data message.
    pub(crate) data_at: Timestamp,
    /// Which label its principal has.
    pub(crate) label: Option<u8>,
    /// When its principal expires.
    pub(crate) expires: Option<Timestamp>,
    /// The bytes of its request head.
    pub(crate) head: u64,
    /// When the message in progress began, and whether frames of it have come whole.
    pub(crate) began: Option<Timestamp>,
    pub(crate) fragmented: bool,
    /// How fast it may talk, and how many eighths of a message it talked too fast.
    pub(crate) frames: Option<Bucket>,
    pub(crate) excess: u32,
    /// The same for bytes.
    pub(crate) bytes: Option<Bucket>,
    pub(crate) excess_bytes: u64,
    /// A ping was handed out, and no pong has come since.
    pub(crate) pong_owed: bool,
    /// Of the drain under way.
    pub(crate) told_of_drain: bool,
    /// It was there when the drain began.
    pub(crate) met_drain: bool,
    /// The last sign of life; the admission before the first.
    pub(crate) heard_at: Timestamp,
    /// Whether a ping was handed out: until then the silence allowed is jittered.
    pub(crate) pinged: bool,
    pub(crate) ping: Option<Ping>,
    /// Whether a ping waits to be polled. Its place among the direct messages is open.
    pub(crate) ping_due: bool,
    /// The millisecond of its next deadline, and what is due then; `None`: there is none, or what the
    /// registry said of it no longer holds.
    pub(crate) next: Option<(u64, Upcoming)>,
    /// May be pumped: its window was at most half full since it was last stuck, or its place in a
    /// member array has moved.
    pub(crate) ready: bool,
    /// Must be looked at, and was not surely blocked since: it was flushed to half a window, say,
    /// while it surely lagged.
    pub(crate) armed: bool,
    /// How often others were served while it could be.
    pub(crate) waited: usize,
}

impl Conn {
    pub(crate) fn new(id: ConnId, now: Timestamp) -> Self {
        Self {
            id,
            state: State::Pending,
            upgraded: false,
            source: None,
            life: 0,
            pending_since: now,
            admitted: None,
            rooms: Vec::new(),
            reason: None,
            closed_by: 0,
            close_polled: None,
            outbox: VecDeque::new(),
            void: 0,
            handed: 0,
            flushed: 0,
            progress_at: now,
            paused: false,
            data_at: now,
            label: None,
            expires: None,
            head: 0,
            began: None,
            fragmented: false,
            frames: None,
            excess: 0,
            bytes: None,
            excess_bytes: 0,
            pong_owed: false,
            told_of_drain: false,
            met_drain: false,
            heard_at: now,
            pinged: false,
            ping: None,
            ping_due: false,
            next: None,
            ready: false,
            armed: false,
            waited: 0,
        }
    }

    pub(crate) fn public_state(&self) -> ConnState {
        match self.state {
            State::Pending => ConnState::Pending,
            State::Open if self.ping.is_some_and(|ping| ping.late) => ConnState::Suspect,
            State::Open => ConnState::Open,
            State::Closing => ConnState::Closing,
            State::Gone => ConnState::Gone,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        self.admitted.map(|(session, _)| session)
    }

    /// The streams that it is a member of, in the order in which a close hands them out.
    pub(crate) fn streams(&self) -> Vec<Source> {
        let session = self.session().map(Source::Session);
        session.into_iter().chain(self.rooms.iter().cloned().map(Source::Room)).collect()
    }

    pub(crate) const fn in_flight(&self) -> u64 {
        self.handed - self.flushed
    }

    /// What waits in the outbox, in units of cost.
    pub(crate) fn queued(&self) -> u64 {
        let cost = |waiting: &Waiting| match waiting {
            Waiting::Direct(message) => message.cost(),
            Waiting::Close(_) | Waiting::Cleanup => 0,
        };
        let ping = u64::from(self.ping_due) * MESSAGE_OVERHEAD;
        self.outbox.iter().map(cost).sum::<u64>() + ping
    }

    pub(crate) fn used(&self) -> u64 {
        self.in_flight() + self.queued()
    }

    /// Whether an entry of a stream finds room.
    pub(crate) fn fits(&self, cost: u64, window: u64) -> bool {
        self.used() == 0 || self.used() + cost <= window
    }

    /// Whether a direct message finds room.
    pub(crate) fn direct_fits(&self, cost: u64, window: u64, reply_reserve: u64) -> bool {
        let reserved = cost <= reply_reserve && self.used() + cost <= window + reply_reserve;
        self.fits(cost, window) || reserved
    }

    /// What of the registry's outbox is for it, at least and at most: direct messages, and what a close
    /// has moved out of the logs.
    pub(crate) fn directed(&self) -> (u64, u64) {
        let (mut least, mut most) = (0, self.void);
        for waiting in &self.outbox {
            let (low, high) = match waiting {
                Waiting::Direct(message) => (message.cost(), message.cost()),
                Waiting::Close(moved) => moved.cost(),
                Waiting::Cleanup => (0, 0),
            };
            (least, most) = (least + low, most + high);
        }
        (least, most)
    }

    /// A sign of life. It answers the ping, and makes one that waits to be polled pointless.
    pub(crate) const fn hear(&mut self, now: Timestamp) {
        self.heard_at = now;
        self.ping = None;
        self.ping_due = false;
    }

    /// Whether the outbox holds something that must come out.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.outbox.is_empty() || self.ping_due
    }
}
