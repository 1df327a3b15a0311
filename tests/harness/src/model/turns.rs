//! What the next poll returns: first what is directed at one connection, in the order of its causes;
//! then what has something to give takes turns, first in, first out.

use std::collections::{BTreeSet, VecDeque};

use headcount::{CloseWith, ConnId, Message, Notice, Position};

use super::left_out::LeftOut;
use super::log::Next;
use super::{Model, stream};
use crate::grammar::in_slot;
use crate::seen::{Content, Seen, Source};

/// What may have a turn, and has one at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Turn {
    /// A connection that catches up.
    Conn(ConnId),
    /// A stream with entries to hand out, or members to close.
    Stream(Source),
    /// The oldest announcement.
    Announcement,
    /// The user of whom something is to be said for longest.
    Presence,
    Drain,
    CloseEveryone,
}

/// The connections up to where the table ended at the call, in the order of their indexes.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Walk {
    next: usize,
    end: usize,
    /// The youngest connection that it is about; `None`: newcomers are visited, too.
    youngest: Option<u32>,
}

impl Walk {
    pub(crate) const fn is_over(&self) -> bool {
        self.next >= self.end
    }
}

/// A message to everyone, on its way.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Announcement {
    pub(crate) message: Message,
    pub(crate) left_out: Option<LeftOut>,
    pub(crate) walk: Walk,
    pub(crate) sent: u32,
    pub(crate) skipped: u32,
}

/// What waits to be polled.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Waiting {
    /// What is directed at one connection or session.
    pub(crate) outbox: VecDeque<Seen>,
    turns: VecDeque<Turn>,
    pub(crate) announcements: VecDeque<Announcement>,
    pub(crate) mass_close: Option<(CloseWith, Walk)>,
    /// The stream of what the last poll has lent: it is thinned by the next one.
    to_thin: Option<Source>,
    /// How much that gives nothing the poll under way may still pass.
    passes: usize,
}

/// How much that gives nothing one poll passes at most: what is void, turns, members, slots of a table.
const PASSES: usize = 1_024;

impl Waiting {
    /// Whether to poll again: the poll may find nothing.
    pub(crate) fn has_any(&self) -> bool {
        !self.outbox.is_empty() || !self.turns.is_empty() || self.to_thin.is_some()
    }

    pub(crate) fn queue(&mut self, turn: Turn) {
        if !self.turns.contains(&turn) {
            self.turns.push_back(turn);
        }
    }

    pub(crate) fn queue_if(&mut self, waits: bool, turn: Turn) {
        if waits { self.queue(turn) } else { self.cancel(&turn) }
    }

    pub(crate) fn cancel(&mut self, turn: &Turn) {
        self.turns.retain(|other| other != turn);
    }

    const fn pass(&mut self, count: usize) {
        self.passes = self.passes.saturating_sub(count);
    }

    /// A stream is gone.
    pub(crate) fn forget(&mut self, source: &Source) {
        self.cancel(&Turn::Stream(source.clone()));
        self.to_thin.take_if(|it| it == source);
    }
}

impl Model {
    /// The next thing to do, and does what that means.
    pub(crate) fn poll(&mut self) -> Option<Seen> {
        self.thin_lent();
        self.waiting.passes = PASSES;
        let seen = self.choose();
        self.waiting.passes = 0;
        seen
    }

    fn choose(&mut self) -> Option<Seen> {
        while self.waiting.passes > 0 {
            if let Some(item) = self.waiting.outbox.pop_front() {
                if self.hand_out(&item) {
                    return Some(item);
                }
                self.waiting.pass(1);
                continue;
            }
            let Some(turn) = self.waiting.turns.pop_front() else {
                self.thin_lent();
                return None;
            };
            let seen = match &turn {
                Turn::Conn(id) => self.serve_conn(*id),
                Turn::Stream(source) => self.serve_stream(source),
                Turn::Announcement => self.serve_announcement(),
                Turn::Presence => self.serve_presence(),
                Turn::Drain => self.serve_drain(),
                Turn::CloseEveryone => self.serve_mass_close(),
            };
            if seen.is_some() {
                return seen;
            }
            self.waiting.pass(1);
        }
        None
    }

