//! A WebSocket server on the [`headcount`] registry: one thread, one poll, and sockets that decide
//! nothing.
//!
//! The registry says who may connect, who gets what, who is alive and who must go. This crate
//! does the rest: it accepts sockets, speaks HTTP until the upgrade and WebSocket after it, feeds
//! the registry with what comes in, and carries out what it answers. The application is a
//! [`Handler`]; it runs on the loop's thread and is called with what clients say. Other threads
//! reach the loop through a [`Handle`].
//!
//! # A whole chat
//!
//! Everyone who connects is in one room, and what one says all others read.
//!
//! ```
//! use std::ops::Range;
//! use std::time::Duration;
//!
//! use headcount::{
//!     Admitted, Config, ConnId, Message, Principal, Profile, RoomId, Start, StreamRef, Target,
//!     ThreadId, UserId,
//! };
//! use headcount_mio::{
//!     Answer, BufMut, Context, Dialect, FrameKind, Handler, Options, Outcome, Payload, Request, Server,
//!     Verdict,
//! };
//!
//! struct Chat {
//!     room: RoomId,
//! }
//!
//! impl Handler for Chat {
//!     fn authenticate(&mut self, request: &Request<'_>) -> Verdict {
//!         // A real one verifies a token. This one believes `/ws?alice`.
//!         let Ok(user) = UserId::new(request.query().unwrap_or_default()) else {
//!             return Verdict::Refuse(Answer::json(401, "no_name", "say who you are: /ws?name"));
//!         };
//!         let thread = ThreadId::new("chat").expect("a valid name");
//!         let who = Principal::new(user).with_thread(thread);
//!         Verdict::Admit { who, start: Start::OpenRuns, previous: None }
//!     }
//!
//!     fn admitted(&mut self, context: &mut Context<'_>, conn: ConnId, _: Admitted) {
//!         // Both can be refused by a limit; then the client just reads nothing.
//!         let _ = context.registry.join(context.now, conn, &self.room, Start::Now);
//!         let _ = context.reply(conn, "welcome");
//!     }
//!
//!     fn message(&mut self, context: &mut Context<'_>, conn: ConnId, said: Payload<'_>) -> Outcome {
//!         let user = context.registry.connection(conn).and_then(|it| it.user());
//!         if let (Payload::Text(text), Some(user)) = (said, user) {
//!             let message = Message::from(format!("{user}: {text}")).except_connection(conn);
//!             context.registry.send(context.now, Target::Room(&self.room), message);
//!         }
//!         Outcome::Done
//!     }
//!
//!     fn encode_gap(
//!         &mut self,
//!         _: Dialect,
//!         _: StreamRef<'_>,
//!         from: u64,
//!         to: u64,
//!         out: &mut impl BufMut,
//!     ) -> FrameKind {
//!         out.put_slice(format!("(you missed {} messages)", to - from + 1).as_bytes());
//!         FrameKind::Text
//!     }
//!
//!     fn encode_draining(
//!         &mut self,
//!         _: Dialect,
//!         _: Range<Duration>,
//!         out: &mut impl BufMut,
//!     ) -> FrameKind {
//!         out.put_slice(b"(the server is about to restart)");
//!         FrameKind::Text
//!     }
//! }
//!
//! // A server passes fresh entropy, and `Options::new().signals(true)` to stop on SIGTERM.
//! let config = Config::profile(Profile::Development, 42).build()?;
//! let server = Server::bind("127.0.0.1:0".parse()?, config, Options::new())?;
//! let (address, handle) = (server.local_addr(), server.handle());
//! let running = std::thread::spawn(|| {
//!     server.run(Chat { room: RoomId::new("lobby").expect("a valid name") })
//! });
//!
//! let mut clients = Vec::new();
//! for user in ["alice", "bob"] {
//!     let (mut client, _) = tungstenite::connect(format!("ws://{address}/ws?{user}"))?;
//!     assert_eq!(client.read()?.into_text()?, "welcome");
//!     clients.push(client);
//! }
//! clients[0].send("hello".into())?;
//! assert_eq!(clients[1].read()?.into_text()?, "alice: hello");
//!
//! // From any thread: look, publish, close.
//! assert_eq!(handle.call(|context| context.registry.stats().open)?, 2);
//! handle.post(|context| {
//!     context.registry.send(context.now, Target::Everyone, Message::text("good night"));
//! })?;
//! assert_eq!(clients[1].read()?.into_text()?, "good night");
//!
//! // Everyone is told to reconnect, and the loop ends when they have gone.
//! handle.stop();
//! for client in &mut clients {
//!     while client.read().is_ok() {}
//! }
//! running.join().expect("it did not panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What happens to a socket
//!
//! 1. It is accepted if `limits.pending` has a place for it. If there is none, another socket of its
//!    [source](Handler::source) gives way and is answered 408. If none can, it is answered 503 itself.
//!    The input of waiting sockets is read before one of them gives way.
//! 2. Its request head is read: `limits.head_bytes`, 128 header lines and
//!    `session.head_deadline` at most. A request that is not an upgrade gets a complete answer in JSON:
//!    400 malformed or with a body, 404 another path, 405 not GET, 426 no or another WebSocket, 408 too
//!    late, 431 too large. Input that can't become a request, such as a TLS hello, gets its 400 at once.
//! 3. [`Handler::authenticate`] says which user it is, and the registry admits it or not, before anything
//!    is upgraded. A client that can't send credentials with its request is upgraded as
//!    [`Verdict::Pending`], and names its user in its first message. A request that can't be decided
//!    about at once waits as [`Verdict::Later`].
//! 4. Messages go to [`Handler::message`], one at a time, in order. While a client does not read
//!    what it is sent, its own messages wait in its socket. Every byte is a sign of life; a message
//!    has `limits.frame_deadline` from its first byte to its last. All frames are metered by
//!    `limits.message_rate`, and pings that are too many are not answered. One that can't be dealt with
//!    at once waits as [`Outcome::Later`], and the next behind it.
//! 5. What is sent to it is encoded once for all recipients, and written once a turn.
//! 6. A close frame is the last thing it is sent; then the server waits for the client's own, or
//!    for the end of the socket, `session.close_handshake` at most.
//! 7. [`Handler::cleanup`] is called exactly once, and its handle means nothing any more.
//!
//! # Bounds
//!
//! A turn of the loop is bounded:
//!
//! | step | at most in one turn |
//! |---|---|
//! | read | 512 KiB |
//! | process frames | 1,024 small ones, or 512 KiB of large ones and of replies to them; a message that began within that is finished |
//! | accept | 16 sockets |
//! | calls of handles | 1 ms, and at least one call |
//! | carry out actions | until 512 sockets wait to be written, 16,384 frames or 1 MiB are queued, or 60 connections are cleaned up; a stretch of a stream that began within that is finished |
//! | write | 1 MiB, to 1,024 sockets |
//!
//! The rest waits for the next turn, which comes at once, first in, first out. A socket's share of a turn
//! shrinks with the number of sockets that wait, from 64 KiB and 256 frames down to 4 KiB and 4 frames.
//! Input beyond the share waits behind the input of all others. So a client that sends little waits for
//! one turn, a few milliseconds, while any number of others send as fast as they can. It waits for a few
//! turns while thousands begin to send at the same instant.
//!
//! Deadlines act when each socket that had input at the last tick has been read since. So what a peer
//! sent in time is seen in time, and clients that send without end can't stop the clock.
//!
//! All that a turn has for a socket is written at once. Frames are made in buffers of the loop, each of which
//! keeps at most 256 KiB for the next turns: a steady load that needs no more allocates nothing. A connection
//! that is idle costs the shell 64 bytes, in chunks of 128 connections. A chunk is freed with its last one.
//!
//! The output that waits for one socket is bounded by `outbound.window` and `outbound.reply_reserve`, and
//! by 16 pongs. Its input that was not taken is bounded by one message and 64 KiB, for which at most three
//! times as much is allocated, and by another message that waits as [`Outcome::Later`]. A frame takes
//! memory as its bytes arrive, whatever length its header announces. All sockets together are bounded by
//! their number only: `limits.connections`, `limits.closing`, and `limits.pending` with a request head
//! each. Requests that wait for [`Handle::authenticate_again`] are among the pending ones, and at most
//! 1,024 of them are asked about again in one turn.
//!
//! Stopping is a drain: it is announced, and all connections are closed within `drain.deadline`. Until the
//! last one has ended, the listener answers newcomers with 503 and `Retry-After`.
//!
//! When the process runs out of descriptors the listener waits until one is free. Set
//! `limits.connections` so that it does not come to that.

#![forbid(unsafe_code)]

// A token of the poll holds a whole connection handle, and signals are those of Unix.
#[cfg(not(all(unix, target_pointer_width = "64")))]
compile_error!("headcount-mio needs a 64-bit Unix");

mod actions;
mod answer;
mod event_loop;
mod fair;
mod flushed;
mod frames;
mod handle;
mod handler;
mod http;
mod journal;
mod last_words;
mod listener;
#[cfg(test)]
mod million;
mod options;
mod outbound;
mod output;
mod protocol;
mod reused;
mod server;
mod signals;
mod slots;
mod socket;
mod sockets;
mod turn_times;

pub use answer::Answer;
pub use bytes::BufMut;
pub use handle::{Handle, HandleError};
pub use handler::{Context, Dialect, FrameKind, Handler, HangUp, Outcome, Payload, Verdict};
pub use http::Request;
pub use journal::JournalSink;
pub use options::Options;
pub use server::{BindError, Server};
pub use turn_times::TurnTimes;
