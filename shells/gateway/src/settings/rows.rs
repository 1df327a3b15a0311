//! The table of settings, and which key was probably meant by one that is not in it.

use std::fmt::Write as _;
use std::time::Duration;

use headcount::{Config, ConfigBuilder, OverCap};
use headcount_redaction::Policy as Redaction;

/// One setting.
pub(super) struct Row {
    /// `table.key`, or the key alone for those that are in no table.
    pub(super) key: &'static str,
    /// How its value is written, and where it goes.
    pub(super) takes: Takes,
    /// What it is and its default, for the help.
    about: &'static str,
}

type Set<T> = fn(ConfigBuilder, T) -> ConfigBuilder;
type Get<T> = fn(&Config) -> T;

/// How a value is written, and where it goes: the builder's method for it, and the one that reads
/// it back.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Count(Set<u32>, Get<u32>),
    Percent(Set<u32>, Get<u32>),
    Rate(Set<u32>, Get<u32>),
    Size(Set<u64>, Get<u64>),
    Time(Set<Duration>, Get<Duration>),
    Policy(Set<OverCap>, Get<OverCap>),
    /// What the builder starts from.
    Start,
    /// The gateway's own, which the registry does not know.
    OwnRate,
    OwnList,
    OwnHosts,
    OwnOrigins,
    /// How tokens are signed.
    OwnAlgorithm,
    /// Names with commas, none by default.
    OwnNames,
    /// Patterns of rooms, none by default.
    OwnRooms,
    /// The path of a key set.
    OwnKeySetFile,
    /// The URL of a key set, whose query may hold a secret.
    OwnKeySetUrl,
    /// With the default, and the bounds in milliseconds.
    OwnTime(&'static str, u64, u64),
    /// With the default, and the bounds in bytes.
    OwnSize(&'static str, u64, u64),
    OwnLevel,
    /// `true` or `false`, with the default.
    OwnFlag(bool),
    /// Names of keys in JSON, with the default.
    OwnWords(&'static [&'static str]),
    /// With the default, and the bounds.
    OwnCount(u32, u32, u32),
    /// A text that is never shown.
    OwnSecret,
    /// The path of a file that holds such a text.
    OwnSecretFile,
    /// The paths of files that hold one such text each.
    OwnSecretFiles,
    /// Where it listens, with the default.
    Address(&'static str),
}

use Takes::{
    Address, Count, OwnAlgorithm, OwnCount, OwnFlag, OwnHosts, OwnKeySetFile, OwnKeySetUrl,
    OwnLevel, OwnList, OwnNames, OwnOrigins, OwnRate, OwnRooms, OwnSecret, OwnSecretFile,
    OwnSecretFiles, OwnSize, OwnTime, OwnWords, Percent, Policy, Rate, Size, Start, Time,
};

const fn row(key: &'static str, takes: Takes, about: &'static str) -> Row {
    Row { key, takes, about }
}

/// Both methods of a name.
macro_rules! of {
    ($takes:ident, $name:ident) => {
        $takes(ConfigBuilder::$name, Config::$name)
    };
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row("listen", Address("127.0.0.1:7400"), "address of the WebSocket port; port 0 picks a free one [127.0.0.1:7400]"),
    row("admin", Address("127.0.0.1:7401"), "address of the admin port, for the back end and operators [127.0.0.1:7401]"),
    row("profile", Start, "development, test, ci, staging, production or origin: other defaults [the ones listed here]"),
    row("trusted_proxies", OwnList, "addresses and networks whose X-Forwarded-For is believed, such as 10.0.0.0/8,::1 [none]"),
    row("allowed_hosts", OwnHosts, "hosts that the WebSocket port answers as, such as *.example.com [loopback]"),
    row("allowed_origins", OwnOrigins, "origins of pages that may connect, such as https://*.example.com [loopback]"),
    row("admin_hosts", OwnHosts, "hosts that the admin port answers as [any with a key, otherwise loopback]"),
    row("admin_origins", OwnOrigins, "origins of other servers' pages that may call the admin port [none, otherwise loopback]"),
    row("auth.algorithm", OwnAlgorithm, "algorithm of auth.key and auth.key_file: HS256, RS256, ES256 or EdDSA [HS256]"),
    row("auth.key", OwnSecret, "key to check tokens with: the secret of HS256, or a public key in PEM [none: development mode]"),
    row("auth.key_file", OwnSecretFiles, "files that hold one such key each; several are all in force [none]"),
    row("auth.jwks_file", OwnKeySetFile, "a file that holds a key set (JWKS), read again every jwks_interval [none]"),
    row("auth.jwks_url", OwnKeySetUrl, "the https URL of a key set (JWKS), fetched again every jwks_interval [none]"),
    row("auth.jwks_interval", OwnTime("5m", 1_000, 86_400_000), "from one reading of the key set to the next, of a URL 30s at least [5m]"),
    row("auth.audience", OwnNames, "a token's aud must have one of these; without any it must have no aud [none]"),
    row("auth.issuer", OwnNames, "a token's iss must be one of these [any]"),
    row("auth.leeway", OwnTime("5s", 0, 600_000), "how far apart this clock and that of the tokens' issuer may be [5s]"),
    row("auth.max_ttl", OwnTime("24h", 1_000, 366 * 86_400_000), "how far ahead a token's exp may be [24h]"),
    row("auth.admin_key", OwnSecret, "one key for all calls of the admin port [none: loopback only, without a key]"),
    row("auth.admin_key_file", OwnSecretFile, "a file that holds that key [none]"),
    row("auth.admin_keys", OwnSecret, "keys with scopes, with ; between: name publish,read,operate key [none]"),
    row("auth.admin_keys_file", OwnSecretFile, "a file that holds such keys, one a line [none]"),
    row("rooms.open", OwnRooms, "rooms that every user may join, such as lobby,news:* [none; in development mode all]"),
    row("limits.connections", of!(Count, connections), "open connections [65536, or what the descriptor limit leaves]"),
    row("limits.pending", of!(Count, pending), "sockets that are not admitted yet [connections / 8]"),
    row("limits.pending_per_source", of!(Count, pending_per_source), "of these, sockets of one IPv4 address or IPv6 /64 [pending / 2]"),
    row("limits.closing", of!(Count, closing), "closing connections and ended sessions, beside the other limits [connections / 8]"),
    row("limits.users", of!(Count, users), "users with a session; the one absent longest makes room [sessions]"),
    row("limits.sessions", of!(Count, sessions), "sessions; the one that lingers longest makes room [2 x connections]"),
    row("limits.rooms", of!(Count, rooms), "rooms; the one that has been empty longest makes room [connections]"),
    row("limits.connections_per_user", of!(Count, connections_per_user), "open connections of one user [16]"),
    row("limits.sessions_per_user", of!(Count, sessions_per_user), "sessions of one user, lingering ones included [20]"),
    row("limits.rooms_per_connection", of!(Count, rooms_per_connection), "rooms that one connection is in [128]"),
    row("limits.rooms_per_user", of!(Count, rooms_per_user), "rooms of all connections of one user together [512]"),
    row("limits.runs_per_session", of!(Count, runs_per_session), "agent runs that are open in one session [8]"),
    row("limits.connect_rate", of!(Rate, connect_rate), "admissions per second, 0 is no limit [500]"),
    row("limits.connect_burst", of!(Count, connect_burst), "admissions at once before the rate counts [1000]"),
    row("limits.connect_rate_per_user", of!(Rate, connect_rate_per_user), "admissions per second of one user, 0 is no limit [4]"),
    row("limits.connect_burst_per_user", of!(Count, connect_burst_per_user), "admissions of one user at once before the rate counts [32]"),
    row("limits.connect_rate_per_ip", OwnRate, "upgrades per second from one address, 0 is no limit [0]"),
    row("limits.over_cap", of!(Policy, over_cap), "evict-unresponsive-then-oldest, evict-oldest or refuse [the first]"),
    row("limits.message_rate", of!(Rate, message_rate), "messages per second of one client, 0 is no limit [100]"),
    row("limits.message_burst", of!(Count, message_burst), "messages at once before the rate counts [200]"),
    row("limits.message_bytes", of!(Size, message_bytes), "one message of a client [64KiB]"),
    row("limits.head_bytes", of!(Size, head_bytes), "one request head on the WebSocket port [32KiB]"),
    row("limits.byte_rate", of!(Size, byte_rate), "bytes per second of one client, 0 is no limit [0]"),
    row("limits.frame_deadline", of!(Time, frame_deadline), "from the first byte of a client's message to its last [60s]"),
    row("session.linger", of!(Time, linger), "how long a session outlives its last connection [120s]"),
    row("session.head_deadline", of!(Time, head_deadline), "from accept to the whole request head [10s]"),
    row("session.auth_deadline", of!(Time, auth_deadline), "from the upgrade to credentials [10s]"),
    row("session.close_handshake", of!(Time, close_handshake), "from a close to the end of the socket [5s]"),
    row("session.idle", of!(Time, idle), "how long a client may send no message, 0 is no limit [0]"),
    row("session.max_lifetime", of!(Time, max_lifetime), "how long a connection may stay open, 0 is no limit [0]"),
    row("session.expiry_grace", of!(Time, expiry_grace), "from the expiry of credentials to the close [25s]"),
    row("pressure.proactive", of!(Percent, proactive), "percent of a user's limit from which silent connections are pinged early [60]"),
    row("pressure.emergency", of!(Percent, emergency), "percent of a user's limit from which they have less time to answer [80]"),
    row("pressure.emergency_deadline", of!(Time, emergency_deadline), "from a ping to any sign of life, from pressure.emergency on [10s]"),
    row("heartbeat.interval", of!(Time, interval), "silence before a ping, 0 is never [25s]"),
    row("heartbeat.pong_timeout", of!(Time, pong_timeout), "from a ping to any sign of life [10s]"),
    row("heartbeat.pause_threshold", of!(Time, pause_threshold), "a longer pause of the process moves the deadlines that wait for clients [5s]"),
    row("stream.messages", of!(Count, stream_messages), "messages in a session's log [256]"),
    row("stream.bytes", of!(Size, stream_bytes), "bytes in a session's log [1MiB]"),
    row("stream.ttl", of!(Time, stream_ttl), "age of a message in a session's log, 0 is no bound [120s]"),
    row("stream.history", of!(Count, stream_history), "messages of a session that are kept for a resume [messages]"),
    row("stream.room_messages", of!(Count, room_messages), "messages in a room's log [256]"),
    row("stream.room_bytes", of!(Size, room_bytes), "bytes in a room's log [512KiB]"),
    row("stream.room_ttl", of!(Time, room_ttl), "age of a message in a room's log, 0 is no bound [120s]"),
    row("stream.room_history", of!(Count, room_history), "messages of a room that are kept for a resume [room_messages]"),
    row("outbound.window", of!(Size, window), "bytes in flight to one connection [64KiB]"),
    row("outbound.slow_deadline", of!(Time, slow_deadline), "a connection that takes no byte for so long is closed [10s]"),
    row("outbound.user_bytes", of!(Size, user_bytes), "bytes in the logs of one user's sessions, and of their calls [16MiB, or process_bytes]"),
    row("outbound.process_bytes", of!(Size, process_bytes), "bytes in all logs, and of the tool calls under way [256MiB]"),
    row("run.silence", of!(Time, run_silence), "an agent run without an event for so long is failed, 0 is never [120s]"),
    row("run.max_length", of!(Time, run_max_length), "an agent run that is open for so long is failed, 0 is never [1h]"),
    row("run.events", of!(Count, run_events), "events of one agent run [4096]"),
    row("run.bytes", of!(Size, run_bytes), "bytes of one agent run [1MiB]"),
    row("run.calls", of!(Count, run_calls), "tool calls of one agent run that are under way [64]"),
    row("idempotency.ttl", OwnTime("10m", 1, 7 * 86_400_000), "how long an answer is kept under its Idempotency-Key [10m]"),
    row("idempotency.bytes", OwnSize("64MiB", 64 << 10, 16 << 30), "bytes of all answers that are kept; the oldest are dropped first [64MiB]"),
    row("redaction.enabled", OwnFlag(true), "takes secrets, internal fields and local paths out of the events of runs [true]"),
    row("redaction.keys", OwnWords(Redaction::SECRET_KEYS), "keys whose values are secrets, in place of the usual ones; whole words count [password, token, ...]"),
    row("redaction.remove", OwnWords(Redaction::REMOVED_KEYS), "keys that are removed except in parameters, in place of the usual ones [system_prompt, internal_reasoning, debug_info]"),
    row("redaction.max_input", OwnSize("4KiB", 256, 16 << 30), "bytes of one text in parameters; a longer one is cut [4KiB]"),
    row("redaction.max_output", OwnSize("64KiB", 256, 16 << 30), "bytes of one text in thoughts, results and errors; a longer one is cut [64KiB]"),
    row("redaction.max_items", OwnCount(1_000, 1, 1_000_000), "items of one list; a longer one is cut [1000]"),
    row("drain.grace", of!(Time, drain_grace), "from the announcement of a drain to the first close [500ms, or deadline / 4]"),
    row("drain.deadline", of!(Time, drain_deadline), "from the announcement of a drain to its end [2s, or grace x 4]"),
    row("log.level", OwnLevel, "error, warn, info or debug, which has a line for each client that is refused [info]"),
];

/// The row of a key.
pub(super) fn find(key: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.key == key)
}

