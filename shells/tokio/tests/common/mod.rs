//! The application of the conformance tests as a handler.

use std::sync::{Arc, Mutex};

use headcount_conformance::Application;
use headcount_tokio::headcount::{
    Action, Admitted, CloseReason, ConnId, Ended, Message, Registry, StreamRef, Timestamp, UserId,
};
use headcount_tokio::{Dialect, Handler};

/// Connections that have ended, and why.
pub(crate) type Gone = Arc<Mutex<Vec<(ConnId, CloseReason)>>>;

#[derive(Default)]
pub(crate) struct Conforming {
    pub(crate) gone: Gone,
}

impl Handler for Conforming {
    fn admitted(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, _: Admitted) {
        let reply = Application.admitted(registry, now, conn);
        registry.reply(now, conn, reply).unwrap();
    }

    fn message(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, said: Message) {
        if let Some(reply) = Application.message(registry, now, conn, said) {
            registry.reply(now, conn, reply).unwrap();
        }
    }

    fn dialect(&self, conn: ConnId, _: StreamRef<'_>) -> Dialect {
        Dialect(Application.dialect(conn))
    }

    fn encode(&mut self, dialect: Dialect, action: &Action<'_>) -> Message {
        Application.encode(dialect.0, action).expect("a data message")
    }

    fn cleanup(&mut self, what: Ended, reason: CloseReason) {
        if let Ended::Conn(conn) = what {
            self.gone.lock().unwrap().push((conn, reason));
        }
    }

    fn presence(&mut self, registry: &mut Registry, now: Timestamp, user: &UserId, online: bool) {
        Application.presence(registry, now, user, online);
    }
}
