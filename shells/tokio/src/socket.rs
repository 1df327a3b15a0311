//! The task of one socket: writes what waits in its mailbox, and reads while the hub takes what it reads.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use crate::adapter::{Adapter, Incoming, Outgoing};
use crate::handle::{Event, Place};
use crate::mailbox::Frames;

/// What a batch of input has at most: frames, or bytes of them before the last.
const BATCH_FRAMES: usize = 32;
const BATCH_BYTES: usize = 64 * 1024;

/// How much a socket is given before it has to flush: what is out is reported at least as often.
const CHUNK_BYTES: usize = 16 * 1024;

/// A queue with room for more frames than this gives its memory back once it has run empty.
const KEPT_FRAMES: usize = 16;

/// Serves a socket to its end. The place is given back when this ends, and when its task is aborted.
pub(crate) async fn serve<S, A: Adapter>(place: Place, socket: S)
where
    S: Stream<Item = Result<A::Frame, A::Error>> + Sink<A::Frame, Error = A::Error> + Unpin,
{
    place.tell(Event::Upgraded(place.conn));
    let mut task = Task::<S, A> {
        place,
        socket,
        frames: Frames::new(),
        given: 0,
        unflushed: 0,
        is_flushed: true,
        may_read: true,
        owes_answer: false,
        input: Input::Open,
        adapter: PhantomData,
    };
    // An error of the socket is its end, of which the dropped place tells.
    let _ = poll_fn(|context| task.poll(context)).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// The peer has sent its close frame. The crate has queued the answer, and takes no other frame.
    Closing,
    /// Nothing more comes that can be understood. The socket stays until the hub has no more use for it: if
    /// it ended with unread input, the kernel would reset it, and the close frame might be lost.
    Faulty,
    Ended,
}

struct Task<S, A> {
    place: Place,
    socket: S,
    /// Frames that the socket was not given yet.
    frames: Frames,
    /// The cost of all that the socket was given.
    given: u64,
    /// Bytes that it was given since its last flush, and whether there is nothing to flush.
    unflushed: usize,
    is_flushed: bool,
    may_read: bool,
    /// A ping or a close frame was read since the last flush: the crate's answer is to be flushed before
    /// more is read. So a client that pings and does not read makes no queue of pongs, and is silent in the
    /// end. And tungstenite says that all is over as soon as it is read behind a close frame, also while
    /// its answer and what was written before wait for the socket.
    owes_answer: bool,
    input: Input,
    adapter: PhantomData<fn(A)>,
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
            if self.input == Input::Closing {
                self.frames.clear();
            }
            // While the socket takes no more, its input is read on, up to a ping.
            if let Poll::Ready(written) = self.poll_write(context) {
                written?;
            }
            if self.input == Input::Ended {
                return Poll::Ready(Ok(()));
            }
            let may_read = self.may_read && !self.owes_answer && self.input != Input::Faulty;
            if !may_read || !self.read(context) {
                return Poll::Pending;
            }
        }
    }

    /// Gives the socket all that waits, has it flushed, and reports what is out.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        loop {
            while self.unflushed < CHUNK_BYTES && !self.frames.is_empty() {
                ready!(Pin::new(&mut self.socket).poll_ready(context))?;
                let Some(charged) = self.frames.pop_front() else { break };
                self.given += charged.cost;
                if let Outgoing::Data(message) = &charged.frame {
                    self.unflushed += message.payload().len();
                }
                self.is_flushed = false;
                Pin::new(&mut self.socket).start_send(A::outgoing(&charged.frame))?;
            }
            if self.is_flushed {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            (self.unflushed, self.is_flushed, self.owes_answer) = (0, true, false);
            self.place.tell(Event::Flushed(self.place.conn, self.given));
            if self.frames.is_empty() && self.frames.capacity() > KEPT_FRAMES {
                self.frames = Frames::new();
            }
        }
    }

    /// Reads a batch, and hands it to the hub. The next is read when the hub has taken this one. `false`:
    /// there was none, and the socket wakes the task for the next.
    fn read(&mut self, context: &mut Context<'_>) -> bool {
        let (mut batch, mut bytes, mut fault) = (Vec::new(), 0, None);
        while batch.len() < BATCH_FRAMES && bytes < BATCH_BYTES && self.input == Input::Open
            || self.input == Input::Closing && batch.is_empty()
        {
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(None) => self.input = Input::Ended,
                Poll::Ready(Some(Err(error))) => {
                    fault = A::fault(&error);
                    self.input = if fault.is_some() { Input::Faulty } else { Input::Ended };
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let Some(incoming) = A::incoming(frame) else { continue };
                    match &incoming {
                        Incoming::Data(message) => bytes += message.payload().len(),
                        // What the crate answers is to be flushed.
                        Incoming::Ping => (self.is_flushed, self.owes_answer) = (false, true),
                        Incoming::Close => {
                            (self.is_flushed, self.owes_answer) = (false, true);
                            self.input = Input::Closing;
                        }
                        Incoming::Pong => {}
                    }
                    batch.push(incoming);
                }
            }
        }
        if batch.is_empty() && matches!(self.input, Input::Open | Input::Closing) {
            return false;
        }
        self.may_read = false;
        self.place.tell(Event::Batch(self.place.conn, batch, fault));
        true
    }
}
