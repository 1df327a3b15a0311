//! The audience of a request: its `to`.

use headcount::{ConnId, RoomId, RunId, SessionId, ThreadId, UserId};

use super::fields::Fields;
use super::form::{Field, Form, Shape};
use crate::handles::{self, Named};
use crate::problem::Problem;

/// `to`: which fields it has, and which of them go together.
pub static TO: Form = Form::closed(&[
    Field::optional("to.user", Shape::Id, "A user: all sessions that they have."),
    Field::optional("to.thread", Shape::Id, "One session of the user, by its thread."),
    Field::optional("to.run", Shape::Id, "The session of the user that this run is in."),
    Field::optional("to.connection", Shape::Text, "A connection, as its `welcome` named it."),
    Field::optional("to.room", Shape::Id, "A room."),
    Field::optional("to.everyone", Shape::Yes, "Every connection."),
])
.with_one_of(&[
    &["user"],
    &["user", "thread"],
    &["user", "run"],
    &["connection"],
    &["room"],
    &["everyone"],
]);

/// The field of a body that names its audience.
pub const TO_FIELD: Field = Field::needed("to", Shape::Nested(&TO), "Exactly one audience.");

/// `to`, understood: exactly one audience.
#[derive(Debug, PartialEq, Eq)]
pub enum Audience {
    /// All sessions that a user has.
    User(UserId),
    /// One session.
    Session(UserId, ThreadId),
    /// The session that a run is in.
    Run(UserId, RunId),
    /// One connection.
    Conn(Named<ConnId>),
    /// The members of a room.
    Room(RoomId),
    /// Every connection.
    Everyone,
}

impl Audience {
    /// Takes `to` out of a body: exactly one of the documented objects.
    pub(super) fn take(body: &mut Fields<'_>) -> Result<Self, Problem> {
        let mut to = body.take_object("to")?.only(TO.fields)?;
        let [user, thread, run, connection, room] =
            ["to.user", "to.thread", "to.run", "to.connection", "to.room"];
        let given = (
            to.take_text(user)?,
            to.take_text(thread)?,
            to.take_text(run)?,
            to.take_text(connection)?,
            to.take_text(room)?,
            to.take_value("to.everyone", "true")?,
        );
        to.end(TO.fields)?;
        match given {
            (Some(name), None, None, None, None, None) => parse_user(user, &name).map(Self::User),
            (Some(name), Some(other), None, None, None, None) => {
                Ok(Self::Session(parse_user(user, &name)?, parse_thread(thread, &other)?))
            }
            (Some(name), None, Some(other), None, None, None) => {
                Ok(Self::Run(parse_user(user, &name)?, parse_run(run, &other)?))
            }
            (None, None, None, Some(name), None, None) => {
                parse_connection(connection, &name).map(Self::Conn)
            }
            (None, None, None, None, Some(name), None) => parse_room(room, &name).map(Self::Room),
            (None, None, None, None, None, Some(true)) => Ok(Self::Everyone),
            _ => Err(Problem::new(
                400,
                "bad_to",
                "to must be one of {user}, {user,thread}, {user,run}, {connection}, {room} and \
                 {everyone:true}",
            )),
        }
    }

    /// The fields of `to`, for the audit.
    pub fn names(&self) -> Vec<(&'static str, String)> {
        let user = |user: &UserId| ("user", user.as_str().to_owned());
        match self {
            Self::User(of) => vec![user(of)],
            Self::Session(of, thread) => vec![user(of), ("thread", thread.as_str().to_owned())],
            Self::Run(of, run) => vec![user(of), ("run", run.as_str().to_owned())],
            Self::Conn(conn) => {
                vec![("connection", handles::show_connection(conn.instance, conn.handle))]
            }
            Self::Room(room) => vec![("room", room.as_str().to_owned())],
            Self::Everyone => vec![("everyone", "true".to_owned())],
        }
    }
}

/// Understands the name of a user; `place` is where it stands.
///
/// # Errors
/// 400 if it is not understood.
pub fn parse_user(place: &str, user: &str) -> Result<UserId, Problem> {
    UserId::new(user).map_err(|error| Problem::id(place, error))
}

/// The same for a thread.
///
/// # Errors
/// 400 if it is not understood.
pub(super) fn parse_thread(place: &str, thread: &str) -> Result<ThreadId, Problem> {
    ThreadId::new(thread).map_err(|error| Problem::id(place, error))
}

/// The same for a run.
///
/// # Errors
/// 400 if it is not understood.
pub fn parse_run(place: &str, run: &str) -> Result<RunId, Problem> {
    RunId::new(run).map_err(|error| Problem::id(place, error))
}

/// The same for a room.
///
/// # Errors
/// 400 if it is not understood.
pub(super) fn parse_room(place: &str, room: &str) -> Result<RoomId, Problem> {
    RoomId::new(room).map_err(|error| Problem::id(place, error))
}

/// Reads a connection as the welcome frame named it. A connection that has ended is not an error here:
/// the registry does not find it later.
///
/// # Errors
/// 400 if it is not understood.
pub fn parse_connection(place: &str, connection: &str) -> Result<Named<ConnId>, Problem> {
    handles::parse_connection(connection).ok_or_else(|| {
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
///
/// # Errors
/// 400 if it is not understood.
pub fn parse_session(place: &str, session: &str) -> Result<Named<SessionId>, Problem> {
    handles::parse_session(session).ok_or_else(|| {
        Problem::new(400, "bad_id", format!("{place}: not a session that this server names"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::json_body::parse;
    use super::*;

    fn audience(to: &str) -> Result<Audience, Problem> {
        let body = format!("{{\"to\":{to}}}");
        let mut body: Fields<'_> = parse(&body)?;
        Audience::take(&mut body)
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
                r#"{"connection":"000000000000000b.0000000700000002"}"#,
                Audience::Conn(Named {
                    instance: 11,
                    handle: ConnId::from_bits(0x7_0000_0002).unwrap(),
                }),
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
            "null",
            "7",
            r#"["u"]"#,
            r#"["u","t"]"#,
            r#"["u","t",null,null,null,null]"#,
            r#"{"user":null}"#,
            r#"{"user":"u","thread":null}"#,
            r#"{"user":"u","room":"r"}"#,
            r#"{"user":"u","everyone":true}"#,
            r#"{"connection":"0000000700000002"}"#,
            r#"{"user":"u","connection":"000000000000000b.0000000700000002"}"#,
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
