//! What is due: deadlines act in the order of time.

use crate::action::CloseReason;
use crate::conn::{Conn, ConnKey, Due, Rules, State, deadline, deadline_at};
use crate::input::Input;
use crate::session::SessionKey;
use crate::stats::Notice;
use crate::store::{Budget, Timers};
use crate::time::{Deadline, PackedDeadline, Timestamp};

use super::Registry;
use super::timer::Timer;

/// # Time
///
/// Each input carries its time. Deadlines act in a tick, and nowhere else.
impl Registry {
    /// Tells the registry what time it is, and nothing else: deadlines that are due act in the next
    /// [`tick`](Self::tick). O(1).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// registry.advance(now + Duration::from_secs(90));
    /// let tab = registry.connection(conn).expect("its deadlines act in a tick");
    /// assert_eq!((tab.age(), tab.state()), (Duration::from_secs(90), ConnState::Open));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advance(&mut self, now: Timestamp) {
        self.enter(now, Input::Advance);
    }

    /// Acts on the deadlines that are due, at most `tick_budget` of them, where each log entry that one
    /// lets go or hands out counts like a deadline; the rest is due at once. They act in the order of time,
    /// in whole milliseconds, also when the tick is late. Within a millisecond connections are first, in the
    /// order of their [`index`](crate::ConnId::index), then sessions in the order of theirs, then runs, then
    /// the logs whose oldest entry is too old, then users whose leave grace ends, in the order in which they
    /// left.
    ///
    /// Early, late and repeated calls are safe. Call it after a turn that left nothing unread, or
    /// once each socket that had input at the last tick has been read since, so that a pong that
    /// waits in a socket is read before it is missed.
    ///
    /// Costs O(`tick_budget`). The last deadline acts as a whole: it may exceed the budget by the entries
    /// of one log, of one run, or of one window. The [loop](crate#the-loop) has an example.
    pub fn tick(&mut self, now: Timestamp) {
        self.enter(now, Input::Tick);
        let now = self.now;
        let mut budget = Budget::of_deadlines(self.config.tick_budget);
        self.force_close(&mut budget);
        loop {
            let leave = self.first_leave().filter(|(_, at)| at.is_due(now));
            // One that comes to be due in the past acts in the millisecond that is reached.
            let until = leave.and_then(|(_, at)| at.max(self.timers.stands_at()).instant());
            let until = until.map_or(now, |until| until.min(now));
            if let Some((timer, at)) = self.timers.pop(until, &mut budget) {
                let before = self.entries_moved;
                self.act(timer, at);
                budget.charge(self.entries_moved - before);
                continue;
            }
            // Nothing else is due up to its millisecond, or the budget is used up.
            let Some((user, _)) = leave.filter(|_| budget.take()) else { return };
            self.end_leave_grace(user);
        }
    }

    fn act(&mut self, timer: Timer, at: Deadline) {
        match timer {
            Timer::Conn(conn) => {
                self.conns.hot_mut(conn).armed = PackedDeadline::NONE;
                self.conn_due(conn, at);
            }
            Timer::Session(session) => self.session_due(session, at),
            Timer::Run(run) => self.run_due(run, at),
            Timer::Stream(stream) => self.drop_aged(stream, at),
        }
    }

    /// The turn of a session: it ends, if it has lingered until then.
    fn session_due(&mut self, session: SessionKey, at: Deadline) {
        match self.lingers_until(session) {
            Some(until) if until <= at => self.end_session_if_due(session),
            Some(_) => self.arm_session(session),
            None => {}
        }
    }

    /// The turn of a connection: what is due for it at this millisecond.
    fn conn_due(&mut self, slot: ConnKey, at: Deadline) {
        let due = deadline(self.conns.hot(slot), self.conns.cold(slot), &self.rules());
        match due {
            None => {}
            Some((later, _)) if later > at => {
                arm(&mut self.timers, self.conns.hot_mut(slot), slot, later);
            }
            Some((_, Due::Ping)) => {
                self.queue_ping(slot);
                self.arm(slot);
            }
            Some((_, Due::Suspect)) => {
                self.conns.hot_mut(slot).pulse.suspect();
                let conn = self.conns.id(slot);
                self.notice(Notice::Suspect { conn });
                self.arm(slot);
            }
            Some((_, Due::Close(reason))) => {
                self.counters.pong_timeouts += u64::from(reason == CloseReason::PongTimeout);
                self.begin_close(slot, reason);
            }
            Some((_, Due::Cleanup)) => self.finish(slot),
        }
    }

    /// What a deadline depends on beside the connection.
    pub(super) const fn rules(&self) -> Rules<'_> {
        Rules { config: &self.config, pauses: self.pauses, drain: self.drain.as_ref() }
    }

    /// Makes sure that a connection's next deadline is looked at in time.
    pub(super) fn arm(&mut self, slot: ConnKey) {
        let next = deadline_at(self.conns.hot(slot), self.conns.cold(slot), &self.rules());
        if let Some(at) = next {
            arm(&mut self.timers, self.conns.hot_mut(slot), slot, at);
        }
    }

    /// No deadline of a connection is looked at any more, until it is armed again.
    pub(super) fn disarm(&mut self, slot: ConnKey) {
        self.timers.cancel(Timer::Conn(slot));
        self.conns.hot_mut(slot).armed = PackedDeadline::NONE;
    }

    /// The same after a hand-out to an open connection with nothing in flight: no other deadline of it
    /// comes nearer by that, and each is a miss of the cache.
    pub(super) fn arm_stuck(&mut self, slot: ConnKey) {
        let hot = self.conns.hot(slot);
        debug_assert_eq!(hot.state, State::Open);
        if let Some(since) = hot.window.stuck_since() {
            let at = self.rules().stuck(since);
            arm(&mut self.timers, self.conns.hot_mut(slot), slot, at);
        }
    }

    /// The same for the end of a session that lingers.
    pub(super) fn arm_session(&mut self, session: SessionKey) {
        if let Some(until) = self.lingers_until(session) {
            self.timers.no_later_than(Timer::Session(session), until);
        }
    }

    /// When a session has lingered long enough; `None` while it has an open connection.
    pub(super) fn lingers_until(&self, session: SessionKey) -> Option<Deadline> {
        let since = self.sessions.get(session).lingers_since()?;
        Some(Deadline::after(since, self.config.session_linger))
    }
}

/// Makes sure that a connection is looked at by then. All that schedules one comes through here, so that its
/// record says when.
pub(super) fn arm(timers: &mut Timers<Timer>, conn: &mut Conn, slot: ConnKey, at: Deadline) {
    if !conn.covers(at) {
        timers.no_later_than(Timer::Conn(slot), at);
        conn.armed = PackedDeadline::new(at);
    }
}
