//! Reaching the loop from other threads.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

use crate::handler::Context;
use crate::turn_times::{Recorded, TurnTimes};

/// Calls that wait for the loop.
const QUEUE: usize = 1_024;

/// The time for calls in one turn. When it has passed no other call begins; those that wait run in
/// the next turn, which comes at once. Between turns the sockets are read and written.
const CALLS_LAST: Duration = Duration::from_millis(1);

type Call = Box<dyn FnOnce(&mut Context<'_>) + Send>;

/// Reaches a running server from any thread. Clones reach the same server.
#[derive(Clone)]
pub struct Handle {
    calls: SyncSender<Call>,
    bell: Arc<Bell>,
}

impl Handle {
    /// Runs `f` on the loop's thread in its next turn. Returns at once.
    ///
    /// Calls of one thread run in their order. A turn has one millisecond for calls, and at least
    /// one call runs in each: a call that takes longer is the wait of every socket. Split work that
    /// grows with a table into calls of their own, such as pages of 100.
    ///
    /// # Errors
    /// [`HandleError::Full`] while 1,024 calls wait, [`HandleError::Stopped`] when the loop has
    /// ended; `f` is dropped then. It is also dropped if the loop ends before its turn comes.
    pub fn post(
        &self,
        f: impl FnOnce(&mut Context<'_>) + Send + 'static,
    ) -> Result<(), HandleError> {
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
        f: impl FnOnce(&mut Context<'_>) -> R + Send + 'static,
    ) -> Result<R, HandleError> {
        let (answer, answered) = sync_channel(1);
        self.post(move |context| {
            // There is room for the one answer, unless the caller has died.
            let _ = answer.try_send(f(context));
        })?;
        answered.recv().map_err(|_| HandleError::Stopped)
    }

    /// Has [`Handler::authenticate`](crate::Handler::authenticate) called again for each request
    /// that it has answered with [`Verdict::Later`](crate::Verdict::Later) so far, and
    /// [`Handler::message_again`](crate::Handler::message_again) for each message that was answered
    /// with [`Outcome::Later`](crate::Outcome::Later). To be called when what they wait for has come,
    /// or will not come. Returns at once, and may be called on the loop's thread too.
    ///
    /// They have their turns like other input, so a few thousand take some hundred turns, between which
    /// other sockets are served. One that is answered `Later` again waits for the next call.
    pub fn authenticate_again(&self) {
        self.bell.again.store(true, Ordering::Relaxed);
        self.bell.ring();
    }

    /// Drains: newcomers are answered 503 with `Retry-After`, everyone is told, and connections are
    /// closed with [`CloseReason::Restart`](headcount::CloseReason::Restart) one after another until
    /// `drain.deadline`. When the last one has ended, [`run`](crate::Server::run) returns. A second
    /// call makes it return at once.
    pub fn stop(&self) {
        self.bell.stops.fetch_add(1, Ordering::Relaxed);
        self.bell.ring();
    }

    /// How long the turns of the loop have taken since it began. Costs no turn: it is read where the loop
    /// writes it.
    #[must_use]
    pub fn turn_times(&self) -> TurnTimes {
        self.bell.turn_times.snapshot()
    }

    /// Whether the drain has begun that ends with the loop, asked for by [`stop`](Self::stop) or by a
    /// signal. It can't be undone: [`Registry::cancel_drain`](headcount::Registry::cancel_drain) is not
    /// for it. In a call of the loop the answer holds to the call's end; elsewhere it may be old.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.bell.stopping.load(Ordering::Relaxed)
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
    /// Whether to ask again about requests that wait to be decided about.
    again: AtomicBool,
    /// Whether it drains in order to end.
    stopping: AtomicBool,
    turn_times: Recorded,
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
    let bell = Arc::new(Bell {
        waker,
        rung: AtomicBool::new(false),
        stops: AtomicU32::new(0),
        again: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        turn_times: Recorded::default(),
    });
    (Handle { calls: sender, bell: Arc::clone(&bell) }, Calls { calls, bell })
}

impl Calls {
    /// Runs what waits until a turn's share of time is used up: at least one. `elapsed` is the time
    /// since the first began. Whether more may wait.
    pub(crate) fn run(&self, context: &mut Context<'_>, elapsed: impl Fn() -> Duration) -> bool {
        self.bell.rung.swap(false, Ordering::AcqRel);
        loop {
            match self.calls.try_recv() {
                Ok(call) => call(context),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            }
            if elapsed() >= CALLS_LAST {
                return true;
            }
        }
    }

    /// Whether a handle has asked to [`authenticate_again`](Handle::authenticate_again) since the last
    /// call.
    pub(crate) fn take_again(&self) -> bool {
        self.bell.again.load(Ordering::Relaxed) && self.bell.again.swap(false, Ordering::Relaxed)
    }

    /// The drain that ends with the loop has begun.
    pub(crate) fn set_stopping(&self) {
        self.bell.stopping.store(true, Ordering::Relaxed);
    }

    /// A turn has ended that took so long.
    pub(crate) fn record_turn(&self, took: Duration) {
        self.bell.turn_times.record(took);
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
    use crate::output::TurnOutput;

    fn channel_with_poll() -> (mio::Poll, Handle, Calls) {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(1)).unwrap();
        let (handle, calls) = channel(waker);
        (poll, handle, calls)
    }

    /// A turn in which calls take no time.
    fn run(calls: &Calls, registry: &mut Registry) -> bool {
        calls.run(&mut Context::new(registry, Timestamp::ZERO, &mut TurnOutput::default()), || {
            Duration::ZERO
        })
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
    fn the_queue_is_bounded() {
        let (_poll, handle, calls) = channel_with_poll();
        let mut registry = Registry::new(Config::new(1));
        for _ in 0..QUEUE {
            handle.post(|_| ()).unwrap();
        }
        assert_eq!(handle.post(|_| ()), Err(HandleError::Full));
        assert!(!run(&calls, &mut registry));
        handle.post(|_| ()).unwrap();
    }

    #[test]
    fn long_calls_share_a_turn_by_their_time_and_short_ones_are_not_counted() {
        let (_poll, handle, calls) = channel_with_poll();
        let mut registry = Registry::new(Config::new(1));
        // Time passes in calls only.
        let (time, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let post = |micros: u32| {
            let (time, done) = (Arc::clone(&time), Arc::clone(&done));
            let call = move |_: &mut Context<'_>| {
                time.fetch_add(micros, Ordering::Relaxed);
                done.fetch_add(1, Ordering::Relaxed);
            };
            handle.post(call).unwrap();
        };
        let mut output = TurnOutput::default();
        let mut turn = || {
            time.store(0, Ordering::Relaxed);
            let elapsed = || Duration::from_micros(time.load(Ordering::Relaxed).into());
            let more =
                calls.run(&mut Context::new(&mut registry, Timestamp::ZERO, &mut output), elapsed);
            (more, done.swap(0, Ordering::Relaxed))
        };
        // Three that take 240 ms each: one turn has one of them.
        (0..3).for_each(|_| post(240_000));
        assert_eq!([turn(), turn(), turn()], [(true, 1), (true, 1), (true, 1)]);
        assert_eq!(turn(), (false, 0));
        (0..5).for_each(|_| post(400));
        assert_eq!([turn(), turn()], [(true, 3), (false, 2)]);
        (0..500).for_each(|_| post(1));
        assert_eq!(turn(), (false, 500));
    }

    #[test]
    fn callers_are_told_when_the_loop_has_ended() {
        let (_poll, handle, calls) = channel_with_poll();
        let waiting = thread::spawn({
            let handle = handle.clone();
            move || handle.call(|context| context.now)
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
