//! Halves of characters that wait: which text of a run, or thoughts, ended with the first half of a surrogate
//! pair. [`Report::after`](headcount_protocol::admin::report::Report::after) has the rule.

use std::collections::HashMap;

use headcount::{Registry, RunEvent, RunId, UserId};
use headcount_protocol::admin::Halves;

/// The halves that wait, of all open runs: at most one of each part of a run, and one of its thoughts.
#[derive(Default)]
pub(crate) struct Waiting {
    by_run: HashMap<(UserId, RunId), Halves>,
}

impl Waiting {
    pub(crate) fn of(&self, user: &UserId, run: &RunId) -> Halves {
        // Runs for which nothing waits are the rule, and their names need not be copied.
        if self.by_run.is_empty() {
            return Halves::default();
        }
        self.by_run.get(&(user.clone(), run.clone())).cloned().unwrap_or_default()
    }

    /// What waits from now on.
    pub(crate) fn set(
        &mut self,
        registry: &mut Registry,
        user: &UserId,
        run: &RunId,
        halves: Halves,
    ) {
        if halves == Halves::default() {
            if !self.by_run.is_empty() {
                self.by_run.remove(&(user.clone(), run.clone()));
            }
            return;
        }
        // The registry ends runs by itself, and this table is not told.
        if self.by_run.len() >= 64 + 2 * registry.stats().runs as usize {
            self.by_run.retain(|(user, run), _| is_open(registry, user, run));
        }
        self.by_run.insert((user.clone(), run.clone()), halves);
    }
}

fn is_open(registry: &Registry, user: &UserId, run: &RunId) -> bool {
    registry.run(user, run).is_some_and(|run| run.end().is_none())
}

/// Whether the run could end with this event, so that nothing goes on in its text.
pub(crate) fn ends(
    registry: &mut Registry,
    user: &UserId,
    run: &RunId,
    event: &RunEvent<'_>,
) -> bool {
    let run = registry.run(user, run);
    run.is_some_and(|run| {
        run.end().is_none()
            && match event {
                RunEvent::Completed(_) => run.calls().next().is_none(),
                RunEvent::Failed(_) | RunEvent::Cancelled(_) | RunEvent::Interrupted(_) => true,
                _ => false,
            }
    })
}
