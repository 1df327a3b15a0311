//! Where requests come from: by which host and page they were asked for, and through which proxies.

pub(crate) mod loopback;
pub(crate) mod proxies;
pub(crate) mod sites;
