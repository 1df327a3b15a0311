//! An input as data: what one call of the registry was given.

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;

use headcount::{
    Action, CloseWith, Config, ConnId, Except, Inbound, Input, Message, Outgoing, Part, PartKind,
    Principal, Registry, RoomId, RunEvent, RunEventKind, RunId, SessionId, Source, Start,
    StreamRef, Target, ThreadId, Timestamp, UserId,
};

/// Whom a message or a close is for: a [`Target`] with names of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `Target`.
#[non_exhaustive]
pub enum Recipient {
    Conn(ConnId),
    Session(SessionId),
    SessionOf(ConnId),
    UserOf(ConnId),
    User(UserId),
    Room(RoomId),
    Everyone,
}

impl Recipient {
    const fn target(&self) -> Target<'_> {
        match self {
            Self::Conn(conn) => Target::Conn(*conn),
            Self::Session(session) => Target::Session(*session),
            Self::SessionOf(conn) => Target::SessionOf(*conn),
            Self::UserOf(conn) => Target::UserOf(*conn),
            Self::User(user) => Target::User(user),
            Self::Room(room) => Target::Room(room),
            Self::Everyone => Target::Everyone,
        }
    }
}

/// Which stream an acknowledgement is about: a [`StreamRef`] with names of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `StreamRef`.
#[non_exhaustive]
pub enum Stream {
    Session(SessionId),
    Room(RoomId),
    Direct,
    Everyone,
}

impl Stream {
    pub(super) const fn stream_ref(&self) -> StreamRef<'_> {
        match self {
            Self::Session(session) => StreamRef::Session(*session),
            Self::Room(room) => StreamRef::Room(room),
            Self::Direct => StreamRef::Direct,
            Self::Everyone => StreamRef::Everyone,
        }
    }
}

/// An [`Input`](headcount::Input) with names and payloads of its own, or what was polled between two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in `Input`.
#[non_exhaustive]
pub enum OwnedInput {
    Reserve {
        source: Option<Source>,
    },
    Upgraded {
        conn: ConnId,
    },
    Connect {
        conn: ConnId,
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    },
    Admit {
        who: Principal,
        start: Start,
        previous: Option<ConnId>,
    },
    Follow {
        conn: ConnId,
        thread: ThreadId,
        start: Start,
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
        reports: Box<[(ConnId, u64)]>,
    },
    Disconnect {
        conn: ConnId,
    },
    Tick,
    Send {
        to: Recipient,
        message: Message,
        except: Option<Except>,
    },
    Reply {
        conn: ConnId,
        message: Message,
    },
    ReplyAtOnce {
        conn: ConnId,
        bytes: usize,
    },
    Join {
        conn: ConnId,
        room: RoomId,
        start: Start,
    },
    Leave {
        conn: ConnId,
        room: RoomId,
    },
    Acknowledge {
        conn: ConnId,
        stream: Stream,
        offset: u64,
    },
    OpenRun {
        user: UserId,
        thread: ThreadId,
        run: RunId,
        agent: Box<str>,
        payload: Bytes,
    },
    RunEvent {
        user: UserId,
        run: RunId,
        event: OwnedRunEvent,
    },
    RequestRun {
        conn: ConnId,
        thread: Option<ThreadId>,
        run: RunId,
        input: Bytes,
    },
    RequestCancel {
        conn: ConnId,
        run: RunId,
        reason: Bytes,
    },
    Close {
        to: Recipient,
        with: CloseWith,
    },
    Refresh {
        conn: ConnId,
        expires_at: Option<Timestamp>,
    },
    Revoke {
        user: UserId,
    },
    Drain {
        deadline: Option<Duration>,
    },
    CancelDrain,
    Reload {
        config: Box<Config>,
    },
    Advance,
    /// So many calls of [`Registry::poll_action`], those included that gave nothing.
    Polled {
        count: u64,
        digest: u32,
    },
    /// So many notices were polled.
    Noticed {
        count: u64,
    },
}

/// A [`RunEvent`] that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRunEvent {
    pub(super) kind: Option<RunEventKind>,
    /// Of the tool call that begins or ends, or of the part that goes on; empty for what has none.
    pub(super) name: Box<str>,
    /// What the part is that goes on.
    pub(super) part: PartKind,
    /// `None` unless a tool call begins.
    pub(super) expect: Option<Duration>,
    /// UTF-8 if it is text.
    pub(super) payload: Bytes,
}

