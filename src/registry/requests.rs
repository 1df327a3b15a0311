//! What a client asks of agents: a run, and the end of one.

use bytes::Bytes;

use crate::error::{RequestCancelError, RequestRunError};
use crate::id::{ConnId, RunId, ThreadId};
use crate::input::Input;
use crate::run::{RunEventKind, fits_first};
use crate::session::SessionKey;
use crate::stats::{Delivery, Notice, OpenedRun};
use crate::time::Timestamp;

use super::Registry;

/// # Requests of clients
///
/// A client asks for a run, or for the end of one. The application decides what comes of it.
impl Registry {
    /// The client of a connection requests a run in the session of a thread that it follows; `None`: in the
    /// one that it follows longest. The run has its first event, [`RunEventKind::Requested`], which all tabs
    /// of the session see, and is in the state [`Requested`](crate::RunState::Requested) until
    /// [`UserScope::open_run`](crate::UserScope::open_run) opens it under the same name.
    ///
    /// The application opens it, or ends it as failed or cancelled. Until then nothing else can be told
    /// of it. It counts towards `limits.runs_per_session`, its input towards `run.bytes`, and `run.silence`
    /// and `run.max_length` run from the request on: a request that no agent takes on fails by itself.
    ///
    /// The registry does not meter it: report the frame with [`message`](Self::message) first. The input
    /// is opaque, and has at most `run.bytes` less what is reserved for the terminal event. O(sessions that
    /// the connection follows).
    ///
    /// ```
    /// use bytes::Bytes;
    /// use headcount::{
    ///     Config, Principal, Registry, RequestRunError, RunId, RunState, Start, ThreadId, Timestamp, UserId,
    /// };
    ///
    /// let now = Timestamp::from_secs(1);
    /// let mut registry = Registry::new(Config::new(1));
    /// let (alice, thread, run) =
    ///     (UserId::new("alice")?, ThreadId::new("main")?, RunId::new("answer")?);
    /// let who = Principal::new(alice.clone()).with_thread(thread.clone());
    /// let (conn, _) = registry.admit(now, who, Start::OpenRuns, None)?;
    /// registry.request_run(now, conn, None, &run, Bytes::from_static(b"what is new?"))?;
    /// let state = |registry: &mut Registry| registry.run(&alice, &run).unwrap().state();
    /// assert_eq!(state(&mut registry), RunState::Requested);
    /// let again = registry.request_run(now, conn, None, &run, Bytes::new());
    /// assert_eq!(again, Err(RequestRunError::Exists { ended: None }));
    /// registry.scope(&alice).open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// assert_eq!(state(&mut registry), RunState::Open);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RequestRunError`]; nothing has changed then.
    pub fn request_run(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        thread: Option<&ThreadId>,
        run: &RunId,
        input: Bytes,
    ) -> Result<OpenedRun, RequestRunError> {
        self.enter(now, Input::RequestRun { conn, thread, run, input: &input });
        let session = self.session_for_request(conn, thread)?;
        let record = self.sessions.get(session);
        if let Some(known) = self.runs.find(record.user, run) {
            return Err(RequestRunError::Exists { ended: self.runs.get(known).end });
        }
        if !fits_first(&input, &self.config) {
            return Err(RequestRunError::Full);
        }
        if record.open_runs() >= self.config.runs_per_session || self.runs.is_full() {
            return Err(RequestRunError::Runs);
        }
        let run = self.begin_run(session, run, "");
        self.runs.get_mut(run).request();
        self.counters.runs_requested += 1;
        Ok(self.begin_with(run, RunEventKind::Requested, input))
    }

    /// The client of a connection wishes that a run is cancelled: one that is requested or open, of a session
    /// that the connection follows. All tabs of the session see an event [`RunEventKind::CancelRequested`],
    /// and [`RunView`](crate::RunView) shows it. Nothing else changes: the application ends the
    /// run, or lets it go on, and the wish is no sign of life of its agent.
    ///
    /// A wish that is repeated appends nothing: it has an empty [`Delivery`], and its reason is dropped. The
    /// registry does not meter it: report the frame with [`message`](Self::message) first. O(sessions that
    /// the connection follows).
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// # let (alice, thread, run) = ("alice".parse()?, "main".parse()?, "answer".parse()?);
    /// registry.scope(&alice).open_run(now, &thread, &run, "agent", Bytes::new())?;
    /// registry.request_cancel(now, conn, &run, Bytes::from_static(b"enough"))?;
    /// assert!(registry.run(&alice, &run).is_some_and(|run| run.is_cancel_requested()));
    /// // The agent complies.
    /// registry.scope(&alice).run_event(now, &run, &RunEvent::Cancelled(Bytes::new()))?;
    /// let late = registry.request_cancel(now, conn, &run, Bytes::new());
    /// assert!(matches!(late, Err(RequestCancelError::Ended(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RequestCancelError`]; nothing has changed then.
    pub fn request_cancel(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        run: &RunId,
        reason: Bytes,
    ) -> Result<Delivery, RequestCancelError> {
        self.enter(now, Input::RequestCancel { conn, run, reason: &reason });
        let slot = self.open_slot(conn).ok_or(RequestCancelError::UnknownConn)?;
        let user = self.conns.user(slot);
        let run = self.runs.find(user, run).ok_or(RequestCancelError::UnknownRun)?;
        let record = self.runs.get_mut(run);
        let session = record.session;
        if !self.conns.sessions(slot).contains(&session) {
            return Err(RequestCancelError::UnknownRun);
        }
        if let Some(end) = record.end {
            return Err(RequestCancelError::Ended(end));
        }
        let mut delivery = Delivery::default();
        if record.cancel_requested {
            return Ok(delivery);
        }
        if !record.has_room(reason.len(), false, &self.config) {
            return Err(RequestCancelError::Full);
        }
        record.cancel_requested = true;
        self.notice(Notice::RunCancelRequested { session: self.sessions.id(session) });
        self.append_event(run, RunEventKind::CancelRequested, None, reason, &mut delivery);
        Ok(delivery)
    }

    /// The session in which a client asks for a run.
    fn session_for_request(
        &self,
        conn: ConnId,
        thread: Option<&ThreadId>,
    ) -> Result<SessionKey, RequestRunError> {
        let slot = self.open_slot(conn).ok_or(RequestRunError::UnknownConn)?;
        let mut followed = self.conns.sessions(slot).iter().copied();
        let session = followed.find(|session| {
            thread.is_none_or(|thread| self.sessions.get(*session).thread == *thread)
        });
        session.ok_or(RequestRunError::NotInThread)
    }
}
