//! Deriving sends from cursors: fan-out over the members of a stream, and turns of connections that
//! catch up.

use core::ops::Range;

use crate::action::{Body, CloseReason};
use crate::conn::{ConnKey, Membership, State};
use crate::id::ConnId;
use crate::log::{self, Entry, Reader};
use crate::message::MESSAGE_OVERHEAD;
use crate::session::UserKey;
use crate::stats::Notice;
use crate::stream::{Member, Owner, StreamKey};

use super::Registry;
use super::owned_action::{Origin, OwnedAction};
use super::poll::{Lent, Passes};
use super::ready::Ready;
use super::timeouts::arm;

/// What the members of a stretch are handed next.
struct Part {
    /// The entry is behind this cursor, up to its own offset.
    begins: u64,
    offset: u64,
    /// The last offset before it that is lost.
    lost: u64,
    cost: u64,
    /// The user some of whose connections the entry may leave out.
    not_of: Option<UserKey>,
}

/// What a cursor finds next in its stream.
#[derive(Clone, Copy)]
enum Upcoming {
    Gap { from: u64, to: u64 },
    Entry { offset: u64, cost: u64 },
    Nothing,
}

impl Registry {
    /// Queues a turn for a connection that lags and whose window is at most half full.
    pub(super) fn ready_if_room(&mut self, slot: ConnKey) {
        let conn = self.conns.hot(slot);
        if conn.lagging > 0 && conn.window.is_half_empty(self.config.send_window) {
            self.queue_turn(Ready::Conn(slot));
        }
    }

    /// Whether a stream entry or a gap of this cost may be handed out now.
    fn fits(&self, slot: ConnKey, cost: u64) -> bool {
        self.conns.hot(slot).window.fits(cost, self.config.send_window)
    }

    /// Charges a connection for something that the current poll hands out to it.
    pub(super) fn hand_out(&mut self, slot: ConnKey, cost: u64) {
        let attended = self.attended();
        let window = &mut self.conns.hot_mut(slot).window;
        let is_first = window.hand_out(cost, attended);
        if !self.config.flush_reports {
            window.flush_to(u64::MAX, attended);
            let _ = self.unpause_if_room(slot);
        } else if is_first {
            self.arm_stuck(slot);
        }
    }

    pub(super) fn count_gap(&mut self, conn: ConnId, from: u64, to: u64) {
        self.counters.gaps += 1;
        self.notice(Notice::Gap { conn, from, to });
    }

    /// A stream's turn: closes members, or hands a stretch of at most `fanout_chunk` of them what they
    /// lack, one entry a poll. Until the stretch has had all of its entries the turn goes on; then the
    /// stream goes to the back of the queue.
    pub(super) fn serve_stream(&mut self, key: StreamKey, passes: &mut Passes) -> Option<Lent> {
        if self.streams[key].extras.mass_close.is_some() {
            self.close_members(key);
            return None;
        }
        let chunk = self.config.fanout_chunk;
        while let Some(fan_out) = self.streams[key].extras.fan_out {
            let Some(offset) = self.streams[key].next_of_stretch(chunk) else {
                let is_over = !self.streams[key].end_stretch();
                if fan_out.has_served() && !is_over {
                    self.queue_turn(Ready::Stream(key));
                    return None;
                }
                continue;
            };
            let after = self.fan_out_entry(key, offset);
            if self.recipients.is_empty() {
                let fan_out = self.streams[key].extras.fan_out;
                passes.take(fan_out.map_or(0, |it| it.stretch().len() as u32));
                if !passes.are_left() {
                    self.go_on(Ready::Stream(key));
                    return None;
                }
                continue;
            }
            self.counters.sent += self.recipients.len() as u64;
            let stream = &mut self.streams[key];
            stream.extras.fan_out.iter_mut().for_each(|it| it.serve());
            if stream.next_of_stretch(chunk).is_some() {
                self.go_on(Ready::Stream(key));
            } else if stream.end_stretch() {
                self.queue_turn(Ready::Stream(key));
            } else {
                self.trim_later(key);
            }
            return Some(Lent::Entry { stream: key, offset, after });
        }
        self.trim_history(key);
        None
    }

