//! What a registry shows its recorder, written down.

use headcount::{
    Action, CloseWith, ConnId, ConnKind, Inbound, Input, Part, Principal, RunEvent, RunId, Start,
    StreamRef, Tap, Timestamp, UserId,
};

use super::kind::{self, Kind};
use super::recorder::Recorder;
use super::{MAX_PAYLOAD_BYTES, digest, settings};

/// What one report of a flush takes at most: two numbers of 32 bits, and one of 64.
const REPORT_BYTES: u64 = 5 + 5 + 9;

impl Tap for Recorder {
    #[inline]
    fn input(&mut self, now: Timestamp, input: Input<'_>) {
        match input {
            // Nearly all inputs of a busy server. The others need more registers, and a call of their own.
            Input::Flushed { conn, total } => self.about(now, Kind::Flushed, conn, total),
            Input::Message { conn, inbound: Inbound::Data { bytes } } => {
                self.about(now, Kind::Data, conn, bytes);
            }
            Input::ReplyAtOnce { conn, bytes } => {
                self.about(now, Kind::ReplyAtOnce, conn, bytes as u64);
            }
            _ => self.record(now, input),
        }
    }

    fn polled(&mut self, action: Option<&Action<'_>>) {
        self.count_poll(action.map(digest::of));
    }

    fn noticed(&mut self) {
        self.count_notice();
    }
}

impl Recorder {
    #[inline(never)]
    fn record(&mut self, now: Timestamp, input: Input<'_>) {
        match input {
            Input::Flushed { conn, total } => self.about(now, Kind::Flushed, conn, total),
            Input::ReplyAtOnce { conn, bytes } => {
                self.about(now, Kind::ReplyAtOnce, conn, bytes as u64);
            }
            Input::FlushedMany { reports } => self.reports(now, reports),
            Input::Message { conn, inbound } => self.inbound(now, conn, inbound),
            Input::Send { to, message, except } => {
                self.end_if_too_large(message.payload());
                if self.enter(now, Kind::Send) {
                    self.target(&to);
                    self.message_body(message, except);
                }
            }
            Input::Reply { conn, message } => {
                self.end_if_too_large(message.payload());
                if self.enter(now, Kind::Reply) {
                    self.conn(conn);
                    self.message_body(message, None);
                }
            }
            Input::OpenRun { user, thread, run, agent, payload } => {
                self.end_if_too_large(payload);
                if self.enter(now, Kind::OpenRun) {
                    for name in [user.as_str(), thread.as_str(), run.as_str(), agent] {
                        self.name(name);
                    }
                    self.payload(payload);
                }
            }
            Input::RequestRun { conn, thread, run, input } => {
                self.end_if_too_large(input);
                if self.enter(now, Kind::RequestRun) {
                    self.conn(conn);
                    self.optional(thread, |recorder, thread| recorder.name(thread.as_str()));
                    self.name(run.as_str());
                    self.payload(input);
                }
            }
            Input::RequestCancel { conn, run, reason } => {
                self.end_if_too_large(reason);
                if self.enter(now, Kind::RequestCancel) {
                    self.conn(conn);
                    self.name(run.as_str());
                    self.payload(reason);
                }
            }
            Input::RunEvent { user, run, event } => self.run_event(now, user, run, event),
            Input::Tick => _ = self.enter(now, Kind::Tick),
            Input::Advance => _ = self.enter(now, Kind::Advance),
            Input::CancelDrain => _ = self.enter(now, Kind::CancelDrain),
            Input::Reserve { source } => {
                if self.enter(now, Kind::Reserve) {
                    self.optional(source, Self::source);
                }
            }
            Input::Upgraded { conn } => {
                if self.enter(now, Kind::Upgraded) {
                    self.conn(conn);
                }
            }
            Input::Connect { conn, who, start, previous } => {
                if self.enter(now, Kind::Connect) {
                    self.conn(conn);
                    self.newcomer(who, start, previous);
                }
            }
            Input::Admit { who, start, previous } => {
                if self.enter(now, Kind::Admit) {
                    self.newcomer(who, start, previous);
                }
            }
            Input::Disconnect { conn } => {
                if self.enter(now, Kind::Disconnect) {
                    self.conn(conn);
                }
            }
            Input::Follow { conn, thread, start } => {
                if self.enter(now, Kind::Follow) {
                    self.conn(conn);
                    self.name(thread.as_str());
                    self.start(start);
                }
            }
            Input::Unfollow { conn, session } => {
                if self.enter(now, Kind::Unfollow) {
                    self.conn(conn);
                    self.handle(session.to_bits());
                }
            }
            Input::Join { conn, room, start } => {
                if self.enter(now, Kind::Join) {
                    self.conn(conn);
                    self.name(room.as_str());
                    self.start(start);
                }
            }
            Input::Leave { conn, room } => {
                if self.enter(now, Kind::Leave) {
                    self.conn(conn);
                    self.name(room.as_str());
                }
            }
            Input::Acknowledge { conn, stream, offset } => {
                if self.enter(now, Kind::Acknowledge) {
                    self.conn(conn);
                    self.stream(stream);
                    self.number(offset);
                }
            }
            Input::Close { to, with } => {
                if self.enter(now, Kind::Close) {
                    self.target(&to);
                    match with {
                        CloseWith::Reason(reason) => self.buffer.push(*reason as u8),
                        CloseWith::Words(words) => {
                            self.buffer.push(kind::WORDS);
                            self.number(words.code().into());
                            self.payload(words.text().as_bytes());
                        }
                    }
                }
            }
            Input::Refresh { conn, expires_at } => {
                if self.enter(now, Kind::Refresh) {
                    self.conn(conn);
                    self.optional(expires_at, |recorder, at| recorder.number(at.as_nanos()));
                }
            }
            Input::Revoke { user } => {
                if self.enter(now, Kind::Revoke) {
                    self.name(user.as_str());
                }
            }
            Input::Drain { deadline } => {
                if self.enter(now, Kind::Drain) {
                    self.optional(deadline, Self::duration);
                }
            }
            Input::Reload { config } => {
                if self.enter(now, Kind::Reload) {
                    settings::put(&mut self.buffer, config);
                }
            }
        }
    }

