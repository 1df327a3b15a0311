//! The values of settings: how each form of a row reads, checks and shows its own.

use std::net::SocketAddr;

use headcount::{Config, ConfigBuilder, ConfigError, ConfigKind, ConfigValue, Profile};
use headcount_protocol::secret::Secret;
use headcount_redaction::Policy as Redaction;
use tracing::level_filters::LevelFilter;

use super::rows::{Row, Takes};
use super::secret_file::SecretFile;
use super::syntax;
use crate::auth::{Algorithm, KeySource, RoomRights};
use crate::network::proxies::Proxies;
use crate::network::sites::{Hosts, Origins};
use crate::telemetry::log;

/// A value that was read, in the form its row takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Of a key of the registry, or one of the gateway's own that is written alike.
    Amount(ConfigValue),
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

impl Row {
    /// How the registry writes the value; `None` for what the registry does not know.
    pub(super) fn kind(&self) -> Option<ConfigKind> {
        match self.takes {
            Takes::Registry => Config::key(self.key).map(|key| key.kind),
            _ => None,
        }
    }

    /// Reads a value; an error says what was expected.
    pub(super) fn read(&self, text: &str) -> Result<Value, &'static str> {
        match self.kind() {
            Some(kind) => amount(kind, text),
            None => self.takes.read(text),
        }
    }

    /// Gives a value to the registry; one that is the gateway's own goes nowhere.
    pub(super) fn set(&self, builder: ConfigBuilder, value: &Value) -> ConfigBuilder {
        match (self.takes, value) {
            (Takes::Registry, Value::Amount(value)) => match builder.set(self.key, *value) {
                Ok(builder) => builder,
                // Values are made by the kind of their row.
                Err(error) => unreachable!("{}: {error}", self.key),
            },
            _ => builder,
        }
    }

    /// The value in a configuration; `None` for what the registry does not know.
    pub(super) fn of(&self, config: &Config) -> Option<Value> {
        match self.takes {
            Takes::Registry => config.get(self.key).map(Value::Amount),
            _ => None,
        }
    }
}

impl Takes {
    fn read(self, text: &str) -> Result<Value, &'static str> {
        let bare = syntax::unquoted(text);
        match self {
            // Its kind is the key's.
            Self::Registry => Err("a value of the registry"),
            Self::Own(kind, ..) => amount(kind, text),
            Self::Start => bare.parse().map(Value::Start).map_err(expected),
            Self::OwnList => Proxies::parse(text).map(Value::List),
            Self::OwnHosts => Hosts::parse(text).map(Value::Hosts),
            Self::OwnOrigins => Origins::parse(text).map(Value::Origins),
            Self::OwnAlgorithm => bare.parse().map(Value::Algorithm),
            Self::OwnNames => names(text).map(Value::Names),
            Self::OwnRooms => RoomRights::read(syntax::list(text))
                .map(Value::Rooms)
                .map_err(|_| "rooms, 256 at most, such as lobby,news:*"),
            Self::OwnKeySetFile if bare.is_empty() => Err("the path of a file"),
            Self::OwnKeySetFile => Ok(Value::KeySet(KeySource::File(bare.into()))),
            Self::OwnKeySetUrl => KeySource::url(bare)
                .map(Value::KeySet)
                .map_err(|_| "a URL such as https://host/jwks.json; http is for loopback only"),
            Self::OwnLevel => level(bare).map(Value::Level),
            Self::OwnFlag(_) => syntax::flag(bare).map(Value::Flag),
            Self::OwnWords(_) => words(text).map(Value::Words),
            Self::OwnSecret if bare.is_empty() => Err("a text that is not empty"),
            Self::OwnSecret => Ok(Value::Secret(Secret::new(bare))),
            Self::OwnSecretFile if bare.is_empty() => Err("the path of a file"),
            Self::OwnSecretFile => Ok(Value::SecretFile(SecretFile::new(bare))),
            Self::OwnSecretFiles => {
                let files: Vec<_> = syntax::list(text).map(SecretFile::new).collect();
                if files.is_empty() {
                    Err("the paths of files")
                } else {
                    Ok(Value::SecretFiles(files))
                }
            }
            Self::Address(_) => syntax::address(bare).map(Value::Address),
        }
    }

    /// The default of what the registry does not know.
    pub(super) fn default(self) -> Option<Value> {
        self.default_text().and_then(|text| self.read(&text).ok())
    }

    /// The same as it would be written.
    pub(super) fn default_text(self) -> Option<String> {
        match self {
            Self::OwnList | Self::OwnNames | Self::OwnRooms => Some("[]".to_owned()),
            Self::OwnAlgorithm => Some(Algorithm::Hs256.to_string()),
            Self::Own(_, default, ..) | Self::Address(default) => Some(default.to_owned()),
            Self::OwnLevel => Some(log::LEVEL.to_string()),
            Self::OwnFlag(default) => Some(default.to_string()),
            Self::OwnWords(default) => {
                let words: Vec<_> = default.iter().map(|word| format!("\"{word}\"")).collect();
                Some(format!("[{}]", words.join(", ")))
            }
            _ => None,
        }
    }

    /// Whether its value must not be seen.
    pub(super) const fn is_secret(self) -> bool {
        matches!(self, Self::OwnSecret | Self::OwnKeySetUrl)
    }

    /// The bounds of a row of the gateway's own that the value is not within.
    pub(super) fn range_missed(self, value: &Value) -> Option<(String, String)> {
        let (Self::Own(kind, _, min, max), Value::Amount(value)) = (self, value) else {
            return None;
        };
        let is_within = value.amount().is_some_and(|amount| (min..=max).contains(&amount));
        (!is_within).then(|| (shown(kind, min), shown(kind, max)))
    }
}

/// An amount, in the unit of the range of its kind, as it would be written.
pub(super) fn shown(kind: ConfigKind, amount: u64) -> String {
    kind.value_of(amount).map_or_else(|| amount.to_string(), |value| value.to_string())
}

fn amount(kind: ConfigKind, text: &str) -> Result<Value, &'static str> {
    kind.parse(syntax::unquoted(text)).map(Value::Amount).map_err(expected)
}

/// What the registry expected in place of a text that it can't read.
const fn expected(error: ConfigError) -> &'static str {
    match error {
        ConfigError::Unreadable { expected } => expected,
        _ => "another value",
    }
}

/// Names. That there are none has to be said: a variable that is set to nothing is a mistake.
fn names(text: &str) -> Result<Vec<String>, &'static str> {
    let names: Vec<_> = syntax::list(text).map(str::to_owned).collect();
    if names.is_empty() && text != "[]" {
        return Err("names, such as app,web; [] is none");
    }
    Ok(names)
}

/// Names of keys, each of which has a word.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let words: Vec<_> = syntax::list(text).map(str::to_owned).collect();
    let usable = Redaction::builder().secret_keys(words.iter().cloned()).build();
    usable.map(|_| words).map_err(|_| {
        "names of keys, 64 bytes each at most and 1000 in all, such as [\"password\", \"api key\"]"
    })
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
