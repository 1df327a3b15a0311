//! Why things are as they are: one connection, one session, and the connections that have gone.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::action::{CloseReason, Position};
use crate::conn::{ConnKey, Due, deadline};
use crate::ends::RunEnded;
use crate::id::{ConnId, RoomId, RunId, SessionId, ThreadId, UserId};
use crate::principal::ConnKind;
use crate::run::{Call, RunFailure, RunKey, RunState};
use crate::stats::ConnState;
use crate::stream::Owner;
use crate::time::{Deadline, Timestamp};

use super::{Registry, Upcoming};

/// What is known of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Where it is in its life.
    pub state: ConnState,
    /// What it is to its client.
    pub kind: ConnKind,
    /// Why it closes or has gone; `None` while it does neither.
    pub reason: Option<CloseReason>,
    /// How long it has been in this phase: reserved, upgraded, admitted, or told to close.
    pub age: Duration,
    /// How long its peer has been silent.
    pub silence: Duration,
    /// The smoothed round trip of its pings; `None` before the first answer.
    pub round_trip: Option<Duration>,
    /// The cost of everything that was ever flushed to it.
    pub flushed: u64,
    /// The cost of what waits for it directly or is handed out and not flushed: its window's load.
    pub load: u64,
    /// How long nothing has been flushed although something is handed out; `None` if nothing is.
    pub stuck_for: Option<Duration>,
    /// Whether its input is paused because its window is exceeded.
    pub paused: bool,
    /// When its principal expires; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// What happens to it next if nothing else does, and when; `None`: nothing until its shell
    /// polls or reports something.
    pub next: Option<(Timestamp, Upcoming)>,
    /// Where it stands in each stream that it follows, in the order in which it came to them.
    pub cursors: Vec<CursorExplanation>,
}

/// Where a connection stands in one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorExplanation {
    /// The session; `None` for a room.
    pub session: Option<SessionId>,
    /// The room; `None` for a session.
    pub room: Option<RoomId>,
    /// Up to here everything was handed out to it, told as lost, or was not for it.
    pub position: Position,
    /// The head of the stream.
    pub head: u64,
    /// How many of the entries that the stream keeps wait for it: those left out that are not for it,
    /// or that one that is behind passes over.
    pub backlog: u32,
    /// The last offset that its client said it has dealt with; 0 if it never did.
    pub acknowledged: u64,
    /// Whether it is behind, and catches up by itself.
    pub lagging: bool,
}

/// What is known of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionExplanation {
    /// Whose it is.
    pub user: UserId,
    /// Which of theirs.
    pub thread: ThreadId,
    /// How long ago it was created.
    pub age: Duration,
    /// Its open connections.
    pub connections: Vec<ConnId>,
    /// When it ends by lingering if nobody comes back; `None` while a connection or a run is open.
    pub ends_at: Option<Timestamp>,
    /// The head of its stream.
    pub head: Position,
    /// Entries that it keeps.
    pub entries: u32,
    /// The bytes of these, overhead included.
    pub bytes: u64,
    /// Up to here everything is gone for good; 0 if nothing is. Behind it entries may be gone, too.
    pub lost: u64,
}

/// What is known of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomExplanation {
    /// How many connections are in it.
    pub members: u32,
    /// Of these, how many are behind.
    pub lagging: u32,
    /// The head of its stream.
    pub head: Position,
    /// Entries that it keeps.
    pub entries: u32,
    /// The bytes of these, overhead included.
    pub bytes: u64,
    /// Up to here everything is gone for good; 0 if nothing is. Behind it entries may be gone, too.
    pub lost: u64,
}

/// What is known of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunExplanation {
    /// Its session.
    pub session: SessionId,
    /// Its agent; empty while it is requested.
    pub agent: Box<str>,
    /// How far it is.
    pub state: RunState,
    /// Whether a client wishes that it is cancelled, or did before it ended.
    pub cancel_requested: bool,
    /// How long ago it was opened, or requested if it was that before.
    pub age: Duration,
    /// The offset of its first event in the stream of its session, whether or not that is still kept.
    pub first: u64,
    /// The offset of its terminal event there, whether or not that is still kept; `None` before it has
    /// ended.
    pub ended: Option<u64>,
    /// How and when it ended; `None` before that.
    pub end: Option<RunEnded>,
    /// When what the log keeps of it becomes history like other entries (`run.linger`); `None` while it is
    /// open, and once that has happened.
    pub lingers_until: Option<Timestamp>,
    /// Tool calls under way, in the order in which they began.
    pub calls: Vec<CallExplanation>,
    /// How many events it had.
    pub events: u32,
    /// What these were charged.
    pub cost: u64,
    /// When the registry fails it, and why, if nothing happens; `None` for never.
    pub fails: Option<(Timestamp, RunFailure)>,
}

