//! Reaching the loop from other threads.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use crate::handler::Turn;

/// Calls that wait for the loop.
const QUEUE: usize = 1_024;

/// Calls in one turn; the others wait for the next, which comes at once.
const CALLS_PER_TURN: usize = 256;

type Call = Box<dyn FnOnce(&mut Turn<'_>) + Send>;

/// Reaches a running server from any thread. Clones reach the same server.
#[derive(Clone)]
pub struct Handle {
    calls: SyncSender<Call>,
    bell: Arc<Bell>,
}

impl Handle {
    /// Runs `f` on the loop's thread in its next turn. Returns at once.
    ///
    /// Calls of one thread run in their order.
    ///
    /// # Errors
    /// [`HandleError::Full`] while 1,024 calls wait, [`HandleError::Stopped`] when the loop has
    /// ended; `f` is dropped then. It is also dropped if the loop ends before its turn comes.
    pub fn post(&self, f: impl FnOnce(&mut Turn<'_>) + Send + 'static) -> Result<(), HandleError> {
        match self.calls.try_send(Box::new(f)) {
            Ok(()) => {
                self.bell.ring();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(HandleError::Full),
            Err(TrySendError::Disconnected(_)) => Err(HandleError::Stopped),
        }
    }

    /// The same, and waits for the answer.
    ///
    /// Not for the loop's own thread, which would wait for itself, nor for asynchronous code. Waits
    /// for [`run`](crate::Server::run) if that was not called yet.
    ///
    /// # Errors
    /// As for [`post`](Self::post), and [`HandleError::Stopped`] if the loop ends before the turn
    /// of `f` comes: never waits for ever.
    pub fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Turn<'_>) -> R + Send + 'static,
    ) -> Result<R, HandleError> {
        let (answer, answered) = sync_channel(1);
        self.post(move |turn| {
            // There is room for the one answer, unless the caller has died.
            let _ = answer.try_send(f(turn));
        })?;
        answered.recv().map_err(|_| HandleError::Stopped)
    }

    /// Drains: newcomers are answered 503 with `Retry-After`, everyone is told, and connections are
    /// closed with [`CloseReason::Restart`](headcount::CloseReason::Restart) one after another until
    /// `drain.deadline`. When the last one has ended, [`run`](crate::Server::run) returns. A second
    /// call makes it return at once.
    pub fn stop(&self) {
        self.bell.stops.fetch_add(1, Ordering::Relaxed);
        self.bell.ring();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Why a call did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandleError {
    /// Too many calls wait for the loop: it is overloaded, try again later.
    Full,
    /// The loop has ended.
    Stopped,
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many calls wait for the server's loop",
            Self::Stopped => "the server's loop has ended",
        })
    }
}

impl Error for HandleError {}

/// Wakes the loop, once for any number of calls that it has not seen.
struct Bell {
    waker: mio::Waker,
    /// Whether a wake is under way that the loop has not taken notice of.
    rung: AtomicBool,
    /// How often it was asked to stop.
    stops: AtomicU32,
}

impl Bell {
    /// The swap comes after what the loop is to see, and the loop's own swap before it looks: if
    /// this one finds the bell rung, the loop is still to look.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) && self.waker.wake().is_err() {
            self.rung.store(false, Ordering::Release);
        }
    }
}

/// The loop's end. When it is dropped, calls that wait are dropped, and their callers told.
pub(crate) struct Calls {
    calls: Receiver<Call>,
    bell: Arc<Bell>,
}

pub(crate) fn channel(waker: mio::Waker) -> (Handle, Calls) {
    let (sender, calls) = sync_channel(QUEUE);
    let bell = Arc::new(Bell { waker, rung: AtomicBool::new(false), stops: AtomicU32::new(0) });
    (Handle { calls: sender, bell: Arc::clone(&bell) }, Calls { calls, bell })
}

impl Calls {
    /// Runs what waits, up to a turn's share. Whether more may wait.
    pub(crate) fn run(&self, turn: &mut Turn<'_>) -> bool {
        self.bell.rung.swap(false, Ordering::AcqRel);
        for _ in 0..CALLS_PER_TURN {
            match self.calls.try_recv() {
                Ok(call) => call(turn),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// How often the handles have asked to stop.
    pub(crate) fn stops(&self) -> u32 {
        self.bell.stops.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;
    use std::time::Duration;

    use headcount::{Config, Registry, Timestamp};

    use super::*;

    fn channel_with_poll() -> (mio::Poll, Handle, Calls) {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(1)).unwrap();
        let (handle, calls) = channel(waker);
        (poll, handle, calls)
    }

    fn run(calls: &Calls, registry: &mut Registry) -> bool {
        calls.run(&mut Turn { registry, now: Timestamp::ZERO })
    }

    /// Whether the loop would wake.
    fn wakes(poll: &mut mio::Poll) -> bool {
        let mut events = mio::Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        !events.is_empty()
    }

    #[test]
    fn a_handle_goes_to_any_thread() {
        fn assert_goes_anywhere<T: Send + Sync + Clone + 'static>() {}
        assert_goes_anywhere::<Handle>();
    }

    #[test]
    fn calls_run_in_order_and_wake_the_loop_once() {
        let (mut poll, handle, calls) = channel_with_poll();
        let mut registry = Registry::new(Config::new(1));
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..3 {
            let order = Arc::clone(&order);
            handle.post(move |_| order.lock().unwrap().push(number)).unwrap();
        }
        assert!(wakes(&mut poll) && !wakes(&mut poll));
        assert!(!run(&calls, &mut registry));
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
        handle.post(|_| ()).unwrap();
        assert!(wakes(&mut poll));
    }

    #[test]
    fn the_queue_is_bounded_and_so_is_a_turn() {
        let (_poll, handle, calls) = channel_with_poll();
        let mut registry = Registry::new(Config::new(1));
        for _ in 0..QUEUE {
            handle.post(|_| ()).unwrap();
        }
        assert_eq!(handle.post(|_| ()), Err(HandleError::Full));
        for _ in 0..QUEUE / CALLS_PER_TURN {
            assert!(run(&calls, &mut registry));
        }
        assert!(!run(&calls, &mut registry));
    }

    #[test]
    fn callers_are_told_when_the_loop_has_ended() {
        let (_poll, handle, calls) = channel_with_poll();
        let waiting = thread::spawn({
            let handle = handle.clone();
            move || handle.call(|turn| turn.now)
        });
        // Whether the call is queued by now or not, its answer is the same.
        drop(calls);
        assert_eq!(waiting.join().unwrap(), Err(HandleError::Stopped));
        assert_eq!(handle.post(|_| ()), Err(HandleError::Stopped));
    }

    #[test]
    fn a_call_that_waits_is_dropped_with_the_loop() {
        let (_poll, handle, calls) = channel_with_poll();
        let witness = Arc::new(());
        let held = Arc::clone(&witness);
        handle.post(move |_| drop(held)).unwrap();
        drop(calls);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
