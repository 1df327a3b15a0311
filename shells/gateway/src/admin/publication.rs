//! A message as a back end publishes it: `{to, data, class?, key?}`.

use headcount::{Class, Key};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{Audience, To};
use super::object;
use crate::problem::Problem;

#[derive(Deserialize)]
struct Body {
    to: To,
    /// Kept as it was written.
    data: Box<RawValue>,
    #[serde(default, deserialize_with = "object::given")]
    class: Option<String>,
    #[serde(default, deserialize_with = "object::given")]
    key: Option<String>,
}

/// A message, and whom it is for.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) audience: Audience,
    /// JSON as it was written.
    pub(super) data: Box<RawValue>,
    pub(super) class: Class,
}

impl Publication {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let Body { to, data, class: name, key } = object::parse(text)?;
        let audience = to.audience()?;
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
