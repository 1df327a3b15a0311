//! Recounting users and their sessions.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use foldhash::quality::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::conn::State;
use crate::principal::ConnKind;
use crate::registry::Registry;
use crate::registry::timer::Timer;
use crate::session::{SessionKey, UserKey};

impl Registry {
    pub(super) fn check_sessions(&self) -> Result<(), String> {
        let (mut ended, mut ended_closing) = (0, 0);
        let mut attached = HashMap::with_hasher(FixedState::default());
        let mut closing = HashMap::with_hasher(FixedState::default());
        let mut of_users = HashMap::with_hasher(FixedState::default());
        for (slot, hot, _) in self.conns.iter().filter(|(_, hot, _)| hot.is_admitted()) {
            let user = self.conns.user(slot);
            *of_users.entry(user).or_insert(0) += 1;
            for session in self.conns.sessions(slot) {
                *attached.entry(*session).or_insert(0) += 1;
                if hot.state == State::Closing {
                    *closing.entry(*session).or_insert(0) += 1;
                }
                let is_own = self.sessions.peek(*session).is_some_and(|it| it.user == user);
                hold!(is_own, "{:?} follows a session of another user", self.conns.id(slot));
            }
        }
        let lingering: Vec<SessionKey> = self.sessions.iter_lingering().collect();
        let since = |session: &SessionKey| self.sessions.get(*session).lingers_since();
        hold!(lingering.is_sorted_by_key(since), "sessions linger out of order");
        hold!(lingering.len() == self.sessions.lingering(), "{} linger", lingering.len());
        let lingering: HashSet<SessionKey, FixedState> = lingering.into_iter().collect();
        for (slot, session) in self.sessions.iter() {
            let id = self.sessions.id(slot);
            let attached = attached.get(&slot).copied().unwrap_or(0);
            hold!(attached == session.attached, "{id:?} miscounts its connections");
            let user = self.sessions.peek_user(session.user);
            hold!(user.is_some(), "{id:?} is nobody's");
            let of_session = closing.get(&slot).copied().unwrap_or(0);
            hold!(of_session == session.closing(), "{id:?} miscounts its close handshakes");
            if session.ended {
                ended += 1;
                ended_closing += usize::from(of_session > 0);
                hold!(!lingering.contains(&slot), "{id:?} has ended and lingers");
                continue;
            }
            let members = self.streams[session.stream].members.len();
            hold!(
                (members == 0) == session.lingers_since().is_some(),
                "{id:?} lingers: {:?}, with {members} members",
                session.lingers_since()
            );
            let found = self.sessions.find(session.user, &session.thread);
            hold!(found == Some(slot), "{id:?} is not found by its thread");
            let lingers = lingering.contains(&slot);
            hold!(lingers == session.may_go(), "{id:?} may go, and is not in the order, or is");
            if session.attached == 0
                && session.open_runs() == 0
                && let Some(at) = self.lingers_until(slot)
            {
                let armed = self.timers.covers(Timer::Session(slot), at);
                hold!(armed, "{id:?} lingers for ever");
            }
        }
        let (live, records) = (self.sessions.live(), self.sessions.records());
        hold!(ended == records - live, "{ended} sessions have ended");
        let counted = self.sessions.ended_closing();
        hold!(ended_closing == counted, "{ended_closing} ended sessions close, counted {counted}");
        let absent: HashSet<UserKey, FixedState> = self.sessions.absent().collect();
        hold!(absent.len() == self.sessions.absent_users(), "{} are absent", absent.len());
        let mut listed = 0;
        for (slot, user) in self.sessions.iter_users_from(0) {
            let sessions = user.sessions();
            listed += sessions;
            let is_own = |it: &SessionKey| self.sessions.get(*it).user == slot;
            let own = self.sessions.of(slot).take(sessions + 1).filter(is_own).count();
            hold!(own == sessions, "user {slot:?} has {own} sessions, counted {sessions}");
            let all_linger = self.sessions.of(slot).all(|session| lingering.contains(&session));
            let idle: Vec<SessionKey> = self.sessions.idle_of(slot).take(sessions + 1).collect();
            let expected = self.sessions.of(slot).filter(|it| lingering.contains(it)).count();
            let right = idle.len() == expected && idle.iter().all(|it| lingering.contains(it));
            hold!(right && idle.iter().all(is_own), "user {slot:?} miscounts idle sessions");
            hold!(idle.is_sorted_by_key(since), "sessions of user {slot:?} linger out of order");
            let open = user.open();
            let is_absent = all_linger && (sessions > 0 || user.is_in_grace()) && open == 0;
            hold!(is_absent == absent.contains(&slot), "user {slot:?} is absent, or not");
            hold!(is_absent == user.is_absent(), "user {slot:?} miscounts what lingers");
            hold!(
                sessions <= self.config.sessions_per_user as usize,
                "user {slot:?} has {sessions} sessions"
            );
            let rooms = self.check_connections_of(slot)?;
            hold!(rooms == user.rooms as usize, "user {slot:?} is in {rooms} rooms");
            let sockets = user.of_kind(ConnKind::Socket).len();
            hold!(
                sockets <= self.config.connections_per_user as usize,
                "user {slot:?} has {sockets} sockets"
            );
            let (streams, further) = (user.of_kind(ConnKind::EventStream).len(), user.further());
            hold!(
                streams == 0 || streams + further as usize <= self.config.streams_per_user as usize,
                "user {slot:?} has {streams} event streams, and follows {further} further sessions"
            );
        }
        hold!(listed == self.sessions.live(), "{listed} sessions are listed by users");
        let (mut of_ended, mut here, mut counted, mut records) = (0, 0, 0, 0);
        for (slot, user) in self.sessions.user_records() {
            of_ended += user.ended() as usize;
            let attached = of_users.get(&slot).copied().unwrap_or(0);
            hold!(attached == user.attached(), "user {slot:?} miscounts its connections");
            hold!(user.is_needed(), "nothing needs user {slot:?}");
            hold!(!user.is_held(), "user {slot:?} is held between calls");
            hold!(self.sessions.find_user(&user.name) == Some(slot), "user {slot:?} is not found");
            records += 1;
            here += usize::from(user.is_here());
            counted += usize::from(user.counts());
        }
        hold!(of_ended == ended, "users count {of_ended} of {ended} ended sessions");
        let names = self.sessions.user_names();
        hold!(names == records, "{names} names of {records} users");
        hold!(here == self.sessions.users(), "{here} users are here");
        hold!(counted == self.sessions.counted_users(), "{counted} users count");
        self.check_presence()?;
        let departed = &self.sessions.departed;
        hold!(departed.len() <= self.config.users as usize, "{} buckets of users", departed.len());
        hold!(departed.users().count() == departed.len(), "a bucket of a user who left is lost");
        let absent = departed.users().all(|user| self.sessions.find_user(user).is_none());
        hold!(absent, "a user who has a record has a bucket of one who left");
        Ok(())
    }

