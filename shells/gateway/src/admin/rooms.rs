//! `POST /v1/join` and `/v1/leave`: a back end puts connections into rooms and takes them out.

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use headcount::{ConnId, ConnState, JoinError, Registry, RoomId, UserId};

use super::address::{parse_connection, parse_room, parse_user};
use super::fields::Fields;
use super::{State, body, json, object};
use crate::frames::{self, Object};
use crate::gateway::reply;
use crate::problem::Problem;

/// The largest body: three names and the JSON around them.
const BODY_BYTES: usize = 4 * 1024;

/// Whose membership changes.
enum Whom {
    /// The connections that the user has now; later ones are not concerned.
    User(UserId),
    Conn(ConnId),
}

impl Whom {
    async fn read(request: Request) -> Result<(Self, RoomId), Problem> {
        let text = body::read(request, BODY_BYTES).await?;
        let mut body: Fields<'_> = object::parse(&text)?;
        let (user, connection) = (body.take_text("user")?, body.take_text("connection")?);
        let room = parse_room("room", &body.take("room")?)?;
        body.end(&["user", "connection", "room"])?;
        let whom = match (user, connection) {
            (Some(user), None) => Self::User(parse_user("user", &user)?),
            (None, Some(connection)) => Self::Conn(parse_connection("connection", &connection)?),
            _ => {
                return Err(Problem::new(
                    400,
                    "bad_request",
                    "the body must name one of user and connection, and a room",
                ));
            }
        };
        Ok((whom, room))
    }

    /// The open connections that are meant; none for one that has ended.
    fn connections(&self, registry: &Registry) -> Vec<ConnId> {
        match self {
            Self::User(user) => registry.connections_of(user).collect(),
            Self::Conn(conn) => match registry.state(*conn) {
                Some(ConnState::Open | ConnState::Suspect) => vec![*conn],
                _ => Vec::new(),
            },
        }
    }
}

pub(super) async fn join(
    Shared(state): Shared<State>,
    request: Request,
) -> Result<Response, Problem> {
    let (whom, room) = Whom::read(request).await?;
    let counters = std::sync::Arc::clone(&state.0.counters);
    let (joined, already, refused) = state
        .call(move |turn| {
            let (mut joined, mut already) = (0, 0);
            let mut refused: Vec<JoinError> = Vec::new();
            for conn in whom.connections(turn.registry) {
                match turn.registry.join(turn.now, conn, &room, None) {
                    Ok(place) if place.already => already += 1,
                    Ok(place) => {
                        joined += 1;
                        let frame = frames::joined(&room, &place, None);
                        reply(turn.registry, turn.now, conn, frame, &counters);
                    }
                    Err(error) => refused.push(error),
                }
            }
            (joined, already, refused)
        })
        .await?;
    let answer = Object::new()
        .number("joined", joined)
        .number("already", already)
        .number("refused", refused.len() as u64);
    Ok(json(match refused.first() {
        Some(error) => {
            answer.text("code", frames::join_code(*error)).text("reason", &error.to_string()).end()
        }
        None => answer.end(),
    }))
}

pub(super) async fn leave(
    Shared(state): Shared<State>,
    request: Request,
) -> Result<Response, Problem> {
    let (whom, room) = Whom::read(request).await?;
    let counters = std::sync::Arc::clone(&state.0.counters);
    let (left, absent) = state
        .call(move |turn| {
            let (mut left, mut absent) = (0, 0);
            for conn in whom.connections(turn.registry) {
                if turn.registry.leave(turn.now, conn, &room) == Ok(true) {
                    left += 1;
                    reply(turn.registry, turn.now, conn, frames::left(&room, None), &counters);
                } else {
                    absent += 1;
                }
            }
            (left, absent)
        })
        .await?;
    Ok(json(Object::new().number("left", left).number("absent", absent).end()))
}
