//! Sources of settings, from a file to the command line, and what is refused.

use std::time::Duration;

use headcount::{ConfigKind, OverCap};

use super::rows::Takes;
use super::*;
use crate::limits::descriptors::Descriptors;

fn settings(given: &[(&str, &str)]) -> Result<Config, String> {
    let mut settings = Settings::default();
    for (key, value) in given {
        settings.set(key, value, Origin::Set)?;
    }
    config(&settings)
}

/// Of a process that may have as many descriptors as it likes.
pub(in crate::settings) fn config(settings: &Settings) -> Result<Config, String> {
    settings.config(1, Descriptors(u64::MAX)).map(|(config, _)| config)
}

#[test]
fn every_row_reaches_the_setting_of_its_name() {
    // A value that is in every row's range and no default; a wrong method would set another
    // key, which the refusal of a huge value would name.
    for row in ROWS {
        let huge = match row.kind() {
            Some(ConfigKind::Count | ConfigKind::Rate | ConfigKind::Percent) => "4000000000",
            Some(ConfigKind::Bytes) => "1099511627777",
            Some(ConfigKind::Time) => "400d",
            _ => continue,
        };
        let sentence = settings(&[(row.key, huge)]).unwrap_err();
        assert!(
            sentence.starts_with(&format!("--set {}={huge}: ", row.key))
                && sentence.contains("between"),
            "{}: {sentence}",
            row.key
        );
    }
}

#[test]
fn every_row_is_seen_to_change_and_no_other() {
    let before = Settings::default();
    let before_config = config(&before).unwrap();
    for row in ROWS {
        // Nothing else is derived from these values, or the others are given too.
        let amount = |kind| match kind {
            ConfigKind::Percent => "55",
            ConfigKind::Bytes => "99KiB",
            ConfigKind::Time => "1777ms",
            ConfigKind::Policy => "refuse",
            _ => "9",
        };
        let value = match row.takes {
            Takes::Registry => amount(row.kind().unwrap()),
            Takes::Own(kind, ..) => amount(kind),
            Takes::Start => "origin",
            Takes::OwnList => "::1",
            Takes::OwnLevel => "debug",
            Takes::OwnFlag(_) => "false",
            Takes::OwnWords(_) => "[\"a\", \"b c\"]",
            Takes::OwnSecret | Takes::OwnSecretFile => "something",
            Takes::OwnHosts => "*.example.com",
            Takes::OwnAlgorithm => "ES256",
            Takes::OwnNames | Takes::OwnRooms | Takes::OwnSecretFiles => "one,two",
            Takes::OwnKeySetFile => "keys.json",
            Takes::OwnKeySetUrl => "https://example.com/keys",
            Takes::OwnOrigins => "https://*.example.com",
            Takes::Address(_) => "[::1]:1",
        };
        let mut after = Settings::default();
        after.set(row.key, value, Origin::Set).unwrap();
        let after_config = config(&after).unwrap();
        let changed = after.changed(&after_config, &before, &before_config);
        assert!(changed.contains(&row.key), "{}: {changed:?}", row.key);
        let derives = after_config != before_config && changed.len() > 1;
        assert!(derives || changed == [row.key], "{}: {changed:?}", row.key);
        assert!(after.changed(&after_config, &after, &after_config).is_empty());
    }
}

#[test]
fn values_arrive() {
    let config = settings(&[
        ("limits.connections", "10"),
        ("limits.connections", "20"),
        ("heartbeat.interval", "\"3s\""),
        ("stream.bytes", "64KiB"),
        ("limits.connect_rate", "0"),
    ])
    .unwrap();
    assert_eq!(config.connections(), 20, "the later one counts");
    assert_eq!(config.ping_interval(), Duration::from_secs(3));
    assert_eq!((config.stream_bytes(), config.connect_rate()), (65_536, 0));
}

