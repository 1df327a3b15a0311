//! Random histories against the model: many seeds, each with a configuration and weights of its own.
//!
//! * `HEADCOUNT_SEEDS=100000 cargo test --release --test swarm` tries more of them, on as many
//!   threads as there are processors, or `HEADCOUNT_THREADS`,
//! * `HEADCOUNT_SECONDS=3600` begins no other after so long,
//! * `HEADCOUNT_FIRST=5000` begins there, `HEADCOUNT_SEED=17` tries one,
//! * `HEADCOUNT_SHRINK=0` does not look for the smallest history that fails in the same way,
//! * `HEADCOUNT_SURVEY=1 cargo test --test swarm -- --nocapture` goes on after failures and counts
//!   them by kind.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use headcount_harness::history::{Failure, History, Outcome};
use headcount_harness::marks::Marks;
use headcount_harness::memory::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// How many seeds a plain test run tries.
const SEEDS: u64 = 3_200;
/// How many operations of a failed history are shown as they were.
const TAIL: usize = 30;
/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// What many histories have shown.
#[derive(Default)]
struct Sums {
    seeds: u64,
    ops: u64,
    actions: u64,
    marks: Marks,
    most_held: u64,
}

impl Sums {
    fn add(&mut self, history: &History, outcome: &Outcome) {
        self.seeds += 1;
        self.ops += history.ops.len() as u64;
        self.actions += outcome.transcript.len() as u64;
        self.marks.add(&outcome.marks);
        self.most_held = self.most_held.max(outcome.most_held);
    }

    fn join(mut self, other: &Self) -> Self {
        self.seeds += other.seeds;
        self.ops += other.ops;
        self.actions += other.actions;
        self.marks.add(&other.marks);
        self.most_held = self.most_held.max(other.most_held);
        self
    }
}

/// Seeds that threads take one by one, in order.
struct Queue {
    next: AtomicU64,
    end: u64,
    /// When no other is begun.
    until: Option<Instant>,
    ops: AtomicU64,
    failed: AtomicBool,
}

impl Queue {
    fn new(seeds: &Range<u64>) -> Self {
        Self {
            next: AtomicU64::new(seeds.start),
            end: seeds.end,
            until: number("HEADCOUNT_SECONDS").map(|it| Instant::now() + Duration::from_secs(it)),
            ops: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    fn take(&self) -> Option<u64> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return None;
        }
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        (seed < self.end && !self.failed.load(Ordering::Relaxed)).then_some(seed)
    }

    /// Runs what is there until somebody finds a failure; what was seen, and the failing seed.
    fn work(&self) -> (Sums, Option<(u64, Failure)>) {
        let mut sums = Sums::default();
        while let Some(seed) = self.take() {
            let history = History::from_seed(seed);
            match history.run() {
                Ok(outcome) => sums.add(&history, &outcome),
                Err(failure) => {
                    self.failed.store(true, Ordering::Relaxed);
                    return (sums, Some((seed, failure)));
                }
            }
            self.ops.fetch_add(history.ops.len() as u64, Ordering::Relaxed);
        }
        (sums, None)
    }

    /// Tells how far it is, for those who wait.
    fn report(&self, began: Instant) {
        let (ops, seconds) = (self.ops.load(Ordering::Relaxed), began.elapsed().as_secs());
        let next = self.next.load(Ordering::Relaxed).min(self.end);
        let speed = ops / seconds.max(1);
        eprintln!("seed {next} of {}: {ops} operations in {seconds} s, {speed} a second", self.end);
    }
}

/// Runs all seeds; panics with all that is needed to see the first failure again.
fn run_all(seeds: &Range<u64>) -> Sums {
    let (queue, began) = (Queue::new(seeds), Instant::now());
    let (sums, failures) = std::thread::scope(|scope| {
        // Closed when the last worker is done.
        let (working, done) = mpsc::channel::<()>();
        let start = |_| {
            let (working, queue) = (working.clone(), &queue);
            scope.spawn(move || {
                let _working = working;
                queue.work()
            })
        };
        let workers: Vec<_> = (0..threads()).map(start).collect();
        drop(working);
        while done.recv_timeout(PROGRESS) == Err(RecvTimeoutError::Timeout) {
            queue.report(began);
        }
        let results = workers.into_iter().map(|worker| worker.join().expect("no panic of its own"));
        results.fold((Sums::default(), Vec::new()), |(sums, mut failures), (more, failure)| {
            failures.extend(failure);
            (sums.join(&more), failures)
        })
    });
    // Whoever took a lower seed has finished it: the lowest failure is the same each time.
    if let Some((seed, failure)) = failures.into_iter().min_by_key(|(seed, _)| *seed) {
        fail(seed, &failure);
    }
    sums
}

