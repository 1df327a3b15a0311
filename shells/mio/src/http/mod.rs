//! HTTP up to the upgrade: collecting a request head, judging it, and the answer 101.

mod head;
mod request;

pub(crate) use head::{Head, Progress};
pub(crate) use request::NO_LINES;
pub use request::Request;

#[cfg(test)]
mod samples {
    use std::net::SocketAddr;

    use super::{NO_LINES, Request};
    use crate::options::Options;

    pub(super) const UPGRADE: &str = "GET /ws?user=u HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, \
                           Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    pub(super) fn peer() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    /// The status that a head is answered with; 101 for an upgrade.
    pub(super) fn status(head: &str) -> u16 {
        let mut lines = NO_LINES;
        match Request::parse(head.as_bytes(), &mut lines, peer()) {
            Ok(request) => match request.check_upgrade(&Options::new()) {
                Ok(()) => 101,
                Err(answer) => answer.status(),
            },
            Err(answer) => answer.status(),
        }
    }
}