#[test]
fn words_arrive() {
    for (word, expected) in [
        ("evict-unresponsive-then-oldest", OverCap::EvictUnresponsiveThenOldest),
        ("\"evict-oldest\"", OverCap::EvictOldest),
        ("refuse", OverCap::Refuse { retry_after: Duration::from_secs(5) }),
    ] {
        assert_eq!(settings(&[("limits.over_cap", word)]).unwrap().over_cap(), expected);
    }
    let percents =
        settings(&[("pressure.proactive", "50%"), ("pressure.emergency", "70")]).unwrap();
    assert_eq!((percents.proactive_percent(), percents.emergency_percent()), (50, 70));

    let mut own = Settings::default();
    assert_eq!((own.connect_rate_per_ip(), own.trusted_proxies()), (0, Proxies::default()));
    own.set("limits.connect_rate_per_ip", "3", Origin::Set).unwrap();
    own.set("trusted_proxies", "[\"10.0.0.0/8\", \"::1\"]", Origin::Set).unwrap();
    assert_eq!(own.connect_rate_per_ip(), 3);
    assert_eq!(Ok(own.trusted_proxies()), Proxies::parse("10.0.0.0/8,::1"));
}

#[test]
fn a_profile_is_a_start_and_other_settings_win_in_any_order() {
    let seconds = Duration::from_secs;
    let none = settings(&[]).unwrap();
    assert_eq!((none.ping_interval(), none.drain_deadline()), (seconds(25), seconds(2)));
    assert_eq!(none.drain_grace(), Duration::from_millis(500), "it leaves time for the closes");
    let short = settings(&[("drain.deadline", "1s")]).unwrap();
    assert_eq!(short.drain_grace(), Duration::from_millis(250));
    let given = settings(&[("drain.grace", "800ms"), ("drain.deadline", "1s")]).unwrap();
    assert_eq!(given.drain_grace(), Duration::from_millis(800));
    let long = settings(&[("drain.grace", "5s")]).unwrap();
    assert_eq!((long.drain_grace(), long.drain_deadline()), (seconds(5), seconds(20)));
    let days = |days: u64| seconds(days * 24 * 3600);
    let longest = settings(&[("drain.grace", "300d")]).unwrap();
    assert_eq!((longest.drain_grace(), longest.drain_deadline()), (days(300), days(366)));

    let production = [("limits.users", "7"), ("profile", "production")];
    let production = settings(&production).unwrap();
    assert_eq!((production.users(), production.session_idle()), (7, seconds(900)));
    assert_eq!((production.drain_grace(), production.drain_deadline()), (seconds(2), seconds(30)));
    let mixed = settings(&[("session.idle", "1m"), ("profile", "production")]).unwrap();
    assert_eq!(mixed.session_idle(), seconds(60));
    for (name, connections) in [("development", 65_536), ("test", 65_536), ("ci", 65_536)] {
        assert_eq!(settings(&[("profile", name)]).unwrap().connections(), connections);
    }
    assert_eq!(settings(&[("profile", "staging")]).unwrap().ping_interval(), seconds(30));
    assert_eq!(settings(&[("profile", "origin")]).unwrap().connections(), 100);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    for (wrong, right) in [
        ("limits.conections", "limits.connections"),
        ("connections", "limits.connections"),
        ("limit.users", "limits.users"),
        ("heartbeat.pongtimeout", "heartbeat.pong_timeout"),
        ("heartbeat.linger", "session.linger"),
        ("LIMITS.ROOMS", "limits.rooms"),
        ("stream.room_byte", "stream.room_bytes"),
        ("window", "outbound.window"),
    ] {
        let sentence = settings(&[(wrong, "1")]).unwrap_err();
        assert!(sentence.ends_with(&format!("nearest one is {right}")), "{sentence}");
    }
}

