//! A server: a registry, and what lies between it and the clients' ends of its sockets.

use std::collections::{BTreeMap, VecDeque};

use headcount::{CloseReason, ConnId, Registry, Timestamp};

use crate::queue::Millis;
use crate::tally::Tally;

/// What is at the other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Reads all input at once.
    Reads,
    /// Reads this many bytes in a second.
    Slow(u32),
    /// Reads nothing for now.
    Stalled,
    /// Gone, and the server does not know.
    Silent,
}

/// A socket's slot, as the server sees it. Slots are those of the registry's handles.
pub(crate) struct Socket {
    pub(crate) conn: Option<ConnId>,
    pub(crate) client: u32,
    /// Counts the sockets of this slot.
    pub(crate) stamp: u16,
    pub(crate) peer: Peer,
    pub(crate) admitted: bool,
    /// Whether it is in the list of those to flush.
    dirty: bool,
    /// Whether its next read is planned.
    pub(crate) reading: bool,
    /// The sums of the costs of what was handed out, and of what was read.
    pub(crate) handed: u64,
    pub(crate) read: u64,
}

const EMPTY: Socket = Socket {
    conn: None,
    client: u32::MAX,
    stamp: 0,
    peer: Peer::Reads,
    admitted: false,
    dirty: false,
    reading: false,
    handed: 0,
    read: 0,
};

/// What a client gets, as far as the simulation wants to know.
#[derive(Clone, Debug)]
pub(crate) enum Arrival<'a> {
    /// A message; with its offset in the session's stream if it is of that.
    Message {
        offset: Option<u64>,
    },
    Gap {
        from: u64,
        to: u64,
        of_session: bool,
    },
    RunStarted {
        run: u32,
        offset: u64,
    },
    RunText {
        run: u32,
        text: std::borrow::Cow<'a, str>,
        offset: u64,
    },
    RunEnded {
        run: u32,
        offset: u64,
        completed: bool,
    },
    Ping,
    Draining {
        from: Millis,
        to: Millis,
    },
    Close(CloseReason),
}

impl Arrival<'_> {
    /// The same for one who reads it later.
    pub(crate) fn into_owned(self) -> Arrival<'static> {
        match self {
            Self::Message { offset } => Arrival::Message { offset },
            Self::Gap { from, to, of_session } => Arrival::Gap { from, to, of_session },
            Self::RunStarted { run, offset } => Arrival::RunStarted { run, offset },
            Self::RunText { run, text, offset } => {
                Arrival::RunText { run, text: text.into_owned().into(), offset }
            }
            Self::RunEnded { run, offset, completed } => {
                Arrival::RunEnded { run, offset, completed }
            }
            Self::Ping => Arrival::Ping,
            Self::Draining { from, to } => Arrival::Draining { from, to },
            Self::Close(reason) => Arrival::Close(reason),
        }
    }
}

