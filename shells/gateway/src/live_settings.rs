//! The settings in force that the registry does not know, and what the gateway makes of them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headcount::Source;

use crate::auth::TokenAuth;
use crate::limits::address_limit::AddressLimit;
use crate::network::proxies::Proxies;
use crate::network::sites::Sites;
use crate::settings::Settings;

/// The settings in force, and the state that the gateway keeps for them.
pub(crate) struct InForce {
    settings: Settings,
    sites: Sites,
    proxies: Proxies,
    address_limit: Option<AddressLimit>,
    /// `None`: development mode.
    token_auth: Option<TokenAuth>,
}

/// The settings in force, shared by the handler of the loop and the closures that a reload posts to it.
/// Both run on the loop's thread, so neither ever waits for the other.
#[derive(Clone)]
pub(crate) struct LiveSettings(Arc<Mutex<InForce>>);

impl InForce {
    fn new(settings: Settings, token_auth: Option<TokenAuth>) -> Self {
        let address_limit = AddressLimit::new(settings.connect_rate_per_ip(), Instant::now());
        let (sites, proxies) = (settings.sites(), settings.trusted_proxies());
        Self { sites, proxies, address_limit, token_auth, settings }
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The authentication by tokens; `None`: development mode.
    pub(crate) const fn token_auth(&mut self) -> Option<&mut TokenAuth> {
        self.token_auth.as_mut()
    }

    /// Goes on with other settings, with the same tokens and grants. Buckets begin full if
    /// their rate changes.
    pub(crate) fn replace(&mut self, settings: Settings) {
        let same_rate = settings.connect_rate_per_ip() == self.settings.connect_rate_per_ip();
        let address_limit = self.address_limit.take().filter(|_| same_rate);
        let token_auth = self.token_auth.take();
        *self = Self::new(settings, token_auth);
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

impl LiveSettings {
    pub(crate) fn new(settings: Settings, token_auth: Option<TokenAuth>) -> Self {
        Self(Arc::new(Mutex::new(InForce::new(settings, token_auth))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, InForce> {
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
        let live = LiveSettings::new(settings, None);
        let source = |address: &str| live.lock().source(address.parse().unwrap());
        assert_eq!(source("10.1.2.3"), None);
        assert_eq!(source("::ffff:10.1.2.3"), None);
        assert!(source("192.0.2.1").is_some());
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn who_has_used_up_a_rate_is_not_forgiven_by_a_reload_that_keeps_it() {
        let live = LiveSettings::new(with_rate("1"), None);
        let knock = |in_force: &mut InForce| {
            in_force.admit("192.0.2.1".parse().unwrap(), [].into_iter()).is_ok()
        };
        let mut in_force = live.lock();
        assert!(knock(&mut in_force) && !knock(&mut in_force));
        in_force.replace(with_rate("1"));
        assert!(!knock(&mut in_force));
        in_force.replace(with_rate("2"));
        assert!(knock(&mut in_force) && knock(&mut in_force) && !knock(&mut in_force));
        in_force.replace(with_rate("0"));
        assert!((0..100).all(|_| knock(&mut in_force)));
    }
}
