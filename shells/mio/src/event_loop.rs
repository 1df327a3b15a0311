//! The loop: one thread, one poll, one turn after the other.
//!
//! ```text
//!            ┌─> poll: wait for events, until the next deadline, or not at all if work is left
//!            │   calls of handles                       1 ms
//!            │   note what the events say of sockets
//!            │   read sockets                           READ, then the rest waits for the next turn
//!            │   tick: deadlines act                    only when a round of reads is over
//!            │   accept sockets, read each once         ACCEPTS
//!            │   poll actions, queue their frames       BUDGET or SOCKETS of `actions`
//!            │   write sockets, report what was taken   WRITE
//!            └── notices, journal
//! ```
//!
//! Each step has a budget, so that no step can hold up the others. What is left over makes `wait` return
//! zero: the next turn begins at once. The order matters in two places:
//!
//! * Input is read before `tick`. A pong that has arrived counts before its deadline acts.
//! * Actions are carried out after everything that can make them, so that a reply leaves in the turn in
//!   which its request was read.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use headcount::{Clock, ConnId, Registry, Target, Timestamp};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::actions::Acting;
use crate::fair::{Budget, MOST};
use crate::flushed::Flushed;
use crate::handle::Calls;
use crate::handler::{Context, Handler};
use crate::journal::Journal;
use crate::listener::Listener;
use crate::options::Options;
use crate::outbound::Written;
use crate::output::TurnOutput;
use crate::protocol::Protocol;
use crate::server::Server;
use crate::signals::Signals;
use crate::socket::{ReadContext, Socket};
use crate::sockets::Sockets;

// Connections are named by `ConnId::to_bits`, which is never below 2^32.
pub(crate) const LISTENER: Token = Token(0);
pub(crate) const WAKER: Token = Token(1);
pub(crate) const SIGNALS: Token = Token(2);

/// Events of one poll. More would only lengthen the worst turn.
const EVENTS: usize = 1_024;

/// Sockets accepted in one turn.
const ACCEPTS: usize = 16;

/// What a turn spends on input.
pub(crate) const READ: Budget = Budget { steps: 1_024, bytes: 512 * 1024 };

/// How long a turn acts on deadlines, beside one tick.
const TICKS: Duration = Duration::from_millis(1);

/// What a turn spends on output. A step is a socket here: more than a turn's actions and replies concern.
const WRITE: Budget = Budget { steps: 1_024, bytes: 1024 * 1024 };

/// The least that a socket may write in its turn: small messages never take two.
const WRITE_AT_LEAST: usize = 16 * 1024;

/// A server that runs.
pub(crate) struct EventLoop<H> {
    poll: Poll,
    clock: Clock,
    registry: Registry,
    handler: H,
    options: Options,
    /// `None` once the last connection has been drained.
    listener: Option<Listener>,
    signals: Option<Signals>,
    calls: Calls,
    sockets: Sockets<TcpStream>,
    protocol: Protocol,
    output: TurnOutput,
    acting: Acting,
    flushed: Flushed,
    journal: Journal,
    buffer: Box<[u8]>,
    /// How many signals asked to stop.
    signalled: u32,
    /// Whether the drain that ends with the loop has begun.
    stopping: bool,
    /// Whether calls wait that this turn had no share for.
    more_calls: bool,
    /// The deadline up to which the loop last waited; zero if it did not look.
    deadline: Timestamp,
}

impl<H: Handler> EventLoop<H> {
    pub(crate) fn new(server: Server, handler: H) -> Self {
        let Server { poll, listener, registry, calls, signals, options, journal, .. } = server;
        Self {
            poll,
            clock: Clock::new(),
            registry,
            handler,
            options,
            listener: Some(listener),
            signals,
            calls,
            sockets: Sockets::new(),
            protocol: Protocol::default(),
            output: TurnOutput::default(),
            acting: Acting::default(),
            flushed: Flushed::default(),
            journal,
            buffer: vec![0; MOST.bytes].into_boxed_slice(),
            signalled: 0,
            stopping: false,
            more_calls: false,
            deadline: Timestamp::ZERO,
        }
    }

    pub(crate) fn run(mut self) -> io::Result<()> {
        let result = self.run_to_the_end();
        if let Err(error) = self.journal.finish(&mut self.registry) {
            self.handler.journal_failed(error);
        }
        result
    }

