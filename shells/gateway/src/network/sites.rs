//! Which hosts a port answers as, and the pages of which origins it serves.
//!
//! A page from anywhere can make its visitor's browser talk to this server, under a name that the page
//! had resolve to the server's address. Such a request names the page's host in `Host` or in `Origin`. A
//! program has no `Origin`.

use std::net::{IpAddr, Ipv6Addr};

use headcount_protocol::problem::Problem;

use crate::network::loopback;
use crate::settings::syntax;

const HOSTS: &str = "hosts, such as example.com, *.example.com or 127.0.0.1:8080; a * stands for one \
                     label at the beginning";
const ORIGINS: &str = "origins, such as https://example.com, https://*.example.com or \
                       http://localhost:3000; a * stands for one label at the beginning of the host";

/// The longest host, in bytes: RFC 1035, section 2.3.4.
const MAX_HOST_BYTES: usize = 253;
/// The most entries of a list. Each upgrade is compared with all of them.
const MOST: usize = 256;

/// The ports that URLs leave out.
const DEFAULT_PORTS: [(&str, u16); 4] = [("http", 80), ("https", 443), ("ws", 80), ("wss", 443)];

/// What the `Host` and the `Origin` of a request are compared with. By default both must be loopback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sites {
    hosts: Option<Hosts>,
    origins: Option<Origins>,
    /// The settings that the two come from, for sentences about them; `None`: there are no such.
    keys: Option<[&'static str; 2]>,
}

/// Hosts that are allowed.
///
/// An entry without a port is for requests to the default ports, and so is one with 80 or 443: what a
/// `Host` header leaves out depends on the scheme, which it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hosts(Vec<Authority>);

/// Origins that are allowed; none at all: no page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origins(Vec<(String, Authority)>);

/// `host[:port]`. The host is in lower case, and a default port is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    /// For an entry with a wildcard, what follows the first label: `.example.com`.
    host: String,
    wildcard: bool,
    port: Option<u16>,
}

impl Sites {
    /// `None` is loopback, at any port. `keys` are the settings of the hosts and of the origins.
    pub(crate) const fn new(
        hosts: Option<Hosts>,
        origins: Option<Origins>,
        keys: [&'static str; 2],
    ) -> Self {
        Self { hosts, origins, keys: Some(keys) }
    }

    /// Checks the `Host` headers and the `Origin` headers of one request.
    ///
    /// # Errors
    /// 403 `host` or `origin`; the sentence names the setting.
    pub(crate) fn check<'a>(
        &self,
        mut hosts: impl Iterator<Item = &'a str>,
        mut origins: impl Iterator<Item = &'a str>,
    ) -> Result<(), Problem> {
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Problem::new(403, "host", "the request needs exactly one Host header"));
        };
        let host_allowed = match &self.hosts {
            Some(allowed) => allowed.allow(host),
            None => loopback::names_loopback(host),
        };
        if !host_allowed {
            return Err(Problem::new(403, "host", self.wrong_host()));
        }
        let origins_allowed = match &self.origins {
            Some(allowed) => origins.all(|origin| allowed.allow(origin)),
            None => origins.all(loopback::is_loopback_origin),
        };
        if !origins_allowed {
            return Err(Problem::new(403, "origin", self.wrong_origin()));
        }
        Ok(())
    }

    /// Whether no host and no page but those of this machine are served.
    pub(crate) fn are_of_this_machine(&self) -> bool {
        let hosts = self.hosts.iter().flat_map(|Hosts(hosts)| hosts);
        let origins = self.origins.iter().flat_map(|Origins(origins)| origins);
        let mut all = hosts.chain(origins.map(|(_, authority)| authority));
        all.all(|entry| !entry.wildcard && loopback::names_loopback(&entry.host))
    }

    /// Whether an entry of the list of origins allows this one; without a list none does.
    pub(crate) fn names_origin(&self, origin: &str) -> bool {
        self.origins.as_ref().is_some_and(|allowed| allowed.allow(origin))
    }

    /// The same for hosts; without a list every host is allowed.
    pub(crate) fn may_be_host(&self, host: &str) -> bool {
        self.hosts.as_ref().is_none_or(|allowed| allowed.allow(host))
    }

    fn wrong_host(&self) -> String {
        const LOOPBACK: &str = "this server answers only to localhost, 127.0.0.1 and [::1] as Host";
        match (self.keys, &self.hosts) {
            (None, _) => LOOPBACK.to_owned(),
            (Some([key, _]), None) => format!("{LOOPBACK}: add the host to {key}"),
            (Some([key, _]), Some(_)) => format!("the Host of the request is not one of {key}"),
        }
    }

    fn wrong_origin(&self) -> String {
        const LOOPBACK: &str = "this server accepts only pages from localhost, 127.0.0.1 and [::1] \
                                (see the Origin header)";
        match (self.keys, &self.origins) {
            (None, _) => LOOPBACK.to_owned(),
            (Some([_, key]), None) => format!("{LOOPBACK}: add the page's origin to {key}"),
            (Some([_, key]), Some(_)) => {
                format!("the page (see the Origin header) is not one of {key}")
            }
        }
    }
}

