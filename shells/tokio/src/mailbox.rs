//! What the hub's task has for the task of one socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::adapter::Outgoing;

/// A frame and what it is charged: one for all its recipients.
#[derive(Debug)]
pub(crate) struct Charged {
    pub(crate) frame: Outgoing,
    pub(crate) cost: u64,
}

pub(crate) type Frames = VecDeque<Arc<Charged>>;

/// What waits for one socket. The hub's task puts in, the socket's task takes out, and neither waits for the
/// other. The registry bounds what waits here, as it bounds what is handed out and not flushed.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<Mail>);

#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) frames: Frames,
    /// The last batch of input was taken as a whole: the next may be read.
    pub(crate) may_read: bool,
    /// The connection was cleaned up, or the hub has ended. What waits is not to be written any more.
    pub(crate) is_over: bool,
    /// Of the socket's task, if it has looked since it was woken.
    waker: Option<Waker>,
}

impl Mailbox {
    fn open(&self) -> MutexGuard<'_, Mail> {
        // A panic can't leave the mail half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in. The caller wakes the socket's task at the end of the turn, so that all frames of a
    /// turn are written at once, and outside of the lock.
    pub(crate) fn put(&self, put: impl FnOnce(&mut Mail)) -> Option<Waker> {
        let mut mail = self.open();
        put(&mut mail);
        mail.waker.take()
    }

    /// Moves the frames that wait behind those in `frames`, and notes whom to wake for the next. Whether more
    /// may be read; `None` when all is over.
    pub(crate) fn take(&self, waker: &Waker, frames: &mut Frames) -> Option<bool> {
        let mut mail = self.open();
        mail.waker = Some(waker.clone());
        if frames.is_empty() {
            std::mem::swap(frames, &mut mail.frames);
        } else {
            frames.append(&mut mail.frames);
        }
        (!mail.is_over).then(|| std::mem::take(&mut mail.may_read))
    }
}
