//! One method a door of the registry: each writes down what the door was given.

use core::time::Duration;

use bytes::Bytes;

use crate::action::{CloseReason, Message, Position};
use crate::config::Config;
use crate::id::{ConnId, Principal, RoomId, RunId, ThreadId, UserId};
use crate::registry::{Inbound, Resume, Target};
use crate::run::RunEvent;
use crate::time::Timestamp;
use crate::waiting::Source;

use super::kind::{self, Kind};
use super::recorder::Recorder;
use super::{MAX_PAYLOAD_BYTES, settings};

impl Recorder {
    pub(crate) fn reserve(&mut self, now: Timestamp, source: Option<Source>) {
        if self.enter(now, Kind::Reserve) {
            self.flag(source.is_some());
            if let Some(source) = source {
                self.source(source);
            }
        }
    }

    pub(crate) fn upgraded(&mut self, now: Timestamp, conn: ConnId) {
        if self.enter(now, Kind::Upgraded) {
            self.conn(conn);
        }
    }

    pub(crate) fn connect(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        who: &Principal,
        resume: Option<&Resume>,
    ) {
        if self.enter(now, Kind::Connect) {
            self.conn(conn);
            self.principal_and_resume(who, resume);
        }
    }

    pub(crate) fn admit(&mut self, now: Timestamp, who: &Principal, resume: Option<&Resume>) {
        if self.enter(now, Kind::Admit) {
            self.principal_and_resume(who, resume);
        }
    }

    fn principal_and_resume(&mut self, who: &Principal, resume: Option<&Resume>) {
        let expires = who.expires_at != Timestamp::MAX;
        let position = resume.and_then(|resume| resume.position);
        let previous = resume.and_then(|resume| resume.previous);
        self.buffer.push(
            u8::from(who.label.is_some())
                | u8::from(expires) << 1
                | u8::from(position.is_some()) << 2
                | u8::from(previous.is_some()) << 3
                | u8::from(who.max_connections.is_some()) << 4,
        );
        self.name(who.user.as_str());
        self.name(who.thread.as_str());
        if let Some(label) = &who.label {
            self.name(label);
        }
        if expires {
            self.number(who.expires_at.as_nanos());
        }
        if let Some(limit) = who.max_connections {
            self.number(limit.get().into());
        }
        if let Some(position) = position {
            self.position(position);
        }
        if let Some(conn) = previous {
            self.conn(conn);
        }
    }

    #[inline]
    pub(crate) fn message(&mut self, now: Timestamp, conn: ConnId, inbound: Inbound) {
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

    #[inline]
    pub(crate) fn flushed(&mut self, now: Timestamp, conn: ConnId, total: u64) {
        self.about(now, Kind::Flushed, conn, total);
    }

    pub(crate) fn disconnect(&mut self, now: Timestamp, conn: ConnId) {
        if self.enter(now, Kind::Disconnect) {
            self.conn(conn);
        }
    }

    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.enter(now, Kind::Tick);
    }

    pub(crate) fn send(&mut self, now: Timestamp, to: &Target<'_>, message: &Message) {
        if message.payload().len() as u64 > MAX_PAYLOAD_BYTES {
            self.overflow();
        }
        if self.enter(now, Kind::Send) {
            self.target(to);
            self.message_body(message);
        }
    }

    pub(crate) fn reply(&mut self, now: Timestamp, conn: ConnId, message: &Message) {
        if message.payload().len() as u64 > MAX_PAYLOAD_BYTES {
            self.overflow();
        }
        if self.enter(now, Kind::Reply) {
            self.conn(conn);
            self.message_body(message);
        }
    }

    pub(crate) fn join(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        room: &RoomId,
        since: Option<Position>,
    ) {
        if self.enter(now, Kind::Join) {
            self.conn(conn);
            self.name(room.as_str());
            self.flag(since.is_some());
            if let Some(position) = since {
                self.position(position);
            }
        }
    }