    /// Hands the stretch under way one entry: the cursor behind which it is handed out. Where there is
    /// no entry any more, a member that lacks it has a gap.
    fn fan_out_entry(&mut self, key: StreamKey, offset: u64) -> u64 {
        let stream = &mut self.streams[key];
        let Some(fan_out) = &mut stream.extras.fan_out else { return offset };
        fan_out.give(offset);
        let stretch = fan_out.stretch();
        let log = &stream.log;
        let entry = log.get(offset);
        let lost = log.lost_before(offset);
        let content = entry.and_then(Entry::content);
        let left_out = entry.and_then(Entry::left_out);
        // A text may be had in part: those who lack the same part are served together.
        let begins = entry.map_or(offset, Entry::begins_after);
        let whole = content.map(|content| content.cost());
        let not_of = left_out.and_then(|it| it.user(&self.conns, &self.sessions));
        let mut after = None;
        let mut next = stretch.start;
        while next < stretch.end {
            if let Some(cost) = whole
                && self.config.flush_reports
                && after.is_none_or(|after| after == begins)
            {
                let part = Part { begins, offset, lost, cost, not_of };
                next = self.hand_out_whole(key, next..stretch.end, &part);
                if !self.recipients.is_empty() {
                    after = Some(begins);
                }
                if next == stretch.end {
                    break;
                }
            }
            let index = next;
            next += 1;
            let member = self.streams[key].members[index as usize];
            if member.lagging || member.cursor >= offset {
                continue;
            }
            let is_left_out = left_out.is_some_and(|it| self.candidate(member.conn).is(it));
            let from = member.cursor.max(begins);
            let cost = whole.map(|whole| whole - (from - begins));
            let room = cost.is_some_and(|cost| {
                member.cursor >= lost
                    && (is_left_out
                        || (self.conns.hot(member.conn).lagging == 0
                            && self.fits(member.conn, cost)))
            });
            if !room {
                self.fall_behind(key, index);
                continue;
            }
            if !is_left_out {
                if *after.get_or_insert(from) != from {
                    self.mark_lagging(key, index);
                    continue;
                }
                self.recipients.push(self.conns.id(member.conn));
                self.hand_out(member.conn, cost.unwrap_or(0));
            }
            self.streams[key].members[index as usize].cursor = offset;
        }
        after.unwrap_or(begins)
    }

    /// Hands out an entry as a whole to members, as long as each is like most: it has had all before the
    /// entry, its window has room, nothing of it lags and the entry does not leave it out. Returns the index
    /// of the first that is not, or the end. Each costs its place among the members and the hot record of its
    /// connection, and no more unless its timer must be armed.
    fn hand_out_whole(&mut self, key: StreamKey, members: Range<u32>, part: &Part) -> u32 {
        let attended = self.attended();
        let (stuck, limit) = (self.rules().stuck(attended), self.config.send_window);
        let Self { streams, conns, timers, recipients, .. } = self;
        recipients.reserve(members.len());
        let mut index = members.start;
        let members = members.start as usize..members.end as usize;
        for slice in streams[key].members.slices_mut(members) {
            for member in slice {
                if !member.lagging && member.cursor < part.offset {
                    let (id, conn) = conns.hot_and_id_mut(member.conn);
                    if member.cursor < part.lost
                        || member.cursor > part.begins
                        || conn.lagging > 0
                        || !conn.window.fits(part.cost, limit)
                        || (part.not_of.is_some() && conn.user == part.not_of)
                    {
                        return index;
                    }
                    recipients.push(id);
                    if conn.window.hand_out(part.cost, attended) {
                        arm(timers, conn, member.conn, stuck);
                    }
                    member.cursor = part.offset;
                }
                index += 1;
            }
        }
        index
    }

    /// A member that can't be handed its next entry now.
    fn fall_behind(&mut self, key: StreamKey, index: u32) {
        self.counters.deferred += 1;
        let slot = self.streams[key].members[index as usize].conn;
        if self.conns.hot(slot).lagging == 0 {
            let conn = self.conns.id(slot);
            self.notice(Notice::Behind { conn });
        }
        self.mark_lagging(key, index);
    }

    /// From here on a member takes turns of its own, until it has caught up.
    pub(super) fn mark_lagging(&mut self, key: StreamKey, index: u32) {
        let stream = &mut self.streams[key];
        let member = &mut stream.members[index as usize];
        if !member.lagging {
            member.lagging = true;
            stream.lagging += 1;
            self.conns.hot_mut(member.conn).lagging += 1;
        }
        let slot = self.streams[key].members[index as usize].conn;
        self.ready_if_room(slot);
    }

