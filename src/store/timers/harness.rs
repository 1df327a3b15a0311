//! The wheel against a list of what is scheduled.

use bolero::{TypeGenerator, check, produce};

use super::tests::{TestKey, schedule};
use super::*;

/// How many calls a history has at most.
const CALLS: usize = if cfg!(kani) { 2 } else { 250 };

/// Keys of two tables, near each other and far apart.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Key {
    #[generator(0..60_u32)]
    number: u32,
    is_far: bool,
}

impl Key {
    const fn test_key(self) -> TestKey {
        TestKey(if self.is_far { self.number * 1_001 } else { self.number })
    }
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Call {
    /// A deadline of any order of magnitude ahead, or one that has passed.
    Schedule {
        key: Key,
        #[generator(0..30_u8)]
        ahead: u8,
        #[generator(0..4_000_u64)]
        less: u64,
    },
    Cancel(Key),
    /// Time passes, and what is due acts. Of what acts each `again`-th is scheduled anew.
    Turn {
        #[generator(0..24_u8)]
        ahead: u8,
        #[generator(0..9_u8)]
        budget: u8,
        #[generator(1..6_u8)]
        again: u8,
    },
}

/// What is scheduled, in no order, and how far the wheel has come.
#[derive(Default)]
struct Reference {
    entries: Vec<(u64, TestKey)>,
    now: u64,
    /// The position of what was popped last in a turn whose budget was used up.
    passed: (u64, u32),
}

impl Reference {
    /// Schedules a key in a wheel and here: the earlier of two deadlines counts.
    fn schedule(&mut self, timers: &mut Timers<TestKey>, key: TestKey, at: u64) {
        schedule(timers, key.0, at);
        match self.entries.iter_mut().find(|entry| entry.1 == key) {
            Some(entry) => entry.0 = entry.0.min(at),
            None => self.entries.push((at, key)),
        }
    }

    fn turn(&mut self, timers: &mut Timers<TestKey>, deadlines: u32, again: usize) {
        let mut budget = Budget::of_deadlines(deadlines);
        let mut popped = 0;
        while let Some((key, at)) = timers.pop(Timestamp::from_millis(self.now), &mut budget) {
            let place =
                self.entries.iter().position(|entry| entry.1 == key).expect("a scheduled key");
            // What came too late for its place in the order is next. If there is no such thing, the first is.
            let order = |(at, key): &(u64, TestKey)| ((*at).max(self.passed.0), key.pack());
            let first = self.entries.iter().map(order).min().expect("an entry");
            let own = order(&self.entries[place]);
            let is_late = own <= self.passed && first < self.passed;
            assert!(own == first || is_late, "{own:?} before {first:?}");
            self.passed = self.passed.max(own);
            assert_eq!(at.as_millis(), self.passed.0);
            self.entries.swap_remove(place);
            popped += 1;
            if popped % again == 0 {
                self.schedule(timers, key, self.now + popped as u64 % 3);
            }
        }
        if budget.0 > 0 {
            assert!(self.entries.iter().all(|entry| entry.0 > self.now), "something due is left");
            self.passed = (self.now, 0);
        } else {
            // On its way to the first it may have passed more, and no entry.
            let stands_at = (millis(timers.now), timers.now as u32);
            let mut entries = self.entries.iter().map(|(at, key)| (*at, key.pack()));
            assert!(stands_at == self.passed || entries.all(|entry| entry >= stands_at));
            self.passed = stands_at;
        }
    }

    fn assert_is(&self, timers: &Timers<TestKey>) {
        assert!(
            self.entries
                .iter()
                .all(|(at, key)| { timers.at(*key) == Some(Deadline::from_millis(*at)) })
        );
        let first = self.entries.iter().map(|entry| entry.0).min();
        match (timers.first().map(Deadline::as_millis), first) {
            (None, None) => {}
            (Some(bound), Some(first)) => assert!(bound <= first.max(self.now), "{bound} is late"),
            (bound, first) => panic!("{bound:?} but {first:?}"),
        }
    }
}

#[test]
#[cfg_attr(kani, kani::proof, kani::unwind(65))]
fn agrees_with_a_list() {
    let calls = produce::<Vec<Call>>().with().len(0..=CALLS);
    check!().with_iterations(1_000).with_generator(calls).for_each(|calls| {
        let (mut timers, mut reference) = (Timers::new(), Reference::default());
        for call in calls {
            match *call {
                Call::Schedule { key, ahead, less } => {
                    let at = (reference.now + (1 << ahead)).saturating_sub(less);
                    reference.schedule(&mut timers, key.test_key(), at);
                }
                Call::Cancel(key) => {
                    timers.cancel(key.test_key());
                    assert_eq!(timers.at(key.test_key()), None);
                    reference.entries.retain(|entry| entry.1 != key.test_key());
                }
                Call::Turn { ahead, budget, again } => {
                    reference.now += (1 << ahead) - 1;
                    reference.turn(&mut timers, 1 << budget, again.into());
                }
            }
            reference.assert_is(&timers);
        }
        reference.entries.iter().for_each(|entry| timers.cancel(entry.1));
        let lists = &timers.nodes.tables;
        assert!(lists.iter().all(|chunks| chunks.is_empty() && chunks.capacity() == 0));
    });
}
