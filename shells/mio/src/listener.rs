//! Accepting sockets, also when the process has run out of descriptors.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use headcount::Timestamp;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel completes ahead of us; its own limit may be lower.
const BACKLOG: i32 = 4_096;

/// How long to wait before trying again when accepting failed for want of descriptors or memory.
const RETRY: Duration = Duration::from_millis(100);

/// What one socket may hold in the kernel that was not sent yet. The buffer itself grows to
/// megabytes, and a socket counts as writable again when a third of it is free: without this bound a
/// client that does not read would keep that much memory beside its window, and one that reads
/// slowly would seem not to read at all.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 16 * 1024;

/// Where accepted sockets come from; a fake one in tests.
pub(crate) trait Accept {
    type Stream;
    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self)
    }
}

/// A listening socket.
///
/// Readiness is told by edges, and sockets that wait in the kernel's queue make none. So `ready`
/// stays set until `accept` has found nothing, and a failure is tried again: after `RETRY`, and
/// as soon as a socket of ours was closed.
pub(crate) struct Listener<A = TcpListener> {
    socket: A,
    ready: bool,
    retry_at: Option<Timestamp>,
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // Accepted sockets inherit it. Frames are gathered here, so waiting for more never pays.
        socket.set_tcp_nodelay(true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_notsent_lowat(UNSENT)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: TcpListener::from_std(socket.into()), ready: true, retry_at: None })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn source(&mut self) -> &mut impl Source {
        &mut self.socket
    }
}

impl<A: Accept> Listener<A> {
    /// There was an edge.
    pub(crate) fn note_ready(&mut self) {
        self.ready = true;
    }

    /// A socket of ours was closed: there may be a descriptor again.
    pub(crate) fn note_freed(&mut self) {
        self.ready |= self.retry_at.take().is_some();
    }

    /// Whether sockets may wait that `accept` would return at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// When to call `accept` again without an edge; `None`: an edge will come.
    pub(crate) fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at
    }

    /// The next socket. `None`: none waits, or none can be had now.
    pub(crate) fn accept(&mut self, now: Timestamp) -> Option<(A::Stream, SocketAddr)> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.ready = true;
        }
        if !self.ready {
            return None;
        }
        match self.socket.accept() {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                match Failure::of(&error) {
                    Failure::Empty => self.ready = false,
                    // What failed is the socket that was to be accepted: the next may be well, and
                    // is tried in the next turn, which comes at once.
                    Failure::Peer => {}
                    Failure::Resources => {
                        self.ready = false;
                        self.retry_at = Some(now + RETRY);
                    }
                }
                None
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Empty,
    Peer,
    Resources,
}

impl Failure {
    /// Errors that are not known to be the peer's are taken for ours: trying them again at once
    /// could go on for ever.
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock => Self::Empty,
            ErrorKind::Interrupted
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::PermissionDenied
            | ErrorKind::TimedOut => Self::Peer,
            _ => Self::Resources,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;
    use std::net::TcpStream as Client;

    use super::*;

    #[test]
    fn only_what_is_the_peers_fault_is_tried_again_at_once() {
        let of = |kind: ErrorKind| Failure::of(&kind.into());
        assert_eq!(of(ErrorKind::WouldBlock), Failure::Empty);
        assert_eq!(of(ErrorKind::ConnectionAborted), Failure::Peer);
        assert_eq!(of(ErrorKind::OutOfMemory), Failure::Resources);
        // Neither EMFILE nor ENFILE has a kind of its own.
        for errno in [23, 24] {
            assert_eq!(Failure::of(&io::Error::from_raw_os_error(errno)), Failure::Resources);
        }
    }

    #[test]
    fn accepts_until_nothing_waits_and_inherits_options() {
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let _clients: Vec<_> = (0..3).map(|_| Client::connect(address).unwrap()).collect();
        for _ in 0..3 {
            let (socket, peer) = listener.accept(Timestamp::ZERO).unwrap();
            assert!(socket.nodelay().unwrap() && peer.ip().is_loopback());
            #[cfg(any(target_os = "linux", target_os = "android"))]
            assert_eq!(socket2::SockRef::from(&socket).tcp_notsent_lowat().unwrap(), UNSENT);
        }
        assert!(listener.is_ready());
        assert!(listener.accept(Timestamp::ZERO).is_none());
        assert!(!listener.is_ready() && listener.retry_at().is_none());
    }

