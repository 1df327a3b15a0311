//! The table of settings, and which key was probably meant by one that is not in it.

use std::fmt::Write as _;

use headcount::ConfigKind;
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

/// How a value is written, and where it goes.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// A key of the registry, which knows how its value is written.
    Registry,
    /// What the builder starts from.
    Start,
    /// The gateway's own, which the registry does not know. With the default, and the bounds in the unit
    /// of the kind.
    Own(ConfigKind, &'static str, u64, u64),
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
    OwnLevel,
    /// `true` or `false`, with the default.
    OwnFlag(bool),
    /// Names of keys in JSON, with the default.
    OwnWords(&'static [&'static str]),
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
    Address, Own, OwnAlgorithm, OwnFlag, OwnHosts, OwnKeySetFile, OwnKeySetUrl, OwnLevel, OwnList,
    OwnNames, OwnOrigins, OwnRooms, OwnSecret, OwnSecretFile, OwnSecretFiles, OwnWords, Registry,
    Start,
};

const fn row(key: &'static str, takes: Takes, about: &'static str) -> Row {
    Row { key, takes, about }
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
    row("auth.jwks_interval", Own(ConfigKind::Time, "5m", 1_000, 86_400_000), "from one reading of the key set to the next, of a URL 30s at least [5m]"),
    row("auth.audience", OwnNames, "a token's aud must have one of these; without any it must have no aud [none]"),
    row("auth.issuer", OwnNames, "a token's iss must be one of these [any]"),
    row("auth.leeway", Own(ConfigKind::Time, "5s", 0, 600_000), "how far apart this clock and that of the tokens' issuer may be [5s]"),
    row("auth.max_ttl", Own(ConfigKind::Time, "24h", 1_000, 366 * 86_400_000), "how far ahead a token's exp may be [24h]"),
    row("auth.admin_key", OwnSecret, "one key for all calls of the admin port [none: loopback only, without a key]"),
    row("auth.admin_key_file", OwnSecretFile, "a file that holds that key [none]"),
    row("auth.admin_keys", OwnSecret, "keys with scopes, with ; between: name publish,read,operate key [none]"),
    row("auth.admin_keys_file", OwnSecretFile, "a file that holds such keys, one a line [none]"),
    row("rooms.open", OwnRooms, "rooms that every user may join, such as lobby,news:* [none; in development mode all]"),
    row("limits.connections", Registry, "open connections [65536, or what the descriptor limit leaves]"),
    row("limits.pending", Registry, "sockets that are not admitted yet [connections / 8]"),
    row("limits.pending_per_source", Registry, "of these, sockets of one IPv4 address or IPv6 /64 [pending / 2]"),
    row("limits.closing", Registry, "closing connections and ended sessions, beside the other limits [connections / 8]"),
    row("limits.users", Registry, "users with a session; the one absent longest makes room [sessions]"),
    row("limits.sessions", Registry, "sessions; the one that lingers longest makes room [2 x connections]"),
    row("limits.rooms", Registry, "rooms; the one that has been empty longest makes room [connections]"),
    row("limits.connections_per_user", Registry, "open connections of one user [16]"),
    row("limits.sessions_per_user", Registry, "sessions of one user, lingering ones included [20]"),
    row("limits.tenants", Registry, "tenants of whom a user is here [268435456, the most]"),
    row("limits.connections_per_tenant", Registry, "open connections of one tenant's users [connections]"),
    row("limits.sessions_per_tenant", Registry, "sessions of one tenant's users, lingering ones included [sessions]"),
    row("limits.rooms_per_connection", Registry, "rooms that one connection is in [128]"),
    row("limits.rooms_per_user", Registry, "rooms of all connections of one user together [512]"),
    row("limits.sessions_per_connection", Registry, "sessions that one connection may follow [64]"),
    row(
        "limits.streams_per_user",
        Registry,
        "event streams of a user, and sessions followed beyond the first of each connection [64]",
    ),
    row("limits.runs_per_session", Registry, "agent runs that are open in one session [8]"),
    row("limits.connect_rate", Registry, "admissions per second, 0 is no limit [500]"),
    row("limits.connect_burst", Registry, "admissions at once before the rate counts [1000]"),
    row("limits.connect_rate_per_user", Registry, "admissions per second of one user, 0 is no limit [4]"),
    row("limits.connect_burst_per_user", Registry, "admissions of one user at once before the rate counts [32]"),
    row("limits.connect_rate_per_ip", Own(ConfigKind::Rate, "0", 0, u32::MAX as u64), "upgrades per second from one address, 0 is no limit [0]"),
    row("limits.over_cap", Registry, "evict-unresponsive-then-oldest, evict-oldest or refuse [the first]"),
    row("limits.message_rate", Registry, "messages per second of one client, 0 is no limit [100]"),
    row("limits.message_burst", Registry, "messages at once before the rate counts [200]"),
    row("limits.message_bytes", Registry, "one message of a client [64KiB]"),
    row("limits.head_bytes", Registry, "one request head on the WebSocket port [32KiB]"),
    row("limits.byte_rate", Registry, "bytes per second of one client, 0 is no limit [0]"),
    row("limits.frame_deadline", Registry, "from the first byte of a client's message to its last [60s]"),
    row("session.linger", Registry, "how long a session outlives its last connection [120s]"),
    row("session.head_deadline", Registry, "from accept to the whole request head [10s]"),
    row("session.auth_deadline", Registry, "from the upgrade to credentials [10s]"),
    row("session.close_handshake", Registry, "from a close to the end of the socket [5s]"),
    row("session.idle", Registry, "how long a client may send no message, 0 is no limit [0]"),
    row("session.max_lifetime", Registry, "how long a connection may stay open, 0 is no limit [0]"),
    row("session.expiry_grace", Registry, "from the expiry of credentials to the close [25s]"),
    row("pressure.proactive", Registry, "percent of a user's limit from which silent connections are pinged early [60]"),
    row("pressure.emergency", Registry, "percent of a user's limit from which they have less time to answer [80]"),
    row("pressure.emergency_deadline", Registry, "from a ping to any sign of life, from pressure.emergency on [10s]"),
    row("heartbeat.interval", Registry, "silence before a ping, 0 is never [25s]"),
    row("heartbeat.slack", Registry, "how late a ping may be, so that those of many clients go out together [interval / 500]"),
    row("heartbeat.pong_timeout", Registry, "from a ping to any sign of life [10s]"),
    row("heartbeat.pause_threshold", Registry, "a longer pause of the process moves the deadlines that wait for clients [5s]"),
    row("stream.messages", Registry, "messages in a session's log [256]"),
    row("stream.bytes", Registry, "bytes in a session's log [1MiB]"),
    row("stream.ttl", Registry, "age of a message in a session's log, 0 is no bound [120s]"),
    row("stream.history", Registry, "messages of a session that are kept for a resume [messages]"),
    row("stream.room_messages", Registry, "messages in a room's log [256]"),
    row("stream.room_bytes", Registry, "bytes in a room's log [512KiB]"),
    row("stream.room_ttl", Registry, "age of a message in a room's log, 0 is no bound [120s]"),
    row("stream.room_history", Registry, "messages of a room that are kept for a resume [room_messages]"),
    row("outbound.window", Registry, "bytes in flight to one connection [64KiB]"),
    row("outbound.slow_deadline", Registry, "a connection that takes no byte for so long is closed [10s]"),
    row("outbound.user_bytes", Registry, "bytes in the logs of one user's sessions, and of their calls [16MiB, or process_bytes]"),
    row("outbound.tenant_bytes", Registry, "bytes in the logs of one tenant's sessions, and of their calls [process_bytes]"),
    row("outbound.process_bytes", Registry, "bytes in all logs, and of the tool calls under way [256MiB]"),
    row("run.silence", Registry, "an agent run without an event for so long is failed, 0 is never [120s]"),
    row("run.max_length", Registry, "an agent run that is open for so long is failed, 0 is never [1h]"),
    row("run.events", Registry, "events of one agent run [4096]"),
    row("run.bytes", Registry, "bytes of one agent run [1MiB]"),
    row("run.linger", Registry, "how long stream.history takes nothing of an agent run that has ended [60s]"),
    row("run.parts", Registry, "parts of one agent run: texts, reasoning, arguments of tool calls [64]"),
    row("run.calls", Registry, "tool calls of one agent run that are under way [64]"),
    row("idempotency.ttl", Own(ConfigKind::Time, "10m", 1, 7 * 86_400_000), "how long an answer is kept under its Idempotency-Key [10m]"),
    row("idempotency.bytes", Own(ConfigKind::Bytes, "64MiB", 64 << 10, 16 << 30), "bytes of all answers that are kept; the oldest are dropped first [64MiB]"),
    row("redaction.enabled", OwnFlag(true), "takes secrets, internal fields and local paths out of the events of runs [true]"),
    row("redaction.keys", OwnWords(Redaction::SECRET_KEYS), "keys whose values are secrets, in place of the usual ones; whole words count [password, token, ...]"),
    row("redaction.remove", OwnWords(Redaction::REMOVED_KEYS), "keys that are removed except in parameters, in place of the usual ones [system_prompt, internal_reasoning, debug_info]"),
    row("redaction.max_input", Own(ConfigKind::Bytes, "4KiB", 256, 16 << 30), "bytes of one text in parameters; a longer one is cut [4KiB]"),
    row("redaction.max_output", Own(ConfigKind::Bytes, "64KiB", 256, 16 << 30), "bytes of one text in thoughts, results and errors; a longer one is cut [64KiB]"),
    row("redaction.max_items", Own(ConfigKind::Count, "1000", 1, 1_000_000), "items of one list; a longer one is cut [1000]"),
    row("presence.leave_grace", Registry, "how long a user stays online after its last connection was dropped; the gateway does not show presence yet [5s]"),
    row("drain.grace", Registry, "from the announcement of a drain to the first close [500ms, or deadline / 4]"),
    row("drain.deadline", Registry, "from the announcement of a drain to its end [2s, or grace x 4]"),
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
