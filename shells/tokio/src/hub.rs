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

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use headcount::{
    Action, Body, CloseReason, Config, ConnId, Ended, Inbound, InboundError, Intake, Refused,
    Registry, StreamRef, Target, Timestamp,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::adapter::{Incoming, Outgoing};
use crate::handle::{Event, Handle, Place};
use crate::handler::{Dialect, Handler};
use crate::mailbox::{Charged, Mailbox};

/// Events taken in one turn.
const EVENTS: usize = 256;

/// Calls of handles that wait.
const CALLS: usize = 1_024;

/// Recipients of a turn's actions: a storm takes several turns, and between them others are heard.
const RECIPIENTS: usize = 16 * 1024;

/// A registry that waits for its task. See the [crate's docs](crate).
#[must_use = "a hub that does not run admits no connection"]
pub struct Hub<H> {
    registry: Registry,
    handler: H,
    inbox: mpsc::UnboundedReceiver<Event>,
    events: mpsc::UnboundedSender<Event>,
    sockets: Sockets,
    /// What was flushed of each, in the events of this turn.
    flushed: Vec<(ConnId, u64)>,
    /// How often it was asked to stop.
    stops: u32,
    /// The drain is over, and those that are not authenticated were told to go.
    closes_pending: bool,
    began: Instant,
}

impl<H: Handler> Hub<H> {
    /// A hub with this configuration, whose seed should be fresh entropy, such as [`seed`](crate::seed) has.
    /// The handle reaches it also before it runs.
    pub fn new(config: Config, handler: H) -> (Self, Handle) {
        let (events, inbox) = mpsc::unbounded_channel();
        let handle = Handle { events: events.clone(), calls: Arc::new(Semaphore::new(CALLS)) };
        let (registry, sockets) = (Registry::new(config), Sockets::default());
        let (flushed, began) = (Vec::new(), Instant::now());
        let (stops, closes_pending) = (0, false);
        let hub = Self {
            registry,
            handler,
            inbox,
            events,
            sockets,
            flushed,
            stops,
            closes_pending,
            began,
        };
        (hub, handle)
    }

    /// Runs until [`Handle::stop`] has had its way. To be spawned: all connections end when this future is
    /// dropped.
    ///
    /// The time is tokio's, so a test with a paused clock has it in its hands.
    pub async fn run(mut self) {
        let (mut batch, mut waited) = (Vec::with_capacity(EVENTS), 0);
        loop {
            self.wait(&mut batch).await;
            let now = self.now();
            waited -= batch.len().min(waited);
            for event in batch.drain(..) {
                self.take(now, event);
            }
            self.report_flushed(now);
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
            if self.is_over(now) {
                return;
            }
        }
    }

    /// Whether a stop has had its way. Sockets that are not authenticated yet don't delay it.
    fn is_over(&mut self, now: Timestamp) -> bool {
        if self.stops == 0 {
            return false;
        }
        let stats = self.registry.stats();
        if stats.live == 0
            && stats.pending > 0
            && !std::mem::replace(&mut self.closes_pending, true)
        {
            self.registry.close(now, Target::Everyone, CloseReason::Restart);
        }
        self.stops > 1 || (stats.live == 0 && stats.pending == 0)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.began.elapsed().as_nanos().try_into().unwrap_or(u64::MAX))
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, batch: &mut Vec<Event>) {
        if self.registry.has_actions() {
            tokio::task::yield_now().await;
        } else {
            let deadline = self.registry.poll_timeout();
            let deadline = deadline.map(|at| self.began + Duration::from_nanos(at.as_nanos()));
            tokio::select! {
                biased;
                // Tasks that are ready to run have more to say. One turn for all of it costs less.
                _ = self.inbox.recv_many(batch, EVENTS) => go_last().await,
                // Sockets that became readable meanwhile are read before their deadlines act.
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    tokio::task::yield_now().await;
                }
            }
        }
        while batch.len() < EVENTS
            && let Ok(event) = self.inbox.try_recv()
        {
            batch.push(event);
        }
    }

    /// Takes an event. What sockets report of connections that have ended meanwhile fails, and says nothing.
    fn take(&mut self, now: Timestamp, event: Event) {
        // A flush comes before what was read after it: the pong after its ping.
        if !matches!(event, Event::Flushed(..)) {
            self.report_flushed(now);
        }
        match event {
            Event::Admit(asked, answer) => {
                let (who, start, previous) = *asked;
                let admitted = self.registry.admit(now, who, start, previous);
                let place = admitted.map(|(conn, admitted)| {
                    let place = self.place(conn);
                    self.handler.admitted(&mut self.registry, now, conn, admitted);
                    place
                });
                // If the asker has gone, the place comes back with the answer, and is given back.
                drop(answer.send(place));
            }
            Event::Reserve(source, answer) => {
                // A pending connection could never be admitted any more.
                let retry_after = self.registry.config().drain_deadline();
                let reserved = match self.stops {
                    0 => self.registry.reserve(now, source),
                    _ => Err(Refused::Draining { retry_after }),
                };
                drop(answer.send(reserved.map(|conn| self.place(conn))));
            }
            Event::Upgraded(conn) => drop(self.registry.upgraded(now, conn)),
            Event::Batch(conn, batch, fault) => {
                if let Some(socket) = self.sockets.get_mut(conn) {
                    socket.held.extend(batch);
                    socket.fault = fault;
                    self.hear(now, conn);
                }
            }
            Event::Flushed(conn, total) => self.flushed.push((conn, total)),
            Event::Ended(conn) => drop(self.registry.disconnect(now, conn)),
            Event::Call(call) => call(&mut self.registry, now),
            Event::Stop => {
                self.stops += 1;
                if self.stops == 1 {
                    self.registry.drain(now, None);
                }
            }
        }
    }

    /// Reports what sockets have flushed. One that was paused, and is not any more, is heard again.
    fn report_flushed(&mut self, now: Timestamp) {
        if self.flushed.is_empty() {
            return;
        }
        let mut resumed = Vec::new();
        self.registry.flushed_many(now, &self.flushed, |conn, answer| {
            if answer == Ok(true) && self.sockets.holds_input(conn) {
                resumed.push(conn);
            }
        });
        self.flushed.clear();
        for conn in resumed {
            // One that has flushed twice is here twice, and has leave to read on once.
            if self.sockets.holds_input(conn) {
                self.hear(now, conn);
            }
        }
    }

    fn place(&mut self, conn: ConnId) -> Place {
        let message_bytes = self.registry.config().message_bytes();
        Place {
            conn,
            message_bytes,
            mailbox: self.sockets.insert(conn),
            events: self.events.clone(),
        }
    }

    /// Takes what a connection said, as far as the registry does. It reads on when nothing of it is left.
    fn hear(&mut self, now: Timestamp, conn: ConnId) {
        while let Some(socket) = self.sockets.get_mut(conn)
            && let Some(incoming) = socket.held.pop_front()
        {
            let registry = &mut self.registry;
            let message = match incoming {
                Incoming::Data(message) => message,
                Incoming::Ping => {
                    let _ = registry.message(now, conn, Inbound::Ping);
                    continue;
                }
                Incoming::Pong => {
                    let _ = registry.message(now, conn, Inbound::Pong);
                    continue;
                }
                Incoming::Close => {
                    registry.close(now, Target::Conn(conn), CloseReason::PeerClosed);
                    continue;
                }
            };
            let bytes = message.payload().len() as u64;
            match registry.message(now, conn, Inbound::Data { bytes }) {
                Ok(Intake::Taken) => self.handler.message(registry, now, conn, message),
                Ok(Intake::Paused) => return socket.held.push_front(Incoming::Data(message)),
                Err(InboundError::RateLimited) => self.handler.rate_limited(registry, now, conn),
                // It is closing.
                Err(_) => {}
            }
        }
        if let Some(reason) = self.sockets.get_mut(conn).and_then(|socket| socket.fault.take()) {
            self.registry.close(now, Target::Conn(conn), reason);
        }
        self.sockets.mail(conn, |mailbox| mailbox.open().may_read = true);
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
                action => self.sockets.send(&action, &mut self.handler),
            }
        }
        self.sockets.wake();
    }
}

