//! `GET /client.js`: the JavaScript client, for the page of this port and for pages under development.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::admin::call::{Answer, Body, Call};

pub(crate) static CALL: Call = Call {
    name: "client_module",
    says: "The JavaScript client, an ES module.",
    body: Body::None,
    once: false,
    answer: Answer::Text("text/javascript"),
    refusals: &[],
};

/// A link to `clients/js/headcount.js`, so that a package of this crate has the file.
const MODULE: &str = include_str!("client.js");

/// A browser loads a module of another origin only with leave. The module has no secret, and where a
/// request may come from was decided before.
const ANY_ORIGIN: (HeaderName, HeaderValue) =
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));

pub(crate) async fn show() -> Response {
    let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
    ([(header::CONTENT_TYPE, kind), ANY_ORIGIN], MODULE).into_response()
}