    fn end_if_too_large(&mut self, payload: &[u8]) {
        if payload.len() as u64 > MAX_PAYLOAD_BYTES {
            self.overflow();
        }
    }

    fn reports(&mut self, now: Timestamp, reports: &[(ConnId, u64)]) {
        if reports.len() as u64 > MAX_PAYLOAD_BYTES / REPORT_BYTES {
            self.overflow();
        }
        if self.enter(now, Kind::FlushedMany) {
            self.number(reports.len() as u64);
            for (conn, total) in reports {
                self.conn_and_number(*conn, *total);
            }
        }
    }

    fn inbound(&mut self, now: Timestamp, conn: ConnId, inbound: Inbound) {
        let kind = match inbound {
            Inbound::Data { bytes } => return self.about(now, Kind::Data, conn, bytes),
            Inbound::Bytes { bytes, partial: false } => {
                return self.about(now, Kind::Bytes, conn, bytes);
            }
            Inbound::Bytes { bytes, partial: true } => {
                return self.about(now, Kind::PartialBytes, conn, bytes);
            }
            Inbound::Fragment => Kind::Fragment,
            Inbound::Ping => Kind::Ping,
            Inbound::Pong => Kind::Pong,
        };
        if self.enter(now, kind) {
            self.conn(conn);
        }
    }

    fn start(&mut self, start: &Start) {
        match start {
            Start::Now => self.buffer.push(kind::NOW),
            Start::OpenRuns => self.buffer.push(kind::OPEN_RUNS),
            Start::Recent => self.buffer.push(kind::RECENT),
            Start::Run(run) => {
                self.buffer.push(kind::RUN);
                self.name(run.as_str());
            }
            Start::After(position) => {
                self.buffer.push(kind::AFTER);
                self.position(*position);
            }
            Start::Kept => self.buffer.push(kind::KEPT),
        }
    }

    fn stream(&mut self, stream: StreamRef<'_>) {
        match stream {
            StreamRef::Session(session) => {
                self.buffer.push(kind::SESSION);
                self.handle(session.to_bits());
            }
            StreamRef::Room(room) => {
                self.buffer.push(kind::ROOM);
                self.name(room.as_str());
            }
            StreamRef::Direct => self.buffer.push(kind::CONN),
            StreamRef::Everyone => self.buffer.push(kind::EVERYONE),
        }
    }

    fn newcomer(&mut self, who: &Principal, start: &Start, previous: Option<ConnId>) {
        self.buffer.push(
            u8::from(who.label().is_some())
                | u8::from(who.expires_at().is_some()) << 1
                | u8::from(who.thread().is_some()) << 2
                | u8::from(previous.is_some()) << 3
                | u8::from(who.max_connections().is_some()) << 4
                | u8::from(who.kind() == ConnKind::EventStream) << 5
                | u8::from(who.tenant().is_some()) << 6,
        );
        self.name(who.user().as_str());
        if let Some(tenant) = who.tenant() {
            self.name(tenant.as_str());
        }
        if let Some(thread) = who.thread() {
            self.name(thread.as_str());
        }
        if let Some(label) = who.label() {
            self.name(label);
        }
        if let Some(at) = who.expires_at() {
            self.number(at.as_nanos());
        }
        if let Some(limit) = who.max_connections() {
            self.number(limit.get().into());
        }
        self.start(start);
        if let Some(conn) = previous {
            self.conn(conn);
        }
    }

    fn run_event(&mut self, now: Timestamp, user: &UserId, run: &RunId, event: &RunEvent<'_>) {
        let payload = event.payload();
        self.end_if_too_large(payload);
        if self.enter(now, Kind::RunEvent) {
            self.name(user.as_str());
            self.name(run.as_str());
            match (event, event.kind()) {
                (_, Some(kind)) => self.buffer.push(kind as u8),
                (RunEvent::Delta { part, .. }, None) if *part != Part::TEXT => {
                    self.buffer.extend([kind::PART, part.kind as u8]);
                    self.name(part.id);
                }
                (_, None) => self.buffer.push(kind::TEXT),
            }
            if let RunEvent::ToolExecuting { call, .. } | RunEvent::ToolCompleted { call, .. } =
                event
            {
                self.name(call);
            }
            if let RunEvent::ToolExecuting { expect, .. } = event {
                self.optional(*expect, Self::duration);
            }
            self.payload(payload);
        }
    }
}
