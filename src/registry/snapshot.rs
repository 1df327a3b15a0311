//! The whole state as bytes, and back.

mod keys;

use alloc::vec::Vec;

use crate::config::Config;
use crate::error::RestoreError;
use crate::snapshot::{Decoder, Encoded, Encoder, Frame, Malformed, Redaction, framed};
use crate::store::Timers;

use super::Registry;

/// # Snapshots
///
/// The whole state as bytes: for a journal that begins in the middle of a life, and for a look at a process
/// from outside.
impl Registry {
    /// Its state, from which [`restore`](Self::restore) makes a registry with the same
    /// [`fingerprint`](Self::fingerprint). It holds the names, the payloads, the addresses that
    /// [`Source`](crate::Source)s are made of, and the seed: treat it as the memory of the process. The
    /// [`Tap`](crate::Tap) is no part of it, nor is what the last poll lent.
    ///
    /// It is at most as long as [`Config::memory_bound`] says; a connection with a session of its own takes
    /// some 200 bytes. Costs O(everything), as a clone does: 0.3 µs for each such connection at 10,000 of
    /// them, and 0.5 µs at 1,000,000 (measured in a release build).
    ///
    /// ```
    /// use headcount::{Config, Principal, Registry, Start, Timestamp, UserId};
    ///
    /// let mut registry = Registry::new(Config::new(42));
    /// let ann = Principal::new(UserId::new("ann")?);
    /// let (conn, _) = registry.admit(Timestamp::from_secs(1), ann, Start::OpenRuns, None)?;
    ///
    /// let restored = Registry::restore(&registry.snapshot())?;
    /// assert_eq!(restored.fingerprint(), registry.fingerprint());
    /// assert!(restored.connection(conn).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.encode(None)
    }

    /// The same, with something else in place of names, sources and payloads. The seed stays, for the state
    /// depends on it. [`Redaction`] has an example.
    #[must_use]
    pub fn redacted_snapshot(&self, redaction: &dyn Redaction) -> Vec<u8> {
        self.encode(Some(redaction))
    }

    /// A registry in the state that a snapshot holds: it answers the same inputs with the same results,
    /// actions and notices. It has no [`Tap`](crate::Tap). It knows the connections that there were: in
    /// another process their sockets are gone, and the caller says so with
    /// [`disconnect`](Self::disconnect).
    ///
    /// Any bytes may come: what is no state that [`check`](Self::check) accepts is refused. A checksum tells
    /// bytes that an accident has changed, and no forger, who may set what is only counted or noted.
    /// Costs O(everything): two to three times what [`snapshot`](Self::snapshot) does.
    ///
    /// ```
    /// use headcount::{Config, Registry, RestoreError};
    ///
    /// let mut bytes = Registry::new(Config::new(42)).snapshot();
    /// assert!(Registry::restore(&bytes).is_ok_and(|registry| registry.is_idle()));
    /// bytes.pop();
    /// assert_eq!(Registry::restore(&bytes).err(), Some(RestoreError::Damaged));
    /// ```
    ///
    /// # Errors
    /// [`RestoreError`]: it is no snapshot, or not one that this version of the crate can read. Nothing is
    /// restored.
    pub fn restore(snapshot: &[u8]) -> Result<Self, RestoreError> {
        let (state, without_payloads) = match Frame::of(snapshot) {
            Frame::State { state, without_payloads } => (state, without_payloads),
            Frame::NoSnapshot => return Err(RestoreError::NotASnapshot),
            Frame::OtherVersion(found) => return Err(RestoreError::Version { found }),
            Frame::Damaged => return Err(RestoreError::Damaged),
        };
        let registry = Self::decode(&mut Decoder::new(state, without_payloads));
        let registry = registry.map_err(|Malformed| RestoreError::Invalid)?;
        registry.check().map_err(|_| RestoreError::Invalid)?;
        Ok(registry)
    }

    fn encode(&self, redaction: Option<&dyn Redaction>) -> Vec<u8> {
        let mut to = Encoder::new(redaction);
        // Every field is named here, so that a new one is not forgotten.
        let Self {
            config,
            now,
            pauses,
            conns,
            waiting,
            sessions,
            rooms,
            runs,
            evictable,
            streams,
            timers,
            outbox,
            ready,
            own_turns: _,
            announcements,
            mass_close,
            drain,
            drains,
            notices,
            closing,
            leaving,
            closed_ring,
            connects,
            last_serial,
            // A function of the seed, which is in the configuration.
            epoch_key: _,
            last_epoch,
            counters,
            // What the last poll lent is out of reach by now.
            recipients: _,
            lent: _,
            to_trim,
            entries_moved: _,
            steps: _,
            tapped: _,
        } = self;
        config.encode(&mut to);
        now.encode(&mut to);
        pauses.encode(&mut to);
        conns.encode(&mut to);
        waiting.encode(conns, &mut to);
        sessions.encode(&mut to);
        rooms.encode(&mut to);
        runs.encode(&mut to);
        sessions.encode_keys(conns, runs, &mut to);
        streams.encode(&mut to);
        evictable.encode_keys(streams, &mut to);
        timers.encode(&mut to);
        outbox.encode(&mut to);
        // Where the registry's own turns stand in it follows from it.
        ready.encode_keys(self, &mut to);
        announcements.encode(&mut to);
        mass_close.encode(&mut to);
        drain.encode(&mut to);
        drains.encode(&mut to);
        notices.encode(&mut to);
        closing.encode_keys(conns, &mut to);
        leaving.encode_keys(conns, &mut to);
        closed_ring.encode(&mut to);
        connects.encode(&mut to);
        last_serial.encode(&mut to);
        last_epoch.encode(&mut to);
        counters.encode(&mut to);
        to_trim.encode(&mut to);
        framed(&to.into_bytes(), redaction.is_some_and(Redaction::leaves_out_payloads))
    }

    /// In the order in which [`encode`](Self::encode) writes.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let config = Config::decode(from)?;
        from.set_config(config.seed, config.process_bytes);
        let mut registry = Self::new(config);
        registry.now = Encoded::decode(from)?;
        registry.pauses = Encoded::decode(from)?;
        registry.conns = Encoded::decode(from)?;
        registry.waiting.decode(&mut registry.conns, from)?;
        registry.sessions.decode(from)?;
        registry.rooms.decode(from)?;
        registry.runs.decode(from)?;
        registry.sessions.decode_keys(&mut registry.conns, &mut registry.runs, from)?;
        registry.streams = Encoded::decode(from)?;
        registry.evictable.decode_keys(&mut registry.streams, from)?;
        let (sessions, _) = registry.sessions.ends();
        let ends =
            [registry.conns.end(), sessions, registry.runs.table_end(), registry.streams.end()];
        registry.timers = Timers::decode(from, ends)?;
        registry.outbox = Encoded::decode(from)?;
        registry.decode_turns(from)?;
        registry.announcements = Encoded::decode(from)?;
        registry.mass_close = Encoded::decode(from)?;
        registry.drain = Encoded::decode(from)?;
        registry.drains = Encoded::decode(from)?;
        registry.notices = Encoded::decode(from)?;
        registry.closing.decode_keys(&mut registry.conns, from)?;
        registry.leaving.decode_keys(&mut registry.conns, from)?;
        registry.closed_ring = Encoded::decode(from)?;
        registry.connects = Encoded::decode(from)?;
        registry.last_serial = Encoded::decode(from)?;
        registry.last_epoch = Encoded::decode(from)?;
        registry.counters = Encoded::decode(from)?;
        registry.to_trim = Encoded::decode(from)?;
        if from.is_at_end() && registry.keys_are_known() { Ok(registry) } else { Err(Malformed) }
    }
}
