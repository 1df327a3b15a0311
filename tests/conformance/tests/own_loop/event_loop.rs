//! The event loop: one thread that owns the registry and all sockets.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use headcount::{Action, Clock, Config, ConnId, Ended, Registry, Timestamp};
use headcount_conformance::Application;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Bytes, Message as Frame};

use crate::socket::{Socket, frame, refusal};

/// No handle of a connection is so low.
const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);

/// Refused sockets that are kept.
const REFUSED: usize = 64;

pub(crate) type Call = Box<dyn FnOnce(&mut Registry, Timestamp) + Send>;

pub(crate) struct EventLoop {
    poll: Poll,
    listener: TcpListener,
    inbox: Receiver<Call>,
    clock: Clock,
    registry: Registry,
    sockets: HashMap<ConnId, Socket>,
    /// Those that were accepted last and have no handle.
    refused: VecDeque<TcpStream>,
    /// Those that may have something to read or to write.
    ready: Vec<ConnId>,
}

impl EventLoop {
    pub(crate) fn bind(
        config: Config,
        inbox: Receiver<Call>,
    ) -> io::Result<(Self, SocketAddr, Waker)> {
        let (poll, clock, registry) = (Poll::new()?, Clock::new(), Registry::new(config));
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (address, waker) = (listener.local_addr()?, Waker::new(poll.registry(), WAKER)?);
        let (sockets, refused, ready) = (HashMap::new(), VecDeque::new(), Vec::new());
        Ok((
            Self { poll, listener, inbox, clock, registry, sockets, refused, ready },
            address,
            waker,
        ))
    }

    /// Runs until a drain is over.
    pub(crate) fn run(mut self) -> io::Result<()> {
        // With room for all sockets, none that is ready stays unread before a tick.
        let config = self.registry.config();
        let sockets = config.connections() + config.pending() + 2 * config.closing();
        let mut events = Events::with_capacity(sockets as usize + 2);
        while !self.registry.is_drained() {
            let wait = match self.ready.is_empty() && !self.registry.has_actions() {
                true => {
                    self.registry.poll_timeout().map(|at| at.saturating_since(self.clock.now()))
                }
                false => Some(Duration::ZERO),
            };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let now = self.clock.now();
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(now)?,
                    Token(bits) => self.ready.extend(ConnId::from_bits(bits as u64)),
                }
            }
            self.inbox.try_iter().for_each(|call| call(&mut self.registry, now));
            self.serve(now);
            // All sockets that had input at the last tick have been read since: no pong waits unseen.
            self.registry.tick(now);
            self.act();
        }
        Ok(())
    }

    fn accept(&mut self, now: Timestamp) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The client has gone before it was accepted.
                Err(_) => continue,
            };
            match self.registry.reserve(now, None) {
                Ok(conn) => {
                    let (token, both) =
                        (Token(conn.to_bits() as usize), Interest::READABLE | Interest::WRITABLE);
                    self.poll.registry().register(&mut stream, token, both)?;
                    self.sockets.insert(conn, Socket::new(stream));
                    self.ready.push(conn);
                }
                // There is no handle. The kernel resets a socket that is dropped with unread input, and the
                // client might not see the answer: so it is kept for a while.
                Err(refused) => {
                    let _ = stream.write(refusal(refused).as_bytes());
                    let _ = stream.shutdown(Shutdown::Write);
                    self.refused.push_front(stream);
                    self.refused.truncate(REFUSED);
                }
            }
        }
    }

    fn serve(&mut self, now: Timestamp) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        ready.dedup();
        for conn in ready {
            let Some(socket) = self.sockets.get_mut(&conn) else { continue };
            match socket.serve(&mut self.registry, now, conn) {
                Some(true) => self.ready.push(conn),
                Some(false) => {}
                // The registry may know already. Its `Cleanup` drops the socket.
                None => drop(self.registry.disconnect(now, conn)),
            }
        }
    }

    /// Carries out actions: only queues. The next turn writes, and comes at once.
    fn act(&mut self) {
        while let Some(action) = self.registry.poll_action() {
            if let Action::Cleanup { what: Ended::Conn(conn), .. } = &action {
                self.sockets.remove(conn);
            }
            // Of each dialect one frame, which all its readers share.
            let mut frames = [None, None];
            for conn in action.recipients() {
                let Some(socket) = self.sockets.get_mut(conn) else { continue };
                let dialect = Application.dialect(*conn);
                let known = &mut frames[usize::from(dialect)];
                if let Some(frame) = known.get_or_insert_with(|| encode(dialect, &action)) {
                    socket.frames.push_back((frame.clone(), action.cost()));
                    self.ready.push(*conn);
                }
            }
        }
    }
}

/// The frame that an action becomes; `None`: it becomes none.
fn encode(dialect: u8, action: &Action<'_>) -> Option<Frame> {
    Some(match action {
        Action::Ping { .. } => Frame::Ping(Bytes::new()),
        Action::Close { code, text, .. } => {
            Frame::Close(Some(CloseFrame { code: (*code).into(), reason: (*text).into() }))
        }
        action => frame(Application.encode(dialect, action)?),
    })
}
