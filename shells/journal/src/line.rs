//! Inputs and actions as text: one line each, and the same line for the same thing.
//!
//! Handles are the 16 hexadecimal digits of their [`to_bits`](ConnId::to_bits), epochs likewise.

use core::fmt::{self, Display, Formatter, Write as _};

use headcount::{
    Action, Body, Class, ConnId, ConnKind, Ended, Except, Inbound, Message, Part, Position,
    Principal, RunEventKind, Source, Start, StreamRef, shown,
};

use super::input::{OwnedInput, Recipient};

/// An action as one line of text, for a person or a program that compares.
///
/// Payloads are lengths, unless they are asked for; names are printed whole, as
/// [`shown`] does.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a, 'b> {
    action: &'a Action<'b>,
    payloads: bool,
}

impl<'a, 'b> Line<'a, 'b> {
    /// The line of an action.
    #[must_use]
    pub const fn new(action: &'a Action<'b>) -> Self {
        Self { action, payloads: false }
    }

    /// With payloads: text as a Rust string, binary ones as hexadecimal digits.
    #[must_use]
    pub const fn with_payloads(mut self, payloads: bool) -> Self {
        self.payloads = payloads;
        self
    }

    fn body(&self, f: &mut Formatter<'_>, body: &Body<'_>) -> fmt::Result {
        let text = match body {
            Body::Message(message) => {
                let kind = if message.is_text() { "text" } else { "binary" };
                write!(f, " {kind} {}", message.payload().len())?;
                message.is_text()
            }
            Body::Run(fact) => {
                write!(f, " run {} {}", fact.run, fact.kind)?;
                if let Some(failure) = fact.failure {
                    write!(f, " {failure:?}")?;
                }
                write!(f, " by {} {}", fact.agent, fact.payload.len())?;
                false
            }
            Body::Text(text) => {
                let (run, bytes) = (text.run, text.text.len());
                write!(f, " run {run} text{} by {} {bytes}", OfPart(text.part), text.agent)?;
                true
            }
        };
        match (self.payloads, text, str::from_utf8(body.as_bytes())) {
            (true, true, Ok(text)) => write!(f, " {text:?}"),
            (true, ..) if !body.as_bytes().is_empty() => {
                f.write_str(" ")?;
                body.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            _ => Ok(()),
        }
    }
}

impl Display for Line<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Showing(f), "{}", Raw(self))
    }
}

/// What is written through it is [`shown`].
struct Showing<'a, 'b>(&'a mut Formatter<'b>);

impl fmt::Write for Showing<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write!(self.0, "{}", shown(text))
    }
}

/// The same with names as they are: they may hold what breaks a line.
struct Raw<'a, T>(&'a T);

impl Display for Raw<'_, Line<'_, '_>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.action {
            Action::Send { to, stream, position, body } => {
                write!(f, "send {}{}", Handles(to), Stream(stream))?;
                if let Some(position) = position {
                    write!(f, " {}", At(position))?;
                }
                self.0.body(f, body)
            }
            Action::Gap { conn, stream, from, to } => {
                write!(f, "gap {conn}{} {from}..={to}", Stream(stream))
            }
            Action::Ping { conn } => write!(f, "ping {conn}"),
            Action::Draining { to, within } => {
                write!(f, "draining {} {:?}..{:?}", Handles(to), within.start, within.end)
            }
            Action::Left { conn, session, reason } => {
                write!(f, "left {conn} session {session} {reason}")
            }
            Action::Close { conn, reason, code, text } => {
                write!(f, "close {conn} {code} {reason}")?;
                match self.0.payloads && text != &reason.name() {
                    true => write!(f, " {text:?}"),
                    false => Ok(()),
                }
            }
            Action::Cleanup { what: Ended::Conn(conn), reason } => {
                write!(f, "cleanup {conn} {reason}")
            }
            Action::Cleanup { what: Ended::Session(session), reason } => {
                write!(f, "cleanup session {session} {reason}")
            }
            Action::Presence { user, online } => {
                write!(f, "presence {user} {}", if *online { "online" } else { "offline" })
            }
        }
    }
}

