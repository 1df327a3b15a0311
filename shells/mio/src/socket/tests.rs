//! Sockets on a wire that fails in every way a wire can, with the real registry.

mod as_the_kit;
mod dialects;
mod endings;
mod failures;
mod floods;
mod fragments;
mod heads;
mod metering;
mod pings;
mod refusals;
mod replies;
mod rough;
mod shares;
mod short_writes;
mod turns;
mod undecided;
mod waiting;
mod wire;
mod words;

use std::cell::RefCell;
use std::io::Write as _;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::BufMut;
use headcount::{
    Body, CloseReason, Config, ConfigBuilder, Ended, Message, Position, Principal, Registry, Start,
    StreamRef, Target, ThreadId, Timestamp, UserId,
};
use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use super::*;
use crate::actions::Acting;
use crate::answer::Answer;
use crate::event_loop::READ;
use crate::fair::MOST;
use crate::flushed::Flushed;
use crate::handler::{Dialect, FrameKind, Handler, Outcome, Payload, Verdict};
use crate::http::Request;
use crate::output::TurnOutput;
use crate::protocol::Protocol;
use crate::sockets::Sockets;
use wire::{Fake, Wire};

/// How long the reply to a message is that asks for a long one.
const LONG: usize = 50_000;

/// Echoes, and counts.
#[derive(Default)]
struct Echo {
    /// How many were authenticated: each is a user of its own.
    users: usize,
    /// Nobody is: all wait to say who they are.
    nobody: bool,
    messages: usize,
    gone: Vec<CloseReason>,
    /// It can't say yet who anyone is.
    later: bool,
    /// It can't deal with messages that begin with `later` yet.
    messages_later: bool,
    /// How often it was asked about a request or a message that had waited.
    asked_again: usize,
    /// What it refuses everyone with.
    refuses: Option<Answer>,
    /// Status and code of each answer that it was told of.
    turned_away: Vec<(u16, String)>,
    /// The dialect of each of the first connections, and in their sessions four more: what payloads
    /// begin with, unless it is zero.
    dialects: Vec<u8>,
    /// How many payloads were made.
    encoded: usize,
}

impl Handler for Echo {
    fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
        self.asked_again += usize::from(request.has_waited());
        if self.later {
            return Verdict::Later;
        }
        if let Some(answer) = &self.refuses {
            return Verdict::Refuse(answer.clone());
        }
        if self.nobody {
            return Verdict::Pending;
        }
        self.users += 1;
        let user = UserId::new(format!("user-{}", self.users)).unwrap();
        let who = Principal::new(user).with_thread(ThreadId::new("t").unwrap());
        Verdict::Admit { who, start: Start::OpenRuns, previous: None }
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        self.messages += 1;
        match payload {
            Payload::Text(text) if self.messages_later && text.starts_with("later") => {
                return Outcome::Later;
            }
            Payload::Text("bye") => {
                context.registry.close(context.now, Target::Conn(conn), CloseReason::Application);
            }
            Payload::Text("long") => context.reply(conn, &[b'x'; LONG][..]).unwrap(),
            other => context.reply(conn, other).unwrap(),
        }
        Outcome::Done
    }

    fn message_again(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        self.asked_again += 1;
        self.message(context, conn, payload)
    }

    fn dialect(&self, conn: ConnId, stream: StreamRef<'_>) -> Dialect {
        let own = self.dialects.get(conn.index()).copied().unwrap_or_default();
        Dialect(if matches!(stream, StreamRef::Session(_)) { own + 4 } else { own })
    }

    fn encode(
        &mut self,
        Dialect(dialect): Dialect,
        _: StreamRef<'_>,
        _: Option<Position>,
        body: Body<'_>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        self.encoded += 1;
        if dialect > 0 {
            write!(out.writer(), "{dialect} ").unwrap();
        }
        out.put_slice(body.as_bytes());
        if body.is_text() { FrameKind::Text } else { FrameKind::Binary }
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
        Dialect(dialect): Dialect,
        _: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        self.encoded += 1;
        out.put_u8(b'0' + dialect);
        FrameKind::Text
    }

    fn turned_away(&mut self, _: SocketAddr, answer: &Answer) {
        self.turned_away.push((answer.status(), answer.code().to_owned()));
    }

    fn cleanup(&mut self, what: Ended, reason: CloseReason) {
        if matches!(what, Ended::Conn(_)) {
            self.gone.push(reason);
        }
    }
}

/// A loop without a poll.
struct Rig<S = Fake, H = Echo> {
    registry: Registry,
    sockets: Sockets<S>,
    handler: H,
    protocol: Protocol,
    output: TurnOutput,
    acting: Acting,
    options: Options,
    buffer: Vec<u8>,
    /// Whether the last turn did.
    ticked: bool,
    now: Timestamp,
}

impl<S: Stream, H: Handler> Rig<S, H> {
    fn with(config: Config, handler: H) -> Self {
        Self {
            registry: Registry::new(config),
            sockets: Sockets::new(),
            handler,
            protocol: Protocol::default(),
            output: TurnOutput::default(),
            acting: Acting::default(),
            options: Options::new(),
            buffer: vec![0; MOST.bytes],
            ticked: false,
            now: Timestamp::from_secs(1),
        }
    }

