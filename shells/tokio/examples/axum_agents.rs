//! An agent gateway beside axum: `cargo run -p headcount-tokio --features axum --example axum_agents`. Users
//! ask an agent, and all their tabs read what it says. A tab that comes back reads on where it was.
//!
//! The wire is that of `headcount serve` (`docs/protocol.md`), so its clients work here. With Node 22, or
//! `node --experimental-websocket` of Node 20, in the root of the repository:
//!
//! ```text
//! node --input-type=module -e "
//!   import { Client } from './clients/js/headcount.js';
//!   const client = new Client('ws://127.0.0.1:7500/ws', { user: 'alice' });
//!   const run = client.run(crypto.randomUUID());
//!   await client.request(run.id, 'how are you?');
//!   for await (const { event, data } of run) console.log(event, JSON.stringify(data));
//!   console.log(run.text);
//!   client.close();"
//! ```

use std::time::{Duration, SystemTime};

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::any};
use headcount_protocol::client_frames::{self, Ask, Frame};
use headcount_protocol::server_frames::{self as frames, Stream};
use headcount_protocol::{SUBPROTOCOL, anchor::Anchor, handles, identity, run_events};
use headcount_tokio::headcount::*;
use headcount_tokio::{Dialect, Handle, Handler, Hub, HubError, Upgrade, seed};
use tokio::sync::mpsc;

/// What a user asks the agent.
type Question = (UserId, ThreadId, RunId, String);

struct Gateway {
    anchor: Anchor,
    agent: mpsc::Sender<Question>,
}

impl Gateway {
    /// Does what a client asks. The error is a code and a sentence.
    fn act(
        &self,
        registry: &mut Registry,
        now: Timestamp,
        conn: ConnId,
        ask: Ask,
    ) -> Result<(), (&'static str, String)> {
        let Some(known) = registry.connection(conn) else { return Ok(()) };
        let (Some(user), Some((session, thread))) = (known.user(), known.followed().next()) else {
            return Ok(());
        };
        match ask {
            Ask::Ping => Ok(()),
            Ask::Ack { stream: Stream::Session, offset } => registry
                .acknowledge(now, conn, StreamRef::Session(session), offset)
                .map_err(|error| ("ack_refused", error.to_string())),
            Ask::RunRequest { thread: None, run, input } => {
                let busy = |_| ("busy", "the agent has enough to answer".to_owned());
                let place = self.agent.try_reserve().map_err(busy)?;
                let (user, thread) = (user.clone(), thread.clone());
                let payload = run_events::requested(&input).into();
                registry
                    .request_run(now, conn, None, &run, payload)
                    .map_err(|error| (frames::request_code(error), error.to_string()))?;
                place.send((user, thread, run, input));
                Ok(())
            }
            _ => Err(("not_here", "this example has neither rooms nor other threads".to_owned())),
        }
    }
}

impl Handler for Gateway {
    fn admitted(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, it: Admitted) {
        let (Some(known), Some(followed)) = (registry.connection(conn), it.followed) else {
            return;
        };
        let (Some(user), Some((_, thread))) = (known.user(), known.followed().next()) else {
            return;
        };
        let welcome = frames::welcome(
            &handles::show_connection(registry.config().instance(), conn),
            (user, thread),
            followed.position,
            followed.recovered,
            &run_events::open(registry, followed.session),
            registry.config().into(),
        );
        let _ = registry.reply(now, conn, welcome.into());
    }

    fn message(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, said: Message) {
        let answer = match client_frames::parse(&String::from_utf8_lossy(said.payload())) {
            Ok(Frame { request, ask }) => match self.act(registry, now, conn, ask) {
                Ok(()) => frames::ok(request),
                Err((code, message)) => frames::error(code, &message, request),
            },
            Err(wrong) => frames::error(wrong.code, &wrong.message, wrong.request),
        };
        let _ = registry.reply(now, conn, answer.into());
    }

    fn encode(&mut self, _: Dialect, action: &Action<'_>) -> Message {
        let name = |stream: &StreamRef<'_>| frames::stream_name(*stream).unwrap_or_default();
        match action {
            Action::Send { stream, position: Some(position), body, .. } => {
                let mut out = Vec::new();
                frames::entry(&name(stream), *position, body, self.anchor, &mut out);
                String::from_utf8_lossy(&out).into_owned().into()
            }
            Action::Gap { stream, from, to, .. } => frames::gap(&name(stream), *from, *to).into(),
            Action::Draining { within, .. } => frames::draining(within).into(),
            // Each connection follows one session, and nothing is sent outside of it.
            other => unreachable!("{other:?}"),
        }
    }
}

/// The agent says back what it is asked, word by word.
async fn answer(hub: Handle, (user, thread, run, input): Question) -> Result<(), HubError> {
    let (of, id) = (user.clone(), run.clone());
    let open = move |registry: &mut Registry, now| {
        registry.scope(&of).open_run(now, &thread, &id, "Echo", "{}".into()).is_ok()
    };
    let mut is_open = hub.call(open).await?;
    let words = input.split_inclusive(' ').map(|word| Some(word.to_owned()));
    for word in words.chain([None]) {
        if !is_open {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (of, id) = (user.clone(), run.clone());
        let step = move |registry: &mut Registry, now| {
            let said = word.as_deref().map(RunEvent::text);
            let event = said.unwrap_or_else(|| RunEvent::Completed("{}".into()));
            registry.scope(&of).run_event(now, &id, &event).is_ok()
        };
        is_open = hub.call(step).await?;
    }
    Ok(())
}

/// `instance`: of which registry a client may name the connection that it had before.
async fn enter(instance: u64, query: RawQuery, mut upgrade: Upgrade) -> Result<Response, Response> {
    // Believed without proof: a real one verifies a token.
    let client =
        identity::from_query(&query.0.unwrap_or_default(), instance).map_err(|problem| {
            let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::BAD_REQUEST);
            (status, problem.message().to_owned()).into_response()
        })?;
    upgrade.websocket = upgrade.websocket.protocols([SUBPROTOCOL]);
    let place = upgrade.hub.admit(client.who, client.start, client.previous).await;
    Ok(upgrade.serve(place.map_err(IntoResponse::into_response)?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (agent, mut questions) = mpsc::channel(64);
    let anchor = Anchor::new(SystemTime::UNIX_EPOCH.elapsed()?);
    let config = Config::new(seed());
    let instance = config.instance();
    let (hub, handle) = Hub::new(config, Gateway { anchor, agent });
    tokio::spawn(hub.run());
    let app = Router::new()
        .route("/ws", any(move |query, upgrade| enter(instance, query, upgrade)))
        .with_state(handle.clone());
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            tokio::spawn(answer(handle.clone(), question));
        }
    });
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7500".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("ws://{}/ws?user=NAME", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
