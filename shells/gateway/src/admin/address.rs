//! Whom a back end means: the `to` of its requests.

use headcount::{ConnId, Registry, RoomId, RunId, SessionId, Target, ThreadId, UserId};
use serde::Deserialize;

use super::object::given;
use crate::identity::hex;
use crate::problem::Problem;

/// `to` as it is written. A field that is not known is refused: it might have narrowed the audience.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    #[serde(default, deserialize_with = "given")]
    user: Option<String>,
    #[serde(default, deserialize_with = "given")]
    thread: Option<String>,
    #[serde(default, deserialize_with = "given")]
    run: Option<String>,
    #[serde(default, deserialize_with = "given")]
    connection: Option<String>,
    #[serde(default, deserialize_with = "given")]
    room: Option<String>,
    #[serde(default, deserialize_with = "given")]
    everyone: Option<bool>,
}

/// `to`, understood: exactly one audience.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Audience {
    User(UserId),
    Session(UserId, ThreadId),
    /// The session that a run is in.
    Run(UserId, RunId),
    Conn(ConnId),
    Room(RoomId),
    Everyone,
}

impl To {
    pub(super) fn audience(self) -> Result<Audience, Problem> {
        match self {
            Self {
                user: Some(user),
                thread: None,
                run: Some(run),
                connection: None,
                room: None,
                everyone: None,
            } => {
                let user = parse_user("to.user", &user)?;
                parse_run("to.run", &run).map(|run| Audience::Run(user, run))
            }
            Self {
                user: Some(user),
                thread,
                run: None,
                connection: None,
                room: None,
                everyone: None,
            } => {
                let user = parse_user("to.user", &user)?;
                match thread {
                    None => Ok(Audience::User(user)),
                    Some(thread) => ThreadId::new(thread)
                        .map(|thread| Audience::Session(user, thread))
                        .map_err(|error| Problem::id("to.thread", error)),
                }
            }
            Self {
                user: None,
                thread: None,
                run: None,
                connection: Some(connection),
                room: None,
                everyone: None,
            } => parse_connection("to.connection", &connection).map(Audience::Conn),
            Self {
                user: None,
                thread: None,
                run: None,
                connection: None,
                room: Some(room),
                everyone: None,
            } => parse_room("to.room", &room).map(Audience::Room),
            Self {
                user: None,
                thread: None,
                run: None,
                connection: None,
                room: None,
                everyone: Some(true),
            } => Ok(Audience::Everyone),
            _ => Err(Problem::new(
                400,
                "bad_to",
                "to must be one of {user}, {user,thread}, {user,run}, {connection}, {room} and \
                 {everyone:true}",
            )),
        }
    }
}

impl Audience {
    /// The target in the registry; `None`: there is no such session or run.
    pub(super) fn target(&self, registry: &mut Registry) -> Option<Target<'_>> {
        Some(match self {
            Self::User(user) => Target::User(user),
            Self::Session(user, thread) => Target::Session(registry.session(user, thread)?),
            Self::Run(user, run) => Target::Session(registry.user(user).explain_run(run)?.session),
            Self::Conn(conn) => Target::Conn(*conn),
            Self::Room(room) => Target::Room(room),
            Self::Everyone => Target::Everyone,
        })
    }
}

pub(super) fn parse_user(place: &str, user: &str) -> Result<UserId, Problem> {
    UserId::new(user).map_err(|error| Problem::id(place, error))
}

pub(super) fn parse_run(place: &str, run: &str) -> Result<RunId, Problem> {
    RunId::new(run).map_err(|error| Problem::id(place, error))
}

pub(super) fn parse_room(place: &str, room: &str) -> Result<RoomId, Problem> {
    RoomId::new(room).map_err(|error| Problem::id(place, error))
}

/// Reads a connection as the welcome frame named it. One that has ended is not an error here: it
/// is found to be nobody later.
pub(super) fn parse_connection(place: &str, connection: &str) -> Result<ConnId, Problem> {
    let conn = hex(connection).and_then(ConnId::from_bits);
    conn.ok_or_else(|| {
        Problem::new(
            400,
            "bad_id",
            format!(
                "{place}: not a connection that this server names: send it as `welcome` gave it"
            ),
        )
    })
}

/// The same for a session, as an explanation named it.
pub(super) fn parse_session(place: &str, session: &str) -> Result<SessionId, Problem> {
    hex(session).and_then(SessionId::from_bits).ok_or_else(|| {
        Problem::new(400, "bad_id", format!("{place}: not a session that this server names"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::object::parse;
    use super::*;

    fn audience(to: &str) -> Result<Audience, Problem> {
        parse::<To>(to)?.audience()
    }

    #[test]
    fn one_audience() {
        let user = || UserId::new("u").unwrap();
        for (to, expected) in [
            (r#"{"user":"u"}"#, Audience::User(user())),
            (
                r#"{"user":"u","thread":"t"}"#,
                Audience::Session(user(), ThreadId::new("t").unwrap()),
            ),
            (r#"{"user":"u","run":"r"}"#, Audience::Run(user(), RunId::new("r").unwrap())),
            (
                r#"{"connection":"0000000700000002"}"#,
                Audience::Conn(ConnId::from_bits(0x7_0000_0002).unwrap()),
            ),
            (r#"{"room":"r"}"#, Audience::Room(RoomId::new("r").unwrap())),
            (r#"{"everyone":true}"#, Audience::Everyone),
        ] {
            assert_eq!(audience(to), Ok(expected), "{to}");
        }
    }

    #[test]
    fn nothing_else() {
        for to in [
            "{}",
            "[]",
            "\"u\"",
            r#"{"user":null}"#,
            r#"{"user":"u","thread":null}"#,
            r#"{"user":"u","room":"r"}"#,
            r#"{"user":"u","everyone":true}"#,
            r#"{"user":"u","connection":"0000000700000002"}"#,
            r#"{"user":"u","Thread":"t"}"#,
            r#"{"user":"u","user":"v"}"#,
            r#"{"user":7}"#,
            r#"{"user":""}"#,
            r#"{"user":"null"}"#,
            r#"{"user":"u","thread":"\u0000"}"#,
            r#"{"thread":"t"}"#,
            r#"{"room":"undefined"}"#,
            r#"{"everyone":false}"#,
            r#"{"everyone":1}"#,
            r#"{"connection":"zz"}"#,
            r#"{"connection":"7"}"#,
            r#"{"connection":7}"#,
            r#"{"run":"r"}"#,
            r#"{"user":"u","run":""}"#,
            r#"{"user":"u","thread":"t","run":"r"}"#,
        ] {
            assert_eq!(audience(to).unwrap_err().status(), 400, "{to}");
        }
    }
}
