//! The one next deadline of a connection, as a pure function of its record and the configuration.

use core::time::Duration;

use crate::action::CloseReason;
use crate::config::Config;
use crate::registry::Drain;
use crate::store::{mix, scale};
use crate::time::{Deadline, Timestamp};

use super::{Cold, Conn, State};

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

/// What a deadline depends on beside the connection.
pub(crate) struct Rules<'a> {
    pub(crate) config: &'a Config,
    /// The sum of the process's own silences: what is kept in attended time is due that much later.
    pub(crate) pauses: Duration,
    pub(crate) drain: Option<&'a Drain>,
}

impl Rules<'_> {
    /// When so much attended time has passed since a stamp that is kept in it.
    pub(super) fn attended(&self, since: Timestamp, wait: Duration) -> Timestamp {
        since + wait + self.pauses
    }

    /// When a connection of which nothing was flushed since then is closed.
    pub(crate) fn stuck(&self, since: Timestamp) -> Deadline {
        Deadline::of(self.attended(since, self.config.slow_deadline))
    }
}

/// The first deadline of a connection, and what is due then: of equals the one that says most.
///
/// Everything that changes a deadline to be earlier must be followed by arming the
/// timer; what makes it later need not.
pub(crate) fn deadline(conn: &Conn, cold: &Cold, rules: &Rules<'_>) -> Option<(Deadline, Due)> {
    let mut first: Option<(Deadline, Due)> = None;
    each_due(conn, cold, rules, |at, due| {
        let at = Deadline::of(at);
        if first.is_none_or(|(before, _)| at < before) {
            first = Some((at, due));
        }
    });
    first
}

/// When the first deadline is, without what is due then.
pub(crate) fn deadline_at(conn: &Conn, cold: &Cold, rules: &Rules<'_>) -> Option<Deadline> {
    let mut first: Option<Timestamp> = None;
    each_due(conn, cold, rules, |at, _| first = Some(first.map_or(at, |before| before.min(at))));
    // Rounding keeps the order.
    first.map(Deadline::of)
}

/// Everything that will be due for a connection, what says most first.
fn each_due(conn: &Conn, cold: &Cold, rules: &Rules<'_>, mut due: impl FnMut(Timestamp, Due)) {
    let config = rules.config;
    let waits_for = |wait: Duration| rules.attended(cold.waits_since, wait);
    match conn.state {
        State::Pending if cold.upgraded => {
            due(waits_for(config.auth_deadline), Due::Close(CloseReason::AuthTimeout));
        }
        State::Pending => {
            due(waits_for(config.head_deadline), Due::Close(CloseReason::HeadTimeout));
        }
        State::Open => {
            each_end(conn, cold, rules, |at, reason| due(at, Due::Close(reason)));
            // A paused connection's silence is the process's own doing.
            let first_ping = || silence_before_first_ping(conn, config);
            if !conn.paused
                && let Some((at, asks)) = conn.pulse.deadline(&cold.probe, rules, first_ping)
            {
                due(at, asks);
            }
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
            due(waits_for(wait), Due::Cleanup);
        }
        State::Closing | State::Gone => {}
    }
}

/// Whether a deadline that closes an open connection has passed, whatever else is due before it.
pub(crate) fn is_overdue(conn: &Conn, cold: &Cold, rules: &Rules<'_>, now: Timestamp) -> bool {
    let mut is_overdue = false;
    each_end(conn, cold, rules, |at, _| is_overdue |= Deadline::of(at).is_due(now));
    let missed = conn.pulse.missed_at(&cold.probe, rules).filter(|_| !conn.paused);
    is_overdue || missed.is_some_and(|(at, _)| Deadline::of(at).is_due(now))
}

/// The instants at which an open connection is closed, apart from its silence.
fn each_end(
    conn: &Conn,
    cold: &Cold,
    rules: &Rules<'_>,
    mut end: impl FnMut(Timestamp, CloseReason),
) {
    let Rules { config, drain, .. } = *rules;
    // A connection that was not told of the drain is not closed for it.
    if let Some(drain) = drain.filter(|drain| drain.number == cold.told_of_drain) {
        end(drain.closes_at(conn, config), CloseReason::Restart);
    }
    if cold.expires_at < Timestamp::MAX {
        end(cold.expires_at + config.expiry_grace, CloseReason::Expired);
    }
    if !config.max_lifetime.is_zero() {
        end(cold.phase + lifetime(conn, config), CloseReason::LifetimeEnded);
    }
    if !config.session_idle.is_zero() && !conn.paused {
        end(rules.attended(cold.waits_since, config.session_idle), CloseReason::Idle);
    }
    if let Some(since) = conn.window.stuck_since() {
        end(rules.attended(since, config.slow_deadline), CloseReason::SlowConsumer);
    }
    let began = cold.extras.message_began;
    if began < Timestamp::MAX && !conn.paused {
        end(rules.attended(began, config.frame_deadline), CloseReason::FrameTimeout);
    }
}

/// A number of the connection's own, spread evenly over 64 bits.
pub(crate) fn jitter_bits(conn: &Conn, config: &Config, purpose: u64) -> u64 {
    mix(config.seed ^ mix(purpose) ^ u64::from(conn.serial.get()))
}

/// Jittered over [0.9, 1) of the maximum, so that those who came together don't go together.
fn lifetime(conn: &Conn, config: &Config) -> Duration {
    let jitter = config.max_lifetime / 10;
    config.max_lifetime - jitter + scale(jitter, jitter_bits(conn, config, 2))
}

/// How long the peer may be silent before its first ping: jittered over [½, 1) of the interval, so that
/// clients who came back together are not pinged in step.
fn silence_before_first_ping(conn: &Conn, config: &Config) -> Duration {
    config.ping_interval / 2 + scale(config.ping_interval / 2, jitter_bits(conn, config, 1))
}

#[cfg(test)]
mod tests {
    use super::super::Conns;
    use super::*;
    use core::num::NonZeroU32;

    #[test]
    fn the_first_ping_is_jittered_over_the_second_half_of_the_interval() {
        let config = Config::new(7);
        let mut conns = Conns::new();
        let mut quarters = [0; 4];
        for serial in 1..=1_000 {
            let serial = NonZeroU32::new(serial).unwrap();
            let conn = conns.insert(serial, Timestamp::ZERO, Timestamp::ZERO);
            let silence = silence_before_first_ping(conns.hot(conn), &config);
            assert!(silence >= config.ping_interval / 2 && silence < config.ping_interval);
            let quarter = (silence - config.ping_interval / 2).as_millis() * 8
                / config.ping_interval.as_millis();
            quarters[quarter as usize] += 1;
        }
        assert!(quarters.iter().all(|count| (150..350).contains(count)), "{quarters:?}");
    }

    #[test]
    fn each_bit_of_the_seed_and_of_the_serial_changes_the_jitter() {
        let mut conns = Conns::new();
        let mut bits = |seed, serial, purpose| {
            let serial = NonZeroU32::new(serial).unwrap();
            let conn = conns.insert(serial, Timestamp::ZERO, Timestamp::ZERO);
            jitter_bits(conns.hot(conn), &Config::new(seed), purpose)
        };
        for purpose in [1, 2] {
            for seed in [7, !7] {
                let before = bits(seed, 1, purpose);
                assert!((0..64).all(|bit| bits(seed ^ 1 << bit, 1, purpose) != before));
                assert!((1..32).all(|bit| bits(seed, 1 | 1 << bit, purpose) != before));
            }
        }
    }
}
