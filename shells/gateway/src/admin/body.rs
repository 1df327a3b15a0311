//! Receiving a request's body, with an answer for everything that can go wrong with it.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::{HeaderMap, header};

use super::fields::Fields;
use super::object::{or_empty, parse};
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

/// Reads the body of a request that has nothing to say: whatever it does say was meant for another.
pub(super) async fn nothing(request: Request) -> Result<(), Problem> {
    let text = read(request, NOTHING_BYTES).await?;
    parse::<Fields<'_>>(or_empty(&text))?.end(&[])
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
