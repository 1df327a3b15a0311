//! Who may lag, who must not: what the model knows of the pump without seeing its queue of turns.
//!
//! A member that is due an entry and finds no room lags until it has caught up. Which entry of which
//! stream is tried first is the registry's choice, so a member *may* lag as soon as there was a
//! moment at which something due to its connection did not fit, and *does* once the registry says
//! that nothing is left to do. A member for which everything always fitted is owed its entries at
//! that point, without excuse.

use headcount::{ConnId, Registry};

use super::Model;
use super::stream::{Lag, Seat};
use crate::seen::Source;
use crate::{Check, ensure};

impl Model {
    /// Looks at every window before a poll: this is the state that its decisions are based on.
    pub(crate) fn before_poll(&mut self) {
        if self.has_waiting() {
            // The outbox comes first: no stream is looked at in this poll.
            return;
        }
        let window = self.config.window();
        for id in self.open().map(|conn| conn.id).collect::<Vec<_>>() {
            self.mark_unfit(id, window);
            let seats = self.seats_of(id);
            let excused = seats.iter().any(|(_, seat)| seat.excused);
            let lagging = seats.iter().any(|(_, seat)| seat.lag != Lag::No);
            if lagging {
                // Where one of its streams waits, none of the others overtakes.
                self.for_lacking_seats(id, |seat| {
                    seat.lag = seat.lag.max(Lag::Perhaps);
                    seat.excused |= excused;
                });
            }
            let conn = &self.conns[&id];
            for announcement in self.announcements.iter_mut().filter(|it| !it.ended) {
                if lagging || !conn.fits(announcement.message.cost(), window) {
                    announcement.excused.insert(id);
                }
            }
        }
        self.announcements.iter_mut().for_each(|it| it.walked = true);
    }

    /// Members that lack something now which does not fit, or which is lost.
    fn mark_unfit(&mut self, id: ConnId, window: u64) {
        let Some(conn) = self.conns.get(&id) else { return };
        let mut blocked = false;
        for source in conn.streams() {
            let Some(stream) = self.streams.get_mut(&source) else { continue };
            let Some(seat) = stream.seat(id).cloned() else { continue };
            let lack = stream.lack(&seat);
            // Whoever can't be served by a sweep takes turns of its own: from half a window on.
            let split = stream.is_split(&seat);
            let own_turn = lack.lost || split || seat.lag != Lag::No;
            let too_large = lack.costs.iter().any(|cost| !conn.fits(*cost, window));
            blocked |= too_large;
            let unfit = too_large || own_turn && conn.used() > window / 2;
            if let Some(seat) = stream.seat_mut(id)
                && (unfit || lack.lost || split)
            {
                seat.lag = seat.lag.max(Lag::Perhaps);
                seat.excused |= unfit;
            }
            if let Some(seat) = stream.seat_mut(id)
                && !lack.certain
            {
                // There is nothing for it: its turn finds that out without a word, whatever room
                // there is.
                seat.lag = seat.lag.min(Lag::Perhaps);
            }
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            // It may be pumped as soon as it lags, if it is at most half full.
            conn.ready |= conn.used() <= window / 2;
            // This poll may look at it and find that it is blocked. It is looked at again for a
            // reason of its own, and not because what it lacks shrinks.
            conn.armed &= !blocked;
        }
    }

