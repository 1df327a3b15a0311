//! The queue in chunks against one in one piece.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bolero::{TypeGenerator, check, produce};

use super::*;

/// How many calls a history has at most.
const CALLS: usize = if cfg!(kani) { 3 } else { 12 };
/// How many items a call moves at most: several chunks.
const MOST: u16 = if cfg!(kani) { 2 } else { 3_000 };

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Call {
    Push(#[generator(0..=MOST)] u16),
    Pop(#[generator(0..=MOST)] u16),
}

#[test]
#[cfg_attr(kani, kani::proof, kani::unwind(8))]
fn agrees_with_a_queue_in_one_piece() {
    let calls = produce::<Vec<Call>>().with().len(0..=CALLS);
    check!().with_iterations(500).with_generator(calls).for_each(|calls| {
        let (mut fifo, mut queue, mut next) = (Fifo::new(), VecDeque::new(), 0_u32);
        for call in calls {
            match *call {
                Call::Push(count) => (0..count).for_each(|_| {
                    next += 1;
                    fifo.push(next);
                    queue.push_back(next);
                }),
                Call::Pop(count) => (0..count).for_each(|_| {
                    assert_eq!(fifo.pop(), queue.pop_front());
                    assert_eq!(fifo.is_empty(), queue.is_empty());
                }),
            }
            assert_eq!(fifo.is_empty(), queue.is_empty());
            assert!(fifo.iter().eq(&queue));
        }
    });
}
