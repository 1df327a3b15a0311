//! The values of settings: how each form of a row reads, checks and shows its own.

use std::net::SocketAddr;
use std::time::Duration;

use headcount::{Config, ConfigBuilder, OverCap, Profile};
use headcount_redaction::Policy as Redaction;
use tracing::level_filters::LevelFilter;

use super::rows::Takes;
use super::secret_file::SecretFile;
use super::syntax;
use crate::auth::{Algorithm, KeySource, RoomRights};
use crate::network::proxies::Proxies;
use crate::network::sites::{Hosts, Origins};
use crate::secret::Secret;
use crate::telemetry::log;

/// What a refused newcomer is told to wait under `limits.over_cap=refuse`.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(5);

/// A value that was read, in the form its row takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
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

impl Takes {
    /// Reads a value; an error says what was expected.
    pub(super) fn read(self, text: &str) -> Result<Value, &'static str> {
        let bare = syntax::unquoted(text);
        match self {
            Self::Count(..) => syntax::count(bare).map(Value::Number),
            Self::Percent(..) => syntax::percent(bare).map(Value::Number),
            Self::Rate(..) | Self::OwnRate => syntax::rate(bare).map(Value::Number),
            Self::Size(..) | Self::OwnSize(..) => syntax::size(bare).map(Value::Bytes),
            Self::Time(..) | Self::OwnTime(..) => syntax::time(bare).map(Value::Time),
            Self::Policy(..) => over_cap(bare).map(Value::Policy),
            Self::Start => profile(bare).map(Value::Start),
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
            Self::OwnCount(..) => syntax::count(bare).map(Value::Number),
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

    /// The lowest value of this form that the registry takes for all of its keys that have an upper
    /// bound in another key.
    pub(super) const fn lowest(self) -> Value {
        match self {
            Self::Size(..) => Value::Bytes(1),
            Self::Time(..) => Value::Time(Duration::from_millis(1)),
            _ => Value::Number(1),
        }
    }

    /// Gives a value of this form to the registry; one that is the gateway's own goes nowhere.
    pub(super) fn set(self, builder: ConfigBuilder, value: &Value) -> ConfigBuilder {
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
    pub(super) fn of(self, config: &Config) -> Option<Value> {
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
    pub(super) fn default(self) -> Option<Value> {
        self.default_text().and_then(|text| self.read(&text).ok())
    }

    /// The same as it would be written.
    pub(super) fn default_text(self) -> Option<String> {
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
    pub(super) const fn is_secret(self) -> bool {
        matches!(self, Self::OwnSecret | Self::OwnKeySetUrl)
    }

    /// The bounds of a row of the gateway's own that the value is not within.
    pub(super) fn range_missed(self, value: &Value) -> Option<(String, String)> {
        match (self, value) {
            (Self::OwnTime(_, min, max), Value::Time(time)) => {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let show = |millis| syntax::show_time(millis).to_string();
                (!(min..=max).contains(&millis)).then(|| (show(min), show(max)))
            }
            (Self::OwnSize(_, min, max), Value::Bytes(bytes)) => {
                let show = |bytes| syntax::show_size(bytes).to_string();
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
pub(super) const fn over_cap_name(policy: OverCap) -> Option<&'static str> {
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
