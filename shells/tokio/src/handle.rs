//! Reaching the hub from anywhere: [`Handle`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use headcount::{
    CloseReason, ConnId, ConnState, Principal, Refused, Registry, Source, Start, Target, Timestamp,
};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::adapter::Incoming;
use crate::hub::Hub;
use crate::socket::Place;

/// What a socket has read, and then what was wrong with it.
pub(crate) type Batch = VecDeque<Result<Incoming, CloseReason>>;

pub(crate) type Call = Box<dyn FnOnce(&mut Hub, Timestamp) + Send>;

/// What the hub is told.
pub(crate) enum Event {
    /// It reads on when all of it was taken.
    Batch(ConnId, Batch),
    Flushed(ConnId, u64),
    /// The socket has ended, or will never be there.
    Ended(ConnId),
    /// All that is seldom.
    Call(Call),
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
    /// [`HubError::Refused`] says which limit it would exceed. [`HubError::Stopped`]: the hub has ended.
    pub async fn admit(
        &self,
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    ) -> Result<Place, HubError> {
        self.ask(move |hub, now| {
            let (conn, admitted) = hub.registry.admit(now, who, start, previous)?;
            let place = hub.place(conn);
            hub.handler.admitted(&mut hub.registry, now, conn, admitted);
            Ok(place)
        })
        .await
    }

    /// Takes a place of `limits.pending` for a client that names its user in its first message:
    /// [`Registry::reserve`]. That message comes to [`Handler::message`](crate::Handler::message), which
    /// calls [`Registry::connect`].
    ///
    /// # Errors
    /// As for [`admit`](Self::admit). While the registry drains [`Refused::Draining`], for the client could
    /// never be admitted.
    pub async fn reserve(&self, source: Option<Source>) -> Result<Place, HubError> {
        self.ask(move |hub, now| {
            if hub.registry.is_draining() {
                let retry_after = hub.registry.config().drain_deadline();
                return Err(Refused::Draining { retry_after });
            }
            let conn = hub.registry.reserve(now, source)?;
            // Until then it is the HTTP server's, which has deadlines of its own.
            let _ = hub.registry.upgraded(now, conn);
            Ok(hub.place(conn))
        })
        .await
    }

    /// If the asker has gone, the place comes back with the answer, and is given back.
    async fn ask(
        &self,
        f: impl FnOnce(&mut Hub, Timestamp) -> Result<Place, Refused> + Send + 'static,
    ) -> Result<Place, HubError> {
        let (answer, answered) = oneshot::channel();
        self.tell(Event::Call(Box::new(|hub, now| drop(answer.send(f(hub, now))))));
        Ok(answered.await.map_err(|_| HubError::Stopped)??)
    }

    /// Runs `f` in the hub's task in its next turn, with the registry and the stamp of the turn. Returns at
    /// once. Calls run in the order of their posts. What a [`Handler`](crate::Handler) may not call, `f`
    /// may not call either.
    ///
    /// # Errors
    /// [`HubError::Overloaded`] while 1,024 calls wait, [`HubError::Stopped`] when the hub has ended; `f` is
    /// dropped then. It is also dropped if the hub ends before its turn comes.
    pub fn post(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) + Send + 'static,
    ) -> Result<(), HubError> {
        let room = Arc::clone(&self.calls).try_acquire_owned().map_err(|_| HubError::Overloaded)?;
        let call = Event::Call(Box::new(|hub, now| {
            drop(room);
            f(&mut hub.registry, now);
        }));
        self.events.send(call).map_err(|_| HubError::Stopped)
    }

    /// The same, and waits for the answer.
    ///
    /// # Errors
    /// As for [`post`](Self::post): [`HubError::Stopped`] also if the hub ends before the turn of `f` comes.
    pub async fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> Result<R, HubError> {
        let (answer, answered) = oneshot::channel();
        // It fails if the caller has lost interest.
        self.post(|registry, now| drop(answer.send(f(registry, now))))?;
        answered.await.map_err(|_| HubError::Stopped)
    }

    /// Drains, and waits for the end: newcomers are refused, those that are not authenticated yet are closed,
    /// everyone is told, and connections are closed with [`CloseReason::Restart`] one after another until
    /// `drain.deadline`. When the last one has ended, [`Hub::run`](crate::Hub::run) returns. While a drain is
    /// under way, this ends it at once.
    pub async fn stop(&self) {
        self.tell(Event::Call(Box::new(|hub, now| {
            let registry = &mut hub.registry;
            registry.drain(now, registry.is_draining().then_some(Duration::ZERO));
            // They could never be admitted.
            let pending = registry.connections(None).filter(|it| it.state() == ConnState::Pending);
            for conn in pending.map(|it| it.id()).collect::<Vec<_>>() {
                registry.close(now, Target::Conn(conn), CloseReason::Restart);
            }
        })));
        self.events.closed().await;
    }

    /// Tells the hub. If the hub has ended, so have all mailboxes, and what waits for an answer gets none.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

/// Why a client has no place, or a call did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The registry has refused the client.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Too many calls wait for the hub: it is overloaded, try again later.
    #[error("too many calls wait for the hub")]
    Overloaded,
    /// The hub has ended.
    #[error("the hub has ended")]
    Stopped,
}
