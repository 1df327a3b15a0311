//! Sockets that come in, and whether they become somebody.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use headcount::{
    Admitted, CloseReason, ConnId, ConnState, Position, Recovered, Refused, Registry, Resume,
    Timestamp, UnknownConn,
};

use super::conn::{Conn, State};
use super::eviction::Plan;
use super::log::Log;
use super::stream::{Lag, Seat, Stream};
use super::{Bucket, Model, Session};
use crate::seen::Source;
use crate::{Check, ensure};

impl Model {
    pub(crate) fn reserve(
        &mut self,
        registry: &Registry,
        stamp: Timestamp,
        source: Option<u8>,
        got: Result<ConnId, Refused>,
    ) -> Check {
        self.clock(stamp);
        let Ok(gives_way) = self.place(source) else {
            ensure!(got == Err(Refused::Pending), "reserve: {got:?}, expected to be refused");
            self.marks.hit("refused: Pending");
            return Ok(());
        };
        let id = got.map_err(|refused| format!("reserve: {refused:?}"))?;
        if let Some(silent) = gives_way {
            let reason = match self.conns[&silent].upgraded {
                true => CloseReason::AuthTimeout,
                false => CloseReason::HeadTimeout,
            };
            self.marks.hit("a silent socket gave way to one of its source");
            self.begin_close(silent, reason);
        }
        self.note_handle(id.to_bits());
        self.conns.insert(id, Conn { source, ..Conn::new(id, self.now) });
        self.note_life(id);
        self.cut_leaving_short(registry)
    }

    /// Who gives way to a newcomer that waits, if one must; an error if none can.
    fn place(&self, source: Option<u8>) -> Result<Option<ConnId>, ()> {
        let config = &self.config;
        let records = self.conns.len() - self.live();
        if records >= config.pending() as usize + config.closing() as usize {
            return Err(());
        }
        let of_source = || self.waiting().filter(|conn| source.is_some() && conn.source == source);
        let is_full = self.waiting().count() >= config.pending() as usize;
        if !is_full && of_source().count() < config.pending_per_source() as usize {
            return Ok(None);
        }
        of_source().min_by_key(|conn| conn.life).map(|conn| Some(conn.id)).ok_or(())
    }

