//! Beside axum: an extractor that admits before it upgrades.

use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use headcount::{ConnId, Principal, Refused, Source, Start};

use crate::adapter::Axum;
use crate::handle::{AdmitError, Handle, Place};

/// How much of a socket is read at once. A connection that is idle keeps a buffer of this size.
const READ_BUFFER: usize = 1024;

/// A WebSocket upgrade that the registry has a say in, as an extractor. The state of the router is the
/// [`Handle`], or one that it can be taken from ([`FromRef`]).
///
/// The place that an admission takes is given back if the upgrade fails.
#[derive(Debug)]
#[must_use = "a request that is not answered is not upgraded"]
pub struct Upgrade {
    /// The upgrade itself, for subprotocols and buffer sizes. The largest message is that of the
    /// configuration.
    pub websocket: WebSocketUpgrade,
    handle: Handle,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade
where
    Handle: FromRef<S>,
{
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let websocket = WebSocketUpgrade::from_request_parts(parts, state).await?;
        let websocket = websocket.read_buffer_size(READ_BUFFER);
        Ok(Self { websocket, handle: Handle::from_ref(state) })
    }
}

impl Upgrade {
    /// Upgrades the request as this principal, if the registry admits it: [`Handle::admit`]. Return the
    /// response: 101, or 429 where a limit of the user's own refuses it and 503 where it is everyone's, with
    /// `Retry-After`.
    pub async fn admit(self, who: Principal, start: Start, previous: Option<ConnId>) -> Response {
        let place = self.handle.admit(who, start, previous).await;
        self.answer(place)
    }

    /// Upgrades the request of a client that names its user in its first message: [`Handle::reserve`].
    pub async fn reserve(self, source: Option<Source>) -> Response {
        let place = self.handle.reserve(source).await;
        self.answer(place)
    }

    fn answer(self, place: Result<Place, AdmitError>) -> Response {
        match place {
            Err(error) => error.into_response(),
            Ok(place) => {
                let most = place.message_bytes();
                let websocket = self.websocket.max_message_size(most).max_frame_size(most);
                websocket.on_upgrade(|socket| place.serve(socket, Axum))
            }
        }
    }
}

/// 429 where the limit is the user's own and 503 where it is everyone's, with `Retry-After` in whole seconds
/// and the reason in JSON.
impl IntoResponse for AdmitError {
    fn into_response(self) -> Response {
        use Refused::{ConnectionsPerUser, RateOfUser, SessionsPerUser, StreamsPerUser};

        let (status, code, wait) = match &self {
            Self::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped", Default::default()),
            Self::Refused(refused) => {
                let status = match refused {
                    ConnectionsPerUser { .. } | StreamsPerUser { .. } => {
                        StatusCode::TOO_MANY_REQUESTS
                    }
                    SessionsPerUser { .. } | RateOfUser { .. } => StatusCode::TOO_MANY_REQUESTS,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                (status, refused.name(), refused.retry_after())
            }
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
