//! The place of a connection, and the task of its socket: it writes what waits in its mailbox, and reads as
//! long as the hub takes what it reads.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use headcount::ConnId;

use crate::adapter::{Adapter, Incoming, Outgoing};
use crate::handle::{Batch, Event, Handle};
use crate::mailbox::{Frames, Mailbox};

/// What a batch of input has at most: frames, or bytes of them before the last.
const BATCH_FRAMES: usize = 32;
const BATCH_BYTES: usize = 64 * 1024;

/// How much a socket is given before it has to flush: what is out is reported at least as often.
const CHUNK_BYTES: usize = 16 * 1024;

/// A queue with room for more frames than this gives its memory back once it has run empty.
const KEPT_FRAMES: usize = 16;

/// The place that a connection has in the registry, from its admission to the end of its socket. It is given
/// back when this is dropped.
#[derive(Debug)]
#[must_use = "a place that is dropped is given back"]
pub struct Place {
    pub(crate) conn: ConnId,
    pub(crate) message_bytes: u64,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) hub: Handle,
}

impl Place {
    /// Its connection.
    #[must_use]
    pub const fn conn(&self) -> ConnId {
        self.conn
    }

    /// `limits.message_bytes` at the admission: the largest message that the socket should take. A larger one
    /// closes the connection in any case.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        usize::try_from(self.message_bytes).unwrap_or(usize::MAX)
    }

    /// Serves the socket to its end: writes what the registry hands out, all that a turn has for it at once,
    /// and reads as long as the registry takes what it says. The place is given back when this ends, and when
    /// its task is aborted.
    ///
    /// What is written is reported when the socket has flushed it. So a message that a peer takes longer to
    /// read than `outbound.slow_deadline` counts as stuck.
    pub async fn serve<S, A: Adapter>(self, socket: S, adapter: A)
    where
        S: Stream<Item = Result<A::Frame, A::Error>> + Sink<A::Frame, Error = A::Error> + Unpin,
    {
        let mut task = Task {
            place: self,
            socket,
            frames: Frames::new(),
            given: 0,
            unflushed: 0,
            may_read: true,
            owes_answer: false,
            is_closing: false,
            adapter,
        };
        // An error of the socket is its end, of which the dropped place tells.
        let _ = poll_fn(|context| task.poll(context)).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.tell(Event::Ended(self.conn));
    }
}

struct Task<S, A> {
    place: Place,
    socket: S,
    /// Frames that the socket was not given yet.
    frames: Frames,
    /// The cost of all that the socket was given.
    given: u64,
    /// Bytes that it was given since its last flush, and one for each frame: zero if there is nothing to
    /// flush.
    unflushed: usize,
    may_read: bool,
    /// A ping or a close frame was read since the last flush: the crate's answer is to be flushed before
    /// more is read. So a client that pings and does not read makes no queue of pongs, and is silent in the
    /// end. And tungstenite says that all is over as soon as it is read behind a close frame, also while
    /// its answer and what was written before wait for the socket.
    owes_answer: bool,
    /// The peer has sent its close frame. The crate has queued the answer, and takes no other frame. The
    /// socket is read to its end.
    is_closing: bool,
    adapter: A,
}

impl<S, A: Adapter> Task<S, A>
where
    S: Stream<Item = Result<A::Frame, A::Error>> + Sink<A::Frame, Error = A::Error> + Unpin,
{
    /// Ready when the socket has ended, or the hub has no more use for it.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        loop {
            let Some(may_read) = self.place.mailbox.take(context.waker(), &mut self.frames) else {
                return Poll::Ready(Ok(()));
            };
            self.may_read |= may_read;
            if self.is_closing {
                self.frames.clear();
            }
            // While the socket takes no more, its input is read on, up to a ping.
            if let Poll::Ready(written) = self.poll_write(context) {
                written?;
            }
            if self.owes_answer || !(self.may_read || self.is_closing) {
                return Poll::Pending;
            }
            if !ready!(self.poll_read(context)) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Gives the socket all that waits, has it flushed, and reports what is out.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        loop {
            while self.unflushed < CHUNK_BYTES
                && let Some(next) = self.frames.front()
            {
                ready!(Pin::new(&mut self.socket).poll_ready(context))?;
                Pin::new(&mut self.socket).start_send(self.adapter.outgoing(&next.frame))?;
                self.given += next.cost;
                self.unflushed += 1;
                if let Outgoing::Data(message) = &next.frame {
                    self.unflushed += message.payload().len();
                }
                self.frames.pop_front();
            }
            if self.unflushed == 0 {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            (self.unflushed, self.owes_answer) = (0, false);
            self.place.hub.tell(Event::Flushed(self.place.conn, self.given));
            if self.frames.is_empty() {
                self.frames.shrink_to(KEPT_FRAMES);
            }
        }
    }

    /// Reads a batch, and hands it to the hub. The next is read when the hub has taken this one. `false`: the
    /// socket has ended.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let (mut batch, mut bytes, mut is_there) = (Batch::new(), 0, true);
        while !self.owes_answer && batch.len() < BATCH_FRAMES && bytes < BATCH_BYTES {
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => {
                    let Some(incoming) = self.adapter.incoming(frame) else { continue };
                    if let Incoming::Data(message) = &incoming {
                        bytes += message.payload().len();
                    }
                    self.is_closing |= incoming == Incoming::Close;
                    self.owes_answer = matches!(incoming, Incoming::Ping | Incoming::Close);
                    self.unflushed += usize::from(self.owes_answer);
                    batch.push_back(Ok(incoming));
                }
                // Nothing more comes that can be understood.
                Poll::Ready(end) => {
                    let fault = end.and_then(|read| self.adapter.fault(&read.err()?));
                    is_there = fault.is_some();
                    batch.extend(fault.map(Err));
                    break;
                }
            }
        }
        self.may_read = false;
        self.place.hub.tell(Event::Batch(self.place.conn, batch));
        Poll::Ready(is_there)
    }
}
