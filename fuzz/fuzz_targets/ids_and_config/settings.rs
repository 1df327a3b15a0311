//! Any numbers through the builder: `build` says yes, or names a key that is to blame.

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use headcount::{Config, ConfigBuilder, ConfigError, OverCap, Profile};

use crate::names::is_a_sentence;

/// What a key can be set to, and the amount that its range is about.
trait Value: Sized {
    /// The value of this amount; `None` if the type can't express it.
    fn of(amount: u64, fraction: u32) -> Option<Self>;
    fn amount(self) -> u64;
}

impl Value for u32 {
    fn of(amount: u64, _: u32) -> Option<Self> {
        amount.try_into().ok()
    }

    fn amount(self) -> u64 {
        self.into()
    }
}

impl Value for u64 {
    fn of(amount: u64, _: u32) -> Option<Self> {
        Some(amount)
    }

    fn amount(self) -> u64 {
        self
    }
}

/// Whole milliseconds; a fraction of one counts as one.
impl Value for Duration {
    fn of(amount: u64, fraction: u32) -> Option<Self> {
        let missing = Self::from_nanos(u64::from(fraction) % 1_000_000);
        Self::from_millis(amount).checked_sub(missing)
    }

    fn amount(self) -> u64 {
        let whole = self.as_millis();
        let amount = if self > Self::from_millis(whole as u64) { whole + 1 } else { whole };
        amount.try_into().unwrap_or(u64::MAX)
    }
}

/// A key of the configuration as this target handles it.
struct Entry {
    key: &'static str,
    set: fn(ConfigBuilder, u64, u32) -> ConfigBuilder,
    get: fn(&Config) -> u64,
}

macro_rules! entries {
    ($($name:ident: $type:ty,)*) => {
        [$((
            (|builder, amount, fraction| match <$type as Value>::of(amount, fraction) {
                Some(value) => builder.$name(value),
                None => builder,
            }) as fn(ConfigBuilder, u64, u32) -> ConfigBuilder,
            (|config| Value::amount(config.$name())) as fn(&Config) -> u64,
        ),)*]
    };
}

/// All keys that are amounts, in the order of [`Config::KEYS`].
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let methods = entries! {
        connections: u32,
        pending: u32,
        pending_per_source: u32,
        closing: u32,
        sessions: u32,
        users: u32,
        rooms: u32,
        connections_per_user: u32,
        sessions_per_user: u32,
        rooms_per_connection: u32,
        rooms_per_user: u32,
        runs_per_session: u32,
        connect_rate: u32,
        connect_burst: u32,
        connect_rate_per_user: u32,
        connect_burst_per_user: u32,
        message_rate: u32,
        message_burst: u32,
        message_bytes: u64,
        head_bytes: u64,
        byte_rate: u64,
        frame_deadline: Duration,
        linger: Duration,
        head_deadline: Duration,
        auth_deadline: Duration,
        close_handshake: Duration,
        idle: Duration,
        max_lifetime: Duration,
        expiry_grace: Duration,
        emergency: u32,
        proactive: u32,
        emergency_deadline: Duration,
        interval: Duration,
        pong_timeout: Duration,
        pause_threshold: Duration,
        stream_messages: u32,
        stream_bytes: u64,
        stream_ttl: Duration,
        stream_history: u32,
        room_messages: u32,
        room_bytes: u64,
        room_ttl: Duration,
        room_history: u32,
        window: u64,
        reply_reserve: u64,
        process_bytes: u64,
        direct_bytes: u64,
        user_bytes: u64,
        slow_deadline: Duration,
        run_silence: Duration,
        run_max_length: Duration,
        run_events: u32,
        run_bytes: u64,
        run_calls: u32,
        drain_grace: Duration,
        drain_deadline: Duration,
        fanout_chunk: u32,
        announcements: u32,
        closed_ring: u32,
        notices: u32,
        tick_budget: u32,
    };
    let amounts = &Config::KEYS[1..];
    assert_eq!((methods.len(), Config::KEYS[0]), (amounts.len(), "limits.over_cap"));
    let entries = methods.into_iter().zip(amounts);
    entries.map(|((set, get), key)| Entry { key, set, get }).collect()
});

/// The range of each entry, as the error for far too much names it.
static RANGES: LazyLock<Vec<(u64, u64)>> = LazyLock::new(|| {
    let range = |entry: &Entry| {
        let most = if (entry.set)(Config::builder(0), u64::MAX, 0).build().is_ok() {
            u32::MAX.into()
        } else {
            u64::MAX
        };
        match (entry.set)(Config::builder(0), most, 0).build() {
            Err(ConfigError::OutOfRange { key, min, max }) => {
                assert_eq!(key, entry.key);
                (min, max)
            }
            other => panic!("{} has no upper bound: {other:?}", entry.key),
        }
    };
    ENTRIES.iter().map(range).collect()
});

