//! The table of sockets, and who of them waits for a turn.

use bytes::Bytes;
use headcount::{CloseReason, ConnId};

use crate::socket::{Socket, Stream};

/// All sockets, each in the slot that its handle names.
///
/// Whoever looks for one gives the whole handle, serial included. So an event, an action or a place
/// in a queue that outlived its connection finds nothing, never the slot's next tenant.
pub(crate) struct Sockets<S> {
    slots: Vec<Option<Box<Socket<S>>>>,
    live: usize,
    /// Who has something to write, or to report when all is written.
    dirty: Vec<ConnId>,
    /// Who has input that was not read or not processed.
    ready: Vec<ConnId>,
}

impl<S: Stream> Sockets<S> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), live: 0, dirty: Vec::new(), ready: Vec::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.live
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Socket<S>> {
        self.slots.get_mut(conn.index())?.as_deref_mut().filter(|socket| socket.conn() == conn)
    }

    /// Takes a new socket in. Its slot is free: the registry reuses one after its cleanup only.
    pub(crate) fn insert(&mut self, socket: Socket<S>) {
        let index = socket.conn().index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let before = self.slots[index].replace(Box::new(socket));
        debug_assert!(before.is_none(), "a slot is reused after its cleanup only");
        self.live += usize::from(before.is_none());
    }

    /// Drops a socket, which closes it. Whether there was one.
    pub(crate) fn remove(&mut self, conn: ConnId) -> bool {
        let found = self.get_mut(conn).is_some();
        if found {
            self.slots[conn.index()] = None;
            self.live -= 1;
        }
        found
    }

    /// Queues the frame of an action.
    pub(crate) fn send(&mut self, conn: ConnId, frame: &Bytes, cost: u64) {
        if let Some(socket) = self.get_mut(conn) {
            socket.send(frame.clone(), cost);
            self.note(conn);
        }
    }

    /// Queues the last bytes of a connection.
    pub(crate) fn close(&mut self, conn: ConnId, reason: CloseReason, cost: u64) {
        if let Some(socket) = self.get_mut(conn) {
            socket.close(reason, cost);
            self.note(conn);
        }
    }

    /// Gives a socket the turns that it wants. To be called after anything was done with it.
    pub(crate) fn note(&mut self, conn: ConnId) {
        let Some(socket) = self.get_mut(conn) else { return };
        let dirty = socket.wants_flush() && !socket.in_dirty;
        let ready = socket.wants_read() && !socket.in_ready;
        socket.in_dirty |= dirty;
        socket.in_ready |= ready;
        if dirty {
            self.dirty.push(conn);
        }
        if ready {
            self.ready.push(conn);
        }
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Calls `f` for each socket that waits to be flushed; those that still do afterwards wait for
    /// the next time.
    pub(crate) fn for_dirty(&mut self, mut f: impl FnMut(&mut Socket<S>)) {
        let mut waiting = std::mem::take(&mut self.dirty);
        for conn in waiting.drain(..) {
            if let Some(socket) = self.get_mut(conn) {
                socket.in_dirty = false;
                f(socket);
                self.note(conn);
            }
        }
        if self.dirty.is_empty() {
            self.dirty = waiting;
        }
    }

    /// The same for those that wait to be read.
    pub(crate) fn for_ready(&mut self, mut f: impl FnMut(&mut Socket<S>)) {
        let mut waiting = std::mem::take(&mut self.ready);
        for conn in waiting.drain(..) {
            if let Some(socket) = self.get_mut(conn) {
                socket.in_ready = false;
                f(socket);
                self.note(conn);
            }
        }
        if self.ready.is_empty() {
            self.ready = waiting;
        }
    }
}
