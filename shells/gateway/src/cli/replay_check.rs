//! `headcount replay --check`: what a journal did, against the reference model.

use std::fmt;

use headcount::Timestamp;
use headcount_harness::caught;
use headcount_harness::recorded::{Disagreement, Recorded};
use headcount_harness::seen::Seen;
use headcount_journal::{JournalError, OwnedInput, Replay};

use super::replay::{Seconds, Tally};

/// Why a check ends before its journal does.
pub(super) enum Wrong {
    /// The journal can't be replayed on.
    Journal(JournalError),
    /// The same; what this program does there is what the model expects.
    Diverged(JournalError),
    /// The registry has panicked.
    Panicked { number: u64, what: String },
    /// The registry does not do what the model expects.
    Model { number: u64, at: Timestamp, input: OwnedInput, wrong: String },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(error) => error.fmt(f),
            Self::Diverged(error) => write!(
                f,
                "{error}. What this version does there is what the model expects: the server did not"
            ),
            Self::Panicked { number, what } => write!(f, "input {number}: the registry: {what}"),
            Self::Model { number, at, input, wrong } => {
                let (input, at) = (Shown(input), Seconds(*at));
                write!(f, "input {number} at {at}, {input}: the model disagrees: {wrong}")
            }
        }
    }
}

/// An input as `--inputs` prints it; what was polled has no line of its own there.
struct Shown<'a>(&'a OwnedInput);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OwnedInput::Polled { count, .. } => write!(f, "{count} polls of actions"),
            OwnedInput::Noticed { count } => write!(f, "{count} polls of notices"),
            input => input.fmt(f),
        }
    }
}

/// Into how many parts what lies between two comparisons is divided when the journal is replayed again.
const PARTS: u64 = 16;

/// What is wrong, and how many inputs there were when everything agreed last.
type End = Result<(), (Wrong, u64)>;

/// Replays a journal beside the model, up to the first disagreement. An error of the beginning of the
/// journal is the caller's.
pub(super) fn check(journal: &[u8], until: Option<u64>) -> (Tally, Result<(), Wrong>) {
    let (mut tally, mut end) = check_closely(journal, until, (u64::MAX, 1));
    // It may have shown only when everything was compared, some inputs later.
    while let Err((Wrong::Model { .. }, agreed)) = &end
        && agreed + 1 < tally.inputs
    {
        let every = (tally.inputs - agreed).div_ceil(PARTS);
        let again = check_closely(journal, until, (agreed + 1, every));
        let is_nearer = matches!(&again, (it, Err((Wrong::Model { .. }, since)))
            if it.inputs - since < tally.inputs - agreed);
        if !is_nearer {
            break;
        }
        (tally, end) = again;
    }
    (tally, end.map_err(|(wrong, _)| wrong))
}

/// The same, with comparisons of everything from one input on after each so many.
fn check_closely(journal: &[u8], until: Option<u64>, closely: (u64, u64)) -> (Tally, End) {
    let mut tally = Tally::default();
    let mut replay = match Replay::new(journal) {
        Ok(replay) => replay,
        Err(error) => return (tally, Err((Wrong::Journal(error), 0))),
    };
    let mut recorded = Recorded::new(replay.reader().config(), closely);
    let mut last = OwnedInput::Advance;
    let model = |tally: &Tally, input: &OwnedInput, it: Disagreement| {
        let (number, at, input) = (tally.inputs, tally.at, input.clone());
        (Wrong::Model { number, at, input, wrong: it.wrong }, it.agreed)
    };
    while until.is_none_or(|until| tally.inputs < until) {
        let mut seen: Vec<Seen> = Vec::new();
        let step = caught(|| Ok(replay.step(|action| seen.push(action.into()))));
        tally.actions += seen.len() as u64;
        let step = match step {
            Err(what) => {
                let number = tally.inputs + 1;
                return (tally, Err((Wrong::Panicked { number, what }, tally.inputs)));
            }
            Ok(step) => step,
        };
        let step = match step {
            Ok(Some(step)) => step,
            Ok(None) => break,
            Err(error @ JournalError::Diverged { input }) => {
                tally.inputs = input;
                let polls = OwnedInput::Polled { count: seen.len() as u64, digest: 0 };
                let polled = recorded.polled(seen.len() as u64, &seen);
                let wrong = polled.map_err(|it| model(&tally, &polls, it)).err();
                return (tally, Err(wrong.unwrap_or((Wrong::Diverged(error), input))));
            }
            Err(error) => return (tally, Err((Wrong::Journal(error), tally.inputs))),
        };
        (tally.inputs, tally.at) = (step.number, step.at);
        let done = match &step.input {
            OwnedInput::Polled { count, .. } => recorded.polled(*count, &seen),
            OwnedInput::Noticed { count } => recorded.noticed(*count),
            input => {
                let registry = replay.registry();
                input.lend(|input| recorded.input(step.at, input, registry)).unwrap_or(Ok(()))
            }
        };
        if let Err(disagreement) = done {
            return (tally, Err(model(&tally, &step.input, disagreement)));
        }
        last = step.input;
    }
    let end = recorded.finish().map_err(|it| model(&tally, &last, it));
    (tally, end)
}
