//! Histories for [`proptest`]: `any::<History>()`.
//!
//! They shrink as those of other drivers do, by [`Shrinker`]: stretches of operations go before single
//! ones, so that a history of hundreds of operations comes down to a handful in a few hundred runs. A
//! strategy for each operation in a `Vec` would take away one operation at a time.

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::Rng as _;
use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::history::History;
use super::shrink::Shrinker;

/// How many bytes an operation takes, about.
const BYTES_PER_OP: usize = 16;
/// How many operations are made of bytes, at most.
const LONGEST: usize = 200;

/// The strategy of [`History`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Histories;

impl Strategy for Histories {
    type Tree = Shrinking;
    type Value = History;

    /// Half of them are those of a seed, with weights of their own; in the others each kind of
    /// operation is as likely as any other.
    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let rng = runner.rng();
        let history = if rng.next_u32().is_multiple_of(2) {
            History::from_seed(rng.next_u64())
        } else {
            let mut bytes = vec![0; BYTES_PER_OP * (1 + rng.next_u32() as usize % LONGEST)];
            rng.fill_bytes(&mut bytes);
            History::arbitrary_take_rest(Unstructured::new(&bytes)).map_err(|it| it.to_string())?
        };
        Ok(Shrinking(Shrinker::new(history)))
    }
}

impl proptest::arbitrary::Arbitrary for History {
    type Parameters = ();
    type Strategy = Histories;

    fn arbitrary_with((): ()) -> Histories {
        Histories
    }
}

/// A history that may become smaller.
#[derive(Clone, Debug)]
pub struct Shrinking(Shrinker);

impl ValueTree for Shrinking {
    type Value = History;

    fn current(&self) -> History {
        self.0.current().clone()
    }

    /// The current one fails.
    fn simplify(&mut self) -> bool {
        self.0.keep(usize::MAX);
        self.0.next().is_some()
    }

    /// The current one does not.
    fn complicate(&mut self) -> bool {
        self.0.leave();
        self.0.next().is_some()
    }
}
