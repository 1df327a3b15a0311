//! A server to test, and a client that shares no code with it: hand-made frames on a plain socket.

#![allow(dead_code)] // Each test binary uses a part of it.

pub(crate) mod sizes;
mod wire;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use headcount::{
    Admitted, CloseReason, Config, ConfigBuilder, ConnId, Ended, Message, Position, Principal,
    RoomId, Start, Stats, StreamRef, Target, ThreadId, UserId,
};
use headcount_mio::{
    Answer, BufMut, Context, Dialect, FrameKind, Handle, Handler, Options, Outcome, Payload,
    Request, Server, Verdict,
};

pub(crate) use wire::*;

/// Longer than anything takes on a busy machine, and only waited for when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Generous limits and short times.
pub(crate) fn config() -> ConfigBuilder {
    Config::builder(7)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .message_rate(0)
        .connections_per_user(10_000)
        .sessions_per_user(10_000)
        .session_linger(Duration::ZERO)
        // An echo is as long as the message.
        .reply_reserve(1 << 20)
        .close_handshake(Duration::from_secs(10))
        .drain_grace(Duration::ZERO)
        .drain_deadline(Duration::from_secs(2))
}

/// Echoes, and obeys a few commands. The user is named in the query (`?user=U` or
/// `?user=U&thread=T`), and after `&since=` where its session goes on, as epoch and offset; without
/// one the socket is pending until its first message names the user. With `?later=U` it is decided
/// about later, for as long as the server's `undecided` is true.
pub(crate) struct TestHandler {
    pub(crate) gone: Sender<Departure>,
    undecided: Arc<AtomicBool>,
}

/// What the handler was told of a connection or a session that is gone, and when.
pub(crate) struct Departure {
    pub(crate) what: Ended,
    pub(crate) reason: CloseReason,
    pub(crate) at: Instant,
}

/// What [`since`] makes, as the server reads it.
fn start(text: &str) -> Start {
    let position = text.split_once(':').and_then(|(epoch, offset)| {
        Some(Position { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? })
    });
    position.map_or(Start::OpenRuns, Start::After)
}

/// What a client that comes back adds to its user.
pub(crate) fn since(position: Position) -> String {
    format!("&since={}:{}", position.epoch, position.offset)
}

fn principal(name: &str) -> Option<Principal> {
    let (user, thread) = name.split_once("&thread=").unwrap_or((name, "main"));
    Some(Principal::new(UserId::new(user).ok()?).with_thread(ThreadId::new(thread).ok()?))
}

impl Handler for TestHandler {
    fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
        let query = request.query().unwrap_or_default();
        let late = query.strip_prefix("later=");
        if late.is_some() && self.undecided.load(Ordering::Relaxed) {
            return Verdict::Later;
        }
        assert_eq!(request.has_waited(), late.is_some());
        match late.or_else(|| query.strip_prefix("user=")) {
            None => Verdict::Pending,
            Some(user) => {
                let (user, since) = user.split_once("&since=").unwrap_or((user, ""));
                match principal(user) {
                    Some(who) => Verdict::Admit { who, start: start(since), previous: None },
                    None => Verdict::Refuse(Answer::json(400, "bad_user", "no such name")),
                }
            }
        }
    }

    fn admitted(&mut self, context: &mut Context<'_>, conn: ConnId, admitted: Admitted) {
        assert_eq!(
            context.registry.connection(conn).and_then(|it| it.session()),
            admitted.followed.map(|it| it.session)
        );
        context.reply(conn, "welcome").unwrap();
        let room = RoomId::new("all").unwrap();
        context.registry.join(context.now, conn, &room, Start::Now).unwrap();
    }

    fn message(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        payload: Payload<'_>,
    ) -> Outcome {
        if context.registry.connection(conn).and_then(|it| it.user()).is_none() {
            let Payload::Text(user) = payload else { return Outcome::Done };
            match principal(user) {
                Some(who) => {
                    context
                        .registry
                        .connect(context.now, conn, who, Start::OpenRuns, None)
                        .unwrap();
                    context.reply(conn, "welcome").unwrap();
                }
                None => {
                    let reason = CloseReason::BadCredentials;
                    context.registry.close(context.now, Target::Conn(conn), reason);
                }
            }
            return Outcome::Done;
        }
        let handle = conn.to_bits().to_string();
        let answer = match payload {
            Payload::Text("close me") => {
                context.registry.close(context.now, Target::Conn(conn), CloseReason::Application);
                return Outcome::Done;
            }
            Payload::Text("my handle") => Payload::Text(&handle),
            Payload::Text(text) => match text.strip_prefix("to all: ") {
                Some(text) => {
                    let room = RoomId::new("all").unwrap();
                    context.registry.send(context.now, Target::Room(&room), Message::text(text));
                    return Outcome::Done;
                }
                None => payload,
            },
            Payload::Binary(_) => payload,
        };
        context.reply(conn, answer).unwrap();
        Outcome::Done
    }

    fn encode_gap(
        &mut self,
        _: Dialect,
        _: StreamRef<'_>,
        from: u64,
        to: u64,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(format!("gap {from}..={to}").as_bytes());
        FrameKind::Text
    }

    fn encode_draining(
        &mut self,
        _: Dialect,
        _: Range<Duration>,
        out: &mut impl BufMut,
    ) -> FrameKind {
        out.put_slice(b"draining");
        FrameKind::Text
    }

    fn presence(&mut self, context: &mut Context<'_>, user: &UserId, online: bool) {
        let said = format!("{user} is {}", if online { "online" } else { "offline" });
        context.registry.send(context.now, Target::Everyone, Message::from(said));
    }

    fn cleanup(&mut self, what: Ended, reason: CloseReason) {
        let _ = self.gone.send(Departure { what, reason, at: Instant::now() });
    }
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
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Bound { server: Server::bind(address, config.build().unwrap(), options).unwrap() }
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
}

