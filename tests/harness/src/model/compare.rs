//! Everything that can be read from the registry, compared with the model.

use headcount::{ConnId, CursorExplanation, Position, Registry, SessionId};

use super::Model;
use super::conn::State;
use crate::seen::Source;
use crate::world::{Names, World};
use crate::{Check, ensure};

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
            let expected = self.members(&source);
            ensure!(members == expected, "members of {id:?}: {members:?}, expected {expected:?}");
            let position = registry.session_position(*id).map(|it| (it.epoch, it.offset));
            let head = self.streams.get(&source).map(|stream| (stream.epoch, stream.head()));
            ensure!(position == head, "head of {id:?}: {position:?}, expected {head:?}");
        }
        for user in 0..names.users.len() as u8 {
            let name = names.user(user);
            let open: Vec<_> = registry.connections_of(name).collect();
            let expected = self.open_of_user(user);
            ensure!(open == expected, "of user {user}: {open:?}, expected {expected:?}");
            for thread in 0..names.threads.len() as u8 {
                let session = registry.session(name, names.thread(thread));
                let expected = self.session_of(user, thread);
                ensure!(session == expected, "{user}/{thread}: {session:?}, not {expected:?}");
            }
        }
        for room in &names.rooms {
            let members: Vec<_> = registry.room_members(room).collect();
            let expected = self.members(&Source::Room(room.clone()));
            ensure!(members == expected, "members of {room:?}: {members:?}, expected {expected:?}");
        }
        self.compare_streams(registry)?;
        self.compare_stats(registry)?;
        self.check_timeout(registry.poll_timeout())?;
        self.compare_work(registry)
    }

    fn compare_conn(&self, registry: &Registry, names: &Names, id: ConnId) -> Check {
        let conn = self.conns.get(&id);
        let (state, expected) = (registry.state(id), conn.map(|conn| conn.public_state()));
        ensure!(state == expected, "{id:?} is {state:?}, expected {expected:?}");
        let (session, expected) = (registry.session_of(id), conn.and_then(|conn| conn.session()));
        ensure!(session == expected, "{id:?} is of {session:?}, expected {expected:?}");
        let who = registry.who(id);
        ensure!(who.is_some() == expected.is_some(), "who {id:?} is: {who:?}");
        if let (Some(who), Some(session)) = (who, expected) {
            let session = &self.sessions[&session];
            let right = who.user == names.user(session.user)
                && who.thread == names.thread(session.thread)
                && who.label == conn.and_then(|conn| conn.label).map(World::label).as_deref();
            ensure!(right, "{id:?} is {who:?}");
        }
        let rooms: Vec<_> = registry.rooms_of(id).cloned().collect();
        let expected = conn.map(|conn| conn.rooms.clone()).unwrap_or_default();
        ensure!(rooms == expected, "{id:?} is in {rooms:?}, expected {expected:?}");
        Ok(())
    }

    /// What is kept in each log, and where each member is.
    fn compare_streams(&self, registry: &Registry) -> Check {
        for (source, stream) in &self.streams {
            let shown = Self::shown(source, registry).map(|(shown, head)| (shown, head.epoch));
            let expected = Some((stream.log.shown(), stream.epoch));
            ensure!(shown == expected, "{source:?} shows {shown:?}, expected {expected:?}");
        }
        for id in self.open() {
            let explained = registry.explain(id).ok_or("an open connection is not explained")?;
            let (load, used) = (explained.load, self.used(id));
            ensure!(load == used, "{id:?} has a load of {load}, expected {used}");
            let cursor = |source| {
                let stream = &self.streams[&source];
                let seat = stream.seat(id)?;
                let reader = seat.reader();
                let position = Position { epoch: stream.epoch, offset: seat.cursor };
                let backlog = stream.log.waiting(&reader) as u32;
                Some((position, stream.head(), seat.lagging, backlog, seat.acknowledged))
            };
            let expected: Vec<_> =
                self.conns[&id].streams().into_iter().filter_map(cursor).collect();
            let told = |it: &CursorExplanation| {
                (it.position, it.head, it.lagging, it.backlog, it.acknowledged)
            };
            let told: Vec<_> = explained.cursors.iter().map(told).collect();
            ensure!(told == expected, "{id:?} follows {told:?}, expected {expected:?}");
        }
        Ok(())
    }

    /// What the registry says about the work that it has.
    fn compare_work(&self, registry: &Registry) -> Check {
        let waits = self.waiting.has_any();
        ensure!(registry.has_actions() == waits, "has_actions is {}, not {waits}", !waits);
        let anything = !self.conns.is_empty()
            || !self.sessions.is_empty()
            || self.rooms().next().is_some()
            || waits;
        ensure!(!anything || !registry.is_idle(), "is_idle, and something is known");
        let drains = self.drain.is_some();
        ensure!(registry.is_draining() == drains, "is_draining is {}", !drains);
        let drained = drains && self.conns.is_empty();
        ensure!(registry.is_drained() == drained, "is_drained is {}", !drained);
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
        let closed_and_open = |state| state == State::Open || state == State::Pending;
        ensure!(
            self.conns.values().all(|it| it.reason.is_none() == closed_and_open(it.state)),
            "the model is wrong: a reason without a close"
        );
        Ok(())
    }
}