/// Names are printed whole, as [`shown`] does: in a journal without names they are
/// pseudonyms. Payloads are lengths.
impl Display for OwnedInput {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Showing(f), "{}", Raw(self))
    }
}

impl Display for Raw<'_, OwnedInput> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            OwnedInput::Reserve { source } => {
                f.write_str("reserve")?;
                let pseudonym = source.and_then(Source::opaque_number);
                pseudonym.map_or(Ok(()), |source| write!(f, " from {source:016x}"))
            }
            OwnedInput::Upgraded { conn } => write!(f, "upgraded {conn}"),
            OwnedInput::Connect { conn, who, start, previous } => {
                write!(f, "connect {conn} {}", Newcomer(who, start, *previous))
            }
            OwnedInput::Admit { who, start, previous } => {
                write!(f, "admit {}", Newcomer(who, start, *previous))
            }
            OwnedInput::Message { conn, inbound } => match inbound {
                Inbound::Data { bytes } => write!(f, "message {conn} data {bytes}"),
                Inbound::Bytes { bytes, partial } => {
                    let rest = if *partial { " partial" } else { "" };
                    write!(f, "message {conn} bytes {bytes}{rest}")
                }
                Inbound::Fragment => write!(f, "message {conn} fragment"),
                Inbound::Ping => write!(f, "message {conn} ping"),
                Inbound::Pong => write!(f, "message {conn} pong"),
            },
            OwnedInput::Flushed { conn, total } => write!(f, "flushed {conn} {total}"),
            OwnedInput::FlushedMany { reports } => {
                f.write_str("flushed_many")?;
                reports.iter().try_for_each(|(conn, total)| write!(f, " {conn} {total}"))
            }
            OwnedInput::Disconnect { conn } => write!(f, "disconnect {conn}"),
            OwnedInput::Tick => f.write_str("tick"),
            OwnedInput::Send { to, message, except } => {
                write!(f, "send to {to} {}", Sent(message, *except))
            }
            OwnedInput::Reply { conn, message } => {
                write!(f, "reply to {conn} {}", Sent(message, None))
            }
            OwnedInput::ReplyAtOnce { conn, bytes } => {
                write!(f, "reply at once to {conn} {bytes} bytes")
            }
            OwnedInput::Follow { conn, thread, start } => {
                write!(f, "follow {conn} thread {thread}{}", From(start))
            }
            OwnedInput::Unfollow { conn, session } => {
                write!(f, "unfollow {conn} session {session}")
            }
            OwnedInput::Join { conn, room, start } => {
                write!(f, "join {conn} room {room}{}", From(start))
            }
            OwnedInput::Leave { conn, room } => {
                write!(f, "leave {conn} room {room}")
            }
            OwnedInput::Acknowledge { conn, stream, offset } => {
                write!(f, "acknowledge {conn}{} {offset}", Stream(&stream.stream_ref()))
            }
            OwnedInput::OpenRun { user, thread, run, agent, payload } => write!(
                f,
                "open_run user {user} thread {thread} run {run} by {agent} {}",
                payload.len()
            ),
            OwnedInput::RunEvent { user, run, event } => {
                write!(f, "run_event user {user} run {run} {}", kind_name(event.kind()))?;
                if let Some(part) = event.part() {
                    write!(f, "{}", OfPart(part))?;
                }
                if let Some(call) = event.call() {
                    write!(f, " call {call}")?;
                }
                if let Some(expect) = event.expect() {
                    write!(f, " expect {expect:?}")?;
                }
                write!(f, " {}", event.payload().len())
            }
            OwnedInput::RequestRun { conn, thread, run, input } => {
                write!(f, "request_run {conn}")?;
                if let Some(thread) = thread {
                    write!(f, " thread {thread}")?;
                }
                write!(f, " run {run} {}", input.len())
            }
            OwnedInput::RequestCancel { conn, run, reason } => {
                write!(f, "request_cancel {conn} run {run} {}", reason.len())
            }
            OwnedInput::Close { to, with } => {
                write!(f, "close {to} {} {}", with.code(), with.reason())
            }
            OwnedInput::Refresh { conn, expires_at: Some(at) } => {
                write!(f, "refresh {conn} expires {at:?}")
            }
            OwnedInput::Refresh { conn, expires_at: None } => {
                write!(f, "refresh {conn}")
            }
            OwnedInput::Revoke { user } => write!(f, "revoke user {user}"),
            OwnedInput::Drain { deadline: Some(deadline) } => write!(f, "drain {deadline:?}"),
            OwnedInput::Drain { deadline: None } => f.write_str("drain"),
            OwnedInput::CancelDrain => f.write_str("cancel_drain"),
            OwnedInput::Reload { .. } => f.write_str("reload"),
            OwnedInput::Advance => f.write_str("pass"),
            OwnedInput::Polled { count, .. } => write!(f, "polled {count}"),
            OwnedInput::Noticed { count } => write!(f, "noticed {count}"),
        }
    }
}