    /// The registry has a reason to look at a connection that lags: it was flushed, a ping that waited
    /// for it was taken back, or there are new limits.
    pub(crate) fn arm(&mut self, id: ConnId) {
        let lags = self.seats_of(id).iter().any(|(_, seat)| seat.lag == Lag::Yes);
        let window = self.config.window();
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.armed |= lags && conn.is_open() && conn.used() <= window / 2;
        }
    }

    pub(crate) fn seats_of(&self, id: ConnId) -> Vec<(Source, Seat)> {
        let sources = self.conns.get(&id).map(|conn| conn.streams()).unwrap_or_default();
        sources
            .into_iter()
            .filter_map(|source| {
                Some((source.clone(), self.streams.get(&source)?.seat(id)?.clone()))
            })
            .collect()
    }

    fn for_lacking_seats(&mut self, id: ConnId, mut act: impl FnMut(&mut Seat)) {
        for (source, _) in self.seats_of(id) {
            if let Some(stream) = self.streams.get_mut(&source) {
                let head = stream.head();
                if let Some(seat) = stream.seat_mut(id).filter(|seat| seat.waits(head)) {
                    act(seat);
                }
            }
        }
    }

    /// The registry says that there is nothing left to do. Then everyone has everything, except
    /// those whose window is in the way.
    pub(crate) fn silent(&mut self, registry: &Registry) -> Check {
        for conn in self.conns.values() {
            ensure!(!conn.has_waiting(), "silence, but {:?} waits: {:?}", conn.id, conn.outbox);
        }
        for (id, session) in &self.sessions {
            ensure!(!session.has_waiting(), "silence, but the Cleanup of {id:?} waits");
        }
        for id in self.open().map(|conn| conn.id).collect::<Vec<_>>() {
            self.silent_conn(id)?;
            // Whether it was moved over what is not for it shows in its cursor alone, and not once
            // that is gone.
            let explained = registry.explain(id);
            self.learn_cursors(id, &explained.ok_or_else(|| format!("{id:?} is not explained"))?)?;
        }
        for stream in self.streams.values_mut() {
            stream.thin(true);
        }
        self.all_are_told_of_drain()?;
        self.silent_walks()
    }

    fn silent_conn(&mut self, id: ConnId) -> Check {
        let conn = &self.conns[&id];
        let mut lagging = false;
        let mut settled = Vec::new();
        for (source, mut seat) in self.seats_of(id) {
            let stream = &self.streams[&source];
            let lack = stream.lack(&seat);
            if lack.certain {
                ensure!(
                    seat.excused,
                    "silence, but {id:?} lacks entries after {} of {source:?} for which there was \
                     always room",
                    seat.cursor
                );
                ensure!(
                    conn.in_flight() > 0,
                    "silence, but {id:?} lacks entries after {} of {source:?}, and no flush is due",
                    seat.cursor
                );
                lagging = true;
                self.marks.hit("a connection lagged");
                seat.lag = Lag::Yes;
            } else if seat.cursor < stream.head() && seat.lag != Lag::No {
                // Only excluded entries are left: perhaps it was moved over them.
                seat.lag = Lag::Perhaps;
            } else {
                seat.cursor = stream.head();
                seat.lag = Lag::No;
                seat.excused = false;
            }
            settled.push((source, seat));
        }
        ensure!(
            !(lagging && conn.armed),
            "silence, but {id:?} lags, had to be looked at, and never lacked room since"
        );
        for (source, seat) in settled {
            if let Some(stream) = self.streams.get_mut(&source)
                && let Some(place) = stream.seat_mut(id)
            {
                *place = seat;
            }
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.ready = false;
            conn.armed = false;
        }
        Ok(())
    }

    /// Announcements and closes of many are over.
    fn silent_walks(&mut self) -> Check {
        for mass in core::mem::take(&mut self.mass_closes) {
            for id in mass.must {
                let closed = self.conns.get(&id).is_none_or(|conn| conn.reason.is_some());
                ensure!(closed, "silence, but the close of many left {id:?} out");
            }
        }
        for announcement in self.announcements.iter_mut().filter(|it| !it.ended) {
            for id in &announcement.must {
                let done = announcement.got.contains(id)
                    || announcement.excused.contains(id)
                    || self.conns.get(id).is_none_or(|conn| !conn.is_open());
                ensure!(done, "silence, but {id:?} was not told what everyone is told");
            }
            announcement.ended = true;
            if announcement.must.iter().any(|id| !announcement.got.contains(id)) {
                self.marks.hit("an announcement skipped a connection");
            }
        }
        Ok(())
    }
}
