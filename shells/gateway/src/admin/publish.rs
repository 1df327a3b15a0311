//! `POST /v1/publish`.

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use headcount::{Config, MESSAGE_OVERHEAD, Message, Position};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{Audience, To};
use super::{State, body, idempotency, json};
use crate::frames::{self, Object};
use crate::identity::show_epoch;
use crate::problem::Problem;

/// What a body may have beside its data.
const ENVELOPE_BYTES: u64 = 4 * 1024;

/// The largest data of a publish: a message that is larger than a log would push out all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    session: u64,
    room: u64,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        Self { session: config.stream_bytes(), room: config.room_bytes() }
    }

    fn body(self) -> usize {
        usize::try_from(self.session.max(self.room) + ENVELOPE_BYTES).unwrap_or(usize::MAX)
    }

    fn check(self, audience: &Audience, data: &str) -> Result<(), Problem> {
        let (limit, key) = match audience {
            Audience::Room(_) => (self.room, "stream.room_bytes"),
            _ => (self.session, "stream.bytes"),
        };
        let cost = data.len() as u64 + MESSAGE_OVERHEAD;
        if cost <= limit {
            return Ok(());
        }
        Err(Problem::new(
            413,
            "too_large",
            format!("the data counts {cost} bytes, and {key} allows {limit}"),
        ))
    }
}

#[derive(Deserialize)]
struct Publish {
    to: To,
    /// Kept as it was written.
    data: Box<RawValue>,
    #[serde(default, deserialize_with = "body::given")]
    class: Option<String>,
}

pub(super) async fn publish(
    Shared(state): Shared<State>,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency::key(request.headers())?;
    let limits = state.limits();
    let text = body::read(request, limits.body()).await?;
    let Publish { to, data, class } = body::parse(&text)?;
    let audience = to.audience()?;
    check_class(class.as_deref())?;
    limits.check(&audience, data.get())?;
    let Some(key) = key else {
        return send(&state, audience, data).await.map(json);
    };
    let task = state.clone();
    state
        .0
        .answers
        .once(key, &text, async move { send(&task, audience, data).await })
        .await
        .map(json)
}

fn check_class(class: Option<&str>) -> Result<(), Problem> {
    match class {
        None | Some("critical") => Ok(()),
        Some("latest" | "droppable") => Err(Problem::new(
            400,
            "not_available",
            "class is part of the protocol, but this version has only `critical`",
        )),
        Some(_) => Err(Problem::new(400, "bad_class", "class must be `critical`")),
    }
}

/// What the registry said, with nothing borrowed.
struct Outcome {
    live: u32,
    behind: u32,
    full: bool,
    positions: Vec<Position>,
}

async fn send(state: &State, audience: Audience, data: Box<RawValue>) -> Result<String, Problem> {
    let stream = match &audience {
        Audience::Room(room) => frames::room_stream(room),
        _ => "session".to_owned(),
    };
    // What is in a stream gets its frame when it is handed out and has a place in it; what is in
    // none is stored as the frame that everyone gets.
    let message = match &audience {
        Audience::Conn(_) | Audience::Everyone => Message::text(frames::direct_event(data.get())),
        _ => Message::text(Box::<str>::from(data)),
    };
    let outcome = state
        .call(move |turn| {
            let delivery = match audience.target(turn.registry) {
                Some(target) => turn.registry.send(turn.now, target, message),
                None => headcount::Delivery::default(),
            };
            Outcome {
                live: delivery.live,
                behind: delivery.behind,
                full: delivery.full,
                positions: delivery.stored().iter().map(|stored| stored.position).collect(),
            }
        })
        .await?;
    Ok(outcome.json(&stream))
}

impl Outcome {
    fn json(&self, stream: &str) -> String {
        let positions: Vec<String> = self
            .positions
            .iter()
            .map(|position| {
                Object::new()
                    .text("stream", stream)
                    .text("epoch", &show_epoch(position.epoch))
                    .number("offset", position.offset)
                    .end()
            })
            .collect();
        // What was not taken reached nobody, whatever the target looked like.
        let (sent, deferred) = if self.full { (0, 0) } else { (self.live, self.behind) };
        let answer = Object::new()
            .number("sent", u64::from(sent))
            .number("deferred", u64::from(deferred))
            .number("stored", self.positions.len() as u64)
            .raw("positions", &format!("[{}]", positions.join(",")));
        if self.full { answer.raw("full", "true").end() } else { answer.end() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_answers() {
        let nobody = Outcome { live: 0, behind: 0, full: false, positions: Vec::new() };
        assert_eq!(nobody.json("session"), r#"{"sent":0,"deferred":0,"stored":0,"positions":[]}"#);
        let full = Outcome { live: 1, behind: 1, full: true, positions: Vec::new() };
        assert_eq!(
            full.json("session"),
            r#"{"sent":0,"deferred":0,"stored":0,"positions":[],"full":true}"#
        );
        let position = Position { epoch: 10, offset: 3 };
        let two = Outcome { live: 2, behind: 1, full: false, positions: vec![position] };
        assert_eq!(
            two.json("room/\""),
            r#"{"sent":2,"deferred":1,"stored":1,"positions":[{"stream":"room/\"","epoch":"000000000000000a","offset":3}]}"#
        );
    }
}
