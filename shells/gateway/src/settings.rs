//! Every setting that can be changed, one row each: whoever reads a setting from somewhere looks its
//! key up here, so that all sources know the same keys, values and mistakes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::time::Duration;

use headcount::{Config, ConfigBuilder, ConfigError, OverCap, Profile};

use crate::proxies::Proxies;
use crate::values;

/// Connections that are admitted by default, if the descriptor limit allows.
const CONNECTIONS: u64 = 65_536;
/// What a refused newcomer is told to wait under `limits.over_cap=refuse`.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// What a server that nobody but a developer uses takes for a drain, unless a profile says otherwise.
const QUICK_DRAIN: Duration = Duration::from_secs(2);
/// The longest grace of a drain that has none of its own, as a part of its deadline, and the other
/// way round: what is left is for the closes.
const GRACE_PARTS: u32 = 4;
/// Descriptors that are left for everything that is not an admitted connection.
const SPARE_DESCRIPTORS: u64 = 512;

/// What the names of environment variables begin with.
const PREFIX: &str = "HEADCOUNT_";
/// The variables of the flags that say where to listen.
const ADDRESSES: [&str; 2] = ["HEADCOUNT_LISTEN", "HEADCOUNT_ADMIN"];

/// One setting.
struct Row {
    /// `table.key`.
    key: &'static str,
    /// How its value is written, and where it goes.
    takes: Takes,
    /// What it is and its default, for the help.
    about: &'static str,
}

/// How a value is written, and the builder's method for it.
#[derive(Clone, Copy)]
enum Takes {
    Count(fn(ConfigBuilder, u32) -> ConfigBuilder),
    Percent(fn(ConfigBuilder, u32) -> ConfigBuilder),
    Rate(fn(ConfigBuilder, u32) -> ConfigBuilder),
    Size(fn(ConfigBuilder, u64) -> ConfigBuilder),
    Time(fn(ConfigBuilder, Duration) -> ConfigBuilder),
    Policy(fn(ConfigBuilder, OverCap) -> ConfigBuilder),
    /// What the builder starts from.
    Start,
    /// The gateway's own, which the registry does not know.
    OwnRate,
    OwnList,
}

use Takes::{Count, OwnList, OwnRate, Percent, Policy, Rate, Size, Start, Time};

const fn row(key: &'static str, takes: Takes, about: &'static str) -> Row {
    Row { key, takes, about }
}