impl Hosts {
    /// Reads a list with commas; brackets and quotes, as a file would have them, are allowed. It must
    /// not be empty.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let read = |entry: &str| Authority::parse(&lower(entry)?, true).map(Authority::of_a_host);
        let hosts: Option<Vec<_>> = syntax::list(text).map(read).collect();
        let fits = |hosts: &Vec<_>| (1..=MOST).contains(&hosts.len());
        hosts.filter(fits).map(Self).ok_or(HOSTS)
    }

    fn allow(&self, host: &str) -> bool {
        let host = lower(host).and_then(|host| Authority::parse(&host, false));
        host.map(Authority::of_a_host)
            .is_some_and(|host| self.0.iter().any(|entry| entry.fits(&host)))
    }
}

impl Origins {
    /// As [`Hosts::parse`]; an empty list allows no page.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let origins: Option<Vec<_>> = syntax::list(text).map(|entry| origin(entry, true)).collect();
        origins.filter(|origins| origins.len() <= MOST).map(Self).ok_or(ORIGINS)
    }

    /// `null`, the origin of any page in a sandbox, is never allowed: it has no host.
    fn allow(&self, text: &str) -> bool {
        origin(text, false).is_some_and(|(scheme, authority)| {
            self.0.iter().any(|(allowed, entry)| *allowed == scheme && entry.fits(&authority))
        })
    }
}

/// `scheme://host[:port]`, and nothing behind it.
fn origin(text: &str, is_entry: bool) -> Option<(String, Authority)> {
    let text = lower(text)?;
    let (scheme, authority) = text.split_once("://")?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(is_scheme) {
        return None;
    }
    let mut authority = Authority::parse(authority, is_entry)?;
    authority.port = authority.port.filter(|port| !DEFAULT_PORTS.contains(&(scheme, *port)));
    Some((scheme.to_owned(), authority))
}

/// Browsers send hosts that are not ASCII in their ASCII form (punycode), so an entry is written so.
fn lower(text: &str) -> Option<String> {
    text.is_ascii().then(|| text.to_ascii_lowercase())
}

impl Authority {
    /// Reads text in lower case. A wildcard is for entries only, which may also name an IPv6 address
    /// without its brackets.
    fn parse(text: &str, is_entry: bool) -> Option<Self> {
        if let Ok(address) = text.parse::<Ipv6Addr>()
            && is_entry
        {
            return Some(Self { host: format!("[{address}]"), wildcard: false, port: None });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (format!("[{address}]"), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (text[..end].to_owned(), &text[end..])
            }
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            None if port.is_empty() => None,
            _ => return None,
        };
        let below = host.strip_prefix("*.").filter(|_| is_entry);
        let name = below.unwrap_or(&host);
        let is_label = |label: &str| {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !label.is_empty() && label.bytes().all(is_name)
        };
        let is_name = host.starts_with('[') || name.split('.').all(is_label);
        if !is_name || host.len() > MAX_HOST_BYTES {
            return None;
        }
        match below {
            Some(name) if name.parse::<IpAddr>().is_ok() => None,
            Some(name) => Some(Self { host: format!(".{name}"), wildcard: true, port }),
            None => Some(Self { host, wildcard: false, port }),
        }
    }

    /// As a `Host` header has it, without a scheme.
    fn of_a_host(mut self) -> Self {
        self.port = self.port.filter(|port| !matches!(port, 80 | 443));
        self
    }

    /// Whether it is the entry that `other` is looked up in.
    fn fits(&self, other: &Self) -> bool {
        let host = if self.wildcard {
            let label = other.host.strip_suffix(&*self.host);
            label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
        } else {
            self.host == other.host
        };
        host && self.port == other.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 2] = ["allowed_hosts", "allowed_origins"];

    fn status(sites: &Sites, hosts: &[&str], origins: &[&str]) -> u16 {
        let checked = sites.check(hosts.iter().copied(), origins.iter().copied());
        checked.map_or_else(|problem| problem.status(), |()| 200)
    }

    fn hosts(list: &str, host: &str) -> bool {
        let sites = Sites::new(Some(Hosts::parse(list).unwrap()), None, KEYS);
        status(&sites, &[host], &[]) == 200
    }

    fn origins(list: &str, origin: &str) -> bool {
        let sites = Sites::new(None, Some(Origins::parse(list).unwrap()), KEYS);
        status(&sites, &["localhost"], &[origin]) == 200
    }

