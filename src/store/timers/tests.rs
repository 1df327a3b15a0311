//! The instants around each turn of the wheel.

use super::*;
use alloc::vec;
use core::hash::BuildHasher;
use foldhash::quality::FixedState;

/// Keys of two tables: the lower bit says which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TestKey(pub(super) u32);

impl Packed for TestKey {
    fn pack(self) -> u32 {
        (self.0 & 1) << 30 | self.0 >> 1
    }

    fn unpack(bits: u32) -> Self {
        Self((bits & ((1 << 30) - 1)) << 1 | bits >> 30)
    }
}

type Wheel = Timers<TestKey>;

pub(super) fn schedule(timers: &mut Wheel, key: u32, at: u64) {
    timers.no_later_than(TestKey(key), Deadline::from_millis(at));
}

/// Everything that is due, and for when.
fn pop_all(timers: &mut Wheel, now: u64) -> Vec<(u64, u32)> {
    let mut popped = vec![];
    let mut budget = Budget::of_deadlines(u32::MAX);
    while let Some((key, at)) = timers.pop(Timestamp::from_millis(now), &mut budget) {
        popped.push((at.as_millis(), key.0));
    }
    popped
}

fn hash(timers: &Wheel) -> u64 {
    FixedState::default().hash_one(timers)
}

#[test]
fn deadlines_come_in_the_order_of_time_and_then_of_keys() {
    let mut timers = Wheel::new();
    // Even keys are of the first table, and odd ones of the second.
    let entries = [(9, 7), (4, 5_000), (1, 5_000), (2, 5_000), (200, 5_000), (3, 4_999), (5, 0)];
    for (key, at) in entries {
        schedule(&mut timers, key, at);
    }
    let due = [(0, 5), (7, 9), (4_999, 3), (5_000, 2), (5_000, 4), (5_000, 200), (5_000, 1)];
    assert_eq!(pop_all(&mut timers, 9_000), due);
    assert_eq!(timers.first(), None);
}

#[test]
fn what_comes_too_late_for_its_millisecond_is_due_with_the_next() {
    let mut timers = Wheel::new();
    assert_eq!(pop_all(&mut timers, 100), []);
    for (key, at) in [(6, 100), (2, 50), (4, 99), (8, 101)] {
        schedule(&mut timers, key, at);
    }
    assert_eq!(timers.first(), Some(Deadline::from_millis(100)));
    assert_eq!(pop_all(&mut timers, 101), [(100, 2), (100, 4), (100, 6), (101, 8)]);
}

#[test]
fn what_is_scheduled_while_its_millisecond_acts_keeps_the_order() {
    let mut timers = Wheel::new();
    for key in [2, 6, 10] {
        schedule(&mut timers, key, 40);
    }
    let (now, mut budget) = (Timestamp::from_millis(50), Budget::of_deadlines(99));
    let mut popped = vec![];
    while let Some((key, at)) = timers.pop(now, &mut budget) {
        popped.push((at.as_millis(), key.0));
        if key.0 == 6 && at.as_millis() == 40 {
            // Before it, behind it, and a key's own next deadline within the same millisecond.
            schedule(&mut timers, 4, 40);
            schedule(&mut timers, 8, 40);
            schedule(&mut timers, 6, 41);
        }
    }
    assert_eq!(popped, [(40, 2), (40, 6), (40, 4), (40, 8), (40, 10), (41, 6)]);
}

#[test]
fn the_bound_reaches_the_deadline_in_few_steps() {
    let mut timers = Wheel::new();
    for key in [0, 2, 64, 8_000, 1] {
        schedule(&mut timers, key, 25_000);
    }
    let mut steps = 0;
    loop {
        let mut budget = Budget::of_deadlines(1);
        let first = timers.first().unwrap().instant().unwrap();
        let popped = timers.pop(first, &mut budget);
        steps += 1;
        if popped.is_some() {
            break;
        }
    }
    assert!(steps <= LEVELS, "{steps}");
    assert_eq!(timers.first(), Some(Deadline::from_millis(25_000)));
}

#[test]
fn a_herd_is_taken_in_portions() {
    let mut timers = Wheel::new();
    for key in 0..1_000 {
        schedule(&mut timers, key, 5_000);
    }
    let (mut taken, mut ticks) = (0, 0);
    while timers.first().is_some() {
        let mut budget = Budget::of_deadlines(10);
        let before = taken;
        while timers.pop(Timestamp::from_secs(5), &mut budget).is_some() {
            taken += 1;
        }
        assert!(taken - before <= 10);
        ticks += 1;
    }
    assert_eq!(taken, 1_000);
    // Each entry moves a few times before it is its turn.
    assert!(ticks <= 200, "{ticks}");
}

