//! `POST /v1/drain` and `DELETE /v1/drain`: no client is admitted, and all connections are closed.

use std::time::Duration;

use super::fields::Fields;
use super::form::{Field, Form, Shape};
use super::json_body;
use crate::json::millis;
use crate::problem::Problem;

/// The longest deadline: a longer one is a mistake of a unit.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The body, which may be left out.
pub static FORM: Form = Form::closed(&[Field::optional(
    "deadline_ms",
    Shape::Between(1, LONGEST.as_secs() * 1_000),
    "When the last connections are closed; the setting `drain.deadline` without it.",
)]);

const CONNECTIONS: Field = Field::needed("connections", Shape::AtLeast(0), "Open connections.");

/// The answer to a drain.
pub static DRAINING: Form = Form::open(&[
    Field::needed("draining", Shape::Yes, ""),
    CONNECTIONS,
    Field::needed("deadline_ms", Shape::AtLeast(0), "The deadline in force."),
]);

/// The answer where one is cancelled.
pub static CANCELLED: Form = Form::open(&[
    Field::needed("draining", Shape::Flag, "Always false."),
    Field::needed("cancelled", Shape::Flag, "Whether there was a drain."),
    CONNECTIONS,
]);

/// Understands a body: the deadline, if it has one.
///
/// # Errors
/// 400 if it is not understood.
pub fn parse(text: &str) -> Result<Option<Duration>, Problem> {
    let mut body = json_body::parse::<Fields<'_>>(json_body::or_empty(text))?.only(FORM.fields)?;
    let deadline = body.take_value("deadline_ms", "a whole number of milliseconds")?;
    body.end(FORM.fields)?;
    let deadline = deadline.map(Duration::from_millis);
    if deadline.is_some_and(|deadline| deadline.is_zero() || deadline > LONGEST) {
        let message = format!("deadline_ms must be between 1 and {}", millis(LONGEST));
        return Err(Problem::new(400, "bad_request", message));
    }
    Ok(deadline)
}

/// The answer to a drain: the open connections, and the deadline in force.
#[must_use]
pub fn draining(connections: u64, deadline: Duration) -> String {
    DRAINING
        .write()
        .flag("draining", true)
        .number("connections", connections)
        .number("deadline_ms", millis(deadline))
        .end()
}

/// The answer where a drain is cancelled: whether there was one, and the open connections.
#[must_use]
pub fn cancelled(cancelled: bool, connections: u64) -> String {
    CANCELLED
        .write()
        .flag("draining", false)
        .flag("cancelled", cancelled)
        .number("connections", connections)
        .end()
}
