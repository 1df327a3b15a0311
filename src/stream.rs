//! One stream: a log, and the cursors of the connections that follow it.

mod extras;
mod fan_out;

use core::time::Duration;

use crate::action::{CloseWith, Position};
use crate::conn::ConnKey;
use crate::log::{Bounds, FreedEntries, Log};
use crate::room::RoomKey;
use crate::session::SessionKey;
use crate::snapshot::encoded;
use crate::store::{Dense, Rare, key};
use crate::time::Deadline;

pub(crate) use self::extras::Extras;
use self::fan_out::ENTRIES_OF_STRETCH;
pub(crate) use self::fan_out::FanOut;

key! {
    /// The key of a stream, of a session or of a room.
    StreamKey
}

/// Whose log it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Owner {
    Session(SessionKey),
    Room(RoomKey),
}

encoded! { enum Owner { 0 = Session(session), 1 = Room(room) } }

/// Where one connection stands in a stream.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Member {
    pub(crate) conn: ConnKey,
    /// Its window was full, or it has a gap. Fan-out skips it, and its own entries in the ready queue
    /// serve it, until it has caught up.
    pub(crate) lagging: bool,
    /// The last entry handed out to it, or skipped for it.
    pub(crate) cursor: u64,
}

encoded! { struct Member { conn, lagging, cursor } }

/// Closing all that were members at the call, from the back, a slice a turn. A leave may move a later
/// member in front, which is closed too then; an earlier one is never missed.
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct MassClose {
    pub(crate) with: CloseWith,
    /// The members from this index on are closed, or have joined since.
    pub(crate) before: u32,
}

encoded! { struct MassClose { with, before } }

#[derive(Clone, Hash)]
pub(crate) struct Stream {
    pub(crate) owner: Owner,
    pub(crate) epoch: u64,
    pub(crate) log: Log,
    /// Every member's cursor is here or later. What is before is kept for a resume only.
    pub(crate) delivered_to_all: u64,
    /// Without holes, so that fan-out is a walk over an array and its order is deterministic.
    pub(crate) members: Dense<Member>,
    /// How many members lag.
    pub(crate) lagging: u32,
    pub(crate) extras: Rare<Extras>,
}

encoded! {
    struct Stream { owner, epoch, log, delivered_to_all, members, lagging, extras }
}

impl Stream {
    pub(crate) fn new(owner: Owner, epoch: u64) -> Self {
        Self {
            owner,
            epoch,
            log: Log::new(),
            delivered_to_all: 0,
            members: Dense::new(),
            lagging: 0,
            extras: Rare::new(),
        }
    }

    pub(crate) const fn position(&self, offset: u64) -> Position {
        Position { epoch: self.epoch, offset }
    }

    /// Lets entries go until the log is within its bounds.
    pub(crate) fn fit(&mut self, bounds: Bounds, freed: &mut FreedEntries) {
        while self.log.exceeds(bounds) {
            self.log.make_room(self.delivered_to_all, freed);
        }
    }

    /// Members that do not lag are handed what was appended after an offset, unless that is under way.
    pub(crate) fn begin_fan_out(&mut self, after: u64) {
        self.extras.fan_out.get_or_insert_with(|| FanOut::after(after));
    }

    fn end_fan_out(&mut self) {
        if self.extras.fan_out.is_some() {
            self.extras.edit(|it| it.fan_out = None);
        }
    }

    /// Notes that every member was handed everything, if that is so; whether it is.
    pub(crate) fn note_delivery(&mut self) -> bool {
        if self.members.is_empty() {
            // Its turn may still be queued: nobody is left to wait for it.
            self.end_fan_out();
        }
        let is_delivered = self.extras.fan_out.is_none() && self.lagging == 0;
        if is_delivered {
            self.delivered_to_all = self.log.head();
        }
        is_delivered
    }

    /// Once every member was handed everything, lets go what is no history.
    pub(crate) fn trim_history(&mut self, bounds: Bounds, freed: &mut FreedEntries) {
        if !self.note_delivery() {
            return;
        }
        self.log.drop_droppable();
        while self.log.exceeds_history(bounds.history) {
            self.log.drop_oldest(freed);
        }
    }

    /// When the oldest entry is too old, if each may stay for so long.
    pub(crate) fn ages_at(&self, ttl: Duration) -> Option<Deadline> {
        Some(Deadline::after(self.log.oldest()?.at, ttl))
    }

    /// The offset up to which the members of the stretch under way are handed something next; a stretch
    /// of `chunk` members begins if none is. `None`: it has had everything of this pass.
    pub(crate) fn next_of_stretch(&mut self, chunk: u32) -> Option<u64> {
        // Extras that are not there would be there after a look that could change them.
        self.extras.fan_out?;
        let (fan_out, log) = (self.extras.fan_out.as_mut()?, &self.log);
        let reach = |from| log.reach(from, ENTRIES_OF_STRETCH);
        fan_out.begin_stretch(chunk, self.members.len() as u32, reach);
        if fan_out.has_given_all() {
            return None;
        }
        if let Some(entry) = log.after(fan_out.given()) {
            return fan_out.is_about(entry.begins_after()).then_some(entry.offset);
        }
        // All that is behind is lost, for the newest entry has no successor.
        let lost = log.lost_before(log.head() + 1);
        debug_assert!(lost > fan_out.given(), "an entry that is neither there nor lost");
        Some(lost)
    }

