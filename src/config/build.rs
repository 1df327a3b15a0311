//! From settings to a configuration: what is checked, and what one key asks of another.

use super::{Config, ConfigBuilder, ConfigError, ConfigValue};

/// The first is at most the second.
const RELATIONS: [(&str, &str); 11] = [
    ("limits.connections_per_user", "limits.connections"),
    ("limits.sessions_per_user", "limits.sessions"),
    ("limits.users", "limits.sessions"),
    ("limits.connections_per_tenant", "limits.connections"),
    ("limits.sessions_per_tenant", "limits.sessions"),
    ("limits.pending_per_source", "limits.pending"),
    ("stream.history", "stream.messages"),
    ("stream.room_history", "stream.room_messages"),
    ("outbound.user_bytes", "outbound.process_bytes"),
    ("outbound.tenant_bytes", "outbound.process_bytes"),
    ("heartbeat.slack", "heartbeat.interval"),
];

impl ConfigBuilder {
    /// Checks ranges and relations. Only a value that was given can be wrong: defaults are within
    /// their ranges, and adapt to what was given for the keys that they follow. A given one can
    /// exceed what another key has by default.
    ///
    /// ```
    /// use std::time::Duration;
    /// use headcount::{Config, ConfigError};
    ///
    /// let config = Config::builder(42).connections(1_000).ping_interval(Duration::from_secs(30)).build()?;
    /// assert_eq!((config.connections(), config.pending()), (1_000, 125));
    /// let wrong = Config::builder(42).connections(10).connections_per_user(11).build();
    /// assert!(matches!(wrong, Err(ConfigError::Contradiction { exceeds: "limits.connections", .. })));
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that is wrong, and why.
    pub fn build(self) -> Result<Config, ConfigError> {
        let config = self.resolve();
        Self::check_ranges(&config)?;
        let amount = |key: &str| config.get(key).and_then(ConfigValue::amount);
        let broken = RELATIONS.into_iter().find(|(key, exceeds)| amount(key) > amount(exceeds));
        if let Some((key, exceeds)) = broken {
            return Err(ConfigError::Contradiction { key, exceeds });
        }
        Ok(config)
    }
}
