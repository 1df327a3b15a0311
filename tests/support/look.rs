//! What a story looks at.

use core::time::Duration;

use headcount::{ConnId, ConnState, Notice, Pressure, RoomView, SessionId, UserView};

use super::{START, World};

impl World {
    /// What came out for this connection, from the first to the last.
    pub fn seen(&self, conn: ConnId) -> Vec<&str> {
        self.wires[&conn].seen.iter().map(|(_, what)| &what[..]).collect()
    }

    /// What came out for it since the last time.
    pub fn take(&mut self, conn: ConnId) -> Vec<String> {
        let seen = &mut self.wires.get_mut(&conn).expect("a connection").seen;
        core::mem::take(seen).into_iter().map(|(_, what)| what).collect()
    }

    /// How long after the beginning of the world this came out for it, the first time.
    pub fn when(&self, conn: ConnId, what: &str) -> Duration {
        let seen = &self.wires[&conn].seen;
        match seen.iter().find(|(_, seen)| seen == what) {
            Some((at, _)) => at.saturating_since(START),
            None => panic!("{conn:?} never saw {what:?}, only {:?}", self.seen(conn)),
        }
    }

    /// The sum of what it was charged.
    pub fn handed(&self, conn: ConnId) -> u64 {
        self.wires[&conn].handed
    }

    /// What it was charged and has not flushed.
    pub fn in_flight(&self, conn: ConnId) -> u64 {
        self.wires[&conn].handed - self.wires[&conn].flushed
    }

    /// The open connections of a user.
    pub fn tabs(&self, user: &str) -> Vec<ConnId> {
        let user = self.registry.user(&super::user(user));
        user.iter().flat_map(UserView::connections).map(|it| it.id()).collect()
    }

    /// The connections in a room.
    pub fn members(&self, room: &str) -> Vec<ConnId> {
        let room = self.registry.room(&super::room(room));
        room.iter().flat_map(RoomView::members).map(|it| it.id()).collect()
    }

    pub fn state(&self, conn: ConnId) -> Option<ConnState> {
        self.registry.connection(conn).map(|it| it.state())
    }

    pub fn session(&self, conn: ConnId) -> SessionId {
        self.registry.connection(conn).and_then(|it| it.session()).expect("an admitted connection")
    }

    /// How many connections are open.
    pub fn open_count(&self) -> u32 {
        self.registry.stats().open
    }

    /// All notices since the last time.
    pub fn notices(&mut self) -> Vec<Notice> {
        core::iter::from_fn(|| self.registry.poll_notice()).collect()
    }

    /// The sessions whose end was polled, in order.
    pub fn ended_sessions(&self) -> Vec<SessionId> {
        self.polled.iter().filter_map(|polled| polled.session).collect()
    }
    /// The open connections, in the order in which they were reserved.
    pub fn open_conns(&self) -> Vec<ConnId> {
        let open =
            |conn: &ConnId| matches!(self.state(*conn), Some(ConnState::Open | ConnState::Suspect));
        self.conns.iter().copied().filter(open).collect()
    }

    /// Why admitted connections have closed, in order, as far as the ring reaches back.
    pub fn closings(&self) -> Vec<&'static str> {
        self.registry.closed().map(|closed| closed.reason.name()).collect()
    }

    /// The changes of pressure since the last time, as (level, probed, released, evicted); other
    /// notices are passed over.
    pub fn pressures(&mut self) -> Vec<(Pressure, u32, u32, u32)> {
        let notices = self.notices().into_iter();
        let pressures = notices.filter_map(|notice| match notice {
            Notice::Pressure { level, probed, released, evicted, .. } => {
                Some((level, probed, released, evicted))
            }
            _ => None,
        });
        pressures.collect()
    }

    /// Everybody leaves, and time passes: nothing may be left, and every count must add up.
    pub fn close_the_books(mut self) {
        for conn in self.open_conns() {
            self.hang_up(conn);
        }
        self.run_out();
        self.check();
        let stats = self.registry.stats();
        assert_eq!((stats.live, stats.open, stats.pending), (0, 0, 0));
        assert_eq!((stats.users, stats.sessions, stats.rooms), (0, 0, 0));
        assert_eq!(stats.opened, stats.closed_total());
        assert_eq!(stats.sessions_opened, stats.sessions_ended);
        assert_eq!((stats.log_messages, stats.log_bytes), (0, 0));
        assert_eq!(self.ended_sessions().len() as u64, stats.sessions_opened);
        let cleanups = self.polled.iter().filter(|polled| polled.what.starts_with("cleanup "));
        assert_eq!(cleanups.count() as u64, stats.opened + stats.abandoned);
    }
}