    fn run_to_the_end(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut ended = self.clock.now();
        loop {
            let wait = self.wait(ended);
            if let Err(error) = self.poll.poll(&mut events, wait) {
                if error.kind() != ErrorKind::Interrupted {
                    return Err(error);
                }
                events.clear();
            }
            let now = self.clock.now();
            let clock = &self.clock;
            let mut context = Context::new(&mut self.registry, now, &mut self.output);
            self.more_calls = self.calls.run(&mut context, || clock.now().saturating_since(now));
            if self.calls.take_again() {
                self.sockets.authenticate_again();
            }
            for event in &events {
                self.note(event);
            }
            self.sockets.let_again();
            self.read(now);
            // Time goes on only when each socket that had input at the last tick has been read: a pong
            // that waits in a socket is read before it counts as missed. The budget bounds how long
            // that takes, so clients that send without end don't stop the clock.
            let round_is_over = self.sockets.round_is_over();
            if round_is_over {
                self.tick(now);
            }
            self.accept(now, round_is_over);
            if round_is_over {
                self.sockets.begin_round();
            }
            if self.stop_if_asked(now) {
                return Ok(());
            }
            self.act(now);
            while let Some(notice) = self.registry.poll_notice() {
                let context = Context::new(&mut self.registry, now, &mut self.output);
                self.handler.notice(&context, notice);
            }
            if let Err(error) = self.journal.append(&mut self.registry) {
                self.handler.journal_failed(error);
            }
            ended = self.clock.now();
            self.calls.record_turn(ended.saturating_since(now));
        }
    }

    /// Acts on what is due. A tick acts on a slice of it, and a round of reads may take long under a flood:
    /// so there are several ticks a round, for as long as a turn may take for them. If nothing was due when
    /// the wait began, one tick has done all but what this turn's input has made due: the next turn, which
    /// comes at once then, does the rest of that.
    fn tick(&mut self, now: Timestamp) {
        let is_due = |registry: &Registry| registry.poll_timeout().is_some_and(|at| at <= now);
        self.registry.tick(now);
        if self.deadline <= now && is_due(&self.registry) {
            let began = self.clock.now();
            while is_due(&self.registry) && self.clock.now().saturating_since(began) < TICKS {
                self.registry.tick(now);
            }
        }
    }

    /// How long to wait for events: until the next deadline, unless there is something to do that
    /// no event will tell of. `now` is the end of the turn before.
    fn wait(&mut self, now: Timestamp) -> Option<Duration> {
        self.deadline = Timestamp::ZERO;
        let accepts = self.listener.as_ref().is_some_and(Listener::is_ready);
        if self.more_calls
            || accepts
            || self.sockets.ready() > 0
            || self.sockets.dirty() > 0
            || self.sockets.asks_again()
            || self.registry.has_actions()
            || self.ends_next()
        {
            return Some(Duration::ZERO);
        }
        self.deadline = self.registry.poll_timeout().unwrap_or(Timestamp::MAX);
        let retry_at = self.listener.as_ref().and_then(Listener::retry_at);
        let until = retry_at.map_or(self.deadline, |at| at.min(self.deadline));
        (until < Timestamp::MAX).then(|| until.saturating_since(now))
    }

    /// Whether `stop_if_asked` has a step to take.
    fn ends_next(&self) -> bool {
        self.stopping
            && match self.listener {
                Some(_) => self.registry.stats().live == 0,
                None => self.sockets.len() == 0,
            }
    }

