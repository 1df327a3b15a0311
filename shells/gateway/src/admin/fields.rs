//! A body whose fields are partly the gateway's and partly the application's, which clients get as
//! they were written.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::frames::Object;
use crate::problem::Problem;

/// The fields of an object, in their order and each once.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Takes a text out, which must be there.
    pub(super) fn take(&mut self, name: &str) -> Result<String, Problem> {
        let text = self.text(name)?;
        self.0.retain(|(other, _)| other != name);
        text.ok_or_else(|| missing(name))
    }

    /// Looks at a text, which need not be there.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(json) = self.get(name) else { return Ok(None) };
        match serde_json::from_str(json.get()) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Problem::new(400, "bad_request", format!("{name} must be a string"))),
        }
    }

    /// Looks at a text, which must be there.
    pub(super) fn needed_text(&self, name: &str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// Makes sure that there is a value of this name.
    pub(super) fn needed(&self, name: &str) -> Result<(), Problem> {
        self.get(name).map(drop).ok_or_else(|| missing(name))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// What is left, as one object.
    pub(super) fn payload(&self) -> Bytes {
        let fields = self.0.iter();
        let payload =
            fields.fold(Object::new(), |object, (name, json)| object.any(name, json.get()));
        // Boxed: spare capacity would be memory that no bound counts.
        Bytes::from(payload.end().into_bytes().into_boxed_slice())
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, json)| *json)
    }
}

fn missing(name: &str) -> Problem {
    Problem::new(400, "bad_request", format!("{name} is missing"))
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(String, &'de RawValue)> = Vec::new();
                while let Some((name, json)) = map.next_entry::<String, _>()? {
                    if fields.len() == MOST {
                        return Err(Error::custom(format!("more than {MOST} fields")));
                    }
                    if fields.iter().any(|(other, _)| *other == name) {
                        return Err(Error::custom("a field is given twice"));
                    }
                    fields.push((name, json));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Fields of one body: each is compared with all others. Whoever has more puts them into one.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::object::parse;
    use super::*;

    #[test]
    fn what_is_left_is_the_payload_as_it_was() {
        let body = r#" {"user":"a", "n": 1E2, "a\"b": {"x": [1, 2]}, "text":"\u0000"} "#;
        let mut fields: Fields<'_> = parse(body).unwrap();
        assert_eq!(fields.take("user").unwrap(), "a");
        assert_eq!(fields.text("text").unwrap().as_deref(), Some("\0"));
        assert_eq!(fields.payload(), r#"{"n":1E2,"a\"b":{"x": [1, 2]},"text":"\u0000"}"#);
        assert!(fields.needed("n").is_ok() && fields.needed("user").is_err());
        assert!(fields.needed_text("n").is_err() && fields.take("user").is_err());
    }

    #[test]
    fn twice_or_too_many_is_refused() {
        let many: Vec<String> = (0..=MOST).map(|number| format!("\"{number}\":0")).collect();
        for body in [r#"{"a":1,"a":2}"#.to_owned(), format!("{{{}}}", many.join(","))] {
            assert_eq!(parse::<Fields<'_>>(&body).unwrap_err().status(), 400, "{body}");
        }
    }
}
