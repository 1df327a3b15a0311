//! The table of sockets, and which of them wait to be read or written.

use std::collections::VecDeque;
use std::net::SocketAddr;

use headcount::ConnId;

use crate::answer::Answer;
use crate::fair::{FEW, Fair};
use crate::last_words::LastWords;
use crate::output::{FrameId, TurnOutput};
use crate::slots::Slots;
use crate::socket::{Socket, Stream};

/// All sockets, each in the slot that its handle names.
///
/// A socket is looked up by its whole handle, serial included. So an event, an action or a place in a
/// queue that outlived its connection finds nothing, and never the next connection of the slot.
pub(crate) struct Sockets<S> {
    slots: Slots<Socket<S>>,
    /// Sockets with something to write, or to report when all is written.
    dirty: Fair,
    /// Sockets with input that was not read or not processed.
    ready: Fair,
    /// Sockets whose request or message waits for a decision. Closed sockets stay in it for a while.
    undecided: VecDeque<ConnId>,
    /// How many of them, from the front, the handler is to be asked about again.
    again: usize,
}

/// Sockets that are let into `ready` in one turn to be asked about again.
const AGAIN: usize = 1_024;

impl<S: Stream> Sockets<S> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Slots::new(),
            dirty: Fair::new(),
            ready: Fair::new(),
            undecided: VecDeque::new(),
            again: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Socket<S>> {
        find(&mut self.slots, conn)
    }

    /// Takes a new socket in. Its slot is free: the registry reuses one after its cleanup only.
    pub(crate) fn insert(&mut self, socket: Socket<S>) {
        let before = self.slots.insert(socket.conn().index(), socket);
        debug_assert!(before.is_none(), "a slot is reused after its cleanup only");
    }

    /// Drops a socket, which closes it. Whether there was one.
    pub(crate) fn remove(&mut self, conn: ConnId) -> bool {
        if self.get_mut(conn).is_none() {
            return false;
        }
        self.slots.remove(conn.index());
        // Connections that come and go faster than their places are reached leave no more of
        // these behind than there are sockets.
        let (slots, live) = (&self.slots, self.slots.len());
        let lives =
            |conn: &ConnId| slots.get(conn.index()).is_some_and(|socket| socket.conn() == *conn);
        self.dirty.forget_dead(live, lives);
        self.ready.forget_dead(live, lives);
        if self.undecided.len() > 2 * live + FEW {
            self.undecided.retain(lives);
            // Removed sockets may have been in front: more are asked about, never fewer.
            self.again = self.again.min(self.undecided.len());
        }
        true
    }

    /// Queues the frame of an action.
    #[inline]
    pub(crate) fn send(&mut self, conn: ConnId, frame: FrameId, output: &mut TurnOutput) {
        if let Some(socket) = self.slots.get_mut(conn.index())
            && socket.conn() == conn
            && socket.send(frame, output)
            && !socket.in_dirty
        {
            socket.in_dirty = true;
            self.dirty.push(conn);
        }
    }

    /// Queues the last bytes of a connection. Returns an answer in HTTP, if that is what they are, and
    /// whom it goes to.
    pub(crate) fn close(
        &mut self,
        conn: ConnId,
        words: &LastWords<'_>,
        cost: u64,
        output: &mut TurnOutput,
    ) -> Option<(SocketAddr, Answer)> {
        let answer = self.get_mut(conn)?.close(words, cost, output);
        self.note(conn);
        answer
    }

    /// Puts a socket into the queues of what it wants. To be called after each change of the socket.
    pub(crate) fn note(&mut self, conn: ConnId) {
        self.change(conn, |_| ());
    }

    /// Changes a socket, if it is there, and puts it into the queues of what it wants.
    pub(crate) fn change(&mut self, conn: ConnId, change: impl FnOnce(&mut Socket<S>)) {
        let Some(socket) = find(&mut self.slots, conn) else { return };
        change(socket);
        if !socket.in_ready && socket.wants_read() {
            socket.in_ready = true;
            self.ready.push(conn);
        }
        note_others(socket, &mut self.dirty, &mut self.undecided);
    }

    /// A socket whose input was left alone may be read on.
    pub(crate) fn resume_input(&mut self, conn: ConnId) {
        if self.get_mut(conn).is_some_and(Socket::resume_input) {
            self.note(conn);
        }
    }

    /// Has the handler asked again about each request and message that waits to be decided about now.
    pub(crate) fn authenticate_again(&mut self) {
        self.again = self.undecided.len();
    }

    /// How long the queue of those is, with the places of such that are gone.
    #[cfg(test)]
    pub(crate) fn undecided_places(&self) -> usize {
        self.undecided.len()
    }

    /// Whether requests or messages wait for their turn to be asked about again.
    pub(crate) const fn asks_again(&self) -> bool {
        self.again > 0
    }

    /// Moves a turn's share of them to the sockets that are read.
    pub(crate) fn let_again(&mut self) {
        for _ in 0..self.again.min(AGAIN) {
            self.again -= 1;
            let Some(conn) = self.undecided.pop_front() else { return };
            let Some(socket) = self.get_mut(conn) else { continue };
            socket.in_undecided = false;
            socket.note_again();
            // They take turns with sockets that have new input, and are not served before them.
            if socket.wants_read() && !socket.in_ready {
                socket.in_ready = true;
                self.ready.push_again(conn);
            }
            // It waits at the end of the queue, for the case that it is not decided this time either.
            self.note(conn);
        }
    }

    /// How many sockets wait to be written.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// How many sockets wait to be read.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether each socket that had input when the round began has been read since.
    pub(crate) const fn round_is_over(&self) -> bool {
        self.ready.round_is_over()
    }

    /// Begins a round of the sockets that have input now.
    pub(crate) fn begin_round(&mut self) {
        self.ready.begin_round();
    }

    /// Calls `f` for sockets that wait to be written, in turns, once each at most, for as long as it
    /// returns that the budget is not used up.
    pub(crate) fn for_dirty(&mut self, mut f: impl FnMut(&mut Socket<S>) -> bool) {
        let (mut turns, mut goes_on) = (self.dirty.turns(), true);
        while goes_on && let Some(conn) = self.dirty.next(&mut turns) {
            let Some(socket) = self.get_mut(conn) else { continue };
            goes_on = f(socket);
            socket.in_dirty = socket.wants_flush();
            if socket.in_dirty {
                self.dirty.push_again(conn);
            }
        }
    }

    /// Keeps what sockets that still wait to be written have of this turn: its output is about to be cleared.
    pub(crate) fn keep_chains(&mut self, output: &mut TurnOutput) {
        if self.dirty.len() == 0 {
            return;
        }
        for conn in self.dirty.iter() {
            if let Some(socket) = self.slots.get_mut(conn.index()).filter(|it| it.conn() == *conn) {
                socket.keep_chain(output);
            }
        }
    }

    /// The same as [`for_dirty`](Self::for_dirty) for sockets that wait to be read.
    pub(crate) fn for_ready(&mut self, mut f: impl FnMut(&mut Socket<S>) -> bool) {
        let (mut turns, mut goes_on) = (self.ready.turns(), true);
        while goes_on && let Some(conn) = self.ready.next(&mut turns) {
            let Some(socket) = find(&mut self.slots, conn) else { continue };
            goes_on = f(socket);
            socket.in_ready = socket.wants_read();
            if socket.in_ready {
                self.ready.push_again(conn);
            }
            note_others(socket, &mut self.dirty, &mut self.undecided);
        }
    }
}

#[inline]
fn find<S: Stream>(slots: &mut Slots<Socket<S>>, conn: ConnId) -> Option<&mut Socket<S>> {
    slots.get_mut(conn.index()).filter(|socket| socket.conn() == conn)
}

/// Puts a socket into the queues of what it wants beside being read.
#[inline]
fn note_others<S: Stream>(
    socket: &mut Socket<S>,
    dirty: &mut Fair,
    undecided: &mut VecDeque<ConnId>,
) {
    if !socket.in_dirty && socket.wants_flush() {
        socket.in_dirty = true;
        dirty.push(socket.conn());
    }
    if !socket.in_undecided && socket.is_undecided() {
        socket.in_undecided = true;
        undecided.push_back(socket.conn());
    }
}