/// What a socket carries that its client has not read: up to which sum of costs, and what.
type Waiting = VecDeque<(u64, Arrival<'static>)>;

/// The server's ends of all sockets.
pub(crate) struct Sockets {
    pub(crate) slots: Vec<Socket>,
    dirty: Vec<u32>,
    /// Of those sockets only that do not read at once.
    waiting: BTreeMap<u32, Waiting>,
    /// How many unread bytes the kernel takes.
    buffer: u64,
}

pub(crate) struct Server {
    pub(crate) registry: Registry,
    pub(crate) sockets: Sockets,
    /// What its clock shows more than the simulation's, in milliseconds.
    pub(crate) ahead: i64,
    /// It drains, and the next one comes so long after it has ended.
    pub(crate) successor_after: Option<Millis>,
}

/// What the servers' clocks show when a simulation begins: enough for a jump back.
const EPOCH: i64 = 40 * 24 * 3_600_000;

impl Server {
    pub(crate) const fn new(registry: Registry, buffer: u64) -> Self {
        let sockets =
            Sockets { slots: Vec::new(), dirty: Vec::new(), waiting: BTreeMap::new(), buffer };
        Self { registry, sockets, ahead: 0, successor_after: None }
    }

    /// What its clock shows.
    pub(crate) fn clock(&self, now: Millis) -> Timestamp {
        Timestamp::from_millis(u64::try_from(EPOCH + i64::from(now) + self.ahead).unwrap_or(0))
    }

    /// When its registry wants to be woken, in the simulation's time.
    pub(crate) fn due(&self, now: Millis) -> Option<Millis> {
        let timeout = self.registry.poll_timeout()?.as_nanos().div_ceil(1_000_000);
        let due = timeout.cast_signed() - EPOCH - self.ahead;
        Some(u32::try_from(due.max(0)).unwrap_or(u32::MAX).max(now))
    }

    /// Reports what the kernel took of all that was queued.
    pub(crate) fn flush(&mut self, now: Millis) {
        let clock = self.clock(now);
        let sockets = &mut self.sockets;
        while let Some(slot) = sockets.dirty.pop() {
            let socket = &mut sockets.slots[slot as usize];
            socket.dirty = false;
            if socket.peer == Peer::Reads {
                socket.read = socket.handed;
            }
            let total = socket.handed.min(socket.read + sockets.buffer);
            if let Some(conn) = socket.conn {
                let _ = self.registry.flushed(clock, conn, total);
            }
        }
    }

    /// A client reads so much more, or all.
    pub(crate) fn read(&mut self, now: Millis, slot: u32, bytes: u64, tally: &mut Tally) {
        let clock = self.clock(now);
        let sockets = &mut self.sockets;
        let socket = &mut sockets.slots[slot as usize];
        let bytes = bytes.min(socket.handed - socket.read);
        socket.read += bytes;
        tally.unread -= bytes;
        let total = socket.handed.min(socket.read + sockets.buffer);
        if let Some(conn) = socket.conn {
            let _ = self.registry.flushed(clock, conn, total);
        }
    }
}

impl Sockets {
    /// A socket was accepted, and this client is at its other end.
    pub(crate) fn open(&mut self, conn: ConnId, client: u32, peer: Peer) {
        let slot = conn.index();
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || EMPTY);
        }
        let Socket { stamp, dirty, .. } = self.slots[slot];
        let stamp = stamp.wrapping_add(1);
        self.slots[slot] = Socket { conn: Some(conn), client, stamp, peer, dirty, ..EMPTY };
    }

    /// A handle's socket; none if it was forgotten.
    pub(crate) fn get(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.slots.get_mut(conn.index()).filter(|socket| socket.conn == Some(conn))
    }

    /// Queues so much for a socket. The answer is its client's manner of reading, and up to which
    /// sum of costs it has to read to get it.
    pub(crate) fn hand(
        &mut self,
        conn: ConnId,
        cost: u64,
        tally: &mut Tally,
    ) -> Option<(Peer, u64)> {
        let socket = self.slots.get_mut(conn.index()).filter(|socket| socket.conn == Some(conn))?;
        socket.handed += cost;
        if socket.peer != Peer::Reads {
            tally.unread += cost;
        }
        if !socket.dirty {
            socket.dirty = true;
            self.dirty.push(conn.index() as u32);
        }
        Some((socket.peer, socket.handed))
    }

    /// What a client gets when it has read so far.
    pub(crate) fn wait(&mut self, slot: u32, until: u64, arrival: Arrival<'_>) {
        self.waiting.entry(slot).or_default().push_back((until, arrival.into_owned()));
    }

    /// The next thing that a client has read whole.
    pub(crate) fn arrived(&mut self, slot: u32) -> Option<Arrival<'static>> {
        let read = self.slots[slot as usize].read;
        let waiting = self.waiting.get_mut(&slot)?;
        if waiting.front().is_none_or(|(until, _)| *until > read) {
            return None;
        }
        let (_, arrival) = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&slot);
        }
        Some(arrival)
    }

    /// The registry has forgotten a socket: whose it was, and whether it was admitted.
    pub(crate) fn forget(&mut self, conn: ConnId, tally: &mut Tally) -> Option<(u32, bool)> {
        let socket = self.slots.get_mut(conn.index()).filter(|socket| socket.conn == Some(conn))?;
        if socket.peer != Peer::Reads {
            tally.unread -= socket.handed - socket.read;
        }
        let known = (socket.client, socket.admitted);
        // The list of slots to flush may still have this one, which then has no client.
        *socket = Socket { stamp: socket.stamp, dirty: socket.dirty, ..EMPTY };
        self.waiting.remove(&(conn.index() as u32));
        Some(known)
    }

    /// A socket's client reads in another manner from now on, or is gone.
    pub(crate) fn becomes(&mut self, conn: ConnId, peer: Peer) {
        if let Some(socket) = self.get(conn) {
            socket.peer = peer;
            if peer == Peer::Silent {
                self.waiting.remove(&(conn.index() as u32));
            }
        }
    }
}