impl OwnedRunEvent {
    /// What happened; `None`: a part went on.
    #[must_use]
    pub const fn kind(&self) -> Option<RunEventKind> {
        self.kind
    }

    /// The name of the tool call that begins or ends; `None` for what is about none.
    #[must_use]
    pub fn call(&self) -> Option<&str> {
        let about =
            matches!(self.kind, Some(RunEventKind::ToolExecuting | RunEventKind::ToolCompleted));
        about.then_some(&*self.name)
    }

    /// The part that goes on; `None` for what is no delta.
    #[must_use]
    pub fn part(&self) -> Option<Part<'_>> {
        self.kind.is_none().then_some(Part { id: &self.name, kind: self.part })
    }

    /// How long a tool call that begins may take; `None` if that was not said, and for what is none.
    #[must_use]
    pub const fn expect(&self) -> Option<Duration> {
        self.expect
    }

    /// The payload, or the text, which is UTF-8.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    fn borrow(&self) -> Option<RunEvent<'_>> {
        let (call, payload) = (&*self.name, self.payload.clone());
        Some(match self.kind {
            None => {
                RunEvent::Delta { part: self.part()?, text: str::from_utf8(&self.payload).ok()? }
            }
            Some(
                RunEventKind::Started | RunEventKind::Requested | RunEventKind::CancelRequested,
            ) => return None,
            Some(RunEventKind::Thinking) => RunEvent::Thinking(payload),
            Some(RunEventKind::ToolExecuting) => {
                RunEvent::ToolExecuting { call, expect: self.expect, payload }
            }
            Some(RunEventKind::ToolCompleted) => RunEvent::ToolCompleted { call, payload },
            Some(RunEventKind::Progress) => RunEvent::Progress(payload),
            Some(RunEventKind::Completed) => RunEvent::Completed(payload),
            Some(RunEventKind::Failed) => RunEvent::Failed(payload),
            Some(RunEventKind::Cancelled) => RunEvent::Cancelled(payload),
            Some(RunEventKind::Interrupted) => RunEvent::Interrupted(payload),
        })
    }
}

