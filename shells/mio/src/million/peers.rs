//! Peers that answer at once: each sends a request, answers pings and a close frame, and counts what it gets.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};

use crate::socket::Stream;

/// The socket of a peer, as large as that of the operating system.
pub(super) struct Peer(pub(super) u32);

/// What a peer sends next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sends {
    Nothing,
    Request,
    Pong,
    Close,
}

/// All peers of this thread.
pub(super) struct Peers {
    sends: Vec<Sends>,
    /// Those that have something to send, and whose sockets do not know of it.
    edges: Vec<u32>,
    /// What a peer was written last.
    written: Vec<u8>,
    pub(super) upgraded: usize,
    pub(super) pinged: usize,
    /// Messages that all of them got.
    pub(super) told: usize,
    pub(super) closed: usize,
}

thread_local! {
    static PEERS: RefCell<Option<Peers>> = const { RefCell::new(None) };
}

const REQUEST: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Frames of a client, with a mask of zeroes.
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];
const CLOSE: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 3, 232];

impl Peers {
    /// Makes all of them, with room for all that they do: nothing is allocated later.
    pub(super) fn install(count: usize) {
        let peers = Self {
            sends: vec![Sends::Request; count],
            edges: Vec::with_capacity(count),
            written: Vec::with_capacity(64 * 1024),
            upgraded: 0,
            pinged: 0,
            told: 0,
            closed: 0,
        };
        PEERS.set(Some(peers));
    }

    pub(super) fn with<R>(f: impl FnOnce(&mut Self) -> R) -> R {
        PEERS.with_borrow_mut(|peers| f(peers.as_mut().expect("they were installed")))
    }

    /// Gives each edge to `f`, and forgets it.
    pub(super) fn take_edges(mut f: impl FnMut(u32)) -> bool {
        let edges = Self::with(|peers| peers.edges.len());
        for place in 0..edges {
            f(Self::with(|peers| peers.edges[place]));
        }
        Self::with(|peers| drop(peers.edges.drain(..edges)));
        edges > 0
    }

    /// Takes what was written to a peer: an answer, or whole frames of a server.
    fn take(&mut self, number: u32) {
        let mut at = 0;
        if self.written.starts_with(b"HTTP/1.1 101 ") {
            let end = self.written.windows(4).position(|window| window == b"\r\n\r\n");
            at = end.expect("a whole answer") + 4;
            self.upgraded += 1;
        }
        while let [first, length, ..] = self.written[at..] {
            assert!(length < 126, "a short frame that is not masked");
            at += 2 + usize::from(length);
            let sends = match first {
                0x81 => {
                    self.told += 1;
                    continue;
                }
                0x89 => {
                    self.pinged += 1;
                    Sends::Pong
                }
                0x88 => {
                    self.closed += 1;
                    Sends::Close
                }
                _ => panic!("a frame that begins with {first:#x}"),
            };
            self.sends[number as usize] = sends;
            self.edges.push(number);
        }
        assert_eq!(at, self.written.len(), "whole frames");
    }
}

impl Stream for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let sends = &mut |peers: &mut Peers| {
            std::mem::replace(&mut peers.sends[self.0 as usize], Sends::Nothing)
        };
        let bytes = match Peers::with(sends) {
            Sends::Nothing => return Err(ErrorKind::WouldBlock.into()),
            Sends::Request => REQUEST,
            Sends::Pong => PONG,
            Sends::Close => CLOSE,
        };
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Peers::with(|peers| {
            peers.written.clear();
            slices.iter().for_each(|slice| peers.written.extend_from_slice(slice));
            peers.take(self.0);
            Ok(peers.written.len())
        })
    }

    fn is_pending(&self) -> bool {
        false
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}
