//! What is wrong with a request, as both ports say it: a status, a stable code and a sentence.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

use headcount::IdError;
use headcount_mio::Answer;

use crate::frames::Object;

/// An answer of `{"error":{"code","message"}}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: u16,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// When the same request can succeed.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// A name that was refused, and where it stood.
    pub(crate) fn id(place: &str, error: IdError) -> Self {
        Self::new(400, "bad_id", format!("{place}: {error}"))
    }

    #[cfg(test)]
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The body, for whoever writes the rest of the answer.
    pub(crate) fn json(&self) -> String {
        Object::new()
            .raw(
                "error",
                &Object::new().text("code", self.code).text("message", &self.message).end(),
            )
            .end()
    }

    /// The answer to a WebSocket upgrade.
    pub(crate) fn answer(&self) -> Answer {
        Answer::json(self.status, self.code, &self.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json");
        let mut response = (status, [(header::CONTENT_TYPE, json)], self.json()).into_response();
        let soon = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::ZERO);
        if let Some(wait) = self.retry_after.or(soon) {
            // Whole seconds, never too early.
            response.headers_mut().insert(header::RETRY_AFTER, (wait.as_secs() + 1).into());
        }
        response
    }
}
