//! The empty registry.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::Config;
use crate::conn::Conns;
use crate::random::{Purpose, one_way};
use crate::room::Rooms;
use crate::run::Runs;
use crate::session::Sessions;
use crate::store::{Links, Ring, Steps, Table, Timers, TokenBucket, mix};
use crate::tap::Tapped;
use crate::time::Timestamp;
use crate::waiting::Waiting;

use super::outbox::Outbox;
use super::ready::Ready;
use super::{Counters, Registry};
use crate::evictable::Evictable;

/// # Beginning
impl Registry {
    /// An empty registry. The [loop](crate#the-loop) has an example.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let seed = config.seed();
        Self {
            config,
            now: Timestamp::ZERO,
            pauses: Duration::ZERO,
            conns: Conns::new(),
            waiting: Waiting::new(mix(seed ^ 2)),
            sessions: Sessions::new(mix(seed)),
            rooms: Rooms::new(mix(!seed)),
            runs: Runs::new(mix(seed ^ 1)),
            evictable: Evictable::new(),
            streams: Table::new(),
            timers: Timers::new(),
            outbox: Outbox::new(),
            ready: Ring::new(),
            own_turns: [Links::OUT; Ready::OWN.len()],
            announcements: VecDeque::new(),
            mass_close: None,
            drain: None,
            drains: 0,
            notices: VecDeque::new(),
            closing: Ring::new(),
            leaving: Ring::new(),
            closed_ring: VecDeque::new(),
            connects: TokenBucket::default(),
            last_serial: one_way(seed, Purpose::Serials) as u32,
            epoch_key: one_way(seed, Purpose::Epochs),
            last_epoch: 0,
            counters: Counters::default(),
            recipients: Vec::new(),
            lent: None,
            to_trim: None,
            entries_moved: 0,
            steps: Steps::new(),
            tapped: Tapped::default(),
        }
    }
}
