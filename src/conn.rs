//! The connection record: its states, its window, and its one next deadline as a pure function.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use core::num::NonZeroU32;
use core::time::Duration;

use slab::Slab;
use smallvec::SmallVec;

use crate::action::CloseReason;
use crate::bucket::TokenBucket;
use crate::config::Config;
use crate::id::ConnId;
use crate::log::Late;
use crate::random::mix;
use crate::registry::Drain;
use crate::table;
use crate::time::{Deadline, Timestamp};
use crate::waiting::Waiter;

/// The session of a connection that has none.
pub(crate) const NO_SESSION: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum State {
    /// A socket that is nobody yet.
    Pending,
    Open,
    /// Left everything; its `Close` is queued or handed out.
    Closing,
    /// Its `Cleanup` is queued. The slot stays taken until that is polled, or a shell that works
    /// in batches would act on the next tenant.
    Gone,
}

/// What fan-out and activity touch: at most half a cache line.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Conn {
    /// Any sign of life of the peer, in attended time.
    pub(crate) last_seen: Timestamp,
    /// The cost of what is queued for it directly or handed out to it, and not flushed.
    pub(crate) load: u64,
    pub(crate) serial: NonZeroU32,
    pub(crate) session: u32,
    /// How many of its memberships lag: of its rooms, and of its session. While any does, everything
    /// reaches it through its own turns.
    pub(crate) lagging: u32,
    pub(crate) state: State,
    /// Whether a turn is queued for it.
    pub(crate) ready: bool,
    /// A message was answered `Paused`: its silence is our own doing.
    pub(crate) paused: bool,
    pub(crate) ping: Ping,
}

const _: () = assert!(size_of::<Conn>() <= 32);

/// How far the ping that waits for an answer has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ping {
    None,
    /// In the outbox.
    Queued,
    /// Still in the outbox, where life overtook it: it is charged to nobody and will not be handed
    /// out, but the next silence uses it again.
    Void,
    /// Handed out: flushed when the total reaches `ping_mark`.
    Handed,
    /// On its way to the peer since `ping_at`.
    Flushed,
    /// Unanswered for half of the time that it has: the connection is suspect.
    Late,
}

/// The rest of a connection.
#[derive(Clone, Hash)]
pub(crate) struct Cold {
    /// When the running phase began: reserved, upgraded, admitted, or `Close` polled. What is
    /// measured from it is an age, or a limit that no pause moves.
    pub(crate) phase: Timestamp,
    /// When the wait for the peer began, in attended time: for its request head, for its
    /// credentials, or for the end of its socket after the `Close`. No wait in between.
    pub(crate) waits_since: Timestamp,
    /// The last flush progress, or when the first unflushed thing was handed out, in attended time.
    pub(crate) progress: Timestamp,
    /// The last data message, in attended time.
    pub(crate) last_data: Timestamp,
    /// When its principal expires; `Timestamp::MAX` for never.
    pub(crate) expires_at: Timestamp,
    /// When the message in progress began, in attended time; `Timestamp::MAX` if there is none.
    pub(crate) message_began: Timestamp,
    /// The token bucket of its frames, and that of its bytes.
    pub(crate) frames: TokenBucket,
    pub(crate) bytes: TokenBucket,
    /// When the running ping was flushed, in attended time: what the round trip is measured from.
    pub(crate) asked_at: Timestamp,
    /// The cumulative cost that was flushed.
    pub(crate) flushed: u64,
    /// The part of the load that waits in the outbox.
    pub(crate) queued: u64,
    /// Handed: the total at which the ping is flushed. Flushed: the total from which the next
    /// window of progress counts.
    pub(crate) ping_mark: u64,
    /// When the pong deadline started, in attended time.
    pub(crate) ping_at: Timestamp,
    /// One per stream that it follows; the session's is the first.
    pub(crate) memberships: SmallVec<[Membership; 2]>,
    /// Its streams in which it has not passed yet where the head was when it joined late: few, and
    /// empty for most.
    pub(crate) late_joins: Vec<LateJoin>,
    pub(crate) label: Option<Box<str>>,
    /// Pending: its place in the queue of its source; `None` if it has no source.
    pub(crate) waiter: Option<Waiter>,
    /// The membership that its next turn begins with, so that no room of many starves another.
    pub(crate) next_membership: u32,
    /// The drain that it was told of: that drain's plan holds for it.
    pub(crate) told_of_drain: u32,
    /// Eighths of tokens that were refused since the bucket of frames was full.
    pub(crate) excess: u32,
    /// The bytes of its request head that have come.
    pub(crate) head_bytes: u64,
    /// Bytes that came in beyond their rate since their bucket was full.
    pub(crate) excess_bytes: u64,
    /// The smoothed round trip of pings, 0 before the first.
    pub(crate) round_trip_micros: u32,
    /// Why it closes or has gone.
    pub(crate) reason: CloseReason,
    /// Pending: upgraded, so that frames can be written. Open: still so.
    pub(crate) upgraded: bool,
    /// Was admitted at some time, and is counted as such.
    pub(crate) admitted: bool,
    /// The first ping, whose interval is jittered, was sent.
    pub(crate) pinged_once: bool,
    /// A ping was handed out, and no pong has come since: the next one is free.
    pub(crate) pong_owed: bool,
    /// The message in progress has frames that have come whole: a control frame between them does not
    /// end it.
    pub(crate) fragmented: bool,
    /// Its running ping has the emergency deadline.
    pub(crate) emergency: bool,
    /// Closing: the `Close` was polled, and the handshake's deadline runs.
    pub(crate) close_polled: bool,
}

