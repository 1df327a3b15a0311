//! The fields of a body, and of an object in it: what they must be, and what is said where they are not.
//!
//! Most bodies are the gateway's alone: a field that it does not know is refused by its name, because
//! it might have narrowed an audience. Those of agent runs are partly the application's, and clients
//! get that part as it was written.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use headcount::RunEventKind;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::form::Field;
use super::redact::Redact;
use super::surrogates::mend;
use crate::json::quoted;
use crate::problem::{Problem, why};

/// The characters that are shown at most of a field's name that is not known.
const SHOWN: usize = 32;

/// The fields of an object, in their order and each once.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Takes a text out, which must be there.
    pub(super) fn take(&mut self, name: &str) -> Result<String, Problem> {
        self.take_text(name)?.ok_or_else(|| missing(name))
    }

    /// Takes a text out, which need not be there.
    pub(super) fn take_text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let text = self.text(name)?;
        self.take_raw(name);
        Ok(text)
    }

    /// Takes a value out, which need not be there; `expected` says what it must be. `null` is not
    /// absent: a back end whose variable happens to be null must not address more than it meant to.
    pub(super) fn take_value<T: Deserialize<'a>>(
        &mut self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(json) = self.take_raw(name) else { return Ok(None) };
        match serde_json::from_str(json.get()) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Problem::new(400, "bad_request", format!("{name} must be {expected}"))),
        }
    }

    /// Takes a value out as it was written.
    pub(super) fn take_raw(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes an object out, which must be there. Its fields are named with the object's own name
    /// before them: `to.user`.
    pub(super) fn take_object(&mut self, name: &str) -> Result<Self, Problem> {
        let json = self.take_raw(name).ok_or_else(|| missing(name))?;
        if !json.get().starts_with('{') {
            return Err(Problem::new(400, "bad_request", format!("{name} must be an object")));
        }
        let Fields(mut fields) = serde_json::from_str(json.get()).map_err(|error| {
            Problem::new(400, "bad_request", format!("{name} is not understood: {}", why(&error)))
        })?;
        for (field, _) in &mut fields {
            field.insert_str(0, &format!("{name}."));
        }
        Ok(Self(fields))
    }

    /// Makes sure that there are none but these. It comes before they are taken, so that a field
    /// that is not in the table can't be read.
    pub(super) fn only(self, known: &[Field]) -> Result<Self, Problem> {
        let is_known = |name: &str| known.iter().any(|field| field.name == name);
        if let Some((other, _)) = self.0.iter().find(|(name, _)| !is_known(name)) {
            return Err(unknown(other, known));
        }
        Ok(self)
    }

    /// Makes sure that nothing is left: what is in the table was taken. `known` are the fields that
    /// there can be.
    pub(super) fn end(&self, known: &[Field]) -> Result<(), Problem> {
        self.names().next().map_or(Ok(()), |other| Err(unknown(other, known)))
    }

    /// Looks at a text, which need not be there.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(json) = self.get(name) else { return Ok(None) };
        match serde_json::from_str(json.get()) {
            Ok(text) => Ok(Some(text)),
            // Of a string nothing else can be wrong: a parser has passed over it.
            Err(_) if json.get().starts_with('"') => {
                let message =
                    format!("{name} holds a surrogate without the other half of its pair");
                Err(Problem::new(400, "bad_request", message))
            }
            Err(_) => Err(Problem::new(400, "bad_request", format!("{name} must be a string"))),
        }
    }

    /// Takes a string out as JSON, which must be there: it may hold half of a surrogate pair.
    pub(super) fn take_string(&mut self, name: &str) -> Result<&'a str, Problem> {
        let json = self.string(name)?;
        self.take_raw(name);
        json.ok_or_else(|| missing(name))
    }

    /// The same of one that stays, and need not be there.
    pub(super) fn string(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        match self.get(name).map(RawValue::get) {
            Some(json) if !json.starts_with('"') => {
                Err(Problem::new(400, "bad_request", format!("{name} must be a string")))
            }
            json => Ok(json),
        }
    }

    /// Looks at a text, which must be there.
    pub(super) fn needed_text(&self, name: &str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// Looks at a number above zero, which need not be there.
    pub(super) fn positive(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(json) = self.get(name) else { return Ok(None) };
        match serde_json::from_str(json.get()) {
            Ok(number @ 1..) => Ok(Some(number)),
            _ => {
                let message = format!("{name} must be a whole number above 0");
                Err(Problem::new(400, "bad_request", message))
            }
        }
    }

    /// Makes sure that there is a value of this name.
    pub(super) fn needed(&self, name: &str) -> Result<(), Problem> {
        self.get(name).map(drop).ok_or_else(|| missing(name))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// What clients get of what is left: one object, redacted as what it is, in which no string
    /// holds half of a surrogate pair.
    pub(super) fn payload(
        &self,
        redact: &impl Redact,
        kind: RunEventKind,
    ) -> Result<Bytes, Problem> {
        let (payload, _) = self.payload_around("");
        Ok(boxed(&mend(&redact.redact(kind, &payload)?)))
    }

    /// What is left as it was written, and where in it the value of a field is.
    pub(super) fn payload_around(&self, name: &str) -> (String, Option<Range<usize>>) {
        let (mut payload, mut place) = (String::from("{"), None);
        for (field, json) in &self.0 {
            if payload.len() > 1 {
                payload.push(',');
            }
            payload.push_str(&quoted(field));
            payload.push(':');
            let start = payload.len();
            payload.push_str(json.get());
            if field == name {
                place = Some(start..payload.len());
            }
        }
        payload.push('}');
        (payload, place)
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, json)| *json)
    }
}

