//! A registry and its model that live through the inputs of another registry, as a journal has them: real
//! names, real configurations, any number of connections.
//!
//! What each call returns, each action and each notice are compared at once. All that can be read of the
//! registry is compared now and then, so that the comparisons cost no more than the inputs do; or more
//! often, from an input that is chosen on: there a disagreement that showed in such a comparison is found
//! again, nearer to the input that made it.

use headcount::{Config, Input, Registry, Timestamp};

use super::seen::Seen;
use super::settings::{Population, with_tick_budget};
use super::world::World;
use super::{Check, caught, ensure};

/// So many inputs lie between two comparisons of everything in a small world. In a large one as many as it
/// has parts.
const SELDOM: u64 = 64;

/// Why a recording is not what the model expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// What disagrees, as a sentence.
    pub wrong: String,
    /// How many inputs there were when everything agreed last. It is the input after that, or a later one.
    pub agreed: u64,
}

/// A world that lives through what was recorded.
#[derive(Debug)]
pub struct Recorded {
    world: World,
    /// The configuration that the recorded registry began with.
    began: Config,
    inputs: u64,
    /// From this input on everything is compared after each so many.
    closely: (u64, u64),
    /// How many inputs there were when everything was compared last.
    compared: u64,
}

impl Recorded {
    /// A registry that began with this configuration, and its model. From an input on, counted from 1,
    /// everything is compared after each so many inputs at least: `closely` is the two numbers.
    #[must_use]
    pub fn new(began: &Config, closely: (u64, u64)) -> Self {
        let world = World::new(with_tick_budget(began, began, 1), Population::default());
        Self { world, began: began.clone(), inputs: 0, closely, compared: 0 }
    }

    /// An input and its stamp. `recorded` is the registry that has done it already.
    ///
    /// # Errors
    /// The registry and the model disagree. Nothing more can be said then.
    pub fn input(
        &mut self,
        at: Timestamp,
        input: Input<'_>,
        recorded: &Registry,
    ) -> Result<(), Disagreement> {
        self.step(|it| match input {
            Input::Tick => it.tick(at, recorded),
            Input::Reload { config } => {
                // How many of those that closed are remembered depends on what holds when they do.
                it.compare()?;
                let config = with_tick_budget(config, &it.began, 1);
                it.world.input(at, Input::Reload { config: &config })?;
                it.compare()
            }
            other => it.world.input(at, other),
        })
    }

    /// So many actions were polled, and these came out.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn polled(&mut self, count: u64, actions: &[Seen]) -> Result<(), Disagreement> {
        self.step(|it| {
            let mut actions = actions.iter();
            for _ in 0..count {
                let seen = it.world.poll_one()?;
                let recorded = actions.next();
                ensure!(
                    recorded == seen.as_ref(),
                    "polled {}, and {} where each tick acts on one deadline",
                    Seen::brief(recorded),
                    Seen::brief(seen.as_ref())
                );
                if seen.is_none() && !it.world.registry().has_actions() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// So many notices were polled.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn noticed(&mut self, count: u64) -> Result<(), Disagreement> {
        self.step(|it| {
            let mut left = 0..count;
            while left.next().is_some() && it.world.notice()? {}
            Ok(())
        })
    }

    /// The recording ends: everything is compared once more.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn finish(mut self) -> Result<(), Disagreement> {
        caught(|| self.compare()).map_err(|wrong| Disagreement { wrong, agreed: self.compared })
    }

    fn step(&mut self, what: impl FnOnce(&mut Self) -> Check) -> Result<(), Disagreement> {
        self.inputs += 1;
        let mut done = caught(|| what(self));
        let (from, every) = self.closely;
        let seldom = SELDOM + self.world.parts();
        let most = if self.inputs >= from { every.min(seldom) } else { seldom };
        if done.is_ok() && self.inputs - self.compared >= most {
            done = caught(|| self.compare());
        }
        done.map_err(|wrong| Disagreement { wrong, agreed: self.compared })
    }

    fn compare(&mut self) -> Check {
        self.world.compare_all()?;
        self.world.forget_gone();
        self.compared = self.inputs;
        Ok(())
    }

    /// The registry of the recording may have acted on as many deadlines in one tick as its budget allows.
    /// What it left for the next tick is left here, too.
    fn tick(&mut self, at: Timestamp, recorded: &Registry) -> Check {
        let now = at.max(self.world.model.now);
        let is_due =
            |it: &Registry| it.poll_timeout().is_some_and(|at| at.as_millis() <= now.as_millis());
        if !is_due(self.world.registry()) {
            self.world.tick_idly(at);
            return Ok(());
        }
        let left_some = is_due(recorded);
        let budget = recorded.config().tick_budget();
        self.world.tick_until((at, budget), |it| left_some && looks_like(it, recorded))
    }
}

/// Whether the world's registry has acted on as many deadlines as another one, as far as one sees.
fn looks_like(world: &World, other: &Registry) -> bool {
    let conns = |it: &'_ Registry| {
        let conns = it.connections(None);
        conns.map(|it| (it.id(), it.state(), it.next(), it.load())).collect::<Vec<_>>()
    };
    let lingering = |it: &Registry| {
        let runs = it.sessions(None).flat_map(|session| session.runs());
        runs.filter(|run| run.lingers_until().is_some()).count()
    };
    let online = |it: &Registry| {
        let users = world.names_of_users();
        users.filter(|user| it.user(user).is_some_and(|user| user.is_online())).count()
    };
    let one = world.registry();
    one.stats() == other.stats()
        && one.has_actions() == other.has_actions()
        && conns(one) == conns(other)
        && online(one) == online(other)
        && lingering(one) == lingering(other)
}
