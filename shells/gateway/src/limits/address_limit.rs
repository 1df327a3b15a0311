//! How fast one address may connect: off unless it is asked for, as many people share one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Addresses of one generation. When there are more in a second, the older ones are forgotten: the
/// rate of all connects is bounded elsewhere, and no client is refused because this table is full.
const PLACES: usize = 16_384;
/// What a bucket holds, in time: after that, an address that was forgotten has lost nothing.
const BURST: Duration = Duration::from_secs(1);

/// One token bucket per address, each holding a second's worth.
#[derive(Debug)]
pub(crate) struct AddressLimit {
    token: Duration,
    /// When each bucket is empty, counted in tokens' worth of time.
    young: HashMap<IpAddr, Instant>,
    old: HashMap<IpAddr, Instant>,
    turned: Instant,
}

impl AddressLimit {
    /// `None`: there is no limit.
    pub(crate) fn new(rate: u32, now: Instant) -> Option<Self> {
        let token = BURST.checked_div(rate)?;
        Some(Self { token, young: HashMap::new(), old: HashMap::new(), turned: now })
    }

    /// Takes a token. If there is none: how long until there is.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.young.len() >= PLACES || now.saturating_duration_since(self.turned) > BURST {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
        let key = bucket_key(address);
        let known = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        let paid_until = known.map_or(now, |until| until.max(now));
        let ahead = paid_until.saturating_duration_since(now);
        let allowance = BURST.saturating_sub(self.token);
        if ahead > allowance {
            return Err(ahead - allowance);
        }
        self.young.insert(key, paid_until + self.token);
        Ok(())
    }
}

/// The key of a bucket: an IPv4 address, or the /64 of an IPv6 address, because one client usually has all
/// addresses of its /64.
fn bucket_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_second_s_worth_at_once_then_the_rate() {
        let start = Instant::now();
        assert!(AddressLimit::new(0, start).is_none());
        let mut address_limit = AddressLimit::new(2, start).unwrap();
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address_limit.admit(one, start), Ok(()));
        assert_eq!(address_limit.admit(one, start), Ok(()));
        assert_eq!(address_limit.admit(one, start), Err(Duration::from_millis(500)));
        assert_eq!(address_limit.admit(other, start), Ok(()), "each has their own");
        let later = start + Duration::from_millis(500);
        assert_eq!(address_limit.admit(one, later), Ok(()));
        assert!(address_limit.admit(one, later).is_err());
        // The generations turn, and the bucket stays what it is.
        let turned = start + Duration::from_millis(1_001);
        assert_eq!(address_limit.admit(one, turned), Ok(()));
        assert!(address_limit.admit(one, turned).is_err());
    }

    #[test]
    fn a_household_is_one() {
        let start = Instant::now();
        let mut address_limit = AddressLimit::new(1, start).unwrap();
        assert_eq!(address_limit.admit(address("2001:db8::1"), start), Ok(()));
        assert!(address_limit.admit(address("2001:db8::2"), start).is_err());
        assert_eq!(address_limit.admit(address("2001:db8:0:1::1"), start), Ok(()));
    }

    #[test]
    fn the_table_is_bounded() {
        let start = Instant::now();
        let mut address_limit = AddressLimit::new(1, start).unwrap();
        for number in 0..100_000u32 {
            assert_eq!(address_limit.admit(IpAddr::V4(number.into()), start), Ok(()));
        }
        assert!(address_limit.young.len() + address_limit.old.len() <= 2 * PLACES);
    }
}
