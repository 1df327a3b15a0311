//! One connection: from the request head to the end of the socket.
//!
//! A socket decides nothing. It reports to the registry what came in and what went out, queues what the
//! registry's actions say, and ends when the registry says so. What it knows is the mechanics: a close
//! frame must arrive, nothing follows it, and input that has no use must still be read.
//!
//! [`Stage`] says what becomes of input:
//!
//! ```text
//!  Head ── request complete ──> handler ── admitted ──> Open ── our close frame queued ──> Closing
//!    │                          │    ^ │                │                                     │
//!    │                          │    │ v Later          │ peer's close frame, fault,          │ peer's
//!    │ no request,              │   Undecided           │ rate limited                        │ close
//!    │ or out of time           │ refused in HTTP       │                                     │ frame,
//!    v                          v                       v                                     │ fault
//!  Discarding <─────────────────┴───────────────────────┴─────────────────────────────────────┘
//!
//!  Ended: from every stage, when the socket breaks, when the input ends before a close, or when the
//!         last bytes are written and the peer sends nothing more
//! ```
//!
//! Output goes on in every stage but `Ended`: `complete` says that the last bytes are queued, and
//! `shut_when_out` that the writing side is shut down after them. The socket itself is closed when the
//! registry's cleanup removes it, never before: its handle stays taken until then.

mod input;
mod output;
mod undecided;
mod waiting;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

use headcount::ConnId;

use crate::fair::Budget;
use crate::frames::{FrameEvent, Frames};
use crate::handler::Context;
use crate::http::Head;
use crate::options::Options;
use crate::outbound::Outbound;

use undecided::Undecided;
use waiting::Waiting;