/// A tool call under way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallExplanation {
    /// Its name.
    pub call: Box<str>,
    /// When it is expected to have ended, unless the process pauses before; `None` if the event that
    /// began it did not say.
    pub expected_by: Option<Timestamp>,
}

/// A connection that was admitted and has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Which it was.
    pub conn: ConnId,
    /// The session that it followed longest; `None`: it followed none.
    pub session: Option<SessionId>,
    /// Its user.
    pub user: UserId,
    /// The thread of that session.
    pub thread: Option<ThreadId>,
    /// The label of its principal.
    pub label: Option<Box<str>>,
    /// Why it closed.
    pub reason: CloseReason,
    /// When it began to close.
    pub at: Timestamp,
    /// How long it was open.
    pub age: Duration,
    /// The cost of what was flushed to it.
    pub flushed: u64,
    /// Entries that its streams kept behind its cursor when it began to close. A resume is handed
    /// those that are still kept then, unless they are droppable.
    pub undelivered: u32,
}

impl Registry {
    /// Everything about one connection; `None`: its `Cleanup` was polled, or it never was. Costs
    /// O(its rooms, and the entries that their logs keep behind its cursors).
    #[must_use]
    pub fn explain(&self, conn: ConnId) -> Option<Explanation> {
        let slot = self.conns.resolve(conn)?;
        let (hot, cold) = (self.conns.hot(slot), self.conns.cold(slot));
        let state = self.state(conn)?;
        let attended = self.attended();
        let leaves = matches!(state, ConnState::Closing | ConnState::Gone);
        let next = deadline(hot, cold, &self.rules()).and_then(|(at, due)| {
            let due = match due {
                Due::Ping => Upcoming::Ping,
                Due::Suspect => Upcoming::Suspect,
                Due::Close(reason) => Upcoming::Close(reason),
                Due::Cleanup => Upcoming::Cleanup,
            };
            Some((at.instant()?, due))
        });
        let cursors = cold.memberships.iter().map(|membership| {
            let stream = &self.streams[membership.stream];
            let member = &stream.members[membership.index as usize];
            let (session, room) = match stream.owner {
                Owner::Session(session) => (Some(self.sessions.id(session)), None),
                Owner::Room(room) => (None, Some(self.rooms.get(room).name.clone())),
            };
            CursorExplanation {
                session,
                room,
                position: stream.position(member.cursor),
                head: stream.log.head(),
                backlog: stream
                    .log
                    .waiting(member.cursor, &self.reader(membership.stream, *member)),
                acknowledged: membership.acknowledged,
                lagging: member.lagging,
            }
        });
        Some(Explanation {
            state,
            kind: cold.kind,
            reason: leaves.then_some(cold.reason),
            age: self.now.saturating_since(cold.phase),
            silence: attended.saturating_since(hot.pulse.last_seen()),
            round_trip: Some(cold.probe.round_trip_micros())
                .filter(|micros| *micros > 0)
                .map(|micros| Duration::from_micros(micros.into())),
            flushed: hot.window.flushed(),
            load: hot.window.load(),
            stuck_for: hot.window.stuck_since().map(|since| attended.saturating_since(since)),
            paused: hot.paused,
            expires_at: (cold.expires_at < Timestamp::MAX).then_some(cold.expires_at),
            next,
            cursors: cursors.collect(),
        })
    }

    /// Everything about one session; `None` if it has ended.
    #[must_use]
    pub fn explain_session(&self, session: SessionId) -> Option<SessionExplanation> {
        let slot = self.sessions.resolve(session)?;
        let record = self.sessions.get(slot);
        let stream = &self.streams[record.stream];
        Some(SessionExplanation {
            user: self.sessions.user(record.user).name.clone(),
            thread: record.thread.clone(),
            age: self.now.saturating_since(record.since),
            connections: self.session_members(session).collect(),
            ends_at: self
                .lingers_until(slot)
                .filter(|_| record.open_runs == 0)
                .and_then(Deadline::instant),
            head: stream.position(stream.log.head()),
            entries: stream.log.len() as u32,
            bytes: stream.log.bytes(),
            lost: stream.log.lost(),
        })
    }

    /// Everything about one room; `None` if there is none of that name.
    #[must_use]
    pub fn explain_room(&self, room: &RoomId) -> Option<RoomExplanation> {
        let stream = &self.streams[self.rooms.get(self.rooms.find(room)?).stream];
        Some(RoomExplanation {
            members: stream.members.len() as u32,
            lagging: stream.lagging,
            head: stream.position(stream.log.head()),
            entries: stream.log.len() as u32,
            bytes: stream.log.bytes(),
            lost: stream.log.lost(),
        })
    }

