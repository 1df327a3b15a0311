//! The [`headcount`] registry on tokio: beside axum, with the sockets of tokio-tungstenite, or with those
//! of any WebSocket crate.
//!
//! The registry says who may connect, who gets what, who is alive and who must go. A [`Hub`] owns it in one
//! task, without a lock. Each socket has a task of its own, which moves frames and decides nothing. The
//! application is a [`Handler`]; it is called in the hub's task with what clients say. Everything else
//! reaches the registry through a [`Handle`]: request handlers, other tasks, other threads.
//!
//! ```text
//!   axum handler ── admit ──▶ ┌─────────────┐ ◀── call, post ── any task or thread
//!                             │ Hub: the    │
//!   socket task ── batch ───▶ │ registry,   │
//!        ▲  │ ── flushed ───▶ │ the Handler │
//!        │  └── (dropped) ──▶ └─────────────┘
//!        └──── mailbox ◀──────────────┘  frames of a turn, and leave to read on
//! ```
//!
//! # A chat beside axum
//!
//! Everyone who connects is in one room, and what one says all others read.
//!
//! ```
//! use axum::extract::Path;
//! use axum::http::StatusCode;
//! use axum::response::Response;
//! use axum::{Router, routing::any};
//! use headcount_tokio::headcount::*;
//! use headcount_tokio::{Dialect, Handler, Hub, Upgrade, payload};
//!
//! struct Chat {
//!     room: RoomId,
//! }
//!
//! impl Handler for Chat {
//!     fn admitted(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, _: Admitted) {
//!         // Both can be refused by a limit; then the client just reads nothing.
//!         let _ = registry.join(now, conn, &self.room, Start::Now);
//!         let _ = registry.reply(now, conn, "welcome".into());
//!     }
//!
//!     fn message(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, said: Message) {
//!         registry.send(now, Target::Room(&self.room), said.except_connection(conn));
//!     }
//!
//!     fn encode(&mut self, _: Dialect, action: &Action<'_>) -> Message {
//!         match action {
//!             Action::Send { body, .. } => payload(*body),
//!             Action::Gap { from, to, .. } => format!("(you missed {})", to - from + 1).into(),
//!             Action::Draining { .. } => "(the server is about to restart)".into(),
//!             _ => "(this session has ended)".into(),
//!         }
//!     }
//! }
//!
//! async fn enter(Path(user): Path<String>, upgrade: Upgrade) -> axum::response::Result<Response> {
//!     // A real one verifies a token.
//!     let user = UserId::new(user).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
//!     let place = upgrade.hub.admit(Principal::new(user), Start::Now, None).await?;
//!     Ok(upgrade.serve(place))
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = Chat { room: RoomId::new("lobby")? };
//! let (hub, handle) = Hub::new(Config::new(headcount_tokio::seed()), chat);
//! let hub = tokio::spawn(hub.run());
//! let app = Router::new().route("/ws/{user}", any(enter)).with_state(handle.clone());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(async move { axum::serve(listener, app).await });
//!
//! # use futures_util::{SinkExt, StreamExt};
//! let mut clients = Vec::new();
//! for user in ["alice", "bob"] {
//!     let url = format!("ws://{address}/ws/{user}");
//!     let stream = tokio::net::TcpStream::connect(address).await?;
//!     let (mut client, _) = tokio_tungstenite::client_async(url, stream).await?;
//!     assert_eq!(client.next().await.unwrap()?.into_text()?, "welcome");
//!     clients.push(client);
//! }
//! clients[0].send("hello".into()).await?;
//! assert_eq!(clients[1].next().await.unwrap()?.into_text()?, "hello");
//!
//! // From any task: look, publish, close.
//! assert_eq!(handle.call(|registry, _| registry.stats().open).await?, 2);
//! handle.post(|registry, now| {
//!     registry.send(now, Target::Everyone, Message::text("good night"));
//! })?;
//! assert_eq!(clients[1].next().await.unwrap()?.into_text()?, "good night");
//! # drop(clients);
//!
//! // Everyone is told to reconnect, newcomers are answered 503, and then the hub ends.
//! handle.stop().await;
//! hub.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens to a connection
//!
//! 1. [`Handle::admit`] asks the registry before the upgrade is answered. A refusal is a response, and
//!    nothing is left of it. An admission is a [`Place`], which is given back when it is dropped: by a
//!    request that ends, an upgrade that fails, or a task that is aborted. Beside axum [`Upgrade`] takes
//!    it.
//! 2. [`Place::serve`] reads the socket in batches: the next batch is read when the hub has taken the one
//!    before. So a client that does not read what it is sent is not read either, and other connections go
//!    on.
//! 3. All that a turn of the hub has for a socket is given to it at once, and flushed once. The registry is
//!    told of each flush, at least every 16 KiB.
//! 4. A close frame is the last thing that a socket is given. Then its task waits for the client's own, or
//!    for the end of the socket, `session.close_handshake` at most.
//!    What a client says right before its close frame is heard, but a reply to it may come too late: a
//!    WebSocket crate answers a close frame as soon as it reads it.
//! 5. [`Handler::cleanup`] is called exactly once.
//!
//! A WebSocket crate hands out whole messages. So neither `limits.frame_deadline` nor `limits.byte_rate`
//! acts, and a message that takes longer to arrive than `heartbeat.interval` and `heartbeat.pong_timeout`
//! together costs its connection. The crate answers pings by itself, also those that are too many. Until
//! the pong is out nothing more is read, so that a client that pings and does not read makes no queue.
//! Before its upgrade a socket is the HTTP server's: `limits.head_bytes` and `session.head_deadline` do not
//! act.
//!
//! Set `TCP_NODELAY` on accepted sockets, as the example does: without it a small frame may wait 40 ms for
//! the acknowledgement of the one before.
//!
//! # Bounds
//!
//! What waits in a mailbox is bounded by `outbound.window` and `outbound.reply_reserve` in cost: the length
//! of what is sent, not of what [`Handler::encode`] makes of it. What waits of a socket's input is a batch:
//! 32 messages, or 64 KiB before the last. An idle connection beside axum costs some 4 KiB, of which 1 KiB
//! is the buffer that it is read into, and as much as one read takes. The buffers of tungstenite grow with
//! the longest message that a connection has read or written, and stay so.
//!
//! The hub is one task, which runs until it is stopped, whether or not a handle is left. It takes 256
//! events and 16,384 recipients a turn, and yields between two turns. The sockets run on all threads of the
//! runtime.
//!
//! # Features
//!
//! None is on by default: an [`Adapter`] of your own needs none.
//!
//! * `axum` adds the extractor `Upgrade` and the adapter `Axum`, for the messages of `axum::extract::ws`.
//! * `tungstenite` adds the adapter `Tungstenite`, for the messages of tokio-tungstenite.
//!
//! # Tests in virtual time
//!
//! The time is tokio's. With `#[tokio::test(start_paused = true)]` a test passes hours in milliseconds,
//! over a pair of `tokio::io::duplex` streams:
//!
//! ```
//! # use headcount_tokio::headcount::*;
//! # use headcount_tokio::{Dialect, Handler, Hub, Tungstenite, payload};
//! # use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
//! # use futures_util::StreamExt;
//! # struct Quiet;
//! # impl Handler for Quiet {
//! #     fn message(&mut self, _: &mut Registry, _: Timestamp, _: ConnId, _: Message) {}
//! #     fn encode(&mut self, _: Dialect, action: &Action<'_>) -> Message {
//! #         match action {
//! #             Action::Send { body, .. } => payload(*body),
//! #             _ => "".into(),
//! #         }
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (hub, handle) = Hub::new(Config::new(1), Quiet);
//! tokio::spawn(hub.run());
//! let (client, server) = tokio::io::duplex(4096);
//! let socket = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
//! let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
//! let place = handle.admit(Principal::new(UserId::new("alice")?), Start::Now, None).await?;
//! tokio::spawn(place.serve(socket, Tungstenite));
//!
//! // A client that answers pings for an hour is still there.
//! let hour = tokio::time::Duration::from_secs(3_600);
//! let _ = tokio::time::timeout(hour, async { while client.next().await.is_some() {} }).await;
//! assert_eq!(handle.call(|registry, _| registry.stats().open).await?, 1);
//! // One that is silent is not: its pings wait to be answered.
//! tokio::time::sleep(hour).await;
//! assert_eq!(handle.call(|registry, _| registry.stats().pong_timeouts).await?, 1);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod adapter;
#[cfg(feature = "axum")]
mod axum;
mod handle;
mod handler;
mod hub;
mod mailbox;
mod socket;

pub use headcount;

#[cfg(feature = "axum")]
pub use self::adapter::Axum;
#[cfg(feature = "tungstenite")]
pub use self::adapter::Tungstenite;
pub use self::adapter::{Adapter, Incoming, Outgoing};
#[cfg(feature = "axum")]
pub use self::axum::Upgrade;
pub use self::handle::{Handle, HubError};
pub use self::handler::{Dialect, Handler, payload};
pub use self::hub::Hub;
pub use self::socket::Place;

/// Fresh entropy for the seed of a configuration: the standard library's for its hash maps.
#[must_use]
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};

    RandomState::new().hash_one(0_u8)
}
