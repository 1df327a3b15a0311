//! The heartbeat of one connection: when it was heard last, and the ping that waits for an answer.
//!
//! ```text
//!          ask            handed_out          flushed            suspect
//!   None ───────▶ Queued ───────────▶ Handed ─────────▶ Flushed ─────────▶ Late
//!    ▲             ▲  │                  │                 │                 │
//!    │         ask │  │ heard            │ heard           │ heard           │ heard
//!    │             │  ▼                  ▼                 ▼                 ▼
//!    └───────────── Void                None              None        None (recovered)
//!      its place in
//!      the outbox is reached
//! ```
//!
//! The deadline of the answer begins when the ping was flushed, for until then only the slow deadline
//! can judge the peer. [`Pulse`] lies in the hot record, for each sign of life touches it; [`Probe`] is
//! reached only where a ping is.

use core::time::Duration;

use crate::action::CloseReason;
use crate::snapshot::{Decoder, Encoded, Encoder, Malformed, encoded};
use crate::time::Timestamp;

use super::deadline::{Due, Rules};

/// How far the ping that waits for an answer has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Ping {
    None,
    /// In the outbox.
    Queued,
    /// Still in the outbox, where life overtook it: it is charged to no window and will not be handed
    /// out, but the next silence uses it again, so that there is never more than one.
    Void,
    /// Handed out: flushed when the total reaches [`Probe::mark`].
    Handed,
    /// On its way to the peer since [`Probe::since`].
    Flushed,
    /// Unanswered for half of the time that it has: the connection is suspect.
    Late,
}

encoded! { enum Ping { 0 = None, 1 = Queued, 2 = Void, 3 = Handed, 4 = Flushed, 5 = Late } }

/// When the peer was heard last, and how far its ping has come.
#[derive(Clone, Copy, Debug, Hash)]
// Without room behind the ping that nothing could use: the hot record has as many bytes as it may.
#[repr(C, packed(4))]
pub(crate) struct Pulse {
    /// Any sign of life of the peer, in attended time.
    last_seen: Timestamp,
    ping: Ping,
}

impl Encoded for Pulse {
    fn encode(&self, to: &mut Encoder<'_>) {
        // By value: what is packed can't be borrowed.
        let Self { last_seen, ping } = *self;
        (last_seen, ping).encode(to);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (last_seen, ping) = Encoded::decode(from)?;
        Ok(Self { last_seen, ping })
    }
}

/// The rest of a heartbeat.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Probe {
    /// Handed: the total at which the ping is flushed. Flushed: the total from which the next window of
    /// progress counts.
    mark: u64,
    /// When the deadline of the answer began, in attended time.
    since: Timestamp,
    /// When the ping was flushed, in attended time: the round trip is measured from it.
    asked_at: Timestamp,
    /// The smoothed round trip of pings, 0 before the first.
    round_trip_micros: u32,
    /// The running ping has the emergency deadline.
    emergency: bool,
    /// The first ping, whose interval is jittered, was handed out.
    pinged_once: bool,
    /// A ping was handed out, and no pong has come since: the next one is free.
    pong_owed: bool,
}

encoded! {
    struct Probe { mark, since, asked_at, round_trip_micros, emergency, pinged_once, pong_owed }
}

/// What a sign of life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// No ping was running.
    Life,
    /// A ping in the outbox, which is void now and charged no more.
    Queued,
    /// A ping that was handed out.
    Asked,
    /// A ping that had made the connection suspect.
    Late,
}

/// What to queue so that a ping goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Enqueue,
    /// The void one in the outbox serves again: it is only charged.
    Recharge,
}

impl Pulse {
    pub(crate) const fn new(attended: Timestamp) -> Self {
        Self { last_seen: attended, ping: Ping::None }
    }

    pub(crate) const fn last_seen(&self) -> Timestamp {
        self.last_seen
    }

    /// Whether no ping runs: a sign of life has nothing to end.
    pub(crate) const fn is_calm(&self) -> bool {
        matches!(self.ping, Ping::None | Ping::Void)
    }

    /// Whether a ping was handed out and not answered.
    pub(crate) const fn is_asked(&self) -> bool {
        matches!(self.ping, Ping::Handed | Ping::Flushed | Ping::Late)
    }

    /// Whether its ping is unanswered for half of its time.
    pub(crate) const fn is_suspect(&self) -> bool {
        matches!(self.ping, Ping::Late)
    }

    /// Whether its ping was handed out and not flushed.
    pub(crate) const fn is_on_its_way(&self) -> bool {
        matches!(self.ping, Ping::Handed)
    }

    /// Whether its ping in the outbox will not be handed out.
    pub(crate) const fn is_void(&self) -> bool {
        matches!(self.ping, Ping::Void)
    }

