//! A message as a back end publishes it: `{to, data, class?, key?}`.

use std::borrow::Cow;

use headcount::{Class, Key};
use serde_json::value::RawValue;

use super::audience::{Audience, TO_FIELD};
use super::fields::{Fields, missing};
use super::form::{Field, Form, Shape};
use super::json_body;
use super::surrogates::mend;
use crate::problem::{Problem, why};

/// The body of a publish.
pub static FORM: Form = Form::closed(&[
    TO_FIELD,
    Field::needed("data", Shape::Any, "What clients get, as it is written here."),
    Field::optional(
        "class",
        Shape::Among(&["critical", "latest", "droppable"]),
        "Which messages are dropped first when there is no room or no time for all; critical by default.",
    ),
    Field::optional(
        "key",
        Shape::Text,
        "With the class latest, and only then: what it is the latest of.",
    ),
]);

/// A message and its audience.
#[derive(Debug)]
pub struct Publication {
    /// Its audience.
    pub audience: Audience,
    /// JSON as it was written, but for halves of surrogate pairs.
    pub data: Box<RawValue>,
    /// What is dropped first when there is no room or no time for all.
    pub class: Class,
}

impl Publication {
    /// Understands a body.
    ///
    /// # Errors
    /// 400 if it is not understood.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut body = json_body::parse::<Fields<'_>>(text)?.only(FORM.fields)?;
        let audience = Audience::take(&mut body)?;
        let data = body.take_raw("data").ok_or_else(|| missing("data"))?;
        let data = match mend(data.get()) {
            Cow::Borrowed(_) => data.to_owned(),
            Cow::Owned(mended) => RawValue::from_string(mended)
                .map_err(|error| Problem::new(400, "bad_json", why(&error)))?,
        };
        let (name, key) = (body.take_text("class")?, body.take_text("key")?);
        body.end(FORM.fields)?;
        Ok(Self { audience, data, class: class(name.as_deref(), key.as_deref())? })
    }
}

/// What is done with the message when there is no room or no time for all of them.
fn class(name: Option<&str>, key: Option<&str>) -> Result<Class, Problem> {
    let bad = |message| Err(Problem::new(400, "bad_class", message));
    match (name, key) {
        (None | Some("critical"), None) => Ok(Class::Critical),
        (Some("droppable"), None) => Ok(Class::Droppable),
        (Some("latest"), Some(key)) => {
            Key::new(key).map(Class::Latest).map_err(|error| Problem::id("key", error))
        }
        (Some("latest"), None) => bad("class latest needs a key: what it is the latest of"),
        (None | Some("critical" | "droppable"), Some(_)) => bad("only class latest has a key"),
        (Some(_), _) => bad("class must be critical, latest or droppable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused_by_its_name() {
        let parse = |body: &str| Publication::parse(body).map(|_| ());
        assert_eq!(parse(r#"{"to":{"user":"a"},"data":null}"#), Ok(()));
        for (body, name) in [
            (r#"{"to":{"user":"a"},"data":1,"thread":"t"}"#, "\"thread\""),
            (r#"{"to":{"user":"a","threads":"t"},"data":1}"#, "\"to.threads\""),
            (r#"{"to":{"user":"a"},"data":1,"data":2}"#, "\"data\" is given twice"),
            (r#"{"to":{"user":"a"}}"#, "data is missing"),
            (r#"{"data":1}"#, "to is missing"),
            (r#"{"to":["a","b"],"data":1}"#, "to must be an object"),
            (r#"{"to":{"user":"a"},"data":1,"class":null}"#, "class must be a string"),
        ] {
            let problem = parse(body).unwrap_err();
            assert!(problem.status() == 400 && problem.message().contains(name), "{problem:?}");
        }
    }

    #[test]
    fn classes() {
        assert_eq!(class(None, None), Ok(Class::Critical));
        assert_eq!(class(Some("critical"), None), Ok(Class::Critical));
        assert_eq!(class(Some("droppable"), None), Ok(Class::Droppable));
        let key = Key::new("progress").unwrap();
        assert_eq!(class(Some("latest"), Some("progress")), Ok(Class::Latest(key)));
        for (name, key) in [
            (Some("latest"), None),
            (Some("latest"), Some("")),
            (Some("critical"), Some("k")),
            (None, Some("k")),
            (Some("best"), None),
        ] {
            assert_eq!(class(name, key).unwrap_err().status(), 400, "{name:?} {key:?}");
        }
    }
}
