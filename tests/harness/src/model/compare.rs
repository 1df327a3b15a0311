//! Everything that can be read from the registry, compared with the model.

use headcount::{
    ConnId, ConnView, CursorView, Position, Registry, RoomView, SessionId, SessionView, UserView,
};

use super::Model;
use super::conn::Conn;
use super::names::Names;
use crate::seen::Source;
use crate::{Check, ensure, same};

impl Model {
    pub(crate) fn compare(
        &self,
        registry: &Registry,
        conns: &[ConnId],
        sessions: &[SessionId],
    ) -> Check {
        for id in conns {
            self.compare_conn(registry, *id)?;
        }
        let Names { users, threads, asked, .. } = &self.names;
        let sessions = sessions.iter().copied().map(Source::Session);
        for source in sessions.chain(asked.rooms.iter().cloned().map(Source::Room)) {
            let stream = self.streams.get(&source);
            let expected = stream.map(|it| (it.log.shown(), it.position(it.head()).1));
            same!(Self::shown(&source, registry), expected, "what {source:?} shows");
            let members: Vec<_> = match &source {
                Source::Session(id) => {
                    let shown = registry.session(*id);
                    shown.iter().flat_map(SessionView::connections).map(|it| it.id()).collect()
                }
                Source::Room(room) => {
                    let shown = registry.room(room);
                    shown.iter().flat_map(RoomView::members).map(|it| it.id()).collect()
                }
                Source::Direct | Source::Everyone => Vec::new(),
            };
            same!(members, self.members(&source), "members of {source:?}");
        }
        for user in asked.users.iter().copied() {
            let shown = registry.user(users.name(user));
            let open: Vec<_> =
                shown.iter().flat_map(UserView::connections).map(|it| it.id()).collect();
            same!(open, self.open_of_user(user), "open of user {user}");
            let count = shown.map_or(0, |it| it.connection_count());
            same!(count as usize, open.len(), "how many are open of user {user}");
            let online = self.is_online(user);
            let is_online = shown.is_some_and(|it| it.is_online());
            same!(is_online, online, "whether user {user} is online");
        }
        for (user, thread) in asked.threads.iter().copied() {
            let shown = registry.user(users.name(user));
            let session = shown.and_then(|it| it.session(threads.name(thread)));
            let session = session.map(|it| it.id());
            same!(session, self.session_of(user, thread), "session {user}/{thread}");
        }
        self.compare_tenants(registry)?;
        self.compare_seats(registry)?;
        self.compare_stats(registry)?;
        self.check_timeout(registry.poll_timeout())?;
        self.compare_work(registry)
    }

    fn compare_conn(&self, registry: &Registry, id: ConnId) -> Check {
        let Names { users, threads, .. } = &self.names;
        let conn = self.conns.get(&id);
        let shown = registry.connection(id);
        let state = shown.map(|it| it.state());
        same!(state, conn.map(Conn::public_state), "state of {id:?}");
        let followed: Vec<_> = shown.iter().flat_map(ConnView::followed).collect();
        let thread = |session: &SessionId| threads.name(self.sessions[session].thread);
        let named = |session: &SessionId| (*session, thread(session));
        let expected: Vec<_> = conn.iter().flat_map(|it| &it.sessions).map(named).collect();
        same!(followed, expected, "sessions of {id:?}");
        let session = shown.and_then(|it| it.session());
        same!(session, conn.and_then(Conn::session), "session of {id:?}");
        let user = shown.and_then(|it| it.user());
        same!(user, conn.and_then(Conn::user).map(|it| users.name(it)), "user of {id:?}");
        let label = shown.and_then(|it| it.label());
        let expected = conn.filter(|it| it.user().is_some()).and_then(|it| it.label.as_deref());
        same!(label, expected, "label of {id:?}");
        let rooms: Vec<_> = shown.iter().flat_map(ConnView::rooms).cloned().collect();
        let expected: Vec<_> = conn.into_iter().flat_map(Conn::rooms).cloned().collect();
        same!(rooms, expected, "rooms of {id:?}");
        Ok(())
    }

    /// Where each open connection is in what it follows.
    fn compare_seats(&self, registry: &Registry) -> Check {
        for id in self.open() {
            let shown = registry.connection(id).ok_or("an open connection is not shown")?;
            same!(shown.load(), self.used(id), "load of {id:?}");
            same!(shown.kind(), self.conns[&id].kind, "kind of {id:?}");
            let cursor = |source| {
                let stream = &self.streams[source];
                let seat = stream.seat(id)?;
                let position = Position { epoch: stream.epoch, offset: seat.cursor };
                let backlog = stream.log.waiting(seat) as u32;
                Some((position, stream.head(), seat.lagging, backlog, seat.acknowledged))
            };
            let expected: Vec<_> = self.conns[&id].streams.iter().filter_map(cursor).collect();
            let told = |it: &CursorView<'_>| {
                (it.position, it.head, it.lagging, it.backlog, it.acknowledged)
            };
            let told: Vec<_> = shown.cursors().map(|it| told(&it)).collect();
            same!(told, expected, "what {id:?} follows");
        }
        Ok(())
    }

    /// What the registry says about the work that it has.
    fn compare_work(&self, registry: &Registry) -> Check {
        let waits = self.waiting.has_any();
        same!(registry.has_actions(), waits, "has_actions");
        let anything = !self.conns.is_empty()
            || !self.sessions.is_empty()
            || self.rooms().next().is_some()
            || !self.users().is_empty()
            || waits;
        ensure!(!anything || !registry.is_idle(), "is_idle, and something is known");
        let drains = self.drain.is_some();
        same!(registry.is_draining(), drains, "is_draining");
        same!(registry.is_drained(), drains && self.conns.is_empty(), "is_drained");
        let config = &self.config;
        let limits = [
            (config.closing() + config.connections(), "live"),
            (config.sessions(), "sessions"),
            (config.sessions() + config.closing(), "records of sessions"),
            (config.users(), "users"),
            (config.rooms(), "rooms"),
        ];
        for (((limit, name), count), at_reload) in
            limits.into_iter().zip(self.capped_counts()).zip(self.counts_at_reload)
        {
            // Caps that were lowered send nobody away.
            let limit = at_reload.max(limit as usize);
            ensure!(count <= limit, "{count} {name}, {limit} at most");
        }
        Ok(())
    }
}
