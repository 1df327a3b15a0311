//! A server to test. The application and the client are those of the conformance tests.

#![allow(dead_code, unused_imports)] // Each test binary uses a part of it.

pub(crate) mod sizes;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use headcount::{
    Action, Admitted, Body, CloseReason, Config, ConfigBuilder, ConnId, Ended, Message, Position,
    Source, Stats, StreamRef, UserId,
};
use headcount_conformance::{Application, DRAINING, Verdict as Asked, gap};
use headcount_mio::{
    Answer, BufMut, Context, Dialect, FrameKind, Handle, Handler, Options, Outcome, Payload,
    Request, Server, Verdict,
};

pub(crate) use headcount_conformance::wire::*;
pub(crate) use headcount_conformance::{Client, PATIENCE, config, since};

/// Serves the [`Application`]. With `?later=U` a request is decided about later, for as long as the server's
/// `undecided` is true.
pub(crate) struct TestHandler {
    pub(crate) gone: Sender<Departure>,
    undecided: Arc<AtomicBool>,
    /// Sockets come from their addresses, and share the places of those who wait.
    has_sources: bool,
}

/// What the handler was told of a connection or a session that is gone, and when.
pub(crate) struct Departure {
    pub(crate) what: Ended,
    pub(crate) reason: CloseReason,
    pub(crate) at: Instant,
}

impl Handler for TestHandler {
    fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
        let query = request.query().unwrap_or_default();
        let late = query.strip_prefix("later=");
        if late.is_some() && self.undecided.load(Ordering::Relaxed) {
            return Verdict::Later;
        }
        assert_eq!(request.has_waited(), late.is_some());
        let late = late.map(|user| format!("user={user}"));
        match Application::verdict(late.as_deref().unwrap_or(query)) {
            Asked::Admit(who, start) => Verdict::Admit { who, start, previous: None },
            Asked::Pending => Verdict::Pending,
            Asked::Refuse => Verdict::Refuse(Answer::json(400, "bad_user", "no such name")),
        }
    }

    fn admitted(&mut self, context: &mut Context<'_>, conn: ConnId, admitted: Admitted) {
        assert_eq!(
            context.registry.connection(conn).and_then(|it| it.session()),
            admitted.followed.map(|it| it.session)
        );
        let welcome = Application.admitted(context.registry, context.now, conn);
        reply(context, conn, &welcome);
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        let said = match payload {
            Payload::Text(text) => Message::text(text),
            Payload::Binary(bytes) => Message::binary(bytes.to_vec()),
        };
        if let Some(answer) = Application.message(context.registry, context.now, conn, said) {
            reply(context, conn, &answer);
        }
        Outcome::Done
    }

    fn source(&mut self, peer: SocketAddr) -> Option<Source> {
        self.has_sources.then(|| Source::from(peer.ip()))
    }

    fn dialect(&self, conn: ConnId, _: StreamRef<'_>) -> Dialect {
        Dialect(Application.dialect(conn))
    }

    fn encode(
        &mut self,
        dialect: Dialect,
        stream: StreamRef<'_>,
        position: Option<Position>,
        body: Body<'_>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        let action = Action::Send { to: &[], stream, position, body };
        let message = Application.encode(dialect.0, &action).expect("a data message");
        out.put_slice(message.payload());
        if message.is_text() { FrameKind::Text } else { FrameKind::Binary }
    }

    fn encode_gap(
        &mut self,
        _: Dialect,
        _: StreamRef<'_>,
        from: u64,
        to: u64,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(gap(from, to).as_bytes());
        FrameKind::Text
    }

    fn encode_draining(
        &mut self,
        _: Dialect,
        _: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(DRAINING.as_bytes());
        FrameKind::Text
    }

    fn presence(&mut self, context: &mut Context<'_>, user: &UserId, online: bool) {
        Application.presence(context.registry, context.now, user, online);
    }

    fn cleanup(&mut self, what: Ended, reason: CloseReason) {
        let _ = self.gone.send(Departure { what, reason, at: Instant::now() });
    }
}

/// By the shell's own reply, which may be written at once.
fn reply(context: &mut Context<'_>, conn: ConnId, message: &Message) {
    let payload = &message.payload()[..];
    let answer = match str::from_utf8(payload) {
        Ok(text) if message.is_text() => Payload::Text(text),
        _ => Payload::Binary(payload),
    };
    context.reply(conn, answer).unwrap();
}

/// A server on a thread of its own, stopped when dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) gone: Receiver<Departure>,
    undecided: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl TestServer {
    pub(crate) fn start(config: ConfigBuilder) -> Self {
        Self::bind(config, Options::new()).run()
    }

    pub(crate) fn bind(config: ConfigBuilder, options: Options) -> Bound {
        Self::bind_built(config.build().unwrap(), options)
    }

    pub(crate) fn bind_built(config: Config, options: Options) -> Bound {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(address, config, options).unwrap();
        Bound { server, has_sources: true }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.handle.call(|context| context.registry.stats()).unwrap()
    }

    /// Waits until the server's state is as wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Stats) -> bool) -> Stats {
        let end = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}; {stats:?}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until no connection is left, and recounts.
    pub(crate) fn until_empty(&self) -> Stats {
        let stats = self.until("nobody is left", |stats| {
            stats.live == 0 && stats.pending == 0 && stats.sessions == 0
        });
        let check =
            self.handle.call(|context| (context.registry.check(), context.registry.is_idle()));
        let (check, _) = check.unwrap();
        assert_eq!(check, Ok(()));
        assert_eq!((stats.open, stats.users, stats.sessions), (0, 0, 0));
        assert_eq!(stats.opened, stats.closed_total());
        stats
    }

    /// The reason of the next connection that is cleaned up.
    pub(crate) fn next_gone(&self) -> CloseReason {
        loop {
            let departure = self.gone.recv_timeout(PATIENCE).expect("a cleanup");
            if let Ended::Conn(_) = departure.what {
                return departure.reason;
            }
        }
    }

    /// Who asked with `later` can be told who it is.
    pub(crate) fn decide(&self) {
        self.undecided.store(false, Ordering::Relaxed);
        self.handle.authenticate_again();
    }

    /// The loop's thread.
    pub(crate) fn thread(&self) -> &JoinHandle<io::Result<()>> {
        self.thread.as_ref().unwrap()
    }

    /// Waits for the end of the loop.
    pub(crate) fn join(mut self) -> io::Result<()> {
        self.thread.take().unwrap().join().expect("the loop does not panic")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle.stop();
            self.handle.stop();
            let ended = thread.join();
            if !thread::panicking() {
                ended.expect("the loop does not panic").unwrap();
            }
        }
    }
}

/// A server that does not run yet.
pub(crate) struct Bound {
    pub(crate) server: Server,
    pub(crate) has_sources: bool,
}

impl Bound {
    pub(crate) fn run(self) -> TestServer {
        let (sender, gone) = channel();
        let (address, handle) = (self.server.local_addr(), self.server.handle());
        let undecided = Arc::new(AtomicBool::new(true));
        let undecided_too = Arc::clone(&undecided);
        let has_sources = self.has_sources;
        let handler = TestHandler { gone: sender, undecided: undecided_too, has_sources };
        let thread = Some(thread::spawn(move || self.server.run(handler)));
        TestServer { address, handle, gone, undecided, thread }
    }
}