#[test]
fn the_hash_is_that_of_what_is_scheduled_and_not_of_how_it_came_to_be() {
    let (mut one, mut other) = (Wheel::new(), Wheel::new());
    assert_eq!(pop_all(&mut other, 1_000), []);
    assert_ne!(hash(&one), hash(&other), "what comes too late is due at another time");
    for key in [3, 900, 8] {
        schedule(&mut one, key, 1_000_000);
    }
    assert_eq!(pop_all(&mut one, 1_000), []);
    for key in [8, 3, 5, 900] {
        schedule(&mut other, key, 1_000_001);
        schedule(&mut other, key, 1_000_000);
    }
    assert_ne!(hash(&one), hash(&other));
    other.cancel(TestKey(5));
    assert_eq!(hash(&one), hash(&other));
}

#[test]
fn the_hash_shows_what_has_still_to_move_down() {
    let mut timers = Wheel::new();
    for key in [2, 4, 6] {
        schedule(&mut timers, key, 25_000 + u64::from(key));
    }
    // The wheel has moved to the beginning of their slot, and a budget ends.
    let mut budget = Budget(2);
    assert_eq!(timers.pop(Timestamp::from_secs(30), &mut budget), None);
    let mut fresh = Wheel { now: timers.now, ..Wheel::new() };
    for (key, node) in timers.nodes.iter() {
        fresh.no_later_than(TestKey::unpack(key), Deadline::from_millis(node.at()));
    }
    assert_ne!(hash(&timers), hash(&fresh), "it takes less steps to the first");
    assert_eq!(pop_all(&mut timers, 30_000), pop_all(&mut fresh, 30_000));
    assert_eq!(hash(&timers), hash(&fresh));
}

#[test]
fn where_the_wheel_stands_follows_from_the_time_when_nothing_is_due() {
    let mut random = 3_u64;
    let mut next = |bound: u64| {
        random = crate::store::mix(random);
        random % bound
    };
    let mut timers = Wheel::new();
    let mut now = 0;
    for _ in 0..300 {
        for _ in 0..next(8) {
            schedule(&mut timers, next(64) as u32, now + 1 + (1 << next(22)));
        }
        now += 1 << next(16);
        pop_all(&mut timers, now);
        let mut fresh = Wheel::new();
        pop_all(&mut fresh, now);
        for (key, node) in timers.nodes.iter() {
            fresh.no_later_than(TestKey::unpack(key), Deadline::from_millis(node.at()));
        }
        assert_eq!(hash(&timers), hash(&fresh));
    }
}

#[test]
fn the_nodes_of_all_tables_are_walked_in_the_order_of_their_keys() {
    let mut timers = Wheel::new();
    // Even numbers are keys of the first table: neighbours, and one of a chunk of its own.
    let numbers = [0, 2, 4, 200, 4_000, 1, 3, 601];
    numbers.iter().rev().for_each(|key| schedule(&mut timers, *key, u64::from(*key) + 5));
    let nodes: Vec<_> = timers.nodes.iter().map(|(key, node)| (key, node.at())).collect();
    let expected = numbers.map(|key| (TestKey(key).pack(), u64::from(key) + 5));
    assert_eq!(nodes, expected);
}

#[test]
fn a_budget_pays_for_deadlines_and_for_what_they_do_and_for_the_way_to_them() {
    let mut budget = Budget::of_deadlines(2);
    assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
    let mut budget = Budget::of_deadlines(4);
    budget.charge(2);
    assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
    let mut budget = Budget::of_deadlines(1);
    (0..LEVELS - 1).for_each(|_| budget.step());
    assert!(budget.take(), "a part of a deadline is enough for one");
    assert!(!budget.take());
    budget.charge(u64::MAX);
    assert!(!budget.take());
}

#[test]
fn nodes_take_memory_only_while_a_neighbour_is_scheduled() {
    let chunks = |timers: &Wheel| timers.nodes.tables.iter().flatten().flatten().count();
    let mut timers = Wheel::new();
    for key in (0..20_000).step_by(2) {
        schedule(&mut timers, key, 5);
    }
    assert_eq!(chunks(&timers), 10_000_usize.div_ceil(CHUNK));
    for key in (0..20_000).step_by(2).filter(|key| *key != 7_000) {
        timers.cancel(TestKey(key));
    }
    assert_eq!(chunks(&timers), 1);
    timers.cancel(TestKey(7_000));
    assert_eq!(timers.nodes.tables[0].capacity(), 0);
    // A chunk is 16 nodes of 16 bytes and a number, with its place in the list, which has spare ones.
    assert_eq!([0, 1, 16, 17, 1_600].map(bytes), [128, 420, 420, 712, 29_328]);
}
