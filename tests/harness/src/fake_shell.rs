//! A whole shell without sockets, in virtual time: for tests of what an application does with the
//! registry, and as a model of what a shell has to do.
//!
//! Its peers are [`Peer`]s: they read, dawdle, stall, or have vanished. It never sleeps: time passes
//! when it is told to, from deadline to deadline, and everything that is polled is held to the
//! [grammar](crate::grammar) and goes through a [`Wire`] for each connection.
//!
//! ```
//! use std::time::Duration;
//!
//! use headcount::{Config, Message, Target};
//! use headcount_harness::fake_shell::{FakeShell, Peer};
//!
//! let mut shell = FakeShell::new(Config::new(1));
//! let [laptop, phone] = [shell.open("alice", "main")?, shell.open("alice", "main")?];
//! let session = shell.registry().session_of(laptop).expect("admitted");
//!
//! // The phone is in a tunnel.
//! shell.peer(phone, Peer::Stalled);
//! for number in 0..3 {
//!     let text = Message::text(format!("message {number}"));
//!     let delivery = shell.call(|registry, now| registry.send(now, Target::Session(session), text));
//!     assert_eq!(delivery.stored().len(), 1);
//!     shell.turn()?;
//! }
//! assert_eq!(shell.texts(laptop), ["message 0", "message 1", "message 2"]);
//! assert!(shell.texts(phone).is_empty());
//!
//! // It comes out of the tunnel a few bytes at a time.
//! shell.peer(phone, Peer::Reads { units_per_turn: 80 });
//! shell.turn()?;
//! assert_eq!(shell.texts(phone), ["message 0"]);
//! shell.pass(Duration::from_secs(1))?;
//! shell.peer(phone, Peer::READS);
//! shell.turn()?;
//! assert_eq!(shell.texts(phone).len(), 3);
//!
//! // The laptop's lid closes: nothing says so, but within a minute the registry has found out.
//! shell.peer(laptop, Peer::Vanished);
//! shell.pass(Duration::from_secs(60))?;
//! assert_eq!(shell.registry().state(laptop), None);
//! assert!(shell.registry().state(phone).is_some());
//!
//! // Everybody goes, and nothing is left.
//! shell.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use core::time::Duration;
use std::collections::BTreeMap;

use headcount::{
    Config, ConnId, Ended, Inbound, Principal, Refused, Registry, Resume, ThreadId, Timestamp,
    UserId,
};

use super::grammar::Grammar;
use super::seen::{Content, Seen, Source};
use super::wire::Wire;
use super::{Check, ensure};

/// How many turns without an end are one too many.
const LIMIT: usize = 100_000;

/// What the other end of a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It reads, answers pings, and ends its socket when it is closed.
    Reads {
        /// How much of what it is sent arrives in each turn, in units of cost.
        units_per_turn: u64,
    },
    /// It reads nothing: what it is sent stays in the kernel, and it answers nothing.
    Stalled,
    /// It is gone without a word: the kernel takes everything, and nothing ever comes back.
    Vanished,
}

impl Peer {
    /// Reads as fast as it is sent to.
    pub const READS: Self = Self::Reads { units_per_turn: u64::MAX };
}

#[derive(Debug)]
struct Socket {
    wire: Wire,
    peer: Peer,
    /// How many of the delivered frames the peer has looked at.
    seen: usize,
    /// Its end was reported.
    ended: bool,
}

/// A registry, and a shell around it.
#[derive(Debug)]
pub struct FakeShell {
    registry: Registry,
    grammar: Grammar,
    now: Timestamp,
    /// Everybody there ever was.
    sockets: BTreeMap<ConnId, Socket>,
}