type B = ConfigBuilder;

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("profile", Start, "development, test, ci, staging, production or origin: other defaults [the ones listed here]"),
    row("trusted_proxies", OwnList, "addresses and networks whose X-Forwarded-For is believed, such as 10.0.0.0/8,::1 [none]"),
    row("limits.connections", Count(B::connections), "open connections [65536, or the descriptor limit - 512]"),
    row("limits.pending", Count(B::pending), "sockets that are nobody yet [connections / 8]"),
    row("limits.closing", Count(B::closing), "connections that are closing, beside the open ones [connections / 8]"),
    row("limits.users", Count(B::users), "users with a session [sessions]"),
    row("limits.sessions", Count(B::sessions), "sessions, lingering ones included [2 x connections]"),
    row("limits.rooms", Count(B::rooms), "rooms [connections]"),
    row("limits.connections_per_user", Count(B::connections_per_user), "open connections of one user [16]"),
    row("limits.sessions_per_user", Count(B::sessions_per_user), "sessions of one user, lingering ones included [20]"),
    row("limits.rooms_per_connection", Count(B::rooms_per_connection), "rooms that one connection is in [128]"),
    row("limits.connect_rate", Rate(B::connect_rate), "admissions per second, 0 is no limit [500]"),
    row("limits.connect_burst", Count(B::connect_burst), "admissions at once before the rate counts [1000]"),
    row("limits.connect_rate_per_ip", OwnRate, "upgrades per second from one address, 0 is no limit [0]"),
    row("limits.over_cap", Policy(B::over_cap), "evict-unresponsive-then-oldest, evict-oldest or refuse [the first]"),
    row("limits.message_rate", Rate(B::message_rate), "messages per second of one client, 0 is no limit [100]"),
    row("limits.message_burst", Count(B::message_burst), "messages at once before the rate counts [200]"),
    row("limits.message_bytes", Size(B::message_bytes), "one message of a client [64KiB]"),
    row("session.linger", Time(B::linger), "how long a session outlives its last connection [120s]"),
    row("session.head_deadline", Time(B::head_deadline), "from accept to the whole request head [10s]"),
    row("session.auth_deadline", Time(B::auth_deadline), "from the upgrade to credentials [10s]"),
    row("session.close_handshake", Time(B::close_handshake), "from a close to the end of the socket [5s]"),
    row("session.idle", Time(B::idle), "without a message of the client, 0 is no limit [0]"),
    row("session.max_lifetime", Time(B::max_lifetime), "of one connection, 0 is no limit [0]"),
    row("session.expiry_grace", Time(B::expiry_grace), "from the expiry of credentials to the close [25s]"),
    row("pressure.proactive", Percent(B::proactive), "of a user's limit: the silent are pinged early [60]"),
    row("pressure.emergency", Percent(B::emergency), "of a user's limit: less time for an answer [80]"),
    row("pressure.emergency_deadline", Time(B::emergency_deadline), "from a ping to any sign of life then [10s]"),
    row("heartbeat.interval", Time(B::interval), "silence before a ping, 0 is never [25s]"),
    row("heartbeat.pong_timeout", Time(B::pong_timeout), "from a ping to any sign of life [10s]"),
    row("heartbeat.pause_threshold", Time(B::pause_threshold), "a standstill of the process that no client is blamed for [5s]"),
    row("stream.messages", Count(B::stream_messages), "messages in a session's log [256]"),
    row("stream.bytes", Size(B::stream_bytes), "bytes in a session's log [1MiB]"),
    row("stream.ttl", Time(B::stream_ttl), "age of a message in a session's log, 0 is no bound [120s]"),
    row("stream.history", Count(B::stream_history), "messages of a session that stay for a resume [messages]"),
    row("stream.room_messages", Count(B::room_messages), "messages in a room's log [256]"),
    row("stream.room_bytes", Size(B::room_bytes), "bytes in a room's log [512KiB]"),
    row("stream.room_ttl", Time(B::room_ttl), "age of a message in a room's log, 0 is no bound [120s]"),
    row("stream.room_history", Count(B::room_history), "messages of a room that stay for a resume [room_messages]"),
    row("outbound.window", Size(B::window), "bytes on their way to one connection [64KiB]"),
    row("outbound.slow_deadline", Time(B::slow_deadline), "no progress for so long closes a connection [10s]"),
    row("drain.grace", Time(B::drain_grace), "from the announcement of a drain to the first close [500ms, or deadline / 4]"),
    row("drain.deadline", Time(B::drain_deadline), "from the announcement of a drain to its end [2s, or grace x 4]"),
];

/// A value that was read, in the form its row takes.
#[derive(Clone)]
enum Value {
    Number(u32),
    Bytes(u64),
    Time(Duration),
    Policy(OverCap),
    Start(Profile),
    List(Proxies),
}

/// One setting that was given: its value, and what to show when it contradicts another.
struct Given {
    value: Value,
    /// As it was written and where: `--set limits.users=5`, `HEADCOUNT_LIMITS_USERS=5`.
    written: String,
}

/// The settings that were given. What was not keeps its default.
#[derive(Default)]
pub(crate) struct Settings {
    given: BTreeMap<&'static str, Given>,
}

impl Settings {
    /// Takes one setting from `origin`, which is named in errors; a later one replaces an earlier.
    pub(crate) fn set(&mut self, key: &str, text: &str, origin: &str) -> Result<(), String> {
        if key.is_empty() {
            return Err(format!("{origin} ={text}: the key is missing; write table.key=value"));
        }
        let Some(row) = ROWS.iter().find(|row| row.key == key) else {
            let nearest = nearest(key);
            return Err(format!("{origin} {key}: no such setting; the nearest one is {nearest}"));
        };
        self.take(row, text, format!("{origin} {key}={text}"))
    }

