//! What a tick does. The budget of its ticks is one in every history, so that each acts on one
//! deadline: which one shows, and it must be the first that is due. That a larger budget changes
//! nothing is a test of its own.

use headcount::{
    CloseReason, ConnId, ConnState, MESSAGE_OVERHEAD, Notice, Position, Registry, RoomEnd,
    SessionEnd, SessionId, Upcoming,
};

use super::Model;
use super::conn::State;
use super::log::Shown;
use super::run_ends::Explained;
use super::stream::Stream;
use super::tally::End;
use super::timing::{When, Whose};
use crate::ensure;
use crate::seen::Source;

/// A millisecond, and the rank of a deadline that acts in it.
pub(crate) type Moment = (u64, (u8, usize));

/// A deadline that has acted, and what it has done to a connection.
type Acted = (Whose, Option<Upcoming>);

impl Model {
    /// One tick; whether a deadline has acted.
    pub(crate) fn tick(
        &mut self,
        registry: &Registry,
        explained: &Explained,
    ) -> Result<bool, String> {
        if let Some(id) = self.to_stop() {
            return self.stop(id, registry);
        }
        let acted = self.acted(registry, explained);
        ensure!(acted.len() <= 1, "one tick has done all of {acted:?}");
        let Some((whose, what)) = acted.into_iter().next() else { return Ok(false) };
        let when = self.was_first(&whose, what)?;
        self.acted_last = self.when_acts(when.earliest, &whose);
        match (whose, what) {
            (Whose::Conn(id), Some(what)) => self.conn_acts(id, what),
            (Whose::Session(id), _) => {
                self.marks.hit("a session ended in a tick");
                self.end_session(id, SessionEnd::Lingered);
            }
            (Whose::Run(number), _) => self.fail_run(number),
            (Whose::Log(source), _) => self.log_ages(&source),
            (Whose::Conn(_), None) => {}
        }
        Ok(true)
    }

    /// Nothing more is due now.
    pub(crate) fn ticked(&mut self) {
        self.acted_last = (self.now.as_millis(), (0, 0));
        self.stop_is_over();
    }

    /// What differs in the registry.
    fn acted(&self, registry: &Registry, explained: &Explained) -> Vec<Acted> {
        let mut acted = Vec::new();
        for id in self.conns.keys() {
            acted.extend(self.done_to(*id, registry).map(|what| (Whose::Conn(*id), Some(what))));
        }
        let ended = self.going().filter(|(id, _)| registry.session_position(*id).is_none());
        let ended = ended.filter(|(id, _)| self.open_runs(*id).next().is_none());
        acted.extend(ended.map(|(id, _)| (Whose::Session(id), None)));
        for (number, run) in self.runs.iter().filter(|(_, run)| run.is_open()) {
            let told = run.explained(explained);
            if told.is_none_or(|told| told.ended.is_some()) {
                acted.push((Whose::Run(*number), None));
            }
        }
        if acted.is_empty() {
            // What else acts changes logs by the way.
            let aged = self.streams.values().filter(|stream| {
                let shown = Self::shown(&stream.source, registry);
                shown.is_none_or(|(shown, _)| shown != stream.log.shown())
            });
            acted.extend(aged.map(|stream| (Whose::Log(stream.source.clone()), None)));
        }
        acted
    }

    /// What has been done to a connection.
    fn done_to(&self, id: ConnId, registry: &Registry) -> Option<Upcoming> {
        let conn = &self.conns[&id];
        let explained = registry.explain(id)?;
        match (conn.state, explained.state) {
            (State::Closing, ConnState::Gone) => Some(Upcoming::Cleanup),
            (State::Pending | State::Open, ConnState::Closing) => {
                explained.reason.map(Upcoming::Close)
            }
            (State::Open, state) if state != conn.public_state() => Some(Upcoming::Suspect),
            (State::Open, _) => {
                let pinged = explained.load == self.used(id) + MESSAGE_OVERHEAD;
                (pinged && conn.ping.is_none()).then_some(Upcoming::Ping)
            }
            _ => None,
        }
    }

