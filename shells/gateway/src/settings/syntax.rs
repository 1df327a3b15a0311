//! How the values of the gateway's own settings are written: lists, flags and addresses.
//!
//! Errors complete the sentence "… is not": they say what was expected.

use std::net::SocketAddr;

const FLAG: &str = "true or false";
const ADDRESS: &str = "an IP address and a port, such as 127.0.0.1:7400 or [::1]:0";

/// A value as a file would have it, without its quotes; others as they are.
pub(crate) fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// A list with commas; brackets and quotes, as a file would have them, are allowed.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let text = Some(unquoted(text)).filter(|list| !list.contains('"')).unwrap_or(text);
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let items = inner.unwrap_or(text).split(',').map(|item| unquoted(item.trim()));
    items.filter(|item| !item.is_empty())
}

/// Yes or no.
pub(crate) fn flag(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_| FLAG)
}

/// An IP address and a port; `localhost` is 127.0.0.1.
pub(crate) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("localhost:0"), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(address("[::1]:7400"), Ok("[::1]:7400".parse().unwrap()));
        for wrong in ["", "7400", ":7400", "127.0.0.1", "example.com:80", "127.0.0.1:65536"] {
            assert_eq!(address(wrong), Err(ADDRESS), "{wrong}");
        }
    }
}
