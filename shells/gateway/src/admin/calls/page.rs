//! `GET /`: a page to try the server with, in one file.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use headcount_protocol::json::Object;

use crate::admin::AdminState;
use crate::admin::call::{Answer, Body, Call};

pub(crate) static CALL: Call = Call {
    name: "page",
    says: "A page to try the server with.",
    body: Body::None,
    once: false,
    answer: Answer::Text("text/html"),
    refusals: &[],
};

const PAGE: &str = include_str!("page.html");
/// Where the page finds what it must know of this process.
const FACTS: &str = "{\"here\":\"facts\"}";

/// The page of this process, made once.
pub(crate) struct Page {
    html: Bytes,
    /// What the page may do: its own script and style, this server, and nothing else.
    policy: HeaderValue,
}

impl Page {
    pub(crate) fn new(websocket: SocketAddr) -> Self {
        let facts = Object::new()
            .text("websocket", &format!("ws://{websocket}/ws"))
            .text("version", env!("CARGO_PKG_VERSION"))
            .end();
        // Policies have no way to write an IPv6 address.
        let connect =
            if websocket.is_ipv6() { "ws:".to_owned() } else { format!("ws://{websocket}") };
        let policy = format!(
            "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; \
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

pub(crate) async fn show(State(state): State<AdminState>) -> Response {
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

    /// The relative luminance of a colour, as WCAG 2 has it.
    fn luminance(colour: &str) -> f64 {
        let digits = colour.strip_prefix('#').unwrap();
        let width = digits.len() / 3;
        let part = |number: usize| {
            let part = &digits[number * width..(number + 1) * width];
            let value = u8::from_str_radix(&part.repeat(3 - width), 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2)
    }

    #[test]
    fn every_text_can_be_read_in_light_and_in_dark() {
        let themes: Vec<_> = PAGE.split("--ground:").skip(1).collect();
        assert_eq!(themes.len(), 2, "light and dark");
        for theme in themes {
            let theme = format!("--ground:{}", theme.split_once('}').unwrap().0);
            let colour = |name: &str| {
                let (_, rest) = theme.split_once(&format!("--{name}: ")).unwrap();
                luminance(rest.split_once(';').unwrap().0)
            };
            let mut pairs = vec![("accent-ink", "accent")];
            for text in ["ink", "soft", "faint", "accent", "good", "warn", "bad"] {
                pairs.extend([(text, "ground"), (text, "card")]);
            }
            for (text, behind) in pairs {
                let (one, other) = (colour(text) + 0.05, colour(behind) + 0.05);
                let contrast = (one / other).max(other / one);
                assert!(contrast >= 4.5, "{text} on {behind}: {contrast:.2}");
            }
        }
    }
}
