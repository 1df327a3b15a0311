//! The hub: one task that owns the registry.
//!
//! ```text
//!            ┌─> wait: for events of sockets and handles, or the next deadline
//!            │   take what came            EVENTS
//!            │   tick                      only when all is taken that waited at the last one
//!            │   carry out actions         RECIPIENTS: frames go into mailboxes
//!            └── wake the sockets that have mail
//! ```
//!
//! It waits for nothing else: a socket that does not read has frames in its mailbox, of which the registry
//! hands out no more than a window.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use hashbrown::HashMap;
use headcount::{
    Action, Body, CloseReason, Config, ConnId, Ended, Inbound, InboundError, Intake, Registry,
    StreamRef, Target, Timestamp,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::adapter::{Incoming, Outgoing};
use crate::handle::{Batch, Event, Handle};
use crate::handler::{Dialect, Handler};
use crate::mailbox::{Charged, Mail, Mailbox};
use crate::socket::Place;

/// Events taken in one turn.
const EVENTS: usize = 256;

/// Calls of handles that wait.
const CALLS: usize = 1_024;

/// Recipients of a turn's actions: a storm takes several turns, and between them others are heard.
const RECIPIENTS: usize = 16 * 1024;

/// A registry that waits for its task. See the [crate's docs](crate).
#[must_use = "a hub that does not run admits no connection"]
pub struct Hub {
    pub(crate) registry: Registry,
    pub(crate) handler: Box<dyn Handler>,
    inbox: mpsc::UnboundedReceiver<Event>,
    handle: Handle,
    sockets: Sockets,
    began: Instant,
}

impl Hub {
    /// A hub with this configuration, whose seed should be fresh entropy, such as [`seed`](crate::seed) has.
    /// The handle reaches it also before it runs.
    pub fn new(config: Config, handler: impl Handler) -> (Self, Handle) {
        let (events, inbox) = mpsc::unbounded_channel();
        let handle = Handle { events, calls: Arc::new(Semaphore::new(CALLS)) };
        let hub = Self {
            registry: Registry::new(config),
            handler: Box::new(handler),
            inbox,
            handle: handle.clone(),
            sockets: Sockets::default(),
            began: Instant::now(),
        };
        (hub, handle)
    }

    /// Runs until the registry [is drained](Registry::is_drained): [`Handle::stop`]. To be spawned: all
    /// connections end when this future is dropped.
    ///
    /// The time is tokio's, so a test with a paused clock has it in its hands.
    pub async fn run(mut self) {
        let mut waited = 0_usize;
        while !self.registry.is_drained() {
            let mut first = self.wait().await;
            let now = self.now();
            for _ in 0..EVENTS {
                let Some(event) = first.take().or_else(|| self.inbox.try_recv().ok()) else {
                    break;
                };
                self.take(now, event);
                waited = waited.saturating_sub(1);
            }
            // A pong that waits to be taken counts before its deadline acts, and no flood of events stops the
            // clock.
            if waited == 0 {
                self.registry.tick(now);
                waited = self.inbox.len();
            }
            self.act(now);
            while let Some(notice) = self.registry.poll_notice() {
                self.handler.notice(&self.registry, notice);
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.began.elapsed()
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) -> Option<Event> {
        let mut first = None;
        if !self.registry.has_actions() {
            let deadline = self.registry.poll_timeout();
            let wait = deadline.map_or(Duration::MAX, |at| at.saturating_since(self.now()));
            first = timeout(wait, self.inbox.recv()).await.ok().flatten();
        }
        // Tasks that are ready to run have more to say, and sockets that became readable meanwhile are read
        // before their deadlines act. One turn for all of it costs less.
        yield_now().await;
        first
    }

    /// Takes an event. What sockets report of connections that have ended meanwhile fails, and says nothing.
    fn take(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Batch(conn, batch) => self.hear(now, conn, batch),
            Event::Flushed(conn, total) => {
                // One that was paused, and is not any more, is heard again.
                if self.registry.flushed(now, conn, total) == Ok(true)
                    && let Some(socket) = self.sockets.by_conn.get_mut(&conn)
                    && let Some(held) = socket.held.take()
                {
                    self.hear(now, conn, held);
                }
            }
            Event::Ended(conn) => drop(self.registry.disconnect(now, conn)),
            Event::Call(call) => call(self, now),
        }
    }

    /// Takes what a connection said, as far as the registry does, and holds the rest. It reads on when
    /// nothing of it is left.
    fn hear(&mut self, now: Timestamp, conn: ConnId, mut batch: Batch) {
        let Self { registry, handler, sockets, .. } = self;
        while let Some(read) = batch.pop_front() {
            let inbound = match &read {
                Ok(Incoming::Data(data)) => Inbound::Data { bytes: data.payload().len() as u64 },
                Ok(Incoming::Ping) => Inbound::Ping,
                Ok(Incoming::Pong) => Inbound::Pong,
                // It is given no leave to read on. After a fault the socket stays until the cleanup: if it
                // ended with unread input, the kernel would reset it, and the close frame might be lost.
                Ok(Incoming::Close) | Err(_) => {
                    let reason = read.err().unwrap_or(CloseReason::PeerClosed);
                    registry.close(now, Target::Conn(conn), reason);
                    return;
                }
            };
            match (registry.message(now, conn, inbound), read) {
                (Ok(Intake::Taken), Ok(Incoming::Data(said))) => {
                    handler.message(registry, now, conn, said);
                }
                (Ok(Intake::Paused), paused) => {
                    batch.push_front(paused);
                    if let Some(socket) = sockets.by_conn.get_mut(&conn) {
                        socket.held = Some(batch);
                    }
                    return;
                }
                (Err(InboundError::RateLimited), Ok(Incoming::Data(_))) => {
                    handler.rate_limited(registry, now, conn);
                }
                // A control frame, or it is closing.
                _ => {}
            }
        }
        sockets.mail(conn, |mail| mail.may_read = true);
    }

    /// Carries out actions, up to a turn's share, and wakes the sockets that have something to write.
    fn act(&mut self, now: Timestamp) {
        let mut recipients = 0;
        while recipients < RECIPIENTS
            && let Some(action) = self.registry.poll_action()
        {
            recipients += action.recipients().len().max(1);
            match action {
                // The handler may call the registry: not while the action is lent.
                Action::Presence { user, online } => {
                    let user = user.clone();
                    self.handler.presence(&mut self.registry, now, &user, online);
                }
                Action::Cleanup { what, reason } => {
                    if let Ended::Conn(conn) = what {
                        self.sockets.remove(conn);
                    }
                    self.handler.cleanup(what, reason);
                }
                action => self.sockets.send(&action, &mut *self.handler),
            }
        }
        self.sockets.wake();
    }

    /// The place of a connection that was admitted or reserved just now.
    pub(crate) fn place(&mut self, conn: ConnId) -> Place {
        let mailbox = Arc::<Mailbox>::default();
        let socket = Socket { mailbox: Arc::clone(&mailbox), held: None };
        self.sockets.by_conn.insert(conn, socket);
        let message_bytes = self.registry.config().message_bytes();
        Place { conn, message_bytes, mailbox, hub: self.handle.clone() }
    }
}

/// What a hub has of a connection.
struct Socket {
    mailbox: Arc<Mailbox>,
    /// The rest of a batch whose first message is paused.
    held: Option<Batch>,
}

#[derive(Default)]
struct Sockets {
    by_conn: HashMap<ConnId, Socket>,
    /// Of the tasks of those that have mail.
    wakers: Vec<Waker>,
}

impl Sockets {
    /// Puts something into a mailbox, whose task is woken at the end of the turn.
    fn mail(&mut self, conn: ConnId, put: impl FnOnce(&mut Mail)) {
        if let Some(socket) = self.by_conn.get(&conn) {
            self.wakers.extend(socket.mailbox.put(put));
        }
    }

    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn remove(&mut self, conn: ConnId) {
        self.mail(conn, |mail| mail.is_over = true);
        self.by_conn.remove(&conn);
        if self.by_conn.len() < self.by_conn.capacity() / 4 {
            self.by_conn.shrink_to_fit();
        }
    }

    /// Puts the frame of an action into the mailboxes of its recipients. Those who read the same dialect
    /// share its bytes.
    fn send(&mut self, action: &Action<'_>, handler: &mut dyn Handler) {
        let stream = match *action {
            Action::Send { stream, .. } | Action::Gap { stream, .. } => stream,
            Action::Left { session, .. } => StreamRef::Session(session),
            Action::Draining { .. } => StreamRef::Everyone,
            _ => StreamRef::Direct,
        };
        let mut frames: Vec<(Dialect, Arc<Charged>)> = Vec::new();
        for conn in action.recipients() {
            let dialect = match stream {
                StreamRef::Direct => Dialect::default(),
                stream => handler.dialect(*conn, stream),
            };
            let known = frames.iter().position(|(other, _)| *other == dialect);
            let known = known.unwrap_or_else(|| {
                let frame = match (action, stream) {
                    (Action::Ping { .. }, _) => Outgoing::Ping,
                    (Action::Close { code, text, .. }, _) => {
                        Outgoing::Close(*code, (*text).to_owned())
                    }
                    (Action::Send { body: Body::Message(message), .. }, StreamRef::Direct) => {
                        Outgoing::Data((*message).clone())
                    }
                    _ => Outgoing::Data(handler.encode(dialect, action)),
                };
                frames.push((dialect, Arc::new(Charged { frame, cost: action.cost() })));
                frames.len() - 1
            });
            let frame = Arc::clone(&frames[known].1);
            self.mail(*conn, |mail| mail.frames.push_back(frame));
        }
    }
}

/// The tasks of all sockets end with the hub.
impl Drop for Sockets {
    fn drop(&mut self) {
        for socket in self.by_conn.values() {
            self.wakers.extend(socket.mailbox.put(|mail| mail.is_over = true));
        }
        self.wake();
    }
}
