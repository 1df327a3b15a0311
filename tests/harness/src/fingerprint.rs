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

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::marks::Marks;
use super::model::Model;
use super::model::conn::Conn;
use super::model::{MassClose, Session};
use super::world::World;

impl World {
    /// A number for the state that it is in: two worlds with the same one go on alike.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut state = DefaultHasher::new();
        let Self { registry, model, grammar, names: _, now, skew, conns, sessions, .. } = self;
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
        let Self { now, streams, runs, run_number, run_ended, payments, announcements, .. } = self;
        (now, streams, runs, run_number, run_ended, payments, announcements).hash(state);
        let Self {
            bucket,
            own_rates,
            pressure,
            drain,
            absent,
            counts_at_reload,
            notices,
            epochs,
            ..
        } = self;
        (bucket, own_rates, pressure, drain, absent, counts_at_reload, notices, epochs).hash(state);
        // Which operation closed it matters in its order only.
        let closers: BTreeSet<_> = self.conns.values().map(|conn| conn.closed_by).collect();
        for conn in self.conns.values() {
            let closed_by = closers.range(..conn.closed_by).count() as u64;
            Conn { closed_by, ..conn.clone() }.hash(state);
        }
        // These are compared with the operation at hand, and any of before is another.
        for (id, session) in &self.sessions {
            (id, Session { left_by: 0, ..session.clone() }).hash(state);
        }
        for mass_close in &self.mass_closes {
            let begun_in = mass_close.begun_in.map(|_| 0);
            MassClose { begun_in, ..mass_close.clone() }.hash(state);
        }
    }
}
