//! Checks each action that was polled, and does what it says.

use headcount::{CloseReason, ConnId, Gone, MESSAGE_OVERHEAD, Message, Position, SessionId};

use super::conn::{Item, PingDue, State, Waiting};
use super::stream::Lag;
use super::{Model, due};
use crate::harness::seen::{Seen, Source};
use crate::harness::{Check, ensure};

impl Model {
    pub fn action(&mut self, seen: &Seen) -> Check {
        for id in seen.conns() {
            ensure!(self.conns.contains_key(id), "{id:?} is unknown");
        }
        self.others_wait(seen)?;
        match seen {
            Seen::Send { to, stream, position, message } => {
                self.tally.sent += to.len() as u64;
                for id in to {
                    self.send_to(*id, to.len(), stream, *position, message)?;
                    self.hand(*id, message.cost());
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
                let due = core::mem::replace(&mut pinged.ping_due, PingDue::No);
                ensure!(due != PingDue::No, "a ping of {conn:?} that was not due");
                pinged.pinged = true;
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
            Seen::Cleanup { what: Gone::Conn(conn), reason } => self.clean_up(*conn, *reason)?,
            Seen::Cleanup { what: Gone::Session(session), reason } => {
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
        message: &Message,
    ) -> Check {
        match (source, position, self.waits_first(id)) {
            (Source::Direct, None, Some(Waiting::Direct(promised))) => {
                ensure!(promised == message, "{id:?} was handed another message than promised");
                ensure!(recipients == 1, "a direct message for {recipients}");
                self.take_waiting(id);
                Ok(())
            }
            (Source::Direct, ..) => Err(format!("{id:?} was promised no direct message")),
            (Source::Everyone, None, None) => self.announced(id, message),
            (Source::Session(_) | Source::Room(_), Some(at), Some(Waiting::Close(moved))) => {
                moved.polled.push(Item::Entry {
                    stream: source.clone(),
                    epoch: at.epoch,
                    offset: at.offset,
                    message: message.clone(),
                });
                ensure!(recipients == 1, "{id:?} closes, and is one of {recipients}");
                moved_rightly(id, &moved.right, &moved.lacked, &moved.polled)
            }
            (Source::Session(_) | Source::Room(_), Some(at), None) => {
                self.streamed(id, source, at, message)
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
    fn streamed(&mut self, id: ConnId, source: &Source, at: Position, message: &Message) -> Check {
        self.may_pump(id, message.cost())?;
        let stream = self.streams.get_mut(source).ok_or_else(|| format!("no {source:?}"))?;
        ensure!(at.epoch == stream.epoch, "{source:?}: an entry of another epoch");
        let seat = stream.seat(id).ok_or_else(|| format!("{id:?} is not in {source:?}"))?.clone();
        let what = format!("{id:?} at {} of {source:?} was handed {}", seat.cursor, at.offset);
        let entry = stream.entry(at.offset).ok_or_else(|| format!("{what}: it is not there"))?;
        ensure!(entry.message == *message, "{what}: it is another message");
        ensure!(*message != message.clone().except(id), "{what}: it is left out of it");
        ensure!(at.offset > seat.cursor, "{what}: twice");
        ensure!(seat.missed.is_none(), "{what}: before it was told what it missed");
        ensure!(at.offset >= stream.first, "{what}: it was trimmed");
        ensure!(stream.all_excluded(id, seat.cursor + 1, at.offset - 1), "{what}: left some out");
        if at.offset > seat.cursor + 1 {
            self.marks.hit("an entry was left out for its sender");
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
                return moved_rightly(id, &moved.right, &moved.lacked, &moved.polled);
            }
            Some(other) => return Err(format!("{id:?}: a gap while {other:?} waits")),
            None => {}
        }
        self.may_pump(id, MESSAGE_OVERHEAD)?;
        let stream = self.streams.get_mut(source).ok_or_else(|| format!("no {source:?}"))?;
        let seat = stream.seat(id).ok_or_else(|| format!("{id:?} is not in {source:?}"))?.clone();
        let what = format!("{id:?} at {} of {source:?}: gap {from}..={to}", seat.cursor);
        let lost = stream.first - 1;
        if let Some((first, last)) = seat.missed {
            // What was trimmed since may be told with it, or after it.
            self.marks.hit("a gap for a resume");
            ensure!(from == first && to >= last, "{what}: it missed {first}..={last}");
            if let Some(seat) = stream.seat_mut(id) {
                seat.missed = None;
            }
            if to == last {
                step(stream, id, to);
                return Ok(());
            }
        } else {
            self.marks.hit("a gap for trimmed entries");
            ensure!(from > seat.cursor, "{what}: it has had some of it");
            ensure!(stream.all_excluded(id, seat.cursor + 1, from - 1), "{what}: left some out");
        }
        ensure!(to <= lost, "{what}: only {lost} were trimmed");
        ensure!(stream.all_excluded(id, to + 1, lost), "{what}: {lost} were trimmed");
        step(stream, id, to);
        Ok(())
    }

    fn closed(&mut self, id: ConnId, reason: CloseReason) -> Check {
        let waits = self.waits_first(id);
        let Some(Waiting::Close(moved)) = waits else {
            return Err(format!("{id:?} is closed while {waits:?} waits"));
        };
        ensure!(
            moved.right.is_empty() || moved.right.contains(&moved.polled),
            "{id:?} is closed after {:?}, expected {:?}",
            moved.polled,
            moved.right
        );
        self.take_waiting(id);
        let now = self.now;
        let conn = self.conns.get_mut(&id).ok_or("gone")?;
        ensure!(conn.state == State::Closing, "{id:?} is {:?} and is closed", conn.state);
        ensure!(conn.ping_due != PingDue::Yes, "{id:?} is closed before its ping");
        conn.ping_due = PingDue::No;
        ensure!(conn.reasons.contains(&reason), "{id:?}: {reason:?} is none of {:?}", conn.reasons);
        conn.reasons = vec![reason];
        conn.close_polled = Some(now);
        self.hand(id, MESSAGE_OVERHEAD);
        Ok(())
    }

    fn clean_up(&mut self, id: ConnId, reason: CloseReason) -> Check {
        let waits = self.take_waiting(id);
        ensure!(matches!(waits, Some(Waiting::Cleanup)), "{id:?}: Cleanup while {waits:?} waits");
        let conn = self.conns.remove(&id).ok_or("gone")?;
        ensure!(conn.reasons.contains(&reason), "{id:?}: {reason:?} is none of {:?}", conn.reasons);
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
        if !session.ended && session.uncleaned.is_empty() && session.left_at.is_some_and(passed) {
            self.marks.hit("a session ended in a poll");
            self.end_session(session_id);
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
fn step(stream: &mut super::stream::Stream, id: ConnId, cursor: u64) {
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

/// Whether what a closing connection was handed so far is how a right sequence begins.
fn moved_rightly(id: ConnId, right: &[Vec<Item>], lacked: &[Item], polled: &[Item]) -> Check {
    if !right.is_empty() {
        let fine = right.iter().any(|sequence| sequence.starts_with(polled));
        ensure!(fine, "{id:?} closes, and was handed {polled:?}, expected {right:?}");
        return Ok(());
    }
    // Which of the entries were there to be moved is open: each must be one that it lacked, or be
    // covered by a gap, and they must come in order.
    let mut rest = lacked.iter();
    for item in polled {
        let found = match item {
            Item::Entry { .. } => rest.any(|other| other == item),
            Item::Gap { stream, .. } => lacked.iter().any(|other| other.stream() == stream),
        };
        ensure!(found, "{id:?} closes, and was handed {item:?}, which it did not lack");
    }
    Ok(())
}
