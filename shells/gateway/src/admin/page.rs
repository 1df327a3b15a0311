//! `GET /`: a page to try the server with, in one file.

use std::net::SocketAddr;

use axum::extract::State as Shared;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::State;
use crate::frames::Object;

const PAGE: &str = include_str!("../page.html");
/// Where the page finds what it must know of this process.
const FACTS: &str = "{\"here\":\"facts\"}";

/// The page of this process, made once.
pub(super) struct Page {
    html: Bytes,
    /// What the page may do: its own script and style, this server, and nothing else.
    policy: HeaderValue,
}

impl Page {
    pub(super) fn new(websocket: SocketAddr) -> Self {
        let facts = Object::new()
            .text("websocket", &format!("ws://{websocket}/ws"))
            .text("version", env!("CARGO_PKG_VERSION"))
            .end();
        // Policies have no way to write an IPv6 address.
        let connect =
            if websocket.is_ipv6() { "ws:".to_owned() } else { format!("ws://{websocket}") };
        let policy = format!(
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
             img-src data:; connect-src 'self' {connect}; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        Self {
            html: PAGE.replacen(FACTS, &facts, 1).into(),
            policy: HeaderValue::try_from(policy)
                .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'")),
        }
    }
}

pub(super) async fn show(Shared(state): Shared<State>) -> Response {
    let page = &state.0.page;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = [
        (header::CONTENT_TYPE, html),
        (header::CONTENT_SECURITY_POLICY, page.policy.clone()),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, page.html.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_the_port_and_needs_nothing_from_elsewhere() {
        let page = Page::new("127.0.0.1:12345".parse().unwrap());
        let html = std::str::from_utf8(&page.html).unwrap();
        assert!(html.contains("\"websocket\":\"ws://127.0.0.1:12345/ws\""));
        assert!(!html.contains(FACTS));
        for elsewhere in ["http://", "https://", "src=\"", "@import", "url("] {
            assert!(!html.contains(elsewhere), "{elsewhere}");
        }
        assert!(page.policy.to_str().unwrap().contains("connect-src 'self' ws://127.0.0.1:12345;"));
    }
}
