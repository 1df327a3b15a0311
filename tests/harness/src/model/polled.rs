//! Checks each action that was polled, and does what it says.

use headcount::{
    CloseReason, ConnId, Ended, MESSAGE_OVERHEAD, Message, Position, SessionEnd, SessionId,
};

use super::conn::{Item, Moved, State, Waiting};
use super::entry::Entry;
use super::log::{Fate, Log, Next};
use super::stream::{Lag, Seat, Stream};
use super::{Model, due};
use crate::seen::{Content, Seen, Source};
use crate::{Check, ensure};

impl Model {
    pub(crate) fn action(&mut self, seen: &Seen) -> Check {
        for id in seen.conns() {
            ensure!(self.conns.contains_key(id), "{id:?} is unknown");
        }
        self.others_wait(seen)?;
        match seen {
            Seen::Send { to, stream, position, content } => {
                self.tally.sent += to.len() as u64;
                let seat = self.streams.get(stream).and_then(|it| Some((it, it.seat(to[0])?)));
                if seat.is_some_and(|(stream, seat)| stream.is_split(seat)) {
                    self.marks.hit("members lacked different parts of a text");
                }
                for id in to {
                    self.send_to(*id, to.len(), stream, *position, content)?;
                    self.hand(*id, content.cost());
                }
            }
            Seen::Gap { conn, stream, from, to } => {
                self.tally.gaps += 1;
                self.gap(*conn, stream, *from, *to)?;
                self.notices.gap(*conn, *from, *to);
                self.hand(*conn, MESSAGE_OVERHEAD);
            }
            Seen::Ping { conn } => {
                self.tally.pings += 1;
                let pinged = self.conns.get_mut(conn).ok_or("gone")?;
                let due = core::mem::take(&mut pinged.ping_due);
                ensure!(due, "a ping of {conn:?} that was not due");
                pinged.pinged = true;
                pinged.pong_owed = true;
                if let Some(ping) = &mut pinged.ping {
                    ping.mark = Some(pinged.handed + MESSAGE_OVERHEAD);
                }
                self.hand(*conn, MESSAGE_OVERHEAD);
            }
            Seen::Draining { to } => {
                for id in to {
                    self.told_of_drain(*id)?;
                    self.hand(*id, MESSAGE_OVERHEAD);
                }
            }
            Seen::Close { conn, reason } => self.closed(*conn, *reason)?,
            Seen::Cleanup { what: Ended::Conn(conn), reason } => self.clean_up(*conn, *reason)?,
            Seen::Cleanup { what: Ended::Session(session), reason } => {
                self.forget(*session, *reason)?;
            }
        }
        Ok(())
    }

    /// Takes what is promised first.
    fn take_waiting(&mut self, id: ConnId) -> Option<Waiting> {
        self.conns.get_mut(&id)?.outbox.pop_front()
    }

    fn waits_first(&mut self, id: ConnId) -> Option<&mut Waiting> {
        self.conns.get_mut(&id)?.outbox.front_mut()
    }

    /// Something was handed out, and is in flight until it is flushed.
    fn hand(&mut self, id: ConnId, cost: u64) {
        let (now, reports) = (self.now, self.config.flush_reports());
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.in_flight() == 0 {
            conn.progress_at = now;
        }
        conn.handed += cost;
        let total = conn.handed;
        if !reports {
            let _ = self.take_flush(id, total);
        }
    }

    fn send_to(
        &mut self,
        id: ConnId,
        recipients: usize,
        source: &Source,
        position: Option<Position>,
        content: &Content,
    ) -> Check {
        match (source, position, self.waits_first(id)) {
            (Source::Direct, None, Some(Waiting::Direct(promised))) => {
                ensure!(
                    content.message() == Some(promised),
                    "{id:?} was handed another message than promised"
                );
                ensure!(recipients == 1, "a direct message for {recipients}");
                self.take_waiting(id);
                Ok(())
            }
            (Source::Direct, ..) => Err(format!("{id:?} was promised no direct message")),
            (Source::Everyone, None, None) => {
                let message = content.message().ok_or("a run that everyone is told of")?;
                self.announced(id, message)
            }
            (Source::Session(_) | Source::Room(_), Some(at), Some(Waiting::Close(moved))) => {
                moved.polled.push(Item::Entry {
                    stream: source.clone(),
                    epoch: at.epoch,
                    offset: at.offset,
                    content: content.clone(),
                });
                ensure!(recipients == 1, "{id:?} closes, and is one of {recipients}");
                moved_rightly(id, moved)
            }
            (Source::Session(_) | Source::Room(_), Some(at), None) => {
                self.streamed(id, source, at, content)
            }
            (_, position, waits) => {
                Err(format!("{id:?}: {source:?} at {position:?} while {waits:?} waits"))
            }
        }
    }