    /// Reads and ticks, and then acts until nothing is left to do.
    fn turn(&mut self) {
        self.read();
        self.act();
        while self.registry.has_actions() {
            self.act();
        }
    }

    fn read(&mut self) {
        self.sockets.let_again();
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
        self.ticked = self.sockets.round_is_over();
        if self.ticked {
            self.registry.tick(self.now);
            self.sockets.begin_round();
        }
    }

    fn act(&mut self) {
        let mut context = Context::new(&mut self.registry, self.now, &mut self.output);
        let mut flushed = Flushed::default();
        let (handler, sockets) = (&mut self.handler, &mut self.sockets);
        self.acting.turn(&mut context, handler, sockets, |sockets, output| {
            sockets.for_dirty(|socket| {
                socket.flush(output, &mut flushed, &mut usize::MAX.clone());
                true
            });
            sockets.keep_chains(output);
            output.clear();
        });
        flushed.report(&mut context, &mut self.sockets);
    }
}

impl Rig {
    fn new(config: ConfigBuilder) -> Self {
        Self::with(config.build().unwrap(), Echo::default())
    }

    fn accept(&mut self) -> (ConnId, Fake) {
        let conn = self.registry.reserve(self.now, None).unwrap();
        let wire = Wire { room: usize::MAX, ..Wire::default() };
        let fake = Fake(Rc::new(RefCell::new(wire)));
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        self.sockets.insert(Socket::new(conn, fake.clone(), peer));
        (conn, fake)
    }

    /// An edge of both kinds.
    fn stir(&mut self, conn: ConnId) {
        if let Some(socket) = self.sockets.get_mut(conn) {
            let ending = socket.stream.0.borrow().eof;
            socket.note_readable(ending);
            socket.note_writable();
        }
        self.sockets.note(conn);
    }

    /// A connection that is upgraded and waits for what its peer says.
    fn open(&mut self) -> (ConnId, Fake) {
        let (conn, fake) = self.accept();
        fake.0.borrow_mut().input.extend(UPGRADE);
        self.settle(conn);
        assert!(frames_of(&fake.0.borrow().output).is_empty());
        (conn, fake)
    }

    /// A neighbour says something, and has its answer at the end of one turn, whatever else there
    /// was to do in it.
    fn assert_served(&mut self, neighbour: &(ConnId, Fake)) {
        self.assert_served_within(1, neighbour);
    }

    /// The same in so many turns.
    fn assert_served_within(&mut self, turns: usize, (conn, fake): &(ConnId, Fake)) {
        let before = {
            let mut wire = fake.0.borrow_mut();
            wire.input.extend(frame(0x81, b"still here?"));
            wire.output.len()
        };
        self.stir(*conn);
        for _ in 0..turns {
            self.turn();
            if fake.0.borrow().output.len() > before {
                break;
            }
        }
        assert_eq!(fake.0.borrow().output[before..], *b"\x81\x0bstill here?");
    }

    /// Input of a socket that is not parsed, and the place that it takes.
    fn unparsed(&mut self, conn: ConnId) -> (Vec<u8>, usize) {
        let held = self.sockets.get_mut(conn).unwrap().held.as_ref();
        held.map_or((Vec::new(), 0), |it| (it.unparsed.clone(), it.unparsed.capacity()))
    }

    /// What the registry knows to be flushed, and what was handed out and is not.
    fn flushed_and_load(&self, conn: ConnId) -> (u64, u64) {
        let known = self.registry.connection(conn).unwrap();
        (known.flushed(), known.load())
    }

    /// Turns with edges until nothing changes any more.
    fn settle(&mut self, conn: ConnId) {
        for _ in 0..2_000 {
            self.stir(conn);
            self.turn();
            let Some(socket) = self.sockets.get_mut(conn) else { return };
            let quiet = {
                let wire = socket.stream.0.borrow();
                wire.reads.is_empty() && wire.input.is_empty()
            };
            if quiet && !socket.unparsed_whole && !socket.is_deferred() && !socket.wants_flush() {
                // Once more, for what the last turn made possible.
                self.stir(conn);
                self.turn();
                return;
            }
        }
        panic!("it never settles");
    }
}

fn config() -> ConfigBuilder {
    Config::builder(1).connect_rate(0).message_rate(0).session_linger(Duration::ZERO)
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame of a client, with a mask of zeroes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65536 => out.extend([0x80 | 126, (length >> 8) as u8, length as u8]),
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
    out
}

/// The whole frames behind the answer 101: nothing may follow the last.
fn frames_of(output: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(output.starts_with(b"HTTP/1.1 101 "));
    let (mut rest, mut frames) = (&output[end..], Vec::new());
    while let [first, length, tail @ ..] = rest {
        let (length, tail) = match *length {
            126 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
            127 => (u64::from_be_bytes(tail[..8].try_into().unwrap()) as usize, &tail[8..]),
            short => (usize::from(short), tail),
        };
        frames.push((*first, tail[..length].to_vec()));
        rest = &tail[length..];
    }
    assert!(rest.is_empty());
    frames
}
