//! A run as a back end opens it: `{user, thread, run, agent, …}`.

use bytes::Bytes;
use headcount::{RunEventKind, RunId, ThreadId, UserId};

use super::audience::{parse_run, parse_thread, parse_user};
use super::fields::Fields;
use super::form::{Field, Form, Shape};
use super::json_body;
use super::redact::Redact;
use crate::problem::Problem;

/// The body.
pub static FORM: Form = Form::open(&[
    Field::needed("user", Shape::Id, "Whose run it is."),
    Field::needed("thread", Shape::Id, "The session that it is in, by its thread."),
    Field::needed("run", Shape::Id, "What the run is called. Other fields are for the clients."),
    Field::needed("agent", Shape::Text, "What runs."),
]);

/// A run to be opened. What else the body holds is what clients get as `data`.
#[derive(Debug, PartialEq, Eq)]
pub struct Opening {
    /// Whose run it is.
    pub user: UserId,
    /// The session that it is in, by its thread.
    pub thread: ThreadId,
    /// What the run is called.
    pub run: RunId,
    /// What runs.
    pub agent: String,
    /// One JSON object: the other fields.
    pub payload: Bytes,
}

impl Opening {
    /// Understands a body.
    ///
    /// # Errors
    /// 400 if it is not understood.
    pub fn parse(text: &str, redact: &impl Redact) -> Result<Self, Problem> {
        let mut fields: Fields<'_> = json_body::parse(text)?;
        let user = parse_user("user", &fields.take("user")?)?;
        let thread = parse_thread("thread", &fields.take("thread")?)?;
        let run = parse_run("run", &fields.take("run")?)?;
        let agent = fields.take("agent")?;
        if agent.is_empty() || agent.chars().any(char::is_control) {
            let message = "agent is empty or holds a control character";
            return Err(Problem::new(400, "bad_request", message));
        }
        let payload = fields.payload(redact, RunEventKind::Started)?;
        Ok(Self { user, thread, run, agent, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::super::redact::Unchanged;
    use super::*;

    #[test]
    fn openings() {
        let body = r#"{"user":"u","run":"r","thread":"t","agent":"a","plan":[1]}"#;
        let opening = Opening::parse(body, &Unchanged).unwrap();
        assert_eq!((opening.user.as_str(), opening.thread.as_str()), ("u", "t"));
        assert_eq!((opening.run.as_str(), &*opening.agent), ("r", "a"));
        assert_eq!(opening.payload, r#"{"plan":[1]}"#);
        for wrong in [
            r#"{"run":"r","thread":"t","agent":"a"}"#,
            r#"{"user":"u","thread":"t","agent":"a"}"#,
            r#"{"user":"u","run":"r","agent":"a"}"#,
            r#"{"user":"u","run":"r","thread":"t"}"#,
            r#"{"user":"u","run":"r","thread":"t","agent":""}"#,
            r#"{"user":"u","run":"r","thread":"t","agent":7}"#,
            r#"{"user":"u","run":"undefined","thread":"t","agent":"a"}"#,
            r#"{"user":"u","run":"r","thread":"","agent":"a"}"#,
        ] {
            let refused = Opening::parse(wrong, &Unchanged).map(|_| ()).unwrap_err();
            assert_eq!(refused.status(), 400, "{wrong}");
        }
    }
}
