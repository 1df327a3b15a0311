//! Makes a history smaller, one candidate after the other, for as long as each still fails.

use super::history::History;
use super::op::Op;
use super::simpler::Simpler;

/// What is tried next.
#[derive(Clone, Debug)]
enum Attempt {
    /// So many operations less, from this one on.
    Without {
        chunk: usize,
        start: usize,
    },
    /// One operation in a simpler form, of which there are several.
    Simpler {
        place: usize,
        form: usize,
    },
    Done,
}

/// Proposes smaller histories: first without stretches of operations, long ones before short ones,
/// then with operations in a simpler form, and all over again while that helps.
#[derive(Clone, Debug)]
pub struct Shrinker {
    smallest: History,
    candidate: Option<History>,
    attempt: Attempt,
    /// The simpler forms of the operation at hand.
    forms: Vec<Op>,
    /// Whether this round has made it smaller.
    progress: bool,
}

impl Shrinker {
    /// Begins with a history that fails.
    #[must_use]
    pub const fn new(smallest: History) -> Self {
        let attempt = Attempt::Without { chunk: smallest.ops.len().div_ceil(2), start: 0 };
        Self { smallest, candidate: None, attempt, forms: Vec::new(), progress: false }
    }

    /// The next candidate; `None` when there is none left. Say what became of it with
    /// [`keep`](Self::keep) or [`leave`](Self::leave) before the next call.
    #[expect(clippy::should_implement_trait, reason = "it lends")]
    pub fn next(&mut self) -> Option<&History> {
        loop {
            match self.attempt {
                Attempt::Without { chunk: 0, .. } => self.begin_simpler(0),
                Attempt::Without { chunk, start } if start >= self.smallest.ops.len() => {
                    self.attempt = Attempt::Without { chunk: chunk / 2, start: 0 };
                }
                Attempt::Without { chunk, start } => {
                    let mut candidate = self.smallest.clone();
                    let end = (start + chunk).min(candidate.ops.len());
                    candidate.ops.drain(start..end);
                    return Some(self.candidate.insert(candidate));
                }
                Attempt::Simpler { place, .. } if place >= self.smallest.ops.len() => {
                    let again = core::mem::take(&mut self.progress);
                    self.attempt = if again {
                        Attempt::Without { chunk: self.smallest.ops.len().div_ceil(2), start: 0 }
                    } else {
                        Attempt::Done
                    };
                }
                Attempt::Simpler { place, form } => {
                    let Some(simpler) = self.forms.get(form) else {
                        self.begin_simpler(place + 1);
                        continue;
                    };
                    let mut candidate = self.smallest.clone();
                    candidate.ops[place] = *simpler;
                    return Some(self.candidate.insert(candidate));
                }
                Attempt::Done => return None,
            }
        }
    }

    fn begin_simpler(&mut self, place: usize) {
        self.forms = self.smallest.ops.get(place).map(Simpler::simpler).unwrap_or_default();
        self.attempt = Attempt::Simpler { place, form: 0 };
    }

    /// The candidate fails, too, after so many operations: it is the smallest by now.
    pub fn keep(&mut self, begun: usize) {
        let Some(mut candidate) = self.candidate.take() else { return };
        candidate.ops.truncate(begun);
        self.smallest = candidate;
        if let Attempt::Simpler { place, .. } = self.attempt {
            self.progress = true;
            self.begin_simpler(place);
        }
    }

    /// It does not.
    pub fn leave(&mut self) {
        self.candidate = None;
        match &mut self.attempt {
            Attempt::Without { chunk, start } => *start += *chunk,
            Attempt::Simpler { form, .. } => *form += 1,
            Attempt::Done => {}
        }
    }

    /// What it has come to so far: the candidate at hand, or the smallest that failed.
    #[must_use]
    pub const fn current(&self) -> &History {
        match &self.candidate {
            Some(candidate) => candidate,
            None => &self.smallest,
        }
    }

    /// The smallest that failed.
    #[must_use]
    pub fn into_smallest(self) -> History {
        self.smallest
    }
}
