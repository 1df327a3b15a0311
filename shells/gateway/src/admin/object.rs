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

/// For fields that may be missing: `null` is not missing. A back end whose variable happens to be
/// null must not address more than it meant to.
pub(super) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::address::To;
    use super::*;

    #[test]
    fn a_field_that_is_not_known_is_not_echoed_at_length() {
        let body = format!("{{\"{}\":1}}", "x".repeat(60_000));
        let problem = parse::<To>(&body).unwrap_err();
        assert!(problem.message().starts_with("the body is not understood: unknown field `xxx"));
        assert!(problem.message().len() < 500);
    }
}
