//! The settings that were given, from wherever: every source looks its keys up in one table, so that
//! all of them know the same keys, values and mistakes.

mod environment;
mod file;
mod flags;
mod origin;
mod registry_config;
mod rows;
mod secret_file;
mod show;
pub(crate) mod sources;
pub(crate) mod syntax;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use headcount::{Config, ConfigValue};
use headcount_redaction::Policy as Redaction;
use tracing::level_filters::LevelFilter;

use crate::admin::AnswerBounds;
use crate::auth::revocations::Lifetime;
use crate::auth::{Algorithm, JwksSettings, KeySource, MIN_INTERVAL_OF_URL, RoomRights};
use crate::network::proxies::Proxies;
use crate::network::sites::Sites;
use crate::telemetry::log;
pub(crate) use flags::Flags;
use headcount_protocol::secret::{HIDDEN, Secret};
pub(crate) use origin::Origin;
pub(crate) use rows::help;
use rows::{ROWS, Row};
use secret_file::SecretFile;
use value::Value;

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
        let value = row.read(text).map_err(|expected| {
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

    /// Upgrades per second from one address; 0: no limit.
    pub(crate) fn connect_rate_per_ip(&self) -> u32 {
        match self.value("limits.connect_rate_per_ip") {
            Some(Value::Amount(ConfigValue::Rate(rate))) => *rate,
            _ => 0,
        }
    }

    /// How long and how much is kept of answers under an `Idempotency-Key`.
    pub(crate) fn idempotency(&self) -> AnswerBounds {
        match (self.own("idempotency.ttl"), self.own("idempotency.bytes")) {
            (
                Some(Value::Amount(ConfigValue::Time(ttl))),
                Some(Value::Amount(ConfigValue::Bytes(bytes))),
            ) => AnswerBounds { ttl, bytes },
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
            Some(Value::Amount(ConfigValue::Bytes(bytes))) => {
                usize::try_from(bytes).unwrap_or(usize::MAX)
            }
            _ => unreachable!("{key} has a default"),
        };
        let Some(Value::Amount(ConfigValue::Count(items))) = self.own("redaction.max_items") else {
            unreachable!("its row has a default")
        };
        let policy = Redaction::builder()
            .secret_keys(words("redaction.keys"))
            .removed_keys(words("redaction.remove"))
            .max_input(bytes("redaction.max_input"))
            .max_output(bytes("redaction.max_output"))
            .max_items(items as usize);
        // The rows keep each setting within the policy's own bounds, so that this can't fail. If it did,
        // the default policy would redact: no answer goes out without one.
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
        let Some(Value::Amount(ConfigValue::Time(interval))) = self.own("auth.jwks_interval")
        else {
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
            (
                Some(Value::Amount(ConfigValue::Time(max_ttl))),
                Some(Value::Amount(ConfigValue::Time(leeway))),
            ) => Lifetime { max_ttl, leeway },
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
            (None, Some(profile)) if Config::key(key).is_some() => {
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
        row.of(config).or_else(own)
    }

    /// A setting that the registry does not know: as it was given, or its default.
    fn own(&self, key: &str) -> Option<Value> {
        let default = || rows::find(key).and_then(|row| row.takes.default());
        self.value(key).cloned().or_else(default)
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.given.get(key).map(|given| &given.value)
    }
}

#[cfg(test)]
mod tests;