impl OwnedInput {
    /// Lends the call, as a [`Tap`](headcount::Tap) was shown it; `None` for polls, which are no input of
    /// the registry.
    pub fn lend<R>(&self, to: impl FnOnce(Input<'_>) -> R) -> Option<R> {
        let run_event;
        Some(to(match self {
            Self::Reserve { source } => Input::Reserve { source: *source },
            Self::Upgraded { conn } => Input::Upgraded { conn: *conn },
            Self::Connect { conn, who, start, previous } => {
                Input::Connect { conn: *conn, who, start, previous: *previous }
            }
            Self::Admit { who, start, previous } => {
                Input::Admit { who, start, previous: *previous }
            }
            Self::Follow { conn, thread, start } => Input::Follow { conn: *conn, thread, start },
            Self::Unfollow { conn, session } => Input::Unfollow { conn: *conn, session: *session },
            Self::Message { conn, inbound } => Input::Message { conn: *conn, inbound: *inbound },
            Self::Flushed { conn, total } => Input::Flushed { conn: *conn, total: *total },
            Self::FlushedMany { reports } => Input::FlushedMany { reports },
            Self::Disconnect { conn } => Input::Disconnect { conn: *conn },
            Self::Tick => Input::Tick,
            Self::Send { to, message, except } => {
                Input::Send { to: to.target(), message, except: *except }
            }
            Self::Reply { conn, message } => Input::Reply { conn: *conn, message },
            Self::ReplyAtOnce { conn, bytes } => Input::ReplyAtOnce { conn: *conn, bytes: *bytes },
            Self::Join { conn, room, start } => Input::Join { conn: *conn, room, start },
            Self::Leave { conn, room } => Input::Leave { conn: *conn, room },
            Self::Acknowledge { conn, stream, offset } => {
                Input::Acknowledge { conn: *conn, stream: stream.stream_ref(), offset: *offset }
            }
            Self::OpenRun { user, thread, run, agent, payload } => {
                Input::OpenRun { user, thread, run, agent, payload }
            }
            Self::RunEvent { user, run, event } => {
                run_event = event.borrow()?;
                Input::RunEvent { user, run, event: &run_event }
            }
            Self::RequestRun { conn, thread, run, input } => {
                Input::RequestRun { conn: *conn, thread: thread.as_ref(), run, input }
            }
            Self::RequestCancel { conn, run, reason } => {
                Input::RequestCancel { conn: *conn, run, reason }
            }
            Self::Close { to, with } => Input::Close { to: to.target(), with },
            Self::Refresh { conn, expires_at } => {
                Input::Refresh { conn: *conn, expires_at: *expires_at }
            }
            Self::Revoke { user } => Input::Revoke { user },
            Self::Drain { deadline } => Input::Drain { deadline: *deadline },
            Self::CancelDrain => Input::CancelDrain,
            Self::Reload { config } => Input::Reload { config },
            Self::Advance => Input::Advance,
            Self::Polled { .. } | Self::Noticed { .. } => return None,
        }))
    }

    /// Makes the same call again. It returns what it returned then, which is dropped. Actions that are
    /// polled are given to `see`.
    pub fn apply(&self, registry: &mut Registry, now: Timestamp, mut see: impl FnMut(&Action<'_>)) {
        match self {
            Self::Reserve { source } => {
                let _ = registry.reserve(now, *source);
            }
            Self::Upgraded { conn } => {
                let _ = registry.upgraded(now, *conn);
            }
            Self::Connect { conn, who, start, previous } => {
                let _ = registry.connect(now, *conn, who.clone(), start.clone(), *previous);
            }
            Self::Admit { who, start, previous } => {
                let _ = registry.admit(now, who.clone(), start.clone(), *previous);
            }
            Self::Follow { conn, thread, start } => {
                let _ = registry.follow(now, *conn, thread, start.clone());
            }
            Self::Unfollow { conn, session } => {
                let _ = registry.unfollow(now, *conn, *session);
            }
            Self::Message { conn, inbound } => {
                let _ = registry.message(now, *conn, *inbound);
            }
            Self::Flushed { conn, total } => {
                let _ = registry.flushed(now, *conn, *total);
            }
            Self::FlushedMany { reports } => registry.flushed_many(now, reports, |_, _| {}),
            Self::Disconnect { conn } => {
                let _ = registry.disconnect(now, *conn);
            }
            Self::Tick => registry.tick(now),
            Self::Send { to, message, except } => {
                let message = message.clone();
                let message = match *except {
                    None => Outgoing::from(message),
                    Some(Except::Connection(conn)) => message.except_connection(conn),
                    Some(Except::Session(conn)) => message.except_session(conn),
                    Some(Except::User(conn)) => message.except_user(conn),
                };
                registry.send(now, to.target(), message);
            }
            Self::Reply { conn, message } => {
                let _ = registry.reply(now, *conn, message.clone());
            }
            Self::ReplyAtOnce { conn, bytes } => {
                let _ = registry.reply_at_once(now, *conn, *bytes);
            }
            Self::Join { conn, room, start } => {
                let _ = registry.join(now, *conn, room, start.clone());
            }
            Self::Leave { conn, room } => {
                let _ = registry.leave(now, *conn, room);
            }
            Self::Acknowledge { conn, stream, offset } => {
                let _ = registry.acknowledge(now, *conn, stream.stream_ref(), *offset);
            }
            Self::OpenRun { user, thread, run, agent, payload } => {
                let _ = registry.scope(user).open_run(now, thread, run, agent, payload.clone());
            }
            Self::RunEvent { user, run, event } => {
                if let Some(event) = event.borrow() {
                    let _ = registry.scope(user).run_event(now, run, &event);
                }
            }
            Self::RequestRun { conn, thread, run, input } => {
                let _ = registry.request_run(now, *conn, thread.as_ref(), run, input.clone());
            }
            Self::RequestCancel { conn, run, reason } => {
                let _ = registry.request_cancel(now, *conn, run, reason.clone());
            }
            Self::Close { to, with } => {
                registry.close(now, to.target(), with.clone());
            }
            Self::Refresh { conn, expires_at } => {
                let _ = registry.refresh(now, *conn, *expires_at);
            }
            Self::Revoke { user } => {
                registry.revoke(now, user);
            }
            Self::Drain { deadline } => registry.drain(now, *deadline),
            Self::CancelDrain => {
                registry.cancel_drain(now);
            }
            Self::Reload { config } => {
                let _ = registry.reload(now, (**config).clone());
            }
            Self::Advance => registry.advance(now),
            Self::Polled { count, .. } => {
                for _ in 0..*count {
                    // Once there is nothing to do, there is nothing until the next input.
                    if !registry.has_actions() {
                        break;
                    }
                    if let Some(action) = registry.poll_action() {
                        see(&action);
                    }
                }
            }
            Self::Noticed { count } => {
                for _ in 0..*count {
                    if registry.poll_notice().is_none() {
                        break;
                    }
                }
            }
        }
    }
}
