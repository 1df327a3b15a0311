//! Turns: which socket is next, and how much of a turn of the loop it may use.
//!
//! A turn ends when its budget is used up, and the next one goes on where it stopped, so that a turn is
//! short however much the sockets want. A socket that had its share and wants more goes to the back of a
//! queue of its own, and the two queues take turns. So a client that sends little waits for one turn, and
//! not for all the clients that send much.

use std::collections::VecDeque;

use headcount::ConnId;

/// What a turn may spend on its sockets, or one socket's share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// A step is the work of a small frame: about a microsecond.
    pub(crate) steps: usize,
    /// Bytes that are read or written.
    pub(crate) bytes: usize,
}

/// A socket's share, however many others wait. With less, going from one to the other would be most
/// of the work.
const LEAST: Budget = Budget { steps: 4, bytes: 4 * 1024 };

/// A socket's share, however few others wait.
pub(crate) const MOST: Budget = Budget { steps: 256, bytes: 64 * 1024 };

/// Steps of a request: it is parsed, authenticated, admitted and welcomed.
pub(crate) const REQUEST_STEPS: usize = 64;

/// Bytes of a frame that are one step: they are copied, unmasked, checked, and mostly parsed.
const STEP_BYTES: usize = 512;

impl Budget {
    /// What each of so many sockets may spend.
    pub(crate) fn share(self, sockets: usize) -> Self {
        let sockets = sockets.max(1);
        Self {
            steps: (self.steps / sockets).clamp(LEAST.steps, MOST.steps),
            bytes: (self.bytes / sockets).clamp(LEAST.bytes, MOST.bytes),
        }
    }

    pub(crate) const fn is_left(self) -> bool {
        self.steps > 0 && self.bytes > 0
    }

    pub(crate) const fn spend(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
    }

    pub(crate) const fn spend_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Takes the work of a frame. It may be more than was left, as a frame is processed whole.
    pub(crate) const fn spend_frame(&mut self, length: usize) {
        self.spend(steps_of(length));
    }
}

/// The work of a frame or a payload of this length.
pub(crate) const fn steps_of(length: usize) -> usize {
    1 + copy_steps(length)
}

/// The part of it that grows with the length.
pub(crate) const fn copy_steps(length: usize) -> usize {
    length / STEP_BYTES
}

/// Sockets that wait, each in one place: first in, first out, in two queues that take turns.
#[derive(Default)]
pub(crate) struct Fair {
    /// They have asked for a turn, and had none since.
    fresh: VecDeque<ConnId>,
    /// They had their share, and want more.
    again: VecDeque<ConnId>,
    /// How many in front of both queues have waited since the round began.
    round: [usize; 2],
    /// Whether the next turn is for `again`.
    turn: bool,
}

/// How many sockets of each queue may still have a turn. A socket that comes later is not among them.
pub(crate) struct Turns([usize; 2]);

/// Dead places beyond this, and beyond the number of sockets, are swept out.
pub(crate) const FEW: usize = 64;

impl Fair {
    pub(crate) const fn new() -> Self {
        Self { fresh: VecDeque::new(), again: VecDeque::new(), round: [0; 2], turn: false }
    }

    pub(crate) fn len(&self) -> usize {
        self.fresh.len() + self.again.len()
    }

