//! A problem as the admin port answers it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headcount::Refused;
use headcount_mio::Answer;
use headcount_protocol::problem::Problem;

/// The code of the error that a response is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code(pub(crate) &'static str);

/// A [`Problem`] that is answered.
pub(crate) struct Refusal(Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json");
        let mut response = (status, [(header::CONTENT_TYPE, json)], self.0.json()).into_response();
        response.extensions_mut().insert(Code(self.0.code()));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"headcount\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        let pause = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Refused::PAUSE);
        if let Some(wait) = self.0.wait().or(pause) {
            let seconds = Answer::whole_seconds(wait);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
