//! What keeps strangers' web pages out of a server that asks nobody for credentials.
//!
//! A page from anywhere can make its visitor's browser talk to loopback, under a name that it had
//! resolve to 127.0.0.1. Such a request names the stranger in `Host` or in `Origin`; one from this
//! machine names loopback in both, or comes from a program and has no `Origin`.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::problem::Problem;

/// Checks the `Host` headers and the `Origin` headers of one request.
pub(crate) fn check<'a>(
    mut hosts: impl Iterator<Item = &'a str>,
    mut origins: impl Iterator<Item = &'a str>,
) -> Result<(), Problem> {
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::new(403, "host", "the request needs exactly one Host header"));
    };
    if !names_loopback(host) {
        return Err(Problem::new(
            403,
            "host",
            "development mode answers only to localhost, 127.0.0.1 and [::1] as Host",
        ));
    }
    if origins.all(is_loopback_origin) {
        return Ok(());
    }
    Err(Problem::new(
        403,
        "origin",
        "development mode accepts only pages from localhost, 127.0.0.1 and [::1] (see the Origin header)",
    ))
}

/// `scheme://host[:port]`, and the host is loopback. `null` is any page in a sandbox.
pub(crate) fn is_loopback_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| names_loopback(host))
}

/// `host[:port]`, and the host is loopback.
fn names_loopback(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            is_port_suffix(port)
                && address.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
        });
    }
    let host = match authority.find(':') {
        Some(colon) if is_port_suffix(&authority[colon..]) => &authority[..colon],
        Some(_) => return false,
        None => authority,
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

fn is_port_suffix(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.parse::<u16>().is_ok() && !digits.starts_with('+'),
        None => text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hosts: &[&str], origins: &[&str]) -> u16 {
        check(hosts.iter().copied(), origins.iter().copied()).map_or_else(|p| p.status(), |()| 200)
    }

    #[test]
    fn loopback_by_any_of_its_names() {
        for host in
            ["localhost", "LOCALHOST:7400", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:65535"]
        {
            assert_eq!(status(&[host], &[]), 200, "{host}");
            assert_eq!(status(&[host], &[&format!("http://{host}")]), 200, "{host}");
        }
    }

    #[test]
    fn strangers() {
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "localhost:",
            "localhost:+1",
            "localhost:99999",
            "localhost:80:80",
            "127.0.0.1@example.com",
            "192.168.0.1",
            "0.0.0.0",
            "[::]",
            "[::1",
            "[::1]x",
            "::1",
            "2130706433",
        ] {
            assert_eq!(status(&[host], &[]), 403, "{host}");
            assert_eq!(status(&["localhost"], &[&format!("https://{host}")]), 403, "{host}");
        }
        assert_eq!(status(&["localhost"], &["null"]), 403);
        assert_eq!(status(&["localhost"], &["http://localhost", "http://example.com"]), 403);
        assert_eq!(status(&["localhost", "localhost"], &[]), 403);
        assert_eq!(status(&[], &[]), 403);
    }
}
