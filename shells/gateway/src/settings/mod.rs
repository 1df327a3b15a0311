//! The settings that were given, from wherever: every source looks its keys up in one table, so that
//! all of them know the same keys, values and mistakes.

mod environment;
mod file;
mod flags;
mod rows;
mod secret_file;
mod show;
pub(crate) mod sources;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use headcount::{Config, ConfigBuilder, ConfigError, OverCap, Profile};
use headcount_redaction::Policy as Redaction;
use tracing::level_filters::LevelFilter;

use crate::admin::AnswerBounds;
use crate::auth::revocations::Lifetime;
use crate::auth::{Algorithm, JwksSettings, KeySource, MIN_INTERVAL_OF_URL, RoomRights};
use crate::limits::descriptors::{self, Descriptors, Lowered};
use crate::network::proxies::Proxies;
use crate::network::sites::{Hosts, Origins, Sites};
use crate::secret::{HIDDEN, Secret};
use crate::telemetry::log;
pub(crate) use flags::Flags;
pub(crate) use rows::help;
use rows::{ROWS, Row, Takes};
use secret_file::SecretFile;

/// What a refused newcomer is told to wait under `limits.over_cap=refuse`.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// What a server that nobody but a developer uses takes for a drain, unless a profile says otherwise.
const QUICK_DRAIN: Duration = Duration::from_secs(2);
/// The longest grace of a drain that has none of its own, as a part of its deadline, and the other
/// way round: what is left is for the closes.
const GRACE_PARTS: u32 = 4;

/// The longest time that the registry takes.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A value that was read, in the form its row takes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(u32),
    Bytes(u64),
    Time(Duration),
    Policy(OverCap),
    Start(Profile),
    List(Proxies),
    Hosts(Hosts),
    Origins(Origins),
    Algorithm(Algorithm),
    Names(Vec<String>),
    Rooms(RoomRights),
    KeySet(KeySource),
    Address(SocketAddr),
    Level(LevelFilter),
    Flag(bool),
    Words(Vec<String>),
    Secret(Secret),
    SecretFile(SecretFile),
    SecretFiles(Vec<SecretFile>),
}

/// Where a setting was given. Errors show the setting as whoever gave it wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    /// `--set`.
    Set,
    /// A flag of its own.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'a str),
    /// A line of the file.
    Line { path: &'a str, line: usize },
}

impl Origin<'_> {
    fn written(self, key: &str, text: &str) -> String {
        match self {
            Self::Set => format!("--set {key}={text}"),
            Self::Flag(flag) => format!("{flag} {text}"),
            Self::Variable(name) => format!("{name}={text}"),
            Self::Line { path, line } => format!("{path}:{line}: {key} = {text}"),
        }
    }

    /// Where it was given, without the setting.
    fn source(self) -> String {
        match self {
            Self::Set => "--set".to_owned(),
            Self::Flag(name) => name.to_owned(),
            Self::Variable(name) => name.to_owned(),
            Self::Line { path, line } => format!("{path}:{line}"),
        }
    }

    /// Without the value.
    fn place(self, key: &str) -> String {
        match self {
            Self::Set => format!("--set {key}"),
            Self::Flag(name) => name.to_owned(),
            Self::Variable(name) => name.to_owned(),
            Self::Line { path, line } => format!("{path}:{line}: {key}"),
        }
    }
}

/// One setting that was given: its value, and what to show when it contradicts another.
#[derive(Clone)]
struct Given {
    value: Value,
    /// As it was written and where: `--set limits.users=5`.
    written: String,
    /// The value as it was written.
    text: String,
    /// Where.
    source: String,
    /// The same, and which setting, without the value.
    place: String,
}

/// The settings that were given. What was not keeps its default.
#[derive(Default)]
pub(crate) struct Settings {
    given: BTreeMap<&'static str, Given>,
}

