//! One connection: from the request head to the end of the socket.
//!
//! A socket decides nothing. It tells the registry what came in and what went out, queues what the
//! registry's actions say, and ends when told to. What it does know is the mechanics: that a close
//! frame must arrive, that nothing follows it, and what to do with input that nobody wants.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

use bytes::Bytes;
use headcount::{CloseReason, ConnId, Disconnect, Flow, Inbound, InboundError, Refused, Target};

use crate::answer::Answer;
use crate::frames::{Event, Fault, Frames, close_frame};
use crate::handler::{Handler, Payload, Turn, Verdict};
use crate::http::{Head, NO_LINES, Progress, Request};
use crate::outbound::{Outbound, Written};
use crate::server::Options;

/// Bytes that one socket may read in a turn, before others have theirs. The buffer is as large.
pub(crate) const BYTES_PER_TURN: usize = 64 * 1024;

/// Frames that one socket may have processed in a turn: small ones cost more than their bytes.
const FRAMES_PER_TURN: usize = 256;

/// What may stay allocated for input that is no whole frame yet.
const KEPT_CAPACITY: usize = 4 * 1024;

/// On Linux a read that leaves room in the buffer has emptied the socket, and what comes later
/// makes an edge. Elsewhere only the next read can tell.
const SHORT_READ_IS_LAST: bool = cfg!(any(target_os = "linux", target_os = "android"));

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
pub(crate) struct Desk<'a, 'b, H> {
    pub(crate) turn: &'a mut Turn<'b>,
    pub(crate) handler: &'a mut H,
    pub(crate) options: &'a Options,
    /// The longest message, in bytes.
    pub(crate) message_bytes: usize,
    /// Where input is read to: `BYTES_PER_TURN` long.
    pub(crate) buffer: &'a mut [u8],
}

/// What is made of input.
enum Stage {
    /// It is collected until the request head is complete.
    Head(Box<(Head, SocketAddr)>),
    /// Frames are events for the registry and the handler.
    Open(Frames),
    /// Our close frame is queued, and of the peer's frames only its own close frame matters.
    Closing(Frames),
    /// It is thrown away: after a fault, after the peer's close frame, after an answer in HTTP.
    Deaf,
    /// The registry knows that the socket has ended. Nothing is read or written any more.
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
    /// A message that the registry did not take. Nothing is parsed as long as there is one.
    held: Option<Event>,
    /// Whether to leave the input alone until a flush has made room for what it may ask for.
    paused: bool,
    /// Whether the answer 101 is queued, so that frames may follow it.
    upgraded: bool,
    /// The code to answer the peer's close frame with.
    echo: Option<u16>,
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
            held: None,
            paused: false,
            upgraded: false,
            echo: None,
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
        let input = self.held.is_some() || self.unparsed_whole || (self.readable && !self.ended);
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

    /// Whether the peer will say nothing more, and is only to be told what is queued.
    fn ends_when_out(&self) -> bool {
        self.ended && self.complete
    }

    // What comes in.