/// That a connection follows a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Membership {
    pub(crate) stream: u32,
    /// The index among the stream's members.
    pub(crate) index: u32,
    /// The last offset that its client said it has dealt with.
    pub(crate) acknowledged: u64,
}

/// How one connection reads the part of a stream that is older than its join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct LateJoin {
    pub(crate) stream: u32,
    pub(crate) late: Late,
}

/// What is due at a deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Close(CloseReason),
    Ping,
    /// A ping is unanswered for half of its time.
    Suspect,
    /// The peer or the socket took too long to end.
    Cleanup,
}

/// All connections. The hot and the cold part of one have the same key: both slabs see the same
/// inserts and removals.
#[derive(Clone)]
pub(crate) struct Conns {
    hot: Slab<Conn>,
    cold: Slab<Cold>,
}

impl Conns {
    pub(crate) const fn new() -> Self {
        Self { hot: Slab::new(), cold: Slab::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.hot.len()
    }

    pub(crate) fn insert(
        &mut self,
        serial: NonZeroU32,
        now: Timestamp,
        attended: Timestamp,
    ) -> ConnId {
        let slot = self.hot.insert(Conn {
            last_seen: attended,
            load: 0,
            serial,
            session: NO_SESSION,
            lagging: 0,
            state: State::Pending,
            ready: false,
            paused: false,
            ping: Ping::None,
        });
        let cold = self.cold.insert(Cold {
            phase: now,
            waits_since: attended,
            progress: attended,
            last_data: attended,
            expires_at: Timestamp::MAX,
            message_began: Timestamp::MAX,
            frames: TokenBucket::default(),
            bytes: TokenBucket::default(),
            asked_at: attended,
            flushed: 0,
            queued: 0,
            ping_mark: 0,
            ping_at: attended,
            memberships: SmallVec::new(),
            late_joins: Vec::new(),
            label: None,
            waiter: None,
            next_membership: 0,
            told_of_drain: 0,
            excess: 0,
            head_bytes: 0,
            excess_bytes: 0,
            round_trip_micros: 0,
            reason: CloseReason::PeerGone,
            upgraded: false,
            admitted: false,
            pinged_once: false,
            pong_owed: false,
            fragmented: false,
            emergency: false,
            close_polled: false,
        });
        debug_assert_eq!(slot, cold);
        ConnId::new(slot as u32, serial)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> (Conn, Cold) {
        (table::remove(&mut self.hot, slot), table::remove(&mut self.cold, slot))
    }

    /// The slot of a handle whose cleanup was not polled.
    pub(crate) fn resolve(&self, id: ConnId) -> Option<u32> {
        let conn = self.hot.get(id.index())?;
        (conn.serial == id.serial()).then_some(id.index() as u32)
    }

    pub(crate) fn id(&self, slot: u32) -> ConnId {
        ConnId::new(slot, self.hot[slot as usize].serial)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Conn> {
        self.hot.get(slot as usize)
    }

    pub(crate) fn hot(&self, slot: u32) -> &Conn {
        &self.hot[slot as usize]
    }

    pub(crate) fn hot_mut(&mut self, slot: u32) -> &mut Conn {
        &mut self.hot[slot as usize]
    }

    pub(crate) fn cold(&self, slot: u32) -> &Cold {
        &self.cold[slot as usize]
    }

    pub(crate) fn cold_mut(&mut self, slot: u32) -> &mut Cold {
        &mut self.cold[slot as usize]
    }

    pub(crate) fn both_mut(&mut self, slot: u32) -> (&mut Conn, &mut Cold) {
        (&mut self.hot[slot as usize], &mut self.cold[slot as usize])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Conn, &Cold)> {
        self.hot
            .iter()
            .zip(self.cold.iter())
            .map(|((slot, hot), (_, cold))| (slot as u32, hot, cold))
    }

    /// One past the highest slot in use or vacant: the end of a walk over the table.
    pub(crate) fn end(&self) -> u32 {
        self.hot.iter().next_back().map_or(0, |(slot, _)| slot as u32 + 1)
    }
}

impl Hash for Conns {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { hot, cold } = self;
        table::hash_slab(hot, state);
        // In the same slots.
        cold.iter().for_each(|(_, cold)| cold.hash(state));
    }
}

/// What a deadline depends on beside the connection.
pub(crate) struct Rules<'a> {
    pub(crate) config: &'a Config,
    /// The sum of the process's own silences: what is kept in attended time is due that much later.
    pub(crate) pauses: Duration,
    pub(crate) drain: Option<&'a Drain>,
}

impl Rules<'_> {
    /// When so much attended time has passed since a stamp that is kept in it.
    fn attended(&self, since: Timestamp, wait: Duration) -> Deadline {
        Deadline::after(since, wait + self.pauses)
    }
}