impl Bound {
    pub(crate) fn run(self) -> TestServer {
        let (sender, gone) = channel();
        let (address, handle) = (self.server.local_addr(), self.server.handle());
        let undecided = Arc::new(AtomicBool::new(true));
        let handler = TestHandler { gone: sender, undecided: Arc::clone(&undecided) };
        let thread = Some(thread::spawn(move || self.server.run(handler)));
        TestServer { address, handle, gone, undecided, thread }
    }
}

/// A client with its own idea of the protocol.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    /// A bare connection.
    pub(crate) fn bare(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// A bare connection with little room in its socket.
    pub(crate) fn narrow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.set_send_buffer_size(8 * 1024).unwrap();
        socket.connect(&address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// An upgraded and admitted connection that was welcomed.
    pub(crate) fn admitted(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::upgraded(address, &format!("?user={user}"));
        assert_eq!(client.text(), "welcome");
        client
    }

    /// The same with little room in its socket.
    pub(crate) fn narrow_admitted(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::narrow(address).upgrade(&format!("?user={user}"));
        assert_eq!(client.text(), "welcome");
        client
    }

    pub(crate) fn upgraded(address: SocketAddr, query: &str) -> Self {
        Self::bare(address).upgrade(query)
    }

    fn upgrade(mut self, query: &str) -> Self {
        self.send(upgrade(query).as_bytes());
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        self
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.send(&frame(TEXT, text.as_bytes()));
    }

    /// The handle that the server knows this connection by.
    pub(crate) fn conn(&mut self) -> ConnId {
        self.say("my handle");
        ConnId::from_bits(self.text().parse().unwrap()).unwrap()
    }

    /// Ends with a reset: at once, with nothing left in the kernel, and no port that rests.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn shutdown_write(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads a head, and not a byte more.
    pub(crate) fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.bytes(1)[0]);
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next frame: its first byte and its payload. Frames of a server are not masked.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let header = self.bytes(2);
        let length = match header[1] {
            length @ 0..126 => usize::from(length),
            126 => usize::from(u16::from_be_bytes(self.bytes(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.bytes(8).try_into().unwrap()) as usize,
            _ => panic!("a masked frame from a server"),
        };
        (header[0], self.bytes(length))
    }

    /// The next frame, which is text.
    pub(crate) fn text(&mut self) -> String {
        let (first, payload) = self.frame();
        assert_eq!(first, TEXT, "{:?}", String::from_utf8_lossy(&payload));
        String::from_utf8(payload).unwrap()
    }

    /// The next frame, which closes with this code, and nothing after it but the end.
    pub(crate) fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.frame();
        assert_eq!(first, CLOSE, "{:?}", String::from_utf8_lossy(&payload));
        assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), code);
    }

    /// What a drain looks like: it is announced, and then comes the close.
    pub(crate) fn expect_drain(&mut self) {
        assert_eq!(self.text(), "draining");
        self.expect_close(1012);
    }

    /// Nothing comes any more: the server has shut down its side.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }

    /// Everything up to the end of the stream: a head and the body that it announces.
    pub(crate) fn answer(&mut self) -> (u16, String, String) {
        let head = self.head();
        let status = head[9..12].parse().unwrap();
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
        let length = head.split("\r\nContent-Length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = Vec::new();
        self.stream.read_to_end(&mut body).unwrap();
        assert_eq!(body.len(), length, "{head}");
        let body = String::from_utf8(body).unwrap();
        assert!(body.starts_with("{\"error\":{\"code\":\"") && body.ends_with("\"}}"), "{body}");
        (status, head, body)
    }

    /// Whether the server has dropped the connection: the end or a reset.
    pub(crate) fn expect_dropped(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