    /// The silence that is measured begins now.
    pub(crate) const fn restart(&mut self, attended: Timestamp) {
        self.last_seen = attended;
    }

    /// There is life: nothing is left to ask.
    pub(crate) const fn clear(&mut self, probe: &mut Probe) -> Heard {
        let (ping, heard) = match self.ping {
            Ping::None | Ping::Void => (self.ping, Heard::Life),
            Ping::Queued => (Ping::Void, Heard::Queued),
            Ping::Handed | Ping::Flushed => (Ping::None, Heard::Asked),
            Ping::Late => (Ping::None, Heard::Late),
        };
        self.ping = ping;
        probe.emergency = false;
        heard
    }

    /// Asks for a sign of life. No ping may run.
    pub(crate) fn ask(&mut self) -> Ask {
        debug_assert!(self.is_calm(), "a ping runs already");
        match core::mem::replace(&mut self.ping, Ping::Queued) {
            Ping::Void => Ask::Recharge,
            _ => Ask::Enqueue,
        }
    }

    /// The outbox has come to the ping. `false`: it was void, and is not handed out.
    pub(crate) fn leave_outbox(&mut self) -> bool {
        let void = self.ping == Ping::Void;
        if void {
            self.ping = Ping::None;
        }
        !void
    }

    /// The ping was handed out: it is flushed when `total` is.
    pub(crate) const fn handed_out(&mut self, probe: &mut Probe, total: u64) {
        self.ping = Ping::Handed;
        probe.mark = total;
        probe.pinged_once = true;
        probe.pong_owed = true;
    }

    /// So much was flushed in all. `true`: the ping was part of it, and the deadline of its answer runs
    /// from now on. Each further `window` starts that deadline again, for the peer reads what it was
    /// behind with, and its pong queues behind that.
    pub(crate) fn flushed(
        &mut self,
        probe: &mut Probe,
        total: u64,
        attended: Timestamp,
        window: u64,
    ) -> bool {
        let is_first = match self.ping {
            Ping::Handed if total >= probe.mark => true,
            Ping::Flushed | Ping::Late if total - probe.mark >= window => false,
            _ => return false,
        };
        if is_first {
            self.ping = Ping::Flushed;
            probe.asked_at = attended;
        }
        probe.since = attended;
        probe.mark = total;
        is_first
    }

    /// Half of the time for an answer has passed.
    pub(crate) fn suspect(&mut self) {
        debug_assert_eq!(self.ping, Ping::Flushed);
        self.ping = Ping::Late;
    }

    /// The running ping has the emergency deadline from now on. `false`: none runs.
    pub(crate) const fn hurry(&self, probe: &mut Probe) -> bool {
        let runs = !self.is_calm();
        if runs {
            probe.emergency = true;
        }
        runs
    }

    /// Measures the round trip at a pong, if a flushed ping waits for it.
    pub(crate) fn measure(&self, probe: &mut Probe, attended: Timestamp) {
        if !matches!(self.ping, Ping::Flushed | Ping::Late) {
            return;
        }
        let micros = attended.saturating_since(probe.asked_at).as_micros();
        let sample = u32::try_from(micros).unwrap_or(u32::MAX).max(1);
        // RFC 6298's smoothing, in integers.
        let smoothed = u64::from(probe.round_trip_micros) * 7 + u64::from(sample);
        probe.round_trip_micros = match probe.round_trip_micros {
            0 => sample,
            _ => (smoothed / 8) as u32,
        };
    }

    /// What its silence leads to next, and when. `None`: while the ping is on its way to the kernel, or
    /// the heartbeat is off. `first_ping` is how long the peer may be silent before its first ping.
    pub(super) fn deadline(
        &self,
        probe: &Probe,
        rules: &Rules<'_>,
        first_ping: impl FnOnce() -> Duration,
    ) -> Option<(Timestamp, Due)> {
        let config = rules.config;
        match self.ping {
            Ping::None | Ping::Void if config.ping_interval.is_zero() => None,
            Ping::None | Ping::Void => {
                let allowed = if probe.pinged_once { config.ping_interval } else { first_ping() };
                let at = rules.attended(self.last_seen, allowed);
                // Connections that are silent alike are pinged in one turn, and their pongs are read in few.
                Some((at.next_multiple_of(config.ping_slack), Due::Ping))
            }
            Ping::Queued | Ping::Handed => None,
            Ping::Flushed => {
                Some((rules.attended(probe.since, probe.pong_timeout(rules) / 2), Due::Suspect))
            }
            Ping::Late => self.missed_at(probe, rules),
        }
    }

