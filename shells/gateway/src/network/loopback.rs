//! Which hosts are this machine's own, by any of their names.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// `scheme://host[:port]`, and the host is loopback. `null` is any page in a sandbox.
pub(crate) fn is_loopback_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, host)| names_loopback(host))
}

/// `host[:port]`, and the host is loopback.
pub(crate) fn names_loopback(authority: &str) -> bool {
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

/// Refuses an address that other machines can reach. A port without credentials must not be reached from
/// outside, because its clients name their user without proof. `written` is the address as it was given.
pub(crate) fn only_loopback(written: &str, address: SocketAddr) -> Result<(), String> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(format!(
        "{written}: development mode (no key) listens on loopback only; use 127.0.0.1:{port} or \
         [::1]:{port}",
        port = address.port()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_by_any_of_its_names() {
        for host in
            ["localhost", "LOCALHOST:7400", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:65535"]
        {
            assert!(names_loopback(host), "{host}");
            assert!(is_loopback_origin(&format!("http://{host}")), "{host}");
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
            assert!(!names_loopback(host), "{host}");
            assert!(!is_loopback_origin(&format!("https://{host}")), "{host}");
        }
        assert!(!is_loopback_origin("null") && !is_loopback_origin("localhost"));
    }

    #[test]
    fn only_this_machine_may_reach_it() {
        assert!(only_loopback("--listen", "127.9.9.9:1".parse().unwrap()).is_ok());
        for open in ["0.0.0.0:1", "[::]:1", "192.168.0.1:1"] {
            let written = format!("--admin {open}");
            let sentence = only_loopback(&written, open.parse().unwrap()).unwrap_err();
            assert!(sentence.starts_with(&written), "{sentence}");
        }
    }
}
