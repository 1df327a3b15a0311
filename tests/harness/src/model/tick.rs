//! What a tick does. The budget of its ticks is one in every history, so that each acts on one
//! deadline: which one shows, and it must be the first that is due. That a larger budget changes
//! nothing is a test of its own.

use headcount::{
    CloseReason, ConnId, ConnState, MESSAGE_OVERHEAD, Notice, Position, Registry, RoomEnd,
    SessionEnd, SessionId, Upcoming,
};

use super::conn::State;
use super::log::Shown;
use super::run_ends;
use super::stream::Stream;
use super::tally::End;
use super::timing::{When, Whose};
use super::{Model, drop_one, keep};
use crate::seen::Source;
use crate::{Check, ensure};

/// A millisecond, and the rank of a deadline that acts in it.
pub(crate) type Moment = (u64, (u8, usize));

impl Model {
    /// One tick; whether a deadline has acted.
    pub(crate) fn tick(
        &mut self,
        registry: &Registry,
        runs: &run_ends::Shown<'_>,
    ) -> Result<bool, String> {
        if let Some(id) = self.to_stop() {
            return self.stop(id, registry);
        }
        let due = self.due_deadlines();
        let acts = |(whose, _): &&(Whose, When)| self.has_acted(whose, registry, runs);
        let mut acted: Vec<_> = due.iter().filter(acts).collect();
        // What else acts changes logs by the way. A log that changes lets go of runs.
        acted.sort_by_key(|(whose, when)| {
            let may_be_a_change = match whose {
                Whose::Log(_) => true,
                Whose::Linger(number) => self.runs[number].shown(runs).is_none(),
                _ => false,
            };
            (may_be_a_change, self.when_acts(when.earliest, whose))
        });
        let Some(first) = acted.first() else { return Ok(false) };
        let others = acted.iter().filter(|(it, _)| !matches!(it, Whose::Linger(_) | Whose::Log(_)));
        ensure!(others.count() <= 1, "one tick has done all of {acted:?}");
        self.acts(first, &due, registry).map_err(|what| format!("{what}; {acted:?}"))?;
        Ok(true)
    }

    /// A deadline acts.
    fn acts(&mut self, it: &(Whose, When), due: &[(Whose, When)], registry: &Registry) -> Check {
        let (whose, when) = it;
        let place = self.when_acts(when.earliest, whose);
        for (other, at) in due {
            ensure!(
                other == whose || self.when_acts(at.latest, other) >= place,
                "{whose:?} acted for {when:?}, and {other:?} was due at {at:?}"
            );
        }
        self.acted_last = place;
        match whose {
            Whose::Conn(id) => {
                let what = self.done_to(*id, registry).ok_or("what has acted has done nothing")?;
                self.is_expected(*id, what, when.latest)?;
                self.conn_acts(*id, what);
            }
            Whose::Session(id) => {
                self.marks.hit("a session ended in a tick");
                self.end_session(*id, SessionEnd::Lingered);
            }
            Whose::Run(number) => self.fail_run(*number),
            Whose::Linger(number) => self.end_linger(*number),
            Whose::Log(source) => self.log_ages(source),
            Whose::Leave(user, _) => {
                self.marks.hit("a user was offline after the leave grace");
                self.end_leave_grace(*user);
            }
        }
        Ok(())
    }

    /// Nothing more is due now.
    pub(crate) fn ticked(&mut self) {
        self.acted_last = (self.now.as_millis(), (0, 0));
        self.stop_is_over();
    }

    /// Whether the registry shows that a deadline which is due has acted.
    fn has_acted(&self, whose: &Whose, registry: &Registry, runs: &run_ends::Shown<'_>) -> bool {
        let run = |number| self.runs[number].shown(runs);
        match whose {
            Whose::Conn(id) => self.done_to(*id, registry).is_some(),
            Whose::Session(id) => registry.session(*id).map(|it| it.position()).is_none(),
            Whose::Run(number) => run(number).is_none_or(|it| it.end().is_some()),
            Whose::Linger(number) => run(number).is_none_or(|it| it.lingers_until().is_none()),
            Whose::Log(source) => self.log_differs(source, registry),
            Whose::Leave(user, _) => {
                !registry.user(self.names.users.name(*user)).is_some_and(|it| it.is_online())
            }
        }
    }

    fn log_differs(&self, source: &Source, registry: &Registry) -> bool {
        let shown = Self::shown(source, registry);
        shown.is_none_or(|(shown, _)| shown != self.streams[source].log.shown())
    }

    /// What has been done to a connection.
    fn done_to(&self, id: ConnId, registry: &Registry) -> Option<Upcoming> {
        let conn = &self.conns[&id];
        let explained = registry.connection(id)?;
        match (conn.state, explained.state()) {
            (State::Closing, ConnState::Gone) => Some(Upcoming::Cleanup),
            (State::Pending | State::Open, ConnState::Closing) => {
                explained.reason().map(Upcoming::Close)
            }
            (State::Open, state) if state != conn.public_state() => Some(Upcoming::Suspect),
            (State::Open, _) => {
                let pinged = explained.load() == self.used(id) + MESSAGE_OVERHEAD;
                (pinged && conn.ping.is_none()).then_some(Upcoming::Ping)
            }
            _ => None,
        }
    }

    /// What has acted on a connection is the first of its deadlines.
    fn is_expected(&self, id: ConnId, what: Upcoming, latest: u64) -> Check {
        let (next, expected) = (self.conns[&id].next, self.deadlines_of(id));
        let is_it = |it: &(Upcoming, When)| it.0 == what && it.1.earliest <= latest;
        ensure!(
            next.is_none_or(|(_, next)| next == what) && expected.iter().any(is_it),
            "{id:?}: {what:?} has acted, expected {next:?}, the first of {expected:?}"
        );
        Ok(())
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
                self.conn_mut(id).ping.iter_mut().for_each(|ping| ping.late = true);
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
        self.stream_mut(source).expire(upto);
        self.list_evictable(source);
        self.drop_room(source, RoomEnd::Aged);
        self.marks.hit_if(!self.streams.contains_key(source), "a room ended with its history");
    }

    /// A session is over: its log and its name go at once, its slot when the `Cleanup` is polled.
    pub(crate) fn end_session(&mut self, id: SessionId, why: SessionEnd) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.ended = true;
        let user = session.user;
        drop_one(&mut self.going_of, user, id);
        keep(&mut self.absent.sessions, id, false);
        self.note_user(user);
        self.settle(user, Some(id));
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
                let it = registry.session(*id)?;
                (it.lost(), it.entries(), it.bytes(), it.position())
            }
            Source::Room(room) => {
                let it = registry.room(room)?;
                (it.lost(), it.entries(), it.bytes(), it.position())
            }
            Source::Direct | Source::Everyone => return None,
        };
        Some((Shown { lost, messages: entries.into(), bytes }, head))
    }
}
