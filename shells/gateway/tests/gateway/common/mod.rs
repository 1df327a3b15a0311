//! The real binary on free ports, and clients that know nothing of its insides.

pub(crate) mod back_end;
pub(crate) mod behind_proxy;
pub(crate) mod browser;
pub(crate) mod follower;
pub(crate) mod proxy;
pub(crate) mod site;
pub(crate) mod tokens;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headcount_protocol::server_frames::{self, Frame};
use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

/// Nothing here takes longer on a machine that is merely slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The command, without settings from the environment of whoever runs the tests.
pub(crate) fn headcount() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcount"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HEADCOUNT_") {
            command.env_remove(name);
        }
    }
    command
}

/// A file of settings of one test. Removed when the test is over.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("headcount-{}-{number}.toml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn remove(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A running gateway. Killed when the test is over.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) websocket: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// Kept open and not read, where a test wants that.
    unread: Option<ChildStderr>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With settings, each `table.key=value`.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Self::at("127.0.0.1:0", "127.0.0.1:0", settings)
    }

    /// The same on ports of the test's choice.
    pub(crate) fn at(listen: &str, admin: &str, settings: &[&str]) -> Self {
        let mut command = headcount();
        command.args(["serve", "--listen", listen, "--admin", admin]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        Self::spawn(command, true)
    }

    /// With a log that nobody reads.
    pub(crate) fn unread(settings: &[&str]) -> Self {
        let mut command = headcount();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        Self::spawn(command, false)
    }

    /// With a command of the test's own.
    pub(crate) fn run(command: Command) -> Self {
        Self::spawn(command, true)
    }

    fn spawn(mut command: Command, read: bool) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut unread = child.stderr.take();
        let reader = unread.take_if(|_| read).map(|stderr| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    log.lock().unwrap().push_str(&(line + "\n"));
                }
            })
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = |what: &str| {
            let line = lines.next().unwrap_or_else(|| panic!("no line: {}", log.lock().unwrap()));
            line.unwrap().strip_prefix(what).unwrap().to_owned()
        };
        let websocket = line("websocket ws://").strip_suffix("/ws").unwrap().parse().unwrap();
        let admin = line("admin http://").strip_suffix("/").unwrap().parse().unwrap();
        Self { child, websocket, admin, log, reader, unread }
    }

    pub(crate) fn connect(&self, query: &str) -> Client {
        Client::connect(self.websocket, query).expect("an upgrade")
    }

    /// The status and the body of an upgrade that is refused.
    pub(crate) fn refused(&self, query: &str) -> (u16, Value) {
        let refused = Client::connect(self.websocket, query).map(|_| ()).expect_err("a refusal");
        (refused.0, serde_json::from_str(&refused.1).expect(&refused.1))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        request(self.admin, "GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        request(self.admin, "POST", path, &[("content-type", "application/json")], body)
    }

    /// A request with a key of the admin port; a body is sent as JSON.
    pub(crate) fn keyed(&self, key: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        request(self.admin, method, path, &headers, body)
    }

    pub(crate) fn publish(&self, to: &str, data: &str) -> Value {
        let answer = self.post("/v1/publish", &format!("{{\"to\":{to},\"data\":{data}}}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) fn stats(&self) -> Value {
        self.get("/v1/stats").json()
    }

    /// Waits until the statistics say so.
    pub(crate) fn until(&self, condition: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let stats = self.stats();
            if condition(&stats) {
                return stats;
            }
            assert!(start.elapsed() < PATIENCE, "still not so: {stats}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The log that nobody reads.
    pub(crate) fn take_unread(&mut self) -> ChildStderr {
        self.unread.take().expect("a server whose log is not read")
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The first line of the log that has all of these in it. Lines are written by a thread of
    /// their own, so one may come later than what it is about.
    pub(crate) fn logged(&self, parts: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            let mut lines = log.lines();
            if let Some(line) = lines.find(|line| parts.iter().all(|part| line.contains(part))) {
                return line.to_owned();
            }
            assert!(start.elapsed() < PATIENCE, "{parts:?} are not in a line of: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the process to end by itself, and for the rest of its log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        self.reader.take().map(JoinHandle::join);
        (status, self.log())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "the process does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A command that is to end by itself: how it did, and what it wrote on standard error.
pub(crate) fn ended(mut command: Command) -> (ExitStatus, String) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let status = wait(&mut child.0);
    let mut stderr = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (status, stderr)
}

/// A process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocket<TcpStream>,
    pub(crate) welcome: Value,
}

impl Client {
    /// Upgrades and reads the welcome; a refusal is its status and body.
    pub(crate) fn connect(address: SocketAddr, query: &str) -> Result<Self, (u16, String)> {
        let request = format!("ws://{address}/ws?{query}").into_client_request().unwrap();
        Self::upgrade(address, request)
    }

    pub(crate) fn with_header(
        address: SocketAddr,
        query: &str,
        name: &'static str,
        value: &str,
    ) -> Result<Self, (u16, String)> {
        let mut request = format!("ws://{address}/ws?{query}").into_client_request().unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        Self::upgrade(address, request)
    }

    fn upgrade(address: SocketAddr, request: Request) -> Result<Self, (u16, String)> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => {
                let mut client = Self { socket, welcome: Value::Null };
                client.welcome = client.next();
                assert_eq!(client.welcome["type"], "welcome", "the first frame");
                Ok(client)
            }
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                Err((response.status().as_u16(), String::from_utf8(body).unwrap()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) fn connection(&self) -> &str {
        self.welcome["connection"].as_str().unwrap()
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next message of any kind. A signal to this process is no reason to give up.
    pub(crate) fn read(&mut self) -> Message {
        loop {
            match self.socket.read() {
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                message => return message.unwrap(),
            }
        }
    }

    /// The next frame, which the crate of the wire must understand as clients in Rust would.
    pub(crate) fn next(&mut self) -> Value {
        loop {
            match self.read() {
                Message::Text(text) => {
                    let text = text.as_str();
                    let understood = server_frames::parse(text).expect(text);
                    assert!(!matches!(understood, Frame::Other(_)), "{text}");
                    return serde_json::from_str(text).unwrap();
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Sends a frame; the next one must be the answer.
    pub(crate) fn ask(&mut self, text: &str) -> Value {
        self.send(text);
        self.next()
    }

    /// Everything that has arrived, up to the answer to a ping sent now.
    pub(crate) fn drain(&mut self) -> Vec<Value> {
        self.send(r#"{"type":"ping","id":"drain"}"#);
        let mut frames = Vec::new();
        loop {
            let frame = self.next();
            if frame["request"] == "drain" {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// The data of the events that have arrived.
    pub(crate) fn data(&mut self) -> Vec<Value> {
        self.drain().into_iter().map(|mut frame| frame["data"].take()).collect()
    }

    /// Reads to the close frame: its code, 1005 if it has none.
    pub(crate) fn closed(&mut self) -> u16 {
        self.farewell().0
    }

    /// The same with the reason.
    pub(crate) fn farewell(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.read() {
                return frame.map_or((1005, String::new()), |frame| {
                    (frame.code.into(), frame.reason.as_str().to_owned())
                });
            }
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// The code of an error, whose shape is checked.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert!(json["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// One request on a connection of its own, with `Host` unless it is given.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    raw(address, format!("{head}\r\n{body}").as_bytes())
}

/// Bytes out, one answer in.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_ascii_lowercase();
    let body =
        if head.contains("transfer-encoding: chunked") { joined(body) } else { body.to_owned() };
    Answer { status, head, body }
}

/// A body that came in chunks, whole.
fn joined(mut chunks: &str) -> String {
    let mut body = String::new();
    loop {
        let (length, rest) = chunks.split_once("\r\n").expect(chunks);
        let length = usize::from_str_radix(length, 16).expect(length);
        if length == 0 {
            return body;
        }
        body.push_str(&rest[..length]);
        chunks = rest[length..].strip_prefix("\r\n").expect(rest);
    }
}