/// The first deadline of a connection, and what is due then.
///
/// Everything that changes a deadline to be earlier must be followed by arming the
/// timer; what makes it later need not.
pub(crate) fn deadline(conn: &Conn, cold: &Cold, rules: &Rules<'_>) -> Option<(Deadline, Due)> {
    let config = rules.config;
    let waits_for = |wait: Duration| rules.attended(cold.waits_since, wait);
    match conn.state {
        State::Pending if cold.upgraded => {
            Some((waits_for(config.auth_deadline), Due::Close(CloseReason::AuthTimeout)))
        }
        State::Pending => {
            Some((waits_for(config.head_deadline), Due::Close(CloseReason::HeadTimeout)))
        }
        // The first of equals is the one that says most.
        State::Open => {
            let silent = if conn.paused { None } else { silence(conn, cold, rules) };
            ends(conn, cold, rules).into_iter().chain([silent]).flatten().min_by_key(|(at, _)| *at)
        }
        State::Closing if cold.close_polled => {
            let wait = match cold.reason {
                // A peer that broke the protocol, or floods, gets the close frame and a second to read
                // it.
                CloseReason::ProtocolError
                | CloseReason::InvalidPayload
                | CloseReason::MessageTooBig
                | CloseReason::RateLimited
                | CloseReason::HeadTimeout => config.close_handshake.min(Duration::from_secs(1)),
                _ => config.close_handshake,
            };
            Some((waits_for(wait), Due::Cleanup))
        }
        State::Closing | State::Gone => None,
    }
}

/// Whether a deadline that closes an open connection has passed, whatever else is due before it.
pub(crate) fn is_overdue(conn: &Conn, cold: &Cold, rules: &Rules<'_>, now: Timestamp) -> bool {
    let late = Conn { ping: Ping::Late, ..*conn };
    let silent = match conn.ping {
        Ping::Flushed | Ping::Late if !conn.paused => silence(&late, cold, rules),
        _ => None,
    };
    let mut ends = ends(conn, cold, rules).into_iter().chain([silent]).flatten();
    ends.any(|(at, _)| at.is_due(now))
}

