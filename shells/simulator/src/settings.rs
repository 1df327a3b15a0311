//! The registry's configuration, as a scenario gives it.

use std::collections::BTreeMap;

use headcount::{Config, ConfigBuilder, ConfigError, ConfigKind, ConfigValue};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::values::ProfileName;

/// `[server]`: how the registry is configured.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSettings {
    profile: Option<ProfileName>,
    /// In place of all the others.
    #[serde(skip)]
    pub(crate) config: Option<Config>,
    /// The registry's own keys.
    #[serde(default)]
    set: BTreeMap<String, Spanned<Value>>,
}

/// What is wrong with a value, and where in the file it stands.
pub(crate) type Misplaced = (core::ops::Range<usize>, String);

/// A value of a key as the gateway's files have it: numbers bare, others in quotes.
fn read(kind: ConfigKind, value: &Value) -> Result<ConfigValue, ConfigError> {
    match value {
        Value::Integer(number) => kind.parse(&number.to_string()),
        Value::String(text) => kind.parse(text),
        _ => kind.parse(""),
    }
}

impl ServerSettings {
    /// The configuration, with this seed. A mistake has its place in the file.
    pub(crate) fn config(&self, seed: u64) -> Result<Config, Misplaced> {
        let mut builder = match (&self.config, self.profile) {
            (Some(config), _) => return Ok(with_seed(config, seed)),
            (None, Some(ProfileName(profile))) => Config::profile(profile, seed),
            (None, None) => Config::builder(seed),
        };
        for (name, value) in &self.set {
            let Some(key) = Config::key(name) else {
                let names: Vec<_> = Config::KEYS.iter().map(|key| key.name).collect();
                let names = names.join(", ");
                let sentence = format!("the registry has no key {name:?}: choose from {names}");
                return Err((value.span(), sentence));
            };
            builder = read(key.kind, value.get_ref())
                .and_then(|value| builder.set(name, value))
                .map_err(|error| (value.span(), format!("{name}: {error}")))?;
        }
        builder.build().map_err(|error| {
            let sentence = error.to_string();
            // The error names the key that is wrong, which need not be one that was given.
            let named = self.set.iter().find(|(key, _)| sentence.contains(key.as_str()));
            (named.map_or(0..0, |(_, value)| value.span()), sentence)
        })
    }
}

/// The same configuration with another seed: each server has one of its own.
fn with_seed(config: &Config, seed: u64) -> Config {
    let values = Config::KEYS.iter().filter_map(|key| Some((key.name, config.get(key.name)?)));
    let set = |builder: ConfigBuilder, (key, value)| builder.set(key, value);
    let builder = values.into_iter().try_fold(Config::builder(seed), set);
    // The values are those of a valid configuration, and so is what they make again.
    builder.and_then(ConfigBuilder::build).unwrap_or_else(|_| Config::new(seed))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use headcount::OverCap;

    use super::*;

    #[test]
    fn a_configuration_stays_what_it_is_under_another_seed() {
        let config =
            Config::builder(1).connections(77).session_linger(Duration::from_millis(1_500));
        let config = config.over_cap(OverCap::EvictOldest).build().unwrap();
        let other = with_seed(&config, 2);
        assert_eq!(other.seed(), 2);
        assert!(Config::KEYS.iter().all(|key| config.get(key.name) == other.get(key.name)));
    }
}
