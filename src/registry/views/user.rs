//! One user.

use crate::id::{ThreadId, UserId};
use crate::registry::Registry;
use crate::session::{User, UserKey};

use super::{ConnView, RunView, SessionView};

/// One user who is here: [`Registry::user`].
#[derive(Clone, Copy)]
pub struct UserView<'a> {
    pub(super) registry: &'a Registry,
    pub(super) key: UserKey,
}

impl<'a> UserView<'a> {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &'a UserId {
        &self.record().name
    }

    /// Whether the user is online: it has an open connection or, in a registry
    /// [with presence](crate::ConfigBuilder::with_presence), is in the leave grace. It is what the last
    /// [`Action::Presence`](crate::Action::Presence) of the user says, or the one that waits.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.record().is_online()
    }

    /// Its open connections: sockets, then event streams, each in the order in which they were admitted.
    pub fn connections(&self) -> impl Iterator<Item = ConnView<'a>> + use<'a> {
        let registry = self.registry;
        let open = self.record().connections(&registry.conns);
        open.map(|key| ConnView { registry, key })
    }

    /// How many these are.
    #[must_use]
    pub fn connection_count(&self) -> u32 {
        self.record().open() as u32
    }

    /// Its sessions that have not ended, oldest first.
    pub fn sessions(&self) -> impl Iterator<Item = SessionView<'a>> + use<'a> {
        let registry = self.registry;
        registry.sessions.of(self.key).map(|key| SessionView { registry, key })
    }

    /// Its session of a thread; `None` if there is none, or it has ended. Lingering ones are found.
    #[must_use]
    pub fn session(&self, thread: &ThreadId) -> Option<SessionView<'a>> {
        let key = self.registry.sessions.find(self.key, thread)?;
        Some(SessionView { registry: self.registry, key })
    }

    /// Its runs, those of the oldest session first: see [`SessionView::runs`]. One of them by name is
    /// [`Registry::run`].
    pub fn runs(&self) -> impl Iterator<Item = RunView<'a>> + use<'a> {
        self.sessions().flat_map(|session| session.runs())
    }

    fn record(&self) -> &'a User {
        self.registry.sessions.user(self.key)
    }
}
