//! The query of a request that lists something: whose, how many, and from where on.

use headcount::UserId;
use headcount_protocol::admin::audience::parse_user;
use headcount_protocol::admin::form::{Field, Shape};
use headcount_protocol::epoch::hex;
use headcount_protocol::problem::Problem;

/// What a query can say.
pub(crate) const KNOWN: [Field; 3] = [
    Field::optional("user", Shape::Id, "Only this user's."),
    Field::optional(
        "limit",
        Shape::Between(1, MAX_LIMIT as u64),
        "Entries of a page; 100 without it.",
    ),
    Field::optional("cursor", Shape::Text, "What the page before gave as `cursor`."),
];
/// The characters that are shown at most of a name that is not known.
const SHOWN: usize = 32;
const USUAL_LIMIT: usize = 100;
/// Each entry takes the loop's time.
const MAX_LIMIT: usize = 1_000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) user: Option<UserId>,
    pub(crate) limit: usize,
    /// What the page before said.
    pub(crate) cursor: Option<u64>,
}

impl Query {
    /// Reads it. What is not known is refused: it might have narrowed the answer.
    pub(crate) fn read(query: Option<&str>) -> Result<Self, Problem> {
        Self::read_of(query, &KNOWN)
    }

    /// The same of a call that takes only some of it.
    pub(crate) fn read_of(query: Option<&str>, known: &[Field]) -> Result<Self, Problem> {
        let mut read = Self { user: None, limit: USUAL_LIMIT, cursor: None };
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            if !known.iter().any(|field| field.name == name) {
                let name: String = name.chars().take(SHOWN).collect();
                let known = known.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
                return Err(bad(format!("{name:?} can't be given in the query; {known} can")));
            }
            if seen.contains(&name) {
                return Err(bad(format!("{name} is given twice")));
            }
            // Decoding puts this character in the place of bytes that are not UTF-8. Such a value would
            // name another user.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(bad(format!("{name} is not UTF-8")));
            }
            match &*name {
                "user" => read.user = Some(parse_user("user", &value)?),
                "limit" => {
                    // Digits only: `parse` alone would take a sign.
                    let digits = value.bytes().all(|byte| byte.is_ascii_digit()).then_some(&value);
                    let limit = digits.and_then(|digits| digits.parse().ok());
                    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    read.limit = limit.ok_or_else(|| {
                        bad(format!("limit must be a number between 1 and {MAX_LIMIT}"))
                    })?;
                }
                _ => {
                    let cursor = hex(&value);
                    read.cursor = Some(cursor.ok_or_else(bad_cursor)?);
                }
            }
            seen.push(name);
        }
        Ok(read)
    }
}

/// The answer to a cursor that no page gave.
pub(crate) fn bad_cursor() -> Problem {
    bad("cursor must be sent as the page before gave it".to_owned())
}

/// A cursor as clients see it: opaque.
pub(crate) fn show_cursor(cursor: u64) -> String {
    format!("{cursor:x}")
}

/// For calls that take nothing in their query: a `?user=` there was meant for another.
pub(crate) fn nothing(query: Option<&str>) -> Result<(), Problem> {
    match query {
        None | Some("") => Ok(()),
        // It is not repeated: some callers send their key there.
        Some(_) => Err(bad("this call takes nothing in its query".to_owned())),
    }
}

fn bad(message: String) -> Problem {
    Problem::new(400, "bad_query", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let read = |query| Query::read(Some(query));
        let nothing = Query { user: None, limit: USUAL_LIMIT, cursor: None };
        assert_eq!(Query::read(None), Ok(nothing));
        let user = Some(UserId::new("a b").unwrap());
        let all = format!("user=a+b&limit=7&cursor={}", show_cursor(30));
        assert_eq!(read(&all), Ok(Query { user, limit: 7, cursor: Some(30) }));
        for wrong in [
            "user=",
            "user=%ff",
            "user=a&user=b",
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=%2B5",
            "limit=1&limit=1",
            "cursor=",
            "cursor=zz",
            "usr=a",
            "usr=%ff",
        ] {
            assert_eq!(read(wrong).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
