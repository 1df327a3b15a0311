//! Operations that are about which streams a connection follows, and where it stands there.

use headcount::{ConnId, Followed, Registry, RoomId};

use super::model::conn::Conn;
use super::model::following::Following;
use super::op::{Pick, Since};
use super::seen::Source;
use super::world::World;
use super::{Check, same};

impl World {
    /// A connection follows a session from here on.
    pub(crate) fn seat(&mut self, conn: ConnId, followed: Followed) -> Check {
        let Followed { session, new_session, position, already, .. } = followed;
        if already {
            return Ok(());
        }
        self.grammar.followed(conn, session, new_session)?;
        if new_session {
            self.sessions.push(session);
        }
        self.grammar.seated(conn, Source::Session(session), position);
        Ok(())
    }

    pub(crate) fn follow(&mut self, conn: ConnId, thread: u8, since: Since) -> Check {
        let (thread, stamp) = (self.thread(thread), self.stamp());
        let user = self.model.conns.get(&conn).and_then(Conn::user);
        let session = user.and_then(|user| self.model.session_of(user, thread));
        let start = self.start(since, session.map(Source::Session).as_ref());
        let name = self.names.thread(thread).clone();
        let got = self.registry.call(|it| it.follow(stamp, conn, &name, start.clone()));
        if let Ok(followed) = got {
            self.seat(conn, followed)?;
        }
        let made = got.ok().map(|it| (it.session, it.position.epoch));
        let expected = self.model.follow(conn, thread, &start, made);
        same!(got.map(Following::from), expected, "follow");
        Ok(())
    }

    pub(crate) fn unfollow(&mut self, conn: ConnId, session: u8) -> Check {
        let stamp = self.stamp();
        let followed = self.model.conns.get(&conn).map(|conn| conn.sessions.clone());
        let followed =
            followed.filter(|followed| session.is_multiple_of(2) && !followed.is_empty());
        let session = match followed {
            Some(followed) => followed[usize::from(session / 2) % followed.len()],
            None => self.session(Pick::Ever(session.into())),
        };
        let got = self.registry.call(|it| it.unfollow(stamp, conn, session));
        if got == Ok(true) {
            self.grammar.left(conn, &Source::Session(session));
        }
        same!(got, self.model.unfollow(conn, session), "unfollow");
        Ok(())
    }

    pub(crate) fn join(&mut self, conn: ConnId, room: u8, since: Since) -> Check {
        let (room, stamp) = (self.room(room), self.stamp());
        let source = Source::Room(room.clone());
        let start = self.start(since, Some(&source));
        let got = self.registry.call(|it| it.join(stamp, conn, &room, start.clone()));
        if let Ok(joined) = got
            && !joined.already
        {
            self.grammar.seated(conn, source, joined.position);
        }
        let epoch = got.map_or(0, |joined| joined.position.epoch);
        let got = got.map(|joined| (joined.position, joined.recovered, joined.already));
        same!(got, self.model.join(conn, &room, &start, epoch), "join");
        Ok(())
    }

    pub(crate) fn leave(&mut self, conn: ConnId, room: &RoomId) -> Check {
        let stamp = self.stamp();
        let got = self.registry.call(|it| it.leave(stamp, conn, room));
        if got == Ok(true) {
            self.grammar.left(conn, &Source::Room(room.clone()));
        }
        same!(got, self.model.leave(conn, room), "leave");
        Ok(())
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
        let acknowledge =
            |it: &mut Registry, at| it.acknowledge(at, conn, source.stream_ref(), offset);
        self.both("acknowledge", acknowledge, |it| it.acknowledge(conn, &source, offset))
    }
}
