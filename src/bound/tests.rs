//! The sums of small configurations, and what terms are made of.

use super::*;
use crate::log::Log;

/// Pins the sum: what changes it, a formula or the size of a record, is to be seen. They are bounded by
/// counts, by bytes, without what runs take, with connections that follow several sessions, and with
/// presence where each follows one.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_sums_of_small_configurations_are_pinned() {
    let few = || {
        let few = Config::builder(1).connections(3).pending(2).pending_per_source(1).closing(2);
        few.sessions(5).rooms(4).rooms_per_connection(2).announcements(2).closed_ring(7).notices(9)
    };
    let by_count = few()
        .process_bytes(1 << 20)
        .stream_messages(8)
        .room_messages(6)
        .runs_per_session(2)
        .run_events(10);
    let by_count = by_count.run_bytes(2_000).run_calls(3).send_window(500).reply_reserve(200);
    let by_bytes = few().process_bytes(10_000).run_bytes(3_000).send_window(100_000);
    let without_runs = few().process_bytes(20_000).runs_per_session(0).fanout_chunk(3);
    let more = || few().process_bytes(10_000).sessions(20).users(11).closing(5);
    let of_several = more().streams_per_user(3).sessions_per_connection(2);
    let of_many = more().streams_per_user(3).sessions_per_connection(5);
    let of_one = more().streams_per_user(3).sessions_per_connection(1).with_presence();
    let sums = [by_count, by_bytes, without_runs, of_several, of_many, of_one]
        .map(|config| config.build().unwrap().memory_bound(1_000));
    assert_eq!(sums, [2_414_809, 877_436, 850_246, 18_250_329, 18_254_879, 18_252_354]);
}

/// Pins the records of which there are many, so that a change that makes one larger is seen.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_sizes_of_records_are_pinned() {
    let sizes = [
        ("connection, hot", size_of::<Conn>()),
        ("connection, cold", size_of::<Cold>()),
        ("user", size_of::<User>()),
        ("session", size_of::<Session>()),
        ("stream", size_of::<Stream>()),
        ("log", size_of::<Log>()),
        ("member", size_of::<Member>()),
        ("membership", size_of::<Membership>()),
        ("room", size_of::<Room>()),
        ("run", size_of::<Run>()),
        ("entry", size_of::<Entry>()),
        ("item of the outbox", size_of::<OwnedAction>()),
        ("closed", size_of::<Closed>()),
    ];
    let pinned = [64, 128, 88, 64, 104, 32, 16, 16, 32, 240, 96, 112, 104];
    assert_eq!(sizes.map(|(_, bytes)| bytes), pinned, "{sizes:?}");
}

#[test]
fn only_a_registry_with_presence_has_users_without_a_session_or_a_connection() {
    let config = || Config::builder(1).connections(10).sessions(7).users(5).closing(3);
    let sessions =
        |config: crate::ConfigBuilder| config.build().unwrap().memory_breakdown(1_000).sessions;
    let more = sessions(config().with_presence()) - sessions(config());
    assert!(more >= 9 * NAME, "{more}");
}

#[test]
fn what_is_not_allowed_takes_nothing() {
    let config = Config::builder(1).runs_per_session(0).build().unwrap();
    let memory = config.memory_breakdown(1_000);
    assert_eq!((memory.text, memory.calls), (0, 0));
    let without = Config::builder(1).tenants(0).build().unwrap();
    assert_eq!(without.memory_breakdown(1_000).tenants, 0);
    assert!(memory.runs < 10_000, "but for what a table begins with: {}", memory.runs);
}

#[test]
fn the_terms_have_the_names_of_the_fields_and_the_sum_stops_at_the_largest_number() {
    let memory = Config::new(1).memory_breakdown(1_000);
    let terms: alloc::vec::Vec<_> = memory.terms().collect();
    assert_eq!(
        (terms[0], terms[18]),
        (("connections", memory.connections), ("recipients", memory.recipients))
    );
    assert_eq!(terms.len(), 19);
    let most = MemoryBreakdown { text: u64::MAX, ..memory };
    assert_eq!(most.total(), u64::MAX);
}
