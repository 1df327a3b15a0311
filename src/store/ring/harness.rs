//! Two rings through the same records against two queues.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bolero::{TypeGenerator, check, produce};

use super::tests::{Even, Odd, Records, TestKey, records};
use super::*;
use crate::store::SlotKey;

/// How many records there are, and how many calls a history has at most.
const RECORDS: usize = if cfg!(kani) { 2 } else { 8 };
const CALLS: usize = if cfg!(kani) { 3 } else { 100 };

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Way {
    Push,
    PushFront,
    Remove,
    RemoveFront,
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Call {
    is_odd: bool,
    way: Way,
    #[generator(0..RECORDS)]
    slot: usize,
}

/// Does the same to a ring and to a queue.
fn call<L: Linked<Key = TestKey, Records = Records>>(
    ring: &mut Ring<L>,
    records: &mut Records,
    queue: &mut VecDeque<TestKey>,
    way: Way,
    key: TestKey,
) {
    let is_in = queue.contains(&key);
    assert_eq!(L::links(records, key).is_in(), is_in);
    match way {
        Way::Push => {
            assert_eq!(ring.push(records, key), !is_in);
            queue.extend((!is_in).then_some(key));
        }
        Way::PushFront => {
            assert_eq!(ring.push_front(records, key), !is_in);
            (!is_in).then_some(key).into_iter().for_each(|key| queue.push_front(key));
        }
        Way::Remove => {
            assert_eq!(ring.remove(records, key), is_in);
            queue.retain(|other| *other != key);
        }
        Way::RemoveFront => {
            let front = ring.front();
            assert_eq!(front, queue.pop_front());
            assert!(front.is_none_or(|key| ring.remove(records, key)));
        }
    }
}

/// The ring is the same from both ends.
fn assert_is<L: Linked<Key = TestKey, Records = Records>>(
    ring: &Ring<L>,
    records: &Records,
    queue: &VecDeque<TestKey>,
) {
    let ends = (queue.front().copied(), queue.back().copied());
    assert_eq!((ring.front(), ring.back(), ring.len()), (ends.0, ends.1, queue.len()));
    assert_eq!(ring.is_empty(), queue.is_empty());
    assert!(ring.iter(records).eq(queue.iter().copied()));
    let before = |key: &TestKey| unpack(L::links(records, *key).before);
    assert!(core::iter::successors(ring.back(), before).eq(queue.iter().rev().copied()));
}

#[test]
#[cfg_attr(kani, kani::proof, kani::unwind(6))]
fn agrees_with_two_queues() {
    let calls = produce::<Vec<Call>>().with().len(0..=CALLS);
    check!().with_iterations(1_000).with_generator(calls).for_each(|calls| {
        let mut records = records(RECORDS);
        let (mut odd, mut even) = (Ring::<Odd>::new(), Ring::<Even>::new());
        let [mut odds, mut evens] = [const { VecDeque::new() }; 2];
        for Call { is_odd, way, slot } in calls {
            let key = TestKey::of_slot(*slot);
            if *is_odd {
                call(&mut odd, &mut records, &mut odds, *way, key);
            } else {
                call(&mut even, &mut records, &mut evens, *way, key);
            }
            assert_is(&odd, &records, &odds);
            assert_is(&even, &records, &evens);
        }
    });
}