    /// All that wait, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ConnId> {
        self.fresh.iter().chain(&self.again)
    }

    /// A socket wants something that it did not want before.
    pub(crate) fn push(&mut self, conn: ConnId) {
        self.fresh.push_back(conn);
    }

    /// A socket had its share and wants more.
    pub(crate) fn push_again(&mut self, conn: ConnId) {
        self.again.push_back(conn);
    }

    /// Turns for each that waits now, and for none that comes later.
    pub(crate) fn turns(&self) -> Turns {
        Turns([self.fresh.len(), self.again.len()])
    }

    /// Whose turn it is. `None`: each has had one.
    pub(crate) fn next(&mut self, turns: &mut Turns) -> Option<ConnId> {
        let wanted = usize::from(self.turn);
        let which = if turns.0[wanted] > 0 { wanted } else { 1 - wanted };
        turns.0[which] = turns.0[which].checked_sub(1)?;
        self.turn = which == 0;
        self.round[which] = self.round[which].saturating_sub(1);
        let queue = if which == 0 { &mut self.fresh } else { &mut self.again };
        let conn = queue.pop_front();
        debug_assert!(conn.is_some(), "no more turns than sockets that wait");
        conn
    }

    /// Whether each that waited when the round began has had a turn.
    pub(crate) const fn round_is_over(&self) -> bool {
        matches!(self.round, [0, 0])
    }

    /// Begins a round of the sockets that wait now.
    pub(crate) fn begin_round(&mut self) {
        self.round = [self.fresh.len(), self.again.len()];
    }

    /// Takes the places of dead sockets out, if there are more of them than live ones.
    pub(crate) fn forget_dead(&mut self, live: usize, lives: impl Fn(&ConnId) -> bool) {
        if self.len() > 2 * live + FEW {
            self.fresh.retain(&lives);
            self.again.retain(&lives);
            // Removed sockets may have been part of the round: the round gets longer, never shorter.
            self.round = [self.round[0].min(self.fresh.len()), self.round[1].min(self.again.len())];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conns(bits: std::ops::Range<u64>) -> impl Iterator<Item = ConnId> {
        bits.map(|number| ConnId::from_bits(1 << 32 | number).expect("a handle"))
    }

    fn turn(fair: &mut Fair, steps: usize, again: impl Fn(usize) -> bool) -> Vec<usize> {
        let (mut served, mut turns) = (Vec::new(), fair.turns());
        while served.len() < steps
            && let Some(conn) = fair.next(&mut turns)
        {
            served.push(conn.index());
            if again(conn.index()) {
                fair.push_again(conn);
            }
        }
        served
    }

    #[test]
    fn those_that_want_more_stand_behind_those_that_wanted_nothing() {
        let mut fair = Fair::new();
        conns(0..100).for_each(|conn| fair.push(conn));
        assert_eq!(turn(&mut fair, 1_000, |_| true), Vec::from_iter(0..100));
        assert_eq!(turn(&mut fair, 4, |_| true), [0, 1, 2, 3]);
        conns(200..202).for_each(|conn| fair.push(conn));
        // They wait for one of the hundred each, and hold up none of them for ever.
        assert_eq!(turn(&mut fair, 6, |one| one < 100), [200, 4, 201, 5, 6, 7]);
        conns(300..400).for_each(|conn| fair.push(conn));
        let served = turn(&mut fair, 20, |one| one < 100);
        assert_eq!(served.iter().filter(|one| **one < 100).count(), 10);
    }

    #[test]
    fn a_turn_is_for_each_once() {
        let mut fair = Fair::new();
        conns(0..3).for_each(|conn| fair.push(conn));
        for _ in 0..3 {
            assert_eq!(turn(&mut fair, 1_000, |_| true), [0, 1, 2]);
        }
        assert_eq!(turn(&mut fair, 1_000, |_| false), [0, 1, 2]);
        assert!(turn(&mut fair, 1_000, |_| false).is_empty() && fair.len() == 0);
    }

    #[test]
    fn a_round_ends_when_each_that_waited_was_served() {
        let mut fair = Fair::new();
        fair.begin_round();
        conns(0..10).for_each(|conn| fair.push(conn));
        assert!(fair.round_is_over(), "it began before they came");
        fair.begin_round();
        let mut served = Vec::new();
        while !fair.round_is_over() {
            assert!((0..10).any(|one| !served.contains(&one)), "it is over when all were served");
            served.extend(turn(&mut fair, 3, |_| true));
            // Others that come meanwhile don't make it longer.
            conns(50..52).for_each(|conn| fair.push(conn));
        }
        assert!((0..10).all(|one| served.contains(&one)) && served.len() <= 2 * 10, "{served:?}");
    }

    #[test]
    fn the_dead_take_no_place_for_long() {
        let mut fair = Fair::new();
        for conn in conns(0..1_000) {
            fair.push(conn);
            fair.forget_dead(3, |conn| conn.index() < 3);
            assert!(fair.len() <= 2 * 3 + FEW);
        }
        assert!(turn(&mut fair, 1_000, |_| false).starts_with(&[0, 1, 2]));
    }

    #[test]
    fn a_share_is_what_there_is_for_each_within_bounds() {
        let budget = Budget { steps: 1_000, bytes: 1 << 20 };
        assert_eq!(budget.share(0), MOST);
        assert_eq!(budget.share(1), MOST);
        assert_eq!(budget.share(100), Budget { steps: 10, bytes: (1 << 20) / 100 });
        assert_eq!(budget.share(10_000), LEAST);
        let mut left = budget;
        left.spend(870);
        left.spend_bytes(1 << 19);
        assert!(left.is_left());
        left.spend_frame(64 * 1024);
        assert_eq!(left, Budget { steps: 1, bytes: 1 << 19 });
        left.spend_frame(64 * 1024);
        assert!(!left.is_left());
    }
}
