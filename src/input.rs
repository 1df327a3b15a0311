//! What goes into a registry: whom a message is for, what came in on a socket, where a client begins, and
//! each call as data.

use core::time::Duration;

use bytes::Bytes;

use crate::action::{CloseWith, Position, StreamRef};
use crate::config::Config;
use crate::except::Except;
use crate::id::{ConnId, RoomId, RunId, SessionId, ThreadId, UserId};
use crate::message::Message;
use crate::principal::Principal;
use crate::run::RunEvent;
use crate::time::Timestamp;
use crate::waiting::Source;

/// Whom a `send` or a `close` is for. [`Registry::send`](crate::Registry::send) has an example.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// One connection: direct, in no stream, never resumed.
    Conn(ConnId),
    /// The stream of one session.
    Session(SessionId),
    /// The streams of all of a user's sessions, lingering ones included.
    User(&'a UserId),
    /// The session that a connection follows longest, if it is open: to answer the tabs of one chat without
    /// looking who they are.
    SessionOf(ConnId),
    /// All sessions of the user of a connection, if it is open.
    UserOf(ConnId),
    /// The stream of a room.
    Room(&'a RoomId),
    /// For `send` all connections that are open when the walk over the table reaches them: best
    /// effort, in no stream. For `close` all that are there at the call, pending ones included.
    Everyone,
}

/// What came in on a connection. Each of these is a sign of life.
///
/// Report every frame when it is whole, in the order in which they came, and then the
/// [`Bytes`](Inbound::Bytes) that were read. A read that ends with a whole message needs no `Bytes`,
/// unless `limits.byte_rate` is set: its frames say the same. An embedder that sees whole messages
/// only reports those. Then a message that takes longer to arrive than `heartbeat.interval` and
/// `heartbeat.pong_timeout` together costs its connection, and neither `limits.frame_deadline` nor
/// `limits.byte_rate` ever acts. [`Registry::message`](crate::Registry::message) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// A whole data message, text or binary, one of several frames included: the end of the message
    /// in progress. It takes a token of `limits.message_rate`.
    Data {
        /// The length of its payload, or what its header announces, if that is too much already.
        bytes: u64,
    },
    /// Bytes were read, whatever they are: half a frame header is one. Report it once a read, after
    /// the frames that it made whole. Report it only after a read: zero bytes are a sign of life, too.
    Bytes {
        /// How many were read since the last report: what `limits.byte_rate` counts.
        bytes: u64,
        /// Whether a message is in progress after them: a frame has begun and is not whole, or the
        /// last frame of a message has not come. `limits.frame_deadline` runs while there is one. Before
        /// the upgrade it means nothing: the bytes are those of the request head, which has
        /// `limits.head_bytes`, and no other rate counts them.
        partial: bool,
    },
    /// A whole frame of a data message, not its last, also an empty one. It takes an eighth of a
    /// token.
    Fragment,
    /// A ping of the peer. It takes an eighth of a token. Answer it with a pong only if it was
    /// taken.
    Ping,
    /// A pong. The first one after a ping was handed out is free; another takes an eighth of a token.
    Pong,
}

/// Where a connection begins in a stream that it comes to follow. From there on it gets everything.
///
/// A room has no runs: there `OpenRuns`, `Recent` and `Run` are as `Now`.
///
/// ```
/// # use headcount::*;
/// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
/// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
/// let (first, admitted) = registry.admit(now, who.clone(), Start::OpenRuns, None)?;
/// let Position { epoch, .. } = admitted.followed.expect("the session of its thread").position;
/// for text in ["one", "two", "three"] {
///     registry.send(now, Target::SessionOf(first), Message::text(text));
/// }
/// while registry.poll_action().is_some() {}
///
/// // The client has read one message when its network fails. It comes back and says so.
/// let seen = Position { epoch, offset: 1 };
/// let (_, again) = registry.admit(now, who, Start::After(seen), Some(first))?;
/// assert_eq!(again.followed.map(|it| it.recovered), Some(Recovered::All));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the head: what is sent from now on.
    Now,
    /// At the head, and the runs that are open from their start: for a client that comes for the first
    /// time, or does not say what it has seen.
    #[default]
    OpenRuns,
    /// The same, and the runs that have ended and linger (`run.linger`), as well as those that have ended
    /// after the first of these: for a page that was rendered before they ended.
    Recent,
    /// At the head, and this run from its start, open or ended, as far as the log keeps it. As `Now` if
    /// the log keeps nothing of it. A gap before the head may be of another run that was open when this
    /// one was, or later.
    Run(RunId),
    /// After the last position that a client has seen: what follows, or a gap that names what is lost.
    After(Position),
    /// At the oldest entry that the log keeps: what is lost before that is not told.
    Kept,
}

/// What a [`Registry`](crate::Registry) is given in one call, named as the method is. A call of a
/// [`UserScope`](crate::UserScope) is the call that it makes of the registry.
///
/// It is exhaustive, as [`Action`](crate::Action) is: a recorder that missed an input would not replay.
/// [`Tap`](crate::Tap) has an example.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The arguments of the methods have their docs there.
pub enum Input<'a> {
    Reserve {
        source: Option<Source>,
    },
    Upgraded {
        conn: ConnId,
    },
    Connect {
        conn: ConnId,
        who: &'a Principal,
        start: &'a Start,
        previous: Option<ConnId>,
    },
    Admit {
        who: &'a Principal,
        start: &'a Start,
        previous: Option<ConnId>,
    },
    Follow {
        conn: ConnId,
        thread: &'a ThreadId,
        start: &'a Start,
    },
    Unfollow {
        conn: ConnId,
        session: SessionId,
    },
    Message {
        conn: ConnId,
        inbound: Inbound,
    },
    Flushed {
        conn: ConnId,
        total: u64,
    },
    FlushedMany {
        reports: &'a [(ConnId, u64)],
    },
    Disconnect {
        conn: ConnId,
    },
    Tick,
    Send {
        to: Target<'a>,
        message: &'a Message,
        except: Option<Except>,
    },
    ReplyAtOnce {
        conn: ConnId,
        bytes: usize,
    },
    Reply {
        conn: ConnId,
        message: &'a Message,
    },
    Join {
        conn: ConnId,
        room: &'a RoomId,
        start: &'a Start,
    },
    Leave {
        conn: ConnId,
        room: &'a RoomId,
    },
    Acknowledge {
        conn: ConnId,
        stream: StreamRef<'a>,
        offset: u64,
    },
    OpenRun {
        user: &'a UserId,
        thread: &'a ThreadId,
        run: &'a RunId,
        agent: &'a str,
        payload: &'a Bytes,
    },
    RunEvent {
        user: &'a UserId,
        run: &'a RunId,
        event: &'a RunEvent<'a>,
    },
    RequestRun {
        conn: ConnId,
        thread: Option<&'a ThreadId>,
        run: &'a RunId,
        input: &'a Bytes,
    },
    RequestCancel {
        conn: ConnId,
        run: &'a RunId,
        reason: &'a Bytes,
    },
    Close {
        to: Target<'a>,
        with: &'a CloseWith,
    },
    Refresh {
        conn: ConnId,
        expires_at: Option<Timestamp>,
    },
    Revoke {
        user: &'a UserId,
    },
    Drain {
        deadline: Option<Duration>,
    },
    CancelDrain,
    Reload {
        config: &'a Config,
    },
    /// [`Registry::advance`](crate::Registry::advance), or a call that has no effect but that of its
    /// stamp: a look at what a reload would do, a message of a [`UserScope`](crate::UserScope) to a thread
    /// without a session.
    Advance,
}
