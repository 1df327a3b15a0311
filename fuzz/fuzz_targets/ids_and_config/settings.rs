//! Any numbers through the builder: `build` says yes, or names a key that is to blame.

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use headcount::{
    Config, ConfigBuilder, ConfigError, ConfigKey, ConfigKind, ConfigValue, OverCap, Profile,
};

use crate::names::is_a_sentence;

/// All keys that are amounts.
static AMOUNTS: LazyLock<Vec<&'static ConfigKey>> =
    LazyLock::new(|| Config::KEYS.iter().filter(|key| key.kind != ConfigKind::Policy).collect());

/// Relations that a configuration keeps: the first is at most the second.
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

/// One value of one key; ranges are easier to meet, and to miss by one, than by chance.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Setting {
    key: u8,
    amount: Amount,
    /// Nanoseconds that are taken from a duration.
    fraction: u32,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Amount {
    Least(u8),
    Below(u8),
    Most(u8),
    Above(u8),
    Some(u16),
    Any(u64),
}

impl Setting {
    fn key(self) -> &'static ConfigKey {
        AMOUNTS[usize::from(self.key) % AMOUNTS.len()]
    }

    fn amount(self) -> u64 {
        let ConfigKey { min, max, .. } = *self.key();
        match self.amount {
            Amount::Least(more) => min.saturating_add(more.into()),
            Amount::Below(less) => min.saturating_sub(less.into()),
            Amount::Most(less) => max.saturating_sub(less.into()),
            Amount::Above(more) => max.saturating_add(more.into()),
            Amount::Some(amount) => amount.into(),
            Amount::Any(amount) => amount,
        }
    }

    /// The value; `None` if its kind can't express the amount.
    fn value(self) -> Option<ConfigValue> {
        match self.key().kind.value_of(self.amount())? {
            // A fraction of a millisecond counts as a whole one.
            ConfigValue::Time(time) => {
                let missing = Duration::from_nanos(u64::from(self.fraction) % 1_000_000);
                time.checked_sub(missing).map(ConfigValue::Time)
            }
            value => Some(value),
        }
    }

    fn apply(self, builder: ConfigBuilder) -> ConfigBuilder {
        match self.value() {
            Some(value) => builder.set(self.key().name, value).expect("a value of its key's kind"),
            None => builder,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Policy {
    Default,
    Unresponsive,
    Oldest,
    Refuse(u32),
}

/// A configuration as a file might give it.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Settings {
    profile: Option<u8>,
    policy: Policy,
    without_flush_reports: bool,
    seed: u64,
    pub(crate) given: Vec<Setting>,
}

/// The profiles, and what an index beyond them means: none.
fn profile(number: u8) -> Profile {
    [
        Profile::Development,
        Profile::Test,
        Profile::Ci,
        Profile::Staging,
        Profile::Production,
        Profile::Origin,
    ][usize::from(number) % 6]
}

impl Settings {
    fn start(&self) -> ConfigBuilder {
        match self.profile {
            Some(number) => Config::profile(profile(number), self.seed),
            None => Config::builder(self.seed),
        }
    }

    fn builder(&self) -> ConfigBuilder {
        let builder = match self.policy {
            Policy::Default => self.start(),
            Policy::Unresponsive => self.start().over_cap(OverCap::EvictUnresponsiveThenOldest),
            Policy::Oldest => self.start().over_cap(OverCap::EvictOldest),
            Policy::Refuse(millis) => {
                let retry_after = Duration::from_millis(millis.into());
                self.start().over_cap(OverCap::Refuse { retry_after })
            }
        };
        let builder =
            if self.without_flush_reports { builder.without_flush_reports() } else { builder };
        self.given.iter().fold(builder, |builder, setting| setting.apply(builder))
    }

    /// The last amount that a key was given.
    fn last(&self, key: &ConfigKey) -> Option<u64> {
        let of_key = self.given.iter().filter(|setting| setting.key() == key);
        of_key.filter_map(|setting| setting.value()?.amount()).next_back()
    }

    /// Builds, and holds what comes out to what was given.
    pub(crate) fn build(&self) -> Option<Config> {
        let base = self.start().build().expect("a profile is valid");
        let amount = |config: &Config, key: &str| {
            config.get(key).and_then(ConfigValue::amount).expect("an amount")
        };
        let in_range = |key: &ConfigKey, amount: u64| (key.min..=key.max).contains(&amount);
        let key_of = |name| Config::key(name).expect("a key");
        match self.builder().build() {
            Ok(config) => {
                for key in AMOUNTS.iter() {
                    let value = config.get(key.name).expect("a key");
                    let amount = amount(&config, key.name);
                    assert!(in_range(key, amount), "{} is {amount}", key.name);
                    if let Some(given) = self.last(key) {
                        assert_eq!(amount, given, "{} was given", key.name);
                    }
                    assert_eq!(key.kind.parse(&value.to_string()), Ok(value), "{}", key.name);
                }
                for (less, more) in RELATIONS {
                    assert!(
                        amount(&config, less) <= amount(&config, more),
                        "{less} exceeds {more}"
                    );
                }
                assert_eq!(config.seed(), self.seed);
                assert_eq!(config.flush_reports(), !self.without_flush_reports);
                if self.given.is_empty() {
                    let mut amounts = AMOUNTS.iter();
                    assert!(amounts.all(|key| config.get(key.name) == base.get(key.name)));
                }
                assert_eq!(self.builder().build().as_ref(), Ok(&config), "twice the same");
                Some(config)
            }
            Err(error @ ConfigError::OutOfRange { key, min, max }) => {
                is_a_sentence(&error, &[key, &min.to_string(), &max.to_string()]);
                let key = key_of(key);
                assert_eq!((min, max), (key.min, key.max), "{}", key.name);
                let Some(amount) = self.last(key) else {
                    panic!("{} was not given: {error}", key.name)
                };
                assert!(!in_range(key, amount), "{} = {amount}: {error}", key.name);
                None
            }
            Err(error @ ConfigError::Contradiction { key, exceeds }) => {
                is_a_sentence(&error, &[key, exceeds]);
                assert!(RELATIONS.contains(&(key, exceeds)), "{error}");
                let key = key_of(key);
                // A profile gives values too.
                let of_profile = self.profile.map(|_| amount(&base, key.name));
                let Some(amount) = self.last(key).or(of_profile) else {
                    panic!("{} was not given: {error}", key.name)
                };
                assert!(in_range(key, amount), "{} = {amount}: {error}", key.name);
                // What it exceeds was given, or is what it is when this key is left alone.
                let bound = self.last(key_of(exceeds));
                assert!(bound.is_none_or(|bound| amount > bound), "{error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}
