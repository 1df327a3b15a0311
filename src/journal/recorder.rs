//! Writes inputs down as they come in: one method a door of the registry, each with what the door
//! was given.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use crate::action::{Action, Class, CloseReason, Message, Position};
use crate::config::Config;
use crate::id::{ConnId, MAX_ID_BYTES, Principal, RoomId, RunId, ThreadId, UserId};
use crate::registry::{Disconnect, Inbound, Resume, Target};
use crate::run::RunEvent;
use crate::time::Timestamp;

use super::kind::{self, Kind};
use super::record::{self, Chain};
use super::{MAX_PAYLOAD_BYTES, digest, number, settings};

/// A record is sealed when its body has so many bytes, or when it is taken.
const RECORD_BYTES: usize = 32 * 1024;

/// What a journal shall hold, for [`Registry::with_journal`](crate::Registry::with_journal).
///
/// Payloads and names are left out unless they are asked for: of a payload its length stays, of a
/// name its length and a pseudonym, which is the same wherever the name comes up.
#[derive(Clone)]
pub struct Recording {
    key: u128,
    pub(super) names: bool,
    pub(super) payloads: bool,
    buffer_bytes: usize,
}

impl Recording {
    /// Names become pseudonyms by a keyed hash (SipHash-1-3; Aumasson and Bernstein, 2012): whoever
    /// has the journal and not the key can't try names. Pass fresh entropy, or a secret of your own
    /// if the pseudonyms of several journals shall agree.
    #[must_use]
    pub const fn new(key: u128) -> Self {
        Self { key, names: false, payloads: false, buffer_bytes: 16 << 20 }
    }

    /// Writes names and labels down as they are: users, threads, rooms, runs, agents, tool calls,
    /// keys of [`Class::Latest`].
    #[must_use]
    pub const fn with_names(mut self) -> Self {
        self.names = true;
        self
    }

    /// Writes payloads and the text of runs down as they are.
    #[must_use]
    pub const fn with_payloads(mut self) -> Self {
        self.payloads = true;
        self
    }

    /// How much waits to be taken, in bytes, before the recording ends (default 16 MiB). One input
    /// of any size may exceed it.
    #[must_use]
    pub const fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// What stands for a name in a replay of a journal without names.
    #[must_use]
    pub fn pseudonym(&self, name: &str) -> String {
        pseudonym(name.len(), self.hash(name))
    }

    fn hash(&self, name: &str) -> u64 {
        SipHasher13::new_with_keys(self.key as u64, (self.key >> 64) as u64).hash(name.as_bytes())
    }
}

/// The pseudonym of a name of so many bytes that was hashed to this.
pub(super) fn pseudonym(length: usize, hash: u64) -> String {
    match length {
        0 => String::new(),
        // Longer than any name may be, and that is all that matters of it.
        _ if length > MAX_ID_BYTES => "~".repeat(MAX_ID_BYTES + 1),
        _ => format!("~{hash:016x}"),
    }
}

/// The key stays secret.
impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("names", &self.names)
            .field("payloads", &self.payloads)
            .field("buffer_bytes", &self.buffer_bytes)
            .finish_non_exhaustive()
    }
}

/// The journal of a registry, as far as it was not taken.
pub(crate) struct Recorder {
    recording: Recording,
    buffer: Vec<u8>,
    /// Where the record begins that is being written.
    open: Option<usize>,
    chain: Chain,
    /// The stamp of the last input, in nanoseconds.
    last: u64,
    /// Polls of actions since the last input, and the digest of what they gave.
    polls: u64,
    digest: u64,
    /// The last poll gave nothing: more of them change nothing before the next input.
    exhausted: bool,
    /// Notices that were polled since.
    notices: u64,
    /// The buffer was lent, and is empty by the next input.
    lent: bool,
    /// While the buffer is shorter there is nothing to do before the next input is appended: no
    /// poll to write down, no record to begin, no bound to keep.
    easy_below: usize,
    overflowed: bool,
}