    /// What every piece of stream data needs: nothing waits in the outbox, the connection is open,
    /// there is room, and whoever lags has been flushed.
    fn may_pump(&mut self, id: ConnId, cost: u64) -> Check {
        ensure!(!self.has_waiting(), "{id:?}: stream data before what waits in the outbox");
        let conn = &self.conns[&id];
        ensure!(conn.is_open(), "{id:?} is {:?} and was handed stream data", conn.state);
        let window = self.config.window();
        ensure!(
            conn.fits(cost, window),
            "{id:?}: {cost} beside {} in a window of {window}",
            conn.used()
        );
        let lags = self.seats_of(id).iter().any(|(_, seat)| seat.lag == Lag::Yes);
        ensure!(conn.ready || !lags, "{id:?} lags, was not flushed, and was handed something");
        if conn.used() + cost > window {
            self.marks.hit("a large message went into an empty window");
        }
        Ok(())
    }

    fn announced(&mut self, id: ConnId, message: &Message) -> Check {
        self.may_pump(id, message.cost())?;
        let announcement = self.announcements.iter_mut().find(|it| it.message == *message);
        let announcement = announcement.ok_or("an announcement that nobody made")?;
        let excluded = *message == message.clone().except(id);
        ensure!(!excluded, "{id:?} was told what it was left out of");
        ensure!(!announcement.ended, "{id:?} was told what is over");
        ensure!(announcement.got.insert(id), "{id:?} was told twice");
        let lags = self.seats_of(id).iter().any(|(_, seat)| seat.lag == Lag::Yes);
        ensure!(!lags, "{id:?} lags, and was told what everyone is told");
        Ok(())
    }

    /// A live or a late entry of a stream.
    fn streamed(&mut self, id: ConnId, source: &Source, at: Position, content: &Content) -> Check {
        self.may_pump(id, content.cost())?;
        let stream = self.streams.get_mut(source).ok_or_else(|| format!("no {source:?}"))?;
        ensure!(at.epoch == stream.epoch, "{source:?}: an entry of another epoch");
        let seat = stream.seat(id).ok_or_else(|| format!("{id:?} is not in {source:?}"))?.clone();
        let what = format!("{id:?} at {} of {source:?} was handed {}", seat.cursor, at.offset);
        let entry = stream.entry(at.offset).ok_or_else(|| format!("{what}: it is not there"))?;
        let (first, expected) = (entry.first(), entry.after(seat.cursor));
        ensure!(expected == *content, "{what}: {content:?}, expected {expected:?}");
        ensure!(!entry.excludes(id), "{what}: it is left out of it");
        ensure!(at.offset > seat.cursor, "{what}: twice");
        let next = stream.next(&seat);
        let finds = |entries: &[Entry], log: &Log, laggard: &bool| {
            log.next(entries, &seat.reader(*laggard)) == Next::Entry(at.offset)
        };
        let fine = stream
            .settle(|entries, log| seat.ways().iter().any(|laggard| finds(entries, log, laggard)));
        ensure!(fine, "{what}, expected {next:?}");
        if first > seat.cursor + 1 {
            self.marks.hit("an entry was left out for its sender");
        }
        if first <= seat.cursor {
            self.marks.hit("a text was handed out in part");
        }
        if seat.lag == Lag::Yes && at.offset == stream.head() {
            self.marks.hit("a connection caught up");
        }
        step(stream, id, at.offset);
        Ok(())
    }

    fn gap(&mut self, id: ConnId, source: &Source, from: u64, to: u64) -> Check {
        match self.waits_first(id) {
            Some(Waiting::Close(moved)) => {
                moved.polled.push(Item::Gap { stream: source.clone(), from, to });
                return moved_rightly(id, moved);
            }
            Some(other) => return Err(format!("{id:?}: a gap while {other:?} waits")),
            None => {}
        }
        self.may_pump(id, MESSAGE_OVERHEAD)?;
        let stream = self.streams.get_mut(source).ok_or_else(|| format!("no {source:?}"))?;
        let seat = stream.seat(id).ok_or_else(|| format!("{id:?} is not in {source:?}"))?.clone();
        let what = format!("{id:?} at {} of {source:?}: gap {from}..={to}", seat.cursor);
        ensure!(seat.lag != Lag::No, "{what}, and it does not lag");
        let next = stream.next(&seat);
        let blurred = stream.blurred;
        let fine = stream.settle(|entries, log| {
            let next = log.next(entries, &seat.reader(true));
            let Next::Gap(first, last) = next else { return false };
            let early = || blurred && begins_early(entries, log, &seat, from, first);
            (from == first || early()) && to == last
        });
        ensure!(fine, "{what}, expected {next:?}");
        for mark in marks_of(stream, &seat, to) {
            self.marks.hit(mark);
        }
        step(stream, id, to);
        Ok(())
    }

    fn closed(&mut self, id: ConnId, reason: CloseReason) -> Check {
        let waits = self.waits_first(id);
        let Some(Waiting::Close(moved)) = waits else {
            return Err(format!("{id:?} is closed while {waits:?} waits"));
        };
        ensure!(
            moved.is_whole(),
            "{id:?} is closed after {:?}, expected {:?}",
            moved.polled,
            moved.right
        );
        self.take_waiting(id);
        let now = self.now;
        let conn = self.conns.get_mut(&id).ok_or("gone")?;
        ensure!(conn.state == State::Closing, "{id:?} is {:?} and is closed", conn.state);
        ensure!(!conn.ping_due, "{id:?} is closed before its ping");
        ensure!(conn.reason == Some(reason), "{id:?}: {reason:?}, expected {:?}", conn.reason);
        conn.close_polled = Some(now);
        self.hand(id, MESSAGE_OVERHEAD);
        Ok(())
    }