    /// Takes what the environment sets. A name that is neither a setting's nor like one is somebody
    /// else's: an orchestrator, for one, makes `HEADCOUNT_SERVICE_HOST` of a service of this name.
    pub(crate) fn environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), String> {
        // In the order of their names, so that of several mistakes the same one is told each time.
        let named: BTreeMap<OsString, OsString> = variables.collect();
        for (name, value) in named {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let Some(row) = ROWS.iter().find(|row| variable(row.key) == name) else {
                if let Some(meant) = meant(name) {
                    return Err(format!("{name}: no such setting; the nearest one is {meant}"));
                }
                continue;
            };
            let Some(value) = value.to_str() else {
                return Err(format!("{name}: the value is not UTF-8"));
            };
            self.take(row, value.trim(), format!("{name}={value}"))?;
        }
        Ok(())
    }

    fn take(&mut self, row: &'static Row, text: &str, written: String) -> Result<(), String> {
        let bare = values::unquoted(text);
        let value = match row.takes {
            Count(_) => values::count(bare).map(Value::Number),
            Percent(_) => values::percent(bare).map(Value::Number),
            Rate(_) | OwnRate => values::rate(bare).map(Value::Number),
            Size(_) => values::size(bare).map(Value::Bytes),
            Time(_) => values::time(bare).map(Value::Time),
            Policy(_) => over_cap(bare).map(Value::Policy),
            Start => profile(bare).map(Value::Start),
            OwnList => Proxies::parse(text).map(Value::List),
        }
        .map_err(|expected| {
            format!("{written}: the value is not understood; expected {expected}")
        })?;
        self.given.insert(row.key, Given { value, written });
        Ok(())
    }

    /// The registry's configuration, for a process that may have so many descriptors.
    pub(crate) fn config(&self, seed: u64, descriptors: u64) -> Result<Config, String> {
        let fits = default_connections(descriptors);
        let mut builder = match self.value("profile") {
            // It has a number of its own.
            Some(Value::Start(Profile::Origin)) => Config::profile(Profile::Origin, seed),
            Some(Value::Start(profile)) => Config::profile(*profile, seed).connections(fits),
            _ => Config::builder(seed).connections(fits).drain_deadline(QUICK_DRAIN),
        };
        for row in ROWS {
            let Some(given) = self.given.get(row.key) else { continue };
            builder = match (row.takes, &given.value) {
                (Count(set) | Percent(set) | Rate(set), Value::Number(number)) => {
                    set(builder, *number)
                }
                (Size(set), Value::Bytes(bytes)) => set(builder, *bytes),
                (Time(set), Value::Time(time)) => set(builder, *time),
                (Policy(set), Value::Policy(policy)) => set(builder, *policy),
                (Start | OwnRate | OwnList, _) => builder,
                // `set` makes the value by the row's form.
                _ => unreachable!("a value of another form than its row takes"),
            };
        }
        let explain = |error| self.explain(&error);
        let config = builder.clone().build().map_err(explain)?;
        let (grace, deadline) = (config.drain_grace(), config.drain_deadline());
        // One that was not given follows the other.
        let builder = match (self.value("drain.grace"), self.value("drain.deadline")) {
            (None, _) => builder.drain_grace(grace.min(deadline / GRACE_PARTS)),
            (Some(_), None) => builder.drain_deadline(deadline.max(grace * GRACE_PARTS)),
            (Some(_), Some(_)) if grace > deadline => {
                let (key, exceeds) = ("drain.grace", "drain.deadline");
                return Err(self.explain(&ConfigError::Contradiction { key, exceeds }));
            }
            (Some(_), Some(_)) => builder,
        };
        builder.build().map_err(explain)
    }

    /// Upgrades per second from one address; 0: no limit.
    pub(crate) fn connect_rate_per_ip(&self) -> u32 {
        match self.value("limits.connect_rate_per_ip") {
            Some(Value::Number(rate)) => *rate,
            _ => 0,
        }
    }

    /// Whose `X-Forwarded-For` is believed.
    pub(crate) fn trusted_proxies(&self) -> Proxies {
        match self.value("trusted_proxies") {
            Some(Value::List(proxies)) => proxies.clone(),
            _ => Proxies::default(),
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.given.get(key).map(|given| &given.value)
    }

    fn explain(&self, error: &ConfigError) -> String {
        let written = |key: &str| match (self.given.get(key), self.given.get("profile")) {
            (Some(given), _) => given.written.clone(),
            (None, Some(profile)) => format!("{key} of {}", profile.written),
            (None, None) => format!("the default of {key}"),
        };
        match *error {
            ConfigError::OutOfRange { key, min, max } => {
                let written = written(key);
                match ROWS.iter().find(|row| row.key == key).map(|row| row.takes) {
                    Some(Time(_)) => format!(
                        "{written}: must be between {} and {}",
                        values::show_time(min),
                        values::show_time(max)
                    ),
                    Some(Size(_)) => format!(
                        "{written}: must be between {} and {}",
                        values::show_size(min),
                        values::show_size(max)
                    ),
                    _ => format!("{written}: must be between {min} and {max}"),
                }
            }
            ConfigError::Contradiction { key, exceeds } => {
                format!("{}: must not be larger than {}", written(key), written(exceeds))
            }
            _ => error.to_string(),
        }
    }
}

