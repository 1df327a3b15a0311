//! The sessions that connections follow beside that of their own thread, and what those are called.

use std::collections::HashMap;

use headcount::{ConnId, Ended, Registry, SessionId, Start, StreamRef, ThreadId, Timestamp};
use headcount_mio::Dialect;
use headcount_protocol::handles::show_session;
use headcount_protocol::run_events;
use headcount_protocol::server_frames::{self, Stream};

/// The dialect in which a session is not of the reader's own thread.
const OF_ANOTHER_THREAD: Dialect = Dialect(1);

/// What is kept of the connections that have asked to follow a session or to follow one no more. All others
/// read the stream of the one session that they follow, and call it `session`.
#[derive(Debug, Default)]
pub(crate) struct Following {
    own: HashMap<ConnId, Own>,
    /// The threads of the sessions that these follow or have followed. A frame may name one as long as the
    /// registry knows the session.
    threads: HashMap<SessionId, ThreadId>,
}

/// The thread that the upgrade of a connection or its frame `auth` has named.
#[derive(Debug)]
struct Own {
    thread: ThreadId,
    /// Its session, at the last time at which the connection came to follow it.
    session: SessionId,
}

impl Following {
    /// Has a connection follow the session of a thread; the answer is the frame to send back.
    pub(crate) fn follow(
        &mut self,
        registry: &mut Registry,
        now: Timestamp,
        conn: ConnId,
        (thread, start): (&ThreadId, Start),
        request: Option<&str>,
    ) -> String {
        self.know(registry, conn);
        let followed = match registry.follow(now, conn, thread, start) {
            Ok(followed) => followed,
            Err(refused) => {
                let (code, message) = (server_frames::follow_code(refused), refused.to_string());
                return server_frames::error(code, &message, request);
            }
        };
        let session = followed.session;
        self.threads.insert(session, thread.clone());
        if let Some(own) = self.own.get_mut(&conn).filter(|own| own.thread == *thread) {
            own.session = session;
        }
        let shown = show_session(registry.config().instance(), session);
        let runs = run_events::open(registry, session);
        let (position, recovered) = (followed.position, followed.recovered);
        server_frames::followed((thread, &shown), position, recovered, &runs, request)
    }

    /// Has a connection follow the session of a thread no more. Not to have followed it is no error: what was
    /// asked for is the case.
    pub(crate) fn unfollow(
        &mut self,
        registry: &mut Registry,
        now: Timestamp,
        conn: ConnId,
        thread: &ThreadId,
        request: Option<&str>,
    ) -> String {
        self.know(registry, conn);
        let session = session_of(registry, conn, thread);
        match session.map(|session| registry.unfollow(now, conn, session)) {
            Some(Err(unknown)) => server_frames::error("closing", &unknown.to_string(), request),
            _ => server_frames::unfollowed(thread, request),
        }
    }

    /// The stream that a connection calls so; `None`: it follows no such session.
    pub(crate) fn stream<'a>(
        &self,
        registry: &Registry,
        conn: ConnId,
        stream: &'a Stream,
    ) -> Option<StreamRef<'a>> {
        let session = match stream {
            Stream::Room(room) => return Some(StreamRef::Room(room)),
            Stream::Thread(thread) => session_of(registry, conn, thread),
            Stream::Session => match self.own.get(&conn) {
                Some(own) => session_of(registry, conn, &own.thread),
                None => registry.connection(conn).and_then(|it| it.session()),
            },
        };
        session.map(StreamRef::Session)
    }

    /// In which dialect a connection reads a stream.
    pub(crate) fn dialect(&self, conn: ConnId, stream: StreamRef<'_>) -> Dialect {
        if self.own.is_empty() {
            return Dialect::default();
        }
        match (stream, self.own.get(&conn)) {
            (StreamRef::Session(session), Some(own)) if own.session != session => OF_ANOTHER_THREAD,
            _ => Dialect::default(),
        }
    }

    /// What a stream is called in a dialect; `None` for what belongs to none.
    pub(crate) fn name(&self, dialect: Dialect, stream: StreamRef<'_>) -> Option<String> {
        match stream {
            StreamRef::Session(session) if dialect == OF_ANOTHER_THREAD => {
                self.threads.get(&session).map(server_frames::thread_stream)
            }
            stream => server_frames::stream_name(stream),
        }
    }

    /// The thread of a session that one of the connections follows or has followed.
    pub(crate) fn thread(&self, session: SessionId) -> Option<&ThreadId> {
        self.threads.get(&session)
    }

    /// A connection or a session is gone.
    pub(crate) fn remove(&mut self, what: Ended) {
        match what {
            Ended::Conn(conn) => {
                self.own.remove(&conn);
            }
            Ended::Session(session) => {
                self.threads.remove(&session);
            }
        }
    }

    /// Before the first change of what a connection follows, that is the session of its own thread alone.
    fn know(&mut self, registry: &Registry, conn: ConnId) {
        let Some((session, thread)) =
            registry.connection(conn).and_then(|conn| conn.followed().next())
        else {
            return;
        };
        self.own.entry(conn).or_insert_with(|| Own { thread: thread.clone(), session });
        self.threads.entry(session).or_insert_with(|| thread.clone());
    }
}

/// The session of a thread that a connection follows.
fn session_of(registry: &Registry, conn: ConnId, thread: &ThreadId) -> Option<SessionId> {
    let mut followed = registry.connection(conn)?.followed();
    followed.find(|(_, other)| *other == thread).map(|(session, _)| session)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use headcount::{Action, Config, Principal, UserId};

    use super::*;

    #[test]
    fn nothing_is_kept_of_others_and_nothing_outlives_a_connection_and_its_sessions() {
        let config = Config::builder(7).session_linger(Duration::from_secs(1)).build().unwrap();
        let mut registry = Registry::new(config);
        let now = Timestamp::from_secs(1);
        let thread = |name| ThreadId::new(name).unwrap();
        let who = Principal::new(UserId::new("a").unwrap()).with_thread(thread("own"));
        let [one, other] = [(); 2].map(|()| {
            let admitted = registry.admit(now, who.clone(), Start::OpenRuns, None);
            admitted.unwrap().0
        });
        let mut following = Following::default();
        following.unfollow(&mut registry, now, one, &thread("own"), None);
        for name in ["two", "own", "three"] {
            following.follow(&mut registry, now, one, (&thread(name), Start::OpenRuns), None);
        }
        following.unfollow(&mut registry, now, one, &thread("three"), None);
        let followed = registry.connection(one).unwrap().followed();
        let sessions: Vec<_> = followed.map(|(session, _)| session).collect();
        let [two, own] = sessions[..] else { panic!("it follows two") };
        let dialects = [(one, own), (one, two), (other, own)].map(|(conn, session)| {
            let (dialect, stream) =
                (following.dialect(conn, StreamRef::Session(session)), StreamRef::Session(session));
            following.name(dialect, stream).unwrap()
        });
        assert_eq!(dialects, ["session", "session/two", "session"]);
        assert_eq!((following.own.len(), following.threads.len()), (1, 3));
        for conn in [one, other] {
            registry.disconnect(now, conn).unwrap();
        }
        for at in [now, now + Duration::from_secs(2)] {
            registry.tick(at);
            while let Some(action) = registry.poll_action() {
                if let Action::Cleanup { what, .. } = action {
                    following.remove(what);
                }
            }
        }
        assert!(following.own.is_empty() && following.threads.is_empty(), "{following:?}");
    }
}
