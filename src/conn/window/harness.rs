//! The window against the lists of what is queued and of what is in flight.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bolero::{TypeGenerator, check, produce};

use super::*;

/// How many calls a history has at most.
const CALLS: usize = if cfg!(kani) { 3 } else { 100 };

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Call {
    Queue(u16),
    /// The first that is queued, or the last, leaves the outbox and is not handed out.
    Withdraw(bool),
    HandOut(u16),
    HandOutQueued,
    /// The socket took so much more than the last report said, or less.
    Flush(i16),
    FlushTo(u64),
    Restart,
}

/// What is outstanding, one by one.
#[derive(Default)]
struct Reference {
    queued: VecDeque<u64>,
    in_flight: VecDeque<u64>,
    handed_out: u64,
    flushed: u64,
    progress: Timestamp,
}

impl Reference {
    fn hand_out(&mut self, cost: u64, now: Timestamp) -> bool {
        let is_first = self.in_flight.is_empty();
        if is_first {
            self.progress = now;
        }
        self.in_flight.push_back(cost);
        self.handed_out += cost;
        is_first
    }

    fn flush_to(&mut self, total: u64, now: Timestamp) -> bool {
        let mut left = total.min(self.handed_out).saturating_sub(self.flushed);
        if left == 0 {
            return false;
        }
        self.flushed += left;
        self.progress = now;
        while let Some(first) = self.in_flight.front_mut() {
            let taken = left.min(*first);
            (left, *first) = (left - taken, *first - taken);
            if *first > 0 {
                break;
            }
            self.in_flight.pop_front();
        }
        true
    }

    fn assert_is(&self, window: &Window) {
        let [queued, in_flight] = [&self.queued, &self.in_flight].map(|list| list.iter().sum());
        assert_eq!((window.load(), window.queued()), (queued + in_flight, queued));
        assert_eq!((window.in_flight(), window.flushed()), (in_flight, self.flushed));
        assert_eq!(window.handed_out(), self.handed_out);
        let stuck_since = (!self.in_flight.is_empty()).then_some(self.progress);
        assert_eq!(window.stuck_since(), stuck_since);
    }
}

#[test]
#[cfg_attr(kani, kani::proof, kani::unwind(6))]
fn what_is_outstanding_is_the_sum_of_what_is() {
    let calls = produce::<Vec<Call>>().with().len(0..=CALLS);
    check!().with_iterations(1_000).with_generator(calls).for_each(|calls| {
        let (mut window, mut reference) = (Window::new(Timestamp::ZERO), Reference::default());
        for (call, second) in calls.iter().zip(1..) {
            let now = Timestamp::from_secs(second);
            match *call {
                Call::Queue(cost) => {
                    let cost = 1 + u64::from(cost);
                    window.queue(cost);
                    reference.queued.push_back(cost);
                }
                Call::Withdraw(is_first) => {
                    let queued = &mut reference.queued;
                    let cost = if is_first { queued.pop_front() } else { queued.pop_back() };
                    cost.into_iter().for_each(|cost| window.withdraw(cost));
                }
                Call::HandOut(cost) => {
                    let cost = 1 + u64::from(cost);
                    assert_eq!(window.hand_out(cost, now), reference.hand_out(cost, now));
                }
                Call::HandOutQueued => {
                    if let Some(cost) = reference.queued.pop_front() {
                        assert_eq!(
                            window.hand_out_queued(cost, now),
                            reference.hand_out(cost, now)
                        );
                    }
                }
                Call::Flush(more) => {
                    let total = reference.flushed.saturating_add_signed(i64::from(more));
                    assert_eq!(window.flush_to(total, now), reference.flush_to(total, now));
                }
                Call::FlushTo(total) => {
                    assert_eq!(window.flush_to(total, now), reference.flush_to(total, now));
                }
                Call::Restart => {
                    window.restart(now);
                    reference.progress = now;
                }
            }
            reference.assert_is(&window);
        }
    });
}

#[test]
#[cfg_attr(kani, kani::proof)]
fn what_fits_is_a_question_of_sums_that_never_wrap() {
    // Of any order of magnitude; the load and the cost are near what decides as often as anywhere.
    let number = || (produce::<u64>(), 0..64_u8);
    let place = || (0..5_u8, 0..3_u64);
    let numbers = ((number(), place()), (number(), place()), number(), number());
    check!().with_iterations(10_000).with_generator(numbers).for_each(
        |((load, load_place), (cost, cost_place), limit, reserve)| {
            let [load, cost, limit, reserve] =
                [load, cost, limit, reserve].map(|(bits, shift)| bits >> shift);
            let near = |(place, more): (u8, u64), places: [u64; 3], any| match place {
                0..3 => places[usize::from(place)].saturating_add(more).saturating_sub(1),
                _ => any,
            };
            // A load is a sum of costs, and no sum of costs reaches half of the numbers.
            let load = near(*load_place, [limit, limit / 2, 1], load).min(u64::MAX >> 1);
            let rest = limit.saturating_sub(load);
            let cost = near(*cost_place, [reserve, rest, rest.saturating_add(reserve)], cost);
            let mut window = Window::new(Timestamp::ZERO);
            window.queue(load);
            let with_it = u128::from(load) + u128::from(cost);
            let fits = load == 0 || with_it <= u128::from(limit);
            assert_eq!(window.fits(cost, limit), fits);
            let beyond = cost <= reserve
                && with_it <= u128::from(limit) + u128::from(reserve)
                && with_it <= u128::from(u64::MAX);
            assert_eq!(window.fits_direct(cost, limit, reserve), fits || beyond);
            assert_eq!(window.is_half_empty(limit), u128::from(load) * 2 <= u128::from(limit));
        },
    );
}
