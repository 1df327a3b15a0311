//! A world of virtual sockets in virtual time, for scenarios that read like stories.
//!
//! [`World`] plays the shell: it polls actions, writes down per connection what came out, and adds
//! up what each connection was charged. While it does so it holds the registry to its contract: the
//! grammar of each connection's output, and [`Registry::check`] after every action.
//!
//! What came out reads as text: `hello` (the session's stream), `lobby: hello` (a room's),
//! `direct: hello`, `everyone: hello`, `gap 2..=5`, `gap lobby 2..=5`, `ping`, `close restart`,
//! `cleanup restart`.

// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub)]

mod look;
mod polled;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::HashMap;

use headcount::{
    AcknowledgeError, CloseWith, Config, ConfigBuilder, ConnId, Delivery, Followed, Inbound,
    Intake, Joined, MESSAGE_OVERHEAD, Message, Outgoing, OverCap, Position, Principal, Refused,
    Registry, RoomId, Source, Start, StreamRef, Target, ThreadId, Timestamp, UserId,
};

pub use polled::Polled;

/// When every world begins: late enough that a stamp may be earlier.
/// A byte came in, and no message is in progress.
pub const LIFE: Inbound = Inbound::Bytes { bytes: 1, partial: false };

pub const START: Timestamp = Timestamp::from_secs(1_000);

/// A configuration to change for one test: the defaults, with a constant seed, and a clock that may
/// leap without that being taken for a pause of the process.
pub fn config() -> ConfigBuilder {
    Config::builder(7).pause_threshold(secs(365 * 24 * 3600))
}

