//! Operations that are about which streams a connection follows, and where it stands there.

use headcount::{ConnId, Input};

use super::Check;
use super::model::conn::Conn;
use super::op::{Pick, Since};
use super::seen::Source;
use super::world::World;

impl World {
    pub(crate) fn follow_thread(&mut self, conn: ConnId, thread: u8, since: Since) -> Check {
        let user = self.model.conns.get(&conn).and_then(Conn::user);
        let session = user.and_then(|user| self.model.session_of(user, self.thread(thread)));
        let start = &self.start(since, session.map(Source::Session).as_ref());
        let thread = &self.thread_name(thread);
        self.call(Input::Follow { conn, thread, start })
    }

    pub(crate) fn unfollow(&mut self, conn: ConnId, session: u8) -> Check {
        let followed = self.model.conns.get(&conn).map(|conn| conn.sessions.clone());
        let followed =
            followed.filter(|followed| session.is_multiple_of(2) && !followed.is_empty());
        let session = match followed {
            Some(followed) => followed[usize::from(session / 2) % followed.len()],
            None => self.session(Pick::Ever(session.into())),
        };
        self.call(Input::Unfollow { conn, session })
    }

    pub(crate) fn join(&mut self, conn: ConnId, room: u8, since: Since) -> Check {
        let room = &self.room(room);
        let start = &self.start(since, Some(&Source::Room(room.clone())));
        self.call(Input::Join { conn, room, start })
    }

    pub(crate) fn acknowledge(&mut self, conn: Pick, room: Option<u8>, upto: Since) -> Check {
        let (conn, room) = (self.conn(conn), room.map(|room| self.room(room)));
        let source = match &room {
            Some(room) => Some(Source::Room(room.clone())),
            None => {
                let conn = self.model.conns.get(&conn);
                conn.and_then(|it| it.sessions.last().copied()).map(Source::Session)
            }
        };
        let stream = source.as_ref().and_then(|source| self.model.streams.get(source));
        let cursor = stream.and_then(|stream| stream.seat(conn)).map_or(0, |seat| seat.cursor);
        let offset = self.since(upto, source.as_ref()).map_or(cursor, |position| position.offset);
        let source = source.unwrap_or(Source::Direct);
        self.call(Input::Acknowledge { conn, stream: source.stream_ref(), offset })
    }
}