    /// When a ping that was flushed is missed. `None`: none was.
    pub(super) fn missed_at(&self, probe: &Probe, rules: &Rules<'_>) -> Option<(Timestamp, Due)> {
        let at = rules.attended(probe.since, probe.pong_timeout(rules));
        matches!(self.ping, Ping::Flushed | Ping::Late)
            .then_some((at, Due::Close(CloseReason::PongTimeout)))
    }
}

impl Probe {
    pub(crate) const fn new(attended: Timestamp) -> Self {
        Self {
            mark: 0,
            since: attended,
            asked_at: attended,
            round_trip_micros: 0,
            emergency: false,
            pinged_once: false,
            pong_owed: false,
        }
    }

    /// The smoothed round trip in microseconds; 0 before the first.
    pub(crate) const fn round_trip_micros(&self) -> u32 {
        self.round_trip_micros
    }

    /// Whether a pong is the answer to a ping that was handed out. Another one is not.
    pub(crate) const fn take_owed_pong(&mut self) -> bool {
        core::mem::replace(&mut self.pong_owed, false)
    }

    /// The deadline of the answer begins anew.
    pub(crate) const fn restart(&mut self, attended: Timestamp) {
        self.since = attended;
    }

    fn pong_timeout(&self, rules: &Rules<'_>) -> Duration {
        let config = rules.config;
        match self.emergency {
            true => config.emergency_deadline.min(config.pong_timeout),
            false => config.pong_timeout,
        }
    }
}

#[cfg(test)]
mod harness;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn flushed() -> (Pulse, Probe) {
        let (mut pulse, mut probe) = (Pulse::new(at(0)), Probe::new(at(0)));
        assert_eq!(pulse.ask(), Ask::Enqueue);
        assert!(pulse.leave_outbox());
        pulse.handed_out(&mut probe, 100);
        assert!(!pulse.flushed(&mut probe, 99, at(1), 1_000), "a byte of the ping is missing");
        assert!(pulse.flushed(&mut probe, 100, at(2), 1_000));
        (pulse, probe)
    }

    #[test]
    fn life_voids_a_queued_ping_which_serves_again() {
        let (mut pulse, mut probe) = (Pulse::new(at(0)), Probe::new(at(0)));
        assert_eq!(pulse.clear(&mut probe), Heard::Life);
        assert_eq!(pulse.ask(), Ask::Enqueue);
        assert_eq!(pulse.clear(&mut probe), Heard::Queued);
        assert!(pulse.is_void() && pulse.is_calm());
        assert_eq!(pulse.ask(), Ask::Recharge);
        assert_eq!(pulse.clear(&mut probe), Heard::Queued);
        assert!(!pulse.leave_outbox(), "a void ping is not handed out");
        assert_eq!(pulse.ask(), Ask::Enqueue);
    }

    #[test]
    fn a_ping_is_asked_from_the_hand_out_to_the_answer() {
        let (mut pulse, mut probe) = flushed();
        assert!(pulse.is_asked() && !pulse.is_suspect());
        pulse.suspect();
        assert!(pulse.is_asked() && pulse.is_suspect());
        assert!(probe.take_owed_pong() && !probe.take_owed_pong(), "one pong is free");
        assert_eq!(pulse.clear(&mut probe), Heard::Late);
        assert!(pulse.is_calm() && !pulse.is_asked());
    }

    #[test]
    fn each_window_that_the_peer_reads_starts_the_deadline_again() {
        let (mut pulse, mut probe) = flushed();
        assert_eq!(probe.since, at(2));
        assert!(!pulse.flushed(&mut probe, 1_099, at(3), 1_000));
        assert_eq!(probe.since, at(2));
        assert!(!pulse.flushed(&mut probe, 1_100, at(4), 1_000), "no deadline comes nearer");
        assert_eq!((probe.since, probe.asked_at), (at(4), at(2)));
    }

    #[test]
    fn the_round_trip_is_smoothed_and_needs_a_flushed_ping() {
        let (mut pulse, mut probe) = flushed();
        pulse.measure(&mut probe, at(2) + Duration::from_millis(80));
        assert_eq!(probe.round_trip_micros(), 80_000);
        pulse.measure(&mut probe, at(2) + Duration::from_millis(160));
        assert_eq!(probe.round_trip_micros(), 90_000);
        pulse.clear(&mut probe);
        pulse.measure(&mut probe, at(9));
        assert_eq!(probe.round_trip_micros(), 90_000);
    }

    #[test]
    fn only_a_running_ping_is_hurried() {
        let (mut pulse, mut probe) = (Pulse::new(at(0)), Probe::new(at(0)));
        assert!(!pulse.hurry(&mut probe) && !probe.emergency);
        pulse.ask();
        assert!(pulse.hurry(&mut probe) && probe.emergency);
        pulse.clear(&mut probe);
        assert!(!probe.emergency);
    }
}
