//! A whole history: its configuration, its operations, and how it ends.

use headcount::Config;

use super::caught;
use super::generator::Generator;
use super::marks::Marks;
use super::op::Op;
use super::rng::Rng;
use super::seen::Seen;
use super::settings::{self, Population};
use super::shrink::Shrinker;
use super::world::World;

/// A history: plain data that says all there is to say about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Which configuration and population, as in [`settings::random`].
    pub configuration: u64,
    /// What happens, in order.
    pub ops: Vec<Op>,
}

/// What a history that went well has shown.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every action that was polled.
    pub transcript: Vec<Seen>,
    /// Rare situations.
    pub marks: Marks,
    /// The most that the registry held at the end of an operation, in bytes; 0 without the
    /// [counting allocator](crate::memory).
    pub most_held: u64,
}

/// Where a history went wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How many operations were begun: the last of them failed, or what comes after all of them.
    pub begun: usize,
    /// What is wrong, as a sentence.
    pub wrong: String,
}

impl Failure {
    /// The sentence without the numbers, handles and names in it: two failures of one kind are
    /// probably the same.
    #[must_use]
    pub fn kind(&self) -> String {
        let words = self.wrong.split_whitespace();
        let words = words.filter(|word| word.chars().all(char::is_alphabetic));
        words.take(9).collect::<Vec<_>>().join(" ")
    }
}

impl History {
    /// The history that a seed stands for: its configuration, and operations with weights of its own.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // Drawn before the operations, so that these are others in each.
        let _ = settings::random(&mut rng);
        let count = rng.pick(&[20, 100, 200, 400]);
        let mut generator = Generator::new(rng);
        let ops = (0..count).map(|_| generator.next_op()).collect();
        Self { configuration: seed, ops }
    }

    /// The configuration, and how many names there are.
    #[must_use]
    pub fn settings(&self) -> (Config, Population) {
        settings::random(&mut Rng::new(self.configuration))
    }

    /// The world before the first operation.
    #[must_use]
    pub fn world(&self) -> World {
        let (config, population) = self.settings();
        World::new(config, population)
    }

    /// Does all of it, and winds up. A panic is a failure like others.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn run(&self) -> Result<Outcome, Failure> {
        let mut begun = 0;
        let outcome = caught(|| {
            let mut world = self.world();
            for op in &self.ops {
                begun += 1;
                world.apply(op)?;
            }
            world.wind_up().map_err(|wrong| format!("while winding up: {wrong}"))?;
            world.into_outcome()
        });
        outcome.map_err(|wrong| Failure { begun, wrong })
    }

    /// The smallest history found that fails in the same way: what is left is needed for it.
    #[must_use]
    pub fn shrunk(&self, failure: &Failure) -> Self {
        let kind = failure.kind();
        let mut smaller = self.clone();
        smaller.ops.truncate(failure.begun);
        let mut shrinker = Shrinker::new(smaller);
        while let Some(candidate) = shrinker.next() {
            match candidate.run() {
                Err(failure) if failure.kind() == kind => shrinker.keep(failure.begun),
                _ => shrinker.leave(),
            }
        }
        shrinker.into_smallest()
    }
}

/// Two bytes choose one of 65,536 configurations, the rest are operations.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for History {
    fn arbitrary(bytes: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        /// Longer histories find little that shorter ones don't, and cost the square.
        const LONGEST: usize = 400;
        let configuration = bytes.arbitrary::<u16>()?.into();
        let ops = bytes.arbitrary_iter()?.take(LONGEST);
        Ok(Self { configuration, ops: ops.collect::<arbitrary::Result<_>>()? })
    }
}
