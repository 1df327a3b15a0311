//! What the registry tells of itself after each step: it settles what was open, and has to be among
//! what may be.

use headcount::{ConnId, CursorExplanation, Explanation, Registry};

use super::Model;
use super::absent::of_history;
use super::entry::Entry;
use super::log::Log;
use super::stream::{Lag, Seat, Stream};
use crate::seen::Source;
use crate::{Check, ensure};

impl Model {
    pub(crate) fn learn(&mut self, registry: &Registry) -> Check {
        let explain = |id| registry.explain(id).ok_or_else(|| format!("{id:?} is not explained"));
        for id in self.conns.keys().copied().collect::<Vec<_>>() {
            self.learn_next(id, explain(id)?.next)?;
        }
        let open: Vec<_> = self.open().map(|conn| conn.id).collect();
        let explained: Vec<_> = open.iter().map(|id| explain(*id)).collect::<Result<_, _>>()?;
        for (id, explained) in open.iter().copied().zip(&explained) {
            self.learn_cursors(id, explained)?;
            // What it was flushed for is over: another lag waits for another flush.
            let lags = self.seats_of(id).iter().any(|(_, seat)| seat.lag != Lag::No);
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.armed &= lags;
            }
        }
        for source in self.streams.keys().cloned().collect::<Vec<_>>() {
            self.learn_log(&source, registry)?;
        }
        self.check_budgets(registry)?;
        for (id, explained) in open.into_iter().zip(&explained) {
            self.compare_backlogs(id, explained)?;
        }
        Ok(())
    }

    /// How much of a log is left.
    pub(crate) fn learn_log(&mut self, source: &Source, registry: &Registry) -> Check {
        let shown = Self::shown(source, registry);
        let given_up = registry.stats().shed - self.tally.shed;
        let Some(stream) = self.streams.get_mut(source) else { return Ok(()) };
        let Some((shown, head)) = shown else {
            // Nobody is in it, and what it kept may have been thinned to nothing.
            stream.thin(false);
            ensure!(
                matches!(source, Source::Room(_)) && stream.may_be_over(),
                "{source:?} is gone too early"
            );
            if stream.bounds.keeps_without_members() {
                // It was there as long as it kept anything.
                stream.settle(|_, log| log.kept().next().is_none());
            }
            self.end_room(source, &of_history());
            return Ok(());
        };
        ensure!(head.epoch == stream.epoch, "{source:?} is of epoch {}", head.epoch);
        let was_split = stream.split;
        stream.learn(shown, given_up)?;
        if stream.split && !was_split {
            self.marks.hit("an entry behind an open run's was shed");
        }
        let over = matches!(source, Source::Room(_)) && stream.may_be_over();
        ensure!(!over, "{source:?} is empty in every way, and still there");
        Ok(())
    }

    pub(crate) fn learn_cursors(&mut self, id: ConnId, explained: &Explanation) -> Check {
        let conn = &self.conns[&id];
        ensure!(
            explained.load == conn.used(),
            "{id:?} has a load of {}, expected {}",
            explained.load,
            conn.used()
        );
        let sources = conn.streams();
        ensure!(sources.len() == explained.cursors.len(), "{id:?} follows {:?}", explained.cursors);
        for (source, cursor) in sources.iter().zip(&explained.cursors) {
            let Some(stream) = self.streams.get_mut(source) else { continue };
            let Some(mut seat) = stream.seat(id).cloned() else { continue };
            learn_seat(stream, &mut seat, cursor)?;
            if let Some(place) = stream.seat_mut(id) {
                *place = seat;
            }
        }
        Ok(())
    }

    fn compare_backlogs(&mut self, id: ConnId, explained: &Explanation) -> Check {
        for (source, cursor) in self.conns[&id].streams().iter().zip(&explained.cursors) {
            let (offset, backlog) = (cursor.position.offset, cursor.backlog);
            let Some(stream) = self.streams.get_mut(source) else { continue };
            let Some(reader) = stream.seat(id).map(|seat| seat.reader(cursor.lagging)) else {
                continue;
            };
            let waiting = |entries: &[Entry], log: &Log| log.waiting(entries, &reader);
            let behind = waiting(&stream.entries, &stream.logs[0]);
            let fine = stream.settle(|entries, log| waiting(entries, log) == backlog as usize);
            ensure!(
                fine,
                "{id:?} at {offset} of {source:?}: a backlog of {backlog}, expected {behind}"
            );
        }
        Ok(())
    }
}

fn learn_seat(stream: &Stream, seat: &mut Seat, shown: &CursorExplanation) -> Check {
    let (id, source) = (seat.conn, &stream.source);
    let position = shown.position;
    ensure!(
        position.epoch == stream.epoch && shown.head == stream.head(),
        "{id:?} is in {source:?}, the head of which is {}: {shown:?}",
        stream.head()
    );
    ensure!(
        stream.may_have_moved(seat, position.offset),
        "{id:?} has moved in {source:?} from {} to {}",
        seat.cursor,
        position.offset
    );
    seat.cursor = position.offset;
    let fine = match seat.lag {
        Lag::No => !shown.lagging,
        Lag::Perhaps => true,
        Lag::Yes => shown.lagging,
    };
    ensure!(fine, "{id:?} lags in {source:?}: {}, expected {:?}", shown.lagging, seat.lag);
    seat.lag = if shown.lagging { Lag::Yes } else { Lag::No };
    let (got, expected) = (shown.acknowledged, seat.acknowledged);
    ensure!(got == expected, "{id:?} has acknowledged {got} of {source:?}, expected {expected}");
    Ok(())
}
