//! Reads inputs back. Any bytes may come here: what means nothing is `None`, and nothing is
//! allocated because a number announces it, but for one buffer that stands for all payloads that
//! were left out.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use core::num::NonZeroU32;
use core::time::Duration;

use bytes::Bytes;

use headcount::{
    CloseReason, CloseWith, CloseWords, ConnId, ConnKind, Except, Inbound, Key, Message, PartKind,
    Position, Principal, RoomId, RunEventKind, RunId, SessionId, Source, Start, TenantId, ThreadId,
    Timestamp, UserId,
};

use super::input::{OwnedInput, OwnedRunEvent, Recipient, Stream};
use super::kind::{self, Kind};
use super::recording::pseudonym;
use super::{MAX_PAYLOAD_BYTES, number, settings};

/// The bytes that are still to be read, and what is needed to read them.
pub(super) struct Decoder<'a, 'b> {
    pub(super) bytes: &'b mut &'a [u8],
    pub(super) names: bool,
    pub(super) payloads: bool,
    /// As many zeros as the largest payload so far that was left out.
    pub(super) filler: &'b mut Bytes,
}

impl Decoder<'_, '_> {
    fn byte(&mut self) -> Option<u8> {
        self.bytes.split_off_first().copied()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        number::take(self.bytes)
    }

