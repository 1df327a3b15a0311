//! How much memory a registry can ever hold, as a function of its configuration: a sum of terms.
//!
//! Where a count and a byte budget both bound something, the lesser of the two is taken. A term is a
//! bound of what one kind of thing holds when there is as much of it as may be, with names as long as
//! they may be.

mod breakdown;

use bytes::Bytes;

use crate::action::CloseWords;
use crate::config::Config;
use crate::conn::{Cold, Conn, Extras as ConnExtras, LateJoins, Membership};
use crate::departed::Departed;
use crate::id::{MAX_ID_BYTES, RoomId};
use crate::log::{Entry, KEYS_KEPT, Kept, NAME_COST, TOMBSTONES_KEPT};
use crate::message::MESSAGE_OVERHEAD;
use crate::registry::{Announcement, Closed, OwnedAction, OwnedFact};
use crate::room::Room;
use crate::run::{CALL_COST, Call, PartText, Run};
use crate::session::{Extras as SessionExtras, Session, SessionKey, User, UserExtras};
use crate::stats::Notice;
use crate::store::{KEPT, SPARSE, fifo_places, names_bytes, table_bytes, timers_bytes};
use crate::stream::{Extras as StreamExtras, MassClose, Member, Stream};
use crate::tenant::{Tenant, TenantSession};
use crate::waiting::Queue;

pub use self::breakdown::MemoryBreakdown;

/// Vectors, queues and hash tables grow by doubling: what is asked for may be twice what is used.
const GROWTH: u64 = 2;
/// Collections that had more give memory back when they are less than a fourth full, down to this
/// many places.
const SHRINK: u64 = SPARSE as u64;
const KEPT_PLACES: u64 = KEPT as u64;
/// A place in a hash table: a slot number or two, and a byte of control, at seven eighths full.
const INDEX: u64 = 2 * (24 + 1);
/// A name of its own: the longest, and what an allocation may cost beside it.
const NAME: u64 = MAX_ID_BYTES as u64 + 32;
/// The same of the words that connections are closed with.
const WORDS: u64 = CloseWords::MAX_TEXT_BYTES as u64 + 32;

const fn size<T>() -> u64 {
    // With the tag of a place in a slab.
    size_of::<T>() as u64 + 8
}

const fn lesser(one: u64, other: u64) -> u64 {
    if one < other { one } else { other }
}

const fn greater(one: u64, other: u64) -> u64 {
    if one > other { one } else { other }
}

/// The product of two numbers, or the largest number.
const fn times(count: u64, each: u64) -> u64 {
    count.saturating_mul(each)
}

/// The sum, or the largest number.
const fn sum<const N: usize>(parts: [u64; N]) -> u64 {
    let (mut sum, mut next) = (0_u64, 0);
    while next < N {
        sum = sum.saturating_add(parts[next]);
        next += 1;
    }
    sum
}

/// A table of so many records with a name each, by which they are found.
const fn named<T>(count: u64) -> u64 {
    sum([table_bytes::<T>(count), names_bytes(count), times(count, NAME)])
}

/// How many there are of what several terms depend on.
struct Counts {
    /// Connections of every state.
    conns: u64,
    /// Sessions, those included that have ended and whose cleanup was not polled.
    sessions: u64,
    streams: u64,
    /// Entries in all logs.
    entries: u64,
    /// Of these, the ones that belong to no open run.
    bounded: u64,
    /// Logs that hold anything.
    filled: u64,
    open_runs: u64,
    /// Open runs, and ended ones.
    runs: u64,
    /// The cost of one message.
    message: u64,
    /// The cost of one entry: a message, or what a run says in one go.
    largest: u64,
}

impl Counts {
    const fn of(config: &Config, largest_message: u64) -> Self {
        let (sessions, rooms) = (config.sessions as u64, config.rooms as u64);
        let streams = sessions + rooms;
        let open_runs = times(sessions, config.runs_per_session as u64);
        // One more while it is appended.
        let by_bytes = config.process_bytes / MESSAGE_OVERHEAD + 1;
        let bounded = sum([
            times(sessions, config.stream_messages as u64),
            times(rooms, config.room_messages as u64),
            1,
        ]);
        let pinned = times(open_runs, config.run_events as u64);
        let entries = lesser(by_bytes, bounded.saturating_add(pinned));
        let message = largest_message.saturating_add(MESSAGE_OVERHEAD);
        let ended = lesser(by_bytes, times(sessions, config.stream_messages as u64) + 1);
        Self {
            conns: config.connections as u64 + config.pending as u64 + 2 * config.closing as u64,
            sessions: sessions + config.closing as u64,
            streams,
            entries,
            bounded: lesser(by_bytes, bounded),
            filled: lesser(streams, entries),
            open_runs,
            runs: if open_runs == 0 { 0 } else { open_runs.saturating_add(ended) },
            message,
            largest: if open_runs == 0 { message } else { greater(message, config.run_bytes) },
        }
    }
}

