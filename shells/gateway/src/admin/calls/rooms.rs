//! `POST /v1/join` and `/v1/leave`: a back end puts connections into rooms and takes them out.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use headcount::{ConnId, ConnState, JoinError, Registry, RoomId, UserId};
use headcount_mio::Context;
use headcount_protocol::handles::Named;
use headcount_protocol::problem::Problem;
use headcount_protocol::server_frames;

use crate::admin::call::{Answer, Body, Call, Field, Form, Shape};
use crate::admin::decode::address::{parse_connection, parse_room, parse_user};
use crate::admin::decode::fields::Fields;
use crate::admin::decode::json_body;
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, SLICE, json, to_the_end};
use crate::auth::room_access::{self, Right, may_join};
use crate::gateway::reply;

static FORM: Form = Form::closed(&[
    Field::optional("user", Shape::Id, "The connections that this user has now."),
    Field::optional("connection", Shape::Text, "A connection, as its `welcome` named it."),
    Field::needed("room", Shape::Id, "The room."),
])
.with_one_of(&[&["user"], &["connection"]]);

static JOINED: Form = Form::open(&[
    Field::needed("joined", Shape::AtLeast(0), "Connections that are in the room now."),
    Field::needed("already", Shape::AtLeast(0), "Connections that were in it."),
    Field::needed("refused", Shape::AtLeast(0), "Connections that are not let in."),
    Field::optional("code", Shape::Text, "Why the first was refused, for programs."),
    Field::optional("reason", Shape::Text, "Why the first was refused, for people."),
]);

pub(crate) static JOIN: Call = Call {
    name: "join",
    says: "Puts connections into a room.",
    body: Body::Object(&FORM),
    once: false,
    answer: Answer::Json(&JOINED),
    refusals: &[],
};

static LEFT: Form = Form::open(&[
    Field::needed("left", Shape::AtLeast(0), "Connections that were in the room."),
    Field::needed("absent", Shape::AtLeast(0), "Connections that were not."),
]);

pub(crate) static LEAVE: Call = Call {
    name: "leave",
    says: "Takes connections out of a room.",
    body: Body::Object(&FORM),
    once: false,
    answer: Answer::Json(&LEFT),
    refusals: &[],
};

/// The largest body: three names and the JSON around them.
const BODY_BYTES: usize = 4 * 1024;

/// Whose membership changes.
enum Whom {
    /// The connections that the user has now; later ones are not concerned.
    User(UserId),
    Conn(Named<ConnId>),
}

impl Whom {
    async fn read(state: &AdminState, request: Request) -> Result<(Self, RoomId), Problem> {
        let text = body::read(state, request, BODY_BYTES).await?;
        let mut body = json_body::parse::<Fields<'_>>(&text)?.only(FORM.fields)?;
        let (user, connection) = (body.take_text("user")?, body.take_text("connection")?);
        let room = parse_room("room", &body.take("room")?)?;
        body.end(FORM.fields)?;
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
            Self::Conn(named) => {
                let open = |conn: &ConnId| {
                    matches!(registry.state(*conn), Some(ConnState::Open | ConnState::Suspect))
                };
                named.of(registry.config().instance()).filter(open).into_iter().collect()
            }
        }
    }
}

/// The connections that are meant, in slices of which each is one call of the loop.
async fn slices(state: &AdminState, whom: Whom) -> Result<Vec<Vec<ConnId>>, Problem> {
    let all = state.call(move |context| whom.connections(context.registry)).await?;
    Ok(all.chunks(SLICE).map(<[_]>::to_vec).collect())
}

pub(crate) async fn join(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    let (whom, room) = Whom::read(&state, request).await?;
    Ok(json(to_the_end(async move { join_all(&state, whom, room).await }).await?))
}

async fn join_all(state: &AdminState, whom: Whom, room: RoomId) -> Result<String, Problem> {
    let (mut joined, mut already, mut refused) = (0, 0, 0);
    let mut reason: Option<(&'static str, String)> = None;
    for slice in slices(state, whom).await? {
        let (room, counters) = (room.clone(), Arc::clone(&state.0.counters));
        let join = move |context: &mut Context<'_>| {
            let join = |conn| {
                let who = context.registry.who(conn);
                if who.is_some_and(|who| !may_join(who.user, &room, Right::BackEnd)) {
                    let message = "the room is another user's own: no one else joins it";
                    return Err((room_access::FORBIDDEN, message.to_owned()));
                }
                let place =
                    context.registry.join(context.now, conn, &room, None).map_err(over_limit)?;
                if !place.already {
                    let frame = server_frames::joined(&room, place.position, place.recovered, None);
                    reply(context.registry, context.now, conn, frame, &counters);
                }
                Ok(place.already)
            };
            slice.into_iter().map(join).collect::<Vec<_>>()
        };
        for outcome in state.call(join).await? {
            match outcome {
                Ok(true) => already += 1,
                Ok(false) => joined += 1,
                Err(error) => {
                    refused += 1;
                    reason = reason.or(Some(error));
                }
            }
        }
    }
    let answer = JOINED
        .write()
        .number("joined", joined)
        .number("already", already)
        .number("refused", refused);
    Ok(match reason {
        Some((code, message)) => answer.text("code", code).text("reason", &message).end(),
        None => answer.end(),
    })
}

/// A join that exceeds a limit, as the answer has it.
fn over_limit(error: JoinError) -> (&'static str, String) {
    (server_frames::join_code(error), error.to_string())
}

pub(crate) async fn leave(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    let (whom, room) = Whom::read(&state, request).await?;
    Ok(json(to_the_end(async move { leave_all(&state, whom, room).await }).await?))
}

async fn leave_all(state: &AdminState, whom: Whom, room: RoomId) -> Result<String, Problem> {
    let (mut left, mut absent) = (0, 0);
    for slice in slices(state, whom).await? {
        let (room, counters) = (room.clone(), Arc::clone(&state.0.counters));
        let leave = move |context: &mut Context<'_>| {
            let leave = |conn| {
                let left = context.registry.leave(context.now, conn, &room) == Ok(true);
                if left {
                    reply(
                        context.registry,
                        context.now,
                        conn,
                        server_frames::left(&room, None),
                        &counters,
                    );
                }
                left
            };
            slice.into_iter().map(leave).collect::<Vec<_>>()
        };
        for was_member in state.call(leave).await? {
            if was_member {
                left += 1;
            } else {
                absent += 1;
            }
        }
    }
    Ok(LEFT.write().number("left", left).number("absent", absent).end())
}