impl Settings {
    /// Takes one setting; a later one replaces an earlier.
    pub(crate) fn set(&mut self, key: &str, text: &str, origin: Origin<'_>) -> Result<(), String> {
        if key.is_empty() {
            // The value may be a secret.
            let written = origin.written(key, "…");
            return Err(format!("{written}: the key is missing; write table.key=value"));
        }
        let Some(row) = rows::find(key) else {
            let place = origin.place(key);
            if rows::is_table(key) {
                return Err(format!("{place}: a table, not a setting; write {key}.key=value"));
            }
            // What follows the setting may be its value.
            if let Some(row) = rows::above(key) {
                let (place, key) = (origin.place(row.key), row.key);
                return Err(format!("{place}: a setting, not a table; write {key} = value"));
            }
            let nearest = rows::nearest(key, '.');
            return Err(format!("{place}: no such setting; the nearest one is {nearest}"));
        };
        let shown = if row.takes.is_secret() { HIDDEN } else { text };
        let written = origin.written(key, shown);
        let value = row.takes.read(text).map_err(|expected| {
            format!("{written}: the value is not understood; expected {expected}")
        })?;
        // The registry checks its own.
        if let Some((min, max)) = row.takes.range_missed(&value) {
            return Err(format!("{written}: must be between {min} and {max}"));
        }
        let (source, place) = (origin.source(), origin.place(key));
        let given = Given { value, written, text: shown.to_owned(), source, place };
        self.given.insert(row.key, given);
        Ok(())
    }

