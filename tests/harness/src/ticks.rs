//! Ticks. The budget of each is one, so that each acts on one deadline, and the model sees which.

use headcount::Timestamp;

use super::world::World;
use super::{Check, ensure};

impl World {
    /// Ticks at the instant that the model has reached until nothing is due, or until the registry is as it
    /// shall be, with what is compared after each deadline.
    pub(crate) fn tick(
        &mut self,
        mut at: Timestamp,
        is_over: impl Fn(&Self) -> bool,
        compare: fn(&mut Self) -> Check,
    ) -> Check {
        let now = self.model.now;
        let model = &self.model;
        let known =
            model.conns.len() + model.sessions.len() + model.streams.len() + model.runs.len();
        // Each has a deadline or two, and may have a stale one beside it; so may others that have gone.
        let mut left = 1_000 + 8 * known;
        loop {
            self.registry.call(|it| it.tick(at));
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
        self.registry.call(|it| it.tick(now));
        self.model.ticked();
        Ok(())
    }
}
