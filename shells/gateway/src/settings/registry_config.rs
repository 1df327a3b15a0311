//! The configuration of the registry that the settings make, and what contradicts what in it.

use std::time::Duration;

use headcount::{Config, ConfigBuilder, ConfigError, ConfigKind, ConfigValue, Profile};

use super::Settings;
use super::rows::{self, ROWS, Row, Takes};
use super::value::{self, Value};
use crate::limits::descriptors::{self, Descriptors, Lowered};

/// The deadline of a drain if no profile is set: that server is a developer's, who does not want to wait.
const QUICK_DRAIN: Duration = Duration::from_secs(2);
/// A grace that was not given is at most this part of the deadline, and a deadline that was not given is
/// at least this many graces. The rest of the deadline is for the closes.
const GRACE_PARTS: u32 = 4;
/// The longest time that the registry takes.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl Settings {
    /// The registry's configuration for a process that may have so many descriptors, and which of
    /// its limits were lowered to fit.
    pub(crate) fn config(
        &self,
        seed: u64,
        descriptors: Descriptors,
    ) -> Result<(Config, Lowered), String> {
        let number = |key| match self.value(key) {
            Some(Value::Amount(ConfigValue::Count(number))) => Some(*number),
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
                builder = row.set(builder, &given.value);
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

    /// The keys that were given and are not the registry's, in the order of the table.
    pub(crate) fn beside_the_registry(&self) -> Vec<&'static str> {
        let is_given = |row: &&Row| self.given.contains_key(row.key);
        let rows = ROWS.iter().filter(is_given);
        let beside = rows.filter(|row| !matches!(row.takes, Takes::Registry | Takes::Start));
        beside.map(|row| row.key).collect()
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
                (Some(value), None) => upper.set(builder, value),
                (None, Some(value)) => lower.set(builder, value),
                (Some(_), Some(_)) => return Err(self.explain(&error)),
                // The upper one is derived from another that was given.
                (None, None) => {
                    // The lowest value that the registry takes for all keys with an upper bound in another.
                    let lowest = lower.kind().and_then(|kind| kind.value_of(1)).map(Value::Amount);
                    let lowest = lowest.map(|value| lower.set(builder.clone(), &value).build());
                    let derived = lowest.and_then(Result::ok).and_then(|config| upper.of(&config));
                    let Some(value) = derived else { return Err(self.explain(&error)) };
                    lower.set(builder, &value)
                }
            };
        }
        Ok(builder)
    }

    fn explain(&self, error: &ConfigError) -> String {
        let written = |key| self.written(key);
        match *error {
            ConfigError::OutOfRange { key, min, max } => {
                let kind = Config::key(key).map_or(ConfigKind::Count, |key| key.kind);
                let (min, max) = (value::shown(kind, min), value::shown(kind, max));
                format!("{}: must be between {min} and {max}", written(key))
            }
            ConfigError::Contradiction { key, exceeds } => {
                format!("{}: must not be larger than {}", written(key), written(exceeds))
            }
            _ => error.to_string(),
        }
    }
}
