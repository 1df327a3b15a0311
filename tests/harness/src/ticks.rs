//! Ticks. The budget of each is one, so that each acts on one deadline, and the model sees which.

use headcount::Timestamp;

use super::world::World;
use super::{Check, ensure};

impl World {
    /// A tick of another registry with this budget, in steps: until nothing is due, or until this one is as
    /// it shall be.
    pub(crate) fn tick_until(
        &mut self,
        (at, budget): (Timestamp, u32),
        is_over: impl Fn(&Self) -> bool,
    ) -> Check {
        self.learn(at)?;
        self.model.clock(at, self.registry.poll_timeout());
        self.tick((at, budget), is_over, |it| it.learn(it.model.now))
    }

    /// What decides which deadline acts next: what the registry says of those that may be due then, and
    /// which runs have one.
    fn learn(&mut self, at: Timestamp) -> Check {
        self.model.forget_runs();
        self.model.learn_changed(&self.registry, at)
    }

    /// A tick when nothing is due.
    pub(crate) fn tick_idly(&mut self, at: Timestamp) {
        self.model.clock(at, self.registry.poll_timeout());
        self.registry.call(|it| it.tick(at));
        self.model.ticked();
    }

    /// The same at the instant that the model has reached, with what is compared after each deadline.
    pub(crate) fn tick(
        &mut self,
        (mut at, budget): (Timestamp, u32),
        is_over: impl Fn(&Self) -> bool,
        compare: fn(&mut Self) -> Check,
    ) -> Check {
        let now = self.model.now;
        let mut ticks = 0;
        let model = &self.model;
        let known =
            model.conns.len() + model.sessions.len() + model.streams.len() + model.runs.len();
        // Each has a deadline or two, and may have a stale one beside it; so may others that have gone.
        let mut left = 1_000 + 8 * known;
        loop {
            self.registry.call(|it| it.tick(at));
            ticks += 1;
            let runs = self.model.shown_runs(&self.registry);
            let has_acted = self.model.tick(&self.registry, &runs)?;
            if self.registry.poll_timeout().is_none_or(|at| at.as_millis() > now.as_millis()) {
                break;
            }
            if has_acted {
                compare(self)?;
            } else {
                left -= 1;
                ensure!(left > 0, "ticks at {now:?} do nothing, and there is still something due");
            }
            if is_over(self) {
                return Ok(());
            }
            at = now;
        }
        // One that has used up its budget has not looked whether more is due: what comes to be due in the
        // past has another order then.
        if ticks < budget {
            self.registry.call(|it| it.tick(now));
            self.model.ticked();
        }
        Ok(())
    }
}
