//! `POST /v1/close`: connections to be closed with 4503.

use super::audience::{Audience, TO_FIELD};
use super::fields::Fields;
use super::form::{Field, Form, Shape};
use super::json_body;
use crate::problem::Problem;

/// The body.
pub static FORM: Form = Form::closed(&[
    TO_FIELD,
    Field::optional("reason", Shape::Text, "For the audit: 1024 bytes at most."),
]);

/// The answer.
pub static CLOSING: Form = Form::open(&[Field::needed(
    "closing",
    Shape::AtLeast(0),
    "Connections that are being closed.",
)]);

/// The longest reason, in bytes.
const MAX_REASON: usize = 1024;

/// Connections to be closed.
#[derive(Debug, PartialEq, Eq)]
pub struct Closing {
    /// Which.
    pub audience: Audience,
    /// For the audit: clients see the code. Empty if there is none.
    pub reason: String,
}

impl Closing {
    /// Understands a body.
    ///
    /// # Errors
    /// 400 if it is not understood.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut body = json_body::parse::<Fields<'_>>(text)?.only(FORM.fields)?;
        let audience = Audience::take(&mut body)?;
        let reason = body.take_text("reason")?.unwrap_or_default();
        body.end(FORM.fields)?;
        if reason.len() > MAX_REASON {
            return Err(Problem::new(
                400,
                "bad_request",
                format!("reason is {} bytes long, {MAX_REASON} at most", reason.len()),
            ));
        }
        Ok(Self { audience, reason })
    }
}

/// The answer: how many connections are being closed.
#[must_use]
pub fn closing(connections: u64) -> String {
    CLOSING.write().number("closing", connections).end()
}
