//! Keys by name: how values are written, and that every key can be set and read by its name.

use core::time::Duration;

use headcount::{Config, ConfigBuilder, ConfigError, ConfigKind, ConfigValue, OverCap, Profile};

fn expected(read: Result<ConfigValue, ConfigError>) -> &'static str {
    match read {
        Err(ConfigError::Unreadable { expected }) => expected,
        other => panic!("{other:?}"),
    }
}

#[test]
fn times_are_written_with_a_unit() {
    for (text, millis) in [
        ("0", 0),
        ("0s", 0),
        ("500ms", 500),
        ("25s", 25_000),
        ("25 S", 25_000),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ] {
        let time = ConfigValue::Time(Duration::from_millis(millis));
        assert_eq!(ConfigKind::Time.parse(text), Ok(time), "{text}");
    }
    let most = "18446744073709551615d";
    for text in ["", "25", "s", "-1s", "+1s", "1.5s", "1 w", most, "2m3s"] {
        assert!(expected(ConfigKind::Time.parse(text)).contains("a unit"), "{text}");
    }
}

#[test]
fn sizes_counts_rates_and_percentages() {
    for (text, bytes) in [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("64KiB", 65_536),
        ("1mib", 1 << 20),
        ("2 GiB", 2 << 30),
    ] {
        assert_eq!(ConfigKind::Bytes.parse(text), Ok(ConfigValue::Bytes(bytes)), "{text}");
    }
    for text in ["", "KiB", "1KB", "-1", "0x10", "1e3", "99999999999999999999", "99999999999GiB"] {
        assert!(expected(ConfigKind::Bytes.parse(text)).contains("bytes"), "{text}");
    }
    assert_eq!(ConfigKind::Count.parse("7"), Ok(ConfigValue::Count(7)));
    assert_eq!(ConfigKind::Rate.parse("0"), Ok(ConfigValue::Rate(0)));
    for text in ["80", "80%", "80 %"] {
        assert_eq!(ConfigKind::Percent.parse(text), Ok(ConfigValue::Percent(80)), "{text}");
    }
    for (kind, text) in [
        (ConfigKind::Percent, "0.8"),
        (ConfigKind::Count, "4294967296"),
        (ConfigKind::Count, "+1"),
        (ConfigKind::Rate, "many"),
    ] {
        assert!(expected(kind.parse(text)).starts_with("a "), "{text}");
    }
}

#[test]
fn values_are_shown_as_they_are_written() {
    for (kind, texts) in [
        (ConfigKind::Bytes, &["64KiB", "1GiB", "17B", "0"][..]),
        (ConfigKind::Time, &["500ms", "25s", "2m", "366d", "0", "1500000001ns"]),
        (
            ConfigKind::Policy,
            &["evict-unresponsive-then-oldest", "evict-oldest", "refuse", "refuse 30s", "refuse 0"],
        ),
    ] {
        for text in texts {
            assert_eq!(kind.parse(text).map(|value| value.to_string()).as_deref(), Ok(*text));
        }
    }
    assert_eq!(
        expected(ConfigKind::Policy.parse("refuse30s")),
        "evict-unresponsive-then-oldest, evict-oldest or refuse"
    );
    assert_eq!("refuse 30s".parse(), Ok(OverCap::Refuse { retry_after: Duration::from_secs(30) }));
    assert_eq!("staging".parse(), Ok(Profile::Staging));
    assert_eq!(Profile::Staging.to_string(), "staging");
    assert!("prod".parse::<Profile>().is_err());
}

#[test]
fn every_key_is_set_and_read_by_its_name() {
    for key in Config::KEYS {
        let values = match key.kind {
            ConfigKind::Policy => vec![ConfigValue::Policy(OverCap::EvictOldest)],
            kind => [key.min, key.max].map(|amount| kind.value_of(amount).unwrap()).to_vec(),
        };
        for value in values {
            // What other keys have by default may contradict it, so that it is only set here.
            let builder = Config::builder(1).set(key.name, value).unwrap();
            match builder.build() {
                Ok(config) => assert_eq!(config.get(key.name), Some(value), "{}", key.name),
                Err(ConfigError::Contradiction { .. }) => {}
                Err(error) => panic!("{}: {error}", key.name),
            }
            let text = value.to_string();
            assert_eq!(key.kind.parse(&text), Ok(value), "{}", key.name);
            assert_eq!(value.kind(), key.kind);
        }
        let Some(beyond) = key.kind.value_of(key.max + 1) else { continue };
        let beyond = Config::builder(1).set(key.name, beyond).and_then(ConfigBuilder::build);
        let (min, max) = (key.min, key.max);
        assert_eq!(beyond, Err(ConfigError::OutOfRange { key: key.name, min, max }));
    }
}

#[test]
fn unknown_keys_and_other_kinds_are_refused() {
    let builder = Config::builder(1);
    let count = ConfigValue::Count(1);
    let unknown = builder.clone().set("limits.conections", count).err();
    assert_eq!(unknown, Some(ConfigError::UnknownKey));
    let wrong = builder.set("session.linger", count).unwrap_err();
    assert_eq!(wrong, ConfigError::WrongKind { key: "session.linger", kind: ConfigKind::Time });
    assert!(wrong.to_string().starts_with("session.linger takes a whole number and a unit"));
    assert_eq!(Config::new(1).get("session"), None);
    assert_eq!(Config::key(""), None);
}
