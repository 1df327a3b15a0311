//! `POST /v1/join` and `/v1/leave`: a back end puts connections into rooms and takes them out.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use headcount::{ConnId, ConnState, JoinError, Registry, RoomId, Start};
use headcount_mio::Context;
use headcount_protocol::admin::membership::{self, Joined, Membership, Whom};
use headcount_protocol::problem::Problem;
use headcount_protocol::server_frames;

use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, SLICE, json, to_the_end};
use crate::auth::room_access::{self, Right, may_join};
use crate::gateway::reply;

pub(crate) static JOIN: Call = Call {
    name: "join",
    says: "Puts connections into a room.",
    body: Body::Object(&membership::FORM),
    once: false,
    answer: Answer::Json(&membership::JOINED),
    refusals: &[],
};

pub(crate) static LEAVE: Call = Call {
    name: "leave",
    says: "Takes connections out of a room.",
    body: Body::Object(&membership::FORM),
    once: false,
    answer: Answer::Json(&membership::LEFT),
    refusals: &[],
};

/// The largest body: three names and the JSON around them.
const BODY_BYTES: usize = 4 * 1024;

/// What a request asks for.
async fn read(state: &AdminState, request: Request) -> Result<Membership, Problem> {
    let text = body::read(state, request, BODY_BYTES).await?;
    Membership::parse(&text)
}

/// The open connections that are meant; none for one that has ended.
fn connections(whom: &Whom, registry: &Registry) -> Vec<ConnId> {
    match whom {
        Whom::User(user) => {
            let open = registry.user(user).into_iter().flat_map(|user| user.connections());
            open.map(|conn| conn.id()).collect()
        }
        Whom::Conn(named) => {
            let open = |conn: &ConnId| {
                let state = registry.connection(*conn).map(|conn| conn.state());
                matches!(state, Some(ConnState::Open | ConnState::Suspect))
            };
            named.of(registry.config().instance()).filter(open).into_iter().collect()
        }
    }
}

/// The connections that are meant, in slices of which each is one call of the loop.
async fn slices(state: &AdminState, whom: Whom) -> Result<Vec<Vec<ConnId>>, Problem> {
    let all = state.call(move |context| connections(&whom, context.registry)).await?;
    Ok(all.chunks(SLICE).map(<[_]>::to_vec).collect())
}

pub(crate) async fn join(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    let Membership { whom, room } = read(&state, request).await?;
    Ok(json(to_the_end(async move { join_all(&state, whom, room).await }).await?))
}

async fn join_all(state: &AdminState, whom: Whom, room: RoomId) -> Result<String, Problem> {
    let mut answer = Joined::default();
    for slice in slices(state, whom).await? {
        let (room, counters) = (room.clone(), Arc::clone(&state.0.counters));
        let join = move |context: &mut Context<'_>| {
            let join = |conn| {
                let user = context.registry.connection(conn).and_then(|conn| conn.user());
                if user.is_some_and(|user| !may_join(user, &room, Right::BackEnd)) {
                    let message = "the room is another user's own: no one else joins it";
                    return Err((room_access::FORBIDDEN, message.to_owned()));
                }
                let place = context
                    .registry
                    .join(context.now, conn, &room, Start::Now)
                    .map_err(over_limit)?;
                if !place.already {
                    let frame = server_frames::joined(&room, place.position, place.recovered, None);
                    reply(context, conn, &frame, &counters);
                }
                Ok(place.already)
            };
            slice.into_iter().map(join).collect::<Vec<_>>()
        };
        for outcome in state.call(join).await? {
            match outcome {
                Ok(true) => answer.already += 1,
                Ok(false) => answer.joined += 1,
                Err(error) => {
                    answer.refused += 1;
                    answer.reason = answer.reason.or(Some(error));
                }
            }
        }
    }
    Ok(answer.json())
}

/// A join that exceeds a limit, as the answer has it.
fn over_limit(error: JoinError) -> (&'static str, String) {
    (server_frames::join_code(error), error.to_string())
}

pub(crate) async fn leave(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    let Membership { whom, room } = read(&state, request).await?;
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
                    reply(context, conn, &server_frames::left(&room, None), &counters);
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
    Ok(membership::left(left, absent))
}
