//! What a call has left of its body.
//!
//! A client may still be sending when it is refused. If the connection closed then, the client would miss
//! the answer, and its next request would meet a closed connection though it was told to keep it. So what
//! is left is received and thrown away, within bounds.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use hyper::body::{Frame, SizeHint};

/// What is thrown away of one body, in bytes. Beyond it the connection closes.
const BYTES: usize = 64 * 1024;
/// How long the rest may take to come.
const DEADLINE: Duration = Duration::from_secs(1);

/// The body of a request that is served elsewhere.
pub(crate) struct Unread(Option<Arc<Mutex<Body>>>);

impl Unread {
    /// The request again, and what will be left of its body.
    pub(crate) fn of(request: Request) -> (Request, Self) {
        // A client that waits for a word before it sends has nothing on its way.
        if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
            return (request, Self(None));
        }
        let (parts, body) = request.into_parts();
        let body = Arc::new(Mutex::new(body));
        let served = Body::new(Served(Arc::clone(&body)));
        (Request::from_parts(parts, served), Self(Some(body)))
    }

    /// Receives what is left. Nothing else reads it any more.
    pub(crate) async fn discard(self) {
        let Some(body) = self.0 else { return };
        let all = async {
            let mut left = BYTES;
            while let Some(Ok(frame)) =
                poll_fn(|context| Pin::new(&mut *lock(&body)).poll_frame(context)).await
            {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(DEADLINE, all).await;
    }
}

/// The same body, for the call that may read it.
struct Served(Arc<Mutex<Body>>);

impl HttpBody for Served {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *lock(&self.0)).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).size_hint()
    }
}

fn lock(body: &Mutex<Body>) -> MutexGuard<'_, Body> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}