impl Display for Recipient {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conn(conn) => conn.fmt(f),
            Self::Session(session) => write!(f, "session {session}"),
            Self::SessionOf(conn) => write!(f, "session_of {conn}"),
            Self::UserOf(conn) => write!(f, "user_of {conn}"),
            Self::User(user) => write!(f, "user {user}"),
            Self::Room(room) => write!(f, "room {room}"),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

fn kind_name(kind: Option<RunEventKind>) -> &'static str {
    kind.map_or("text", RunEventKind::name)
}

struct Newcomer<'a>(&'a Principal, &'a Start, Option<ConnId>);

impl Display for Newcomer<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(who, start, previous) = *self;
        write!(f, "user {}", who.user())?;
        if let Some(tenant) = who.tenant() {
            write!(f, " tenant {tenant}")?;
        }
        if let Some(thread) = who.thread() {
            write!(f, " thread {thread}")?;
        }
        if who.kind() != ConnKind::Socket {
            write!(f, " {}", who.kind())?;
        }
        if let Some(label) = who.label() {
            write!(f, " label {label:?}")?;
        }
        if let Some(at) = who.expires_at() {
            write!(f, " expires {at:?}")?;
        }
        if let Some(limit) = who.max_connections() {
            write!(f, " of_at_most {limit}")?;
        }
        write!(f, "{}", From(start))?;
        previous.map_or(Ok(()), |conn| write!(f, " previous {conn}"))
    }
}

/// Where a client begins, unless it is where most do.
struct From<'a>(&'a Start);

impl Display for From<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Start::OpenRuns => Ok(()),
            Start::Now => f.write_str(" now"),
            Start::Recent => f.write_str(" recent"),
            Start::Run(run) => write!(f, " run {run}"),
            Start::After(position) => write!(f, " since {}", At(position)),
            Start::Kept => f.write_str(" kept"),
        }
    }
}

struct Handles<'a>(&'a [ConnId]);

impl Display for Handles<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, conn) in self.0.iter().enumerate() {
            write!(f, "{}{conn}", if number > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

struct Stream<'a, 'b>(&'a StreamRef<'b>);

impl Display for Stream<'_, '_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            StreamRef::Session(session) => write!(f, " session {session}"),
            StreamRef::Room(room) => write!(f, " room {room}"),
            StreamRef::Direct => f.write_str(" direct"),
            StreamRef::Everyone => f.write_str(" everyone"),
        }
    }
}

/// A part that has a name.
struct OfPart<'a>(Part<'a>);

impl Display for OfPart<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Part { id, kind } = self.0;
        if self.0 == Part::TEXT { Ok(()) } else { write!(f, " of {kind} {id}") }
    }
}

struct At<'a>(&'a Position);

impl Display for At<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{}", self.0.epoch, self.0.offset)
    }
}

struct Sent<'a>(&'a Message, Option<Except>);

impl Display for Sent<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = if self.0.is_text() { "text" } else { "binary" };
        write!(f, "{kind} {}", self.0.payload().len())?;
        match self.0.class() {
            Class::Critical => {}
            Class::Droppable => f.write_str(" droppable")?,
            Class::Latest(key) => write!(f, " latest {key}")?,
        }
        match self.1 {
            None => Ok(()),
            Some(Except::Connection(conn)) => write!(f, " except {conn}"),
            Some(Except::Session(conn)) => write!(f, " except the session of {conn}"),
            Some(Except::User(conn)) => write!(f, " except the user of {conn}"),
        }
    }
}
