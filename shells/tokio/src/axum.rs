//! Beside axum: an extractor of an upgrade that waits for its place.

use std::time::Duration;

use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};

use crate::adapter::Axum;
use crate::handle::{Handle, HubError};
use crate::socket::Place;

/// How much of a socket is read at once. A connection that is idle keeps a buffer of this size.
const READ_BUFFER: usize = 1024;

/// A WebSocket upgrade that the registry has a say in, as an extractor. The state of the router is the
/// [`Handle`], or one that it can be taken from ([`FromRef`]).
#[derive(Debug)]
#[must_use = "a request that is not answered is not upgraded"]
pub struct Upgrade {
    /// The upgrade itself, for subprotocols and buffer sizes. The largest message is that of the
    /// configuration.
    pub websocket: WebSocketUpgrade,
    /// To ask for a place before the upgrade is answered: [`Handle::admit`], [`Handle::reserve`]. Their
    /// errors are responses.
    pub hub: Handle,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade
where
    Handle: FromRef<S>,
{
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let websocket = WebSocketUpgrade::from_request_parts(parts, state).await?;
        let websocket = websocket.read_buffer_size(READ_BUFFER);
        Ok(Self { websocket, hub: Handle::from_ref(state) })
    }
}

impl Upgrade {
    /// The response that upgrades the client. Its socket is served in a task of its own: [`Place::serve`].
    /// The place is given back if the upgrade fails.
    pub fn serve(self, place: Place) -> Response {
        let most = place.message_bytes();
        // A control frame may have 125 bytes (RFC 6455 §5.5), also where a message may have fewer.
        let websocket = self.websocket.max_message_size(most).max_frame_size(most.max(125));
        websocket.on_upgrade(|socket| place.serve(socket, Axum))
    }
}

/// 429 where the limit is the user's own and 503 otherwise, with `Retry-After` in whole seconds and the
/// reason in JSON.
impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        let (code, wait) = match &self {
            Self::Refused(refused) => (refused.name(), refused.retry_after()),
            Self::Overloaded => ("overloaded", Duration::ZERO),
            Self::Stopped => ("stopped", Duration::ZERO),
        };
        // All limits of a user are named so, and nothing else is.
        let status = match code.ends_with("_per_user") {
            true => StatusCode::TOO_MANY_REQUESTS,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let headers = [
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::RETRY_AFTER, seconds.max(1).to_string()),
        ];
        // Neither the code nor the sentence has a character that JSON escapes.
        let body = format!(r#"{{"error":{{"code":"{code}","message":"{self}"}}}}"#);
        (status, headers, body).into_response()
    }
}
