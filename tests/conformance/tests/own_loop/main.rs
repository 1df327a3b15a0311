//! The behaviours of every shell, for one as `docs/embedding.md` describes it: an event loop of its own on
//! mio's poll, with the frames of tungstenite. `event_loop` and `socket` are the shell, and this file runs it
//! in a thread.

mod event_loop;
mod socket;

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use headcount::{Config, Registry, Timestamp};
use headcount_conformance::Shell;
use mio::Waker;

use self::event_loop::{Call, EventLoop};

headcount_conformance::behaviours!(OwnLoop);

struct OwnLoop {
    address: SocketAddr,
    calls: Sender<Call>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl OwnLoop {
    fn post(&self, call: impl FnOnce(&mut Registry, Timestamp) + Send + 'static) {
        self.calls.send(Box::new(call)).expect("the loop runs");
        self.waker.wake().expect("a wake-up");
    }
}

impl Shell for OwnLoop {
    fn start(config: Config) -> Self {
        let (calls, inbox) = channel();
        let (server, address, waker) = EventLoop::bind(config, inbox).expect("a free port");
        let thread = std::thread::spawn(|| server.run().expect("a poll that works"));
        Self { address, calls, waker, thread }
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> R {
        let (answer, answered) = channel();
        self.post(move |registry, now| drop(answer.send(f(registry, now))));
        answered.recv().expect("the loop runs")
    }

    fn stop(&self) {
        self.post(|registry, now| registry.drain(now, None));
    }

    fn join(self) {
        self.thread.join().expect("the loop has not panicked");
    }
}
