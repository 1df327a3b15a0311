//! The heartbeat against the questions that a person would ask of its ping.

use alloc::vec::Vec;

use bolero::{TypeGenerator, check, produce};

use super::*;
use crate::config::Config;

/// How many calls a history has at most.
const CALLS: usize = if cfg!(kani) { 4 } else { 120 };
/// What one more window of progress is, and what comes and goes at once: a part of it, so that sums meet it.
const WINDOW: u64 = 1_000;
const PART: u64 = 250;

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Call {
    /// So many milliseconds pass.
    Wait(u16),
    Ask,
    /// The outbox comes to its place of the ping, behind so many parts that are in flight.
    Poll(#[generator(0..6_u8)] u8),
    /// The socket takes so many parts more.
    Flush(#[generator(0..6_u8)] u8),
    Suspect,
    /// A sign of life, which may be a pong.
    Hear(bool),
    Hurry,
    Restart,
}

/// A ping that was handed out and not answered.
#[derive(Clone, Copy)]
struct Asked {
    /// The total that is flushed when it is.
    total: u64,
    /// When it was flushed.
    at: Option<Timestamp>,
    /// What was flushed when its deadline began, and when that was.
    began: (u64, Timestamp),
    is_late: bool,
}

#[derive(Default)]
struct Reference {
    /// The outbox has a place for a ping.
    has_place: bool,
    /// No life was heard since a ping was asked for.
    is_wanted: bool,
    asked: Option<Asked>,
    pongs_owed: u32,
    was_pinged: bool,
    is_hurried: bool,
    heard: Timestamp,
    round_trip_micros: u64,
}

impl Reference {
    fn hear(&mut self) -> Heard {
        let heard = match self.asked {
            Some(asked) if asked.is_late => Heard::Late,
            Some(_) => Heard::Asked,
            None if self.is_wanted => Heard::Queued,
            None => Heard::Life,
        };
        (self.is_wanted, self.asked, self.is_hurried) = (false, None, false);
        heard
    }

    /// When its silence leads to something, and to what.
    fn due(&self, config: &Config, first_ping: Duration) -> Option<(Timestamp, Due)> {
        let timeout = match self.is_hurried {
            true => config.emergency_deadline.min(config.pong_timeout),
            false => config.pong_timeout,
        };
        match self.asked {
            Some(Asked { at: Some(_), began: (_, began), is_late, .. }) => Some(match is_late {
                true => (began + timeout, Due::Close(CloseReason::PongTimeout)),
                false => (began + timeout / 2, Due::Suspect),
            }),
            Some(_) => None,
            None if self.is_wanted => None,
            None => {
                let allowed = if self.was_pinged { config.ping_interval } else { first_ping };
                Some(((self.heard + allowed).next_multiple_of(config.ping_slack), Due::Ping))
            }
        }
    }
}

#[test]
#[cfg_attr(kani, kani::proof, kani::unwind(7))]
fn agrees_with_what_is_known_of_the_ping() {
    // Each wait has a length of its own.
    let config = Config::builder(1).emergency_deadline(Duration::from_secs(3)).build().unwrap();
    let rules = Rules { config: &config, pauses: Duration::ZERO, drain: None };
    let first_ping = config.ping_interval / 2;
    let calls = produce::<Vec<Call>>().with().len(0..=CALLS);
    check!().with_iterations(2_000).with_generator(calls).for_each(|calls| {
        let (mut pulse, mut probe) = (Pulse::new(Timestamp::ZERO), Probe::new(Timestamp::ZERO));
        let (mut reference, mut now, mut flushed) = (Reference::default(), Timestamp::ZERO, 0);
        for call in calls {
            match *call {
                Call::Wait(millis) => now += Duration::from_millis(u64::from(millis)),
                Call::Ask if reference.is_wanted || reference.asked.is_some() => {}
                Call::Ask => {
                    let expected = if reference.has_place { Ask::Recharge } else { Ask::Enqueue };
                    assert_eq!(pulse.ask(), expected);
                    (reference.has_place, reference.is_wanted) = (true, true);
                }
                Call::Poll(_) if !reference.has_place => {}
                Call::Poll(before) => {
                    assert_eq!(pulse.leave_outbox(), reference.is_wanted);
                    reference.has_place = false;
                    if core::mem::take(&mut reference.is_wanted) {
                        let total = flushed + u64::from(before) * PART + PART;
                        pulse.handed_out(&mut probe, total);
                        let began = (total, now);
                        reference.asked = Some(Asked { total, at: None, began, is_late: false });
                        (reference.was_pinged, reference.pongs_owed) = (true, 1);
                    }
                }
                Call::Flush(parts) => {
                    flushed += u64::from(parts) * PART;
                    let is_first = match &mut reference.asked {
                        Some(asked) if asked.at.is_none() && flushed >= asked.total => {
                            (asked.at, asked.began) = (Some(now), (flushed, now));
                            true
                        }
                        Some(asked) if asked.at.is_some() && flushed - asked.began.0 >= WINDOW => {
                            asked.began = (flushed, now);
                            false
                        }
                        _ => false,
                    };
                    assert_eq!(pulse.flushed(&mut probe, flushed, now, WINDOW), is_first);
                }
                Call::Suspect => {
                    if let Some(asked) = &mut reference.asked
                        && asked.at.is_some()
                        && !core::mem::replace(&mut asked.is_late, true)
                    {
                        pulse.suspect();
                    }
                }
                Call::Hear(is_pong) => {
                    if is_pong {
                        pulse.measure(&mut probe, now);
                        assert_eq!(probe.take_owed_pong(), reference.pongs_owed == 1);
                        reference.pongs_owed = 0;
                        if let Some(Asked { at: Some(at), .. }) = reference.asked {
                            let sample = now.saturating_since(at).as_micros().max(1) as u64;
                            let smoothed = reference.round_trip_micros;
                            reference.round_trip_micros =
                                if smoothed == 0 { sample } else { (smoothed * 7 + sample) / 8 };
                        }
                    }
                    pulse.restart(now);
                    reference.heard = now;
                    assert_eq!(pulse.clear(&mut probe), reference.hear());
                }
                Call::Hurry => {
                    let runs = reference.is_wanted || reference.asked.is_some();
                    assert_eq!(pulse.hurry(&mut probe), runs);
                    reference.is_hurried |= runs;
                }
                Call::Restart => {
                    probe.restart(now);
                    if let Some(asked) = &mut reference.asked {
                        asked.began.1 = now;
                    }
                }
            }
            let asked = reference.asked;
            let is_calm = asked.is_none() && !reference.is_wanted;
            assert_eq!((pulse.is_calm(), pulse.is_asked()), (is_calm, asked.is_some()));
            assert_eq!(pulse.is_suspect(), asked.is_some_and(|asked| asked.is_late));
            assert_eq!(pulse.is_on_its_way(), asked.is_some_and(|asked| asked.at.is_none()));
            assert_eq!(pulse.is_void(), reference.has_place && !reference.is_wanted);
            assert_eq!(pulse.last_seen(), reference.heard);
            assert_eq!(u64::from(probe.round_trip_micros()), reference.round_trip_micros);
            let due = reference.due(&config, first_ping);
            assert_eq!(pulse.deadline(&probe, &rules, || first_ping), due);
        }
    });
}
