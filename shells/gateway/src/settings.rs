//! Every setting that can be changed, one row each: whoever reads a setting from somewhere looks its
//! key up here, so that all sources know the same keys, values and mistakes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use headcount::{Config, ConfigBuilder, ConfigError};

use crate::values;

/// Connections that are admitted by default, if the descriptor limit allows.
const CONNECTIONS: u64 = 65_536;
/// Descriptors that are left for everything that is not an admitted connection.
const SPARE_DESCRIPTORS: u64 = 512;

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
    Rate(fn(ConfigBuilder, u32) -> ConfigBuilder),
    Size(fn(ConfigBuilder, u64) -> ConfigBuilder),
    Time(fn(ConfigBuilder, Duration) -> ConfigBuilder),
}

use Takes::{Count, Rate, Size, Time};

const fn row(key: &'static str, takes: Takes, about: &'static str) -> Row {
    Row { key, takes, about }
}

type B = ConfigBuilder;

#[rustfmt::skip]
const ROWS: &[Row] = &[
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
    row("limits.message_bytes", Size(B::message_bytes), "one message of a client [64KiB]"),
    row("session.linger", Time(B::linger), "how long a session outlives its last connection [120s]"),
    row("session.head_deadline", Time(B::head_deadline), "from accept to the whole request head [10s]"),
    row("session.auth_deadline", Time(B::auth_deadline), "from the upgrade to credentials [10s]"),
    row("session.close_handshake", Time(B::close_handshake), "from a close to the end of the socket [5s]"),
    row("heartbeat.interval", Time(B::interval), "silence before a ping, 0 is never [25s]"),
    row("heartbeat.pong_timeout", Time(B::pong_timeout), "from a ping to any sign of life [10s]"),
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
];

/// A value that was read, in the form its row takes.
#[derive(Clone, Copy)]
enum Value {
    Number(u32),
    Bytes(u64),
    Time(Duration),
}

/// One setting that was given: its value, and what to show when it contradicts another.
struct Given {
    value: Value,
    /// As it was written and where: `--set limits.users=5`.
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
        let Some(row) = ROWS.iter().find(|row| row.key == key) else {
            let nearest = nearest(key);
            return Err(format!("{origin} {key}: no such setting; the nearest one is {nearest}"));
        };
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let value = match row.takes {
            Count(_) => values::count(bare).map(Value::Number),
            Rate(_) => values::rate(bare).map(Value::Number),
            Size(_) => values::size(bare).map(Value::Bytes),
            Time(_) => values::time(bare).map(Value::Time),
        }
        .map_err(|expected| {
            format!("{origin} {key}={text}: the value is not understood; expected {expected}")
        })?;
        let written = format!("{origin} {key}={text}");
        self.given.insert(row.key, Given { value, written });
        Ok(())
    }

    /// The registry's configuration, for a process that may have so many descriptors.
    pub(crate) fn config(&self, seed: u64, descriptors: u64) -> Result<Config, String> {
        let mut builder = Config::builder(seed).connections(default_connections(descriptors));
        for row in ROWS {
            let Some(given) = self.given.get(row.key) else { continue };
            builder = match (row.takes, given.value) {
                (Count(set) | Rate(set), Value::Number(number)) => set(builder, number),
                (Size(set), Value::Bytes(bytes)) => set(builder, bytes),
                (Time(set), Value::Time(time)) => set(builder, time),
                // `set` makes the value by the row's form.
                _ => unreachable!("a value of another form than its row takes"),
            };
        }
        builder.build().map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &ConfigError) -> String {
        let written = |key: &str| {
            self.given.get(key).map_or_else(|| key.to_owned(), |given| given.written.clone())
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
         Defaults follow the settings they are derived from.",
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
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<Config, String> {
        let mut settings = Settings::default();
        for (key, value) in given {
            settings.set(key, value, "--set")?;
        }
        settings.config(1, u64::MAX)
    }

    #[test]
    fn every_row_reaches_the_setting_of_its_name() {
        // A value that is in every row's range and no default; a wrong method would set another
        // key, which the refusal of a huge value would name.
        for row in ROWS {
            let (huge, expected) = match row.takes {
                Count(_) | Rate(_) => ("4000000000", "between"),
                Size(_) => ("1099511627776", "between"),
                Time(_) => ("400d", "between"),
            };
            let sentence = settings(&[(row.key, huge)]).unwrap_err();
            assert!(
                sentence.starts_with(&format!("--set {}={huge}: ", row.key))
                    && sentence.contains(expected),
                "{}: {sentence}",
                row.key
            );
        }
    }

    #[test]
    fn values_arrive() {
        let config = settings(&[
            ("limits.connections", "10"),
            ("limits.connections", "20"),
            ("heartbeat.interval", "\"3s\""),
            ("stream.bytes", "64KiB"),
            ("limits.connect_rate", "0"),
        ])
        .unwrap();
        assert_eq!(config.connections(), 20, "the later one counts");
        assert_eq!(config.interval(), Duration::from_secs(3));
        assert_eq!((config.stream_bytes(), config.connect_rate()), (65_536, 0));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        for (wrong, right) in [
            ("limits.conections", "limits.connections"),
            ("connections", "limits.connections"),
            ("limit.users", "limits.users"),
            ("heartbeat.pongtimeout", "heartbeat.pong_timeout"),
            ("heartbeat.linger", "session.linger"),
            ("LIMITS.ROOMS", "limits.rooms"),
            ("stream.room_byte", "stream.room_bytes"),
            ("window", "outbound.window"),
        ] {
            let sentence = settings(&[(wrong, "1")]).unwrap_err();
            assert!(sentence.ends_with(&format!("nearest one is {right}")), "{sentence}");
        }
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        for (key, value, expected) in [
            ("heartbeat.interval", "25", "a unit"),
            ("limits.users", "-1", "a whole number"),
            ("limits.message_bytes", "64KB", "KiB"),
            ("heartbeat.pong_timeout", "0", "between 1ms and 366d"),
            ("limits.message_bytes", "0", "between 1B and 1GiB"),
        ] {
            let sentence = settings(&[(key, value)]).unwrap_err();
            assert!(sentence.contains(key) && sentence.contains(expected), "{sentence}");
        }
        let sentence =
            settings(&[("limits.connections", "4"), ("limits.connections_per_user", "5")])
                .unwrap_err();
        assert_eq!(
            sentence,
            "--set limits.connections_per_user=5: must not be larger than --set limits.connections=4"
        );
    }

    #[test]
    fn the_default_follows_the_descriptor_limit() {
        assert_eq!(default_connections(u64::MAX), 65_536);
        assert_eq!(default_connections(66_048), 65_536);
        assert_eq!(default_connections(1_024), 512);
        assert_eq!(default_connections(100), 16);
    }
}
