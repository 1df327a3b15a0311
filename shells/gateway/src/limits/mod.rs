//! What one address and one process may hold: the bounds of the gateway beside those of the registry.

pub(crate) mod address_limit;
pub(crate) mod descriptors;
