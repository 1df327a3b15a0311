//! headcount beside axum: the registry in a task of its own, and axum's sockets.
//!
//! `headcount_axum PORT` serves `/echo`, `/sub` and `/pub` on loopback. The limits are those of the example
//! `peer` of headcount-mio: load does not reach them.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use headcount_tokio::headcount::{
    Action, Config, ConnId, MESSAGE_OVERHEAD, Message, Principal, Registry, RoomId, Start, Target,
    ThreadId, Timestamp, UserId,
};
use headcount_tokio::{Dialect, Handle, Handler, Hub, HubError, Upgrade, payload};
use tokio::net::TcpListener;

/// The longest message, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What a log holds at most, in bytes.
const LOG_BYTES: u64 = 64 * 1024 * 1024;

fn subscribers() -> RoomId {
    RoomId::new("subscribers").expect("a valid name")
}

/// Sends messages back to who sent them, or to all subscribers.
struct Relay {
    subscribers: RoomId,
}

impl Handler for Relay {
    fn message(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, said: Message) {
        let publishes = registry.connection(conn).and_then(|it| it.label()) == Some("pub");
        if publishes {
            registry.send(now, Target::Room(&self.subscribers), said);
        } else {
            registry.reply(now, conn, said).expect("one reply to each message fits");
        }
    }

    fn encode(&mut self, _: Dialect, action: &Action<'_>) -> Message {
        match action {
            Action::Send { body, .. } => payload(*body),
            Action::Gap { from, to, .. } => format!("lost {from}..={to}").into(),
            _ => "draining".into(),
        }
    }
}

#[derive(Clone, FromRef)]
struct Peers {
    handle: Handle,
    clients: Arc<AtomicU64>,
}

async fn enter(
    Path(wish): Path<String>,
    State(peers): State<Peers>,
    upgrade: Upgrade,
) -> Result<Response, HubError> {
    let number = peers.clients.fetch_add(1, Ordering::Relaxed);
    // Names of 36 bytes, as a UUID has them.
    let user = UserId::new(format!("user-{number:031}")).expect("a valid name");
    let thread = ThreadId::new(format!("thread-{number:029}")).expect("a valid name");
    let mut who = Principal::new(user).with_thread(thread);
    if wish == "pub" {
        who = who.with_label(wish.clone()).expect("a short label");
    }
    let place = upgrade.hub.admit(who, Start::Now, None).await?;
    if wish == "sub" {
        let conn = place.conn();
        let joined = upgrade.hub.call(move |registry, now| {
            registry.join(now, conn, &subscribers(), Start::Now).is_ok()
        });
        assert!(joined.await?);
    }
    Ok(upgrade.serve(place))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("give a port")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ws://{}", listener.local_addr()?);
    let config = Config::builder(headcount_tokio::seed())
        .connections(19_900)
        .connect_rate(0)
        .connect_rate_per_user(0)
        .message_rate(0)
        .message_bytes(LONGEST)
        .reply_reserve(LONGEST + MESSAGE_OVERHEAD)
        .stream_bytes(LOG_BYTES)
        .room_bytes(LOG_BYTES)
        .room_messages(65_536)
        .room_history(0)
        .process_bytes(1 << 30)
        .session_linger(Duration::ZERO);
    let (hub, handle) = Hub::new(config.build()?, Relay { subscribers: subscribers() });
    tokio::spawn(hub.run());
    let peers = Peers { handle, clients: Arc::default() };
    let router = Router::new().route("/{wish}", get(enter)).with_state(peers);
    let listener = listener.tap_io(|stream| {
        // Without it the figures are worse, and no error of the server's.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}
