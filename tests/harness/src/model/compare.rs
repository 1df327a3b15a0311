//! Everything that can be read from the registry, compared with the model.

use headcount::{ConnId, CursorExplanation, Position, Registry, SessionId};

use super::Model;
use super::conn::Conn;
use crate::seen::Source;
use crate::world::{Names, World};
use crate::{Check, ensure, same};

impl Model {
    pub(crate) fn compare(
        &self,
        registry: &Registry,
        names: &Names,
        conns: &[ConnId],
        sessions: &[SessionId],
    ) -> Check {
        for id in conns {
            self.compare_conn(registry, names, *id)?;
        }
        for id in sessions {
            let source = Source::Session(*id);
            let members: Vec<_> = registry.session_members(*id).collect();
            same!(members, self.members(&source), "members of {id:?}");
            let position = registry.session_position(*id).map(|it| (it.epoch, it.offset));
            let head = self.streams.get(&source).map(|stream| (stream.epoch, stream.head()));
            same!(position, head, "head of {id:?}");
        }
        for user in 0..names.users.len() as u8 {
            let name = names.user(user);
            let open: Vec<_> = registry.connections_of(name).collect();
            same!(open, self.open_of_user(user), "open of user {user}");
            let online = self.online_users().contains(&user);
            same!(registry.is_online(name), online, "whether user {user} is online");
            for thread in 0..names.threads.len() as u8 {
                let session = registry.session(name, names.thread(thread));
                same!(session, self.session_of(user, thread), "session {user}/{thread}");
            }
        }
        for room in &names.rooms {
            let members: Vec<_> = registry.room_members(room).collect();
            same!(members, self.members(&Source::Room(room.clone())), "members of {room:?}");
        }
        self.compare_streams(registry)?;
        self.compare_stats(registry)?;
        self.check_timeout(registry.poll_timeout())?;
        self.compare_work(registry)
    }

    fn compare_conn(&self, registry: &Registry, names: &Names, id: ConnId) -> Check {
        let conn = self.conns.get(&id);
        same!(registry.state(id), conn.map(Conn::public_state), "state of {id:?}");
        let followed: Vec<_> = registry.followed(id).collect();
        let named = |session: &SessionId| (*session, names.thread(self.sessions[session].thread));
        let expected: Vec<_> = conn.iter().flat_map(|it| &it.sessions).map(named).collect();
        same!(followed, expected, "sessions of {id:?}");
        same!(registry.session_of(id), conn.and_then(Conn::session), "session of {id:?}");
        let expected = conn.and_then(Conn::user);
        let who = registry.who(id);
        ensure!(who.is_some() == expected.is_some(), "who {id:?} is: {who:?}");
        if let (Some(who), Some(user)) = (who, expected) {
            let right = who.user == names.user(user)
                && who.label == conn.and_then(|conn| conn.label).map(World::label).as_deref();
            ensure!(right, "{id:?} is {who:?}");
        }
        let rooms: Vec<_> = registry.rooms_of(id).cloned().collect();
        let expected: Vec<_> = conn.into_iter().flat_map(Conn::rooms).cloned().collect();
        same!(rooms, expected, "rooms of {id:?}");
        Ok(())
    }

    /// What is kept in each log, and where each member is.
    fn compare_streams(&self, registry: &Registry) -> Check {
        for (source, stream) in &self.streams {
            let shown = Self::shown(source, registry).map(|(shown, head)| (shown, head.epoch));
            let expected = Some((stream.log.shown(), stream.epoch));
            same!(shown, expected, "what {source:?} shows");
        }
        for id in self.open() {
            let explained = registry.explain(id).ok_or("an open connection is not explained")?;
            same!(explained.load, self.used(id), "load of {id:?}");
            same!(explained.kind, self.conns[&id].kind, "kind of {id:?}");
            let cursor = |source| {
                let stream = &self.streams[source];
                let seat = stream.seat(id)?;
                let position = Position { epoch: stream.epoch, offset: seat.cursor };
                let backlog = stream.log.waiting(seat) as u32;
                Some((position, stream.head(), seat.lagging, backlog, seat.acknowledged))
            };
            let expected: Vec<_> = self.conns[&id].streams.iter().filter_map(cursor).collect();
            let told = |it: &CursorExplanation| {
                (it.position, it.head, it.lagging, it.backlog, it.acknowledged)
            };
            let told: Vec<_> = explained.cursors.iter().map(told).collect();
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
