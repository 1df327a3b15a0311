//! One session.

use core::time::Duration;

use crate::id::{SessionId, ThreadId, UserId};
use crate::registry::Registry;
use crate::session::{Session, SessionKey};
use crate::stream::Stream;
use crate::time::{Deadline, Timestamp};

use super::{ConnView, RunView};

/// One session that has not ended: [`Registry::session`].
#[derive(Clone, Copy)]
pub struct SessionView<'a> {
    pub(super) registry: &'a Registry,
    pub(super) key: SessionKey,
}

impl<'a> SessionView<'a> {
    /// Its handle.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.registry.sessions.id(self.key)
    }

    /// Its user.
    #[must_use]
    pub fn user(&self) -> &'a UserId {
        &self.registry.sessions.user(self.record().user).name
    }

    /// Its thread.
    #[must_use]
    pub fn thread(&self) -> &'a ThreadId {
        &self.record().thread
    }

    /// How long ago it was created.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.registry.now.saturating_since(self.record().since)
    }

    /// The open connections that follow it. None: it lingers, or only a run holds it.
    pub fn connections(&self) -> impl Iterator<Item = ConnView<'a>> + use<'a> {
        self.registry.members(self.record().stream)
    }

    /// How many these are.
    #[must_use]
    pub fn connection_count(&self) -> u32 {
        self.stream().members.len() as u32
    }

    /// Its runs, in the order in which they were opened or requested: those that are open, those that are
    /// requested, and those that have ended and of which its log still keeps something.
    pub fn runs(&self) -> impl Iterator<Item = RunView<'a>> + use<'a> {
        let registry = self.registry;
        registry.runs_of(self.key).map(|key| RunView { registry, key })
    }

    /// When it ends by lingering if no connection comes back; `None` while a connection or a run is open.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let until = self.registry.lingers_until(self.key)?;
        Some(until).filter(|_| self.record().open_runs() == 0).and_then(Deadline::instant)
    }

    fn record(&self) -> &'a Session {
        self.registry.sessions.get(self.key)
    }

    pub(super) fn stream(&self) -> &'a Stream {
        &self.registry.streams[self.record().stream]
    }
}
