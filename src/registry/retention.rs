//! What streams keep: the one way to change a log, its bounds, its history and its age.

use core::time::Duration;

use crate::ends::RoomEnd;
use crate::log::{Bounds, FreedEntries};
use crate::stream::{Owner, Stream, StreamKey};
use crate::time::Deadline;

use super::Registry;
use super::timer::Timer;

impl Registry {
    /// Changes the log of a stream. No log may be changed in another way: what depends on one is
    /// adapted here, which is the gauges, the bytes of the user and its tenant, the runs of which nothing is
    /// left, the eviction lists and the timer.
    ///
    /// One change is one edit. Between two edits the timer may be armed for an entry that the second
    /// one removes, and would go off for nothing.
    pub(super) fn edit_log<R>(
        &mut self,
        key: StreamKey,
        edit: impl FnOnce(&mut Stream, Bounds, &mut FreedEntries) -> R,
    ) -> R {
        let bounds = self.bounds(key);
        let stream = &mut self.streams[key];
        let (messages, bytes) = (stream.log.len() as u64, stream.log.bytes());
        let pinned = stream.log.pinned();
        let mut freed = FreedEntries::new();
        let result = edit(stream, bounds, &mut freed);
        if !freed.is_empty() {
            // What went of a run that lingers may have held up what is behind it.
            stream.trim_history(bounds, &mut freed);
        }
        let gone = messages.saturating_sub(stream.log.len() as u64);
        self.entries_moved += gone + pinned.abs_diff(stream.log.pinned()) as u64;
        let counters = &mut self.counters;
        counters.log_messages = counters.log_messages + stream.log.len() as u64 - messages;
        counters.log_bytes = counters.log_bytes + stream.log.bytes() - bytes;
        if let Owner::Session(session) = stream.owner {
            let user = self.sessions.get(session).user;
            self.sessions.count_bytes(user, bytes, stream.log.bytes());
        }
        self.release_runs(&freed);
        self.list_evictable(key);
        self.arm_stream(key);
        result
    }

    /// What bounds a stream's log.
    pub(super) fn bounds(&self, key: StreamKey) -> Bounds {
        let config = &self.config;
        match self.streams[key].owner {
            Owner::Session(_) => Bounds {
                messages: config.stream_messages,
                bytes: config.stream_bytes,
                history: config.stream_history,
            },
            Owner::Room(_) => Bounds {
                messages: config.room_messages,
                bytes: config.room_bytes,
                history: config.room_history,
            },
        }
    }

    /// Once every member was handed everything, only the history stays.
    pub(super) fn trim_history(&mut self, key: StreamKey) {
        let history = self.bounds(key).history;
        let stream = &mut self.streams[key];
        if stream.log.is_trimmed(history) {
            // The log stays as it is: of all that depends on it, delivery alone changes.
            if stream.note_delivery() && !stream.log.is_empty() {
                self.list_evictable(key);
            }
            return;
        }
        self.edit_log(key, |stream, bounds, freed| stream.trim_history(bounds, freed));
    }

    /// Trims a log as soon as nothing of it is lent any more: in the next poll.
    pub(super) fn trim_later(&mut self, key: StreamKey) {
        // At most one entry is lent by a poll: perhaps of this stream, and then of no other.
        if self.to_trim != Some(key) {
            self.trim_lent();
            self.to_trim = Some(key);
        }
    }

    /// Trims the log of what the last poll lent.
    pub(super) fn trim_lent(&mut self) {
        if let Some(key) = self.to_trim.take() {
            self.trim_history(key);
        }
    }

    /// How long an entry of a stream may stay; zero for ever.
    const fn ttl(&self, owner: Owner) -> Duration {
        match owner {
            Owner::Session(_) => self.config.stream_ttl,
            Owner::Room(_) => self.config.room_ttl,
        }
    }

    /// When the oldest entry of a log is too old; `None` if none is bounded by its age.
    pub(super) fn ages_at(&self, key: StreamKey) -> Option<Deadline> {
        let stream = &self.streams[key];
        let ttl = self.ttl(stream.owner);
        if ttl.is_zero() {
            return None;
        }
        stream.ages_at(ttl)
    }

    /// Makes sure that the age of a log's oldest entry is looked at in time.
    fn arm_stream(&mut self, key: StreamKey) {
        if let Some(at) = self.ages_at(key) {
            self.timers.no_later_than(Timer::Stream(key), at);
        }
    }

    /// The turn of a log: what is too old at this millisecond goes.
    pub(super) fn drop_aged(&mut self, key: StreamKey, at: Deadline) {
        let ttl = self.ttl(self.streams[key].owner);
        if ttl.is_zero() {
            return;
        }
        self.edit_log(key, |stream, _, freed| {
            while stream.ages_at(ttl).is_some_and(|ages_at| ages_at <= at) {
                stream.log.drop_oldest(freed);
            }
        });
        if let Owner::Room(room) = self.streams[key].owner {
            self.remove_room_if_done(room, RoomEnd::Aged);
        }
    }
}
