//! Which sessions connections follow.

use headcount::{
    ConnId, ConnKind, FollowError, Followed, Position, Recovered, SessionEnd, SessionId, Start,
    UnknownConn,
};

use super::conn::Conn;
use super::names::Name;
use super::{Model, Session};
use crate::seen::{Seen, Source};

/// What is told of a session that a connection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Following {
    pub(crate) session: SessionId,
    pub(crate) new_session: bool,
    pub(crate) first_of_session: bool,
    pub(crate) position: Position,
    pub(crate) recovered: Recovered,
    pub(crate) already: bool,
}

impl From<Followed> for Following {
    fn from(told: Followed) -> Self {
        let Followed { session, new_session, first_of_session, .. } = told;
        let Followed { position, recovered, already, .. } = told;
        Self { session, new_session, first_of_session, position, recovered, already }
    }
}

impl Model {
    /// What a connection is told of the session of a thread; a new one has this handle and this epoch.
    pub(crate) fn follow(
        &mut self,
        id: ConnId,
        thread: Name,
        start: &Start,
        made: Option<(SessionId, u64)>,
    ) -> Result<Following, FollowError> {
        let conn = self.open_conn(id).ok_or(FollowError::UnknownConn)?;
        let user = conn.user().ok_or(FollowError::UnknownConn)?;
        let known = self.session_of(user, thread);
        if let Some(session) = known.filter(|session| conn.sessions.contains(session)) {
            let source = Source::Session(session);
            return Ok(Following {
                session,
                new_session: false,
                first_of_session: self.streams[&source].seats.len() == 1,
                position: self.place_in(&source, id),
                recovered: Recovered::Fresh,
                already: true,
            });
        }
        let start = &self.before_character(known, start);
        let release = self.plan_to_follow(conn, (id, user), known);
        let release = release.inspect_err(|why| self.marks.hit_for("no follower", why))?;
        let session = match known {
            Some(session) => session,
            None => {
                let (session, epoch) = made.expect("a session that is made");
                self.make_absent_session((user, thread), release, (session, epoch));
                session
            }
        };
        let is_further = !self.conns[&id].sessions.is_empty();
        self.marks.hit_if(is_further, "a connection followed a further session");
        let followed = self.begin_to_follow(id, session, start, known.is_none());
        self.raise_pressure(user, Some(session), 0);
        Ok(followed)
    }

    /// The session that has to make room for a new one.
    fn plan_to_follow(
        &self,
        conn: &Conn,
        (id, user): (ConnId, Name),
        known: Option<SessionId>,
    ) -> Result<Option<SessionId>, FollowError> {
        let config = &self.config;
        let is_left = |item: &&Seen| matches!(item, Seen::Left { conn, .. } if *conn == id);
        let lefts = self.waiting.outbox.iter().filter(is_left).count();
        let most = config.sessions_per_connection().min(config.sessions_per_user());
        if conn.sessions.len() + lefts >= most as usize {
            return Err(FollowError::SessionsPerConnection);
        }
        let streams = self.open_of_kind(user, ConnKind::EventStream).len() + self.further(user);
        if !conn.sessions.is_empty() && streams >= config.streams_per_user() as usize {
            return Err(FollowError::StreamsPerUser);
        }
        match known {
            Some(_) => Ok(None),
            None => self.plan_absent_session(user).map_err(FollowError::Session),
        }
    }

    /// A session that no connection follows yet: it lingers from the beginning.
    pub(crate) fn make_absent_session(
        &mut self,
        (user, thread): (Name, Name),
        release: Option<SessionId>,
        (id, epoch): (SessionId, u64),
    ) {
        let (is_new, tenant) = (!self.is_user(user), self.tenant_of(user));
        self.hold_user(user);
        if let Some(session) = release {
            self.marks.hit("a session made room for an absent one");
            self.end_session(session, SessionEnd::UserCap);
        }
        self.send_away((user, tenant), (is_new, None, true));
        let record = Session { left_at: Some(self.now), ..Session::new(user, thread) };
        self.create_session(id, record, epoch);
        self.held = None;
        self.cut_short();
    }

    pub(crate) fn unfollow(&mut self, id: ConnId, session: SessionId) -> Result<bool, UnknownConn> {
        let conn = self.open_conn(id).ok_or(UnknownConn)?;
        let follows = conn.sessions.contains(&session);
        if follows {
            self.marks.hit("a connection left a session by its own wish");
            self.leave_session(id, session);
            self.detached(session);
        }
        Ok(follows)
    }
}
