//! Every limit and every time of the registry. A [`Config`] that exists is valid.

mod build;
mod embedder;
mod error;
mod over_cap;
#[cfg(test)]
mod tests;
mod value;

use core::time::Duration;

pub use error::ConfigError;
pub use over_cap::OverCap;
pub use value::{ConfigKey, ConfigKind, ConfigValue};

use crate::message::MESSAGE_OVERHEAD;
use crate::random::{Purpose, one_way};
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// The largest count of anything: slots are numbered with 32 bits, with room to spare.
const MAX_COUNT: u64 = 1 << 28;
/// The largest byte bound of one log or one message.
const MAX_BYTES: u64 = 1 << 30;
/// A year in milliseconds: longer deadlines are mistakes of a unit.
const MAX_MILLIS: u64 = 366 * 24 * 3600 * 1000;

/// The one key that is no amount.
const OVER_CAP: &str = "limits.over_cap";

macro_rules! keys {
    ($(
        $(#[$doc:meta])*
        $name:ident: $type:ty = $kind:ident $key:literal, $min:expr, $max:expr, $default:expr;
    )*) => {
        /// The limits and times of a registry. Made by [`Config::builder`]; one that exists is
        /// valid. [`ConfigBuilder::build`](crate::ConfigBuilder::build) has an example.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct Config {
            pub(crate) seed: u64,
            pub(crate) flush_reports: bool,
            pub(crate) presence: bool,
            pub(crate) over_cap: OverCap,
            $(pub(crate) $name: $type,)*
        }

        /// Collects settings for a [`Config`]; what is not set is derived or defaulted.
        /// [`build`](Self::build) has an example.
        #[derive(Clone, Debug)]
        #[must_use = "a builder does nothing until `build`"]
        pub struct ConfigBuilder {
            seed: u64,
            flush_reports: bool,
            presence: bool,
            over_cap: OverCap,
            $($name: Option<$type>,)*
        }

        impl Config {
            /// All keys, by which errors and configuration files call the settings. The seed, whether
            /// flushes are reported and whether presence is said are the embedder's own affair, and have
            /// none.
            pub const KEYS: &'static [ConfigKey] = &[
                ConfigKey { name: OVER_CAP, kind: ConfigKind::Policy, min: 0, max: 0 },
                $(ConfigKey { name: $key, kind: ConfigKind::$kind, min: $min, max: $max },)*
            ];

            /// Starts from the defaults. The seed drives epochs, serials, jitter and hashing: shells
            /// pass fresh entropy, so that a restart never continues an old epoch, a handle of an
            /// earlier process hardly ever names anything, and peers can't aim hash collisions; tests
            /// pass a constant. Nothing that is shown to clients gives the seed away.
            pub const fn builder(seed: u64) -> ConfigBuilder {
                ConfigBuilder {
                    seed,
                    flush_reports: true,
                    presence: false,
                    over_cap: OverCap::EvictUnresponsiveThenOldest,
                    $($name: None,)*
                }
            }

            $($(#[$doc])* #[must_use] pub const fn $name(&self) -> $type { self.$name })*

            /// The value of the key with this name; `None` if there is no such key. O(keys).
            ///
            /// ```
            /// use headcount::Config;
            ///
            /// let config = Config::new(1);
            /// for key in Config::KEYS {
            ///     println!("{} = {}", key.name, config.get(key.name).expect("a key"));
            /// }
            /// ```
            #[must_use]
            pub fn get(&self, key: &str) -> Option<ConfigValue> {
                match key {
                    OVER_CAP => Some(ConfigValue::Policy(self.over_cap)),
                    $($key => Some(ConfigValue::$kind(self.$name)),)*
                    _ => None,
                }
            }
        }

        impl Encoded for Config {
            fn encode(&self, to: &mut Encoder<'_>) {
                let Self { seed, flush_reports, presence, over_cap, $($name),* } = self;
                seed.encode(to);
                flush_reports.encode(to);
                presence.encode(to);
                over_cap.encode(to);
                $($name.encode(to);)*
            }

            fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
                let builder = ConfigBuilder {
                    seed: Encoded::decode(from)?,
                    flush_reports: Encoded::decode(from)?,
                    presence: Encoded::decode(from)?,
                    over_cap: Encoded::decode(from)?,
                    $($name: Encoded::decode(from).map(Some)?,)*
                };
                builder.build().map_err(|_| Malformed)
            }
        }

        impl ConfigBuilder {
            $($(#[$doc])* pub const fn $name(mut self, $name: $type) -> Self {
                self.$name = Some($name);
                self
            })*

            /// Sets a key by its name, for settings that come from a file or an environment. O(keys).
            ///
            /// # Errors
            /// [`ConfigError::UnknownKey`], or [`ConfigError::WrongKind`]. Ranges are checked by
            /// [`ConfigBuilder::build`].
            ///
            /// ```
            /// use headcount::{Config, ConfigError};
            ///
            /// let mut builder = Config::builder(1);
            /// for (name, text) in [("session.linger", "5m"), ("outbound.window", "32KiB")] {
            ///     let key = Config::key(name).ok_or(ConfigError::UnknownKey)?;
            ///     builder = builder.set(name, key.kind.parse(text)?)?;
            /// }
            /// assert_eq!(builder.build()?.send_window(), 32_768);
            /// # Ok::<(), ConfigError>(())
            /// ```
            pub fn set(mut self, key: &str, value: ConfigValue) -> Result<Self, ConfigError> {
                match (key, value) {
                    (OVER_CAP, ConfigValue::Policy(policy)) => self.over_cap = policy,
                    $(($key, ConfigValue::$kind(value)) => self.$name = Some(value),)*
                    _ => {
                        return Err(match Config::key(key) {
                            Some(&ConfigKey { name, kind, .. }) => {
                                ConfigError::WrongKind { key: name, kind }
                            }
                            None => ConfigError::UnknownKey,
                        });
                    }
                }
                Ok(self)
            }

            fn check_ranges(config: &Config) -> Result<(), ConfigError> {
                $(
                    let (min, max): (u64, u64) = ($min, $max);
                    let amount = ConfigValue::$kind(config.$name).amount();
                    if amount.is_none_or(|amount| !(min..=max).contains(&amount)) {
                        return Err(ConfigError::OutOfRange { key: $key, min, max });
                    }
                )*
                Ok(())
            }

            /// Each default may use those of the keys before it, which is what deriving means.
            fn resolve(&self) -> Config {
                $(let $name: $type = match self.$name {
                    Some(given) => given,
                    None => $default,
                };)*
                Config {
                    seed: self.seed,
                    flush_reports: self.flush_reports,
                    presence: self.presence,
                    over_cap: self.over_cap,
                    $($name,)*
                }
            }
        }
    };
}

