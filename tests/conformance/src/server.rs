//! A shell under test, and what every test asks of it.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use headcount::{Config, ConfigBuilder, Position, Registry, Stats, Timestamp};

use crate::client::{Client, PATIENCE};

/// A shell under test: a server that runs.
pub trait Shell: Sized {
    /// Serves the [`Application`](crate::Application) on a free port of loopback, at `/ws`. Sockets have no
    /// [`Source`](headcount::Source).
    fn start(config: Config) -> Self;

    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// Runs `f` where the registry lives, and what it makes the registry do.
    fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Registry, Timestamp) -> R + Send + 'static,
    ) -> R;

    /// Begins a drain that ends with the server. Returns at once.
    fn stop(&self);

    /// Waits for the end of the server.
    ///
    /// # Panics
    /// The server has panicked.
    fn join(self);
}

/// Generous limits and short times.
pub fn config() -> ConfigBuilder {
    Config::builder(7)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .message_rate(0)
        .connections_per_user(10_000)
        .sessions_per_user(10_000)
        .session_linger(Duration::ZERO)
        // Longer than any wait: what has gone must not be left to its deadline.
        .head_deadline(3 * PATIENCE)
        .auth_deadline(3 * PATIENCE)
        // An echo is as long as the message.
        .reply_reserve(1 << 20)
        .close_handshake(Duration::from_secs(10))
        .drain_grace(Duration::ZERO)
        .drain_deadline(Duration::from_secs(2))
}

/// What a client that comes back adds to its user.
#[must_use]
pub fn since(position: Position) -> String {
    format!("&since={}:{}", position.epoch, position.offset)
}

/// A server under test, and its clients.
#[derive(Debug)]
pub struct Server<S>(S);

impl<S: Shell> Server<S> {
    /// Starts one.
    #[must_use]
    pub fn start(config: ConfigBuilder) -> Self {
        Self(S::start(config.build().expect("a valid configuration")))
    }

    /// The shell.
    pub const fn shell(&self) -> &S {
        &self.0
    }

    /// The shell, of a server that ends by itself.
    pub fn into_shell(self) -> S {
        self.0
    }

    /// An admitted client of this user, that was welcomed.
    #[must_use]
    pub fn client(&self, user: &str) -> Client {
        Client::admitted(self.0.address(), user)
    }

    /// The same with little room in its socket.
    #[must_use]
    pub fn narrow_client(&self, user: &str) -> Client {
        Client::narrow_admitted(self.0.address(), user)
    }

    /// The registry's counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.call(|registry, _| registry.stats())
    }

    /// Waits until they are as wanted.
    pub fn until(&self, says: &str, mut wanted: impl FnMut(&Stats) -> bool) -> Stats {
        let end = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {says}; {stats:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a count stays as it is for a second.
    pub fn until_still(&self, says: &str, count: impl Fn(&Stats) -> u64) {
        let (mut before, mut since) = (None, Instant::now());
        self.until(says, |stats| {
            let now = Some(count(stats));
            if now != before {
                (before, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_secs(1)
        });
    }

    /// Waits until nothing is left, and has the registry recount itself.
    pub fn until_empty(&self) -> Stats {
        let stats = self.until("no connection and no session is left", |stats| {
            stats.live == 0 && stats.pending == 0 && stats.sessions == 0
        });
        assert_eq!(self.0.call(|registry, _| registry.check()), Ok(()));
        assert_eq!((stats.open, stats.users), (0, 0));
        assert_eq!(stats.opened, stats.closed_total());
        stats
    }

    /// Everything has ended, and the server does.
    pub fn end(self) {
        self.until_empty();
        self.0.stop();
        self.0.join();
    }
}
