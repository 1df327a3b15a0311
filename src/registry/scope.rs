//! What code for one user may be given: a registry in which there is nobody else.

use bytes::Bytes;

use crate::action::CloseWith;
use crate::error::{OpenRunError, RunError};
use crate::except::Outgoing;
use crate::id::{RunId, SessionId, ThreadId, UserId};
use crate::input::{Input, Target};
use crate::run::RunEvent;
use crate::stats::{Delivery, OpenedRun};
use crate::time::Timestamp;

use super::Registry;
use super::views::{RunView, UserView};

/// Whom of one user a message or a close is for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Within<'a> {
    /// All sessions, lingering ones included.
    Everywhere,
    /// The session of one thread.
    Thread(&'a ThreadId),
    /// The session in which a run is: a run that is open, or of which the log keeps something.
    Run(&'a RunId),
}

/// One user's part of a registry: a capability. Its holder can name nothing that is not this
/// user's, so that no mistake of the holder shows one user another's data.
///
/// The user need not be known: then there is nobody to reach.
#[derive(Debug)]
pub struct UserScope<'a> {
    registry: &'a mut Registry,
    user: &'a UserId,
}

/// # Runs, and all that concerns one user
///
/// Code that serves one user is given that user's [`UserScope`], and not the registry.
impl Registry {
    /// The part of it that is this user's.
    pub const fn scope<'a>(&'a mut self, user: &'a UserId) -> UserScope<'a> {
        UserScope { registry: self, user }
    }
}

impl UserScope<'_> {
    /// As [`Registry::send`].
    pub fn send(
        &mut self,
        now: Timestamp,
        to: Within<'_>,
        message: impl Into<Outgoing>,
    ) -> Delivery {
        match self.target(to) {
            Some(session) => self.registry.send(now, Target::Session(session), message),
            None if matches!(to, Within::Everywhere) => {
                self.registry.send(now, Target::User(self.user), message)
            }
            None => {
                self.registry.advance(now);
                Delivery::default()
            }
        }
    }

    /// As [`Registry::close`].
    pub fn close(&mut self, now: Timestamp, whom: Within<'_>, with: impl Into<CloseWith>) -> u32 {
        match self.target(whom) {
            Some(session) => self.registry.close(now, Target::Session(session), with),
            None if matches!(whom, Within::Everywhere) => {
                self.registry.close(now, Target::User(self.user), with)
            }
            None => {
                self.registry.advance(now);
                0
            }
        }
    }

    /// Opens an agent run in the session of a thread, with its first event. If the user is not here
    /// yet the session is created, and lingers: who comes later gets the open runs from their start.
    ///
    /// While a run is open its session does not end by lingering, and what the log keeps of it does not
    /// count towards the log's own bounds, for it has bounds of its own. Over the user's cap of sessions
    /// one of theirs that lingers without a run makes room, over the other caps of users and sessions what
    /// is absent does, as for [`Registry::connect`], and nothing else does. The agent's name has at most
    /// [`MAX_ID_BYTES`](crate::MAX_ID_BYTES) bytes, the payload `run.bytes` less what is reserved for the
    /// terminal event.
    ///
    /// A run of this name and thread that a client has requested ([`Registry::request_run`]) is opened with
    /// this event. It keeps its place, its age and what it has used of its bounds.
    ///
    /// # Errors
    /// [`OpenRunError`]; nothing has changed then.
    pub fn open_run(
        &mut self,
        now: Timestamp,
        thread: &ThreadId,
        run: &RunId,
        agent: &str,
        payload: Bytes,
    ) -> Result<OpenedRun, OpenRunError> {
        self.registry
            .enter(now, Input::OpenRun { user: self.user, thread, run, agent, payload: &payload });
        self.registry.open_run(self.user, thread, run, agent, payload)
    }

    /// Tells of an event of a run. Nobody is left out, and none is ever passed over: all of them are
    /// critical.
    ///
    /// # Errors
    /// [`RunError`] says which rule of the order of events it breaks.
    pub fn run_event(
        &mut self,
        now: Timestamp,
        run: &RunId,
        event: &RunEvent<'_>,
    ) -> Result<Delivery, RunError> {
        self.registry.enter(now, Input::RunEvent { user: self.user, run, event });
        self.registry.run_event(self.user, run, event)
    }

    /// The user, to look at; `None` as for [`Registry::user`].
    #[must_use]
    pub fn view(&self) -> Option<UserView<'_>> {
        self.registry.user(self.user)
    }

    /// One of the user's runs, to look at; `None` as for [`Registry::run`].
    #[must_use]
    pub fn run(&self, run: &RunId) -> Option<RunView<'_>> {
        self.registry.run(self.user, run)
    }

    /// The session that is meant, unless all are.
    fn target(&self, within: Within<'_>) -> Option<SessionId> {
        match within {
            Within::Everywhere => None,
            Within::Thread(thread) => Some(self.view()?.session(thread)?.id()),
            Within::Run(run) => Some(self.run(run)?.session()),
        }
    }
}