impl Config {
    /// The most bytes that a registry with this configuration ever holds on the heap between calls,
    /// whatever the peers and the application do, if no message of the application has more than
    /// `largest_message` bytes. What the allocator itself adds is not counted. Nor is what
    /// [`Message`](crate::Message) payloads keep alive beyond their own slice, nor what a call moves
    /// to a larger place while it moves it.
    ///
    /// It is a bound and no estimate: everything at its limit at once, every client a stalled one,
    /// every name as long as it may be. A test with a counting allocator holds it under random
    /// histories, and another one fills one thing at a time, and reaches an eighth of each term: the
    /// default configuration and messages of 64 KiB come to 17 GiB. A
    /// reload to lower limits keeps to the higher of the two for as long as something of before is
    /// there.
    ///
    /// [`Config::memory_breakdown`] says what it is the sum of, and how to keep to a figure.
    #[must_use]
    pub const fn memory_bound(&self, largest_message: u64) -> u64 {
        self.memory_breakdown(largest_message).total()
    }

    /// The terms of [`Config::memory_bound`].
    ///
    /// ```
    /// use headcount::Config;
    ///
    /// let config = Config::new(1);
    /// let memory = config.memory_breakdown(64 << 10);
    /// assert_eq!(memory.total(), config.memory_bound(64 << 10));
    /// assert_eq!(memory.total(), memory.terms().map(|(_, bytes)| bytes).sum::<u64>());
    /// let (name, bytes) = memory.terms().max_by_key(|(_, bytes)| *bytes).unwrap();
    /// println!("{name} may take {bytes} bytes");
    /// ```
    ///
    /// # 1,000 tabs in 512 MiB
    ///
    /// A tab is a connection. With the other limits at their defaults, 1,000 connections come to more than
    /// 5 GiB. What counts most is how many entries and runs there may be, for the smallest ones take far more
    /// than their length. So the logs get 15 MiB, a session has 64 messages and two open runs at most,
    /// and 1 MiB is queued for single connections.
    ///
    /// ```
    /// use headcount::Config;
    ///
    /// let config = Config::builder(1)
    ///     .connections(1_000)
    ///     .rooms_per_connection(16)
    ///     .runs_per_session(2)
    ///     .stream_messages(64)
    ///     .room_messages(64)
    ///     .process_bytes(15 << 20)
    ///     .direct_bytes(1 << 20)
    ///     .build()?;
    /// assert!(config.memory_bound(64 << 10) <= 512 << 20);
    ///
    /// let defaults = Config::builder(1).connections(1_000).build()?;
    /// assert!(defaults.memory_bound(64 << 10) > 5 << 30);
    /// # Ok::<(), headcount::ConfigError>(())
    /// ```
    ///
    /// # 100,000 tabs in 12 GiB
    ///
    /// What each connection has counts here too: the rooms that it may be in, and the reserve for its
    /// replies. A fourth of the sessions may be of users who are away. The logs have 240 MiB.
    ///
    /// ```
    /// use headcount::Config;
    ///
    /// let config = Config::builder(1)
    ///     .connections(100_000)
    ///     .sessions(125_000)
    ///     .rooms(10_000)
    ///     .rooms_per_connection(8)
    ///     .runs_per_session(2)
    ///     .stream_messages(64)
    ///     .room_messages(64)
    ///     .process_bytes(240 << 20)
    ///     .reply_reserve(1 << 10)
    ///     .build()?;
    /// assert!(config.memory_bound(64 << 10) <= 12 << 30);
    /// # Ok::<(), headcount::ConfigError>(())
    /// ```
    #[must_use]
    pub const fn memory_breakdown(&self, largest_message: u64) -> MemoryBreakdown {
        let counts = Counts::of(self, largest_message);
        MemoryBreakdown {
            connections: self.of_connections(&counts),
            memberships: self.of_memberships(),
            rooms_left: self.of_rooms_left(),
            outbox: self.of_outbox(&counts),
            sessions: self.of_sessions(&counts),
            tenants: self.of_tenants(),
            // One that is being closed has the words for its members.
            rooms: sum([
                named::<Room>(self.rooms as u64),
                times(self.rooms as u64, size::<MassClose>() + WORDS),
            ]),
            streams: of_streams(&counts),
            entries: self.of_entries(&counts),
            keys: of_keys(&counts),
            payloads: sum([
                self.process_bytes,
                counts.largest,
                // What payloads share is counted beside them.
                times(counts.entries, size::<Bytes>()),
            ]),
            text: self.of_text(&counts),
            // A run has the name of its agent beside its own.
            runs: sum([
                named::<Run>(counts.runs),
                times(counts.runs, NAME),
                timers_bytes(counts.runs),
            ]),
            parts: self.of_parts(&counts),
            calls: self.of_calls(&counts),
            announcements: times(
                self.announcements as u64 + 4,
                sum([counts.message, GROWTH * size::<Announcement>(), NAME]),
            ),
            closed: times(self.closed_ring as u64 + 4, GROWTH * size::<Closed>() + 3 * NAME),
            notices: times(self.notices as u64 + 4, GROWTH * size::<Notice>()),
            recipients: times(self.fanout_chunk as u64 + 4, GROWTH * 8),
        }
    }

