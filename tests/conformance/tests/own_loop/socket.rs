//! One socket: its request, and then the frames of tungstenite. It decides nothing.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use headcount::*;
use headcount_conformance::{Application, Verdict};
use mio::net::TcpStream;
use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message as Frame, WebSocket};

/// What tungstenite is given before it has to flush: what is out is reported at least as often.
const CHUNK: u64 = 16 * 1024;
/// Frames that are read in one turn: other sockets are read in between.
const SHARE: usize = 64;

#[derive(Default)]
pub(crate) struct Socket {
    /// The head of its request, as far as it has come.
    request: Option<(TcpStream, Vec<u8>)>,
    upgraded: Option<WebSocket<TcpStream>>,
    /// Frames that tungstenite was not given yet, and their costs.
    pub(crate) frames: VecDeque<(Frame, u64)>,
    /// The cost of all that it was given, and the cost of the part that is not flushed.
    given: u64,
    unflushed: u64,
    /// A message that the registry has paused, and whether it is still paused.
    held: Option<Message>,
    is_paused: bool,
    /// The peer has sent its close frame: tungstenite answers it, and takes nothing else.
    was_closed: bool,
    /// Nothing more comes that can be understood.
    is_faulty: bool,
}

/// `None`: the socket has ended. `Some(None)`: it would block.
fn go_on<T>(result: Result<T, Error>) -> Option<Option<T>> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Some(None),
        other => other.ok().map(Some),
    }
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { request: Some((stream, Vec::new())), ..Self::default() }
    }

    /// Writes what waits, and reads its share. Whether there may be more to read; `None`: it has ended.
    pub(crate) fn serve(
        &mut self,
        to: &mut Registry,
        now: Timestamp,
        conn: ConnId,
    ) -> Option<bool> {
        if self.request.is_some() {
            self.read_request(to, now, conn)?;
        }
        self.write(to, now, conn)?;
        self.read(to, now, conn)
    }

    fn read_request(&mut self, to: &mut Registry, now: Timestamp, conn: ConnId) -> Option<()> {
        let (mut stream, mut head) = self.request.take()?;
        // A close before the upgrade: it is too late, too large, or the server ends.
        if !self.frames.is_empty() {
            let _ = stream.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
            return None;
        }
        let mut buffer = [0; 1024];
        let end = loop {
            if let Some(end) = head.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
            let Some(bytes) = go_on(stream.read(&mut buffer).map_err(Error::Io))? else {
                self.request = Some((stream, head));
                return Some(());
            };
            head.extend_from_slice(&buffer[..bytes]);
            let inbound = Inbound::Bytes { bytes: bytes as u64, partial: true };
            if bytes == 0 || to.message(now, conn, inbound).is_err() {
                return None;
            }
        };
        let rest = head.split_off(end);
        let head = String::from_utf8(head).ok()?;
        let query = head.strip_prefix("GET /ws")?.split(' ').next()?.trim_start_matches('?');
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
        match Application::verdict(query) {
            Verdict::Pending => to.upgraded(now, conn).ok()?,
            Verdict::Refuse => return None,
            Verdict::Admit(who, start) => {
                if let Err(refused) = to.connect(now, conn, who, start, None) {
                    let _ = stream.write(refusal(refused).as_bytes());
                    return None;
                }
                let welcome = Application.admitted(to, now, conn);
                to.reply(now, conn, welcome).expect("it is the first");
            }
        }
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        // So little fits a socket that nothing was written to.
        stream.write_all(answer.as_bytes()).ok()?;
        let most = Some(to.config().message_bytes() as usize);
        let config = WebSocketConfig::default().max_message_size(most).max_frame_size(most);
        let socket = WebSocket::from_partially_read(stream, rest, Role::Server, Some(config));
        self.upgraded = Some(socket);
        Some(())
    }

    /// Gives tungstenite what waits, in chunks, and reports each that the kernel has taken.
    fn write(&mut self, to: &mut Registry, now: Timestamp, conn: ConnId) -> Option<()> {
        let Some(socket) = &mut self.upgraded else { return Some(()) };
        if self.was_closed {
            self.frames.clear();
        }
        loop {
            while self.unflushed < CHUNK
                && let Some((frame, cost)) = self.frames.pop_front()
            {
                (self.given, self.unflushed) = (self.given + cost, self.unflushed + cost);
                // If it would block, tungstenite has kept the frame.
                go_on(socket.write(frame))?;
            }
            if go_on(socket.flush())?.is_none() || self.unflushed == 0 {
                return Some(());
            }
            self.unflushed = 0;
            self.is_paused &= to.flushed(now, conn, self.given) != Ok(true);
        }
    }

    /// Reads its share, as far as the registry takes it.
    fn read(&mut self, to: &mut Registry, now: Timestamp, conn: ConnId) -> Option<bool> {
        let Some(socket) = &mut self.upgraded else { return Some(false) };
        if self.is_faulty {
            // Its input is read and dropped: with unread input the kernel would reset the socket in the
            // end, and the close frame might be lost.
            let read = go_on(socket.get_mut().read(&mut [0; 4096]).map_err(Error::Io))?;
            return if read == Some(0) { None } else { Some(read.is_some()) };
        }
        for _ in 0..SHARE {
            // After the peer's close frame tungstenite is only flushed: it says that all is over when it is
            // read, also while its answer waits.
            if self.is_paused || self.was_closed {
                return Some(false);
            }
            let read = self.held.take().map_or_else(|| socket.read(), |it| Ok(frame(it)));
            let message = match read {
                Ok(Frame::Text(text)) => Message::from_utf8(text.into()).ok()?,
                Ok(Frame::Binary(payload)) => Message::binary(payload),
                Ok(Frame::Close(_)) => {
                    self.was_closed = true;
                    to.close(now, Target::Conn(conn), CloseReason::PeerClosed);
                    return Some(true);
                }
                Ok(control) => {
                    // tungstenite answers pings by itself, also those that are too many, with the next read.
                    let is_ping = matches!(control, Frame::Ping(_));
                    let _ =
                        to.message(now, conn, if is_ping { Inbound::Ping } else { Inbound::Pong });
                    continue;
                }
                Err(error) => {
                    let Some(reason) = fault(&error) else {
                        return go_on::<()>(Err(error)).map(|_| false);
                    };
                    self.is_faulty = true;
                    to.close(now, Target::Conn(conn), reason);
                    return Some(true);
                }
            };
            match to.message(now, conn, Inbound::Data { bytes: message.payload().len() as u64 }) {
                Ok(Intake::Taken) => {
                    if let Some(reply) = Application.message(to, now, conn, message) {
                        to.reply(now, conn, reply).expect("one reply to a message fits");
                    }
                }
                Ok(Intake::Paused) => (self.held, self.is_paused) = (Some(message), true),
                // It is one too many, or the connection is closing.
                Err(_) => {}
            }
        }
        Some(true)
    }
}

