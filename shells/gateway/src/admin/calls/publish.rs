//! `POST /v1/publish`.

use crate::admin::target::target;
use axum::extract::{Request, State};
use axum::response::Response;
use headcount::{Class, Config, MESSAGE_OVERHEAD, Message};
use headcount_protocol::admin::audience::Audience;
use headcount_protocol::admin::delivery::{self, Outcome};
use headcount_protocol::admin::publication;
use headcount_protocol::admin::publication::Publication;
use headcount_protocol::problem::Problem;
use headcount_protocol::server_frames;
use serde_json::value::RawValue;

use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::body;
use crate::admin::http::refusal::Refusal;
use crate::admin::{AdminState, idempotency, json};

pub(crate) static CALL: Call = Call {
    name: "publish",
    says: "Sends data to an audience.",
    body: Body::Object(&publication::FORM),
    once: true,
    answer: Answer::Json(&delivery::PUBLISHED),
    refusals: &[413],
};

/// What a body may have beside its data.
const ENVELOPE_BYTES: u64 = 4 * 1024;

/// The largest data of a publish: a message that is larger than a log would push out all others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    session: u64,
    room: u64,
    run: u64,
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        Self { session: config.stream_bytes(), room: config.room_bytes(), run: config.run_bytes() }
    }

    /// What the body of an event of a run may have.
    pub(crate) fn run_body(self) -> usize {
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

pub(crate) async fn publish(
    State(state): State<AdminState>,
    request: Request,
) -> Result<Response, Refusal> {
    let key = idempotency::key(&request)?;
    let limits = state.limits();
    let text = body::read(&state, request, limits.body()).await?;
    let Publication { audience, data, class } = Publication::parse(&text)?;
    limits.check(&audience, data.get())?;
    let task = state.clone();
    let work = async move { send(&task, audience, data, class).await };
    Ok(json(state.0.answers.answer(key, &text, work).await?))
}

async fn send(
    state: &AdminState,
    audience: Audience,
    data: Box<RawValue>,
    class: Class,
) -> Result<String, Problem> {
    let everyone = audience == Audience::Everyone;
    let stream = match &audience {
        Audience::Room(room) => server_frames::room_stream(room),
        _ => server_frames::SESSION.to_owned(),
    };
    // What is in a stream gets its frame when it is handed out and has a place in it; what is in
    // none is stored as the frame that everyone gets.
    let message = match &audience {
        Audience::Conn(_) | Audience::Everyone => {
            Message::text(server_frames::direct_event(data.get()))
        }
        _ => Message::text(Box::<str>::from(data)),
    };
    let message = match class {
        Class::Critical => message,
        Class::Latest(key) => message.latest(key),
        Class::Droppable => message.droppable(),
    };
    let outcome = state
        .call(move |context| {
            let delivery = match target(&audience, context.registry) {
                Some(target) => context.registry.send(context.now, target, message),
                None => headcount::Delivery::default(),
            };
            Outcome::new(&delivery)
        })
        .await?;
    Ok(if everyone { outcome.announced() } else { outcome.json(&delivery::PUBLISHED, &stream) })
}
