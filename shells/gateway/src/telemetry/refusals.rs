//! Clients and calls that were not admitted, by reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Reasons that are told apart. There are fewer; the bound is for mistakes of this program.
const REASONS: usize = 64;

/// How often each reason was given. Codes are this program's own words, never a client's.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<String, u64>>);

impl Refusals {
    /// Counts one.
    pub(crate) fn count(&self, code: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(code) {
            *count += 1;
            return;
        }
        let code = if counts.len() < REASONS { code } else { "other" };
        *counts.entry(code.to_owned()).or_default() += 1;
    }

    /// How often so far, in the order of the codes.
    pub(crate) fn by_reason(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How many there were since, and of which reasons: `a=1 b=2`. `None`: there were none.
pub(super) fn difference(
    before: &BTreeMap<String, u64>,
    now: &BTreeMap<String, u64>,
) -> Option<(u64, String)> {
    let (mut total, mut reasons) = (0, String::new());
    for (code, count) in now {
        let since = count - before.get(code).copied().unwrap_or_default();
        if since > 0 {
            let blank = if total > 0 { " " } else { "" };
            total += since;
            // Writing to a string can't fail.
            let _ = write!(reasons, "{blank}{code}={since}");
        }
    }
    (total > 0).then_some((total, reasons))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_came_since_the_last_one() {
        let refusals = Refusals::default();
        let first = refusals.by_reason();
        assert_eq!(difference(&first, &first), None);
        for code in ["users", "bad_id", "users"] {
            refusals.count(code);
        }
        let second = refusals.by_reason();
        assert_eq!(difference(&first, &second), Some((3, "bad_id=1 users=2".to_owned())));
        refusals.count("users");
        assert_eq!(difference(&second, &refusals.by_reason()), Some((1, "users=1".to_owned())));
    }

    #[test]
    fn the_table_is_bounded_and_loses_no_count() {
        let refusals = Refusals::default();
        for number in 0..1_000 {
            refusals.count(&number.to_string());
        }
        let counts = refusals.by_reason();
        assert!(counts.len() <= REASONS + 1);
        assert_eq!(counts.values().sum::<u64>(), 1_000);
    }
}