    /// Reads and processes what has come in, up to this turn's share.
    pub(crate) fn read<H: Handler>(&mut self, desk: &mut Desk<'_, '_, H>) {
        let mut frames = FRAMES_PER_TURN;
        let mut bytes = 0;
        if let Some(held) = self.held.take() {
            self.offer(held, desk);
        }
        if self.unparsed_whole {
            self.parse(&[], &mut frames, desk);
        }
        // What was parsed may have left frames for which there is no share or no room.
        while self.wants_read() && !self.unparsed_whole && frames > 0 && bytes < BYTES_PER_TURN {
            match self.stream.read(desk.buffer) {
                Ok(0) => {
                    self.ended = true;
                    // Whoever was told why it must go, or will be, is to be told to the end.
                    if !matches!(self.stage, Stage::Closing(_) | Stage::Deaf) {
                        self.end(desk.turn);
                    }
                }
                Ok(length) => {
                    bytes += length;
                    let emptied = SHORT_READ_IS_LAST && length < desk.buffer.len();
                    self.readable = !emptied || self.ending;
                    // Lent while its content is processed: nobody reads meanwhile.
                    let buffer = std::mem::take(&mut desk.buffer);
                    self.take(&buffer[..length], &mut frames, desk);
                    desk.buffer = buffer;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end(desk.turn),
            }
        }
    }

    fn take<H: Handler>(&mut self, bytes: &[u8], frames: &mut usize, desk: &mut Desk<'_, '_, H>) {
        match &mut self.stage {
            Stage::Head(collected) => match collected.0.push(bytes) {
                Progress::Partial => {}
                Progress::TooLarge => {
                    self.answer(&Request::too_large(), true, CloseReason::BadRequest, desk.turn);
                }
                Progress::Complete(end) => {
                    let Stage::Head(collected) = std::mem::replace(&mut self.stage, Stage::Deaf)
                    else {
                        return;
                    };
                    let (head, peer) = *collected;
                    let (head, rest) = head.bytes().split_at(end);
                    self.request(head, peer, desk);
                    // A client may send frames without waiting for the answer.
                    self.parse(rest, frames, desk);
                }
            },
            Stage::Open(_) | Stage::Closing(_) => self.parse(bytes, frames, desk),
            Stage::Deaf | Stage::Ended => {}
        }
    }

    /// Answers a complete request head: with the upgrade, or with why not.
    fn request<H: Handler>(&mut self, head: &[u8], peer: SocketAddr, desk: &mut Desk<'_, '_, H>) {
        let mut lines = NO_LINES;
        let request = match Request::parse(head, &mut lines, peer) {
            Ok(request) => request,
            Err(answer) => return self.answer(&answer, true, CloseReason::BadRequest, desk.turn),
        };
        let with_body = request.wants_body();
        if let Err(answer) = request.check_upgrade(desk.options) {
            return self.answer(&answer, with_body, CloseReason::BadRequest, desk.turn);
        }
        let now = desk.turn.now;
        match desk.handler.authenticate(&request) {
            Verdict::Refuse(answer) => {
                self.answer(&answer, with_body, CloseReason::BadCredentials, desk.turn);
            }
            Verdict::Pending => {
                self.upgrade(&request, desk);
                // It fails for a connection that is gone already, whose cleanup is on its way.
                let _ = desk.turn.registry.upgraded(now, self.conn);
            }
            Verdict::Admit { who, resume } => {
                match desk.turn.registry.connect(now, self.conn, who, resume) {
                    Ok(admitted) => {
                        self.upgrade(&request, desk);
                        desk.handler.admitted(desk.turn, self.conn, admitted);
                    }
                    // It was closed in the meantime: the close that is on its way gets the answer.
                    Err(Refused::NotPending | Refused::UnknownConn) => {}
                    Err(refused) => {
                        let answer = desk.handler.refused(refused);
                        self.answer(&answer, with_body, CloseReason::TryLater, desk.turn);
                    }
                }
            }
        }
    }

    fn upgrade<H>(&mut self, request: &Request<'_>, desk: &Desk<'_, '_, H>) {
        self.outbound.push(request.accept(desk.options).into(), 0);
        self.upgraded = true;
        self.stage = Stage::Open(Frames::new(desk.message_bytes));
    }

    /// The last word to a client that is not upgraded. The close that it makes the registry ask for
    /// bounds how long the client may take to read it.
    fn answer(
        &mut self,
        answer: &Answer,
        with_body: bool,
        reason: CloseReason,
        turn: &mut Turn<'_>,
    ) {
        self.stage = Stage::Deaf;
        self.outbound.push(answer.to_bytes(with_body).into(), 0);
        self.complete = true;
        self.shut_when_out = true;
        turn.registry.close(turn.now, Target::Conn(self.conn), reason);
    }

    /// Processes whole frames of what is unparsed and what is fresh, up to the turn's share. What
    /// is left of it waits in `unparsed`.
    fn parse<H: Handler>(&mut self, fresh: &[u8], budget: &mut usize, desk: &mut Desk<'_, '_, H>) {
        let mut joined = std::mem::take(&mut self.unparsed);
        let input = if joined.is_empty() {
            fresh
        } else {
            joined.extend_from_slice(fresh);
            &joined
        };
        let mut start = 0;
        while *budget > 0
            && self.held.is_none()
            && let Stage::Open(frames) | Stage::Closing(frames) = &mut self.stage
        {
            match frames.feed(&input[start..]) {
                Ok(Some((event, length))) => {
                    start += length;
                    *budget -= 1;
                    self.on_event(event, desk);
                }
                Ok(None) => break,
                Err(fault) => self.on_fault(fault, desk.turn),
            }
        }
        let parses = matches!(self.stage, Stage::Open(_) | Stage::Closing(_));
        self.unparsed_whole =
            parses && start < input.len() && (*budget == 0 || self.held.is_some());
        if parses && start < input.len() {
            self.unparsed = if joined.is_empty() {
                fresh[start..].to_vec()
            } else {
                joined.drain(..start);
                // A short rest must not keep the place of the long frame before it.
                if joined.capacity() > KEPT_CAPACITY && joined.capacity() / 4 > joined.len() {
                    joined.shrink_to(KEPT_CAPACITY);
                }
                joined
            };
        }
    }

    fn on_event<H: Handler>(&mut self, event: Event, desk: &mut Desk<'_, '_, H>) {
        if matches!(self.stage, Stage::Closing(_)) {
            match event {
                // It answers ours, so nothing is left to be said in either direction.
                Event::Close(_) if self.outbound.is_empty() => self.end(desk.turn),
                // It crosses ours, which is still to be written.
                Event::Close(_) => {
                    self.stage = Stage::Deaf;
                    self.shut_when_out = true;
                }
                _ => {}
            }
            return;
        }
        let (registry, now) = (&mut *desk.turn.registry, desk.turn.now);
        // Errors here mean that the connection is closing: the close is on its way as an action.
        match event {
            Event::Text(_) | Event::Binary(_) => self.offer(event, desk),
            Event::Part => {
                let _ = registry.message(now, self.conn, Inbound::Life);
            }
            Event::Ping(pong) => {
                let _ = registry.message(now, self.conn, Inbound::Life);
                self.outbound.push_pong(pong);
            }
            Event::Pong => {
                let _ = registry.message(now, self.conn, Inbound::Pong);
            }
            Event::Close(code) => {
                self.stage = Stage::Deaf;
                self.echo = Some(code);
                registry.close(now, Target::Conn(self.conn), CloseReason::PeerClosed);
            }
        }
    }

    /// Offers a message to the registry, and hands it to the handler if it was taken.
    fn offer<H: Handler>(&mut self, event: Event, desk: &mut Desk<'_, '_, H>) {
        let payload = match &event {
            Event::Text(text) => Payload::Text(text),
            Event::Binary(bytes) => Payload::Binary(bytes),
            _ => return,
        };
        let bytes = match payload {
            Payload::Text(text) => text.len(),
            Payload::Binary(bytes) => bytes.len(),
        } as u64;
        let inbound = Inbound::Data { bytes };
        match desk.turn.registry.message(desk.turn.now, self.conn, inbound) {
            Ok(Flow::Ready) => desk.handler.message(desk.turn, self.conn, payload),
            Ok(Flow::Paused) => {
                self.held = Some(event);
                self.paused = true;
            }
            Err(InboundError::TooBig) => self.stage = Stage::Deaf,
            // It is closing: the message is nobody's.
            Err(_) => {}
        }
    }

    /// Fails the connection: it is told so, and never listened to again.
    fn on_fault(&mut self, fault: Fault, turn: &mut Turn<'_>) {
        if matches!(self.stage, Stage::Closing(_)) {
            self.shut_when_out = true;
        }
        self.stage = Stage::Deaf;
        let (registry, now, conn) = (&mut *turn.registry, turn.now, Target::Conn(self.conn));
        match fault {
            Fault::Protocol => {
                registry.close(now, conn, CloseReason::ProtocolError);
            }
            Fault::InvalidUtf8 => {
                registry.close(now, conn, CloseReason::InvalidPayload);
            }
            // Whether it is too much is the registry's decision. It can't be let through in any
            // case: its frame was not read.
            Fault::TooBig(bytes) => {
                if registry.message(now, self.conn, Inbound::Data { bytes }).is_ok() {
                    registry.close(now, conn, CloseReason::MessageTooBig);
                }
            }
        }
    }

    // What goes out.

    /// Queues the frame of an action.
    pub(crate) fn send(&mut self, frame: Bytes, cost: u64) {
        debug_assert!(self.upgraded || self.complete, "frames follow the answer 101");
        if self.complete || !self.upgraded || matches!(self.stage, Stage::Ended) {
            return;
        }
        self.outbound.push(frame, cost);
    }

    /// Queues the last bytes that will ever be written: a close frame, or an answer in HTTP.
    pub(crate) fn close(&mut self, reason: CloseReason, cost: u64) {
        self.held = None;
        self.paused = false;
        let stage = match std::mem::replace(&mut self.stage, Stage::Deaf) {
            // Its close frame may still come, and tells that ours has arrived.
            Stage::Open(frames) => Stage::Closing(frames),
            Stage::Ended => Stage::Ended,
            Stage::Head(_) | Stage::Closing(_) | Stage::Deaf => Stage::Deaf,
        };
        self.stage = stage;
        let last = match (self.complete, self.upgraded, self.echo) {
            // It was answered when it was refused.
            (true, _, _) => Bytes::new(),
            (false, false, _) => farewell(reason).to_bytes(true).into(),
            (false, true, Some(code)) if reason == CloseReason::PeerClosed => close_frame(code, ""),
            (false, true, _) => close_frame(reason.code(), reason.name()),
        };
        if !matches!(self.stage, Stage::Ended) {
            self.outbound.push(last, cost);
            self.complete = true;
            self.shut_when_out |= matches!(self.stage, Stage::Deaf);
        }
    }

    /// Writes what is queued, up to the socket's share, and reports what the kernel took.
    pub(crate) fn flush(&mut self, turn: &mut Turn<'_>) -> Written {
        if matches!(self.stage, Stage::Ended) {
            return Written::All;
        }
        let Ok(written) = self.outbound.write(&mut self.stream) else {
            self.end(turn);
            return Written::All;
        };
        self.blocked = written == Written::Blocked;
        let flushed = self.outbound.flushed_cost();
        if flushed > self.flushed {
            self.flushed = flushed;
            if turn.registry.flushed(turn.now, self.conn, flushed) == Ok(Flow::Ready) {
                self.paused = false;
            }
        }
        if written == Written::All {
            if self.shut_when_out && !self.shut {
                self.shut = true;
                if self.stream.shutdown_write().is_err() {
                    self.end(turn);
                }
            }
            if self.ends_when_out() {
                self.end(turn);
            }
        }
        written
    }

    /// The socket has ended. It stays until its cleanup, which nothing can come after.
    fn end(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::Ended;
        self.outbound.clear();
        self.unparsed = Vec::new();
        self.unparsed_whole = false;
        self.held = None;
        // It fails if the registry has given the connection up itself.
        let _ = turn.registry.disconnect(turn.now, self.conn, Disconnect::Gone);
    }
}

/// The answer to a request that is not complete when its connection is closed.
fn farewell(reason: CloseReason) -> Answer {
    match reason {
        CloseReason::HeadTimeout => {
            Answer::json(408, reason.name(), "the request head was not complete in time")
        }
        _ => Answer::json(503, reason.name(), "the connection was closed before the upgrade")
            .header("Retry-After", "5"),
    }
}

#[cfg(test)]
mod tests;
