//! `POST /v1/join` and `/v1/leave`: connections to be put into a room, or taken out of it.

use headcount::{ConnId, RoomId, UserId};

use super::audience::{parse_connection, parse_room, parse_user};
use super::fields::Fields;
use super::form::{Field, Form, Shape};
use super::json_body;
use crate::handles::Named;
use crate::problem::Problem;

/// The body of both.
pub static FORM: Form = Form::closed(&[
    Field::optional("user", Shape::Id, "The connections that this user has now."),
    Field::optional("connection", Shape::Text, "A connection, as its `welcome` named it."),
    Field::needed("room", Shape::Id, "The room."),
])
.with_one_of(&[&["user"], &["connection"]]);

/// The answer to a join.
pub static JOINED: Form = Form::open(&[
    Field::needed("joined", Shape::AtLeast(0), "Connections that are in the room now."),
    Field::needed("already", Shape::AtLeast(0), "Connections that were in it."),
    Field::needed("refused", Shape::AtLeast(0), "Connections that are not let in."),
    Field::optional("code", Shape::Text, "Why the first was refused, for programs."),
    Field::optional("reason", Shape::Text, "Why the first was refused, for people."),
]);

/// The answer to a leave.
pub static LEFT: Form = Form::open(&[
    Field::needed("left", Shape::AtLeast(0), "Connections that were in the room."),
    Field::needed("absent", Shape::AtLeast(0), "Connections that were not."),
]);

/// Whose membership of a room changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Membership {
    /// Whose.
    pub whom: Whom,
    /// The room.
    pub room: RoomId,
}

/// Connections by their user, or one.
#[derive(Debug, PartialEq, Eq)]
pub enum Whom {
    /// The connections that the user has now; later ones are not concerned.
    User(UserId),
    /// One connection.
    Conn(Named<ConnId>),
}

impl Membership {
    /// Understands a body.
    ///
    /// # Errors
    /// 400 if it is not understood.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut body = json_body::parse::<Fields<'_>>(text)?.only(FORM.fields)?;
        let (user, connection) = (body.take_text("user")?, body.take_text("connection")?);
        let room = parse_room("room", &body.take("room")?)?;
        body.end(FORM.fields)?;
        let whom = match (user, connection) {
            (Some(user), None) => Whom::User(parse_user("user", &user)?),
            (None, Some(connection)) => Whom::Conn(parse_connection("connection", &connection)?),
            _ => {
                return Err(Problem::new(
                    400,
                    "bad_request",
                    "the body must name one of user and connection, and a room",
                ));
            }
        };
        Ok(Self { whom, room })
    }
}

/// What became of a join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Connections that are in the room now.
    pub joined: u64,
    /// Connections that were in it.
    pub already: u64,
    /// Connections that are not let in.
    pub refused: u64,
    /// The code and the sentence of the first refusal.
    pub reason: Option<(&'static str, String)>,
}

impl Joined {
    /// The answer.
    #[must_use]
    pub fn json(&self) -> String {
        let answer = JOINED
            .write()
            .number("joined", self.joined)
            .number("already", self.already)
            .number("refused", self.refused);
        match &self.reason {
            Some((code, message)) => answer.text("code", code).text("reason", message).end(),
            None => answer.end(),
        }
    }
}

/// The answer to a leave: how many connections were in the room, and how many were not.
#[must_use]
pub fn left(left: u64, absent: u64) -> String {
    LEFT.write().number("left", left).number("absent", absent).end()
}