    /// Whether a pass over the members of a stream waits for its first action.
    pub(crate) fn is_before_its_first(&self, source: &Source) -> bool {
        let pass = self.streams.get(source).and_then(|stream| stream.pass.as_ref());
        pass.is_some_and(|pass| pass.begin == 0 && !pass.has_served)
    }

    fn thin_lent(&mut self) {
        if let Some(source) = self.waiting.to_thin.take() {
            self.thin(&source);
        }
    }

    /// A log is thinned as soon as nothing of it is lent any more: by the next poll.
    fn thin_later(&mut self, source: &Source) {
        if self.waiting.to_thin.as_ref() != Some(source) {
            self.thin_lent();
            self.waiting.to_thin = Some(source.clone());
        }
    }

    /// Once every member has everything, only the history of a stream stays.
    pub(crate) fn thin(&mut self, source: &Source) {
        let stream = self.stream_mut(source);
        stream.thin();
        let waits = stream.log.waits_for_run(stream.bounds.history);
        self.marks.hit_if(waits, "a run's linger held up a log");
        self.list_evictable(source);
    }

    /// Queues a turn for a connection that lags and whose window is at most half full.
    pub(crate) fn look_at(&mut self, id: ConnId) {
        if self.lags(id) && self.used(id) <= self.config.send_window() / 2 {
            self.waiting.queue(Turn::Conn(id));
        }
    }

    /// Whether one of its streams waits for it: none of the others overtakes then.
    pub(crate) fn lags(&self, id: ConnId) -> bool {
        let seat = |source: &Source| self.streams.get(source)?.seat(id);
        self.conns[&id].streams.iter().filter_map(seat).any(|seat| seat.lagging)
    }

    /// What it finds next, as an action; the cursor behind it, and what it costs.
    pub(crate) fn item(&self, id: ConnId, source: &Source) -> Option<(Seen, u64)> {
        let stream = &self.streams[source];
        let seat = stream.seat(id)?;
        Some(match stream.log.next(seat) {
            Next::Gap(from, to) => (Seen::Gap { conn: id, stream: source.clone(), from, to }, to),
            Next::Entry(entry) => {
                let position = Some(Position { epoch: stream.epoch, offset: entry.last });
                let content = entry.after(seat.cursor);
                let stream = source.clone();
                (Seen::Send { to: vec![id], stream, position, content }, entry.last)
            }
            Next::Nothing => return None,
        })
    }

    /// From here on a member takes turns of its own.
    pub(crate) fn fall_back(&mut self, id: ConnId, source: &Source) {
        self.seat_mut(id, source).lagging = true;
        self.look_at(id);
    }

    /// The turn of a connection: one entry or gap of one of its streams, then the next one gets its turn.
    /// One that does not fit holds back all of them.
    fn serve_conn(&mut self, id: ConnId) -> Option<Seen> {
        let streams = self.conns.get(&id)?.streams.clone();
        let first = self.conns[&id].next_stream;
        for index in (first..first + streams.len()).map(|index| index % streams.len()) {
            let source = &streams[index];
            if !self.streams[source].seat(id).is_some_and(|seat| seat.lagging) {
                continue;
            }
            let Some((seen, cursor)) = self.item(id, source) else {
                self.catch_up(id, source);
                continue;
            };
            let fits = self.fits(id, seen.cost());
            self.conn_mut(id).next_stream = index + usize::from(fits);
            if !fits {
                return None;
            }
            self.mark_item(id, source, &seen);
            self.seat_mut(id, source).cursor = cursor;
            self.hand(id, seen.cost());
            self.count(&seen);
            if self.item(id, source).is_none() {
                self.catch_up(id, source);
            }
            if self.lags(id) {
                self.waiting.queue(Turn::Conn(id));
            }
            return Some(seen);
        }
        None
    }

    /// A member has everything up to the head: its stream's own turns serve it again.
    fn catch_up(&mut self, id: ConnId, source: &Source) {
        self.marks.hit("a connection caught up");
        let head = self.streams[source].head();
        let seat = self.seat_mut(id, source);
        (seat.cursor, seat.lagging) = (head, false);
        self.thin_later(source);
    }