    pub(crate) fn leave(&mut self, now: Timestamp, conn: ConnId, room: &RoomId) {
        if self.enter(now, Kind::Leave) {
            self.conn(conn);
            self.name(room.as_str());
        }
    }

    pub(crate) fn acknowledge(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        room: Option<&RoomId>,
        offset: u64,
    ) {
        if self.enter(now, Kind::Acknowledge) {
            self.conn(conn);
            self.flag(room.is_some());
            if let Some(room) = room {
                self.name(room.as_str());
            }
            self.number(offset);
        }
    }

    pub(crate) fn open_run(
        &mut self,
        now: Timestamp,
        names: (&UserId, &ThreadId, &RunId),
        agent: &str,
        payload: &Bytes,
    ) {
        if payload.len() as u64 > MAX_PAYLOAD_BYTES {
            self.overflow();
        }
        if self.enter(now, Kind::OpenRun) {
            let (user, thread, run) = names;
            self.name(user.as_str());
            self.name(thread.as_str());
            self.name(run.as_str());
            self.name(agent);
            self.payload(payload);
        }
    }

    pub(crate) fn run_event(
        &mut self,
        now: Timestamp,
        user: &UserId,
        run: &RunId,
        event: &RunEvent<'_>,
    ) {
        let (call, payload) = match event {
            RunEvent::Text(text) => (None, text.as_bytes()),
            RunEvent::ToolExecuting { call, payload, .. }
            | RunEvent::ToolCompleted { call, payload } => (Some(*call), &payload[..]),
            RunEvent::Thinking(payload)
            | RunEvent::Progress(payload)
            | RunEvent::Completed(payload)
            | RunEvent::Failed(payload)
            | RunEvent::Cancelled(payload) => (None, &payload[..]),
        };
        if payload.len() as u64 > MAX_PAYLOAD_BYTES {
            self.overflow();
        }
        if self.enter(now, Kind::RunEvent) {
            self.name(user.as_str());
            self.name(run.as_str());
            self.buffer.push(event.kind().map_or(kind::TEXT, |kind| kind as u8));
            if let Some(call) = call {
                self.name(call);
            }
            if let RunEvent::ToolExecuting { expect, .. } = event {
                self.flag(expect.is_some());
                if let Some(expect) = expect {
                    // A longer one ends at the last instant that can be named all the same.
                    self.number(u64::try_from(expect.as_nanos()).unwrap_or(u64::MAX));
                }
            }
            self.payload(payload);
        }
    }

    pub(crate) fn close(&mut self, now: Timestamp, to: &Target<'_>, reason: CloseReason) {
        if self.enter(now, Kind::Close) {
            self.target(to);
            self.buffer.push(reason as u8);
        }
    }

    pub(crate) fn refresh(&mut self, now: Timestamp, conn: ConnId, expires_at: Option<Timestamp>) {
        if self.enter(now, Kind::Refresh) {
            self.conn(conn);
            self.flag(expires_at.is_some());
            if let Some(at) = expires_at {
                self.number(at.as_nanos());
            }
        }
    }

    pub(crate) fn revoke(&mut self, now: Timestamp, user: &UserId) {
        if self.enter(now, Kind::Revoke) {
            self.name(user.as_str());
        }
    }

    pub(crate) fn drain(&mut self, now: Timestamp, deadline: Option<Duration>) {
        if self.enter(now, Kind::Drain) {
            self.flag(deadline.is_some());
            if let Some(deadline) = deadline {
                // A longer one ends at the last instant that can be named all the same.
                self.number(u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX));
            }
        }
    }

    pub(crate) fn cancel_drain(&mut self, now: Timestamp) {
        self.enter(now, Kind::CancelDrain);
    }

    pub(crate) fn reload(&mut self, now: Timestamp, config: &Config) {
        if self.enter(now, Kind::Reload) {
            settings::put(&mut self.buffer, config);
        }
    }

    /// A call that changes nothing but the time.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        self.enter(now, Kind::Pass);
    }
}