impl Recorder {
    pub(crate) fn new(recording: Recording, config: &Config) -> Self {
        let mut recorder = Self {
            recording,
            buffer: record::PREAMBLE.to_vec(),
            open: None,
            chain: Chain::default(),
            last: 0,
            polls: 0,
            digest: 0,
            exhausted: false,
            notices: 0,
            lent: false,
            easy_below: 0,
            overflowed: false,
        };
        recorder.begin(Kind::Begin);
        let Recording { names, payloads, .. } = recorder.recording;
        recorder.buffer.push(u8::from(names) | u8::from(payloads) << 1);
        settings::put(&mut recorder.buffer, config);
        recorder
    }

    /// Everything that was not taken before, in whole records.
    pub(crate) fn take(&mut self) -> &[u8] {
        self.write_polls();
        self.seal();
        self.empty_if_lent();
        self.lent = true;
        self.easy_below = 0;
        &self.buffer
    }

    /// Whether what comes next will be written down.
    pub(crate) const fn is_recording(&self) -> bool {
        !self.overflowed
    }

    fn empty_if_lent(&mut self) {
        if self.lent {
            self.lent = false;
            self.buffer.clear();
        }
    }

    fn seal(&mut self) {
        if let Some(start) = self.open.take() {
            record::seal(&mut self.buffer, start, &mut self.chain);
        }
    }

    /// Where the record begins that the next input goes into.
    fn open_record(&mut self) -> usize {
        self.empty_if_lent();
        if let Some(start) = self.open
            && self.buffer.len() - start < RECORD_BYTES
        {
            return start;
        }
        self.seal();
        let start = self.buffer.len();
        self.open = Some(start);
        record::open(&mut self.buffer);
        start
    }

    /// Begins an input that has no stamp.
    fn begin(&mut self, kind: Kind) {
        self.open_record();
        self.buffer.push(kind as u8);
    }

    fn write_polls(&mut self) {
        if self.polls > 0 && !self.overflowed {
            self.begin(Kind::Polled);
            let digest = (self.digest >> 32) as u32;
            number::put(&mut self.buffer, self.polls);
            self.buffer.extend_from_slice(&digest.to_le_bytes());
            (self.polls, self.digest) = (0, 0);
        }
        if self.notices > 0 && !self.overflowed {
            self.begin(Kind::Noticed);
            let count = core::mem::take(&mut self.notices);
            number::put(&mut self.buffer, count);
        }
    }

    fn overflow(&mut self) {
        self.begin(Kind::Overflowed);
        self.overflowed = true;
        self.easy_below = 0;
    }

    /// Begins an input; `false` when the recording has ended.
    #[inline]
    fn enter(&mut self, now: Timestamp, kind: Kind) -> bool {
        if self.buffer.len() >= self.easy_below && !self.prepare() {
            return false;
        }
        let nanos = now.as_nanos();
        if nanos == self.last {
            self.buffer.push(kind as u8 | kind::SAME_STAMP);
        } else {
            self.buffer.push(kind as u8);
            number::put(
                &mut self.buffer,
                number::zigzag(nanos.wrapping_sub(self.last).cast_signed()),
            );
            self.last = nanos;
        }
        true
    }

    /// Does whatever comes before an input; `false` when the recording has ended.
    #[cold]
    fn prepare(&mut self) -> bool {
        self.write_polls();
        if self.overflowed {
            return false;
        }
        if !self.lent && self.buffer.len() > self.recording.buffer_bytes {
            self.overflow();
            return false;
        }
        self.exhausted = false;
        let start = self.open_record();
        self.easy_below = (start + RECORD_BYTES).min(self.recording.buffer_bytes);
        true
    }

    /// A whole input that is a handle and a number.
    #[inline]
    fn about(&mut self, now: Timestamp, kind: Kind, conn: ConnId, value: u64) {
        if self.enter(now, kind) {
            let bits = conn.to_bits();
            if !number::put_three(&mut self.buffer, bits as u32, (bits >> 32) as u32, value) {
                self.conn(conn);
                self.number(value);
            }
        }
    }

    fn number(&mut self, value: u64) {
        number::put(&mut self.buffer, value);
    }

    fn handle(&mut self, bits: u64) {
        self.number(bits & u64::from(u32::MAX));
        self.number(bits >> 32);
    }

    fn conn(&mut self, conn: ConnId) {
        self.handle(conn.to_bits());
    }