    /// Others of its source have been silent for longer.
    pub(crate) fn note_life(&mut self, id: ConnId) {
        self.lives += 1;
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.life = self.lives;
        }
    }

    pub(crate) fn upgraded(
        &mut self,
        stamp: Timestamp,
        id: ConnId,
        got: Result<(), UnknownConn>,
    ) -> Check {
        self.clock(stamp);
        let expected = self.known(id).map(|_| ()).ok_or(UnknownConn);
        ensure!(got == expected, "upgraded: {got:?}, expected {expected:?}");
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(&id)
            && conn.state == State::Pending
            && !conn.upgraded
        {
            conn.upgraded = true;
            conn.pending_since = now;
            self.note_life(id);
        }
        Ok(())
    }

    /// What makes room, or the first rule that an admission breaks; takes the token.
    fn decide(
        &mut self,
        id: Option<ConnId>,
        (user, thread): (u8, u8),
        (previous, limit): (Option<ConnId>, Option<NonZeroU32>),
        got: Option<Refused>,
    ) -> Result<Plan, Refused> {
        match id.map(|id| self.known(id).map(|conn| conn.state)) {
            Some(None) => return Err(Refused::UnknownConn),
            Some(Some(State::Pending)) | None => {}
            Some(Some(_)) => return Err(Refused::NotPending),
        }
        if let Some(drain) = &self.drain {
            let retry_after = drain.ends.saturating_since(self.now);
            return Err(Refused::Draining { retry_after });
        }
        let plan = self.plan(user, thread, previous, limit)?;
        // A refused one pays nothing.
        self.own_rates
            .pay((user, self.now, &self.full_bucket()), got)
            .map_err(|retry_after| Refused::RateOfUser { retry_after })?;
        let mut all = self.bucket.clone();
        all.take(self.now).map_err(|retry_after| Refused::Rate { retry_after })?;
        self.bucket = all;
        Ok(plan)
    }

    fn full_bucket(&self) -> Bucket {
        let config = &self.config;
        Bucket::new(config.connect_rate_per_user(), config.connect_burst_per_user())
    }

    /// A user has a session.
    pub(crate) fn user_comes(&mut self, user: u8) {
        self.own_rates.come(user, &self.full_bucket());
    }

    /// The last session of a user has ended.
    pub(crate) fn user_leaves(&mut self, user: u8) {
        let limit = self.config.users() as usize;
        if self.own_rates.leave(user, (self.now, self.step), limit) {
            self.marks.hit("a bucket outlived its user");
        }
    }

    /// After a reload: buckets of a rate or burst that has changed begin full.
    pub(crate) fn refill_users(&mut self, changed: bool) {
        if changed {
            self.own_rates.refill(&self.full_bucket());
        }
        self.own_rates.forget(self.now, self.config.users() as usize);
    }

    pub(crate) fn connect(
        &mut self,
        registry: &Registry,
        stamp: Timestamp,
        id: Option<ConnId>,
        (user, thread, label): (u8, u8, Option<u8>),
        (resume, expires, limit): (Option<Resume>, Option<Timestamp>, Option<NonZeroU32>),
        got: &Result<(ConnId, Admitted), Refused>,
    ) -> Check {
        self.clock(stamp);
        let previous = resume.and_then(|resume| resume.previous);
        let plan =
            match self.decide(id, (user, thread), (previous, limit), got.as_ref().err().copied()) {
                Ok(plan) => plan,
                Err(expected) => return self.refused(expected, got.err()),
            };
        let refused = |refused| format!("connect: refused for {refused:?}");
        let (admitted_as, admitted) = got.map_err(refused)?;
        let evicted = self.make_room(&plan, user, registry)?;
        if id.is_none() {
            ensure!(!self.conns.contains_key(&admitted_as), "{admitted_as:?} was not created");
            self.note_handle(admitted_as.to_bits());
            self.conns.insert(admitted_as, Conn::new(admitted_as, self.now));
        }
        let id = admitted_as;
        let session = self.find_or_mint(user, thread, &admitted)?;
        self.user_comes(user);
        self.own_rates.settle(user);
        let source = Source::Session(session);
        let since = resume.and_then(|resume| resume.position);
        let (position, recovered) =
            self.enter(id, &source, since, (admitted.recovered, admitted.position.offset))?;
        ensure!(
            admitted.position == position && admitted.recovered == recovered,
            "connect: {admitted:?}, expected {position:?} and {recovered:?}"
        );
        self.tally.opened += 1;
        let now = self.now;
        let conn = self.conns.get_mut(&id).ok_or("connected, never reserved")?;
        conn.state = State::Open;
        conn.admitted = Some((session, now));
        conn.heard_at = now;
        conn.data_at = now;
        conn.began = conn.began.map(|_| now);
        conn.expires = expires;
        conn.label = label;
        // Being slow begins with the admission.
        conn.progress_at = now;
        self.notices.admitted(id, session, now);
        self.cut_short(registry)?;
        self.raise_pressure(user, evicted, registry)
    }

    fn find_or_mint(
        &mut self,
        user: u8,
        thread: u8,
        admitted: &Admitted,
    ) -> Result<headcount::SessionId, String> {
        let id = admitted.session;
        if let Some(known) = self.session_of(user, thread) {
            ensure!(id == known, "connect: admitted to {id:?} instead of {known:?}");
            ensure!(!admitted.new_session, "connect: {id:?} is not new");
        } else {
            ensure!(admitted.new_session, "connect: {id:?} is new");
            ensure!(!self.sessions.contains_key(&id), "connect: {id:?} exists");
            self.sessions.insert(id, Session::new(user, thread));
            self.notices.created(id, user);
            self.tally.sessions_opened += 1;
            self.found(Source::Session(id), admitted.position.epoch)?;
        }
        Ok(id)
    }

    /// A stream begins; nobody ever saw its epoch.
    pub(crate) fn found(&mut self, source: Source, epoch: u64) -> Check {
        ensure!(self.epochs.insert(epoch), "{source:?} began with an epoch that was used before");
        let stream = Stream::new(source.clone(), epoch, &self.config);
        self.streams.insert(source, stream);
        Ok(())
    }

    /// A connection takes its seat in a stream: at its head, or where its client says it stopped.
    pub(crate) fn enter(
        &mut self,
        id: ConnId,
        source: &Source,
        since: Option<Position>,
        (told, told_at): (Recovered, u64),
    ) -> Result<(Position, Recovered), String> {
        let mut late = None;
        if let Source::Session(session) = source
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.uncleaned.insert(id);
            if session.left_at.take().is_some() {
                self.marks.hit("a session came back to life");
            }
        }
        if let (Source::Session(session), None) = (source, since) {
            late = self.first_of_open_runs(*session);
        }
        let stream = self.streams.get_mut(source).ok_or("no such stream")?;
        let head = stream.head();
        let mut seat = Seat {
            conn: id,
            cursor: head,
            lag: Lag::No,
            excused: false,
            late_until: 0,
            tells_rest: false,
            acknowledged: 0,
            passed: 0,
        };
        let recovered = match since {
            None => {
                if let Some(first) = late {
                    self.marks.hit("a late join in the middle of a run");
                    seat.cursor = first - 1;
                    seat.late_until = head;
                }
                Recovered::Fresh
            }
            Some(since) if since.epoch != stream.epoch || since.offset > head => {
                // It may have seen anything: it gets the open runs, and all else is lost for it.
                seat.cursor = 0;
                seat.late_until = head;
                seat.tells_rest = true;
                if since.epoch != stream.epoch {
                    self.marks.hit("a resume from a foreign epoch");
                }
                Recovered::Gap
            }
            Some(since) => {
                // Of a text that was lost by then nobody knows the characters.
                let index = stream.entries.partition_point(|entry| entry.last <= since.offset);
                let whole = stream.entries[index..]
                    .first()
                    .map_or(since.offset, |entry| entry.before_character(since.offset));
                let lost = |log: &Log| log.kept().all(|kept| kept != index);
                seat.cursor = if told_at == since.offset && stream.logs.iter().any(lost) {
                    since.offset
                } else {
                    whole
                };
                // Whoever left to make room for it may have been the last that lacked something.
                let recovered = stream.recovered(seat.cursor, id, told)?;
                let (_, replayed) = stream.logs[0].outlook(&stream.entries, seat.cursor, id);
                if replayed > 0 {
                    self.marks.hit(match recovered {
                        Recovered::All => "a resume replayed everything",
                        _ => "a resume replayed what was left",
                    });
                }
                recovered
            }
        };
        stream.logs.iter_mut().for_each(|log| log.sit(seat.cursor));
        let position = Position { epoch: stream.epoch, offset: seat.cursor };
        if seat.waits(head) {
            seat.lag = Lag::Yes;
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.ready = true;
            }
        }
        stream.seats.push(seat);
        Ok((position, recovered))
    }

    /// While the headroom is used up, of connections or of sessions, the oldest close ends now. Those
    /// that one operation closed have no order: the registry chooses among them.
    pub(crate) fn cut_short(&mut self, registry: &Registry) -> Check {
        let is_gone = |conn: &&Conn| registry.state(conn.id) == Some(ConnState::Gone);
        let (gone, stay): (Vec<_>, Vec<_>) = self.still_closing(true).partition(is_gone);
        let last = gone.iter().map(|conn| conn.closed_by).max().unwrap_or(0);
        let youngest = gone.iter().filter(|conn| conn.closed_by == last).map(|conn| conn.id);
        let in_order = stay.iter().all(|conn| conn.closed_by >= last);
        let gone: BTreeSet<_> = gone.iter().map(|conn| conn.id).collect();
        let without = |id: ConnId| gone.iter().copied().filter(|other| *other != id).collect();
        let mut needed = youngest.map(|id| self.is_headroom_used_up(&without(id)));
        ensure!(
            in_order && (gone.is_empty() || needed.any(|needed| needed)),
            "{gone:?} were cut short without need, or out of order"
        );
        ensure!(
            stay.is_empty() || !self.is_headroom_used_up(&gone),
            "the headroom is used up, and no more than {gone:?} were cut short"
        );
        for id in gone {
            self.marks.hit("a close handshake was cut short");
            self.end(id);
        }
        Ok(())
    }

    /// Whether it would be once these have ended.
    fn is_headroom_used_up(&self, ended: &BTreeSet<ConnId>) -> bool {
        let headroom = self.config.closing() as usize;
        let closing = self.still_closing(true).map(|conn| conn.id).filter(|id| !ended.contains(id));
        let closing: BTreeSet<_> = closing.collect();
        let conns = self.open().count() + closing.len();
        let waits = |it: &&Session| it.ended && !it.uncleaned.is_disjoint(&closing);
        let waiting = self.sessions.values().filter(waits).count();
        let sessions = self.going().count() + waiting;
        conns >= self.config.connections() as usize + headroom
            || waiting > 0 && sessions >= self.config.sessions() as usize + headroom
    }
    /// The same among those that were never admitted, whose headroom is beside the pending ones.
    pub(crate) fn cut_leaving_short(&mut self, registry: &Registry) -> Check {
        let limit = self.config.pending() as usize + self.config.closing() as usize;
        let mut closing: Vec<_> =
            self.still_closing(false).map(|conn| (conn.closed_by, conn.id)).collect();
        let excess = (self.waiting().count() + closing.len() + 1).saturating_sub(limit);
        let excess = excess.min(closing.len());
        let is_gone = |id: ConnId| registry.state(id) == Some(ConnState::Gone);
        // Those that one operation closed have no order: the registry chooses among them.
        closing.sort_by_key(|(step, id)| (*step, !is_gone(*id)));
        for (place, (_, id)) in closing.into_iter().enumerate() {
            ensure!(is_gone(id) == (place < excess), "{excess} closes had to end, but not {id:?}");
            if place < excess {
                self.marks.hit("a close handshake of one never admitted was cut short");
                self.end(id);
            }
        }
        Ok(())
    }
}