    #[test]
    fn a_stalled_listener_tries_again_in_time_or_when_a_socket_was_closed() {
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let _client = Client::connect(listener.local_addr().unwrap()).unwrap();
        listener.ready = false;
        listener.note_freed();
        assert!(!listener.is_ready(), "it was not stalled");
        listener.retry_at = Some(Timestamp::ZERO + RETRY);
        assert!(listener.accept(Timestamp::ZERO).is_none());
        listener.note_freed();
        assert!(listener.is_ready() && listener.retry_at().is_none());
        listener.ready = false;
        listener.retry_at = Some(Timestamp::ZERO + RETRY);
        assert!(listener.accept(Timestamp::ZERO + RETRY).is_some());
    }

    /// Fails with these error numbers, one per call; then sockets wait without end.
    #[derive(Default)]
    struct Fake {
        failures: RefCell<VecDeque<i32>>,
        calls: Cell<usize>,
    }

    impl Accept for Fake {
        type Stream = ();

        fn accept(&self) -> io::Result<((), SocketAddr)> {
            self.calls.set(self.calls.get() + 1);
            match self.failures.borrow_mut().pop_front() {
                Some(number) => Err(io::Error::from_raw_os_error(number)),
                None => Ok(((), SocketAddr::from(([127, 0, 0, 1], 1)))),
            }
        }
    }

    fn failing(failures: impl IntoIterator<Item = i32>) -> Listener<Fake> {
        let socket =
            Fake { failures: RefCell::new(failures.into_iter().collect()), ..Fake::default() };
        Listener { socket, ready: true, retry_at: None }
    }

    // The numbers of Linux.
    #[cfg(target_os = "linux")]
    mod errno {
        pub(super) const EINTR: i32 = 4;
        pub(super) const ENOMEM: i32 = 12;
        pub(super) const ENFILE: i32 = 23;
        pub(super) const EMFILE: i32 = 24;
        pub(super) const ECONNABORTED: i32 = 103;
        pub(super) const ENOBUFS: i32 = 105;
        pub(super) const ETIMEDOUT: i32 = 110;
        pub(super) const EHOSTUNREACH: i32 = 113;
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn for_want_of_anything_of_its_own_it_tries_ten_times_a_second_and_recovers() {
        for number in [errno::EMFILE, errno::ENFILE, errno::ENOBUFS, errno::ENOMEM] {
            let mut listener = failing([number; 11]);
            let mut now = Timestamp::from_secs(1);
            for turn in 0..1_001 {
                // However many turns others cause, and however many edges newcomers make.
                assert!(listener.accept(now).is_none(), "turn {turn}");
                assert!(!listener.is_ready(), "the loop may sleep");
                assert!(listener.retry_at().is_some_and(|at| at > now && at <= now + RETRY));
                now += Duration::from_millis(1);
            }
            assert_eq!(listener.socket.calls.get(), 11);
            now += RETRY;
            assert!(listener.accept(now).is_some() && listener.is_ready());
            assert_eq!(listener.retry_at(), None);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_befell_one_socket_holds_up_no_other() {
        let failures = [errno::EINTR, errno::ECONNABORTED, errno::ETIMEDOUT, errno::EHOSTUNREACH];
        let mut listener = failing(failures);
        for _ in failures {
            // No more than one in a turn, as they could go on for ever.
            assert!(listener.accept(Timestamp::ZERO).is_none());
            assert!(
                listener.is_ready() && listener.retry_at().is_none(),
                "the next turn is at once"
            );
        }
        assert!(listener.accept(Timestamp::ZERO).is_some());
        assert_eq!(listener.socket.calls.get(), failures.len() + 1);
    }
}
