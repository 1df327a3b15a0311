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
//! Output goes on in every stage but `Ended`, and [`Output`] says how far it has come to its end. The
//! frames that a turn has for a socket are a [`Chain`], written at once. Those that the kernel does not take
//! go to [`Held::outbound`], and later frames wait behind them.
//!
//! The socket itself is closed when the registry's cleanup removes it, never before: its handle stays taken
//! until then.

mod input;
mod output;
mod stream;
mod undecided;
mod waiting;

use std::net::SocketAddr;

use headcount::ConnId;

use crate::fair::Budget;
use crate::handler::Context;
use crate::http::Head;
use crate::options::Options;
use crate::outbound::Outbound;
use crate::output::Chain;
use crate::protocol::{Data, Fragments, Protocol};

pub(crate) use stream::Stream;

use undecided::Undecided;
use waiting::Waiting;

/// What a socket needs of the loop to make something of its input.
pub(crate) struct ReadContext<'a, 'b, H> {
    pub(crate) context: &'a mut Context<'b>,
    pub(crate) handler: &'a mut H,
    pub(crate) options: &'a Options,
    pub(crate) protocol: &'a mut Protocol,
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
    /// Parsed as frames, which are events for the registry and the handler; with the message that has
    /// begun, if one of several frames has.
    Open(Option<Box<Fragments>>),
    /// Parsed as frames, of which only the peer's close frame matters: our own is queued.
    Closing(Option<Box<Fragments>>),
    /// Read and dropped, after the peer's close frame, which is to be answered with this code.
    PeerClosed(u16),
    /// Read and dropped: after a fault, after the peer's close frame, after an answer in HTTP.
    Discarding,
    /// Neither read nor written any more: the registry knows that the socket has ended.
    Ended,
}

/// What reading may find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// Nothing, until an edge says otherwise.
    Empty,
    /// Something: there was an edge, and no read since has come up empty.
    Readable,
    /// The same, and the end of the input was announced: only reading it tells that it was seen.
    Ending,
    /// The end of the input was read.
    Ended,
}

/// How far the output has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Output {
    /// It goes on.
    Open,
    /// The last bytes that will ever be written are queued.
    Complete,
    /// The same, and the writing side is to be shut down when everything queued is out.
    Shutting,
    /// The writing side is shut down.
    Shut,
}

/// What waits on both sides of a socket that is not idle.
#[derive(Default)]
struct Held {
    /// Output of earlier turns.
    outbound: Outbound,
    /// Input that is no whole frame yet, or whose turn has not come.
    unparsed: Vec<u8>,
    /// A message that the handler is to be given again, and that all others wait behind.
    waiting: Option<Waiting>,
    /// A message that the registry did not take, or that waits behind another. Nothing is parsed as long
    /// as there is one.
    deferred: Option<Data<'static>>,
}

impl Held {
    fn is_nothing(&self) -> bool {
        self.outbound.is_empty()
            && self.unparsed.is_empty()
            && self.waiting.is_none()
            && self.deferred.is_none()
    }
}

/// One connection. Dropping it closes the socket.
///
/// Each connection has one, and most connections are idle. State that only busy ones need is in [`Held`].
pub(crate) struct Socket<S> {
    conn: ConnId,
    stream: S,
    stage: Stage,
    /// The frames of this turn that wait to be written. None as long as others wait.
    chain: Chain,
    /// What `flushed` was told last.
    flushed: u64,
    held: Option<Box<Held>>,
    input: Input,
    output: Output,
    /// Whether there may be a whole frame in `unparsed`. Nothing is read as long as there is.
    unparsed_whole: bool,
    /// Whether the registry knows of a message in progress.
    partial: bool,
    /// Whether to leave the input alone until a flush has made room for what it may ask for.
    paused: bool,
    /// Whether the answer 101 is queued, so that frames may follow it.
    upgraded: bool,
    /// Whether the peer's close frame has come: it has nothing more to say.
    peer_closed: bool,
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

// A cache line each. The descriptor of a stream is longer where mio checks how it is used.
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Option<Socket<mio::net::TcpStream>>>() <= 64);

impl<S: Stream> Socket<S> {
    pub(crate) fn new(conn: ConnId, stream: S, peer: SocketAddr) -> Self {
        Self {
            conn,
            stream,
            stage: Stage::Head(Box::new((Head::default(), peer))),
            chain: Chain::default(),
            flushed: 0,
            held: None,
            input: Input::Empty,
            output: Output::Open,
            unparsed_whole: false,
            partial: false,
            paused: false,
            upgraded: false,
            peer_closed: false,
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
        self.input = match self.input {
            Input::Ended => Input::Ended,
            Input::Ending => Input::Ending,
            Input::Empty | Input::Readable if ending => Input::Ending,
            Input::Empty | Input::Readable => Input::Readable,
        };
    }

    /// There was an edge.
    pub(crate) fn note_writable(&mut self) {
        self.blocked = false;
    }

    const fn is_readable(&self) -> bool {
        matches!(self.input, Input::Readable | Input::Ending)
    }

    fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    /// A message that waits to be given again.
    fn waiting(&self) -> Option<&Waiting> {
        self.held.as_ref()?.waiting.as_ref()
    }

    fn is_deferred(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.deferred.is_some())
    }

    fn has_unparsed(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.unparsed.is_empty())
    }

    /// Drops the input that was not parsed.
    fn drop_unparsed(&mut self) {
        if let Some(held) = &mut self.held {
            held.unparsed = Vec::new();
        }
        self.unparsed_whole = false;
    }

    /// Gives back what an idle connection does not need.
    fn release(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.is_nothing()) {
            self.held = None;
        }
    }

    /// Whether `read` has something to do.
    pub(crate) fn wants_read(&self) -> bool {
        if let Stage::Undecided(undecided) = &self.stage {
            return undecided.again || self.input == Input::Ending;
        }
        let deferred = self.is_deferred();
        if let Some(waiting) = self.waiting()
            && (waiting.again || deferred)
        {
            return waiting.again;
        }
        let input = deferred || self.unparsed_whole || self.is_readable();
        input && !self.paused && !matches!(self.stage, Stage::Ended)
    }

    /// Whether output of earlier turns waits, behind which that of this turn has to wait, too.
    fn has_backlog(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.outbound.is_empty())
    }

    /// Whether nothing waits to be written.
    fn is_out(&self) -> bool {
        self.chain.is_empty() && !self.has_backlog() && !self.stream.is_pending()
    }

    /// Whether `flush` has something to do.
    pub(crate) fn wants_flush(&self) -> bool {
        let due = if self.is_out() {
            self.output == Output::Shutting || self.ends_when_out()
        } else {
            !self.blocked
        };
        due && !matches!(self.stage, Stage::Ended)
    }

    /// Whether the socket ends as soon as its queue is written: the peer sends nothing more. Input that
    /// follows the peer's close frame is read first, because closing a socket with unread input makes a
    /// reset, which could overtake our last bytes.
    fn ends_when_out(&self) -> bool {
        let says_no_more = match self.input {
            Input::Ended => true,
            Input::Empty => self.peer_closed,
            Input::Readable | Input::Ending => false,
        };
        self.output != Output::Open && says_no_more
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
        self.chain = Chain::default();
        self.held = None;
        self.unparsed_whole = false;
    }
}

#[cfg(test)]
mod tests;