/// The row of the setting that a key is below, as if that were a table: `auth.key.x`.
pub(super) fn above(key: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| key.strip_prefix(row.key).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether a key is one of the registry's.
pub(super) fn in_config(key: &str) -> bool {
    Config::KEYS.contains(&key)
}

/// Whether there is a setting, or a table of them, of this name.
pub(crate) fn is_key(key: &str) -> bool {
    find(key).is_some() || is_table(key)
}

/// Whether there are settings in a table of this name.
pub(super) fn is_table(name: &str) -> bool {
    tables().any(|table| table == name)
}

/// The names of the tables, each at least once.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    ROWS.iter().filter_map(|row| row.key.split_once('.')).map(|(table, _)| table)
}

/// The list of settings that the long help ends with.
pub(crate) fn help() -> String {
    let mut text = String::from("Settings, with their defaults in brackets:\n");
    for row in ROWS {
        let _ = writeln!(text, "  {:<30} {}", row.key, row.about);
    }
    text.push_str(
        "\nDurations are written 500ms, 25s, 2m; sizes 64KiB, 1MiB or plain bytes.\n\
         Defaults follow the settings they are derived from.\n\
         \n\
         --set and the other flags win over the environment (limits.users is HEADCOUNT_LIMITS_USERS),\n\
         and that over the file of --config, in TOML.",
    );
    text
}

/// The key that was probably meant. A table that is missing or wrong counts for less than the key.
/// `separator` is what stands between the two where it was written.
pub(super) fn nearest(wrong: &str, separator: char) -> &'static str {
    let wrong = wrong.to_ascii_lowercase();
    let bare = wrong.rsplit('.').next().unwrap_or(&wrong);
    let score = |key: &'static str| {
        let name = key.rsplit('.').next().unwrap_or(key);
        let whole = distance(&wrong, &key.replace('.', separator.encode_utf8(&mut [0; 4])));
        (whole.min(distance(bare, name) + 1), whole)
    };
    // Rows exist, so there is a nearest one; the fallback is for the compiler.
    ROWS.iter().map(|row| row.key).min_by_key(|key| score(key)).unwrap_or("limits.connections")
}

/// How many characters must be inserted, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    // Keys are short; what is much longer is far from all of them, whatever it says.
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(256).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
