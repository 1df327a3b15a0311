//! Reading a request's body, with an answer for everything that can be wrong with it.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use serde::Deserialize;

use crate::problem::Problem;

/// What a request may take to send its body.
const DEADLINE: Duration = Duration::from_secs(10);
/// How much of a body that is too large is read and thrown away, as a multiple of its limit: a
/// client that is still writing would miss the answer.
const DISCARD: usize = 16;
/// The largest body that says nothing.
const NOTHING_BYTES: usize = 4 * 1024;

/// Reads a body of JSON text, at most `limit` bytes.
///
/// The content type is required not only for form's sake: a web page from elsewhere can't send this
/// one without asking the server first, and the server does not answer that question.
pub(super) async fn read(request: Request, limit: usize) -> Result<String, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            415,
            "not_json",
            "the body must be sent with content-type: application/json",
        ));
    }
    match tokio::time::timeout(DEADLINE, collect(request, limit)).await {
        Ok(body) => body,
        Err(_) => Err(Problem::new(408, "too_slow", "the body did not arrive within 10 seconds")),
    }
}

/// Understands a body. `T` says what it needs.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    // Arrays would be taken for the fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Problem::new(400, "bad_json", "the body must be a JSON object"));
    }
    serde_json::from_str(text).map_err(|error| {
        let code = if error.is_data() { "bad_request" } else { "bad_json" };
        Problem::new(400, code, format!("the body is not understood: {error}"))
    })
}

/// Where nothing is needed, nothing need be sent.
pub(super) fn or_empty(text: &str) -> &str {
    if text.trim_ascii().is_empty() { "{}" } else { text }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Reads the body of a request that has nothing to say: whatever it does say was meant for another.
pub(super) async fn nothing(request: Request) -> Result<(), Problem> {
    let text = read(request, NOTHING_BYTES).await?;
    parse(or_empty(&text)).map(|Nothing {}| ())
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

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn collect(request: Request, limit: usize) -> Result<String, Problem> {
    let too_large =
        || Problem::new(413, "too_large", format!("the body is larger than {limit} bytes"));
    let waits = request.headers().contains_key(header::EXPECT);
    let mut body = request.into_body();
    let announced = body.size_hint().lower();
    // Who waits for permission to send has not sent anything yet.
    if waits && announced > limit as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(limit).min(limit));
    let mut received: usize = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| {
            Problem::new(400, "bad_body", format!("the body did not arrive whole: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        received = received.saturating_add(data.len());
        if received > limit.saturating_mul(DISCARD) {
            break;
        }
        if received <= limit {
            bytes.extend_from_slice(&data);
        }
    }
    if received > limit {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|_| Problem::new(400, "bad_json", "the body is not UTF-8"))
}
