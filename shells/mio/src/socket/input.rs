//! Input: bytes become a request, frames, events, and calls of the registry.
//!
//! ```text
//!  bytes ─> Head ─> Request ─> check_upgrade ─> Handler::authenticate
//!             │        │            │             │        │       │        │
//!             │ 400    │ 400        │ 4xx       Refuse   Later   Pending  Admit
//!             v        v            v             v        v       v        v
//!           `answer` in HTTP, then Discarding  `refuse`  kept    101     Registry::connect
//!                                                       (asked            │           │
//!                                                       again)           101      `refuse`
//! ```
//!
//! Nothing is upgraded before the registry has admitted it. `refuse` answers in HTTP, or with 101 and a
//! close frame if the options ask for it and the client offers the subprotocol.

use std::io::ErrorKind;
use std::net::SocketAddr;

use headcount::{CloseReason, ConnId, Inbound, InboundError, Intake, Refused, Target};

use crate::answer::Answer;
use crate::fair::{REQUEST_STEPS, copy_steps, steps_of};
use crate::frames::close_frame;
use crate::handler::{Context, Handler, Outcome, Verdict};
use crate::http::{NO_LINES, Progress, Request};
use crate::protocol::{Data, Fault, FrameEvent};

use super::undecided::{Asked, Undecided};
use super::waiting::Waiting;
use super::{Input, ReadContext, Socket, Stage, Stream};

/// What going to a socket costs beside its frames: a call that reads, and later one that writes.
const VISIT_STEPS: usize = 4;

/// What may stay allocated for input that is no whole frame yet.
pub(super) const KEPT_CAPACITY: usize = 4 * 1024;

/// On Linux a read that leaves room in the buffer has emptied the socket, and what comes later
/// makes an edge. Elsewhere only the next read can tell.
const SHORT_READ_IS_LAST: bool = cfg!(any(target_os = "linux", target_os = "android"));

