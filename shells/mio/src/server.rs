//! Starting and running a server.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use headcount::{Config, Registry};
use headcount_journal::{Recorder, Recording};
use mio::{Interest, Poll, Waker};

use crate::event_loop::{EventLoop, LISTENER, SIGNALS, WAKER};
use crate::handle::{Calls, Handle, channel};
use crate::handler::Handler;
use crate::journal::{Journal, JournalSink};
use crate::listener::Listener;
use crate::options::Options;
use crate::signals::Signals;

/// Why a server could not be bound.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    /// The address that was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the operating system said.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't listen on {}: {}", self.address, self.source)
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// A bound server: the listener, the registry and the loop between them.
pub struct Server {
    pub(crate) poll: Poll,
    pub(crate) listener: Listener,
    pub(crate) registry: Registry,
    pub(crate) calls: Calls,
    pub(crate) signals: Option<Signals>,
    pub(crate) options: Options,
    pub(crate) journal: Journal,
    address: SocketAddr,
    handle: Handle,
}

impl Server {
    /// Listens on an address; port 0 lets the operating system choose one. Clients can connect from
    /// now on, and wait in the kernel for [`run`](Self::run).
    ///
    /// # Errors
    /// [`BindError`] with the address and what the operating system said.
    pub fn bind(address: SocketAddr, config: Config, options: Options) -> Result<Self, BindError> {
        Self::try_bind(address, config, options).map_err(|source| BindError { address, source })
    }

    fn try_bind(address: SocketAddr, config: Config, options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = Listener::bind(address)?;
        let address = listener.local_addr()?;
        poll.registry().register(listener.source(), LISTENER, Interest::READABLE)?;
        let (handle, calls) = channel(Waker::new(poll.registry(), WAKER)?);
        let mut signals = None;
        if options.signals {
            let signals = signals.insert(Signals::new()?);
            poll.registry().register(signals.source(), SIGNALS, Interest::READABLE)?;
        }
        let registry = Registry::new(config);
        let journal = Journal::none();
        Ok(Self { poll, listener, registry, calls, signals, options, journal, address, handle })
    }

    /// Writes a journal of everything that the registry is given, to be replayed with
    /// [`headcount_journal::Replay`].
    ///
    /// `sink` is written to once a turn, and told when another segment begins. When it fails the recording
    /// ends and [`Handler::journal_failed`] is told; the server goes on. Where a segment begins, the turn
    /// takes as much longer as [`Registry::snapshot`] costs.
    #[must_use]
    pub fn journal(mut self, recording: Recording, sink: impl JournalSink + 'static) -> Self {
        self.registry = Recorder::registry(self.registry.config().clone(), recording);
        self.journal = Journal::to(sink);
        self
    }

    /// The address it listens on, with the port that was chosen.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A handle to reach the server from other threads while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until it is stopped, on this thread: by [`Handle::stop`], or by a signal if the
    /// options say so. Returns when it has drained; that takes `drain.deadline` at most, as some
    /// peers never answer a close frame.
    ///
    /// # Errors
    /// The operating system failed to wait for events. What goes wrong with one socket ends that
    /// socket only.
    pub fn run<H: Handler>(self, handler: H) -> io::Result<()> {
        EventLoop::new(self, handler).run()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}
