//! What becomes of the payloads of runs before clients get them.

use std::borrow::Cow;

use headcount::RunEventKind;

use crate::problem::Problem;

/// Takes out of a payload what clients must not see. The rules are the server's own.
pub trait Redact {
    /// What clients get of a payload of this kind, which is one JSON object. The result is one, too.
    ///
    /// # Errors
    /// What is wrong with a payload that the rules can't be applied to.
    fn redact<'j>(&self, kind: RunEventKind, json: &'j str) -> Result<Cow<'j, str>, Problem>;
}

/// Clients get payloads as they were reported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchanged;

impl Redact for Unchanged {
    fn redact<'j>(&self, _: RunEventKind, json: &'j str) -> Result<Cow<'j, str>, Problem> {
        Ok(Cow::Borrowed(json))
    }
}