/// The policy that refuses newcomers over a user's cap.
pub fn refuse() -> OverCap {
    OverCap::Refuse { retry_after: secs(3) }
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub fn thread(name: &str) -> ThreadId {
    ThreadId::new(name).unwrap()
}

pub fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

pub fn who(user: &str, thread: &str) -> Principal {
    Principal::new(UserId::new(user).unwrap()).with_thread(ThreadId::new(thread).unwrap())
}

/// A text whose message costs exactly so much: one letter, repeated.
pub fn text_of_cost(cost: u64) -> String {
    "x".repeat((cost - MESSAGE_OVERHEAD) as usize)
}

/// What one socket was given.
#[derive(Default)]
struct Wire {
    seen: Vec<(Timestamp, String)>,
    /// The sum of the costs of all of it: what `flushed` is told.
    handed: u64,
    /// What `flushed` was told last.
    flushed: u64,
    /// The peer answers pings, as soon as they are flushed.
    answers: bool,
    /// The peer's socket takes nothing.
    stalled: bool,
    closed: bool,
    gone: bool,
}

pub struct World {
    pub registry: Registry,
    pub now: Timestamp,
    /// Everything that was polled, in order.
    pub polled: Vec<Polled>,
    /// Recount everything after every action; too slow for thousands of connections.
    pub checking: bool,
    /// What the last send answered.
    pub delivery: Delivery,
    wires: HashMap<ConnId, Wire>,
    conns: Vec<ConnId>,
}

impl World {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: ConfigBuilder) -> Self {
        Self {
            registry: Registry::new(config.build().expect("a valid configuration")),
            now: START,
            polled: Vec::new(),
            checking: true,
            delivery: Delivery::default(),
            wires: HashMap::new(),
            conns: Vec::new(),
        }
    }

    // Coming and going.

    /// Accepts a socket that is nobody yet.
    pub fn reserve(&mut self) -> ConnId {
        self.try_reserve().expect("room for a pending socket")
    }

    pub fn try_reserve(&mut self) -> Result<ConnId, Refused> {
        self.try_reserve_from(None)
    }

    /// Accepts a socket that comes from this address.
    pub fn reserve_from(&mut self, address: &str) -> ConnId {
        self.try_reserve_from(Some(address)).expect("room for a pending socket")
    }

    pub fn try_reserve_from(&mut self, address: Option<&str>) -> Result<ConnId, Refused> {
        let address = address.map(|address| address.parse::<IpAddr>().expect("an address"));
        let conn = self.registry.reserve(self.now, address.map(Source::from))?;
        let known = self.wires.insert(conn, Wire::default());
        assert!(known.is_none(), "{conn:?} was created twice");
        self.conns.push(conn);
        Ok(conn)
    }

    pub fn connect(&mut self, conn: ConnId, user: &str, thread: &str) -> Result<Followed, Refused> {
        let who = who(user, thread);
        let admitted = self.registry.connect(self.now, conn, who, Start::OpenRuns, None)?;
        Ok(admitted.followed.expect("a session"))
    }

    /// A socket that is admitted at once.
    pub fn open(&mut self, user: &str, thread: &str) -> ConnId {
        let conn = self.reserve();
        self.connect(conn, user, thread).expect("to be admitted");
        conn
    }

    /// The same for a client that says what it has seen.
    pub fn resume(&mut self, user: &str, thread: &str, position: Position) -> (ConnId, Followed) {
        let conn = self.reserve();
        let (who, start) = (who(user, thread), Start::After(position));
        let admitted = self.registry.connect(self.now, conn, who, start, None);
        (conn, admitted.expect("to be admitted").followed.expect("a session"))
    }

    /// The same for a client that names the connection that it had.
    pub fn take_over(&mut self, user: &str, thread: &str, previous: ConnId) -> ConnId {
        let conn = self.reserve();
        let (who, start) = (who(user, thread), Start::After(Position { epoch: 0, offset: 0 }));
        let admitted = self.registry.connect(self.now, conn, who, start, Some(previous));
        admitted.expect("to be admitted");
        conn
    }

    /// A socket whose principal says more than a name.
    pub fn open_as(&mut self, who: Principal) -> ConnId {
        let conn = self.reserve();
        self.registry.connect(self.now, conn, who, Start::OpenRuns, None).expect("to be admitted");
        conn
    }

    /// A socket that is admitted at once, and whose peer answers pings.
    pub fn tab(&mut self, user: &str, thread: &str) -> ConnId {
        let conn = self.open(user, thread);
        self.answers(conn);
        conn
    }

    /// The refusal of a socket, which ends then.
    pub fn refusal(&mut self, user: &str, thread: &str) -> Refused {
        let conn = self.reserve();
        let refused = self.connect(conn, user, thread).expect_err("to be refused");
        self.hang_up(conn);
        self.drain();
        refused
    }

    /// The socket ends.
    pub fn hang_up(&mut self, conn: ConnId) {
        self.registry.disconnect(self.now, conn).expect("a connection");
    }

    pub fn close(&mut self, target: Target<'_>, with: impl Into<CloseWith>) -> u32 {
        self.registry.close(self.now, target, with)
    }

    // What comes in.

    pub fn data(&mut self, conn: ConnId) -> Intake {
        let inbound = Inbound::Data { bytes: 10 };
        self.registry.message(self.now, conn, inbound).expect("a connection")
    }

    pub fn inbound(&mut self, conn: ConnId, inbound: Inbound) {
        let intake = self.registry.message(self.now, conn, inbound).expect("a connection");
        assert_eq!(intake, Intake::Taken);
    }

    // What the application wants.

    pub fn join(&mut self, conn: ConnId, name: &str) -> Joined {
        self.registry.join(self.now, conn, &room(name), Start::Now).expect("to join")
    }

    /// Has a connection follow another session of its user.
    pub fn follow(&mut self, conn: ConnId, name: &str, start: Start) -> Followed {
        self.registry.follow(self.now, conn, &thread(name), start).expect("to follow")
    }

    /// The client of a connection has dealt with its session up to there.
    pub fn acknowledge(&mut self, conn: ConnId, offset: u64) -> Result<(), AcknowledgeError> {
        let session = StreamRef::Session(self.session(conn));
        self.registry.acknowledge(self.now, conn, session, offset)
    }

    pub fn leave(&mut self, conn: ConnId, name: &str) {
        assert_eq!(self.registry.leave(self.now, conn, &room(name)), Ok(true));
    }

    /// To the session of this connection. What a send answers stays in `delivery`.
    pub fn tell_session(&mut self, conn: ConnId, text: &str) {
        let session = self.session(conn);
        self.send(Target::Session(session), Message::text(text));
    }

    pub fn tell_user(&mut self, name: &str, text: &str) {
        self.send(Target::User(&user(name)), Message::text(text));
    }

    pub fn tell_room(&mut self, name: &str, text: &str) {
        self.send(Target::Room(&room(name)), Message::text(text));
    }

    pub fn tell_conn(&mut self, conn: ConnId, text: &str) {
        self.send(Target::Conn(conn), Message::text(text));
    }

    pub fn tell_everyone(&mut self, text: &str) {
        self.send(Target::Everyone, Message::text(text));
    }

    pub fn send(&mut self, to: Target<'_>, message: impl Into<Outgoing>) {
        self.delivery = self.registry.send(self.now, to, message);
    }

    /// How many were live and how many behind at the last send.
    pub fn reached(&self) -> (u32, u32) {
        (self.delivery.live, self.delivery.behind)
    }

    // What comes out.

    /// Polls one action and writes it down.
    pub fn step(&mut self) -> Option<Polled> {
        let polled = Polled::of(&self.registry.poll_action()?, self.now);
        let is_of_none = polled.session.is_some() || polled.is_presence();
        assert!(is_of_none || !polled.to.is_empty(), "{polled:?} names nobody");
        for conn in &polled.to {
            let wire = self.wires.get_mut(conn).expect("a connection that was reserved");
            assert!(!wire.gone, "{conn:?} was cleaned up, and now: {}", polled.what);
            let cleanup = polled.what.starts_with("cleanup ");
            assert!(!wire.closed || cleanup, "{conn:?} was closed, and now: {}", polled.what);
            wire.gone = cleanup;
            wire.closed |= polled.what.starts_with("close ");
            wire.handed += polled.cost;
            wire.seen.push((self.now, polled.what.clone()));
        }
        self.polled.push(polled.clone());
        if self.checking {
            self.check();
        }
        Some(polled)
    }

    /// Polls until there is nothing; how many actions there were.
    pub fn drain(&mut self) -> usize {
        let mut count = 0;
        while self.step().is_some() {
            count += 1;
        }
        assert!(!self.registry.has_actions(), "nothing came out, and yet there are actions");
        if self.checking {
            self.check();
        }
        count
    }

    pub fn check(&self) {
        if let Err(violation) = self.registry.check() {
            panic!("{violation}");
        }
    }

    // Flushing.

    /// The kernel takes all that this connection was handed; whether its input may go on.
    pub fn flush(&mut self, conn: ConnId) -> bool {
        let handed = self.handed(conn);
        self.flush_to(conn, handed)
    }

    /// The kernel takes so much more.
    pub fn flush_some(&mut self, conn: ConnId, more: u64) -> bool {
        let total = self.wires[&conn].flushed + more;
        self.flush_to(conn, total)
    }

    fn flush_to(&mut self, conn: ConnId, total: u64) -> bool {
        self.wires.get_mut(&conn).expect("a connection").flushed = total;
        self.registry.flushed(self.now, conn, total).expect("a connection")
    }

    /// The kernel takes everything from everybody whose socket is not stalled; peers who answer
    /// pings do.
    pub fn flush_all(&mut self) {
        for conn in self.conns.clone() {
            let wire = &self.wires[&conn];
            if wire.gone || wire.stalled || wire.handed == wire.flushed {
                continue;
            }
            let fresh = wire.seen.iter().rev().take_while(|(at, _)| *at == self.now);
            let pong = wire.answers && fresh.into_iter().any(|(_, what)| what == "ping");
            let total = wire.handed;
            let _ = self.registry.flushed(self.now, conn, total);
            self.wires.get_mut(&conn).expect("a connection").flushed = total;
            if pong {
                let _ = self.registry.message(self.now, conn, Inbound::Pong);
            }
        }
    }

    /// Polls and flushes until there is nothing left to do.
    pub fn settle(&mut self) {
        loop {
            let polled = self.drain();
            self.flush_all();
            if polled == 0 && !self.registry.has_actions() {
                break;
            }
        }
        self.conns.retain(|conn| !self.wires[conn].gone);
    }

    /// This peer answers pings from now on.
    pub fn answers(&mut self, conn: ConnId) {
        self.wires.get_mut(&conn).expect("a connection").answers = true;
    }

    /// This peer's socket takes nothing, until it is flushed by name.
    pub fn stall(&mut self, conn: ConnId) {
        self.wires.get_mut(&conn).expect("a connection").stalled = true;
    }

    // Time.

    /// Time passes in one leap, and deadlines act; nothing is polled.
    pub fn skip(&mut self, by: Duration) {
        self.now += by;
        self.registry.tick(self.now);
    }

    /// The next instant that the registry asks for.
    pub fn timeout(&self) -> Timestamp {
        self.registry.poll_timeout().expect("a deadline")
    }

    /// Time passes as in a server: the registry is woken when it asks to be, and everything is
    /// polled and flushed.
    pub fn run(&mut self, by: Duration) {
        let end = self.now + by;
        self.settle();
        while let Some(next) = self.registry.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.registry.tick(self.now);
            self.settle();
        }
        self.now = end;
        self.registry.tick(self.now);
        self.settle();
    }

    /// The same until this has come out for a connection: how long after the beginning of the world
    /// that was, the first time.
    pub fn run_until(&mut self, conn: ConnId, what: &str) -> Duration {
        self.settle();
        while !self.seen(conn).contains(&what) {
            let next = self.timeout();
            self.run(next.saturating_since(self.now));
        }
        self.when(conn, what)
    }

    /// The same until nothing is left to wait for.
    pub fn run_out(&mut self) {
        self.settle();
        while let Some(next) = self.registry.poll_timeout() {
            self.now = self.now.max(next);
            self.registry.tick(self.now);
            self.settle();
        }
        assert!(self.registry.is_idle(), "{:?}: {:?}", self.registry, self.registry.stats());
    }
}
