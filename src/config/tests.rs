//! Defaults, and what is refused.

use super::*;

#[test]
fn defaults_are_valid_and_derived() {
    assert_eq!(Config::builder(1).build(), Ok(Config::new(1)));
    let small = Config::builder(1).connections(4).build().unwrap();
    assert_eq!((small.connections_per_user(), small.sessions(), small.users()), (4, 8, 8));
    assert_eq!(small.sessions_per_user(), 8);
}

#[test]
fn what_follows_the_largest_count_stays_in_its_own_range() {
    let most = MAX_COUNT as u32;
    for connections in [most / 2, most / 2 + 1, most] {
        let config = Config::builder(1).connections(connections).build().unwrap();
        assert_eq!((config.sessions(), config.users()), (most, most));
    }
}

#[test]
fn ranges_and_relations_are_refused_by_name() {
    assert_eq!(
        Config::builder(1).send_window(MESSAGE_OVERHEAD - 1).build(),
        Err(ConfigError::OutOfRange {
            key: "outbound.window",
            min: MESSAGE_OVERHEAD,
            max: MAX_BYTES
        })
    );
    assert!(Config::builder(1).send_window(MESSAGE_OVERHEAD).build().is_ok());
    assert_eq!(
        Config::builder(1).connections(4).connections_per_user(5).build(),
        Err(ConfigError::Contradiction {
            key: "limits.connections_per_user",
            exceeds: "limits.connections"
        })
    );
    assert!(Config::builder(1).ping_interval(Duration::MAX).build().is_err());
}
