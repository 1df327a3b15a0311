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

/// Whom of one user a message or a close is for. [`UserScope::send`] has an example.
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
/// The user need not be known: then no connection is reached. [`send`](Self::send) has an example.
#[derive(Debug)]
pub struct UserScope<'a> {
    registry: &'a mut Registry,
    user: &'a UserId,
}

/// # Runs, and all that concerns one user
///
/// Code that serves one user is given that user's [`UserScope`], and not the registry.
impl Registry {
    /// The part of it that is this user's. [`UserScope::send`] has an example.
    pub const fn scope<'a>(&'a mut self, user: &'a UserId) -> UserScope<'a> {
        UserScope { registry: self, user }
    }
}

impl UserScope<'_> {
    /// As [`Registry::send`].
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let (alice, main, kitchen) =
    ///     (UserId::new("alice")?, ThreadId::new("main")?, ThreadId::new("kitchen")?);
    /// let mut scope = registry.scope(&alice);
    /// let delivery = scope.send(now, Within::Thread(&main), Message::text("hello"));
    /// assert_eq!(delivery.live, 1);
    /// assert!(scope.send(now, Within::Thread(&kitchen), Message::text("hello")).reaches_none());
    /// assert_eq!(scope.view().map(|user| user.sessions().count()), Some(1));
    /// assert_eq!(scope.close(now, Within::Everywhere, CloseReason::Forbidden), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// As [`Registry::close`]. [`send`](Self::send) has an example.
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
    /// ```
    /// # use bytes::Bytes;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// let (alice, thread, run) =
    ///     (UserId::new("alice")?, ThreadId::new("main")?, RunId::new("answer")?);
    /// let mut scope = registry.scope(&alice);
    /// let opened = scope.open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// assert_eq!((opened.position.offset, opened.delivery.live), (1, 0), "its user is not here yet");
    /// assert_eq!(scope.run(&run).map(|run| run.state()), Some(RunState::Open));
    /// let again = scope.open_run(now, &thread, &run, "agent", Bytes::new());
    /// assert_eq!(again.err(), Some(OpenRunError::Exists { ended: None }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    /// ```
    /// # use bytes::Bytes;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// # let (alice, thread, run) = ("alice".parse()?, "main".parse()?, "answer".parse()?);
    /// # registry.scope(&alice).open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// let mut scope = registry.scope(&alice);
    /// scope.run_event(now, &run, &RunEvent::text("Hello"))?;
    /// scope.run_event(now, &run, &RunEvent::Completed(Bytes::new()))?;
    /// let late = scope.run_event(now, &run, &RunEvent::text("!"));
    /// assert!(matches!(late, Err(RunError::Ended(_))));
    ///
    /// let (mut said, mut kinds) = (String::new(), Vec::new());
    /// while let Some(action) = registry.poll_action() {
    ///     match action {
    ///         Action::Send { body: Body::Text(RunText { text, .. }), .. } => said.push_str(text),
    ///         Action::Send { body: Body::Run(RunFact { kind, .. }), .. } => kinds.push(kind),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(said, "Hello");
    /// assert_eq!(kinds, [RunEventKind::Started, RunEventKind::Completed]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// The user, to look at; `None` as for [`Registry::user`]. [`send`](Self::send) has an example.
    #[must_use]
    pub fn view(&self) -> Option<UserView<'_>> {
        self.registry.user(self.user)
    }

    /// One of the user's runs, to look at; `None` as for [`Registry::run`]. [`open_run`](Self::open_run)
    /// has an example.
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
