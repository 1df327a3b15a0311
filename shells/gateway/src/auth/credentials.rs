//! The token of an upgrade request, in whichever way it came.

use std::borrow::Cow;

use headcount_mio::Request;
use headcount_protocol::problem::Problem;

/// What a subprotocol that carries a token begins with.
const SUBPROTOCOL: &str = "bearer.";

/// Whether a request offers credentials in a header, of whatever kind.
pub(crate) fn are_in_headers(request: &Request<'_>) -> bool {
    request.header("authorization").is_some() || subprotocols(request).next().is_some()
}

/// The token of a request: the one of its `Authorization: Bearer`, of a subprotocol `bearer.<token>`,
/// or of its query. `None`: it has none.
///
/// # Errors
/// 400 for more than one, and for an `Authorization` that carries none.
pub(crate) fn token<'a>(
    request: &'a Request<'_>,
    in_query: Option<Cow<'a, str>>,
) -> Result<Option<Cow<'a, str>>, Problem> {
    let mut found = in_query;
    let headers = request.headers("authorization").map(|value| {
        bearer(value).ok_or_else(|| {
            let message = "the Authorization header must be Bearer and a token";
            Problem::new(400, "bad_authorization", message)
        })
    });
    for token in headers.chain(subprotocols(request).map(Ok)) {
        if found.replace(Cow::Borrowed(token?)).is_some() {
            let message = "the request has more than one token: send it in the Authorization header, \
                           in a subprotocol, or in the query";
            return Err(Problem::new(400, "two_tokens", message));
        }
    }
    Ok(found)
}

/// The tokens among the offered subprotocols.
fn subprotocols<'a>(request: &'a Request<'_>) -> impl Iterator<Item = &'a str> {
    request
        .headers("sec-websocket-protocol")
        .flat_map(|list| list.split(','))
        .filter_map(|protocol| protocol.trim().strip_prefix(SUBPROTOCOL))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("Bearer a.b.c"), Some("a.b.c"));
        assert_eq!(bearer("BEARER  a.b.c "), Some("a.b.c"));
        for value in ["Basic a.b.c", "a.b.c", "Bearer", ""] {
            assert_eq!(bearer(value), None, "{value}");
        }
    }
}
