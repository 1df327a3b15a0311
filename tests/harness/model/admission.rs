//! Sockets that come in, and whether they become somebody.

use headcount::{
    Admitted, ConnId, ConnState, Position, Recovered, Refused, Registry, Resume, Timestamp,
    UnknownConn,
};

use super::conn::{Conn, State};
use super::eviction::Plan;
use super::stream::{Lag, Seat, Stream};
use super::{Model, Session};
use crate::harness::seen::Source;
use crate::harness::{Check, ensure};

impl Model {
    pub fn reserve(&mut self, stamp: Timestamp, got: Result<ConnId, Refused>) -> Check {
        self.clock(stamp);
        let nobodies = self.conns.len() - self.live();
        if nobodies >= self.config.pending() as usize {
            ensure!(got == Err(Refused::Pending), "reserve: {got:?} with {nobodies} pending");
            self.marks.hit("refused: Pending");
            return Ok(());
        }
        let id = got.map_err(|refused| format!("reserve: {refused:?}, {nobodies} pending"))?;
        self.conns.insert(id, Conn::new(id, self.now));
        Ok(())
    }

    pub fn upgraded(
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
        }
        Ok(())
    }

    /// What makes room, or the first rule that an admission breaks; takes the token.
    fn decide(
        &mut self,
        id: ConnId,
        (user, thread): (u8, u8),
        previous: Option<ConnId>,
    ) -> Result<Plan, Refused> {
        match self.known(id).map(|conn| conn.state) {
            None => return Err(Refused::UnknownConn),
            Some(State::Pending) => {}
            Some(_) => return Err(Refused::NotPending),
        }
        if let Some(drain) = &self.drain {
            let retry_after = drain.ends.saturating_since(self.now);
            return Err(Refused::Draining { retry_after });
        }
        self.bucket.take(self.now).map_err(|retry_after| Refused::Rate { retry_after })?;
        self.plan(user, thread, previous)
    }

    pub fn connect(
        &mut self,
        registry: &Registry,
        stamp: Timestamp,
        id: ConnId,
        (user, thread): (u8, u8),
        (resume, expires): (Option<Resume>, Option<Timestamp>),
        got: &Result<Admitted, Refused>,
    ) -> Check {
        self.clock(stamp);
        let previous = resume.and_then(|resume| resume.previous);
        let plan = match self.decide(id, (user, thread), previous) {
            Ok(plan) => plan,
            Err(expected) => return self.refused(expected, got.err()),
        };
        let admitted = got.map_err(|refused| format!("connect: refused for {refused:?}"))?;
        let evicted = self.make_room(&plan);
        let session = self.find_or_mint(user, thread, &admitted)?;
        let source = Source::Session(session);
        let position = self.enter(id, &source)?;
        ensure!(
            admitted.position == position,
            "connect: {:?}, the head is {position:?}",
            admitted.position
        );
        let recovered = self.resume(id, &source, resume.map(|resume| resume.position));
        ensure!(admitted.recovered == recovered, "connect: {:?}", admitted.recovered);
        self.tally.opened += 1;
        let now = self.now;
        let conn = self.conns.get_mut(&id).ok_or("connected, never reserved")?;
        conn.state = State::Open;
        conn.admitted = Some((session, now));
        conn.heard_at = now;
        conn.data_at = now;
        conn.expires = expires;
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
            let session = Session {
                user,
                thread,
                uncleaned: std::collections::BTreeSet::new(),
                left_at: None,
                left_for: Vec::new(),
                left_by: 0,
                ended: false,
            };
            self.sessions.insert(id, session);
            self.notices.minted(id, user);
            self.tally.sessions_opened += 1;
            self.found(Source::Session(id), admitted.position.epoch)?;
        }
        Ok(id)
    }

    /// A stream begins; nobody ever saw its epoch.
    pub fn found(&mut self, source: Source, epoch: u64) -> Check {
        ensure!(self.epochs.insert(epoch), "{source:?} began with an epoch that was used before");
        let stream = Stream::new(source.clone(), epoch, &self.config);
        self.streams.insert(source, stream);
        Ok(())
    }

    /// A connection takes its seat at the head of a stream.
    pub fn enter(&mut self, id: ConnId, source: &Source) -> Result<Position, String> {
        let stream = self.streams.get_mut(source).ok_or("no such stream")?;
        let cursor = stream.head();
        stream.seats.push(Seat {
            conn: id,
            cursor,
            lag: Lag::No,
            excused: false,
            missed: None,
            passed: 0,
        });
        let position = Position { epoch: stream.epoch, offset: cursor };
        if let Source::Session(session) = source
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.uncleaned.insert(id);
            if session.left_at.take().is_some() {
                self.marks.hit("a session came back to life");
            }
        }
        Ok(position)
    }

    /// What a client that claims a position is told: all that it may have missed is lost. It comes
    /// before any entry, and after the replies that welcome it.
    pub fn resume(&mut self, id: ConnId, source: &Source, since: Option<Position>) -> Recovered {
        let (Some(since), Some(stream)) = (since, self.streams.get_mut(source)) else {
            return Recovered::Fresh;
        };
        let head = stream.head();
        let from = match since {
            Position { epoch, offset } if epoch == stream.epoch && offset <= head => offset + 1,
            _ => 1,
        };
        if from <= head
            && let Some(seat) = stream.seat_mut(id)
            && let Some(conn) = self.conns.get_mut(&id)
        {
            seat.missed = Some((from, head));
            seat.lag = Lag::Yes;
            conn.ready = true;
        }
        Recovered::Gap
    }

    /// While the headroom for closing connections is used up, the oldest close ends now.
    pub fn cut_short(&mut self, registry: &Registry) -> Check {
        let limit = self.config.connections() as usize + self.config.closing() as usize;
        let mut closing: Vec<_> =
            self.still_closing().map(|conn| (conn.closed_by, conn.id)).collect();
        let excess = (self.open().count() + closing.len() + 1).saturating_sub(limit);
        let excess = excess.min(closing.len());
        let is_gone = |id: ConnId| registry.state(id) == Some(ConnState::Gone);
        // Those that one operation closed have no order: the registry chooses among them.
        closing.sort_by_key(|(step, id)| (*step, !is_gone(*id)));
        for (place, (_, id)) in closing.into_iter().enumerate() {
            ensure!(is_gone(id) == (place < excess), "{excess} closes had to end, but not {id:?}");
            if place < excess {
                self.marks.hit("a close handshake was cut short");
                self.end(id);
            }
        }
        Ok(())
    }
}
