//! All histories over an alphabet, breadth first, with the states that they share explored once.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use headcount::Config;
use headcount_harness::Check;
use headcount_harness::marks::Marks;
use headcount_harness::op::Op;
use headcount_harness::settings::Population;
use headcount_harness::world::World;

/// What may happen at one time: an operation, or a few that make sense together only.
pub(crate) type Letter = Vec<Op>;

/// A small world: where its histories begin, and what may happen in it.
pub(crate) struct Alphabet {
    pub(crate) name: &'static str,
    pub(crate) config: Config,
    pub(crate) population: Population,
    /// What has happened before every history.
    pub(crate) before: Letter,
    pub(crate) letters: Vec<Letter>,
    /// The situations that it is there for, by the length of history that has come to them.
    pub(crate) seen: Vec<(usize, &'static [&'static str])>,
}

/// A world, and how many operations of each letter were done to come there.
#[derive(Clone)]
struct State {
    world: World,
    done: Vec<u64>,
}

impl State {
    /// Does what a letter says. Notices are polled at once: each is checked, and none of the past is
    /// left to tell two states apart.
    fn take(&mut self, number: usize, letter: &Letter) -> Check {
        let Self { world, done } = self;
        // A payload has the number of its letter, so that it does not show in which order different
        // letters came.
        world.forget_past((number as u64) << 16 | done[number]);
        done[number] += letter.len() as u64;
        for op in letter {
            world.apply(op)?;
            world.apply(&Op::Notices { count: u8::MAX })?;
        }
        Ok(())
    }
}

/// A state that was reached for the first time: where from, and by which letter. The history that led
/// there is one of the shortest.
#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    letter: u8,
}

/// What was found in the end.
#[derive(Default)]
pub(crate) struct Findings {
    /// How many states were reached first by histories of each length.
    pub(crate) states: Vec<usize>,
    /// How many letters were tried, and by how many operations.
    pub(crate) tried: u64,
    pub(crate) operations: u64,
    pub(crate) marks: Marks,
    /// How many ends were tried.
    pub(crate) ends: usize,
}

/// A history after which something is wrong.
pub(crate) struct Failure {
    /// How many letters it has.
    pub(crate) length: usize,
    /// What happened before it, and its letters, as operations.
    pub(crate) history: Vec<Op>,
    pub(crate) wrong: String,
}

/// The root is no state's letter.
const ROOT: Node = Node { parent: 0, letter: u8::MAX };

pub(crate) struct Explorer<'a> {
    alphabet: &'a Alphabet,
    nodes: Vec<Node>,
    seen: HashSet<u64>,
    /// States with nothing to do but wait whose end was tried.
    ended: HashSet<u64>,
    /// The worlds on the way to the state that was built last, the root's first: neighbours share
    /// most of it.
    path: Vec<(u32, State)>,
    /// Where asked for: each state by its fingerprint, to be compared with those that have the same.
    kept: Option<HashMap<u64, World>>,
    /// How often each of the first letters may come in a history; empty: any number of times.
    most: &'a [u64],
    findings: Findings,
}

impl<'a> Explorer<'a> {
    pub(crate) fn new(alphabet: &'a Alphabet) -> Self {
        assert!((1..=13).contains(&alphabet.letters.len()), "thirteen letters at most");
        Self {
            alphabet,
            nodes: vec![ROOT],
            seen: HashSet::new(),
            ended: HashSet::new(),
            path: Vec::new(),
            kept: None,
            most: &[],
            findings: Findings::default(),
        }
    }

    /// Looks whether what is followed once ends alike: slow, and a world is kept for each state.
    pub(crate) fn doubting(alphabet: &'a Alphabet) -> Self {
        Self { kept: Some(HashMap::new()), ..Self::new(alphabet) }
    }

    /// Bounds how often each of the first letters comes in a history. Where those are all that lead ever
    /// further, such as arrivals, messages and time, there is an end of new states.
    pub(crate) fn with_at_most(alphabet: &'a Alphabet, most: &'a [u64]) -> Self {
        Self { most, ..Self::new(alphabet) }
    }

    /// Tries all histories of up to so many letters, the short ones first, or of any length if no new state
    /// comes before.
    pub(crate) fn explore(mut self, length: usize) -> Result<Findings, Failure> {
        let root = self.begin()?;
        self.seen.insert(self.key(&root));
        self.path.push((0, root));
        let mut frontier: Range<usize> = 0..1;
        while !frontier.is_empty() && self.findings.states.len() < length {
            for node in frontier.clone() {
                self.expand(node as u32)?;
            }
            frontier = frontier.end..self.nodes.len();
            self.findings.states.push(frontier.len());
        }
        self.findings.ends = self.ended.len();
        Ok(self.findings)
    }

