//! `POST /v1/publish`.

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use headcount::{Class, Config, Key, MESSAGE_OVERHEAD, Message};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::address::{Audience, To};
use super::outcome::Outcome;
use super::{State, body, idempotency, json};
use crate::frames;
use crate::problem::Problem;

/// What a body may have beside its data.
const ENVELOPE_BYTES: u64 = 4 * 1024;

/// The largest data of a publish: a message that is larger than a log would push out all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    session: u64,
    room: u64,
    run: u64,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        Self { session: config.stream_bytes(), room: config.room_bytes(), run: config.run_bytes() }
    }

    /// What the body of an event of a run may have.
    pub(super) fn run_body(self) -> usize {
        usize::try_from(self.run + ENVELOPE_BYTES).unwrap_or(usize::MAX)
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
    #[serde(default, deserialize_with = "body::given")]
    key: Option<String>,
}

pub(super) async fn publish(
    Shared(state): Shared<State>,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency::key(request.headers())?;
    let limits = state.limits();
    let text = body::read(request, limits.body()).await?;
    let Publish { to, data, class: name, key: of } = body::parse(&text)?;
    let audience = to.audience()?;
    let class = class(name.as_deref(), of.as_deref())?;
    limits.check(&audience, data.get())?;
    let task = state.clone();
    let work = async move { send(&task, audience, data, class).await };
    state.0.answers.answer(key, &text, work).await.map(json)
}

/// What is done with the message when there is no room or no time for all of them.
fn class(name: Option<&str>, key: Option<&str>) -> Result<Class, Problem> {
    let bad = |message| Err(Problem::new(400, "bad_class", message));
    match (name, key) {
        (None | Some("critical"), None) => Ok(Class::Critical),
        (Some("droppable"), None) => Ok(Class::Droppable),
        (Some("latest"), Some(key)) => {
            Key::new(key).map(Class::Latest).map_err(|error| Problem::id("key", error))
        }
        (Some("latest"), None) => bad("class latest needs a key: what it is the latest of"),
        (None | Some("critical" | "droppable"), Some(_)) => bad("only class latest has a key"),
        (Some(_), _) => bad("class must be critical, latest or droppable"),
    }
}

async fn send(
    state: &State,
    audience: Audience,
    data: Box<RawValue>,
    class: Class,
) -> Result<String, Problem> {
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
    let message = message.class(class);
    let outcome = state
        .call(move |turn| {
            let delivery = match audience.target(turn.registry) {
                Some(target) => turn.registry.send(turn.now, target, message),
                None => headcount::Delivery::default(),
            };
            Outcome::new(&delivery)
        })
        .await?;
    Ok(outcome.json(&stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        assert_eq!(class(None, None), Ok(Class::Critical));
        assert_eq!(class(Some("critical"), None), Ok(Class::Critical));
        assert_eq!(class(Some("droppable"), None), Ok(Class::Droppable));
        let key = Key::new("progress").unwrap();
        assert_eq!(class(Some("latest"), Some("progress")), Ok(Class::Latest(key)));
        for (name, key) in [
            (Some("latest"), None),
            (Some("latest"), Some("")),
            (Some("critical"), Some("k")),
            (None, Some("k")),
            (Some("best"), None),
        ] {
            assert_eq!(class(name, key).unwrap_err().status(), 400, "{name:?} {key:?}");
        }
    }
}
