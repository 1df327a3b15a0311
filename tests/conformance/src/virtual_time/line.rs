//! A wire in memory with a client at its other end.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use headcount::Message;

use super::{ECHO, shown_close, shown_message};
use crate::wire::{BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame, upgrade};

/// A wire with a client at its other end. The client reads what is written in the same call, and answers at
/// once, as that of the testkit does. Clones are the same wire.
#[derive(Clone, Debug)]
pub struct Line(Arc<Mutex<Peer>>);

#[derive(Debug, Default)]
struct Peer {
    /// What it has sent and the server has not read.
    sent: VecDeque<u8>,
    /// What it has received that is no whole frame yet.
    unparsed: Vec<u8>,
    /// The status of the answer to its request, once it has come.
    status: Option<u16>,
    /// What it has read since it was asked last.
    read: Vec<String>,
    stalls: bool,
    is_silent: bool,
    /// Pings that it has not answered, and the code of a close frame that it has not.
    pings: u32,
    close: Option<u16>,
    has_left: bool,
    /// The server has shut down its side. It does the same then.
    is_shut: bool,
    /// The wire is cut.
    is_broken: bool,
    wakers: Vec<Waker>,
    moves: u64,
}

impl Line {
    /// A client that asks for an upgrade with this query.
    #[must_use]
    pub fn request(query: &str) -> Self {
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let sent = upgrade(&query).into_bytes().into();
        Self(Arc::new(Mutex::new(Peer { sent, ..Peer::default() })))
    }

    /// A client whose upgrade is over.
    #[must_use]
    pub fn upgraded() -> Self {
        Self(Arc::new(Mutex::new(Peer { status: Some(101), ..Peer::default() })))
    }

    /// The status of the answer to the request; `None` if it has not come.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.peer().status
    }

    /// How often bytes were read and written.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.peer().moves
    }

    /// Whether the client sends nothing more: what a poll tells of a socket that was shut down or reset.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let peer = self.peer();
        peer.is_shut || peer.is_broken
    }

    /// To be woken at the next change: after a read or a write that would block.
    pub fn wake(&self, waker: &Waker) {
        self.peer().wakers.push(waker.clone());
    }

    /// Reads what the client has sent, as a socket that never waits does.
    ///
    /// # Errors
    /// It would block, or the wire is cut.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut peer = self.peer();
        peer.is_whole()?;
        let length = buffer.len().min(peer.sent.len());
        if length == 0 && !peer.is_shut {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (place, byte) in buffer.iter_mut().zip(peer.sent.drain(..length)) {
            *place = byte;
        }
        peer.moves += 1;
        Ok(length)
    }

    /// Writes to the client, which takes all or nothing.
    ///
    /// # Errors
    /// It would block, or the wire is cut.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.peer();
        peer.is_whole()?;
        if peer.stalls {
            return Err(ErrorKind::WouldBlock.into());
        }
        assert!(!peer.is_shut, "nothing is written after the end");
        peer.moves += 1;
        peer.take(bytes);
        Ok(bytes.len())
    }

    /// The server writes nothing any more.
    pub fn shut(&self) {
        self.change(|peer| peer.is_shut = true);
    }

    pub(super) fn say(&self, message: &Message) {
        let first = if message.is_text() { TEXT } else { BINARY };
        self.change(|peer| peer.sent.extend(frame(first, message.payload())));
    }

    pub(super) fn stall(&self) {
        self.change(|peer| peer.stalls = true);
    }

    pub(super) fn fall_silent(&self) {
        self.change(|peer| peer.is_silent = true);
    }

    pub(super) fn go_on(&self) {
        self.change(|peer| {
            (peer.stalls, peer.is_silent) = (false, false);
            peer.answer();
        });
    }

    pub(super) fn leave(&self) {
        self.change(|peer| {
            peer.has_left = true;
            peer.sent.extend(frame(CLOSE, &close_payload(1000)));
        });
    }

    pub(super) fn vanish(&self) {
        self.change(|peer| peer.is_broken = true);
    }

    pub(super) fn take_read(&self) -> Vec<String> {
        std::mem::take(&mut self.peer().read)
    }

    fn peer(&self) -> MutexGuard<'_, Peer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, f: impl FnOnce(&mut Peer)) {
        let mut peer = self.peer();
        f(&mut peer);
        peer.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Peer {
    fn is_whole(&self) -> io::Result<()> {
        if self.is_broken { Err(ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.unparsed.extend_from_slice(bytes);
        if self.status.is_none() {
            let Some(end) = self.unparsed.windows(4).position(|it| it == b"\r\n\r\n") else {
                return;
            };
            let status = str::from_utf8(&self.unparsed[9..12]).ok().and_then(|it| it.parse().ok());
            self.status = Some(status.expect("a status line"));
            self.unparsed.drain(..end + 4);
        }
        while self.status == Some(101)
            && let Some((first, payload)) = self.next_frame()
        {
            match first {
                TEXT => self
                    .read
                    .push(shown_message(&Message::from_utf8(payload.into()).expect("UTF-8"))),
                BINARY => self.read.push(shown_message(&Message::binary(payload))),
                PING => self.pings += 1,
                CLOSE => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    let text = str::from_utf8(&payload[2..]).expect("UTF-8");
                    let is_echo = self.has_left && code == 1000;
                    self.read.push(if is_echo { ECHO.into() } else { shown_close(code, text) });
                    self.close = Some(code).filter(|_| !self.has_left);
                }
                other => panic!("a frame that begins with {other:#x}"),
            }
        }
        self.answer();
    }

    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (start, length) = match *self.unparsed.get(1)? {
            126 => (4, u16::from_be_bytes([*self.unparsed.get(2)?, *self.unparsed.get(3)?]).into()),
            short @ 0..126 => (2, usize::from(short)),
            _ => panic!("no history has a frame of this length, and no server masks"),
        };
        if self.unparsed.len() < start + length {
            return None;
        }
        let whole: Vec<u8> = self.unparsed.drain(..start + length).collect();
        Some((whole[0], whole[start..].to_vec()))
    }

    fn answer(&mut self) {
        if self.is_silent {
            return;
        }
        for _ in 0..std::mem::take(&mut self.pings) {
            self.sent.extend(frame(PONG, b""));
        }
        if let Some(code) = self.close.take() {
            self.sent.extend(frame(CLOSE, &close_payload(code)));
        }
        self.wakers.drain(..).for_each(Waker::wake);
    }
}