    fn name(&mut self, name: &str) {
        self.number(name.len() as u64);
        if self.recording.names {
            self.buffer.extend_from_slice(name.as_bytes());
        } else {
            let hash = self.recording.hash(name);
            self.buffer.extend_from_slice(&hash.to_le_bytes());
        }
    }

    fn payload(&mut self, payload: &[u8]) {
        self.number(payload.len() as u64);
        if self.recording.payloads {
            self.buffer.extend_from_slice(payload);
        }
    }

    fn position(&mut self, position: Position) {
        self.buffer.extend_from_slice(&position.epoch.to_le_bytes());
        self.number(position.offset);
    }

    fn flag(&mut self, flag: bool) {
        self.buffer.push(flag.into());
    }

    fn target(&mut self, to: &Target<'_>) {
        match to {
            Target::Everyone => self.buffer.push(kind::EVERYONE),
            Target::Conn(conn) => {
                self.buffer.push(kind::CONN);
                self.conn(*conn);
            }
            Target::Session(session) => {
                self.buffer.push(kind::SESSION);
                self.handle(session.to_bits());
            }
            Target::User(user) => {
                self.buffer.push(kind::USER);
                self.name(user.as_str());
            }
            Target::Room(room) => {
                self.buffer.push(kind::ROOM);
                self.name(room.as_str());
            }
        }
    }

    fn message_body(&mut self, message: &Message) {
        let (class, key) = match message.class_ref() {
            Class::Critical => (0, None),
            Class::Droppable => (1, None),
            Class::Latest(key) => (2, Some(key)),
        };
        let except = message.excluded();
        self.buffer
            .push(class | u8::from(message.is_text()) << 2 | u8::from(except.is_some()) << 3);
        if let Some(key) = key {
            self.name(key.as_str());
        }
        if let Some(conn) = except {
            self.conn(conn);
        }
        self.payload(message.payload());
    }

    /// Any bytes, as they are: what no registry would write.
    #[cfg(test)]
    pub(super) fn append(&mut self, body: &[u8]) {
        self.open_record();
        self.buffer.extend_from_slice(body);
    }

    // The doors.

    pub(crate) fn reserve(&mut self, now: Timestamp) {
        self.enter(now, Kind::Reserve);
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
        if !self.enter(now, Kind::Connect) {
            return;
        }
        self.conn(conn);
        let expires = who.expires_at != Timestamp::MAX;
        let previous = resume.and_then(|resume| resume.previous);
        self.buffer.push(
            u8::from(who.label.is_some())
                | u8::from(expires) << 1
                | u8::from(resume.is_some()) << 2
                | u8::from(previous.is_some()) << 3,
        );
        self.name(who.user.as_str());
        self.name(who.thread.as_str());
        if let Some(label) = &who.label {
            self.name(label);
        }
        if expires {
            self.number(who.expires_at.as_nanos());
        }
        if let Some(resume) = resume {
            self.position(resume.position);
        }
        if let Some(conn) = previous {
            self.conn(conn);
        }
    }

    #[inline]
    pub(crate) fn message(&mut self, now: Timestamp, conn: ConnId, inbound: Inbound) {
        let kind = match inbound {
            Inbound::Data { bytes } => return self.about(now, Kind::Data, conn, bytes),
            Inbound::Life => Kind::Life,
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

    pub(crate) fn disconnect(&mut self, now: Timestamp, conn: ConnId, cause: Disconnect) {
        let Disconnect::Gone = cause;
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
            RunEvent::ToolExecuting { call, payload }
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

    /// Actions are polled far more often than inputs come in, so that polls are only counted here.
    pub(crate) fn polled(&mut self, digest: Option<u64>) {
        if self.notices > 0 {
            self.write_polls();
        }
        self.easy_below = 0;
        match digest {
            Some(digest) => self.digest = digest::fold(self.digest, digest),
            None if self.exhausted => return,
            None => self.exhausted = true,
        }
        self.polls += 1;
    }

    pub(crate) fn noticed(&mut self) {
        if self.polls > 0 {
            self.write_polls();
        }
        self.notices += 1;
        self.easy_below = 0;
    }
}

/// What [`Recorder::polled`] is told of an action.
pub(crate) fn digest_of(action: &Action<'_>) -> u64 {
    digest::of(action)
}