keys! {
    /// Admitted connections that are open at the same time (default 65,536).
    connections: u32 = Count "limits.connections", 1, MAX_COUNT, 65_536;
    /// Sockets that wait to be admitted, beside `connections`: their request heads or credentials
    /// are under way (default an eighth of `connections`, at least 64).
    pending: u32 = Count "limits.pending", 1, MAX_COUNT, (connections / 8).max(64);
    /// Of these, sockets of one [`Source`](crate::Source) (default half of `pending`, at least 1).
    pending_per_source: u32 = Count "limits.pending_per_source", 1, MAX_COUNT, (pending / 2).max(1);
    /// Headroom for admitted connections that are closing, beside `connections`; as much again for
    /// others that are closing, beside `pending`; and as much for sessions that have ended, beside
    /// `sessions`, until their `Cleanup` was polled (default an eighth of `connections`, at least
    /// 64). When it is used up the oldest close handshake is cut short.
    closing: u32 = Count "limits.closing", 1, MAX_COUNT, (connections / 8).max(64);
    /// Sessions that have not ended, lingering ones included (default twice `connections`, or as many
    /// as there may be). When it is reached the session that has lingered longest without an open run
    /// makes room for a newcomer.
    sessions: u32 = Count "limits.sessions", 1, MAX_COUNT,
        connections.saturating_mul(2).min(MAX_COUNT as u32);
    /// Users who have a session or an open connection (default `sessions`). When it is reached a user
    /// makes room who has no open connection: the one of whom all sessions have lingered without an
    /// open run for longest.
    users: u32 = Count "limits.users", 1, MAX_COUNT, sessions;
    /// Rooms, those with history and without members included (default `connections`). When it is
    /// reached the room that has been without members for longest makes room for another one.
    rooms: u32 = Count "limits.rooms", 1, MAX_COUNT, connections;
    /// Open sockets of one user (default 16, or `connections` if that is less).
    connections_per_user: u32 = Count "limits.connections_per_user", 1, MAX_COUNT,
        if connections < 16 { connections } else { 16 };
    /// Sessions of one user, lingering ones included (default 20, or `sessions` if that is less).
    sessions_per_user: u32 = Count "limits.sessions_per_user", 1, MAX_COUNT,
        if sessions < 20 { sessions } else { 20 };
    /// Tenants at a time, each with a user who is here (default 268,435,456: no limit beside that of
    /// `users`). When it is reached, a principal that names another tenant is refused.
    tenants: u32 = Count "limits.tenants", 0, MAX_COUNT, MAX_COUNT as u32;
    /// Open connections of all users of one tenant, sockets and event streams (default `connections`).
    /// When it is reached newcomers of the tenant are refused: no connection is closed for them.
    connections_per_tenant: u32 = Count "limits.connections_per_tenant", 1, MAX_COUNT, connections;
    /// Sessions of all users of one tenant, lingering ones included (default `sessions`). When it is
    /// reached the session of the tenant that has lingered longest without an open run, or longest since its
    /// user came to the tenant, makes room for a newcomer of the tenant.
    sessions_per_tenant: u32 = Count "limits.sessions_per_tenant", 1, MAX_COUNT, sessions;
    /// Rooms that one connection is in (default 128).
    rooms_per_connection: u32 = Count "limits.rooms_per_connection", 0, 65_535, 128;
    /// Rooms of all open connections of one user together, a room counted once for each of them that
    /// is in it (default 512, or `rooms_per_connection` if that is more). Of the two limits the one
    /// that is reached first holds.
    rooms_per_user: u32 = Count "limits.rooms_per_user", 0, MAX_COUNT, rooms_per_connection.max(512);
    /// Sessions that one connection may follow, the one of its principal's thread included (default 64).
    sessions_per_connection: u32 = Count "limits.sessions_per_connection", 1, 65_535, 64;
    /// Event streams of one user, and sessions that all of its open connections follow beyond the first of
    /// each, together (default 64).
    streams_per_user: u32 = Count "limits.streams_per_user", 0, MAX_COUNT, 64;
    /// Runs that are open at the same time in one session (default 8).
    runs_per_session: u32 = Count "limits.runs_per_session", 0, 65_535, 8;
    /// Admissions per second, 0 for no limit (default 500).
    connect_rate: u32 = Rate "limits.connect_rate", 0, 1_000_000_000, 500;
    /// Admissions that may come at once before the rate counts (default 1,000).
    connect_burst: u32 = Count "limits.connect_burst", 1, MAX_COUNT, 1_000;
    /// Admissions per second of one user, 0 for no limit (default 4). Of users who have left, as many
    /// as `limits.users` are remembered until their bucket is full again.
    connect_rate_per_user: u32 = Rate "limits.connect_rate_per_user", 0, 1_000_000_000, 4;
    /// Admissions of one user that may come at once before that rate counts (default 32).
    connect_burst_per_user: u32 = Count "limits.connect_burst_per_user", 1, MAX_COUNT, 32;
    /// Inbound messages per second of one connection, 0 for no limit (default 100). A ping, a pong
    /// that answers no ping, and a frame of a message that is not its last count as an eighth of a
    /// message each. It also holds for a socket that was upgraded and waits to be admitted.
    message_rate: u32 = Rate "limits.message_rate", 0, 1_000_000_000, 100;
    /// Inbound messages that may come at once before the rate counts (default 200). A connection
    /// that has as many refused without a calm in between, in which as many could come again, is
    /// closed.
    message_burst: u32 = Count "limits.message_burst", 1, MAX_COUNT, 200;
    /// Bytes of one inbound message (default 64 KiB); a larger one closes its connection.
    message_bytes: u64 = Bytes "limits.message_bytes", 1, MAX_BYTES, 64 * KIB;
    /// Bytes of one request head (default 32 KiB: cookies are large); a larger one closes its socket.
    /// The registry keeps none of them. A shell keeps what has come of a head, for `pending` sockets
    /// at most.
    head_bytes: u64 = Bytes "limits.head_bytes", KIB, MIB, 32 * KIB;
    /// Inbound bytes per second of one connection, frame headers and control frames included, 0 for
    /// no limit (default 0). A second's worth of them may come at once, or `message_bytes` if that is
    /// more. What comes beyond is taken all the same: as much of it without a calm in between closes
    /// the connection, as it does with messages. Reading more slowly instead would hold up the pongs
    /// of the same connection, and tell the client nothing.
    byte_rate: u64 = Bytes "limits.byte_rate", 0, MAX_BYTES, 0;
    /// From the first byte of an inbound message to its last, in attended time (default 60 s); then
    /// its connection is closed. The frames of one message share it, and control frames between them
    /// neither end nor extend it. A control frame that comes in pieces is a message of its own here.
    /// It stands still while the input is paused, and holds for admitted connections only: before,
    /// `session.auth_deadline` does.
    frame_deadline: Duration = Time "limits.frame_deadline", 1, MAX_MILLIS, Duration::from_secs(60);

    /// How long a session outlives its last connection (default 120 s), so that a reconnect finds
    /// its log.
    session_linger: Duration = Time "session.linger", 0, MAX_MILLIS, Duration::from_secs(120);
    /// From `reserve` to the complete request head (default 10 s).
    head_deadline: Duration = Time "session.head_deadline", 1, MAX_MILLIS, Duration::from_secs(10);
    /// From `upgraded` to `connect` (default 10 s).
    auth_deadline: Duration = Time "session.auth_deadline", 1, MAX_MILLIS, Duration::from_secs(10);
    /// From the moment a `Close` was polled to the end of the socket (default 5 s); after it the
    /// connection gets its `Cleanup` all the same. One second at most after a protocol error or a flood.
    close_handshake: Duration = Time "session.close_handshake", 1, MAX_MILLIS, Duration::from_secs(5);
    /// No data message for so long, 0 for no limit (default 0): pongs don't count.
    session_idle: Duration = Time "session.idle", 0, MAX_MILLIS, Duration::ZERO;
    /// From the admission to the end, 0 for no limit (default 0), jittered over [0.9, 1) of it.
    max_lifetime: Duration = Time "session.max_lifetime", 0, MAX_MILLIS, Duration::ZERO;
    /// From the expiry of a principal to the close, in which a `refresh` still helps (default
    /// 25 s).
    expiry_grace: Duration = Time "session.expiry_grace", 0, MAX_MILLIS, Duration::from_secs(25);

    /// Share of a user's cap, of sessions or of connections, at which those that don't answer a
    /// ping get the emergency deadline, in percent (default 80). A crossing acts on 64 connections of
    /// the user at most, those that were admitted first.
    emergency_percent: u32 = Percent "pressure.emergency", 1, 101, 80;
    /// Share at which the silent are probed, in percent (default 60, or `pressure.emergency` if
    /// that is less): of 64 connections of the user, those that were admitted first.
    proactive_percent: u32 = Percent "pressure.proactive", 1, 101,
        if emergency_percent < 60 { emergency_percent } else { 60 };
    /// From the flush of a ping to any sign of life, under emergency (default 10 s).
    emergency_deadline: Duration = Time "pressure.emergency_deadline", 1, MAX_MILLIS,
        Duration::from_secs(10);

    /// Silence of the peer before it is pinged, 0 for never (default 25 s: below the 60 s after
    /// which common proxies drop a silent connection). The first is jittered over [½, 1) of it.
    ping_interval: Duration = Time "heartbeat.interval", 0, MAX_MILLIS, Duration::from_secs(25);
    /// How late a ping may be, so that those of many connections share a turn: each is due at a whole
    /// multiple of it (default a 500th of `heartbeat.interval` in whole milliseconds, which is 50 ms;
    /// 0: at its own millisecond).
    ping_slack: Duration = Time "heartbeat.slack", 0, MAX_MILLIS,
        Duration::from_millis(ping_interval.as_millis() as u64 / 500);
    /// From the flush of a ping to any sign of life (default 10 s).
    pong_timeout: Duration = Time "heartbeat.pong_timeout", 1, MAX_MILLIS, Duration::from_secs(10);
    /// A gap between two inputs, beyond what `poll_timeout` promised, that is a pause of the process
    /// (default 5 s): deadlines that count in [attended time](crate#which-time-counts) move by it.
    pause_threshold: Duration = Time "heartbeat.pause_threshold", 1, MAX_MILLIS, Duration::from_secs(5);

    /// Entries in the log of one session, those of open runs not counted (default 256).
    stream_messages: u32 = Count "stream.messages", 1, 1 << 20, 256;
    /// Bytes in the log of one session, [`MESSAGE_OVERHEAD`](crate::MESSAGE_OVERHEAD) per message
    /// included and entries of open runs not (default 1 MiB). One message of any size is kept while
    /// it is the only one.
    stream_bytes: u64 = Bytes "stream.bytes", 1, MAX_BYTES, MIB;
    /// Age of an entry in the log of a session, 0 for no bound (default 120 s). Those of a run that
    /// is open stay.
    stream_ttl: Duration = Time "stream.ttl", 0, MAX_MILLIS, Duration::from_secs(120);
    /// How many of a session's messages stay for a resume once every connection has been handed
    /// them (default `stream.messages`). The oldest go first, and wait for a run that
    /// [lingers](Config::run_linger).
    stream_history: u32 = Count "stream.history", 0, 1 << 20, stream_messages;
    /// Messages in the log of one room (default 256).
    room_messages: u32 = Count "stream.room_messages", 1, 1 << 20, 256;
    /// Bytes in the log of one room, overhead included (default 512 KiB).
    room_bytes: u64 = Bytes "stream.room_bytes", 1, MAX_BYTES, 512 * KIB;
    /// Age of a message in the log of a room, 0 for no bound (default 120 s). A room with history
    /// outlives its members until then.
    room_ttl: Duration = Time "stream.room_ttl", 0, MAX_MILLIS, Duration::from_secs(120);
    /// How many of a room's messages stay for a resume (default `stream.room_messages`).
    room_history: u32 = Count "stream.room_history", 0, 1 << 20, room_messages;

    /// Cost of what is handed out to one connection and not flushed (default 64 KiB; at least
    /// [`MESSAGE_OVERHEAD`](crate::MESSAGE_OVERHEAD), or a ping alone would exceed it and pause the
    /// connection's input). An empty window admits one message of any size.
    send_window: u64 = Bytes "outbound.window", MESSAGE_OVERHEAD, MAX_BYTES, 64 * KIB;
    /// Cost beside the window for direct messages and replies (default 4 KiB). While the window is not
    /// exceeded, a reply of at most this cost fits, whatever else is queued.
    reply_reserve: u64 = Bytes "outbound.reply_reserve", 0, MAX_BYTES, 4 * KIB;
    /// Cost of what all logs hold, the text of runs included, and of the tool calls under way (default
    /// 256 MiB). Over it the first to go are entries that every member was handed, then the others.
    /// Streams take turns in the order in which they came to hold such an entry, within one the oldest
    /// goes first, and those of open runs last. One message of any size is kept. A call does not give way:
    /// where calls alone would exceed it, another one is refused
    /// ([`RunError::ProcessBytes`](crate::RunError::ProcessBytes)).
    process_bytes: u64 = Bytes "outbound.process_bytes", 1, 1 << 40, 256 * MIB;
    /// Cost of what is queued for single connections and was not polled yet: direct messages, and what
    /// connections that close are still handed out of their streams (default a fourth of
    /// `outbound.process_bytes`). Over it a direct message is [`Full`](crate::ReplyError::Full), unless
    /// what is queued for its connection stays within `outbound.reply_reserve`, and a close hands out
    /// no more. One message of any size is queued while there is nothing else.
    direct_bytes: u64 = Bytes "outbound.direct_bytes", 1, 1 << 40, (process_bytes / 4).max(1);
    /// Cost of what the logs of one user's sessions hold, and of their calls (default 16 MiB, or
    /// `outbound.process_bytes` if that is less). What goes first is the same, but the oldest of
    /// all sessions goes, without turns. What is refused is the same
    /// ([`RunError::UserBytes`](crate::RunError::UserBytes)).
    user_bytes: u64 = Bytes "outbound.user_bytes", 1, 1 << 40,
        if process_bytes < 16 * MIB { process_bytes } else { 16 * MIB };
    /// Cost of what the logs of all sessions of one tenant hold, and of their calls (default
    /// `outbound.process_bytes`). Beyond it entries go by the order of `process_bytes`, but only of
    /// sessions of the tenant. A call of a tool for which no entries can make room is refused
    /// ([`RunError::TenantBytes`](crate::RunError::TenantBytes)). Calls that a user has under way when it
    /// comes to the tenant are not refused: entries of the tenant make room for them.
    tenant_bytes: u64 = Bytes "outbound.tenant_bytes", 1, 1 << 40, process_bytes;
    /// Without any flush progress for so long while something is handed out: stuck (default 10 s).
    slow_deadline: Duration = Time "outbound.slow_deadline", 1, MAX_MILLIS, Duration::from_secs(10);

    /// No event of a run for so long, 0 for no limit: the registry fails it (default 120 s). A pause
    /// of the process does not count.
    run_silence: Duration = Time "run.silence", 0, MAX_MILLIS, Duration::from_secs(120);
    /// From the opening of a run to its end, 0 for no limit: the registry fails it (default 1 h).
    run_max_length: Duration = Time "run.max_length", 0, MAX_MILLIS, Duration::from_secs(3_600);
    /// From the end of a run until its entries are history like others (default 60 s): so long
    /// `stream.history` takes nothing of it, so that a client that comes late still finds it. The other
    /// bounds of the log hold.
    run_linger: Duration = Time "run.linger", 0, MAX_MILLIS, Duration::from_secs(60);
    /// Events of one run, the terminal one included; text that goes on in one piece is one event
    /// (default 4,096). Where only the place of the terminal event is left, text does not go on.
    run_events: u32 = Count "run.events", 2, 1 << 20, 4_096;
    /// Bytes of one run, [`MESSAGE_OVERHEAD`](crate::MESSAGE_OVERHEAD) per event included (default
    /// 1 MiB). A fourth of them, 4 KiB at most, is reserved for the terminal event.
    run_bytes: u64 = Bytes "run.bytes", 1_024, MAX_BYTES, MIB;
    /// Tool calls of one run that are under way at the same time (default 64). Each is charged to
    /// `outbound.user_bytes` and `outbound.process_bytes` with 192 bytes, until it ends.
    run_calls: u32 = Count "run.calls", 1, 65_536, 64;
    /// Parts of one run that the log keeps something of (default 64). Each stretch of a part with a name
    /// is charged 128 bytes for that name, beside its own.
    run_parts: u32 = Count "run.parts", 1, 1_024, 64;

    /// How long a user whose last connection has ended is still online, if
    /// [its reason has a leave grace](crate::CloseReason::has_leave_grace), so that a reconnect in between
    /// shows nowhere (default 5 s). 0: the user is offline at once. Only a registry
    /// [with presence](ConfigBuilder::with_presence) uses it.
    leave_grace: Duration = Time "presence.leave_grace", 0, MAX_MILLIS, Duration::from_secs(5);

    /// From the announcement of a drain to its first close (default 2 s).
    drain_grace: Duration = Time "drain.grace", 0, MAX_MILLIS, Duration::from_secs(2);
    /// From the announcement of a drain to its hard stop (default 30 s).
    drain_deadline: Duration = Time "drain.deadline", 1, MAX_MILLIS, Duration::from_secs(30);

    /// Members of a stream that its turn serves, and so recipients of one `Send`; connections that one
    /// slice of a mass close touches (default 512). A reload leaves a turn under way as it is.
    fanout_chunk: u32 = Count "fanout_chunk", 1, 65_536, 512;
    /// Announcements to everyone that are under way at the same time (default 16).
    announcements: u32 = Count "announcements", 1, 65_536, 16;
    /// Closed connections that are remembered with what was known of them (default 1,024).
    closed_ring: u32 = Count "closed_ring", 0, 1 << 20, 1_024;
    /// Notices that wait to be polled (default 1,024); further ones are lost and counted.
    notices: u32 = Count "notices", 0, 1 << 20, 1_024;
    /// Deadlines that one `tick` acts on (default 256), with the log entries that they let go or hand
    /// out, each of which counts like one; the rest is due at once. Measured at 1,000,000 connections: a tick
    /// takes 0.02 to 0.14 ms in the median, and 1.3 ms at most (`docs/costs.md`).
    tick_budget: u32 = Count "tick_budget", 1, MAX_COUNT, 256;
}