impl<S: Stream> Socket<S> {
    /// Reads and processes what has come in, up to the socket's share.
    pub(crate) fn read<H: Handler>(&mut self, reading: &mut ReadContext<'_, '_, H>) {
        reading.budget.spend(VISIT_STEPS);
        let (mut frames, mut bytes) = (reading.share.steps, reading.share.bytes);
        if matches!(self.stage, Stage::Undecided(_)) && !self.ask_again(&mut frames, reading) {
            return;
        }
        self.tell_again(reading);
        if self.waiting().is_none()
            && let Some(deferred) = self.held.as_mut().and_then(|held| held.deferred.take())
        {
            self.offer(deferred, reading);
        }
        if self.unparsed_whole {
            self.parse(&mut [], &mut frames, reading);
        }
        // What was parsed may have left frames for which there is no share or no room.
        while self.wants_read() && !self.unparsed_whole && frames > 0 && bytes > 0 {
            let room = bytes.min(reading.buffer.len());
            match self.stream.read(&mut reading.buffer[..room]) {
                Ok(0) => {
                    self.input = Input::Ended;
                    // A peer that is told why it is closed is told to the end.
                    if matches!(self.stage, Stage::Head(_) | Stage::Undecided(_) | Stage::Open(_)) {
                        self.end(reading.context);
                    }
                }
                Ok(length) => {
                    bytes -= length;
                    reading.budget.spend_bytes(length);
                    if SHORT_READ_IS_LAST && length < room {
                        self.note_emptied();
                    }
                    // Taken while its content is processed: nothing else reads meanwhile.
                    let buffer = std::mem::take(&mut reading.buffer);
                    self.take(&mut buffer[..length], &mut frames, reading);
                    reading.buffer = buffer;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.note_emptied(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end(reading.context),
            }
        }
        self.release();
    }

    /// The kernel has nothing more, until an edge says otherwise. The end that was announced is still to
    /// come.
    const fn note_emptied(&mut self) {
        if matches!(self.input, Input::Readable) {
            self.input = Input::Empty;
        }
    }

    fn take<H: Handler>(
        &mut self,
        bytes: &mut [u8],
        frames: &mut usize,
        reading: &mut ReadContext<'_, '_, H>,
    ) {
        match &mut self.stage {
            Stage::Head(_) => self.take_head(bytes, frames, reading),
            Stage::Open(_) | Stage::Closing(_) => self.parse(bytes, frames, reading),
            Stage::Undecided(_) | Stage::PeerClosed(_) | Stage::Discarding | Stage::Ended => {}
        }
    }

    /// Collects the request head, and answers it when it is complete, or never will be.
    fn take_head<H: Handler>(
        &mut self,
        bytes: &[u8],
        frames: &mut usize,
        reading: &mut ReadContext<'_, '_, H>,
    ) {
        let Stage::Head(collected) = &mut self.stage else { return };
        let (before, peer) = (collected.0.len(), collected.1);
        let progress = collected.0.push(bytes);
        let length = match progress {
            Progress::Complete(end) => end - before,
            Progress::Partial | Progress::Impossible => bytes.len(),
        };
        let inbound = Inbound::Bytes { bytes: length as u64, partial: false };
        match reading.context.registry.message(reading.context.now, self.conn, inbound) {
            Ok(_) => {}
            Err(InboundError::TooBig) => {
                let answer = Request::too_large();
                return self.answer(&answer, peer, true, CloseReason::BadRequest, reading);
            }
            // It was closed in the meantime: the close that is on its way gets the answer.
            Err(_) => return,
        }
        match progress {
            Progress::Partial => {}
            Progress::Impossible => {
                let answer = collected.0.impossible();
                self.answer(&answer, peer, true, CloseReason::BadRequest, reading);
            }
            Progress::Complete(end) => {
                let Stage::Head(collected) = std::mem::replace(&mut self.stage, Stage::Discarding)
                else {
                    return;
                };
                let (head, peer) = *collected;
                self.ask(Undecided::new(head.into_bytes(), end, peer), frames, reading);
            }
        }
    }

    /// Answers a complete request head: with the upgrade, or with why not.
    pub(super) fn request<H: Handler>(
        &mut self,
        head: &[u8],
        peer: SocketAddr,
        has_waited: bool,
        reading: &mut ReadContext<'_, '_, H>,
    ) -> Asked {
        reading.budget.spend(REQUEST_STEPS);
        let mut lines = NO_LINES;
        let request = match Request::parse(head, &mut lines, peer) {
            Ok(request) => request.after_waiting(has_waited),
            Err(answer) => {
                self.answer(&answer, peer, true, CloseReason::BadRequest, reading);
                return Asked::Answered;
            }
        };
        if let Err(answer) = request.check_upgrade(reading.options) {
            let with_body = request.wants_body();
            self.answer(&answer, peer, with_body, CloseReason::BadRequest, reading);
            return Asked::Answered;
        }
        let now = reading.context.now;
        match reading.handler.authenticate(&request) {
            Verdict::Later => {
                return Asked::Later { accept: request.accept_to_refuse(reading.options) };
            }
            Verdict::Refuse(answer) => {
                self.refuse(&request, &answer, CloseReason::BadCredentials, reading);
            }
            Verdict::Pending => {
                self.upgrade(&request, reading);
                // It fails for a connection that is gone already, whose cleanup is on its way.
                let _ = reading.context.registry.upgraded(now, self.conn);
            }
            Verdict::Admit { who, start, previous } => {
                match reading.context.registry.connect(now, self.conn, who, start, previous) {
                    Ok(admitted) => {
                        self.upgrade(&request, reading);
                        self.ask_handler(reading, |handler, context, conn| {
                            handler.admitted(context, conn, admitted);
                        });
                    }
                    // It was closed in the meantime: the close that is on its way gets the answer.
                    Err(Refused::NotPending | Refused::UnknownConn) => {}
                    Err(refused) => {
                        let answer = reading.handler.refused(refused);
                        self.refuse(&request, &answer, CloseReason::TryLater, reading);
                    }
                }
            }
        }
        Asked::Answered
    }

    fn upgrade<H>(&mut self, request: &Request<'_>, reading: &mut ReadContext<'_, '_, H>) {
        self.queue_answer(&request.accept(reading.options), reading.context.output);
        self.upgraded = true;
        self.stage = Stage::Open(None);
    }

    /// Refuses a request that could have been granted: with an upgrade and a close frame where that
    /// is wanted and the answer has a close code, in HTTP otherwise.
    fn refuse<H: Handler>(
        &mut self,
        request: &Request<'_>,
        answer: &Answer,
        reason: CloseReason,
        reading: &mut ReadContext<'_, '_, H>,
    ) {
        let farewell = answer.farewell().filter(|_| request.is_refused_in_band(reading.options));
        let Some((reason, text)) = farewell else {
            return self.answer(answer, request.peer(), request.wants_body(), reason, reading);
        };
        reading.handler.turned_away(request.peer(), answer);
        self.upgrade(request, reading);
        self.stage = Stage::Closing(None);
        self.queue_last(close_frame(reason.code(), &text), 0, reading.context.output);
        let (registry, now) = (&mut *reading.context.registry, reading.context.now);
        // Both fail for a connection that is gone already, whose cleanup is on its way.
        let _ = registry.upgraded(now, self.conn);
        registry.close(now, Target::Conn(self.conn), reason);
    }

    /// The last word to a client that is not upgraded. The close that it makes the registry ask for
    /// bounds how long the client may take to read it.
    pub(super) fn answer<H: Handler>(
        &mut self,
        answer: &Answer,
        peer: SocketAddr,
        with_body: bool,
        reason: CloseReason,
        reading: &mut ReadContext<'_, '_, H>,
    ) {
        reading.handler.turned_away(peer, answer);
        self.stage = Stage::Discarding;
        self.queue_last(answer.to_bytes(with_body).into(), 0, reading.context.output);
        self.shut_when_out();
        reading.context.registry.close(reading.context.now, Target::Conn(self.conn), reason);
    }

    /// Processes whole frames of what is unparsed and what is fresh, up to the turn's share. What
    /// is left of it waits in `unparsed`.
    pub(super) fn parse<H: Handler>(
        &mut self,
        fresh: &mut [u8],
        budget: &mut usize,
        reading: &mut ReadContext<'_, '_, H>,
    ) {
        let mut joined = match &mut self.held {
            Some(held) => std::mem::take(&mut held.unparsed),
            None => Vec::new(),
        };
        let read = fresh.len();
        let is_joined = !joined.is_empty();
        let input = if is_joined {
            joined.extend_from_slice(fresh);
            &mut joined
        } else {
            &mut *fresh
        };
        let (mut start, end) = (0, input.len());
        while *budget > 0
            && start < end
            && !self.is_deferred()
            && let Stage::Open(fragments) | Stage::Closing(fragments) = &mut self.stage
        {
            let limit = reading.message_bytes();
            match reading.protocol.feed(fragments, &mut input[start..], limit) {
                Ok(Some((event, length))) => {
                    start += length;
                    *budget = budget.saturating_sub(steps_of(length));
                    reading.budget.spend_frame(length);
                    self.on_event(event, reading);
                }
                Ok(None) => break,
                Err(fault) => self.on_fault(fault, reading.context),
            }
        }
        let parses = matches!(self.stage, Stage::Open(_) | Stage::Closing(_));
        self.unparsed_whole = parses && start < end && (*budget == 0 || self.is_deferred());
        if parses && start < end {
            self.held().unparsed = if is_joined {
                joined.drain(..start);
                // A short rest must not keep the place of the long frame before it.
                if joined.capacity() > KEPT_CAPACITY && joined.capacity() / 4 > joined.len() {
                    joined.shrink_to(KEPT_CAPACITY);
                }
                joined
            } else {
                fresh[start..].to_vec()
            };
        }
        self.report(read, reading.context);
    }

    /// Tells the registry of bytes that frames have not told of: a message in progress begins, goes on
    /// or ends with them, or their rate is limited.
    fn report(&mut self, bytes: usize, context: &mut Context<'_>) {
        let Stage::Open(fragments) = &self.stage else { return };
        // A whole frame that waits for its turn is the server's delay, not the peer's.
        let rest = self.has_unparsed() && !self.unparsed_whole;
        let partial = rest || fragments.is_some();
        let limited = bytes > 0 && context.registry.config().byte_rate() > 0;
        if !(partial || self.partial || limited) {
            return;
        }
        self.partial = partial;
        let inbound = Inbound::Bytes { bytes: bytes as u64, partial };
        // It fails if the connection is closing.
        let _ = context.registry.message(context.now, self.conn, inbound);
    }

    fn on_event<H: Handler>(
        &mut self,
        event: FrameEvent<'_>,
        reading: &mut ReadContext<'_, '_, H>,
    ) {
        if matches!(self.stage, Stage::Closing(_)) {
            // It answers our close frame, or crosses it. Only what is queued is still to be written.
            if matches!(event, FrameEvent::Close(_)) {
                self.stage = Stage::Discarding;
                self.peer_closed = true;
                self.shut_when_out();
            }
            return;
        }
        let (registry, now) = (&mut *reading.context.registry, reading.context.now);
        // Errors here mean that the connection is closing: the close is on its way as an action.
        match event {
            FrameEvent::Message(data) => self.offer(data, reading),
            FrameEvent::Fragment => {
                let _ = registry.message(now, self.conn, Inbound::Fragment);
            }
            FrameEvent::Ping(pong) => {
                // One that is too many is not answered.
                if registry.message(now, self.conn, Inbound::Ping).is_ok() {
                    self.queue_pong(pong, reading.context.output);
                }
            }
            FrameEvent::Pong => {
                let _ = registry.message(now, self.conn, Inbound::Pong);
            }
            FrameEvent::Close(code) => {
                self.stage = Stage::PeerClosed(code);
                self.peer_closed = true;
                registry.close(now, Target::Conn(self.conn), CloseReason::PeerClosed);
            }
        }
    }

    /// Offers a message to the registry, and hands it to the handler if it was taken.
    fn offer<H: Handler>(&mut self, data: Data<'_>, reading: &mut ReadContext<'_, '_, H>) {
        if self.waiting().is_some() {
            self.held().deferred = Some(data.into_owned());
            return;
        }
        let inbound = Inbound::Data { bytes: data.len() as u64 };
        match reading.context.registry.message(reading.context.now, self.conn, inbound) {
            Ok(Intake::Taken) => {
                let outcome = self.ask_handler(reading, |handler, context, conn| {
                    handler.message(context, conn, data.payload())
                });
                if outcome == Outcome::Later {
                    self.held().waiting = Some(Waiting::new(data.into_owned()));
                }
            }
            Ok(Intake::Paused) => {
                self.held().deferred = Some(data.into_owned());
                self.paused = true;
            }
            Err(InboundError::TooBig) => self.stage = Stage::Discarding,
            Err(InboundError::RateLimited) => {
                reading.handler.rate_limited(reading.context, self.conn)
            }
            // The connection is closing: its messages are dropped.
            Err(_) => {}
        }
    }

    /// Calls the handler. Its replies to this connection are written in this turn.
    pub(super) fn ask_handler<H: Handler, R>(
        &mut self,
        reading: &mut ReadContext<'_, '_, H>,
        ask: impl FnOnce(&mut H, &mut Context<'_>, ConnId) -> R,
    ) -> R {
        if !self.takes_frames() {
            return ask(reading.handler, reading.context, self.conn);
        }
        let before = reading.context.output.len();
        reading.context.output.begin_replies(self.conn);
        let answer = ask(reading.handler, reading.context, self.conn);
        // A short request may ask for a long reply, which is work of this turn, too.
        reading.budget.spend(copy_steps(reading.context.output.len() - before));
        self.queue_replies(reading.context.output);
        answer
    }

    /// Fails the connection: it is told so, and never listened to again.
    fn on_fault(&mut self, fault: Fault, context: &mut Context<'_>) {
        if matches!(self.stage, Stage::Closing(_)) {
            self.shut_when_out();
        }
        self.stage = Stage::Discarding;
        let (registry, now, conn) = (&mut *context.registry, context.now, Target::Conn(self.conn));
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
}
