//! Connections and sessions as clients, back ends and the log see them: `<instance>.<handle>`, 16
//! hexadecimal digits each, opaque to all of them.
//!
//! A handle means something in one process only, and what a client was told outlives the process. So
//! the instance is told with it, and what belongs to another instance names nothing here.

use std::str::FromStr;

use headcount::{ConnId, SessionId};

use crate::epoch::hex;

/// A handle as it was read, and the instance that it is said to belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// The instance.
    pub instance: u64,
    /// What it is called there.
    pub handle: T,
}

impl<T> Named<T> {
    /// The handle, if it belongs to this instance; `None`: to another process, so that it names
    /// nothing here.
    #[must_use]
    pub fn of(self, instance: u64) -> Option<T> {
        (self.instance == instance).then_some(self.handle)
    }
}

/// What a connection is called.
#[must_use]
pub fn show_connection(instance: u64, conn: ConnId) -> String {
    format!("{instance:016x}.{conn}")
}

/// What a session is called.
#[must_use]
pub fn show_session(instance: u64, session: SessionId) -> String {
    format!("{instance:016x}.{session}")
}

/// What [`show_connection`] made; `None` for anything else.
#[must_use]
pub fn parse_connection(text: &str) -> Option<Named<ConnId>> {
    parse(text)
}

/// What [`show_session`] made; `None` for anything else.
#[must_use]
pub fn parse_session(text: &str) -> Option<Named<SessionId>> {
    parse(text)
}

fn parse<T: FromStr>(text: &str) -> Option<Named<T>> {
    let (instance, handle) = text.split_once('.')?;
    let whole = (instance.len() == 16).then_some(instance)?;
    Some(Named { instance: hex(whole)?, handle: handle.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use headcount::{Config, Principal, Registry, Start, ThreadId, Timestamp, UserId};

    #[test]
    fn what_is_shown_is_read_back_and_names_nothing_in_another_process() {
        let registries = [1, 2].map(|seed| {
            let mut registry = Registry::new(Config::new(seed));
            let who =
                Principal::new(UserId::new("u").unwrap()).with_thread(ThreadId::new("t").unwrap());
            let (conn, admitted) =
                registry.admit(Timestamp::ZERO, who, Start::OpenRuns, None).unwrap();
            (registry, conn, admitted.followed.unwrap().session)
        });
        let [(one, conn, session), (other, ..)] = &registries;
        let (instance, other) = (one.config().instance(), other.config().instance());
        let shown = (show_connection(instance, *conn), show_session(instance, *session));
        assert_eq!((shown.0.len(), shown.1.len()), (33, 33));
        let read = (parse_connection(&shown.0).unwrap(), parse_session(&shown.1).unwrap());
        assert_eq!((read.0.of(instance), read.1.of(instance)), (Some(*conn), Some(*session)));
        assert_eq!((read.0.of(other), read.1.of(other)), (None, None));
    }

    #[test]
    fn nothing_else_is_a_handle() {
        for text in [
            "",
            ".",
            "0000000700000002",
            "00000000000000010000000700000002",
            "0000000000000001.7",
            "1.0000000700000002",
            "0000000000000001.0000000000000002",
            "0000000000000001.0000000700000002.",
            "0000000000000001.+000000700000002",
            "000000000000000x.0000000700000002",
        ] {
            assert_eq!(parse_connection(text), None, "{text}");
        }
    }
}
