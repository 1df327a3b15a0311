//! What clients get of the events of runs: no secrets, no internal fields, no local paths.

use std::borrow::Cow;

use headcount::RunEventKind;
use headcount_protocol::admin::redact::Redact;
use headcount_protocol::problem::Problem;
use headcount_redaction::{Error, MAX_DEPTH, PayloadKind, Policy};

/// The rules of `[redaction]` in force.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// `None`: everything goes to clients as it was reported.
    policy: Option<Policy>,
}

impl Rules {
    pub(crate) const fn new(policy: Option<Policy>) -> Self {
        Self { policy }
    }
}

impl Redact for Rules {
    fn redact<'j>(&self, kind: RunEventKind, json: &'j str) -> Result<Cow<'j, str>, Problem> {
        let Some(policy) = &self.policy else { return Ok(Cow::Borrowed(json)) };
        policy.redact(redacted_as(kind), json).map_err(|error| match error {
            Error::TooDeep { .. } => {
                let message = format!(
                    "objects and lists are nested more than {MAX_DEPTH} deep: send less of them, or \
                     as a string (redaction.enabled)"
                );
                Problem::new(400, "too_deep", message)
            }
            error => Problem::new(400, "bad_json", format!("the payload is not understood: {error}")),
        })
    }
}

/// What the payload of an event is to redaction.
const fn redacted_as(kind: RunEventKind) -> PayloadKind {
    match kind {
        RunEventKind::Thinking => PayloadKind::Thinking,
        RunEventKind::Started | RunEventKind::ToolExecuting => PayloadKind::Parameters,
        RunEventKind::Failed | RunEventKind::Cancelled => PayloadKind::Error,
        _ => PayloadKind::Result,
    }
}
