//! Every value of every profile: the defaults in full, and per profile exactly what differs.

use headcount::{Config, Profile};

macro_rules! values {
    ($config:expr, $($key:ident)*) => {{
        let config: &Config = $config;
        vec![$((stringify!($key), format!("{:?}", config.$key()))),*]
    }};
}

fn values(config: &Config) -> Vec<(&'static str, String)> {
    values!(config,
        seed flush_reports presence over_cap
        connections pending pending_per_source closing sessions users rooms
        connections_per_user sessions_per_user rooms_per_connection rooms_per_user runs_per_session
        tenants connections_per_tenant sessions_per_tenant sessions_per_connection streams_per_user
        connect_rate connect_burst connect_rate_per_user connect_burst_per_user
        message_rate message_burst message_bytes head_bytes byte_rate frame_deadline
        session_linger head_deadline auth_deadline close_handshake session_idle max_lifetime expiry_grace
        emergency_percent proactive_percent emergency_deadline
        ping_interval ping_slack pong_timeout pause_threshold
        stream_messages stream_bytes stream_ttl stream_history
        room_messages room_bytes room_ttl room_history
        send_window reply_reserve process_bytes direct_bytes user_bytes tenant_bytes slow_deadline
        run_silence run_max_length run_linger run_events run_bytes run_calls run_parts
        leave_grace drain_grace drain_deadline
        fanout_chunk announcements closed_ring notices tick_budget
    )
}

/// Keys and their values, as `Debug` shows them.
type Table = &'static [(&'static str, &'static str)];

const DEFAULTS: Table = &[
    ("seed", "7"),
    ("flush_reports", "true"),
    ("presence", "false"),
    ("over_cap", "EvictUnresponsiveThenOldest"),
    ("connections", "65536"),
    ("pending", "8192"),
    ("pending_per_source", "4096"),
    ("closing", "8192"),
    ("sessions", "131072"),
    ("users", "131072"),
    ("rooms", "65536"),
    ("connections_per_user", "16"),
    ("sessions_per_user", "20"),
    ("rooms_per_connection", "128"),
    ("rooms_per_user", "512"),
    ("runs_per_session", "8"),
    ("tenants", "268435456"),
    ("connections_per_tenant", "65536"),
    ("sessions_per_tenant", "131072"),
    ("sessions_per_connection", "64"),
    ("streams_per_user", "64"),
    ("connect_rate", "500"),
    ("connect_burst", "1000"),
    ("connect_rate_per_user", "4"),
    ("connect_burst_per_user", "32"),
    ("message_rate", "100"),
    ("message_burst", "200"),
    ("message_bytes", "65536"),
    ("head_bytes", "32768"),
    ("byte_rate", "0"),
    ("frame_deadline", "60s"),
    ("session_linger", "120s"),
    ("head_deadline", "10s"),
    ("auth_deadline", "10s"),
    ("close_handshake", "5s"),
    ("session_idle", "0ns"),
    ("max_lifetime", "0ns"),
    ("expiry_grace", "25s"),
    ("emergency_percent", "80"),
    ("proactive_percent", "60"),
    ("emergency_deadline", "10s"),
    ("ping_interval", "25s"),
    ("ping_slack", "50ms"),
    ("pong_timeout", "10s"),
    ("pause_threshold", "5s"),
    ("stream_messages", "256"),
    ("stream_bytes", "1048576"),
    ("stream_ttl", "120s"),
    ("stream_history", "256"),
    ("room_messages", "256"),
    ("room_bytes", "524288"),
    ("room_ttl", "120s"),
    ("room_history", "256"),
    ("send_window", "65536"),
    ("reply_reserve", "4096"),
    ("process_bytes", "268435456"),
    ("direct_bytes", "67108864"),
    ("user_bytes", "16777216"),
    ("tenant_bytes", "268435456"),
    ("slow_deadline", "10s"),
    ("run_silence", "120s"),
    ("run_max_length", "3600s"),
    ("run_linger", "60s"),
    ("run_events", "4096"),
    ("run_bytes", "1048576"),
    ("run_calls", "64"),
    ("run_parts", "64"),
    ("leave_grace", "5s"),
    ("drain_grace", "2s"),
    ("drain_deadline", "30s"),
    ("fanout_chunk", "512"),
    ("announcements", "16"),
    ("closed_ring", "1024"),
    ("notices", "1024"),
    ("tick_budget", "256"),
];

