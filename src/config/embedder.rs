//! What depends on the program that embeds the registry, and has no key.

use super::{Config, ConfigBuilder};

impl Config {
    /// Whether the embedder reports flushes.
    #[must_use]
    pub const fn flush_reports(&self) -> bool {
        self.flush_reports
    }

    /// Whether the registry says who is online ([`Action::Presence`](crate::Action::Presence)).
    #[must_use]
    pub const fn presence(&self) -> bool {
        self.presence
    }
}

impl ConfigBuilder {
    /// For an embedder who can't tell what the kernel took: each polled action counts as flushed
    /// at once, pings included. Nothing is held back then, and nothing is ever found stuck; the
    /// bounds of the logs stay.
    pub const fn without_flush_reports(mut self) -> Self {
        self.flush_reports = false;
        self
    }

    /// For an embedder who wants to know who is online: each change of a user is an
    /// [`Action::Presence`](crate::Action::Presence). Without it there is none, and presence costs nothing.
    pub const fn with_presence(mut self) -> Self {
        self.presence = true;
        self
    }
}
