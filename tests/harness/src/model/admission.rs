//! Sockets that come in, and whether they are admitted.

use std::num::NonZeroU32;

use headcount::{
    Admitted, ConnId, ConnKind, Notice, Position, Principal, Recovered, Refused, SessionId, Start,
    UnknownConn,
};

use super::conn::{Conn, State};
use super::eviction::Plan;
use super::following::Following;
use super::names::Name;
use super::runs::Run;
use super::seat::Seat;
use super::stream::Stream;
use super::{Bucket, Model, Session};
use crate::seen::Source;
use crate::{Check, ensure, same};

impl Model {
    pub(crate) fn reserve(
        &mut self,
        source: Option<headcount::Source>,
        made: Option<ConnId>,
    ) -> Result<ConnId, Refused> {
        let Ok(gives_way) = self.place(source) else {
            self.marks.hit("refused: Pending");
            return Err(Refused::Pending);
        };
        let id = made.expect("a socket that has a place");
        if let Some(silent) = gives_way {
            let (reason, _) = self.conns[&silent].pending_until(&self.config);
            self.marks.hit("a silent socket gave way to one of its source");
            self.begin_close(silent, reason);
        }
        self.note_handle(id.to_bits());
        self.conns.insert(id, Conn { source, ..Conn::new(self.now) });
        self.note_life(id);
        self.cut_leaving_short();
        Ok(id)
    }

    /// Who gives way to a newcomer that waits, if one must; an error if none can.
    fn place(&self, source: Option<headcount::Source>) -> Result<Option<ConnId>, ()> {
        let config = &self.config;
        let records = self.conns.len() - self.live();
        if records >= config.pending() as usize + config.closing() as usize {
            return Err(());
        }
        let of_source =
            || self.pending().filter(|id| source.is_some() && self.conns[id].source == source);
        let is_full = self.pending().count() >= config.pending() as usize;
        if !is_full && of_source().count() < config.pending_per_source() as usize {
            return Ok(None);
        }
        of_source().min_by_key(|id| self.conns[id].life).map(Some).ok_or(())
    }

    /// Others of its source have been silent for longer.
    pub(crate) fn note_life(&mut self, id: ConnId) {
        self.lives += 1;
        self.conn_mut(id).life = self.lives;
    }

