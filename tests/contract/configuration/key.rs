//! How one row shows what its key decides.

use core::fmt::Debug;
use core::time::Duration;

use headcount::{ConfigBuilder, ConfigError};

use crate::support::World;

/// A key, and the history that shows its effect.
pub(crate) type Row = (&'static str, fn(Key));

/// The key that a row is about.
#[derive(Clone, Copy)]
pub(crate) struct Key(pub(crate) &'static str);

/// What a key can be set to.
pub(crate) trait Value: Copy {
    /// More than any key allows.
    const TOO_MUCH: Self;
}

impl Value for u32 {
    const TOO_MUCH: Self = Self::MAX;
}

impl Value for u64 {
    const TOO_MUCH: Self = Self::MAX;
}

impl Value for Duration {
    const TOO_MUCH: Self = Self::MAX;
}

impl Key {
    /// Plays a history under two values of the key; each must come out exactly as is said.
    ///
    /// `set` has to be the method of this key, and nothing else may change with it: defaults that
    /// follow the key are set in `base`, or they might be what made the difference.
    pub(crate) fn decides<V: Value, O: PartialEq + Debug>(
        self,
        set: fn(ConfigBuilder, V) -> ConfigBuilder,
        base: ConfigBuilder,
        outcomes: [(V, O); 2],
        history: fn(&mut World) -> O,
    ) {
        match set(base.clone(), V::TOO_MUCH).build() {
            Err(ConfigError::OutOfRange { key, .. }) => assert_eq!(key, self.0),
            other => panic!("{}: {other:?}", self.0),
        }
        let [one, other] = outcomes.each_ref().map(|(value, _)| {
            let config = set(base.clone(), *value).build().expect("a valid configuration");
            format!("{config:#?}")
        });
        let changes = one.lines().zip(other.lines()).filter(|(one, other)| one != other);
        assert_eq!(changes.count(), 1, "{}: more differs than the key", self.0);
        let builders = outcomes.map(|(value, outcome)| (set(base.clone(), value), outcome));
        self.distinguishes(builders, history);
    }

    /// The same for settings that are no amount: the configurations are given as they are.
    pub(crate) fn distinguishes<const N: usize, O: PartialEq + Debug>(
        self,
        outcomes: [(ConfigBuilder, O); N],
        history: fn(&mut World) -> O,
    ) {
        for (place, (builder, outcome)) in outcomes.iter().enumerate() {
            let earlier = outcomes[..place].iter().any(|(_, other)| other == outcome);
            assert!(!earlier, "{}: two values have the same outcome", self.0);
            let mut world = World::with(builder.clone());
            assert_eq!(history(&mut world), *outcome, "{}", self.0);
        }
    }
}
