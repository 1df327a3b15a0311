//! The journal in the making: records, and what fills them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use headcount::{
    Class, Config, ConnId, Except, Message, Position, Registry, Source, Target, Timestamp,
};

use super::kind::{self, Kind};
use super::record::{self, Chain};
use super::recording::Recording;
use super::{digest, number, settings};

/// A record is sealed when its body has so many bytes, or when it is taken.
const RECORD_BYTES: usize = 32 * 1024;
/// The largest snapshot that a segment may begin with: it is one record, with some inputs behind it.
const MOST_SNAPSHOT_BYTES: u64 = u32::MAX as u64 - (1 << 20);

/// The journal of a registry, as far as it was not taken: the registry's [`Tap`](headcount::Tap).
///
/// A registry that has none records nothing. `registry.set_tap(None)` ends a recording: what was recorded
/// and not taken is dropped.
pub struct Recorder {
    recording: Recording,
    pub(super) buffer: Vec<u8>,
    /// Where the record begins that is being written.
    open: Option<usize>,
    chain: Chain,
    /// The stamp of the last input, in nanoseconds.
    last: u64,
    /// Polls of actions since the last input, and the digest of what they gave.
    polls: u64,
    digest: u64,
    /// Notices that were polled since.
    notices: u64,
    /// The buffer was lent, and is empty by the next input.
    lent: bool,
    /// While the buffer is shorter there is nothing to do before the next input is appended: no
    /// poll to write down, no record to begin, no bound to keep.
    easy_below: usize,
    overflowed: bool,
    /// The bytes of this segment that were taken, those among them that it began with, and the stamp of its
    /// first input, in nanoseconds.
    taken: u64,
    head: u64,
    began: Option<u64>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("recording", &self.recording)
            .field("buffered", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

/// The two halves of a handle.
const fn parts(conn: ConnId) -> [u32; 2] {
    let bits = conn.to_bits();
    [bits as u32, (bits >> 32) as u32]
}

impl Recorder {
    /// An empty registry that writes down every input from here on. Polls are inputs too.
    ///
    /// Take what was recorded once a turn: [`Recorder::take`]. Recording needs memory beside
    /// [`Config::memory_bound`]: twice what [`Recording::buffer_bytes`] and the largest input come to
    /// at most, and half as much again at the instant at which the buffer grows. It is not given back.
    #[must_use]
    pub fn registry(config: Config, recording: Recording) -> Registry {
        let recorder = Self::new(recording, &config);
        let mut registry = Registry::new(config);
        registry.set_tap(Some(Box::new(recorder)));
        registry
    }

    pub(super) fn new(recording: Recording, config: &Config) -> Self {
        let mut recorder = Self {
            recording,
            buffer: Vec::new(),
            open: None,
            chain: Chain::default(),
            last: 0,
            polls: 0,
            digest: 0,
            notices: 0,
            lent: false,
            easy_below: 0,
            overflowed: false,
            taken: 0,
            head: 0,
            began: None,
        };
        recorder.begin_journal(Kind::Begin);
        settings::put(&mut recorder.buffer, config);
        recorder.head = recorder.buffer.len() as u64;
        recorder
    }

    /// What comes first: the line of text, which kind of beginning it is, and what the journal holds.
    fn begin_journal(&mut self, kind: Kind) {
        self.buffer.extend_from_slice(record::PREAMBLE);
        self.begin(kind);
        let Recording { names, payloads, .. } = self.recording;
        self.buffer.push(u8::from(names) | u8::from(payloads) << 1);
    }

    /// Begins the next segment if this one is [full](Recording::segments): what is taken from now on belongs
    /// into another file, and begins with a snapshot. To be called once a turn, right after what was recorded
    /// was [taken](Self::take) and appended. `false`: the segment goes on, or there is no recorder.
    ///
    /// A segment is a journal of its own: it can be replayed without those before it, which may be deleted.
    /// Numbers of inputs begin anew in each, and stamps go on. Costs O(1), and as much as
    /// [`Registry::snapshot`] when one begins.
    pub fn next_segment(registry: &mut Registry) -> bool {
        registry.tap().is_some_and(Self::is_full) && Self::begin_segment(registry)
    }

    fn is_full(&self) -> bool {
        let age = self.began.map_or(0, |began| self.last.saturating_sub(began));
        // A state that is larger than a segment must not be written each turn.
        self.taken.saturating_sub(self.head) >= self.recording.segment_bytes
            || u128::from(age) >= self.recording.segment_age.as_nanos()
    }

    /// The same, whether or not it is full.
    pub fn begin_segment(registry: &mut Registry) -> bool {
        // What was not taken would end up in the wrong file.
        let Some(recorder) = registry.tap::<Self>().filter(|it| it.lent && !it.overflowed) else {
            return false;
        };
        let snapshot = registry.redacted_snapshot(&recorder.recording);
        let Some(recorder) = registry.tap_mut::<Self>() else { return false };
        // A record tells its length in four bytes. A larger state is a longer segment.
        if snapshot.len() as u64 > MOST_SNAPSHOT_BYTES {
            return false;
        }
        recorder.empty_if_lent();
        (recorder.chain, recorder.last) = (Chain::default(), 0);
        (recorder.taken, recorder.began) = (0, None);
        recorder.begin_journal(Kind::Resume);
        recorder.buffer.reserve(snapshot.len() + RECORD_BYTES);
        recorder.number(snapshot.len() as u64);
        recorder.buffer.extend_from_slice(&snapshot);
        recorder.head = recorder.buffer.len() as u64;
        true
    }

    /// What was recorded since the last call, in whole records: to be appended to what was taken
    /// before. Empty if nothing was. It is gone with the next input. O(1).
    #[must_use = "what is taken and not kept is missing in the journal"]
    pub fn take(&mut self) -> &[u8] {
        self.write_polls();
        self.seal();
        self.empty_if_lent();
        self.lent = true;
        self.easy_below = 0;
        self.taken += self.buffer.len() as u64;
        &self.buffer
    }

    /// Whether the next input will be written down. It is not once more has waited to be taken than
    /// [`Recording::buffer_bytes`].
    #[must_use]
    pub const fn is_recording(&self) -> bool {
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

    /// Ends the recording after what was polled until now; once.
    pub(super) fn overflow(&mut self) {
        if self.overflowed {
            return;
        }
        self.write_polls();
        self.begin(Kind::Overflowed);
        self.overflowed = true;
        self.easy_below = 0;
    }

    /// Begins an input; `false` when the recording has ended.
    #[inline]
    pub(super) fn enter(&mut self, now: Timestamp, kind: Kind) -> bool {
        if self.buffer.len() >= self.easy_below && !self.prepare(now) {
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

    /// Does what comes before an input; `false` when the recording has ended.
    #[cold]
    fn prepare(&mut self, now: Timestamp) -> bool {
        self.write_polls();
        if self.overflowed {
            return false;
        }
        if !self.lent && self.buffer.len() > self.recording.buffer_bytes {
            self.overflow();
            return false;
        }
        self.began.get_or_insert(now.as_nanos());
        let start = self.open_record();
        self.easy_below = (start + RECORD_BYTES).min(self.recording.buffer_bytes);
        true
    }

    /// A whole input that is a handle and a number. Most have the stamp of the one before, for a turn
    /// of the loop has one stamp.
    #[inline]
    pub(super) fn about(&mut self, now: Timestamp, kind: Kind, conn: ConnId, value: u64) {
        if self.buffer.len() < self.easy_below && now.as_nanos() == self.last {
            let kind = Some(kind as u8 | kind::SAME_STAMP);
            if number::put_all(&mut self.buffer, kind, parts(conn), value) {
                return;
            }
        }
        if self.enter(now, kind) {
            self.conn_and_number(conn, value);
        }
    }

    #[inline]
    pub(super) fn conn_and_number(&mut self, conn: ConnId, value: u64) {
        if !number::put_all(&mut self.buffer, None, parts(conn), value) {
            self.conn(conn);
            self.number(value);
        }
    }

    pub(super) fn number(&mut self, value: u64) {
        number::put(&mut self.buffer, value);
    }

    pub(super) fn handle(&mut self, bits: u64) {
        self.number(bits & u64::from(u32::MAX));
        self.number(bits >> 32);
    }

    pub(super) fn conn(&mut self, conn: ConnId) {
        self.handle(conn.to_bits());
    }

    pub(super) fn name(&mut self, name: &str) {
        self.number(name.len() as u64);
        if self.recording.names {
            self.buffer.extend_from_slice(name.as_bytes());
        } else {
            let hash = self.recording.hash(name.as_bytes());
            self.buffer.extend_from_slice(&hash.to_le_bytes());
        }
    }

    pub(super) fn source(&mut self, source: Source) {
        let pseudonym = self.recording.source_pseudonym(source);
        self.buffer.extend_from_slice(&pseudonym.to_le_bytes());
    }

    pub(super) fn payload(&mut self, payload: &[u8]) {
        self.number(payload.len() as u64);
        if self.recording.payloads {
            self.buffer.extend_from_slice(payload);
        }
    }

    pub(super) fn position(&mut self, position: Position) {
        self.buffer.extend_from_slice(&position.epoch.to_le_bytes());
        self.number(position.offset);
    }

    /// Whether there is one, and it.
    pub(super) fn optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.buffer.push(value.is_some().into());
        if let Some(value) = value {
            put(self, value);
        }
    }

    /// A longer one ends at the last instant that can be named all the same.
    pub(super) fn duration(&mut self, duration: Duration) {
        self.number(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn target(&mut self, to: &Target<'_>) {
        match to {
            Target::Everyone => self.buffer.push(kind::EVERYONE),
            Target::Conn(conn) => {
                self.buffer.push(kind::CONN);
                self.conn(*conn);
            }
            Target::SessionOf(conn) => {
                self.buffer.push(kind::SESSION_OF);
                self.conn(*conn);
            }
            Target::UserOf(conn) => {
                self.buffer.push(kind::USER_OF);
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

    /// The first byte has the class, whether it is text, and whom it leaves out, in two bits each but for the
    /// text.
    pub(super) fn message_body(&mut self, message: &Message, except: Option<Except>) {
        let (class, key) = match message.class() {
            Class::Critical => (0, None),
            Class::Droppable => (1, None),
            Class::Latest(key) => (2, Some(key)),
        };
        let (breadth, conn) = match except {
            None => (0, None),
            Some(Except::Connection(conn)) => (1, Some(conn)),
            Some(Except::Session(conn)) => (2, Some(conn)),
            Some(Except::User(conn)) => (3, Some(conn)),
        };
        self.buffer.push(class | u8::from(message.is_text()) << 2 | breadth << 3);
        if let Some(key) = key {
            self.name(key.as_str());
        }
        if let Some(conn) = conn {
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

    /// Actions are polled far more often than inputs come in, so that polls are only counted here.
    pub(super) fn count_poll(&mut self, digest: Option<u64>) {
        if self.notices > 0 {
            self.write_polls();
        }
        self.easy_below = 0;
        if let Some(digest) = digest {
            self.digest = digest::fold(self.digest, digest);
        }
        self.polls += 1;
    }

    /// Polls that are counted by now were before it, and are written before it.
    pub(super) const fn count_notice(&mut self) {
        self.notices += 1;
        self.easy_below = 0;
    }
}
