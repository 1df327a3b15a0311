//! What goes out: frames are queued, written, and reported.

use std::net::SocketAddr;

use bytes::Bytes;
use headcount::{CloseReason, Refused};

use crate::answer::Answer;
use crate::flushed::Flushed;
use crate::frames::close_frame;
use crate::last_words::LastWords;
use crate::outbound::Written;

use super::undecided::Undecided;
use super::{Socket, Stage, Stream};

impl<S: Stream> Socket<S> {
    /// Queues the frame of an action.
    pub(crate) fn send(&mut self, frame: Bytes, cost: u64) {
        debug_assert!(
            self.upgraded || self.complete || self.is_undecided(),
            "frames follow the answer 101"
        );
        if self.complete || !self.upgraded || matches!(self.stage, Stage::Ended) {
            return;
        }
        self.outbound.push(frame, cost);
    }

    /// Queues the last bytes that will ever be written: a close frame, or an answer in HTTP, which
    /// is returned with whom it goes to.
    pub(crate) fn close(
        &mut self,
        words: &LastWords<'_>,
        cost: u64,
    ) -> Option<(SocketAddr, Answer)> {
        let reason = words.reason;
        let waited = self.waiting.take().is_some();
        self.deferred = None;
        self.paused = false;
        let mut unanswered = None;
        let stage = match std::mem::replace(&mut self.stage, Stage::Discarding) {
            // It has said too much already.
            Stage::Open(_) if reason == CloseReason::RateLimited => Stage::Discarding,
            // Its close frame may still come, and tells that ours has arrived. It is closing already
            // if it was refused with a close frame.
            Stage::Open(frames) | Stage::Closing(frames) => Stage::Closing(frames),
            Stage::Ended => Stage::Ended,
            Stage::Head(collected) => {
                unanswered = Some((collected.1, words.answer()));
                Stage::Discarding
            }
            Stage::Undecided(undecided) => return Some(self.give_up(*undecided, words, cost)),
            Stage::Discarding => Stage::Discarding,
        };
        if matches!(stage, Stage::Discarding) {
            self.unparsed = Vec::new();
            self.unparsed_whole = false;
        }
        self.stage = stage;
        let last = match (self.complete, self.upgraded, self.echo) {
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
            self.outbound.push_last(last, cost);
            self.complete = true;
            self.shut_when_out |= matches!(self.stage, Stage::Discarding);
        }
        unanswered
    }

    /// The same for a request that was not decided about.
    fn give_up(
        &mut self,
        undecided: Undecided,
        words: &LastWords<'_>,
        cost: u64,
    ) -> (SocketAddr, Answer) {
        let peer = undecided.peer();
        let (last, answer, upgrades) = undecided.last_words(words);
        self.upgraded = upgrades;
        self.outbound.push_last(last, cost);
        self.complete = true;
        self.shut_when_out = true;
        (peer, answer)
    }

    /// Writes what is queued, up to the socket's share, and notes what the kernel took. Takes what
    /// was written from `bytes`, the socket's share.
    pub(crate) fn flush(&mut self, flushed: &mut Flushed, bytes: &mut usize) -> Written {
        if matches!(self.stage, Stage::Ended) {
            return Written::All;
        }
        let Ok(written) = self.outbound.write(&mut self.stream, bytes) else {
            self.end_in(flushed);
            return Written::All;
        };
        self.blocked = written == Written::Blocked;
        let total = self.outbound.flushed_cost();
        if total > self.flushed {
            self.flushed = total;
            flushed.took(self.conn, total);
        }
        if written == Written::All {
            if self.ends_when_out() {
                self.end_in(flushed);
            } else if self.shut_when_out && !self.shut {
                self.shut = true;
                if self.stream.shutdown_write().is_err() {
                    self.end_in(flushed);
                }
            }
        }
        written
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
