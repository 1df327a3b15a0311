//! The floor: finds the ends of frames, and writes bytes that were encoded before. It keeps nothing of a
//! connection but its socket, believes all that it reads, and serves the load generator only.
//!
//! `raw PORT` serves `/echo`, `/sub` and `/pub` on loopback. What a message says is not looked at: one of
//! the same length is sent.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// To the sample nonce of RFC 6455, which the load generator sends.
const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Copies of an encoded frame that one write can take.
const COPIES: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Echo,
    Subscriber,
    Publisher,
}

struct Socket {
    stream: TcpStream,
    kind: Kind,
    /// Of a frame or a request that comes in pieces.
    partial: Vec<u8>,
}

/// Answers by the length of their payload, each several times over.
#[derive(Default)]
struct Encoded {
    frames: HashMap<usize, (usize, Vec<u8>)>,
}

impl Encoded {
    fn copies(&mut self, payload: usize, copies: usize) -> &[u8] {
        let (each, bytes) = self.frames.entry(payload).or_insert_with(|| {
            let mut frame = vec![0x81];
            match payload {
                0..126 => frame.push(payload as u8),
                126..0x1_0000 => {
                    frame.push(126);
                    frame.extend((payload as u16).to_be_bytes());
                }
                _ => {
                    frame.push(127);
                    frame.extend((payload as u64).to_be_bytes());
                }
            }
            frame.resize(frame.len() + payload, b'x');
            (frame.len(), frame.repeat(COPIES))
        });
        &bytes[..*each * copies.min(COPIES)]
    }
}

/// The length of the frame's payload, and of the whole frame; `None`: its head is not complete.
fn frame(input: &[u8]) -> Option<(usize, usize)> {
    let second = *input.get(1)?;
    let (head, payload) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?]))),
        127 => (10, u64::from_be_bytes(input.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(short)),
    };
    Some((payload, head + 4 + payload))
}

/// What a turn found in a socket's input: messages of one length in a row, and how many.
type Found = Vec<(usize, usize)>;

/// Takes whole frames. A close frame ends the connection.
fn frames(mut input: &[u8], found: &mut Found) -> Option<usize> {
    let all = input.len();
    while let Some((payload, length)) = frame(input)
        && length <= input.len()
    {
        match input[0] & 0x0f {
            0x8 => return None,
            1 | 2 => match found.last_mut() {
                Some((last, count)) if *last == payload => *count += 1,
                _ => found.push((payload, 1)),
            },
            _ => {}
        }
        input = &input[length..];
    }
    Some(all - input.len())
}

/// A socket that does not take all at once is too slow for a floor: it ends.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    loop {
        match stream.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(taken) => return taken == bytes.len(),
            Err(_) => return false,
        }
    }
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    subscribers: Vec<usize>,
    encoded: Encoded,
    buffer: Vec<u8>,
    found: Found,
}

impl Server {
    fn accept(&mut self) -> std::io::Result<()> {
        loop {
            let (mut stream, _) = match self.listener.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                accepted => accepted?,
            };
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or(self.sockets.len());
            self.poll.registry().register(&mut stream, Token(place), Interest::READABLE)?;
            let socket = Some(Socket { stream, kind: Kind::Request, partial: Vec::new() });
            if place == self.sockets.len() {
                self.sockets.push(socket);
            } else {
                self.sockets[place] = socket;
            }
        }
    }

    fn end(&mut self, place: usize) {
        if self.sockets[place].take().is_some_and(|socket| socket.kind == Kind::Subscriber) {
            self.subscribers.retain(|subscriber| *subscriber != place);
        }
        self.free.push(place);
    }

    /// `false`: the connection has ended.
    fn readable(&mut self, place: usize) -> bool {
        loop {
            let Some(socket) = &mut self.sockets[place] else { return true };
            let read = match socket.stream.read(&mut self.buffer) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            self.found.clear();
            let input = &self.buffer[..read];
            if socket.kind == Kind::Request {
                socket.partial.extend_from_slice(input);
                if !socket.partial.ends_with(b"\r\n\r\n") {
                    continue;
                }
                socket.kind = match socket.partial.get(..8) {
                    Some(b"GET /ech") => Kind::Echo,
                    Some(b"GET /sub") => Kind::Subscriber,
                    Some(b"GET /pub") => Kind::Publisher,
                    _ => return false,
                };
                socket.partial = Vec::new();
                if socket.kind == Kind::Subscriber {
                    self.subscribers.push(place);
                }
                if !write(&mut socket.stream, UPGRADE) {
                    return false;
                }
            } else if socket.partial.is_empty() {
                let Some(taken) = frames(input, &mut self.found) else { return false };
                socket.partial.extend_from_slice(&input[taken..]);
            } else {
                socket.partial.extend_from_slice(input);
                let Some(taken) = frames(&socket.partial, &mut self.found) else { return false };
                socket.partial.drain(..taken);
                if socket.partial.is_empty() {
                    socket.partial = Vec::new();
                }
            }
            if !self.answer(place) {
                return false;
            }
            if read < self.buffer.len() {
                return true;
            }
        }
    }

    /// Writes once for each length in a row. `false`: the connection has ended.
    fn answer(&mut self, place: usize) -> bool {
        for &(payload, count) in &self.found {
            for done in (0..count).step_by(COPIES) {
                let bytes = self.encoded.copies(payload, count - done);
                let Some(socket) = &mut self.sockets[place] else { return false };
                if socket.kind == Kind::Echo {
                    if !write(&mut socket.stream, bytes) {
                        return false;
                    }
                } else if socket.kind == Kind::Publisher {
                    for subscriber in &self.subscribers {
                        if let Some(socket) = &mut self.sockets[*subscriber] {
                            // It reads the end of its stream when the kernel tells it.
                            let _ = write(&mut socket.stream, bytes);
                        }
                    }
                }
            }
        }
        true
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("give a port")?.parse()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    println!("ws://{}", listener.local_addr()?);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server {
        poll,
        listener,
        sockets: Vec::new(),
        free: Vec::new(),
        subscribers: Vec::new(),
        encoded: Encoded::default(),
        buffer: vec![0; 64 * 1_024],
        found: Vec::new(),
    };
    let mut events = Events::with_capacity(1_024);
    loop {
        match server.poll.poll(&mut events, Some(Duration::from_secs(60))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                server.accept()?;
            } else if !server.readable(event.token().0) {
                server.end(event.token().0);
            }
        }
    }
}
