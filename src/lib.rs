//! A WebSocket connection registry that never loses count.
//!
//! [`Registry`] is a pure state machine that owns the truth about who is connected: it admits or
//! refuses, keeps users apart, routes messages, watches liveness, bounds every queue, and keeps
//! what a slow connection has not read yet. It does no I/O, reads no clock, spawns nothing and
//! takes no lock, so hours of its life are tested in milliseconds, and the same inputs always give
//! the same actions.
//!
//! # Four inputs
//!
//! * [`connect`](Registry::connect): a socket (which [`reserve`](Registry::reserve) announced) is
//!   admitted, with a user and perhaps a thread.
//! * [`message`](Registry::message): something came in.
//! * [`disconnect`](Registry::disconnect): the socket has ended.
//! * [`tick`](Registry::tick): time has passed.
//!
//! # Three actions that matter
//!
//! * [`Send`](Action::Send): write this message to these connections; encode it once.
//! * [`Close`](Action::Close): write a close frame, then nothing more.
//! * [`Cleanup`](Action::Cleanup): forget this connection or session; exactly one for each.
//!
//! The others are [`Ping`](Action::Ping), [`Gap`](Action::Gap) (tell the client which messages it
//! has lost), [`Draining`](Action::Draining) (tell it to reconnect elsewhere),
//! [`Left`](Action::Left) (tell it that it follows a session no more) and
//! [`Presence`](Action::Presence) (a user is online now, or is not).
//!
//! # How a message travels
//!
//! [`send`](Registry::send) appends to the bounded log of the target's stream, once, whatever the
//! number of recipients. A connection is a cursor on the logs of its sessions and its rooms, and
//! `poll_action` derives from the cursors what to hand out next. A connection is handed no more
//! than its window beyond what [`flushed`](Registry::flushed) reported, so a slow one falls behind
//! in the log and costs no memory of its own; if the log moves on without it, it is told so. A message may
//! leave out its sender, the sender's chat or the sender's user ([`Message::except_user`] and its kin).
//!
//! A client that comes back says where it stopped ([`Start::After`]), and gets what follows from the same
//! log, strictly before anything newer, or a [`Gap`](Action::Gap) that names what is lost. Not all
//! that is sent is worth the same: a [`Class`] decides what a slow reader is spared, never the
//! order. What all logs hold together has a budget, for each user and for the process. A client
//! that does not say where it stopped is a newcomer: it gets what is sent from then on, and the
//! open runs of its session from their start. [`Start`] has the other beginnings.
//!
//! # When the user is away
//!
//! | the message is for | and | what becomes of it |
//! |---|---|---|
//! | [`Target::User`], [`Target::Session`] | a session lingers | the session's log keeps it, within the log's bounds and until the session ends. [`Delivery::live`] is 0, and [`Delivery::stored`] names the log |
//! | [`Target::User`], [`Target::Session`] | the user has no session, also while it is online, or that session has ended | it is lost: [`Delivery::reaches_none`] is `true`. A session that is created later does not get it |
//! | [`Target::Room`] | the room has members or history | the room's log keeps it, within the log's bounds. A client that comes back joins the room again |
//! | [`Target::Room`] | the room has neither | it is lost: [`Delivery::reaches_none`] is `true` |
//! | [`Target::Conn`], [`Target::Everyone`] | the connection has ended | it is lost to that client |
//!
//! A client gets what a log has kept if it comes back with its position ([`Start::After`]) or asks for all
//! that is kept ([`Start::Kept`]). With another [`Start`] it gets new messages, and of the log at most runs.
//! A log never keeps a [`Droppable`](Class::Droppable) message for a resume.
//!
//! # How a client resumes
//!
//! The server tells the client, in its first frame, the session's epoch and offset
//! ([`Followed::position`]) and what became of a resume ([`Followed::recovered`]); of a room a `join` says
//! both ([`Joined`]). Each [`Send`](Action::Send) of a stream has its own position. The client keeps the last
//! one, and comes back with it:
//!
//! | the client comes with | [`Recovered`] | what it gets |
//! |---|---|---|
//! | a position that the log still reaches | [`All`](Recovered::All) | all that it missed, then what is new |
//! | a position of which the log has lost something | [`Gap`](Recovered::Gap) | a [`Gap`](Action::Gap) for what is lost, the rest, then what is new |
//! | a position of another epoch, as after a restart, or beyond the head | [`Gap`](Recovered::Gap) | open runs, and gaps for the rest. If the stream is empty no [`Gap`](Action::Gap) follows: the other epoch says it |
//! | no position | [`Fresh`](Recovered::Fresh) | what its [`Start`] says |
//!
//! The position goes into [`Start::After`], for `connect` or `admit`, and for each `follow` and `join`. The
//! handle of the earlier connection, if it may still be open, is the argument `previous`: it is taken over.
//!
//! # Users, threads and sessions
//!
//! A session is a user's and has a thread, a name that is unique among that user's. A connection belongs
//! to one user and follows sessions of that user: the one of its principal's thread from the start, and
//! others by [`follow`](Registry::follow), in which only a thread is named. So one socket may carry many
//! chats. Each followed session resumes by itself, as rooms do; window, heartbeat and close are the
//! socket's. A message to all sessions of a user reaches a connection once for each that it follows, and
//! a connection that follows none not at all: `reply` reaches it, its rooms do, and so does `Everyone`.
//!
//! A registry [with presence](ConfigBuilder::with_presence) says when a user comes online and goes offline,
//! so that a shell need not mirror who is there: [`Action::Presence`] once for each change, all connections
//! of the user taken together. A user whose last connection was dropped, or was ended by the server to be
//! made again ([`CloseReason::has_leave_grace`]), is online for another `presence.leave_grace`. It still
//! counts towards `limits.users` meanwhile, and makes room as the absent do: then it is offline at once.
//! [`revoke`](Registry::revoke) ends the grace, too.
//!
//! # Tenants
//!
//! Users of one tenant ([`Principal::with_tenant`]) share a cap of connections, a cap of sessions and a
//! byte budget: `limits.connections_per_tenant`, `limits.sessions_per_tenant` and `outbound.tenant_bytes`.
//! So one customer of several can't take the places of another, as long as the caps of all tenants together
//! are within the caps of all; `limits.users` has no such share. [`Registry::tenant`] shows what a tenant
//! has. Where no principal names a tenant, tenants cost no time, and `limits.tenants` of 0 takes them out
//! of [`memory_bound`](Config::memory_bound).
//!
//! # Users, and the runs of agents
//!
//! Code that serves one user is given a [`UserScope`] ([`Registry::scope`]): it can name nothing
//! that is not theirs. It opens runs of agents in a session and tells of their events; the registry
//! keeps the order of events, joins the text of each part of a run, fails a run that has gone silent, and
//! gives a second tab the open runs from their start. The rest of what is older than the tab is not for
//! it, also what lies between the events of these runs, and it is not told of that. A run that has ended
//! stays in the log for `run.linger` at least, within the other bounds of the log.
//!
//! A client requests a run with [`Registry::request_run`], and wishes that one is cancelled with
//! [`Registry::request_cancel`]. Both are events of the session, which all its tabs see; the application
//! decides what comes of them.
//!
//! # The loop
//!
//! Poll the sockets, feed what they say, tick, then carry out actions until there are none. This
//! is a whole turn, with sockets that are vectors:
//!
//! ```
//! use std::collections::HashMap;
//! use std::time::Duration;
//!
//! use headcount::{
//!     Action, Config, ConnId, Ended, Inbound, Message, Principal, Registry, Start, Target,
//!     ThreadId, Timestamp, UserId,
//! };
//!
//! #[derive(Default)]
//! struct Socket {
//!     written: Vec<String>,
//!     /// The sum of the costs of everything written: what `flushed` is told.
//!     cost: u64,
//! }
//!
//! fn turn(registry: &mut Registry, sockets: &mut HashMap<ConnId, Socket>, now: Timestamp) {
//!     // 1. What the sockets say has been fed by now: `message`, `disconnect`, `connect`.
//!     // 2. Time.
//!     registry.tick(now);
//!     loop {
//!         // 3. Actions: only queue. While an action is lent the registry can't be called.
//!         while let Some(action) = registry.poll_action() {
//!             let cost = action.cost();
//!             let (to, frame) = match &action {
//!                 Action::Send { to, body, .. } => {
//!                     (*to, String::from_utf8_lossy(body.as_bytes()).into_owned())
//!                 }
//!                 Action::Gap { conn, from, to, .. } => {
//!                     (std::slice::from_ref(conn), format!("lost {from}..={to}"))
//!                 }
//!                 Action::Ping { conn } => (std::slice::from_ref(conn), "ping".into()),
//!                 Action::Draining { to, .. } => (*to, "reconnect elsewhere".into()),
//!                 Action::Left { conn, .. } => (std::slice::from_ref(conn), "left".into()),
//!                 Action::Close { conn, code, text, .. } => {
//!                     (std::slice::from_ref(conn), format!("close {code} {text}"))
//!                 }
//!                 Action::Cleanup { what: Ended::Conn(conn), .. } => {
//!                     sockets.remove(conn);
//!                     continue;
//!                 }
//!                 Action::Cleanup { what: Ended::Session(_), .. } => continue,
//!                 Action::Presence { .. } => continue,
//!             };
//!             for conn in to {
//!                 if let Some(socket) = sockets.get_mut(conn) {
//!                     socket.written.push(frame.clone());
//!                     socket.cost += cost;
//!                 }
//!             }
//!         }
//!         // 4. Flush, and report what the kernel took and which sockets have ended.
//!         for (conn, socket) in sockets.iter() {
//!             let _ = registry.flushed(now, *conn, socket.cost);
//!         }
//!         if !registry.has_actions() {
//!             break;
//!         }
//!     }
//!     // 5. Sleep until a socket stirs or `registry.poll_timeout()` comes.
//! }
//!
//! let mut registry = Registry::new(Config::new(42)); // a server passes fresh entropy
//! let mut sockets = HashMap::new();
//! let now = Timestamp::from_secs(1);
//!
//! // Two sockets come in, upgraded and authenticated. A server that wants to bound those that are
//! // not yet calls `reserve` when it accepts one, and `connect` when it knows who it is.
//! let mut conns = Vec::new();
//! for user in ["alice", "bob"] {
//!     let who = Principal::new(UserId::new(user)?).with_thread(ThreadId::new("main")?);
//!     let (conn, admitted) = registry.admit(now, who, Start::OpenRuns, None)?;
//!     assert!(admitted.first_of_user);
//!     sockets.insert(conn, Socket::default());
//!     conns.push(conn);
//! }
//!
//! // What is sent to Alice's sessions reaches her connections that follow one, and no one else's.
//! let alice = UserId::new("alice")?;
//! let delivery = registry.send(now, Target::User(&alice), Message::text("hello"));
//! assert_eq!((delivery.live, delivery.stored().len()), (1, 1));
//! turn(&mut registry, &mut sockets, now);
//! assert_eq!(sockets[&conns[0]].written, ["hello"]);
//! assert!(sockets[&conns[1]].written.is_empty());
//!
//! // Alice goes; a handle that has outlived its connection is an ordinary error.
//! registry.disconnect(now, conns[0])?;
//! turn(&mut registry, &mut sockets, now);
//! assert!(registry.message(now, conns[0], Inbound::Pong).is_err());
//!
//! // Bob says nothing: half a minute later he is pinged, and then he is given up.
//! let mut now = now;
//! while !sockets.is_empty() {
//!     now = registry.poll_timeout().expect("a connection always has a deadline");
//!     turn(&mut registry, &mut sockets, now);
//! }
//! assert!(now <= Timestamp::from_secs(1) + Duration::from_secs(25 + 10 + 5));
//! let stats = registry.stats();
//! assert_eq!((stats.opened, stats.live, stats.closed_total()), (2, 0, 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The contract
//!
//! 1. Time is what you pass in, from one monotonic clock. It never runs backwards inside: a late
//!    stamp is clamped and counted. A jump forward is believed. When an input comes later than
//!    `poll_timeout` promised, by more than `pause_threshold`, the process has paused: what lies
//!    between the promise (or the input before, if that is later) and this input is no attended
//!    time. Every deadline counts in one of two times, as [the table](#which-time-counts) says.
//! 2. Any input is safe at any time. Errors come from input; a panic is a bug. A dead handle gets
//!    [`UnknownConn`].
//! 3. Order holds per connection and stream. Between streams it is fair, deterministic and
//!    unspecified. Draining actions late costs log space, then gaps; never more memory than the
//!    configuration allows. A connection that is behind, and whose window has no room for its next
//!    entry, is looked at again by every `flushed` that leaves the window at most half full, and by
//!    a reload; not because what it lacks shrinks.
//! 4. [`poll_timeout`](Registry::poll_timeout) may be early, never late. Deadlines act only in
//!    `tick`, in the order of time; early, late and repeated ticks are safe; one tick does bounded
//!    work. Tick after a turn that left nothing unread, or once each socket that had input at the
//!    last tick has been read since, so that a pong in a socket is read before it is missed.
//! 5. Per connection the output is `(Send | Gap | Ping | Draining | Left)* Close? Cleanup`, and after
//!    `Cleanup` nothing with that handle, before 2^32 further ones were made ([`ConnId`]). There is exactly
//!    one `Cleanup` per reserved connection and per created session (after its last follower has left it or
//!    was cleaned up). A slot is reused only after its `Cleanup` was polled.
//! 6. Every recipient is inside the target's audience: a session's messages and runs reach that
//!    session's followers only, these are connections of its user, and a [`UserScope`] reaches one user's.
//! 7. Limits are exact at every instant: admission is one step, and a connection that begins to
//!    close frees its place before any I/O. A session that lingers without an open run, and a room
//!    without members, make room when a newcomer needs the place. Over a cap of a tenant only sessions of
//!    that tenant and of the newcomer's user do.
//! 8. Memory is bounded by the configuration and by nothing that peers do:
//!    [`Config::memory_bound`] says by how much. When cleanups that nobody polls fill the headroom,
//!    newcomers are refused.
//! 9. Same configuration (seed included), same inputs, same actions, on every platform. Reading
//!    changes nothing.
//! 10. `opened = live + Σ closed by reason`, always. `opened` counts admitted connections; `live`
//!     includes closing ones until their cleanup is polled.
//!
//! While an action is lent no method of the registry can be called, getters included: only queue, and report
//! flushes and disconnects after.
//! [`has_actions`](Registry::has_actions) says whether to poll again before sleeping.
//!
//! A view and its iterators borrow the registry, too: to call it for each of several connections, collect
//! their handles first. [`RoomView::members`] has an example. A message to a whole room needs no iterator:
//! [`Target::Room`] is its address.
//!
//! # Which time counts
//!
//! A deadline that waits for a peer, or for the application, counts in *attended* time: a pause of
//! the process moves it by the length of the pause, for the process did not listen meanwhile. A
//! deadline that bounds how long something may exist counts in *real* time: no pause moves it. Every
//! deadline is a whole millisecond, rounded up once, where it is made. No tick before that
//! millisecond acts on it. A ping is due at the next whole multiple of `heartbeat.slack`, so that
//! the pings of many connections share a turn.
//!
//! | deadline | key | time |
//! |---|---|---|
//! | the request head is complete | `session.head_deadline` | attended |
//! | the credentials have come | `session.auth_deadline` | attended |
//! | a silent peer is pinged | `heartbeat.interval` | attended |
//! | a ping is answered | `heartbeat.pong_timeout` | attended |
//! | a ping is answered, under emergency | `pressure.emergency_deadline` | attended |
//! | a data message comes in | `session.idle` | attended |
//! | a message in progress is whole | `limits.frame_deadline` | attended |
//! | what was handed out is flushed | `outbound.slow_deadline` | attended |
//! | the socket ends after its `Close` | `session.close_handshake` | attended |
//! | a run has an event, or its calls under way take as long as expected | `run.silence` | attended |
//! | a connection ends | `session.max_lifetime` | real |
//! | credentials that have expired are renewed | `session.expiry_grace` | real |
//! | a client comes back to a session | `session.linger` | real |
//! | a user who was dropped comes back before it is offline | `presence.leave_grace` | real |
//! | an entry leaves the log of a session | `stream.ttl` | real |
//! | an entry leaves the log of a room | `stream.room_ttl` | real |
//! | a run ends | `run.max_length` | real |
//! | a run that has ended becomes history | `run.linger` | real |
//! | a drain closes its first connection | `drain.grace` | real |
//! | a drain has ended | `drain.deadline` | real |
//!
//! Token buckets fill in real time. Ages in views, notices and the ring of the closed are
//! real; silences and round trips are attended.
//!
//! # What must be handled
//!
//! | what the registry gives | what the embedder does | if it does not |
//! |---|---|---|
//! | [`Send`](Action::Send), [`Gap`](Action::Gap) | writes it to each connection named, in the order of the actions | it counts as handed out: the client lacks it and is never told |
//! | [`Ping`](Action::Ping) | writes a ping frame | if it is reported as flushed all the same, no pong can come: the connection is closed with `pong_timeout` |
//! | [`Left`](Action::Left) | tells the client that it follows this session no more | the client waits for a session that is silent |
//! | [`Draining`](Action::Draining) | tells the client to come back later, with a delay of the range | the client learns of the drain from its close |
//! | [`Close`](Action::Close) | writes a close frame, or an HTTP answer before the upgrade, and reports `disconnect` when the socket has ended | the `Cleanup` comes all the same, after `session.close_handshake` |
//! | [`Presence`](Action::Presence) | what it wants: there is none unless the configuration asks for it | nothing: [`is_online`](UserView::is_online) says the same |
//! | [`Cleanup`](Action::Cleanup) | drops the socket, and forgets the handle | the handle is never used again: what is kept under it leaks |
//! | `poll_action` | polls until `None`, and again before it sleeps while `has_actions` is `true` | logs fill, then entries become gaps; cleanups that were not polled keep newcomers out ([`Refused::Connections`]) |
//! | `poll_timeout` | calls `tick` then, or earlier | no deadline acts, and silent peers stay |
//! | what the kernel took | reports it with [`flushed`](Registry::flushed), as a [`Ledger`] counts it | the connection is closed with `slow_consumer`, unless the configuration says that flushes are not reported |
//! | [`Intake::Paused`] | keeps the message, does not read that socket, offers the message again when `flushed` has answered `true` | the message is lost: it was not taken |
//! | [`Refused`] from `connect` | answers, then reports `disconnect`, or calls `close` for a socket that was upgraded | it keeps its place among `limits.pending` until its deadline |
//! | [`Refused`] from `reserve` or `admit` | answers and closes the socket: there is no handle | nothing: the registry knows nothing of it |
//! | [`UnknownConn`], and the variants of this name | nothing: the connection is not open. It waits to be admitted, it closes, or it has ended. It is no reason to end the socket: the `Cleanup` is | nothing |
//! | errors of `join`, `follow`, `acknowledge`, runs and requests; [`IdError`] of a name that a client sent | answers the client or the caller | nothing has changed, and no client is told |
//! | [`ConfigError`], [`CloseWordsError`], [`RestoreError`] | tells the operator: no client causes them | there is no registry, or no close |
//! | the peer's own close frame | calls `close` with [`PeerClosed`](CloseReason::PeerClosed), echoes its code and writes nothing else | the connection ends as [`PeerGone`](CloseReason::PeerGone), as if the network had failed |
//! | input that breaks the protocol | calls `close` with [`ProtocolError`](CloseReason::ProtocolError), [`InvalidPayload`](CloseReason::InvalidPayload) or [`MessageTooBig`](CloseReason::MessageTooBig), then reads and drops what comes until the socket ends | the client does not learn why; a kernel that resets a socket with unread input takes the close frame along |
//! | [`InboundError`] | drops the message, leaves a ping unanswered, answers 431 to a head that is too large | the sender of a flood is served all the same |
//! | [`Delivery::full`], [`ReplyError::Full`] | sends it again later, or says that it failed | nothing of it is kept |
//! | [`Notice`] | polls what is of interest | notices beyond `notices` are lost and counted; nothing else changes |
//!
//! # When a session ends
//!
//! | cause | its followers | its open runs |
//! |---|---|---|
//! | `session.linger` has passed since its last follower left, or since its last run ended if that was later, and all cleanups of its followers were polled | it has none | it has none |
//! | [`revoke`](Registry::revoke) of its user | closed with [`Revoked`](CloseReason::Revoked) | end with it |
//! | it makes room for another session of its user | it has none, or they are closed with [`Evicted`](CloseReason::Evicted) | end with it, unless the newcomer is a run of an absent user: then only a session without runs makes room |
//! | it lingers without an open run and makes room for a session of any user, over `limits.sessions`, or with all sessions of its user, over `limits.users` | it has none | it has none |
//! | it lingers without an open run and makes room for a session of its tenant, over `limits.sessions_per_tenant` | it has none | it has none |
//! | a [`reload`](Registry::reload) lowers `limits.sessions_per_user` below what its user has | it has none, or they are closed with [`Evicted`](CloseReason::Evicted) | end with it |
//! | its user reaches `pressure.emergency` while it lingers and keeps nothing to resume | it has none | it has none |
//!
//! Where followers are closed because a session makes room or a cap was lowered, a follower that follows
//! other sessions, too, is not: it leaves this one and is told so ([`Left`](Action::Left)).
//!
//! Nothing else ends one: after a `close`, a drain or the end of its sockets it lingers. What its log
//! kept is gone with it, and its name is free at once: the next session of that user and thread has
//! another handle and another epoch. Runs that end with their session have no terminal event; a
//! [`Notice::RunEnded`] says so. [`Notice::SessionEnded`] tells of the end and its cause when it
//! happens, and the `Cleanup` of the session follows what its followers are told of it, and their cleanups.
//!
//! # The order on one connection
//!
//! | what | its place |
//! |---|---|
//! | entries of one stream, gaps included | in the order of their offsets, replayed ones before live ones |
//! | direct messages: [`reply`](Registry::reply), and `send` to a connection | in the order of the calls, and before all stream data that was not polled yet: a reply overtakes what was sent to a session or a room before it |
//! | `Ping`, `Left`, `Close` | among the direct messages, where their cause was; what of the streams a `Left` or a `Close` hands out is moved there before it |
//! | entries of two streams, those of two sessions included, announcements, `Draining`, `Presence` | no order is promised between them; an announcement passes over a connection that is behind or has no room |
//! | a `close` | what was direct first, then what of the streams fits the window and `outbound.direct_bytes`, stream by stream in the order in which it came to them, then `Close` |
//! | a session that it is sent away from | what of that session fits in the same way, then `Left` |
//! | the end of the socket | what was not polled is dropped, then `Cleanup` |
//! | a `leave`, an `unfollow` | nothing of that room or session after the call, also nothing that was sent before it |
//!
//! So the number of recipients that [`Delivery`] tells is that of the instant of the call: one that
//! leaves, closes or ends before the poll is among them.
//!
//! # What is where
//!
//! Read [`Action`] first, then [`Registry`]; [`Config`] has every limit and every time, with its default.
//! Views show what there is: [`ConnView`], [`SessionView`], [`UserView`], [`RoomView`], [`RunView`] and
//! [`TenantView`]. A [`Message`] may leave out its sender, or all of the sender's tabs:
//! [`Message::except_user`]. A [`Tap`] sees every input and every action: the crate `headcount-journal`
//! records them, and replays them.
//!
//! # Features
//!
//! The crate is `no_std` with `alloc`; it needs atomics of pointer width.
//!
//! * `std`, on by default, adds [`Clock`].
//! * `serde` adds `Serialize` for what is shown: [`Stats`], views, [`Closed`], names, handles, reasons,
//!   [`Position`] and [`Config`]. Fields are named as in the answers of the gateway where it has them, with
//!   their unit; a [`Timestamp`] is its nanoseconds.

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod action;
mod bound;
mod config;
mod conn;
mod departed;
mod ends;
mod error;
mod evictable;
mod except;
mod id;
mod input;
mod ledger;
mod log;
mod message;
mod principal;
mod profile;
mod random;
mod registry;
mod room;
mod run;
#[cfg(feature = "serde")]
mod serialize;
mod session;
mod snapshot;
mod stats;
mod store;
mod stream;
mod tap;
mod tenant;
mod text;
mod time;
mod waiting;