    fn word(&mut self) -> Option<u64> {
        let bytes = self.bytes.split_off(..8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn bits(&mut self) -> Option<u64> {
        let index = u32::try_from(self.number()?).ok()?;
        let serial = u32::try_from(self.number()?).ok()?;
        Some(u64::from(serial) << 32 | u64::from(index))
    }

    fn conn(&mut self) -> Option<ConnId> {
        ConnId::from_bits(self.bits()?)
    }

    fn name(&mut self) -> Option<String> {
        let length = self.length()?;
        if self.names {
            let bytes = self.bytes.split_off(..length)?;
            return str::from_utf8(bytes).ok().map(Into::into);
        }
        Some(pseudonym(length, self.word()?))
    }

    fn user(&mut self) -> Option<UserId> {
        UserId::new(self.name()?).ok()
    }

    fn thread(&mut self) -> Option<ThreadId> {
        ThreadId::new(self.name()?).ok()
    }

    fn run(&mut self) -> Option<RunId> {
        RunId::new(self.name()?).ok()
    }

    fn room(&mut self) -> Option<RoomId> {
        RoomId::new(self.name()?).ok()
    }

    fn payload(&mut self) -> Option<Bytes> {
        let announced = self.number()?;
        if announced > MAX_PAYLOAD_BYTES {
            return None;
        }
        let length = usize::try_from(announced).ok()?;
        if self.payloads {
            return self.bytes.split_off(..length).map(Bytes::copy_from_slice);
        }
        if self.filler.len() < length {
            *self.filler = Bytes::from(vec![0; length.next_power_of_two()]);
        }
        Some(self.filler.slice(..length))
    }

    fn position(&mut self) -> Option<Position> {
        Some(Position { epoch: self.word()?, offset: self.number()? })
    }

    fn reports(&mut self) -> Option<Box<[(ConnId, u64)]>> {
        let count = self.length()?;
        // The number is not believed: what is kept grows with what is there.
        (0..count).map(|_| Some((self.conn()?, self.number()?))).collect()
    }

    fn recipient(&mut self) -> Option<Recipient> {
        Some(match self.byte()? {
            kind::CONN => Recipient::Conn(self.conn()?),
            kind::SESSION => Recipient::Session(SessionId::from_bits(self.bits()?)?),
            kind::SESSION_OF => Recipient::SessionOf(self.conn()?),
            kind::USER_OF => Recipient::UserOf(self.conn()?),
            kind::USER => Recipient::User(self.user()?),
            kind::ROOM => Recipient::Room(self.room()?),
            kind::EVERYONE => Recipient::Everyone,
            _ => return None,
        })
    }

    fn message(&mut self) -> Option<(Message, Option<Except>)> {
        let flags = self.byte()?;
        let key = if flags & 3 == 2 { Some(Key::new(self.name()?).ok()?) } else { None };
        let except = match flags >> 3 {
            0 => None,
            1 => Some(Except::Connection(self.conn()?)),
            2 => Some(Except::Session(self.conn()?)),
            3 => Some(Except::User(self.conn()?)),
            _ => return None,
        };
        let payload = self.payload()?;
        let text = flags & 4 > 0;
        let message =
            if text { Message::from_utf8(payload).ok()? } else { Message::binary(payload) };
        let message = match (flags & 3, key) {
            (0, None) => message,
            (1, None) => message.droppable(),
            (2, Some(key)) => message.latest(key),
            _ => return None,
        };
        Some((message, except))
    }

    fn start(&mut self) -> Option<Start> {
        Some(match self.byte()? {
            kind::NOW => Start::Now,
            kind::OPEN_RUNS => Start::OpenRuns,
            kind::RECENT => Start::Recent,
            kind::RUN => Start::Run(self.run()?),
            kind::AFTER => Start::After(self.position()?),
            kind::KEPT => Start::Kept,
            _ => return None,
        })
    }

    fn stream(&mut self) -> Option<Stream> {
        Some(match self.byte()? {
            kind::CONN => Stream::Direct,
            kind::SESSION => Stream::Session(SessionId::from_bits(self.bits()?)?),
            kind::ROOM => Stream::Room(self.room()?),
            kind::EVERYONE => Stream::Everyone,
            _ => return None,
        })
    }

    /// Who comes, where they begin, and the connection that they had.
    fn newcomer(&mut self) -> Option<(Principal, Start, Option<ConnId>)> {
        let flags = self.byte()?;
        let has = |bit: u8| flags & bit > 0;
        let mut who = Principal::new(self.user()?);
        if has(64) {
            who = who.with_tenant(TenantId::new(self.name()?).ok()?);
        }
        if has(4) {
            who = who.with_thread(self.thread()?);
        }
        if has(1) {
            who = who.with_label(self.name()?).ok()?;
        }
        if has(2) {
            who = who.with_expiry(Timestamp::from_nanos(self.number()?));
        }
        if has(16) {
            let limit = u32::try_from(self.number()?).ok().and_then(NonZeroU32::new)?;
            who = who.with_max_connections(limit);
        }
        let start = self.start()?;
        let previous = if has(8) { Some(self.conn()?) } else { None };
        if has(32) {
            who = who.with_kind(ConnKind::EventStream);
        }
        if flags >> 7 > 0 {
            return None;
        }
        Some((who, start, previous))
    }

    fn event(&mut self) -> Option<OwnedRunEvent> {
        let mut part = PartKind::Text;
        let (kind, name) = match self.byte()? {
            kind::TEXT => (None, String::new()),
            kind::PART => {
                part = *PartKind::ALL.get(usize::from(self.byte()?))?;
                (None, self.name()?)
            }
            byte => match *RunEventKind::ALL.get(usize::from(byte))? {
                RunEventKind::Started | RunEventKind::Requested | RunEventKind::CancelRequested => {
                    return None;
                }
                kind @ (RunEventKind::ToolExecuting | RunEventKind::ToolCompleted) => {
                    (Some(kind), self.name()?)
                }
                kind => (Some(kind), String::new()),
            },
        };
        let expects = kind == Some(RunEventKind::ToolExecuting) && self.flag()?;
        let expect = if expects { Some(Duration::from_nanos(self.number()?)) } else { None };
        let payload = self.payload()?;
        if kind.is_none() && str::from_utf8(&payload).is_err() {
            return None;
        }
        Some(OwnedRunEvent { kind, name: name.into(), part, expect, payload })
    }

    /// The fields of an input of this kind; `None` also for the kinds that are none.
    pub(super) fn input(&mut self, kind: Kind) -> Option<OwnedInput> {
        Some(match kind {
            Kind::Begin | Kind::Overflowed | Kind::Resume => return None,
            Kind::Polled => {
                let count = self.number()?;
                let digest = self.bytes.split_off(..4)?.try_into().ok()?;
                OwnedInput::Polled { count, digest: u32::from_le_bytes(digest) }
            }
            Kind::Noticed => OwnedInput::Noticed { count: self.number()? },
            Kind::Reserve => {
                let source = if self.flag()? { Some(Source::opaque(self.word()?)) } else { None };
                OwnedInput::Reserve { source }
            }
            Kind::Upgraded => OwnedInput::Upgraded { conn: self.conn()? },
            Kind::Connect => {
                let conn = self.conn()?;
                let (who, start, previous) = self.newcomer()?;
                OwnedInput::Connect { conn, who, start, previous }
            }
            Kind::Admit => {
                let (who, start, previous) = self.newcomer()?;
                OwnedInput::Admit { who, start, previous }
            }
            Kind::Data => {
                let conn = self.conn()?;
                OwnedInput::Message { conn, inbound: Inbound::Data { bytes: self.number()? } }
            }
            Kind::Bytes | Kind::PartialBytes => {
                let (conn, bytes) = (self.conn()?, self.number()?);
                let partial = kind == Kind::PartialBytes;
                OwnedInput::Message { conn, inbound: Inbound::Bytes { bytes, partial } }
            }
            Kind::Fragment => {
                OwnedInput::Message { conn: self.conn()?, inbound: Inbound::Fragment }
            }
            Kind::Ping => OwnedInput::Message { conn: self.conn()?, inbound: Inbound::Ping },
            Kind::Pong => OwnedInput::Message { conn: self.conn()?, inbound: Inbound::Pong },
            Kind::Flushed => OwnedInput::Flushed { conn: self.conn()?, total: self.number()? },
            Kind::FlushedMany => OwnedInput::FlushedMany { reports: self.reports()? },
            Kind::Disconnect => OwnedInput::Disconnect { conn: self.conn()? },
            Kind::Tick => OwnedInput::Tick,
            Kind::Send => {
                let to = self.recipient()?;
                let (message, except) = self.message()?;
                OwnedInput::Send { to, message, except }
            }
            Kind::Reply => match (self.conn()?, self.message()?) {
                (conn, (message, None)) => OwnedInput::Reply { conn, message },
                _ => return None,
            },
            Kind::ReplyAtOnce => {
                let (conn, bytes) = (self.conn()?, self.number()?);
                OwnedInput::ReplyAtOnce { conn, bytes: bytes.try_into().ok()? }
            }
            Kind::Join => {
                let (conn, room) = (self.conn()?, self.room()?);
                OwnedInput::Join { conn, room, start: self.start()? }
            }
            Kind::Leave => OwnedInput::Leave { conn: self.conn()?, room: self.room()? },
            Kind::Acknowledge => {
                let conn = self.conn()?;
                let stream = self.stream()?;
                OwnedInput::Acknowledge { conn, stream, offset: self.number()? }
            }
            Kind::OpenRun => OwnedInput::OpenRun {
                user: self.user()?,
                thread: self.thread()?,
                run: self.run()?,
                agent: Box::from(self.name()?),
                payload: self.payload()?,
            },
            Kind::RunEvent => {
                OwnedInput::RunEvent { user: self.user()?, run: self.run()?, event: self.event()? }
            }
            Kind::RequestRun => {
                let conn = self.conn()?;
                let thread = if self.flag()? { Some(self.thread()?) } else { None };
                OwnedInput::RequestRun { conn, thread, run: self.run()?, input: self.payload()? }
            }
            Kind::RequestCancel => OwnedInput::RequestCancel {
                conn: self.conn()?,
                run: self.run()?,
                reason: self.payload()?,
            },
            Kind::Close => {
                let to = self.recipient()?;
                let with = match self.byte()? {
                    kind::WORDS => {
                        let code = u16::try_from(self.number()?).ok()?;
                        let text = self.payload()?;
                        CloseWords::new(code, str::from_utf8(&text).ok()?).ok()?.into()
                    }
                    reason => CloseWith::Reason(*CloseReason::ALL.get(usize::from(reason))?),
                };
                OwnedInput::Close { to, with }
            }
            Kind::Refresh => {
                let conn = self.conn()?;
                let expires_at =
                    if self.flag()? { Some(Timestamp::from_nanos(self.number()?)) } else { None };
                OwnedInput::Refresh { conn, expires_at }
            }
            Kind::Revoke => OwnedInput::Revoke { user: self.user()? },
            Kind::Drain => {
                let deadline =
                    if self.flag()? { Some(Duration::from_nanos(self.number()?)) } else { None };
                OwnedInput::Drain { deadline }
            }
            Kind::CancelDrain => OwnedInput::CancelDrain,
            Kind::Reload => OwnedInput::Reload { config: Box::new(settings::take(self.bytes)?) },
            Kind::Advance => OwnedInput::Advance,
            Kind::Follow => OwnedInput::Follow {
                conn: self.conn()?,
                thread: self.thread()?,
                start: self.start()?,
            },
            Kind::Unfollow => {
                let conn = self.conn()?;
                OwnedInput::Unfollow { conn, session: SessionId::from_bits(self.bits()?)? }
            }
        })
    }
}
