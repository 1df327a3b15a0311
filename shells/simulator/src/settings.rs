//! The registry's configuration, as a scenario gives it.

use core::time::Duration;
use std::collections::BTreeMap;

use headcount::{Config, ConfigBuilder, OverCap};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::values::{ProfileName, Span};

/// `[server]`: how the registry is configured.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSettings {
    profile: Option<ProfileName>,
    /// The registry's own keys.
    #[serde(default)]
    set: BTreeMap<String, Spanned<Value>>,
}

/// What is wrong with a value, and where in the file it stands.
pub(crate) type Misplaced = (core::ops::Range<usize>, String);

/// A kind of value that a key takes.
trait Setting: Sized {
    const EXPECTED: &'static str;
    fn read(value: &Value) -> Option<Self>;
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &Value) -> Option<Self> {
        Self::try_from(value.as_integer()?).ok()
    }
}

impl Setting for u64 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &Value) -> Option<Self> {
        Self::try_from(value.as_integer()?).ok()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a length of time in quotes, such as \"25s\"";

    fn read(value: &Value) -> Option<Self> {
        Some(value.clone().try_into::<Span>().ok()?.duration())
    }
}

impl Setting for OverCap {
    const EXPECTED: &'static str = "\"evict_unresponsive\", \"evict_oldest\" or \"refuse\"";

    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "evict_unresponsive" => Some(Self::EvictUnresponsiveThenOldest),
            "evict_oldest" => Some(Self::EvictOldest),
            "refuse" => Some(Self::Refuse { retry_after: Duration::from_secs(5) }),
            _ => None,
        }
    }
}

fn give<T: Setting>(
    builder: ConfigBuilder,
    set: fn(ConfigBuilder, T) -> ConfigBuilder,
    value: &Value,
) -> Result<ConfigBuilder, &'static str> {
    T::read(value).map(|value| set(builder, value)).ok_or(T::EXPECTED)
}

macro_rules! keys {
    ($($key:literal $setter:ident)*) => {
        /// One key; `None` if there is none of that name.
        fn apply(
            builder: ConfigBuilder,
            key: &str,
            value: &Value,
        ) -> Option<Result<ConfigBuilder, &'static str>> {
            Some(match key {
                $($key => give(builder, ConfigBuilder::$setter, value),)*
                _ => return None,
            })
        }
    };
}

keys! {
    "limits.over_cap" over_cap
    "limits.connections" connections
    "limits.pending" pending
    "limits.pending_per_source" pending_per_source
    "limits.closing" closing
    "limits.sessions" sessions
    "limits.users" users
    "limits.rooms" rooms
    "limits.connections_per_user" connections_per_user
    "limits.sessions_per_user" sessions_per_user
    "limits.rooms_per_connection" rooms_per_connection
    "limits.rooms_per_user" rooms_per_user
    "limits.runs_per_session" runs_per_session
    "limits.connect_rate" connect_rate
    "limits.connect_burst" connect_burst
    "limits.connect_rate_per_user" connect_rate_per_user
    "limits.connect_burst_per_user" connect_burst_per_user
    "limits.message_rate" message_rate
    "limits.message_burst" message_burst
    "limits.message_bytes" message_bytes
    "limits.head_bytes" head_bytes
    "limits.byte_rate" byte_rate
    "limits.frame_deadline" frame_deadline
    "session.linger" linger
    "session.head_deadline" head_deadline
    "session.auth_deadline" auth_deadline
    "session.close_handshake" close_handshake
    "session.idle" idle
    "session.max_lifetime" max_lifetime
    "session.expiry_grace" expiry_grace
    "pressure.emergency" emergency
    "pressure.proactive" proactive
    "pressure.emergency_deadline" emergency_deadline
    "heartbeat.interval" interval
    "heartbeat.pong_timeout" pong_timeout
    "heartbeat.pause_threshold" pause_threshold
    "stream.messages" stream_messages
    "stream.bytes" stream_bytes
    "stream.ttl" stream_ttl
    "stream.history" stream_history
    "stream.room_messages" room_messages
    "stream.room_bytes" room_bytes
    "stream.room_ttl" room_ttl
    "stream.room_history" room_history
    "outbound.window" window
    "outbound.reply_reserve" reply_reserve
    "outbound.process_bytes" process_bytes
    "outbound.direct_bytes" direct_bytes
    "outbound.user_bytes" user_bytes
    "outbound.slow_deadline" slow_deadline
    "run.silence" run_silence
    "run.max_length" run_max_length
    "run.events" run_events
    "run.bytes" run_bytes
    "run.calls" run_calls
    "drain.grace" drain_grace
    "drain.deadline" drain_deadline
    "fanout_chunk" fanout_chunk
    "announcements" announcements
    "closed_ring" closed_ring
    "notices" notices
    "tick_budget" tick_budget
}

impl ServerSettings {
    /// The configuration, with this seed. A mistake has its place in the file.
    pub(crate) fn config(&self, seed: u64) -> Result<Config, Misplaced> {
        let mut builder = match self.profile {
            Some(ProfileName(profile)) => Config::profile(profile, seed),
            None => Config::builder(seed),
        };
        for (key, value) in &self.set {
            builder = match apply(builder, key, value.get_ref()) {
                Some(Ok(builder)) => builder,
                Some(Err(expected)) => {
                    return Err((value.span(), format!("{key} takes {expected}")));
                }
                None => {
                    let keys = Config::KEYS.join(", ");
                    let sentence = format!("the registry has no key {key:?}: choose from {keys}");
                    return Err((value.span(), sentence));
                }
            };
        }
        builder.build().map_err(|error| {
            let sentence = error.to_string();
            // The error names the key that is wrong, which need not be one that was given.
            let named = self.set.iter().find(|(key, _)| sentence.contains(key.as_str()));
            (named.map_or(0..0, |(_, value)| value.span()), sentence)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_registry_can_be_set() {
        let nonsense = Value::Boolean(true);
        for key in Config::KEYS {
            let applied = apply(Config::builder(1), key, &nonsense);
            assert!(matches!(applied, Some(Err(_))), "{key}");
        }
        assert!(apply(Config::builder(1), "limits.conections", &nonsense).is_none());
    }
}