/// What the peer has done wrong; `None`: the socket has ended, or would block.
fn fault(error: &Error) -> Option<CloseReason> {
    match error {
        Error::Capacity(_) => Some(CloseReason::MessageTooBig),
        Error::Utf8(_) => Some(CloseReason::InvalidPayload),
        Error::Protocol(ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(CloseReason::ProtocolError),
        _ => None,
    }
}

/// A message as tungstenite has it, without a copy.
pub(crate) fn frame(message: Message) -> Frame {
    match message.payload().clone().try_into() {
        Ok(text) if message.is_text() => Frame::Text(text),
        _ => Frame::Binary(message.payload().clone()),
    }
}

/// The answer to a client that is refused: 429 where the limit is the user's own, and 503 otherwise.
pub(crate) fn refusal(refused: Refused) -> String {
    use Refused::{ConnectionsPerUser as Connections, SessionsPerUser as Sessions};
    use Refused::{RateOfUser as Rate, StreamsPerUser as Streams};

    let is_own =
        matches!(refused, Connections { .. } | Sessions { .. } | Rate { .. } | Streams { .. });
    let status = if is_own { "429 Too Many Requests" } else { "503 Service Unavailable" };
    let seconds = refused.retry_after().as_millis().div_ceil(1_000).max(1);
    format!("HTTP/1.1 {status}\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n")
}
