//! One connection: its socket, and how far it has come.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::error::LoadError;
use crate::inbound::{Inbound, Seen};
use crate::target::{ACCEPT, Target};

/// The longest answer to a request, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

#[derive(Debug)]
enum Stage {
    /// The request is written when the socket can be.
    Connecting,
    /// The answer is on its way.
    Upgrading,
    Open,
}

/// A connection of a crowd.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    stage: Stage,
    inbound: Inbound,
    /// The request, then what the kernel has not taken.
    unsent: Vec<u8>,
    /// What has come of the answer.
    answer: Vec<u8>,
    pub(crate) began: Instant,
}

/// What an event of a socket brought.
pub(crate) enum Progress {
    Nothing,
    Opened(u32),
    Messages(u32),
    Ended,
}

impl Socket {
    pub(crate) fn connect(
        target: &Target,
        number: usize,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let to = target.address();
        let socket = RawSocket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = target.source(number) {
            socket.bind(&source.into())?;
        }
        begin(&socket, to)?;
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            stage: Stage::Connecting,
            inbound: Inbound::default(),
            unsent: target.request(number),
            answer: Vec::new(),
            began: Instant::now(),
        })
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// The socket can be read or written.
    pub(crate) fn ready(&mut self, buffer: &mut [u8]) -> Result<Progress, LoadError> {
        if matches!(self.stage, Stage::Connecting) {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            if self.stream.peer_addr().is_err() {
                return Ok(Progress::Nothing);
            }
            self.stage = Stage::Upgrading;
        }
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            if self.send(&unsent).is_err() {
                return self.ended();
            }
        }
        self.read(buffer)
    }

    /// Reads until the kernel has no more: it tells once.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Progress, LoadError> {
        let (mut seen, mut opened) = (Seen::default(), false);
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return self.ended(),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.ended(),
            };
            let input = &buffer[..length];
            if self.is_open() {
                self.inbound.take(input, &mut seen);
            } else {
                opened |= self.upgrade(input, &mut seen)?;
            }
            if seen.closed || seen.malformed {
                return self.ended();
            }
            // What comes later is told again.
            if length < buffer.len() {
                break;
            }
        }
        if !seen.pongs.is_empty() && self.send(&seen.pongs).is_err() {
            return self.ended();
        }
        Ok(match (opened, seen.messages) {
            (true, messages) => Progress::Opened(messages),
            (false, 0) => Progress::Nothing,
            (false, messages) => Progress::Messages(messages),
        })
    }

    /// Whether the answer is complete. What follows it are frames.
    fn upgrade(&mut self, input: &[u8], seen: &mut Seen) -> Result<bool, LoadError> {
        self.answer.extend_from_slice(input);
        let end = self.answer.windows(4).position(|at| at == b"\r\n\r\n");
        let Some(end) = end.map(|end| end + 4) else {
            if self.answer.len() > LONGEST_ANSWER {
                return Err(self.not_upgraded());
            }
            return Ok(false);
        };
        let accept = ACCEPT.as_bytes();
        let is_accepted = self.answer[..end].windows(accept.len()).any(|at| at == accept);
        if !self.answer.starts_with(b"HTTP/1.1 101") || !is_accepted {
            return Err(self.not_upgraded());
        }
        let answer = std::mem::take(&mut self.answer);
        self.inbound.take(&answer[end..], seen);
        self.stage = Stage::Open;
        Ok(true)
    }

    fn ended(&self) -> Result<Progress, LoadError> {
        if self.is_open() { Ok(Progress::Ended) } else { Err(self.not_upgraded()) }
    }

    fn not_upgraded(&self) -> LoadError {
        let said = String::from_utf8_lossy(&self.answer);
        let answer = match said.lines().next() {
            Some(line) => line.chars().take(100).collect(),
            None => "it ended without an answer".to_owned(),
        };
        LoadError::NotUpgraded { answer }
    }

    /// Writes, or keeps what the kernel does not take. An error: the connection has ended.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            while !bytes.is_empty() {
                match self.stream.write(bytes) {
                    Ok(taken) => bytes = &bytes[taken..],
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if bytes.is_empty() {
                // Memory of thousands of sockets: a request is kept no longer than it is needed.
                return Ok(());
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends without a port that waits: the next runs need them.
    pub(crate) fn reset(self) {
        let socket = RawSocket::from(std::net::TcpStream::from(self.stream));
        // Without effect the port waits for a minute, and another one is taken.
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    }
}

fn begin(socket: &RawSocket, to: SocketAddr) -> io::Result<()> {
    match socket.connect(&to.into()) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => Ok(()),
        result => result,
    }
}

/// `EINPROGRESS`, which has no stable kind in the standard library.
#[cfg(any(target_os = "linux", target_os = "android"))]
const IN_PROGRESS: i32 = 115;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const IN_PROGRESS: i32 = 36;