impl Config {
    /// The key with this name; `None` if there is none.
    ///
    /// ```
    /// let linger = headcount::Config::key("session.linger").expect("there is one");
    /// assert_eq!(linger.kind.parse("3m")?.amount(), Some(180_000));
    /// # Ok::<(), headcount::ConfigError>(())
    /// ```
    #[must_use]
    pub fn key(name: &str) -> Option<&'static ConfigKey> {
        Self::KEYS.iter().find(|key| key.name == name)
    }

    /// The defaults, with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::builder(seed).resolve()
    }

    /// The seed.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Inbound bytes that may come at once before `limits.byte_rate` counts: a second's worth, and one
    /// message at least.
    #[must_use]
    pub const fn byte_burst(&self) -> u64 {
        if self.byte_rate > self.message_bytes { self.byte_rate } else { self.message_bytes }
    }

    /// A number that the seed makes and that does not give the seed away: show it with the handles of
    /// this registry ([`ConnId::to_bits`](crate::ConnId::to_bits)) to clients that may outlive the process.
    /// With a fresh seed at every start, what was shown by an earlier process can be told from what
    /// this one shows. A reload keeps it, as it keeps the seed.
    #[must_use]
    pub fn instance(&self) -> u64 {
        one_way(self.seed, Purpose::Instance)
    }

    /// What happens over the cap of a user's connections.
    #[must_use]
    pub const fn over_cap(&self) -> OverCap {
        self.over_cap
    }
}

impl ConfigBuilder {
    /// What happens over the cap of a user's connections (default
    /// [`OverCap::EvictUnresponsiveThenOldest`]).
    pub const fn over_cap(mut self, policy: OverCap) -> Self {
        self.over_cap = policy;
        self
    }
}