/// What a connection is made of; a fake one in tests.
pub(crate) trait Stream: Read + Write {
    /// Tells the peer that nothing more will come.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

impl Stream for mio::net::TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// What a socket needs of the loop to make something of its input.
pub(crate) struct ReadContext<'a, 'b, H> {
    pub(crate) context: &'a mut Context<'b>,
    pub(crate) handler: &'a mut H,
    pub(crate) options: &'a Options,
    /// Where input is read to: as long as the largest share of a socket.
    pub(crate) buffer: &'a mut [u8],
    /// What one socket may spend before the others have their turns.
    pub(crate) share: Budget,
    /// What is left for all sockets of this turn.
    pub(crate) budget: Budget,
}

impl<H> ReadContext<'_, '_, H> {
    /// The longest message, in bytes. A reload may have changed it since the last frame.
    fn message_bytes(&self) -> usize {
        let bytes = self.context.registry.config().message_bytes();
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// What is made of input.
enum Stage {
    /// Collected until the request head is complete.
    Head(Box<(Head, SocketAddr)>),
    /// Left in the kernel: the handler can't say yet which user sent the request.
    Undecided(Box<Undecided>),
    /// Parsed as frames, which are events for the registry and the handler.
    Open(Frames),
    /// Parsed as frames, of which only the peer's close frame matters: our own is queued.
    Closing(Frames),
    /// Read and dropped: after a fault, after the peer's close frame, after an answer in HTTP.
    Discarding,
    /// Neither read nor written any more: the registry knows that the socket has ended.
    Ended,
}

/// One connection. Dropping it closes the socket.
pub(crate) struct Socket<S> {
    conn: ConnId,
    stream: S,
    stage: Stage,
    outbound: Outbound,
    /// What `flushed` was told last.
    flushed: u64,
    /// Input that is no whole frame yet, or whose turn has not come.
    unparsed: Vec<u8>,
    /// Whether there may be a whole frame in `unparsed`. Nothing is read as long as there is.
    unparsed_whole: bool,
    /// Whether the registry knows of a message in progress.
    partial: bool,
    /// A message that the handler is to be given again, and that all others wait behind.
    waiting: Option<Waiting>,
    /// A message that the registry did not take, or that waits behind another. Nothing is parsed as long
    /// as there is one.
    deferred: Option<FrameEvent>,
    /// Whether to leave the input alone until a flush has made room for what it may ask for.
    paused: bool,
    /// Whether the answer 101 is queued, so that frames may follow it.
    upgraded: bool,
    /// The code to answer the peer's close frame with.
    echo: Option<u16>,
    /// Whether the peer's close frame has come: it has nothing more to say.
    peer_closed: bool,
    /// Whether the last bytes that will ever be written are queued.
    complete: bool,
    /// Whether the writing side is to be shut down when everything queued is out.
    shut_when_out: bool,
    shut: bool,
    /// Whether reading may find something: there was an edge, and no read since has come up empty.
    readable: bool,
    /// Whether the end of the input was announced: then only reading it tells that it was seen.
    ending: bool,
    /// Whether the end of the input was read.
    ended: bool,
    /// Whether the kernel takes no more, until an edge says otherwise.
    blocked: bool,
    /// Whether the poll tells when the socket is writable.
    pub(crate) armed: bool,
    /// Whether it waits for its turn to be flushed.
    pub(crate) in_dirty: bool,
    /// Whether it waits for its turn to be read.
    pub(crate) in_ready: bool,
    /// Whether it waits for the handler to be asked again.
    pub(crate) in_undecided: bool,
}

impl<S: Stream> Socket<S> {
    pub(crate) fn new(conn: ConnId, stream: S, peer: SocketAddr) -> Self {
        Self {
            conn,
            stream,
            stage: Stage::Head(Box::new((Head::default(), peer))),
            outbound: Outbound::default(),
            flushed: 0,
            unparsed: Vec::new(),
            unparsed_whole: false,
            partial: false,
            waiting: None,
            deferred: None,
            paused: false,
            upgraded: false,
            echo: None,
            peer_closed: false,
            complete: false,
            shut_when_out: false,
            shut: false,
            readable: false,
            ending: false,
            ended: false,
            blocked: false,
            armed: false,
            in_dirty: false,
            in_ready: false,
            in_undecided: false,
        }
    }

    pub(crate) const fn conn(&self) -> ConnId {
        self.conn
    }

    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// There was an edge.
    pub(crate) fn note_readable(&mut self, ending: bool) {
        self.readable = true;
        self.ending |= ending;
    }

    /// There was an edge.
    pub(crate) fn note_writable(&mut self) {
        self.blocked = false;
    }

    /// Whether `read` has something to do.
    pub(crate) fn wants_read(&self) -> bool {
        if let Stage::Undecided(undecided) = &self.stage {
            return undecided.again || self.ending;
        }
        if let Some(waiting) = &self.waiting
            && (waiting.again || self.deferred.is_some())
        {
            return waiting.again;
        }
        let input =
            self.deferred.is_some() || self.unparsed_whole || (self.readable && !self.ended);
        input && !self.paused && !matches!(self.stage, Stage::Ended)
    }

    /// Whether `flush` has something to do.
    pub(crate) fn wants_flush(&self) -> bool {
        let due = if self.outbound.is_empty() {
            (self.shut_when_out && !self.shut) || self.ends_when_out()
        } else {
            !self.blocked
        };
        due && !matches!(self.stage, Stage::Ended)
    }

    /// Whether the socket ends as soon as its queue is written: the peer sends nothing more. Input that
    /// follows the peer's close frame is read first, because closing a socket with unread input makes a
    /// reset, which could overtake our last bytes.
    fn ends_when_out(&self) -> bool {
        self.complete && (self.ended || (self.peer_closed && !self.readable))
    }

    /// Ends the socket, and reports it.
    fn end(&mut self, context: &mut Context<'_>) {
        self.stop();
        // It fails if the registry has given the connection up itself.
        let _ = context.registry.disconnect(context.now, self.conn);
    }

    /// Neither reads nor writes any more. The socket stays in its slot until its cleanup, the last action
    /// about it.
    fn stop(&mut self) {
        self.stage = Stage::Ended;
        self.outbound.clear();
        self.unparsed = Vec::new();
        self.unparsed_whole = false;
        self.waiting = None;
        self.deferred = None;
    }
}

#[cfg(test)]
mod tests;