#[test]
fn mistakes_say_what_is_expected() {
    for (key, value, expected) in [
        ("heartbeat.interval", "25", "a unit"),
        ("limits.users", "-1", "a whole number"),
        ("limits.message_bytes", "64KB", "KiB"),
        ("profile", "prod", "production"),
        ("limits.over_cap", "evict", "evict-oldest"),
        ("limits.connect_rate_per_ip", "many", "per second"),
        ("trusted_proxies", "localhost", "10.0.0.0/8"),
        ("pressure.proactive", "0.6", "percentage"),
        ("pressure.emergency", "102", "between 1 and 101"),
        ("heartbeat.pong_timeout", "0", "between 1ms and 366d"),
        ("limits.message_bytes", "0", "between 1B and 1GiB"),
    ] {
        let sentence = settings(&[(key, value)]).unwrap_err();
        assert!(sentence.contains(key) && sentence.contains(expected), "{sentence}");
    }
    let sentence =
        settings(&[("limits.connections", "4"), ("limits.connections_per_user", "5")]).unwrap_err();
    assert_eq!(
        sentence,
        "--set limits.connections_per_user=5: must not be larger than --set limits.connections=4"
    );
    for (given, expected) in [
        (
            &[("drain.grace", "2s"), ("drain.deadline", "1s")][..],
            "--set drain.grace=2s: must not be larger than --set drain.deadline=1s",
        ),
        (&[("", "5")], "--set =…: the key is missing"),
        (&[("auth.admin_key", "")], "--set auth.admin_key=<secret>: the value is not understood"),
        (&[("idempotency.ttl", "0")], "=0: must be between 1ms and 7d"),
        (
            &[("redaction.enabled", "yes")],
            "=yes: the value is not understood; expected true or false",
        ),
        (&[("redaction.keys", "a,-")], "=a,-: the value is not understood; expected names of keys"),
        (&[("redaction.max_input", "9B")], "=9B: must be between 256B and 16GiB"),
        (&[("redaction.max_items", "0")], "=0: must be between 1 and 1000000"),
        (&[("idempotency.bytes", "1KiB")], "=1KiB: must be between 64KiB and 16GiB"),
    ] {
        let sentence = settings(given).map(|_| ()).unwrap_err();
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn what_was_given_wins_over_a_profile_and_over_the_defaults_of_others() {
    let config = settings(&[("profile", "origin"), ("limits.connections", "2")]).unwrap();
    assert_eq!((config.connections(), config.connections_per_user()), (2, 2));
    let config = settings(&[("profile", "origin"), ("limits.sessions", "2")]).unwrap();
    assert_eq!((config.sessions(), config.sessions_per_user()), (2, 2));
    let config = settings(&[("stream.history", "999")]).unwrap();
    assert_eq!((config.stream_messages(), config.stream_history()), (999, 999));
}

#[test]
fn limits_that_were_given_are_lowered_to_fit_and_contradict_nothing() {
    let given = |given: &[(&str, &str)]| {
        let mut settings = Settings::default();
        for (key, value) in given {
            settings.set(key, value, Origin::Set).unwrap();
        }
        settings.config(1, Descriptors(600)).unwrap()
    };
    let (config, lowered) = given(&[]);
    assert!(lowered.is_empty() && config.connections() == 218, "{lowered}");
    let all = [
        ("limits.connections", "1000"),
        ("limits.users", "1500"),
        ("limits.connections_per_user", "300"),
        ("limits.pending", "2000"),
    ];
    let (config, lowered) = given(&all);
    assert_eq!((config.connections(), config.users(), config.sessions()), (92, 1_500, 2_000));
    assert!(lowered.to_string().starts_with("limits.connections from 1000 to 92, "), "{lowered}");
    let (_, lowered) = given(&[("profile", "origin")]);
    assert!(lowered.is_empty(), "100 of its connections fit: {lowered}");
}

/// A whole shell may have them set, beside a server that is started from it.
#[test]
fn the_variables_that_size_this_projects_tests_are_no_mistakes() {
    const READS: [&str; 4] = [
        "var(\"HEADCOUNT_",
        "var_os(\"HEADCOUNT_",
        "number(\"HEADCOUNT_",
        "by_variable(\"HEADCOUNT_",
    ];
    fn visit(folder: &std::path::Path, found: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for read in READS {
                    let names = text.split(read).skip(1).filter_map(|rest| rest.split_once('"'));
                    found.extend(names.map(|(name, _)| name.to_owned()));
                }
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = std::collections::BTreeSet::new();
    let of_mio = ["shells/mio/src", "shells/mio/tests"];
    for folder in ["tests", "benches", "shells/gateway/tests"].into_iter().chain(of_mio) {
        visit(&root.join(folder), &mut found);
    }
    visit(&root.join("shells/gateway/benches"), &mut found);
    let known: std::collections::BTreeSet<String> =
        environment::OF_THE_TESTS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, known);
}