    fn clean_up(&mut self, id: ConnId, reason: CloseReason) -> Check {
        let waits = self.take_waiting(id);
        ensure!(matches!(waits, Some(Waiting::Cleanup)), "{id:?}: Cleanup while {waits:?} waits");
        let conn = self.conns.remove(&id).ok_or("gone")?;
        ensure!(conn.reason == Some(reason), "{id:?}: {reason:?}, expected {:?}", conn.reason);
        let Some((session_id, _)) = conn.admitted else {
            self.tally.abandoned += 1;
            return Ok(());
        };
        *self.tally.closed.entry(reason).or_insert(0) += 1;
        let session = self.sessions.get_mut(&session_id).ok_or("its session ended before it")?;
        session.uncleaned.remove(&id);
        // Its linger may have passed while this was not polled.
        let linger = self.config.linger();
        let passed = |at| linger.is_zero() || due(self.now, at + linger);
        let lingers = !session.ended && session.open_runs == 0;
        if lingers && session.uncleaned.is_empty() && session.left_at.is_some_and(passed) {
            self.marks.hit("a session ended in a poll");
            self.end_session(session_id, SessionEnd::Lingered);
        }
        Ok(())
    }

    fn forget(&mut self, id: SessionId, reason: CloseReason) -> Check {
        let session = self.sessions.get(&id).ok_or_else(|| format!("{id:?} is unknown"))?;
        ensure!(session.has_waiting(), "{id:?}: Cleanup before its end");
        let reasons = &session.left_for;
        ensure!(reasons.contains(&reason), "{id:?}: {reason:?} is none of {reasons:?}");
        self.sessions.remove(&id);
        Ok(())
    }
}

/// A member has had everything up to here.
fn step(stream: &mut Stream, id: ConnId, cursor: u64) {
    let head = stream.head();
    let Some(mut seat) = stream.seat(id).cloned() else { return };
    seat.cursor = cursor;
    if cursor == head {
        seat.lag = Lag::No;
        seat.excused = false;
    } else if !stream.lack(&seat).certain {
        // What is left is none of its business; whether it counts as caught up does not show.
        seat.lag = seat.lag.min(Lag::Perhaps);
    }
    if let Some(place) = stream.seat_mut(id) {
        *place = seat;
    }
    stream.thin(false);
}

/// Where there are many holes, a superseded entry behind a loss may be taken for a part of it.
pub(super) fn begins_early(
    entries: &[Entry],
    log: &Log,
    seat: &Seat,
    from: u64,
    first: u64,
) -> bool {
    let behind = entries.iter().zip(log.fates());
    let mut between = behind.filter(|(entry, _)| (from..first).contains(&entry.last));
    let silent = |entry: &Entry, fate: Fate| match fate {
        Fate::Superseded => true,
        Fate::Lost => !seat.reader(true).misses(entry),
        Fate::Kept => false,
    };
    seat.cursor < from && from < first && between.all(|(entry, fate)| silent(entry, *fate))
}

/// What is behind a gap that a member is told of.
fn marks_of(stream: &Stream, seat: &Seat, to: u64) -> Vec<&'static str> {
    let log = &stream.logs[0];
    let lost = log.lost(&stream.entries);
    let trimmed = lost.max(seat.cursor);
    let (mut shed, mut passed_over) = (0, 0);
    for (entry, fate) in stream.entries.iter().zip(log.fates()) {
        if entry.last > trimmed && entry.last <= to {
            shed += usize::from(*fate == Fate::Lost);
            passed_over += usize::from(
                *fate == Fate::Kept && entry.is_droppable() && !entry.excludes(seat.conn),
            );
        }
    }
    let mut marks = Vec::new();
    if seat.cursor < seat.late_until {
        marks.push(match (seat.tells_rest, to >= seat.late_until) {
            (true, false) => "a gap between open runs for a resume",
            (true, true) => "a gap for a resume",
            (false, _) => "a late joiner was told of a run's loss",
        });
    }
    if seat.cursor < lost {
        marks.push("a gap for trimmed entries");
    }
    if passed_over > 0 {
        marks.push("a laggard passed over a droppable");
    }
    if usize::from(seat.cursor < lost) + shed + passed_over > 1 {
        marks.push("a gap told of several losses");
    }
    marks
}

/// Whether what a closing connection was handed so far is how a right sequence begins.
fn moved_rightly(id: ConnId, moved: &Moved) -> Check {
    let Moved { right, polled, .. } = moved;
    let fine = moved.begins_rightly();
    ensure!(fine, "{id:?} closes, and was handed {polled:?}, expected {right:?}");
    Ok(())
}
