//! The shell's loop without a poll, in time that the test moves.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::BufMut;
use headcount::{
    Body, CloseReason, ConfigBuilder, ConnId, Ended, Position, Principal, Registry, Start,
    StreamRef, ThreadId, Timestamp, UserId,
};
use headcount_harness::thread_memory::live_bytes;

use super::peers::{Peer, Peers};
use crate::actions::Acting;
use crate::event_loop::READ;
use crate::fair::MOST;
use crate::flushed::Flushed;
use crate::handler::{Context, Dialect, FrameKind, Handler, Outcome, Payload, Verdict};
use crate::http::Request;
use crate::options::Options;
use crate::output::TurnOutput;
use crate::protocol::Protocol;
use crate::socket::{ReadContext, Socket};
use crate::sockets::Sockets;

/// Sockets that are accepted in one turn.
const ACCEPTS: usize = 16;

/// A user and a thread of their own, with names as long as a UUID, and credentials that end.
pub(super) fn who(number: usize) -> Principal {
    let scattered = (number as u32).wrapping_mul(0x9E37_79B9);
    let name = format!("{scattered:08x}-0000-4000-8000-{number:012x}");
    let user = UserId::new(&name).expect("a name");
    let thread = ThreadId::new(&name).expect("a name");
    Principal::new(user).with_thread(thread).with_expiry(Timestamp::from_secs(1_000_000))
}

/// Admits each as the next user, and counts cleanups.
#[derive(Default)]
pub(super) struct Members {
    admitted: usize,
    pub(super) gone: usize,
}

impl Handler for Members {
    fn authenticate(&mut self, _: &Request<'_>) -> Verdict {
        let who = who(self.admitted);
        self.admitted += 1;
        Verdict::Admit { who, start: Start::OpenRuns, previous: None }
    }

    fn message(&mut self, _: &mut Context<'_>, _: ConnId, _: Payload<'_>) -> Outcome {
        Outcome::Done
    }

    fn encode(
        &mut self,
        _: Dialect,
        _: StreamRef<'_>,
        _: Option<Position>,
        body: Body<'_>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(body.as_bytes());
        FrameKind::Text
    }

    fn encode_gap(
        &mut self,
        _: Dialect,
        _: StreamRef<'_>,
        _: u64,
        _: u64,
        _: &mut impl BufMut,
    ) -> FrameKind {
        FrameKind::Text
    }

    fn encode_draining(
        &mut self,
        _: Dialect,
        _: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(b"draining");
        FrameKind::Text
    }

    fn cleanup(&mut self, what: Ended, _: CloseReason) {
        self.gone += usize::from(matches!(what, Ended::Conn(_)));
    }
}

pub(super) struct Rig {
    pub(super) registry: Registry,
    pub(super) sockets: Sockets<Peer>,
    pub(super) handler: Members,
    /// What the table of sockets has taken.
    pub(super) shell_bytes: i64,
    pub(super) now: Timestamp,
    /// By the number of the peer. As long from the beginning as it will be.
    conns: Vec<ConnId>,
    protocol: Protocol,
    output: TurnOutput,
    acting: Acting,
    flushed: Flushed,
    options: Options,
    buffer: Vec<u8>,
}

impl Rig {
    pub(super) fn new(config: ConfigBuilder, now: Timestamp, count: usize) -> Self {
        Self {
            registry: Registry::new(config.build().expect("a valid configuration")),
            sockets: Sockets::new(),
            handler: Members::default(),
            shell_bytes: 0,
            now,
            conns: Vec::with_capacity(count),
            protocol: Protocol::default(),
            output: TurnOutput::default(),
            acting: Acting::default(),
            flushed: Flushed::default(),
            options: Options::new(),
            buffer: vec![0; MOST.bytes],
        }
    }

    /// Accepts so many, and serves them until all are admitted.
    pub(super) fn connect_all(&mut self, count: usize) {
        for number in 0..count {
            let conn = self.registry.reserve(self.now, None).expect("a place");
            let peer = SocketAddr::from(([127, 0, 0, 1], 1));
            let socket = Socket::new(conn, Peer(number as u32), peer);
            let before = live_bytes();
            self.sockets.insert(socket);
            self.shell_bytes += live_bytes() - before;
            self.conns.push(conn);
            self.stir(conn);
            if number % ACCEPTS == ACCEPTS - 1 || number + 1 == count {
                self.turns();
            }
        }
    }

    /// Lets time pass in steps. What a peer answers is read before the clock moves on.
    pub(super) fn pass(&mut self, length: Duration, step: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.now = (self.now + step).min(end);
            self.turns();
        }
    }

    /// Nothing is there any more, and nothing is to be done.
    pub(super) fn check_nothing_is_left(&mut self) {
        self.registry.check().expect("exact counts");
        assert!(self.registry.is_idle() && self.sockets.len() == 0);
        assert_eq!(self.registry.stats().sessions, 0);
    }

    /// An edge: there is something to read.
    fn stir(&mut self, conn: ConnId) {
        if let Some(socket) = self.sockets.get_mut(conn) {
            socket.note_readable(false);
            self.sockets.note(conn);
        }
    }

    /// Turns until nothing is left to do at this instant.
    pub(super) fn turns(&mut self) {
        loop {
            self.turn();
            let conns = std::mem::take(&mut self.conns);
            let was_answered = Peers::take_edges(|number| self.stir(conns[number as usize]));
            self.conns = conns;
            let is_due = self.registry.poll_timeout().is_some_and(|at| at <= self.now);
            let is_over = !was_answered
                && !is_due
                && !self.registry.has_actions()
                && self.sockets.ready() == 0
                && self.sockets.dirty() == 0;
            if is_over {
                return;
            }
        }
    }

    /// One turn, in the order of the event loop.
    fn turn(&mut self) {
        let mut context = Context::new(&mut self.registry, self.now, &mut self.output);
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
        if self.sockets.round_is_over() {
            self.registry.tick(self.now);
            self.sockets.begin_round();
        }
        let mut context = Context::new(&mut self.registry, self.now, &mut self.output);
        let (handler, sockets) = (&mut self.handler, &mut self.sockets);
        let flushed = &mut self.flushed;
        self.acting.turn(&mut context, handler, sockets, |sockets, output| {
            sockets.for_dirty(|socket| {
                socket.flush(output, flushed, &mut usize::MAX.clone());
                true
            });
            sockets.keep_chains(output);
            output.clear();
        });
        self.flushed.report(&mut context, &mut self.sockets);
        while self.registry.poll_notice().is_some() {}
    }
}