/// Goes behind the tasks that are ready to run, without a look at what else has become ready.
async fn go_last() {
    let mut is_last = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_last, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What a hub has of a connection.
struct Socket {
    conn: ConnId,
    mailbox: Arc<Mailbox>,
    /// The rest of a batch whose first message is paused.
    held: VecDeque<Incoming>,
    /// What is wrong with what comes behind it.
    fault: Option<CloseReason>,
    has_mail: bool,
}

/// All of them, by the index of their connection.
#[derive(Default)]
struct Sockets {
    slots: Vec<Option<Socket>>,
    /// Those that are to be woken at the end of the turn.
    with_mail: Vec<ConnId>,
}

impl Sockets {
    fn insert(&mut self, conn: ConnId) -> Arc<Mailbox> {
        if conn.index() >= self.slots.len() {
            self.slots.resize_with(conn.index() + 1, || None);
        }
        let (mailbox, held) = (Arc::<Mailbox>::default(), VecDeque::new());
        let (fault, has_mail) = (None, false);
        let socket = Socket { conn, mailbox: Arc::clone(&mailbox), held, fault, has_mail };
        self.slots[conn.index()] = Some(socket);
        mailbox
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.slots.get_mut(conn.index())?.as_mut().filter(|socket| socket.conn == conn)
    }

    /// Whether it has said something that the registry has not taken.
    fn holds_input(&mut self, conn: ConnId) -> bool {
        self.get_mut(conn).is_some_and(|socket| !socket.held.is_empty())
    }

    fn remove(&mut self, conn: ConnId) {
        if let Some(socket) = self.get_mut(conn) {
            socket.mailbox.end();
            self.slots[conn.index()] = None;
        }
    }

    /// Puts something into a mailbox, whose task is woken at the end of the turn.
    fn mail(&mut self, conn: ConnId, put: impl FnOnce(&Mailbox)) {
        let Some(socket) = self.get_mut(conn) else { return };
        put(&socket.mailbox);
        if !std::mem::replace(&mut socket.has_mail, true) {
            self.with_mail.push(conn);
        }
    }

    fn wake(&mut self) {
        while let Some(conn) = self.with_mail.pop() {
            if let Some(socket) = self.get_mut(conn) {
                socket.has_mail = false;
                socket.mailbox.wake();
            }
        }
    }

    /// Puts the frame of an action into the mailboxes of its recipients. Those who read the same dialect
    /// share its bytes.
    fn send(&mut self, action: &Action<'_>, handler: &mut impl Handler) {
        let mut frames: Vec<(Dialect, Arc<Charged>)> = Vec::new();
        for conn in action.recipients() {
            let dialect = match action {
                Action::Send { stream, .. } | Action::Gap { stream, .. } => match stream {
                    StreamRef::Direct => Dialect::default(),
                    stream => handler.dialect(*conn, *stream),
                },
                Action::Left { session, .. } => {
                    handler.dialect(*conn, StreamRef::Session(*session))
                }
                Action::Draining { .. } => handler.dialect(*conn, StreamRef::Everyone),
                _ => Dialect::default(),
            };
            let known = frames.iter().position(|(other, _)| *other == dialect);
            let known = known.unwrap_or_else(|| {
                let frame = match action {
                    Action::Ping { .. } => Outgoing::Ping,
                    Action::Close { code, text, .. } => Outgoing::Close(*code, (*text).to_owned()),
                    Action::Send {
                        stream: StreamRef::Direct,
                        body: Body::Message(message),
                        ..
                    } => Outgoing::Data((*message).clone()),
                    action => Outgoing::Data(handler.encode(dialect, action)),
                };
                frames.push((dialect, Arc::new(Charged { frame, cost: action.cost() })));
                frames.len() - 1
            });
            let frame = Arc::clone(&frames[known].1);
            self.mail(*conn, |mailbox| mailbox.open().frames.push_back(frame));
        }
    }
}

/// The tasks of all sockets end with the hub.
impl Drop for Sockets {
    fn drop(&mut self) {
        self.slots.iter().flatten().for_each(|socket| socket.mailbox.end());
    }
}
