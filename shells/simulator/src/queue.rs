//! What happens when: virtual time in whole milliseconds, and everything that waits for it.

use std::collections::BTreeMap;

/// Milliseconds since the simulation began.
pub(crate) type Millis = u32;

/// What waits for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// A client tries to connect.
    Attempt,
    /// A client closes its tab.
    Leave,
    /// A client's network goes away.
    Drop,
    /// A client finds out that its network has been away.
    Notice,
    /// A client stops reading.
    Stall,
    /// A client that had stopped reads on.
    ReadOn,
    /// A client's pong reaches the server.
    Pong,
    /// A client that was told to reconnect elsewhere does.
    Move,
    /// A socket's end reaches the server.
    End,
    /// A slow socket takes its next bytes.
    Read,
    /// The application sends.
    Traffic,
    /// The application opens runs.
    OpenRun,
    /// A run gets on.
    RunStep,
    /// Something goes wrong, or is changed.
    Incident,
    /// A new server takes over.
    Start,
    /// The figures are looked at.
    Sample,
}

/// Eight bytes, for there are millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScheduledEvent {
    pub(crate) kind: EventKind,
    /// Whose socket, for what happens to sockets.
    pub(crate) server: u8,
    /// Which life of the subject is meant: what happens to an earlier one is void.
    pub(crate) stamp: u16,
    /// A client, a socket's slot, or a number of the scenario's.
    pub(crate) subject: u32,
}

/// How much time is laid out in buckets of a millisecond.
const WINDOW_BITS: u32 = 16;
const WINDOW: u32 = 1 << WINDOW_BITS;

/// All that waits, in the order of time, and within a millisecond in the order it was pushed.
///
/// A heap would cost a logarithm of millions for each of hundreds of millions of pongs. Here the
/// present window is a table, and each later one a list that is laid out when its time has come.
pub(crate) struct Queue {
    window: u32,
    near: Vec<Vec<ScheduledEvent>>,
    /// One bit for each bucket that is not empty.
    busy: Vec<u64>,
    far: BTreeMap<u32, Later>,
}

struct Later {
    first: Millis,
    events: Vec<(Millis, ScheduledEvent)>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            window: 0,
            near: vec![Vec::new(); WINDOW as usize],
            busy: vec![0; WINDOW as usize / 64],
            far: BTreeMap::new(),
        }
    }

    /// The time must not be before the last that was taken.
    pub(crate) fn push(&mut self, at: Millis, event: ScheduledEvent) {
        let window = at >> WINDOW_BITS;
        debug_assert!(window >= self.window, "an event for the past");
        if window == self.window {
            self.push_near(at, event);
            return;
        }
        let later =
            self.far.entry(window).or_insert_with(|| Later { first: at, events: Vec::new() });
        later.first = later.first.min(at);
        later.events.push((at, event));
    }

    fn push_near(&mut self, at: Millis, event: ScheduledEvent) {
        let bucket = (at % WINDOW) as usize;
        self.near[bucket].push(event);
        self.busy[bucket / 64] |= 1 << (bucket % 64);
    }

    /// When the next one is due, seen from an instant before which all were taken.
    pub(crate) fn next_at(&self, now: Millis) -> Option<Millis> {
        let from = if now >> WINDOW_BITS > self.window { WINDOW } else { now % WINDOW } as usize;
        let mut word = from / 64;
        let mut mask = u64::MAX << (from % 64);
        while let Some(bits) = self.busy.get(word) {
            if bits & mask != 0 {
                let bucket = word as u32 * 64 + (bits & mask).trailing_zeros();
                return Some((self.window << WINDOW_BITS) + bucket);
            }
            mask = u64::MAX;
            word += 1;
        }
        self.far.first_key_value().map(|(_, later)| later.first)
    }

    /// What is due now, in exchange for an empty list whose memory is used again.
    pub(crate) fn take(&mut self, now: Millis, taken: &mut Vec<ScheduledEvent>) {
        debug_assert!(taken.is_empty());
        let window = now >> WINDOW_BITS;
        if window > self.window {
            self.window = window;
            if let Some(later) = self.far.remove(&window) {
                for (at, event) in later.events {
                    self.push_near(at, event);
                }
            }
        }
        let bucket = (now % WINDOW) as usize;
        core::mem::swap(&mut self.near[bucket], taken);
        self.busy[bucket / 64] &= !(1 << (bucket % 64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: u32) -> ScheduledEvent {
        ScheduledEvent { kind: EventKind::Pong, server: 0, stamp: 0, subject }
    }

    #[test]
    fn events_are_small() {
        assert_eq!(size_of::<ScheduledEvent>(), 8);
    }

    #[test]
    fn the_order_is_that_of_time_and_then_of_pushing() {
        let mut queue = Queue::new();
        let times = [5, 70_000, 5, 0, 200_000, 70_000, 65_535, 65_536];
        for (subject, at) in times.into_iter().enumerate() {
            queue.push(at, event(subject as u32));
        }
        let (mut now, mut seen, mut taken) = (0, Vec::new(), Vec::new());
        while let Some(at) = queue.next_at(now) {
            now = at;
            queue.take(now, &mut taken);
            seen.extend(taken.drain(..).map(|event| (now, event.subject)));
        }
        let expected = [(0, 3), (5, 0), (5, 2), (65_535, 6), (65_536, 7), (70_000, 1), (70_000, 5)];
        assert_eq!(seen[..7], expected);
        assert_eq!(seen[7..], [(200_000, 4)]);
    }

    #[test]
    fn time_may_pass_between_what_waits() {
        let mut queue = Queue::new();
        queue.push(1_000_000, event(1));
        let mut taken = Vec::new();
        queue.take(300_000, &mut taken);
        assert!(taken.is_empty());
        queue.push(300_001, event(2));
        assert_eq!(queue.next_at(300_000), Some(300_001));
    }
}
