//! What goes out: frames are queued, written, and reported.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;

use bytes::Bytes;
use headcount::{CloseReason, Refused};

use crate::answer::Answer;
use crate::flushed::Flushed;
use crate::frames::close_frame;
use crate::last_words::LastWords;
use crate::outbound::Written;
use crate::output::{Chain, Class, FrameId, SLICES, TurnOutput};

use super::undecided::Undecided;
use super::{Output, Socket, Stage, Stream};

impl<S: Stream> Socket<S> {
    /// Queues the frame of an action. Whether there is something to flush.
    #[inline]
    pub(crate) fn send(&mut self, frame: FrameId, turn: &mut TurnOutput) -> bool {
        debug_assert!(
            self.upgraded || self.output != Output::Open || self.is_undecided(),
            "frames follow the answer 101"
        );
        if !self.takes_frames() {
            return false;
        }
        if self.must_wait() {
            let kept = turn.share(frame);
            self.held().outbound.push_frame(kept);
        } else {
            turn.append(&mut self.chain, frame);
        }
        !self.blocked
    }

    /// Whether frames may be queued.
    pub(super) fn takes_frames(&self) -> bool {
        self.upgraded && self.output == Output::Open && !matches!(self.stage, Stage::Ended)
    }

    /// Whether what is queued has to wait for a later turn.
    fn must_wait(&self) -> bool {
        self.blocked || self.has_backlog()
    }

    /// Queues the answer to the upgrade.
    pub(super) fn queue_answer(&mut self, answer: &[u8], turn: &mut TurnOutput) {
        if self.must_wait() {
            self.held().outbound.push(Bytes::copy_from_slice(answer), 0);
        } else {
            let frame = turn.whole(answer, 0, Class::Plain);
            turn.append(&mut self.chain, frame);
        }
    }

    /// Queues the frame that answers a ping.
    pub(super) fn queue_pong(&mut self, pong: Bytes, turn: &mut TurnOutput) {
        if self.must_wait() {
            self.held().outbound.push_pong(pong);
        } else {
            let frame = turn.whole(&pong, 0, Class::Pong);
            turn.append(&mut self.chain, frame);
        }
    }

    /// Queues the last bytes that will ever be written.
    pub(super) fn queue_last(&mut self, last: Bytes, cost: u64, turn: &mut TurnOutput) {
        self.output = self.output.max(Output::Complete);
        if self.must_wait() {
            self.held().outbound.push_last(last, cost);
        } else {
            let frame = turn.whole(&last, cost, Class::Last);
            turn.append(&mut self.chain, frame);
        }
    }

    /// Queues the replies that were written in this turn.
    #[inline]
    pub(super) fn queue_replies(&mut self, turn: &mut TurnOutput) {
        if self.must_wait() {
            let mut replies = Chain::default();
            turn.end_replies(&mut replies);
            self.keep(replies, 0, turn);
        } else {
            turn.end_replies(&mut self.chain);
        }
    }

    /// Has the writing side shut down when everything queued is out.
    pub(super) fn shut_when_out(&mut self) {
        self.output = self.output.max(Output::Shutting);
    }

    /// Keeps frames of this turn for later ones, less the bytes of them that are written. If some are
    /// written, no frame of an earlier turn waits. Returns the cost of the written bytes.
    fn keep(&mut self, chain: Chain, written: usize, turn: &mut TurnOutput) -> u64 {
        if chain.is_empty() {
            return 0;
        }
        let outbound = &mut self.held().outbound;
        let before = outbound.flushed_cost();
        let keep = |frame| outbound.push_frame(frame);
        let (begun, whole) = turn.for_each_left(chain, written, keep);
        outbound.take_written(begun);
        whole + outbound.flushed_cost() - before
    }

    /// Keeps what waits of this turn for later ones: its output is about to be cleared.
    pub(crate) fn keep_chain(&mut self, turn: &mut TurnOutput) {
        let chain = std::mem::take(&mut self.chain);
        self.keep(chain, 0, turn);
    }

