//! Where a server is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use crate::error::LoadError;

/// Connections that are made from one source address. Each needs a port of it, and the usual range
/// has 28,000.
const PER_SOURCE: usize = 12_000;

/// A `ws://` URL, resolved. `{n}` in its path or query stands for the number of the connection.
#[derive(Clone, Debug)]
pub struct Target {
    address: SocketAddr,
    host: String,
    request_target: String,
}

impl Target {
    /// Reads a URL such as `ws://127.0.0.1:7400/ws?user=u{n}`; the port is 80 if it names none.
    ///
    /// # Errors
    /// [`LoadError::Target`]: it is no such URL, or its host is not known.
    pub fn new(url: &str) -> Result<Self, LoadError> {
        let error = |why: &str| LoadError::Target { url: url.to_owned(), why: why.to_owned() };
        let rest =
            url.strip_prefix("ws://").ok_or_else(|| error("give a URL that begins with ws://"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, tail) = rest.split_at(end);
        let tail = tail.split('#').next().unwrap_or_default();
        let request_target =
            if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        if host.is_empty() || url.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
            return Err(error("give a URL such as ws://host:port/path"));
        }
        let is_port =
            |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
        let found = if has_port {
            host.to_socket_addrs()
        } else {
            (host.trim_matches(['[', ']']), 80).to_socket_addrs()
        };
        let mut found = found.map_err(|cause| error(&format!("cannot resolve {host}: {cause}")))?;
        let address = found.next().ok_or_else(|| error("its host has no address"))?;
        Ok(Self { address, host: host.to_owned(), request_target })
    }

    /// The address that is connected to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The source address of a connection: on loopback 12,000 connections share one. `None`: the operating
    /// system's choice.
    pub(crate) fn source(&self, number: usize) -> Option<SocketAddr> {
        let IpAddr::V4(to) = self.address.ip() else { return None };
        to.is_loopback().then(|| {
            let first = u32::from(Ipv4Addr::LOCALHOST);
            let last = u32::from(Ipv4Addr::new(127, 0, 0, 254));
            let source = first.saturating_add((number / PER_SOURCE) as u32).min(last);
            SocketAddr::from((Ipv4Addr::from(source), 0))
        })
    }

    /// The upgrade request of a connection.
    pub(crate) fn request(&self, number: usize) -> Vec<u8> {
        let to = self.request_target.replace("{n}", &number.to_string());
        format!(
            "GET {to} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n",
            self.host
        )
        .into_bytes()
    }
}

/// The sample nonce of RFC 6455 §1.3. It guards against caches, which a load generator does not meet.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a server makes of it.
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_address_and_request() {
        let target = Target::new("ws://127.0.0.1:7400/ws?user=u{n}&at={n}").unwrap();
        assert_eq!(target.address(), "127.0.0.1:7400".parse().unwrap());
        let request = String::from_utf8(target.request(12)).unwrap();
        assert!(request.starts_with("GET /ws?user=u12&at=12 HTTP/1.1\r\nHost: 127.0.0.1:7400\r\n"));
        assert!(Target::new("ws://[::1]?a").unwrap().request(0).starts_with(b"GET /?a "));
        assert_eq!(Target::new("ws://127.0.0.1").unwrap().address().port(), 80);
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_to_give() {
        for url in ["http://a/", "ws://", "ws:///x", "ws://a b/", "127.0.0.1:80", "ws://h:1:x/"] {
            let error = Target::new(url).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{url}: ")), "{error}");
        }
    }

    #[test]
    fn loopback_connections_share_a_source_by_the_thousand() {
        let target = Target::new("ws://127.0.0.1:1/").unwrap();
        let source = |number| target.source(number).unwrap().ip().to_string();
        assert_eq!((source(0), source(11_999)), ("127.0.0.1".into(), "127.0.0.1".into()));
        assert_eq!((source(12_000), source(36_000)), ("127.0.0.2".into(), "127.0.0.4".into()));
        assert_eq!(Target::new("ws://[::1]:1/").unwrap().source(0), None);
    }
}