    /// The stretch under way has had everything of this pass. Whether another one follows, of this pass
    /// or of the next.
    pub(crate) fn end_stretch(&mut self) -> bool {
        let (members, head) = (self.members.len() as u32, self.log.head());
        let next = self.extras.fan_out.and_then(|it| it.next_stretch(members, head));
        match next {
            Some(_) => self.extras.fan_out = next,
            None => self.end_fan_out(),
        }
        next.is_some()
    }

    /// Adds a member. Returns its index.
    pub(crate) fn add(&mut self, conn: ConnKey, cursor: u64) -> u32 {
        let index = self.members.len() as u32;
        self.members.push(Member { conn, lagging: false, cursor });
        self.delivered_to_all = self.delivered_to_all.min(cursor);
        index
    }

    /// Removes a member in O(1). The last member takes its index.
    pub(crate) fn remove(&mut self, index: u32) -> Removed {
        let member = self.members.swap_remove(index as usize);
        self.lagging -= u32::from(member.lagging);
        let from = self.members.len() as u32;
        let moved = (index < from).then(|| self.members[index as usize].conn);
        if !self.extras.is_there() {
            return Removed { moved, missed: false };
        }
        let Extras { fan_out, mass_close, .. } = &mut *self.extras;
        // No member is missed by the removal of the last one, which moves none.
        let missed = fan_out.as_mut().is_some_and(|fan_out| fan_out.remove(index, from));
        if let Some(mass_close) = mass_close {
            mass_close.before = mass_close.before.min(from);
        }
        Removed { moved, missed }
    }
}

/// What a removal did to others.
pub(crate) struct Removed {
    /// The connection whose member record moved to the index that became free.
    pub(crate) moved: Option<ConnKey>,
    /// The running fan-out will not visit it any more.
    pub(crate) missed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use crate::store::SlotKey;
    use crate::time::Timestamp;

    fn conn(slot: u32) -> ConnKey {
        ConnKey::of_slot(slot as usize)
    }

    fn stream_of(count: u32) -> Stream {
        let mut stream = Stream::new(Owner::Room(RoomKey::of_slot(0)), 1);
        for slot in 0..count {
            assert_eq!(stream.add(conn(slot), 0), slot);
        }
        stream
    }

    #[test]
    fn a_leave_moves_the_last_member_into_the_hole() {
        let mut stream = stream_of(3);
        let removed = stream.remove(0);
        assert_eq!((removed.moved, removed.missed), (Some(conn(2)), false));
        let removed = stream.remove(1);
        assert_eq!((removed.moved, removed.missed), (None, false));
        assert_eq!(stream.members[0].conn, conn(2));
    }

    fn append(stream: &mut Stream) {
        let before = stream.log.head();
        stream.log.append(Timestamp::ZERO, Message::text("hello"), None, 7);
        stream.begin_fan_out(before);
    }

    #[test]
    fn a_member_that_moves_is_missed_if_the_place_has_had_more() {
        // The first stretch has had the entry, the second has not.
        let under_way = || {
            let mut stream = stream_of(5);
            append(&mut stream);
            assert_eq!(stream.next_of_stretch(2), Some(1));
            stream.extras.edit(|it| it.fan_out.as_mut().unwrap().give(1));
            assert_eq!(stream.next_of_stretch(2), None, "the stretch has had everything");
            assert!(stream.end_stretch());
            assert_eq!(stream.next_of_stretch(2), Some(1));
            stream
        };
        let removed = under_way().remove(0);
        assert_eq!((removed.moved, removed.missed), (Some(conn(4)), true));
        let removed = under_way().remove(3);
        assert_eq!((removed.moved, removed.missed), (Some(conn(4)), false), "nor has its place");
        let removed = under_way().remove(4);
        assert_eq!((removed.moved, removed.missed), (None, false));
    }

    #[test]
    fn a_stretch_is_told_of_a_loss_behind_the_last_entry() {
        let mut stream = stream_of(1);
        append(&mut stream);
        stream.log.pass_over();
        let give = |stream: &mut Stream, upto| {
            stream.extras.edit(|it| it.fan_out.as_mut().unwrap().give(upto));
        };
        assert_eq!(stream.next_of_stretch(8), Some(1));
        give(&mut stream, 1);
        assert_eq!(stream.next_of_stretch(8), Some(2), "the loss");
        give(&mut stream, 2);
        assert_eq!(stream.next_of_stretch(8), None);
        // All that was appended is lost before the fan-out comes to it.
        let mut stream = stream_of(1);
        append(&mut stream);
        append(&mut stream);
        stream.log.drop_oldest(&mut FreedEntries::new());
        stream.log.drop_oldest(&mut FreedEntries::new());
        assert_eq!(stream.next_of_stretch(8), Some(2));
    }
}