    /// A stream's turn: it closes members, or hands a stretch of them what they lack, one entry a poll.
    /// Then it goes to the back. A stretch that serves none takes no turn.
    fn serve_stream(&mut self, source: &Source) -> Option<Seen> {
        if self.streams[source].closing.is_some() {
            self.close_members(source);
            return None;
        }
        let (chunk, turn) = (self.config.fanout_chunk() as usize, Turn::Stream(source.clone()));
        while let Some(stream::Pass { has_served, .. }) = self.streams[source].pass {
            let Some(offset) = self.stream_mut(source).next_of_stretch(chunk) else {
                if self.stream_mut(source).end_stretch() && has_served {
                    self.waiting.queue(turn);
                    return None;
                }
                continue;
            };
            let Some(seen) = self.give(source, offset) else {
                let stretch = self.streams[source].pass.map_or(0, |pass| pass.end - pass.begin);
                self.waiting.pass(stretch);
                if self.waiting.passes == 0 {
                    self.waiting.turns.push_front(turn);
                    return None;
                }
                continue;
            };
            self.count(&seen);
            let stream = self.stream_mut(source);
            stream.pass.iter_mut().for_each(|pass| pass.has_served = true);
            if stream.next_of_stretch(chunk).is_some() {
                self.waiting.turns.push_front(turn);
            } else if stream.end_stretch() {
                self.waiting.queue(turn);
            } else {
                self.thin_later(source);
            }
            return Some(seen);
        }
        self.thin(source);
        None
    }

    /// Hands the stretch under way one entry. A member without room for it, or which has lost something
    /// before it, lags from here on; so does one that lacks another part of a text than the first.
    fn give(&mut self, source: &Source, offset: u64) -> Option<Seen> {
        let stream = self.stream_mut(source);
        let pass = stream.pass.as_mut()?;
        pass.given = offset;
        let stretch = pass.begin..pass.end;
        let entry = stream.log.entry(offset).cloned();
        let lost = stream.log.lost_before(offset + u64::from(entry.is_none()));
        let epoch = stream.epoch;
        let lacks = stream.seats.iter().filter(|seat| !seat.lagging && seat.cursor < offset);
        let first = entry.as_ref().map_or(offset, |entry| entry.first());
        let parts: BTreeSet<_> = lacks.map(|seat| first.max(seat.cursor + 1)).collect();
        self.marks.hit_if(parts.len() > 1, "members lacked different parts of a text");
        let mut to = Vec::new();
        let mut handed: Option<Content> = None;
        for index in stretch {
            let seat = self.streams[source].seats[index].clone();
            let id = seat.conn;
            if seat.lagging || seat.cursor >= offset {
                continue;
            }
            let left_out = entry.as_ref().and_then(|entry| entry.left_out);
            let excluded = seat.who.is(left_out);
            let content = entry.as_ref().map(|entry| entry.after(seat.cursor));
            let fits = |content: &Content| !self.lags(id) && self.fits(id, content.cost());
            let content = content.filter(|it| seat.cursor >= lost && (excluded || fits(it)));
            let Some(content) = content else {
                self.tally.deferred += 1;
                if !self.lags(id) {
                    self.notice(Notice::Behind { conn: id });
                }
                self.marks.hit("a connection lagged");
                self.fall_back(id, source);
                continue;
            };
            if excluded {
                self.marks.hit("an entry was left out for its sender");
                let of = |it: fn(LeftOut) -> bool| left_out.is_some_and(it);
                let by_session = of(|it| matches!(it, LeftOut::Session(_)));
                let by_user = of(|it| matches!(it, LeftOut::User(_)));
                self.marks.hit_if(by_session, "an entry was left out for a session");
                self.marks.hit_if(by_user, "an entry was left out for a user");
            } else if handed.as_ref().is_some_and(|handed| *handed != content) {
                self.fall_back(id, source);
                continue;
            } else {
                self.marks.hit_if(seat.cursor >= first, "a text was handed out in part");
                self.hand(id, content.cost());
                to.push(id);
                handed = Some(content);
            }
            self.stream_mut(source).seats[index].cursor = offset;
        }
        let position = Some(Position { epoch, offset });
        handed.map(|content| Seen::Send { to, stream: source.clone(), position, content })
    }

