//! The admission rules of the system that the registry replaces, in a model small enough to check
//! by eye, for the comparison that a scenario may ask for.
//!
//! What mattered for the lock-out: a user's places are counted as *managers*, one for each name that
//! a connect brings along; the end of a socket looks for its manager under a name that was made
//! anew, and does not find it; and a manager is only taken for dead after a time without activity,
//! where everything that is sent to the user counts as activity. So the places of sockets that are
//! long gone stay taken for as long as anything is sent.

use std::collections::BTreeMap;

use crate::queue::Millis;

const MANAGERS_PER_USER: usize = 20;
/// At 60 % of the cap the idle are looked for before a newcomer is admitted.
const PROACTIVE: usize = MANAGERS_PER_USER * 6 / 10;
/// Without activity for so long a manager goes when the cap is reached.
const EMERGENCY_IDLE: Millis = 5 * 60_000;
/// Without activity for so long a manager goes in any case.
const IDLE: Millis = 30 * 60_000;

/// Each user's managers, as the instants of their last activity.
#[derive(Default)]
pub(crate) struct OldRules {
    users: BTreeMap<u32, Vec<Millis>>,
    pub(crate) refused: u64,
    /// How often clean-up found nothing to clean at the cap.
    pub(crate) cleaned_in_vain: u64,
}

impl OldRules {
    /// Whether a connect is let in.
    pub(crate) fn connect(&mut self, now: Millis, user: u32) -> bool {
        let managers = self.users.entry(user).or_default();
        if managers.len() >= PROACTIVE {
            managers.retain(|active| now - active < IDLE);
        }
        if managers.len() >= MANAGERS_PER_USER {
            managers.retain(|active| now - active < EMERGENCY_IDLE);
            if managers.len() >= MANAGERS_PER_USER {
                self.cleaned_in_vain += 1;
                self.refused += 1;
                return false;
            }
        }
        managers.push(now);
        true
    }

    /// A message to a user is activity of all of their managers, whether it is read or not.
    pub(crate) fn send(&mut self, now: Millis, user: u32) {
        if let Some(managers) = self.users.get_mut(&user) {
            managers.fill(now);
        }
    }

    /// How many places are taken.
    pub(crate) fn managers(&self) -> u32 {
        self.users.values().map(|managers| managers.len() as u32).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_out() {
        let mut rules = OldRules::default();
        for at in 0..20 {
            assert!(rules.connect(at * 30_000, 1));
            rules.send(at * 30_000, 1);
        }
        // All twenty sockets may be long gone.
        for at in 20..100 {
            rules.send(at * 30_000, 1);
            assert!(!rules.connect(at * 30_000, 1));
        }
        assert!(rules.connect(0, 2), "another user");
        // A client gets in again only after five minutes in which nothing is sent.
        assert!(rules.connect(99 * 30_000 + EMERGENCY_IDLE, 1));
        assert_eq!((rules.refused, rules.cleaned_in_vain), (80, 80));
    }
}