    const fn of_connections(&self, counts: &Counts) -> u64 {
        sum([
            table_bytes::<Conn>(counts.conns),
            table_bytes::<Cold>(counts.conns),
            times(counts.conns, size::<ConnExtras>()),
            // Labels.
            times(counts.conns + KEPT_PLACES, NAME),
            table_bytes::<Queue>(self.pending as u64),
            names_bytes(self.pending as u64),
            timers_bytes(counts.conns),
        ])
    }

    const fn of_memberships(&self) -> u64 {
        let connections = self.connections as u64;
        let sessions_each = self.sessions_each();
        // A list starts with four places, and keeps those that it had.
        let each = sessions_each + self.rooms_each();
        let lists = times(times(connections, each + 4), GROWTH);
        // Which sessions it follows a connection knows until its cleanup.
        let live = connections + self.closing as u64;
        let followed =
            times(times(live, sessions_each + 4), GROWTH * size_of::<SessionKey>() as u64);
        // Streams have those of open connections alone.
        let of_user = (self.rooms_per_user as u64).saturating_add(self.streams_per_user as u64);
        let of_users = times(self.users as u64, of_user);
        let members = lesser(times(connections, each), connections.saturating_add(of_users));
        // Of a session they are its user's.
        let places = sum([
            times(
                lesser(times(connections, sessions_each), self.sessions as u64),
                lesser(KEPT_PLACES, greater(4, GROWTH * self.connections_per_user as u64)),
            ),
            times(
                lesser(members, self.rooms as u64),
                lesser(KEPT_PLACES, greater(4, GROWTH * connections)),
            ),
        ]);
        sum([
            times(lists, size_of::<Membership>() as u64),
            followed,
            times(connections, LateJoins::bytes(each)),
            times(times(members, SHRINK).saturating_add(places), size_of::<Member>() as u64),
            // The lists of chunks: where there are any, each is for a thousand.
            members,
        ])
    }

    /// Rooms may end and others be made while cleanups wait, so that no two connections were in the same one.
    const fn of_rooms_left(&self) -> u64 {
        let live = self.connections as u64 + self.closing as u64;
        times(times(live, self.rooms_each()), size_of::<RoomId>() as u64 + NAME)
    }

    /// How many rooms one connection is in at most.
    const fn rooms_each(&self) -> u64 {
        let most = lesser(self.rooms_per_connection as u64, self.rooms_per_user as u64);
        lesser(most, self.rooms as u64)
    }

    /// How many sessions one connection follows at most.
    const fn sessions_each(&self) -> u64 {
        let of_user = lesser(1 + self.streams_per_user as u64, self.sessions_per_user as u64);
        lesser(self.sessions_per_connection as u64, of_user)
    }

    const fn of_outbox(&self, counts: &Counts) -> u64 {
        let conns = counts.conns;
        // Beyond the budget of all, each connection has its reserve. No connection has more than its
        // window and its reserve, or one item of any size in place of the window.
        let together = greater(self.direct_bytes, counts.largest);
        let alone = times(conns, greater(self.send_window, counts.largest));
        let shared = lesser(together, alone);
        let reserved = times(conns, self.reply_reserve);
        let bytes = shared.saturating_add(reserved);
        // The cost of an item is an overhead at least, in the sum and for each connection.
        let of_one = self.send_window.saturating_add(self.reply_reserve) / MESSAGE_OVERHEAD + 1;
        let items = lesser(bytes / MESSAGE_OVERHEAD, times(conns, of_one)) + 1;
        // One ping, one close and one cleanup of each, and one for each session that a connection of
        // several has left without a wish of its own.
        let lefts = if self.sessions_per_connection < 2 || self.streams_per_user == 0 {
            0
        } else {
            let each = lesser(self.sessions_per_connection as u64, self.sessions_per_user as u64);
            times(self.connections as u64 + self.closing as u64, each)
        };
        let control = (3 * conns + counts.sessions).saturating_add(lefts);
        // A message may have a key. What a close moves out of logs names a room, a run and an agent.
        let moved = lesser(shared, times(conns, self.send_window)) / MESSAGE_OVERHEAD + 1;
        sum([
            bytes,
            times(fifo_places(items.saturating_add(control)), size::<OwnedAction>()),
            times(items, NAME),
            times(moved, 2 * NAME + size::<OwnedFact>()),
            // The item that is lent.
            counts.largest,
            // The words of each close, and of the one of everyone.
            times(conns + 1, WORDS),
        ])
    }