    /// Queues the last bytes that will ever be written: a close frame, or an answer in HTTP, which
    /// is returned with whom it goes to.
    pub(crate) fn close(
        &mut self,
        words: &LastWords<'_>,
        cost: u64,
        turn: &mut TurnOutput,
    ) -> Option<(SocketAddr, Answer)> {
        let reason = words.reason;
        let mut waited = false;
        if let Some(held) = &mut self.held {
            waited = held.waiting.take().is_some();
            held.deferred = None;
        }
        self.paused = false;
        let (mut unanswered, mut echo) = (None, None);
        let stage = match std::mem::replace(&mut self.stage, Stage::Discarding) {
            // It has said too much already.
            Stage::Open(_) if reason == CloseReason::RateLimited => Stage::Discarding,
            // Its close frame may still come, and tells that ours has arrived. It is closing already
            // if it was refused with a close frame.
            Stage::Open(fragments) | Stage::Closing(fragments) => Stage::Closing(fragments),
            Stage::Ended => Stage::Ended,
            Stage::Head(collected) => {
                unanswered = Some((collected.1, words.answer()));
                Stage::Discarding
            }
            Stage::Undecided(undecided) => {
                return Some(self.give_up(*undecided, words, cost, turn));
            }
            Stage::PeerClosed(code) => {
                echo = Some(code);
                Stage::Discarding
            }
            Stage::Discarding => Stage::Discarding,
        };
        if matches!(stage, Stage::Discarding) {
            self.drop_unparsed();
        }
        self.stage = stage;
        let last = match (self.output != Output::Open, self.upgraded, echo) {
            // It was answered when it was refused.
            (true, _, _) => Bytes::new(),
            (false, false, _) => match &unanswered {
                Some((_, answer)) => answer.to_bytes(true).into(),
                None => Bytes::new(),
            },
            (false, true, Some(code)) if reason == CloseReason::PeerClosed => close_frame(code, ""),
            // The client has said who it is in time. The delay is the server's, so it may try again.
            (false, true, _) if waited && reason == CloseReason::AuthTimeout => {
                let wait = Answer::whole_seconds(Refused::PAUSE);
                let text = format!("{} retry_after={wait}", reason.name());
                close_frame(CloseReason::TryLater.code(), &text)
            }
            (false, true, _) => close_frame(words.code, words.text),
        };
        if !matches!(self.stage, Stage::Ended) {
            self.queue_last(last, cost, turn);
            if matches!(self.stage, Stage::Discarding) {
                self.shut_when_out();
            }
        }
        unanswered
    }

    /// The same for a request that was not decided about.
    fn give_up(
        &mut self,
        undecided: Undecided,
        words: &LastWords<'_>,
        cost: u64,
        turn: &mut TurnOutput,
    ) -> (SocketAddr, Answer) {
        let peer = undecided.peer();
        let (last, answer, upgrades) = undecided.last_words(words);
        self.upgraded = upgrades;
        self.queue_last(last, cost, turn);
        self.shut_when_out();
        (peer, answer)
    }

    /// Writes what is queued, up to the socket's share, and notes what the kernel took. Takes what
    /// was written from `bytes`, the socket's share. Afterwards nothing waits of this turn's output.
    pub(crate) fn flush(
        &mut self,
        turn: &mut TurnOutput,
        flushed: &mut Flushed,
        bytes: &mut usize,
    ) -> Written {
        if matches!(self.stage, Stage::Ended) {
            return Written::All;
        }
        let before = self.flushed;
        let Ok(written) = self.write(turn, bytes) else {
            self.end_in(flushed);
            return Written::All;
        };
        self.blocked = written == Written::Blocked;
        if self.flushed > before {
            flushed.took(self.conn, self.flushed);
        }
        if written == Written::All {
            self.release();
            if self.ends_when_out() {
                self.end_in(flushed);
            } else if self.output == Output::Shutting {
                self.output = Output::Shut;
                if self.stream.shutdown_write().is_err() {
                    self.end_in(flushed);
                }
            }
        }
        written
    }

    /// Writes what this turn has for the socket, or what waits of earlier ones.
    fn write(&mut self, turn: &mut TurnOutput, bytes: &mut usize) -> io::Result<Written> {
        let chain = std::mem::take(&mut self.chain);
        if !chain.is_empty() {
            self.write_chain(chain, turn, bytes)?;
        }
        if let Some(held) = &mut self.held
            && !held.outbound.is_empty()
        {
            let before = held.outbound.flushed_cost();
            let written = held.outbound.write(&mut self.stream, bytes)?;
            self.flushed += held.outbound.flushed_cost() - before;
            if written != Written::All {
                return Ok(written);
            }
        }
        if !self.stream.is_pending() {
            return Ok(Written::All);
        }
        match self.stream.write(&[]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Written::Blocked),
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ if self.stream.is_pending() => Ok(Written::Share),
            _ => Ok(Written::All),
        }
    }

    /// Writes frames of this turn, with one call. Frames that the kernel does not take are kept.
    fn write_chain(
        &mut self,
        chain: Chain,
        turn: &mut TurnOutput,
        bytes: &mut usize,
    ) -> io::Result<()> {
        let (length, cost) = turn.measure(chain);
        let mut taken = 0;
        if length > 0 && *bytes > 0 {
            taken = match self.write_once(chain, turn, *bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            *bytes = bytes.saturating_sub(taken);
        }
        if taken == length {
            self.flushed += cost;
            return Ok(());
        }
        self.flushed += self.keep(chain, taken, turn);
        Ok(())
    }

    fn write_once(&mut self, chain: Chain, turn: &TurnOutput, bytes: usize) -> io::Result<usize> {
        if let Some(slice) = turn.slice(chain) {
            return self.stream.write(&[IoSlice::new(&slice[..slice.len().min(bytes)])]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = turn.slices(chain, bytes, &mut slices);
        self.stream.write(&slices[..count])
    }

    fn end_in(&mut self, flushed: &mut Flushed) {
        self.stop();
        flushed.ended(self.conn);
    }

    /// There is room for what the input may ask for. Whether it was left alone until now.
    pub(crate) const fn resume_input(&mut self) -> bool {
        std::mem::replace(&mut self.paused, false)
    }
}
