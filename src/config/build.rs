//! From settings to a configuration: what is checked, and what one key asks of another.

use super::{Config, ConfigBuilder, ConfigError};

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
        let relations = [
            (
                config.connections_per_user,
                "limits.connections_per_user",
                config.connections,
                "limits.connections",
            ),
            (
                config.sessions_per_user,
                "limits.sessions_per_user",
                config.sessions,
                "limits.sessions",
            ),
            (config.users, "limits.users", config.sessions, "limits.sessions"),
            (
                config.connections_per_tenant,
                "limits.connections_per_tenant",
                config.connections,
                "limits.connections",
            ),
            (
                config.sessions_per_tenant,
                "limits.sessions_per_tenant",
                config.sessions,
                "limits.sessions",
            ),
            (
                config.pending_per_source,
                "limits.pending_per_source",
                config.pending,
                "limits.pending",
            ),
            (config.stream_history, "stream.history", config.stream_messages, "stream.messages"),
            (
                config.room_history,
                "stream.room_history",
                config.room_messages,
                "stream.room_messages",
            ),
        ];
        for (value, key, bound, exceeds) in relations {
            if value > bound {
                return Err(ConfigError::Contradiction { key, exceeds });
            }
        }
        let exceeds = "outbound.process_bytes";
        for (bytes, key) in [
            (config.user_bytes, "outbound.user_bytes"),
            (config.tenant_bytes, "outbound.tenant_bytes"),
        ] {
            if bytes > config.process_bytes {
                return Err(ConfigError::Contradiction { key, exceeds });
            }
        }
        if config.ping_slack > config.ping_interval {
            let (key, exceeds) = ("heartbeat.slack", "heartbeat.interval");
            return Err(ConfigError::Contradiction { key, exceeds });
        }
        Ok(config)
    }
}