    const fn of_sessions(&self, counts: &Counts) -> u64 {
        // A session has a user of its own at most, and a thread. So has a connection that follows none.
        let (connections, closing) = (self.connections as u64, self.closing as u64);
        let without = self.users_without_either();
        let users = sum([counts.sessions, connections, closing, without]);
        sum([
            table_bytes::<Session>(counts.sessions),
            times(counts.sessions, size::<SessionExtras>()),
            names_bytes(counts.sessions),
            named::<User>(users),
            // What few users have: those who are here, and those of what was not cleaned up.
            times(
                lesser(users, sum([self.users as u64, 3 * closing, without])),
                size::<UserExtras>(),
            ),
            times(counts.sessions + 4, NAME),
            timers_bytes(counts.sessions),
            // One more while the user who left first is forgotten for another.
            named::<Departed>(self.users as u64 + 1),
        ])
    }

    /// How many users may have neither a session nor a connection: those in the leave grace, and those of
    /// whom it was not said yet that they are offline.
    const fn users_without_either(&self) -> u64 {
        // One more for the name that is lent.
        if self.presence { self.users as u64 + self.closing as u64 + 1 } else { 0 }
    }

    /// A tenant has a user who is here, and one of its sessions that has ended has no place.
    const fn of_tenants(&self) -> u64 {
        let tenants = lesser(self.tenants as u64, self.users as u64);
        if tenants == 0 {
            return 0;
        }
        named::<Tenant>(tenants).saturating_add(table_bytes::<TenantSession>(self.sessions as u64))
    }

    /// A log has at most as many tombstones as messages, and some. Its places are at most twice as many
    /// as it ever needed, and at most four times as many as it needs now.
    const fn of_entries(&self, counts: &Counts) -> u64 {
        let (sessions, rooms) = (self.sessions as u64, self.rooms as u64);
        let kept = TOMBSTONES_KEPT as u64 + 2;
        let pinned = times(self.runs_per_session as u64, self.run_events as u64);
        let of_session = times(2, pinned.saturating_add(self.stream_messages as u64)) + kept;
        let of_room = 2 * self.room_messages as u64 + kept;
        let by_count = times(sessions, of_session)
            .saturating_add(times(rooms, of_room))
            .saturating_mul(GROWTH);
        let by_bytes = sum([
            times(counts.entries, 2 * SHRINK),
            times(counts.filled, greater(SHRINK * kept, KEPT_PLACES)),
        ]);
        times(lesser(by_count, by_bytes), size_of::<Entry>() as u64)
    }

    const fn of_text(&self, counts: &Counts) -> u64 {
        let length = self.process_bytes.saturating_add(self.run_bytes);
        times(3, lesser(length, times(counts.runs, self.run_bytes)))
    }

    /// A part has a stretch in a log, which is charged its name; each run may have one without a name.
    const fn of_parts(&self, counts: &Counts) -> u64 {
        let named = self.process_bytes / (MESSAGE_OVERHEAD + NAME_COST) + self.run_parts as u64;
        let by_count = times(counts.runs, self.run_parts as u64);
        // A list of one part lies in the run.
        let listed = lesser(named.saturating_add(lesser(named, counts.runs)), by_count);
        times(listed, size_of::<PartText>() as u64)
            .saturating_add(times(lesser(named, by_count), NAME))
    }

    const fn of_calls(&self, counts: &Counts) -> u64 {
        let by_bytes = self.process_bytes / CALL_COST;
        let by_count = times(counts.open_runs, self.run_calls as u64);
        times(lesser(by_bytes, by_count), GROWTH * size_of::<Call>() as u64 + NAME)
    }
}

const fn of_streams(counts: &Counts) -> u64 {
    sum([
        table_bytes::<Stream>(counts.streams),
        timers_bytes(counts.streams),
        times(counts.streams, size::<StreamExtras>()),
        // What a log has beside its entries.
        times(counts.filled, size::<Kept>()),
    ])
}

/// Keys of messages, and for each log an index of them.
const fn of_keys(counts: &Counts) -> u64 {
    let logs = lesser(counts.filled, counts.bounded);
    sum([times(counts.bounded, NAME + 2 * INDEX), times(logs, KEYS_KEPT as u64 * INDEX + 64)])
}

#[cfg(test)]
mod tests;