pub use action::{
    Action, Body, CloseReason, CloseWith, CloseWords, Ended, Position, Retry, RunFact, RunText,
    StreamRef,
};
pub use bound::MemoryBreakdown;
pub use config::{Config, ConfigBuilder, ConfigError, ConfigKey, ConfigKind, ConfigValue, OverCap};
pub use ends::{RoomEnd, RunEnd, RunEnded, SessionEnd};
pub use error::{
    AcknowledgeError, CloseWordsError, FollowError, IdError, InboundError, InvalidHandle,
    JoinError, OpenRunError, Refused, ReplyError, RequestCancelError, RequestRunError,
    RestoreError, RunError, UnknownConn, Violation,
};
pub use except::{Except, Outgoing};
pub use id::{ConnId, Key, MAX_ID_BYTES, RoomId, RunId, SessionId, TenantId, ThreadId, UserId};
pub use input::{Inbound, Input, Start, Target};
pub use ledger::Ledger;
pub use message::{Class, MESSAGE_OVERHEAD, Message};
pub use principal::{ConnKind, Principal};
pub use profile::Profile;
pub use registry::{
    CallView, Closed, ConnView, CursorView, Registry, RoomView, RunView, SessionView, Survey,
    TenantView, Upcoming, UserScope, UserView, Within,
};
pub use run::{Part, PartKind, RunEvent, RunEventKind, RunFailure, RunState};
pub use snapshot::Redaction;
pub use stats::{
    Admitted, ConnState, Delivery, Followed, Impact, Intake, Joined, Notice, OpenedRun, Pressure,
    Recovered, Stats, Stored,
};
pub use tap::Tap;
pub use text::{Shown, is_hidden, quote_json, shown};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Timestamp;
pub use waiting::Source;

/// Compiles the README's Rust.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