#[test]
fn every_value_of_every_profile_is_what_it_should_be() {
    const PATIENT: Table = &[
        ("session_idle", "300s"),
        ("ping_interval", "45s"),
        ("ping_slack", "90ms"),
        ("pong_timeout", "15s"),
    ];
    const TALKATIVE: Table = &[("message_rate", "1000"), ("message_burst", "2000")];
    const RECONNECTING: Table = &[("connect_rate_per_user", "0")];
    const QUICK: Table = &[("drain_grace", "500ms"), ("drain_deadline", "2s")];
    let profiles: [(Profile, &[Table]); 6] = [
        (Profile::Development, &[PATIENT, QUICK]),
        (Profile::Test, &[TALKATIVE, RECONNECTING, PATIENT, QUICK]),
        (
            Profile::Ci,
            &[
                TALKATIVE,
                RECONNECTING,
                PATIENT,
                &[("slow_deadline", "30s"), ("drain_grace", "500ms"), ("drain_deadline", "5s")],
            ],
        ),
        (
            Profile::Staging,
            &[&[
                ("session_idle", "600s"),
                ("ping_interval", "30s"),
                ("ping_slack", "60ms"),
                ("pong_timeout", "60s"),
            ]],
        ),
        (Profile::Production, &[&[("session_idle", "900s")]]),
        (
            Profile::Origin,
            &[
                // What follows from a hundred connections in all.
                &[("connections", "100"), ("pending", "64"), ("pending_per_source", "32")],
                &[("closing", "64")],
                &[("sessions", "200"), ("users", "200"), ("rooms", "100")],
                &[("connections_per_tenant", "100"), ("sessions_per_tenant", "200")],
                &[("connections_per_user", "3"), ("session_linger", "180s")],
                RECONNECTING,
                // Given up after 120 s of silence, and after 2 s without progress.
                &[
                    ("ping_interval", "30s"),
                    ("ping_slack", "60ms"),
                    ("pong_timeout", "90s"),
                    ("slow_deadline", "2s"),
                ],
            ],
        ),
    ];
    for (profile, differences) in profiles {
        let config = Config::profile(profile, 7).build().expect("a profile is valid");
        let mut expected = DEFAULTS.to_vec();
        for (key, value) in differences.iter().copied().flatten() {
            let place = expected.iter().position(|(known, _)| known == key).expect("a key");
            assert_ne!(expected[place].1, *value, "{key} does not differ");
            expected[place].1 = value;
        }
        let values = values(&config);
        let values: Vec<_> = values.iter().map(|(key, value)| (*key, &value[..])).collect();
        assert_eq!(values, expected, "{profile:?}");
    }
}

#[test]
fn the_table_above_has_every_key_and_the_defaults_are_what_it_says() {
    let config = Config::new(7);
    // A field of the derived `Debug` for each key: a new one must be added to the table.
    let shown = format!("{config:#?}");
    let keys = shown.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let mut keys: Vec<_> = keys.filter_map(|line| line.trim().split_once(':')).collect();
    let mut known: Vec<_> = DEFAULTS.iter().map(|(key, _)| *key).collect();
    keys.sort();
    known.sort();
    assert_eq!(keys.iter().map(|(key, _)| *key).collect::<Vec<_>>(), known);
    let values = values(&config);
    let values: Vec<_> = values.iter().map(|(key, value)| (*key, &value[..])).collect();
    assert_eq!(values, DEFAULTS);
}

#[test]
fn whatever_a_profile_sets_can_be_set_differently() {
    let config = Config::profile(Profile::Origin, 7).connections_per_user(20).build().unwrap();
    assert_eq!((config.connections_per_user(), config.connections()), (20, 100));
}
