//! A client that shares no code with any server: hand-made frames on a plain socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use headcount::ConnId;

use crate::application::{DRAINING, WELCOME};
use crate::wire::{CLOSE, TEXT, frame, upgrade};

/// Longer than anything takes on a busy machine, and only waited for when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A client with its own idea of the protocol.
#[derive(Debug)]
pub struct Client {
    /// Its socket.
    pub stream: TcpStream,
}

impl Client {
    /// A bare connection.
    pub fn bare(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// A bare connection with little room in its socket.
    pub fn narrow(address: SocketAddr) -> Self {
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
    pub fn admitted(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::upgraded(address, &format!("?user={user}"));
        assert_eq!(client.text(), WELCOME);
        client
    }

    /// The same with little room in its socket.
    pub fn narrow_admitted(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::narrow(address).upgrade(&format!("?user={user}"));
        assert_eq!(client.text(), WELCOME);
        client
    }

    /// An upgraded connection, with this query, `?` included.
    #[must_use]
    pub fn upgraded(address: SocketAddr, query: &str) -> Self {
        Self::bare(address).upgrade(query)
    }

    fn upgrade(mut self, query: &str) -> Self {
        self.send(upgrade(query).as_bytes());
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        // RFC 6455 §1.3 has the answer to the key of its example.
        let accepts = |line: &str| {
            line.split_once(": ").is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("sec-websocket-accept")
                    && value == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            })
        };
        assert!(head.lines().any(accepts), "{head}");
        self
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a text message.
    pub fn say(&mut self, text: &str) {
        self.send(&frame(TEXT, text.as_bytes()));
    }

    /// The handle that the server knows this connection by.
    pub fn conn(&mut self) -> ConnId {
        self.say("my handle");
        ConnId::from_bits(self.text().parse().unwrap()).unwrap()
    }

    /// Ends with a reset: at once, with nothing left in the kernel, and no port that rests.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Ends its own side.
    pub fn shutdown_write(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads a head, and not a byte more.
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.bytes(1)[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// The next bytes, so many.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next frame: its first byte and its payload. Frames of a server are not masked.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
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
    pub fn text(&mut self) -> String {
        let (first, payload) = self.frame();
        assert_eq!(first, TEXT, "{:?}", String::from_utf8_lossy(&payload));
        String::from_utf8(payload).unwrap()
    }

    /// The next frame, which closes with this code, and nothing after it but the end.
    pub fn expect_close(&mut self, code: u16) {
        let (first, payload) = self.frame();
        assert_eq!(first, CLOSE, "{:?}", String::from_utf8_lossy(&payload));
        assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), code);
    }

    /// What a drain looks like: it is announced, and then comes the close.
    pub fn expect_drain(&mut self) {
        assert_eq!(self.text(), DRAINING);
        self.expect_close(1012);
    }

    /// Nothing comes any more: the server has shut down its side.
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
    }

    /// Everything up to the end of the stream: a head and the body that it announces.
    pub fn answer(&mut self) -> (u16, String, String) {
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
    pub fn expect_dropped(&mut self) {
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
