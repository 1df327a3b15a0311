//! What is counted while a simulation runs.

use std::collections::BTreeMap;

use headcount::{CloseReason, Stats};

use crate::queue::Millis;

/// Lengths of time: exact below 64 ms, then in steps of a 32nd, with the exact longest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lengths {
    counts: Vec<u64>,
    pub(crate) count: u64,
    pub(crate) longest: Millis,
}

impl Lengths {
    pub(crate) fn add(&mut self, length: Millis) {
        let bucket = Self::bucket(length);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.count += 1;
        self.longest = self.longest.max(length);
    }

    const fn bucket(length: Millis) -> usize {
        if length < 64 {
            return length as usize;
        }
        let octave = 31 - length.leading_zeros();
        let step = (length >> (octave - 5)) - 32;
        (64 + (octave - 6) * 32 + step) as usize
    }

    /// The least length of a bucket.
    const fn floor(bucket: usize) -> Millis {
        if bucket < 64 {
            return bucket as Millis;
        }
        let (octave, step) = ((bucket - 64) as u32 / 32 + 6, (bucket - 64) as u32 % 32);
        (32 + step) << (octave - 5)
    }

    /// What so many percent are not longer than, rounded down to a step.
    pub(crate) fn percentile(&self, percent: u64) -> Millis {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::floor(bucket);
            }
        }
        self.longest
    }
}

/// Of one group of clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupTally {
    pub(crate) admitted: u64,
    /// Attempts that were refused, and attempts that found no server.
    pub(crate) refused: u64,
    pub(crate) unreachable: u64,
    /// Admitted connections that have ended, in the order of `CloseReason::ALL`.
    pub(crate) closed: Vec<u64>,
    /// Clients that were told to stop, and do.
    pub(crate) stopped: u64,
    pub(crate) delivered: u64,
    pub(crate) gaps: u64,
    /// Offsets that gaps have named.
    pub(crate) lost: u64,
    /// Resumes that found everything, or not.
    pub(crate) resumed_whole: u64,
    pub(crate) resumed_with_gap: u64,
    /// From the loss of a connection, or the wish for the first, to the admission.
    pub(crate) without: Lengths,
    /// From the first refusal to the admission, or to the end of the simulation.
    pub(crate) locked_out: Lengths,
    pub(crate) locked_out_at_end: u64,
    pub(crate) connected_at_end: u64,
}

/// The sums over all servers that there were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) opened: u64,
    pub(crate) live: u64,
    /// Admitted connections of servers that crashed.
    pub(crate) crashed: u64,
    pub(crate) closed: Vec<u64>,
    pub(crate) abandoned: u64,
    pub(crate) pings: u64,
    pub(crate) pongs: u64,
    pub(crate) recovered: u64,
    pub(crate) pauses: u64,
    pub(crate) late_stamps: u64,
    pub(crate) probed: u64,
    pub(crate) stored: u64,
    pub(crate) handed_out: u64,
    pub(crate) shed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, stats: &Stats, crashed: bool) {
        self.opened += stats.opened;
        let left = u64::from(stats.live);
        if crashed {
            self.crashed += left;
        } else {
            self.live += left;
        }
        self.closed.resize(CloseReason::ALL.len(), 0);
        for (count, reason) in self.closed.iter_mut().zip(CloseReason::ALL) {
            *count += stats.closed(*reason);
        }
        self.abandoned += stats.abandoned;
        self.pings += stats.pings_sent;
        self.pongs += stats.pongs_received;
        self.recovered += stats.recovered;
        self.pauses += stats.pauses;
        self.late_stamps += stats.late_stamps;
        self.probed += stats.probed;
        self.stored += stats.stored;
        self.handed_out += stats.sent;
        self.shed += stats.shed;
        self.skipped += stats.skipped;
    }

    /// `opened = live + Σ closed`, what crashes took included.
    pub(crate) fn adds_up(&self) -> bool {
        self.opened == self.live + self.crashed + self.closed.iter().sum::<u64>()
    }
}

/// The figures of one instant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) at: Millis,
    pub(crate) open: u32,
    /// Bytes in logs, and bytes handed out that no client has read.
    pub(crate) logged: u64,
    pub(crate) unread: u64,
    /// Connections that have ended since the last sample.
    pub(crate) closed: u64,
}

