//! A client of the admin port: one connection that is kept, one request at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Admin {
    address: SocketAddr,
    socket: Option<BufReader<TcpStream>>,
    body: Vec<u8>,
}

impl Admin {
    pub(crate) const fn new(address: SocketAddr) -> Self {
        Self { address, socket: None, body: Vec::new() }
    }

    /// A `POST` that must succeed. Its answer is read and thrown away.
    pub(crate) fn post(&mut self, path: &str, body: &str) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let status = self.ask(&head);
        let answer = String::from_utf8_lossy(&self.body);
        assert!((200..300).contains(&status), "POST {path} {body}: {status} {answer}");
    }

    /// What the counters are: `GET /v1/stats`.
    pub(crate) fn stats(&mut self) -> Value {
        // The server hangs up on a connection that was idle for long.
        self.socket = None;
        let status = self.ask("GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(status, 200);
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Sends a request, reads the answer's body, and returns the status.
    fn ask(&mut self, request: &str) -> u16 {
        let mut socket = self.socket.take().unwrap_or_else(|| {
            let socket = TcpStream::connect(self.address).expect("the admin port listens");
            socket.set_nodelay(true).expect("a socket");
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
            BufReader::new(socket)
        });
        socket.get_mut().write_all(request.as_bytes()).expect("a request is taken");
        let mut line = String::new();
        socket.read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (mut length, mut closes) = (0, false);
        loop {
            line.clear();
            socket.read_line(&mut line).expect("a head");
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.trim().parse().expect("a length"),
                "connection" => closes = value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        self.body.resize(length, 0);
        socket.read_exact(&mut self.body).expect("a body");
        self.socket = (!closes).then_some(socket);
        status.expect("a status")
    }
}
