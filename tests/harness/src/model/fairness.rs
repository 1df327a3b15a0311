//! Turns: whoever has something to give or to get has its turn before others have theirs twice.
//!
//! The order between streams is open, so the model counts: while a stream could surely be swept, or a
//! connection surely be pumped, only so many other actions may come as there are others. The bound is
//! generous, it is there to tell a round from a storm that others wait for. A turn of a stream is one
//! stretch: so many members, each of whom is handed so many entries, one after the other.

use std::collections::BTreeSet;

use headcount::ConnId;

use super::Model;
use super::stream::Lag;
use crate::seen::{Seen, Source};
use crate::{Check, ensure};

/// How many entries a member is handed in one turn of its stream.
const ENTRIES: usize = 16;

/// A stream's turn that may go on.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    stream: Source,
    members: BTreeSet<ConnId>,
    offset: u64,
    entries: usize,
}

impl Model {
    /// Looks at who was passed over by an action that came out of a turn, before it is done.
    pub(crate) fn others_wait(&mut self, seen: &Seen) -> Check {
        let (served, conns) = match seen {
            Seen::Send { stream: Source::Direct, .. } => return Ok(()),
            Seen::Send { stream, to, position, .. } => {
                if self.goes_on(stream, to, position.map_or(0, |at| at.offset)) {
                    return Ok(());
                }
                (stream, to.as_slice())
            }
            Seen::Gap { stream, conn, .. } => (stream, core::slice::from_ref(conn)),
            _ => return Ok(()),
        };
        if self.has_waiting() {
            return Ok(());
        }
        let limit = 2 * (self.streams.len() + self.conns.len() + 4);
        if let Some(stream) = self.streams.get_mut(served) {
            stream.passed_by.clear();
        }
        if conns.iter().all(|id| self.is_live(*id, served)) {
            self.streams_wait(served)?;
        }
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            let waits = !conns.contains(&id) && self.can_be_pumped(id);
            let Some(conn) = self.conns.get_mut(&id) else { continue };
            conn.waited = if waits { conn.waited + 1 } else { 0 };
            ensure!(conn.waited <= limit, "{id:?} waited for {limit} turns of others");
        }
        conns.iter().try_for_each(|id| self.other_seats_wait(*id, served))
    }

    /// Whether a stream's turn goes on with an entry for its members.
    fn goes_on(&mut self, stream: &Source, to: &[ConnId], offset: u64) -> bool {
        let chunk = self.config.fanout_chunk() as usize;
        let begun = self.stretch.take().filter(|it| it.stream == *stream && it.offset < offset);
        let mut members: BTreeSet<_> = to.iter().copied().collect();
        members.extend(begun.iter().flat_map(|it| &it.members));
        let begun = begun.filter(|it| it.entries < ENTRIES && members.len() <= chunk);
        if to.iter().all(|id| self.is_live(*id, stream)) {
            let stream = stream.clone();
            self.stretch = Some(match &begun {
                Some(it) => Stretch { stream, members, offset, entries: it.entries + 1 },
                None => {
                    Stretch { stream, members: to.iter().copied().collect(), offset, entries: 1 }
                }
            });
            return begun.is_some();
        }
        false
    }

    /// A sweep, or an announcement, goes on only after the others had a turn.
    fn streams_wait(&mut self, served: &Source) -> Check {
        for source in self.streams.keys().cloned().collect::<Vec<_>>() {
            let waits = source != *served && self.can_be_swept(&source);
            let Some(stream) = self.streams.get_mut(&source) else { continue };
            if waits {
                let passed = stream.passed_by.entry(served.clone()).or_insert(0);
                *passed += 1;
                ensure!(*passed <= 2, "{source:?} waited while {served:?} had {passed} turns");
            } else {
                stream.passed_by.clear();
            }
        }
        Ok(())
    }

    /// Whether a recipient did not lag, so that the stream was swept, or there is none.
    fn is_live(&self, id: ConnId, served: &Source) -> bool {
        let seat = self.streams.get(served).and_then(|stream| stream.seat(id));
        seat.is_none_or(|seat| seat.lag == Lag::No)
    }

    /// Whether some member could be handed its next entry at once.
    fn can_be_swept(&self, source: &Source) -> bool {
        let stream = &self.streams[source];
        let window = self.config.window();
        let closes = |room| Source::Room(room) == *source;
        if self.mass_closes.iter().filter_map(|it| it.room.clone()).any(closes) {
            // Its turns close members first.
            return false;
        }
        stream.seats.iter().any(|seat| {
            let lack = stream.lack(seat);
            let conn = &self.conns[&seat.conn];
            let elsewhere = self.seats_of(seat.conn).iter().any(|(_, it)| it.lag != Lag::No);
            lack.certain && !elsewhere && lack.costs.iter().all(|cost| conn.fits(*cost, window))
        })
    }

    /// Whether a connection was flushed, lags, and has room for whatever is next.
    fn can_be_pumped(&self, id: ConnId) -> bool {
        let conn = &self.conns[&id];
        let window = self.config.window();
        conn.is_open()
            && conn.armed
            && self.seats_of(id).iter().any(|(_, seat)| seat.lag == Lag::Yes)
            && self.seats_of(id).iter().all(|(source, seat)| {
                let lack = self.streams[source].lack(seat);
                lack.costs.iter().all(|cost| conn.fits(*cost, window))
            })
    }

    /// A lagging connection's streams take turns too.
    fn other_seats_wait(&mut self, id: ConnId, served: &Source) -> Check {
        let seats = self.seats_of(id);
        let limit = seats.len() as u32;
        for (source, seat) in seats {
            let Some(stream) = self.streams.get_mut(&source) else { continue };
            let waits = source != *served && seat.lag == Lag::Yes && stream.lack(&seat).certain;
            let Some(seat) = stream.seat_mut(id) else { continue };
            seat.passed = if waits { seat.passed + 1 } else { 0 };
            ensure!(seat.passed <= limit, "{id:?}: {source:?} was passed over {limit} times");
        }
        Ok(())
    }

    /// The order of a connection's streams has changed.
    pub(crate) fn seats_moved(&mut self, id: ConnId) {
        for (source, _) in self.seats_of(id) {
            if let Some(seat) = self.streams.get_mut(&source).and_then(|it| it.seat_mut(id)) {
                seat.passed = 0;
            }
        }
    }
}
