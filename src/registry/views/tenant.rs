//! One tenant.

use crate::id::TenantId;
use crate::registry::Registry;
use crate::tenant::{Tenant, TenantKey};

/// What the users of one tenant have together: [`Registry::tenant`].
#[derive(Clone, Copy)]
pub struct TenantView<'a> {
    pub(super) registry: &'a Registry,
    pub(super) key: TenantKey,
}

impl<'a> TenantView<'a> {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &'a TenantId {
        self.record().name()
    }

    /// How many of its users are here: they have a session or an open connection, or are in the leave grace.
    #[must_use]
    pub fn user_count(&self) -> u32 {
        self.record().users() as u32
    }

    /// How many open connections these have, sockets and event streams:
    /// `limits.connections_per_tenant`.
    #[must_use]
    pub fn connection_count(&self) -> u32 {
        self.record().connections() as u32
    }

    /// How many sessions of theirs have not ended, lingering ones included: `limits.sessions_per_tenant`.
    #[must_use]
    pub fn session_count(&self) -> u32 {
        self.record().sessions() as u32
    }

    /// The cost of what the logs of these sessions hold, and of the calls under way, in bytes:
    /// `outbound.tenant_bytes`.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.record().bytes()
    }

    fn record(&self) -> &'a Tenant {
        self.registry.sessions.tenants().get(self.key)
    }
}
