//! Small random configurations: limits that are reached, windows that fill, logs that overflow.

use std::time::Duration;

use headcount::{Config, ConfigBuilder, OverCap};

use super::rng::Rng;

/// How many names there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Population {
    /// Users; above zero, as the others.
    pub users: u8,
    /// Threads of each user.
    pub threads: u8,
    /// Rooms.
    pub rooms: u8,
    /// Names of runs of each user.
    pub runs: u8,
}

/// A time that is short, long or, where it may be, none at all; where `calm`, most are long.
fn time(rng: &mut Rng, calm: bool, may_be_zero: bool) -> Duration {
    let millis = match rng.below(8) {
        0..=5 if calm => rng.between(1_000, 100_000),
        0 if may_be_zero => 0,
        0 | 1 => 1,
        2 => rng.between(2, 20),
        3..=5 => rng.between(20, 2_000),
        6 => rng.between(2_000, 60_000),
        _ => 3_600_000,
    };
    Duration::from_millis(millis)
}

/// A limit that most have not.
fn rarely(rng: &mut Rng, calm: bool) -> Duration {
    if rng.chance(70) { Duration::ZERO } else { time(rng, calm, true) }
}

/// How many there may be in a log, and how many stay of them.
fn depth(rng: &mut Rng) -> (u32, u32) {
    let messages = rng.pick(&[1, 2, 3, 5, 8, 64]);
    let history = match rng.below(4) {
        0 | 1 => 0,
        2 => rng.between(0, messages.into()) as u32,
        _ => messages,
    };
    (messages, history)
}

/// A configuration of a registry, and the names to fill it with.
#[must_use]
pub fn random(rng: &mut Rng) -> (Config, Population) {
    let seed = rng.next();
    let mut builder = builder(rng, seed).notices(rng.pick(&[0, 3, 40, 100_000, 100_000]));
    if rng.chance(12) {
        builder = builder.without_flush_reports();
    }
    // From a copy, so that traces keep the rest of their configuration.
    if rng.clone().chance(40) {
        builder = builder.with_presence();
    }
    let config = build(builder);
    let population = Population {
        users: rng.between(1, 5) as u8,
        threads: rng.between(1, 5) as u8,
        // Where places are few, one room more than there are.
        rooms: rng.between(1, 4).max(4.min(u64::from(config.rooms()) + 1)) as u8,
        runs: rng.between(1, 5) as u8,
    };
    (config, population)
}

/// What a reload brings: another configuration of the same registry. How many notices may wait stays,
/// for what is lost of them decides what can be expected.
#[must_use]
pub fn after(config: &Config, choice: u8) -> Config {
    let mut rng = Rng::new(choice.into());
    let builder = builder(&mut rng, config.seed()).notices(config.notices());
    build(with_switches(builder, config))
}

/// A configuration as a registry takes it that began with `began`, whose seed and switches no reload changes;
/// but a tick acts on so many deadlines.
#[must_use]
pub fn with_tick_budget(config: &Config, began: &Config, deadlines: u32) -> Config {
    let mut builder = with_switches(Config::builder(began.seed()), began);
    let amounts = Config::KEYS.iter().filter_map(|key| Some((key.name, config.get(key.name)?)));
    for (key, value) in amounts.filter(|(_, value)| value.amount().is_some()) {
        builder = builder.set(key, value).expect("a value of a configuration");
    }
    build(builder.over_cap(config.over_cap()).tick_budget(deadlines))
}

/// The switches of another configuration.
fn with_switches(builder: ConfigBuilder, of: &Config) -> ConfigBuilder {
    let builder = if of.presence() { builder.with_presence() } else { builder };
    if of.flush_reports() { builder } else { builder.without_flush_reports() }
}

fn build(builder: ConfigBuilder) -> Config {
    builder.build().expect("every combination is in range and without contradiction")
}

