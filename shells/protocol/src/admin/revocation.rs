//! `POST /v1/revoke`: connections to be closed with 4503, and tokens to be refused from now on.

use headcount::UserId;

use super::audience::parse_user;
use super::fields::Fields;
use super::form::{Field, Form, Shape};
use super::json_body;
use crate::problem::Problem;

/// The longest id of a token (`jti`), in bytes.
pub const MAX_TOKEN_ID_BYTES: usize = 256;

/// The body.
pub static FORM: Form = Form::closed(&[
    Field::optional("user", Shape::Id, "All that this user has now."),
    Field::optional("token_id", Shape::Text, "The tokens with this id (`jti`)."),
])
.with_one_of(&[&["user"], &["token_id"]]);

/// The answer.
pub static REVOKED: Form = Form::open(&[
    Field::needed("closing", Shape::AtLeast(0), "Connections that are being closed."),
    Field::optional("sessions", Shape::AtLeast(0), "Of a user only: sessions that end."),
]);

/// What is revoked.
#[derive(Debug, PartialEq, Eq)]
pub enum Revocation {
    /// All that the user has now: connections, sessions and what they keep, tokens.
    User(UserId),
    /// The tokens with this id, and the connections that came with one.
    Token(String),
}

impl Revocation {
    /// Understands a body.
    ///
    /// # Errors
    /// 400 if it is not understood.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut body = json_body::parse::<Fields<'_>>(text)?.only(FORM.fields)?;
        let (user, token) = (body.take_text("user")?, body.take_text("token_id")?);
        body.end(FORM.fields)?;
        match (user, token) {
            (Some(user), None) => Ok(Self::User(parse_user("user", &user)?)),
            (None, Some(id)) if (1..=MAX_TOKEN_ID_BYTES).contains(&id.len()) => Ok(Self::Token(id)),
            (None, Some(_)) => {
                let message = format!("token_id must have 1 to {MAX_TOKEN_ID_BYTES} bytes");
                Err(Problem::new(400, "bad_request", message))
            }
            _ => {
                let message = "the body must name one of user and token_id";
                Err(Problem::new(400, "bad_request", message))
            }
        }
    }
}

/// The answer: how many connections are being closed, and of a user how many sessions end.
#[must_use]
pub fn revoked(closing: u64, sessions: Option<u64>) -> String {
    let answer = REVOKED.write().number("closing", closing);
    match sessions {
        Some(sessions) => answer.number("sessions", sessions).end(),
        None => answer.end(),
    }
}
