//! Where a client really is: its own address, or what a proxy that is trusted says of it.

use std::net::{IpAddr, Ipv6Addr};

use crate::settings::syntax;

const LIST: &str = "addresses and networks, such as 127.0.0.1,10.0.0.0/8,::1";

/// The networks of proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxies(Vec<Network>);

/// The prefix of all mapped addresses of IPv4.
const MAPPED: u32 = 96;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// IPv4 as the mapped addresses of IPv6, so that there is one kind.
    bits: u128,
    prefix: u32,
}

impl Proxies {
    /// Reads a list.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let networks = syntax::list(text).map(Network::parse);
        networks.collect::<Option<Vec<_>>>().map(Self).ok_or(LIST)
    }

    /// The address of the client behind a peer. `forwarded` are the `X-Forwarded-For` headers in
    /// their order.
    ///
    /// Each proxy adds the address that it was reached from at the end, and anyone can write what
    /// stands before that. So the last one that is no proxy of ours is the client.
    pub(crate) fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl Iterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let hops: Vec<&str> = forwarded.flat_map(|list| list.split(',')).collect();
        for hop in hops.into_iter().rev() {
            // If a hop is not an address, the hops before it can't be trusted either.
            let Some(address) = address(hop.trim()) else { return client };
            client = address;
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }

    /// Whether an address, in its canonical form, is one of a proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (widest, offset) = if address.is_ipv4() { (32, MAPPED) } else { (128, 0) };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= widest)?
            }
            Some(_) => return None,
            None => widest,
        };
        Some(Self { bits: mapped(address), prefix: prefix + offset })
    }

    fn contains(self, address: IpAddr) -> bool {
        // Who trusts a wide network of IPv6 has said nothing about IPv4, which is mapped into it.
        let of_its_kind = address.is_ipv6() || self.prefix >= MAPPED;
        let differ = self.bits ^ mapped(address);
        of_its_kind && differ.leading_zeros() >= self.prefix
    }
}

/// An address as proxies write it: some add the port.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(bare) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return bare.parse().ok().map(|address: Ipv6Addr| IpAddr::from(address).to_canonical());
    }
    text.parse().ok().map(|address: std::net::SocketAddr| address.ip().to_canonical())
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> String {
        let proxies = Proxies::parse(proxies).unwrap();
        proxies.client(peer.parse().unwrap(), forwarded.iter().copied()).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = "10.0.0.0/8, \"::1\"";
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.1.2.3", &["203.0.113.9"], "203.0.113.9"),
            ("::1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("::1", &["1.1.1.1, 203.0.113.9", "10.9.9.9"], "203.0.113.9"),
            ("::1", &["203.0.113.9:4711, 10.9.9.9"], "203.0.113.9"),
            ("::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("::1", &["203.0.113.9, nonsense"], "::1"),
            ("::1", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        ] {
            assert_eq!(client(proxies, peer, forwarded), expected, "{peer} {forwarded:?}");
        }
        assert_eq!(client("", "127.0.0.1", &["203.0.113.9"]), "127.0.0.1");
    }

    #[test]
    fn lists_are_checked() {
        let one = Proxies::parse("127.0.0.1");
        assert_eq!(Proxies::parse(" [\"127.0.0.1/32\",] "), one);
        assert_eq!(Proxies::parse("\"10.0.0.0/8, ::1\""), Proxies::parse("\"10.0.0.0/8\",::1"));
        assert!(Proxies::parse("0.0.0.0/0").unwrap().trusts("9.9.9.9".parse().unwrap()));
        assert!(!Proxies::parse("0.0.0.0/0").unwrap().trusts("2001:db8::1".parse().unwrap()));
        let all_of_v6 = Proxies::parse("::/0").unwrap();
        assert!(all_of_v6.trusts("2001:db8::1".parse().unwrap()));
        assert!(!all_of_v6.trusts("9.9.9.9".parse().unwrap()));
        assert!(Proxies::parse("::ffff:10.0.0.0/104").unwrap().trusts("10.1.2.3".parse().unwrap()));
        for wrong in [
            "\"",
            "[\"10.0.0.0/8]",
            "localhost",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/+8",
            "1.2.3.4/",
        ] {
            assert_eq!(Proxies::parse(wrong), Err(LIST), "{wrong}");
        }
    }
}