/// What came of an incident, until the next one.
#[derive(Clone, Debug)]
pub(crate) struct Aftermath {
    pub(crate) at: Millis,
    pub(crate) what: &'static str,
    /// When what it did to the server was over; most incidents are one instant.
    pub(crate) over_at: Millis,
    /// Which server has to end for that.
    pub(crate) over_with: Option<u8>,
    /// The most admissions in one second, and how many there were.
    pub(crate) busiest: u64,
    pub(crate) admitted: u64,
    /// How long clients that were admitted had been without a connection.
    pub(crate) without: Lengths,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) groups: Vec<GroupTally>,
    pub(crate) totals: Totals,
    pub(crate) refusals: BTreeMap<&'static str, u64>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) closed_since_sample: u64,
    /// Cost that was handed out to sockets that do not read it at once.
    pub(crate) unread: u64,
    pub(crate) peak_open: u32,
    pub(crate) peak_logged: u64,
    pub(crate) peak_log_messages: u64,
    pub(crate) peak_unread: u64,
    pub(crate) sent: u64,
    pub(crate) sent_to_nobody: u64,
    /// Deliveries that were not after the last one of their stream. There must be none.
    pub(crate) disordered: u64,
    pub(crate) second: Millis,
    pub(crate) admitted_in_second: u64,
    pub(crate) busiest_second: (Millis, u64),
    pub(crate) aftermaths: Vec<Aftermath>,
    pub(crate) runs_opened: u64,
    pub(crate) runs_completed: u64,
    /// Runs that the application could not open or go on with.
    pub(crate) runs_cut_short: u64,
    /// What the readers of completed runs were owed, got whole, and got in another form.
    pub(crate) streams_owed: u64,
    pub(crate) streams_whole: u64,
    pub(crate) streams_broken: u64,
    /// What `Registry::check` had to say, if anything.
    pub(crate) violations: Vec<String>,
    pub(crate) events: u64,
}

impl Tally {
    pub(crate) fn count_admission(&mut self, now: Millis, without: Millis) {
        if now / 1_000 != self.second {
            self.second = now / 1_000;
            self.admitted_in_second = 0;
        }
        self.admitted_in_second += 1;
        if self.admitted_in_second > self.busiest_second.1 {
            self.busiest_second = (self.second, self.admitted_in_second);
        }
        if let Some(last) = self.aftermaths.last_mut() {
            last.busiest = last.busiest.max(self.admitted_in_second);
            last.admitted += 1;
            last.without.add(without);
        }
    }

    pub(crate) fn count_incident(&mut self, at: Millis, what: &'static str) {
        // Admissions of the same second, but before, are not its doing.
        self.admitted_in_second = 0;
        let without = Lengths::default();
        let (over_at, over_with) = (at, None);
        let aftermath =
            Aftermath { at, what, over_at, over_with, busiest: 0, admitted: 0, without };
        self.aftermaths.push(aftermath);
    }

    /// The latest incident lasts until then.
    pub(crate) fn lasts_until(&mut self, over_at: Millis) {
        if let Some(last) = self.aftermaths.last_mut() {
            last.over_at = over_at;
        }
    }

    /// The latest incident lasts until a server has ended: past the end of the simulation, if it does not.
    pub(crate) fn lasts_as_long_as(&mut self, server: u8) {
        self.lasts_until(Millis::MAX);
        if let Some(last) = self.aftermaths.last_mut() {
            last.over_with = Some(server);
        }
    }

    /// A server has ended; what lasted as long as it is over then.
    pub(crate) fn server_ended(&mut self, server: u8, over_at: Millis) {
        for aftermath in &mut self.aftermaths {
            if aftermath.over_with == Some(server) {
                aftermath.over_with = None;
                aftermath.over_at = over_at;
            }
        }
    }

    pub(crate) fn sum(&self, figure: impl Fn(&GroupTally) -> u64) -> u64 {
        self.groups.iter().map(figure).sum()
    }
}

/// The place of a reason in `CloseReason::ALL`.
pub(crate) fn place(reason: CloseReason) -> usize {
    CloseReason::ALL.iter().position(|other| *other == reason).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_when_short_and_close_when_long() {
        let mut lengths = Lengths::default();
        for length in 1..=50 {
            lengths.add(length);
        }
        assert_eq!((lengths.percentile(50), lengths.percentile(99)), (25, 50));
        for length in [63, 64, 65, 100, 1_000, 123_456, Millis::MAX] {
            let floor = Lengths::floor(Lengths::bucket(length));
            assert!(floor <= length && length - floor <= length / 32, "{length}: {floor}");
        }
        assert_eq!(Lengths::default().percentile(99), 0);
    }
}
