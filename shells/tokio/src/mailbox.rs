//! What the hub's task has for the task of one socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::adapter::Outgoing;

/// A frame and what it is charged: one for all its recipients.
pub(crate) struct Charged {
    pub(crate) frame: Outgoing,
    pub(crate) cost: u64,
}

pub(crate) type Frames = VecDeque<Arc<Charged>>;

/// What waits for one socket. The hub's task puts in, the socket's task takes out, and neither waits for the
/// other. The registry bounds what waits here, as it bounds what is handed out and not flushed.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Contents>);

#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) frames: Frames,
    /// The last batch of input was taken as a whole: the next may be read.
    pub(crate) may_read: bool,
    /// The connection was cleaned up, or the hub has ended.
    is_over: bool,
    /// Of the socket's task, and whether it has looked since it was woken.
    waker: Option<Waker>,
    has_looked: bool,
}

impl Mailbox {
    /// To be filled. [`wake`](Self::wake) follows at the end of the turn, so that all frames of a turn are
    /// written at once.
    pub(crate) fn open(&self) -> MutexGuard<'_, Contents> {
        // A panic can't leave the contents half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the socket's task, if it has looked since the last time.
    pub(crate) fn wake(&self) {
        let mut contents = self.open();
        if std::mem::take(&mut contents.has_looked)
            && let Some(waker) = &contents.waker
        {
            waker.wake_by_ref();
        }
    }

    /// Nothing more will come, and nothing that waits is to be written.
    pub(crate) fn end(&self) {
        self.open().is_over = true;
        self.wake();
    }

    /// Moves the frames that wait behind those in `frames`, and notes whom to wake for the next. Whether more
    /// may be read; `None` when all is over.
    pub(crate) fn take(&self, waker: &Waker, frames: &mut Frames) -> Option<bool> {
        let mut contents = self.open();
        if contents.is_over {
            return None;
        }
        if !contents.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            contents.waker = Some(waker.clone());
        }
        contents.has_looked = true;
        if frames.is_empty() {
            std::mem::swap(frames, &mut contents.frames);
        } else {
            frames.append(&mut contents.frames);
        }
        Some(std::mem::take(&mut contents.may_read))
    }
}