/// Shows a failure.
fn fail(seed: u64, failure: &Failure) -> ! {
    let history = History::from_seed(seed);
    let (config, population) = history.settings();
    eprintln!("{config:#?} {population:?}");
    eprintln!("the last operations:");
    let tail = failure.begun.saturating_sub(TAIL);
    for (number, op) in history.ops[..failure.begun].iter().enumerate().skip(tail) {
        eprintln!("{number:5} {op:?}");
    }
    if number("HEADCOUNT_SHRINK") != Some(0) {
        eprintln!("the same failure without what it does not need, for a file in tests/traces:");
        eprintln!("\n# {}\n{}", failure.wrong, history.shrunk(failure));
    }
    panic!(
        "seed {seed}, operation {}: {}\n\
         again: HEADCOUNT_SEED={seed} cargo test --test swarm histories",
        failure.begun.saturating_sub(1),
        failure.wrong
    );
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn threads() -> usize {
    let available = std::thread::available_parallelism().map_or(1, NonZero::get);
    number("HEADCOUNT_THREADS").map_or(available, |threads| threads.max(1) as usize)
}

fn seeds() -> Range<u64> {
    if let Some(seed) = number("HEADCOUNT_SEED") {
        return seed..seed + 1;
    }
    let first = number("HEADCOUNT_FIRST").unwrap_or(0);
    first..first + number("HEADCOUNT_SEEDS").unwrap_or(SEEDS)
}

#[test]
fn histories_agree_with_the_model() {
    if std::env::var_os("HEADCOUNT_SURVEY").is_some() {
        return survey();
    }
    let (seeds, began) = (seeds(), Instant::now());
    let sums = run_all(&seeds);
    for (mark, count) in sums.marks.iter() {
        println!("{count:10} {mark}");
    }
    let Sums { seeds: run, ops, actions, marks, most_held } = sums;
    eprintln!(
        "{run} seeds from {} on: {ops} operations, {actions} actions, no disagreement; \
         {most_held} bytes held at most; {} s on {} threads",
        seeds.start,
        began.elapsed().as_secs(),
        threads()
    );
    assert!(most_held > 0, "nothing was counted");
    // A change of the weights must not lose sight of what is rare.
    if run >= SEEDS {
        assert!(marks.missing().is_empty(), "never seen: {:#?}", marks.missing());
    }
}

#[test]
fn the_same_seed_gives_the_same_actions() {
    for seed in 0..SEEDS / 10 {
        let [first, second] = [(); 2].map(|()| History::from_seed(seed).run());
        let transcripts = [first, second].map(|outcome| outcome.map(|it| it.transcript));
        assert_eq!(transcripts[0], transcripts[1], "seed {seed}");
    }
}

#[test]
fn the_end_of_time_is_an_instant_like_others() {
    for seed in 0..SEEDS / 10 {
        let history = History::from_seed(seed);
        let mut world = history.world();
        let mut steps = history.ops.iter().take(100).map(|op| world.apply(op));
        let outcome = steps.try_for_each(|step| step).and_then(|()| world.at_the_end_of_time());
        outcome.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

/// Goes on after failures, and counts them by kind.
fn survey() {
    let mut kinds: BTreeMap<String, (u32, u64, Failure)> = BTreeMap::new();
    for seed in seeds() {
        if let Err(failure) = History::from_seed(seed).run() {
            kinds.entry(failure.kind()).or_insert((0, seed, failure)).0 += 1;
        }
    }
    for (count, seed, Failure { begun, wrong }) in kinds.values() {
        println!("{count:6} times, first in seed {seed}, operation {begun}: {wrong}");
    }
    assert!(kinds.is_empty(), "{} kinds of failure", kinds.len());
}