fn builder(rng: &mut Rng, seed: u64) -> ConfigBuilder {
    let roomy = rng.chance(50);
    let small = |rng: &mut Rng| match rng.below(4) {
        _ if roomy && rng.chance(60) => 50,
        0 => rng.between(1, 2) as u32,
        1 | 2 => rng.between(2, 6) as u32,
        _ => 50,
    };
    // Where deadlines are short, little lives long enough to fill a window.
    let calm = rng.chance(60);
    let connections = small(rng).max(rng.between(1, 6) as u32);
    let sessions = small(rng);
    let (mut messages, mut history) = depth(rng);
    let (room_messages, room_history) = depth(rng);
    let ages = Duration::from_secs(366 * 24 * 3_600);
    let pause_threshold = rng.pick(&[ages, ages, Duration::from_millis(1), Duration::from_secs(5)]);
    let any = rng.between(1, 100) as u32;
    let emergency = rng.pick(&[101, 80, 50, any]);
    let huge = 1 << 30;
    let process_bytes = rng.pick(&[huge, huge, huge, 300, 1_000, 3_000]);
    // What a budget takes of what everybody has shows only where much is kept of that.
    let keeps = process_bytes < huge && rng.chance(50);
    let (mut stream_bytes, mut stream_ttl) =
        (rng.pick(&[1, 150, 400, 1_000, 100_000]), time(rng, false, true));
    if keeps {
        (messages, history) = (64, 64);
        (stream_bytes, stream_ttl) = (100_000, Duration::ZERO);
    }
    let over_cap = match rng.below(4) {
        0 => OverCap::Refuse { retry_after: Duration::from_millis(7) },
        1 => OverCap::EvictOldest,
        _ => OverCap::EvictUnresponsiveThenOldest,
    };
    let pending = small(rng);
    let builder = Config::builder(seed)
        .connections(connections)
        .pending(pending)
        .closing(small(rng))
        .sessions(sessions)
        .users(small(rng).min(sessions))
        .rooms(small(rng))
        .connections_per_user(small(rng).min(connections))
        .sessions_per_user(small(rng).min(sessions))
        .rooms_per_connection(rng.pick(&[0, 1, 2, 3, 3, 9, 9]))
        // Rates that divide a second, so that no rounding decides.
        .connect_rate(rng.pick(&[0, 0, 0, 1, 10, 1_000]))
        .connect_burst(small(rng))
        .message_bytes(rng.pick(&[1, 5_000]))
        .session_linger(time(rng, false, true))
        .head_deadline(time(rng, calm, false))
        .auth_deadline(time(rng, calm, false))
        .close_handshake(time(rng, false, false))
        .ping_interval(time(rng, calm, true))
        .pong_timeout(time(rng, calm, false))
        .stream_messages(messages)
        .stream_bytes(stream_bytes)
        .stream_ttl(stream_ttl)
        .stream_history(history)
        .room_messages(room_messages)
        .room_bytes(rng.pick(&[1, 150, 400, 1_000, 100_000]))
        .room_ttl(time(rng, false, true))
        .room_history(room_history)
        .send_window(rng.pick(&[64, 65, 100, 129, 200, 200, 400, 400, 1_000, 65_536]))
        .reply_reserve(rng.pick(&[0, 64, 100, 300, 4_096]))
        .slow_deadline(time(rng, calm, false))
        .fanout_chunk(rng.pick(&[1, 1, 2, 3, 7, 512]))
        .announcements(rng.pick(&[1, 2, 16]))
        // Each tick acts on one deadline, so that the model sees in which order they do. It draws a number
        // nevertheless, so that traces keep the rest of their configuration.
        .tick_budget(rng.pick(&[1, 1, 1]))
        .pause_threshold(pause_threshold)
        .over_cap(over_cap)
        .emergency_percent(emergency)
        .proactive_percent(rng.between(1, emergency.into()) as u32)
        .emergency_deadline(time(rng, calm, false))
        .session_idle(rarely(rng, calm))
        .max_lifetime(rarely(rng, calm))
        .expiry_grace(time(rng, calm, true))
        .drain_grace(time(rng, calm, true))
        .drain_deadline(time(rng, calm, false))
        .message_rate(rng.pick(&[0, 0, 1, 10, 1_000]))
        .message_burst(small(rng))
        .runs_per_session(rng.pick(&[0, 1, 2, 3, 8, 8]))
        .process_bytes(process_bytes)
        .user_bytes(rng.pick(&[huge, huge, huge, 150, 400, 1_500]).min(process_bytes))
        .run_silence(time(rng, calm, true))
        .run_max_length(rarely(rng, calm))
        .run_events(rng.pick(&[2, 3, 6, 20, 4_096]))
        .run_bytes(rng.pick(&[1_024, 1_500, 5_000, 1 << 20]))
        .closed_ring(rng.pick(&[0, 1, 5, 1_000]));
    // Keys that came later are drawn from a copy, so that traces keep the rest of their configuration.
    let later = &mut rng.clone();
    let builder = builder
        .pending_per_source(small(later).min(pending))
        .head_bytes(later.pick(&[1_024, 4_000, 1 << 20]))
        .byte_rate(later.pick(&[0, 0, 1_000, 1_000_000]))
        .frame_deadline(time(later, calm, false))
        .connect_rate_per_user(later.pick(&[0, 0, 1, 10, 1_000]))
        .connect_burst_per_user(small(later))
        .rooms_per_user(later.pick(&[1, 2, 4, 9, 512, 512, 512, 512, 512, 512]));
    let rare = later.below(6) == 0;
    let builder = builder
        .run_calls(later.pick(&[1, 2, 3, 64]))
        .direct_bytes(later.pick(&[huge, huge, huge, huge, 1, 300, 1_000, 5_000]))
        .run_parts(later.pick(&[1, 2, 3, 64]))
        .run_linger(Duration::from_millis(later.pick(&[0, 0, 1, 100, 5_000, 3_600_000])))
        .sessions_per_connection(later.pick(&[1, 2, 3, 64, 64, 64]))
        .streams_per_user(later.pick(&[0, 1, 2, 5, 64, 64, 64, 64]))
        .leave_grace(Duration::from_millis(later.pick(&[0, 1, 100, 5_000, 5_000, 3_600_000])))
        .tenants(later.pick(&[0, 1, 2, 2, 2, 2]))
        .connections_per_tenant(later.pick(&[1, 2, 3, 50, 50]).min(connections))
        .sessions_per_tenant(later.pick(&[1, 2, 3, 5, 50, 50]).min(sessions))
        .tenant_bytes(later.pick(&[huge, 150, 150, 400, 1_500]).min(process_bytes));
    if !rare {
        return builder;
    }
    // Rooms that are few, have a history and live long are empty when a newcomer needs their place.
    builder
        .rooms(2)
        .rooms_per_user(512)
        .room_history(room_messages)
        .room_ttl(Duration::from_secs(3_600))
}