    fn note(&mut self, event: &Event) {
        match event.token() {
            LISTENER => {
                if let Some(listener) = &mut self.listener {
                    listener.note_ready();
                }
            }
            WAKER => {}
            SIGNALS => {
                if let Some(signals) = &mut self.signals {
                    self.signalled += signals.stops(&mut self.handler);
                }
            }
            Token(bits) => {
                let Some(conn) = ConnId::from_bits(bits as u64) else { return };
                self.sockets.change(conn, |socket| {
                    // Errors are told by the read and the write that meet them.
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        socket.note_readable(event.is_read_closed());
                    }
                    if event.is_writable() || event.is_write_closed() || event.is_error() {
                        socket.note_writable();
                    }
                });
            }
        }
    }

    /// Accepts sockets, and reads each at once: a client whose whole request has arrived holds a place
    /// of `limits.pending` no longer than that. While no place is free, it accepts only after a round:
    /// each waiting socket was read by then, so none gives way, and no newcomer is refused, because of
    /// input that was not read.
    fn accept(&mut self, now: Timestamp, round_is_over: bool) {
        for _ in 0..ACCEPTS {
            if !round_is_over && self.registry.vacancies() == 0 {
                return;
            }
            let Some(listener) = &mut self.listener else { return };
            let Some((stream, peer)) = listener.accept(now) else { return };
            if let Some(conn) = self.welcome(stream, peer, now) {
                self.read_newcomer(conn, now);
            }
        }
    }

    /// Reserves a connection for a socket, or answers the socket that there is no place.
    fn welcome(
        &mut self,
        mut stream: TcpStream,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Option<ConnId> {
        let conn = match self.registry.reserve(now, self.handler.source(peer)) {
            Ok(conn) => conn,
            Err(refused) => {
                let answer = self.handler.refused(refused);
                self.handler.turned_away(peer, &answer);
                turn_away(stream, &answer.to_bytes(true), &mut self.buffer);
                return None;
            }
        };
        let token = Token(conn.to_bits() as usize);
        // Writability is asked for when a write has come up short, which is rare.
        if self.poll.registry().register(&mut stream, token, Interest::READABLE).is_err() {
            let _ = self.registry.disconnect(now, conn);
            return None;
        }
        self.sockets.insert(Socket::new(conn, stream, peer));
        Some(conn)
    }

    /// Reads a socket that was just accepted: what arrived before it was registered made no event.
    fn read_newcomer(&mut self, conn: ConnId, now: Timestamp) {
        let Some(socket) = self.sockets.get_mut(conn) else { return };
        let mut context = Context::new(&mut self.registry, now, &mut self.output);
        let mut reading = ReadContext {
            context: &mut context,
            handler: &mut self.handler,
            options: &self.options,
            protocol: &mut self.protocol,
            buffer: &mut self.buffer,
            share: READ.share(ACCEPTS),
            budget: READ,
        };
        socket.note_readable(false);
        socket.read(&mut reading);
        self.sockets.note(conn);
    }

    fn read(&mut self, now: Timestamp) {
        let mut context = Context::new(&mut self.registry, now, &mut self.output);
        let mut reading = ReadContext {
            context: &mut context,
            handler: &mut self.handler,
            options: &self.options,
            protocol: &mut self.protocol,
            buffer: &mut self.buffer,
            share: READ.share(self.sockets.ready()),
            budget: READ,
        };
        self.sockets.for_ready(|socket| {
            socket.read(&mut reading);
            reading.budget.is_left()
        });
    }

    /// Carries out actions and writes what they made, up to this turn's share.
    fn act(&mut self, now: Timestamp) {
        let before = self.sockets.len();
        let mut context = Context::new(&mut self.registry, now, &mut self.output);
        let (poll, flushed) = (&self.poll, &mut self.flushed);
        let (handler, sockets) = (&mut self.handler, &mut self.sockets);
        self.acting.turn(&mut context, handler, sockets, |sockets, output| {
            write(poll, sockets, output, flushed);
        });
        self.flushed.report(&mut context, &mut self.sockets);
        if self.sockets.len() < before
            && let Some(listener) = &mut self.listener
        {
            listener.note_freed();
        }
    }

    /// Begins the drain when a stop was asked for. Returns whether the loop ends: after a second
    /// request, or when the last socket has been closed.
    ///
    /// The listener stays open during the drain. Newcomers are answered 503 in HTTP, which tells a load
    /// balancer more than a refused connection. Sockets that are not authenticated yet don't delay the
    /// end.
    fn stop_if_asked(&mut self, now: Timestamp) -> bool {
        let stops = self.calls.stops().saturating_add(self.signalled);
        if stops == 0 {
            return false;
        }
        if !self.stopping {
            self.stopping = true;
            self.calls.set_stopping();
            self.registry.drain(now, None);
        }
        if self.ends_next()
            && let Some(mut listener) = self.listener.take()
        {
            // Closing it ends the registration in any case.
            let _ = self.poll.registry().deregister(listener.source());
            self.registry.close(now, Target::Everyone, headcount::CloseReason::Restart);
        }
        let over = self.sockets.len() == 0 && !self.registry.has_actions();
        stops > 1 || (self.listener.is_none() && over)
    }
}

/// Writes what waits for sockets, and notes what was taken. Afterwards nothing waits in the output of the
/// turn.
fn write(
    poll: &Poll,
    sockets: &mut Sockets<TcpStream>,
    output: &mut TurnOutput,
    flushed: &mut Flushed,
) {
    let mut budget = WRITE;
    let share = (WRITE.bytes / sockets.dirty().max(1)).max(WRITE_AT_LEAST);
    sockets.for_dirty(|socket| {
        let mut bytes = share;
        let written = socket.flush(output, flushed, &mut bytes);
        budget.spend(1);
        budget.spend_bytes(share - bytes);
        if written == Written::Blocked && !socket.armed {
            let token = Token(socket.conn().to_bits() as usize);
            let both = Interest::READABLE | Interest::WRITABLE;
            // Asking again makes an edge of what is so already: none is lost in between. If it
            // fails, the registry finds the connection stuck in time.
            socket.armed = poll.registry().reregister(socket.stream_mut(), token, both).is_ok();
        }
        budget.is_left()
    });
    sockets.keep_chains(output);
    output.clear();
}

/// Answers a socket for which there is no place, and closes it.
fn turn_away(mut stream: TcpStream, answer: &[u8], buffer: &mut [u8]) {
    use std::io::{Read as _, Write as _};
    // Nothing was written to it before, so the kernel takes it as a whole. Closing a socket with
    // unread input makes a reset that could overtake the answer.
    let _ = stream.write(answer);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(buffer);
}
