//! A body is one JSON object: what is understood of it, and what is said where nothing is.

use serde::Deserialize;

use crate::problem::{Problem, why};

/// Understands a body. `T` says what it needs.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    // Arrays would be taken for the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Problem::new(400, "bad_json", "the body must be a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        let code = if error.is_data() { "bad_request" } else { "bad_json" };
        Problem::new(400, code, format!("the body is not understood: {}", why(&error)))
    })
}

/// Where nothing is needed, nothing need be sent.
pub(super) fn or_empty(text: &str) -> &str {
    if text.trim_ascii().is_empty() { "{}" } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Fields;
    use super::super::form::{Field, Shape};
    use super::*;

    const USER: Field = Field::needed("user", Shape::Text, "");

    #[test]
    fn a_field_that_is_not_known_is_not_echoed_at_length() {
        let name = "x".repeat(60_000);
        let body = format!("{{\"{name}\":1}}");
        let unknown = parse::<Fields<'_>>(&body).unwrap().end(&[USER]).unwrap_err();
        assert!(unknown.message().starts_with("\"xxx") && unknown.message().len() < 500);
        let body = format!("{{\"{name}\":1,\"{name}\":2}}");
        let twice = parse::<Fields<'_>>(&body).unwrap_err();
        assert!(twice.message().contains("is given twice") && twice.message().len() < 500);
    }
}
