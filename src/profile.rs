//! Ready-made configurations: what suits a stage of a project's life.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::config::{Config, ConfigBuilder, ConfigError};

/// A starting point for a [`Config`]; every value can be set differently afterwards.
///
/// The server reads its profile from the configuration and never guesses it from its environment.
///
/// ```
/// use headcount::{Config, Profile};
///
/// let profile: Profile = "production".parse()?;
/// let config = Config::profile(profile, 42).connections(1_000).build()?;
/// assert_eq!((config.session_idle().as_secs(), config.connections()), (900, 1_000));
/// # Ok::<(), headcount::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// A developer's machine: patient heartbeats, quick drains.
    Development,
    /// A test run on one machine: as development, with many messages and connects allowed.
    Test,
    /// A test run on a shared, noisy machine.
    Ci,
    /// A rehearsal of production: patient with the peers.
    Staging,
    /// For real users: the defaults, and idle connections are given up.
    Production,
    /// The figures of the system that this crate replaces, for comparisons: 20 sessions and 3
    /// connections per user, 100 in all, sessions linger for 180 s, peers are given up after 120 s
    /// of silence and after 2 s without progress, pressure at 60 % and 80 % with 10 s to answer.
    Origin,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Ci => "ci",
            Self::Staging => "staging",
            Self::Production => "production",
            Self::Origin => "origin",
        })
    }
}

/// Reads its name: `development`, `test`, `ci`, `staging`, `production` or `origin`.
impl FromStr for Profile {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "development" => Ok(Self::Development),
            "test" => Ok(Self::Test),
            "ci" => Ok(Self::Ci),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            "origin" => Ok(Self::Origin),
            _ => Err(ConfigError::Unreadable {
                expected: "development, test, ci, staging, production or origin",
            }),
        }
    }
}

impl Config {
    /// Starts from a profile. For the seed see [`Config::builder`].
    pub const fn profile(profile: Profile, seed: u64) -> ConfigBuilder {
        let secs = Duration::from_secs;
        let builder = Self::builder(seed);
        match profile {
            Profile::Development => builder
                .ping_interval(secs(45))
                .pong_timeout(secs(15))
                .session_idle(secs(300))
                .drain_grace(Duration::from_millis(500))
                .drain_deadline(secs(2)),
            Profile::Test => builder
                .connect_rate_per_user(0)
                .ping_interval(secs(45))
                .pong_timeout(secs(15))
                .session_idle(secs(300))
                .message_rate(1_000)
                .message_burst(2_000)
                .drain_grace(Duration::from_millis(500))
                .drain_deadline(secs(2)),
            Profile::Ci => builder
                .connect_rate_per_user(0)
                .ping_interval(secs(45))
                .pong_timeout(secs(15))
                .session_idle(secs(300))
                .message_rate(1_000)
                .message_burst(2_000)
                .slow_deadline(secs(30))
                .drain_grace(Duration::from_millis(500))
                .drain_deadline(secs(5)),
            Profile::Staging => {
                builder.ping_interval(secs(30)).pong_timeout(secs(60)).session_idle(secs(600))
            }
            Profile::Production => {
                builder.ping_interval(secs(25)).pong_timeout(secs(10)).session_idle(secs(900))
            }
            Profile::Origin => builder
                .connections(100)
                .sessions_per_user(20)
                .connections_per_user(3)
                .connect_rate_per_user(0)
                .session_linger(secs(180))
                .ping_interval(secs(30))
                .pong_timeout(secs(90))
                .slow_deadline(secs(2))
                .proactive_percent(60)
                .emergency_percent(80)
                .emergency_deadline(secs(10)),
        }
    }
}