fn over_cap(text: &str) -> Result<OverCap, &'static str> {
    match text {
        "evict-unresponsive-then-oldest" => Ok(OverCap::EvictUnresponsiveThenOldest),
        "evict-oldest" => Ok(OverCap::EvictOldest),
        "refuse" => Ok(OverCap::Refuse { retry_after: REFUSED_FOR }),
        _ => Err("evict-unresponsive-then-oldest, evict-oldest or refuse"),
    }
}

fn profile(text: &str) -> Result<Profile, &'static str> {
    match text {
        "development" => Ok(Profile::Development),
        "test" => Ok(Profile::Test),
        "ci" => Ok(Profile::Ci),
        "staging" => Ok(Profile::Staging),
        "production" => Ok(Profile::Production),
        "origin" => Ok(Profile::Origin),
        _ => Err("development, test, ci, staging, production or origin"),
    }
}

/// What the descriptor limit leaves room for, or the usual number.
fn default_connections(descriptors: u64) -> u32 {
    let room = descriptors.saturating_sub(SPARE_DESCRIPTORS).clamp(16, CONNECTIONS);
    u32::try_from(room).unwrap_or(u32::MAX)
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
         In the environment limits.users is HEADCOUNT_LIMITS_USERS; --set wins.",
    );
    text
}

/// The key that was probably meant: a table that is missing or wrong counts for less than the key.
fn nearest(wrong: &str) -> &'static str {
    let wrong = wrong.to_ascii_lowercase();
    let bare = wrong.rsplit('.').next().unwrap_or(&wrong);
    let score = |key: &'static str| {
        let name = key.rsplit('.').next().unwrap_or(key);
        (distance(&wrong, key).min(distance(bare, name) + 1), distance(&wrong, key))
    };
    // Rows exist, so there is a nearest one; the fallback is for the compiler.
    ROWS.iter().map(|row| row.key).min_by_key(|key| score(key)).unwrap_or("limits.connections")
}

/// The environment variable of a key: `HEADCOUNT_LIMITS_USERS`.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

/// The variable that was probably meant by one that is none: the name begins with a table, or is no
/// more than a slip away. The addresses are flags, which read theirs themselves.
fn meant(wrong: &str) -> Option<String> {
    const SLIP: usize = 2;
    if ADDRESSES.contains(&wrong) {
        return None;
    }
    let known = ROWS.iter().map(|row| variable(row.key));
    let named = known.chain(ADDRESSES.map(str::to_owned));
    let (far, nearest) = named.map(|name| (distance(wrong, &name), name)).min()?;
    let of_a_table = ROWS.iter().filter_map(|row| row.key.split_once('.')).any(|(table, _)| {
        wrong.strip_prefix(&variable(table)).is_some_and(|rest| rest.starts_with('_'))
    });
    (of_a_table || far <= SLIP).then_some(nearest)
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

#[cfg(test)]
mod tests;
