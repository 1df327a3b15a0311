//! Whether two histories have led to the same state, so that what follows one need not be tried after
//! the other.
//!
//! The state is all that the registry, the model and the checker of the outputs may ever decide by.
//! What is left out, and why nothing is overlooked by it:
//!
//! * sums that only grow, in the registry and in the model: neither reads its own, and each step is
//!   checked to change both alike;
//! * how many operations and messages there were: numbers are only compared with each other, and the
//!   payload of the next message is one that no message had before;
//! * what was seen and polled so far, which nobody asks for again.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::marks::Marks;
use super::model::Model;
use super::world::World;

impl World {
    /// A number for the state that it is in: two worlds with the same one go on alike.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut state = DefaultHasher::new();
        let Self { registry, model, grammar, now, skew, conns, sessions, .. } = self;
        (registry.fingerprint(), model, grammar, now, skew, conns, sessions).hash(&mut state);
        state.finish()
    }

    /// Forgets what was polled and met so far, which decides nothing. Payloads are numbered from
    /// `payloads` on: of two messages with the same number and length only one may be made in a
    /// history.
    pub fn forget_past(&mut self, payloads: u64) {
        self.transcript.clear();
        self.model.marks = Marks::default();
        self.payloads = payloads;
    }
}

impl Hash for Model {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The configuration is that of the registry; `promised` is read before it is looked at.
        let Self { now, streams, runs, run_number, waiting, evictable, .. } = self;
        (now, streams, runs, run_number, waiting, evictable).hash(state);
        let Self { bucket, own_rates, pressure, drain, absent, counts_at_reload, .. } = self;
        (bucket, own_rates, pressure, drain, absent, counts_at_reload).hash(state);
        (&self.presence, &self.forgotten).hash(state);
        let Self { conns, open_of, going_of, closing, sessions, epochs, .. } = self;
        (conns, open_of, going_of, closing, sessions, epochs).hash(state);
        for notice in &self.notices {
            format!("{notice:?}").hash(state);
        }
    }
}