    /// One slice of a room that is being closed, from the back.
    fn close_members(&mut self, source: &Source) {
        for _ in 0..self.config.fanout_chunk() {
            // A room goes with its last member.
            let Some(stream) = self.streams.get_mut(source) else { return };
            let Some((with, before)) = stream.closing.take() else { break };
            if let Some(index) = before.checked_sub(1) {
                stream.closing = Some((with.clone(), index));
                let id = stream.seats[index].conn;
                self.begin_close_with(id, &with);
            }
        }
        let Some(stream) = self.streams.get(source) else { return };
        self.marks.hit_if(
            stream.closing.as_ref().is_some_and(|(_, before)| *before > 0),
            "a close of a room went on in a later poll",
        );
        if stream.closing.is_some() || stream.pass.is_some() {
            self.waiting.queue(Turn::Stream(source.clone()));
        }
    }

    pub(crate) fn walk(&self, youngest: Option<u32>) -> Walk {
        let end = self.conns.keys().next_back().map_or(0, |id| id.index() + 1);
        Walk { next: 0, end, youngest }
    }

    /// A walk that passes over those who come later.
    pub(crate) fn walk_of_present(&self) -> Walk {
        self.walk(self.conns.keys().map(|id| self.made(id.to_bits())).max().or(Some(0)))
    }

    /// Visits one more slot of the table, which may be vacant.
    pub(crate) fn step(&self, walk: &mut Walk) -> Option<ConnId> {
        let index = walk.next;
        walk.next += 1;
        let slot = in_slot(index, ConnId::from_bits);
        let id = self.conns.range(slot).map(|(id, _)| *id).next()?;
        walk.youngest.is_none_or(|youngest| self.made(id.to_bits()) <= youngest).then_some(id)
    }

    /// Goes on until so many were served as one action is for.
    pub(crate) fn serve_some(
        &mut self,
        walk: &mut Walk,
        mut serve: impl FnMut(&mut Self, ConnId) -> bool,
    ) {
        let mut served = 0;
        while !walk.is_over() && served < self.config.fanout_chunk() && self.waiting.passes > 0 {
            let visited = self.step(walk);
            if visited.is_some_and(|id| serve(self, id)) {
                served += 1;
            } else {
                self.waiting.pass(1);
            }
        }
    }

    /// The turn of the oldest announcement: it reaches so many connections.
    fn serve_announcement(&mut self) -> Option<Seen> {
        let mut it = self.waiting.announcements.pop_front()?;
        let content = Content::Message(it.message.clone());
        let mut to = Vec::new();
        self.serve_some(&mut it.walk, |model, id| {
            if !model.conns[&id].is_open() || model.who(id).is(it.left_out) {
                return false;
            }
            let skips = model.lags(id) || !model.fits(id, content.cost());
            if skips {
                model.marks.hit("an announcement skipped a connection");
                it.skipped += 1;
            } else {
                model.hand(id, content.cost());
                to.push(id);
            }
            !skips
        });
        it.sent += to.len() as u32;
        if it.walk.is_over() {
            self.tally.skipped += u64::from(it.skipped);
            self.notice(Notice::Announced { sent: it.sent, skipped: it.skipped });
        } else {
            self.waiting.announcements.push_front(it);
        }
        if !self.waiting.announcements.is_empty() {
            self.waiting.queue(Turn::Announcement);
        }
        self.tally.sent += to.len() as u64;
        let seen = Seen::Send { to, stream: Source::Everyone, position: None, content };
        (!seen.conns().is_empty()).then_some(seen)
    }

    /// One slice of a close of everyone.
    fn serve_mass_close(&mut self) -> Option<Seen> {
        let (with, mut walk) = self.waiting.mass_close.take()?;
        self.serve_some(&mut walk, |model, id| {
            let closes = model.conns[&id].is_there();
            closes.then(|| model.begin_close_with(id, &with)).is_some()
        });
        if !walk.is_over() {
            self.marks.hit("a close of everyone went on in a later poll");
            self.waiting.mass_close = Some((with, walk));
            self.waiting.queue(Turn::CloseEveryone);
        }
        None
    }

    /// Charges a connection for something that is handed out: it is in flight until it is flushed.
    pub(crate) fn hand(&mut self, id: ConnId, cost: u64) {
        self.marks.hit_if(
            self.used(id) == 0 && cost > self.config.send_window(),
            "a large message went into an empty window",
        );
        let (now, reports) = (self.now, self.config.flush_reports());
        let conn = self.conn_mut(id);
        if conn.in_flight() == 0 {
            conn.progress_at = now;
        }
        conn.handed += cost;
        let total = conn.handed;
        if !reports {
            let _ = self.count_flushed(id, total);
        }
    }
}
