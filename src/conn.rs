//! The connection record: its states, its window, and its one next deadline as a pure function.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use slab::Slab;
use smallvec::SmallVec;

use crate::action::CloseReason;
use crate::config::Config;
use crate::id::ConnId;
use crate::random::mix;
use crate::time::Timestamp;

/// The session of a connection that has none.
pub(crate) const NO_SESSION: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
pub(crate) struct Conn {
    /// Any sign of life of the peer.
    pub(crate) last_seen: Timestamp,
    /// The cost of what is queued for it directly or handed out to it, and not flushed.
    pub(crate) load: u64,
    pub(crate) serial: NonZeroU32,
    pub(crate) session: u32,
    /// How many of its seats lag. While any does, everything reaches it through its own turns.
    pub(crate) lagging: u16,
    pub(crate) state: State,
    /// Whether a turn is queued for it.
    pub(crate) ready: bool,
    /// A message was answered `Paused`: its silence is our own doing.
    pub(crate) paused: bool,
    pub(crate) ping: Ping,
}

const _: () = assert!(size_of::<Conn>() <= 32);

/// How far the ping that waits for an answer has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
}

/// The rest of a connection.
pub(crate) struct Cold {
    /// When the running phase began: reserved, upgraded, admitted, or `Close` polled.
    pub(crate) phase: Timestamp,
    /// The last flush progress, or when the first unflushed thing was handed out.
    pub(crate) progress: Timestamp,
    /// The cumulative cost that was flushed.
    pub(crate) flushed: u64,
    /// The part of the load that waits in the outbox.
    pub(crate) queued: u64,
    /// Handed: the total at which the ping is flushed. Flushed: the total from which the next
    /// window of progress counts.
    pub(crate) ping_mark: u64,
    /// When the pong deadline started.
    pub(crate) ping_at: Timestamp,
    /// Its place in each stream that it follows; the session's is the first.
    pub(crate) seats: SmallVec<[Seat; 2]>,
    /// What a resume asked for and can't have, per stream: a gap to report before any entry.
    pub(crate) missed: Vec<Missed>,
    pub(crate) label: Option<Box<str>>,
    /// The seat that its next turn begins with, so that no room of many starves another.
    pub(crate) next_seat: u32,
    /// Why it closes or has gone.
    pub(crate) reason: CloseReason,
    /// Pending: upgraded, so that frames can be written. Open: still so.
    pub(crate) upgraded: bool,
    /// Was admitted at some time, and is counted as such.
    pub(crate) admitted: bool,
    /// The first ping, whose interval is jittered, was sent.
    pub(crate) pinged_once: bool,
    /// Closing: the `Close` was polled, and the handshake's deadline runs.
    pub(crate) close_polled: bool,
}

/// Where a connection sits in one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seat {
    pub(crate) stream: u32,
    /// The index among the stream's members.
    pub(crate) place: u32,
}

/// The offsets `from..=to` of a stream, lost for one connection that it follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Missed {
    pub(crate) stream: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// What is due at a deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Close(CloseReason),
    Ping,
    /// The peer or the socket took too long to end.
    Cleanup,
}

/// All connections. The hot and the cold part of one have the same key: both slabs see the same
/// inserts and removals.
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

    pub(crate) fn insert(&mut self, serial: NonZeroU32, now: Timestamp) -> ConnId {
        let slot = self.hot.insert(Conn {
            last_seen: now,
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
            progress: now,
            flushed: 0,
            queued: 0,
            ping_mark: 0,
            ping_at: now,
            seats: SmallVec::new(),
            missed: Vec::new(),
            label: None,
            next_seat: 0,
            reason: CloseReason::PeerGone,
            upgraded: false,
            admitted: false,
            pinged_once: false,
            close_polled: false,
        });
        debug_assert_eq!(slot, cold);
        ConnId::new(slot as u32, serial)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> (Conn, Cold) {
        (self.hot.remove(slot as usize), self.cold.remove(slot as usize))
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

/// The first deadline of a connection, in milliseconds, and what is due then.
///
/// Everything that changes it to be earlier must be followed by arming the timer; what makes it
/// later need not.
pub(crate) fn deadline(conn: &Conn, cold: &Cold, config: &Config) -> Option<(u64, Due)> {
    let at = |from: Timestamp, after: Duration| (from + after).as_millis_up();
    match conn.state {
        State::Pending if cold.upgraded => {
            Some((at(cold.phase, config.auth_deadline), Due::Close(CloseReason::AuthTimeout)))
        }
        State::Pending => {
            Some((at(cold.phase, config.head_deadline), Due::Close(CloseReason::HeadTimeout)))
        }
        State::Open => {
            let stuck = (conn.load > cold.queued).then(|| {
                let due = Due::Close(CloseReason::SlowConsumer);
                (at(cold.progress, config.slow_deadline), due)
            });
            let silent = match conn.ping {
                _ if conn.paused => None,
                Ping::None | Ping::Void if config.interval.is_zero() => None,
                Ping::None | Ping::Void => {
                    Some((at(conn.last_seen, silence_allowed(conn, cold, config)), Due::Ping))
                }
                // Until it is flushed, only the slow deadline judges.
                Ping::Queued | Ping::Handed => None,
                Ping::Flushed => {
                    let due = Due::Close(CloseReason::PongTimeout);
                    Some((at(cold.ping_at, config.pong_timeout), due))
                }
            };
            match (stuck, silent) {
                (Some(stuck), Some(silent)) if silent.0 < stuck.0 => Some(silent),
                (Some(stuck), _) => Some(stuck),
                (None, silent) => silent,
            }
        }
        State::Closing if cold.close_polled => {
            let wait = match cold.reason {
                // A peer that broke the protocol gets the close frame, and a second to read it.
                CloseReason::ProtocolError
                | CloseReason::InvalidPayload
                | CloseReason::MessageTooBig
                | CloseReason::HeadTimeout => config.close_handshake.min(Duration::from_secs(1)),
                _ => config.close_handshake,
            };
            Some((at(cold.phase, wait), Due::Cleanup))
        }
        State::Closing | State::Gone => None,
    }
}

/// How long the peer may be silent before it is pinged: the first time jittered over [½, 1) of the
/// interval, so that clients who came back together are not pinged in step.
fn silence_allowed(conn: &Conn, cold: &Cold, config: &Config) -> Duration {
    if cold.pinged_once {
        return config.interval;
    }
    let nanos = u64::try_from(config.interval.as_nanos()).unwrap_or(u64::MAX);
    let random = mix(config.seed ^ u64::from(conn.serial.get()));
    // The high half of a product of a 64-bit fraction: no bias that could matter, no float.
    let share = ((u128::from(nanos / 2) * u128::from(random)) >> 64) as u64;
    Duration::from_nanos(nanos / 2 + share)
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
            let slot = conns.insert(NonZeroU32::new(serial).unwrap(), Timestamp::ZERO).index();
            let silence = silence_allowed(conns.hot(slot as u32), conns.cold(slot as u32), &config);
            assert!(silence >= config.interval / 2 && silence < config.interval);
            let quarter =
                (silence - config.interval / 2).as_millis() * 8 / config.interval.as_millis();
            quarters[quarter as usize] += 1;
        }
        assert!(quarters.iter().all(|count| (150..350).contains(count)), "{quarters:?}");
    }
}
