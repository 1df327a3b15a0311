//! Receiving a request's body, with an answer for everything that can go wrong with it.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use headcount_protocol::admin::nothing;
use headcount_protocol::problem::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admin::AdminState;

/// What a request may take to send its body.
const DEADLINE: Duration = Duration::from_secs(10);
/// How much of a body that is too large is read and thrown away, as a multiple of its limit: a
/// client that is still writing would miss the answer.
const DISCARD: usize = 16;
/// The largest body that says nothing.
const NOTHING_BYTES: usize = 4 * 1024;
/// What all larger bodies may have together, from the first byte of each to the end of its call.
const ALL_BYTES: usize = 64 * 1024 * 1024;
/// A body of no more than this is not counted: there is one for each connection at most, and what an
/// operator sends must find room however much is being published.
const SMALL_BYTES: usize = 8 * 1024;
/// What room is counted in.
const UNIT: usize = 1024;

/// The room that bodies take.
pub(crate) struct Bodies(Arc<Semaphore>);

impl Bodies {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ALL_BYTES / UNIT)))
    }

    /// Takes room for so many bytes. One body can take all of it, and no more.
    fn take(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        if bytes <= SMALL_BYTES {
            return Ok(None);
        }
        let units = u32::try_from(bytes.min(ALL_BYTES).div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(units).map(Some).map_err(|_| {
            let message = "the bodies that are being received have 64 MiB together: try again";
            Problem::new(503, "busy", message)
        })
    }
}

/// A body that was received, and the room that it takes.
pub(crate) struct Received {
    text: String,
    _room: Option<OwnedSemaphorePermit>,
}

impl Deref for Received {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// Reads a body of JSON text, at most `limit` bytes.
///
/// The content type is required not only for form's sake: a web page from elsewhere can't send this
/// one without asking the server first, and the server does not answer that question.
pub(crate) async fn read(
    state: &AdminState,
    request: Request,
    limit: usize,
) -> Result<Received, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(
            415,
            "not_json",
            "the body must be sent with content-type: application/json",
        ));
    }
    match tokio::time::timeout(DEADLINE, collect(&state.0.bodies, request, limit)).await {
        Ok(body) => body,
        Err(_) => Err(Problem::new(408, "too_slow", "the body did not arrive within 10 seconds")),
    }
}

/// Reads the body of a request that has nothing to say: whatever it does say was meant for another.
pub(crate) async fn nothing(state: &AdminState, request: Request) -> Result<(), Problem> {
    let text = read(state, request, NOTHING_BYTES).await?;
    nothing::parse(&text)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn collect(bodies: &Bodies, request: Request, limit: usize) -> Result<Received, Problem> {
    let too_large =
        || Problem::new(413, "too_large", format!("the body is larger than {limit} bytes"));
    let waits = request.headers().contains_key(header::EXPECT);
    let mut body = request.into_body();
    let (announced, most) = (body.size_hint().lower(), body.size_hint().upper());
    // Who waits for permission to send has not sent anything yet.
    if waits && announced > limit as u64 {
        return Err(too_large());
    }
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(limit).min(limit);
    // One that is too large is only thrown away.
    let room = if announced > limit as u64 { Ok(None) } else { bodies.take(most) };
    if waits && let Err(busy) = room {
        return Err(busy);
    }
    let kept = if room.is_ok() && announced <= limit as u64 { most } else { 0 };
    let mut bytes = Vec::with_capacity(kept);
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
        if received <= kept {
            bytes.extend_from_slice(&data);
        }
    }
    if received > limit {
        return Err(too_large());
    }
    let room = room?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::new(400, "bad_json", "the body is not UTF-8"))?;
    Ok(Received { text, _room: room })
}
