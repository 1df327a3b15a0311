//! Random histories against the model: many seeds, each with a configuration and weights of its own.
//!
//! * `HEADCOUNT_SEEDS=100000 cargo test --release --test swarm` tries more of them,
//! * `HEADCOUNT_FIRST=5000` begins there, `HEADCOUNT_SEED=17` tries one,
//! * `HEADCOUNT_SHRINK=0` does not look for the smallest history that fails in the same way,
//! * `HEADCOUNT_SURVEY=1 cargo test --test swarm -- --nocapture` goes on after failures and counts
//!   them by kind.

mod harness;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use harness::generate::Generator;
use harness::marks::Marks;
use harness::op::Op;
use harness::rng::Rng;
use harness::settings::{self, Population};
use harness::world::World;
use headcount::{CloseReason, Config, Inbound, Message, Target, Timestamp};

/// How many seeds a plain test run tries.
const SEEDS: u64 = 400;
/// How many operations of a failed history are shown.
const TAIL: usize = 30;

/// Everything that a seed decides.
struct Case {
    config: Config,
    population: Population,
    ops: Vec<Op>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (config, population) = settings::random(&mut rng);
        let count = rng.pick(&[20, 100, 200, 400]);
        let mut generator = Generator::new(rng);
        let ops = (0..count).map(|_| generator.next()).collect();
        Self { config, population, ops }
    }

    /// The world at its end; or how many operations it took to fail, and how.
    fn run(&self, ops: &[Op]) -> Result<World, (usize, String)> {
        let mut done = 0;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(self.config.clone(), self.population);
            for op in ops {
                done += 1;
                world.apply(op)?;
            }
            world.wind_up().map_err(|wrong| format!("while winding up: {wrong}"))?;
            Ok(world)
        }));
        match outcome {
            Ok(outcome) => outcome.map_err(|wrong| (done, wrong)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).into()));
                Err((done, format!("it panicked: {}", text.unwrap_or_default())))
            }
        }
    }

    /// Leaves out operations as long as it still fails in the same way.
    fn shrink(&self, mut ops: Vec<Op>, wrong: &str) -> Vec<Op> {
        let kind = kind_of(wrong);
        let mut chunk = ops.len() / 2;
        while chunk > 0 {
            let mut start = 0;
            while start < ops.len() {
                let mut fewer = ops.clone();
                fewer.drain(start..(start + chunk).min(ops.len()));
                match self.run(&fewer) {
                    Err((done, wrong)) if kind_of(&wrong) == kind => {
                        fewer.truncate(done);
                        ops = fewer;
                    }
                    _ => start += chunk,
                }
            }
            chunk /= 2;
        }
        ops
    }
}

/// The message without the numbers, handles and names in it.
fn kind_of(wrong: &str) -> String {
    let words = wrong.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic));
    words.take(9).collect::<Vec<_>>().join(" ")
}

/// Runs a history; panics with all that is needed to see it again.
fn run(seed: u64) -> (World, Vec<Op>) {
    let case = Case::new(seed);
    let (done, wrong) = match case.run(&case.ops) {
        Ok(world) => return (world, case.ops),
        Err(failure) => failure,
    };
    eprintln!("{:#?} {:?}", case.config, case.population);
    let tail = done.saturating_sub(TAIL);
    eprintln!("the last operations:");
    for (number, op) in case.ops[..done].iter().enumerate().skip(tail) {
        eprintln!("{number:5} {op:?}");
    }
    if number("HEADCOUNT_SHRINK") != Some(0) {
        eprintln!("the same failure, without what it does not need:");
        for op in case.shrink(case.ops[..done].to_vec(), &wrong) {
            eprintln!("      {op:?}");
        }
    }
    panic!(
        "seed {seed}, operation {}: {wrong}\n\
         again: HEADCOUNT_SEED={seed} cargo test --test swarm histories",
        done.saturating_sub(1)
    );
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn seeds() -> std::ops::Range<u64> {
    let first = number("HEADCOUNT_FIRST").unwrap_or(0);
    first..first + number("HEADCOUNT_SEEDS").unwrap_or(SEEDS)
}

#[test]
fn histories_agree_with_the_model() {
    if std::env::var_os("HEADCOUNT_SURVEY").is_some() {
        return survey();
    }
    if let Some(seed) = number("HEADCOUNT_SEED") {
        run(seed);
        return;
    }
    let (mut ops, mut actions, mut marks) = (0, 0, Marks::default());
    for seed in seeds() {
        let (world, history) = run(seed);
        ops += history.len();
        actions += world.transcript.len();
        marks.add(&world.model.marks);
    }
    println!("{ops} operations, {actions} actions, {marks:#?}");
    // A change of the weights must not lose sight of what is rare.
    if seeds().count() as u64 >= SEEDS {
        assert!(marks.missing().is_empty(), "never seen: {:#?}", marks.missing());
    }
}

#[test]
fn the_same_seed_gives_the_same_actions() {
    for seed in 0..SEEDS / 10 {
        assert_eq!(run(seed).0.transcript, run(seed).0.transcript, "seed {seed}");
    }
}

/// Deadlines saturate there, so the model has nothing to say; nothing may overflow either.
#[test]
fn the_end_of_time_is_an_instant_like_others() {
    let end = Timestamp::MAX;
    for seed in 0..SEEDS / 10 {
        let case = Case::new(seed);
        let mut world = World::new(case.config, case.population);
        for op in case.ops.iter().take(100) {
            world.apply(op).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        }
        let (names, registry) = (&world.names, &mut world.registry);
        let room = Target::Room(&names.rooms[0]);
        for conn in &world.conns {
            let _ = registry.message(end, *conn, Inbound::Data { bytes: 1 });
            let _ = registry.reply(end, *conn, Message::text("late"));
            let _ = registry.join(end, *conn, &names.rooms[0], None);
            let _ = registry.send(end, room, Message::text("later"));
            while registry.poll_action().is_some() {}
            let _ = registry.flushed(end, *conn, u64::MAX);
            registry.tick(end);
            registry.check().unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        }
        let _ = registry.reserve(end);
        registry.close(end, Target::Everyone, CloseReason::Restart);
        while registry.poll_action().is_some() {}
        registry.tick(end);
        registry.check().unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    }
}

/// Goes on after failures, and counts them by kind.
fn survey() {
    let mut kinds: BTreeMap<String, (u32, u64, String)> = BTreeMap::new();
    for seed in seeds() {
        let case = Case::new(seed);
        if let Err((done, wrong)) = case.run(&case.ops) {
            let example = format!("operation {done}: {wrong}");
            let entry = kinds.entry(kind_of(&wrong)).or_insert((0, seed, example));
            entry.0 += 1;
        }
    }
    for (count, seed, example) in kinds.values() {
        println!("{count:6} times, first in seed {seed}, {example}");
    }
    assert!(kinds.is_empty(), "{} kinds of failure", kinds.len());
}
