//! A request that the handler could not decide at once: it waits to be asked about again.

use std::net::SocketAddr;

use bytes::Bytes;
use headcount::{CloseReason, Refused};

use crate::answer::Answer;
use crate::frames::close_frame;
use crate::handler::Handler;
use crate::last_words::LastWords;

use super::{Input, ReadContext, Socket, Stage, Stream};

/// The most bytes that may have come in behind the head of a request that has to wait.
pub(super) const MAX_EARLY_BYTES: usize = 4 * 1024;

/// A complete request head, and what came in behind it with the same read.
pub(super) struct Undecided {
    bytes: Vec<u8>,
    /// Where the head ends.
    end: usize,
    peer: SocketAddr,
    /// The answer 101 that goes before a refusal in band; `None`: a refusal is said in HTTP.
    accept: Option<Vec<u8>>,
    /// Whether the handler was asked before.
    has_waited: bool,
    /// Whether the handler is to be asked again.
    pub(super) again: bool,
}

/// What the handler made of a request.
pub(super) enum Asked {
    /// The client has its answer, or the registry's close is on its way to it.
    Answered,
    /// It can't say yet.
    Later {
        /// The answer 101 that goes before a refusal in band.
        accept: Option<Vec<u8>>,
    },
}

impl Undecided {
    pub(super) const fn new(bytes: Vec<u8>, end: usize, peer: SocketAddr) -> Self {
        Self { bytes, end, peer, accept: None, has_waited: false, again: false }
    }

    pub(super) const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The last bytes for a client that is closed before it was decided about, the answer that they
    /// say, and whether they upgrade it first.
    pub(super) fn last_words(self, words: &LastWords<'_>) -> (Bytes, Answer, bool) {
        let reason = words.reason;
        let answer = match reason {
            // The client has said who it is in time. The delay is the server's, so it may try again.
            CloseReason::AuthTimeout => {
                Answer::json(503, reason.name(), "the credentials could not be checked in time")
                    .retry_after(Refused::PAUSE)
            }
            _ => words.answer().closes_with(reason),
        };
        let frame = match answer.farewell() {
            _ if words.are_own() => Some(close_frame(words.code, words.text)),
            farewell => farewell.map(|(reason, text)| close_frame(reason.code(), &text)),
        };
        match (self.accept, frame) {
            (Some(mut bytes), Some(frame)) => {
                bytes.extend_from_slice(&frame);
                (bytes.into(), answer, true)
            }
            _ => (answer.to_bytes(true).into(), answer, false),
        }
    }
}

impl<S: Stream> Socket<S> {
    /// Asks the handler about a request. Until it decides, the request is kept, and nothing is read.
    pub(super) fn ask<H: Handler>(
        &mut self,
        mut asked: Undecided,
        frames: &mut usize,
        reading: &mut ReadContext<'_, '_, H>,
    ) {
        let (head, rest) = asked.bytes.split_at_mut(asked.end);
        match self.request(head, asked.peer, asked.has_waited, reading) {
            // A client may send frames without waiting for the answer.
            Asked::Answered => self.parse(rest, frames, reading),
            // RFC 6455, section 4.1: it must wait. All that waits for its turn is kept in memory.
            Asked::Later { .. } if rest.len() > MAX_EARLY_BYTES => {
                let message = "frames were sent before the answer to the upgrade: wait for it";
                let answer = Answer::json(400, "early_frames", message);
                self.answer(&answer, asked.peer, true, CloseReason::BadRequest, reading);
            }
            Asked::Later { accept } => {
                asked.accept = accept;
                asked.bytes.shrink_to_fit();
                asked.again = false;
                asked.has_waited = true;
                self.stage = Stage::Undecided(Box::new(asked));
                // From the first time on: the deadline that runs is the one for credentials. It fails
                // for a connection that is gone already, whose cleanup is on its way.
                let _ = reading.context.registry.upgraded(reading.context.now, self.conn);
            }
        }
    }

    /// Asks again if it is time to. Whether the socket may be read now.
    pub(super) fn ask_again<H: Handler>(
        &mut self,
        frames: &mut usize,
        reading: &mut ReadContext<'_, '_, H>,
    ) -> bool {
        // What the client sent before it hung up is not read: an answer could not reach it.
        if self.input == Input::Ending {
            self.end(reading.context);
            return false;
        }
        match std::mem::replace(&mut self.stage, Stage::Discarding) {
            Stage::Undecided(undecided) if undecided.again => self.ask(*undecided, frames, reading),
            stage => self.stage = stage,
        }
        !matches!(self.stage, Stage::Undecided(_))
    }

    /// Whether the handler is to be asked again: about a request, or about a message.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.stage, Stage::Undecided(_)) || self.waiting().is_some()
    }

    /// Lets the handler be asked again, if the request or a message waits for that.
    pub(crate) fn note_again(&mut self) {
        if let Stage::Undecided(undecided) = &mut self.stage {
            undecided.again = true;
        }
        if let Some(waiting) = self.held.as_mut().and_then(|held| held.waiting.as_mut()) {
            waiting.again = true;
        }
    }
}