/// The instants at which an open connection is closed, apart from its silence.
fn ends(conn: &Conn, cold: &Cold, rules: &Rules<'_>) -> [Option<(Deadline, Due)>; 6] {
    let Rules { config, drain, .. } = *rules;
    let close = |at: Deadline, reason: CloseReason| (at, Due::Close(reason));
    // Only whoever was told: nobody is sent away before they have heard of it.
    let told = drain.filter(|drain| drain.number == cold.told_of_drain);
    let drained = told.map(|drain| close(drain.closes_at(conn, config), CloseReason::Restart));
    let expiry = (cold.expires_at < Timestamp::MAX).then(|| {
        close(Deadline::after(cold.expires_at, config.expiry_grace), CloseReason::Expired)
    });
    let lifetime = (!config.max_lifetime.is_zero()).then(|| {
        let at = Deadline::after(cold.phase, lifetime(conn, config));
        close(at, CloseReason::LifetimeEnded)
    });
    let idle = (!config.idle.is_zero() && !conn.paused)
        .then(|| close(rules.attended(cold.last_data, config.idle), CloseReason::Idle));
    let stuck = (conn.load > cold.queued).then(|| {
        close(rules.attended(cold.progress, config.slow_deadline), CloseReason::SlowConsumer)
    });
    let frame = (cold.message_began < Timestamp::MAX && !conn.paused).then(|| {
        let at = rules.attended(cold.message_began, config.frame_deadline);
        close(at, CloseReason::FrameTimeout)
    });
    [drained, expiry, lifetime, idle, stuck, frame]
}

/// What an open connection's silence leads to next.
fn silence(conn: &Conn, cold: &Cold, rules: &Rules<'_>) -> Option<(Deadline, Due)> {
    let config = rules.config;
    let pong_timeout = match cold.emergency {
        true => config.emergency_deadline.min(config.pong_timeout),
        false => config.pong_timeout,
    };
    match conn.ping {
        Ping::None | Ping::Void if config.interval.is_zero() => None,
        Ping::None | Ping::Void => {
            Some((rules.attended(conn.last_seen, silence_allowed(conn, cold, config)), Due::Ping))
        }
        // Until it is flushed, only the slow deadline judges.
        Ping::Queued | Ping::Handed => None,
        Ping::Flushed => Some((rules.attended(cold.ping_at, pong_timeout / 2), Due::Suspect)),
        Ping::Late => {
            let at = rules.attended(cold.ping_at, pong_timeout);
            Some((at, Due::Close(CloseReason::PongTimeout)))
        }
    }
}

/// A number of the connection's own, spread evenly over 64 bits.
pub(crate) fn jitter_bits(conn: &Conn, config: &Config, purpose: u64) -> u64 {
    mix(config.seed ^ mix(purpose) ^ u64::from(conn.serial.get()))
}

/// A share of `span`: zero for the least throw, just short of all of it for the greatest.
pub(crate) fn scale(span: Duration, jitter_bits: u64) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    // The high half of a product with a 64-bit fraction: no bias that could matter, no float.
    Duration::from_nanos(((u128::from(nanos) * u128::from(jitter_bits)) >> 64) as u64)
}

/// Jittered over [0.9, 1) of the maximum, so that those who came together don't go together.
fn lifetime(conn: &Conn, config: &Config) -> Duration {
    let jitter = config.max_lifetime / 10;
    config.max_lifetime - jitter + scale(jitter, jitter_bits(conn, config, 2))
}

/// How long the peer may be silent before it is pinged: the first time jittered over [½, 1) of the
/// interval, so that clients who came back together are not pinged in step.
fn silence_allowed(conn: &Conn, cold: &Cold, config: &Config) -> Duration {
    if cold.pinged_once {
        return config.interval;
    }
    config.interval / 2 + scale(config.interval / 2, jitter_bits(conn, config, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ping_is_jittered_over_the_second_half_of_the_interval() {
        let config = Config::new(7);
        let mut conns = Conns::new();
        let mut quarters = [0; 4];
        for serial in 1..=1_000 {
            let slot = conns
                .insert(NonZeroU32::new(serial).unwrap(), Timestamp::ZERO, Timestamp::ZERO)
                .index();
            let silence = silence_allowed(conns.hot(slot as u32), conns.cold(slot as u32), &config);
            assert!(silence >= config.interval / 2 && silence < config.interval);
            let quarter =
                (silence - config.interval / 2).as_millis() * 8 / config.interval.as_millis();
            quarters[quarter as usize] += 1;
        }
        assert!(quarters.iter().all(|count| (150..350).contains(count)), "{quarters:?}");
    }
}