    pub(crate) fn upgraded(&mut self, id: ConnId) -> Result<(), UnknownConn> {
        let (now, conn) = (self.now, self.find_mut(id));
        let conn = conn.filter(|conn| conn.state != State::Gone).ok_or(UnknownConn)?;
        if conn.state == State::Pending && !conn.upgraded {
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
        (user, thread, kind): (Name, Option<Name>, ConnKind),
        (previous, limit, tenant): (Option<ConnId>, Option<NonZeroU32>, Option<Name>),
    ) -> Result<(Plan, Bucket), Refused> {
        match id.map(|id| self.known(id).map(|conn| conn.state)) {
            Some(None) => return Err(Refused::UnknownConn),
            Some(Some(State::Pending)) | None => {}
            Some(Some(_)) => return Err(Refused::NotPending),
        }
        self.is_not_draining()?;
        let plan = self.plan((user, thread, kind), (previous, tenant), limit)?;
        // A refused one pays nothing.
        let own = self
            .own_rates
            .pay(user, self.now, &self.full_bucket())
            .map_err(|retry_after| Refused::RateOfUser { retry_after })?;
        let mut all = self.bucket.clone();
        all.take(self.now).map_err(|retry_after| Refused::Rate { retry_after })?;
        self.bucket = all;
        Ok((plan, own))
    }

    pub(crate) fn is_not_draining(&self) -> Result<(), Refused> {
        let Some(drain) = &self.drain else { return Ok(()) };
        Err(Refused::Draining { retry_after: drain.ends.saturating_since(self.now) })
    }

    fn full_bucket(&self) -> Bucket {
        let config = &self.config;
        Bucket::new(config.connect_rate_per_user(), config.connect_burst_per_user())
    }

    /// Holds the record of a user: evictions do not end it.
    pub(crate) fn hold_user(&mut self, user: Name) {
        self.held = Some(user);
        self.own_rates.come(user, &self.full_bucket());
        self.note_user(user);
    }

    /// A `Cleanup` was polled, or what was to be said of a user: nothing may be left of the user.
    pub(crate) fn forget_user(&mut self, user: Name) {
        let has_connection = self.conns.values().any(|conn| conn.user() == Some(user));
        let has_session = self.sessions.values().any(|session| session.user == user);
        if has_connection || has_session || self.counts(user) {
            return;
        }
        let limit = self.config.users() as usize;
        let is_kept = self.own_rates.leave(user, self.now, limit);
        *self.forgotten.entry(user).or_default() += 1;
        self.marks.hit_if(is_kept, "a bucket outlived its user");
    }

    /// After a reload: buckets of a rate or burst that has changed begin full.
    pub(crate) fn refill_users(&mut self, changed: bool) {
        if changed {
            self.own_rates.refill(&self.full_bucket());
        }
        self.own_rates.forget(self.config.users() as usize);
    }

    pub(crate) fn connect(
        &mut self,
        id: Option<ConnId>,
        who: &Principal,
        (start, previous): (&Start, Option<ConnId>),
        got: &Result<(ConnId, Admitted), Refused>,
    ) -> Check {
        let user = self.names.user(who.user());
        let thread = who.thread().map(|thread| self.names.thread(user, thread));
        let tenant = who.tenant().map(|tenant| self.names.tenants.number(tenant));
        let (kind, limit) = (who.kind(), who.max_connections());
        let (plan, paid) = match self.decide(id, (user, thread, kind), (previous, limit, tenant)) {
            Ok(decided) => decided,
            Err(expected) => return self.refused(expected, got.err()),
        };
        let refused = |refused| format!("connect: refused for {refused:?}");
        let (admitted_as, admitted) = got.map_err(refused)?;
        let known = thread.and_then(|thread| self.session_of(user, thread));
        let start = &self.before_character(known, start);
        self.hold_user(user);
        let evicted = self.make_room(&plan);
        if id.is_none() {
            ensure!(!self.conns.contains_key(&admitted_as), "{admitted_as:?} was not created");
            self.note_handle(admitted_as.to_bits());
            self.conns.insert(admitted_as, Conn::new(self.now));
        }
        let id = admitted_as;
        self.own_rates.settle(user, paid);
        self.tally.opened += 1;
        let now = self.now;
        let conn = self.find_mut(id).ok_or("connected, never reserved")?;
        conn.state = State::Open;
        conn.admitted = Some((user, now));
        conn.kind = kind;
        conn.heard_at = now;
        conn.data_at = now;
        conn.began = conn.began.map(|_| now);
        conn.expires = who.expires_at();
        conn.label = who.label().map(Into::into);
        // Being slow begins with the admission.
        conn.progress_at = now;
        self.open_of.entry(user).or_default().push(id);
        self.held = None;
        self.join_tenant(user, plan.tenant);
        self.user_arrives(user);
        self.note_user(user);
        let followed = match (thread, admitted.followed) {
            (Some(thread), Some(followed)) => {
                let known = self.session_of(user, thread);
                if known.is_none() {
                    let epoch = followed.position.epoch;
                    self.create_session(followed.session, Session::new(user, thread), epoch);
                }
                let session = known.unwrap_or(followed.session);
                Some(self.begin_to_follow(id, session, start, known.is_none()))
            }
            _ => None,
        };
        let told = admitted.followed.map(Following::from);
        same!(told, followed, "what a connection follows from the start");
        let is_first = self.open_of_user(user).len() == 1;
        same!(admitted.first_of_user, is_first, "whether it is the first of its user");
        let session = followed.map(|followed| followed.session);
        self.marks.hit_if(session.is_none(), "a connection was admitted without a session");
        self.notice(Notice::Admitted { conn: id, session });
        self.cut_short();
        self.raise_pressure(user, session, evicted);
        Ok(())
    }

    pub(crate) fn create_session(&mut self, id: SessionId, session: Session, epoch: u64) {
        self.going_of.entry(session.user).or_default().push(id);
        let before = self.sessions.insert(id, session);
        assert!(before.is_none(), "{id:?} was there before");
        self.note_handle(id.to_bits());
        self.tally.sessions_opened += 1;
        self.found(Source::Session(id), epoch);
    }

    /// A stream begins, with an epoch that no other had.
    pub(crate) fn found(&mut self, source: Source, epoch: u64) {
        assert!(self.epochs.insert(epoch), "{source:?} began with an epoch that was used before");
        let stream = Stream::new(source.clone(), epoch, &self.config);
        self.streams.insert(source, stream);
    }

    /// A connection takes its seat in a stream: at its head, or where its client says it stopped.
    pub(crate) fn enter(
        &mut self,
        id: ConnId,
        source: &Source,
        start: &Start,
    ) -> (Position, Recovered) {
        self.conn_mut(id).streams.push(source.clone());
        if let Source::Session(session) = source
            && let Some(session) = self.sessions.get_mut(session)
        {
            self.marks.hit_if(session.left_at.is_some(), "a session came back to life");
            session.left_at = None;
        }
        let late = match source {
            Source::Session(id) => self.runs_for(*id, start),
            _ => None,
        };
        let who = self.who(id);
        let stream = self.streams.get_mut(source).expect("a stream that is there");
        let head = stream.head();
        let mut seat = Seat::at(who, head);
        let recovered = match *start {
            Start::Kept => {
                seat.cursor = stream.log.shown().lost;
                Recovered::Fresh
            }
            Start::Now | Start::OpenRuns | Start::Recent | Start::Run(_) => {
                if let Some(late) = late {
                    self.marks.hit_for("a late join", start);
                    (seat.cursor, seat.closed_after, seat.only) = late;
                    seat.late_until = head;
                }
                Recovered::Fresh
            }
            Start::After(since) if since.epoch != stream.epoch || since.offset > head => {
                // It may have seen anything: it gets the open runs, and all else is lost for it.
                seat.cursor = 0;
                (seat.late_until, seat.closed_after) = (head, head);
                seat.tells_rest = true;
                self.marks.hit_if(since.epoch != stream.epoch, "a resume from a foreign epoch");
                Recovered::Gap
            }
            Start::After(since) => {
                seat.cursor = since.offset;
                let (loses, replayed) = stream.outlook(&seat);
                self.marks.hit_if(replayed > 0 && !loses, "a resume replayed everything");
                self.marks.hit_if(replayed > 0 && loses, "a resume replayed what was left");
                if loses { Recovered::Gap } else { Recovered::All }
            }
        };
        stream.log.passed = stream.log.passed.min(seat.cursor);
        let position = Position { epoch: stream.epoch, offset: seat.cursor };
        stream.seats.push(seat);
        self.list_evictable(source);
        self.note_absent(source);
        if position.offset < head {
            self.fall_back(id, source);
        }
        (position, recovered)
    }

    /// The runs that a newcomer to a session is given from their start: the cursor before the first of
    /// these, the offset after which they have ended unless they are open, and the only one, if it is one.
    fn runs_for(&self, session: SessionId, start: &Start) -> Option<(u64, u64, Option<u64>)> {
        let head = self.streams[&Source::Session(session)].head();
        let is_of_it = |(number, run): &(&u64, &Run)| {
            run.session == session && self.is_remembered(**number, run)
        };
        let of_session = || self.runs.iter().filter(is_of_it);
        let (closed_after, only) = match start {
            Start::OpenRuns => (head, None),
            Start::Recent => {
                let ended = of_session().filter(|(_, run)| run.lingers).filter_map(|it| it.1.ended);
                (ended.min().map_or(head, |ended| ended - 1), None)
            }
            Start::Run(id) => {
                let (number, run) = of_session().find(|(_, run)| run.id == *id)?;
                (run.ended.map_or(head, |ended| ended - 1), Some(*number))
            }
            _ => return None,
        };
        let is_given = |(number, run): &(&u64, &Run)| {
            only.is_none_or(|only| only == **number)
                && run.ended.is_none_or(|ended| ended > closed_after)
        };
        let first = of_session().filter(is_given).map(|(_, run)| run.first).min()?;
        Some((first - 1, closed_after, only))
    }

    /// A client that claims to stand within a character of a text stands before it: of a text that is
    /// there when it comes, whatever goes as room is made for it.
    pub(crate) fn before_character(&self, session: Option<SessionId>, start: &Start) -> Start {
        let Start::After(since) = *start else { return start.clone() };
        let stream = session.map(|session| &self.streams[&Source::Session(session)]);
        let stream = stream.filter(|stream| stream.epoch == since.epoch);
        let entry = stream.and_then(|stream| stream.log.after(since.offset));
        let offset = entry.map_or(since.offset, |entry| entry.before_character(since.offset));
        Start::After(Position { offset, ..since })
    }

    /// An open connection comes to follow a session.
    pub(crate) fn begin_to_follow(
        &mut self,
        id: ConnId,
        session: SessionId,
        start: &Start,
        new_session: bool,
    ) -> Following {
        self.conn_mut(id).sessions.push(session);
        self.session_mut(session).uncleaned += 1;
        self.share_sessions(id);
        let source = Source::Session(session);
        let (position, recovered) = self.enter(id, &source, start);
        let first_of_session = self.members(&source).len() == 1;
        Following { session, new_session, first_of_session, position, recovered, already: false }
    }

    /// While the headroom is used up, of connections or of sessions, the oldest close ends now.
    pub(crate) fn cut_short(&mut self) {
        while self.is_headroom_used_up() {
            let Some(first) = self.still_closing(true).next() else { return };
            self.marks.hit("a close handshake was cut short");
            self.end(first);
        }
    }

    fn is_headroom_used_up(&self) -> bool {
        let headroom = self.config.closing() as usize;
        let conns = self.open().count() + self.still_closing(true).count();
        let closes = |id| self.uncleaned(id).any(|conn| conn.state == State::Closing);
        let ended = self.sessions.iter().filter(|(_, session)| session.ended);
        let waiting = ended.filter(|(id, _)| closes(**id)).count();
        let sessions = self.going().count() + waiting;
        conns >= self.config.connections() as usize + headroom
            || waiting > 0 && sessions >= self.config.sessions() as usize + headroom
    }

    /// The same among those that were never admitted, whose headroom is beside the pending ones.
    pub(crate) fn cut_leaving_short(&mut self) {
        let places = self.config.pending() as usize + self.config.closing() as usize;
        while self.pending().count() + self.still_closing(false).count() >= places {
            let Some(first) = self.still_closing(false).next() else { return };
            self.marks.hit("a close handshake of one never admitted was cut short");
            self.end(first);
        }
    }
}
