//! The fake shell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headcount::{
    Action, Admitted, CloseReason, Config, ConnId, ConnState, Ended, Inbound, InboundError, Intake,
    Message, Notice, Principal, Refused, Registry, Start, Target, Timestamp, UserId,
};

use crate::client::{Client, Received};

/// What the application is told, as the handler of a shell is.
#[derive(Clone, Debug)]
pub enum Event {
    /// A connection was admitted.
    Admitted(ConnId, Admitted),
    /// A connection says this.
    Message(ConnId, Message),
    /// A message of this connection was dropped: it sends more than `limits.message_rate`.
    RateLimited(ConnId),
    /// A user is online now, or is so no more.
    Presence(UserId, bool),
    /// A fact for logs and metrics.
    Notice(Notice),
    /// A connection or a session is gone.
    Cleanup(Ended, CloseReason),
}

/// A registry, an application and clients in virtual time. See the [crate's docs](crate).
pub struct Testkit<A> {
    registry: Registry,
    application: A,
    now: Timestamp,
    clients: BTreeMap<ConnId, Client>,
    /// Connections whose cleanup has come, and what they had read.
    gone: BTreeMap<ConnId, Vec<Received>>,
    online: BTreeSet<UserId>,
}

impl<A: FnMut(&mut Registry, Timestamp, Event)> Testkit<A> {
    /// A kit at the time of one day, without clients.
    pub fn new(config: Config, application: A) -> Self {
        Self {
            registry: Registry::new(config),
            application,
            now: Timestamp::from_secs(24 * 3_600),
            clients: BTreeMap::new(),
            gone: BTreeMap::new(),
            online: BTreeSet::new(),
        }
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The registry, to look at.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The application does this: what the handler of a shell may do, and a handle from elsewhere.
    pub fn call<R>(&mut self, f: impl FnOnce(&mut Registry, Timestamp) -> R) -> R {
        let answer = f(&mut self.registry, self.now);
        self.settle();
        answer
    }

    /// A client is admitted: [`Registry::admit`] with the default [`Start`].
    ///
    /// # Errors
    /// [`Refused`] as for that.
    pub fn admit(&mut self, who: Principal) -> Result<ConnId, Refused> {
        self.admit_from(who, Start::default(), None)
    }

    /// A client is admitted that says where it stopped, and which connection it had.
    ///
    /// # Errors
    /// [`Refused`] as for [`Registry::admit`].
    pub fn admit_from(
        &mut self,
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    ) -> Result<ConnId, Refused> {
        let (conn, admitted) = self.registry.admit(self.now, who, start, previous)?;
        self.clients.insert(conn, Client::new(conn));
        self.tell(Event::Admitted(conn, admitted));
        self.settle();
        Ok(conn)
    }

    /// A client has a place, and no user yet: the first message that it says names one, and the application
    /// admits it with [`Registry::connect`].
    ///
    /// # Errors
    /// [`Refused`] as for [`Registry::reserve`].
    pub fn reserve(&mut self) -> Result<ConnId, Refused> {
        let conn = self.registry.reserve(self.now, None)?;
        let upgraded = self.registry.upgraded(self.now, conn);
        debug_assert!(upgraded.is_ok(), "it was reserved just now");
        self.clients.insert(conn, Client::new(conn));
        self.settle();
        Ok(conn)
    }

    /// A client says this. What the registry pauses is taken when the client has read. A client that has
    /// gone says nothing.
    pub fn say(&mut self, conn: ConnId, message: impl Into<Message>) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.held.push_back(message.into());
            self.hear(conn);
            self.settle();
        }
    }

    /// What a client has read since the last call, also one that has gone meanwhile.
    pub fn read(&mut self, conn: ConnId) -> Vec<Received> {
        let client = self.clients.get_mut(&conn).map(|client| &mut client.received);
        client.or_else(|| self.gone.get_mut(&conn)).map(std::mem::take).unwrap_or_default()
    }

    /// A client reads nothing, from now on until it [goes on](Self::go_on).
    pub fn stall(&mut self, conn: ConnId) {
        self.with(conn, |client| client.stalls = true);
    }

    /// A client reads again, and answers again.
    pub fn go_on(&mut self, conn: ConnId) {
        self.with(conn, |client| (client.stalls, client.is_silent) = (false, false));
    }

    /// A client reads, but answers no ping and no close any more, until it [goes on](Self::go_on).
    pub fn fall_silent(&mut self, conn: ConnId) {
        self.with(conn, |client| client.is_silent = true);
    }

    fn with(&mut self, conn: ConnId, f: impl FnOnce(&mut Client)) {
        if let Some(client) = self.clients.get_mut(&conn) {
            f(client);
            self.settle();
        }
    }

    /// A client begins the close handshake, behind what it has said, and ends.
    pub fn leave(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.leaves = true;
            self.hear(conn);
            self.settle();
        }
    }

    /// The socket of a client ends without a close handshake.
    pub fn vanish(&mut self, conn: ConnId) {
        // It fails if it has gone.
        let _ = self.registry.disconnect(self.now, conn);
        self.settle();
    }

    /// Whether a connection is open: admitted, and not closing. A pong or two that it owes change nothing.
    #[must_use]
    pub fn is_open(&self, conn: ConnId) -> bool {
        let state = self.registry.connection(conn).map(|it| it.state());
        matches!(state, Some(ConnState::Open | ConnState::Suspect))
    }

    /// All clients whose cleanup has not come, in the order of their handles.
    pub fn clients(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.clients.keys().copied()
    }

    /// Time passes: each deadline acts in its millisecond, and clients answer in it.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.registry.poll_timeout()
            && next <= end
        {
            self.now = self.now.max(next);
            self.registry.tick(self.now);
            self.settle();
        }
        self.now = end;
        self.registry.tick(self.now);
        self.settle();
    }

    /// So many seconds pass.
    pub fn pass_secs(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// All clients vanish, and time passes until nothing is left: no connection, no session, no deadline, and
    /// nothing that was opened and not counted as closed.
    ///
    /// # Panics
    /// Something is left. An open run is: the application has to end it.
    pub fn finish(mut self) {
        for conn in self.clients().collect::<Vec<_>>() {
            self.vanish(conn);
        }
        // Sessions, logs and rooms have deadlines of their own.
        while let Some(next) = self.registry.poll_timeout() {
            self.pass(next.saturating_since(self.now));
        }
        let stats = self.registry.stats();
        assert!(self.clients.is_empty() && self.registry.is_idle(), "something is left: {stats:?}");
        assert_eq!(stats.opened, stats.closed_total(), "a connection was lost count of");
        assert!(self.online.is_empty(), "said to be online for ever: {:?}", self.online);
    }

    fn tell(&mut self, event: Event) {
        (self.application)(&mut self.registry, self.now, event);
    }

    /// Takes what a client has said, as far as the registry does.
    fn hear(&mut self, conn: ConnId) {
        while let Some(message) = self.clients.get_mut(&conn).and_then(|it| it.held.pop_front()) {
            let bytes = message.payload().len() as u64;
            match self.registry.message(self.now, conn, Inbound::Data { bytes }) {
                Ok(Intake::Taken) => self.tell(Event::Message(conn, message)),
                Ok(Intake::Paused) => {
                    if let Some(client) = self.clients.get_mut(&conn) {
                        client.held.push_front(message);
                    }
                    return;
                }
                Err(InboundError::RateLimited) => self.tell(Event::RateLimited(conn)),
                // It is closing.
                Err(_) => {}
            }
        }
        if self.clients.get_mut(&conn).is_some_and(|client| std::mem::take(&mut client.leaves)) {
            self.registry.close(self.now, Target::Conn(conn), CloseReason::PeerClosed);
        }
    }

    /// Carries out actions, has them arrive and be answered, until nothing happens any more.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.next_action() {
                if let Some(event) = event {
                    self.tell(event);
                }
            }
            while let Some(notice) = self.registry.poll_notice() {
                self.tell(Event::Notice(notice));
            }
            if !self.arrive() && !self.registry.has_actions() {
                break;
            }
        }
        assert_eq!(self.registry.check(), Ok(()), "the registry does not agree with itself");
    }

    /// Carries out one action. What the application is told of it, if it is told; `None` without an action.
    fn next_action(&mut self) -> Option<Option<Event>> {
        let action = self.registry.poll_action()?;
        for conn in action.recipients() {
            let client = self.clients.get_mut(conn);
            client
                .unwrap_or_else(|| panic!("{action:?} is for {conn:?}, which has gone"))
                .hand(&action);
        }
        Some(match action {
            Action::Presence { user, online } => {
                let user = user.clone();
                let changes = if online {
                    self.online.insert(user.clone())
                } else {
                    self.online.remove(&user)
                };
                assert!(changes, "{user:?} was said to be online: {online} before");
                Some(Event::Presence(user, online))
            }
            Action::Cleanup { what, reason } => {
                if let Ended::Conn(conn) = what {
                    let client = self.clients.remove(&conn);
                    let client = client.unwrap_or_else(|| panic!("a second cleanup of {conn:?}"));
                    self.gone.insert(conn, client.received);
                }
                Some(Event::Cleanup(what, reason))
            }
            _ => None,
        })
    }

    /// What was handed out arrives, is reported, and is answered. Whether anything was.
    fn arrive(&mut self) -> bool {
        let mut has_arrived = false;
        for conn in self.clients().collect::<Vec<_>>() {
            let Some(client) = self.clients.get_mut(&conn) else { continue };
            if let Some(total) = client.arrive() {
                has_arrived = true;
                let takes_input = self.registry.flushed(self.now, conn, total) == Ok(true);
                if takes_input && (!client.held.is_empty() || client.leaves) {
                    self.hear(conn);
                }
            }
            let Some(client) = self.clients.get_mut(&conn).filter(|it| !it.is_silent) else {
                continue;
            };
            for _ in 0..std::mem::take(&mut client.pings) {
                has_arrived = true;
                let _ = self.registry.message(self.now, conn, Inbound::Pong);
            }
            if std::mem::take(&mut client.is_closed) {
                has_arrived = true;
                let _ = self.registry.disconnect(self.now, conn);
            }
        }
        has_arrived
    }
}

impl<A> std::fmt::Debug for Testkit<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Testkit").field("now", &self.now).finish_non_exhaustive()
    }
}
