//! How much memory a registry can ever hold, as a function of its configuration.

use bytes::Bytes;

use crate::action::{MESSAGE_OVERHEAD, Message};
use crate::config::Config;
use crate::conn::{Cold, Conn, LateJoin, Membership};
use crate::departed::Departed;
use crate::id::MAX_ID_BYTES;
use crate::log::{Entry, TOMBSTONES_KEPT};
use crate::registry::{Announcement, Closed, OwnedAction, Ready};
use crate::room::Room;
use crate::run::Run;
use crate::session::{Session, User};
use crate::stats::Notice;
use crate::store::{names_bytes, table_bytes, timers_bytes};
use crate::stream::{Member, Stream};
use crate::waiting::Queue;

/// Vectors, queues and hash tables grow by doubling: what is asked for may be twice what is used.
const GROWTH: u64 = 2;
/// Collections that had more give memory back when they are less than a fourth full, down to this
/// many places.
const SHRINK: u64 = 4;
const KEPT_PLACES: u64 = 64;
/// A place in a hash table: a slot number or two, and a byte of control, at seven eighths full.
const INDEX: u64 = 2 * (24 + 1);
/// A name of its own: the longest, and what an allocation may cost beside it.
const NAME: u64 = MAX_ID_BYTES as u64 + 32;

const fn size<T>() -> u64 {
    // With the tag of a place in a slab.
    size_of::<T>() as u64 + 8
}

/// A table of so many records with a name each, by which they are found.
const fn named<T>(count: u64) -> u64 {
    let names = names_bytes(count).saturating_add(count.saturating_mul(NAME));
    table_bytes::<T>(count).saturating_add(names)
}

impl Config {
    /// The most bytes that a registry with this configuration ever holds on the heap, whatever the
    /// peers and the application do, if no message of the application has more than
    /// `largest_message` bytes. What the allocator itself adds is not counted, nor is what
    /// [`Message`] payloads keep alive beyond their own slice.
    ///
    /// It is a bound and no estimate: everything at its limit at once, every client a stalled one,
    /// every name as long as it may be. A test with a counting allocator holds it under random
    /// histories. A reload to lower limits keeps to the higher of the two for as long as something
    /// of before is there.
    #[must_use]
    pub const fn memory_bound(&self, largest_message: u64) -> u64 {
        let largest = largest_message.saturating_add(MESSAGE_OVERHEAD);
        let slots = self.connections as u64 + self.pending as u64 + 2 * self.closing as u64;
        let sessions = self.sessions as u64;
        // Ended ones whose cleanup was not polled keep a record, and no stream.
        let records = sessions + self.closing as u64;
        let rooms = self.rooms as u64;
        let streams = sessions + rooms;
        let entries = self.process_bytes / MESSAGE_OVERHEAD + 1;
        let runs = sessions.saturating_mul(self.runs_per_session as u64).saturating_add(entries);
        let parts = [
            self.of_connections(slots, largest),
            self.of_sessions(records),
            // One more while the user who left first is forgotten for another.
            named::<Departed>(self.users as u64 + 1),
            named::<Room>(rooms),
            self.of_streams(streams),
            of_logs(streams, entries, largest.saturating_add(self.process_bytes)),
            // A run has the name of its agent beside its own.
            named::<Run>(runs).saturating_add(runs.saturating_mul(NAME)),
            // The text of open runs, and the names of tool calls under way, are charged to their run.
            sessions
                .saturating_mul(self.runs_per_session as u64)
                .saturating_mul(GROWTH * self.run_bytes),
            table_bytes::<Queue>(self.pending as u64)
                .saturating_add(names_bytes(self.pending as u64)),
            timers_bytes(slots)
                .saturating_add(timers_bytes(records))
                .saturating_add(timers_bytes(streams))
                .saturating_add(timers_bytes(runs)),
            GROWTH * SHRINK * (slots + streams + KEPT_PLACES) * size::<Ready>(),
            (self.closed_ring as u64 + 4) * (GROWTH * size::<Closed>() + 3 * NAME),
            (self.notices as u64 + 4) * GROWTH * size::<Notice>(),
            largest
                .saturating_add(GROWTH * size::<Announcement>())
                .saturating_mul(self.announcements as u64 + 4),
            (self.fanout_chunk as u64 + 4) * GROWTH * 8,
        ];
        let (mut sum, mut next) = (0u64, 0);
        while next < parts.len() {
            sum = sum.saturating_add(parts[next]);
            next += 1;
        }
        sum
    }

    const fn of_connections(&self, slots: u64, largest: u64) -> u64 {
        let memberships = self.rooms_per_connection as u64 + 1;
        // Direct messages up to the reply reserve, and what a close moves out of the logs.
        let queued = largest.saturating_mul(2).saturating_add(2 * self.window + self.reply_reserve);
        let items = queued / MESSAGE_OVERHEAD + 4;
        let one = (memberships + 4) * GROWTH * (size::<Membership>() + size::<LateJoin>())
            + NAME
            // Its place in the order of those that close, which are dropped lazily.
            + GROWTH * 2 * 8;
        // An event of a run names it and its agent.
        let of_items = items.saturating_mul(GROWTH * size::<OwnedAction>() + 2 * NAME + 64);
        let one = queued.saturating_add(of_items).saturating_add(one);
        table_bytes::<Conn>(slots)
            .saturating_add(table_bytes::<Cold>(slots))
            .saturating_add((slots + KEPT_PLACES).saturating_mul(one))
    }

    const fn of_sessions(&self, sessions: u64) -> u64 {
        // A session has a user of its own at most, and a thread.
        let one = GROWTH * size::<OwnedAction>() + NAME;
        table_bytes::<Session>(sessions)
            .saturating_add(names_bytes(sessions))
            .saturating_add(named::<User>(sessions))
            .saturating_add((sessions + 4).saturating_mul(one))
    }

    const fn of_streams(&self, streams: u64) -> u64 {
        let memberships =
            (self.connections as u64).saturating_mul(1 + self.rooms_per_connection as u64);
        let members = memberships.saturating_mul(SHRINK * size::<Member>());
        let places = if memberships < streams { memberships } else { streams };
        table_bytes::<Stream>(streams)
            .saturating_add(members)
            .saturating_add(places.saturating_mul(KEPT_PLACES * size::<Member>()))
            // Its records among those that hold something, the ones of the gone included.
            .saturating_add((streams + KEPT_PLACES).saturating_mul(3 * GROWTH * GROWTH * 16))
    }
}

/// Logs: entries, the tombstones between them, and payloads. Of the text of runs half may be dead, and
/// half of what is asked for unused.
const fn of_logs(streams: u64, entries: u64, bytes: u64) -> u64 {
    let filled = if streams < entries { streams } else { entries };
    let kept = 2 * TOMBSTONES_KEPT as u64 + KEPT_PLACES;
    let places = (2 * entries).saturating_mul(SHRINK).saturating_add(filled.saturating_mul(kept));
    places
        .saturating_mul(size::<Entry>())
        // A key of a message of its own, and its place in the index.
        .saturating_add(entries.saturating_mul(NAME + INDEX))
        .saturating_add(filled.saturating_mul(4 * INDEX + 64))
        .saturating_add(bytes.saturating_mul(4))
        .saturating_add(entries.saturating_mul(size_of::<Bytes>() as u64 + size::<Message>()))
}