    /// A member as a reader of its stream's log.
    pub(super) fn reader(&self, key: StreamKey, member: Member) -> Reader<'_> {
        Reader {
            who: self.candidate(member.conn),
            laggard: member.lagging,
            late: self.conns.cold(member.conn).extras.late_joins.of(key),
        }
    }

    fn next_of(&self, key: StreamKey, index: u32) -> Upcoming {
        let stream = &self.streams[key];
        let member = stream.members[index as usize];
        match stream.log.next(member.cursor, &self.reader(key, member)) {
            log::Next::Gap { from, to } => Upcoming::Gap { from, to },
            log::Next::Entry(entry) => {
                let cost = entry.content_after(member.cursor).map_or(0, |content| content.cost());
                Upcoming::Entry { offset: entry.offset, cost }
            }
            log::Next::Nothing => Upcoming::Nothing,
        }
    }

    /// Moves a cursor past what was handed out.
    fn advance_cursor(&mut self, key: StreamKey, index: u32, cursor: u64) {
        let member = &mut self.streams[key].members[index as usize];
        member.cursor = cursor;
        let extras = &mut self.conns.cold_mut(member.conn).extras;
        if extras.is_there() {
            extras.edit(|it| it.late_joins.pass(key, cursor));
        }
    }

    /// The turn of a connection that lags: one entry or gap of one of its streams, then the others
    /// get theirs. A large entry that does not fit holds back all its streams, so that the window
    /// empties for it.
    pub(super) fn serve_conn(&mut self, slot: ConnKey) -> Option<Lent> {
        let memberships = self.conns.cold(slot).memberships.len() as u32;
        for step in 0..memberships {
            let cold = self.conns.cold(slot);
            let index = (cold.next_membership + step) % memberships;
            let membership = cold.memberships[index as usize];
            if !self.streams[membership.stream].members[membership.index as usize].lagging {
                continue;
            }
            let next = self.next_of(membership.stream, membership.index);
            let (cursor, cost) = match next {
                Upcoming::Nothing => {
                    self.catch_up(membership.stream, membership.index);
                    continue;
                }
                Upcoming::Gap { to, .. } => (to, MESSAGE_OVERHEAD),
                Upcoming::Entry { offset, cost } => (offset, cost),
            };
            if !self.fits(slot, cost) {
                self.conns.cold_mut(slot).next_membership = index;
                return None;
            }
            self.conns.cold_mut(slot).next_membership = index + 1;
            let conn = self.conns.id(slot);
            let after = self.streams[membership.stream].members[membership.index as usize].cursor;
            self.advance_cursor(membership.stream, membership.index, cursor);
            self.hand_out(slot, cost);
            let lent = if let Upcoming::Gap { from, to } = next {
                self.count_gap(conn, from, to);
                Lent::Gap { stream: membership.stream, conn, from, to }
            } else {
                self.recipients.push(conn);
                self.counters.sent += 1;
                Lent::Entry { stream: membership.stream, offset: cursor, after }
            };
            if matches!(self.next_of(membership.stream, membership.index), Upcoming::Nothing) {
                self.catch_up(membership.stream, membership.index);
            }
            // Not `ready_if_room`: a turn goes on until the window is full, not half full.
            if self.conns.hot(slot).lagging > 0 {
                self.queue_turn(Ready::Conn(slot));
            }
            return Some(lent);
        }
        None
    }

    /// The member has everything up to the head: fan-out visits it again.
    fn catch_up(&mut self, key: StreamKey, index: u32) {
        self.advance_cursor(key, index, self.streams[key].log.head());
        let stream = &mut self.streams[key];
        let member = &mut stream.members[index as usize];
        member.lagging = false;
        stream.lagging -= 1;
        let slot = member.conn;
        self.conns.hot_mut(slot).lagging -= 1;
        self.trim_later(key);
    }

    /// Moves what still fits the window of a connection that closes, and `outbound.direct_bytes`, into
    /// the outbox, stream by stream, as its own turns would have handed it out.
    pub(super) fn hand_out_farewell(&mut self, slot: ConnKey) {
        debug_assert_eq!(self.conns.hot(slot).state, State::Open);
        if self.conns.cold(slot).reason == CloseReason::PeerClosed {
            return;
        }
        for place in 0..self.conns.cold(slot).memberships.len() {
            if !self.hand_out_rest(slot, place) {
                return;
            }
        }
    }

    /// The same of one stream, for a connection that leaves it. `false`: there is no room for more.
    pub(super) fn hand_out_rest(&mut self, slot: ConnKey, place: usize) -> bool {
        let conn = self.conns.id(slot);
        let membership = self.conns.cold(slot).memberships[place];
        loop {
            let next = self.next_of(membership.stream, membership.index);
            let (item, cursor) = match next {
                Upcoming::Nothing => return true,
                Upcoming::Gap { from, to } => {
                    let origin = self.origin(membership.stream);
                    (OwnedAction::Gap { conn, origin, from, to }, to)
                }
                Upcoming::Entry { offset, .. } => {
                    let Some(item) = self.owned_entry(conn, membership, offset) else {
                        return true;
                    };
                    (item, offset)
                }
            };
            let cost = item.charge().map_or(0, |(_, cost)| cost);
            let has_room = self.outbox.fits(cost, self.config.direct_bytes);
            if !has_room || !self.fits(slot, cost) {
                return false;
            }
            self.enqueue(item);
            self.entries_moved += 1;
            self.advance_cursor(membership.stream, membership.index, cursor);
        }
    }

    fn origin(&self, key: StreamKey) -> Origin {
        match self.streams[key].owner {
            Owner::Session(session) => Origin::Session(self.sessions.id(session)),
            Owner::Room(room) => Origin::Room(self.rooms.get(room).name.clone()),
        }
    }

    /// What of an entry lies behind a member's cursor, for when its log has let it go.
    fn owned_entry(
        &self,
        conn: ConnId,
        membership: Membership,
        offset: u64,
    ) -> Option<OwnedAction> {
        let stream = &self.streams[membership.stream];
        let cursor = stream.members[membership.index as usize].cursor;
        let body = self.body(stream.log.get(offset)?, cursor)?;
        // A text is copied for each that closes; what is longer stays shared, for a resume.
        if matches!(body, Body::Text(_)) && body.cost() > self.config.send_window {
            return None;
        }
        Some(OwnedAction::Send {
            conn,
            place: Some((self.origin(membership.stream), stream.position(offset))),
            body: body.into(),
        })
    }
}