/// Boxed: spare capacity would be memory that no bound counts.
pub(super) fn boxed(json: &str) -> Bytes {
    Bytes::from(Box::<[u8]>::from(json.as_bytes()))
}

fn unknown(name: &str, known: &[Field]) -> Problem {
    let name: String = name.chars().take(SHOWN).collect();
    let message = match known {
        [] => format!("{name:?} is not a field of this call, whose body has none"),
        known => {
            let known: Vec<_> = known.iter().map(|field| field.name).collect();
            format!("{name:?} is not a field here; there are {}", known.join(", "))
        }
    };
    Problem::new(400, "bad_request", message)
}

pub(super) fn missing(name: &str) -> Problem {
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
                        let name: String = name.chars().take(SHOWN).collect();
                        return Err(Error::custom(format!("{name:?} is given twice")));
                    }
                    fields.push((name, json));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Fields of one object: each is compared with all others.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::form::Shape;
    use super::super::json_body::parse;
    use super::super::redact::Unchanged;
    use super::*;

    fn named(name: &'static str) -> Field {
        Field::optional(name, Shape::Any, "")
    }

    #[test]
    fn what_is_left_is_the_payload_as_it_was() {
        let body = r#" {"user":"a", "n": 1E2, "a\"b": {"x": [1, 2]}, "text":"\u0000"} "#;
        let mut fields: Fields<'_> = parse(body).unwrap();
        assert_eq!(fields.take("user").unwrap(), "a");
        assert_eq!(fields.text("text").unwrap().as_deref(), Some("\0"));
        let payload = fields.payload(&Unchanged, RunEventKind::Completed).unwrap();
        assert_eq!(payload, r#"{"n":1E2,"a\"b":{"x": [1, 2]},"text":"\u0000"}"#);
        assert!(fields.needed("n").is_ok() && fields.needed("user").is_err());
        assert!(fields.needed_text("n").is_err() && fields.take("user").is_err());
    }

    #[test]
    fn what_is_not_known_or_of_another_kind_is_named() {
        let read = |body: &str| -> Result<(), Problem> {
            let mut fields: Fields<'_> = parse(body)?;
            fields.take_value::<u64>("n", "a whole number")?;
            fields.take_text("text")?;
            if fields.names().any(|name| name == "to") {
                let mut to = fields.take_object("to")?;
                to.take_text("to.user")?;
                to.end(&[named("to.user")])?;
            }
            fields.end(&["n", "text", "to"].map(named))
        };
        assert_eq!(read(r#"{"n":1,"text":"a","to":{"user":"u"}}"#), Ok(()));
        for (body, message) in [
            (r#"{"m":1}"#, r#""m" is not a field here; there are n, text, to"#),
            (r#"{"to":{"usr":1}}"#, r#""to.usr" is not a field here; there are to.user"#),
            (r#"{"to":{"user":1}}"#, "to.user must be a string"),
            (r#"{"to":["u"]}"#, "to must be an object"),
            (r#"{"to":"u"}"#, "to must be an object"),
            (r#"{"to":null}"#, "to must be an object"),
            (r#"{"n":"1"}"#, "n must be a whole number"),
            (r#"{"n":null}"#, "n must be a whole number"),
            (r#"{"text":null}"#, "text must be a string"),
        ] {
            assert_eq!(read(body).unwrap_err().message(), message, "{body}");
        }
        for (body, part) in [
            (r#"{"n":1,"n":2}"#, r#""n" is given twice"#),
            (r#"{"to":{"user":"u","user":"v"}}"#, r#""user" is given twice"#),
        ] {
            assert!(read(body).unwrap_err().message().contains(part), "{body}");
        }
    }

    #[test]
    fn twice_or_too_many_is_refused() {
        let many: Vec<String> = (0..=MOST).map(|number| format!("\"{number}\":0")).collect();
        for body in [r#"{"a":1,"a":2}"#.to_owned(), format!("{{{}}}", many.join(","))] {
            assert_eq!(parse::<Fields<'_>>(&body).unwrap_err().status(), 400, "{body}");
        }
    }
}