    pub(super) fn explain_run(&self, user: &UserId, run: &RunId) -> Option<RunExplanation> {
        let run = self.runs.find(self.sessions.find_user(user)?, run)?;
        Some(self.explain_run_at(run))
    }

    /// Everything about the open and the requested runs of a session, by name, in no order that means
    /// anything; none if it has ended.
    pub fn explain_runs(
        &self,
        session: SessionId,
    ) -> impl Iterator<Item = (&RunId, RunExplanation)> {
        let runs = self.sessions.resolve(session).map(|session| self.runs_of(session));
        let open = runs.into_iter().flatten().filter(|run| self.runs.get(*run).is_open());
        open.map(|run| (&self.runs.get(run).id, self.explain_run_at(run)))
    }

    /// The runs of all sessions of a user, ended ones included.
    pub(super) fn explain_runs_of(
        &self,
        user: &UserId,
    ) -> impl Iterator<Item = (&RunId, RunExplanation)> {
        let known = self.sessions.find_user(user);
        let sessions = known.into_iter().flat_map(|user| self.sessions.of(user));
        let runs = sessions.flat_map(|session| self.runs_of(session));
        runs.map(|run| (&self.runs.get(run).id, self.explain_run_at(run)))
    }

    fn explain_run_at(&self, run: RunKey) -> RunExplanation {
        let run = self.runs.get(run);
        RunExplanation {
            session: self.sessions.id(run.session),
            agent: run.agent.clone(),
            state: run.state(),
            cancel_requested: run.cancel_requested,
            age: self.now.saturating_since(run.began),
            first: run.first,
            ended: run.ended,
            end: run.end,
            lingers_until: run.lingers_until(&self.config).and_then(Deadline::instant),
            calls: run.calls().iter().map(|call| self.explain_call(call)).collect(),
            events: run.events(),
            cost: run.cost(),
            fails: run
                .deadline(&self.config, self.pauses)
                .and_then(|(at, failure)| Some((at.instant()?, failure))),
        }
    }

    fn explain_call(&self, call: &Call) -> CallExplanation {
        CallExplanation {
            call: call.name.clone(),
            expected_by: call.until.map(|until| until + self.pauses),
        }
    }

    pub(super) fn session_of_run(&self, user: &UserId, run: &RunId) -> Option<SessionId> {
        let run = self.runs.find(self.sessions.find_user(user)?, run)?;
        Some(self.sessions.id(self.runs.get(run).session))
    }

    /// The open runs of a session and their agents, and the requested ones with an empty name for it, in no
    /// order that means anything; none if it has ended.
    pub fn open_runs(&self, session: SessionId) -> impl Iterator<Item = (&RunId, &str)> {
        let runs = self.sessions.resolve(session).map(|session| self.runs_of(session));
        let open = runs.into_iter().flatten().map(|run| self.runs.get(run));
        open.filter(|run| run.is_open()).map(|run| (&run.id, &*run.agent))
    }

    /// The last connections that have closed, oldest first; at most `closed_ring`.
    pub fn closed(&self) -> impl DoubleEndedIterator<Item = &Closed> {
        self.closed_ring.iter()
    }

    /// Remembers an open connection that is about to leave everything.
    pub(super) fn remember_closed(&mut self, slot: ConnKey, reason: CloseReason) {
        if self.config.closed_ring == 0 {
            return;
        }
        let cold = self.conns.cold(slot);
        let session = self.conns.sessions(slot).first().copied();
        let thread = session.map(|session| self.sessions.get(session).thread.clone());
        let undelivered = cold.memberships.iter().map(|membership| {
            let stream = &self.streams[membership.stream];
            stream.log.count_after(stream.members[membership.index as usize].cursor)
        });
        let closed = Closed {
            conn: self.conns.id(slot),
            session: session.map(|session| self.sessions.id(session)),
            user: self.sessions.user(self.conns.user(slot)).name.clone(),
            thread,
            label: cold.label.clone(),
            reason,
            at: self.now,
            age: self.now.saturating_since(cold.phase),
            flushed: self.conns.hot(slot).window.flushed(),
            undelivered: undelivered.sum(),
        };
        self.closed_ring.push_back(closed);
        self.forget_closed();
    }

    /// Keeps as many as the ring has room for.
    pub(super) fn forget_closed(&mut self) {
        let excess = self.closed_ring.len().saturating_sub(self.config.closed_ring as usize);
        self.closed_ring.drain(..excess);
    }
}
