//! What happens over the cap of a user's connections.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::snapshot::encoded;

use super::value::time;
use super::{ConfigError, ConfigKind, ConfigValue};

/// What a newcomer is told to wait under `refuse`, when nothing else is said.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What happens to a user's connect over a cap of their own: of sockets, of event streams, or of sessions.
///
/// The kinds of connections make room for their own kind. Over `limits.sessions_per_user` a session that
/// lingers goes first, one without an open run before one with; only if none lingers the session goes that
/// the connection follows longest which would have to make room. The followers of that session that follow
/// another one, too, stay.
///
/// Of the user's own connections at most 64 are looked at: those that were admitted first of the ones
/// that are open. So what an admission costs does not depend on the cap, and among up to 64 the choice
/// is exact. A newcomer whose own limit takes more than 64 at once has those go that were admitted
/// first.
///
/// ```
/// use std::time::Duration;
/// use headcount::{Config, OverCap};
///
/// let policy: OverCap = "refuse 30s".parse()?;
/// assert_eq!(policy, OverCap::Refuse { retry_after: Duration::from_secs(30) });
/// assert_eq!(Config::builder(1).over_cap(policy).build()?.over_cap(), policy);
/// # Ok::<(), headcount::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverCap {
    /// One of the user's own connections makes room: one that owes an answer to a ping, or else the
    /// one whose peer has been silent longest. It is closed with a terminal code, or two tabs would
    /// fight for ever.
    #[default]
    EvictUnresponsiveThenOldest,
    /// The one that was admitted first makes room.
    EvictOldest,
    /// The newcomer is refused.
    Refuse {
        /// What it is told to wait before it tries again.
        retry_after: Duration,
    },
}

encoded! {
    enum OverCap { 0 = EvictUnresponsiveThenOldest, 1 = EvictOldest, 2 = Refuse { retry_after } }
}

impl fmt::Display for OverCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EvictUnresponsiveThenOldest => f.pad("evict-unresponsive-then-oldest"),
            Self::EvictOldest => f.pad("evict-oldest"),
            Self::Refuse { retry_after: RETRY_AFTER } => f.pad("refuse"),
            Self::Refuse { retry_after } => {
                f.pad(&alloc::format!("refuse {}", ConfigValue::Time(*retry_after)))
            }
        }
    }
}

/// Reads it as configuration files have it: see [`ConfigKind::Policy`].
impl FromStr for OverCap {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refuse = |text: &str| {
            let wait = text.strip_prefix("refuse")?;
            if wait.is_empty() { Some(RETRY_AFTER) } else { time(wait.strip_prefix(' ')?) }
        };
        match text {
            "evict-unresponsive-then-oldest" => Ok(Self::EvictUnresponsiveThenOldest),
            "evict-oldest" => Ok(Self::EvictOldest),
            _ => match refuse(text) {
                Some(retry_after) => Ok(Self::Refuse { retry_after }),
                None => Err(ConfigError::Unreadable { expected: ConfigKind::Policy.expected() }),
            },
        }
    }
}