impl FakeShell {
    /// A shell without connections. Its clock stands at 1,000 seconds, so that a stamp may be earlier.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            grammar: Grammar::new(config.fanout_chunk()),
            registry: Registry::new(config),
            now: Timestamp::from_secs(1_000),
            sockets: BTreeMap::new(),
        }
    }

    /// The registry, to look at.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The instant of the next call.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Anything that an application does: the registry, and the instant. Not for `poll_action`,
    /// `reserve`, `connect`, `join` and `leave`, of which the shell has to know.
    pub fn call<R>(&mut self, call: impl FnOnce(&mut Registry, Timestamp) -> R) -> R {
        call(&mut self.registry, self.now)
    }

    /// A socket of this user and thread is accepted and admitted. Its peer [reads](Peer::READS).
    ///
    /// # Errors
    /// The registry has refused it, or a name is none; or the grammar is broken.
    pub fn open(&mut self, user: &str, thread: &str) -> Result<ConnId, String> {
        let user = UserId::new(user).map_err(|error| error.to_string())?;
        let thread = ThreadId::new(thread).map_err(|error| error.to_string())?;
        let admitted = self.try_open(Principal::new(user, thread), None)?;
        admitted.map_err(|refused| format!("refused: {refused:?}"))
    }

    /// The same for anybody, with a resume; a socket that is refused ends.
    ///
    /// # Errors
    /// The grammar is broken. A refusal is none.
    pub fn try_open(
        &mut self,
        who: Principal,
        resume: Option<Resume>,
    ) -> Result<Result<ConnId, Refused>, String> {
        let conn = match self.registry.reserve(self.now, None) {
            Ok(conn) => conn,
            Err(refused) => return Ok(Err(refused)),
        };
        self.grammar.reserved(conn)?;
        let socket = Socket { wire: Wire::default(), peer: Peer::READS, seen: 0, ended: false };
        self.sockets.insert(conn, socket);
        match self.registry.connect(self.now, conn, who, resume) {
            Ok(admitted) => {
                // One that a run has created is news here, too.
                let created = !self.grammar.knows(admitted.session);
                self.grammar.admitted(conn, admitted.session, created)?;
                let source = Source::Session(admitted.session);
                self.grammar.seated(conn, source, admitted.position);
                Ok(Ok(conn))
            }
            Err(refused) => {
                self.hang_up(conn);
                Ok(Err(refused))
            }
        }
    }

    /// A connection joins a room, at its head.
    ///
    /// # Errors
    /// The registry does not let it.
    pub fn join(&mut self, conn: ConnId, room: &headcount::RoomId) -> Check {
        let joined = self.registry.join(self.now, conn, room, None);
        let joined = joined.map_err(|error| format!("{conn:?} can't join: {error:?}"))?;
        if !joined.already {
            self.grammar.seated(conn, Source::Room(room.clone()), joined.position);
        }
        Ok(())
    }

    /// A connection leaves a room.
    pub fn leave(&mut self, conn: ConnId, room: &headcount::RoomId) {
        if self.registry.leave(self.now, conn, room) == Ok(true) {
            self.grammar.left(conn, &Source::Room(room.clone()));
        }
    }

    /// What the other end does from now on. Nothing for a handle that was never opened.
    pub fn peer(&mut self, conn: ConnId, peer: Peer) {
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.peer = peer;
        }
    }

    /// The client says something.
    pub fn say(&mut self, conn: ConnId, bytes: u64) {
        let _ = self.registry.message(self.now, conn, Inbound::Data { bytes });
    }

    /// The socket ends, and the shell hears of it.
    pub fn hang_up(&mut self, conn: ConnId) {
        let _ = self.registry.disconnect(self.now, conn);
        if let Some(socket) = self.sockets.get_mut(&conn) {
            socket.ended = true;
        }
    }

    /// What the peer has received; `None` for a handle that was never opened.
    #[must_use]
    pub fn wire(&self, conn: ConnId) -> Option<&Wire> {
        self.sockets.get(&conn).map(|socket| &socket.wire)
    }

    /// The messages among it, as text.
    #[must_use]
    pub fn texts(&self, conn: ConnId) -> Vec<String> {
        let delivered = self.wire(conn).map(Wire::delivered).unwrap_or_default();
        let texts = delivered.iter().filter_map(|seen| match seen {
            Seen::Send { content: Content::Message(message), .. } => {
                Some(String::from_utf8_lossy(message.payload()).into_owned())
            }
            Seen::Send { content: Content::Said(said), .. } => Some(said.text.clone()),
            _ => None,
        });
        texts.collect()
    }

    /// One turn of the loop: deadlines act, actions are queued, the kernel takes what the peers let
    /// it, which is reported, until nothing is left to do at this instant.
    ///
    /// # Errors
    /// The output breaks a rule, or the registry contradicts itself.
    pub fn turn(&mut self) -> Check {
        self.registry.tick(self.now);
        let mut first = true;
        for _ in 0..LIMIT {
            self.queue()?;
            // What a peer reads in a turn it reads once.
            let stirred = self.flush(first)?;
            first = false;
            if !stirred && !self.registry.has_actions() {
                return self.registry.check().map_err(|violation| violation.to_string());
            }
        }
        Err(format!("{LIMIT} rounds, and no end"))
    }

    /// Time passes: a turn at each deadline on the way, and one at the end.
    ///
    /// # Errors
    /// As [`turn`](Self::turn); or deadlines that stand still.
    pub fn pass(&mut self, time: Duration) -> Check {
        let end = self.now + time;
        for _ in 0..LIMIT {
            self.turn()?;
            let next = self.registry.poll_timeout().map_or(end, |next| next.min(end));
            if self.now >= end {
                return Ok(());
            }
            self.now = self.now.max(next);
        }
        Err(format!("{LIMIT} deadlines, and no end"))
    }

    /// Everybody hangs up, time passes, and nothing may be left.
    ///
    /// # Errors
    /// As [`turn`](Self::turn); or something has had no `Cleanup`.
    pub fn finish(&mut self) -> Check {
        for conn in self.sockets.keys().copied().collect::<Vec<_>>() {
            self.hang_up(conn);
        }
        for _ in 0..LIMIT {
            self.turn()?;
            let Some(next) = self.registry.poll_timeout() else {
                ensure!(self.registry.is_idle(), "no deadline is left, and it is not idle");
                return self.grammar.finished();
            };
            self.now = self.now.max(next);
        }
        Err(format!("{LIMIT} deadlines, and no end"))
    }

    fn queue(&mut self) -> Check {
        while let Some(action) = self.registry.poll_action() {
            let seen = Seen::from(&action);
            if let Seen::Cleanup { what: Ended::Session(session), .. } = &seen
                && !self.grammar.knows(*session)
            {
                // A run has created it, and nobody came.
                self.grammar.created(*session)?;
            }
            self.grammar.action(&seen)?;
            for conn in seen.conns() {
                let socket = self.sockets.get_mut(conn);
                let socket = socket.ok_or_else(|| format!("{conn:?} was never opened"))?;
                socket.wire.hand(&seen).map_err(|wrong| format!("{conn:?}: {wrong}"))?;
            }
        }
        Ok(())
    }

    /// Whether anything was reported.
    fn flush(&mut self, first: bool) -> Result<bool, String> {
        let (now, registry) = (self.now, &mut self.registry);
        let mut stirred = false;
        for (conn, socket) in &mut self.sockets {
            if socket.ended || socket.wire.is_forgotten() {
                continue;
            }
            let units = match socket.peer {
                Peer::Reads { units_per_turn: u64::MAX } | Peer::Vanished => u64::MAX,
                Peer::Reads { units_per_turn } if first => units_per_turn,
                Peer::Reads { .. } | Peer::Stalled => 0,
            };
            if socket.wire.in_flight() > 0 && units > 0 {
                let total = socket.wire.take(units);
                socket.wire.check_total(total)?;
                let _ = registry.flushed(now, *conn, total);
                stirred = true;
            }
            if matches!(socket.peer, Peer::Reads { .. }) {
                let fresh = &socket.wire.delivered()[socket.seen..];
                for _ in fresh.iter().filter(|seen| matches!(seen, Seen::Ping { .. })) {
                    let _ = registry.message(now, *conn, Inbound::Pong);
                }
                if socket.wire.is_closed() {
                    let _ = registry.disconnect(now, *conn);
                    socket.ended = true;
                    stirred = true;
                }
            }
            socket.seen = socket.wire.delivered().len();
        }
        Ok(stirred)
    }
}