/// Relations that a configuration keeps: the first is at most the second.
const RELATIONS: [(&str, &str); 7] = [
    ("limits.connections_per_user", "limits.connections"),
    ("limits.sessions_per_user", "limits.sessions"),
    ("limits.users", "limits.sessions"),
    ("limits.pending_per_source", "limits.pending"),
    ("stream.history", "stream.messages"),
    ("stream.room_history", "stream.room_messages"),
    ("outbound.user_bytes", "outbound.process_bytes"),
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
    fn place(self) -> usize {
        usize::from(self.key) % ENTRIES.len()
    }

    fn amount(self) -> u64 {
        let (min, max) = RANGES[self.place()];
        match self.amount {
            Amount::Least(more) => min.saturating_add(more.into()),
            Amount::Below(less) => min.saturating_sub(less.into()),
            Amount::Most(less) => max.saturating_sub(less.into()),
            Amount::Above(more) => max.saturating_add(more.into()),
            Amount::Some(amount) => amount.into(),
            Amount::Any(amount) => amount,
        }
    }

    fn apply(self, builder: ConfigBuilder) -> ConfigBuilder {
        (ENTRIES[self.place()].set)(builder, self.amount(), self.fraction)
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Policy {
    Default,
    Unresponsive,
    Oldest,
    Refuse(u32),
}

/// A configuration as somebody might write it.
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

    /// The last value that a key was given, if its type can express it.
    fn last(&self, place: usize) -> Option<u64> {
        let of_key = self.given.iter().filter(|setting| setting.place() == place);
        // What the builder has taken; a value that its type can't express was never given.
        let mut taken = None;
        for setting in of_key {
            let probe = |amount| (ENTRIES[place].set)(Config::builder(0), amount, setting.fraction);
            let unset = format!("{:?}", Config::builder(0));
            if format!("{:?}", probe(setting.amount())) != unset {
                taken = Some(setting.amount());
            }
        }
        taken
    }

    /// Builds, and holds what comes out to what was given.
    pub(crate) fn build(&self) -> Option<Config> {
        let given: Vec<Option<u64>> = (0..ENTRIES.len()).map(|place| self.last(place)).collect();
        let place_of = |key| ENTRIES.iter().position(|entry| entry.key == key).expect("a key");
        let base = self.start().build().expect("a profile is valid");
        let in_range = |place: usize, amount: u64| {
            let (min, max) = RANGES[place];
            (min..=max).contains(&amount)
        };
        match self.builder().build() {
            Ok(config) => {
                for (place, entry) in ENTRIES.iter().enumerate() {
                    let amount = (entry.get)(&config);
                    assert!(in_range(place, amount), "{} is {amount}", entry.key);
                    if let Some(given) = given[place] {
                        assert_eq!(amount, given, "{} was given", entry.key);
                    }
                }
                for (less, more) in RELATIONS {
                    let amount = |key| (ENTRIES[place_of(key)].get)(&config);
                    assert!(amount(less) <= amount(more), "{less} exceeds {more}");
                }
                assert_eq!(config.seed(), self.seed);
                assert_eq!(config.flush_reports(), !self.without_flush_reports);
                if self.given.is_empty() {
                    assert!(ENTRIES.iter().all(|entry| (entry.get)(&config) == (entry.get)(&base)));
                }
                assert_eq!(self.builder().build().as_ref(), Ok(&config), "twice the same");
                Some(config)
            }
            Err(error @ ConfigError::OutOfRange { key, min, max }) => {
                is_a_sentence(&error, &[key, &min.to_string(), &max.to_string()]);
                let place = place_of(key);
                assert_eq!((min, max), RANGES[place], "{key}");
                let Some(amount) = given[place] else { panic!("{key} was not given: {error}") };
                assert!(!in_range(place, amount), "{key} = {amount}: {error}");
                None
            }
            Err(error @ ConfigError::Contradiction { key, exceeds }) => {
                is_a_sentence(&error, &[key, exceeds]);
                assert!(RELATIONS.contains(&(key, exceeds)), "{error}");
                let place = place_of(key);
                // A profile gives values too.
                let of_profile = self.profile.map(|_| (ENTRIES[place].get)(&base));
                let Some(amount) = given[place].or(of_profile) else {
                    panic!("{key} was not given: {error}")
                };
                assert!(in_range(place, amount), "{key} = {amount}: {error}");
                // What it exceeds was given, or is what it is when this key is left alone.
                let bound = given[place_of(exceeds)];
                assert!(bound.is_none_or(|bound| amount > bound), "{error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}
