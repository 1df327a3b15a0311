//! `POST /v1/close`: connections to be closed with 4503, or with words of the application's own.

use headcount::CloseWords;

use super::audience::{Audience, TO_FIELD};
use super::fields::Fields;
use super::form::{Field, Form, Shape};
use super::json_body;
use crate::problem::Problem;

/// The body.
pub static FORM: Form = Form::closed(&[
    TO_FIELD,
    Field::optional("reason", Shape::Text, "For the audit: 1024 bytes at most."),
    Field::optional(
        "code",
        Shape::Between(4000, 4399),
        "The code that the clients see; 4503 if it is not there. They come back after 4000 to 4199, and \
         stay away after 4200 to 4399.",
    ),
    Field::optional("text", Shape::Text, "What they see beside that code: 123 bytes at most."),
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
    /// For the audit: clients don't see it. Empty if there is none.
    pub reason: String,
    /// What clients see; `None`: 4503.
    pub words: Option<CloseWords>,
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
        let words = words(&mut body)?;
        body.end(FORM.fields)?;
        if reason.len() > MAX_REASON {
            return Err(Problem::new(
                400,
                "bad_request",
                format!("reason is {} bytes long, {MAX_REASON} at most", reason.len()),
            ));
        }
        Ok(Self { audience, reason, words })
    }
}

fn words(body: &mut Fields<'_>) -> Result<Option<CloseWords>, Problem> {
    let code = body.take_value::<u16>("code", "a number from 4000 to 4399")?;
    let text = body.take_text("text")?;
    let refused = |why: String| Problem::new(400, "bad_request", why);
    match (code, text) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(refused("text needs a code beside it".into())),
        (Some(code), text) => CloseWords::new(code, text.as_deref().unwrap_or_default())
            .map(Some)
            .map_err(|error| refused(error.to_string())),
    }
}

/// The answer: how many connections are being closed.
#[must_use]
pub fn closing(connections: u64) -> String {
    CLOSING.write().number("closing", connections).end()
}