    #[test]
    fn without_settings_it_is_loopback() {
        let sites = Sites::default();
        for host in ["localhost", "LOCALHOST:7400", "127.1.2.3:80", "[::1]:65535"] {
            assert_eq!(status(&sites, &[host], &[]), 200, "{host}");
            assert_eq!(status(&sites, &[host], &[&format!("http://{host}")]), 200, "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "0.0.0.0", "[::]", "localhost:"] {
            assert_eq!(status(&sites, &[host], &[]), 403, "{host}");
            assert_eq!(
                status(&sites, &["localhost"], &[&format!("https://{host}")]),
                403,
                "{host}"
            );
        }
        assert_eq!(status(&sites, &["localhost"], &["null"]), 403);
        assert_eq!(status(&sites, &["localhost"], &["http://localhost", "http://a.com"]), 403);
        assert_eq!(status(&sites, &["localhost", "localhost"], &[]), 403);
        assert_eq!(status(&sites, &[], &[]), 403);
    }

    #[test]
    fn a_list_takes_the_place_of_loopback() {
        assert!(
            !hosts("example.com", "localhost") && !origins("https://a.com", "http://localhost")
        );
        assert!(!origins("[]", "http://localhost"));
        let sites = Sites::new(None, Some(Origins::parse("").unwrap()), KEYS);
        assert_eq!(status(&sites, &["localhost"], &[]), 200, "a program is no page");
        let sites = Sites::new(None, Some(Origins::parse("https://a.com").unwrap()), KEYS);
        assert_eq!(status(&sites, &["localhost"], &["https://a.com", "https://b.com"]), 403);
    }

    #[test]
    fn a_refusal_names_the_setting() {
        let check = |sites: Sites, host: &str| {
            let problem = sites.check([host].into_iter(), ["https://b.com"].into_iter());
            problem.unwrap_err().message().to_owned()
        };
        let all =
            Sites::new(Hosts::parse("a.com").ok(), Origins::parse("https://a.com").ok(), KEYS);
        assert!(check(all.clone(), "b.com").contains("allowed_hosts"));
        assert!(check(all, "a.com").contains("allowed_origins"));
        assert!(check(Sites::new(None, None, KEYS), "b.com").contains("allowed_hosts"));
        assert!(check(Sites::new(None, None, KEYS), "localhost").contains("allowed_origins"));
    }

    #[test]
    fn a_wildcard_is_one_label() {
        let list = "https://*.example.com";
        assert!(
            origins(list, "https://a.example.com") && origins(list, "https://A.Example.COM:443")
        );
        for other in [
            "https://example.com",
            "https://.example.com",
            "https://a.b.example.com",
            "https://aexample.com",
            "https://a.example.com.evil.com",
            "https://a.example.com.",
            "https://*.example.com",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://evil.com/a.example.com",
            "https://user@a.example.com",
            "https://a.example.com@evil.com",
            "https://a.example.com#x",
            "https://a.example.com:443:443",
            "https://a.example.com:+443",
            "https://a.example.com:",
            "https://a.example.com:99999",
            "https://ä.example.com",
            "//a.example.com",
            "://a.example.com",
            "a.example.com",
            "null",
            "",
        ] {
            assert!(!origins(list, other), "{other}");
        }
        assert!(hosts("*.example.com", "a.example.com:443") && hosts("*.a.b", "c.a.b"));
        assert!(
            !hosts("*.example.com", "example.com") && !hosts("*.example.com", "a.b.example.com")
        );
    }

    #[test]
    fn scheme_and_port_count() {
        assert!(
            origins("https://a.com:443", "https://a.com")
                && origins("http://a.com", "http://a.com:80")
        );
        assert!(
            !origins("https://a.com", "http://a.com")
                && !origins("http://a.com", "http://a.com:443")
        );
        assert!(origins("http://a.com:3000", "http://a.com:3000"));
        assert!(!origins("http://a.com:3000", "http://a.com"));
        assert!(origins("capacitor://localhost", "capacitor://localhost"));
        assert!(origins("http://[::1]:5000", "http://[0:0:0:0:0:0:0:1]:5000"));
        assert!(hosts("a.com", "a.com:443") && hosts("a.com:80", "a.com") && hosts("::1", "[::1]"));
        assert!(!hosts("a.com", "a.com:8443") && !hosts("a.com:8443", "a.com"));
        assert!(hosts("127.0.0.1:7400", "127.0.0.1:7400"));
    }

    #[test]
    fn lists_are_checked() {
        let several = "[\"https://a.com\", \"https://*.b.com\",]";
        assert!(origins(several, "https://a.com") && origins(several, "https://x.b.com"));
        assert!(hosts("a.com, b.com", "b.com"));
        for wrong in [
            "",
            "*",
            "*.",
            "a.*",
            "*a.com",
            "a.*.com",
            "**.a.com",
            "*.127.0.0.1",
            "*.[::1]",
            "a.com/",
            "https://a.com",
            "a..com",
            ".a.com",
            "a.com.",
            "a.com:",
            "a.com:x",
            "ä.com",
            "a b.com",
            "a@b.com",
        ] {
            assert_eq!(Hosts::parse(wrong), Err(HOSTS), "{wrong}");
        }
        for wrong in
            ["*", "null", "a.com", "https://", "https://*", "https://a.com/", "https://*.*.com"]
        {
            assert_eq!(Origins::parse(wrong), Err(ORIGINS), "{wrong}");
        }
        let long = vec!["a.com"; MOST + 1].join(",");
        assert_eq!(Hosts::parse(&long), Err(HOSTS));
        assert!(Hosts::parse(&"a".repeat(MAX_HOST_BYTES + 1)).is_err());
    }
}