    /// Who is online was said, or waits to be said; who is in the grace was said to be so.
    fn check_presence(&self) -> Result<(), String> {
        let (mut unsaid, mut in_grace) = (0, 0);
        for (slot, user) in self.sessions.user_records() {
            let has_something = user.is_online() != user.said_online() && self.config.presence;
            hold!(has_something == user.is_unsaid(), "user {slot:?}: {has_something} to say");
            unsaid += usize::from(user.is_unsaid());
            if user.is_in_grace() {
                in_grace += 1;
                let is_right = user.said_online() && user.open() == 0;
                hold!(is_right, "user {slot:?} is in the grace, and was not said to be online");
            }
        }
        hold!(unsaid == self.sessions.unsaid(), "{unsaid} users have something to say");
        let order: Vec<_> = self.sessions.iter_in_grace().take(in_grace + 1).collect();
        hold!(order.len() == in_grace, "{in_grace} users are in the grace");
        hold!(order.is_sorted_by_key(|(_, left_at)| *left_at), "users left out of order");
        Ok(())
    }

    /// The open connections of a user; the answer is how many rooms they are in together.
    fn check_connections_of(&self, user: UserKey) -> Result<usize, String> {
        let open = self.sessions.user(user).open();
        let of_sessions = |session| self.streams[self.sessions.get(session).stream].members.len();
        let followers: usize = self.sessions.of(user).map(of_sessions).sum();
        let (mut counted, mut rooms, mut followed, mut further) = (0, 0, 0, 0);
        for slot in self.sessions.user(user).connections(&self.conns).take(open + 1) {
            let is_open = self.conns.hot(slot).state == State::Open;
            let is_own = is_open && self.conns.user(slot) == user;
            hold!(is_own, "{:?} is not an open connection of user {user:?}", self.conns.id(slot));
            counted += 1;
            rooms += self.conns.rooms(slot);
            let sessions = self.conns.sessions(slot).len();
            followed += sessions;
            further += sessions.saturating_sub(1);
        }
        hold!(counted == open, "user {user:?} lists {counted} of {open} connections");
        hold!(followed == followers, "user {user:?} follows {followed} of {followers} sessions");
        let said = self.sessions.user(user).further();
        hold!(further == said as usize, "user {user:?} follows {further} further sessions: {said}");
        Ok(rooms)
    }
}
