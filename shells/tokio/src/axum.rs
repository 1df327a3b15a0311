//! Beside axum: an extractor that admits before it upgrades.

use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use headcount::{ConnId, Principal, Refused, Source, Start};

use crate::adapter::Axum;
use crate::handle::{AdmitError, CallError, Handle};
use crate::socket::Place;

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
    /// Admits the client as this principal, before it is answered: [`Handle::admit`].
    ///
    /// # Errors
    /// As for `Handle::admit`. The error is a response.
    pub async fn admit(
        self,
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    ) -> Result<Admission, AdmitError> {
        let place = self.handle.admit(who, start, previous).await?;
        Ok(Admission { websocket: self.websocket, place })
    }

    /// Takes a place for a client that names its user in its first message: [`Handle::reserve`].
    ///
    /// # Errors
    /// As for `Handle::reserve`. The error is a response.
    pub async fn reserve(self, source: Option<Source>) -> Result<Admission, AdmitError> {
        let place = self.handle.reserve(source).await?;
        Ok(Admission { websocket: self.websocket, place })
    }
}

/// A client that has a place and was not answered yet: the time to have it join rooms, for example.
#[derive(Debug)]
#[must_use = "a place that is dropped is given back"]
pub struct Admission {
    websocket: WebSocketUpgrade,
    place: Place,
}

impl Admission {
    /// Its connection.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        self.place.conn()
    }

    /// The response that upgrades it. The socket is served in a task of its own.
    pub fn upgrade(self) -> Response {
        let most = self.place.message_bytes();
        // A control frame may have 125 bytes (RFC 6455 §5.5), also where a message may have fewer.
        let websocket = self.websocket.max_message_size(most).max_frame_size(most.max(125));
        websocket.on_upgrade(|socket| self.place.serve(socket, Axum))
    }
}

/// 503: the hub has ended, or has too much to do.
impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, self.to_string()).into_response()
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