    /// The registry's configuration for a process that may have so many descriptors, and which of
    /// its limits were lowered to fit.
    pub(crate) fn config(
        &self,
        seed: u64,
        descriptors: Descriptors,
    ) -> Result<(Config, Lowered), String> {
        let number = |key| match self.value(key) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        };
        let fits = descriptors.defaults(descriptors::Given {
            connections: number("limits.connections"),
            pending: number("limits.pending"),
            closing: number("limits.closing"),
        });
        let mut builder = match self.value("profile") {
            // It has a number of its own.
            Some(Value::Start(Profile::Origin)) => Config::profile(Profile::Origin, seed),
            Some(Value::Start(profile)) => fits.apply(Config::profile(*profile, seed)),
            _ => fits.apply(Config::builder(seed)).drain_deadline(QUICK_DRAIN),
        };
        for row in ROWS {
            if let Some(given) = self.given.get(row.key) {
                builder = row.takes.set(builder, &given.value);
            }
        }
        let builder = self.settle(builder)?;
        let explain = |error| self.explain(&error);
        let config = builder.clone().build().map_err(explain)?;
        let (grace, deadline) = (config.drain_grace(), config.drain_deadline());
        // One that was not given follows the other.
        let builder = match (self.value("drain.grace"), self.value("drain.deadline")) {
            (None, _) => builder.drain_grace(grace.min(deadline / GRACE_PARTS)),
            (Some(_), None) => {
                builder.drain_deadline(deadline.max(grace * GRACE_PARTS).min(LONGEST))
            }
            (Some(_), Some(_)) if grace > deadline => {
                let (key, exceeds) = ("drain.grace", "drain.deadline");
                return Err(self.explain(&ConfigError::Contradiction { key, exceeds }));
            }
            (Some(_), Some(_)) => builder,
        };
        let config = builder.clone().build().map_err(explain)?;
        let (builder, lowered) = descriptors.fit(builder, &config);
        Ok((builder.build().map_err(explain)?, lowered))
    }

    /// Where a value that was given contradicts one that was not, which a profile or a default has
    /// set, that one follows it.
    fn settle(&self, mut builder: ConfigBuilder) -> Result<ConfigBuilder, String> {
        // Each round settles one pair of keys, of which there are fewer than keys.
        for _ in ROWS {
            let Err(error) = builder.clone().build() else { break };
            let ConfigError::Contradiction { key, exceeds } = error else {
                return Err(self.explain(&error));
            };
            let (Some(lower), Some(upper)) = (rows::find(key), rows::find(exceeds)) else {
                return Err(self.explain(&error));
            };
            builder = match (self.value(key), self.value(exceeds)) {
                (Some(value), None) => upper.takes.set(builder, value),
                (None, Some(value)) => lower.takes.set(builder, value),
                (Some(_), Some(_)) => return Err(self.explain(&error)),
                // The upper one is derived from another that was given.
                (None, None) => {
                    let lowest = lower.takes.set(builder.clone(), &upper.takes.lowest());
                    let derived = lowest.build().ok().and_then(|config| upper.takes.of(&config));
                    let Some(value) = derived else { return Err(self.explain(&error)) };
                    lower.takes.set(builder, &value)
                }
            };
        }
        Ok(builder)
    }

    /// Upgrades per second from one address; 0: no limit.
    pub(crate) fn connect_rate_per_ip(&self) -> u32 {
        match self.value("limits.connect_rate_per_ip") {
            Some(Value::Number(rate)) => *rate,
            _ => 0,
        }
    }

    /// How long and how much is kept of answers under an `Idempotency-Key`.
    pub(crate) fn idempotency(&self) -> AnswerBounds {
        match (self.own("idempotency.ttl"), self.own("idempotency.bytes")) {
            (Some(Value::Time(ttl)), Some(Value::Bytes(bytes))) => AnswerBounds { ttl, bytes },
            _ => unreachable!("their rows have defaults"),
        }
    }

    /// What is taken out of the events of runs; `None`: nothing.
    pub(crate) fn redaction(&self) -> Option<Redaction> {
        if self.own("redaction.enabled") == Some(Value::Flag(false)) {
            return None;
        }
        let words = |key| match self.own(key) {
            Some(Value::Words(words)) => words,
            _ => unreachable!("{key} has a default"),
        };
        let bytes = |key| match self.own(key) {
            Some(Value::Bytes(bytes)) => usize::try_from(bytes).unwrap_or(usize::MAX),
            _ => unreachable!("{key} has a default"),
        };
        let Some(Value::Number(items)) = self.own("redaction.max_items") else {
            unreachable!("its row has a default")
        };
        let policy = Redaction::builder()
            .secret_keys(words("redaction.keys"))
            .removed_keys(words("redaction.remove"))
            .max_input(bytes("redaction.max_input"))
            .max_output(bytes("redaction.max_output"))
            .max_items(items as usize);
        // Their rows keep them within the policy's own bounds. Whatever else: rather too little is
        // shown than too much.
        Some(policy.build().unwrap_or_default())
    }

    /// Whose `X-Forwarded-For` is believed.
    pub(crate) fn trusted_proxies(&self) -> Proxies {
        match self.value("trusted_proxies") {
            Some(Value::List(proxies)) => proxies.clone(),
            _ => Proxies::default(),
        }
    }

    /// Which hosts and pages the WebSocket port serves.
    pub(crate) fn sites(&self) -> Sites {
        self.sites_of(["allowed_hosts", "allowed_origins"])
    }

    /// The same of the admin port.
    pub(crate) fn admin_sites(&self) -> Sites {
        self.sites_of(["admin_hosts", "admin_origins"])
    }

    fn sites_of(&self, keys: [&'static str; 2]) -> Sites {
        let hosts = match self.value(keys[0]) {
            Some(Value::Hosts(hosts)) => Some(hosts.clone()),
            _ => None,
        };
        let origins = match self.value(keys[1]) {
            Some(Value::Origins(origins)) => Some(origins.clone()),
            _ => None,
        };
        Sites::new(hosts, origins, keys)
    }

    /// What the log has lines for.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match self.value("log.level") {
            Some(Value::Level(level)) => *level,
            _ => log::LEVEL,
        }
    }

    /// Reads the files that hold secrets. What they hold counts as the value of the setting: other
    /// contents are a change.
    ///
    /// # Errors
    /// A file can't be read, or a secret is the path of a file: it would be in force as it stands, and
    /// a path can be guessed.
    pub(crate) fn read_secrets(&mut self) -> Result<(), String> {
        for (key, Given { value, written, place, .. }) in &mut self.given {
            let files = match value {
                Value::SecretFile(file) => std::slice::from_mut(file),
                Value::SecretFiles(files) => files,
                Value::Secret(secret) if Path::new(secret.reveal()).is_file() => {
                    return Err(format!(
                        "{written}: this is the path of a file, and no key: give it to {key}_file"
                    ));
                }
                _ => continue,
            };
            let is_shown = files.iter().all(SecretFile::names_a_file);
            for file in files {
                file.read().map_err(|error| match is_shown {
                    true => format!(
                        "{written}: {}: {error}; name a file that this process may read",
                        file.path()
                    ),
                    false => format!(
                        "{place}: {error}; name a file that this process may read (what is named is not \
                         shown, because it may be the secret itself)"
                    ),
                })?;
            }
        }
        Ok(())
    }

    /// A secret that was given, or what the file that was named holds.
    pub(crate) fn secret(&self, key: &str) -> Option<&Secret> {
        match self.value(key)? {
            Value::Secret(secret) => Some(secret),
            Value::SecretFile(file) => file.content(),
            _ => None,
        }
    }

    /// How tokens are signed.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self.own("auth.algorithm") {
            Some(Value::Algorithm(algorithm)) => algorithm,
            _ => unreachable!("its row has a default"),
        }
    }

    /// The keys that tokens are checked with, as they were given, and where each stands.
    pub(crate) fn keys(&self) -> Vec<(String, &Secret)> {
        let mut keys = Vec::new();
        if let Some(key) = self.secret("auth.key") {
            keys.push((self.written("auth.key"), key));
        }
        if let Some(Value::SecretFiles(files)) = self.value("auth.key_file") {
            let written = self.written("auth.key_file");
            let read = files.iter().filter_map(|file| Some((file.path(), file.content()?)));
            keys.extend(read.map(|(path, key)| (format!("{written}: {path}"), key)));
        }
        keys
    }

    /// The key set that tokens are checked with.
    pub(crate) fn jwks(&self) -> Result<Option<JwksSettings>, String> {
        let [file, url] = ["auth.jwks_file", "auth.jwks_url"];
        let (key, source) = match (self.value(file), self.value(url)) {
            (Some(_), Some(_)) => {
                let (file, url) = (self.written(file), self.written(url));
                return Err(format!("{file}: there is one key set, and {url} is another"));
            }
            (Some(Value::KeySet(source)), None) => (file, source.clone()),
            (None, Some(Value::KeySet(source))) => (url, source.clone()),
            _ => return Ok(None),
        };
        source.check().map_err(|why| format!("{}: {why}", self.written(key)))?;
        let Some(Value::Time(interval)) = self.own("auth.jwks_interval") else {
            unreachable!("its row has a default")
        };
        if matches!(source, KeySource::Url(_)) && interval < MIN_INTERVAL_OF_URL {
            return Err(format!(
                "{}: must be at least {} s for a key set of a server ({url}). A new key is there sooner: \
                 it is fetched when a token names it",
                self.written("auth.jwks_interval"),
                MIN_INTERVAL_OF_URL.as_secs()
            ));
        }
        Ok(Some(JwksSettings { source, interval }))
    }

    /// How long tokens can be valid.
    pub(crate) fn token_lifetime(&self) -> Lifetime {
        match (self.own("auth.max_ttl"), self.own("auth.leeway")) {
            (Some(Value::Time(max_ttl)), Some(Value::Time(leeway))) => Lifetime { max_ttl, leeway },
            _ => unreachable!("their rows have defaults"),
        }
    }

    /// The names in a list.
    pub(crate) fn names(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(Value::Names(names)) => names.clone(),
            _ => Vec::new(),
        }
    }

    /// The rooms that everyone may join.
    pub(crate) fn open_rooms(&self) -> RoomRights {
        match self.value("rooms.open") {
            Some(Value::Rooms(rooms)) => rooms.clone(),
            _ => RoomRights::default(),
        }
    }

    /// Whether a setting that the registry does not know was given, and not its default: a file may
    /// spell out all of them.
    pub(crate) fn is_changed(&self, key: &str) -> bool {
        let default = rows::find(key).and_then(|row| row.takes.default());
        self.value(key).is_some_and(|value| Some(value) != default.as_ref())
    }

    /// Whether a file or a key set was named, which can change while the process runs.
    pub(crate) fn names_files(&self) -> bool {
        self.given.values().any(|given| {
            matches!(given.value, Value::SecretFile(_) | Value::SecretFiles(_) | Value::KeySet(_))
        })
    }

    /// The address of a key that is one: `listen` or `admin`.
    pub(crate) fn address(&self, key: &str) -> SocketAddr {
        match self.own(key) {
            Some(Value::Address(address)) => address,
            _ => unreachable!("{key} is not an address"),
        }
    }

    /// A setting as it was given, for sentences about it.
    pub(crate) fn written(&self, key: &str) -> String {
        match (self.given.get(key), self.given.get("profile")) {
            (Some(given), _) => given.written.clone(),
            (None, Some(profile)) if rows::in_config(key) => {
                format!("{key} of {}", profile.written)
            }
            (None, _) => format!("the default of {key}"),
        }
    }

    /// The keys whose values in force are not those of `other`. Each comes with the configuration
    /// that it made.
    pub(crate) fn changed(
        &self,
        config: &Config,
        other: &Self,
        other_config: &Config,
    ) -> Vec<&'static str> {
        let differs = |row: &&Row| self.in_force(row, config) != other.in_force(row, other_config);
        ROWS.iter().filter(differs).map(|row| row.key).collect()
    }

    /// `None`: a setting without a default was not given.
    fn in_force(&self, row: &Row, config: &Config) -> Option<Value> {
        let own = || self.value(row.key).cloned().or_else(|| row.takes.default());
        row.takes.of(config).or_else(own)
    }

    /// A setting that the registry does not know: as it was given, or its default.
    fn own(&self, key: &str) -> Option<Value> {
        let default = || rows::find(key).and_then(|row| row.takes.default());
        self.value(key).cloned().or_else(default)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.given.get(key).map(|given| &given.value)
    }

    fn explain(&self, error: &ConfigError) -> String {
        let written = |key| self.written(key);
        match *error {
            ConfigError::OutOfRange { key, min, max } => {
                let written = written(key);
                match rows::find(key).map(|row| row.takes) {
                    Some(Takes::Time(..)) => format!(
                        "{written}: must be between {} and {}",
                        values::show_time(min),
                        values::show_time(max)
                    ),
                    Some(Takes::Size(..)) => format!(
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

impl Takes {
    /// Reads a value; an error says what was expected.
    fn read(self, text: &str) -> Result<Value, &'static str> {
        let bare = values::unquoted(text);
        match self {
            Self::Count(..) => values::count(bare).map(Value::Number),
            Self::Percent(..) => values::percent(bare).map(Value::Number),
            Self::Rate(..) | Self::OwnRate => values::rate(bare).map(Value::Number),
            Self::Size(..) | Self::OwnSize(..) => values::size(bare).map(Value::Bytes),
            Self::Time(..) | Self::OwnTime(..) => values::time(bare).map(Value::Time),
            Self::Policy(..) => over_cap(bare).map(Value::Policy),
            Self::Start => profile(bare).map(Value::Start),
            Self::OwnList => Proxies::parse(text).map(Value::List),
            Self::OwnHosts => Hosts::parse(text).map(Value::Hosts),
            Self::OwnOrigins => Origins::parse(text).map(Value::Origins),
            Self::OwnAlgorithm => bare.parse().map(Value::Algorithm),
            Self::OwnNames => names(text).map(Value::Names),
            Self::OwnRooms => RoomRights::read(values::list(text))
                .map(Value::Rooms)
                .map_err(|_| "rooms, 256 at most, such as lobby,news:*"),
            Self::OwnKeySetFile if bare.is_empty() => Err("the path of a file"),
            Self::OwnKeySetFile => Ok(Value::KeySet(KeySource::File(bare.into()))),
            Self::OwnKeySetUrl => KeySource::url(bare)
                .map(Value::KeySet)
                .map_err(|_| "a URL such as https://host/jwks.json; http is for loopback only"),
            Self::OwnLevel => level(bare).map(Value::Level),
            Self::OwnFlag(_) => values::flag(bare).map(Value::Flag),
            Self::OwnWords(_) => words(text).map(Value::Words),
            Self::OwnCount(..) => values::count(bare).map(Value::Number),
            Self::OwnSecret if bare.is_empty() => Err("a text that is not empty"),
            Self::OwnSecret => Ok(Value::Secret(Secret::new(bare))),
            Self::OwnSecretFile if bare.is_empty() => Err("the path of a file"),
            Self::OwnSecretFile => Ok(Value::SecretFile(SecretFile::new(bare))),
            Self::OwnSecretFiles => {
                let files: Vec<_> = values::list(text).map(SecretFile::new).collect();
                if files.is_empty() {
                    Err("the paths of files")
                } else {
                    Ok(Value::SecretFiles(files))
                }
            }
            Self::Address(_) => values::address(bare).map(Value::Address),
        }
    }

    /// The lowest value of this form that the registry takes for all of its keys that have an upper
    /// bound in another key.
    const fn lowest(self) -> Value {
        match self {
            Self::Size(..) => Value::Bytes(1),
            Self::Time(..) => Value::Time(Duration::from_millis(1)),
            _ => Value::Number(1),
        }
    }

    /// Gives a value of this form to the registry; one that is the gateway's own goes nowhere.
    fn set(self, builder: ConfigBuilder, value: &Value) -> ConfigBuilder {
        match (self, value) {
            (
                Self::Count(set, _) | Self::Percent(set, _) | Self::Rate(set, _),
                Value::Number(number),
            ) => set(builder, *number),
            (Self::Size(set, _), Value::Bytes(bytes)) => set(builder, *bytes),
            (Self::Time(set, _), Value::Time(time)) => set(builder, *time),
            (Self::Policy(set, _), Value::Policy(policy)) => set(builder, *policy),
            (
                Self::Count(..)
                | Self::Percent(..)
                | Self::Rate(..)
                | Self::Size(..)
                | Self::Time(..)
                | Self::Policy(..),
                _,
            ) => {
                // Values are made by the form of their row.
                unreachable!("a value of another form than its row takes")
            }
            _ => builder,
        }
    }

    /// The value in a configuration; `None` for what the registry does not know.
    fn of(self, config: &Config) -> Option<Value> {
        match self {
            Self::Count(_, get) | Self::Percent(_, get) | Self::Rate(_, get) => {
                Some(Value::Number(get(config)))
            }
            Self::Size(_, get) => Some(Value::Bytes(get(config))),
            Self::Time(_, get) => Some(Value::Time(get(config))),
            Self::Policy(_, get) => Some(Value::Policy(get(config))),
            Self::Start
            | Self::OwnRate
            | Self::OwnList
            | Self::OwnHosts
            | Self::OwnAlgorithm
            | Self::OwnNames
            | Self::OwnRooms
            | Self::OwnKeySetFile
            | Self::OwnKeySetUrl
            | Self::OwnSecretFiles
            | Self::OwnOrigins
            | Self::OwnTime(..)
            | Self::OwnSize(..)
            | Self::OwnLevel
            | Self::OwnFlag(_)
            | Self::OwnWords(_)
            | Self::OwnCount(..)
            | Self::OwnSecret
            | Self::OwnSecretFile
            | Self::Address(_) => None,
        }
    }

    /// The default of what the registry does not know.
    fn default(self) -> Option<Value> {
        self.default_text().and_then(|text| self.read(&text).ok())
    }

    /// The same as it would be written.
    fn default_text(self) -> Option<String> {
        match self {
            Self::OwnRate => Some("0".to_owned()),
            Self::OwnList | Self::OwnNames | Self::OwnRooms => Some("[]".to_owned()),
            Self::OwnAlgorithm => Some(Algorithm::Hs256.to_string()),
            Self::OwnTime(default, ..) | Self::OwnSize(default, ..) | Self::Address(default) => {
                Some(default.to_owned())
            }
            Self::OwnLevel => Some(log::LEVEL.to_string()),
            Self::OwnFlag(default) => Some(default.to_string()),
            Self::OwnWords(default) => {
                let words: Vec<_> = default.iter().map(|word| format!("\"{word}\"")).collect();
                Some(format!("[{}]", words.join(", ")))
            }
            Self::OwnCount(default, ..) => Some(default.to_string()),
            _ => None,
        }
    }

    /// Whether its value must not be seen.
    const fn is_secret(self) -> bool {
        matches!(self, Self::OwnSecret | Self::OwnKeySetUrl)
    }

    /// The bounds of a row of the gateway's own that the value is not within.
    fn range_missed(self, value: &Value) -> Option<(String, String)> {
        match (self, value) {
            (Self::OwnTime(_, min, max), Value::Time(time)) => {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let show = |millis| values::show_time(millis).to_string();
                (!(min..=max).contains(&millis)).then(|| (show(min), show(max)))
            }
            (Self::OwnSize(_, min, max), Value::Bytes(bytes)) => {
                let show = |bytes| values::show_size(bytes).to_string();
                (!(min..=max).contains(bytes)).then(|| (show(min), show(max)))
            }
            (Self::OwnCount(_, min, max), Value::Number(number)) => {
                (!(min..=max).contains(number)).then(|| (min.to_string(), max.to_string()))
            }
            _ => None,
        }
    }
}

/// Names. That there are none has to be said: a variable that is set to nothing is a mistake.
fn names(text: &str) -> Result<Vec<String>, &'static str> {
    let names: Vec<_> = values::list(text).map(str::to_owned).collect();
    if names.is_empty() && text != "[]" {
        return Err("names, such as app,web; [] is none");
    }
    Ok(names)
}

/// Names of keys, each of which has a word.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let words: Vec<_> = values::list(text).map(str::to_owned).collect();
    let usable = Redaction::builder().secret_keys(words.iter().cloned()).build();
    usable.map(|_| words).map_err(|_| {
        "names of keys, 64 bytes each at most and 1000 in all, such as [\"password\", \"api key\"]"
    })
}

fn over_cap(text: &str) -> Result<OverCap, &'static str> {
    match text {
        "evict-unresponsive-then-oldest" => Ok(OverCap::EvictUnresponsiveThenOldest),
        "evict-oldest" => Ok(OverCap::EvictOldest),
        "refuse" => Ok(OverCap::Refuse { retry_after: REFUSED_FOR }),
        _ => Err("evict-unresponsive-then-oldest, evict-oldest or refuse"),
    }
}

fn level(text: &str) -> Result<LevelFilter, &'static str> {
    match text {
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        _ => Err("error, warn, info or debug"),
    }
}

/// As [`over_cap`] reads it.
const fn over_cap_name(policy: OverCap) -> Option<&'static str> {
    match policy {
        OverCap::EvictUnresponsiveThenOldest => Some("evict-unresponsive-then-oldest"),
        OverCap::EvictOldest => Some("evict-oldest"),
        OverCap::Refuse { .. } => Some("refuse"),
        _ => None,
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

#[cfg(test)]
mod tests;