    fn begin(&self) -> Result<State, Failure> {
        let Alphabet { config, population, before, letters, .. } = self.alphabet;
        let world = World::new(config.clone(), *population);
        let mut root = State { world, done: vec![0; letters.len() + 1] };
        let taken = attempt(|| root.take(letters.len(), before));
        taken.map_err(|wrong| self.failure(0, None, wrong))?;
        Ok(root)
    }

    /// Tries every letter after a state, and an end after each state that is new.
    fn expand(&mut self, node: u32) -> Result<(), Failure> {
        let state = self.rebuild(node)?;
        let before = state.world.fingerprint();
        for (number, letter) in self.alphabet.letters.iter().enumerate() {
            if self.most.get(number).is_some_and(|most| self.times(&state, number) >= *most) {
                continue;
            }
            let mut next = state.clone();
            let taken = attempt(|| next.take(number, letter));
            taken.map_err(|wrong| self.failure(node, Some(letter), wrong))?;
            self.findings.tried += 1;
            self.findings.operations += letter.len() as u64;
            let key = self.key(&next);
            let mut world = next.world;
            self.findings.marks.add(world.marks());
            let fingerprint = world.fingerprint();
            if let Some(kept) = &mut self.kept {
                let first = kept.entry(fingerprint).or_insert_with(|| world.clone()).clone();
                attempt(|| end_alike(first, world.clone()))
                    .map_err(|wrong| self.failure(node, Some(letter), wrong))?;
            }
            // A letter that changes nothing leads nowhere, though it may come less often from there on.
            if fingerprint != before && self.seen.insert(key) {
                self.nodes.push(Node { parent: node, letter: number as u8 });
                attempt(|| self.end(&mut world)).map_err(|wrong| {
                    let wrong = format!("while winding up: {wrong}");
                    self.failure(node, Some(letter), wrong)
                })?;
            }
        }
        Ok(())
    }

    /// How often a letter has come.
    fn times(&self, state: &State, number: usize) -> u64 {
        state.done[number] / self.alphabet.letters[number].len() as u64
    }

    /// What a state is known by: what may come from it depends on how often some letters may still come.
    fn key(&self, state: &State) -> u64 {
        let mut key = DefaultHasher::new();
        state.world.fingerprint().hash(&mut key);
        (0..self.most.len()).for_each(|number| self.times(state, number).hash(&mut key));
        key.finish()
    }

    /// Winds a world up. That begins with polling and flushing, after which many are alike.
    fn end(&mut self, world: &mut World) -> Check {
        world.quiet()?;
        world.apply(&Op::Notices { count: u8::MAX })?;
        if self.ended.insert(world.fingerprint()) {
            world.wind_up()?;
        }
        Ok(())
    }

    /// The world in a state: a clone, so that trying does not change it.
    fn rebuild(&mut self, node: u32) -> Result<State, Failure> {
        let mut way = Vec::new();
        let mut at = node;
        while !self.path.iter().any(|(known, _)| *known == at) {
            way.push(at);
            at = self.nodes[at as usize].parent;
        }
        while self.path.last().is_some_and(|(known, _)| *known != at) {
            self.path.pop();
        }
        for at in way.into_iter().rev() {
            let number = usize::from(self.nodes[at as usize].letter);
            let mut state = self.path[self.path.len() - 1].1.clone();
            let taken = state.take(number, &self.alphabet.letters[number]);
            taken.map_err(|wrong| self.failure(at, None, wrong))?;
            self.path.push((at, state));
        }
        Ok(self.path[self.path.len() - 1].1.clone())
    }

    /// The history that led to a state, and perhaps a letter more.
    fn failure(&self, node: u32, letter: Option<&Letter>, wrong: String) -> Failure {
        let mut letters: Vec<&Letter> = letter.into_iter().collect();
        let mut at = node;
        while at != 0 {
            let Node { parent, letter } = self.nodes[at as usize];
            letters.push(&self.alphabet.letters[usize::from(letter)]);
            at = parent;
        }
        let length = letters.len();
        letters.push(&self.alphabet.before);
        let history = letters.into_iter().rev().flatten().cloned().collect();
        Failure { length, history, wrong }
    }
}

/// Winds up two worlds that are said to be in the same state.
fn end_alike(mut one: World, mut other: World) -> Check {
    for world in [&mut one, &mut other] {
        world.forget_past(0);
        world.wind_up()?;
    }
    match one.transcript() == other.transcript() {
        true => Ok(()),
        false => Err("the same state ends in two ways".into()),
    }
}

/// What is wrong, a panic included.
fn attempt(what: impl FnOnce() -> Check) -> Check {
    catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).into()));
        Err(format!("it panicked: {}", text.unwrap_or_default()))
    })
}
