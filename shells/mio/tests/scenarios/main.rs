//! The stories that broke connection managers written the usual way, on real sockets and in real
//! time, with the criteria of the ones in virtual time: nobody is locked out, no healthy connection
//! is closed unless the story asks for it, nothing is left over, and every count is exact.
//!
//! Pauses are part of the stories; whatever else takes time is waited for.

mod churn;
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod day;
mod limits;
mod resume;
mod stalled;
mod tabs;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use headcount::{ConfigBuilder, ConnId, Message, SessionId, Stats, Target, ThreadId, UserId};
use headcount_mio::Handle;

/// The limits that the stories were told with: 20 of everything per user.
fn twenty() -> ConfigBuilder {
    config().connections_per_user(20).sessions_per_user(20).session_idle(Duration::from_secs(300))
}

/// Paces a story: the time of its n-th step does not depend on how long the others took.
struct Pace {
    begin: Instant,
    step: Duration,
    steps: u32,
}

impl Pace {
    fn of(step: Duration) -> Self {
        Self { begin: Instant::now(), step, steps: 0 }
    }

    /// Waits until the next step is due.
    fn next(&mut self) {
        self.steps += 1;
        let due = self.begin + self.step * self.steps;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Where a story takes place. Several may share one server.
#[derive(Clone)]
struct Site {
    address: SocketAddr,
    handle: Handle,
}

impl Site {
    fn of(server: &TestServer) -> Self {
        Self { address: server.address, handle: server.handle.clone() }
    }

    /// An upgraded and admitted connection.
    fn tab(&self, user: &str, thread: &str) -> Tab {
        Tab { client: Client::admitted(self.address, &format!("{user}&thread={thread}")) }
    }

    /// The answer to a connect that is refused.
    fn refusal(&self, user: &str, thread: &str) -> (u16, String, String) {
        let mut client = Client::bare(self.address);
        client.send(upgrade(&format!("?user={user}&thread={thread}")).as_bytes());
        client.answer()
    }

    /// A message to all connections of a user.
    fn tell(&self, user: &str, text: &str) {
        let (user, text) = (UserId::new(user).unwrap(), text.to_owned());
        let delivery = self.handle.call(move |context| {
            context.registry.send(context.now, Target::User(&user), Message::text(text))
        });
        assert!(!delivery.unwrap().reaches_none());
    }

    /// The user's open connections.
    fn connections_of(&self, user: &str) -> usize {
        let user = UserId::new(user).unwrap();
        self.handle
            .call(move |context| context.registry.user(&user).map_or(0, |it| it.connection_count()))
            .unwrap() as usize
    }

    fn session(&self, user: &str, thread: &str) -> Option<SessionId> {
        let (user, thread) = (UserId::new(user).unwrap(), ThreadId::new(thread).unwrap());
        self.handle
            .call(move |context| {
                context.registry.user(&user).and_then(|it| it.session(&thread)).map(|it| it.id())
            })
            .unwrap()
    }

    /// Waits until the server has noticed that so many of the user's connections are left.
    fn until_connections(&self, user: &str, wanted: usize) {
        let end = Instant::now() + PATIENCE;
        while self.connections_of(user) != wanted {
            assert!(Instant::now() < end, "{} instead of {wanted}", self.connections_of(user));
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Closes one connection from the server's side.
    fn close(&self, conn: ConnId) {
        let closed = self.handle.call(move |context| {
            let reason = headcount::CloseReason::Application;
            context.registry.close(context.now, Target::Conn(conn), reason)
        });
        assert_eq!(closed, Ok(1));
    }

    /// Recounts everything, and compares the counts with each other.
    fn books(&self) -> Stats {
        let (stats, check) = self
            .handle
            .call(|context| (context.registry.stats(), context.registry.check()))
            .unwrap();
        assert_eq!(check, Ok(()));
        assert_eq!(stats.opened, u64::from(stats.live) + stats.closed_total());
        stats
    }
}

/// A client that answers pings whenever it reads.
struct Tab {
    client: Client,
}

impl Tab {
    /// The next frame that is no ping.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            let (first, payload) = self.client.frame();
            if first != PING {
                return (first, payload);
            }
            self.client.send(&frame(PONG, &payload));
        }
    }

    /// The next message is this one.
    fn hears(&mut self, text: &str) {
        let (first, payload) = self.frame();
        assert_eq!((first, String::from_utf8_lossy(&payload).as_ref()), (TEXT, text));
    }

    /// It is served, and was told nothing that it has not read.
    fn is_well(&mut self) {
        self.client.say("still here?");
        self.hears("still here?");
    }

    /// Answers the next ping.
    fn is_pinged(&mut self) {
        let (first, payload) = self.client.frame();
        assert_eq!(first, PING);
        self.client.send(&frame(PONG, &payload));
    }

    /// The server has closed it with this code; it answers, and is gone.
    fn expect_close(mut self, code: u16) {
        let (first, payload) = self.frame();
        assert_eq!(first, CLOSE, "{:?}", String::from_utf8_lossy(&payload));
        assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), code);
        self.client.send(&frame(CLOSE, &payload[..2]));
        self.client.expect_end();
    }

    /// Says goodbye as a browser does.
    fn close(mut self) {
        self.client.send(&frame(CLOSE, &close_payload(1001)));
        assert_eq!(self.frame().0, CLOSE);
    }

    /// Goes without a word.
    fn hang_up(self) {}
}
