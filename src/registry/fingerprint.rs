//! Whether two registries are in the same state.

use core::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;

use super::{Counters, Registry};

impl Registry {
    /// A number for the state that it is in: two registries with the same one answer the same inputs
    /// with the same results, actions, notices and deadlines from now on (but for one chance in
    /// 2^64).
    ///
    /// It is for exploring what may happen, with a [clone](Clone) for each possibility: a
    /// state that was seen before need not be followed again. It is conservative. Time, serials and
    /// epochs are part of the state, so that two registries may behave alike as far as a caller can
    /// see and have different fingerprints. What has only been counted or noted of the past is no
    /// part of it: the sums in [`stats`](Registry::stats), and [`closed`](Registry::closed).
    ///
    /// Costs O(everything), as a clone does. Only fingerprints made by the same build of a program
    /// can be compared: don't store them.
    ///
    /// ```
    /// # use headcount::*;
    /// # let (mut registry, now) = (Registry::new(Config::new(1)), Timestamp::from_secs(1));
    /// # let who = Principal::new("alice".parse()?).with_thread("main".parse()?);
    /// # let (conn, _) = registry.admit(now, who, Start::Now, None)?;
    /// let mut possible = registry.clone();
    /// assert_eq!(possible.fingerprint(), registry.fingerprint());
    /// possible.disconnect(now, conn)?;
    /// assert_ne!(possible.fingerprint(), registry.fingerprint());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut state = FixedState::default().build_hasher();
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
            own_turns,
            announcements,
            mass_close,
            drain,
            drains,
            notices,
            closing,
            leaving,
            closed_ring: _,
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
        (config, now, pauses, conns, waiting, sessions, rooms, runs, evictable).hash(&mut state);
        streams.hash(&mut state);
        timers.hash(&mut state);
        (outbox, ready, own_turns, announcements, mass_close, drain, drains).hash(&mut state);
        (notices, closing, leaving, connects).hash(&mut state);
        (last_serial, last_epoch, to_trim).hash(&mut state);
        // The gauges; no sum decides anything.
        let Counters { open, live, pending, .. } = counters;
        (open, live, pending).hash(&mut state);
        let Counters { waiting, log_messages, log_bytes, call_bytes, .. } = counters;
        (waiting, log_messages, log_bytes, call_bytes).hash(&mut state);
        state.finish()
    }
}
