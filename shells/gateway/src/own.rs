//! The settings in force that the registry does not know, and what the gateway makes of them.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headcount::Source;

use crate::auth::grants::Grants;
use crate::auth::revocations::{Lifetime, Revocations};
use crate::auth::token_rules::TokenRules;
use crate::auth::{RoomRights, Tokens};
use crate::limits::address_limit::AddressLimit;
use crate::network::proxies::Proxies;
use crate::network::sites::Sites;
use crate::settings::Settings;

/// Who may come in, and from where, by the settings in force.
pub(crate) struct Own {
    settings: Settings,
    sites: Sites,
    proxies: Proxies,
    address_limit: Option<AddressLimit>,
    /// `None`: development mode.
    door: Option<Door>,
}

/// Where tokens are asked for.
pub(crate) struct Door {
    pub(crate) tokens: Tokens,
    pub(crate) lifetime: Lifetime,
    /// The rooms that everyone may join.
    pub(crate) open: RoomRights,
    pub(crate) grants: Grants,
    pub(crate) revocations: Revocations,
}

impl Door {
    /// `tell` is called on another thread when keys have come: see [`Tokens::new`].
    ///
    /// # Errors
    /// The thread that reads keys can't be started.
    pub(crate) fn new(rules: TokenRules, tell: impl Fn() + Send + 'static) -> io::Result<Self> {
        let lifetime = rules.lifetime();
        let TokenRules { verifier, jwks, open } = rules;
        let tokens = Tokens::new(verifier, jwks, tell)?;
        let (grants, revocations) = (Grants::default(), Revocations::default());
        Ok(Self { tokens, lifetime, open, grants, revocations })
    }

    /// Goes on with other rules. Connections keep what they were granted.
    ///
    /// # Errors
    /// As for [`new`](Self::new); nothing has changed then.
    pub(crate) fn reload(
        &mut self,
        rules: TokenRules,
        tell: impl Fn() + Send + 'static,
    ) -> io::Result<()> {
        let lifetime = rules.lifetime();
        let TokenRules { verifier, jwks, open } = rules;
        self.tokens.reload(verifier, jwks, tell)?;
        (self.lifetime, self.open) = (lifetime, open);
        Ok(())
    }
}

/// The same for the handler of the loop and for the closures that a reload posts to it. Both run on
/// the loop's thread, so neither ever waits for the other.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Own>>);

impl Own {
    fn new(settings: Settings, door: Option<Door>) -> Self {
        let address_limit = AddressLimit::new(settings.connect_rate_per_ip(), Instant::now());
        let (sites, proxies) = (settings.sites(), settings.trusted_proxies());
        Self { sites, proxies, address_limit, door, settings }
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where tokens are asked for; `None`: development mode.
    pub(crate) const fn door(&mut self) -> Option<&mut Door> {
        self.door.as_mut()
    }

    /// Goes on with other settings, behind the same door. Buckets begin full if their rate changes.
    pub(crate) fn replace(&mut self, settings: Settings) {
        let same_rate = settings.connect_rate_per_ip() == self.settings.connect_rate_per_ip();
        let address_limit = self.address_limit.take().filter(|_| same_rate);
        let door = self.door.take();
        *self = Self::new(settings, door);
        self.address_limit = address_limit.or_else(|| self.address_limit.take());
    }

    /// Whether an upgrade may go on; if its address has used up its rate: how long until it may.
    pub(crate) fn admit<'a>(
        &mut self,
        peer: IpAddr,
        forwarded: impl Iterator<Item = &'a str>,
    ) -> Result<(), Duration> {
        let Some(address_limit) = &mut self.address_limit else { return Ok(()) };
        address_limit.admit(self.proxies.client(peer, forwarded), Instant::now())
    }

    /// Which hosts and pages the WebSocket port serves.
    pub(crate) const fn sites(&self) -> &Sites {
        &self.sites
    }

    /// Where a socket comes from before it has said anything. `None` for a proxy that is trusted:
    /// behind it are all clients.
    pub(crate) fn source(&self, peer: IpAddr) -> Option<Source> {
        (!self.proxies.trusts(peer.to_canonical())).then(|| Source::from(peer))
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, door: Option<Door>) -> Self {
        Self(Arc::new(Mutex::new(Own::new(settings, door))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Origin;

    fn with_rate(rate: &str) -> Settings {
        let mut settings = Settings::default();
        settings.set("limits.connect_rate_per_ip", rate, Origin::Set).unwrap();
        settings
    }

    #[test]
    fn a_trusted_proxy_is_the_source_of_nobody() {
        let mut settings = Settings::default();
        settings.set("trusted_proxies", "10.0.0.0/8", Origin::Set).unwrap();
        let shared = Shared::new(settings, None);
        let source = |address: &str| shared.lock().source(address.parse().unwrap());
        assert_eq!(source("10.1.2.3"), None);
        assert_eq!(source("::ffff:10.1.2.3"), None);
        assert!(source("192.0.2.1").is_some());
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn who_has_used_up_a_rate_is_not_forgiven_by_a_reload_that_keeps_it() {
        let shared = Shared::new(with_rate("1"), None);
        let knock = |own: &mut Own| own.admit("192.0.2.1".parse().unwrap(), [].into_iter()).is_ok();
        let mut own = shared.lock();
        assert!(knock(&mut own) && !knock(&mut own));
        own.replace(with_rate("1"));
        assert!(!knock(&mut own));
        own.replace(with_rate("2"));
        assert!(knock(&mut own) && knock(&mut own) && !knock(&mut own));
        own.replace(with_rate("0"));
        assert!((0..100).all(|_| knock(&mut own)));
    }
}
