//! Reaching the hub from anywhere: [`Handle`], and the [`Place`] of a connection.

use std::fmt;
use std::sync::Arc;

use futures_core::Stream;
use futures_sink::Sink;
use headcount::{CloseReason, ConnId, Principal, Refused, Registry, Source, Start, Timestamp};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::adapter::{Adapter, Incoming};
use crate::mailbox::Mailbox;
use crate::socket;

type Call = Box<dyn FnOnce(&mut Registry, Timestamp) + Send>;
type Answer = oneshot::Sender<Result<Place, Refused>>;

/// What the hub is told.
pub(crate) enum Event {
    /// Boxed: it is seldom, and the others are small.
    Admit(Box<(Principal, Start, Option<ConnId>)>, Answer),
    Reserve(Option<Source>, Answer),
    /// A socket is there, also of a connection that was admitted before.
    Upgraded(ConnId),
    /// What a socket has read, and then what was wrong with it. It reads on when all of it was taken.
    Batch(ConnId, Vec<Incoming>, Option<CloseReason>),
    Flushed(ConnId, u64),
    /// The socket has ended, or will never be there.
    Ended(ConnId),
    Call(Call),
    Stop,
}

/// Reaches a running hub from any task or thread. Clones reach the same hub.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// Room for calls that wait.
    pub(crate) calls: Arc<Semaphore>,
}

impl Handle {
    /// Admits a client before its upgrade is answered: [`Registry::admit`]. The place is its own from then
    /// on, and is given back when the `Place` is dropped.
    ///
    /// # Errors
    /// [`AdmitError::Refused`] says which limit it would exceed. [`AdmitError::Stopped`]: the hub has ended.
    pub async fn admit(
        &self,
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    ) -> Result<Place, AdmitError> {
        self.ask(|answer| Event::Admit(Box::new((who, start, previous)), answer)).await
    }

    /// Takes a place of `limits.pending` for a client that names its user in its first message:
    /// [`Registry::reserve`]. That message comes to [`Handler::message`](crate::Handler::message), which
    /// calls [`Registry::connect`].
    ///
    /// # Errors
    /// As for [`admit`](Self::admit).
    pub async fn reserve(&self, source: Option<Source>) -> Result<Place, AdmitError> {
        self.ask(|answer| Event::Reserve(source, answer)).await
    }

    async fn ask(&self, event: impl FnOnce(Answer) -> Event) -> Result<Place, AdmitError> {
        let (answer, answered) = oneshot::channel();
        self.events.send(event(answer)).map_err(|_| AdmitError::Stopped)?;
        answered.await.map_err(|_| AdmitError::Stopped)?.map_err(AdmitError::Refused)
    }

    /// Runs `f` in the hub's task in its next turn, with the registry and the stamp of the turn. Returns at
    /// once. Calls run in the order of their posts. What a [`Handler`](crate::Handler) may not call, `f`
    /// may not call either.
    ///
    /// # Errors
    /// [`CallError::Full`] while 1,024 calls wait, [`CallError::Stopped`] when the hub has ended; `f` is
    /// dropped then. It is also dropped if the hub ends before its turn comes.
    pub fn post(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) + Send + 'static,
    ) -> Result<(), CallError> {
        let room = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| CallError::Full)?;
        let call = move |registry: &mut Registry, now| {
            drop(room);
            f(registry, now);
        };
        self.events.send(Event::Call(Box::new(call))).map_err(|_| CallError::Stopped)
    }

    /// The same, and waits for the answer.
    ///
    /// # Errors
    /// As for [`post`](Self::post): [`CallError::Stopped`] also if the hub ends before the turn of `f` comes.
    pub async fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        let (answer, answered) = oneshot::channel();
        // It fails if the caller has lost interest.
        self.post(|registry, now| drop(answer.send(f(registry, now))))?;
        answered.await.map_err(|_| CallError::Stopped)
    }

    /// Drains, and waits for the end: newcomers are refused, everyone is told, and connections are closed
    /// with [`CloseReason::Restart`] one after another until `drain.deadline`. When the last one has ended,
    /// [`Hub::run`](crate::Hub::run) returns; those that are not authenticated yet are closed then. A
    /// second call makes it return at once. It can't be undone: `Registry::cancel_drain` is not for it.
    pub async fn stop(&self) {
        // It fails if the hub has ended.
        let _ = self.events.send(Event::Stop);
        self.events.closed().await;
    }
}

/// The place that a connection has in the registry, from its admission to the end of its socket. It is given
/// back when it is dropped: by a request that is not answered, an upgrade that fails, or the task that
/// [serves](Self::serve) it.
#[must_use = "a place that is dropped is given back"]
pub struct Place {
    pub(crate) conn: ConnId,
    pub(crate) message_bytes: u64,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

impl Place {
    /// Its connection.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        self.conn
    }

    /// `limits.message_bytes` at the admission: the largest message that the socket should take. A larger one
    /// closes the connection in any case.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        usize::try_from(self.message_bytes).unwrap_or(usize::MAX)
    }

    /// Serves the socket to its end: writes what the registry hands out, all that a turn has for it at once,
    /// and reads as long as the registry takes what it says.
    ///
    /// What is written is reported when the socket has flushed it. So a message that a peer takes longer to
    /// read than `outbound.slow_deadline` counts as stuck.
    pub async fn serve<S, A: Adapter>(self, socket: S, _: A)
    where
        S: Stream<Item = Result<A::Frame, A::Error>> + Sink<A::Frame, Error = A::Error> + Unpin,
    {
        socket::serve::<S, A>(self, socket).await;
    }

    /// Tells the hub. It fails if the hub has ended, and then the mailbox says so.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tell(Event::Ended(self.conn));
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("conn", &self.conn).finish_non_exhaustive()
    }
}

/// Why a client has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// The registry has refused it.
    #[error("{0}")]
    Refused(Refused),
    /// The hub has ended.
    #[error("the hub has ended")]
    Stopped,
}

/// Why a call did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Too many calls wait for the hub: it is overloaded, try again later.
    #[error("too many calls wait for the hub")]
    Full,
    /// The hub has ended.
    #[error("the hub has ended")]
    Stopped,
}