    /// When the deadline that has acted was due: no later than now, and no other was before it.
    fn was_first(&self, whose: &Whose, what: Option<Upcoming>) -> Result<When, String> {
        let all = self.all_deadlines();
        let told =
            |(of, when): &&(Whose, When)| of == whose && when.earliest <= self.now.as_millis();
        let when = all.iter().find(told).map(|(_, when)| *when);
        let when = when.ok_or_else(|| format!("{whose:?}: {what:?} was not due: {all:?}"))?;
        if let (Whose::Conn(id), Some(what)) = (whose, what) {
            let expected = self.deadlines_of(*id);
            let is_it = |it: &(Upcoming, When)| it.0 == what && it.1.earliest <= when.latest;
            let next = self.conns[id].next;
            let fine = next.is_none_or(|(_, next)| next == what) && expected.iter().any(is_it);
            ensure!(
                fine,
                "{id:?}: {what:?} has acted, expected {next:?}, the first of {expected:?}"
            );
        }
        let acted = self.when_acts(when.earliest, whose);
        for (other, due) in &all {
            ensure!(
                other == whose || self.when_acts(due.latest, other) >= acted,
                "{whose:?} acted for {when:?}, and {other:?} was due at {due:?}"
            );
        }
        Ok(when)
    }

    /// The place of a deadline in the order in which they act. One that comes to be due in the past acts
    /// next: among several of these there is no order.
    fn when_acts(&self, at: u64, whose: &Whose) -> Moment {
        let (millis, _) = self.acted_last;
        (at.max(millis), whose.rank()).max(self.acted_last)
    }

    fn conn_acts(&mut self, id: ConnId, what: Upcoming) {
        match what {
            Upcoming::Ping => self.queue_ping(id),
            Upcoming::Suspect => {
                self.marks.hit("a connection became suspect");
                self.notice(Notice::Suspect { conn: id });
                let ping = self.conns.get_mut(&id).and_then(|conn| conn.ping.as_mut());
                ping.into_iter().for_each(|ping| ping.late = true);
            }
            Upcoming::Close(reason) => {
                self.tally.pong_timeouts += u64::from(reason == CloseReason::PongTimeout);
                self.marks.hit_for("a deadline closed", &reason);
                self.begin_close(id, reason);
            }
            _ => {
                self.marks.hit("a close handshake ended in time");
                self.end(id);
            }
        }
    }

    /// What is too old in a log at the millisecond that acts goes.
    fn log_ages(&mut self, source: &Source) {
        let (upto, _) = self.acted_last;
        if let Some(stream) = self.streams.get_mut(source) {
            stream.expire(upto);
        }
        self.list_evictable(source);
        self.drop_room(source, RoomEnd::Aged);
        self.marks.hit_if(!self.streams.contains_key(source), "a room ended with its history");
    }

    /// A session is over: its log and its name go at once, its slot when the `Cleanup` is polled.
    pub(crate) fn end_session(&mut self, id: SessionId, why: SessionEnd) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.ended = true;
        let user = session.user;
        self.note_absent();
        if self.sessions_of(user).is_empty() {
            self.user_leaves(user);
        }
        self.ease_pressure(user, id);
        self.forget_stream(&Source::Session(id));
        self.end_runs_of(id);
        self.tally.ended(End::Session(why));
        self.notice(Notice::SessionEnded { session: id, why });
        self.clean_up_session(id);
    }

    /// A stream is gone, with all that waits in it.
    pub(crate) fn forget_stream(&mut self, source: &Source) -> Option<Stream> {
        let stream = self.streams.remove(source);
        self.waiting.forget(source);
        self.list_evictable(source);
        stream
    }

    /// What shows of a log, and where its head is; `None` if it is gone.
    pub(crate) fn shown(source: &Source, registry: &Registry) -> Option<(Shown, Position)> {
        let (lost, entries, bytes, head) = match source {
            Source::Session(id) => {
                let it = registry.explain_session(*id)?;
                (it.lost, it.entries, it.bytes, it.head)
            }
            Source::Room(room) => {
                let it = registry.explain_room(room)?;
                (it.lost, it.entries, it.bytes, it.head)
            }
            Source::Direct | Source::Everyone => return None,
        };
        Some((Shown { lost, messages: entries.into(), bytes }, head))
    }
}
