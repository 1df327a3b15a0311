//! Getters: reading changes nothing.

use crate::action::Position;
use crate::config::Config;
use crate::conn::State;
use crate::id::{ConnId, RoomId, SessionId, ThreadId, UserId};
use crate::input::Who;
use crate::run::CALL_COST;
use crate::session::SessionKey;
use crate::stats::{ConnState, Stats};
use crate::stream::Owner;

use super::Registry;

impl Registry {
    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Counters and gauges, in O(1).
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            opened: counters.opened,
            live: counters.live,
            open: counters.open,
            pending: counters.pending,
            abandoned: counters.abandoned,
            sessions_opened: counters.sessions_opened,
            sessions: self.sessions.live() as u32,
            sessions_ended: counters.sessions_ended_by.iter().sum(),
            sessions_ended_by: counters.sessions_ended_by,
            refused: counters.refused,
            users: self.sessions.users() as u32,
            rooms: self.rooms.len() as u32,
            rooms_opened: counters.rooms_opened,
            rooms_ended_by: counters.rooms_ended_by,
            pings_sent: counters.pings_sent,
            pongs_received: counters.pongs_received,
            pong_timeouts: counters.pong_timeouts,
            recovered: counters.recovered,
            pauses: counters.pauses,
            level_changes: counters.level_changes,
            probed: counters.probed,
            released: counters.released,
            sent: counters.sent,
            deferred: counters.deferred,
            stored: counters.stored,
            acknowledged: counters.acknowledged,
            runs_opened: counters.runs_opened,
            runs_requested: counters.runs_requested,
            runs: self.runs.open(),
            runs_ended: counters.runs_ended,
            gaps: counters.gaps,
            shed: counters.shed,
            skipped: counters.skipped,
            log_messages: counters.log_messages,
            log_bytes: counters.log_bytes,
            calls: (counters.call_bytes / CALL_COST) as u32,
            late_stamps: counters.late_stamps,
            notices_lost: counters.notices_lost,
            closed: counters.closed,
        }
    }

    /// Where a connection is in its life; `None`: its `Cleanup` was polled, or it never was.
    #[must_use]
    pub fn state(&self, conn: ConnId) -> Option<ConnState> {
        let hot = self.conns.hot(self.conns.resolve(conn)?);
        Some(match hot.state {
            State::Pending => ConnState::Pending,
            State::Open if hot.pulse.is_suspect() => ConnState::Suspect,
            State::Open => ConnState::Open,
            State::Closing => ConnState::Closing,
            State::Gone => ConnState::Gone,
        })
    }

    /// The session that a connection follows longest, or that it followed so when it began to close;
    /// `None` if it follows none, and once its `Cleanup` was polled.
    #[must_use]
    pub fn session_of(&self, conn: ConnId) -> Option<SessionId> {
        self.first_session_id(self.conns.resolve(conn)?)
    }

    /// The sessions that a connection follows, or followed when it began to close, and their threads: the
    /// one first that it follows longest. None once its `Cleanup` was polled.
    pub fn followed(&self, conn: ConnId) -> impl Iterator<Item = (SessionId, &ThreadId)> {
        let sessions = self.conns.resolve(conn).map(|slot| self.conns.sessions(slot));
        let named = |it: &SessionKey| (self.sessions.id(*it), &self.sessions.get(*it).thread);
        sessions.unwrap_or_default().iter().map(named)
    }

    /// Who a connection is; `None` if it was not admitted, or once its `Cleanup` was polled. The end
    /// of its sessions, by `revoke` for instance, does not change who it is.
    #[must_use]
    pub fn who(&self, conn: ConnId) -> Option<Who<'_>> {
        let slot = self.conns.resolve(conn)?;
        let cold = self.conns.cold(slot);
        if !cold.admitted {
            return None;
        }
        let user = &self.sessions.user(self.conns.user(slot)).name;
        Some(Who { user, label: cold.label.as_deref() })
    }

    /// The head of a session's stream; `None` if the session has ended.
    #[must_use]
    pub fn session_position(&self, session: SessionId) -> Option<Position> {
        let session = self.sessions.resolve(session)?;
        let stream = &self.streams[self.sessions.get(session).stream];
        Some(stream.position(stream.log.head()))
    }

    /// The head of a room's stream; `None` if there is no such room.
    #[must_use]
    pub fn room_position(&self, room: &RoomId) -> Option<Position> {
        let stream = &self.streams[self.rooms.get(self.rooms.find(room)?).stream];
        Some(stream.position(stream.log.head()))
    }

    /// The open connections of a user: sockets, then event streams, each in the order in which they were
    /// admitted. None for an unknown user.
    pub fn connections_of(&self, user: &UserId) -> impl Iterator<Item = ConnId> + '_ {
        let user = self.sessions.find_user(user).map(|user| self.sessions.user(user));
        let open = user.into_iter().flat_map(|user| user.connections(&self.conns));
        open.map(|conn| self.conns.id(conn))
    }

    /// Whether a user is online: it has an open connection or, in a registry
    /// [with presence](crate::ConfigBuilder::with_presence), is in the leave grace. It is what the last
    /// [`Action::Presence`](crate::Action::Presence) of the user says, or the one that waits. O(1).
    #[must_use]
    pub fn is_online(&self, user: &UserId) -> bool {
        self.sessions.find_user(user).is_some_and(|user| self.sessions.user(user).is_online())
    }

    /// The open connections of a session; none if it has ended.
    pub fn session_members(&self, session: SessionId) -> impl Iterator<Item = ConnId> + '_ {
        self.session(session).into_iter().flat_map(|it| it.connections()).map(|it| it.id())
    }

    /// The members of a room; none if there is no such room.
    pub fn room_members(&self, room: &RoomId) -> impl Iterator<Item = ConnId> + '_ {
        self.room(room).into_iter().flat_map(|it| it.members()).map(|it| it.id())
    }

    /// The rooms that a connection is in, in the order in which it joined them.
    pub fn rooms_of(&self, conn: ConnId) -> impl Iterator<Item = &RoomId> + '_ {
        let memberships =
            self.conns.resolve(conn).map(|slot| &self.conns.cold(slot).memberships[..]);
        memberships.unwrap_or_default().iter().filter_map(|membership| {
            match self.streams[membership.stream].owner {
                Owner::Room(room) => Some(&self.rooms.get(room).name),
                Owner::Session(_) => None,
            }
        })
    }

    /// Whether nothing is known and nothing waits: no connection, session, room or
    /// action, and no user in the leave grace.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.conns.len() == 0
            && self.sessions.records() == 0
            && self.sessions.users() == 0
            && self.rooms.len() == 0
            && !self.has_actions()
    }
}
